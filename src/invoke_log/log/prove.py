"""Proofs from stored hashes. SPEC [TREE-4], [TREE-5], [TREE-8]."""

from collections.abc import Iterable, Sequence
from functools import cache

from invoke_log.errors import NotFoundError
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import ReadNode, prove_consistency, prove_inclusions, tile_node
from invoke_log.store.protocol import COLUMN_HEIGHT, Reader


def node_reader(reader: Reader) -> ReadNode:
    """Return how to read any complete node of a store's tree, from at most 8 kept hashes of one level.

    Hashes are read 16 at a time, and each once: the siblings on one leaf's path lie side by side, and so do leaves.
    """

    @cache
    def read_tile(column: int, index: int) -> Sequence[bytes]:
        level = column * COLUMN_HEIGHT
        return reader.hashes(level, index << COLUMN_HEIGHT, min((index + 1) << COLUMN_HEIGHT, reader.size >> level))

    def read_hashes(column: int, start: int, stop: int) -> Sequence[bytes]:
        index, at = divmod(start, 1 << COLUMN_HEIGHT)
        return read_tile(column, index)[at : at + stop - start]

    def read_node(level: int, index: int) -> bytes:
        if index >= reader.size >> level:
            raise NotFoundError(f"no node {index} at level {level} of a tree of {reader.size} leaves")
        return tile_node(level, index, read_hashes, height=COLUMN_HEIGHT)

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
