"""JSON lines: handed on as they come, and read as the log has its values, or not at all."""

import io
import json

import pytest

from invoke_log.errors import MalformedError
from invoke_log.surfaces.cli import stream
from invoke_log.surfaces.cli.stream import lines_of
from invoke_log.surfaces.spelling import parse_object


class Dripping(io.BytesIO):
    """Gives three bytes at a time, as a slow pipe does."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(3)


@pytest.mark.parametrize("source", [io.BytesIO, Dripping])
def test_every_line_comes_once_and_in_order_however_the_bytes_arrive(source: type[io.BytesIO]) -> None:
    batches = list(lines_of(source(b"one\n\n  \ntwo\r\nthree")))
    assert [line for batch in batches for line in batch] == [b"one", b"two\r", b"three"]


def test_what_is_there_at_once_is_handed_on_together_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BATCH_LINES_MAX", 2)
    assert list(lines_of(io.BytesIO(b"1\n2\n3\n"))) == [[b"1", b"2"], [b"3"]]


def test_a_line_without_end_is_refused_after_what_came_before_it() -> None:
    lines = lines_of(io.BytesIO(b"one\n" + bytes(2 * stream.LINE_BYTES_MAX)))
    assert next(lines) == [b"one"]
    with pytest.raises(MalformedError, match="a line of more than"):
        next(lines)


def test_bytes_are_bytes_wherever_they_stand() -> None:
    line = json.dumps({"a": {"$bytes": "00ff"}, "b": [{"$bytes": ""}], "c": {"$bytes": "00", "d": 1}}).encode()
    assert parse_object(line) == {"a": b"\x00\xff", "b": [b""], "c": {"$bytes": "00", "d": 1}}


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'"text"',
        b"\xff",
        b'{"a": 1.0}',
        b'{"a": 1e3}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"a": 9007199254740992}',
        b'{"a": "\\ud800"}',
        b'{"a": "e\\u0301"}',
        b'{"": 1}',
        b'{"a": {"$bytes": "0"}}',
        b'{"a": {"$bytes": "0G"}}',
        b'{"a": {"$bytes": "AB"}}',
        b'{"a": {"$bytes": 1}}',
        b'{"$bytes": "00"}',
        b'{"a":' * 17 + b"1" + b"}" * 17,
        b'{"a":' * 100_000,
    ],
)
def test_what_the_log_could_not_hold_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_object(line)
