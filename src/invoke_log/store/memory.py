"""A store in this process's memory: the reference that the other stores must agree with, and the one for users' tests.

It keeps every promise but durability beyond the process.

>>> MemoryStore().append([])
[]
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from threading import Lock

from invoke_log.errors import MalformedError, NotFoundError, StoreError
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import EMPTY_FRONTIER, Frontier
from invoke_log.store.protocol import (
    COLUMN_HEIGHT,
    Answer,
    Appended,
    ChainRow,
    Moved,
    Pending,
    Reader,
    check_append,
    check_meta,
)

_leaf_index = attrgetter("index")


class MemoryStore:
    """A `Store` without a disk; `meta` is what it starts with."""

    path = "memory"
    read_only = False

    def __init__(self, meta: Mapping[bytes, bytes] | None = None) -> None:
        self._lock = Lock()
        self._entries: list[tuple[bytes, bytes]] = []
        self._nodes: dict[int, list[bytes]] = {}
        self._chains: dict[bytes, list[ChainRow]] = {}
        self._names: list[bytes] = []
        self._frontier = EMPTY_FRONTIER
        self._meta: dict[bytes, bytes] = dict(meta or {})
        self._closed = False

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        """Return one answer for each entry; see `Store.append`."""
        check_append(pendings)
        with self._open():
            # All names first: an append that breaks the rule of names stores nothing.
            for name in {name for pending in pendings for name in (*pending.expect, *_names(pending))}:
                self._check_name(name)
            return [self._judge(pending) for pending in pendings]

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """Return the store at one moment; see `Store.snapshot`."""
        with self._open():
            reader = _MemoryReader(self, self._frontier)
        yield reader

    def barrier(self) -> TreeSize:
        """Return the tree size: there is nothing to wait for."""
        with self._open():
            return self._frontier.size

    def get_meta(self, name: bytes) -> bytes | None:
        """Return a small value by its name, or None where there is none."""
        with self._open():
            return self._meta.get(name)

    def put_meta(self, name: bytes, value: bytes, *, expect: bytes | None) -> bool:
        """Return whether the value was stored; see `Store.put_meta`."""
        check_meta(name, value)
        with self._open():
            if self._meta.get(name) != expect:
                return False
            self._meta[name] = value
            return True

    def close(self) -> None:
        """End every use of the store; what it held is gone with it."""
        self._closed = True

    @contextmanager
    def _open(self) -> Iterator[None]:
        if self._closed:
            raise StoreError("store memory: it is closed")
        with self._lock:
            yield

    def _judge(self, pending: Pending) -> Answer:
        for chain, expected in pending.expect.items():
            rows = self._chains.get(chain)
            head = rows[-1].head if rows else None
            if head != expected:
                return Moved(chain=chain, head=head)
        index = LeafIndex(self._frontier.size)
        for chain, head, memo in pending.rows:
            if chain not in self._chains:
                insort(self._names, chain)
            self._chains.setdefault(chain, []).append(ChainRow(index=index, head=head, memo=memo))
        self._entries.append((pending.body, pending.signature))
        frontier, nodes = self._frontier.append(pending.entry_leaf_hash)
        for level, _, node in nodes:
            self._nodes.setdefault(level, []).append(node)
        self._frontier = frontier  # last: a snapshot shows what is below its size and nothing else
        return Appended(index=index)

    def _check_name(self, name: bytes) -> None:
        at = bisect_left(self._names, name)
        neighbours = [each for each in self._names[max(at - 1, 0) : at + 1] if each != name]
        if any(name.startswith(each) or each.startswith(name) for each in neighbours):
            raise MalformedError(f"append: chain name {name.hex()} begins another chain's name, or another's begins it")


class _MemoryReader:
    """A `Reader`: lists only grow, so everything below the size that it was made with stays as it was."""

    def __init__(self, store: MemoryStore, frontier: Frontier) -> None:
        self._store = store
        self.frontier = frontier

    @property
    def size(self) -> TreeSize:
        return self.frontier.size

    @property
    def root(self) -> bytes:
        return self.frontier.root()

    def entry(self, index: int) -> tuple[bytes, bytes]:
        if not 0 <= index < self.size:
            raise NotFoundError(f"store memory: no entry {index}, want below {self.size}")
        return self._store._entries[index]

    def entries(self, start: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
        return map(self.entry, range(start, min(stop, self.size)))

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        assert level % COLUMN_HEIGHT == 0, "only every fourth level is kept"
        if not 0 <= start <= stop <= self.size >> level:
            raise NotFoundError(f"store memory: no nodes {start} to {stop} at level {level} of size {self.size}")
        return self._store._nodes.get(level, [])[start:stop]

    def head(self, chain: bytes) -> ChainRow | None:
        return self.row_at_or_before(chain, self.size)

    def row_at_or_before(self, chain: bytes, index: int) -> ChainRow | None:
        rows = self._rows(chain)
        found = bisect_right(rows, index, key=_leaf_index)
        return rows[found - 1] if found else None

    def row_after(self, chain: bytes, index: int) -> ChainRow | None:
        return next(self.rows(chain, index + 1), None)

    def rows(self, chain: bytes, start: int = 0) -> Iterator[ChainRow]:
        rows = self._rows(chain)
        return iter(rows[bisect_left(rows, start, key=_leaf_index) :])

    def heads(self, prefix: bytes, name_bytes: int, start: bytes = b"") -> Iterator[tuple[bytes, ChainRow]]:
        names = [name for name in list(self._store._names) if name.startswith(prefix) and len(name) == name_bytes]
        for name in names[bisect_left(names, start) :]:
            if row := self.head(name):
                yield name, row

    def _rows(self, chain: bytes) -> list[ChainRow]:
        rows = self._store._chains.get(chain, [])
        return rows[: bisect_left(rows, self.size, key=_leaf_index)]


def _names(pending: Pending) -> list[bytes]:
    return [chain for chain, _, _ in pending.rows]
