"""The store itself: created whole, opened once in a process, written under LMDB's lock of all processes."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Final, Self, TypeVar
from weakref import WeakValueDictionary

import lmdb

from invoke_log.errors import CommitUncertainError, MalformedError, StoreBusyError, StoreDamagedError
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import EMPTY_FRONTIER, HASH_BYTES, Frontier
from invoke_log.store import directory
from invoke_log.store.lmdb import rows
from invoke_log.store.lmdb.environment import (
    DATA_FILE,
    DATA_FILE_BYTES_MIN,
    Cursor,
    OpenEnvironment,
    Transaction,
    create_environment,
    fault,
    open_environment,
)
from invoke_log.store.lmdb.reader import LmdbReader, last_below, tree_size
from invoke_log.store.protocol import (
    COLUMN_HEIGHT,
    Answer,
    Appended,
    Moved,
    Pending,
    check_append,
    check_meta,
)

READER_CHECK_COMMITS: Final = 1_000
"""Commits between two searches for readers that died: until then the file grows by what they still hold."""

ROOM_CHECK_COMMITS: Final = 16
"""Commits between two looks at how much room the file has left: a small one seldom takes a page of it."""

_Written = TypeVar("_Written")

_opening = RLock()
# A fork waits for whoever is opening: in the child nobody would ever give the lock back.
os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_opening.release)
# By device and inode of the data file. The locks of LMDB belong to a process and a file: a second environment in one
# process would share those of the first, and drop them when it is closed.
_open_here: WeakValueDictionary[tuple[int, int], "LmdbStore"] = WeakValueDictionary()


class LmdbStore:
    """A `Store` in a directory of this machine, for any number of its processes. Threads may share it.

    After a fork the child opens the log anew; it cannot where any thread was using it at the fork.
    """

    def __init__(self, environment: OpenEnvironment) -> None:
        self._environment = environment
        self._commits = 0
        self._known = EMPTY_FRONTIER  # as seen under the write lock: what a snapshot sees may yet be taken back

    @classmethod
    def create(cls, path: str | os.PathLike[str], meta: Mapping[bytes, bytes]) -> Self:
        """Return a new store with these meta values; after a crash it is there whole or not at all.

        Raises: StoreExistsError, NotFoundError, StoreReadOnlyError, StoreFullError, StoreError: nothing was created.
            MalformedError: a meta value out of bounds.
        """
        where = Path(path).absolute()
        directory.create_whole(where, lambda place: create_environment(place, meta))
        return cls.open(where)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, read_only: bool = False) -> Self:
        """Return the store in a directory; it is never created here.

        Raises: NotFoundError: nothing is there. StoreFormatError: half a store, none, or one of another format.
            StoreBusyError: this process has it open, or was forked while it was in use. StoreReadOnlyError: no
            permission. StoreDamagedError, StoreError.
        """
        where = Path(path).absolute()
        key = directory.identity(where / DATA_FILE, bytes_min=DATA_FILE_BYTES_MIN)
        with _opening:
            held = _open_here.get(key)
            if held is not None:
                if held._environment.process == os.getpid():
                    raise StoreBusyError(f"store {where}: already open in this process", hint="share it, or close it")
                held._environment.close()
            store = cls(open_environment(where, key, read_only=read_only))
            _open_here[key] = store
        return store

    @property
    def path(self) -> str:
        return str(self._environment.where)

    @property
    def read_only(self) -> bool:
        return self._environment.read_only

    def check_pages(self) -> None:
        """Raise StoreDamagedError where the file's pages do not fit together; see `OpenEnvironment.check_pages`."""
        self._environment.check_pages()

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        """Return one answer for each entry; see `Store.append`."""
        check_append(pendings)
        answers, self._known = self._write(lambda txn: self._append(txn, pendings))
        return answers

    def snapshot(self) -> LmdbReader:
        """Return the store at one moment; see `Store.snapshot`."""
        return LmdbReader(self._environment, self._known)

    def barrier(self) -> TreeSize:
        """Return a size below which everything is durable; see `Store.barrier`."""
        self._environment.check_writable()
        with self.snapshot() as reader:
            size = reader.size
        try:
            self._environment.raw.sync(True)  # noqa: FBT003 — lmdb takes `force` by position only
        except lmdb.Error as exc:
            raise CommitUncertainError(f"store {self.path}: {exc}; entries below {size} may not be durable") from exc
        return size

    def get_meta(self, name: bytes) -> bytes | None:
        """Return a small value by its name, or None where there is none."""
        with self.snapshot() as reader:
            return reader.meta(name)

    def put_meta(self, name: bytes, value: bytes, *, expect: bytes | None) -> bool:
        """Return whether the value was stored; see `Store.put_meta`."""
        check_meta(name, value)
        key = rows.META + name
        return self._write(lambda txn: txn.get(key) == expect and txn.put(key, value))

    def close(self) -> None:
        """Give the store back; see `Store.close`."""
        self._environment.close()
        with _opening:
            for key in [key for key, store in _open_here.items() if store is self]:
                del _open_here[key]

    def _write(self, use: Callable[[Transaction], _Written]) -> _Written:
        """Hold the write lock of all processes while `use` runs, and commit what it wrote; nothing if it raises."""
        txn = self._environment.begin(write=True)
        try:
            written = use(txn)
        except BaseException as exc:
            txn.abort()
            if isinstance(exc, lmdb.Error):
                raise fault(exc, self._environment.where) from exc
            raise
        try:
            # Where nothing was written this costs no flush. Crash before or in it: nothing of it is stored, or all of
            # it, as the one write of LMDB's meta page decides.
            txn.commit()
        except lmdb.Error as exc:
            raise self._environment.commit_fault(exc) from exc
        self._commits += 1
        if self._commits % ROOM_CHECK_COMMITS == 0:
            self._environment.make_room()
        if self._commits % READER_CHECK_COMMITS == 0:
            self._environment.raw.reader_check()
        return written

    def _append(self, txn: Transaction, pendings: Sequence[Pending]) -> tuple[list[Answer], Frontier]:
        answers: list[Answer] = []
        frontier = self._known
        cursor = txn.cursor()
        if frontier.size != tree_size(cursor):  # another process has appended; under its lock nobody is about to
            with self.snapshot() as reader:
                frontier = reader.frontier
        heads = _Heads(cursor)
        for pending in pendings:
            answer, frontier = self._judge(txn, heads, frontier, pending)
            answers.append(answer)
        return answers, frontier

    def _judge(
        self, txn: Transaction, heads: "_Heads", frontier: Frontier, pending: Pending
    ) -> tuple[Answer, Frontier]:
        for chain, expected in pending.expect.items():
            head = heads[chain]
            if head != expected:
                return Moved(chain=chain, head=head), frontier
        index = LeafIndex(frontier.size)
        key = rows.index_bytes(index)
        frontier, completed = frontier.append(pending.entry_leaf_hash)
        for chain, head, memo in pending.rows:
            if not txn.put(rows.CHAIN + chain + key, head + memo, overwrite=False):
                raise StoreDamagedError(f"store {self.path}: chain {chain.hex()} has a row of leaf {index} already")
            heads[chain] = head
        for level, position, node in completed[COLUMN_HEIGHT::COLUMN_HEIGHT]:
            txn.put(rows.node_key(level, position), node)
        txn.put(rows.ENTRY + key, rows.join_entry(pending), append=True)
        return Appended(index=index), frontier


class _Heads(dict[bytes, bytes | None]):
    """The heads of chains in one write transaction, each read once: nobody else writes until it ends."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def __missing__(self, chain: bytes) -> bytes | None:
        key, value = last_below(self._cursor, rows.CHAIN + chain + rows.AFTER_EVERY_INDEX) or (b"", b"")
        name, head = rows.chain_of(key), None
        if name == chain:
            head = value[:HASH_BYTES]
        elif name and (name.startswith(chain) or chain.startswith(name)):
            raise MalformedError(f"append: chain names {name.hex()} and {chain.hex()}: one begins the other")
        self[chain] = head
        return head
