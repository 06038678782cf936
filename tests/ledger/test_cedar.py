"""Cedar as an engine: what it would let through by mistake denies here. SPEC §8.4 [POL-8]."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.errors import PolicyInvalidError
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Committed, Denied, Pending
from invoke_log.ledger import engines
from invoke_log.ledger.cedar import NAME, Cedar
from invoke_log.rules.policy import ALLOW, ASK, DENY, Judgement, parse_policy
from tests.harness.live import audit
from tests.harness.shop import Shop, open_shop

SCHEMA: Final = """
entity Agent; entity Resource;
action "charge" appliesTo { principal: Agent, resource: Resource, context: {
  effect_class: String, purpose: String, contract: String, generation: Long, issuer: String, now_ms: Long,
  arguments: {
    customer: String, order: String, amount: Long, memo?: String, items?: Set<String>, to?: {name?: String},
  },
} };
"""
POLICIES: Final = """
@id("small") permit(principal, action == Action::"charge", resource) when { context.arguments.amount <= 5000 };
@id("large") @advice("ask") @approvals("2") permit(principal, action, resource)
  when { context.arguments.amount > 5000 && context.arguments.amount <= 9000 };
@id("watched") forbid(principal, action, resource) when { context.arguments.customer == "cus_9" };
"""
ARGUMENTS: Final[dict[str, Value]] = {"customer": "cus_1", "order": "789", "amount": 5000}
FACTS: Final[dict[str, Value]] = {
    "effect_class": "money.charge/1",
    "resource": "stripe/customer/cus_1",
    "purpose": "789",
    "contract": "charge",
    "generation": 1,
    "issuer": "ed" * 32,
    "arguments": ARGUMENTS,
    "now_ms": 1_790_000_000_000,
    "snapshot": {},
    "budgets": {},
}
NOBODY: Final = Judgement(answer=DENY, rule=None, approvals=0)


def when(condition: str) -> str:
    return f'@id("a") permit(principal, action, resource) when {{ {condition} }};'


def source(policies: str = POLICIES, schema: str = SCHEMA) -> dict[str, Value]:
    return {"policies": policies, "schema": schema}


def judged(policies: str = POLICIES, schema: str = SCHEMA, /, **arguments: Value) -> Judgement:
    return Cedar().judge(source(policies, schema), {**FACTS, "arguments": {**ARGUMENTS, **arguments}})


def test_a_permit_allows_asks_or_is_overruled_and_is_named() -> None:
    """[POL-2]: by the ids of the policies that determined it."""
    assert judged() == Judgement(answer=ALLOW, rule="small", approvals=0)
    assert judged(amount=5001) == Judgement(answer=ASK, rule="large", approvals=2)
    assert judged(amount=9001) == NOBODY
    assert judged(customer="cus_9") == Judgement(answer=DENY, rule="watched", approvals=0)
    also = POLICIES + '@id("all") permit(principal, action, resource);'
    assert judged(also) == Judgement(answer=ALLOW, rule="all+small", approvals=0)
    assert judged(also, amount=5001) == Judgement(answer=ASK, rule="large", approvals=2)


def test_of_policies_that_ask_the_one_that_wants_most_approvals_counts() -> None:
    """[POL-8]: and all that ask are named."""
    huge = '@id("huge") @advice("ask") @approvals("3") permit(principal, action, resource) when '
    also = POLICIES + huge + "{ context.arguments.amount > 8000 };"
    assert judged(also, amount=8000) == Judgement(answer=ASK, rule="large", approvals=2)
    assert judged(also, amount=8001) == Judgement(answer=ASK, rule="huge+large", approvals=3)


def test_a_forbid_that_errs_denies_though_cedar_passes_over_it() -> None:
    """[POL-3]: here by an integer that overflows."""
    erring = '@id("all") permit(principal, action, resource); @id("never") forbid(principal, action, resource) when '
    overflows = erring + "{ context.now_ms * context.now_ms * context.now_ms > 0 };"
    assert judged(overflows) == NOBODY
    assert judged(erring + "{ context.now_ms * 2 < 0 };").answer == ALLOW


def test_a_permit_that_errs_denies_though_another_permits() -> None:
    """[POL-3]"""
    overflows = '@id("over") permit(principal, action, resource) when { context.now_ms * context.now_ms > 0 };'
    assert judged(f'@id("all") permit(principal, action, resource); {overflows}') == NOBODY


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": "5000"},
        {"amount": None},
        {"fee": 1},
        {"memo": 1},
        {"memo": {"__entity": {"type": "Agent", "id": "x"}}},
        {"memo": {"__extn": {"fn": "decimal", "arg": "1.0"}}},
        {"to": {"__entity": {"type": "Agent", "id": "x"}}},
        {"items": [1]},
    ],
    ids=str,
)
def test_a_call_that_the_schema_does_not_know_is_denied(arguments: dict[str, Value]) -> None:
    """[POL-3]: a missing, another, an extra argument; a name that Cedar would read as an entity or a call."""
    assert judged(**arguments) == NOBODY


def test_no_argument_names_an_entity_even_where_the_schema_wants_one() -> None:
    """[POL-3]: who is meant is for the log to say, never for the agent."""
    wanting = SCHEMA.replace("to?: {name?: String}", "to: Agent")
    somebody = '@id("r") permit(principal, action, resource) when { context.arguments.to == Agent::"x" };'
    assert judged(somebody, wanting, to={"__entity": {"type": "Agent", "id": "x"}}) == NOBODY


def test_a_contract_that_the_schema_does_not_know_is_denied() -> None:
    """[POL-3]"""
    assert Cedar().judge(source(), {**FACTS, "contract": "refund"}) == NOBODY


def permitted_when(condition: str) -> str:
    return f'@id("r") permit(principal, action, resource) when {{ {condition} }};'


def test_what_an_argument_may_leave_out_and_bytes_and_lists_are_cedars() -> None:
    """[POL-8]: null is left out, bytes are hex, a list is a set."""
    whole = permitted_when('context.arguments has memo && context.arguments.memo == "ff"')
    assert judged(whole, memo=b"\xff").answer == ALLOW
    assert judged(whole, memo=None) == NOBODY
    assert judged(memo=None, to={"name": None}).answer == ALLOW
    listed = permitted_when('context.arguments has items && context.arguments.items.contains("a")')
    assert judged(listed, items=["b", "a"]).answer == ALLOW
    assert judged(listed, items=["b"]) == NOBODY


def test_the_request_names_issuer_contract_and_resource() -> None:
    issuer = (
        f'@id("r") permit(principal == Agent::"{"ed" * 32}", action, resource == Resource::"stripe/customer/cus_1");'
    )
    assert judged(issuer).answer == ALLOW
    assert judged(issuer.replace("cus_1", "cus_2")) == NOBODY
    assert judged(issuer.replace("eded", "edee")) == NOBODY


@pytest.mark.parametrize(
    ("policies", "schema", "why"),
    [
        ("permit(principal, action, resource", SCHEMA, "parse"),
        (POLICIES, "entity", "chema"),
        (POLICIES.replace("amount", "amont"), SCHEMA, "amont"),
        (POLICIES.replace('"charge"', '"refund"'), SCHEMA, "refund"),
        (POLICIES.replace("<= 5000", '== "much"'), SCHEMA, "type"),
        (POLICIES.replace('@id("small") ', ""), SCHEMA, "@id"),
        (POLICIES.replace('@id("small")', '@id("the small one")'), SCHEMA, "@id"),
        (POLICIES.replace('@id("small")', '@id("large")'), SCHEMA, "twice"),
        (POLICIES.replace('@advice("ask")', '@advice("deny")'), SCHEMA, "advice"),
        (POLICIES.replace('@id("watched")', '@id("watched") @advice("ask")'), SCHEMA, "advice"),
        (POLICIES.replace('@approvals("2")', '@approvals("17")'), SCHEMA, "approvals"),
        (POLICIES.replace('@approvals("2")', '@approvals("two")'), SCHEMA, "approvals"),
        (POLICIES.replace('@id("small")', '@id("small") @approvals("1")'), SCHEMA, "approvals"),
        (POLICIES.replace('@id("small")', '@id("small") @reason("x")'), SCHEMA, "reason"),
        ('@id("t") permit(principal == ?principal, action, resource);', SCHEMA, "template"),
        (POLICIES.replace('@advice("ask")', "@advice"), SCHEMA, "advice"),
        (POLICIES.replace('@id("watched")', '@id("watched") @advice'), SCHEMA, "advice"),
        (POLICIES.replace('@id("small")', "@id"), SCHEMA, "@id"),
        (POLICIES.replace('@approvals("2")', "@approvals"), SCHEMA, "approvals"),
        (when("(" * 20_000 + "true" + ")" * 20_000), SCHEMA, "brackets"),
        (when("[" * 20_000 + "1" + "]" * 20_000 + " == 1"), SCHEMA, "brackets"),
        (when("{a: " * 8_000 + "1" + "}" * 8_000 + " == 1"), SCHEMA, "brackets"),
        (when("+".join(["1"] * 20_000) + " > 1"), SCHEMA, "operators"),
        (when("&&".join(["true"] * 7_000)), SCHEMA, "operators"),
        (when("context" + ".a" * 20_000 + " == 1"), SCHEMA, "operators"),
        (when("if false then true else " * 1_900 + "true"), SCHEMA, "operators"),
        (POLICIES, SCHEMA.replace("Set<String>", "Set<" * 8_000 + "String" + ">" * 8_000), "brackets"),
        (POLICIES, SCHEMA.replace("{name?: String}", "{a: " * 8_000 + "String" + "}" * 8_000), "brackets"),
    ],
    ids=range(28),
)
def test_a_policy_that_cannot_be_judged_by_is_refused_before_it_is_in_force(
    policies: str, schema: str, why: str
) -> None:
    """[POL-1]: and denies where it is in force all the same."""
    with pytest.raises(PolicyInvalidError, match=why):
        Cedar().check(source(policies, schema))
    assert judged(policies, schema) == NOBODY


def test_what_is_as_deep_as_it_may_be_is_read() -> None:
    """[POL-8]: what stands in a string or a comment is not counted, nor what another policy has."""
    deep = "(" * 30 + "true" + ")" * 30  # and the braces around the condition
    long = " && ".join(["true"] * 201)
    said = 'context.purpose like "' + "(&&.if" * 300 + '*"'
    assert judged(when(deep)) == Judgement(answer=ALLOW, rule="a", approvals=0)
    assert judged(when(long)).answer == ALLOW
    assert judged(when(long).replace("permit", "permit // " + "((&&" * 300 + "\n")).answer == ALLOW
    assert judged(when(long) + when(said).replace('"a"', '"b"')).answer == ALLOW
    for more in (when(f"(({deep}))"), when(f"{long} && true")):
        with pytest.raises(PolicyInvalidError):
            Cedar().check(source(more))


@pytest.mark.parametrize("of", [None, "permit(principal, action, resource);", {"policies": POLICIES}, {}])
def test_a_source_of_another_form_is_refused(of: Value) -> None:
    """[POL-1]"""
    with pytest.raises(PolicyInvalidError):
        Cedar().check(of)
    assert Cedar().judge(of, FACTS) == NOBODY


def test_a_negative_amount_is_the_contracts_to_refuse() -> None:
    """Cedar has no lower bound of its own; the contract's schema is judged before any policy."""
    assert judged(amount=-1).answer == ALLOW


