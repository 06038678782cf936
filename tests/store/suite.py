"""What every store owes, one test for each guarantee; a store runs it by giving the fixture `store`."""

import threading
from hashlib import sha256

import pytest

from invoke_log.errors import MalformedError, NotFoundError, StoreError
from invoke_log.format.digest import LeafIndex
from invoke_log.format.merkle import EMPTY_ROOT, leaf_hash, node_hash
from invoke_log.store.protocol import (
    APPEND_COUNT_MAX,
    META_VALUE_BYTES_MAX,
    Appended,
    ChainRow,
    Moved,
    Pending,
    Store,
)

RESOURCE = bytes(range(16))
A, B, C = (RESOURCE + name for name in (b"a", b"b", b"c"))


def head(number: int) -> bytes:
    """Return a 32-byte head for a test's entry number."""
    return sha256(b"head %d" % number).digest()


def entry(
    number: int,
    *,
    expect: dict[bytes, bytes | None] | None = None,
    on: tuple[bytes, ...] = (),
    memo: bytes = b"",
    body: bytes | None = None,
) -> Pending:
    """Return an entry that is told from others by its number, and sets `head(number)` on the chains in `on`."""
    signature = sha256(b"signature %d" % number).digest() * 2
    body = b"body %d" % number if body is None else body
    return Pending(
        body=body,
        signature=signature,
        entry_leaf_hash=leaf_hash(body + signature),
        expect=expect or {},
        rows=[(chain, head(number), memo) for chain in on],
    )


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root hash of RFC 9162, section 2.1.1, straight from its definition."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    middle = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(root_of(leaves[:middle]), root_of(leaves[middle:]))


def indices(answers: list[Appended | Moved]) -> list[int | None]:
    """Return the leaf index of each accepted entry, None for one that was not."""
    return [answer.index if isinstance(answer, Appended) else None for answer in answers]


