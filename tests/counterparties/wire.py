"""The fault proxy on two more wires: SMTP and PostgreSQL, each with one connection upstream for one client.

A request's method is SEND, its path what it is about: `/MAIL`, `/RCPT`, `/CONTENT` (the message itself), `/COMMIT`,
`/INSERT`. So a rule takes the COMMIT and leaves what came before it alone.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from invoke_log.errors import MalformedError
from invoke_log.surfaces.demo.framing import Message
from invoke_log.surfaces.demo.proxy import Wire, open_proxy
from invoke_log.surfaces.demo.proxy_control import Behaviour, ProxyControl, Rule

BYTES_MAX = 16 << 20
LATE_MS: Final = 900
"""How late a SLOW request is delivered: long after its client has given up."""
LANDS_S_MAX: Final = 20.0
Found = TypeVar("Found")


def treated(behaviour: Behaviour, path: str) -> Rule:
    """Return the rule for one request, delivered late where it is to be slow."""
    return Rule(behaviour=behaviour, path=path, delay_ms=LATE_MS if behaviour is Behaviour.SLOW else 0)


def patience_s(behaviour: Behaviour) -> float:
    """Return how long a client waits for an answer: not for ever where the proxy hangs, not until a slow one comes."""
    return 0.3 if behaviour in (Behaviour.HANG, Behaviour.SLOW) else 5.0


def landed(look: Callable[[], Found]) -> Found:
    """Return what a look at a provider's ledger finds, as soon as there is something."""
    deadline_s = time.monotonic() + LANDS_S_MAX
    while not (found := look()):
        assert time.monotonic() < deadline_s, "it never landed"
        time.sleep(0.02)
    return found


@dataclass(frozen=True, kw_only=True)
class RunningProxy:
    """A proxy on 127.0.0.1; `control` says what it does and what it did."""

    port: int
    control: ProxyControl


@contextmanager
def running_proxy(wire: Callable[[], Wire]) -> Iterator[RunningProxy]:
    """Yield a proxy that runs in a thread of its own until the block ends."""
    ports: list[tuple[int, int]] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with open_proxy(wire) as opened:
            ports.append(opened)
            ready.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(20)
        [(port, control)] = ports
        yield RunningProxy(port=port, control=ProxyControl(port=control))
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class Upstream:
    """One connection to the provider, made when it is first needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=BYTES_MAX)
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


class SmtpWire:
    """SMTP (RFC 5321), one command at a time; after a 354, the message up to its lone dot."""

    def __init__(self, port: int) -> None:
        self._upstream = Upstream(port)
        self._content = False

    async def greet(self) -> bytes:
        reader, _ = await self._upstream.streams()
        return await _reply(reader)

    async def read(self, reader: asyncio.StreamReader) -> Message | None:
        try:
            raw = await reader.readuntil(b"\r\n.\r\n" if self._content else b"\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        what = "CONTENT" if self._content else raw[:4].decode("latin-1").strip().upper()
        self._content = False
        return _sent(what, raw)

    async def forward(self, request: Message) -> Message:
        reader, writer = await self._upstream.streams()
        writer.write(request.raw)
        await writer.drain()
        raw = await _reply(reader)
        self._content = raw.startswith(b"354")
        return _answered(raw)

    def refuse(self, words: str) -> Message:
        return _answered(f"451 4.3.0 {words}\r\n".encode())

    def close(self) -> None:
        self._upstream.close()


class PostgresWire:
    """PostgreSQL's protocol 3, as psycopg speaks it without TLS: up to a Query or a Sync, and back to ReadyForQuery."""

    def __init__(self, port: int) -> None:
        self._upstream = Upstream(port)
        self._started = False

    async def greet(self) -> bytes:
        return b""

    async def read(self, reader: asyncio.StreamReader) -> Message | None:
        raw = bytearray()
        try:
            if not self._started:
                self._started = True
                length = await reader.readexactly(4)
                return _sent("STARTUP", length + await reader.readexactly(int.from_bytes(length, "big") - 4))
            while True:
                message = await _postgres_message(reader)
                raw += message
                if message[:1] in (b"Q", b"S"):
                    break
                if message[:1] == b"X":
                    return None
        except asyncio.IncompleteReadError as error:
            if error.partial or raw:
                raise
            return None
        # The text of a Query, or of the Parse at the beginning, whose statement has no name here.
        text = re.search(rb"[A-Za-z]+", bytes(raw[5:]))
        return _sent(text[0].decode().upper() if text else "NOTHING", bytes(raw))

    async def forward(self, request: Message) -> Message:
        reader, writer = await self._upstream.streams()
        writer.write(request.raw)
        await writer.drain()
        raw = bytearray()
        while raw[-6:-5] != b"Z":
            raw += await _postgres_message(reader)
        return _answered(bytes(raw))

    def refuse(self, words: str) -> Message:
        fields = f"SFATAL\0VFATAL\0C57P01\0M{words}\0\0".encode()
        return _answered(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields, closes=True)

    def close(self) -> None:
        self._upstream.close()


async def _postgres_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    size = int.from_bytes(head[1:], "big") - 4
    if not 0 <= size <= BYTES_MAX:
        raise MalformedError(f"postgresql: a message of {size} bytes")
    return head + await reader.readexactly(size)


async def _reply(reader: asyncio.StreamReader) -> bytes:
    raw = line = await reader.readuntil(b"\r\n")
    while line[3:4] == b"-":
        raw += (line := await reader.readuntil(b"\r\n"))
    return raw


def _sent(what: str, raw: bytes) -> Message:
    return Message(start_line=f"SEND /{what} 1", fields={}, raw=raw, ends_with_connection=False)


def _answered(raw: bytes, *, closes: bool = False) -> Message:
    return Message(start_line="", fields={}, raw=raw, ends_with_connection=closes)
