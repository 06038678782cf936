"""vectors/intent, vectors/decision and vectors/render through the library."""

from typing import Any, cast

import pytest

from invoke_log.errors import InvokeLogError
from invoke_log.format import cbor, digest
from invoke_log.rules.contract import expand, parse_contract
from invoke_log.rules.decision import decision_key_of, facts_of
from invoke_log.rules.event import Event, parse_event
from invoke_log.rules.intent import Bound, bind, rederive, retired_effect
from invoke_log.rules.kind import Intent, Verdict
from invoke_log.rules.render import render_intent, rendering_digest
from tests.vectors.cases import Case, load, mapping, names, untyped

VERDICT = Verdict(policy_id=bytes(32), inputs={}, answer="allow", rule=None, approvals=0)


def recorded(case: Case) -> Intent:
    return Intent(
        contract_id=bytes(32),
        purpose=case["purpose"],
        identity=mapping(case["identity"]),
        content=mapping(case["content"]),
        snapshot_id=None,
        after=None,
        again=None,
        verdict=VERDICT,
    )


def check_names(bound: Bound, case: Case) -> None:
    assert (bound.resource, bound.purpose) == (case["resource"], case["purpose"])
    assert (bound.effect.hex(), bound.request.hex()) == (case["effect"], case["request"])
    assert (bound.identity, bound.content) == (untyped(case["identity"]), untyped(case["content"]))


@pytest.mark.parametrize("name", names("intent", "rederive"))
def test_a_recorded_intent_binds_to_the_names_of_the_vector(name: str) -> None:
    case = load("intent", name)
    contract = parse_contract(untyped(case["contract"]))
    if case["expect"] != "ok":
        with pytest.raises(InvokeLogError):
            rederive(contract, recorded(case))
        return
    bound = rederive(contract, recorded(case))
    check_names(bound, case)
    before = retired_effect(contract, bound, contract.retires) if contract.retires is not None else None
    wanted = case["predecessor"]
    assert before == (wanted and (bytes.fromhex(wanted["effect"]), wanted["resource"]))


@pytest.mark.parametrize("name", names("intent", "bind"))
def test_a_call_binds_to_the_intent_of_the_vector(name: str) -> None:
    case = load("intent", name)
    contract = parse_contract(untyped(case["contract"]))
    if case["expect"] != "ok":
        with pytest.raises(InvokeLogError) as refused:
            bind(contract, mapping(case["arguments"]))
        assert refused.value.code == case["expect"]
        return
    bound = bind(contract, mapping(case["arguments"]))
    check_names(bound, case)
    assert [raw.hex() for raw in bound.attachments] == case["attachments"]


@pytest.mark.parametrize("name", names("intent", "expand"))
def test_a_template_expands_as_the_vector_says(name: str) -> None:
    case = load("intent", name)
    values = mapping(case["values"])
    if case["expect"] != "ok":
        with pytest.raises(InvokeLogError) as refused:
            expand(case["template"], values)
        assert refused.value.code == case["expect"]
        return
    assert expand(case["template"], values) == case["resource"]


def event_of(body: bytes) -> Event:
    return parse_event(cast("dict[str, Any]", cbor.decode(body)), digest.event_id(body))


@pytest.mark.parametrize("name", names("decision"))
def test_two_decisions_are_one_or_two_as_the_vector_says(name: str) -> None:
    case = load("decision", name)
    keys = []
    for decision in case["decisions"]:
        contract, event = (
            parse_contract(untyped(decision["contract"])),
            event_of(cbor.encode(untyped(decision["fields"]))),
        )
        data, generation = event.data, decision["generation"]
        assert isinstance(data, Intent)
        key = decision_key_of(event, data, rederive(contract, data), generation=generation)
        assert key.hex() == decision["decision_key"]
        resource = event.resource or ""
        facts = facts_of(contract, data, resource=resource, issuer=event.by, generation=generation)
        assert facts == untyped(decision["facts"])
        keys.append(key)
    assert (keys[0] == keys[1]) == case["same"] == name.startswith("same-")


@pytest.mark.parametrize("name", names("render"))
def test_an_intent_is_shown_as_the_vector_says(name: str) -> None:
    case = load("render", name)
    event, contract = event_of(bytes.fromhex(case["body"])), parse_contract(untyped(case["contract"]))
    assert render_intent(event, contract) == case["text"]
    assert rendering_digest(event, contract).hex() == case["shown"]
