import errno
import gc
import mmap
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, cast

import lmdb
import pytest

from invoke_log.errors import (
    CommitUncertainError,
    ConfigInvalidError,
    MalformedError,
    NotFoundError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreFullError,
    StoreReadOnlyError,
)
from invoke_log.format.digest import LeafIndex
from invoke_log.store import directory
from invoke_log.store.lmdb import LmdbStore, environment
from invoke_log.store.lmdb import store as store_module
from invoke_log.store.protocol import Appended
from tests.store.suite import A, entry

SOURCES = Path(__file__).parents[3] / "src"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    store = LmdbStore.create(tmp_path / "log", {})
    yield store
    store.close()


def test_a_created_store_opens_again_with_its_meta_values(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "log", {b"origin": b"example.com/log"}).close()
    store = LmdbStore.open(tmp_path / "log")
    assert store.get_meta(b"origin") == b"example.com/log"
    with store.snapshot() as reader:
        assert reader.size == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]
    store.close()


@pytest.mark.parametrize("made", [LmdbStore.create, LmdbStore.open])
def test_every_commit_is_on_the_disk_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[..., LmdbStore]
) -> None:
    """[ADM-2]: what LMDB may leave in the page cache, or reorder, is switched off nowhere."""
    opened: list[lmdb.Environment] = []
    if made == LmdbStore.open:
        LmdbStore.create(tmp_path / "log", {}).close()
    lmdb_open = lmdb.open

    def noted(*arguments: Any, **options: Any) -> lmdb.Environment:
        opened.append(lmdb_open(*arguments, **options))
        wanted = {"sync": True, "metasync": True, "writemap": False, "map_async": False}
        assert wanted.items() <= opened[-1].flags().items()
        return opened[-1]

    monkeypatch.setattr(lmdb, "open", noted)
    (made(tmp_path / "log", {}) if made == LmdbStore.create else made(tmp_path / "log")).close()
    assert opened


def test_create_takes_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    LmdbStore.create(tmp_path / "log", {}).close()


