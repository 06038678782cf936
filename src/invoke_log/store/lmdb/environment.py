"""The LMDB environment under a store: how it is opened, what is in it, and what its errors mean."""

import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final, TypeAlias

import lmdb
import lmdb.verify

from invoke_log.errors import (
    CommitUncertainError,
    InvokeLogError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreReadOnlyError,
)
from invoke_log.store import directory
from invoke_log.store.lmdb import rows
from invoke_log.store.protocol import check_meta

FORMAT: Final = b"invoke-log store 3"
META_FORMAT: Final = b"format"
"""The meta value that says what the directory is; the store writes it, and opens no other."""

MAP_BYTES: Final = 64 << 30
"""Address space, and so the largest store. One constant for all processes: none meets a map that another resized."""

READERS_MAX: Final = 1024
"""Snapshots open at the same time over all processes. The first process to open the store decides."""

ROOM_BYTES: Final = 128 << 10
"""Zeros that a data file is made longer by, ahead of its pages, once less than half of that is left behind them."""

DATA_FILE: Final = "data.mdb"
DATA_FILE_BYTES_MIN: Final = 8_192

PAGE_BYTES_MAX: Final = 1 << 16
"""Bytes of the largest page that LMDB knows."""

_META: Final = Struct("=40xI92xQ")
"""What a meta page of LMDB's says of the bytes of a page, and of the last one."""

_DAMAGED: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.KeyExistsError,
    lmdb.BadValsizeError,
    lmdb.CursorFullError,  # a page in whose place is one above it: no tree of a store is as deep as LMDB can go
    lmdb.MapResizedError,  # no process has another map: the last page's number is wrong
)

Transaction: TypeAlias = "lmdb.Transaction[bytes]"
Cursor: TypeAlias = "lmdb.Cursor[bytes]"


