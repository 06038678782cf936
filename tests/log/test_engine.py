import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import lmdb
import pytest

from invoke_log.errors import CommitUncertainError, LogHaltedError, StoreDamagedError, StoreError, StoreFullError
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.merkle import EMPTY_FRONTIER, Frontier
from invoke_log.log.engine import Answer, Appended, Engine, Pending, Reader, verify_since
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.memory import MemoryStore
from tests.log.logged import CHAIN, ORIGIN, SIGNER, damage, entry, entry_key, node_key


class Flaky:
    """A store whose next commit reports an error: `stored` says whether it was durable all the same."""

    def __init__(self, path: Path) -> None:
        self.store = LmdbStore.open(path)
        self.path = str(path)
        self.read_only = False
        self.next: tuple[Exception, bool] | None = None

    def _fail(self, write: Callable[[], object]) -> None:
        if self.next is not None:
            (error, stored), self.next = self.next, None
            if stored:
                write()
            raise error

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        self._fail(lambda: self.store.append(pendings))
        return self.store.append(pendings)

    def snapshot(self) -> AbstractContextManager[Reader]:
        return self.store.snapshot()

    def barrier(self) -> TreeSize:
        self._fail(lambda: None)
        return self.store.barrier()

    def get_meta(self, name: bytes) -> bytes | None:
        return self.store.get_meta(name)

    def put_meta(self, name: bytes, value: bytes, *, expect: bytes | None) -> bool:
        return self.store.put_meta(name, value, expect=expect)

    def close(self) -> None:
        self.store.close()


