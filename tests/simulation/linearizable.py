"""Whether a concurrent history of appends can be put in one order that a sequential store would have answered alike.

The check is Wing and Gong's, with Lowe's memo: a search for an order that respects real time (what had returned before
another was called comes first), which never visits the same set of operations in the same state twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LOST: Final = float("inf")
"""When an append returned whose answer never came: it happened at any time since its call, or never."""
Heads = tuple[int, tuple[str | None, ...]]
"""What a sequential store holds: how many entries, and the head of each chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One conditional append as its caller saw it.

    expect, sets: by chain's number, the head that had to stand, and the new one. index: the leaf it was given; None
    where it was told that a chain had moved, and then `moved` is that chain and its head. Times are of one clock.
    """

    called: float
    returned: float
    expect: tuple[tuple[int, str | None], ...]
    sets: tuple[tuple[int, str], ...]
    index: int | None = None
    moved: tuple[int, str | None] | None = None


def linearizable(history: Sequence[Seen], began: Heads) -> bool:
    """Return whether some order of the appends explains every answer."""
    answered = sum(1 << at for at, append in enumerate(history) if append.returned != LOST)
    seen, waiting = {(0, began)}, [(0, began)]
    while waiting:
        done, heads = waiting.pop()
        if done & answered == answered:
            return True
        left = [at for at in range(len(history)) if not done >> at & 1]
        first_return = min(history[at].returned for at in left)
        for at in left:
            append = history[at]
            if append.called > first_return:
                continue  # another one had returned before this one was called
            after = _apply(append, heads)
            if after is None or (done | 1 << at, after) in seen:
                continue
            seen.add((done | 1 << at, after))
            waiting.append((done | 1 << at, after))
    return False


def _apply(append: Seen, heads: Heads) -> Heads | None:
    """What a sequential store holds afterwards; None: it would have answered something else."""
    size, standing = heads
    moved = next(((chain, standing[chain]) for chain, head in append.expect if standing[chain] != head), None)
    if append.returned != LOST and (append.moved != moved or append.index != (size if moved is None else None)):
        return None
    if moved is not None:
        return heads
    new = dict(append.sets)
    return size + 1, tuple(new.get(chain, head) for chain, head in enumerate(standing))