class OpenEnvironment:
    """An environment as this process opened it. identity: device and inode of its data file."""

    def __init__(self, raw: lmdb.Environment, where: Path, identity: tuple[int, int]) -> None:
        self.raw = raw
        self.where = where
        self._data_file = where / DATA_FILE
        self._identity = identity
        self.process = os.getpid()
        self.read_only = bool(raw.flags()["readonly"])

    def begin(self, *, write: bool = False) -> Transaction:
        """Return a new transaction; a writing one has the write lock of all processes, which it waited for.

        Raises: StoreReadOnlyError, CommitUncertainError: an earlier commit failed. StoreError: for writing, also where
            it is not the store in its place any more.
        """
        self.check_process()
        if write:
            self.check_writable()
        try:
            txn = self.raw.begin(write=write)
        except lmdb.Error as exc:
            raise fault(exc, self.where) from exc
        if write and not self._is_in_place():
            # No other process would see what were written here: each would decide on the same heads, and sign a tree.
            txn.abort()
            message = f"store {self.where}: another one was put in its place, or none"
            raise StoreError(message, hint="close the log, and open it again")
        return txn

    def close(self) -> None:
        """Give it back. Closing twice does nothing."""
        if self.process == os.getpid():
            self.raw.close()
        else:
            # The copy that a fork left here is let go, and not closed: that would end the parent's snapshots, and where
            # a thread of the parent's was in a commit it would wait for it for ever.
            vars(self).pop("raw", None)

    def check_process(self) -> None:
        """Raise StoreError in a fork of the process that opened it: two processes would use one reader's slot."""
        if os.getpid() != self.process:
            raise StoreError(
                f"store {self.where}: opened by process {self.process}, used in its fork {os.getpid()}",
                hint="open the log again in the new process",
            )

    def _is_in_place(self) -> bool:
        try:
            found = self._data_file.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def check_writable(self) -> None:
        """Raise StoreReadOnlyError where it was opened read-only."""
        if self.read_only:
            raise StoreReadOnlyError(f"store {self.where}: was opened read-only", hint="open it for writing")

    def check_pages(self) -> None:
        """Raise StoreDamagedError where the file's pages do not fit together: LMDB may end the process that reads one.

        The walk reads the whole file, and takes about a twentieth of what a replay does. Others may append meanwhile.
        """
        with self.begin():  # what this moment can see is not written over while it is open
            # A commit may fall between the length of the file and the page that says where it ends: look twice.
            found = _problems(self.where) and _problems(self.where)
        if found:
            raise StoreDamagedError(
                f"store {self.where}: {DATA_FILE} is damaged: {found[0][:200]}",
                hint="restore a backup, and verify it against a checkpoint that you kept",
            )

    def make_room(self) -> None:
        """Make the file longer where its pages come near its end; where that fails, it grows with its commits.

        For a commit that makes the file longer, the disk is asked to flush the file system's journal too, which takes
        half as long again. Nothing is raised: the commit before it is durable, and its answer has to be given.
        """
        with suppress(OSError, lmdb.Error):
            # It is appended to: other processes may write to the file meanwhile, and what they write stays.
            descriptor = os.open(self._data_file, os.O_WRONLY | os.O_APPEND)
            try:
                pages_end = (self.raw.info()["last_pgno"] + 1) * self.raw.stat()["psize"]
                if os.lseek(descriptor, 0, os.SEEK_END) < pages_end + ROOM_BYTES // 2:
                    # Crash here, or before the next commit: zeros, all or some of them, behind all that anybody reads.
                    os.write(descriptor, bytes(ROOM_BYTES))
            finally:
                os.close(descriptor)

    def commit_fault(self, exc: lmdb.Error) -> InvokeLogError:
        """Return what a failed commit means."""
        # LMDB writes its meta page last, once the other pages are written and flushed. Where that last write fails, it
        # panics: it refuses every later use. Where it does not panic, nothing of this commit is stored.
        try:
            self.raw.begin().abort()
        except lmdb.Error:
            return _uncertain(exc, self.where)
        found = fault(exc, self.where)
        if isinstance(found, StoreFullError):
            return found
        if not directory.has_room(self.where):  # a full disk can also cut a write short, which LMDB calls EIO
            return StoreFullError(f"{found.message}, and the disk is full", hint="free some space and append again")
        return _uncertain(exc, self.where)


def create_environment(place: Path, meta: Mapping[bytes, bytes]) -> None:
    """Make an environment in an empty directory, with an empty tree and the meta values.

    Raises: MalformedError: a meta value out of bounds. StoreFullError, StoreReadOnlyError, StoreError.
    """
    for name, value in meta.items():
        check_meta(name, value)
    try:
        raw = _environment(place)
        with raw.begin(write=True) as txn:
            for name, value in {**meta, META_FORMAT: FORMAT}.items():
                txn.put(rows.META + name, value)
        raw.close()
    except lmdb.Error as exc:
        raise fault(exc, place) from exc


