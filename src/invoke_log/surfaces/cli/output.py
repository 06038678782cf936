"""Output files: whole or not there at all; and what is no file, as it comes."""

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from invoke_log.errors import ConfigInvalidError

Write = Callable[[bytes], object]
STDOUT: Final = Path("-")


@contextmanager
def output(target: Path, *, like: os.stat_result | None = None) -> Iterator[Write]:
    """Yield how to write a file, which gets its name, durably, when the block ends.

    Where the block raises, what was there before is there still; a link stays, and what it names is written. What is
    no file (stdout for `-`, a pipe, a device) gets the bytes as they come.
    Args: like: whose mode and owner it gets; nobody else reads it before it has them.
    Raises: ConfigInvalidError: it cannot be written.
    """
    if target == STDOUT:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                yield stream.write
        else:
            with _whole(target.resolve(), like) as write:
                yield write
    except OSError as error:
        raise ConfigInvalidError(f"output {target}: {error.strerror}") from error


@contextmanager
def _whole(target: Path, like: os.stat_result | None) -> Iterator[Write]:
    place = target.with_name(f".output-{secrets.token_hex(8)}")  # the name may be as long as a name can be
    try:
        with open(place, "xb", opener=None if like is None else _private) as stream:
            yield stream.write
            stream.flush()
            if like is not None:
                os.fchown(stream.fileno(), like.st_uid, like.st_gid)
                os.fchmod(stream.fileno(), like.st_mode & 0o7777)
            os.fsync(stream.fileno())
        # Crash before the rename: a hidden file that nothing reads.
        place.replace(target)
    finally:
        place.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
