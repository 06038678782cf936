"""A log that goes on from an older copy: every leaf comes along, and no doubt becomes permission. [REC-1] to [REC-4]"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from invoke_log.audit.replay import replay
from invoke_log.errors import ConfigInvalidError, InvokeLogError, MalformedError, StoreExistsError
from invoke_log.format import limits
from invoke_log.format.cbor import Value
from invoke_log.format.checkpoint import Checkpoint, sign_checkpoint
from invoke_log.format.digest import TreeSize, attachment_digest
from invoke_log.format.note import NoteSignature, format_signature
from invoke_log.ledger import recovery
from invoke_log.ledger.log import Log
from invoke_log.ledger.recovery import Survivors, recover, successor
from invoke_log.log.home import attachment_bytes
from invoke_log.log.signer import FileSigner, load_key, lock_key_file
from invoke_log.rules.effect import OPEN
from invoke_log.rules.kind import PRESENT, UNKNOWN, Evidence, Recovery, Tick
from tests.guard.test_budgets import limit
from tests.harness.live import D_MS, ORIGIN, Q_MS, Live, memory_live, open_live
from tests.harness.player import Player
from tests.harness.player import recover as recover_in_place
from tests.harness.shop import shop_over

Entries = list[tuple[bytes, bytes]]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    (tmp_path / "old").mkdir()
    with memory_live(tmp_path / "old") as opened:
        yield opened


def entries_of(log: Log) -> Entries:
    return [(entry.body, entry.signature) for entry in log.entries()]


def closing_with(note: bytes | None, attachments: tuple[bytes, ...]) -> Callable[..., bytes | None]:
    """What is left beside the leaves."""

    def closing(_: set[bytes], keep: Callable[[bytes], None]) -> bytes | None:
        for raw in attachments:
            keep(raw)
        return note

    return closing


def left(entries: Entries, *, note: bytes | None = None, attachments: tuple[bytes, ...] = ()) -> Survivors:
    return Survivors(entries=iter(entries), closing=closing_with(note, attachments), keys=None)


@pytest.mark.parametrize("seed", range(6))
def test_every_leaf_is_carried_over_and_what_was_open_is_unknown(live: Live, tmp_path: Path, seed: int) -> None:
    player = Player(live, random.Random(seed), recovers=0.05)
    for _ in range(60):
        player.step()
    entries, before = entries_of(live.log), {state.effect: state for state in live.log.effects()}
    assert before
    recover(tmp_path / "new", left(entries), admin=live.admin, origin=None)
    with Log.open(tmp_path / "new") as log:
        found = list(log.entries())
        assert entries_of(log)[: len(entries)] == entries
        assert [entry.event.kind for entry in found[len(entries) :]] == ["recovery", "tick"]
        assert log.governance.origin == successor(live.log.governance)
        after = {state.effect: state for state in log.effects()}
        trust = log.verifier_key
        log.checkpoint()
    assert after.keys() == before.keys()
    for effect, was in before.items():
        assert after[effect].status == (UNKNOWN if was.status in OPEN else was.status)
        assert after[effect].last == was.last
    report = replay(tmp_path / "new", trust=trust)
    assert report.trusted
    assert {found.effect: found.status for found in report.effects} == {e: s.status for e, s in after.items()}
    assert [finding for finding in report.findings if finding.severity == "error"] == []


def carried(live: Live, place: Path) -> Entries:
    """What a log that goes on from this one has of it."""
    copy = entries_of(live.log)
    recover(place, left(copy), admin=live.admin, origin=None)
    with Log.open(place, read_only=True) as log:
        return entries_of(log)[: len(copy)]


def test_what_only_a_live_log_asks_is_not_asked_of_what_has_happened(live: Live, tmp_path: Path) -> None:
    """Calls that were counted, each with its commit behind it, come along in one commit. [POL-7]"""
    shop = shop_over(live)
    limit(live, 15_000, sum="amount")
    for order in range(4):
        live.wait(1)
        shop.call(order=str(order))
    assert len(shop.landed) == 3
    assert live.audit().findings == ()
    assert carried(live, tmp_path / "new") == entries_of(live.log)


def test_what_a_tick_covers_is_asked_of_its_own_leaf(live: Live, tmp_path: Path) -> None:
    """It covers leaves that are carried in the same commit. [TIME-1]"""
    live.wait(1)
    with live.log.world() as world:
        size, now_ms = int(world.reader.size), world.now_ms()
    live.put(live.log.draft(Tick(time_ms=now_ms, covers=size, map=bytes(32)), live.log_key))
    assert carried(live, tmp_path / "new") == entries_of(live.log)


def test_the_same_leaf_twice_stops_it(live: Live, tmp_path: Path) -> None:
    copy = entries_of(live.log)
    for again in (copy[-1], copy[1]):  # a registration, which names its predecessor, and a tick, which stands alone
        with pytest.raises(MalformedError, match=f"leaf {len(copy)}: no log accepts"):
            recover(tmp_path / "new", left([*copy, again]), admin=live.admin, origin=None)


def test_a_call_of_the_lost_tail_is_not_made_again(live: Live, tmp_path: Path) -> None:
    copy = entries_of(live.log)
    claimed = live.intent()
    live.put(claimed, live.start(claimed))  # and it is sent, and all of this is lost
    recover(tmp_path / "new", left(copy), admin=live.admin, origin=None)
    with Log.open(tmp_path / "new") as log:
        after = Live(log, live.clock, load_key(tmp_path / "new" / "keys" / "log.key"), live.admin, live.agent)
        after.contract = live.contract
        intent = after.intent()
        assert after.answer(intent) == "accepted"
        assert after.state().status == UNKNOWN
        assert after.answer(after.start(intent)) == "refused transition-invalid"


def test_the_checkpoint_that_was_kept_says_how_much_is_lost(live: Live, tmp_path: Path) -> None:
    copy = entries_of(live.log)
    live.wait(5_000)
    note = live.log.checkpoint()
    recover(tmp_path / "new", left(copy, note=note), admin=live.admin, origin=f"{ORIGIN}/again")
    with Log.open(tmp_path / "new", read_only=True) as log:
        data = list(log.entries())[len(copy)].event.data
        assert isinstance(data, Recovery)
        assert (data.checkpoint, data.size, data.old_origin, data.origin) == (
            note,
            len(copy),
            ORIGIN,
            f"{ORIGIN}/again",
        )


def forged(live: Live, signer: FileSigner) -> bytes:
    return sign_checkpoint(Checkpoint(origin=ORIGIN, size=TreeSize(3), root=bytes(32)), signer)


@pytest.mark.parametrize(
    ("note", "error"),
    [
        (lambda live: forged(live, live.log_key), MalformedError),
        (lambda live: forged(live, live.agent), InvokeLogError),
        (lambda _: b"no note", MalformedError),
    ],
    ids=["another tree", "another key", "no note"],
)
def test_a_checkpoint_that_is_not_of_this_log_stops_it(
    live: Live, tmp_path: Path, note: Callable[[Live], bytes], error: type[InvokeLogError]
) -> None:
    with pytest.raises(error):
        recover(tmp_path / "new", left(entries_of(live.log), note=note(live)), admin=live.admin, origin=None)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_checkpoint_with_more_cosignatures_than_a_recovery_holds_is_refused_and_one_with_less_is_held(
    live: Live, tmp_path: Path
) -> None:
    copy, note = entries_of(live.log), live.log.checkpoint()
    keys = (NoteSignature(name="example.org/witness", key_id=n.to_bytes(4), payload=bytes(72)) for n in range(200))
    lines = [format_signature(each).encode() for each in keys]
    most = (limits.RECOVERY_CHECKPOINT_BYTES_MAX - len(note)) // len(lines[0])
    more, fits = (note + b"".join(lines[:count]) for count in (most + 1, most))
    with pytest.raises(MalformedError, match="holds at most 16384") as refused:
        recover(tmp_path / "new", left(copy, note=more), admin=live.admin, origin=None)
    assert refused.value.hint
    recover(tmp_path / "new", left(copy, note=fits), admin=live.admin, origin=None)


def without_leaf_3(entries: Entries) -> Entries:
    return [*entries[:3], *entries[4:]]


def with_a_signature_of_another_leaf(entries: Entries) -> Entries:
    return [*entries[:3], (entries[3][0], entries[4][1]), *entries[4:]]


@pytest.mark.parametrize("damage", [without_leaf_3, with_a_signature_of_another_leaf])
def test_a_leaf_that_no_log_would_have_accepted_stops_it(
    live: Live, tmp_path: Path, damage: Callable[[Entries], Entries]
) -> None:
    with pytest.raises(MalformedError, match="leaf 3: no log accepts"):
        recover(tmp_path / "new", left(damage(entries_of(live.log))), admin=live.admin, origin=None)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_only_an_admin_recovers_under_a_name_that_is_new_and_in_a_place_that_is_free(
    live: Live, tmp_path: Path
) -> None:
    copy = entries_of(live.log)
    with pytest.raises(ConfigInvalidError, match="holds no grant as admin"):
        recover(tmp_path / "new", left(copy), admin=live.agent, origin=None)
    with pytest.raises(ConfigInvalidError, match="never had"):
        recover(tmp_path / "new", left(copy), admin=live.admin, origin=ORIGIN)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    with pytest.raises(StoreExistsError):
        recover(tmp_path / "old", left(copy), admin=live.admin, origin=None)


def test_names_are_counted_on_from_recovery_to_recovery(live: Live) -> None:
    names = [live.log.governance.origin]
    for _ in range(3):
        recover_in_place(live)
        names.append(live.log.governance.origin)
    assert names == [ORIGIN, f"{ORIGIN}.e1", f"{ORIGIN}.e2", f"{ORIGIN}.e3"]


def test_attachments_and_key_files_come_along_and_the_log_key_is_new(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        named, foreign = b'["the receipt"]', b"of another log"
        live.put(*live.begun())
        live.wait(D_MS + Q_MS)
        seen: dict[str, Value] = {"attachment": attachment_digest(named), "size": len(named)}
        evidence = Evidence(kind="tag_seen", reference="pi_1", attachment=seen)
        live.put(live.draw(replace(live.resolution(PRESENT, 1, evidence), of=live.bound().parts), live.agent))
        copy = entries_of(live.log)
    old = tmp_path / "log" / "keys"
    lock_key_file(old / "agent.key", passphrase=b"sesame")
    closing = closing_with(None, (named, foreign))
    survivors = Survivors(entries=iter(copy), closing=closing, keys=tmp_path / "log")
    recover(tmp_path / "new", survivors, admin=load_key(old / "admin.key"), origin=None)
    assert attachment_bytes(tmp_path / "new", attachment_digest(named)) == named
    assert attachment_bytes(tmp_path / "new", attachment_digest(foreign)) is None
    new = tmp_path / "new" / "keys"
    assert sorted(path.name for path in new.iterdir()) == ["admin.key", "agent.key", "log.key"]
    for name in ("admin.key", "agent.key"):
        assert (new / name).read_bytes() == (old / name).read_bytes()
        assert (new / name).stat().st_mode & 0o777 == 0o600
    assert load_key(new / "log.key").public_key != load_key(old / "log.key").public_key


def test_runs_of_leaves_are_carried_in_commits_of_bounded_size(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recover_in_place(live)
    for at in range(9):
        live.wait(1_000 + at)
    monkeypatch.setattr(recovery, "CARRIED_TOGETHER", 4)
    copy = entries_of(live.log)
    recover(tmp_path / "new", left(copy), admin=live.admin, origin=None)
    with Log.open(tmp_path / "new", read_only=True) as log:
        assert entries_of(log)[: len(copy)] == copy