class StoreSuite:
    """The guarantees of `Store` and `Reader`."""

    def test_a_new_store_is_an_empty_tree(self, store: Store) -> None:
        with store.snapshot() as reader:
            assert (reader.size, reader.root, list(reader.entries(0, 10))) == (0, EMPTY_ROOT, [])
            assert reader.head(A) is None
            assert list(reader.heads(b"", len(A))) == []

    def test_append_of_nothing_returns_nothing(self, store: Store) -> None:
        assert store.append([]) == []

    @pytest.mark.parametrize("size", [0, 1, 445, 1_926, 1_927, 64_000])
    def test_the_bytes_that_went_in_come_back(self, store: Store, size: int) -> None:
        pending = entry(1, body=bytes(range(256)) * 250)
        pending = entry(1, body=pending.body[:size])
        store.append([entry(0), pending, entry(2)])
        with store.snapshot() as reader:
            assert reader.entry(1) == (pending.body, pending.signature)
            assert list(reader.entries(1, 2)) == [(pending.body, pending.signature)]

    def test_leaf_indices_have_no_gaps(self, store: Store) -> None:
        answers = store.append([entry(0), entry(1)]) + store.append([]) + store.append([entry(2)])
        assert indices(answers) == [0, 1, 2]

    def test_an_empty_chain_takes_the_first_entry_that_expects_it_empty(self, store: Store) -> None:
        assert indices(store.append([entry(0, expect={A: None}, on=(A,))])) == [0]
        assert store.append([entry(1, expect={A: None}, on=(A,))]) == [Moved(chain=A, head=head(0))]

    def test_an_entry_that_expects_another_head_is_not_stored(self, store: Store) -> None:
        store.append([entry(0, on=(A,)), entry(1, on=(A,))])
        assert store.append([entry(2, expect={A: head(0)}, on=(A,))]) == [Moved(chain=A, head=head(1))]
        assert indices(store.append([entry(2, expect={A: head(1)}, on=(A,))])) == [2]

    def test_an_entry_that_expects_a_head_on_an_empty_chain_is_not_stored(self, store: Store) -> None:
        assert store.append([entry(0, expect={A: head(9)})]) == [Moved(chain=A, head=None)]

    def test_one_moved_chain_of_several_refuses_the_whole_entry(self, store: Store) -> None:
        store.append([entry(0, on=(A, B))])
        refused = entry(1, expect={A: head(0), B: head(7), C: None}, on=(A, B, C))
        assert store.append([refused]) == [Moved(chain=B, head=head(0))]
        with store.snapshot() as reader:
            assert reader.size == 1
            assert [reader.head(chain) for chain in (A, B, C)] == [
                ChainRow(index=LeafIndex(0), head=head(0), memo=b""),
                ChainRow(index=LeafIndex(0), head=head(0), memo=b""),
                None,
            ]

    def test_the_first_moved_chain_in_order_is_named(self, store: Store) -> None:
        store.append([entry(0, on=(A, B))])
        assert store.append([entry(1, expect={B: None, A: None})]) == [Moved(chain=B, head=head(0))]

    def test_entries_of_one_append_see_those_before_them(self, store: Store) -> None:
        answers = store.append(
            [
                entry(0, expect={A: None}, on=(A,)),
                entry(1, expect={A: head(0)}, on=(A, B)),
                entry(2, expect={A: head(0)}, on=(A,)),
                entry(3, expect={A: head(1), B: head(1)}, on=(A,)),
            ]
        )
        assert answers[2] == Moved(chain=A, head=head(1))
        assert indices(answers) == [0, 1, None, 2]
        with store.snapshot() as reader:
            assert [body for body, _ in reader.entries(0, 9)] == [b"body 0", b"body 1", b"body 3"]

    def test_an_entry_may_set_a_chain_without_expecting_it_and_expect_one_without_setting_it(
        self, store: Store
    ) -> None:
        assert indices(store.append([entry(0, on=(A,)), entry(1, expect={A: head(0)}), entry(2, on=(A,))])) == [0, 1, 2]
        with store.snapshot() as reader:
            assert [row.index for row in reader.rows(A)] == [0, 2]

    def test_a_chain_keeps_every_row_in_leaf_order(self, store: Store) -> None:
        store.append([entry(n, on=(A,) if n % 3 == 0 else (B,), memo=b"%d" % n) for n in range(600)])
        with store.snapshot() as reader:
            rows = list(reader.rows(A))
            assert [(row.index, row.head, row.memo) for row in rows] == [
                (n, head(n), b"%d" % n) for n in range(0, 600, 3)
            ]
            assert reader.head(A) == rows[-1]
            assert list(reader.rows(A, 300)) == rows[100:]
            assert list(reader.rows(A, 301)) == rows[101:]
            assert list(reader.rows(A, 9_999)) == []
            assert list(reader.rows(C)) == []

    @pytest.mark.parametrize(
        ("index", "at_or_before", "after"), [(0, None, 1), (1, 1, 3), (2, 1, 3), (3, 3, None), (9, 3, None)]
    )
    def test_rows_are_found_by_leaf_index(
        self, store: Store, index: int, at_or_before: int | None, after: int | None
    ) -> None:
        store.append([entry(n, on=(A,) if n in (1, 3) else (B,)) for n in range(6)])
        with store.snapshot() as reader:
            before_row, after_row = reader.row_at_or_before(A, index), reader.row_after(A, index)
        assert (before_row and before_row.index) == at_or_before
        assert (after_row and after_row.index) == after

    def test_a_memo_of_256_bytes_comes_back(self, store: Store) -> None:
        store.append([entry(0, on=(A,), memo=bytes(range(256)))])
        with store.snapshot() as reader:
            row = reader.head(A)
        assert row is not None
        assert row.memo == bytes(range(256))

    def test_heads_are_listed_by_prefix_and_length_of_the_name(self, store: Store) -> None:
        long = [RESOURCE + b"e" + bytes([n]) * 32 for n in range(5)]
        other = bytes(16) + b"e" + bytes(32)
        store.append([entry(n, on=(chain,)) for n, chain in enumerate([*long, other, A])])
        store.append([entry(10, on=(long[2],))])
        with store.snapshot() as reader:
            assert [(name, row.index) for name, row in reader.heads(RESOURCE, 49)] == list(
                zip(long, [0, 1, 7, 3, 4], strict=True)
            )
            assert [name for name, _ in reader.heads(b"", 49)] == [other, *long]
            assert [name for name, _ in reader.heads(b"", 17)] == [A]
            assert list(reader.heads(RESOURCE, 16)) == []
            assert list(reader.heads(b"\xff", 49)) == []
            assert list(reader.heads(A + bytes(7), 17)) == []
            assert [name for name, _ in reader.heads(RESOURCE, 49, long[3])] == long[3:]
            assert [name for name, _ in reader.heads(RESOURCE, 49, long[2] + b"\x01")] == long[3:]
            assert [name for name, _ in reader.heads(RESOURCE, 49, other)] == long
            assert list(reader.heads(RESOURCE, 49, b"\xff")) == []

    @pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 255, 256, 257, 300])
    def test_root_and_columns_are_those_of_the_leaf_hashes(self, store: Store, size: int) -> None:
        pendings = [entry(n) for n in range(size)]
        leaves = [pending.entry_leaf_hash for pending in pendings]
        store.append(pendings[: size // 3])
        for pending in pendings[size // 3 : size // 3 + 3]:
            store.append([pending])
        store.append(pendings[size // 3 + 3 :])
        with store.snapshot() as reader:
            assert (reader.size, reader.root) == (size, root_of(leaves))
            assert reader.frontier.root() == reader.root
            for level in (0, 4, 8):
                width = 1 << level
                nodes = [root_of(leaves[at : at + width]) for at in range(0, size - width + 1, width)]
                assert reader.hashes(level, 0, len(nodes)) == nodes
                assert reader.hashes(level, len(nodes) // 2, len(nodes)) == nodes[len(nodes) // 2 :]

    def test_the_order_of_refused_entries_leaves_no_trace_in_the_tree(self, store: Store) -> None:
        store.append([entry(0, on=(A,)), entry(1, expect={A: None}), entry(2)])
        with store.snapshot() as reader:
            assert reader.root == root_of([entry(0).entry_leaf_hash, entry(2).entry_leaf_hash])

    def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        store.append([entry(n) for n in range(20)])
        with store.snapshot() as reader:
            for index in (-1, 20):
                with pytest.raises(NotFoundError, match=f"{index}"):
                    reader.entry(index)
            for level, start, stop in [(0, 0, 21), (4, 1, 2), (8, 0, 1), (4, 1, 0), (0, -1, 1)]:
                with pytest.raises(NotFoundError, match=f"level {level}"):
                    reader.hashes(level, start, stop)
            assert len(list(reader.entries(15, 999))) == 5
            assert list(reader.entries(20, 30)) == []
            assert list(reader.entries(5, 3)) == []

    def test_a_snapshot_stays_as_it_was_while_others_append(self, store: Store) -> None:
        store.append([entry(n, on=(A,)) for n in range(300)])
        with store.snapshot() as reader:
            entries, rows = reader.entries(0, 999), reader.rows(A)
            before = next(entries), next(rows)
            for start in range(300, 900, 100):
                store.append([entry(n, on=(A, B)) for n in range(start, start + 100)])
            assert len([before, *entries]) == 300
            assert [row.index for row in rows] == list(range(1, 300))
            assert reader.size == 300
            assert reader.root == root_of([entry(n).entry_leaf_hash for n in range(300)])
            assert (reader.head(A), reader.head(B)) == (reader.row_at_or_before(A, 299), None)
            assert (reader.row_after(A, 299), reader.row_after(B, 0)) == (None, None)
            assert [name for name, _ in reader.heads(b"", 17)] == [A]
            assert [row.index for _, row in reader.heads(b"", 17)] == [299]
            assert list(reader.rows(B)) == []
            with pytest.raises(NotFoundError):
                reader.entry(300)
            with pytest.raises(NotFoundError):
                reader.hashes(0, 0, 301)
        with store.snapshot() as reader:
            assert reader.size == 900

    def test_meta_values_are_set_by_compare_and_set(self, store: Store) -> None:
        assert store.get_meta(b"name") is None
        assert not store.put_meta(b"name", b"1", expect=b"0")
        assert store.put_meta(b"name", b"1", expect=None)
        assert not store.put_meta(b"name", b"2", expect=None)
        assert not store.put_meta(b"name", b"2", expect=b"0")
        assert store.get_meta(b"name") == b"1"
        assert store.put_meta(b"name", b"2", expect=b"1")
        assert (store.get_meta(b"name"), store.get_meta(b"nam"), store.get_meta(b"name2")) == (b"2", None, None)

    @pytest.mark.parametrize(
        ("name", "value"), [(b"", b""), (b"n" * 121, b""), (b"n", bytes(META_VALUE_BYTES_MAX + 1))]
    )
    def test_meta_values_out_of_bounds_are_refused(self, store: Store, name: bytes, value: bytes) -> None:
        with pytest.raises(MalformedError):
            store.put_meta(name, value, expect=None)

    def test_the_largest_meta_value_comes_back(self, store: Store) -> None:
        assert store.put_meta(b"n" * 120, bytes(META_VALUE_BYTES_MAX), expect=None)
        assert store.get_meta(b"n" * 120) == bytes(META_VALUE_BYTES_MAX)

    @pytest.mark.parametrize("name", [A[:-1], A + b"x", A + bytes(8), A + b"\x00" * 7 + b"\x00x"])
    def test_a_chain_name_that_begins_another_is_refused_and_nothing_is_stored(self, store: Store, name: bytes) -> None:
        store.append([entry(n, on=(A,)) for n in range(3)])
        with pytest.raises(MalformedError, match=name.hex()):
            store.append([entry(3), entry(4, expect={name: None}, on=(name,))])
        with store.snapshot() as reader:
            assert reader.size == 3

    def test_more_entries_than_the_bound_are_refused(self, store: Store) -> None:
        with pytest.raises(MalformedError, match="10001 entries"):
            store.append([entry(0)] * (APPEND_COUNT_MAX + 1))

    def test_barrier_returns_the_tree_size(self, store: Store) -> None:
        store.append([entry(0), entry(1)])
        assert store.barrier() == 2

    def test_a_closed_store_refuses_every_use(self, store: Store) -> None:
        store.close()
        store.close()
        for use in (
            lambda: store.append([entry(0)]),
            lambda: store.snapshot().__enter__(),
            lambda: store.barrier(),
            lambda: store.get_meta(b"name"),
            lambda: store.put_meta(b"name", b"", expect=None),
        ):
            with pytest.raises(StoreError):
                use()

    def test_of_racing_threads_one_wins_each_round_and_no_accepted_entry_is_lost(self, store: Store) -> None:
        accepted: list[tuple[int, int]] = []

        def race(thread: int) -> None:
            for turn in range(25):
                number = thread * 1_000 + turn
                with store.snapshot() as reader:
                    row = reader.head(A)
                answer = store.append([entry(number, expect={A: row.head if row else None}, on=(A,))])[0]
                if isinstance(answer, Appended):
                    accepted.append((answer.index, number))

        threads = [threading.Thread(target=race, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.snapshot() as reader:
            assert sorted(index for index, _ in accepted) == list(range(reader.size))
            assert [(row.index, row.head) for row in reader.rows(A)] == [(i, head(n)) for i, n in sorted(accepted)]
            leaves = [entry(number).entry_leaf_hash for _, number in sorted(accepted)]
            assert (reader.root, reader.hashes(0, 0, reader.size)) == (root_of(leaves), leaves)
