"""Budgets while calls race: no more are let through than the policy says, whoever is faster. SPEC §8.3 [POL-7]."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

import invoke_log as il
from invoke_log.audit.receipt import verify_receipt
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard.outcome import Blocked, Committed, Denied
from invoke_log.log.home import signer_beside
from invoke_log.rules import budget, call
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Answer
from invoke_log.rules.policy import parse_policy
from tests.harness import between
from tests.harness.live import Live, open_live
from tests.harness.shop import ARGUMENTS, Shop, shop_over

CALLERS: Final = 8
CALLS: Final = 24
MOST: Final = 5


def limit(live: Live, most: int, **changes: Value) -> None:
    budget: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None, **changes}
    within: Value = {"field": ["budgets", "b", "value"], "test": "at_most", "value": most}
    rules: Value = [{"name": "within", "then": "allow", "approvals": 0, "when": [within]}]
    source: Value = {"budgets": {"b": budget}, "rules": rules}
    live.put(live.log.draft(parse_policy({"name": "limit", "engine": "rules/1", "source": source}), live.admin))


def raced(shop: Shop) -> Counter[str]:
    """How many calls at once ended how, each for a customer of its own: no resource stands between them."""

    def call(number: int) -> str:
        arguments = {**ARGUMENTS, "customer": f"cus_{number}", "order": f"ord_{number}"}
        return type(shop.guard.call("charge", arguments)).__name__

    with ThreadPoolExecutor(CALLERS) as pool:
        return Counter(pool.map(call, range(CALLS)))


def test_of_calls_that_race_as_many_pass_as_the_budget_has_room_for(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        shop = shop_over(live)
        limit(live, MOST)
        endings = raced(shop)
        assert endings == {Committed.__name__: MOST, Denied.__name__: CALLS - MOST}
        assert len(shop.landed) == MOST
        live.log.checkpoint()
        assert live.audit().findings == ()


def test_a_budget_with_room_for_all_stops_none(tmp_path: Path) -> None:
    """Calls of one process take turns, and none loses to another."""
    with open_live(tmp_path) as live:
        shop = shop_over(live)
        limit(live, 5000 * CALLS, sum="amount")
        answers: list[Answer] = []
        append = live.log.append_many

        def noted(envelopes: Sequence[Envelope]) -> list[Answer]:
            answers.extend(found := append(envelopes))
            return found

        live.log.append_many = noted  # type: ignore[method-assign]
        assert raced(shop) == {Committed.__name__: CALLS}
        assert [answer for answer in answers if isinstance(answer, Stale)] == []
        assert live.audit().findings == ()


@pytest.mark.parametrize("where", ["Spending.note", "_Tally.apply"])
def test_whoever_is_interrupted_while_it_counts_leaves_nothing_counted_twice(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_live(tmp_path) as live:
        shop = shop_over(live)
        limit(live, 4)
        shop.call(order="1")
        owner, name = where.split(".")
        real = getattr(getattr(budget, owner), name)

        def interrupted(*given: Any) -> None:
            real(*given)
            monkeypatch.setattr(getattr(budget, owner), name, real)
            raise KeyboardInterrupt

        monkeypatch.setattr(getattr(budget, owner), name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            shop.call(order="2")
        endings = [type(shop.call(order=order)) for order in "2345"]
        assert endings == [Committed, Committed, Committed, Denied]
        assert live.audit().findings == ()


def test_another_process_that_came_first_is_counted(tmp_path: Path) -> None:
    """[POL-7], [ADM-1]: whatever comes between the judgement and the append is expected not to."""
    with between.raced(tmp_path) as (live, store, other):
        limit(live, 1)
        ours, theirs = (live.intent(live.bound(order=name, customer=name)) for name in ("ours", "theirs"))
        store.before.append(lambda: other.append(theirs))
        assert live.answer(ours) == "stale budgets-stale"
        assert live.audit().findings == ()


def test_what_has_left_the_window_gives_its_room_back_and_a_receipt_says_nothing_of_it(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        shop = shop_over(live)
        limit(live, 5000, sum="amount", window_ms=60_000)
        first = shop.call()
        assert isinstance(first, Committed)
        assert verify_receipt(first.receipt()).findings == ()
        denied = shop.call(order="790")
        assert isinstance(denied, Denied)
        assert not isinstance(denied, Blocked)
        live.wait(60_001)
        assert isinstance(shop.call(order="790"), Committed)
        assert live.audit().findings == ()


def test_tasks_of_a_loop_take_turns_however_many_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that decide on one count, one passes a commit: who lost as often as a call may would be told to wait."""
    monkeypatch.setattr(call, "DECISIONS_MAX", 4)
    log = il.Log.create(tmp_path / "log", origin="example.com/payments")
    guard = il.Guard(log)
    budget: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None}
    source: Value = {"budgets": {"b": budget}, "rules": [{"name": "all", "then": "allow", "approvals": 0, "when": []}]}
    admin = signer_beside(log.path, "admin")
    assert admin is not None
    log.append(log.draft(parse_policy({"name": "counted", "engine": "rules/1", "source": source}), admin))

    @guard.tool("money.charge/1", resource="shop/{customer}", purpose="order")
    async def charge(customer: str, order: str) -> str:
        return order

    async def story() -> list[str]:
        return list(await asyncio.gather(*(charge(f"cus_{number}", "1") for number in range(CALLERS))))

    assert asyncio.run(story()) == ["1"] * CALLERS
    log.close()
