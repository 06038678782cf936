"""What an admitted event says, against what replay computes: findings that void nothing. [RPL-5], [RPL-6], [PRF-8]"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from invoke_log.audit import comparison
from invoke_log.audit.receipt import verify_receipt
from invoke_log.audit.replay import replay
from invoke_log.format import cbor, digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import open_envelope
from invoke_log.ledger import chain
from invoke_log.rules import contract, kind, schema
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    NOT_COMMITTED,
    UNKNOWN,
    Evidence,
    Grant,
    Observation,
    Outcome,
    Resolution,
    Revoke,
)
from invoke_log.rules.policy import judge, parse_policy
from invoke_log.rules.snapshot import Profile, drifted, profile_of
from tests.harness.forge import resealed, take_apart
from tests.harness.live import D_MS, NONCE, Q_MS, T0, Live, audit, id_of, memory_live, open_live
from tests.harness.shop import open_shop, shop_over

Change = Callable[[dict[str, Any]], object]
PROFILE: Value = {
    "type": "record",
    "nullable": False,
    "fields": {"balance": {"type": "integer", "min": 0, "max": 99_999, "nullable": False}},
}
RICH: Value = {"field": ["snapshot", "balance"], "test": "at_least", "value": 10}
RICH_RULE: Value = {"name": "rich", "then": "ask", "approvals": 1, "when": [RICH]}
ASK_THE_RICH = parse_policy({"name": "rich", "engine": "rules/1", "source": {"rules": [RICH_RULE]}})


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with memory_live(tmp_path) as opened:
        yield opened


def codes(raw: bytes) -> list[tuple[str, str, int | None]]:
    return [(finding.code, finding.severity, finding.index) for finding in audit(raw).findings]


def forged(live: Live, last: str, by: Any, change: Change) -> tuple[bytes, int]:
    """The log up to the last event of a kind, which is changed, all of it signed by the log key."""
    parts = take_apart(live.bundle())
    at = parts.where(last, -1)
    leaves = [*parts.leaves[:at], resealed(parts.leaves[at], by, change)]
    return parts.with_leaves(leaves).signed(live.log_key), at


# --- verdicts


def test_replay_judges_a_verdict_before_it_reads_the_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_shop(tmp_path) as shop:
        shop.live.ask()
        shop.call()
        shop.live.put(shop.live.approval(shop.intent()))
        shop.call()
        raw = shop.live.bundle()
    judged: set[int] = set()
    read: list[str] = []

    def noted(policy: Any, facts: Any, inputs: Any, **engines: Any) -> Any:
        judged.add(id(inputs))
        return judge(policy, facts, inputs, **engines)

    class Sealed:
        """Stands for a field of a verdict, and is not to be read before the verdict's inputs were judged."""

        def __init__(self, name: str) -> None:
            self.name, self.slot = name, getattr(kind.Verdict, name)

        def __get__(self, verdict: Any, owner: type) -> Any:
            assert id(verdict.inputs) in judged, f"{self.name} is read before the verdict was judged"
            read.append(self.name)
            return self.slot.__get__(verdict, owner)

        def __set__(self, verdict: Any, value: object) -> None:
            self.slot.__set__(verdict, value)

    monkeypatch.setattr(comparison, "judge", noted)
    for name in ("answer", "rule", "approvals"):
        monkeypatch.setattr(kind.Verdict, name, Sealed(name))
    assert audit(raw).findings == ()
    assert set(read) == {"answer", "rule", "approvals"}


