"""The asynchronous driver: the same machine as the synchronous one, on an event loop. [CALL-1] to [CALL-4]."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import invoke_log as il
from invoke_log.errors import StoreFullError
from invoke_log.ledger import log as ledger_log

ARGUMENTS: dict[str, Any] = {"customer": "cus_1", "amount": 5000, "order": "789"}
Send = Callable[[il.Call], Awaitable[Any]]


class World:
    """A log, a guard, and a provider that counts what reached it."""

    def __init__(self, path: Path) -> None:
        self.log = il.Log.create(path / "log", origin="example.com/payments")
        self.guard = il.Guard(self.log)
        self.landed: list[str] = []

    def tool(self, send: Send) -> Callable[..., Awaitable[Any]]:
        @self.guard.tool(
            "money.charge/1",
            resource="stripe/customer/{customer}",
            purpose="order",
            read_back=lambda call: [tag for tag in self.landed if tag == call.tag],
        )
        async def charge(customer: str, amount: int, order: str, *, invoke: il.Call) -> Any:
            self.landed.append(invoke.tag)
            return await send(invoke)

        return charge

    def statuses(self) -> list[str]:
        return [state.status for state in self.log.effects()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def _answers(_: il.Call) -> str:
    return "pi_1"


def test_a_coroutine_tool_returns_its_value_and_then_its_recorded_one(world: World) -> None:
    charge = world.tool(_answers)

    async def story() -> list[Any]:
        return [await charge(**ARGUMENTS), await charge(**ARGUMENTS)]

    assert asyncio.run(story()) == ["pi_1", "pi_1"]
    assert len(world.landed) == 1


def test_of_many_tasks_on_one_effect_one_sends(world: World) -> None:
    charge = world.tool(_answers)

    async def story() -> list[Any]:
        return await asyncio.gather(*(charge(**ARGUMENTS) for _ in range(32)), return_exceptions=True)

    endings = asyncio.run(story())
    assert len(world.landed) == 1
    assert endings.count("pi_1") >= 1
    assert all(ending == "pi_1" or isinstance(ending, il.Blocked) for ending in endings)


def test_calls_of_one_key_in_one_millisecond_are_told_of_the_one_that_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They sign the same bytes, so the later intent is a DUPLICATE, which permits nothing [CALL-4]."""
    charge = world.tool(_answers)
    now_ms = time.time_ns() // 1_000_000
    monkeypatch.setattr(ledger_log, "_now_ms", lambda: now_ms)

    async def story() -> list[Any]:
        return await asyncio.gather(*(charge(**ARGUMENTS) for _ in range(8)), return_exceptions=True)

    endings = asyncio.run(story())
    assert (len(world.landed), endings.count("pi_1")) == (1, 1)
    others = [ending for ending in endings if ending != "pi_1"]
    assert {(type(ending), ending.status) for ending in others} == {(il.Blocked, "collision")}


def test_effects_of_many_tasks_are_all_sent_once(world: World) -> None:
    charge = world.tool(_answers)

    async def story() -> None:
        await asyncio.gather(*(charge(**{**ARGUMENTS, "order": str(n), "customer": f"cus_{n}"}) for n in range(64)))

    asyncio.run(story())
    assert len(world.landed) == len(set(world.landed)) == 64
    assert world.statuses() == ["committed"] * 64


def test_a_cancelled_call_that_was_sent_is_unknown_and_the_cancellation_goes_on(world: World) -> None:
    sent = asyncio.Event()

    async def hang(_: il.Call) -> None:
        sent.set()
        await asyncio.sleep(60)

    charge = world.tool(hang)

    async def story() -> None:
        task = asyncio.ensure_future(charge(**ARGUMENTS))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert world.statuses() == ["unknown"]
    assert len(world.landed) == 1


def test_a_call_cancelled_before_its_send_sends_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    charge = world.tool(_answers)
    append = world.log.aappend_many

    async def story() -> None:
        task = asyncio.ensure_future(charge(**ARGUMENTS))

        async def cancelled_meanwhile(envelopes: Any) -> Any:
            monkeypatch.undo()
            task.cancel()
            return await append(envelopes)

        monkeypatch.setattr(world.log, "aappend_many", cancelled_meanwhile)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert world.landed == []
    assert world.statuses() == ["not_committed"]


def test_a_loop_that_closes_down_during_the_append_of_an_outcome_still_appends_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asyncio.run` cancels every task at its end, the append's own too."""
    append = world.log.aappend_many

    async def closes_down(_: il.Call) -> str:
        monkeypatch.setattr(world.log, "aappend_many", cancelled_once)
        return "pi_1"

    async def cancelled_once(_: Any) -> Any:
        monkeypatch.setattr(world.log, "aappend_many", append)
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(60)

    charge = world.tool(closes_down)

    async def story() -> None:
        await charge(**ARGUMENTS)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(story())
    assert world.statuses() == ["committed"]


def test_what_was_sent_is_told_though_the_program_has_come_to_its_end(world: World) -> None:
    """The main thread is through: no executor takes on anything more, and this loop still runs."""

    async def ends(_: il.Call) -> str:
        await asyncio.get_running_loop().shutdown_default_executor()
        return "pi_1"

    charge = world.tool(ends)

    async def story() -> Any:
        return await charge(**ARGUMENTS)

    assert asyncio.run(story()) == "pi_1"
    assert world.statuses() == ["committed"]


def test_a_timeout_is_unknown_and_the_retry_is_blocked(world: World) -> None:
    async def times_out(_: il.Call) -> None:
        raise TimeoutError

    charge = world.tool(times_out)

    async def story() -> None:
        with pytest.raises(il.OutcomeUnknown):
            await charge(**ARGUMENTS)
        with pytest.raises(il.Blocked):
            await charge(**ARGUMENTS)

    asyncio.run(story())
    assert len(world.landed) == 1


def test_a_log_that_cannot_take_the_outcome_of_a_sent_call_leaves_it_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fills_the_disk(_: il.Call) -> str:
        monkeypatch.setattr(world.log, "aappend_many", full)
        return "pi_1"

    async def full(_: Any) -> Any:
        raise StoreFullError("no space")

    charge = world.tool(fills_the_disk)

    async def story() -> None:
        with pytest.raises(il.OutcomeUnknown) as caught:
            await charge(**ARGUMENTS)
        assert isinstance(caught.value.__cause__, StoreFullError)
        monkeypatch.undo()
        monkeypatch.setattr(world.log, "aappend_many", full)
        with pytest.raises(StoreFullError):
            await charge(**{**ARGUMENTS, "order": "790"})

    asyncio.run(story())
    assert len(world.landed) == 1
    assert world.statuses() == ["started"]


def test_a_cancellation_is_not_lost_to_an_append_that_fails_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = world.tool(_answers)

    async def story() -> None:
        task = asyncio.ensure_future(charge(**ARGUMENTS))

        async def cancelled_and_full(_: Any) -> Any:
            task.cancel()
            await asyncio.sleep(0.01)
            raise StoreFullError("no space")

        monkeypatch.setattr(world.log, "aappend_many", cancelled_and_full)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert world.landed == []


def test_call_and_acall_refuse_each_others_tools(world: World) -> None:
    world.tool(_answers)
    with pytest.raises(il.InvokeLogError, match="coroutine"):
        world.guard.call("charge", ARGUMENTS)
