"""`Log`: created whole, opened by whoever may, and what it hands out. [TIME-5], [CKPT-9], [BDL-7]"""

import asyncio
import stat
import string
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from invoke_log.errors import (
    KeyInvalidError,
    MalformedError,
    NotFoundError,
    SignatureInvalidError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreFullError,
    StoreReadOnlyError,
)
from invoke_log.format import digest, keys
from invoke_log.format.checkpoint import open_checkpoint
from invoke_log.format.digest import LeafIndex
from invoke_log.format.envelope import Envelope
from invoke_log.ledger import log as log_module
from invoke_log.ledger import refusals as refusals_module
from invoke_log.ledger.admit import OPENED_IN_THREADS, OPENED_TOGETHER
from invoke_log.ledger.log import Log
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Accepted, Duplicate
from invoke_log.rules.effect import OPEN
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import COMMITTED, UNKNOWN, Evidence, Note, Outcome, Refusal
from invoke_log.rules.world import EffectState
from invoke_log.store import protocol as store_module
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.protocol import Answer, Pending
from tests.harness.between import raced
from tests.harness.fork import in_fork
from tests.harness.live import NONCE, ORIGIN, T0, Live, audit, id_of, open_live
from tests.harness.player import recover


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with open_live(tmp_path) as opened:
        yield opened


def kinds(log: Log, start: int = 0) -> list[str]:
    return [entry.event.kind for entry in log.entries(start)]


def refusal(live: Live, reason: str = "blocked", *, at_ms: int = T0) -> Refusal:
    bound = live.bound()
    return Refusal(
        issuer=live.agent.public_key,
        effect=bound.effect,
        resource=bound.resource,
        blocker=None,
        reason=reason,
        count=1,
        first_ms=at_ms,
        last_ms=at_ms,
    )


def refusals(log: Log) -> list[Refusal]:
    return [entry.event.data for entry in log.entries() if isinstance(entry.event.data, Refusal)]


# --- created and opened


def test_a_new_log_has_its_founding_events_in_one_commit_and_its_keys_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    append = LmdbStore.append

    def counted(self: LmdbStore, pendings: Sequence[Pending]) -> list[Answer]:
        commits.append(len(pendings))
        return append(self, pendings)

    monkeypatch.setattr(LmdbStore, "append", counted)
    with Log.create(tmp_path / "log", origin=ORIGIN) as log:
        assert kinds(log) == ["genesis", "tick", *["grant"] * 6, "policy"]
        assert commits == [9]
        roles = sorted((grant.subject, grant.role) for grant in log.governance.grants)
        assert roles == [
            *[("admin", "approver"), ("admin", "attestor"), ("admin", "repeat")],
            *[("agent", "agent"), ("agent", "executor"), ("agent", "reconciler")],
            ("genesis", "admin"),
        ]
    keys = tmp_path / "log" / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {key.name: stat.S_IMODE(key.stat().st_mode) for key in keys.iterdir()} == {
        "log.key": 0o600,
        "admin.key": 0o600,
        "agent.key": 0o600,
    }


def test_a_strict_log_has_no_agent(tmp_path: Path) -> None:
    with Log.create(tmp_path / "log", origin=ORIGIN, strict=True) as log:
        assert kinds(log) == ["genesis", "tick", *["grant"] * 3, "policy"]
    assert sorted(key.name for key in (tmp_path / "log" / "keys").iterdir()) == ["admin.key", "log.key"]


def test_create_takes_no_place_that_is_taken_and_no_origin_that_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "mine").touch()
    with pytest.raises(StoreExistsError):
        Log.create(tmp_path / "log", origin=ORIGIN)
    with pytest.raises(MalformedError):
        Log.create(tmp_path / "other", origin="a b")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["log", "mine"]


