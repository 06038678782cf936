"""vectors/policy: what rules/1 answers, with every answer written by hand, and policies that are refused.

A case gives the policy, the facts of the decision, and the recorded inputs. `answer` null: another engine's policy,
which a reader that lacks the engine does not check.
"""

from collections.abc import Iterator

from vectors.generate import _wire as wire
from vectors.generate._sample import condition, policy, rule
from vectors.generate._wire import AGENT, T0, Case, Map, Value

AREAS = ("policy",)

FACTS: Map = {
    "effect_class": "money.charge/1",
    "resource": "stripe:acct_1/test/customer/cus_1",
    "purpose": "789",
    "contract": "charge-customer",
    "generation": 1,
    "issuer": AGENT.public.hex(),
    "arguments": {
        "customer": "cus_1",
        "amount": 5000,
        "express": True,
        "pdf": b"\x01\x02",
        "memo": None,
        "items": ["a"],
        "address": {"country": "DE", "lines": {"first": "x"}},
        "order": "789",
    },
}
INPUTS: Map = {
    "now_ms": T0,
    "snapshot": {"balance": 100, "plan": "pro"},
    "budgets": {"day": {"value": 70, "as_of": 41}},
}
ALLOWED, DENIED, NO_RULE = ("allow", "r", 0), ("deny", "r", 0), ("deny", None, 0)

ALL: Map = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None}

Answer = tuple[str | None, str | None, int]
Conditions = dict[str, tuple[list[Value], str, Value, Answer]]
AMOUNT: list[Value] = ["arguments", "amount"]
ORDER: list[Value] = ["arguments", "order"]


def generate() -> dict[str, bytes]:
    cases = {**dict(conditions()), **dict(orders()), **dict(engines()), **dict(refusals())}
    return wire.files("policy", cases)


def judged(comment: str, data: Map, answer: Answer, flag: str = "judged") -> Case:
    return {
        "comment": comment,
        "expect": "ok",
        "flags": [flag],
        "policy": wire.typed(data),
        "policy_id": wire.named("policy", data).hex(),
        "facts": wire.typed(FACTS),
        "inputs": wire.typed(INPUTS),
        "answer": answer[0],
        "rule": answer[1],
        "approvals": answer[2],
    }


def conditions() -> Iterator[tuple[str, Case]]:
    """One rule that allows, with one condition: it holds, it does not, or it errs, which denies by its name."""
    for name, (field, test, value, answer) in {**equalities(), **comparisons(), **fields()}.items():
        one = policy(rule("allow", condition(field, test, value), name="r"))
        one = budgeted(one, day={}, week={}) if field[:1] == ["budgets"] else one
        comment = f"{test} {'.'.join(map(str, field)) or 'no field'} [POL-2] [POL-3]"
        yield f"condition-{name}", judged(comment, one, answer)


def budgeted(data: Map, **budgets: Value) -> Map:
    """Return a policy with budgets, each the one that counts everything, changed."""
    declared: Map = {name: ALL | each if isinstance(each, dict) else each for name, each in budgets.items()}
    source = data["source"]
    assert isinstance(source, dict)
    return data | {"source": {"budgets": declared, **source}}


def equalities() -> Conditions:
    return {
        "equals-integer": (AMOUNT, "equals", 5000, ALLOWED),
        "equals-other": (AMOUNT, "equals", 5001, NO_RULE),
        "equals-text-for-integer": (AMOUNT, "equals", "5000", DENIED),
        "equals-text": (ORDER, "equals", "789", ALLOWED),
        "equals-integer-for-text": (ORDER, "equals", 789, DENIED),
        "equals-true": (["arguments", "express"], "equals", True, ALLOWED),
        "equals-false": (["arguments", "express"], "equals", False, NO_RULE),
        "equals-1-for-true": (["arguments", "express"], "equals", 1, DENIED),
        "equals-true-for-1": (["generation"], "equals", True, DENIED),
        "equals-bytes": (["arguments", "pdf"], "equals", b"\x01\x02", ALLOWED),
        "equals-bytes-other": (["arguments", "pdf"], "equals", b"\x01", NO_RULE),
        "equals-text-for-bytes": (["arguments", "pdf"], "equals", "\x01\x02", DENIED),
        "equals-null-for-null": (["arguments", "memo"], "equals", None, DENIED),
        "equals-null": (["generation"], "equals", None, DENIED),
        "equals-list": (["arguments", "items"], "equals", ["a"], DENIED),
        "equals-map": (["arguments"], "equals", {}, DENIED),
        "one-of": (ORDER, "one_of", ["788", "789"], ALLOWED),
        "one-of-others": (ORDER, "one_of", ["788", "790"], NO_RULE),
        "one-of-none": (ORDER, "one_of", [], NO_RULE),
        "one-of-mixed": (ORDER, "one_of", ["789", 789], DENIED),
        "one-of-integers": (AMOUNT, "one_of", [1, 5000], ALLOWED),
        "one-of-booleans-for-integer": (["generation"], "one_of", [True], DENIED),
        "one-of-for-boolean": (["arguments", "express"], "one_of", [True, False], DENIED),
        "one-of-for-bytes": (["arguments", "pdf"], "one_of", [b"\x01\x02"], DENIED),
        "one-of-text": (ORDER, "one_of", "789", DENIED),
        "one-of-map": (ORDER, "one_of", {"789": True}, DENIED),
    }


