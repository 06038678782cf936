"""HTTP/1.1 messages on a byte stream: where one ends, and nothing of what it says.

Owns the framing that the proxy needs (RFC 9112, sections 6 and 7): Content-Length, chunked, and a response that ends
with its connection. Bytes are kept as they came, chunk sizes included, so that what is forwarded is what was sent.
"""

import asyncio
import re
from dataclasses import dataclass

from invoke_log.errors import MalformedError

BODY_BYTES_MAX = 16 << 20  # a list of 100 payment intents is 0.3 MiB
CHUNK_LINE_BYTES_MAX = 256
NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request or response. `fields` has lower-case names; `ends_with_connection`: nothing else can follow it."""

    start_line: str
    fields: dict[str, str]
    raw: bytes
    ends_with_connection: bool

    @property
    def method(self) -> str:
        return self.start_line.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.start_line.split(" ")[1].partition("?")[0]


async def read_request(reader: asyncio.StreamReader) -> Message | None:
    """Return the next request, or None where the peer closed between two.

    Raises: MalformedError; asyncio.IncompleteReadError: the peer left in the middle of one.
    """
    head = await _read_head(reader)
    if head is None:
        return None
    start_line, fields, raw = head
    if not re.fullmatch(r"[A-Z]+ [^ ]+ HTTP/1\.[01]", start_line):
        raise MalformedError(f"request: start line is {start_line[:80]!r}, want method, target, HTTP/1.0 or 1.1")
    body = await _read_sized_body(reader, fields) or b""
    return Message(
        start_line=start_line, fields=fields, raw=raw + body, ends_with_connection=_closes(start_line[-8:], fields)
    )


async def read_response(reader: asyncio.StreamReader, *, method: str) -> Message:
    """Return the final response to a request of that method; interim ones (1xx) are read past.

    Raises: MalformedError; asyncio.IncompleteReadError: the connection ended before the response did.
    """
    for _ in range(8):  # interim responses: one in practice
        head = await _read_head(reader)
        if head is None:
            raise asyncio.IncompleteReadError(b"", None)
        start_line, fields, raw = head
        if not re.fullmatch(r"HTTP/1\.[01] [1-9][0-9]{2}( .*)?", start_line):
            raise MalformedError(f"response: start line is {start_line[:80]!r}, want HTTP/1.0 or 1.1 and a status")
        status = int(start_line[9:12])
        if status >= 200:
            break
    else:
        raise MalformedError("response: more than 8 interim responses")
    closes = _closes(start_line[:8], fields)
    body: bytes | None = b"" if method == "HEAD" or status in NO_BODY else await _read_sized_body(reader, fields)
    if body is None:
        body, closes = await _read_to_end(reader), True
    return Message(start_line=start_line, fields=fields, raw=raw + body, ends_with_connection=closes)


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedError(f"head: longer than {error.consumed} bytes") from error
    start_line, *lines = raw[:-4].decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedError(f"head: field line is {line[:80]!r}, want name, colon, value")
        key = name.lower()
        # A repeated field is one comma-separated list (RFC 9110, 5.2); a repeated length is then no number: refused.
        fields[key] = f"{fields[key]}, {value.strip()}" if key in fields else value.strip()
    return start_line, fields, raw


async def _read_sized_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes | None:
    """Return the body as framed, or None where no field says how long it is."""
    coding = fields.get("transfer-encoding")
    length = fields.get("content-length")
    if coding is not None:
        # Both at once is how two readers are made to see two different requests (RFC 9112, 6.3).
        if length is not None or coding.lower() != "chunked":
            raise MalformedError(f"head: transfer-encoding {coding[:40]!r}, want chunked alone and no content-length")
        return await _read_chunks(reader)
    if length is None:
        return None
    if not re.fullmatch("[0-9]{1,8}", length) or int(length) > BODY_BYTES_MAX:
        raise MalformedError(f"head: content-length is {length[:40]!r}, want decimal digits up to {BODY_BYTES_MAX}")
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await _read_line(reader)
        body += line
        size_text = line[:-2].partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,7}", size_text):
            raise MalformedError(f"chunk: size is {size_text[:40]!r}, want hexadecimal digits")
        size = int(size_text, 16)
        if len(body) + size > BODY_BYTES_MAX:
            raise MalformedError(f"chunks: more than {BODY_BYTES_MAX} bytes")
        if size == 0:
            break
        chunk = await reader.readexactly(size + 2)
        if not chunk.endswith(b"\r\n"):
            raise MalformedError(f"chunk: of {size} bytes does not end in a line break")
        body += chunk
    while (trailer := await _read_line(reader)) != b"\r\n":
        body += trailer
        if len(body) > BODY_BYTES_MAX:
            raise MalformedError(f"chunks: more than {BODY_BYTES_MAX} bytes")
    return bytes(body + trailer)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise MalformedError(f"chunk: a line longer than {error.consumed} bytes") from error
    if len(line) > CHUNK_LINE_BYTES_MAX:
        raise MalformedError(f"chunk: a line of {len(line)} bytes, want at most {CHUNK_LINE_BYTES_MAX}")
    return line


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while more := await reader.read(65536):
        body += more
        if len(body) > BODY_BYTES_MAX:
            raise MalformedError(f"body: more than {BODY_BYTES_MAX} bytes")
    return bytes(body)


def _closes(version: str, fields: dict[str, str]) -> bool:
    tokens = {token.strip() for token in fields.get("connection", "").lower().split(",")}
    return "close" in tokens or (version == "HTTP/1.0" and "keep-alive" not in tokens)
