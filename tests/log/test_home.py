"""The directory of a log: whole or not at all, and attachments that are what their names say. [ID-6]"""

import os
import stat
from pathlib import Path

import pytest

from invoke_log.errors import (
    MalformedError,
    NotFoundError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreReadOnlyError,
)
from invoke_log.format import limits
from invoke_log.format.digest import attachment_digest
from invoke_log.log import home
from invoke_log.log.engine import Engine
from invoke_log.log.signer import load_key
from tests.log.logged import entry

SEEDS = {"log": bytes(range(32)), "admin": bytes(32)}


def three_entries(_: Path, engine: Engine) -> None:
    engine.append([entry(number) for number in range(3)])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    home.create_home(tmp_path / "log", key_seeds=SEEDS, fill=three_entries)
    return tmp_path / "log"


def test_a_new_home_has_its_first_entries_its_keys_and_room_for_attachments(place: Path) -> None:
    assert sorted(path.name for path in place.iterdir()) == ["attachments", "keys", "store"]
    assert stat.S_IMODE((place / "keys").stat().st_mode) == 0o700
    for name, seed in SEEDS.items():
        found = home.key_path(place, name)
        assert found is not None
        assert load_key(found).public_key == load_key(found).public_key
        assert found.read_text() == f"{seed.hex()}\n"
    store = home.open_store(place)
    with store.snapshot() as reader:
        assert reader.size == 3
    store.close()


def test_a_home_that_cannot_be_filled_leaves_nothing_behind(tmp_path: Path) -> None:
    def fails(_: Path, engine: Engine) -> None:
        engine.append([entry(1)])
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        home.create_home(tmp_path / "log", key_seeds=SEEDS, fill=fails)
    assert list(tmp_path.iterdir()) == []


def test_a_home_is_made_in_no_place_that_is_taken_or_has_no_parent(place: Path) -> None:
    with pytest.raises(StoreExistsError):
        home.create_home(place, key_seeds=SEEDS, fill=three_entries)
    with pytest.raises(NotFoundError):
        home.create_home(place / "a" / "b", key_seeds=SEEDS, fill=three_entries)


def test_a_home_that_is_missing_half_made_or_open_is_not_opened(place: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such directory"):
        home.open_store(tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError):
        home.open_store(tmp_path / "empty")
    (tmp_path / "half" / "store").mkdir(parents=True)
    with pytest.raises(StoreFormatError):
        home.open_store(tmp_path / "half")
    store = home.open_store(place)
    with pytest.raises(StoreBusyError):
        home.open_store(place)
    store.close()


def test_a_home_opened_for_reading_is_not_written(place: Path) -> None:
    store = home.open_store(place, read_only=True)
    with pytest.raises(StoreReadOnlyError):
        store.append([entry(3)])
    store.close()


def test_a_key_that_this_user_may_not_read_is_not_there_for_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, int]] = []

    def denied(path: Path, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", denied)
    assert home.key_path(place, "log") is None
    assert asked == [(place / "keys" / "log.key", os.R_OK)]


def test_a_key_that_is_not_there_has_no_path(place: Path) -> None:
    assert home.key_path(place, "agent") is None


def test_an_attachment_is_kept_once_under_its_digest_and_read_back(place: Path) -> None:
    key = home.keep_attachment(place, b"what was seen")
    assert key == attachment_digest(b"what was seen") == home.keep_attachment(place, b"what was seen")
    assert [path.name for path in (place / "attachments").iterdir()] == [key.hex()]
    assert home.read_attachment(place, key) == b"what was seen" == home.attachment_bytes(place, key)
    assert home.read_attachment(place, bytes(32)) is None
    home.keep_attachment(place, b"")
    assert list(home.attachments_in(place)) == sorted([b"", b"what was seen"], key=attachment_digest)


def test_an_attachment_is_durable_before_it_has_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        done.append("name")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    home.keep_attachment(place, b"what was seen")
    assert done == ["file", "name", "directory"]


def test_of_what_lies_under_an_attachments_name_no_more_is_read_than_an_attachment_has(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ATTACHMENT_BYTES_MAX", 1_000)
    (place / "attachments" / ("0" * 64)).symlink_to("/dev/zero")
    with pytest.raises(StoreDamagedError):
        home.read_attachment(place, bytes(32))


def test_an_attachment_that_changed_is_damage_and_raw_bytes_are_not_judged(place: Path) -> None:
    key = home.keep_attachment(place, b"what was seen")
    (place / "attachments" / key.hex()).write_bytes(b"something else")
    with pytest.raises(StoreDamagedError):
        home.read_attachment(place, key)
    with pytest.raises(StoreDamagedError):
        list(home.attachments_in(place))
    assert home.attachment_bytes(place, key) == b"something else"


def test_an_attachment_that_cannot_be_written_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(StoreError, match="No space"):
        home.keep_attachment(place, b"what was seen")
    assert list((place / "attachments").iterdir()) == []
    (place / "attachments").rmdir()
    with pytest.raises((StoreError, NotFoundError)):
        home.keep_attachment(place, b"what was seen")


def test_an_attachment_over_its_bound_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ATTACHMENT_BYTES_MAX", 4)
    home.keep_attachment(place, bytes(4))
    with pytest.raises(MalformedError):
        home.keep_attachment(place, bytes(5))
