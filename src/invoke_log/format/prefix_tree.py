"""The map: one root over all (key, value) pairs, and a proof for any key that it is there or that it is not.

A prefix tree over the bits of 32-byte keys, most significant first. A subtree with no key is 32 zero bytes, one with a
single key is that leaf, any other is a node over two subtrees; so the root is a function of the pairs alone, whatever
order they came in. Values are 32 bytes; what they are the hash of is not known here. SPEC [MAP-1] to [MAP-6].

A tree is a value: `put` returns another one that shares all but one path with it, so the tree of an earlier root goes
on proving against that root. Hashes are made when a root or a proof is asked for.

>>> tree = EMPTY_TREE.put(bytes(32), b"v" * 32)
>>> verify_present(bytes(32), b"v" * 32, tree.prove(bytes(32)), tree.root())
>>> verify_absent(b"k" * 32, tree.prove(b"k" * 32), tree.root())
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from invoke_log.errors import ProofInvalidError
from invoke_log.format.digest import derive

KEY_BYTES: Final = 32
VALUE_BYTES: Final = 32
HASH_BYTES: Final = 32
DEPTH_MAX: Final = 8 * KEY_BYTES
"""Bits of a key: two keys differ in one of them, so no leaf stands deeper, and no walk or proof is longer."""
EMPTY: Final = bytes(HASH_BYTES)


class _Leaf:
    __slots__ = ("hash", "key", "value")

    def __init__(self, key: bytes, value: bytes) -> None:
        self.key = key
        self.value = value
        self.hash = _leaf_hash(key, value)


class _Node:
    """Two subtrees with two keys or more between them; never changed, but that its hash is kept once it is made."""

    __slots__ = ("hash", "left", "right")

    def __init__(self, left: "_Subtree", right: "_Subtree") -> None:
        self.left = left
        self.right = right
        self.hash: bytes | None = None


_Subtree = _Leaf | _Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapProof:
    """Where the walk along a key's bits ends in a tree, and what stands beside it [MAP-4].

    siblings: 32-byte subtree hashes, the root's child first, at most 256; as many as bits were walked.
    leaf: the (key, value) that stands there, the asked key's or another's, or None where that place is empty.
    """

    siblings: tuple[bytes, ...]
    leaf: tuple[bytes, bytes] | None


@dataclass(frozen=True, slots=True, eq=False)
class PrefixTree:
    """A map of 32-byte keys to 32-byte values, as of one moment; made from `EMPTY_TREE`."""

    _top: _Subtree

    def put(self, key: bytes, value: bytes) -> "PrefixTree":
        """Return the tree in which `key` has `value`, whatever it had before."""
        assert len(key) == KEY_BYTES, "a key of the map is a hash"
        assert len(value) == VALUE_BYTES, "a value of the map is a hash"
        return PrefixTree(_put(self._top, _Leaf(key, value), 0))

    def root(self) -> bytes:
        """Return the 32-byte root hash; 32 zero bytes while there is no key [MAP-1]."""
        return _hash_of(self._top)

    def prove(self, key: bytes) -> MapProof:
        """Return the proof of what the tree says about `key`: its value, or that it is not there [MAP-4]."""
        siblings: list[bytes] = []
        subtree = self._top
        while isinstance(subtree, _Node):
            went_right = _bit(key, len(siblings))
            siblings.append(_hash_of(subtree.left if went_right else subtree.right))
            subtree = subtree.right if went_right else subtree.left
        return MapProof(siblings=tuple(siblings), leaf=None if subtree is None else (subtree.key, subtree.value))


EMPTY_TREE: Final = PrefixTree(None)


def verify_present(key: bytes, value: bytes, proof: MapProof, root: bytes) -> None:
    """Return None if `key` has `value` in the tree under `root` [MAP-5].

    Raises: ProofInvalidError: the proof ends elsewhere, is out of bounds, or leads to another root.
    """
    _check_lengths(key, proof)
    if proof.leaf != (key, value):
        raise ProofInvalidError(f"map proof of {key.hex()}: does not end at that key with the value {value.hex()}")
    _verify_path(key, proof, root)


def verify_absent(key: bytes, proof: MapProof, root: bytes) -> None:
    """Return None if `key` is not in the tree under `root`: its place is empty, or another key's leaf [MAP-6].

    Raises: ProofInvalidError: the proof ends at the key itself, is out of bounds, or leads to another root.
    """
    _check_lengths(key, proof)
    if proof.leaf is not None:
        other = proof.leaf[0]
        if other == key:
            raise ProofInvalidError(f"map proof of {key.hex()}: the key is there, want it absent")
        # Only a leaf on the key's own path says anything about it: one from elsewhere is there beside a present key.
        if any(_bit(other, at) != _bit(key, at) for at in range(len(proof.siblings))):
            raise ProofInvalidError(f"map proof of {key.hex()}: ends at {other.hex()}, which is not on its path")
    _verify_path(key, proof, root)


def _verify_path(key: bytes, proof: MapProof, root: bytes) -> None:
    node = EMPTY if proof.leaf is None else _leaf_hash(*proof.leaf)
    for depth in reversed(range(len(proof.siblings))):
        beside = proof.siblings[depth]
        node = _node_hash(beside, node) if _bit(key, depth) else _node_hash(node, beside)
    if node != root:
        raise ProofInvalidError(f"map proof of {key.hex()}: leads to root {node.hex()}, want {root.hex()}")


def _check_lengths(key: bytes, proof: MapProof) -> None:
    # Hashes are joined without lengths, so each part has to have its own: 31 and 33 bytes would join to another pair.
    if len(proof.siblings) > DEPTH_MAX:
        raise ProofInvalidError(f"map proof: {len(proof.siblings)} siblings, want at most {DEPTH_MAX}")
    parts: Sequence[bytes] = (key, *proof.siblings, *(proof.leaf or ()))
    if any(len(part) != HASH_BYTES for part in parts):
        raise ProofInvalidError(f"map proof: a key, value or hash is not {HASH_BYTES} bytes")


def _put(subtree: _Subtree, leaf: _Leaf, depth: int) -> _Leaf | _Node:
    """Return the subtree at `depth` with the leaf in it; at most `DEPTH_MAX` calls deep: no two keys share more."""
    if not isinstance(subtree, _Node):
        if subtree is None or subtree.key == leaf.key:
            return leaf
        # A second key comes here: the first moves one bit down, and further while the two go the same way.
        subtree = _Node(None, subtree) if _bit(subtree.key, depth) else _Node(subtree, None)
    if _bit(leaf.key, depth):
        return _Node(subtree.left, _put(subtree.right, leaf, depth + 1))
    return _Node(_put(subtree.left, leaf, depth + 1), subtree.right)


def _hash_of(subtree: _Subtree) -> bytes:
    if subtree is None:
        return EMPTY
    if subtree.hash is None:
        subtree.hash = _node_hash(_hash_of(subtree.left), _hash_of(subtree.right))
    return subtree.hash


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (~depth & 7) & 1


def _leaf_hash(key: bytes, value: bytes) -> bytes:
    return derive("map leaf", key + value)


def _node_hash(left: bytes, right: bytes) -> bytes:
    return derive("map node", left + right)
