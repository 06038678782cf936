"""A tool that charges at a provider which is a list, under a guard over a log that runs, for tests of the guard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope, open_envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Ending
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.tool_call import Call
from invoke_log.rules.event import Event
from invoke_log.rules.kind import Refusal
from tests.harness.live import Live, memory_live

ARGUMENTS: Final[dict[str, Value]] = {"customer": "cus_1", "order": "789", "amount": 5000}
UNHURRIED_MS: Final = 600_000
"""A send deadline that no stalled machine misses: the log's time is the test's own."""


@dataclass
class Shop:
    """A guard with one tool, `charge`. `landed` holds the tag of each charge; `send` is what the tool then does."""

    live: Live
    guard: Guard
    landed: list[str] = field(default_factory=list)
    send: Callable[[Call], Any] = lambda call: {"id": f"pi_{call.tag[:8]}"}
    snapshot: dict[str, Any] = field(default_factory=dict)

    def open(self, guard: Guard | None = None, **tool: Any) -> None:
        """Put the tool under a guard."""
        profile = self.live.contract.profile is not None

        def charge(customer: str, order: str, amount: int, *, invoke: Call) -> Any:
            self.landed.append(invoke.tag)
            return self.send(invoke)

        given = {"read_back": self.find, "snapshot": (lambda: dict(self.snapshot)) if profile else None, **tool}
        (guard or self.guard).tool(self.live.contract, **given)(charge)

    def find(self, call: Call) -> object:
        return [f"pi_{at}" for at, tag in enumerate(self.landed) if tag == call.tag]

    def call(self, guard: Guard | None = None, **changes: Value) -> Ending:
        return (guard or self.guard).call("charge", {**ARGUMENTS, **changes})

    def other(self, seed: int, *roles: str) -> Guard:
        """A second guard with the same tool and a key of its own."""
        guard = Guard(self.live.log, key=self.live.grant(seed, *(roles or ("agent", "executor"))))
        self.open(guard)
        return guard

    def reconcile(self) -> Reconciled:
        [one] = self.guard.reconcile()
        return one

    def begin_to_watch(self) -> None:
        """Have the reconciler see what is open now: from here on it waits D + Q on its own clock."""
        self.guard._patience.follow(self.live.log)

    @property
    def status(self) -> str:
        return self.live.state().status

    def chain(self) -> list[Event]:
        """The events on the effect's chain."""
        return [entry.event for entry in self.live.log.effect(self.live.bound().effect).entries]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.chain()]

    def intent(self) -> Envelope:
        """The latest intent of the effect."""
        entries = self.live.log.effect(self.live.bound().effect).entries
        entry = [entry for entry in entries if entry.event.kind == "intent"][-1]
        return open_envelope(entry.body, entry.signature)

    def refusals(self) -> list[Refusal]:
        """The refusals on record, those that wait included."""
        self.live.clock.ms += 1
        self.live.log.tick()
        return [entry.event.data for entry in self.live.log.entries() if isinstance(entry.event.data, Refusal)]


def raising(error: BaseException) -> Callable[[Call], Any]:
    """What a tool does whose request reached the provider and whose answer did not come back."""

    def send(_: Call) -> Any:
        raise error

    return send


@contextmanager
def open_shop(place: Path, **contract: Value) -> Iterator[Shop]:
    """A shop over a log in memory, under a contract that is changed so."""
    with memory_live(place) as live:
        yield shop_over(live, **contract)


def shop_over(live: Live, **contract: Value) -> Shop:
    live.register(version=2, **{"send_deadline_ms": UNHURRIED_MS, **contract})
    shop = Shop(live, Guard(live.log, key=live.agent))
    shop.open()
    return shop
