"""format/merkle.py: the tree, the frontier and both proofs, against own and borrowed vectors and flipped bits."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import MalformedError, ProofInvalidError
from invoke_log.format import limits, merkle
from invoke_log.format.digest import LeafIndex, TreeSize

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle"
SIZE_MAX = 100
LEAVES = [merkle.leaf_hash(b"entry %d" % index) for index in range(600)]

# Size 0 proves nothing [TREE-4], [TREE-5]. The corpus agrees on all of these:
SIZE_0_REFUSED = {
    "inclusion/0/treeSize-div-@2.json",
    "inclusion/additional/0/empty-root-and-random-leaf.json",
    "inclusion/additional/0/empty-root.json",
    "inclusion/additional/0/random-leaf.json",
    "inclusion/additional/2/empty-root-and-random-leaf.json",
    "inclusion/additional/2/empty-root.json",
    "inclusion/additional/2/random-leaf.json",
    "consistency/1/size1-sub-@1.json",
    "consistency/3/size1-XOR-@2.json",
    "consistency/additional/consistency-check-on-empty-tree-size1-is-zero-is-useless.json",
    "consistency/additional/roots-do-not-match-and-sizes-are-zero.json",
    "consistency/additional/size1-is-greater-than-size2.json",
    "consistency/additional/size1-is-zero-and-does-not-equal-size2.json",
    "consistency/additional/size1-is-zero-and-size2-is-not-zero.json",
    "consistency/additional/sizes-are-equal-zero-and-proof-is-empty.json",
    "consistency/additional/sizes-are-equal-zero-but-roots-are-not.json",
    "consistency/additional/sizes-match-but-proof-is-not-empty-and-sizes-are-zero.json",
}
# And these it accepts where we do not: two empty subtrees (one of them of a tree with any root at all), and at size 1
# two equal roots of 12 bytes, which are no hashes.
ACCEPTED_BY_THE_CORPUS_ALONE = {
    f"{name}.json"
    for name in (
        "consistency/additional/sizes-are-equal-one-and-proof-is-empty",
        "subtreeconsistency/additional/sizes-are-equal-one-and-proof-is-empty",
        "subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-proof-is-empty",
        (
            "subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-"
            "tree-root-random-proof-is-empty"
        ),
    )
}


def load(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text())
    return case


def frontier_of(leaves: Sequence[bytes]) -> merkle.Frontier:
    frontier = merkle.EMPTY_FRONTIER
    for leaf in leaves:
        frontier, _ = frontier.append(leaf)
    return frontier


def completed(leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """Return every node that appending these leaves completed."""
    frontier = merkle.EMPTY_FRONTIER
    found: dict[tuple[int, int], bytes] = {}
    for leaf in leaves:
        frontier, nodes = frontier.append(leaf)
        found |= {(level, index): node for level, index, node in nodes}
    return found


NODES = completed(LEAVES)
TREES = load(VECTORS / "all-sizes.json")
ROOTS = {tree["size"]: bytes.fromhex(tree["root"]) for tree in TREES["trees"]}


def read_node(level: int, index: int) -> bytes:
    return NODES[level, index]


def inclusion_of(index: int, size: int) -> list[bytes]:
    return merkle.prove_inclusion(LeafIndex(index), TreeSize(size), read_node)


def consistency_of(old: int, new: int) -> list[bytes]:
    return merkle.prove_consistency(TreeSize(old), TreeSize(new), read_node)


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    return holds(lambda: merkle.verify_inclusion(leaf, LeafIndex(index), TreeSize(size), proof, root))


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    return holds(lambda: merkle.verify_consistency(TreeSize(old), TreeSize(new), old_root, new_root, proof))


def holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except ProofInvalidError:
        return False
    return True


def flipped(hashes: Sequence[bytes], bit: int) -> Iterator[list[bytes]]:
    """Yield the hashes with one bit flipped in each in turn."""
    for at, node in enumerate(hashes):
        other = bytearray(node)
        other[bit % 256 // 8] ^= 1 << bit % 8
        yield [*hashes[:at], bytes(other), *hashes[at + 1 :]]


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.json") if path.stem != "all-sizes"))
def test_the_vector_gives_what_it_expects(name: str) -> None:
    case = load(VECTORS / f"{name}.json")
    proof = [bytes.fromhex(node) for node in case["proof"]]
    if case["flags"] == ["inclusion"]:
        leaf, root = bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root"])
        ok = included(leaf, case["index"], case["size"], proof, root)
    else:
        roots = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
        ok = consistent(case["old_size"], case["new_size"], *roots, proof)
    assert ok == (case["expect"] == "ok")


def test_leaf_node_and_empty_tree_hash_as_rfc_9162_says() -> None:
    """[TREE-1]"""
    assert merkle.leaf_hash(b"") == sha256(b"\x00").digest()
    assert merkle.node_hash(LEAVES[0], LEAVES[1]) == sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()
    assert merkle.EMPTY_FRONTIER.root() == merkle.EMPTY_ROOT == bytes.fromhex(TREES["empty_root"])


def test_each_size_up_to_100_has_the_root_and_the_proofs_of_the_vector() -> None:
    """[TREE-2], [TREE-4], [TREE-5]"""
    for tree in TREES["trees"]:
        size = tree["size"]
        inclusion = b"".join(node for index in range(size) for node in inclusion_of(index, size))
        consistency = b"".join(node for old in range(1, size + 1) for node in consistency_of(old, size))
        assert frontier_of(LEAVES[:size]).root() == ROOTS[size]
        assert sha256(inclusion).hexdigest() == tree["inclusion_sha256"]
        assert sha256(consistency).hexdigest() == tree["consistency_sha256"]
    assert list(ROOTS) == list(range(1, SIZE_MAX + 1))


def test_each_inclusion_proof_up_to_size_100_verifies_and_no_hash_of_it_takes_a_flipped_bit() -> None:
    for size in range(1, SIZE_MAX + 1):
        for index in range(size):
            proof = inclusion_of(index, size)
            assert included(LEAVES[index], index, size, proof, ROOTS[size])
            for leaf, root, *changed in flipped([LEAVES[index], ROOTS[size], *proof], 7 * size + index):
                assert not included(leaf, index, size, changed, root)


def test_each_consistency_proof_up_to_size_100_verifies_and_no_hash_of_it_takes_a_flipped_bit() -> None:
    for new in range(1, SIZE_MAX + 1):
        for old in range(1, new + 1):
            proof = consistency_of(old, new)
            assert consistent(old, new, ROOTS[old], ROOTS[new], proof)
            for old_root, new_root, *changed in flipped([ROOTS[old], ROOTS[new], *proof], 7 * new + old):
                assert not consistent(old, new, old_root, new_root, changed)


def test_a_proof_for_one_place_verifies_at_no_other() -> None:
    size = 21
    for index in range(size):
        proof = inclusion_of(index, size)
        accepted = [at for at in range(size) if included(LEAVES[index], at, size, proof, ROOTS[size])]
        assert accepted == [index]


def test_there_is_no_proof_in_or_from_an_empty_tree_and_none_past_the_end() -> None:
    """[TREE-4], [TREE-5]: sizes begin at 1."""
    for index, size in [(0, 0), (1, 1), (8, 7), (-1, 7)]:
        with pytest.raises(ProofInvalidError):
            inclusion_of(index, size)
    for old, new in [(0, 0), (0, 1), (0, 8), (8, 7), (-1, 7)]:
        with pytest.raises(ProofInvalidError):
            consistency_of(old, new)


@given(st.data())
def test_proofs_hold_in_trees_of_any_size_that_is_allowed(data: st.DataObject) -> None:
    """[TREE-3]. All leaves are equal, so that a level names a node and a tree can be as large as it may."""
    nodes = [LEAVES[0]]
    for _ in range(53):
        nodes.append(merkle.node_hash(nodes[-1], nodes[-1]))
    size = TreeSize(data.draw(st.integers(1, limits.INTEGER_MAX)))
    old = TreeSize(data.draw(st.integers(1, size)))
    index = LeafIndex(data.draw(st.integers(0, size - 1)))

    def read(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size
        return nodes[level]

    root, old_root = merkle.frontier_at(size, read).root(), merkle.frontier_at(old, read).root()
    proof = merkle.prove_inclusion(index, size, read)
    merkle.verify_inclusion(nodes[0], index, size, proof, root)
    merkle.verify_consistency(old, size, old_root, root, merkle.prove_consistency(old, size, read))
    assert len(proof) <= size.bit_length()


def test_a_size_past_the_largest_integer_is_refused() -> None:
    """[TREE-3]"""
    nodes = [LEAVES[0]]
    for _ in range(54):
        nodes.append(merkle.node_hash(nodes[-1], nodes[-1]))
    size = TreeSize(limits.INTEGER_MAX + 1)
    assert not included(nodes[0], 0, size, nodes[:53], nodes[53])
    assert not consistent(size, size, nodes[53], nodes[53], [])
    with pytest.raises(MalformedError):
        merkle.frontier_at(size, lambda level, index: nodes[level])
    largest = merkle.frontier_at(TreeSize(limits.INTEGER_MAX), lambda level, index: nodes[level])
    with pytest.raises(MalformedError):
        largest.append(nodes[0])


def test_append_names_each_node_once_when_its_last_leaf_comes() -> None:
    frontier = merkle.EMPTY_FRONTIER
    seen: set[tuple[int, int]] = set()
    for size, leaf in enumerate(LEAVES[:130], start=1):
        frontier, nodes = frontier.append(leaf)
        assert nodes[0] == (0, size - 1, leaf)
        for level, index, node in nodes:
            assert (index + 1) << level == size
            assert (level, index) not in seen
            assert level == 0 or node == merkle.node_hash(NODES[level - 1, 2 * index], NODES[level - 1, 2 * index + 1])
            seen.add((level, index))
    assert seen == {(level, index) for level in range(8) for index in range(130 >> level)}


def test_a_frontier_has_a_hash_for_each_bit_of_its_size_and_equals_the_one_read_from_nodes() -> None:
    """[TREE-7]"""
    for size in [0, 1, 2, 3, 7, 8, 100, 255, 256, 257, 600]:
        frontier = frontier_of(LEAVES[:size])
        assert (frontier.size, len(frontier.hashes)) == (size, size.bit_count())
        assert merkle.frontier_at(TreeSize(size), read_node) == frontier


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_a_frontier_has_32_bytes(length: int) -> None:
    with pytest.raises(MalformedError):
        merkle.EMPTY_FRONTIER.append(bytes(length))
    with pytest.raises(MalformedError):
        merkle.frontier_at(TreeSize(3), lambda level, index: bytes(32 if level else length))


@pytest.mark.parametrize("height", [8, 4, 1])
def test_any_complete_node_is_computed_from_one_tile(height: int) -> None:
    """[TREE-8]"""

    def read_hashes(tile_level: int, start: int, stop: int) -> list[bytes]:
        assert start >> height == stop - 1 >> height, "all in one tile"
        return [NODES[tile_level * height, at] for at in range(start, stop)]

    for (level, index), node in NODES.items():
        assert merkle.tile_node(level, index, read_hashes, height=height) == node
    proof = merkle.prove_inclusion(
        LeafIndex(300), TreeSize(600), lambda level, index: merkle.tile_node(level, index, read_hashes, height=height)
    )
    assert proof == inclusion_of(300, 600)


def test_the_borrowed_corpus_disagrees_on_the_listed_cases_alone(shared_data: Path) -> None:
    corpus = shared_data / "merkle" / "testdata"
    tried, disagreed, at_size_0 = 0, set(), set()
    for path in sorted(corpus.rglob("*.json")):
        name, case = path.relative_to(corpus).as_posix(), load(path)
        if case.get("start", 0) != 0:
            continue  # a proof about a subtree that starts elsewhere; one that starts at 0 is a tree's
        tried += 1
        if verdict(case) == case["wantErr"]:
            disagreed.add(name)
        if 0 in (case.get("treeSize"), case.get("size1"), case.get("size2")):
            at_size_0.add(name)
    assert tried == 98 + 98 + 203
    assert disagreed == ACCEPTED_BY_THE_CORPUS_ALONE
    assert at_size_0 == SIZE_0_REFUSED


def verdict(case: dict[str, Any]) -> bool:
    """Return whether we accept a case of the corpus."""
    proof = [base64.b64decode(node) for node in case["proof"] or []]
    if "leafHash" in case:
        leaf, root = base64.b64decode(case["leafHash"] or ""), base64.b64decode(case["root"] or "")
        return included(leaf, case["leafIdx"], case["treeSize" if "treeSize" in case else "end"], proof, root)
    old, new = (case["size1"], case["size2"]) if "size1" in case else (case["end"], case["size"])
    return consistent(old, new, base64.b64decode(case["root1"]), base64.b64decode(case["root2"]), proof)
