"""Everything judged again from the bytes: honest logs have no findings, every lie has one. [RPL-1] to [RPL-11], S13"""

import gc
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invoke_log.audit.replay import replay
from invoke_log.audit.source import Closing
from invoke_log.errors import NotFoundError
from invoke_log.format import bundle
from invoke_log.format.keys import WITNESS_KEY, VerifierKey
from invoke_log.log.signer import FileSigner
from invoke_log.rules.event import CHAINED_KINDS, GOVERNANCE_KINDS
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Freeze, Note, Scope, Unfreeze
from invoke_log.rules.world import EffectState
from tests.harness.forge import leaf_at, resealed, take_apart
from tests.harness.live import D_MS, ORIGIN, Q_MS, T0, Live, audit, id_of, memory_live, open_live
from tests.harness.player import Player

STRANGER = FileSigner(bytes([77]) * 32)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with memory_live(tmp_path) as opened:
        yield opened


def tell(live: Live) -> None:
    """A story with every kind of turn: about forty events."""
    live.log.keep_attachment(b"a paper")
    live.put(live.begun(live.bound(order="1")))
    live.put(live.outcome(COMMITTED, "", live.bound(order="1")))
    live.put(live.begun(live.bound(order="2")))
    live.put(live.outcome(NOT_COMMITTED, "stored_failure", live.bound(order="2")))
    live.put(live.begun(live.bound(order="2")))
    live.put(live.outcome(UNKNOWN, "", live.bound(order="2")))
    live.wait(5)
    live.put(live.redrive(live.bound(order="2")))
    live.wait(5)
    live.wait(D_MS + Q_MS)
    live.put(live.absent(live.bound(order="2")))
    live.ask()
    intent = live.intent()
    live.put(intent)
    approval = live.approval(intent)
    live.put(approval)
    live.put(live.draw(Note(about=id_of(intent), text="looks right"), live.admin))
    live.put(live.start(intent, approvals=(id_of(approval),)))
    live.wait(5)
    live.wait(D_MS)
    live.put(live.suspect())
    live.put(live.present())
    other = live.bound(order="3")
    denied = live.intent(other)
    live.put(denied)
    live.put(live.denial(denied, other))
    live.put(live.intent(other))
    live.put(live.release(other))
    scope = Scope(effect_class="*", prefix="")
    for data in (Freeze(scope=scope, reason="stop"), Unfreeze(scope=scope, reason="go on")):
        live.put(live.log.draft(data, live.admin))
    live.wait(5)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, VerifierKey, Live]:
    with memory_live(tmp_path_factory.mktemp("told")) as live:
        tell(live)
        return live.bundle(), live.log.verifier_key, live


def codes(raw: bytes, trust: VerifierKey | None = None) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.index) for finding in audit(raw, trust).findings]


# --- honest logs


def test_an_honest_log_has_no_findings_and_every_effect_is_derived(told: tuple[bytes, VerifierKey, Live]) -> None:
    raw, trust, _ = told
    report = audit(raw, trust)
    assert (report.ok, report.trusted, report.findings) == (True, True, ())
    assert (report.origin, report.size, report.covered, report.cosignatures) == (ORIGIN, 40, 40, 0)
    assert len(set(take_apart(raw).kinds())) == 17
    statuses = {effect.purpose: (effect.status, effect.attempts, effect.grade) for effect in report.effects}
    assert statuses == {
        "1": (COMMITTED, 1, "E0"),
        "2": (NOT_COMMITTED, 2, "E0"),
        "789": (COMMITTED, 1, "E0"),
        "3": ("free", 2, None),
    }


def test_what_an_audit_held_is_let_go_when_it_ends(told: tuple[bytes, VerifierKey, Live]) -> None:
    """Not when the garbage collector comes by: of two audits in a row, one is in memory."""
    gc.collect()
    before = sum(isinstance(each, EffectState) for each in gc.get_objects())
    gc.disable()
    try:
        report = audit(told[0])
        assert sum(isinstance(each, EffectState) for each in gc.get_objects()) == before
        assert report.effects
    finally:
        gc.enable()