@pytest.mark.parametrize("last", ["intent", "start"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda verdict: verdict.update(rule="other"), "verdict-differs"),
        (lambda verdict: verdict.update(rule=None), "verdict-differs"),
        (lambda verdict: verdict.update(approvals=1), "verdict-differs"),
        (lambda verdict: verdict["inputs"].update(now_ms=T0 - 1), "now-differs"),
        (lambda verdict: verdict["inputs"].update(now_ms=T0 + 1), "now-differs"),
        (lambda verdict: verdict["inputs"].update(snapshot={"balance": 1}), "inputs-differ"),
        (lambda verdict: verdict["inputs"].update(budgets={"b": {"value": 1, "as_of": 0}}), "budgets-differ"),
    ],
    ids=range(7),
)
def test_a_verdict_that_does_not_re_derive_is_found_and_voids_nothing(
    live: Live, last: str, change: Change, code: str
) -> None:
    live.put(live.begun())
    raw, at = forged(live, last, live.agent, lambda body: change(body["data"]["verdict"]))
    assert codes(raw) == [(code, "error", at)]
    report = audit(raw)
    assert report.effects[0].status == {"intent": "claimed", "start": "started"}[last]
    assert report.state_root is not None


@pytest.mark.parametrize("last", ["intent", "start"])
@pytest.mark.parametrize("said", [{"value": 2}, {"as_of": 999}], ids=str)
def test_a_count_that_is_not_the_logs_is_found(live: Live, last: str, said: dict[str, int]) -> None:
    """[RPL-5], [POL-7]"""
    few: Value = {"field": ["budgets", "b", "value"], "test": "at_most", "value": 9}
    rule: Value = {"name": "few", "then": "allow", "approvals": 0, "when": [few]}
    of_all: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None}
    source: Value = {"budgets": {"b": of_all}, "rules": [rule]}
    live.put(live.log.draft(parse_policy({"name": "few", "engine": "rules/1", "source": source}), live.admin))
    live.put(live.begun())
    assert live.audit().findings == ()
    raw, at = forged(
        live, last, live.agent, lambda body: body["data"]["verdict"]["inputs"]["budgets"]["b"].update(said)
    )
    assert codes(raw) == [("budgets-differ", "error", at)]


def test_an_allow_that_the_policy_would_have_asked_about_is_found(live: Live) -> None:
    live.ask()
    live.put(live.intent())
    raw, at = forged(
        live, "intent", live.agent, lambda body: body["data"]["verdict"].update(answer="allow", approvals=0)
    )
    assert codes(raw) == [("verdict-differs", "error", at)]


def test_a_policy_of_an_engine_that_is_not_here_is_not_checked(live: Live) -> None:
    live.put(live.begun())
    foreign = parse_policy({"name": "opa", "engine": "opa/1", "source": {"text": "permit(…)"}})
    live.put(live.log.draft(foreign, live.admin))
    parts = take_apart(live.bundle())
    at = parts.where("intent")
    moved = [leaf for place, leaf in enumerate(parts.leaves) if place not in (at, at + 1)]
    leaf = resealed(parts.leaves[at], live.agent, lambda body: body["data"]["verdict"].update(policy_id=foreign.id))
    assert codes(parts.with_leaves([*moved, leaf]).signed(live.log_key)) == [
        ("policy-unchecked", "warning", len(moved)),
    ]


# --- snapshots and attachments


def test_the_inputs_of_an_intent_and_of_a_start_are_their_snapshots_own(tmp_path: Path) -> None:
    """The START names the snapshot that the intent names too: nothing had changed."""
    with open_shop(tmp_path, profile=PROFILE) as shop:
        live = shop.live
        live.put(live.log.draft(ASK_THE_RICH, live.admin))
        shop.snapshot["balance"] = 10
        shop.call()
        live.put(live.approval(shop.intent()))
        shop.call()
        assert live.audit().findings == ()
        for last in ("intent", "start"):
            raw, at = forged(
                live, last, live.agent, lambda body: body["data"]["verdict"]["inputs"].update(snapshot={"balance": 11})
            )
            assert codes(raw) == [("inputs-differ", "error", at)]


