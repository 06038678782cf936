"""A worker's own side, and how both sides speak. SPEC §12 [RPL-1] to [RPL-3].

It imports little, so that a process begins soon.
"""

import marshal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from invoke_log.audit.leaf import Formed, Pair, Stopped, form

_LENGTH_BYTES: Final = 4


def serve() -> None:
    """Form leaves that come on standard input, a socket, until it is closed."""
    with socket.socket(fileno=sys.stdin.fileno()) as parent, suppress(OSError):
        parent.sendall(packed(([], None)))
        while (pairs := receive(parent)) is not None:
            parent.sendall(packed(form(pairs)))


def packed(message: list[Pair] | tuple[list[Formed], Stopped | None]) -> bytes:
    """Return what one side says as the other receives it."""
    raw = marshal.dumps(message)
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


def receive(of: socket.socket) -> Any:  # noqa: ANN401  # the two sides are one program
    """Return what the other end sent; None where it is closed."""
    head = _read(of, _LENGTH_BYTES)
    raw = _read(of, int.from_bytes(head, "big")) if head is not None else None
    return marshal.loads(raw) if raw is not None else None


def _read(of: socket.socket, size: int) -> bytearray | None:
    """Return exactly so many bytes; None where the other end is closed."""
    raw = bytearray(size)
    view, at = memoryview(raw), 0
    while at < size:
        count = of.recv_into(view[at:])
        if not count:
            return None
        at += count
    return raw
