"""The directory of a log: its store, its attachments, and the keys that were made with it.

    store/          the entries
    attachments/    one file each, named by its BLAKE3 in hex, as b3sum prints it
    watched/        when a reconciler first looked for a send, by its key: a delay, and no record
    keys/           log.key, admin.key, agent.key, mode 0600, where they were made here

It is created whole or not at all, and opening never creates.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from invoke_log.errors import KeyLockedError, MalformedError, NotFoundError, StoreDamagedError
from invoke_log.format import limits
from invoke_log.format.digest import Digest, attachment_digest
from invoke_log.log.engine import Engine
from invoke_log.log.signer import FileSigner, copy_key_file, load_key, write_key_file
from invoke_log.store import directory
from invoke_log.store.lmdb import LmdbStore


def create_home(path: Path, *, key_seeds: Mapping[str, bytes], fill: Callable[[Path, Engine], None]) -> None:
    """Create a log's directory with its first entries and key files, whole or not at all.

    Args:
        key_seeds: file name without `.key`, to its 32-byte seed.
        fill: given the directory in the making and its empty log, puts there what the log begins with.
    Raises: StoreExistsError, NotFoundError (no parent directory), StoreReadOnlyError, StoreFullError, StoreError.
    """

    def make(place: Path) -> None:
        (place / "attachments").mkdir()
        (place / "keys").mkdir(mode=0o700)
        for name, seed in key_seeds.items():
            write_key_file(place / "keys" / f"{name}.key", seed)
        engine = Engine(lambda: LmdbStore.create(place / "store", {}))
        try:
            fill(place, engine)
        finally:
            engine.close()

    directory.create_whole(path.absolute(), make)


def copy_keys(path: Path, old: Path) -> None:
    """Put the key files of another log beside this one, as they are, but for its log key.

    Raises: StoreError: one cannot be read or written. KeyInvalidError: others may read it.
    """
    for file in sorted((old / "keys").glob("*.key")):
        if file.name != "log.key":
            copy_key_file(file, path / "keys" / file.name)


def open_store(path: Path, *, read_only: bool = False) -> LmdbStore:
    """Return the store of a log's directory. Raises NotFoundError, StoreFormatError and the store's other errors."""
    if not path.is_dir():
        raise NotFoundError(
            f"log {path}: no such directory", hint=f'make one with "invoke-log init {path} --origin NAME"'
        )
    if not (path / "store").is_dir():
        raise NotFoundError(
            f"log {path}: this directory holds no log",
            hint='give the directory that "invoke-log init" made; what "invoke-log export" made is a file',
        )
    return LmdbStore.open(path / "store", read_only=read_only)


def key_path(path: Path, name: str) -> Path | None:
    """Return the key file of that name beside a log, where there is one that this user may read."""
    found = path / "keys" / f"{name}.key"
    return found if os.access(found, os.R_OK) else None


def signer_beside(path: Path, name: str) -> FileSigner | None:
    """Return the signer of the key file of that name beside a log; None where no such key is at hand: there is none
    that this user may read, or it is locked.

    Raises: KeyInvalidError, StoreError: the file.
    """
    found = key_path(path, name)
    try:
        return load_key(found) if found is not None else None
    except KeyLockedError:
        return None


def keep_attachment(path: Path, raw: bytes) -> Digest:
    """Keep an attachment durably, and return its digest. Keeping it twice keeps it once.

    Raises: MalformedError: over 64 MiB. StoreError.
    """
    if len(raw) > limits.ATTACHMENT_BYTES_MAX:
        raise MalformedError(f"attachment has {len(raw)} bytes, want at most {limits.ATTACHMENT_BYTES_MAX}")
    key = attachment_digest(raw)
    target = path / "attachments" / key.hex()
    if target.exists():
        directory.sync(target.parent)  # whoever put it there may not have come so far yet
        return key
    # Crash before the rename: a file that nothing names. The entry that names this one is appended afterwards.
    place = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with place.open("wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        place.rename(target)
        directory.sync(target.parent)
    except OSError as error:
        place.unlink(missing_ok=True)
        raise directory.fault(error.errno, f"attachment {target}: {error.strerror}") from error
    return key


def is_attachment_kept(path: Path, key: bytes) -> bool:
    """Whether a file lies under an attachment's name."""
    return (path / "attachments" / key.hex()).exists()


def read_attachment(path: Path, key: bytes) -> bytes | None:
    """Return an attachment, or None where it is not kept here (it was erased, or never was).

    Raises: StoreDamagedError: the file does not hash to its name.
    """
    raw = attachment_bytes(path, key)
    if raw is not None and attachment_digest(raw) != key:
        raise StoreDamagedError(f"attachment {key.hex()} does not hash to its name")
    return raw


def sound_attachment(path: Path, key: bytes) -> bytes | None:
    """Return an attachment, or None where it is not kept here, or is damaged: for whoever waits where it is gone."""
    try:
        return read_attachment(path, key)
    except StoreDamagedError:
        return None


def attachments_in(path: Path) -> Iterator[bytes]:
    """Return every attachment that is kept beside a log, in the order of their digests."""
    for target in sorted((path / "attachments").glob("[0-9a-f]" * 64)):
        raw = read_attachment(path, bytes.fromhex(target.name))
        if raw is not None:
            yield raw


def attachment_bytes(path: Path, key: bytes) -> bytes | None:
    """Return what lies under an attachment's name, whatever it hashes to, or None. Raises StoreError."""
    target = path / "attachments" / key.hex()
    try:
        with target.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size  # of a device or a pipe: none
            return stream.read(min(size, limits.ATTACHMENT_BYTES_MAX) + 1)  # what is longer hashes to another name
    except FileNotFoundError:
        return None
    except OSError as error:
        raise directory.fault(error.errno, f"attachment {target}: {error.strerror}") from error
