"""The map of effect keys to statuses as it was after any number of leaves: a tick may carry the root of an earlier
size. SPEC §13.5 [MAP-8].

It costs nothing until a tick carries a root: before that, changes are only kept.
"""

from invoke_log.format.digest import map_value
from invoke_log.format.prefix_tree import EMPTY_TREE, PrefixTree

_State = tuple[str, int, tuple[int, ...], bytes, int]
"""What a value of the map is the hash of: status, generation, committed generations, the chain's head and its leaf."""


class MapHistory:
    """Every change of a map's value in leaf order, and the tree of the last size that was asked for."""

    def __init__(self) -> None:
        self._changes: list[tuple[int, bytes, _State]] = []
        self._tree: PrefixTree = EMPTY_TREE
        self._applied = 0

    def note(self, index: int, key: bytes, state: _State) -> None:
        """Keep that the event at a leaf gave an effect this state."""
        self._changes.append((index, key, state))

    def root_at(self, size: int) -> bytes:
        """Return the 32-byte root after the first `size` leaves."""
        if self._applied and self._changes[self._applied - 1][0] >= size:
            self._tree, self._applied = EMPTY_TREE, 0
        while self._applied < len(self._changes) and self._changes[self._applied][0] < size:
            _, key, state = self._changes[self._applied]
            self._tree = self._tree.put(key, map_value(*state))
            self._applied += 1
        return self._tree.root()
