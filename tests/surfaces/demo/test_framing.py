"""Where one HTTP message ends and the next begins."""

import asyncio

import pytest

from invoke_log.errors import MalformedError
from invoke_log.surfaces.demo.framing import Message, read_request, read_response

POST = b"POST /v1/x?y=1 HTTP/1.1\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def requests_in(stream: bytes) -> list[Message]:
    async def read() -> list[Message]:
        reader = reader_of(stream)
        found = []
        while (request := await read_request(reader)) is not None:
            found.append(request)
        return found

    return asyncio.run(read())


def response_in(stream: bytes, *, method: str = "GET") -> tuple[Message, bytes]:
    """Return the response and what is left on the stream after it."""

    async def read() -> tuple[Message, bytes]:
        reader = reader_of(stream)
        return await read_response(reader, method=method), await reader.read()

    return asyncio.run(read())


def reader_of(stream: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(stream)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize(
    "message",
    [
        POST + b"\r\n",
        POST + b"Content-Length: 0\r\n\r\n",
        POST + b"Content-Length: 7\r\n\r\n\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\na\r\n\r\n0\r\nDigest: z\r\n\r\n",
    ],
)
def test_a_request_ends_where_its_framing_says_and_keeps_its_bytes(message: bytes) -> None:
    first, second = requests_in(message + POST + b"\r\n")
    assert (first.raw, second.raw) == (message, POST + b"\r\n")
    assert (first.method, first.path, first.ends_with_connection) == ("POST", "/v1/x", False)


@pytest.mark.parametrize(
    "message",
    [
        OK + b"Content-Length: 2\r\n\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_a_response_ends_where_its_framing_says(message: bytes) -> None:
    response, left = response_in(message + b"rest")
    assert (response.raw, left, response.ends_with_connection) == (message, b"rest", False)


def test_a_response_to_head_has_no_body_whatever_its_length_says() -> None:
    response, left = response_in(OK + b"Content-Length: 2\r\n\r\n", method="HEAD")
    assert (response.raw, left) == (OK + b"Content-Length: 2\r\n\r\n", b"")


def test_a_response_without_a_length_ends_with_its_connection() -> None:
    response, left = response_in(OK + b"\r\nall of it")
    assert (response.raw, left, response.ends_with_connection) == (OK + b"\r\nall of it", b"", True)


def test_an_interim_response_is_read_past() -> None:
    final = OK + b"Content-Length: 0\r\n\r\n"
    assert response_in(b"HTTP/1.1 100 Continue\r\n\r\n" + final)[0].raw == final


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", False),
    ],
)
def test_the_connection_field_and_the_version_say_whether_another_may_follow(head: bytes, closes: bool) -> None:
    assert requests_in(head)[0].ends_with_connection is closes


@pytest.mark.parametrize(
    "message",
    [
        b"POST  / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/2.0\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: 99999999\r\n\r\n",
        POST + b"Content-Length : 3\r\n\r\nabc",
        POST + b"no colon\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 300 + b"\r\na\r\n0\r\n\r\n",
        POST + b"Long: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
def test_a_request_that_can_be_read_two_ways_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedError):
        requests_in(message)


@pytest.mark.parametrize(
    "message", [b"POST / HT", POST + b"Content-Length: 3\r\n\r\nab", POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\na"]
)
def test_a_request_that_stops_in_the_middle_is_an_end_of_stream(message: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        requests_in(message)


@pytest.mark.parametrize("message", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 3\r\n\r\nab"])
def test_a_response_that_stops_in_the_middle_is_an_end_of_stream(message: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        response_in(message)


@pytest.mark.parametrize("message", [b"HTTP/1.1 OK\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 100 Go\r\n\r\n" * 9])
def test_what_is_no_response_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedError):
        response_in(message)