class Opened:
    """An engine, the store below it, and how often it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stores: list[Flaky] = []
        self.before_opening: Callable[[], None] = lambda: None
        self.fails_when_opened: tuple[Exception, bool] | None = None
        self.engine = Engine(self._open)

    def _open(self) -> Flaky:
        self.before_opening()
        self.stores.append(Flaky(self.path))
        self.stores[-1].next = self.fails_when_opened
        return self.stores[-1]

    def fail_next(self, error: Exception, *, stored: bool) -> None:
        self.stores[-1].next = error, stored

    def halt(self, *, stored: bool) -> None:
        """Have an append of entry 1000 report an error."""
        self.fail_next(CommitUncertainError("lost"), stored=stored)
        with pytest.raises(CommitUncertainError):
            self.engine.append([entry(1_000)])


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    created = LmdbStore.create(tmp_path / "log", {})
    created.append([entry(n) for n in range(3)])
    created.close()
    opened = Opened(tmp_path / "log")
    yield opened
    opened.engine.close()


def size(engine: Engine) -> int:
    with engine.snapshot() as reader:
        return reader.size


def test_a_store_that_shows_nothing_is_given_back(tmp_path: Path) -> None:
    """Or whoever keeps the error, as a debugger does, could not open the log again once it is mended."""
    store = LmdbStore.create(tmp_path / "log", {})
    store.append([entry(0), entry(1)])
    store.close()
    with lmdb.open(str(tmp_path / "log")) as raw, raw.begin(write=True) as txn:
        txn.delete(entry_key(0))
    kept = []
    for _ in range(2):
        with pytest.raises(StoreDamagedError) as damaged:
            Engine(lambda: LmdbStore.open(tmp_path / "log"))
        kept.append(damaged)


def test_answers_are_those_of_the_store(opened: Opened) -> None:
    answers = opened.engine.append([entry(3, on=(CHAIN,)), entry(4, expect={CHAIN: None}), entry(5)])
    assert [isinstance(answer, Appended) for answer in answers] == [True, False, True]
    assert size(opened.engine) == 5


@pytest.mark.parametrize("stored", [False, True])
def test_after_a_commit_error_the_log_is_opened_anew_and_goes_on(opened: Opened, stored: bool) -> None:
    opened.engine.append([entry(n) for n in range(3, 20)])
    opened.halt(stored=stored)
    assert len(opened.stores) == 1, "not before the next append"
    [answer] = opened.engine.append([entry(20)])
    assert answer == Appended(index=LeafIndex(20 + stored))
    assert len(opened.stores) == 2
    opened.engine.append([entry(21)])
    assert len(opened.stores) == 2


def test_an_error_that_is_sure_that_nothing_was_stored_does_not_halt_the_log(opened: Opened) -> None:
    opened.fail_next(StoreFullError("full"), stored=False)
    with pytest.raises(StoreFullError):
        opened.engine.append([entry(3)])
    opened.engine.append([entry(3)])
    assert len(opened.stores) == 1


@pytest.mark.parametrize(
    ("key", "at"),
    [
        pytest.param(entry_key(20), 0, id="leaf hash"),
        pytest.param(entry_key(20), 40, id="signature"),
        pytest.param(entry_key(20), 96, id="body that is then none"),
        pytest.param(entry_key(20), -1, id="body"),
        pytest.param(entry_key(99), -1, id="body of the last entry"),
        pytest.param(node_key(4, 0), 0, id="node that began before"),
        pytest.param(node_key(4, 1), 31, id="node"),
    ],
)
def test_a_store_that_does_not_agree_with_itself_keeps_the_log_halted(opened: Opened, key: bytes, at: int) -> None:
    opened.engine.append([entry(n) for n in range(3, 100)])
    opened.halt(stored=False)
    opened.before_opening = lambda: damage(opened.path, key, at=at)
    with pytest.raises(StoreDamagedError):
        opened.engine.append([entry(100)])
    opened.before_opening = lambda: None
    with pytest.raises(StoreDamagedError):
        opened.engine.reverify()
    opened.before_opening = lambda: damage(opened.path, key, at=at)  # the same bit again: whole
    opened.engine.append([entry(100)])
    assert size(opened.engine) == 101


def test_a_frontier_that_is_not_that_of_the_entries_is_damage() -> None:
    store = MemoryStore()
    store.append([entry(n) for n in range(5)])
    with store.snapshot() as reader:
        assert verify_since(EMPTY_FRONTIER, reader) == reader.frontier
    store._frontier = Frontier(size=store._frontier.size, hashes=(bytes(32), bytes(32)))
    with store.snapshot() as reader, pytest.raises(StoreDamagedError, match="the tree of 5 entries"):
        verify_since(EMPTY_FRONTIER, reader)


def test_a_store_that_lacks_an_acknowledged_entry_keeps_the_log_halted(opened: Opened) -> None:
    opened.engine.append([entry(3)])
    opened.engine.append([entry(4, expect={CHAIN: CHAIN[:1] * 32})])
    opened.halt(stored=False)

    def lose() -> None:
        with lmdb.open(str(opened.path)) as raw, raw.begin(write=True) as txn:
            txn.delete(entry_key(3))

    opened.before_opening = lose
    with pytest.raises(StoreDamagedError, match="holds 3 entries, and 4 were acknowledged"):
        opened.engine.append([entry(5)])


def test_a_store_that_cannot_be_opened_keeps_the_log_halted_until_it_can(opened: Opened) -> None:
    opened.halt(stored=False)

    def refuse() -> None:
        raise StoreError("gone")

    opened.before_opening = refuse
    for _ in range(2):
        with pytest.raises(LogHaltedError, match="gone"):
            opened.engine.append([entry(3)])
    opened.before_opening = lambda: None
    opened.engine.append([entry(3)])
    assert size(opened.engine) == 4


def test_a_reverification_that_is_not_durable_keeps_the_log_halted(opened: Opened) -> None:
    opened.halt(stored=True)
    opened.fails_when_opened = CommitUncertainError("again"), False
    with pytest.raises(LogHaltedError, match="again"):
        opened.engine.reverify()
    opened.fails_when_opened = None
    opened.engine.append([entry(3)])
    assert size(opened.engine) == 5


def test_reverifying_a_log_that_is_not_halted_does_nothing(opened: Opened) -> None:
    opened.engine.reverify()
    assert len(opened.stores) == 1


def test_a_barrier_that_fails_halts_the_log_and_nothing_is_signed(opened: Opened) -> None:
    opened.fail_next(CommitUncertainError("lost"), stored=False)
    with pytest.raises(CommitUncertainError):
        opened.engine.publish(ORIGIN, SIGNER)
    assert opened.stores[-1].get_meta(b"checkpoint") is None
    assert opened.engine.publish(ORIGIN, SIGNER).startswith(b"example.com/log\n3\n")
    assert len(opened.stores) == 2


def test_an_append_waits_for_the_one_before_it_to_halt_the_log(opened: Opened) -> None:
    inside, go_on, order = threading.Event(), threading.Event(), list[str]()

    class SlowError(CommitUncertainError):
        pass

    def slow() -> None:
        inside.set()
        assert go_on.wait(10)
        raise SlowError("lost")

    opened.stores[-1]._fail = lambda write: slow()  # type: ignore[method-assign]

    def first() -> None:
        with pytest.raises(SlowError):
            opened.engine.append([entry(3)])
        order.append("halted")

    def second() -> None:
        opened.engine.append([entry(4)])
        order.append("appended")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    threads[1].join(0.05)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(opened.stores) == 2, "the second one met a halted log"
    assert sorted(order) == ["appended", "halted"]


def test_a_reader_does_not_wait_for_the_append_that_is_under_way(opened: Opened) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        inside.set()
        assert go_on.wait(10)

    opened.stores[-1]._fail = lambda write: slow()  # type: ignore[method-assign]
    writer = threading.Thread(target=opened.engine.append, args=([entry(3)],))
    writer.start()
    assert inside.wait(10)
    sizes: list[int] = []
    reader = threading.Thread(target=lambda: sizes.append(size(opened.engine)))
    reader.start()
    reader.join(5)
    assert sizes == [3]
    go_on.set()
    writer.join()
    assert size(opened.engine) == 4
