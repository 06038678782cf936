"""Where nobody ticks, the log's time stands still: what lapses with time lapses by this machine's. [CALL-8], S9"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import invoke_log as il
from invoke_log.errors import StoreError
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed, Denied, Pending
from invoke_log.ledger.cedar import NAME as CEDAR
from invoke_log.ledger.consent import approve
from invoke_log.ledger.log import TICK_AGE_MS_MAX
from invoke_log.rules.answer import Accepted
from invoke_log.rules.policy import parse_policy
from invoke_log.surfaces.mcp_server.approver import Approver
from tests.harness.live import T0, TTL_MS, id_of
from tests.harness.shop import ARGUMENTS, Shop, open_shop
from tests.ledger.test_cedar import SCHEMA

WEEK_MS: Final = 7 * 86_400_000
NOON_MS: Final = T0 + 3_600_000


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def stop_ticking(shop: Shop) -> None:
    """From here on this process does not hold the log key, and nobody else is there."""
    shop.live.log._log_signer = None


def somebody_ticks(shop: Shop) -> None:
    with shop.live.log.world() as world:
        behind_ms = shop.live.clock.ms - world.now_ms()
    shop.live.put(shop.live.tick(behind_ms))


def asked(shop: Shop) -> None:
    """A call that waits for one approval, in a log where nobody ticks from now on."""
    shop.live.ask()
    stop_ticking(shop)
    assert isinstance(shop.call(), Pending)


def consent(shop: Shop) -> None:
    assert isinstance(approve(shop.live.log, id_of(shop.intent()), shop.live.admin), Accepted)


def not_sent(shop: Shop) -> StoreError:
    """A call that is not made, and of which the log hears nothing; what the caller is told."""
    before = list(shop.live.log.entries())
    with pytest.raises(StoreError) as raised:
        shop.call()
    assert list(shop.live.log.entries()) == before
    assert shop.landed == []
    assert raised.value.hint is not None
    assert "holds the log key has to tick" in raised.value.hint
    assert raised.value.message.endswith("by this machine's clock; the log's stands still")
    return raised.value


def nothing_is_amiss(shop: Shop) -> bool:
    """What a third party finds who replays the log."""
    shop.live.log._log_signer = shop.live.log_key
    return shop.live.audit().findings == ()


# --- approvals


def test_last_weeks_approval_starts_nothing_today(shop: Shop) -> None:
    """[CALL-8], `own_clock`"""
    asked(shop)
    consent(shop)
    shop.live.clock.ms += WEEK_MS
    assert "approval-expired" in not_sent(shop).message
    assert shop.live.log.approvals()[0].given == ()
    somebody_ticks(shop)
    late = shop.call()
    assert isinstance(late, Pending)
    assert "approval-expired: 0 of 1 approvals" in late.message
    consent(shop)
    assert isinstance(shop.call(), Committed)
    assert shop.kinds() == ["intent", "approval", "approval", "start", "outcome"]
    assert nothing_is_amiss(shop)


def test_one_that_is_young_by_both_clocks_counts_and_no_longer(shop: Shop) -> None:
    asked(shop)
    consent(shop)
    shop.live.clock.ms += TTL_MS + 1
    assert "approval-expired" in not_sent(shop).message
    shop.live.clock.ms -= 1
    assert isinstance(shop.call(), Committed)


def test_where_a_tick_has_come_since_it_a_new_one_needs_no_other(shop: Shop) -> None:
    """It counts from the last tick before it, as in the log."""
    asked(shop)
    consent(shop)
    shop.live.clock.ms += TTL_MS // 2
    somebody_ticks(shop)
    shop.live.clock.ms += TTL_MS // 2 + 1
    late = shop.call()
    assert isinstance(late, Pending)
    assert "approval-expired" in late.message
    consent(shop)
    assert isinstance(shop.call(), Committed)


def test_with_as_many_young_ones_as_are_wanted_an_old_one_hinders_nothing(shop: Shop) -> None:
    shop.live.ask()
    second = shop.live.grant(12, "approver")
    stop_ticking(shop)
    assert isinstance(shop.call(), Pending)
    consent(shop)
    shop.live.clock.ms += TTL_MS // 2
    somebody_ticks(shop)
    assert isinstance(approve(shop.live.log, id_of(shop.intent()), second), Accepted)
    shop.live.clock.ms += TTL_MS // 2 + 1
    assert isinstance(shop.call(), Committed)


def test_no_person_is_asked_before_a_tick_has_come_and_then_again(shop: Shop) -> None:
    """What waits is shown with the approvals that would count now."""
    asked(shop)
    approver = Approver(shop.live.log, shop.live.grant(12, "approver"), issuer=shop.live.agent.public_key)
    waits = shop.call()
    assert approver.question(waits) is not None
    assert isinstance(approve(shop.live.log, id_of(shop.intent()), approver._key), Accepted)
    assert approver.question(waits) is None
    shop.live.clock.ms += WEEK_MS
    not_sent(shop)
    somebody_ticks(shop)
    assert approver.question(shop.call()) is not None


def test_where_nobody_has_consented_yet_people_are_waited_for_however_long(shop: Shop) -> None:
    """Who consents may tick."""
    asked(shop)
    shop.live.clock.ms += WEEK_MS
    assert isinstance(shop.call(), Pending)
    shop.live.log._log_signer = shop.live.log_key
    consent(shop)
    stop_ticking(shop)
    assert isinstance(shop.call(), Committed)


def test_a_coroutine_tool_is_held_to_the_same(shop: Shop) -> None:
    asked(shop)
    guard = Guard(shop.live.log, key=shop.live.agent)

    async def charge(customer: str, order: str, amount: int, *, invoke: il.Call) -> Any:
        shop.landed.append(invoke.tag)

    guard.tool(shop.live.contract, read_back=shop.find)(charge)
    consent(shop)
    shop.live.clock.ms += WEEK_MS
    with pytest.raises(StoreError, match="approval-expired"):
        asyncio.run(guard.acall("charge", ARGUMENTS))
    shop.live.clock.ms -= WEEK_MS
    assert isinstance(asyncio.run(guard.acall("charge", ARGUMENTS)), Committed)
    assert len(shop.landed) == 1


# --- this machine's clock is wrong


def test_a_clock_that_is_set_forwards_holds_a_call_up_until_it_is_set_right(shop: Shop) -> None:
    asked(shop)
    consent(shop)
    shop.live.clock.ms += WEEK_MS
    not_sent(shop)
    shop.live.clock.ms -= WEEK_MS
    assert isinstance(shop.call(), Committed)


def test_behind_a_clock_that_is_set_back_the_logs_time_decides_alone(shop: Shop) -> None:
    asked(shop)
    shop.live.clock.ms -= WEEK_MS
    consent(shop)
    shop.live.put(shop.live.tick(TTL_MS + 1))
    late = shop.call()
    assert isinstance(late, Pending)
    assert "approval-expired" in late.message
    consent(shop)
    assert isinstance(shop.call(), Committed)


@pytest.mark.parametrize("skew_ms", [-5_000, 5_000])
def test_a_clock_that_is_seconds_off_hinders_nothing(shop: Shop, skew_ms: int) -> None:
    asked(shop)
    consent(shop)
    shop.live.clock.ms += skew_ms
    assert isinstance(shop.call(), Committed)


# --- policies that read the time

Judged = Callable[[Shop], None]


def put_in_force(shop: Shop, engine: str, source: Value) -> None:
    policy = parse_policy({"name": "hours", "engine": engine, "source": source})
    shop.live.put(shop.live.log.draft(policy, shop.live.admin))


def by_rules(test: str, then: str = "allow") -> Judged:
    condition: Value = {"field": ["now_ms"], "test": test, "value": NOON_MS}
    hours: Value = {"name": "hours", "then": then, "approvals": 0, "when": [condition]}
    return lambda shop: put_in_force(shop, "rules/1", {"rules": [hours]})


def by_cedar(condition: str) -> Judged:
    policies = f'@id("hours") permit(principal, action, resource) when {{ {condition} }};'
    return lambda shop: put_in_force(shop, CEDAR, {"policies": policies, "schema": SCHEMA})


@pytest.mark.parametrize(
    "hours", [by_rules("at_most"), by_cedar(f'context["now\\u{{5f}}ms"] <= {NOON_MS}')], ids=["rules/1", "cedar"]
)
def test_what_was_allowed_until_noon_is_not_afterwards(shop: Shop, hours: Judged) -> None:
    hours(shop)
    stop_ticking(shop)
    shop.live.clock.ms = NOON_MS + 1
    assert "the policy answers otherwise" in not_sent(shop).message
    somebody_ticks(shop)
    assert isinstance(shop.call(), Denied)


@pytest.mark.parametrize(
    "hours", [by_rules("at_least"), by_cedar(f"context.now_ms >= {NOON_MS}")], ids=["rules/1", "cedar"]
)
def test_what_is_allowed_from_noon_on_waits_for_a_tick_and_is_not_called_denied(shop: Shop, hours: Judged) -> None:
    hours(shop)
    stop_ticking(shop)
    assert isinstance(shop.call(), Denied)
    shop.live.clock.ms = NOON_MS
    not_sent(shop)
    somebody_ticks(shop)
    assert isinstance(shop.call(), Committed)


@pytest.mark.parametrize("policy", [by_rules("at_least"), by_cedar("true")], ids=["rules/1", "cedar"])
def test_where_the_answer_is_the_same_by_both_clocks_nobody_has_to_tick(shop: Shop, policy: Judged) -> None:
    shop.live.wait(NOON_MS - T0)
    policy(shop)
    stop_ticking(shop)
    shop.live.clock.ms += WEEK_MS
    assert isinstance(shop.call(), Committed)
    assert nothing_is_amiss(shop)


def test_a_claim_that_waits_is_not_started_after_hours_and_stands(shop: Shop) -> None:
    by_rules("at_most")(shop)
    shop.live.put(shop.live.intent())
    stop_ticking(shop)
    shop.live.clock.ms = NOON_MS + 1
    not_sent(shop)
    assert shop.status == "claimed"
    somebody_ticks(shop)
    assert isinstance(shop.call(), Denied)


def test_hours_that_begin_to_ask_are_heard(shop: Shop) -> None:
    condition: Value = {"field": ["now_ms"], "test": "at_most", "value": NOON_MS}
    day: Value = {"name": "day", "then": "ask", "approvals": 1, "when": [condition]}
    night: Value = {"name": "night", "then": "ask", "approvals": 2, "when": []}
    put_in_force(shop, "rules/1", {"rules": [day, night]})
    stop_ticking(shop)
    shop.live.clock.ms = NOON_MS + 1
    not_sent(shop)


def test_a_window_of_a_budget_that_ends_by_one_clock_alone_waits_for_a_tick(shop: Shop) -> None:
    """Neither denied, as if today's budget were spent, nor allowed by a count of calls that the log knows better."""
    budget: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": TTL_MS}
    one: Value = {"field": ["budgets", "b", "value"], "test": "at_most", "value": 1}
    rules: Value = [{"name": "one", "then": "allow", "approvals": 0, "when": [one]}]
    put_in_force(shop, "rules/1", {"budgets": {"b": budget}, "rules": rules})
    stop_ticking(shop)
    assert isinstance(shop.call(order="1"), Committed)
    assert isinstance(shop.call(order="2"), Denied)
    shop.live.clock.ms += TTL_MS + 1
    shop.landed.clear()
    not_sent(shop)
    somebody_ticks(shop)
    assert isinstance(shop.call(), Committed)


def test_a_tick_that_may_still_be_on_its_way_is_waited_for(shop: Shop) -> None:
    """[TIME-5]: the log's time may be a second old, and decides alone until then."""
    condition: Value = {"field": ["now_ms"], "test": "at_most", "value": T0}
    put_in_force(shop, "rules/1", {"rules": [{"name": "now", "then": "allow", "approvals": 0, "when": [condition]}]})
    stop_ticking(shop)
    shop.live.clock.ms += TICK_AGE_MS_MAX + 1
    not_sent(shop)
    shop.live.clock.ms -= 1
    assert isinstance(shop.call(), Committed)


def test_who_holds_the_log_key_ticks_and_is_told_no_such_thing(shop: Shop) -> None:
    shop.live.ask()
    assert isinstance(shop.call(), Pending)
    consent(shop)
    shop.live.clock.ms += WEEK_MS
    late = shop.call()
    assert isinstance(late, Pending)
    assert "approval-expired: 0 of 1 approvals" in late.message
    consent(shop)
    assert isinstance(shop.call(), Committed)
