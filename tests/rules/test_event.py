"""Bodies to events and back: one closed form for each kind. SPEC §6.1 to §6.3."""

from dataclasses import fields, replace
from typing import Any

import pytest

from invoke_log.errors import MalformedError
from invoke_log.format import digest
from invoke_log.rules import event as events
from invoke_log.rules import kind as say
from invoke_log.rules.event import attachments_of, build_body, data_map, kind_of, parse_data, parse_event, references_of
from invoke_log.rules.kind import Data, Evidence, Scope
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy
from tests.harness.story import EVERYTHING, contract

ID, OTHER, NONCE = bytes(32), b"\x01" * 32, bytes(16)
VERDICT = say.Verdict(
    policy_id=ID,
    inputs={"now_ms": 0, "snapshot": {}, "budgets": {}},
    answer="allow",
    rule=None,
    approvals=0,
)
SEEN = Evidence(kind="tag_seen", reference="pi_1")
NAMED = Evidence(kind="response", attachment={"attachment": OTHER, "size": 9})
EVERY_KIND: list[Data] = [
    say.Genesis(format=1, origin="example.com/log", log_key=ID, admin_keys=(ID, OTHER)),
    say.Grant(subject="x", key=ID, role="agent", scope=Scope(effect_class="*", prefix="a/")),
    say.Revoke(key=None, grant=ID, suspect_from=3),
    contract(),
    say.Withdraw(contract_id=ID, reason=""),
    parse_policy(ALLOW_COVERED),
    say.Freeze(scope=EVERYTHING, reason="x"),
    say.Unfreeze(scope=EVERYTHING, reason="x"),
    say.Recovery(old_origin="a", origin="b", size=1, root=ID, checkpoint=None, log_key=ID, amnesia=True),
    say.Oath(scope=EVERYTHING, recovery=ID, reason="x"),
    say.Tick(time_ms=5, covers=3, map=ID),
    say.Intent(
        contract_id=ID,
        purpose="789",
        identity={"a": 1},
        content={"b": b"x", "c": {"attachment": OTHER, "size": 20_000}},
        snapshot_id=ID,
        after=None,
        again=None,
        verdict=VERDICT,
    ),
    say.Approval(intent=ID, shown=ID),
    say.Denial(intent=ID, shown=ID, reason=""),
    say.Release(intent=ID, reason=""),
    say.Start(
        intent=ID,
        approvals=(ID, OTHER),
        verdict=VERDICT,
        snapshot_id=None,
        nonce_hash=ID,
        provider_key=ID,
        tag=ID,
    ),
    say.Outcome(start=ID, nonce=NONCE, status="committed", evidence=NAMED, result=b"{}"),
    say.Suspect(start=ID),
    say.Redrive(start=ID, nonce_hash=ID, provider_key=ID),
    say.Resolution(
        presence="present",
        contract_id=ID,
        generation=1,
        evidence=SEEN,
        of=say.KeyParts(purpose="789", identity={"customer": "cus_1"}),
    ),
    say.Attestation(status="committed", reason="x", attachment={"attachment": OTHER, "size": 9}),
    say.Note(about=ID, text=""),
    say.Observation(about=ID, presence="unclear", evidence=NAMED),
    say.Handle(about=ID, handle="txn"),
    say.Refusal(issuer=ID, effect=ID, resource="r", blocker=None, reason="denied", count=1, first_ms=1, last_ms=2),
]
BY_KIND = {kind_of(data): data for data in EVERY_KIND}


def body_of(data: Data) -> dict[str, Any]:
    """Return a whole body that says this."""
    kind = kind_of(data)
    of_effect: dict[str, Any] = {"effect": OTHER, "resource": "r"} if kind in events.EFFECT_KINDS else {}
    state: dict[str, Any] = {"state": OTHER} if kind == "intent" else {}
    return build_body(data, log=ID, by=ID, at_ms=7, prev=None, **of_effect, **state)


def refused(body: dict[str, Any]) -> str:
    with pytest.raises(MalformedError) as raised:
        parse_event(body, digest.EventId(ID))
    return raised.value.message


