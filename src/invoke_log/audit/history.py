"""Every event on an effect's chain, in leaf order: what an effect's report is made of, and the map of effect keys to
statuses as it was after any number of leaves, whose root a tick may carry. SPEC §13.5 [MAP-8].

An event takes 65 bytes here. Of the map nothing is made until its roots are asked for.
"""

from array import array
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from invoke_log.format.digest import map_value
from invoke_log.format.prefix_tree import EMPTY_TREE, PrefixTree
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN
from invoke_log.rules.world import EffectState

_STATUSES: Final = (CLAIMED, STARTED, COMMITTED, NOT_COMMITTED, UNKNOWN, FREE)
_ROW: Final = Struct(">QBQQ32s")
"""The leaf that moved an effect, then what it left: the place of the status, the generation, the highest committed
one, the chain's head.
"""
_UNMOVED: Final = bytes(32)
"""Stands for a head that did not move: a recovery moves statuses alone."""


class History:
    """The rows of a log."""

    def __init__(self) -> None:
        self._rows = bytearray()
        self._keys: list[bytes] = []

    def note(self, index: int, state: EffectState) -> None:
        """Keep what the event at a leaf, now the effect's head, made of it."""
        assert state.last is not None
        self._add(index, state, state.last)

    def note_recovered(self, index: int, state: EffectState) -> None:
        """Keep what the recovery at a leaf made of an effect: another status, under the head that it had."""
        self._add(index, state, _UNMOVED)

    def roots(self, sizes: Iterable[int]) -> Iterator[bytes]:
        """Return the map's 32-byte root after each of these numbers of leaves, which ascend: the tree is built once."""
        tree: PrefixTree = EMPTY_TREE
        applied = 0
        standing: dict[bytes, tuple[tuple[int, ...], bytes, int]] = {}  # committed generations, the head, and its leaf
        for size in sizes:
            while applied < len(self._keys):
                index, status, generation, committed_max, moved_to = self._row(applied)
                if index >= size:
                    break
                key = self._keys[applied]
                committed, head, leaf = standing.get(key, ((), b"", 0))
                if committed_max > max(committed, default=0):
                    committed = (*committed, committed_max)
                if moved_to != _UNMOVED:
                    head, leaf = moved_to, index
                standing[key] = committed, head, leaf
                tree = tree.put(key, map_value(_STATUSES[status], generation, committed, head, leaf))
                applied += 1
            yield tree.root()

    def events(self) -> Iterator[tuple[bytes, bytes]]:
        """Return each effect by key, and the ids of the events on its chain: 32 bytes each, joined, in leaf order."""
        last: dict[bytes, int] = {}
        before = array("q")
        for at, key in enumerate(self._keys):
            before.append(last.get(key, -1))
            last[key] = at
        for key in sorted(last):
            at, heads = last.pop(key), list[bytes]()
            while at >= 0:
                heads.append(self._row(at)[-1])
                at = before[at]
            yield key, b"".join(head for head in reversed(heads) if head != _UNMOVED)

    def _add(self, index: int, state: EffectState, head: bytes) -> None:
        status = _STATUSES.index(state.status)
        self._rows += _ROW.pack(index, status, state.generation, state.committed_max, head)
        self._keys.append(state.effect)

    def _row(self, at: int) -> tuple[int, int, int, int, bytes]:
        return _ROW.unpack_from(self._rows, at * _ROW.size)
