"""The map of effect keys to statuses as it was after any number of leaves: a tick may carry the root of an earlier
size. SPEC §13.5 [MAP-8].

It costs little until a tick carries a root: before that, changes are only kept, packed into rows of 57 bytes.
"""

from struct import Struct
from typing import Final

from invoke_log.format.digest import map_value
from invoke_log.format.prefix_tree import EMPTY_TREE, PrefixTree
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN

_State = tuple[str, int, tuple[int, ...], bytes, int]
"""What a value of the map is the hash of: status, generation, committed generations, the chain's head and its leaf."""
_STATUSES: Final = (CLAIMED, STARTED, COMMITTED, NOT_COMMITTED, UNKNOWN, FREE)
_ROW: Final = Struct(">QBQ32sQ")
"""The leaf that changed a value, then the value: the place of its status, generation, head, the head's leaf."""


class MapHistory:
    """Every change of a map's value in leaf order, and the tree of the last size that was asked for."""

    def __init__(self) -> None:
        self._rows = bytearray()
        self._keys: list[bytes] = []
        self._committed: list[tuple[int, ...]] = []
        self._tree: PrefixTree = EMPTY_TREE
        self._applied = 0

    def note(self, index: int, key: bytes, state: _State) -> None:
        """Keep that the event at a leaf gave an effect this state."""
        status, generation, committed, head, leaf = state
        self._rows += _ROW.pack(index, _STATUSES.index(status), generation, head, leaf)
        self._keys.append(key)
        self._committed.append(committed)

    def root_at(self, size: int) -> bytes:
        """Return the 32-byte root after the first `size` leaves."""
        if self._applied and self._row(self._applied - 1)[0] >= size:
            self._tree, self._applied = EMPTY_TREE, 0
        while self._applied < len(self._keys):
            index, status, generation, head, leaf = self._row(self._applied)
            if index >= size:
                break
            value = map_value(_STATUSES[status], generation, self._committed[self._applied], head, leaf)
            self._tree = self._tree.put(self._keys[self._applied], value)
            self._applied += 1
        return self._tree.root()

    def _row(self, at: int) -> tuple[int, int, int, bytes, int]:
        return _ROW.unpack_from(self._rows, at * _ROW.size)
