"""Ctrl-C at any step of a call: it goes on once the log has heard what became of the call. [CALL-2], [CALL-4]"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from invoke_log.errors import StoreFullError
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Committed, OutcomeUnknown
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import COMMITTED, FREE, NOT_COMMITTED, UNKNOWN, Outcome
from invoke_log.rules.policy import parse_policy
from tests.harness.between import fail, on_disk
from tests.harness.shop import Shop, open_shop, raising, shop_over


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def evidence(shop: Shop) -> list[str]:
    return [event.data.evidence.kind for event in shop.chain() if isinstance(event.data, Outcome)]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_while_the_tool_runs_it_is_unknown(shop: Shop, interrupt: type[BaseException]) -> None:
    shop.send = raising(interrupt())
    with pytest.raises(interrupt):
        shop.call()
    assert (shop.status, evidence(shop)) == (UNKNOWN, ["no_answer"])


class TimeLimitError(Exception):
    """What the handler of a signal raises in the main thread, as job queues do."""


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeLimitError])
@pytest.mark.parametrize("stored", [False, True])
def test_while_its_start_is_appended_nothing_is_sent_and_the_log_says_so(
    tmp_path: Path, stored: bool, interrupt: type[BaseException]
) -> None:
    """Else a call that nobody can observe would need a person to say that it was never made."""
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live, observability="fire-and-forget", read_back=None, provider_key=None)
        (opened[-1].after if stored else opened[-1].before).append(fail(interrupt()))
        with pytest.raises(interrupt):
            shop.call()
        assert (shop.landed, shop.status, evidence(shop)) == ([], NOT_COMMITTED, ["never_sent"])
        assert isinstance(shop.call(), Committed)
        assert live.audit().findings == ()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeLimitError])
@pytest.mark.parametrize("stored", [False, True])
def test_while_its_outcome_is_appended_it_is_committed(
    tmp_path: Path, stored: bool, interrupt: type[BaseException]
) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)

        def send(_: Call) -> str:
            (opened[-1].after if stored else opened[-1].before).append(fail(interrupt()))
            return "pi_1"

        shop.send = send
        with pytest.raises(interrupt):
            shop.call()
        assert (shop.status, evidence(shop), len(shop.landed)) == (COMMITTED, ["response"], 1)


def test_a_time_limit_while_an_unknown_outcome_is_appended_never_reads_as_try_again(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)

        def send(_: Call) -> str:
            opened[-1].before.append(fail(TimeLimitError()))
            raise ConnectionError("reset")

        shop.send = send
        ending = shop.call()
        assert isinstance(ending, OutcomeUnknown)
        assert isinstance(ending.__cause__, ConnectionError)
        assert (shop.status, evidence(shop)) == (UNKNOWN, ["no_answer"])


def test_an_error_of_the_log_afterwards_does_not_stand_in_its_place(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)
        opened[-1].before += [fail(KeyboardInterrupt()), fail(StoreFullError("no space"))]
        with pytest.raises(KeyboardInterrupt):
            shop.call()
        assert (shop.landed, shop.status) == ([], FREE)


class Turn:
    """A lock that is taken, and then the signal comes."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.release: Callable[[], None] = lock.release

    def acquire(self) -> bool:
        self._lock.acquire()
        raise KeyboardInterrupt


def test_while_its_turn_comes_the_turn_goes_to_the_others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    budget: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None}
    rule: Value = {"name": "few", "then": "allow", "approvals": 0, "when": []}
    source: Value = {"budgets": {"calls": budget}, "rules": [rule]}
    policy = parse_policy({"name": "few", "engine": "rules/1", "source": source})
    shop.live.put(shop.live.log.draft(policy, shop.live.admin))
    turn = shop.live.log.turn
    monkeypatch.setattr(shop.live.log, "turn", Turn(turn))
    with pytest.raises(KeyboardInterrupt):
        shop.call()
    monkeypatch.undo()
    free: list[bool] = []
    other = threading.Thread(target=lambda: free.append(turn.acquire(blocking=False)))
    other.start()
    other.join(timeout=10)
    assert free == [True]
