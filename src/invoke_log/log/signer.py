"""Who holds private keys: the `Signer` role, and signers whose seed lies in a file. SPEC §5.2 [SIG-1].

A key file is one line of lower-case hex, the 32-byte seed, readable by its owner alone. The secret is never printed.
"""

import os
import stat
from pathlib import Path
from typing import Final, Protocol

from nacl.signing import SigningKey

from invoke_log.errors import KeyInvalidError, NotFoundError, StoreError, StoreExistsError
from invoke_log.store import directory

SEED_BYTES: Final = 32


class Signer(Protocol):
    """Holds one Ed25519 key. `sign` returns 64 bytes that verify under `public_key`, for any message; it may block."""

    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


class FileSigner:
    """A signer that holds its seed in memory."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyInvalidError(f"seed has {len(seed)} bytes, want {SEED_BYTES}")
        self._key = SigningKey(seed)
        self.public_key: Final = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature

    def __repr__(self) -> str:
        return f"FileSigner(key_{self.public_key.hex()})"


def load_key(path: str | Path) -> FileSigner:
    """Return the signer of a key file.

    Raises: NotFoundError: no such file. KeyInvalidError: not one line of 64 lower-case hex digits, or others may read
        it. StoreError: it cannot be read.
    """
    where = Path(path)
    try:
        with where.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            raw = stream.read(2 * SEED_BYTES + 2)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"key file {where}: no such file", hint=f'make one with "invoke-log key new {where}"'
        ) from error
    except OSError as error:
        raise StoreError(f"key file {where}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyInvalidError(f"key file {where}: mode {mode:04o} lets others read it", hint=f"run: chmod 600 {where}")
    text = raw.removesuffix(b"\n")
    if len(text) != 2 * SEED_BYTES or not set(text) <= set(b"0123456789abcdef"):
        raise KeyInvalidError(f"key file {where}: want one line of 64 lower-case hex digits")
    return FileSigner(bytes.fromhex(text.decode()))


def write_key_file(path: str | Path, seed: bytes) -> FileSigner:
    """Write a new key file, mode 0600, and return its signer once the file is durable.

    Raises: StoreExistsError: something is there, and stays. KeyInvalidError: no 32-byte seed. StoreError.
    """
    signer = FileSigner(seed)
    where = Path(path)
    try:
        # Exclusive, and 0600 from the first moment: at no time can another user read it. Crash before the end: a file
        # that is too short to be loaded, for a key that nobody has been told of.
        with os.fdopen(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(seed.hex().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        directory.sync(where.parent)
    except FileExistsError as error:
        raise StoreExistsError(f"key file {where}: something is there already") from error
    except OSError as error:
        raise directory.fault(error.errno, f"key file {where}: {error.strerror}") from error
    return signer
