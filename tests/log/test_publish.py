"""Signing the head of the log: only what is durable, re-read and re-hashed, and one root for one size. [CKPT-9]"""

import pytest

from invoke_log.errors import CommitUncertainError, StoreDamagedError, StoreError
from invoke_log.format.checkpoint import open_checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.format.keys import LOG_KEY, VerifierKey
from invoke_log.format.merkle import verify_consistency
from invoke_log.log.prove import consistency
from invoke_log.log.publish import CHECKPOINT_META, PUBLISH_ATTEMPTS_MAX, publish
from invoke_log.log.signer import FileSigner
from invoke_log.store.memory import MemoryStore
from tests.log.logged import ORIGIN, SIGNER, entry

LOG = VerifierKey(name=ORIGIN, key_type=LOG_KEY, public_key=SIGNER.public_key)


def store_of(size: int) -> MemoryStore:
    store = MemoryStore()
    store.append([entry(n) for n in range(size)])
    return store


def checkpoint_of(note: bytes) -> tuple[int, bytes]:
    checkpoint = open_checkpoint(note, LOG).checkpoint
    assert checkpoint.origin == ORIGIN
    return checkpoint.size, checkpoint.root


def test_the_note_names_size_and_root_and_is_journaled() -> None:
    store = store_of(5)
    note = publish(store, origin=ORIGIN, signer=SIGNER)
    with store.snapshot() as reader:
        assert checkpoint_of(note) == (5, reader.root)
    assert store.get_meta(CHECKPOINT_META) == note


def test_an_empty_log_is_not_signed() -> None:
    store = MemoryStore()
    with pytest.raises(StoreError, match="empty log"):
        publish(store, origin=ORIGIN, signer=SIGNER)
    assert store.get_meta(CHECKPOINT_META) is None


def test_one_size_has_one_note_whoever_signs() -> None:
    store = store_of(3)
    note = publish(store, origin=ORIGIN, signer=SIGNER)
    assert publish(store, origin=ORIGIN, signer=FileSigner(bytes(32))) == note


def test_each_note_extends_the_one_before_it() -> None:
    store, before = MemoryStore(), None
    for size in (1, 2, 7, 8, 40, 41, 300):
        store.append([entry(n) for n in range(store.barrier(), size)])
        after = checkpoint_of(publish(store, origin=ORIGIN, signer=SIGNER))
        assert after[0] == size
        if before is not None:
            with store.snapshot() as reader:
                proof = consistency(reader, before[0], size)
            verify_consistency(TreeSize(before[0]), TreeSize(size), before[1], after[1], proof)
        before = after


@pytest.mark.parametrize("journaled", [0, 20])
@pytest.mark.parametrize("what", ["body", "body that is none", "signature", "leaf hash", "node"])
def test_what_does_not_hash_to_the_tree_is_not_signed(what: str, journaled: int) -> None:
    store = store_of(journaled)
    last = publish(store, origin=ORIGIN, signer=SIGNER) if journaled else None
    store.append([entry(n) for n in range(journaled, 50)])
    body, signature = store._entries[49]
    if what == "body":
        store._entries[49] = entry(99).body, signature
    elif what == "body that is none":
        store._entries[49] = body[:-1], signature
    elif what == "signature":
        store._entries[49] = body, bytes(64)
    elif what == "leaf hash":
        store._nodes[0][49] = bytes(32)
    else:
        store._nodes[4][2] = bytes(32)
    with pytest.raises(StoreDamagedError):
        publish(store, origin=ORIGIN, signer=SIGNER)
    assert store.get_meta(CHECKPOINT_META) == last


def test_a_tree_that_is_not_the_one_signed_before_is_not_signed() -> None:
    signed = publish(store_of(20), origin=ORIGIN, signer=SIGNER)
    other = MemoryStore({CHECKPOINT_META: signed})
    other.append([entry(n + 1) for n in range(30)])
    with pytest.raises(StoreDamagedError, match="the tree of 20 entries is not the one that was signed"):
        publish(other, origin=ORIGIN, signer=SIGNER)


