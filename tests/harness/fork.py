"""What comes of uses of the log in a fork of the process that opened it."""

import os
import signal
import warnings
from collections.abc import Callable
from typing import Final

from invoke_log.errors import StoreError

HANGS_S: Final = 5
"""Seconds after which a fork that waits for something is ended; what it would have said is then missing."""


def in_fork(*uses: Callable[[], object]) -> list[str]:
    """Return what each comes to: the name of its StoreError, where it speaks of the fork and has a hint, or "used"."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of the parent's are what some of these are about
        child = os.fork()
    if child == 0:
        signal.alarm(HANGS_S)
        try:
            for use in uses:
                try:
                    use()
                    said = "used"
                except StoreError as exc:
                    said = type(exc).__name__ if "fork" in exc.message and exc.hint else "other"
                os.write(write_end, f"{said} ".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as answer:
        return answer.read().split()
