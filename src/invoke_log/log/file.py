"""Files that somebody names: read up to what such a file may hold, since a device or a pipe need not end."""

from pathlib import Path
from typing import Final

from invoke_log.errors import InvokeLogError, NotFoundError

TEXT_BYTES_MAX: Final = 1 << 20
"""Bytes of a contract or a policy as text: it becomes a body of at most 64,000, and the rest is layout and comments."""


def read_file(path: Path, what: str, *, bytes_max: int, wrong: type[InvokeLogError]) -> bytes:
    """Return what a file holds.

    Args: what: as which it is read. wrong: what is raised where it is longer than `bytes_max`.
    Raises: NotFoundError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(bytes_max + 1)
    except OSError as error:
        raise NotFoundError(f"{what} {path}: {error.strerror}") from error
    if len(raw) > bytes_max:
        raise wrong(f"{what} {path}: more than {bytes_max} bytes, want at most that")
    return raw