def open_environment(where: Path, identity: tuple[int, int], *, read_only: bool) -> OpenEnvironment:
    """Return the environment in a directory, checked as far as opening it safely needs. Args: as `OpenEnvironment`.

    Raises: StoreFormatError, StoreDamagedError, StoreReadOnlyError, StoreError. StoreBusyError: it was in use when this
        process was forked.
    """
    try:
        raw = _environment(where, readonly=read_only)
    except (lmdb.InvalidError, lmdb.VersionMismatchError) as exc:
        raise StoreFormatError(f"store {where}: {exc}; {DATA_FILE} is no store of invoke-log") from exc
    except (lmdb.MemoryError, lmdb.InvalidParameterError) as exc:
        if _claims_too_much(where):
            message = f"store {where}: {DATA_FILE} is damaged: it claims more or larger pages than a store can have"
            raise StoreDamagedError(message, hint="restore a backup") from exc
        raise fault(exc, where) from exc
    except lmdb.Error as exc:
        if exc.code == 0:  # not LMDB's word, but its wrapper's: an environment of this file lives in this process
            raise StoreBusyError(
                f"store {where}: something in this process uses it, or did when it was forked",
                hint="end what reads it; fork before the log is opened, or start the process anew, as by spawn",
            ) from exc
        found = fault(exc, where)
        if read_only and isinstance(found, StoreReadOnlyError):
            hint = "who reads a store is counted in its lock.mdb, and has to write there: read a bundle, or a copy"
            raise StoreReadOnlyError(found.message, hint=hint) from exc
        raise found from exc
    try:
        _refuse_cut(raw, where)
        with raw.begin() as txn:
            written = txn.get(rows.META + META_FORMAT)
        if written != FORMAT:
            raise StoreFormatError(
                f"store {where}: format is {written!r}, this release reads {FORMAT!r}",
                hint="None means half-created, or no store; else open it with the release that wrote it",
            )
        raw.reader_check()
    except lmdb.Error as exc:
        raw.close()
        raise fault(exc, where) from exc
    except InvokeLogError:
        raw.close()
        raise
    return OpenEnvironment(raw, where, identity)


def fault(exc: lmdb.Error, where: Path) -> InvokeLogError:
    """Return what an LMDB error means outside a commit: nothing was stored."""
    message = f"store {where}: {exc}"
    if isinstance(exc, lmdb.MapFullError):
        return StoreFullError(f"{message}; a store holds at most {MAP_BYTES >> 30} GiB")
    if isinstance(exc, _DAMAGED):
        return StoreDamagedError(message, hint='run "invoke-log verify" on a copy')
    if isinstance(exc, lmdb.PanicError):
        return CommitUncertainError(f"{message}; an earlier commit failed", hint="open the store anew")
    return directory.fault(exc.code, message)


def _uncertain(exc: lmdb.Error, where: Path) -> CommitUncertainError:
    return CommitUncertainError(
        f"store {where}: {exc}; it may or may not be durable",
        hint="open the store anew, and append the same bytes again",
    )


def _environment(where: Path, *, readonly: bool = False) -> lmdb.Environment:
    # The defaults of `sync`, `metasync` and `writemap` are the durable ones, and stay. The file format is that of LMDB
    # 0.9, whatever this process or a later release has for a default; a file of another one is refused.
    return lmdb.open(
        str(where),
        map_size=MAP_BYTES,
        max_readers=READERS_MAX,
        readonly=readonly,
        create=False,
        mode=0o666,  # and the umask, as for any file
        lib_version=0,
    )


def _claims_too_much(where: Path) -> bool:
    """Whether a meta page claims what no store has. LMDB maps what the file claims, whatever it is told to map."""
    with (where / DATA_FILE).open("rb") as stream:
        head = stream.read(2 * mmap.PAGESIZE)
    claims = (_META.unpack_from(head, at) for at in (0, mmap.PAGESIZE))
    return any(page > PAGE_BYTES_MAX or (last + 1) * page > MAP_BYTES for page, last in claims)


def _refuse_cut(raw: lmdb.Environment, where: Path) -> None:
    """Raise StoreDamagedError where the file ends before a page that is in use: to read it would kill the process."""
    pages_end = (raw.info()["last_pgno"] + 1) * raw.stat()["psize"]
    if (where / DATA_FILE).stat().st_size >= pages_end:
        return
    # The last pages may have been free ever since they were counted, and never written: rare, and worth the full walk.
    found = _problems(where)
    if found:
        raise StoreDamagedError(f"store {where}: {DATA_FILE} is cut: {found[0][:200]}", hint="restore a backup")


def _problems(where: Path) -> list[str]:
    """Return what is wrong with the pages of the file at rest, read without LMDB; see `lmdb.verify`."""
    try:
        return [str(each) for each in lmdb.verify.verify(str(where))]  # type: ignore[no-untyped-call]  # lmdb types all but this module
    except lmdb.verify.VerifyError as exc:
        return [str(exc)]
