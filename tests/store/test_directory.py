import errno
import os
from pathlib import Path

import pytest

from invoke_log.errors import (
    InvokeLogError,
    NotFoundError,
    StoreError,
    StoreExistsError,
    StoreFullError,
    StoreReadOnlyError,
)
from invoke_log.store import directory

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 27 0:40 / /data rw master:2 - nfs4 server:/export rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
32 31 0:41 / /data/local\\040disk rw - xfs /dev/vdb rw
33 27 0:42 / /data2 rw - fuse.sshfs host: rw
34 27 0:43 / /over rw - cifs //server/share rw
35 34 0:44 / /over rw - ext4 /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/var/log", "ext4"),
        ("/data", "nfs4"),
        ("/data/log", "nfs4"),
        ("/data/local disk/log", "xfs"),
        ("/data/local", "nfs4"),
        ("/data2/log", "fuse.sshfs"),
        ("/data22", "ext4"),
        ("/over/log", "ext4"),
    ],
)
def test_the_deepest_and_latest_mount_holds_a_path(place: str, kind: str) -> None:
    assert directory.file_system_of(Path(place), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse", "fuse.sshfs", "virtiofs", "ceph"])
def test_a_file_system_of_another_machine_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"27 1 254:0 / / rw - {kind} /dev/vda rw\n")
    monkeypatch.setattr(directory, "_MOUNTS", mounts)
    with pytest.raises(StoreError, match=f"lies on {kind}"):
        directory.refuse_network(tmp_path)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs"])
def test_a_file_system_of_this_machine_is_taken(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"27 1 254:0 / / rw - {kind} /dev/vda rw\n")
    monkeypatch.setattr(directory, "_MOUNTS", mounts)
    directory.refuse_network(tmp_path)


def test_without_a_table_of_mounts_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_MOUNTS", tmp_path / "none")
    directory.refuse_network(tmp_path)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EFBIG, StoreFullError),
        (errno.EACCES, StoreReadOnlyError),
        (errno.EROFS, StoreReadOnlyError),
        (errno.ENOTEMPTY, StoreExistsError),
        (errno.ENOTDIR, StoreExistsError),
        (errno.EBUSY, StoreExistsError),
        (errno.ENOENT, NotFoundError),
        (errno.ENAMETOOLONG, NotFoundError),
        (errno.EIO, StoreError),
        (None, StoreError),
    ],
)
def test_an_error_number_has_one_error(code: int | None, error: type[InvokeLogError]) -> None:
    found = directory.fault(code, "store: text")
    assert type(found) is error
    assert found.message.startswith("store: text")


def test_every_folder_is_durable_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    sync = directory.sync

    def spy(place: Path) -> None:
        sync(place)
        synced.append((place.name.partition("-")[0], (tmp_path / "log").exists()))

    monkeypatch.setattr(directory, "sync", spy)
    directory.create_whole(tmp_path / "log", lambda place: (place / "outer" / "inner").mkdir(parents=True))
    assert synced == [(".creating", False), ("outer", False), ("inner", False), (tmp_path.name, True)]
    assert (tmp_path / "log" / "outer" / "inner").is_dir()


def test_a_directory_that_fill_gives_up_on_leaves_nothing(tmp_path: Path) -> None:
    def fill(place: Path) -> None:
        (place / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        directory.create_whole(tmp_path / "log", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_with_space_has_room_and_one_without_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    assert directory.has_room(tmp_path)
    full = os.statvfs_result((real.f_bsize, 4_096, *tuple(real)[2:4], 255, *tuple(real)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda place: full)
    assert not directory.has_room(tmp_path)
