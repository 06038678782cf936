"""A policy over what was decided: what would have come of it, and what nobody can say. [POL-2], [POL-4], [POL-7]"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from invoke_log.audit.backtest import Backtest, backtest
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Committed, Denied
from invoke_log.ledger.engines import engines
from invoke_log.log.home import read_attachment
from invoke_log.rules.policy import Judgement, parse_policy
from tests.guard.test_budgets import limit
from tests.harness.live import audit
from tests.harness.shop import Shop, open_shop

PROFILE: Value = {
    "type": "record",
    "nullable": False,
    "fields": {"balance": {"type": "integer", "min": 0, "max": 99_999, "nullable": False}},
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def tried(shop: Shop, *rules: Value, budgets: Value = None, engine: str = "rules/1", **kept: Any) -> Backtest:
    source: Value = {"rules": list(rules), **({"budgets": budgets} if budgets is not None else {})}
    data = parse_policy({"name": "other", "engine": engine, "source": source})
    attachment = kept.get("attachment", partial(read_attachment, shop.live.log.path))
    return backtest(shop.live.log.entries(), data, attachment=attachment, engines=engines())


def rule(then: str, *when: Value, approvals: int = 0) -> Value:
    return {"name": then, "then": then, "approvals": approvals, "when": list(when)}


def at_most(value: int, *field: str) -> Value:
    path: list[Value] = [*field]
    return {"field": path, "test": "at_most", "value": value}


def changes(found: Backtest) -> Counter[tuple[str, str, str | None]]:
    return Counter((d.was.answer, d.would.answer, d.would.rule) for d in found.decisions if d.differs)


def test_it_says_which_answers_would_have_been_others_and_changes_nothing(shop: Shop) -> None:
    for order, amount in (("a", 100), ("b", 200), ("c", 300)):
        assert isinstance(shop.call(order=order, amount=amount), Committed)
    size = len(list(shop.live.log.entries()))
    found = tried(
        shop, rule("allow", at_most(100, "arguments", "amount")), rule("ask", at_most(200, "arguments", "amount"))
    )
    assert changes(found) == {("allow", "ask", "ask"): 1, ("allow", "deny", None): 1}
    assert [decision.was for decision in found.decisions] == [
        Judgement(answer="allow", rule="covered", approvals=0)
    ] * 3
    assert len(list(shop.live.log.entries())) == size
    assert changes(tried(shop, rule("allow"))) == {}


def test_another_number_of_approvals_is_a_change_and_another_rule_is_none(shop: Shop) -> None:
    shop.live.ask(approvals=1)
    shop.call()
    assert changes(tried(shop, rule("ask", approvals=1))) == {}
    assert changes(tried(shop, rule("ask", approvals=2))) == {("ask", "ask", "ask"): 1}


def test_budgets_are_counted_as_the_log_went(shop: Shop) -> None:
    """And it says of its own policy what the log recorded."""
    everything: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None}
    for order in ("a", "b", "c"):
        shop.call(order=order)
    found = tried(shop, rule("allow", at_most(2, "budgets", "b", "value")), budgets={"b": everything})
    assert [decision.would.answer for decision in found.decisions] == ["allow", "allow", "deny"]
    limit(shop.live, 4)
    shop.call(order="d")
    policy = shop.live.log.governance.policy
    assert policy is not None
    again = backtest(shop.live.log.entries(), policy, attachment=lambda _: None)
    assert [decision.was == decision.would for decision in again.decisions][-1]
    assert audit(shop.live.bundle()).ok


def test_what_a_policy_denied_cannot_be_judged_again_and_is_counted(shop: Shop) -> None:
    limit(shop.live, 0)
    assert isinstance(shop.call(), Denied)
    assert isinstance(shop.call(), Denied)
    shop.refusals()
    found = tried(shop, rule("allow"))
    assert (found.decisions, found.denied_calls) == ((), 2)


def test_a_field_that_was_not_copied_is_read_from_the_snapshot(tmp_path: Path) -> None:
    with open_shop(tmp_path, profile=PROFILE) as shop:
        shop.snapshot = {"balance": 50}
        shop.call()
        poor = rule("ask", at_most(50, "snapshot", "balance"))
        found = tried(shop, poor)
        assert (changes(found), found.unseen) == ({("allow", "ask", "ask"): 1}, 0)
        gone = tried(shop, poor, attachment=lambda _: None)
        assert (changes(gone), gone.unseen) == ({("allow", "deny", "ask"): 1}, 1)


def test_a_repeat_is_judged_as_the_generation_that_it_claimed(shop: Shop) -> None:
    live = shop.live
    shop.call()
    live.put(live.intent(by=live.admin, again=True))
    found = tried(shop, rule("allow", at_most(1, "generation")))
    assert [decision.would.answer for decision in found.decisions] == ["allow", "deny"]
