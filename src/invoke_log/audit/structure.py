"""The leaves of a log, one by one: their bytes, ids, signatures and place in the tree. SPEC §12 [RPL-1] to [RPL-3].

Signatures are most of the work of an audit, and libsodium verifies without the interpreter's lock: those of a chunk
are shared out to threads, and nothing else runs meanwhile, for a thread that needs the lock waits 5 ms for it beside
one that computes. What is found, and in which order, does not depend on it.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, NamedTuple

from invoke_log.errors import InvokeLogError, MalformedError
from invoke_log.format import digest
from invoke_log.format.envelope import SIGNATURE_BYTES, Envelope, decode_body, verify_envelope

CHUNK_LEAVES: Final = 256
"""Leaves that are verified together: enough to hide the hand-over, and at most 16 MB of bodies."""
SHARE_LEAVES: Final = 16
"""Leaves that a thread takes at a time: small enough that all of them end together."""
VERIFIERS_MAX: Final = 8
"""Threads that verify: each needs the lock for a twentieth of its time, so that more would wait for one another."""


class Leaf(NamedTuple):
    """One leaf whose bytes compose into an entry. fault: why its signature does not count, or None."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks for
    id: digest.EventId
    envelope: Envelope
    fault: str | None


class UnreadableError(MalformedError):
    """A leaf whose bytes cannot be composed into an entry: nothing behind it can be placed in the tree."""

    def __init__(self, error: InvokeLogError, index: int) -> None:
        super().__init__(error.message, hint=error.hint)
        self.reason_code = error.code
        self.index = index


def read_leaves(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[Leaf]:
    """Return every leaf in order.

    Raises: UnreadableError: bytes that are not an entry, with the first such index, after the leaves before it.
    """
    threads = min(os.cpu_count() or 1, VERIFIERS_MAX)
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="invoke-log-verify") as verifiers:
        for chunk in _chunks(iter(entries)):
            shares = (chunk.envelopes[at : at + SHARE_LEAVES] for at in range(0, len(chunk.envelopes), SHARE_LEAVES))
            yield from _checked(chunk, [*chain.from_iterable(verifiers.map(_faults, shares))])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Leaves from `start` on, and what stopped the reading after them."""

    start: int
    envelopes: list[Envelope]
    stopped: UnreadableError | None


def _chunks(entries: Iterator[tuple[bytes, bytes]]) -> Iterator[_Chunk]:
    start = 0
    while True:
        envelopes: list[Envelope] = []
        stopped = None
        try:
            for body, signature in islice(entries, CHUNK_LEAVES):
                envelopes.append(_compose(body, signature))
        except MalformedError as error:
            stopped = UnreadableError(error, start + len(envelopes))
        if envelopes or stopped:
            yield _Chunk(start=start, envelopes=envelopes, stopped=stopped)
        if stopped or len(envelopes) < CHUNK_LEAVES:
            return
        start += CHUNK_LEAVES


def _compose(body: bytes, signature: bytes) -> Envelope:
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedError(f"signature has {len(signature)} bytes, want {SIGNATURE_BYTES}")
    return Envelope(body=body, signature=signature, fields=decode_body(body))


def _faults(share: list[Envelope]) -> list[str | None]:
    return [_fault(envelope) for envelope in share]


def _fault(envelope: Envelope) -> str | None:
    try:
        verify_envelope(envelope)
    except InvokeLogError as error:
        return error.message
    return None


def _checked(chunk: _Chunk, faults: list[str | None]) -> Iterator[Leaf]:
    for at, (envelope, fault) in enumerate(zip(chunk.envelopes, faults, strict=True)):
        yield Leaf(index=chunk.start + at, id=digest.event_id(envelope.body), envelope=envelope, fault=fault)
    if chunk.stopped is not None:
        raise chunk.stopped
