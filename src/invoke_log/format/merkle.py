"""The log's Merkle tree (RFC 9162 §2.1, SHA-256): hashes, the frontier that extends it, and its two proofs.

It owns which hashes a proof holds and in which order; it never stores one. A node is named by (level, index): it is the
root of the perfect subtree over the leaves index * 2**level up to (index + 1) * 2**level. SPEC [TREE-1] to [TREE-8].

An empty tree proves nothing. `EMPTY_ROOT` is its root, no leaf is in it, and no consistency proof starts from it: every
tree extends the empty one, so to accept that would sound like evidence where nothing was shown. A tree of one leaf has
that leaf's hash as its root and an empty inclusion proof. Two equal sizes, from 1 on, are consistent where the roots
are equal and the proof is empty [TREE-4], [TREE-5]. A proof binds a leaf to a root, and no size: trees of several sizes
can have one shape beside it, so the size has to come from where the root does, a signed checkpoint.

>>> frontier, _ = EMPTY_FRONTIER.append(leaf_hash(b"first entry"))
>>> frontier.root() == leaf_hash(b"first entry")
True
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, reduce
from hashlib import sha256
from typing import Final, NamedTuple

from invoke_log.errors import MalformedError, ProofInvalidError
from invoke_log.format import limits
from invoke_log.format.digest import LeafIndex, TreeSize

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
TILE_HEIGHT: Final = 8
"""Levels in one tile of C2SP tlog-tiles: a tile is 256 hashes wide, and its hashes stand at levels 0, 8, 16 …"""

# A hash that has begun is copied for less than OpenSSL takes to look SHA-256 up and begin another.
_LEAF: Final = sha256(b"\x00")
_NODE: Final = sha256(b"\x01")

Node = tuple[int, int, bytes]
"""A complete node: level, index, 32-byte hash."""
ReadNode = Callable[[int, int], bytes]
"""(level, index) to the node's 32-byte hash; asked only for nodes whose leaves are all in the tree."""
ReadHashes = Callable[[int, int, int], Sequence[bytes]]
"""(tile level, start, stop) to exactly the hashes start up to stop of level height * tile level."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf: SHA-256(0x00 || entry), RFC 9162 §2.1.1 [TREE-1]."""
    hasher = _LEAF.copy()
    hasher.update(entry)
    return hasher.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right), RFC 9162 §2.1.1 [TREE-1]."""
    hasher = _NODE.copy()
    hasher.update(left + right)
    return hasher.digest()


class Frontier(NamedTuple):
    """The right edge of a tree: all that is needed to extend it and to know its root [TREE-7].

    hashes: roots of the perfect subtrees that the tree splits into, left to right: one for each bit set in `size`.
    `append` and `frontier_at` make the only checked ones.
    """

    size: TreeSize
    hashes: tuple[bytes, ...]

    def append(self, leaf: bytes) -> tuple["Frontier", tuple[Node, ...]]:
        """Return the frontier with one leaf hash more, and the nodes which that leaf completed, itself first.

        Raises: MalformedError: no hash of 32 bytes, or a tree that has 2**53 - 1 leaves already.
        """
        if len(leaf) != HASH_BYTES or self.size >= limits.INTEGER_MAX:
            raise MalformedError(f"frontier: a leaf hash of {len(leaf)} bytes after size {self.size}, want 32 bytes")
        level, index, node = 0, int(self.size), leaf
        nodes: list[Node] = [(level, index, node)]
        hashes = self.hashes
        while index & 1:  # a right child, and its sibling is the last hash: their parent is complete
            level, index, node = level + 1, index >> 1, node_hash(hashes[-1], node)
            hashes = hashes[:-1]
            nodes.append((level, index, node))
        return Frontier(TreeSize(self.size + 1), (*hashes, node)), tuple(nodes)

    def root(self) -> bytes:
        """Return the 32-byte root hash of the tree; `EMPTY_ROOT` at size 0 [TREE-2]."""
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT


EMPTY_FRONTIER: Final = Frontier(size=TreeSize(0), hashes=())


def frontier_at(size: TreeSize, read_node: ReadNode) -> Frontier:
    """Return the frontier of the tree's first `size` leaves: what a bundle that starts there has to carry.

    Raises: MalformedError: a size past 2**53 - 1, or a node that is not 32 bytes.
    """
    if not 0 <= size <= limits.INTEGER_MAX:
        raise MalformedError(f"frontier: size is {size}, want 0 to 2**53 - 1")
    hashes = tuple(_perfect_hashes(0, size, read_node))
    if any(len(each) != HASH_BYTES for each in hashes):
        raise MalformedError(f"frontier: a node of the tree of size {size} is not {HASH_BYTES} bytes")
    return Frontier(size=size, hashes=hashes)


def tile_node(level: int, index: int, read_hashes: ReadHashes, *, height: int = TILE_HEIGHT) -> bytes:
    """Return any node from the hashes at every `height`-th level: one read of at most 2**(height - 1) [TREE-8].

    A store makes its `ReadNode` of this. An inclusion proof at 10**7 leaves reads 939 hashes where levels 0, 8, 16 …
    are kept, and at most 114 where levels 0, 4, 8 … are. Tiles that others read have 8; 4 costs 2 bytes a leaf more.
    """
    tile_level, above = divmod(level, height)
    hashes = read_hashes(tile_level, index << above, (index + 1) << above)
    assert len(hashes) == 1 << above, "a store hands out every hash of a complete node"
    for _ in range(above):
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def prove_inclusion(index: LeafIndex, size: TreeSize, read_node: ReadNode) -> list[bytes]:
    """Return a leaf's inclusion proof in the tree of `size` leaves, its sibling first: RFC 9162 §2.1.3 [TREE-4].

    Raises: ProofInvalidError: there is no such leaf in a tree of that size.
    """
    return prove_inclusions([index], size, read_node)[0]


def prove_inclusions(leaves: Iterable[LeafIndex], size: TreeSize, read_node: ReadNode) -> list[list[bytes]]:
    """Return the proofs of several leaves in one tree; a subtree beside the paths of many is hashed once.

    Raises: as `prove_inclusion`.
    """
    root = cache(lambda subtree: _subtree_root(subtree[0], subtree[1], read_node))
    return [[root(subtree) for subtree in _inclusion_siblings(index, size)] for index in leaves]


def verify_inclusion(leaf: bytes, index: LeafIndex, size: TreeSize, proof: Sequence[bytes], root: bytes) -> None:
    """Return None if `leaf`, a leaf hash, stands at `index` in the tree of `size` leaves under `root` [TREE-4].

    Raises: ProofInvalidError: no such leaf, a hash that is not 32 bytes, one too few or too many, or another root.
    """
    _check_index(index, size)
    # Below the level where the paths of the leaf and of the last leaf meet, each bit of the index says on which side
    # the leaf lies; from there up it lies on the right edge, where only what lies left of it has a hash of its own.
    edge = (index ^ size - 1).bit_length()
    _check_hashes(proof, edge + (index >> edge).bit_count(), leaf, root)
    node = leaf
    for level, sibling in enumerate(proof):
        right = level >= edge or index >> level & 1
        node = node_hash(sibling, node) if right else node_hash(node, sibling)
    if node != root:
        raise ProofInvalidError(
            f"inclusion proof of leaf {index} in size {size}: leads to root {node.hex()}, want {root.hex()}"
        )


def prove_consistency(old_size: TreeSize, new_size: TreeSize, read_node: ReadNode) -> list[bytes]:
    """Return the proof that the first `old_size` leaves of the newer tree are the older tree, RFC 9162 §2.1.4 [TREE-5].

    Raises: ProofInvalidError: old size 0, or above the new size.
    """
    seed, siblings = _consistency_subtrees(old_size, new_size)
    subtrees = siblings if _is_whole_old_tree(seed) else [seed, *siblings]
    return [_subtree_root(start, stop, read_node) for start, stop in subtrees]


def verify_consistency(
    old_size: TreeSize, new_size: TreeSize, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return None if the tree under `old_root` is the beginning of the tree under `new_root` [TREE-5].

    Raises: ProofInvalidError: old size 0 or above the new one, a hash that is not 32 bytes, one too few or too many, or
        another root.
    """
    seed, siblings = _consistency_subtrees(old_size, new_size)
    hashes = [old_root, *proof] if _is_whole_old_tree(seed) else list(proof)
    _check_hashes(hashes, 1 + len(siblings), old_root, new_root)
    old = new = hashes[0]
    for sibling, (start, _) in zip(hashes[1:], siblings, strict=True):
        if start < old_size:  # left of the seam: both trees have this subtree
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if (old, new) != (old_root, new_root):
        raise ProofInvalidError(
            f"consistency proof from size {old_size} to {new_size}: leads to roots {old.hex()} and {new.hex()}, "
            f"want {old_root.hex()} and {new_root.hex()}"
        )


