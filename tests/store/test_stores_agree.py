"""Random histories: the LMDB store answers every question as the memory store does, also after it was opened again."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from invoke_log.store.lmdb import LmdbStore, reader
from invoke_log.store.memory import MemoryStore
from invoke_log.store.protocol import Pending, Reader, Store
from tests.store.suite import entry, head

# Prefix-free, of two lengths, some with the same beginning, some at the edges of byte order.
CHAINS = [bytes(16) + b"a", b"\xff" * 17, *(b"\x07" * 16 + bytes([first]) + bytes(32) for first in (0, 1, 255))]

chains = st.sampled_from(CHAINS)
heads = st.one_of(st.none(), st.integers(0, 40).map(head))


def standing(store: Store, chain: bytes) -> bytes | None:
    with store.snapshot() as snapshot:
        row = snapshot.head(chain)
    return row.head if row else None


def picture(snapshot: Reader) -> object:
    """Return everything that a snapshot shows."""
    size = snapshot.size
    indices = (-1, 0, size // 2, size)
    return (
        size,
        snapshot.root,
        list(snapshot.entries(0, size + 5)),
        [snapshot.entry(index) for index in range(size)],
        [snapshot.hashes(level, 0, size >> level) for level in (0, 4, 8, 12)],
        [(snapshot.head(chain), list(snapshot.rows(chain)), list(snapshot.rows(chain, size // 3))) for chain in CHAINS],
        [(snapshot.row_after(chain, index)) for chain in CHAINS for index in indices],
        [(snapshot.row_at_or_before(chain, index)) for chain in CHAINS for index in indices],
        [list(snapshot.heads(prefix, count)) for prefix in (b"", b"\x07" * 16, b"\xff") for count in (17, 49, 50)],
        [list(snapshot.heads(b"\x07" * 16, 49, start)) for start in CHAINS],
    )


class StoresAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.lmdb = LmdbStore.create(self.place / "log", {b"name": b"0"})
        self.memory = MemoryStore({b"name": b"0"})
        self.number = 0

    @rule(
        plan=st.lists(
            st.tuples(
                st.dictionaries(chains, st.one_of(st.just(b"standing"), heads), max_size=3),
                st.lists(chains, unique=True, max_size=3),
                st.integers(0, 256),
                st.sampled_from([0, 10, 1_926, 1_927, 5_000]),
            ),
            max_size=20,
        )
    )
    def append(self, plan: list[tuple[dict[bytes, bytes | None], list[bytes], int, int]]) -> None:
        pendings: list[Pending] = []
        now = {chain: standing(self.memory, chain) for chain in CHAINS}
        for expect, on, memo_bytes, size in plan:
            expected = {chain: now[chain] if wanted == b"standing" else wanted for chain, wanted in expect.items()}
            body, memo = b"%d " % self.number + bytes(size), bytes(memo_bytes)
            pendings.append(entry(self.number, expect=expected, on=tuple(on), memo=memo, body=body))
            self.number += 1
        assert self.lmdb.append(pendings) == self.memory.append(pendings)

    @rule(value=st.sampled_from([b"0", b"1"]), expect=st.sampled_from([None, b"0", b"1"]))
    def put_meta(self, value: bytes, expect: bytes | None) -> None:
        assert self.lmdb.put_meta(b"name", value, expect=expect) == self.memory.put_meta(b"name", value, expect=expect)

    @rule()
    def open_again(self) -> None:
        self.lmdb.close()
        self.lmdb = LmdbStore.open(self.place / "log")

    @rule(plan=st.integers(1, 40), chain=chains)
    def a_snapshot_shows_nothing_of_what_comes_later(self, plan: int, chain: bytes) -> None:
        with self.lmdb.snapshot() as ours, self.memory.snapshot() as theirs:
            ours.root  # noqa: B018 — once before the append, once after it: from what is known, and from the nodes
            before = picture(theirs)
            for store in (self.lmdb, self.memory):
                store.append([entry(self.number + n, on=(chain,)) for n in range(plan)])
            assert picture(ours) == picture(theirs) == before
        self.number += plan

    @invariant()
    def everything_is_the_same(self) -> None:
        with self.lmdb.snapshot() as ours, self.memory.snapshot() as theirs:
            assert picture(ours) == picture(theirs)
        assert self.lmdb.get_meta(b"name") == self.memory.get_meta(b"name")
        assert self.lmdb.barrier() == self.memory.barrier()

    def teardown(self) -> None:
        self.lmdb.close()
        shutil.rmtree(self.place)


class StoresAgreeInSmallChunks(StoresAgree):
    """The same with chunks of 3 rows, and a new read transaction after 5: no seam between two chunks shows."""

    def __init__(self) -> None:
        self.defaults = reader.CHUNK_ROWS, reader.RENEW_ROWS
        reader.CHUNK_ROWS, reader.RENEW_ROWS = 3, 5  # type: ignore[misc]  # Final for everybody else
        super().__init__()

    def teardown(self) -> None:
        reader.CHUNK_ROWS, reader.RENEW_ROWS = self.defaults  # type: ignore[misc]
        super().teardown()


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(max_examples=30, stateful_step_count=20)
TestStoresAgreeInSmallChunks = StoresAgreeInSmallChunks.TestCase
TestStoresAgreeInSmallChunks.settings = settings(max_examples=30, stateful_step_count=20)
