"""Something tried in a process of its own, because it may kill whoever tries it."""

import os
import signal
import sys
import traceback
from collections.abc import Callable


def in_child(attempt: Callable[[], str]) -> str:
    """Return what `attempt` returns, from a fork; the name of the signal that killed it; or the traceback it died of.

    What the C library prints when it aborts goes nowhere.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            text = attempt()
        except BaseException:  # noqa: BLE001 -- whatever it is, the parent has to read it
            text = traceback.format_exc()
        with os.fdopen(writer, "w") as stream:
            stream.write(text)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else text


def only_thread() -> None:
    """Stop where other threads run: a fork would leave their locks held."""
    if len(sys._current_frames()) > 1:
        raise SystemExit("this process has more than one thread, and is about to fork")
