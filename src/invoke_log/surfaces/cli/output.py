"""Output files: whole or not there at all."""

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
def output(target: Path) -> Iterator[Write]:
    """Yield how to write a file, which gets its name, durably, when the block ends; `-` is stdout, as it comes.

    Where the block raises, what was there before is there still. Raises: ConfigInvalidError: it cannot be written.
    """
    if target == STDOUT:
        yield sys.stdout.buffer.write
        return
    place = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with place.open("xb") as stream:
            yield stream.write
            stream.flush()
            os.fsync(stream.fileno())
        # Crash before the rename: a hidden file that nothing reads.
        place.replace(target)
    except OSError as error:
        raise ConfigInvalidError(f"output {target}: {error.strerror}") from error
    finally:
        place.unlink(missing_ok=True)
