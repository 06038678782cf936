"""format/prefix_tree.py: one root for the pairs alone, and proofs that say of each key what is true."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import ProofInvalidError
from invoke_log.format.digest import derive
from invoke_log.format.prefix_tree import (
    EMPTY,
    EMPTY_TREE,
    MapProof,
    PrefixTree,
    verify_absent,
    verify_present,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "prefix_tree"
SIZE_MAX = 100
PAIRS = [(sha256(b"key %d" % number).digest(), sha256(b"value %d" % number).digest()) for number in range(SIZE_MAX)]

# Few bits differ, so that drawn keys share long prefixes and often are one another.
KEYS = st.builds(
    lambda first, last: bytes([first]) + bytes(30) + bytes([last]), st.sampled_from([0, 1, 128]), st.integers(0, 7)
)
VALUES = st.integers(0, 255).map(lambda byte: bytes([byte]) * 32)


def load(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return case


def tree_of(pairs: list[tuple[bytes, bytes]]) -> PrefixTree:
    tree = EMPTY_TREE
    for key, value in pairs:
        tree = tree.put(key, value)
    return tree


def present(key: bytes, value: bytes, proof: MapProof, root: bytes) -> bool:
    return holds(lambda: verify_present(key, value, proof, root))


def absent(key: bytes, proof: MapProof, root: bytes) -> bool:
    return holds(lambda: verify_absent(key, proof, root))


def holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except ProofInvalidError:
        return False
    return True


def flip(raw: bytes, bit: int) -> bytes:
    return (int.from_bytes(raw, "big") ^ 1 << bit % 256).to_bytes(len(raw), "big")


def flipped(proof: MapProof, bit: int) -> Iterator[MapProof]:
    """Yield the proof with one bit flipped in each of its parts in turn."""
    for at, sibling in enumerate(proof.siblings):
        yield replace(proof, siblings=(*proof.siblings[:at], flip(sibling, bit), *proof.siblings[at + 1 :]))
    if proof.leaf is not None:
        key, value = proof.leaf
        yield replace(proof, leaf=(flip(key, bit), value))
        yield replace(proof, leaf=(key, flip(value, bit)))


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.json") if path.stem != "all-sizes"))
def test_the_vector_gives_what_it_expects(name: str) -> None:
    case = load(name)
    key, root = bytes.fromhex(case["key"]), bytes.fromhex(case["root"])
    leaf = case["leaf"] and (bytes.fromhex(case["leaf"][0]), bytes.fromhex(case["leaf"][1]))
    proof = MapProof(siblings=tuple(bytes.fromhex(sibling) for sibling in case["siblings"]), leaf=leaf)
    if case["flags"] == ["present"]:
        ok = present(key, bytes.fromhex(case["value"]), proof, root)
    else:
        ok = absent(key, proof, root)
    assert ok == (case["expect"] == "ok")


def test_each_size_up_to_100_has_the_root_and_the_proofs_of_the_vector() -> None:
    """[MAP-1], [MAP-4]"""
    maps = load("all-sizes")["maps"]
    tree = EMPTY_TREE
    for size, expected in enumerate(maps):
        proofs = [tree.prove(key) for key, _ in PAIRS]
        joined = b"".join(b"".join((*proof.siblings, *(proof.leaf or ()))) for proof in proofs)
        assert (expected["size"], expected["root"]) == (size, tree.root().hex())
        assert sha256(joined).hexdigest() == expected["proofs_sha256"]
        if size < SIZE_MAX:
            tree = tree.put(*PAIRS[size])
    assert len(maps) == SIZE_MAX + 1


def test_each_proof_up_to_100_keys_says_the_truth_and_no_part_of_it_takes_a_flipped_bit() -> None:
    """[MAP-5], [MAP-6]"""
    tree = EMPTY_TREE
    for size in range(SIZE_MAX + 1):
        root = tree.root()
        for number, (key, value) in enumerate(PAIRS):
            proof = tree.prove(key)
            is_there = number < size
            assert present(key, value, proof, root) == is_there
            assert absent(key, proof, root) == (not is_there)
            if (number + size) % 8 == 0:
                assert not present(key, value, proof, flip(root, number))
                assert not absent(key, proof, flip(root, number))
                for other in flipped(proof, 3 * size + number):
                    assert not present(key, value, other, root)
                    assert not absent(key, other, root)
        if size < SIZE_MAX:
            tree = tree.put(*PAIRS[size])


def test_the_empty_map_one_leaf_and_two_hash_as_the_format_says() -> None:
    """[MAP-1], [MAP-2], [MAP-3]"""
    low, high = bytes(32), b"\x80" + bytes(31)
    low_leaf, high_leaf = derive("map leaf", low + b"v" * 32), derive("map leaf", high + b"w" * 32)
    one = EMPTY_TREE.put(low, b"v" * 32)
    assert EMPTY_TREE.root() == EMPTY == bytes(32)
    assert one.root() == low_leaf
    assert one.put(high, b"w" * 32).root() == derive("map node", low_leaf + high_leaf)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=24), st.data())
def test_the_root_depends_on_the_pairs_alone(pairs: dict[bytes, bytes], data: st.DataObject) -> None:
    order = data.draw(st.permutations(list(pairs.items())))
    overwritten = [(key, data.draw(VALUES)) for key in data.draw(st.lists(st.sampled_from(list(pairs))))]
    assert tree_of([*overwritten, *order]).root() == tree_of(list(pairs.items())).root()


@given(st.dictionaries(KEYS, VALUES, max_size=24), KEYS, VALUES)
def test_a_key_is_either_proved_with_its_one_value_or_proved_absent(
    pairs: dict[bytes, bytes], key: bytes, value: bytes
) -> None:
    tree = tree_of(list(pairs.items()))
    proof, root = tree.prove(key), tree.root()
    assert present(key, value, proof, root) == (pairs.get(key) == value)
    assert absent(key, proof, root) == (key not in pairs)


@given(
    st.binary(min_size=31, max_size=33),
    st.lists(st.binary(min_size=31, max_size=33) | st.just(EMPTY), max_size=3),
    st.none() | st.tuples(st.binary(min_size=31, max_size=33), st.binary(min_size=31, max_size=33)),
    st.sampled_from([1, 100, 300]),
)
def test_parts_of_any_length_and_number_are_refused_as_a_proof(
    key: bytes, siblings: list[bytes], leaf: tuple[bytes, bytes] | None, times: int
) -> None:
    proof = MapProof(siblings=tuple(siblings * times), leaf=leaf)
    root = tree_of(PAIRS[:9]).root()
    assert not present(key, leaf[1] if leaf else EMPTY, proof, root)
    assert not absent(key, proof, root)


def test_no_proof_of_another_key_shows_a_present_key_to_be_absent() -> None:
    tree = tree_of(PAIRS)
    proofs = [tree.prove(flip(key, bit)) for key, _ in PAIRS[:10] for bit in range(230, 256)]
    assert not any(absent(key, proof, tree.root()) for key, _ in PAIRS[:10] for proof in proofs)


def test_the_tree_of_an_earlier_root_goes_on_proving_against_it() -> None:
    earlier = tree_of(PAIRS[:50])
    root = earlier.root()
    later = earlier.put(PAIRS[0][0], b"x" * 32).put(*PAIRS[60])
    assert later.root() != root == earlier.root()
    verify_present(*PAIRS[0], earlier.prove(PAIRS[0][0]), root)
    verify_absent(PAIRS[60][0], earlier.prove(PAIRS[60][0]), root)
    verify_present(PAIRS[0][0], b"x" * 32, later.prove(PAIRS[0][0]), later.root())


def test_keys_that_part_at_the_last_bit_need_no_deep_stack() -> None:
    # A resolution may name any 32 bytes as a key, so whoever may write one can choose the deepest tree there is.
    limit = sys.getrecursionlimit()
    depth = len(list(iter_frames()))
    sys.setrecursionlimit(depth + 300)
    try:
        tree = EMPTY_TREE.put(bytes(32), b"v" * 32).put(flip(bytes(32), 0), b"w" * 32)
        root = tree.root()
    finally:
        sys.setrecursionlimit(limit)
    proof = tree.prove(bytes(32))
    assert len(proof.siblings) == 256
    verify_present(bytes(32), b"v" * 32, proof, root)


def iter_frames() -> Iterator[object]:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        yield frame


@pytest.mark.parametrize(("key", "value"), [(bytes(31), bytes(32)), (bytes(32), bytes(33))])
def test_only_hashes_are_put(key: bytes, value: bytes) -> None:
    with pytest.raises(AssertionError):
        EMPTY_TREE.put(key, value)
