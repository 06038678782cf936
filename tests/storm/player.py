"""A process of the storm, which may be killed at any time, in one of three roles.

executor    asks for every order three times, in an order of its own, under the guard; after a kill it goes on where it
            was. Of its life before it knows what the log says, and nothing else.
reconciler  watches until it is killed.
unguarded   asks for the same, by the design that is common: a table of what is done, a new key for each request, and
            three tries where no answer comes.
"""

import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import invoke_log as il
from invoke_log.guard.tool_call import CLOCK
from invoke_log.log.signer import FileSigner
from tests.storm.tools import TIMEOUT_S, Order, Plan, Sender, put_under

TIMES = 3
TRIES_MAX = 3
WATCH_EVERY_S = 0.3


def key_of(number: int) -> FileSigner:
    """Each process has a key of its own."""
    return FileSigner(bytes([number]) * 32)


def asks(plan: Plan, number: int) -> Iterator[Order]:
    """Yield what this process asks for next, from where it was when it was killed."""
    shuffle = random.Random(plan.seed * 100 + number)
    wanted = [order for _ in range(TIMES) for order in shuffle.sample(plan.orders, len(plan.orders))]
    at = max(0, reached(plan, number) - 1)
    with _reached(plan, number).open("ab", buffering=0) as stream:
        for order in wanted[at:]:
            stream.write(b".")
            yield order


def reached(plan: Plan, number: int) -> int:
    """How often this process has asked for anything, in all its lives."""
    file = _reached(plan, number)
    return file.stat().st_size if file.exists() else 0


def _reached(plan: Plan, number: int) -> Path:
    return Path(plan.place) / f"reached-{number}"


def execute(plan: Plan, number: int, sender: Sender) -> None:
    with il.Log.open(plan.log) as log:
        guard = il.Guard(log, key=key_of(number))
        put_under(guard, sender)
        for order in asks(plan, number):
            guard.call(order.tool, order.arguments)


def reconcile(plan: Plan, number: int, sender: Sender) -> None:
    with il.Log.open(plan.log) as log:
        guard = il.Guard(log, key=key_of(number))
        put_under(guard, sender)
        for _ in guard.watch(every_s=WATCH_EVERY_S):
            pass


def execute_unguarded(plan: Plan, number: int, sender: Sender) -> None:
    for order in asks(plan, number):
        done = Path(plan.place) / f"done-{order.name}"
        for _ in range(TRIES_MAX):
            if done.exists():
                break
            try:
                getattr(sender, order.tool)(**order.arguments, invoke=fresh_call())
            except Exception:  # noqa: BLE001 -- just so
                continue
            done.touch()


def fresh_call() -> il.Call:
    return il.Call(
        effect_key="",
        resource="",
        generation=1,
        provider_key=secrets.token_hex(32),
        tag=secrets.token_hex(32),
        timeout_s=TIMEOUT_S,
        send_by=time.clock_gettime(CLOCK) + 60,
        append_handle=lambda _: None,
    )


ROLES = {"executor": execute, "reconciler": reconcile, "unguarded": execute_unguarded}


def main(plan: Plan, role: str, number: int) -> None:
    choose = random.Random(f"{plan.seed} {number} {reached(plan, number)}")  # each life draws anew
    ROLES[role](plan, number, Sender(plan.ports, choose))
