"""When a reconciler looks at what: never before the contract's deadlines, and less often the longer it lasts.

It follows the log for effects that are out or unknown, and keeps for each, on this machine's own clock, when it first
saw the last send, and when it will look again. All of it can be lost: it delays, and decides nothing. Back-off is
exponential with a cap; a deadline that is known ends it early.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from invoke_log.guard.first_sight import FirstSights, sight_of
from invoke_log.guard.tool_call import CLOCK
from invoke_log.ledger.log import Log
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import CHAINED_KINDS
from invoke_log.rules.kind import STARTED, UNKNOWN
from invoke_log.rules.world import EffectState

EVERY_S_DEFAULT: Final = 5.0
DELAY_S_MAX: Final = 300.0
"""Seconds between two looks at one effect at most: a provider that is down for a day is asked 300 times, not 17,000."""
DEADLINE_SLACK_S: Final = 0.05
"""Seconds past a deadline that a look waits, so that the log's next tick has passed it too."""
OUT: Final = frozenset((STARTED, UNKNOWN))


@dataclass(slots=True)
class _Kept:
    """head: the effect's, when last seen. send: the leaf that its bound counts from, `since` when it was first seen.
    sight: the name that this is kept under. known_s: seconds until the next deadline, when last looked at.
    """

    resource: str
    head: bytes | None
    send: int
    sight: str
    since: float
    due: float
    delay: float = 0.0
    known_s: float | None = None


class Patience:
    """What a reconciler remembers between two looks. Threads may share it; no lock is held while anybody is asked."""

    def __init__(self, first_sights: FirstSights) -> None:
        self._first_sights = first_sights
        self._kept: dict[bytes, _Kept] = {}
        self._lock = threading.RLock()
        self._size: int | None = None
        """Leaves that have been followed; None: none yet, or a recovery has changed what no event names."""

    def follow(self, log: Log) -> None:
        """Read what has been appended since the last time: what is out, what is settled, what others have moved."""
        with self._lock:
            self._follow(log)

    def _follow(self, log: Log) -> None:
        with log.world() as world:
            size = int(world.reader.size)
        if self._size is None:
            states = [state for state in log.open_effects() if state.status in OUT]
            for state in states:
                self.see(state)
            self._first_sights.keep_only({sight_of(state, bound_leaf(state)) for state in states})
        elif size > self._size:
            touched: dict[bytes, tuple[str, bool]] = {}
            for event in (entry.event for entry in log.entries(self._size)):
                if event.kind == "recovery":
                    self._size = None
                    return self._follow(log)
                if event.effect is None or event.resource is None:
                    continue
                kept = self._kept.get(event.effect)
                # Off every chain an event may name any resource: only what is on a chain says where an effect belongs.
                observed = event.kind == "observation" and kept is not None and kept.resource == event.resource
                if observed or event.kind in CHAINED_KINDS:
                    observed = observed or touched.get(event.effect, ("", False))[1]
                    touched[event.effect] = event.resource, observed
            for effect, (resource, observed) in touched.items():
                with log.world() as world:
                    self.see(world.effect(effect, resource), observed=observed)
        self._size = size
        return None

    def see(self, state: EffectState, *, observed: bool = False) -> None:
        """Take in how an effect stands; where its chain has moved, or was observed, it is looked at without delay."""
        with self._lock:
            now, send = _clock(), bound_leaf(state)
            kept = self._kept.get(state.effect)
            if kept is not None and (kept.send != send or state.status not in OUT):
                self._first_sights.forget(self._kept.pop(state.effect).sight)
            if state.status not in OUT:
                return
            if kept is None or kept.send != send:
                sight = sight_of(state, send)
                since = self._first_sights.since(sight, now)
                self._kept[state.effect] = _Kept(
                    resource=state.resource, head=state.last, send=send, sight=sight, since=since, due=now
                )
            elif kept.head != state.last or observed:
                kept.head, kept.due, kept.delay, kept.known_s = state.last, now, 0.0, None

    def out(self) -> list[tuple[bytes, str]]:
        """Return key and resource of every effect that is out or unknown."""
        with self._lock:
            return [(effect, kept.resource) for effect, kept in self._kept.items()]

    def due(self) -> Iterator[tuple[bytes, str]]:
        """Yield key and resource of every effect whose next look is due."""
        for effect, resource in self.out():
            kept = self._kept.get(effect)
            if kept is not None and kept.due <= _clock():
                yield effect, resource

    def looked(self, effect: bytes, *, every_s: float, known_s: float | None) -> None:
        """Put off the next look: twice as long as the last time, or until a deadline that is known.

        Args: known_s: seconds until the contract's next deadline; None or past: there is none. One that has come no
            nearer since the last look is not waited for: the log's time stands still.
        """
        kept = self._kept.get(effect)
        if kept is None:
            return
        kept.delay = wait = min(max(2 * kept.delay, every_s), DELAY_S_MAX)
        if known_s is not None and known_s > 0 and (kept.known_s is None or known_s < kept.known_s):
            wait = min(wait, known_s + DEADLINE_SLACK_S)
        kept.due, kept.known_s = _clock() + wait, known_s

    def to_wait_s(self, state: EffectState, contract: Contract) -> float:
        """Return the seconds that D + Q of the last send have still to run on this machine's own clock.

        The log's time is the log key's word. A reconciler does not take its word alone for an absence [CALL-5].
        """
        kept = self._kept.get(state.effect)
        if kept is None or kept.send != bound_leaf(state):
            return contract.settle_ms / 1000
        return max(0.0, kept.since + contract.settle_ms / 1000 - _clock())

    def note(self, state: EffectState) -> None:
        """Keep over restarts since when an effect is watched."""
        kept = self._kept.get(state.effect)
        if kept is not None and kept.send == bound_leaf(state):
            self._first_sights.note(kept.sight, kept.since)

    def pause_s(self, every_s: float) -> float:
        """Return the seconds until something is due, at most `every_s`: what is new is found then."""
        with self._lock:
            dues = [kept.due - _clock() for kept in self._kept.values()]
        return min(max(min(dues, default=every_s), 0.0), every_s)


def bound_leaf(state: EffectState) -> int:
    """Return the leaf after which D + Q counts: the last send, or a recovery that came after it."""
    send = state.send.last_index if state.send is not None else -1
    return max(send, state.tainted if state.tainted is not None else -1)


def _clock() -> float:
    """Seconds on a clock that nobody sets, and that runs while the machine sleeps."""
    return time.clock_gettime(CLOCK)
