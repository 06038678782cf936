"""The byte engine: entries under compare-and-set over a store, and the rule about commits that report an error.

It knows entries, chains and heads, and never what a tool is. After a commit error nobody knows what is on the disk, so
the log is halted: before it takes another append it opens the store anew and checks it against itself.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from invoke_log.errors import CommitUncertainError, LogHaltedError, StoreDamagedError, StoreError
from invoke_log.format.merkle import Frontier
from invoke_log.log.publish import CHECKPOINT_META, hash_entries, publish
from invoke_log.log.signer import Signer
from invoke_log.store.protocol import (
    APPEND_COUNT_MAX,
    COLUMN_HEIGHT,
    Answer,
    Appended,
    ChainRow,
    Moved,
    Pending,
    Reader,
    Store,
)

__all__ = ["APPEND_COUNT_MAX", "Answer", "Appended", "ChainRow", "Engine", "Moved", "Pending", "Reader"]

VERIFY_CHUNK_LEAVES: Final = 256
"""Leaf hashes compared at a time while a store is re-verified: 8 KiB."""

_log = logging.getLogger(__name__)


class Engine:
    """One open store of this process. `opener` opens it, the first time and again after a commit error."""

    def __init__(self, opener: Callable[[], Store]) -> None:
        self._opener = opener
        self._store = opener()
        self._lock = threading.RLock()
        self._halted = False
        try:
            with self._store.snapshot() as reader:
                self._good: Frontier = reader.frontier
        except BaseException:
            self._store.close()  # there is no engine that its caller could close
            raise
        self._acknowledged = int(self._good.size)

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        """Return one answer for each entry; accepted ones are durable (S11). As `Store.append`.

        Raises: CommitUncertainError: they may or may not be there, and the log is halted. LogHaltedError,
            StoreDamagedError: it was halted, and `reverify` did not succeed. StoreFullError: nothing is stored.
        """
        with self._lock:  # or an append of another thread could slip in between the error and the halt
            if self._halted:
                self.reverify()
            try:
                answers = self._store.append(pendings)
            except CommitUncertainError:
                self._halt()
                raise
            for answer in reversed(answers):
                if isinstance(answer, Appended):
                    self._acknowledged = answer.index + 1
                    break
            return answers

    def snapshot(self) -> AbstractContextManager[Reader]:
        """Return the store at one moment. After a commit error it is re-verified first, as for an append."""
        if self._halted:  # asked without the lock: a reader does not wait for the append that is under way
            self.reverify()
        return self._store.snapshot()

    def reverify(self) -> None:
        """Where the log is halted, open the store anew, check it, and go on; else do nothing.

        Checked is what came since the log was opened or last re-verified: every entry against its leaf hash, the nodes
        and the frontier, and that nothing acknowledged is missing. Snapshots that are open then come to an end.

        Raises: LogHaltedError: it cannot be opened. StoreDamagedError: it does not agree with itself. It stays halted.
        """
        with self._lock:
            if not self._halted:
                return
            try:
                self._store.close()
                self._store = self._opener()
                with self._store.snapshot() as reader:
                    if reader.size < self._acknowledged:
                        raise StoreDamagedError(
                            f"store {self._store.path}: holds {reader.size} entries, "
                            f"and {self._acknowledged} were acknowledged"
                        )
                    good = verify_since(self._good, reader)
                self._store.barrier()
            except StoreDamagedError:
                raise
            except StoreError as error:
                raise LogHaltedError(
                    f"log is halted after a commit error, and could not re-verify itself: {error.message}",
                    hint="append the same bytes again once the cause is gone",
                ) from error
            self._good, self._acknowledged, self._halted = good, int(good.size), False
            _log.info("engine.reverified", extra={"path": self._store.path, "tree_size": self._acknowledged})

    def publish(self, origin: str, signer: Signer) -> bytes:
        """Return a signed checkpoint of what is durable, journaled before it is returned; see `publish`."""
        self.reverify()
        try:
            return publish(self._store, origin=origin, signer=signer)
        except CommitUncertainError:
            self._halt()
            raise

    def published(self) -> bytes | None:
        """Return the last signed checkpoint, as it was journaled, or None where none was ever signed."""
        self.reverify()
        return self._store.get_meta(CHECKPOINT_META)

    def close(self) -> None:
        """Give the store back. Closing twice does nothing."""
        self._store.close()

    def _halt(self) -> None:
        self._halted = True
        _log.warning("engine.halted", extra={"path": self._store.path})


def verify_since(good: Frontier, reader: Reader) -> Frontier:
    """Return the frontier of a store whose entries since `good` hash to its leaf hashes, nodes and frontier.

    Raises: StoreDamagedError: one does not, or is missing.
    """
    frontier = good
    for start in range(good.size, reader.size, VERIFY_CHUNK_LEAVES):
        stop = min(start + VERIFY_CHUNK_LEAVES, reader.size)
        leaves = list(hash_entries(reader, start, stop))
        if leaves != reader.hashes(0, start, stop):
            raise StoreDamagedError(f"entries {start} to {stop - 1} do not hash to the leaf hashes beside them")
        for leaf in leaves:
            frontier, completed = frontier.append(leaf)
            for level, index, node in completed[COLUMN_HEIGHT::COLUMN_HEIGHT]:
                if reader.hashes(level, index, index + 1) != [node]:
                    raise StoreDamagedError(f"node {index} at level {level} is not the hash of what is below it")
    if frontier != reader.frontier:
        raise StoreDamagedError(f"the tree of {reader.size} entries is not the tree of what is stored")
    return frontier
