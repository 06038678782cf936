"""The head of the log, signed: root to checkpoint. SPEC [CKPT-5], [CKPT-9].

A log that signs two roots for one size has lied, whatever the reason. So it signs only what is durable, what it has
read again and hashed again, and what extends the checkpoint before; and it journals the note before anybody sees it.
"""

from collections.abc import Iterator
from typing import Final

from invoke_log.errors import MalformedError, StoreDamagedError, StoreError
from invoke_log.format.checkpoint import Checkpoint, parse_body, sign_checkpoint
from invoke_log.format.envelope import entry_of
from invoke_log.format.merkle import EMPTY_FRONTIER, Frontier, frontier_at, leaf_hash
from invoke_log.format.note import parse_note
from invoke_log.log.prove import node_reader
from invoke_log.log.signer import Signer
from invoke_log.store.protocol import Reader, Store

CHECKPOINT_META: Final = b"checkpoint"
"""The meta value that journals the last signed note."""

PUBLISH_ATTEMPTS_MAX: Final = 100
"""Each lost race means that another process has published a later checkpoint."""


def publish(store: Store, *, origin: str, signer: Signer) -> bytes:
    """Return the signed note of a checkpoint that covers everything that was there when this was called.

    Raises: StoreDamagedError: the store does not hold what its tree or the last checkpoint says; nothing is signed.
        CommitUncertainError: the disk did not confirm; nothing is said. StoreError: an empty log, or every attempt lost
        its race.
    """
    for _ in range(PUBLISH_ATTEMPTS_MAX):
        last = store.get_meta(CHECKPOINT_META)  # first: a snapshot from before a later note would seem to lack entries
        with store.snapshot() as reader:
            if reader.size == 0:
                raise StoreError("an empty log has nothing to sign")
            frontier = _signed_frontier(reader, last)
            if last is not None and frontier.size == reader.size:
                # What it covers was durable before it was signed. Crash while another process journals it: the next
                # note of this size is over the same leaves, and is the same bytes.
                return last
            store.barrier()  # another process may still be flushing what the snapshot shows
            # Hashed from the stored bytes, on top of the frontier that the last note was signed over: that the new root
            # extends the old one is not checked here but made so.
            for leaf in hash_entries(reader, frontier.size, reader.size):
                frontier, _ = frontier.append(leaf)
            if frontier != frontier_at(reader.size, node_reader(reader)):
                raise StoreDamagedError(
                    f"store {store.path}: the tree of {reader.size} entries is not that of what is stored: not signed"
                )
        note = sign_checkpoint(Checkpoint(origin=origin, size=frontier.size, root=frontier.root()), signer)
        # Crash before the journal: nothing was said. After it: the note stands, and the next caller gets those bytes.
        if store.put_meta(CHECKPOINT_META, note, expect=last):
            return note
    raise StoreError("no checkpoint: every attempt lost its race", hint="ask again")


def hash_entries(reader: Reader, start: int, stop: int) -> Iterator[bytes]:
    """Return the leaf hash of each stored entry, made from its bytes. Raises StoreDamagedError: they make no entry."""
    for index, (body, signature) in enumerate(reader.entries(start, stop), start):
        try:
            yield leaf_hash(entry_of(body, signature))
        except MalformedError as error:
            raise StoreDamagedError(f"entry {index}: {error.message}") from error


def _signed_frontier(reader: Reader, note: bytes | None) -> Frontier:
    """Return the right edge that the last note was signed over: read from the nodes, proven by the root in the note."""
    if note is None:
        return EMPTY_FRONTIER
    last = parse_body(parse_note(note).text)
    if last.size > reader.size:
        raise StoreDamagedError(f"store holds {reader.size} entries, and {last.size} were signed: not signed")
    frontier = frontier_at(last.size, node_reader(reader))
    if frontier.root() != last.root:
        raise StoreDamagedError(f"the tree of {last.size} entries is not the one that was signed: not signed")
    return frontier
