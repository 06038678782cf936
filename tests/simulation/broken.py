"""The code as it would be with one rule taken out: each is a bug that somebody has written, and must be found.

python -m tests.simulation.broken --seeds 0:1000
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from invoke_log.guard.driver import NEVER_SENT, Driver
from invoke_log.guard.resolution import only_start
from invoke_log.rules import admission, effect
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import CLAIMED, COMMITTED, STARTED
from invoke_log.store.memory import MemoryStore
from tests.simulation.remembered import remembered
from tests.simulation.run import Ran, run


@contextmanager
def patched(changes: dict[str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for where, what in changes.items():
            stack.enter_context(patch(where, what, create=where.endswith(".max")))
        yield


def timeout_is_failure() -> AbstractContextManager[None]:
    """Whatever the tool raises, it did not happen."""
    return patched({"invoke_log.guard.driver.reply_of_exception": lambda contract, error: NEVER_SENT})


def no_refusal_is_permission() -> AbstractContextManager[None]:
    """Whoever is not refused may send: "it is there already, fine"."""
    return patched({"invoke_log.rules.call._accepted": lambda answer: not isinstance(answer, Refused)})


def absence_at_once() -> AbstractContextManager[None]:
    """A listing without our tag proves absence, whenever it was read: the log says so, and no reconciler waits."""
    changes: dict[str, Any] = {"invoke_log.guard.patience.Patience.to_wait_s": lambda *asked: 0.0}
    for module in ("rules.effect", "guard.reconcile"):
        changes[f"invoke_log.{module}.absence_bound"] = lambda state, contract, world: 0
    return patched(changes)


def log_clock_alone() -> AbstractContextManager[None]:
    """A reconciler takes the log's time for time, whoever set that clock."""
    return patched({"invoke_log.guard.patience.Patience.to_wait_s": lambda *asked: 0.0})


def time_that_stands_still_is_time() -> AbstractContextManager[None]:
    """Who starts takes the log's time for time, also where nobody ticks."""
    return patched({"invoke_log.ledger.log.Log.own_ms": lambda self, now_ms: now_ms})


def deadline_ignored() -> AbstractContextManager[None]:
    """A call that slept sends when it wakes."""

    def may_send(self: Driver, step: object) -> bool:
        self._tick, self._sent = None, self.raised is None
        return self._sent

    return patched({"invoke_log.guard.driver.Driver.may_send": may_send})


def start_from_started() -> AbstractContextManager[None]:
    """Who finds a call out that does not come back takes it over."""
    start = effect._start

    def restart(state: Any, *rest: Any) -> Any:
        return start(state._replace(status=CLAIMED) if state.status == STARTED else state, *rest)

    def may_go_on(seen: Any, contract: Any, bound: Any) -> bool:
        claim = seen.state.claim
        return seen.state.status in (CLAIMED, STARTED) and (claim.contract_id, claim.request) == (
            contract.id,
            bound.request,
        )

    return patched({"invoke_log.rules.effect._start": restart, "invoke_log.rules.call._may_go_on": may_go_on})


def committed_is_free() -> AbstractContextManager[None]:
    """What is done may be decided anew, as what never was."""
    occupied = admission._occupied

    def unless_committed(event: Any, data: Any, bound: Any, contract: Any, state: Any) -> Any:
        return None if state.status == COMMITTED else occupied(event, data, bound, contract, state)

    return patched({"invoke_log.rules.admission._occupied": unless_committed})


def recovery_forgotten() -> AbstractContextManager[None]:
    """An older copy of the store is as good as the one that was lost."""
    changes: dict[str, Any] = {
        f"invoke_log.{module}.absorb": lambda state, recoveries: state
        for module in ("rules.effect", "rules.fold", "ledger.state")
    }
    changes["invoke_log.rules.governance.Recovered.forgot"] = lambda *recovery: False
    return patched(changes)


def approvals_not_counted() -> AbstractContextManager[None]:
    """What was to be approved starts without it."""
    return patched(
        {
            "invoke_log.rules.effect._check_approvals": lambda *start: None,
            "invoke_log.rules.call.max": lambda *counts: 0,
        }
    )


def any_message_is_about_the_open_generation() -> AbstractContextManager[None]:
    """A message that a charge failed settles the generation that is open, whichever its tag names."""
    return patched(
        {
            "invoke_log.guard.webhook.only_start": lambda world, state, generation: only_start(
                world, state, state.generation
            )
        }
    )


def any_message_is_about_the_last_attempt() -> AbstractContextManager[None]:
    """A message that a charge failed settles the attempt that is open, whichever it speaks of."""
    open_start: Any = lambda world, state, generation: state.send and state.send.id
    return patched({f"invoke_log.guard.{module}.only_start": open_start for module in ("webhook", "reconcile")})


def budgets_not_compared() -> AbstractContextManager[None]:
    """What a budget counted when the policy was asked is what it counts when the event is appended."""
    return patched({"invoke_log.ledger.admit._stale_budgets": lambda world, event: None})


def compare_and_set_dropped() -> AbstractContextManager[None]:
    """The store appends whatever it is given, whoever came first."""
    judge = MemoryStore._judge
    return patched(
        {"invoke_log.store.memory.MemoryStore._judge": lambda self, pending: judge(self, replace(pending, expect={}))}
    )


BROKEN: Final[dict[Callable[[], AbstractContextManager[None]], str]] = {
    timeout_is_failure: "S2",
    no_refusal_is_permission: "S4",
    absence_at_once: "S2",
    log_clock_alone: "S2",
    time_that_stands_still_is_time: "S9",
    deadline_ignored: "S4",
    start_from_started: "S6",
    committed_is_free: "S5",
    recovery_forgotten: "S1",
    approvals_not_counted: "S9",
    any_message_is_about_the_last_attempt: "S2",
    any_message_is_about_the_open_generation: "S2",
    budgets_not_compared: "POL-7",
    compare_and_set_dropped: "S7",
}
"""Each bug, and the invariant that it breaks."""


def found(broken: Callable[[], AbstractContextManager[None]], seeds: Sequence[int]) -> Ran | None:
    """Return the first seed that shows a bug, by the invariant that it breaks; None: none does."""
    with remembered(), broken():
        return next((ran for ran in map(run, seeds) if (ran.failed or "").startswith(f"{BROKEN[broken]}:")), None)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000")
    first, _, last = parser.parse_args(argv).seeds.partition(":")
    missed = 0
    for broken in BROKEN:
        ran = found(broken, range(int(first), int(last)))
        missed += ran is None
        print(f"{broken.__name__}: {f'seed {ran.seed}, {ran.failed}' if ran else 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
