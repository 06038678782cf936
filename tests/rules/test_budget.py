"""Budgets: what counts, for how long, and what a verdict records of it. SPEC §8.3. The log runs, and is replayed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.errors import PolicyInvalidError
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope, seal
from invoke_log.ledger.state import FIRST_PLACE, AheadTick
from invoke_log.rules.budget import _Tally, change_of
from invoke_log.rules.effect import OPEN
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Start
from invoke_log.rules.policy import parse_policy
from invoke_log.rules.world import EffectState
from tests.harness.live import T0, Live, memory_live
from tests.harness.player import recover

MINUTE: Final = 60_000
BUDGETS: Final[tuple[tuple[dict[str, Any], int, int], ...]] = (
    ({}, 4, 4),
    ({"each": "resource"}, 3, 2),
    ({"prefix": "stripe/"}, 4, 4),
    ({"prefix": "stripe/customer/cus_1/"}, 0, 0),
    ({"prefix": "other/"}, 0, 0),
    ({"effect_class": "money.charge/1"}, 4, 4),
    ({"effect_class": "money.charge/2"}, 0, 0),
    ({"effect_class": "money.charge/2", "each": "resource"}, 0, 0),
    ({"sum": "amount"}, 20_000, 20_000),
    ({"sum": "amount", "each": "resource"}, 15_000, 10_000),
)
"""Changes of a budget, and what it then says of a call for cus_1 and one for cus_2."""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with memory_live(tmp_path) as opened:
        yield opened


def budget(**changes: Value) -> dict[str, Value]:
    return {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None, **changes}


def limited(most: int, *, then: str = "allow", **changes: Value) -> dict[str, Value]:
    """A policy that answers `then` while a budget is at most so much, and denies after."""
    within: Value = {"field": ["budgets", "b", "value"], "test": "at_most", "value": most}
    rules: list[Value] = [{"name": "within", "then": then, "approvals": 1, "when": [within]}]
    source: Value = {"budgets": {"b": budget(**changes)}, "rules": rules}
    return {"name": "limited", "engine": "rules/1", "source": source}


def govern(live: Live, data: dict[str, Value]) -> None:
    assert live.answer(live.log.draft(parse_policy(data), live.admin)) == "accepted"


def value(live: Live, bound: Bound | None = None) -> int | None:
    """What the budget says of a call now."""
    bound = bound or live.bound(order="judged")
    with live.log.world() as world:
        found: Any = world.budgets(
            live.contract, bound, world.effect(bound.effect, bound.resource), now_ms=world.now_ms()
        )
    return found["b"]["value"] if "b" in found else None


def claim(live: Live, order: str, *, amount: int = 5000, customer: str = "cus_1") -> Bound:
    bound = live.bound(order=order, amount=amount, customer=customer)
    live.put(live.intent(bound))
    return bound


def sound(live: Live) -> None:
    assert [(f.code, f.index) for f in live.audit().findings if f.severity == "error"] == []


# What counts


def test_an_intent_counts_until_it_is_known_to_do_nothing(live: Live) -> None:
    """[POL-5]: claimed, started, unknown and committed alike; not after a release, a denial or a proof that it did
    not happen.
    """
    govern(live, limited(999_999))
    assert value(live) == 1
    claim(live, "released")
    assert value(live) == 2
    live.put(live.release(live.bound(order="released")))
    assert value(live) == 1
    for order, status in (("a", COMMITTED), ("b", NOT_COMMITTED), ("c", UNKNOWN)):
        bound = live.bound(order=order)
        before = value(live)
        live.put(live.begun(bound))
        assert value(live) == (before or 0) + 1
        live.put(live.outcome(status, "", bound))
        assert value(live) == (before or 0) + (status != NOT_COMMITTED)
    live.ask()
    asked = live.intent(live.bound(order="denied"))
    live.put(asked)
    govern(live, limited(999_999))
    assert value(live) == 4
    live.put(live.denial(asked, live.bound(order="denied")))
    assert value(live) == 3
    sound(live)


def test_a_repeat_counts_beside_what_it_repeats(live: Live) -> None:
    """[POL-5]"""
    govern(live, limited(999_999))
    live.put(live.begun())
    live.put(live.outcome())
    live.put(live.intent(by=live.admin, again=True))
    assert value(live) == 3
    live.put(live.release(by=live.admin))
    assert value(live) == 2
    sound(live)


def test_what_turns_out_to_have_happened_counts_after_all(live: Live) -> None:
    """[POL-5]: as the intent that it was, and where there was none, as one that nobody knows the arguments of."""
    govern(live, limited(999_999, sum="amount"))
    live.put(live.begun())
    live.put(live.outcome(NOT_COMMITTED))
    assert value(live) == 5000
    live.put(live.present())
    assert value(live) == 10_000
    live.put(live.present(live.bound(order="never-seen")))
    assert value(live) is None
    govern(live, limited(999_999))
    assert value(live) == 3
    live.put(live.present(generation=4))
    assert value(live) == 4
    live.put(live.present(generation=2))
    assert value(live) == 4
    sound(live)


def test_a_presence_above_an_open_claim_leaves_it_counted(live: Live) -> None:
    """[POL-5]: nobody has shown that the open one did nothing."""
    govern(live, limited(999_999))
    live.put(live.begun())
    live.put(live.present(generation=3))
    assert value(live) == 3
    sound(live)


def test_a_recovery_takes_nothing_out(live: Live) -> None:
    """[POL-5], [REC-3]"""
    govern(live, limited(999_999))
    claim(live, "a")
    recover(live)
    assert value(live) == 2
    live.put(live.intent(live.bound(order="b")))
    assert live.state(live.bound(order="b")).status == UNKNOWN
    assert value(live) == 3


def test_no_event_changes_more_than_one_thing() -> None:
    """[POL-5]: the kinds that move no claim change nothing."""
    free = EffectState(effect=bytes(32), resource="r")
    assert change_of(free, free, b"e") is None
    for status in sorted(OPEN):
        opened = free._replace(status=status, attempt=1)
        assert change_of(opened, opened, b"e") is None


# Which, how much, and for how long


def test_a_budget_covers_a_class_a_prefix_or_each_resource_by_itself(live: Live) -> None:
    """[POL-6]"""
    govern(live, limited(999_999))
    for customer in ("cus_1", "cus_1", "cus_2"):
        claim(live, f"{customer}-{value(live)}", customer=customer)
    one, two = live.bound(order="x", customer="cus_1"), live.bound(order="x", customer="cus_2")
    for changed, of_one, of_two in BUDGETS:
        govern(live, limited(999_999, **changed))
        assert (value(live, one), value(live, two)) == (of_one, of_two), changed
    sound(live)


def test_a_sum_of_what_is_no_amount_has_no_value_and_so_denies(live: Live) -> None:
    """[POL-6], [POL-3]"""
    for argument in ("customer", "order", "missing"):
        govern(live, limited(2**53 - 1, sum=argument))
        assert value(live) is None
        assert live.answer(live.intent()) == "refused verdict-deny"


def test_a_negative_amount_gives_a_sum_no_value(live: Live) -> None:
    """[POL-6]: or a call could make room for others."""
    arguments: Any = {**live.contract.data}["arguments"]
    signed: Value = {**arguments["amount"], "schema": {**arguments["amount"]["schema"], "min": -9}}
    live.register(version=2, arguments={**arguments, "amount": signed})
    claim(live, "a", amount=-1)
    govern(live, limited(999_999, sum="amount"))
    assert value(live) is None
    live.put(live.release(live.bound(order="a", amount=-1)))
    assert value(live) == 5000
    assert value(live, live.bound(order="x", amount=-1)) is None
    sound(live)


def test_a_total_that_no_integer_holds_has_no_value(live: Live) -> None:
    """[POL-6]"""
    most = 2**53 - 1
    arguments: Any = {**live.contract.data}["arguments"]
    wide: Value = {
        **arguments,
        "amount": {**arguments["amount"], "schema": {**arguments["amount"]["schema"], "max": most}},
    }
    live.register(version=2, arguments=wide)
    govern(live, limited(999_999, sum="amount"))
    assert value(live, live.bound(order="x", amount=most)) == most
    govern(live, limited(most, sum="amount"))
    live.put(live.intent(live.bound(order="a", amount=most - 1)))
    assert value(live, live.bound(order="x", amount=1)) == most
    assert value(live, live.bound(order="x", amount=2)) is None
    sound(live)


def test_a_window_holds_what_is_not_older_than_it(live: Live) -> None:
    """[POL-6], [TIME-4]: by the log's own time."""
    govern(live, limited(999_999, window_ms=MINUTE))
    claim(live, "a")
    live.wait(MINUTE)
    assert value(live) == 2
    claim(live, "b")
    live.wait(1)
    assert value(live) == 2
    live.put(live.release(live.bound(order="a")))
    assert value(live) == 2
    live.wait(MINUTE - 1)
    assert value(live) == 2
    live.wait(1)
    assert value(live) == 1
    sound(live)