def comparisons() -> Conditions:
    return {
        "at-most-equal": (AMOUNT, "at_most", 5000, ALLOWED),
        "at-most-above": (AMOUNT, "at_most", 4999, NO_RULE),
        "at-most-text": (AMOUNT, "at_most", "5000", DENIED),
        "at-most-for-text": (ORDER, "at_most", 1000, DENIED),
        "at-most-for-boolean": (["arguments", "express"], "at_most", 1, DENIED),
        "at-most-boolean": (["generation"], "at_most", True, DENIED),
        "at-most-null": (AMOUNT, "at_most", None, DENIED),
        "at-most-largest": (AMOUNT, "at_most", 2**53 - 1, ALLOWED),
        "at-least-equal": (AMOUNT, "at_least", 5000, ALLOWED),
        "at-least-below": (AMOUNT, "at_least", 5001, NO_RULE),
        "at-least-negative": (AMOUNT, "at_least", -1, ALLOWED),
        "at-least-now": (["now_ms"], "at_least", T0, ALLOWED),
        "at-least-later": (["now_ms"], "at_least", T0 + 1, NO_RULE),
        "prefix": (["resource"], "prefix", "stripe:acct_1/", ALLOWED),
        "prefix-empty": (["resource"], "prefix", "", ALLOWED),
        "prefix-whole": (["purpose"], "prefix", "789", ALLOWED),
        "prefix-longer": (["purpose"], "prefix", "7890", NO_RULE),
        "prefix-integer": (["resource"], "prefix", 1, DENIED),
        "prefix-for-integer": (AMOUNT, "prefix", "5", DENIED),
        "prefix-for-bytes": (["arguments", "pdf"], "prefix", b"\x01", DENIED),
    }


def fields() -> Conditions:
    return {
        "field-none": ([], "equals", 1, DENIED),
        "field-missing": (["arguments", "missing"], "equals", 1, DENIED),
        "field-missing-first": (["caller"], "equals", "x", DENIED),
        "field-in-text": (["purpose", "length"], "equals", 3, DENIED),
        "field-in-null": (["arguments", "memo", "x"], "equals", 1, DENIED),
        "field-in-list": (["arguments", "items", "0"], "equals", "a", DENIED),
        "field-inside-missing": (["arguments", "address", "city"], "equals", "x", DENIED),
        "field-deep": (["arguments", "address", "lines", "first"], "equals", "x", ALLOWED),
        "field-of-objects": (["constructor"], "equals", "x", DENIED),
        "fact-class": (["effect_class"], "equals", "money.charge/1", ALLOWED),
        "fact-contract": (["contract"], "equals", "charge-customer", ALLOWED),
        "fact-issuer": (["issuer"], "equals", AGENT.public.hex(), ALLOWED),
        "snapshot": (["snapshot", "balance"], "at_least", 100, ALLOWED),
        "snapshot-missing": (["snapshot", "country"], "equals", "DE", DENIED),
        "budget": (["budgets", "day", "value"], "at_most", 70, ALLOWED),
        "budget-without-value": (["budgets", "week", "value"], "at_most", 70, DENIED),
        "budget-as-of": (["budgets", "day", "as_of"], "at_least", 41, ALLOWED),
        "budgets": (["budgets"], "equals", {}, DENIED),
    }


def orders() -> Iterator[tuple[str, Case]]:
    holds, fails = condition(["generation"], "equals", 1), condition(["generation"], "equals", 2)
    errs = condition(["missing"], "equals", 1)
    allow, deny = rule("allow", name="a"), rule("deny", name="d")
    yield "order-no-rules", judged("no rule at all [POL-2]", policy(), NO_RULE)
    yield "order-first", judged("the first that matches", policy(allow, deny), ("allow", "a", 0))
    yield "order-deny-first", judged("a deny before an allow", policy(deny, allow), ("deny", "d", 0))
    passed = policy(rule("deny", fails, name="d"), allow)
    yield "order-passed-over", judged("one that does not match is passed over", passed, ("allow", "a", 0))
    both = policy(rule("allow", holds, fails, name="a"))
    yield "order-all-conditions", judged("all conditions have to hold", both, NO_RULE)
    error = policy(rule("deny", errs, name="d"), allow)
    yield "order-error-denies", judged("a rule that errs is not skipped [POL-3]", error, ("deny", "d", 0))
    behind = policy(rule("allow", holds, errs, name="a"))
    yield "order-error-behind", judged("an error behind a condition that holds", behind, ("deny", "a", 0))
    unread = policy(rule("deny", fails, errs, name="d"), allow)
    yield "order-error-unread", judged("an error behind one that does not hold is not read", unread, ("allow", "a", 0))
    late = policy(allow, rule("deny", errs, name="d"))
    yield "order-error-in-later-rule", judged("nor one in a later rule", late, ("allow", "a", 0))
    asked = policy(rule("ask", name="q", approvals=2))
    yield "order-ask", judged("an ask says how many approvals", asked, ("ask", "q", 2))
    asked_0 = policy(rule("ask", name="q", approvals=0))
    yield "order-ask-0", judged("an ask of none leaves it to the contract", asked_0, ("ask", "q", 0))
    counted = policy(rule("allow", name="a", approvals=2))
    whole = budgeted(
        policy(rule("allow", name="a")), b={"each": "resource", "sum": "amount", "window_ms": 315_360_000_000}
    )
    yield "order-budget-unread", judged("a budget that no rule reads [POL-1]", whole, ("allow", "a", 0))
    yield "order-allow-approvals", judged("approvals count where it asks, and nowhere else", counted, ("allow", "a", 0))
    erring = policy(rule("ask", errs, name="q", approvals=2))
    yield "order-ask-errs", judged("an error denies, and asks nobody", erring, ("deny", "q", 0))