def test_create_leaves_alone_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("log", "file", "log/mine"):
        with pytest.raises(StoreExistsError, match=name):
            LmdbStore.create(tmp_path / name, {})
    assert (tmp_path / "log" / "mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "log"]


def test_a_name_that_lmdb_does_not_take_is_said(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"log\xff")
    with pytest.raises(ConfigInvalidError, match="not UTF-8"):
        LmdbStore.create(odd, {})
    assert list(tmp_path.iterdir()) == []
    LmdbStore.create(tmp_path / "log", {}).close()
    (tmp_path / "log").rename(odd)
    with pytest.raises(ConfigInvalidError, match="not UTF-8"):
        LmdbStore.open(odd)


def test_create_of_the_same_directory_by_two_gives_it_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(place: Path) -> None:
        monkeypatch.undo()
        LmdbStore.create(tmp_path / "log", {b"origin": b"the other's"}).close()

    monkeypatch.setattr(directory, "sync", meanwhile)
    with pytest.raises(StoreExistsError):
        LmdbStore.create(tmp_path / "log", {b"origin": b"mine"})
    store = LmdbStore.open(tmp_path / "log")
    assert store.get_meta(b"origin") == b"the other's"
    store.close()


def test_create_needs_the_parent_directory(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        LmdbStore.create(tmp_path / "missing" / "log", {})


def test_create_that_cannot_go_on_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="meta"):
        LmdbStore.create(tmp_path / "log", {b"": b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dies_in", ["sync", "create_environment"])
def test_create_that_dies_leaves_no_store(tmp_path: Path, dies_in: str) -> None:
    module = directory if dies_in == "sync" else store_module
    code = (
        f"import os, sys, {module.__name__} as module; from invoke_log.store.lmdb import LmdbStore\n"
        f"module.{dies_in} = lambda *a: os._exit(9); LmdbStore.create(sys.argv[1], {{}})"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCES)}).returncode == 9
    with pytest.raises(NotFoundError):
        LmdbStore.open(tmp_path / "log")
    LmdbStore.create(tmp_path / "log", {}).close()


def test_open_never_creates(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        LmdbStore.open(tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_open_refuses_half_a_store(tmp_path: Path) -> None:
    where = tmp_path / "log"
    where.mkdir()
    with pytest.raises(StoreFormatError, match=r"no data\.mdb"):
        LmdbStore.open(where)
    (where / "data.mdb").write_bytes(b"")
    with pytest.raises(StoreFormatError, match="0 bytes"):
        LmdbStore.open(where)
    assert (where / "data.mdb").read_bytes() == b""


def test_open_refuses_a_file_that_is_no_store(tmp_path: Path) -> None:
    where = tmp_path / "log"
    where.mkdir()
    (where / "data.mdb").write_bytes(b"not a store" * 1_000)
    with pytest.raises(StoreFormatError, match="no store of invoke-log"):
        LmdbStore.open(where)


@pytest.mark.parametrize("written", [None, b"invoke-log store 1"])
def test_open_refuses_another_format(tmp_path: Path, written: bytes | None) -> None:
    LmdbStore.create(tmp_path / "log", {}).close()
    with lmdb.open(str(tmp_path / "log")) as raw, raw.begin(write=True) as txn:
        if written is None:
            txn.delete(b"mformat")
        else:
            txn.put(b"mformat", written)
    with pytest.raises(StoreFormatError, match=r"this release reads b'invoke-log store 3'") as caught:
        LmdbStore.open(tmp_path / "log")
    assert caught.value.hint is not None


def test_open_refuses_the_file_format_of_another_lmdb(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path / "log"), lib_version=1).close()
    with pytest.raises(StoreFormatError):
        LmdbStore.open(tmp_path / "log")


def test_a_refused_open_holds_nothing(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "log", {}).close()
    with lmdb.open(str(tmp_path / "log")) as raw, raw.begin(write=True) as txn:
        txn.put(b"mformat", b"other")
    refusals = []  # kept, so that what they refer to is not closed by being forgotten
    for _ in range(2):
        with pytest.raises(StoreFormatError) as caught:
            LmdbStore.open(tmp_path / "log")
        refusals.append(caught.value)
    lmdb.open(str(tmp_path / "log")).close()


def test_open_refuses_a_cut_file(store: LmdbStore, tmp_path: Path) -> None:
    store.append([entry(n, body=bytes(2_000)) for n in range(100)])
    store.close()
    data = tmp_path / "log" / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(StoreDamagedError, match=r"data\.mdb is cut"):
        LmdbStore.open(tmp_path / "log")


def test_a_page_in_whose_place_is_one_above_it_is_damage(store: LmdbStore, tmp_path: Path) -> None:
    """LMDB goes down from there for ever, until its stack is full."""
    store.append([entry(n, body=bytes(200)) for n in range(100)])
    store.close()
    data, branch = tmp_path / "log" / "data.mdb", (1).to_bytes(2, sys.byteorder)
    raw, size = data.read_bytes(), mmap.PAGESIZE
    pages = range(2 * size, len(raw), size)
    said = []
    for above, below in permutations(pages, 2):
        if raw[above + 10 : above + 12] == branch:
            data.write_bytes(raw[:below] + raw[above : above + size] + raw[below + size :])
            try:
                LmdbStore.open(tmp_path / "log").close()
            except StoreDamagedError as damage:
                said.append(damage.message)
    assert any("MDB_CURSOR_FULL" in each for each in said), said


def test_open_takes_a_file_that_lacks_only_free_pages_at_its_end(store: LmdbStore, tmp_path: Path) -> None:
    class CountsMorePages:
        def info(self) -> dict[str, int]:
            return {"last_pgno": 1_000}

        def stat(self) -> dict[str, int]:
            return {"psize": 4_096}

    environment._refuse_cut(cast("lmdb.Environment", CountsMorePages()), tmp_path / "log")


def test_the_pages_of_a_sound_store_fit_together_while_others_append(store: LmdbStore) -> None:
    walks = 0
    with ThreadPoolExecutor(1) as others:
        appended = others.submit(lambda: [store.append([entry(n, body=bytes(n * 40))]) for n in range(150)])
        while not appended.done():
            store.check_pages()
            walks += 1
    assert len(appended.result()) == 150
    assert walks > 1


def test_pages_that_do_not_fit_together_are_damage_only_if_they_still_do_not_at_a_second_look(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[str]] = [["page 7 is free and in use"], [], ["page 7"], ["page 8"]]
    monkeypatch.setattr("lmdb.verify.verify", lambda where: looks.pop(0))
    store.check_pages()
    with pytest.raises(StoreDamagedError, match="page 8"):
        store.check_pages()


def test_a_store_is_open_once_in_a_process(store: LmdbStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "log")
    for name in ("log", "link"):
        for read_only in (False, True):
            with pytest.raises(StoreBusyError, match="already open"):
                LmdbStore.open(tmp_path / name, read_only=read_only)
    store.append([entry(0)])
    store.close()
    LmdbStore.open(tmp_path / "link").close()


def test_a_store_that_was_dropped_can_be_opened_again(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "log", {})
    gc.collect()
    LmdbStore.open(tmp_path / "log").close()


@pytest.mark.parametrize("use", ["create", "open"])
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    if use == "open":
        LmdbStore.create(tmp_path / "log", {}).close()
    monkeypatch.setattr(directory, "file_system_of", lambda place, mounts: "nfs4")
    with pytest.raises(StoreError, match="nfs4") as caught:
        LmdbStore.create(tmp_path / "log", {}) if use == "create" else LmdbStore.open(tmp_path / "log")
    assert caught.value.hint is not None
    assert [path.name for path in tmp_path.iterdir()] == ["log"] * (use == "open")


def test_a_store_opened_read_only_reads_and_never_writes(store: LmdbStore, tmp_path: Path) -> None:
    store.append([entry(0)])
    store.close()
    before = (tmp_path / "log" / "data.mdb").read_bytes()
    reading = LmdbStore.open(tmp_path / "log", read_only=True)
    assert (reading.read_only, store.read_only) == (True, False)
    for write in (
        lambda: reading.append([entry(1)]),
        lambda: reading.put_meta(b"name", b"", expect=None),
        lambda: reading.barrier(),
    ):
        with pytest.raises(StoreReadOnlyError, match="opened read-only"):
            write()
    with reading.snapshot() as reader:
        assert list(reader.entries(0, 9)) == [(entry(0).body, entry(0).signature)]
    reading.close()
    assert (tmp_path / "log" / "data.mdb").read_bytes() == before


@pytest.fixture
def somebody() -> Iterator[Path]:
    """Return a directory that every user may reach, for a child process that has given up being root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_somebody(use: Callable[[], object]) -> str:
    """Return the StoreError that `use` raises in a child process without root's rights, and its hint, or ""."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65_534)
            use()
            os._exit(0)
        except StoreError as exc:
            os.write(write_end, f"{type(exc).__name__}: {exc.hint}".encode())
        finally:
            os._exit(1)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as answer:
        return answer.read()


def test_a_directory_without_write_permission_is_refused_for_writing(somebody: Path) -> None:
    LmdbStore.create(somebody / "log", {}).close()
    for path in (somebody / "log").iterdir():
        path.chmod(0o444)
    (somebody / "log").chmod(0o555)
    before = (somebody / "log" / "data.mdb").read_bytes()
    refused = "StoreReadOnlyError: give this user write permission, or open it read-only"
    assert as_somebody(lambda: LmdbStore.open(somebody / "log")) == refused
    assert as_somebody(lambda: LmdbStore.create(somebody / "log" / "inner", {})) == refused
    reads = as_somebody(lambda: LmdbStore.open(somebody / "log", read_only=True))
    assert reads.startswith("StoreReadOnlyError: ")
    assert "read a bundle, or a copy" in reads
    assert (somebody / "log" / "data.mdb").read_bytes() == before
    (somebody / "log").chmod(0o755)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow past `size`: to a store, this is a disk without space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_the_append_and_loses_nothing(store: LmdbStore, tmp_path: Path) -> None:
    store.append([entry(0, on=(A,))])
    big = [entry(n, body=bytes(60_000), on=(A,)) for n in range(1, 10)]
    with file_size_limit((tmp_path / "log" / "data.mdb").stat().st_size):
        with pytest.raises(StoreFullError) as caught:
            store.append(big)
        assert caught.value.hint is not None
        with store.snapshot() as reader:
            assert (reader.size, reader.root) == (1, entry(0).entry_leaf_hash)
    assert len(store.append(big)) == 9
    with store.snapshot() as reader:
        assert (reader.size, reader.head(A)) == (10, reader.row_at_or_before(A, 9))


def test_a_write_that_is_cut_short_is_uncertain_unless_the_disk_is_full(
    store: LmdbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = [entry(n, body=bytes(60_000)) for n in range(9)]
    with file_size_limit((tmp_path / "log" / "data.mdb").stat().st_size + 1_000):
        with pytest.raises(CommitUncertainError):
            store.append(big)
        monkeypatch.setattr(directory, "has_room", lambda place: False)
        with pytest.raises(StoreFullError, match="the disk is full"):
            store.append(big)


def test_few_commits_make_the_file_longer(store: LmdbStore, tmp_path: Path) -> None:
    sizes: list[int] = []
    for n in range(64):
        store.append([entry(n, body=bytes(1_500), on=(A,))])
        sizes.append((tmp_path / "log" / "data.mdb").stat().st_size)
    assert sizes[-1] > 64 * 1_500 + environment.ROOM_BYTES // 2
    assert sum(before < after for before, after in pairwise(sizes[15:])) <= 1
    store.check_pages()


def test_a_file_that_cannot_be_made_longer_is_appended_to_as_long_as_it_has_room(
    store: LmdbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._environment.make_room()
    monkeypatch.setattr(environment, "ROOM_BYTES", 1 << 20)
    with file_size_limit((tmp_path / "log" / "data.mdb").stat().st_size):
        for n in range(store_module.ROOM_CHECK_COMMITS):
            assert store.append([entry(n)]) == [Appended(index=LeafIndex(n))]
    store.close()  # as another thread may, before the answer of a commit is given
    store._environment.make_room()


def test_create_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(8_192), pytest.raises(StoreFullError):
        LmdbStore.create(tmp_path / "log", {})
    assert list(tmp_path.iterdir()) == []


def test_a_full_map_refuses_the_append_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "MAP_BYTES", 1 << 20)
    store = LmdbStore.create(tmp_path / "log", {})
    with pytest.raises(StoreFullError, match="MAP_FULL"):
        store.append([entry(n, body=bytes(60_000)) for n in range(20)])
    assert store.barrier() == 0
    store.append([entry(0)])
    assert store.barrier() == 1
    store.close()


def test_a_commit_that_fails_after_its_meta_page_may_be_written_is_uncertain(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        """A transaction of an LMDB that could not write its meta page for want of space."""

        def __init__(self, real: "lmdb.Transaction[bytes]") -> None:
            self.real = real

        def commit(self) -> None:
            self.real.abort()
            monkeypatch.setattr(store._environment, "raw", Panicked())
            raise lmdb.DiskError("mdb_txn_commit", errno.ENOSPC)

        def cursor(self) -> "lmdb.Cursor[bytes]":
            return self.real.cursor()

        def put(self, key: bytes, value: bytes, *, append: bool = False) -> bool:
            return self.real.put(key, value, append=append)

    class Panicked:
        def begin(self, *, write: bool = False) -> None:
            raise lmdb.PanicError("mdb_txn_begin")

        def close(self) -> None: ...

    begin = store._environment.begin
    monkeypatch.setattr(store._environment, "begin", lambda *, write: Failing(begin(write=write)))
    with pytest.raises(CommitUncertainError):
        store.append([entry(0)])
    monkeypatch.undo()
    monkeypatch.setattr(store._environment, "raw", Panicked())
    with pytest.raises(CommitUncertainError, match="an earlier commit failed"):
        store.append([entry(0)])
    monkeypatch.undo()
