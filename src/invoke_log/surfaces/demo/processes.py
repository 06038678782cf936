"""Child processes of the demo, from both ends: `Child` starts, hears and stops one; it has `say` and `told_to_stop`.

A child is `python -m MODULE`. It speaks JSON lines on stdout and complains on stderr. A server among them lives as long
as its stdin is open: a parent that dies, however it dies, takes its servers with it. No wait is unbounded.
"""

import asyncio
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

from invoke_log.errors import InvokeLogError

READY_S_MAX = 20.0  # a cold start took 0.5 s; a loaded machine with two cores gets forty times that
STOP_S_MAX = 3.0  # then SIGKILL
STDERR_BYTES_SHOWN = 2000  # the end of a traceback, which names the reason
LINE_BYTES_MAX = 1 << 20
STDIN = 0


class ChildError(InvokeLogError):
    """A child process that did not start, did not answer in time, or ended badly; the hint has its stderr's end."""

    code: ClassVar[str] = "child"


class Child:
    """One running `python -m module`, stopped when its `with` block ends.

    Raises: ChildError: from every method that waits, when the wait runs out or the child ended with a non-zero code.
    """

    def __init__(self, module: str, *args: str) -> None:
        self.name = module.rpartition(".")[2]
        # A file: a pipe that nobody reads would stop the child when it is full.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        self._buffer = b""
        # -P: a file in the working directory named like a module of ours or a vendor's must not run instead of it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            env=child_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready_ports(self) -> dict[str, int]:
        """Return the ports that a server announced on its first line, by name."""
        line = self.next_line(timeout_s=READY_S_MAX)
        if line is None:
            raise self._error("ended before it was ready")
        return {name: port for name, port in line.items() if name != "v" and isinstance(port, int)}

    def lines(self, *, timeout_s: float) -> Iterator[dict[str, object]]:
        """Yield each JSON line until the child ends; `timeout_s` bounds the wait for one line."""
        while (line := self.next_line(timeout_s=timeout_s)) is not None:
            yield line

    def next_line(self, *, timeout_s: float) -> dict[str, object] | None:
        """Return the next JSON object on the child's stdout, or None where it closed stdout and ended with 0."""
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            if len(self._buffer) > LINE_BYTES_MAX:
                raise self._error(f"wrote a line of more than {LINE_BYTES_MAX} bytes")
            more = self._read(deadline_s)
            if not more:
                self._ended()
                return None
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\n")
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise self._error(f"wrote {text[:80]!r}, want one JSON object a line")
        return line

    def send(self, signum: signal.Signals) -> None:
        """Send the child a signal; nothing where it is gone already."""
        self._process.send_signal(signum)

    def stop(self) -> None:
        """Stop the child: closed stdin and SIGTERM, then SIGKILL; return when it is gone."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _read(self, deadline_s: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline_s - time.monotonic())):
                raise self._error("wrote nothing in time")
        return os.read(stdout.fileno(), 65536)

    def _ended(self) -> None:
        try:
            exit_code = self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            raise self._error("closed its stdout and went on running") from None
        if exit_code != 0:
            raise self._error(f"ended with exit code {exit_code}")
        if self._buffer:
            raise self._error(f"ended in the middle of a line: {self._buffer[:80]!r}")

    def _error(self, found: str) -> ChildError:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - STDERR_BYTES_SHOWN))
        stderr = self._stderr.read().decode(errors="replace").strip()
        return ChildError(f"{self.name}: {found}", hint=f"its stderr ends: {stderr}" if stderr else None)


def say(**fields: object) -> None:
    """Write one JSON line to stdout: what `Child` reads at the other end. Every field goes in as it is."""
    sys.stdout.write(json.dumps({"v": 1, **fields}) + "\n")
    sys.stdout.flush()


def told_to_stop() -> asyncio.Event:
    """Return what is set on SIGTERM, SIGINT, or the end of stdin: the parent is gone.

    Call it before the ready line: whoever has read that line may send a signal at once.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)

    def on_input() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            stop.set()

    # A file, /dev/null or a closed descriptor cannot be waited for: started like that, only a signal ends it.
    with contextlib.suppress(OSError):
        loop.add_reader(STDIN, on_input)
    return stop


def child_environment() -> dict[str, str]:
    """Return our own environment, in which the child also finds the invoke_log that runs here, installed or not."""
    source = str(Path(__file__).parents[3])
    paths = [source, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