@pytest.mark.parametrize("size", [1, 19])
def test_a_store_behind_what_was_signed_is_not_signed(size: int) -> None:
    store = MemoryStore({CHECKPOINT_META: publish(store_of(20), origin=ORIGIN, signer=SIGNER)})
    store.append([entry(n) for n in range(size)])
    with pytest.raises(StoreDamagedError, match=f"holds {size} entries, and 20 were signed"):
        publish(store, origin=ORIGIN, signer=SIGNER)


class Raced(MemoryStore):
    """A store in which another process appends, publishes and appends again before each barrier."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds

    def barrier(self) -> TreeSize:
        if self.rounds:
            rounds, self.rounds = self.rounds, 0
            self.append([entry(100 + rounds)])
            publish(self, origin=ORIGIN, signer=SIGNER)
            self.append([entry(500 + rounds)])
            self.rounds = rounds - 1
        return super().barrier()


def test_who_loses_a_race_tries_again_on_top_of_the_winner() -> None:
    store = Raced(rounds=3)
    store.append([entry(n) for n in range(5)])
    note = publish(store, origin=ORIGIN, signer=SIGNER)
    assert checkpoint_of(note)[0] == 11
    assert store.get_meta(CHECKPOINT_META) == note


def test_who_loses_every_race_says_so() -> None:
    store = Raced(rounds=PUBLISH_ATTEMPTS_MAX)
    store.append([entry(0)])
    with pytest.raises(StoreError, match="lost its race"):
        publish(store, origin=ORIGIN, signer=SIGNER)


def test_a_note_of_another_process_is_no_sign_of_damage() -> None:
    class Overtaken(MemoryStore):
        """A store in which another process publishes whenever this one is about to look at the journal."""

        ahead = 2

        def get_meta(self, name: bytes) -> bytes | None:
            if self.ahead:
                ahead, self.ahead = self.ahead, 0
                self.append([entry(70 + ahead)])
                publish(self, origin=ORIGIN, signer=SIGNER)
                self.ahead = ahead - 1
            return super().get_meta(name)

    store = Overtaken()
    store.append([entry(n) for n in range(5)])
    assert checkpoint_of(publish(store, origin=ORIGIN, signer=SIGNER))[0] == 6


def test_what_came_after_the_barrier_is_not_signed() -> None:
    class Busy(MemoryStore):
        """A store that another process appends to all the time."""

        def barrier(self) -> TreeSize:
            size = super().barrier()
            self.append([entry(50)])
            return size

    store = Busy()
    store.append([entry(n) for n in range(4)])
    assert checkpoint_of(publish(store, origin=ORIGIN, signer=SIGNER))[0] == 4


def test_nothing_is_signed_without_a_barrier() -> None:
    class Unconfirmed(MemoryStore):
        def barrier(self) -> TreeSize:
            raise CommitUncertainError("the disk did not confirm")

    store = Unconfirmed()
    store.append([entry(0)])
    with pytest.raises(CommitUncertainError):
        publish(store, origin=ORIGIN, signer=SIGNER)
    assert store.get_meta(CHECKPOINT_META) is None


def test_what_is_signed_already_is_handed_out_without_another_flush() -> None:
    class Flushed(MemoryStore):
        """A store whose disk confirms once."""

        flushes = 0

        def barrier(self) -> TreeSize:
            self.flushes += 1
            if self.flushes > 1:
                raise CommitUncertainError("the disk did not confirm")
            return super().barrier()

    store = Flushed()
    store.append([entry(n) for n in range(3)])
    note = publish(store, origin=ORIGIN, signer=SIGNER)
    assert publish(store, origin=ORIGIN, signer=SIGNER) == note
    store.append([entry(3)])
    with pytest.raises(CommitUncertainError):
        publish(store, origin=ORIGIN, signer=SIGNER)
