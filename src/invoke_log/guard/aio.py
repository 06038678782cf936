"""`rules.call`, driven on an event loop: the same machine, awaiting the two steps that take long, the append and the
tool.

Reads of the log are a few microseconds each and happen in place. Cancelling a task decides nothing: the outcome of a
call that was sent is appended before the cancellation goes on its way.
"""

import asyncio
from contextlib import AsyncExitStack

from invoke_log.guard.driver import NEVER_SENT, Driver, interrupted
from invoke_log.guard.registry import Tool
from invoke_log.guard.tool_call import reply_of_exception, reply_of_value
from invoke_log.ledger.log import Log
from invoke_log.rules.answer import Answer
from invoke_log.rules.step import Append, Ended, Reply, Send


async def run(driver: Driver, log: Log, tool: Tool) -> Ended:
    """Return how a call of a coroutine function ended. As `Driver.run`."""
    async with AsyncExitStack() as turn:
        return await _run(driver, log, tool, turn)


async def _run(driver: Driver, log: Log, tool: Tool, turn: AsyncExitStack) -> Ended:
    machine = driver.begin()
    came: object = None
    while True:
        try:
            step = machine.send(came)
        except StopIteration as stop:
            ended: Ended = stop.value
            return ended
        try:
            if isinstance(step, Append):
                came = await _append(driver, log, step)
                await turn.aclose()
            elif isinstance(step, Send):
                came = await _send(driver, tool, step)
            else:
                came = driver.carry_out(step)
                if driver.takes_turn(came):
                    await turn.aclose()
                    await turn.enter_async_context(log.loop_turn)
                    came = driver.carry_out(step)
        except Exception as error:  # noqa: BLE001 -- a signer's time-out, say, must not read as "try again"
            return driver.lost(error)


async def _append(driver: Driver, log: Log, step: Append) -> list[Answer]:
    """Append, and wait for the answer even where this task is cancelled meanwhile: what was appended decides what
    follows.
    """
    appending = asyncio.ensure_future(log.aappend_many(driver.envelopes_of(step)))
    while not appending.done():
        try:
            await asyncio.shield(appending)
        except asyncio.CancelledError as error:
            driver.stopped = error
    if appending.cancelled():
        return interrupted(step)  # the loop closes down, and has cancelled this too
    return appending.result()[-len(step.events) :]


async def _send(driver: Driver, tool: Tool, step: Send) -> Reply:
    if not driver.may_send(step):
        return NEVER_SENT
    try:
        driver.value = await tool.function(**driver.arguments_of(step))
        return reply_of_value(driver.value)
    except BaseException as error:  # noqa: BLE001 -- whatever it was, the request may have left: the log must hear of it
        driver.raised = error
        return reply_of_exception(tool.contract, error)
