"""Proofs from stored hashes. SPEC [TREE-4], [TREE-5], [TREE-8]."""

from collections.abc import Sequence

from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import ReadNode, prove_consistency, prove_inclusion, tile_node
from invoke_log.store.protocol import COLUMN_HEIGHT, Reader


def node_reader(reader: Reader) -> ReadNode:
    """Return how to read any complete node of a store's tree, from at most 8 kept hashes of one level."""

    def read_hashes(column: int, start: int, stop: int) -> Sequence[bytes]:
        return reader.hashes(column * COLUMN_HEIGHT, start, stop)

    return lambda level, index: tile_node(level, index, read_hashes, height=COLUMN_HEIGHT)


def inclusion(reader: Reader, index: int, size: int) -> list[bytes]:
    """Return the hashes that tie a leaf to the root at a tree size, its sibling first (RFC 9162 §2.1.3).

    Raises: ProofInvalidError: no such leaf in a tree of that size. NotFoundError: the store is smaller.
    """
    return prove_inclusion(LeafIndex(index), TreeSize(size), node_reader(reader))


def consistency(reader: Reader, old_size: int, new_size: int) -> list[bytes]:
    """Return the hashes that show one tree to be the beginning of a later one (RFC 9162 §2.1.4).

    Raises: ProofInvalidError: old size 0, or above the new one. NotFoundError: the store is smaller.
    """
    return prove_consistency(TreeSize(old_size), TreeSize(new_size), node_reader(reader))
