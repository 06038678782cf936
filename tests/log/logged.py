"""Entries that can be composed, and ways to damage a store, for the tests of the engine."""

from hashlib import sha256
from pathlib import Path

import lmdb

from invoke_log.format.envelope import GENESIS_LOG, seal
from invoke_log.format.merkle import leaf_hash
from invoke_log.log.signer import FileSigner
from invoke_log.store.protocol import Pending

SIGNER = FileSigner(bytes(range(32)))
ORIGIN = "example.com/log"
CHAIN = bytes(16) + b"chain"


def entry(number: int, *, expect: dict[bytes, bytes | None] | None = None, on: tuple[bytes, ...] = ()) -> Pending:
    """Return a signed entry that is told from others by its number."""
    envelope = seal({"by": SIGNER.public_key, "log": GENESIS_LOG, "number": number}, SIGNER)
    return Pending(
        body=envelope.body,
        signature=envelope.signature,
        entry_leaf_hash=leaf_hash(envelope.entry),
        expect=expect or {},
        rows=[(chain, sha256(envelope.body).digest(), b"") for chain in on],
    )


def damage(store: Path, key: bytes, *, at: int = 0) -> None:
    """Flip one bit of the value under an LMDB key, in a store that is closed."""
    with lmdb.open(str(store)) as raw, raw.begin(write=True) as txn:
        value = bytearray(txn.get(key, b""))
        value[at] ^= 1
        txn.put(key, bytes(value))


def entry_key(index: int) -> bytes:
    return b"t" + index.to_bytes(8, "big")


def node_key(level: int, index: int) -> bytes:
    return b"n" + (((index + 1) << level) - 1).to_bytes(8, "big") + bytes((level,))