def test_every_kind_is_here() -> None:
    assert BY_KIND.keys() == events.KINDS


@pytest.mark.parametrize("kind", sorted(events.KINDS))
def test_a_body_says_one_event_and_the_event_that_body(kind: str) -> None:
    """[EVT-1], [EVT-2]"""
    data = BY_KIND[kind]
    body = body_of(data)
    event = parse_event(body, digest.EventId(OTHER))
    assert (event.id, event.kind, event.data) == (OTHER, kind, data)
    assert data_map(event.data) == body["data"]
    again = build_body(
        event.data,
        log=event.log,
        by=event.by,
        at_ms=event.at_ms,
        prev=event.prev,
        effect=event.effect,
        resource=event.resource,
        state=event.state,
    )
    assert again == body


@pytest.mark.parametrize("kind", sorted(events.KINDS))
def test_a_body_has_exactly_its_fields(kind: str) -> None:
    """[EVT-1], [EVT-2]: absent and null are never both legal."""
    body = body_of(BY_KIND[kind])
    for name in body:
        if name != "kind":
            assert name in refused({key: value for key, value in body.items() if key != name})
    assert "extra" in refused({**body, "extra": None})
    assert "extra" in refused({**body, "data": {**body["data"], "extra": None}})
    for name in body["data"]:
        assert name in refused({**body, "data": {k: v for k, v in body["data"].items() if k != name}})
    for name in {"effect", "resource", "state"} - body.keys():
        assert name in refused({**body, name: OTHER})


@pytest.mark.parametrize("field", ["log", "by", "prev", "v", "at_ms", "kind", "effect", "resource", "state"])
def test_every_field_has_its_type(field: str) -> None:
    """[EVT-1]"""
    body = body_of(BY_KIND["intent"])
    wrong: list[Any] = [bytes(31), "text" if field != "resource" else 1, -1, True, [], None if field != "prev" else 1]
    for value in wrong:
        assert f"$.{field}" in refused({**body, field: value})
    assert "$.v" in refused({**body, "v": 2})


@pytest.mark.parametrize("kind", ["", "Intent", "receipt", None, 1])
def test_the_set_of_kinds_is_closed(kind: Any) -> None:
    assert "$.kind" in refused({**body_of(BY_KIND["tick"]), "kind": kind})


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("genesis", {"admin_keys": []}, "admin_keys"),
    ("genesis", {"admin_keys": [OTHER, ID]}, "admin_keys"),
    ("genesis", {"admin_keys": [ID, ID]}, "admin_keys"),
    ("genesis", {"format": 2}, "format"),
    ("grant", {"role": "admin"}, "scope"),
    ("grant", {"role": "log"}, "scope"),
    ("grant", {"role": "owner"}, "role"),
    ("grant", {"scope": {"effect_class": "*", "prefix": "a"}}, "prefix"),
    ("freeze", {"scope": {"effect_class": "*", "prefix": "a"}}, "prefix"),
    ("unfreeze", {"scope": {"effect_class": "*", "prefix": "a"}}, "prefix"),
    ("oath", {"scope": {"effect_class": "*", "prefix": "a"}}, "prefix"),
    ("revoke", {"key": ID}, "key and grant"),
    ("revoke", {"grant": None}, "key and grant"),
    ("attestation", {"reason": ""}, "reason"),
    ("attestation", {"status": "unknown"}, "status"),
    ("resolution", {"presence": "unclear"}, "presence"),
    ("resolution", {"generation": 0}, "generation"),
    ("outcome", {"nonce": bytes(15)}, "nonce"),
    ("outcome", {"status": "failed"}, "status"),
    ("outcome", {"result": bytes(16_385)}, "result"),
    ("start", {"approvals": [OTHER, ID]}, "approvals"),
    ("start", {"approvals": [ID, ID]}, "approvals"),
    ("refusal", {"count": 0}, "count"),
    ("contract", {"name": "two words"}, "name"),
    ("policy", {"name": "two words"}, "name"),
]


