"""Keys and values of the one tree that an LMDB store is. It knows bytes only, and reads nothing."""

from typing import Final

from invoke_log.format.digest import LeafIndex
from invoke_log.format.merkle import HASH_BYTES
from invoke_log.store.protocol import CHAIN_NAME_BYTES_MAX, SIGNATURE_BYTES, ChainRow, Pending

CHAIN: Final = b"c"
META: Final = b"m"
NODE: Final = b"n"
ENTRY: Final = b"t"
"""The last one: LMDB fills its pages only where the keys of the whole tree ascend."""

INDEX_BYTES: Final = 8
AFTER_EVERY_INDEX: Final = b"\xff" * INDEX_BYTES
AFTER_EVERY_ROW: Final = b"\xff" * (CHAIN_NAME_BYTES_MAX + INDEX_BYTES + 1)

_BODY_AT: Final = HASH_BYTES + SIGNATURE_BYTES


def index_bytes(index: int) -> bytes:
    """Return a leaf index as it stands in keys."""
    return index.to_bytes(INDEX_BYTES)


def index_of(key: bytes) -> LeafIndex:
    """Return the leaf index at the end of a key."""
    return LeafIndex(int.from_bytes(key[-INDEX_BYTES:]))


def node_key(level: int, index: int) -> bytes:
    """Return the key of a node, which begins with its last leaf: nodes are complete, and so written, in key order."""
    return NODE + index_bytes(((index + 1) << level) - 1) + bytes((level,))


def chain_of(key: bytes) -> bytes | None:
    """Return the name of the chain that a row's key belongs to, or None where it is no row of a chain."""
    return key[1:-INDEX_BYTES] if key.startswith(CHAIN) else None


def chain_row(key: bytes, value: bytes) -> ChainRow:
    """Return the row of a chain that is stored under a key."""
    return ChainRow(index_of(key), value[:HASH_BYTES], value[HASH_BYTES:])


def join_entry(pending: Pending) -> bytes:
    """Return what is stored of an entry."""
    return b"".join((pending.entry_leaf_hash, pending.signature, pending.body))


def split_entry(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Return leaf hash, signature and body of a stored entry; cut ones where the value is cut."""
    return value[:HASH_BYTES], value[HASH_BYTES:_BODY_AT], value[_BODY_AT:]
