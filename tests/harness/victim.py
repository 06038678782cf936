"""A process that makes one guarded call and kills itself on the way, as a power cut would.

Arguments: the log's directory, the provider (a file with one tag a line), and where it dies.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from invoke_log.guard.driver import Driver
from invoke_log.guard.guard import Guard
from invoke_log.guard.tool_call import Call
from invoke_log.ledger.log import Log
from invoke_log.rules.contract import complete_contract, parse_contract
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.protocol import Answer, Pending
from tests.harness.live import PARTIAL, Q_MS
from tests.harness.shop import ARGUMENTS, UNHURRIED_MS

CONTRACT: Final = parse_contract(
    complete_contract({**PARTIAL, "send_deadline_ms": UNHURRIED_MS, "quiescence_ms": Q_MS})
)
BEFORE_START, BEFORE_SEND, IN_TOOL, BEFORE_OUTCOME, AFTER_OUTCOME = POINTS = (
    "before the START's commit",
    "after the START's commit, before the send",
    "in the tool, after the effect",
    "before the outcome's commit",
    "after the outcome's commit",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def charging(guard: Guard, provider: Path, point: str = "") -> None:
    """Put the tool under the guard: it charges at the provider, and may die there."""

    def find(call: Call) -> list[str]:
        lines = provider.read_text().splitlines() if provider.exists() else []
        return [f"pi_{at}" for at, tag in enumerate(lines) if tag == call.tag]

    def charge(customer: str, order: str, amount: int, *, invoke: Call) -> dict[str, Any]:
        with provider.open("a") as stream:
            print(invoke.tag, file=stream, flush=True)
        if point == IN_TOOL:
            die()
        return {"id": "pi_0"}

    guard.tool(CONTRACT, read_back=find)(charge)


def arm(point: str) -> None:
    """Have the process die at one point of the call that comes next."""
    if point == BEFORE_SEND:
        Driver.may_send = lambda self, step: die()  # type: ignore[method-assign, assignment, return-value]
    append, commits = LmdbStore.append, [0]

    def dying(self: LmdbStore, pendings: Sequence[Pending]) -> list[Answer]:
        commits[0] += 1
        if (point, commits[0]) in ((BEFORE_START, 1), (BEFORE_OUTCOME, 2)):
            die()
        answers = append(self, pendings)
        if (point, commits[0]) == (AFTER_OUTCOME, 2):
            die()
        return answers

    LmdbStore.append = dying  # type: ignore[method-assign]


def main(path: Path, provider: Path, point: str) -> None:
    with Log.open(path) as log:
        guard = Guard(log)
        charging(guard, provider, point)
        arm(point)
        guard.call("charge", ARGUMENTS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
