"""Breadth-first search of a small model: every reachable state is visited, and a failure comes with a shortest trace.

A model is a start state and `moves(state)`, which yields (label, next state). States are hashable values.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)
Label = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[State]):
    """What a search came to. broken: the invariant that fails, None where all hold. trace: the moves up to there."""

    states: int
    broken: str | None
    trace: tuple[Label, ...]
    last: State | None


def search(
    start: State,
    moves: Callable[[State], Iterable[tuple[Label, State]]],
    broken_in: Callable[[State], str | None],
    *,
    states_max: int,
) -> Found[State]:
    """Return the first state in which `broken_in` names a broken invariant, by a shortest trace; or that there is none.

    Raises: MemoryError: more than `states_max` states; the model's bounds are too wide to say anything.
    """
    came: dict[State, tuple[State, Label] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        broken = broken_in(state)
        if broken is not None:
            return Found(states=len(came), broken=broken, trace=tuple(_trace(came, state)), last=state)
        for label, after in moves(state):
            if after not in came:
                came[after] = (state, label)
                waiting.append(after)
        if len(came) > states_max:
            raise MemoryError(f"more than {states_max} states")
    return Found(states=len(came), broken=None, trace=(), last=None)


def trapped(
    start: State,
    moves: Callable[[State], Iterable[tuple[Label, State]]],
    reached: Callable[[State], bool],
    counts: Callable[[State], bool],
    *,
    states_max: int,
) -> Found[State]:
    """Return a state that `counts` and from which none that is `reached` can be reached any more (AG EF), by a shortest
    trace; or that there is none. Raises MemoryError as `search`.
    """
    came: dict[State, tuple[State, Label] | None] = {start: None}
    before: dict[State, list[State]] = {start: []}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        for label, after in moves(state):
            if after not in came:
                came[after] = (state, label)
                before[after] = []
                waiting.append(after)
            before[after].append(state)
        if len(came) > states_max:
            raise MemoryError(f"more than {states_max} states")
    can = {state for state in came if reached(state)}
    back = deque(can)
    while back:
        for state in before[back.popleft()]:
            if state not in can:
                can.add(state)
                back.append(state)
    stuck = next((state for state in came if counts(state) and state not in can), None)
    if stuck is None:
        return Found(states=len(came), broken=None, trace=(), last=None)
    return Found(states=len(came), broken="L1", trace=tuple(_trace(came, stuck)), last=stuck)


def _trace(came: dict[State, tuple[State, Label] | None], state: State) -> Iterator[Label]:
    labels = []
    step = came[state]
    while step is not None:
        state, label = step
        labels.append(label)
        step = came[state]
    yield from reversed(labels)
