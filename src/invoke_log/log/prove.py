"""Proofs from stored hashes. SPEC [TREE-4], [TREE-5], [TREE-8]."""

from collections.abc import Iterable, Sequence
from functools import cache

from invoke_log.errors import NotFoundError
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import ReadNode, node_hash, prove_consistency, prove_inclusions
from invoke_log.store.protocol import COLUMN_HEIGHT, Reader


def node_reader(reader: Reader) -> ReadNode:
    """Return how to read any complete node of a store's tree.

    Kept hashes are read 16 at a time and each once, with the nodes that they make: the siblings on a leaf's path lie
    side by side, and so do the leaves of an effect. Raises, when it is asked: NotFoundError: the store is smaller.
    """

    @cache
    def read_tile(column: int, index: int) -> list[Sequence[bytes]]:
        level = column * COLUMN_HEIGHT
        stop = min((index + 1) << COLUMN_HEIGHT, reader.size >> level)
        rows: list[Sequence[bytes]] = [reader.hashes(level, index << COLUMN_HEIGHT, stop)]
        for _ in range(1, COLUMN_HEIGHT):
            below = rows[-1]
            rows.append([node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)])
        return rows

    def read_node(level: int, index: int) -> bytes:
        if index >= reader.size >> level:
            raise NotFoundError(f"no node {index} at level {level} of a tree of {reader.size} leaves")
        column, above = divmod(level, COLUMN_HEIGHT)
        tile, at = divmod(index, 1 << COLUMN_HEIGHT - above)
        return read_tile(column, tile)[above][at]

    return read_node


def inclusions(reader: Reader, leaves: Iterable[int], size: int) -> list[list[bytes]]:
    """Return for each leaf the hashes that tie it to the root at a tree size, its sibling first (RFC 9162 §2.1.3).

    Raises: ProofInvalidError: no such leaf in a tree of that size. NotFoundError: the store is smaller.
    """
    return prove_inclusions(map(LeafIndex, leaves), TreeSize(size), node_reader(reader))


def consistency(reader: Reader, old_size: int, new_size: int) -> list[bytes]:
    """Return the hashes that show one tree to be the beginning of a later one (RFC 9162 §2.1.4).

    Raises: ProofInvalidError: old size 0, or above the new one. NotFoundError: the store is smaller.
    """
    return prove_consistency(TreeSize(old_size), TreeSize(new_size), node_reader(reader))
