"""Since when a reconciler has watched a send on this machine's own clock, kept over restarts of its process.

One small file each, beside the log. A reboot starts the clock anew, and with it the wait. A file that is lost, torn or
cannot be written costs time and nothing else; it is read by the key that wrote it alone.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from invoke_log.rules.world import EffectState

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Names this run of the machine, and so of its clock. Where there is none, nothing is kept over a restart."""


class FirstSights:
    """What one key has noted in one directory."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._boot = _text(BOOT_ID).strip()

    def since(self, name: str, now: float) -> float:
        """Return when the send of this name was first seen, in seconds on the clock that `now` is of; else `now`."""
        boot, _, seconds = _text(self._place / name).partition(" ")
        # Without its line's end the number may have lost digits, and would be too early.
        if not boot or boot != self._boot or not seconds.endswith("\n"):
            return now
        try:
            since = float(seconds)
        except ValueError:
            return now
        return since if since <= now else now  # not a number is no time either

    def note(self, name: str, since: float) -> None:
        """Keep when it was first seen."""
        if self._boot:
            with suppress(OSError):  # a place that cannot be written: the wait is this process's own
                self._place.mkdir(parents=True, exist_ok=True)
                (self._place / name).write_text(f"{self._boot} {since!r}\n")

    def forget(self, name: str) -> None:
        """Forget one, if it is kept."""
        with suppress(OSError):
            (self._place / name).unlink()

    def keep_only(self, names: set[str]) -> None:
        """Forget all but these."""
        with suppress(OSError):
            for path in list(self._place.iterdir()):
                if path.name not in names:
                    path.unlink()


def sight_of(state: EffectState, leaf: int) -> str:
    """Return the name of the file for the send at a leaf: by event id too, since a restored log may have another event
    there.
    """
    of = state.send.id if state.send is not None else state.claim.id if state.claim is not None else state.effect
    return f"{of.hex()}-{leaf}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