_Subtree = tuple[int, int]
"""The leaves start up to stop, of a subtree that RFC 9162's splits arrive at."""


def _inclusion_siblings(index: int, size: int) -> list[_Subtree]:
    """Return the subtrees whose roots an inclusion proof holds, in its order: from the leaf to the root."""
    _check_index(index, size)
    siblings: list[_Subtree] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _left_width(stop - start)
        if index < middle:
            siblings.append((middle, stop))
            stop = middle
        else:
            siblings.append((start, middle))
            start = middle
    return siblings[::-1]


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= limits.INTEGER_MAX:
        raise ProofInvalidError(f"inclusion proof: no leaf {index} in a tree of size {size}")


def _consistency_subtrees(old_size: int, new_size: int) -> tuple[_Subtree, list[_Subtree]]:
    """Return the subtree that ends where the old tree ends, and its siblings from there to the root."""
    if not 1 <= old_size <= new_size <= limits.INTEGER_MAX:
        raise ProofInvalidError(f"consistency proof: from size {old_size} to {new_size}, want 1 <= old <= new")
    siblings: list[_Subtree] = []
    start, stop = 0, new_size
    while stop != old_size:
        middle = start + _left_width(stop - start)
        if old_size <= middle:
            siblings.append((middle, stop))
            stop = middle
        else:
            siblings.append((start, middle))
            start = middle
    return (start, stop), siblings[::-1]


