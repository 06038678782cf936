import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoke_log.errors import StoreDamagedError, StoreError
from invoke_log.format.merkle import leaf_hash
from invoke_log.store.lmdb import LmdbStore, reader
from invoke_log.store.lmdb import store as store_module
from invoke_log.store.protocol import Reader
from tests.harness.fork import in_fork
from tests.store.suite import A, StoreSuite, entry, head, root_of

PAGE_BYTES, LAST_PAGE = 40, 136
"""Where in a meta page the bytes of a page are said, and the last page's number."""

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


class TestLmdbStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LmdbStore]:
        store = LmdbStore.create(tmp_path / "log", {})
        yield store
        store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    store = LmdbStore.create(tmp_path / "log", {})
    yield store
    store.close()


def appender(where: Path, name: str, *, rounds: int, chains: int) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        str(ROOT / "tests" / "store" / "appender.py"),
        str(where),
        name,
        str(rounds),
        str(chains),
    ]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def acknowledged(output: str) -> dict[int, str]:
    """Return what a process said to be durable: the number of the entry at each leaf index."""
    lines = [line.split() for line in output.split("\n")[:-1]]  # a killed process may leave half a line
    return {int(index): number for index, number in lines}


def check_tree(reader: Reader) -> None:
    """Check that entries, leaf hashes, columns and root agree."""
    leaves = [leaf_hash(body + signature) for body, signature in reader.entries(0, reader.size)]
    assert len(leaves) == reader.size
    assert (reader.hashes(0, 0, reader.size), reader.root) == (leaves, root_of(leaves))
    for level in (4, 8):
        count = reader.size >> level
        assert reader.hashes(level, 0, count) == [root_of(leaves[n << level : (n + 1) << level]) for n in range(count)]


def numbers(reader: Reader) -> list[str]:
    return [body.split(b" ")[0].decode() for body, _ in reader.entries(0, reader.size)]


def test_what_was_acknowledged_survives_kill_9_and_the_next_writer_goes_on(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "log", {}).close()
    durable: dict[int, str] = {}
    for turn in range(6):
        process = appender(tmp_path / "log", f"{turn}-", rounds=100_000, chains=3)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(random.Random(turn).randrange(1, 60))]
        process.kill()
        output, _ = process.communicate()
        durable |= acknowledged("".join(lines) + output)
    store = LmdbStore.open(tmp_path / "log")
    with store.snapshot() as reader:
        check_tree(reader)
        stored = numbers(reader)
    assert len(durable) >= 6
    assert {index: stored[index] for index in durable} == durable
    assert store.append([entry(0)])
    store.close()


def test_many_processes_on_hot_chains_leave_no_gap_and_lose_no_accepted_entry(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "log", {}).close()
    processes = [appender(tmp_path / "log", name, rounds=60, chains=2) for name in ("a", "b", "c", "d")]
    durable = [acknowledged(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    store = LmdbStore.open(tmp_path / "log")
    with store.snapshot() as reader:
        check_tree(reader)
        together = {index: number for each in durable for index, number in each.items()}
        assert sum(map(len, durable)) == len(together) == reader.size
        assert [together[index] for index in range(reader.size)] == numbers(reader)
        rows = [row for name, _ in reader.heads(b"", 19) for row in reader.rows(name)]
        assert sorted(row.index for row in rows) == list(range(reader.size))
        assert all(row.memo.decode() == together[row.index] for row in rows)
        for name, last in reader.heads(b"", 19):
            assert list(reader.rows(name))[-1] == last
    assert all(durable), "each process has appended"
    store.close()


def test_an_append_that_stores_nothing_commits_nothing(store: LmdbStore) -> None:
    store.append([entry(0, on=(A,))])
    before = store._environment.raw.info()["last_txnid"]
    store.append([entry(1, expect={A: None}), entry(2, expect={A: head(7)})])
    store.put_meta(b"name", b"", expect=b"other")
    assert store._environment.raw.info()["last_txnid"] == before


def test_a_long_iteration_does_not_hold_old_pages(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "RENEW_ROWS", 100)
    monkeypatch.setattr(reader, "CHUNK_ROWS", 50)
    store.append([entry(n, on=(A,)) for n in range(400)])
    with store.snapshot() as snapshot:
        began = snapshot._txn.id()
        entries, rows = snapshot.entries(0, 400), snapshot.rows(A)
        read = []
        for n in range(400):
            read.append((next(entries), next(rows).index))
            if n % 40 == 0:
                store.append([entry(1_000 + n, on=(A,))])
        assert [(body, index) for (body, _), index in read] == [(b"body %d" % n, n) for n in range(400)]
        assert (next(entries, None), next(rows, None)) == (None, None)
        assert snapshot._txn.id() > began


def test_a_reader_that_was_killed_is_cleared_by_the_next_open(store: LmdbStore, tmp_path: Path) -> None:
    store.close()
    # Another process has the log open all the time: or LMDB would begin a new list of readers by itself.
    with appender(tmp_path / "log", "other", rounds=10_000_000, chains=1) as other:
        assert other.stdout is not None
        other.stdout.readline()
        code = (
            "import os, signal, sys; from invoke_log.store.lmdb import LmdbStore\n"
            "snapshot = LmdbStore.open(sys.argv[1]).snapshot().__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
        )
        child = subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], env=ENVIRONMENT)
        assert child.returncode == -signal.SIGKILL
        again = LmdbStore.open(tmp_path / "log")
        cleared = again._environment.raw.reader_check()
        other.kill()
    assert cleared == 0
    again.close()


