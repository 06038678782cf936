"""Proofs from the hashes that a store keeps. [TREE-4] [TREE-5] [TREE-8]"""

import pytest

from invoke_log.errors import NotFoundError, ProofInvalidError
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import frontier_at, verify_consistency, verify_inclusion
from invoke_log.log.prove import consistency, inclusions, node_reader
from invoke_log.store.memory import MemoryStore
from tests.store.suite import entry

SIZE = 600


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    store = MemoryStore()
    store.append([entry(n) for n in range(SIZE)])
    return store


def roots(store: MemoryStore, sizes: list[int]) -> dict[int, bytes]:
    with store.snapshot() as reader:
        return {size: frontier_at(TreeSize(size), node_reader(reader)).root() for size in sizes}


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 256, 257, 599, 600])
def test_every_leaf_is_proven_at_every_size_from_stored_hashes(store: MemoryStore, size: int) -> None:
    root = roots(store, [size])[size]
    with store.snapshot() as reader:
        indexes = sorted({0, size // 2, size - 1, max(size - 16, 0)})
        for index, proof in zip(indexes, inclusions(reader, indexes, size), strict=True):
            verify_inclusion(entry(index).entry_leaf_hash, LeafIndex(index), TreeSize(size), proof, root)


def test_proofs_read_no_hash_twice(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.snapshot() as reader:
        read: list[tuple[int, int]] = []
        hashes = reader.hashes

        def counted(level: int, start: int, stop: int) -> list[bytes]:
            read.extend((level, index) for index in range(start, stop))
            return hashes(level, start, stop)

        monkeypatch.setattr(reader, "hashes", counted)
        inclusions(reader, [0, 1, 9, 300, 301], SIZE)
    assert sorted(read) == sorted(set(read))
    assert len(read) < 16 * 10


def test_every_tree_is_proven_to_extend_every_earlier_one(store: MemoryStore) -> None:
    sizes = [1, 2, 15, 16, 17, 255, 256, 300, 512, 600]
    known = roots(store, sizes)
    with store.snapshot() as reader:
        for old in sizes:
            for new in [size for size in sizes if size >= old]:
                proof = consistency(reader, old, new)
                verify_consistency(TreeSize(old), TreeSize(new), known[old], known[new], proof)


def test_a_proof_past_the_store_is_refused(store: MemoryStore) -> None:
    with store.snapshot() as reader:
        with pytest.raises(NotFoundError):
            inclusions(reader, [0], SIZE + 1)
        with pytest.raises(NotFoundError):
            consistency(reader, 10, SIZE + 1)
        with pytest.raises(ProofInvalidError):
            inclusions(reader, [10], 10)
        with pytest.raises(ProofInvalidError):
            consistency(reader, 0, 10)