def _is_whole_old_tree(seed: _Subtree) -> bool:
    # A proof then leaves it out: the verifier starts from the old root, which it has.
    return seed[0] == 0


def _check_hashes(hashes: Sequence[bytes], count: int, *roots: bytes) -> None:
    # Lengths first: a 31-byte hash beside a 33-byte one would join to the bytes of another, true pair.
    if not set(map(len, (*hashes, *roots))) <= {HASH_BYTES}:
        raise ProofInvalidError(f"proof: a hash is not {HASH_BYTES} bytes")
    if len(hashes) != count:
        raise ProofInvalidError(f"proof: {len(hashes)} hashes to fold, want {count}")


def _left_width(width: int) -> int:
    # The largest power of two below the width, which is at least 2 (RFC 9162 §2.1.1).
    return 1 << ((width - 1).bit_length() - 1)


def _perfect_hashes(start: int, stop: int, read_node: ReadNode) -> list[bytes]:
    # A subtree is perfect unless it touches the right edge; there it falls into perfect ones, widest first.
    hashes: list[bytes] = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        hashes.append(read_node(level, start >> level))
        start += 1 << level
    return hashes


def _subtree_root(start: int, stop: int, read_node: ReadNode) -> bytes:
    width = stop - start
    if width.bit_count() == 1:
        return read_node(width.bit_length() - 1, start // width)
    return _fold(_perfect_hashes(start, stop, read_node))


def _fold(hashes: Sequence[bytes]) -> bytes:
    return reduce(lambda right, left: node_hash(left, right), reversed(hashes))