def test_a_snapshot_that_is_not_in_its_profile_is_found(tmp_path: Path) -> None:
    with open_shop(tmp_path, profile=PROFILE) as shop:
        live = shop.live
        shop.snapshot["balance"] = 10
        shop.call()
        wrong = cbor.encode({"balance": "10"})
        key = live.log.keep_attachment(wrong)
        parts = take_apart(live.bundle())
        at = parts.where("intent")
        leaf = resealed(parts.leaves[at], live.agent, lambda body: body["data"].update(snapshot_id=key))
        changed = replace(parts.with_leaves([*parts.leaves[:at], leaf]), attachments=(wrong,))
        assert codes(changed.signed(live.log_key)) == [("snapshot-invalid", "error", at)]


def test_a_snapshot_that_many_leaves_name_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RPL-6]: or one attachment costs an audit its bytes again at each leaf."""
    checked: list[Value] = []

    def counting(found: dict[str, Value]) -> Profile:
        profile = profile_of(found)

        def check(value: Value, at: schema.Path) -> None:
            checked.append(value)
            profile.check(value, at)

        return replace(profile, check=check)

    with open_shop(tmp_path, profile=PROFILE, may_drift=["balance"]) as shop:
        live, orders = shop.live, ("1", "2", "3")
        live.put(live.log.draft(ASK_THE_RICH, live.admin))
        shop.snapshot["balance"] = 10
        for order in orders:
            shop.call(order=order)
            *_, intent = (entry for entry in live.log.entries() if entry.event.kind == "intent")
            live.put(live.approval(open_envelope(intent.body, intent.signature), live.bound(order=order)))
        shop.snapshot["balance"] = 11
        for order in orders:
            shop.call(order=order)
        raw = live.bundle()
    decode, differ = Mock(wraps=cbor.decode), Mock(wraps=drifted)
    monkeypatch.setattr(cbor, "decode", decode)
    monkeypatch.setattr(comparison, "drifted", differ)
    monkeypatch.setattr(contract, "profile_of", counting)
    assert codes(raw) == []
    snapshots = [cbor.encode({"balance": balance}) for balance in (10, 11)]
    decoded = [call.args[0] for call in decode.mock_calls]
    assert [decoded.count(one) for one in snapshots] == [1, 1]
    assert sorted(map(cbor.encode, checked)) == snapshots
    differ.assert_called_once()


def noted(live: Live, raw: bytes, size: int) -> None:
    """An effect whose outcome names an attachment."""
    live.put(live.begun())
    send = live.state().send
    assert send is not None
    named: dict[str, Value] = {"attachment": digest.attachment_digest(raw), "size": size}
    evidence = Evidence(kind="no_answer", attachment=named)
    live.put(live.draw(Outcome(start=send.id, nonce=NONCE, status=UNKNOWN, evidence=evidence, result=None), live.agent))


def test_an_attachment_that_is_missing_is_not_checked_and_one_that_nobody_names_is_an_error(live: Live) -> None:
    noted(live, b"proof", 5)
    at = take_apart(live.bundle()).where("outcome")
    assert codes(live.bundle()) == [("attachment-missing", "warning", at)]
    live.log.keep_attachment(b"proof")
    assert codes(live.bundle()) == []
    parts = take_apart(live.bundle())
    planted = replace(parts, attachments=(*parts.attachments, b"planted"))
    assert codes(planted.join()) == [("attachment-unnamed", "error", None)]


def test_an_attachment_of_another_size_than_is_said_is_found(live: Live) -> None:
    noted(live, b"proof", 6)
    live.log.keep_attachment(b"proof")
    at = take_apart(live.bundle()).where("outcome")
    assert codes(live.bundle()) == [("attachment-differs", "error", at)]


def test_beside_a_store_only_what_its_entries_name_is_read(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        noted(live, b"proof", 5)
        key = live.log.keep_attachment(b"proof")
        live.log.keep_attachment(b"seen by a call that was refused")
        live.log.checkpoint()
        path = live.log.path
    assert replay(path).findings == ()
    (path / "attachments" / key.hex()).write_bytes(b"proop")
    damaged = replay(path)
    assert [finding.code for finding in damaged.findings] == ["attachment-unnamed", "attachment-missing"]
    assert not damaged.ok
    (path / "attachments" / key.hex()).unlink()
    assert [finding.code for finding in replay(path).findings] == ["attachment-missing"]


def test_a_store_that_was_never_signed_has_its_attachments_all_the_same(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        noted(live, b"proof", 5)
        live.log.keep_attachment(b"proof")
        path = live.log.path
    assert [finding.code for finding in replay(path).findings] == ["not-covered"]


# --- approvals


def test_a_rendering_that_is_not_the_intents_is_found_and_voids_nothing(live: Live) -> None:
    live.ask()
    intent = live.intent()
    live.put(intent)
    live.put(live.approval(intent))
    raw, at = forged(live, "approval", live.admin, lambda body: body["data"].update(shown=bytes(32)))
    assert codes(raw) == [("rendering-differs", "error", at)]
    assert len(audit(raw).effects[0].events) == 2


def test_a_denial_shows_the_intent_that_it_denies_under_that_intents_contract(live: Live) -> None:
    """The claim returns to the committed one, which was made under the contract's first version."""
    live.put(live.begun())
    live.put(live.outcome())
    live.register(version=2)
    again = live.intent(by=live.admin, again=True)
    live.put(again)
    live.put(live.denial(again, by=live.grant(9, "approver")))
    assert live.state().status == COMMITTED
    report = live.audit()
    assert report.findings == ()
    assert report.effects[0].grade == "E0"


