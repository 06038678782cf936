"""JSON lines as they come, and what stands in them as the log has it."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from invoke_log.errors import ContractInvalidError, MalformedError
from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.guard.registry import read_map
from invoke_log.surfaces.render import BYTES

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


def parse_object(line: bytes) -> dict[str, Value]:
    """Return the JSON object of a line, `{"$bytes": hex}` as bytes.

    Raises: MalformedError: no object, a float, a key twice, hex that is not lower-case and whole, or what IL1 has not.
    """
    try:
        found = _value(read_map(line, ".json", "line"))
    except ContractInvalidError as error:
        raise MalformedError(error.message) from error
    except RecursionError as error:
        raise MalformedError("line: nested too deeply") from error
    if type(found) is not dict:
        raise MalformedError(f"line: found {BYTES} alone, want an object of fields")
    # JSON has texts and integers that IL1 has not: found here, before anything is looked up by them.
    cbor.encode(found)
    return found


def _batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    said = [line for line in lines if line.strip()]
    for start in range(0, len(said), BATCH_LINES_MAX):
        yield said[start : start + BATCH_LINES_MAX]


def _value(value: Value) -> Value:
    if type(value) is list:
        return [_value(item) for item in value]
    if type(value) is not dict:
        return value
    if value.keys() != {BYTES}:
        return {name: _value(item) for name, item in value.items()}
    digits = value[BYTES]
    if type(digits) is not str or len(digits) % 2 or not set(digits) <= set("0123456789abcdef"):
        raise MalformedError(f"line: {BYTES} is {str(digits)[:40]!r}, want lower-case hex, two digits a byte")
    return bytes.fromhex(digits)