def append_anew(where: Path) -> None:
    own = LmdbStore.open(where)
    own.append([entry(1)])
    own.close()


def test_a_fork_uses_nothing_that_was_opened_before(store: LmdbStore) -> None:
    store.append([entry(0)])
    with store.snapshot() as inherited:
        uses = (
            lambda: store.append([entry(1)]),
            lambda: store.snapshot().__enter__(),
            lambda: store.get_meta(b"name"),
            lambda: store.put_meta(b"name", b"", expect=None),
            lambda: store.barrier(),
            lambda: inherited.entry(0),
            lambda: inherited.rows(A).__next__(),
        )
        assert in_fork(*uses) == ["StoreError"] * 7


def test_a_fork_must_open_the_log_anew_and_may(store: LmdbStore, tmp_path: Path) -> None:
    store.append([entry(0)])
    assert in_fork(lambda: append_anew(tmp_path / "log")) == ["used"]
    assert in_fork(store.close, store.close, lambda: append_anew(tmp_path / "log")) == ["used"] * 3
    store.append([entry(2)])
    with store.snapshot() as snapshot:
        assert [body for body, _ in snapshot.entries(0, 9)] == [b"body 0", b"body 1", b"body 1", b"body 2"]
        check_tree(snapshot)


def test_a_fork_while_another_thread_opens_a_log_may_open_one(store: LmdbStore, tmp_path: Path) -> None:
    held = threading.Event()

    def opening() -> None:
        with store_module._opening:
            held.set()
            time.sleep(0.1)

    thread = threading.Thread(target=opening)
    thread.start()
    held.wait()
    assert in_fork(lambda: append_anew(tmp_path / "log")) == ["used"]
    thread.join()


def test_a_fork_in_the_middle_of_a_use_opens_nothing_waits_for_nothing_and_ends_no_snapshot(
    store: LmdbStore, tmp_path: Path
) -> None:
    """What the parent's snapshot can see would be written over by the next commits."""
    store.append([entry(n, on=(A,)) for n in range(50)])
    opens = (lambda: append_anew(tmp_path / "log"), store.close, lambda: append_anew(tmp_path / "log"))
    with store.snapshot() as reading:
        assert in_fork(*opens) == ["StoreBusyError", "used", "StoreBusyError"]
        for n in range(60):
            store.append([entry(100 + n, body=bytes(5_000))])
        assert [body for body, _ in reading.entries(0, 50)] == [b"body %d" % n for n in range(50)]
    del reading
    writing = store._environment.begin(write=True)
    assert in_fork(*opens) == ["StoreBusyError", "used", "StoreBusyError"]
    writing.abort()
    del writing
    assert store.append([entry(1)])


def test_a_store_whose_directory_was_put_back_writes_nothing_more_until_it_is_opened_again(
    store: LmdbStore, tmp_path: Path
) -> None:
    """What it wrote, nobody else would see, and each would take the other's leaves."""
    where, copy = tmp_path / "log", tmp_path / "copy"
    store.append([entry(0)])
    shutil.copytree(where, copy)
    where.rename(tmp_path / "broken")
    for put_back in (lambda: None, lambda: copy.rename(where)):
        put_back()
        for write in (lambda: store.append([entry(1)]), lambda: store.put_meta(b"name", b"", expect=None)):
            with pytest.raises(StoreError, match="put in its place") as refused:
                write()
            assert (type(refused.value), refused.value.hint) == (StoreError, "close the log, and open it again")
    store.close()
    append_anew(where)
    with LmdbStore.open(where).snapshot() as reading:
        assert (reading.size, reading.meta(b"name")) == (2, None)


def test_a_store_that_lost_what_was_durable_is_damaged(tmp_path: Path) -> None:
    store = LmdbStore.create(tmp_path / "log", {})
    store._known, _ = store._known.append(bytes(32))
    with pytest.raises(StoreDamagedError, match="holds 0 entries, and 1 were durable"):
        store.append([entry(1)])
    store.close()


def test_a_store_that_claims_more_pages_than_it_can_have_is_damaged_whatever_lmdb_makes_of_it(tmp_path: Path) -> None:
    """LMDB tries to map them all, and says that there is no memory, or that it cannot be: that would be worth another
    try.
    """
    store = LmdbStore.create(tmp_path / "log", {})
    store.append([entry(1)])
    store.close()
    file = tmp_path / "log" / "data.mdb"
    sound = file.read_bytes()
    other = mmap.PAGESIZE
    for places, bit in [*(((LAST_PAGE, other + LAST_PAGE), bit) for bit in range(24, 64)), ((PAGE_BYTES,), 31)]:
        damaged = bytearray(sound)
        for place in places:
            damaged[place + bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        with pytest.raises(StoreDamagedError):
            LmdbStore.open(tmp_path / "log", read_only=True)


def test_a_note_of_445_bytes_takes_at_most_900_bytes_of_disk(store: LmdbStore, tmp_path: Path) -> None:
    for start in range(0, 10_000, 100):
        store.append(
            [
                entry(n, body=bytes(445), expect={name: None}, on=(name,))
                for n in range(start, start + 100)
                for name in [head(n % 1_000)[:16] + b"n" + head(n)]
            ]
        )
    assert (tmp_path / "log" / "data.mdb").stat().st_size / 10_000 <= 900
