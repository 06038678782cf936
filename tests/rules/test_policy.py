"""Policies: rules in order, the first that matches answers, and what cannot be evaluated denies. SPEC §8.1."""

from typing import Any

import pytest

from invoke_log.errors import PolicyInvalidError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.policy import (
    ALLOW,
    ALLOW_COVERED,
    ASK,
    DENY,
    Budget,
    Judgement,
    Rule,
    complete_policy,
    judge,
    parse_policy,
)

FACTS: dict[str, Value] = {
    "effect_class": "money.charge/1",
    "resource": "stripe:acct_1/test/customer/cus_1",
    "purpose": "789",
    "contract": "charge-customer",
    "generation": 1,
    "issuer": "00",
    "arguments": {"amount": 5000, "order": "789", "rush": True, "raw": b"x", "none": None, "list": [1]},
}
INPUTS: dict[str, Value] = {"now_ms": 1_790_000_000_000, "snapshot": {"a": {"balance": 7}}, "budgets": {}}


def rule(name: str, then: str, *when: tuple[list[str], str, Value], approvals: int = 0) -> dict[str, Value]:
    conditions: list[Value] = [{"field": list(field), "test": test, "value": value} for field, test, value in when]
    return {"name": name, "then": then, "approvals": approvals, "when": conditions}


def policy(*rules: dict[str, Value], **changes: Value) -> dict[str, Value]:
    return {"name": "p", "engine": "rules/1", "source": {"rules": list(rules)}, **changes}


def answer(*rules: dict[str, Value]) -> Judgement:
    judged = judge(parse_policy(policy(*rules)), FACTS, INPUTS)
    assert judged is not None
    return judged


def test_the_first_rule_that_matches_answers() -> None:
    """[POL-2]"""
    no, yes = (["purpose"], "equals", "790"), (["purpose"], "equals", "789")
    first, second = rule("first", ASK, yes, no), rule("second", DENY, yes)
    assert answer(first, second, rule("third", ALLOW)) == Judgement(answer=DENY, rule="second", approvals=0)
    assert answer(first, rule("third", ALLOW), second) == Judgement(answer=ALLOW, rule="third", approvals=0)


def test_where_no_rule_matches_the_answer_is_deny() -> None:
    """[POL-2]"""
    assert answer() == Judgement(answer=DENY, rule=None, approvals=0)
    assert answer(rule("r", ALLOW, (["purpose"], "equals", "790"))) == Judgement(answer=DENY, rule=None, approvals=0)


def test_only_an_ask_wants_approvals() -> None:
    """[POL-2]"""
    assert answer(rule("r", ASK, approvals=3)) == Judgement(answer=ASK, rule="r", approvals=3)
    assert answer(rule("r", ALLOW, approvals=3)) == Judgement(answer=ALLOW, rule="r", approvals=0)


def test_a_condition_that_cannot_be_evaluated_denies_and_nothing_after_it_is_read() -> None:
    """[POL-3]: an engine that skips a rule which it cannot read skips a prohibition."""
    broken = rule("broken", DENY, (["arguments", "missing"], "equals", 1))
    assert answer(broken, rule("r", ALLOW)) == Judgement(answer=DENY, rule="broken", approvals=0)
    broken_ask = rule("broken", ASK, (["arguments", "missing"], "equals", 1), approvals=2)
    assert answer(broken_ask, rule("r", ALLOW)) == Judgement(answer=DENY, rule="broken", approvals=0)
    unread = rule("unread", ALLOW, (["purpose"], "equals", "790"), (["arguments", "missing"], "equals", 1))
    assert answer(unread, rule("r", ALLOW)) == Judgement(answer=ALLOW, rule="r", approvals=0)