# --- time, and what is said of keys


def test_a_tick_that_goes_back_is_found_and_time_does_not(live: Live) -> None:
    live.wait(50)
    live.put(live.begun())
    live.wait(50)
    parts = take_apart(live.bundle())
    at = parts.where("tick", -1)
    early = resealed(parts.leaves[at], live.log_key, lambda body: body["data"].update(time_ms=5))
    assert codes(parts.with_leaf(at, early).signed(live.log_key)) == [("tick-backwards", "error", at)]


def test_leaf_1_is_a_tick(live: Live) -> None:
    parts = take_apart(live.bundle())
    moved = parts.with_leaves([parts.leaves[0], *parts.leaves[2:], parts.leaves[1]])
    assert codes(moved.signed(live.log_key)) == [("tick-missing", "error", 1)]


def test_a_key_that_is_suspect_is_named_and_nothing_is_void(live: Live) -> None:
    """[RPL-11], [GOV-6]"""
    live.put(live.begun())
    live.put(live.outcome())
    data = Revoke(key=live.agent.public_key, grant=None, suspect_from=3)
    live.put(live.log.draft(data, live.admin))
    report = live.audit()
    intent = report.size - 4
    assert [(finding.code, finding.severity, finding.index) for finding in report.findings] == [
        *(("key-suspect", "warning", intent + at) for at in range(3)),
        ("suspect", "warning", intent + 3),
    ]
    assert (report.ok, report.effects[0].status) == (True, COMMITTED)


def test_what_a_suspect_key_signed_is_named_before_its_revoke_and_after_it(live: Live) -> None:
    """[RPL-11]: from the lowest leaf that was named, and each leaf once."""

    def revoke(suspect_from: int) -> None:
        data = Revoke(key=live.agent.public_key, grant=None, suspect_from=suspect_from)
        live.put(live.log.draft(data, live.admin))

    live.put(live.begun())
    start = live.audit().size - 1
    revoke(start)
    live.put(live.outcome())
    found = {(start, "key-suspect"), (start + 1, "suspect"), (start + 2, "key-suspect")}
    assert_found(live, found)
    agent = Grant(subject="agent", key=live.agent.public_key, role="agent", scope=EVERYTHING)
    live.put(live.log.draft(agent, live.admin))
    revoke(start - 1)
    assert_found(live, found | {(start - 1, "key-suspect"), (start + 4, "suspect")})


def assert_found(live: Live, found: set[tuple[int, str]]) -> None:
    findings = live.audit().findings
    assert sorted((finding.index or 0, finding.code) for finding in findings) == sorted(found)


