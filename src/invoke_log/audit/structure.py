"""The leaves of a log, one by one, as their own bytes give them. SPEC §12 [RPL-1] to [RPL-3].

To form a leaf (decode, hash, verify) is half the work of an audit, to judge it the other half, and that alone needs
the leaves before it. So those of a long log are formed by other processes while this one judges. A short log, as
most are, is formed here: its size decides, since no other process is worth the time it takes to begin. What is found,
and in which order, does not depend on it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final, NamedTuple

from invoke_log.audit.leaf import Formed, Pair, Stopped, form
from invoke_log.audit.worker import Worker, start_workers
from invoke_log.errors import InvokeLogError, MalformedError
from invoke_log.format import digest
from invoke_log.rules.event import Event, parse_event

CHUNK_LEAVES: Final = 64
"""Leaves that are formed together: enough to hide the hand-over, few enough that both sides end together."""
CHUNK_BYTES: Final = 1 << 15
"""Bytes after which a chunk takes no further leaf: with a last one of the longest, at most 96 KB are handed over."""
CHUNKS_ALONE: Final = 4
"""Chunks of a log that is formed here, without help: about what is done in the time in which a process begins."""
CHUNKS_AHEAD: Final = 2
"""Chunks that are read beyond those that the workers hold: what is left to form here while they are busy."""


class Fault(NamedTuple):
    """Why a leaf is void, whatever stands before it."""

    code: str
    words: str


class Leaf(NamedTuple):
    """One leaf whose bytes compose into an entry. hash: its own in the tree. said: its event, or why there is none."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks for
    hash: bytes
    said: Event | Fault


class UnreadableError(MalformedError):
    """A leaf whose bytes cannot be composed into an entry: nothing behind it can be placed in the tree."""

    def __init__(self, stopped: Stopped, index: int) -> None:
        code, message, hint = stopped
        super().__init__(message, hint=hint)
        self.reason_code = code
        self.index = index


class _Chunk:
    """Leaves that follow one another, and what stopped the reading after them."""

    def __init__(self, pairs: list[Pair], stopped: Stopped | None) -> None:
        self.pairs = pairs
        self.stopped = stopped
        self.worker: Worker | None = None
        self._formed: tuple[list[Formed], Stopped | None] | None = None

    @property
    def to_be_formed(self) -> bool:
        return self.worker is None and self._formed is None

    def form_here(self) -> None:
        self._formed = form(self.pairs)

    def formed(self) -> tuple[list[Formed], Stopped | None]:
        """Return the leaves, formed where they were handed to, else here."""
        answer = self.worker.answer() if self.worker is not None else self._formed
        formed, stopped = answer if answer is not None else form(self.pairs)
        return formed, stopped or self.stopped


def read_leaves(entries: Iterable[Pair]) -> Iterator[Leaf]:
    """Return every leaf in order.

    Raises: UnreadableError: bytes that are not an entry, with the first such index, after the leaves before it.
    """
    index = 0
    for formed, stopped in _formed(_chunks(iter(entries))):
        # The events of a chunk in one go: to judge between two of them makes each dearer (10 us of 36).
        leaves = [Leaf(at, leaf[0], _said(leaf)) for at, leaf in enumerate(formed, index)]
        yield from leaves
        index += len(leaves)
        if stopped is not None:
            raise UnreadableError(stopped, index)


def _said(leaf: Formed) -> Event | Fault:
    _, event_id, fields, fault = leaf
    if fault is not None:
        return Fault(code="signature-invalid", words=fault)
    try:
        return parse_event(fields, digest.EventId(event_id))
    except MalformedError as error:
        return Fault(code="form-invalid", words=error.message)


def _chunks(entries: Iterator[Pair]) -> Iterator[_Chunk]:
    more = True
    while more:
        pairs: list[Pair] = []
        stopped, size = None, 0
        try:
            while more and len(pairs) < CHUNK_LEAVES and size < CHUNK_BYTES:
                pair = next(entries, None)
                if pair is None:
                    more = False
                else:
                    pairs.append(pair)
                    size += len(pair[0]) + len(pair[1])
        except InvokeLogError as error:
            if not isinstance(error, MalformedError):
                raise
            stopped, more = (error.code, error.message, error.hint), False
        if pairs or stopped:
            yield _Chunk(pairs, stopped)


def _formed(chunks: Iterator[_Chunk]) -> Iterator[tuple[list[Formed], Stopped | None]]:
    first = list(islice(chunks, CHUNKS_ALONE + 1))
    if len(first) <= CHUNKS_ALONE:
        yield from (chunk.formed() for chunk in first)
        return
    with start_workers() as workers:
        yield from _shared(chain(first, chunks), workers)


def _shared(chunks: Iterator[_Chunk], workers: list[Worker]) -> Iterator[tuple[list[Formed], Stopped | None]]:
    """Hand chunks to workers that have room, in order; form here what they have no room for."""
    ahead: deque[_Chunk] = deque()
    while True:
        while len(ahead) < CHUNKS_AHEAD + sum(worker.room_max for worker in workers):
            chunk = next(chunks, None)
            if chunk is None:
                break
            ahead.append(chunk)
        if not ahead:
            return
        for chunk in ahead:
            if chunk.to_be_formed:
                chunk.worker = next((worker for worker in workers if worker.take(chunk.pairs)), None)
                if chunk.worker is None:
                    break  # answers come in the order of hand-over: a later, smaller chunk must not go ahead of it
        first = ahead.popleft()
        while first.worker is not None and not first.worker.answered:
            other = next((chunk for chunk in ahead if chunk.to_be_formed), None)
            if other is None:
                break
            other.form_here()
        yield first.formed()