def test_what_counts_again_counts_by_its_own_time(live: Live) -> None:
    """[POL-5], [POL-6]"""
    govern(live, limited(999_999, window_ms=MINUTE))
    live.put(live.begun())
    live.wait(MINUTE // 2)
    claim(live, "later")
    live.put(live.outcome(NOT_COMMITTED))
    live.put(live.present())
    assert value(live) == 3
    live.wait(MINUTE // 2 + 1)
    assert value(live) == 2
    live.put(live.intent(live.bound(order="latest")))
    live.wait(MINUTE // 2)
    assert value(live) == 2
    sound(live)


def test_what_counts_again_when_it_is_too_old_does_not(live: Live) -> None:
    """[POL-5], [POL-6]"""
    govern(live, limited(999_999, window_ms=MINUTE))
    live.put(live.begun())
    live.put(live.outcome(NOT_COMMITTED))
    live.wait(MINUTE + 1)
    claim(live, "b")
    assert value(live) == 2
    live.put(live.present())
    assert value(live) == 2
    claim(live, "c")
    assert value(live) == 3
    sound(live)


def test_a_question_of_a_later_time_takes_nothing_out(live: Live) -> None:
    """[POL-6], [CALL-8]: nor does a tick that is ahead in an append and may never be durable."""
    govern(live, limited(999_999, window_ms=MINUTE))
    bound, later = claim(live, "a"), T0 + 9 * MINUTE
    for ahead in ([], [AheadTick(FIRST_PLACE, later, 0)]):
        with live.log.world() as world:
            world.ahead.ticks += ahead
            other = world.effect(live.bound(order="b").effect, bound.resource)
            found: Any = world.budgets(live.contract, bound, other, now_ms=later)
            assert found["b"]["value"] == 1
        assert value(live) == 2


def test_what_a_window_has_left_behind_is_walked_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """[POL-6]: not at every question after it, live or in replay, and so also where none of its class follows."""
    govern(live, limited(999_999, window_ms=MINUTE))
    intents = []
    for order in range(12):
        intents.append(live.intent(live.bound(order=str(order))))
        live.put(intents[-1])
    walked: list[bytes] = []
    walk = _Tally._out_of_window

    def walking(tally: _Tally, now_ms: int) -> Iterator[bytes]:
        for each in walk(tally, now_ms):
            walked.append(each)
            yield each

    monkeypatch.setattr(_Tally, "_out_of_window", walking)
    live.wait(MINUTE + 1)
    for intent in intents:
        live.put(live.start(intent))
    assert len(walked) == 12
    walked.clear()
    sound(live)
    assert len(walked) == 2 * 12


# What a verdict says of it


def test_a_call_counts_itself_once_at_its_intent_and_at_its_start(live: Live) -> None:
    """[POL-7]: whatever its age by then."""
    govern(live, limited(2, window_ms=MINUTE))
    one, other = live.intent(live.bound(order="a")), live.bound(order="b")
    live.put(one)
    live.put(live.intent(other))
    assert live.answer(live.intent(live.bound(order="c"))) == "refused verdict-deny"
    assert value(live, other) == 2
    live.wait(2 * MINUTE)
    assert value(live, other) == 1
    live.put(live.start(one))
    [start] = [entry.event.data for entry in live.log.entries() if isinstance(entry.event.data, Start)]
    inputs: Any = start.verdict.inputs
    assert inputs["budgets"]["b"]["value"] == 1
    sound(live)


def test_two_calls_that_were_judged_on_one_count_do_not_both_pass(live: Live) -> None:
    """[POL-7]: alone, and in one append."""
    govern(live, limited(1))
    one = live.intent(live.bound(order="a", customer="cus_1"))
    other = live.bound(order="b", customer="cus_2")
    two = live.intent(other)
    assert [type(answer).__name__ for answer in live.append(one, two)] == ["Accepted", "Stale"]
    assert live.answer(two) == "stale budgets-stale"
    assert live.answer(live.intent(other)) == "refused verdict-deny"
    sound(live)


def test_an_intent_and_its_start_are_one_append(live: Live) -> None:
    """[POL-7]: the intent's own beginning aside."""
    govern(live, limited(1, sum=None))
    live.put(live.begun())
    sound(live)


def test_what_a_budget_does_not_cover_makes_no_verdict_stale(live: Live) -> None:
    """[POL-7]"""
    govern(live, limited(9, each="resource"))
    drawn = live.intent(live.bound(order="a", customer="cus_1"))
    claim(live, "b", customer="cus_2")
    live.put(drawn)
    again = live.intent(live.bound(order="c", customer="cus_1"))
    live.put(live.release(live.bound(order="a", customer="cus_1")))
    assert live.answer(again) == "stale budgets-stale"
    sound(live)


def test_a_verdict_that_says_another_count_is_stale(live: Live) -> None:
    """[POL-7]: the leaf of the last change is too early, and one that is not there yet too late."""
    govern(live, limited(9))
    claim(live, "a")
    with live.log.world() as world:
        size = int(world.reader.size)
    honest: dict[str, Value] = {"value": 2, "as_of": size}
    live.put(live.log.draft(parse_policy(limited(9)), live.admin))
    for untrue in (
        {},
        {"b": {**honest, "value": 1}},
        {"b": {**honest, "as_of": size - 1}},
        {"b": {**honest, "as_of": size + 2}},
        {"b": honest, "c": honest},
        {"c": honest},
    ):
        said: Any = untrue
        assert live.answer(saying(live, said)) == "stale budgets-stale", untrue
    live.put(saying(live, {"b": honest}))
    sound(live)


def test_a_policy_without_budgets_records_none(live: Live) -> None:
    """[POL-4], [POL-7]"""
    assert live.answer(saying(live, {"b": {"value": 0, "as_of": 0}})) == "stale budgets-stale"


@pytest.mark.parametrize(
    "source",
    [
        {"budgets": {}, "rules": []},
        {"budgets": {"b": budget(prefix="stripe")}, "rules": []},
        {"budgets": {"b": budget(each="customer")}, "rules": []},
        {"budgets": {"b": budget(window_ms=0)}, "rules": []},
        {"budgets": {"b": budget(window_ms=315_360_000_001)}, "rules": []},
        {"budgets": {"b": budget(sum="")}, "rules": []},
        {"budgets": {"b": {**budget(), "most": 1}}, "rules": []},
        {"budgets": {f"b{at}": budget() for at in range(17)}, "rules": []},
        {"budgets": {"b": budget()}},
        {"rules": limited(1)["source"]["rules"]},  # type: ignore[index, call-overload]
    ],
    ids=["none", "prefix", "each", "window", "age", "sum", "extra", "seventeen", "no rules", "not declared"],
)
def test_a_budget_that_cannot_be_is_refused(source: Value) -> None:
    """[POL-1], [TIME-6]"""
    with pytest.raises(PolicyInvalidError):
        parse_policy({**limited(1), "source": source})


def saying(live: Live, budgets: dict[str, Value]) -> Envelope:
    """An intent whose verdict records these budgets."""
    drawn = live.intent()
    data: Any = drawn.fields["data"]
    verdict = {**data["verdict"], "inputs": {**data["verdict"]["inputs"], "budgets": budgets}}
    return seal({**drawn.fields, "data": {**data, "verdict": verdict}}, live.agent)
