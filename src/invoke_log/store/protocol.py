"""What a store keeps, and the one conditional append through which it grows.

A store carries bytes and never asks what they mean. It has one list of entries, the hashes of their tree, and one
index: *chains*, each a row of heads in leaf order. Nothing is updated in place: a chain's head is its last row.

The caller names the chains, and owes two things. A name begins with the 16-byte id of its resource, so that the rows of
one resource are neighbours on disk. And no name is the beginning of another: such names could be read as each other's
rows. An append that meets two of them raises MalformedError.

*Durable* means: it survives the death of every process, and a loss of power, from the moment that the method returned.

>>> Pending(body=b"body", signature=bytes(64), entry_leaf_hash=bytes(32), expect={b"chain": None}, rows=[]).body
b'body'
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from invoke_log.errors import MalformedError
from invoke_log.format import limits
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import HASH_BYTES, Frontier

CHAIN_NAME_BYTES_MAX: Final = 120
"""Bytes of a chain's name, at least 1: with a leaf index it stays far below the 511 bytes of an LMDB key."""

META_NAME_BYTES_MAX: Final = 120
"""Bytes of the name of a meta value, at least 1."""

META_VALUE_BYTES_MAX: Final = 65_536
"""Bytes of a meta value: settings, and the last checkpoint with its cosignatures."""

APPEND_COUNT_MAX: Final = 10_000
"""Entries in one append: they are held in memory, and other writers wait while they are stored."""

COLUMN_HEIGHT: Final = 4
"""The tree levels that are kept are its multiples: a proof reads at most 15 hashes of each. Tiles use every second."""

SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An entry to append, and the heads under which it may be.

    body: at most 64,000 bytes. signature: 64 bytes. entry_leaf_hash: 32 bytes, of the entry composed of the two.
    expect: by chain, the 32-byte head that must stand, or None where the chain must be empty.
    rows: (chain, its new 32-byte head, a memo of at most 256 bytes), each chain at most once.

    Raises: MalformedError: another length, or a chain twice in `rows`.
    """

    body: bytes
    signature: bytes
    entry_leaf_hash: bytes
    expect: Mapping[bytes, bytes | None]
    rows: Sequence[tuple[bytes, bytes, bytes]]

    def __post_init__(self) -> None:
        if len(self.body) > limits.BODY_BYTES_MAX:
            raise MalformedError(f"pending: body of {len(self.body)} bytes, want at most {limits.BODY_BYTES_MAX}")
        if len(self.signature) != SIGNATURE_BYTES or len(self.entry_leaf_hash) != HASH_BYTES:
            found = f"{len(self.signature)} and {len(self.entry_leaf_hash)}"
            raise MalformedError(f"pending: signature and leaf hash of {found} bytes, want 64 and 32")
        new = {chain: head for chain, head, _ in self.rows}
        if len(new) != len(self.rows):
            raise MalformedError("pending: two rows for one chain, want one")
        for chain, head in (*self.expect.items(), *new.items()):
            if not 1 <= len(chain) <= CHAIN_NAME_BYTES_MAX:
                raise MalformedError(f"pending: chain name of {len(chain)} bytes, want 1 to {CHAIN_NAME_BYTES_MAX}")
            if head is not None and len(head) != HASH_BYTES:
                raise MalformedError(f"pending: head of {len(head)} bytes for chain {chain.hex()}, want {HASH_BYTES}")
        for _, _, memo in self.rows:
            if len(memo) > limits.MEMO_BYTES_MAX:
                raise MalformedError(f"pending: memo of {len(memo)} bytes, want at most {limits.MEMO_BYTES_MAX}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The entry is durable at this leaf index."""

    index: LeafIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Nothing of the entry is stored. `chain`, the first in `expect` that differs, has this head; None: it is empty."""

    chain: bytes
    head: bytes | None


Answer = Appended | Moved


class ChainRow(NamedTuple):
    """A chain's head as the entry at `index` left it, with the caller's memo."""

    index: LeafIndex  # type: ignore[assignment]  # hides tuple.index, which nobody asks for
    head: bytes
    memo: bytes


class Reader(Protocol):
    """The store as it stood when the snapshot was taken: later appends never show, however long it is read.

    It belongs to one thread and to the snapshot's `with`. Iterators read ahead in chunks and may be interleaved.
    Every method raises StoreDamagedError where stored bytes are not what a store writes, StoreError after the `with`.
    """

    @property
    def frontier(self) -> Frontier:
        """The right edge of the tree."""

    @property
    def size(self) -> TreeSize:
        """How many entries there are."""

    @property
    def root(self) -> bytes:
        """The root hash of the tree, 32 bytes."""

    def entry(self, index: int) -> tuple[bytes, bytes]:
        """Return body and signature at a leaf index. Raises NotFoundError: not below `size`."""

    def entries(self, start: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
        """Return body and signature of each leaf from `start` up to the lesser of `stop` and `size`."""

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        """Return the nodes `start` up to `stop` of a tree level that is a multiple of `COLUMN_HEIGHT`; 0 is the leaves.

        Raises: NotFoundError: one of them is not complete at `size`.
        """

    def head(self, chain: bytes) -> ChainRow | None:
        """Return the last row of a chain, or None where it has none."""

    def row_at_or_before(self, chain: bytes, index: int) -> ChainRow | None:
        """Return the last row of a chain whose leaf index is at most `index`."""

    def row_after(self, chain: bytes, index: int) -> ChainRow | None:
        """Return the first row of a chain whose leaf index is greater than `index`."""

    def rows(self, chain: bytes, start: int = 0) -> Iterator[ChainRow]:
        """Return the rows of a chain from leaf index `start` on, ascending."""

    def heads(self, prefix: bytes, name_bytes: int, start: bytes = b"") -> Iterator[tuple[bytes, ChainRow]]:
        """Return each chain whose name begins with `prefix` and has `name_bytes` bytes, and its head, by name; those
        from the name `start` on.
        """


class Store(Protocol):
    """Entries, tree and chains of one log. Any number of threads and processes may append and read at the same time."""

    @property
    def path(self) -> str:
        """Where it is, for messages."""

    @property
    def read_only(self) -> bool:
        """Whether `append`, `put_meta` and `barrier` raise StoreReadOnlyError."""

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        """Return one answer for each entry, in order, once all accepted ones are durable.

        Entries are judged in order, and each sees the earlier accepted ones of the same call. One is accepted if every
        chain in its `expect` has that head. It then takes the next leaf index (no gaps), its rows become the heads of
        their chains and its leaf hash extends the tree, all in one commit. Otherwise nothing of it is stored.

        Raises:
            MalformedError: more than `APPEND_COUNT_MAX` entries, or a chain's name begins another's; nothing is stored.
            StoreFullError: no space; nothing is stored.
            CommitUncertainError: the entries may or may not be durable. Open the store anew and check it.
        """

    def snapshot(self) -> AbstractContextManager[Reader]:
        """Return the store at one moment: between two appends, never inside one."""

    def barrier(self) -> TreeSize:
        """Return a tree size below which everything is durable, whoever appended it.

        A commit can be seen before it is durable. What a snapshot holds may be signed after a barrier that began later.
        Raises: CommitUncertainError: the disk did not confirm.
        """

    def get_meta(self, name: bytes) -> bytes | None:
        """Return a small value by its name, or None where there is none."""

    def put_meta(self, name: bytes, value: bytes, *, expect: bytes | None) -> bool:
        """Return True once the value is durable; False, and nothing is stored, where another than `expect` stands.

        expect: None where there must be no value yet.
        Raises: MalformedError: the name or the value is too long. StoreFullError, CommitUncertainError: as `append`.
        """

    def close(self) -> None:
        """Give the store back. Closing twice does nothing; any other use afterwards raises StoreError."""


def check_meta(name: bytes, value: bytes) -> None:
    """Raise MalformedError unless a meta value keeps within the bounds that every store has."""
    if not 1 <= len(name) <= META_NAME_BYTES_MAX or len(value) > META_VALUE_BYTES_MAX:
        raise MalformedError(
            f"meta: name of {len(name)} and value of {len(value)} bytes, "
            f"want 1 to {META_NAME_BYTES_MAX} and at most {META_VALUE_BYTES_MAX}"
        )


def check_append(pendings: Sequence[Pending]) -> None:
    """Raise MalformedError where one append holds more entries than any store takes at once."""
    if len(pendings) > APPEND_COUNT_MAX:
        raise MalformedError(f"append: {len(pendings)} entries, want at most {APPEND_COUNT_MAX}")