def test_open_never_creates_and_refuses_a_second_time_in_one_process(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Log.open(tmp_path / "log")
    assert not (tmp_path / "log").exists()
    with Log.create(tmp_path / "log", origin=ORIGIN), pytest.raises(StoreBusyError):
        Log.open(tmp_path / "log")


def test_no_log_is_opened_on_a_library_that_takes_what_it_must_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[SIG-2]"""
    Log.create(tmp_path / "log", origin=ORIGIN).close()
    with monkeypatch.context() as patched:
        patched.setattr(keys, "crypto_sign_open", lambda _signed, _key: b"")
        with pytest.raises(SignatureInvalidError):
            Log.open(tmp_path / "log")
    Log.open(tmp_path / "log").close()


def test_a_log_key_that_others_may_read_is_refused_and_leaves_the_store_closed(tmp_path: Path) -> None:
    Log.create(tmp_path / "log", origin=ORIGIN).close()
    key = tmp_path / "log" / "keys" / "log.key"
    key.chmod(0o640)
    with pytest.raises(KeyInvalidError):
        Log.open(tmp_path / "log")
    key.chmod(0o600)
    Log.open(tmp_path / "log").close()


def test_without_its_log_key_a_process_appends_and_neither_ticks_nor_signs_checkpoints(live: Live) -> None:
    path, intent = live.log.path, live.intent()
    live.log.close()
    (path / "keys" / "log.key").rename(path / "log.key")
    live.clock.ms += 60_000
    with Log.open(path) as log:
        assert log.tick() is None
        assert isinstance(log.append(intent), Accepted)
        assert kinds(log)[-1] == "intent"
        with pytest.raises(StoreReadOnlyError):
            log.checkpoint()


def test_closing_twice_does_nothing(live: Live) -> None:
    live.log.refuse(refusal(live), live.agent)
    live.log.close()
    live.log.close()


# --- refusals


def test_a_refusal_rides_the_next_commit_and_equal_ones_are_counted_together(live: Live) -> None:
    size = len(kinds(live.log))
    for at_ms in (T0 + 3, T0 + 1, T0 + 9):
        live.log.refuse(refusal(live, at_ms=at_ms), live.agent)
    live.log.refuse(refusal(live, "denied"), live.agent)
    assert len(kinds(live.log)) == size
    live.append(live.intent())
    assert kinds(live.log, size) == ["intent", "refusal", "refusal"]
    blocked, denied = refusals(live.log)
    assert (blocked.count, blocked.first_ms, blocked.last_ms, blocked.reason) == (3, T0 + 3, T0 + 9, "blocked")
    assert (denied.count, denied.reason) == (1, "denied")
    assert not live.log._refusals


def test_refusals_ride_the_next_tick_and_at_the_latest_the_end(live: Live) -> None:
    live.log.refuse(refusal(live), live.agent)
    live.wait(1)
    assert len(refusals(live.log)) == 1
    live.log.refuse(refusal(live, at_ms=T0 + 1), live.agent)
    path = live.log.path
    live.log.close()
    with Log.open(path) as log:
        assert len(refusals(log)) == 2


def test_refusals_that_wait_are_the_parents_where_a_fork_closes_its_copy_of_the_log(live: Live) -> None:
    live.log.refuse(refusal(live), live.agent)
    with live.log._group._lock:
        assert in_fork(live.log.close) == ["used"]
    live.wait(1)
    assert len(refusals(live.log)) == 1


class Locked:
    """A key in an agent that does not answer until it is unlocked."""

    def __init__(self, signer: FileSigner) -> None:
        self.public_key = signer.public_key
        self.signer: FileSigner | None = None

    def sign(self, message: bytes) -> bytes:
        if self.signer is None:
            raise TimeoutError
        return self.signer.sign(message)


def test_a_key_that_cannot_sign_its_refusal_now_holds_up_nobody(live: Live) -> None:
    key = Locked(live.agent)
    live.log.refuse(refusal(live), key)
    live.log.refuse(refusal(live, "denied"), live.admin)
    live.put(live.intent())
    assert [one.reason for one in refusals(live.log)] == ["denied"]
    key.signer = live.agent
    live.put(live.tick(1))
    assert [one.reason for one in refusals(live.log)] == ["denied", "blocked"]


def test_refusals_that_nobody_can_sign_do_not_pile_up_without_end(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals_module, "REFUSALS_WAITING_MAX", 3)
    for at in range(9):
        live.log.refuse(refusal(live, f"reason {at}"), Locked(live.agent))
    assert len(live.log._refusals._waiting) == 3


def test_a_tick_that_cannot_be_signed_holds_up_no_evidence(live: Live) -> None:
    """S15: the log's time stands still, and waits are longer."""
    live.put(live.begun())
    live.clock.ms += 60_000
    size = len(list(live.log.entries()))
    live.log._log_signer = Locked(live.log_key)
    live.put(live.outcome(COMMITTED))
    assert kinds(live.log, size) == ["outcome"]
    live.log._log_signer = live.log_key


class Silent:
    """A key in an agent that answers nothing for a minute of the clock that is never set, and then fails."""

    def __init__(self, public_key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        self.public_key = public_key
        self.asked = 0
        self.now_s = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)

    def sign(self, message: bytes) -> bytes:
        self.asked += 1
        self.now_s += 60
        raise TimeoutError


def test_a_log_key_that_does_not_answer_is_not_waited_for_at_each_append(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: nor by whoever judges by the log's time. Who asks for a tick asks the key."""
    live.put(live.begun())
    live.clock.ms += 60_000
    live.log._log_signer = key = Silent(live.log_key.public_key, monkeypatch)
    live.put(live.outcome(COMMITTED))
    live.put(live.draw(Note(about=bytes(32), text="a"), live.agent))
    assert due_tick(live) is None
    assert key.asked == 1
    key.now_s += 10 * 60 - 1
    live.put(live.draw(Note(about=bytes(32), text="b"), live.agent))
    assert key.asked == 1
    key.now_s += 1
    live.put(live.draw(Note(about=bytes(32), text="c"), live.agent))
    assert key.asked == 2
    with pytest.raises(TimeoutError):
        live.log.tick()
    assert key.asked == 3
    live.log._log_signer = live.log_key


def test_a_key_that_does_not_answer_is_asked_for_one_of_its_refusals(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Silent(live.agent.public_key, monkeypatch)
    for reason in ("a", "b", "c"):
        live.log.refuse(refusal(live, reason), key)
    live.put(live.intent())
    assert key.asked == 1


def test_refusals_cost_no_commit_of_their_own(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.append(live.begun())
    live.log.refuse(refusal(live), live.agent)
    with monkeypatch.context() as patch:
        patch.setattr(live.log._engine._store, "append", _full)  # would raise, where anything were stored
        for _ in range(3):
            assert live.answer(live.intent()).startswith("blocked")
            live.log.refuse(refusal(live), live.agent)
    live.append(live.outcome())
    assert [each.count for each in refusals(live.log)] == [4]


def test_too_many_refusals_are_not_waited_with(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals_module, "REFUSALS_WAITING_MAX", 2)
    for reason in ("a", "b"):
        live.log.refuse(refusal(live, reason), live.agent)
    assert refusals(live.log) == []
    live.log.refuse(refusal(live, "c"), live.agent)
    assert [each.reason for each in refusals(live.log)] == ["a", "b"]


def test_refusals_outlive_a_commit_that_failed(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.log.refuse(refusal(live), live.agent)
    with monkeypatch.context() as patch:
        patch.setattr(live.log._engine._store, "append", _full)
        with pytest.raises(StoreFullError):
            live.wait(1)
    live.log.refuse(refusal(live, at_ms=T0 + 1), live.agent)
    live.wait(1)
    assert [each.count for each in refusals(live.log)] == [1, 1]


def test_refusals_that_no_disk_takes_do_not_pile_up_and_are_in_no_outcomes_way(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15, once there is space again: those that the log had taken on are on record, the others were told."""
    monkeypatch.setattr(refusals_module, "REFUSALS_WAITING_MAX", 3)
    monkeypatch.setattr(store_module, "APPEND_COUNT_MAX", 8)
    monkeypatch.setattr(log_module, "APPEND_COUNT_MAX", 8)
    live.put(live.begun())
    taken = []
    with monkeypatch.context() as patch:
        patch.setattr(live.log._engine._store, "append", _full)
        for reason in string.ascii_lowercase:
            with suppress(StoreFullError):
                live.log.refuse(refusal(live, reason), live.agent)
                taken.append(reason)
        live.log.refuse(refusal(live, taken[-1]), live.agent)
        with pytest.raises(StoreFullError):
            live.put(live.outcome(COMMITTED))
    assert len(live.log._refusals._waiting) == 3
    live.put(live.outcome(COMMITTED))
    live.log.flush()
    assert {each.reason: each.count for each in refusals(live.log)} == dict.fromkeys(taken, 1) | {taken[-1]: 2}


def test_what_rides_on_as_many_events_as_one_append_takes_waits(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "APPEND_COUNT_MAX", 5)
    monkeypatch.setattr(log_module, "APPEND_COUNT_MAX", 5)
    for at, rides in ((5, []), (4, ["tick"]), (2, ["tick", "refusal", "refusal"]), (3, ["refusal", "refusal"])):
        live.clock.ms += 2_000 if rides[:1] != ["refusal"] else 0
        for reason in ("a", "b", "c", "d"):
            live.log.refuse(refusal(live, reason), live.agent)
        size = len(kinds(live.log))
        live.put([live.draw(Note(about=bytes(32), text=f"{at} {n}"), live.agent) for n in range(at)])
        assert kinds(live.log, size) == ["note"] * at + rides


def _full(_: object) -> list[Answer]:
    raise StoreFullError("no space")


def test_a_key_without_a_grant_has_no_refusals_on_record_and_is_in_nobodys_way(live: Live) -> None:
    live.log.refuse(refusal(live), FileSigner(bytes(32)))
    live.log.refuse(refusal(live, "denied"), live.agent)
    live.wait(1)
    assert [each.reason for each in refusals(live.log)] == ["denied"]
    live.wait(1)
    assert len(refusals(live.log)) == 1


# --- what it hands out


def test_an_effect_is_found_by_its_key_with_its_chain_in_leaf_order(live: Live) -> None:
    bound = live.bound()
    live.append(live.begun())
    live.append(live.begun(live.bound(order="2")))
    live.append(live.outcome())
    view = live.log.effect(bound.effect)
    assert view == live.log.effect(digest.format_id("eff", bound.effect))
    assert (view.state.status, view.state.resource) == (COMMITTED, bound.resource)
    assert [entry.event.kind for entry in view.entries] == ["intent", "start", "outcome"]
    assert view.entries[-1].event.id == view.state.last
    with pytest.raises(NotFoundError):
        live.log.effect(bytes(32))
    with pytest.raises(MalformedError):
        live.log.effect("eff_1")


def test_effects_come_by_key_as_they_stood_when_they_were_asked_for(live: Live) -> None:
    keys = []
    for order in "abcd":
        bound = live.bound(order=order, customer=f"cus_{order}")
        live.append(live.intent(bound))
        keys.append(bound.effect)
    effects = live.log.effects()
    first = next(effects)
    live.append(live.intent(live.bound(order="later", customer="cus_later")))
    assert [first.effect, *(state.effect for state in effects)] == sorted(keys)
    assert len(list(live.log.effects())) == 5


def test_a_signer_of_another_key_than_the_log_key_signs_no_checkpoint_and_no_tick(tmp_path: Path) -> None:
    Log.create(tmp_path / "log", origin=ORIGIN).close()
    with Log.open(tmp_path / "log", log_key=FileSigner(bytes(31) + b"9")) as log:
        with pytest.raises(StoreReadOnlyError, match="its log key is not here"):
            log.checkpoint()
        with log.world() as world, pytest.MonkeyPatch.context() as patch:
            patch.setattr(log_module, "_now_ms", lambda: world.now_ms() + 2 * log_module.TICK_AGE_MS_MAX)
            assert log.due_tick(world) is None
        assert log.tick() is None
    with Log.open(tmp_path / "log") as log:
        open_checkpoint(log.checkpoint(), log.verifier_key)


def test_open_effects_are_those_that_are_claimed_started_or_unknown_before_and_after_a_recovery(live: Live) -> None:
    bounds = [live.bound(order=order, customer=f"cus_{order}") for order in "abcde"]
    for bound in bounds:
        live.put(live.begun(bound))
    for bound, status in zip(bounds, (COMMITTED, COMMITTED, UNKNOWN, UNKNOWN), strict=False):
        live.put(live.outcome(status, bound=bound))
    for claimed in (live.bound(order="f"), live.bound(order="g")):
        live.put(live.intent(claimed))

    def open_now() -> list[EffectState]:
        found = list(live.log.open_effects())
        assert found == [state for state in live.log.effects() if state.status in OPEN]
        return found

    assert len(open_now()) == 5
    recover(live)
    assert [state.status for state in open_now()] == [UNKNOWN] * 5


def test_an_older_view_of_the_log_keeps_its_own_governance(live: Live) -> None:
    head = live.log.governance.head
    with live.log.world() as old:
        live.register(version=2)
        assert live.log.governance.head != head
        assert old.governance.head == head
    assert live.log.governance.contracts[live.contract.id].version == 2


def test_entries_start_at_the_leaf_that_is_asked_for(live: Live) -> None:
    everything = list(live.log.entries())
    assert [entry.index for entry in everything] == list(range(len(everything)))
    assert list(live.log.entries(3)) == everything[3:]
    assert list(live.log.entries(len(everything))) == []


def test_a_checkpoint_covers_everything_and_is_the_same_until_something_comes(live: Live) -> None:
    note = live.log.checkpoint()
    opened = open_checkpoint(note, live.log.verifier_key)
    assert (opened.checkpoint.origin, opened.checkpoint.size) == (ORIGIN, len(kinds(live.log)))
    assert live.log.checkpoint() == note
    live.append(live.intent())
    later = open_checkpoint(live.log.checkpoint(), live.log.verifier_key)
    assert later.checkpoint.size == opened.checkpoint.size + 1


def test_an_export_is_the_whole_log_and_the_same_bytes_twice(live: Live) -> None:
    live.append(live.begun())
    bundle = live.bundle()
    report = audit(bundle, live.log.verifier_key)
    assert (report.ok, report.trusted, report.size) == (True, True, len(kinds(live.log)))
    assert live.bundle() == bundle


def test_an_export_carries_what_its_entries_name_and_nothing_else_that_lies_there(live: Live) -> None:
    named, other = b"proof", b"seen by a call that was refused"
    for raw in (named, other):
        live.log.keep_attachment(raw)
    live.append(live.begun())
    send = live.state().send
    assert send is not None
    attachment = {"attachment": digest.attachment_digest(named), "size": len(named)}
    evidence = Evidence(kind="no_answer", attachment=attachment)  # type: ignore[arg-type]  # a bytes is a Value
    data = Outcome(start=send.id, nonce=NONCE, status=UNKNOWN, evidence=evidence, result=None)
    assert live.answer(live.draw(data, live.agent)) == "accepted"
    bundle = live.bundle()
    assert named in bundle
    assert other not in bundle
    assert live.audit().findings == ()
    (live.log.path / "attachments" / digest.attachment_digest(named).hex()).write_bytes(b"proop")
    with pytest.raises(StoreDamagedError):
        live.bundle()
    (live.log.path / "attachments" / digest.attachment_digest(named).hex()).unlink()
    assert [(finding.code, finding.severity) for finding in live.audit().findings] == [
        ("attachment-missing", "warning")
    ]


def test_an_event_is_drawn_up_at_the_head_that_stands(live: Live) -> None:
    intent = live.intent()
    assert intent.fields["prev"] is None
    live.append(intent)
    assert live.release().fields["prev"] == id_of(intent)
    assert live.log.draft(live.contract, live.admin).fields["prev"] == live.log.governance.head
    assert live.draw(Note(about=bytes(32), text=""), live.agent).fields["prev"] is None


def due_tick(live: Live) -> tuple[Envelope, int] | None:
    with live.log.world() as world:
        return live.log.due_tick(world)


def test_a_tick_is_due_a_second_after_the_last_and_never_before(live: Live) -> None:
    live.clock.ms += log_module.TICK_AGE_MS_MAX - 1
    assert due_tick(live) is None
    live.clock.ms += 1
    due = due_tick(live)
    assert due is not None
    envelope, time_ms = due
    assert time_ms == T0 + log_module.TICK_AGE_MS_MAX
    assert live.answer(envelope) == "accepted"
    assert due_tick(live) is None


def test_tasks_append_as_threads_do(live: Live) -> None:
    drawn = [live.intent(live.bound(order=order, customer=f"cus_{order}")) for order in "abc"]

    async def story() -> list[object]:
        return list(await asyncio.gather(*(live.log.aappend(envelope) for envelope in [*drawn, drawn[0]])))

    answers = asyncio.run(story())
    assert [type(answer) for answer in answers[:3]] == [Accepted] * 3
    assert isinstance(answers[3], Duplicate)


def test_what_threads_open_is_judged_in_its_own_order_and_answered_one_by_one(live: Live) -> None:
    drawn = [live.draw(Note(about=bytes(32), text=str(number)), live.agent) for number in range(OPENED_IN_THREADS)]
    forged = drawn[OPENED_TOGETHER + 1]
    drawn[OPENED_TOGETHER + 1] = Envelope(body=forged.body, signature=bytes(64), fields=forged.fields)
    answers = live.log.append_many(drawn)
    refused = [at for at, answer in enumerate(answers) if isinstance(answer, Refused)]
    assert refused == [OPENED_TOGETHER + 1]
    stored = [entry.event.data for entry in live.log.entries() if isinstance(entry.event.data, Note)]
    assert [note.text for note in stored] == [str(at) for at in range(len(drawn)) if at not in refused]
    live.log.close()
    with pytest.raises(StoreError):
        live.log.append_many(drawn)


def test_many_events_are_appended_though_the_program_has_come_to_its_end(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread is through: nobody may start a thread any more."""

    def late(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", late)
    live.put(*(live.draw(Note(about=bytes(32), text=str(at)), live.agent) for at in range(OPENED_IN_THREADS)))


def test_the_time_may_be_told_twice_in_one_millisecond(tmp_path: Path) -> None:
    """By two who have seen the same: then it is one tick, and whoever comes second is told where it stands."""
    with raced(tmp_path) as (live, between, other):
        same = live.tick(0)
        live.log.refuse(refusal(live), live.agent)
        size = len(kinds(live.log))
        between.before.append(lambda: other.append(same))
        assert live.log.tick() == Accepted(id=id_of(same), index=LeafIndex(size))
        assert kinds(live.log, size) == ["tick", "refusal"]


def test_what_is_covered_is_handed_out_without_the_log_key(live: Live) -> None:
    live.append(live.begun())
    live.append(live.outcome())
    note, path, bound = live.log.checkpoint(), live.log.path, live.bound()
    later = live.draw(Note(about=bytes(32), text="later"), live.agent)
    live.log.close()
    (path / "keys" / "log.key").unlink()
    with Log.open(path, read_only=True) as log:
        items: list[bytes] = []
        log.export(items.append)
        assert log.checkpoint() == note
        assert audit(b"".join(items), log.verifier_key).findings == ()
        receipt = log.receipt(bound.effect)
    with Log.open(path, log_key=FileSigner(bytes(31) + b"9")) as log:  # of another log: as good as none
        assert isinstance(log.append(later), Accepted)
        assert log.receipt(bound.effect) == receipt  # all of the effect is covered still, and the log is not
        with pytest.raises(StoreReadOnlyError):
            log.export(items.append)
        assert isinstance(log.append(live_intent_on(log, live)), Accepted)
        with pytest.raises(StoreReadOnlyError):
            log.receipt(live.bound(order="790", customer="cus_2").effect)


def live_intent_on(log: Log, live: Live) -> Envelope:
    """An intent on another effect, drawn up on a log that was opened again."""
    live.log = log
    return live.intent(live.bound(order="790", customer="cus_2"))
