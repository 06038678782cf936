"""A TCP proxy that loses answers on purpose, between the agents and the provider.

Run as `python -m invoke_log.surfaces.demo.proxy --upstream PORT`; the ready line names its port and its control port,
which takes what `proxy_control` says. It treats by rule what may change something at the provider, POSTs above all, and
passes everything else. What a request is, and how one is carried on, is its `Wire`'s: HTTP here.
"""

import argparse
import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Protocol

from invoke_log.errors import MalformedError
from invoke_log.surfaces.demo.framing import Message, read_request, read_response
from invoke_log.surfaces.demo.processes import say, told_to_stop
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule, SeenPost

UPSTREAM_S_MAX = 30.0
IDLE_S_MAX = 300.0  # between two requests of one client, and how long HANG keeps a client that does not give up
POSTS_KEPT_MAX = 100_000
READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


class Wire(Protocol):
    """How the requests of one client are read, and carried upstream. Every method may raise OSError and EOFError."""

    async def greet(self) -> bytes:
        """Return what the provider says first, before any request."""
        ...

    async def read(self, reader: asyncio.StreamReader) -> Message | None:
        """Return the next request, None where the client left between two. Raises MalformedError."""
        ...

    async def forward(self, request: Message) -> Message:
        """Send the request's own bytes upstream once, and return what came back."""
        ...

    def refuse(self, words: str) -> Message:
        """Return an answer that is the proxy's own: the provider is not to be had."""
        ...

    def close(self) -> None:
        """Leave the provider."""
        ...