@pytest.mark.parametrize("seed", range(100, 106))
def test_the_replay_of_any_live_history_finds_nothing_but_what_the_world_did(seed: int, live: Live) -> None:
    player = Player(live, random.Random(seed), recovers=0.0)  # it takes a new origin, which one bundle does not have
    for _ in range(80):
        player.step()
    report = live.audit()
    assert report.ok
    assert {finding.code for finding in report.findings} <= {"contradiction", "duplicate-effect"}
    assert len(report.effects) == 2


def test_a_store_and_its_bundle_give_the_same_report(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        tell(live)
        trust, path = live.log.verifier_key, live.log.path
        raw = live.bundle()
    of_bundle, of_store = audit(raw, trust), replay(path, trust=trust)
    assert of_store == of_bundle
    assert of_store.state_root is not None
    assert (of_store.trusted, of_store.trusted_size) == (True, of_store.size)
    (tmp_path / "other.bundle").write_bytes(raw)
    assert replay(str(tmp_path / "other.bundle"), trust=trust) == of_bundle


def test_a_store_that_was_never_signed_or_went_on_is_covered_and_trusted_that_far(tmp_path: Path) -> None:
    """[RPL-9], [RPL-10]: what genesis says of its own origin and key is nobody's word."""
    with open_live(tmp_path) as live:
        live.append(live.begun())
        path, trust = live.log.path, live.log.verifier_key
    report = replay(path)
    assert [(finding.code, finding.severity) for finding in report.findings] == [("not-covered", "warning")]
    assert (report.ok, report.covered, report.trusted) == (True, None, False)
    named = replay(path, trust=trust)
    assert (named.ok, named.trusted, named.trusted_size) == (False, False, 0)
    assert [finding.code for finding in named.findings] == ["not-covered", "trust-mismatch"]
    (tmp_path / "other").mkdir()
    with open_live(tmp_path / "other") as live:
        live.log.checkpoint()
        live.append(live.begun())
        path, trust = live.log.path, live.log.verifier_key
    report = replay(path, trust=trust)
    assert [(finding.code, finding.severity) for finding in report.findings] == [("partly-covered", "warning")]
    assert (report.ok, report.trusted, report.trusted_size) == (True, False, 10)
    assert (report.covered, report.size) == (10, 12)
    assert replay(path).trusted_size == 0


class NoLeaves:
    """A source that holds nothing."""

    origin = covers = None

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def closing(self, named: Iterable[bytes]) -> Closing:
        return Closing(note=None, attachments=())


def test_a_log_without_a_leaf_is_never_ok() -> None:
    """[RPL-9]"""
    report = replay(NoLeaves())
    assert ([(f.code, f.index) for f in report.findings], report.ok) == ([("empty-log", None)], False)
    assert (report.size, report.root, report.state_root, report.covered) == (0, None, None, None)


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        replay(tmp_path / "nothing")


# --- every bit


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_of_header_and_checkpoint_is_found(told: tuple[bytes, VerifierKey, Live]) -> None:
    raw, trust, _ = told
    places = leaf_at(raw)
    outside = [8 * at + bit for at, place in enumerate(places) if place is None for bit in range(8)]
    for bit in random.Random(8).sample(outside, 80):
        assert not audit(flipped(raw, bit), trust).ok, bit


# --- what a stranger can do to a bundle, and what the log key's holder can


@pytest.mark.parametrize("at", [1, 9, 15, 30])
def test_swapped_leaves_are_found_at_the_first_of_them(told: tuple[bytes, VerifierKey, Live], at: int) -> None:
    raw, trust, live = told
    parts = take_apart(raw)
    leaves = parts.leaves
    swapped = parts.with_leaves([*leaves[:at], leaves[at + 1], leaves[at], *leaves[at + 2 :]])
    found = codes(swapped.join(), trust)
    assert ("root-mismatch", None) in found
    assert [index for _, index in found if index is not None][:1] in ([], [at], [at + 1])
    if set(parts.kinds()[at : at + 2]) <= {"intent", "start", "outcome"}:
        assert codes(swapped.signed(live.log_key), trust)[0][1] == at


def test_a_leaf_that_is_left_out_is_missed(told: tuple[bytes, VerifierKey, Live]) -> None:
    raw, trust, live = told
    parts = take_apart(raw)
    kinds, size = parts.kinds(), len(parts.leaves)
    for at in range(1, size):
        without = parts.with_leaves([*parts.leaves[:at], *parts.leaves[at + 1 :]])
        assert ("cut", size - 1) in codes(without.join(), trust)
        shorter = replace(without, header=replace(parts.header, size=size - 1))
        assert ("size-mismatch", None) in codes(shorter.join(), trust)
        # Whoever holds the log key can leave out what nothing rests on. The last release and the last admin event do.
        rests = any(kind in CHAINED_KINDS | GOVERNANCE_KINDS for kind in kinds[at + 1 :])
        if kinds[at] in CHAINED_KINDS | GOVERNANCE_KINDS and rests and kinds[at] != "release":
            assert not audit(without.signed(live.log_key), trust).ok, kinds[at]


def test_a_bundle_that_ends_early_is_cut_wherever_it_ends(told: tuple[bytes, VerifierKey, Live]) -> None:
    raw, trust, _ = told
    parts = take_apart(raw)
    items = [bundle.encode_header(parts.header), *(bundle.encode_entry(*leaf) for leaf in parts.leaves)]
    for count in range(len(items) + 1):
        report = audit(b"".join(items[:count]), trust)
        assert [finding.code for finding in report.findings if finding.severity == "error"] == ["cut"]
        assert (report.ok, report.covered, report.trusted) == (False, None, False)
    for length in random.Random(9).sample(range(len(raw)), 60):
        report = audit(raw[:length], trust)
        assert {"cut", "malformed"} & {finding.code for finding in report.findings}
        assert not report.ok


def test_an_entry_of_another_log_is_refused_by_its_log(live: Live, tmp_path: Path) -> None:
    """The other log has the same keys, contract and policy, and began a second later."""
    with memory_live(tmp_path, began_ms=T0 + 1_000) as other:
        other.append(other.begun())
        foreign = take_apart(other.bundle())
    live.append(live.begun())
    parts = take_apart(live.bundle())
    for name in ("tick", "grant", "contract", "intent", "start"):
        at = parts.where(name)
        assert foreign.leaves[at] != parts.leaves[at]
        transplanted = parts.with_leaf(at, foreign.leaves[at])
        assert codes(transplanted.signed(live.log_key), live.log.verifier_key)[0] == ("log-mismatch", at)
    assert codes(parts.with_leaf(0, foreign.leaves[0]).signed(live.log_key))[0] == ("log-mismatch", 1)


Change = Callable[[dict[str, Any]], object]


def data_of(**changes: object) -> Change:
    return lambda body: body["data"].update(changes)


@pytest.mark.parametrize(
    ("last", "by", "change", "code"),
    [
        ("intent", STRANGER, lambda body: None, "grant-missing"),
        ("intent", "log_key", lambda body: None, "grant-missing"),
        ("intent", "agent", lambda body: body.update(log=bytes(32)), "log-mismatch"),
        ("intent", "agent", data_of(contract_id=bytes(32)), "contract-unknown"),
        ("intent", "agent", data_of(purpose="790"), "effect-differs"),
        ("intent", "agent", data_of(content={"amount": "5000"}), "arguments-invalid"),
        ("intent", "agent", lambda body: body.update(prev=bytes(32)), "chain-broken"),
        ("intent", "agent", lambda body: body.update(state=bytes(32)), "state-stale"),
        ("intent", "agent", lambda body: body["data"]["verdict"].update(policy_id=bytes(32)), "policy-superseded"),
        ("intent", "agent", lambda body: body["data"]["verdict"].update(answer="deny"), "verdict-deny"),
        ("intent", "agent", data_of(extra=1), "form-invalid"),
        ("start", STRANGER, lambda body: None, "grant-missing"),
        ("start", "admin", lambda body: None, "grant-missing"),
        ("start", "agent", data_of(intent=bytes(32)), "transition-invalid"),
        ("start", "agent", data_of(tag=bytes(32)), "tag-differs"),
        ("start", "agent", data_of(provider_key=bytes(32)), "provider-key-differs"),
        ("start", "agent", data_of(approvals=[bytes(32)]), "approval-invalid"),
        ("outcome", "admin", lambda body: None, "start-key-differs"),
        ("outcome", "agent", data_of(nonce=bytes(16)), "nonce-differs"),
        ("outcome", "agent", data_of(nonce=None), "nonce-missing"),
        ("outcome", "agent", data_of(status=NOT_COMMITTED), "evidence-invalid"),
        ("outcome", "agent", lambda body: body.update(resource="elsewhere"), "resource-differs"),
        ("tick", "admin", lambda body: None, "grant-missing"),
        ("tick", "log_key", data_of(covers=10**6, map=bytes(32)), "tick-invalid"),
        ("tick", "log_key", data_of(covers=1), "tick-overtaken"),
        ("tick", "log_key", lambda body: body.update(prev=bytes(32)), "chain-broken"),
    ],
    ids=range(26),
)
def test_an_event_that_breaks_a_rule_is_void_by_name_though_its_keys_and_the_log_key_signed_it(
    live: Live, last: str, by: FileSigner | str, change: Change, code: str
) -> None:
    """The last leaf is replaced: nothing rests on it, so that it is the only finding."""
    live.append(live.begun())
    live.append(live.outcome())
    live.wait(5)
    parts = take_apart(live.bundle())
    at = parts.where(last, -1)
    signer = getattr(live, by) if isinstance(by, str) else by
    forged = parts.with_leaves([*parts.leaves[:at], resealed(parts.leaves[at], signer, change)])
    report = audit(forged.signed(live.log_key), live.log.verifier_key)
    assert [(finding.code, finding.index) for finding in report.findings] == [(code, at)]
    [honest] = audit(parts.with_leaves(parts.leaves[:at]).signed(live.log_key)).effects or [None]
    assert list(report.effects) == ([honest] if honest is not None else [])


def test_what_rests_on_a_void_event_is_void(live: Live) -> None:
    live.append(live.begun())
    live.append(live.outcome())
    parts = take_apart(live.bundle())
    at = parts.where("intent")
    forged = parts.with_leaf(at, resealed(parts.leaves[at], STRANGER, lambda body: None))
    report = audit(forged.signed(live.log_key), live.log.verifier_key)
    assert [(finding.code, finding.index) for finding in report.findings] == [
        ("grant-missing", at),
        ("chain-broken", at + 1),
        ("chain-broken", at + 2),
    ]
    assert report.effects == ()


def test_an_event_that_stands_twice_is_void_the_second_time(live: Live) -> None:
    live.append(live.begun())
    live.append(live.draw(Note(about=bytes(32), text="seen"), live.agent))
    parts = take_apart(live.bundle())
    for name in ("note", "tick"):
        at = parts.where(name)
        twice = parts.with_leaves([*parts.leaves, parts.leaves[at]])
        assert codes(twice.signed(live.log_key), live.log.verifier_key) == [("duplicate", len(parts.leaves))]


# --- who is trusted


def test_a_log_under_another_key_or_origin_is_not_the_trusted_one(told: tuple[bytes, VerifierKey, Live]) -> None:
    """[RPL-10]"""
    raw, trust, _ = told
    for wrong in (
        replace(trust, public_key=STRANGER.public_key),
        replace(trust, name="example.com/other"),
        replace(trust, key_type=WITNESS_KEY),
    ):
        report = audit(raw, wrong)
        assert (report.ok, report.trusted) == (False, False)
        assert [finding.code for finding in report.findings] == ["trust-mismatch"]
    assert (audit(raw).ok, audit(raw).trusted) == (True, False)


def test_a_checkpoint_by_another_key_or_of_another_size_or_tree_covers_nothing(live: Live) -> None:
    live.append(live.begun())
    earlier = take_apart(live.bundle())
    live.append(live.outcome())
    parts = take_apart(live.bundle())
    assert codes(parts.signed(STRANGER)) == [("checkpoint-invalid", None)]
    assert codes(replace(parts, note=earlier.note).join()) == [("size-mismatch", None)]
    last = resealed(parts.leaves[-1], live.agent, lambda body: body.update(at_ms=1))
    assert codes(parts.with_leaf(len(parts.leaves) - 1, last).join()) == [("root-mismatch", None)]
    other = replace(parts, header=replace(parts.header, origin="example.com/other"))
    assert codes(other.join()) == [("origin-mismatch", None)]
    assert audit(replace(parts, note=earlier.note).join()).covered is None
