"""JSON lines as they come."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from invoke_log.errors import MalformedError

LINE_BYTES_MAX: Final = 1 << 20
"""Bytes of one line: a body has at most 64,000, which hex doubles."""
BATCH_LINES_MAX: Final = 1_000
"""Lines that are handed on at once: they go into one commit, and are held in memory."""


def lines_of(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Return the lines of a stream, as many at a time as are there already, without blank ones.

    So a file is handed on in large batches, and whoever writes a line into a pipe and waits for its answer gets it.
    Raises: MalformedError: a line over 1 MiB; what came before it was handed on.
    """
    rest = b""
    while chunk := stream.read1(LINE_BYTES_MAX):  # type: ignore[attr-defined]  # every buffered reader has it
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _batches(lines)
        if len(rest) > LINE_BYTES_MAX:
            raise MalformedError(f"a line of more than {LINE_BYTES_MAX} bytes")
    yield from _batches([rest])


def _batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    said = [line for line in lines if line.strip()]
    for start in range(0, len(said), BATCH_LINES_MAX):
        yield said[start : start + BATCH_LINES_MAX]
