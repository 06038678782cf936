"""Other processes that form leaves, and go when their pipe is closed. SPEC §12 [RPL-1] to [RPL-3].

A worker is this interpreter with nothing but the code that forms leaves. Neither `fork`, which copies locks that other
threads hold, nor `multiprocessing`, which runs the program's own main module a second time: that program acts on the
world. A worker that dies, or cannot be started, is nobody's loss: its leaves are formed where they are judged.
"""

import os
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from invoke_log.audit.leaf import Formed, Pair, Stopped
from invoke_log.audit.serve import packed, receive

WORKERS_MAX: Final = 2
"""Two form leaves faster than one process can judge them."""
_BUFFER_BYTES: Final = 1 << 19
"""Bytes that a socket is asked to keep; what it keeps is what the system allows (Linux, as it comes: 416 KB)."""
_ANSWER_S_MAX: Final = 60
"""Seconds after which a worker that says nothing is given up: a thousand times what a chunk needs."""

# The package's own __init__ imports all of it, which takes longer than to form a thousand leaves (0.6 of 0.1 s).
_PROGRAM: Final = """
import sys, types
package = types.ModuleType("invoke_log")
package.__path__ = [sys.argv[1]]
sys.modules["invoke_log"] = package
from invoke_log.audit.serve import serve
serve()
"""


class Worker:
    """One process, as its parent holds it. Answers come in the order in which leaves were handed over."""

    room_max: Final = 4
    """Chunks that it may hold, 136 KB of common events. Between two times that its parent looks this way lie a chunk
    judged and one formed: with room for two it was idle a fifth of the time.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(Path(__file__).parents[1])],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # an interrupt is its parent's to handle
            )
        # Half of it, for what the system keeps beside. Handing over then never waits, and who judges always comes to
        # read: nobody waits for a reader who waits for him.
        self._room_bytes = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2
        self._answers = select.poll()  # not select(), which ends where a program has a thousand files open
        self._answers.register(self._socket, select.POLLIN)
        self._held: deque[int] = deque()
        self._begun = False
        self._gone = False

    def take(self, pairs: list[Pair]) -> bool:
        """Hand over leaves; False where it has not begun yet, has no room, or is gone."""
        if self._gone or len(self._held) == self.room_max or not (self._begun or self._begin()):
            return False
        raw = packed(pairs)
        if sum(self._held) + len(raw) > self._room_bytes:
            return False
        try:
            self._socket.sendall(raw)
        except OSError:
            self._gone = True
            return False
        self._held.append(len(raw))
        return True

    @property
    def answered(self) -> bool:
        """Whether the next answer can be had without waiting."""
        return self._gone or bool(self._answers.poll(0))

    def answer(self) -> tuple[list[Formed], Stopped | None] | None:
        """Return what came of the leaves handed over first; None where it is gone."""
        self._held.popleft()
        received = None
        if not self._gone:
            self._socket.settimeout(_ANSWER_S_MAX)
            with suppress(OSError):
                received = receive(self._socket)
            self._socket.settimeout(None)
        self._gone = received is None
        return received

    def close(self) -> None:
        """Return when the process is gone."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _begin(self) -> bool:
        """Whether it has said that it is ready, which it does with an empty answer."""
        if self.answered:
            self._begun = True
            self._held.append(0)
            self.answer()
        return self._begun and not self._gone


@contextmanager
def start_workers() -> Iterator[list[Worker]]:
    """Start as many workers as have a processor beside this one, and end them; none where there is no interpreter."""
    workers: list[Worker] = []
    count = min(len(os.sched_getaffinity(0)) - 1, WORKERS_MAX) if hasattr(os, "sched_getaffinity") else 1
    try:
        # In a program that embeds Python, or is frozen, the executable is that program, which must not run twice.
        if Path(sys.executable or "").stem.startswith("python") and not getattr(sys, "frozen", False):
            with suppress(OSError):
                for _ in range(count):
                    workers.append(Worker())
        yield workers
    finally:
        for worker in workers:
            worker.close()
