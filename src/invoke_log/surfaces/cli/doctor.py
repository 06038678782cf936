"""`doctor`: whether this machine and this log are as they should be."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import click

from invoke_log.errors import InvokeLogError, KeyLockedError
from invoke_log.format import keys
from invoke_log.ledger.log import Log
from invoke_log.log.home import signer_beside
from invoke_log.log.signer import load_key, public_key_of
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.outcomes import DONE, UNVERIFIED
from invoke_log.surfaces.render import View, shown

FLUSHES: Final = 15
FLUSH_S_MIN: Final = 0.000_02
"""Seconds. A disk that confirms a write faster than a memory bus could carry it has not written it."""
FREE_BYTES_MIN: Final = 1 << 30
CLOCK_MS_MAX: Final = 60_000
"""How far the log's time may be from this machine's, in milliseconds: no clock that is set is so far off."""

Found = tuple[bool, str]
"""Whether a check passed, and what it found."""
Check = tuple[str, bool, str]
"""The same after its name."""


@click.command("doctor", cls=Verb)
@click.pass_obj
def doctor(session: Session) -> int:
    """Check this machine: library, log, clock, key files, disk.

    Prints one line a check. The exit code is 3 where a check fails. Whether the log's entries hold together is for
    "verify" to say.

    \b
    Example: invoke-log doctor --log payments
    """
    ok = True
    for name, passed, message in _checks(session.log_path):
        ok &= passed
        fields = {"check": name, "ok": passed, "message": message}
        session.say(View(fields=fields, text=f"{'ok  ' if passed else 'FAIL'} {name:<10} {shown(message)}"))
    return DONE if ok else UNVERIFIED


def _checks(path: Path) -> Iterator[Check]:
    yield _tried("signatures", _self_tested)
    log = _tried("log", partial(_opened, path))
    yield log
    if log[1]:
        yield _tried("clock", partial(_clock, path))
    for file in sorted((path / "keys").glob("*.key")):
        yield _tried("key", partial(_loaded, file))
    if path.is_dir():
        yield _tried("flush", partial(_flushes, path))
        yield _tried("space", partial(_space, path))


def _tried(name: str, check: Callable[[], Found]) -> Check:
    """One check, which fails where it cannot be made: the others are made all the same."""
    try:
        return name, *check()
    except InvokeLogError as error:
        return name, False, "; ".join(filter(None, (error.message, error.hint)))
    except OSError as error:
        return name, False, f"{error.filename}: {error.strerror}"


def _self_tested() -> Found:
    keys.self_test()
    return True, "libsodium keeps the rules that verifiers agree on"


def _loaded(file: Path) -> Found:
    public_key_of(file)
    try:
        load_key(file)
    except KeyLockedError:
        return True, f"{file}: a locked key, readable by its owner alone; it signs where its passphrase is given"
    return True, f"{file}: a key, readable by its owner alone"


def _opened(path: Path) -> Found:
    with Log.open(path, read_only=True) as log, log.world() as world:
        return True, f"{world.governance.origin}, {world.reader.size} leaves"


def _clock(path: Path) -> Found:
    """Whether the log's time goes on: it stands still where nobody ticks, and waits where it is ahead."""
    with Log.open(path, read_only=True) as log, log.world() as world:
        behind_ms = log.clock_ms() - world.now_ms()
    ticks = signer_beside(path, "log") is not None
    words = (
        f"the log's time is {abs(behind_ms) / 1000:.0f} s {'behind' if behind_ms >= 0 else 'ahead of'} this machine's"
    )
    if behind_ms < -CLOCK_MS_MAX:
        return False, f"{words}: until that has caught up, no deadline passes; is this machine's right?"
    if behind_ms > CLOCK_MS_MAX and not ticks:
        return (
            False,
            f"{words}, and its key is not here, or is locked: no call that needs the time starts until a holder ticks",
        )
    return True, f"{words}{', and goes on with the next append' if ticks else ''}"


def _flushes(path: Path) -> Found:
    """Time what every append waits for, on the log's own disk."""
    took = []
    with TemporaryFile(dir=path) as stream:
        for _ in range(FLUSHES):
            stream.write(bytes(512))
            stream.flush()
            began = time.perf_counter()
            os.fdatasync(stream.fileno())
            took.append(time.perf_counter() - began)
    median_s = statistics.median(took)
    words = (
        "" if median_s >= FLUSH_S_MIN else ": too fast for a disk; what is acknowledged may not survive a loss of power"
    )
    return median_s >= FLUSH_S_MIN, f"{median_s * 1e6:.0f} µs a flush{words}"


def _space(path: Path) -> Found:
    free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    return free >= FREE_BYTES_MIN, f"{free >> 20} MiB are free"