@pytest.mark.parametrize(("kind", "changes", "where"), BROKEN, ids=[f"{k}-{c}" for k, c, _ in BROKEN])
def test_what_no_field_alone_can_say_is_checked_too(kind: str, changes: dict[str, Any], where: str) -> None:
    """[EVT-2], [EVT-3]"""
    body = body_of(BY_KIND[kind])
    assert where in refused({**body, "data": {**body["data"], **changes}})


def test_a_point_in_time_ends_where_sums_stay_exact() -> None:
    """[TIME-6]"""
    tick, refusal, intent = (body_of(BY_KIND[kind]) for kind in ("tick", "refusal", "intent"))
    verdict = intent["data"]["verdict"]
    judged_at = {"verdict": {**verdict, "inputs": {**verdict["inputs"], "now_ms": 0}}}
    places: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (tick, tick, "at_ms"),
        (tick, tick["data"], "time_ms"),
        (refusal, refusal["data"], "first_ms"),
        (refusal, refusal["data"], "last_ms"),
        ({**intent, "data": {**intent["data"], **judged_at}}, judged_at["verdict"]["inputs"], "now_ms"),
    ]
    for body, holder, name in places:
        for time_ms in (0, 9_000_000_000_000_000):
            holder[name] = time_ms
            assert parse_event(body, digest.EventId(ID)).at_ms in (7, time_ms)
        for time_ms in (-1, 9_000_000_000_000_001):
            holder[name] = time_ms
            assert name in refused(body)
        holder[name] = 7


@pytest.mark.parametrize("covers", [0, 3])
def test_a_tick_covers_leaves_with_and_without_a_map(covers: int) -> None:
    """[EVT-3]"""
    for map_root in (None, ID):
        tick = say.Tick(time_ms=5, covers=covers, map=map_root)
        assert parse_event(body_of(tick), digest.EventId(ID)).data == tick


@pytest.mark.parametrize(("role", "scope"), [("admin", EVERYTHING), ("log", EVERYTHING), ("agent", EVERYTHING)])
def test_scopes_bind_no_admin_and_no_log(role: str, scope: Scope) -> None:
    """[EVT-3]"""
    grant = BY_KIND["grant"]
    assert isinstance(grant, say.Grant)
    given = replace(grant, role=role, scope=scope)
    assert parse_event(body_of(given), digest.EventId(ID)).data == given


def test_an_event_names_its_attachments_and_its_snapshot() -> None:
    """[EVT-4]"""
    named = {kind: attachments_of(parse_event(body_of(data), digest.EventId(ID))) for kind, data in BY_KIND.items()}
    wanted = {"intent": {OTHER, ID}, "outcome": {OTHER}, "observation": {OTHER}, "attestation": {OTHER}}
    assert {kind: names for kind, names in named.items() if names} == wanted
    intent = parse_event(body_of(BY_KIND["intent"]), digest.EventId(ID))
    assert references_of(intent) == [(OTHER, 20_000)]
    start = BY_KIND["start"]
    assert isinstance(start, say.Start)
    assert attachments_of(parse_event(body_of(replace(start, snapshot_id=OTHER)), digest.EventId(ID))) == {OTHER}


@pytest.mark.parametrize(
    "value",
    [{"attachment": "t" * 32, "size": 1}, {"attachment": bytes(31), "size": 1}, {"attachment": ID, "size": "1"}],
    ids=str,
)
def test_a_record_that_only_looks_like_a_reference_names_nothing(value: Any) -> None:
    """[EVT-4]: an argument may have fields of these names."""
    intent = BY_KIND["intent"]
    assert isinstance(intent, say.Intent)
    event = parse_event(body_of(replace(intent, content={"doc": value})), digest.EventId(ID))
    assert references_of(event) == []


def test_each_kind_is_one_dataclass_with_the_fields_of_its_data() -> None:
    """[EVT-2]"""
    for kind, data in BY_KIND.items():
        if kind not in ("contract", "policy"):
            assert {field.name for field in fields(data)} == data_map(data).keys()
            assert parse_data(kind, data_map(data)) == data
