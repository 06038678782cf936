"""Events in leaf order to the state of the whole log. SPEC §12 [RPL-1] to [RPL-9].

`Fold` is a projection: it can be thrown away and rebuilt, and two programs that fold the same leaves hold the same
state. It is the auditor's `World`. An event that it does not admit moves nothing: it is void.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.admission import AUTHORITY, Admitted, Blocked, Collision, Conflict, Stale, admit
from invoke_log.rules.effect import OPEN, absorb
from invoke_log.rules.event import ABOUT_KINDS, Event
from invoke_log.rules.governance import Governance, ReadRoot, Refused, found
from invoke_log.rules.kind import Approval, Observation, Start, Tick
from invoke_log.rules.states import States
from invoke_log.rules.world import EffectState

_VOID_CODES: Final[dict[type, str]] = {Collision: "collision", Conflict: "conflict", Blocked: "blocked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """An event that moved nothing: the code of the first rule that it breaks, and why."""

    code: str
    reason: str


class Fold:
    """The log's state after the leaves that were applied. Mutable; `apply` is its only verb.

    It keeps every effect and resource, the ids of notes and ticks, and the approvals of open claims; no bodies.
    """

    def __init__(self, *, shown: bytes | None = None) -> None:
        """Args: shown: the one effect whose events are applied, as in a receipt; None: every effect's are."""
        self._shown = shown
        self._governance: Governance | None = None
        self.effects: Final = States()
        """Every effect with an event on its chain, by key, as that event or a recovery moved it."""
        self.recovered: tuple[EffectState, ...] = ()
        """What the last governance event made unknown: nothing, where it is no recovery with amnesia."""
        self._states: dict[str, bytes] = {}
        self._tick_leaves: list[int] = []
        self._tick_times: list[int] = []
        self._tick_covers: list[int] = []
        self._ticks: dict[bytes, tuple[int, Event]] = {}
        self._observations: dict[bytes, tuple[int, Event]] = {}
        self._others: set[bytes] = set()
        self._approvals: dict[bytes, dict[bytes, tuple[int, Event]]] = {}

    @property
    def governance(self) -> Governance:
        assert self._governance is not None, "a fold begins with genesis"
        return self._governance

    @property
    def ticked(self) -> bool:
        """Whether a tick has been applied: before the first one the log has no time."""
        return bool(self._tick_leaves)

    def now_ms(self) -> int:
        return self._tick_times[-1] if self._tick_times else 0

    def lo(self, index: int) -> int:
        position = bisect_left(self._tick_leaves, index)
        return self._tick_times[position - 1] if position else 0

    def hi(self, index: int) -> int | None:
        position = bisect_right(self._tick_covers, index)  # they ascend: each covers the tick before it [TIME-1]
        return self._tick_times[position] if position < len(self._tick_covers) else None

    def last_tick(self) -> tuple[int, bytes] | None:
        index, tick = next(reversed(self._ticks.values()), (0, None))
        return (index, tick.id) if tick is not None else None

    def effect(self, effect: bytes, resource: str) -> EffectState:
        known = self.effects.get(effect)
        if known is not None:
            return absorb(known, self.governance.recoveries)
        # Of an effect that is not shown nothing is known, so nothing is held against it, nor a recovery [RCP-5].
        accounted = len(self.governance.recoveries) if self._shown not in (None, effect) else 0
        return EffectState(effect=effect, resource=resource, absorbed=accounted)

    def state_hash(self, resource: str) -> bytes:
        return self._states.get(resource) or digest.state_zero(self.governance.log_id, resource)

    def chained(self, effect: bytes, resource: str, event_id: bytes) -> tuple[int, Event] | None:
        return self._approvals.get(effect, {}).get(event_id)

    def unchained(self, event_id: bytes, resource: str) -> tuple[int, Event] | None:
        found_tick = self._ticks.get(event_id)
        if found_tick is not None:
            return found_tick
        observed = self._observations.get(event_id)
        return observed if observed is not None and observed[1].resource == resource else None

    def started_by(self, effect: bytes, resource: str, key: bytes) -> bool:
        return effect in self.effects and key in self.effects.kept(effect).starters

    def apply(self, event: Event, *, index: int, root: ReadRoot | None) -> Admitted | Void:
        """Return what the event at a leaf left behind, or why it is void [RPL-4].

        Args: root: asked for the tree's root before this leaf; None where it is not known, as in a receipt.
        """
        if self._governance is None:
            return self._begin(event)
        judgement = admit(event, self, index=index, root=root)
        unauthorised = isinstance(judgement, Refused) and judgement.code in AUTHORITY
        if not unauthorised and (event.id in self._ticks or event.id in self._observations or event.id in self._others):
            return Void(code="duplicate", reason="this very event stands at an earlier leaf")
        match judgement:
            case Admitted():
                self._keep(event, judgement, index)
                return judgement
            case Stale() | Refused():
                return Void(code=judgement.code, reason=judgement.reason)
            case Collision() | Conflict() | Blocked():
                return Void(
                    code=_VOID_CODES[type(judgement)], reason="an intent on an effect that is open or committed"
                )

    def assume(self, resource: str, state: bytes) -> None:
        """Take a resource's state hash on trust: a receipt shows one effect, not its resource's other decisions."""
        self._states[resource] = state

    def state_root(self, size: int) -> bytes:
        """Return the hash of everything that was derived: two replays agree on it or one of them is wrong [RPL-7]."""
        effects: Iterator[Value] = ([key, *self.effects.row(key)] for key in sorted(self.effects))
        resources: Iterator[Value] = ([name, self._states[name]] for name in sorted(self._states, key=str.encode))
        return digest.state_root(
            size, self.governance.head, (len(self.effects), effects), (len(self._states), resources)
        )

    def _begin(self, event: Event) -> Admitted | Void:
        founded = found(event)
        if isinstance(founded, Refused):
            return Void(code=founded.code, reason=founded.reason)
        self._governance = founded
        return Admitted(governance=founded)

    def _keep(self, event: Event, admitted: Admitted, index: int) -> None:
        if admitted.governance is not None:
            forgot = len(admitted.governance.recoveries) > len(self.governance.recoveries)
            self._governance = admitted.governance
            self.recovered = self._absorb() if forgot else ()
        if admitted.effect is not None:
            self._keep_effect(event, admitted.effect, index)
            if admitted.state_hash is not None:
                self._states[admitted.effect.resource] = admitted.state_hash
        elif isinstance(event.data, Tick):
            self._tick_leaves.append(index)
            self._tick_times.append(max(event.data.time_ms, self.now_ms()))
            self._tick_covers.append(event.data.covers)
            self._ticks[event.id] = (index, event)
        elif isinstance(event.data, Observation):
            self._observations[event.id] = (index, event)
        elif event.kind in ABOUT_KINDS or event.kind == "refusal":
            self._others.add(event.id)

    def _keep_effect(self, event: Event, state: EffectState, index: int) -> None:
        self.effects.move(state, starter=event.by if isinstance(event.data, Start) else None)
        if state.status not in OPEN:
            self._approvals.pop(state.effect, None)
        elif isinstance(event.data, Approval):
            self._approvals.setdefault(state.effect, {})[event.id] = (index, event)

    def _absorb(self) -> tuple[EffectState, ...]:
        """A recovery moves what is claimed or started at once; what is unknown already absorbs it when it is next read,
        and all others pay at their first intent.
        """
        recoveries = self.governance.recoveries
        recovered = tuple(absorb(self.effects[key], recoveries) for key in sorted(self.effects.running))
        for state in recovered:
            self.effects.move(state)
        return recovered
