"""Reading an LMDB store at one moment, for as long as the caller likes."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import groupby, islice, takewhile
from types import TracebackType
from typing import Final, Self, TypeVar, TypeVarTuple

import lmdb

from invoke_log.errors import NotFoundError, StoreDamagedError
from invoke_log.format.digest import TreeSize
from invoke_log.format.merkle import HASH_BYTES, Frontier, frontier_at, tile_node
from invoke_log.store.lmdb import rows
from invoke_log.store.lmdb.environment import Cursor, OpenEnvironment, fault
from invoke_log.store.protocol import COLUMN_HEIGHT, SIGNATURE_BYTES, ChainRow

CHUNK_ROWS: Final = 256
"""Rows that an iterator reads ahead: at most 16 MB of bodies."""

RENEW_ROWS: Final = 10_000
"""Rows after which a reader starts a new read transaction: pages that an old one can see are not used again."""

CATCH_UP_LEAVES: Final = 64
"""Leaves up to which a known frontier is extended; past it, it is cheaper to read it from the nodes."""

_Item = tuple[bytes, bytes]
_Asked = TypeVarTuple("_Asked")
_Found = TypeVar("_Found")


class LmdbReader:
    """A `Reader`. What it shows is bounded by its size, not by its read transaction: that one it may renew.

    known: a frontier of this log that is durable, to start from.
    """

    def __init__(self, environment: OpenEnvironment, known: Frontier) -> None:
        self._environment = environment
        self._begin()
        self._known = known
        self._rows_read = 0
        self.size = self._read(tree_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._txn.abort()

    @property
    def frontier(self) -> Frontier:
        if self._known.size == self.size:
            return self._known
        if self._known.size > self.size:
            where, durable = self._environment.where, self._known.size
            raise StoreDamagedError(
                f"store {where}: holds {self.size} entries, and {durable} were durable",
                hint="was an older copy put in its place?",
            )
        if self.size - self._known.size > CATCH_UP_LEAVES:
            self._known = frontier_at(self.size, self.node)
        for leaf in self.hashes(0, self._known.size, self.size):
            self._known, _ = self._known.append(leaf)
        return self._known

    @property
    def root(self) -> bytes:
        return self.frontier.root()

    def meta(self, name: bytes) -> bytes | None:
        """Return a meta value as it stands at this moment of reading."""
        return self._get(rows.META + name)

    def entry(self, index: int) -> tuple[bytes, bytes]:
        if not 0 <= index < self.size:
            raise NotFoundError(f"store {self._environment.where}: no entry {index}, want below {self.size}")
        return self._entry(index, self._get(rows.ENTRY + rows.index_bytes(index)) or b"")

    def entries(self, start: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
        return (self._entry(index, value) for index, value in self._leaves(start, min(stop, self.size)))

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        assert level % COLUMN_HEIGHT == 0, "only every fourth level is kept"
        if not 0 <= start <= stop <= self.size >> level:
            where = self._environment.where
            raise NotFoundError(f"store {where}: no nodes {start} to {stop} at level {level} of size {self.size}")
        indexes = range(start, stop)
        if level == 0:
            keys = [rows.ENTRY + rows.index_bytes(index) for index in indexes]
        else:
            keys = [rows.node_key(level, index) for index in indexes]
        found = self._read(lambda cursor: [cursor.get(key) for key in keys])
        hashes = [value[:HASH_BYTES] for value in found if value is not None]
        if len(hashes) < len(found):
            raise StoreDamagedError(
                f"store {self._environment.where}: node {start + found.index(None)} at level {level} is missing"
            )
        return hashes

    def node(self, level: int, index: int) -> bytes:
        """Return any complete node of the tree, from at most 8 kept ones."""
        return tile_node(
            level, index, lambda column, *span: self.hashes(column * COLUMN_HEIGHT, *span), height=COLUMN_HEIGHT
        )

    def head(self, chain: bytes) -> ChainRow | None:
        return self.row_at_or_before(chain, self.size)

    def row_at_or_before(self, chain: bytes, index: int) -> ChainRow | None:
        name = rows.CHAIN + chain
        item = self._read(last_below, name + rows.index_bytes(min(index + 1, self.size)))
        return rows.chain_row(*item) if item and item[0][: -rows.INDEX_BYTES] == name else None

    def row_after(self, chain: bytes, index: int) -> ChainRow | None:
        start, stop = self._span(chain, index + 1)
        return next((rows.chain_row(*item) for item in self._chunk(start, stop, 1)), None)

    def rows(self, chain: bytes, start: int = 0) -> Iterator[ChainRow]:
        return (rows.chain_row(*item) for item in self._scan(*self._span(chain, start)))

    def heads(self, prefix: bytes, name_bytes: int, start: bytes = b"") -> Iterator[tuple[bytes, ChainRow]]:
        found = self._scan(rows.CHAIN + max(prefix, start), rows.CHAIN + prefix + rows.AFTER_EVERY_ROW)
        below = (item for item in found if rows.index_of(item[0]) < self.size)
        for name, items in groupby(below, key=lambda item: rows.chain_of(item[0])):
            if name and len(name) == name_bytes and name.startswith(prefix):
                yield name, rows.chain_row(*deque(items, maxlen=1)[0])

    def _entry(self, index: int, value: bytes) -> tuple[bytes, bytes]:
        _, signature, body = rows.split_entry(value)
        if len(signature) != SIGNATURE_BYTES:
            raise StoreDamagedError(f"store {self._environment.where}: entry {index} is cut or missing")
        return body, signature

    def _leaves(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Return leaf index and stored value of each leaf from `start` up to `stop`, with none left out."""
        found = self._scan(rows.ENTRY + rows.index_bytes(start), rows.ENTRY + rows.index_bytes(stop))
        for index in range(start, stop):
            key, value = next(found, (b"", b""))
            if key[1:] != rows.index_bytes(index):
                raise StoreDamagedError(f"store {self._environment.where}: entry {index} of {self.size} is missing")
            yield index, value

    def _span(self, chain: bytes, start: int) -> tuple[bytes, bytes]:
        return rows.CHAIN + chain + rows.index_bytes(start), rows.CHAIN + chain + rows.index_bytes(self.size)

    def _get(self, key: bytes) -> bytes | None:
        return self._read(lambda cursor: cursor.get(key))

    def _scan(self, start: bytes, stop: bytes) -> Iterator[_Item]:
        """Return the rows from key `start` up to `stop`, without holding a cursor while the caller has the turn."""
        while items := self._chunk(start, stop, CHUNK_ROWS):
            yield from items
            start = items[-1][0] + b"\x00"

    def _chunk(self, start: bytes, stop: bytes, count: int) -> list[_Item]:
        if self._rows_read >= RENEW_ROWS:
            self._rows_read = 0
            self._txn.abort()
            self._begin()
        items = self._read(_items_between, start, stop, count)
        self._rows_read += len(items)
        return items

    def _begin(self) -> None:
        """Begin a read transaction, with the one cursor that every read of it positions anew."""
        self._txn = self._environment.begin()
        self._cursor = self._txn.cursor()

    def _read(self, use: Callable[[Cursor, *_Asked], _Found], *asked: *_Asked) -> _Found:
        self._environment.check_process()
        try:
            return use(self._cursor, *asked)
        except lmdb.Error as exc:
            raise fault(exc, self._environment.where) from exc


def tree_size(cursor: Cursor) -> TreeSize:
    """Return how many entries there are: the last row of all is the last entry, where there is one."""
    last = cursor.key() if cursor.last() else b""
    return TreeSize(rows.index_of(last) + 1 if last[:1] == rows.ENTRY else 0)


def last_below(cursor: Cursor, key: bytes) -> _Item | None:
    """Return the last row before a key, or None."""
    return cursor.item() if (cursor.prev() if cursor.set_range(key) else cursor.last()) else None


def _items_between(cursor: Cursor, start: bytes, stop: bytes, count: int) -> list[_Item]:
    return list(takewhile(lambda item: item[0] < stop, islice(cursor, count))) if cursor.set_range(start) else []