@pytest.mark.parametrize(
    ("field", "test", "value", "held"),
    [
        (["arguments", "amount"], "equals", 5000, True),
        (["arguments", "amount"], "equals", 4999, False),
        (["arguments", "amount"], "equals", "5000", None),
        (["arguments", "rush"], "equals", True, True),
        (["arguments", "rush"], "equals", 1, None),
        (["arguments", "raw"], "equals", b"x", True),
        (["arguments", "none"], "equals", None, None),
        (["arguments", "list"], "equals", [1], None),
        (["generation"], "equals", True, None),
        (["arguments", "order"], "one_of", ["788", "789"], True),
        (["arguments", "order"], "one_of", ["788"], False),
        (["arguments", "order"], "one_of", [], False),
        (["arguments", "order"], "one_of", ["789", 789], None),
        (["arguments", "order"], "one_of", "789", None),
        (["arguments", "rush"], "one_of", [True], None),
        (["arguments", "amount"], "at_most", 5000, True),
        (["arguments", "amount"], "at_most", 4999, False),
        (["arguments", "amount"], "at_most", "9", None),
        (["arguments", "order"], "at_most", 9, None),
        (["arguments", "amount"], "at_least", 5000, True),
        (["arguments", "amount"], "at_least", 5001, False),
        (["arguments", "rush"], "at_least", 0, None),
        (["arguments", "amount"], "at_least", "9", None),
        (["resource"], "prefix", "stripe:acct_1/", True),
        (["resource"], "prefix", "stripe:acct_2/", False),
        (["resource"], "prefix", 1, None),
        (["generation"], "prefix", "1", None),
        (["snapshot", "a", "balance"], "at_least", 7, True),
        (["snapshot", "b"], "at_least", 7, None),
        (["now_ms"], "at_least", 1_790_000_000_000, True),
        (["arguments", "order", "x"], "equals", 1, None),
        (["arguments", "order", "7"], "equals", 1, None),
        (["generation", "x"], "equals", 1, None),
        ([], "equals", 1, None),
    ],
    ids=repr,
)
def test_a_condition_holds_does_not_hold_or_cannot_be_evaluated(
    field: list[str], test: str, value: Value, held: bool | None
) -> None:
    """[POL-3]: of two types nothing is equal, less or more."""
    judged = answer(rule("r", ALLOW, (field, test, value)), rule("else", ASK))
    assert judged.answer == {True: ALLOW, False: ASK, None: DENY}[held]


def test_a_verdict_copies_the_snapshot_fields_that_conditions_read() -> None:
    """[POL-4]: by the outermost name, however deep they read."""
    read = [(["snapshot", "a"], "equals", 1), (["snapshot", "b", "c"], "equals", 1), (["snapshot"], "equals", 1)]
    other: Any = (["arguments", "snapshot", "d"], "equals", 1)
    rules = [rule(str(at), ALLOW, condition) for at, condition in enumerate([*read, other])]
    assert parse_policy(policy(*rules)).snapshot_fields == {"a", "b"}
    assert parse_policy(policy(engine="other/1")).snapshot_fields == set()


def test_a_policy_as_it_is_written_leaves_out_what_goes_without_saying() -> None:
    """[POL-1]: on the log it says everything."""
    budget: Value = {"each": "resource", "window_ms": 60_000}
    source: Value = {"rules": [{"name": "r", "then": ALLOW}], "budgets": {"b": budget}}
    written: dict[str, Value] = {"name": "p", "source": source}
    whole = complete_policy(written)
    parsed = parse_policy(whole)
    assert parsed.rules == (Rule(name="r", then=ALLOW, approvals=0, when=()),)
    assert parsed.budgets == {"b": Budget(effect_class="*", prefix="", each="resource", sums=None, window_ms=60_000)}
    assert complete_policy(whole) == whole
    broken: Value = {"rules": [1], "budgets": {"b": 1}}
    others: list[dict[str, Value]] = [{"name": "p"}, {**written, "engine": "opa/1"}, {**written, "source": broken}]
    for other in others:
        assert complete_policy(other) == {"engine": "rules/1", **other}


def test_a_policy_of_another_engine_is_kept_and_not_judged() -> None:
    """[POL-1]"""
    foreign = parse_policy(policy(engine="opa/1", source="package invoke"))
    assert foreign.rules is None
    assert judge(foreign, FACTS, INPUTS) is None


def test_a_policy_is_named_by_its_data() -> None:
    """[ID-5], [POL-1]"""
    default = parse_policy(ALLOW_COVERED)
    assert default.id == digest.policy_id(ALLOW_COVERED)
    assert judge(default, FACTS, INPUTS) == Judgement(answer=ALLOW, rule="covered", approvals=0)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        policy(name="two words"),
        policy(source={}),
        policy(source={"rules": [{"name": "r"}]}),
        policy(rule("r", "maybe")),
        policy(rule("r", ASK, approvals=17)),
        policy(rule("r", ALLOW, (["a"], "matches", "x"))),
        policy(rule("r", ALLOW, (["a"] * 5, "equals", "x"))),
        policy(rule("same", ALLOW), rule("same", DENY)),
        policy(extra=1),
    ],
    ids=str,
)
def test_a_policy_that_is_not_well_formed_is_refused(broken: Value) -> None:
    """[POL-1]"""
    with pytest.raises(PolicyInvalidError):
        parse_policy(broken)