# --- grades, and what a status rests on


def test_a_contradiction_and_a_second_object_are_warnings_and_both_are_told(live: Live) -> None:
    live.put(live.begun())
    live.put(live.outcome(NOT_COMMITTED))
    live.put(live.present(reference="pi_1"))
    live.put(live.present(reference="pi_2"))
    live.put(live.present(reference="pi_1"))
    report = live.audit()
    assert [(finding.code, finding.severity) for finding in report.findings] == [
        ("contradiction", "warning"),
        ("duplicate-effect", "warning"),
    ]
    assert (report.ok, report.effects[0].status) == (True, COMMITTED)


def test_the_grade_is_that_of_the_event_that_settled_and_stays_through_a_claim_given_up(live: Live) -> None:
    live.put(live.begun())
    live.put(live.outcome(UNKNOWN))
    live.put(live.present())
    again = live.intent(by=live.admin, again=True)
    live.put(again)
    assert live.audit().effects[0].grade is None
    live.put(live.release(by=live.admin))
    assert live.audit().effects[0].grade == "E0"


def test_two_readers_are_worth_more_than_one_and_what_is_relied_on_is_named(live: Live) -> None:
    live.register(name="charge-2", reconcilers=2)
    live.put(live.begun())
    live.put(live.outcome(UNKNOWN))
    live.wait(1)
    live.wait(D_MS + Q_MS)
    with live.log.world() as world:
        tick = world.head(chain.TICKS)
    named = []
    for seed in (11, 12):
        evidence = Evidence(kind="absence", tick=tick)
        reader = live.grant(seed, "reconciler")
        observation = live.draw(Observation(about=bytes(32), presence=ABSENT, evidence=evidence), reader)
        live.put(observation)
        named.append(id_of(observation))
    evidence = Evidence(kind="absence", observations=tuple(sorted(named)))
    resolution = Resolution(presence=ABSENT, contract_id=live.contract.id, generation=1, evidence=evidence)
    live.put(live.draw(resolution, live.agent))
    [effect] = live.audit().effects
    assert (effect.status, effect.grade) == (NOT_COMMITTED, "E2")
    assert effect.relies_on == ("log-clock", "provider-key", "quiescence-bound", "reconciler", "store-not-rolled-back")


def test_what_is_said_of_an_effect_relies_on_how_every_attempt_was_closed(live: Live) -> None:
    """S14, [PRF-9], [RCP-6]: were the person wrong, a charge that was declined has happened."""
    live.register(name="charge-2", provider_key=None)
    answered = {"executor", "contract-failures"}
    told = {"attestor", "log-clock", "quiescence-bound"}

    def relied() -> set[str]:
        [effect] = live.audit().effects
        assert verify_receipt(live.log.receipt(effect.effect)).effect == effect
        return set(effect.relies_on) - {"store-not-rolled-back"}

    live.put(live.begun())
    live.put(live.outcome(UNKNOWN))
    live.wait(1)
    live.wait(D_MS + Q_MS)
    live.put(live.attestation(NOT_COMMITTED))
    assert relied() == told
    live.put(live.begun())
    assert live.audit().effects[0].relies_on == ()
    live.put(live.outcome(NOT_COMMITTED, "definite_failure"))
    assert relied() == told | answered
    live.put(live.present(by=live.grant(11, "reconciler")))
    assert relied() == told | {"reconciler"}  # it contradicts the answer, and may be either attempt's
    again = live.intent(by=live.admin, again=True)
    live.put([again, live.start(again)])
    live.put(live.outcome())
    assert relied() == told | {"reconciler", "executor"}


def test_a_guards_calls_have_no_findings(tmp_path: Path) -> None:
    with memory_live(tmp_path) as live:
        shop = shop_over(live)
        shop.call()
        shop.call(amount=1)
        live.wait(2_000)
        shop.call(order="790")
        assert live.audit().findings == ()