class HttpWire:
    """HTTP/1.1. Each request goes upstream on a connection of its own: a kept one that went stale would tempt it to
    send again, and only DUPLICATE may.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port

    async def greet(self) -> bytes:
        return b""

    async def read(self, reader: asyncio.StreamReader) -> Message | None:
        return await read_request(reader)

    async def forward(self, request: Message) -> Message:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            try:
                writer.write(request.raw)
                await writer.drain()
                return await read_response(reader, method=request.method)
            finally:
                writer.close()
        except (OSError, EOFError, MalformedError) as error:
            raise OSError(f"upstream port {self._upstream_port}: {error!r}") from error

    def refuse(self, words: str) -> Message:
        return _local_answer("503 Service Unavailable", words)

    def close(self) -> None:
        pass


class Proxy:
    """One provider, the rules left, and what was done so far."""

    def __init__(self, wire: Callable[[], Wire]) -> None:
        self._wire = wire
        self._rules: list[Rule] = []
        self._posts: deque[SeenPost] = deque(maxlen=POSTS_KEPT_MAX)
        self._answered = 0

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Treat one client's requests in order, until it leaves, one ends unanswered, or a message says close."""
        wire = self._wire()
        landing: list[asyncio.Task[None]] = []
        try:
            writer.write(await wire.greet())
            while True:
                async with asyncio.timeout(IDLE_S_MAX):
                    request = await wire.read(reader)
                if request is None:
                    return
                answer = await self._treat(wire, request, reader, landing)
                if answer is None:
                    return
                writer.write(answer.raw)
                await writer.drain()
                if request.ends_with_connection or answer.ends_with_connection:
                    return
        except MalformedError as error:
            writer.write(_local_answer("400 Bad Request", error.message).raw)
        except (OSError, EOFError):
            pass  # the client is gone or idle too long: whatever was forwarded has happened all the same
        finally:
            writer.close()
            await asyncio.gather(*landing, return_exceptions=True)
            wire.close()

    async def serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question of `ProxyControl`."""
        with contextlib.suppress(OSError, EOFError):
            try:
                async with asyncio.timeout(IDLE_S_MAX):
                    answer = self._obey(json.loads(await reader.readline()))
            except (ValueError, KeyError, TypeError) as error:  # a line too long is a ValueError
                answer = {"error": repr(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    def _obey(self, question: dict[str, Any]) -> dict[str, object]:
        match question["do"]:
            case "add":
                rules = question["rules"]
                self._rules += [Rule(**{**rule, "behaviour": Behaviour(rule["behaviour"])}) for rule in rules]
                return {}
            case "clear":
                self._rules.clear()
                self._posts.clear()
                self._answered = 0
                return {}
            case "report":
                posts = [[post.path, post.behaviour, post.idempotency_key] for post in self._posts]
                left = sum(rule.count for rule in self._rules)
                return {"posts": posts, "answered": self._answered, "rules_left": left}
            case other:
                raise ValueError(f"do is {other!r}, want add, clear or report")

    async def _treat(
        self, wire: Wire, request: Message, reader: asyncio.StreamReader, landing: list[asyncio.Task[None]]
    ) -> Message | None:
        """Return what the client is answered, or None where its connection ends without an answer."""
        if request.method in READS:
            return await self._forward(wire, request)
        rule = self._take_rule(request)
        match rule.behaviour:
            case Behaviour.PASS:
                return await self._forward(wire, request)
            case Behaviour.DROP_RESPONSE:
                await self._forward(wire, request)
                return None
            case Behaviour.DROP_REQUEST:
                return None
            case Behaviour.HANG:
                landing.append(asyncio.create_task(self._land_later(wire, request, rule.delay_ms)))
                async with asyncio.timeout(IDLE_S_MAX):
                    await reader.read(1)  # returns when the client has given up
                return None
            case Behaviour.SLOW:
                await asyncio.sleep(rule.delay_ms / 1000)
                return await self._forward(wire, request)
            case Behaviour.UNAVAILABLE:
                await self._forward(wire, request)
                return wire.refuse("try again later")
            case Behaviour.DUPLICATE:
                await self._forward(wire, request)
                return await self._forward(wire, request)

    def _take_rule(self, request: Message) -> Rule:
        """Use up one POST of the first rule that fits, and write down what comes of it."""
        taken = Rule(behaviour=Behaviour.PASS)
        for index, rule in enumerate(self._rules):
            if request.path.startswith(rule.path):
                taken = rule
                self._rules[index : index + 1] = [replace(rule, count=rule.count - 1)] if rule.count > 1 else []
                break
        key = request.fields.get("idempotency-key", "")
        self._posts.append(SeenPost(path=request.path, behaviour=taken.behaviour, idempotency_key=key))
        return taken

    async def _land_later(self, wire: Wire, request: Message, delay_ms: int) -> None:
        await asyncio.sleep(delay_ms / 1000)
        await self._forward(wire, request)

    async def _forward(self, wire: Wire, request: Message) -> Message:
        """Forward a request once, and return what came back, or that the provider is not to be had."""
        try:
            async with asyncio.timeout(UPSTREAM_S_MAX):
                answer = await wire.forward(request)
        except (OSError, EOFError) as error:
            return wire.refuse(str(error))
        self._answered += request.method not in READS
        return answer


def _local_answer(status: str, message: str) -> Message:
    body = json.dumps({"error": {"type": "api_error", "message": message}}).encode()
    start_line = f"HTTP/1.1 {status}"
    head = f"{start_line}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return Message(start_line=start_line, fields={}, raw=head.encode() + body, ends_with_connection=True)


@asynccontextmanager
async def open_proxy(wire: Callable[[], Wire]) -> AsyncIterator[tuple[int, int]]:
    """Yield the ports of a proxy that serves until the block ends: for clients, and for control."""
    proxy = Proxy(wire)
    clients = await asyncio.start_server(proxy.serve_client, "127.0.0.1", 0)
    control = await asyncio.start_server(proxy.serve_control, "127.0.0.1", 0)
    try:
        yield clients.sockets[0].getsockname()[1], control.sockets[0].getsockname()[1]
    finally:
        clients.close()
        control.close()


async def serve(upstream_port: int) -> None:
    """Serve until told to stop; what still hangs then never lands."""
    stop = told_to_stop()
    async with open_proxy(lambda: HttpWire(upstream_port)) as (port, control):
        say(port=port, control=control)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="a proxy that loses answers on purpose")
    parser.add_argument("--upstream", type=int, required=True, metavar="PORT", help="the provider's port on 127.0.0.1")
    asyncio.run(serve(parser.parse_args().upstream))
