"""Who holds private keys: the `Signer` role, and signers whose seed lies in a file. SPEC §5.2 [SIG-1].

A key file is one line, readable by its owner alone: the 32-byte seed in lower-case hex, or the seed under a passphrase:

    invoke-log-key-1 PUBLIC SALT BOX        hex of 32, 16 and 72 bytes

BOX is libsodium's secretbox of the seed (nonce, tag, ciphertext) under Argon2id of passphrase and salt, with the second
parameters that RFC 9106, section 4, recommends. The seed is never printed, and no message tells it.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final, Protocol

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from nacl.signing import SigningKey

from invoke_log.errors import KeyInvalidError, KeyLockedError, NotFoundError, StoreExistsError
from invoke_log.store import directory

SEED_BYTES: Final = 32
PASSPHRASE_BYTES_MAX: Final = 1_024
_LOCKED: Final = "invoke-log-key-1"
_LINE_BYTES_MAX: Final = 512
_KDF_PASSES: Final = 3
_KDF_MEMORY_BYTES: Final = 64 << 20
_HEX: Final = frozenset("0123456789abcdef")


class Signer(Protocol):
    """Holds one Ed25519 key. `sign` returns 64 bytes that verify under `public_key`, for any message; it may block.

    A key that never leaves its place (a KMS, an HSM, an agent) is used by giving an object with these two names.
    """

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


def load_key(path: str | Path, *, passphrase: bytes | None = None) -> FileSigner:
    """Return the signer of a key file. A passphrase for a file that is not locked is not looked at.

    Raises: NotFoundError: no such file. KeyLockedError: it is locked, and no passphrase was given or another one opens
        it. KeyInvalidError: no key file, or one that others may read, or this user may not. StoreError: it cannot be
        read.
    """
    return FileSigner(_seed_of(Path(path), passphrase))


def public_key_of(path: str | Path) -> bytes:
    """Return the public key of a key file, 32 bytes, without a passphrase: a locked file is taken at its word.

    Raises: as `load_key`, but never KeyLockedError.
    """
    where = Path(path)
    words = _words(where)
    if words[0] == _LOCKED:
        return _bytes_of(words[1:2], 32, where=where)[0]
    return FileSigner(_bytes_of(words, SEED_BYTES, where=where)[0]).public_key


def write_key_file(path: str | Path, seed: bytes, *, passphrase: bytes | None = None) -> FileSigner:
    """Write a new key file, mode 0600, locked where a passphrase is given, and return its signer once it is durable.

    Raises: StoreExistsError: something is there, and stays. KeyInvalidError: no 32-byte seed, or no passphrase of 1 to
        1,024 bytes. StoreError.
    """
    signer, where = FileSigner(seed), Path(path)
    try:
        _write(where, _line(signer, seed, passphrase))
        directory.sync(where.parent)
    except FileExistsError as error:
        raise StoreExistsError(f"key file {where}: something is there already") from error
    except OSError as error:
        raise directory.fault(error.errno, f"key file {where}: {error.strerror}") from error
    return signer


def copy_key_file(old: Path, new: Path) -> None:
    """Put a key file in another place, as it is: a locked one stays locked.

    Raises: KeyInvalidError: no key file, or others may read it. StoreError.
    """
    public_key_of(old)
    try:
        _write(new, old.read_bytes())
    except OSError as error:
        raise directory.fault(error.errno, f"key file {new}: {error.strerror}") from error


def lock_key_file(path: str | Path, *, passphrase: bytes, was: bytes | None = None) -> FileSigner:
    """Put a key file under a passphrase, or under another one than it `was` under, and return its signer.

    Raises: as `load_key` and `write_key_file`; the file then stays as it was.
    """
    seed = _seed_of(Path(path), was)
    signer = FileSigner(seed)
    where = Path(path).resolve()  # the rename would replace a link, and leave the file behind it as it was
    new = where.with_name(f".locking-{secrets.token_hex(8)}")
    try:
        # Crash before the rename: the old file, and a new one that nothing names. After it: the new file, whole.
        _write(new, _line(signer, seed, passphrase))
        new.rename(where)
        directory.sync(where.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise directory.fault(error.errno, f"key file {where}: {error.strerror}") from error
    return signer


def _seed_of(where: Path, passphrase: bytes | None) -> bytes:
    words = _words(where)
    if words[0] != _LOCKED:
        return _bytes_of(words, SEED_BYTES, where=where)[0]
    public_key, salt, box = _bytes_of(words[1:], 32, argon2id.SALTBYTES, 40 + SEED_BYTES, where=where)
    if passphrase is None:
        raise KeyLockedError(
            f"key file {where}: key_{public_key.hex()} is locked",
            hint="on a terminal its passphrase is asked for; elsewhere INVOKE_LOG_PASSPHRASE_FILE names a file of it",
        )
    try:
        seed = SecretBox(_stretched(passphrase, salt)).decrypt(box)
    except CryptoError as error:
        raise KeyLockedError(f"key file {where}: the passphrase does not open it") from error
    if FileSigner(seed).public_key != public_key:
        raise KeyInvalidError(f"key file {where}: it holds another key than it says")
    return seed


def _line(signer: FileSigner, seed: bytes, passphrase: bytes | None) -> bytes:
    if passphrase is None:
        return seed.hex().encode() + b"\n"
    salt = secrets.token_bytes(argon2id.SALTBYTES)
    box = bytes(SecretBox(_stretched(passphrase, salt)).encrypt(seed))
    return f"{_LOCKED} {signer.public_key.hex()} {salt.hex()} {box.hex()}\n".encode()


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    """The 32-byte key that a passphrase makes: some tenths of a second and 64 MiB, for us and for each guess."""
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise KeyInvalidError(f"passphrase has {len(passphrase)} bytes, want 1 to {PASSPHRASE_BYTES_MAX}")
    return argon2id.kdf(SecretBox.KEY_SIZE, passphrase, salt, opslimit=_KDF_PASSES, memlimit=_KDF_MEMORY_BYTES)


def _write(where: Path, line: bytes) -> None:
    """Write a file that is not there yet. Raises OSError."""
    # Exclusive, and 0600 from the first moment: at no time can another user read it. Crash before the end: a file that
    # is too short to be loaded, for a key that nobody has been told of.
    descriptor = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o600)  # a umask may have taken from its owner too
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:  # a full disk, say: what is left of it would keep the next try out
        where.unlink(missing_ok=True)
        raise


def _words(where: Path) -> list[str]:
    """The words of a key file's one line. Raises as `load_key`."""
    try:
        with where.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            raw = stream.read(_LINE_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            f"key file {where}: no such file", hint=f'make one with "invoke-log key new {where}"'
        ) from error
    except (IsADirectoryError, PermissionError) as error:
        raise KeyInvalidError(f"key file {where}: {error.strerror}") from error
    except OSError as error:
        raise directory.fault(error.errno, f"key file {where}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyInvalidError(f"key file {where}: mode {mode:04o} lets others read it", hint=f"run: chmod 600 {where}")
    return raw.removesuffix(b"\n").decode("ascii", "replace").split(" ")


def _bytes_of(words: list[str], *sizes: int, where: Path) -> list[bytes]:
    """The bytes that words of lower-case hex stand for, of these sizes. Raises KeyInvalidError: other words."""
    if len(words) != len(sizes) or any(
        len(word) != 2 * size or not _HEX.issuperset(word) for word, size in zip(words, sizes, strict=True)
    ):
        raise KeyInvalidError(f"key file {where}: want one line of 64 lower-case hex digits, or of a locked key")
    return [bytes.fromhex(word) for word in words]