def test_names_that_are_too_many_are_cut() -> None:
    many = "".join(f'@id("{"n" * 60}{at}") permit(principal, action, resource);' for at in range(3))
    found = judged(many).rule
    assert found is not None
    assert len(found) == 128


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        policy = parse_policy({"name": "cedar", "engine": NAME, "source": source()})
        opened.live.put(opened.live.log.draft(policy, opened.live.admin))
        yield opened


def test_a_guard_judges_by_it_and_replay_judges_again(shop: Shop) -> None:
    """[POL-2], [RPL-5]"""
    assert isinstance(shop.call(order="1"), Committed)
    assert isinstance(shop.call(order="2", amount=6000), Pending)
    assert isinstance(shop.call(order="3", amount=9001), Denied)
    assert isinstance(shop.call(order="4", customer="cus_9"), Denied)
    assert shop.live.audit().findings == ()


def test_a_reader_without_the_extra_says_what_it_did_not_check(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """[POL-1], [RPL-5]: and a guard without it denies."""
    shop.call()
    raw, key = shop.live.bundle(), shop.live.log.verifier_key
    state_root = audit(raw, key).state_root
    monkeypatch.setattr("builtins.__import__", _without_cedar(__import__))
    monkeypatch.delitem(__import__("sys").modules, "invoke_log.ledger.cedar")
    engines.engines.cache_clear()
    try:
        report = audit(raw, key)
        assert {(f.code, f.severity) for f in report.findings} == {("policy-unchecked", "warning")}
        assert (report.ok, report.state_root) == (True, state_root)
        assert isinstance(shop.call(order="2"), Denied)
        with pytest.raises(PolicyInvalidError) as refused:
            engines.check_policy(parse_policy({"name": "cedar", "engine": NAME, "source": source()}))
        assert refused.value.hint == 'pip install "invoke-log[cedar]"'
    finally:
        engines.engines.cache_clear()


def _without_cedar(imported: Any) -> Any:
    def importing(name: str, *given: Any, **named: Any) -> Any:
        if name.startswith(("cedarpy", "invoke_log.ledger.cedar")):
            raise ImportError(name)
        return imported(name, *given, **named)

    return importing


def test_a_verdict_that_cedar_does_not_give_is_found(shop: Shop) -> None:
    """[RPL-5]"""
    live = shop.live
    live.put(live.intent(asks=True))
    assert [f.code for f in live.audit().findings] == ["verdict-differs"]


def test_an_engine_that_nobody_has_is_refused_by_name() -> None:
    """[POL-1]"""
    with pytest.raises(PolicyInvalidError, match="opa/1"):
        engines.check_policy(parse_policy({"name": "p", "engine": "opa/1", "source": None}))
