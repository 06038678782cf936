"""The directory that a store lives in: on a disk of this machine, and created whole or not at all.

It knows files and their errors, never what a store writes into them.
"""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from invoke_log.errors import (
    ConfigInvalidError,
    NotFoundError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreFullError,
    StoreReadOnlyError,
)

NOT_LOCAL: Final = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    )
)
"""File systems, as the kernel names them, that may give two machines one file and neither the other's locks."""

_MOUNTS: Final = Path("/proc/self/mountinfo")

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_READ_ONLY: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_TAKEN: Final = frozenset((errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EBUSY))
_NO_NAME: Final = frozenset((errno.ENOENT, errno.ENAMETOOLONG))
_FREE_BYTES_LEAST: Final = 1 << 20
"""Less free space than this and a write that was cut short is put down to it: one append seldom needs more."""


def create_whole(target: Path, fill: Callable[[Path], None]) -> None:
    """Return once `target` durably holds what `fill` wrote into the directory that it was given.

    Raises: StoreExistsError: something is there already. NotFoundError: the parent directory is not.
        ConfigInvalidError: its name. StoreReadOnlyError, StoreFullError, StoreError. `target` is then as it was.
    """
    check_name(target)
    place = target.parent / f".creating-{secrets.token_hex(8)}"  # its name may be as long as a name can be
    try:
        refuse_network(target.parent.resolve(strict=True))
        place.mkdir()
        try:
            fill(place)
            for folder, _, _ in os.walk(place):
                sync(Path(folder))
            # An empty directory gives way, anything else stays. Crash before the rename: a hidden directory is left,
            # which nothing opens. After it: the whole of it.
            place.rename(target)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        sync(target.parent)
    except OSError as exc:
        raise fault(exc.errno, f"store {target}: {exc.strerror}") from exc


def check_name(where: Path) -> None:
    """Raise ConfigInvalidError where the name of a directory is not UTF-8, as LMDB's binding wants it."""
    try:
        str(where.absolute()).encode()
    except UnicodeEncodeError as exc:
        message = f"store {where}: the name of its directory is not UTF-8, as LMDB wants it"
        raise ConfigInvalidError(message, hint="give the directory another name") from exc


def identity(data_file: Path, *, bytes_min: int) -> tuple[int, int]:
    """Return device and inode of the file that makes a directory a store.

    Raises: NotFoundError: no such directory. StoreFormatError: the file is missing, or shorter than `bytes_min`.
        ConfigInvalidError: its name. StoreError: it lies on a network.
    """
    where = data_file.parent
    check_name(where)
    try:
        if not where.exists():
            raise NotFoundError(f"store {where}: does not exist", hint="create it first; opening never does")
        refuse_network(where.resolve())
        if not data_file.is_file():
            raise StoreFormatError(f"store {where}: holds no {data_file.name}; half-created, or no log")
        found = data_file.stat()
    except OSError as exc:
        raise fault(exc.errno, f"store {where}: {exc.strerror}") from exc
    if found.st_size < bytes_min:
        raise StoreFormatError(f"store {where}: {data_file.name} has {found.st_size} bytes; half-created, or cut")
    return found.st_dev, found.st_ino


def refuse_network(place: Path) -> None:
    """Raise StoreError where a resolved path lies on a file system that other machines may write to."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:  # not Linux: nothing to ask
        return
    kind = file_system_of(place, mounts)
    if kind.partition(".")[0] in NOT_LOCAL:
        raise StoreError(
            f"store {place}: lies on {kind}, want a file system of this machine",
            hint="memory maps and locks do not reach across a network; keep the log on a local disk",
        )


def file_system_of(place: Path, mounts: str) -> str:
    """Return the type of the file system that a resolved path lies on, or "" where the table does not say.

    mounts: the text of Linux's /proc/self/mountinfo; see proc_pid_mountinfo(5).
    """
    deepest, kind = -1, ""
    for line in mounts.split("\n"):
        fields, _, source = line.partition(" - ")
        if source:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4])
            # The later of two mounts on one point covers the earlier.
            if place.is_relative_to(point) and len(point) >= deepest:
                deepest, kind = len(point), source.split(" ")[0]
    return kind


def has_room(place: Path) -> bool:
    """Return whether the file system has space for an append."""
    free = os.statvfs(place)
    return free.f_bavail * free.f_frsize >= _FREE_BYTES_LEAST


def fault(code: int | None, message: str) -> StoreError | NotFoundError:
    """Return the error that stands for an operating system's error number."""
    if code in _FULL:
        return StoreFullError(message, hint="free some space and append the same bytes again")
    if code in _READ_ONLY:
        return StoreReadOnlyError(message, hint="give this user write permission, or open it read-only")
    if code in _TAKEN:
        return StoreExistsError(
            f"{message}; something is there already", hint="choose a new directory; under a mount point, one inside it"
        )
    if code in _NO_NAME:
        return NotFoundError(message)
    return StoreError(message)


def sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