def engines() -> Iterator[tuple[str, Case]]:
    other: Map = {"name": "opa", "engine": "opa/1", "source": "package invoke"}
    yield "engine-other", judged("another engine's policy is not checked [POL-1]", other, (None, None, 0), "unchecked")
    rules: Map = policy(rule("allow")) | {"engine": "rules/2"}
    yield "engine-later", judged("nor a later version's, whatever it looks like", rules, (None, None, 0), "unchecked")


def refusals() -> Iterator[tuple[str, Case]]:
    good = rule("allow")
    five: list[Value] = ["a", "b", "c", "d", "e"]
    numbered: list[Value] = [rule("allow", name=f"r{at}") for at in range(257)]
    faults: dict[str, tuple[str, Value]] = {
        "list": ("not a map [POL-1]", [good]),
        "no-name": ("no name", {"engine": "rules/1", "source": {"rules": []}}),
        "extra": ("a field more", {**policy(good), "default": "allow"}),
        "engine-empty": ("an empty engine", policy(good, engine="")),
        "name-twice": ("one rule name twice", policy(good, good)),
        "source-list": ("rules without their map", {"name": "p", "engine": "rules/1", "source": [good]}),
        "source-extra": ("a field more", {"name": "p", "engine": "rules/1", "source": {"rules": [], "else": "allow"}}),
        "rule-extra": ("a field more", policy({**good, "unless": []})),
        "rule-no-when": ("no conditions, not even none", policy({"name": "a", "then": "allow", "approvals": 0})),
        "rule-then": ("no such answer", policy(rule("permit"))),
        "rule-name-prose": ("a name that is no token", policy(rule("allow", name="let it pass"))),
        "rule-approvals-17": ("at most sixteen", policy(rule("ask", approvals=17))),
        "rules-257": ("at most 256 rules", {"name": "p", "engine": "rules/1", "source": {"rules": numbered}}),
        "conditions-33": ("at most 32", policy(rule("allow", *[condition(["generation"], "equals", 1)] * 33))),
        "test-unknown": ("no such test", policy(rule("allow", condition(["resource"], "matches", ".*")))),
        "field-5": ("at most four names", policy(rule("allow", condition(five, "equals", 1)))),
        "field-text": ("a path as text", policy(rule("allow", {**condition([], "equals", 1), "field": "a.b"}))),
        "field-empty-name": ("an empty name", policy(rule("allow", condition([""], "equals", 1)))),
        "condition-no-value": ("no value", policy(rule("allow", {"field": ["a"], "test": "equals"}))),
    }
    day: list[Value] = ["budgets", "day", "value"]
    undeclared = policy(rule("allow", condition(day, "at_most", 1)))
    faults |= {
        "budgets-none": ("no budgets, and the field", budgeted(policy(good))),
        "budgets-17": ("at most sixteen", budgeted(policy(good), **{f"b{at}": {} for at in range(17)})),
        "budget-undeclared": ("a budget that is read and not declared", undeclared),
        "budget-other": ("another than is declared", budgeted(undeclared, week={})),
        "budget-list": ("a budget that is no map", budgeted(policy(good), b=[])),
        "budget-extra": ("a field more", budgeted(policy(good), b={"most": 1})),
        "budget-each": ("each of what", budgeted(policy(good), b={"each": "customer"})),
        "budget-prefix": ("a prefix that ends inside a name", budgeted(policy(good), b={"prefix": "stripe:acct"})),
        "budget-window-0": ("a window of no time", budgeted(policy(good), b={"window_ms": 0})),
        "budget-window-long": ("of more than ten years", budgeted(policy(good), b={"window_ms": 315_360_000_001})),
        "budget-sum": ("a sum of prose", budgeted(policy(good), b={"sum": "the amount"})),
    }
    for name, (comment, data) in faults.items():
        yield (
            f"refused-{name}",
            {"comment": comment, "expect": "policy-invalid", "flags": ["refused"], "policy": wire.typed(data)},
        )
