"""A leaf by itself: its bytes, its names, its signature. SPEC §12 [RPL-1] to [RPL-3].

Nothing here looks at another leaf, and what comes back is plain tuples: so the work may be done in another process.
"""

from collections.abc import Iterable

from invoke_log.errors import InvokeLogError, MalformedError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope, compose_envelope, verify_envelope
from invoke_log.format.merkle import leaf_hash

Pair = tuple[bytes, bytes]
"""Body and signature, as a store or a bundle has them."""
Formed = tuple[bytes, bytes, dict[str, Value], str | None]
"""A leaf's hash in the tree, its event id, its fields, and why its signature does not count, or None."""
Stopped = tuple[str, str, str | None]
"""Why bytes cannot be composed into an entry: code, words and hint."""


def form(pairs: Iterable[Pair]) -> tuple[list[Formed], Stopped | None]:
    """Return every leaf up to the first whose bytes are no entry, and what is wrong with that one."""
    envelopes, stopped = _opened(pairs)
    # All signatures in one go: what verifies and what decodes drive each other out of the processor's caches, which
    # costs 22 us of 190 where they take turns.
    faults = [_fault(envelope) for envelope in envelopes]
    formed: list[Formed] = [
        (leaf_hash(envelope.entry), digest.event_id(envelope.body), envelope.fields, fault)
        for envelope, fault in zip(envelopes, faults, strict=True)
    ]
    return formed, stopped


def _opened(pairs: Iterable[Pair]) -> tuple[list[Envelope], Stopped | None]:
    envelopes: list[Envelope] = []
    try:
        for body, signature in pairs:
            envelopes.append(compose_envelope(body, signature))
    except MalformedError as error:
        return envelopes, (error.code, error.message, error.hint)
    return envelopes, None


def _fault(envelope: Envelope) -> str | None:
    try:
        verify_envelope(envelope)
    except InvokeLogError as error:
        return error.message
    return None
