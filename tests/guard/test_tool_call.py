"""What a tool hands back that nobody has run, or that is an exception, proves nothing, whoever ran it. [PRF-2], S3"""

import asyncio
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from invoke_log.errors import ConfigInvalidError
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Blocked, OutcomeUnknown
from invoke_log.guard.registry import make_tool
from invoke_log.rules.kind import UNKNOWN, Observation, Outcome
from tests.harness.shop import ARGUMENTS, UNHURRIED_MS, Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    partial: Value = {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}
    with open_shop(tmp_path, read_back=partial) as opened:
        yield opened


async def later() -> str:
    return "pi_1"


class Later:
    """A thing of a framework that is awaited."""

    def __await__(self) -> Any:
        return later().__await__()


async def one_by_one() -> Any:
    yield "pi_1"


LATER: list[tuple[str, Callable[[], Any]]] = [
    ("coroutine", later),
    ("Later", Later),
    ("generator", lambda: (_ for _ in ["pi_1"])),
    ("async_generator", one_by_one),
    ("Future", Future),
]


def closed(value: Any) -> None:
    """End a coroutine that nobody awaits: Python would warn of it."""
    if hasattr(value, "close"):
        value.close()


def test_an_exception_that_is_returned_is_no_result(shop: Shop) -> None:
    """Such as the ending of another guarded call, which `guard.call` returns as a value."""
    unclear = OutcomeUnknown("inner", effect_key=bytes(32), by=None, next="reconcile", status=UNKNOWN, not_before=None)
    shop.send = lambda call: unclear
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert "raise it" in str(ending.__cause__)
    assert shop.status == UNKNOWN


@pytest.mark.parametrize(("name", "make"), LATER, ids=[name for name, _ in LATER])
def test_what_nobody_has_run_is_unknown_and_not_committed(shop: Shop, name: str, make: Callable[[], Any]) -> None:
    """A decorator hid from the guard what the function is: the call may not have been made at all."""
    value = make()
    shop.send = lambda call: value
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, TypeError)
    assert name in str(ending.__cause__)
    [outcome] = [event.data for event in shop.chain() if isinstance(event.data, Outcome)]
    assert (shop.status, outcome.evidence.kind, outcome.result) == (UNKNOWN, "no_answer", None)
    assert isinstance(shop.call(), Blocked)
    closed(value)


def test_what_a_coroutine_function_returns_has_to_be_run_too(shop: Shop) -> None:
    value = later()

    async def charge(customer: str, order: str, amount: int) -> Any:
        return value

    shop.guard.tool(shop.live.contract, read_back=shop.find)(charge)
    ending = asyncio.run(shop.guard.acall("charge", ARGUMENTS))
    assert isinstance(ending, OutcomeUnknown)
    assert shop.status == UNKNOWN
    value.close()


def test_a_re_drive_that_nobody_has_run_settles_nothing(shop: Shop) -> None:
    value = later()

    def again(customer: str, order: str, amount: int, *, invoke: object) -> Any:
        return value

    shop.open(read_back=lambda call: [], redrive=again)
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.outcome(UNKNOWN))
    shop.live.wait(1)
    shop.live.wait(UNHURRIED_MS)
    look = shop.reconcile()
    assert (look.status, look.note.endswith("not answered clearly")) == (UNKNOWN, True)
    assert shop.kinds()[-1] == "redrive"
    assert not any(isinstance(entry.event.data, Observation) for entry in shop.live.log.entries())
    value.close()


@pytest.mark.parametrize("make", [one_by_one, functools.partial(one_by_one)], ids=["function", "partial"])
@pytest.mark.parametrize("asks", ["function", "redrive"])
def test_a_generator_is_refused_before_any_call(shop: Shop, make: Callable[[], Any], asks: str) -> None:
    def charge(customer: str, order: str, amount: int) -> None:
        raise AssertionError

    given: dict[str, Any] = {"function": charge, "contract": shop.live.contract, asks: make}
    with pytest.raises(ConfigInvalidError, match="is a generator, and nobody runs it"):
        make_tool(**given)


def test_a_value_that_took_an_interrupt_to_write_down_is_on_the_log_before_the_interrupt_goes_on(shop: Shop) -> None:
    class Value(dict[str, Any]):
        def items(self) -> Any:
            raise KeyboardInterrupt

    shop.send = lambda call: Value(id=1)
    with pytest.raises(KeyboardInterrupt):
        shop.call()
    assert shop.status == UNKNOWN
