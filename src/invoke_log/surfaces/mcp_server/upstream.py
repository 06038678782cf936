"""The MCP server behind the gateway: one connection, made again by the next call where it has ended."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.session import MessageHandlerFnT
from mcp.client.stdio import stdio_client
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
)
from pydantic import TypeAdapter

from invoke_log.errors import ConfigInvalidError
from invoke_log.guard.outcome import DefiniteFailure, NeverSent
from invoke_log.guard.tool_call import Call
from invoke_log.surfaces.mcp_server.asked import ASKED, forwarded

OURS: Final = "INVOKE_LOG"
"""How the names of our own settings begin: where keys lie is nothing that a tool has to know."""
BEFORE_RUNNING: Final = frozenset((METHOD_NOT_FOUND, INVALID_PARAMS))
"""The protocol's errors that a contract may list as definite failures, by their numbers."""
CALLED: Final[TypeAdapter[CallToolResult | InputRequiredResult]] = TypeAdapter(CallToolResult | InputRequiredResult)
Streams = tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]


@dataclass(slots=True)
class Attempt:
    """The one send of a guarded call, and what its transport learns of it.

    may_send: asked right before the first byte leaves. sent: whether it has left, which a transport that cannot tell
    says at once. taken: whether the transport has seen the request. failure: the code of an HTTP status that says "not
    done", for the contract to list.
    """

    may_send: Callable[[], bool]
    sent: bool
    taken: bool = False
    failure: str | None = None


ATTEMPT: Final[ContextVar[Attempt | None]] = ContextVar("attempt", default=None)
"""Set while a guarded call is out: the SDK carries it from the caller to the task that sends."""


class Source(Protocol):
    """Where the server behind is. tells: its transport says when the first byte of a call leaves.

    patience_s: how long to wait for a connection; None: for as long as it takes to start.
    """

    name: str
    tells: bool
    patience_s: float | None

    def streams(self, ended: asyncio.Event) -> AbstractAsyncContextManager[Streams]:
        """Return a transport to it, which sets the event where what is sent from now on would reach nobody."""
        ...


class Upstream:
    """The connection. heard: told each notification of the server. joined: awaited on each connection, before any call
    uses it. Used by the tasks of one event loop.
    """

    def __init__(
        self, source: Source, *, heard: MessageHandlerFnT, joined: Callable[[Client], Awaitable[None]]
    ) -> None:
        self._source = source
        self._heard = heard
        self._joined = joined
        self._starting = asyncio.Lock()
        self._link: _Link | None = None
        self._links: set[_Link] = set()

    async def client(self) -> Client:
        """Return a client that was connected a moment ago; a command is started where it does not run.

        Raises: ConfigInvalidError: it cannot be reached, or does not speak MCP. Nothing was sent.
        """
        return await (await self._live()).connected()

    def connected(self) -> Client | None:
        """Return the client where it is connected; nothing is started."""
        return self._link.client if self._link is not None and not self._link.ended.is_set() else None

    async def _live(self) -> "_Link":
        async with self._starting:
            if self._link is None or self._link.ended.is_set():
                self._link = _Link(self._source, self._heard, self._joined)
                self._links.add(self._link)
                self._link.held.add_done_callback(functools.partial(self._gone, self._link))
            await self._link.connected()
            return self._link

    def _gone(self, link: "_Link", _: object) -> None:
        self._links.discard(link)

    async def call(
        self, call: Call, name: str, arguments: dict[str, Any], meta: Mapping[str, Any]
    ) -> CallToolResult | InputRequiredResult:
        """Send a guarded call, once.

        Raises: NeverSent, DefiniteFailure: the server's own error of the protocol, or an HTTP status. MCPError and
            whatever else: it was sent, and nobody knows.
        """
        try:
            link = await self._live()
        except ConfigInvalidError as error:
            raise NeverSent from error
        client = await link.connected()
        if not call.may_send():  # connecting took its time
            raise NeverSent
        attempt = Attempt(may_send=call.may_send, sent=not self._source.tells)
        reset = ATTEMPT.set(attempt)
        link.begin()
        try:
            # Not the client's call, which sends once more on some answers; nor the session's, which asks for the list
            # of tools once it has the answer, and throws away one that does not fit its schema.
            return await client.session.send_request(
                CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments, _meta=forwarded(meta))),
                CALLED,
                call.timeout_s,
                progress_callback=asked.progress if (asked := ASKED.get()) is not None else None,
            )
        except MCPError as error:
            if not attempt.sent:
                attempt.may_send = _never  # it may still be connecting
                raise NeverSent from error
            if error.code in BEFORE_RUNNING:
                raise DefiniteFailure(str(error.code)) from error
            if attempt.failure is not None:
                raise DefiniteFailure(attempt.failure) from error
            raise  # our own timeout and the end of the connection are of this class too
        finally:
            link.end()
            ATTEMPT.reset(reset)

    async def close(self) -> None:
        """End the connection, and a command's process: stdin first, then signals."""
        for link in tuple(self._links):
            await link.close()


def _never() -> bool:
    return False


class _Link:
    """One connection. What enters the client's scopes leaves them: that is one task, which waits here."""

    def __init__(self, source: Source, heard: MessageHandlerFnT, joined: Callable[[Client], Awaitable[None]]) -> None:
        self._source = source
        self._heard = heard
        self._joined = joined
        self.ended = asyncio.Event()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.client: Client | None = None
        self._connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # In a context of its own: the request that happens to connect is not the one that later ones are answered for.
        self.held = asyncio.create_task(self._hold(), context=Context())

    async def connected(self) -> Client:
        try:
            async with asyncio.timeout(self._source.patience_s):
                return await asyncio.shield(self._connected)
        except TimeoutError as error:
            self.ended.set()
            self.held.cancel()
            raise self._silent(f"no answer in {self._source.patience_s} s") from error

    def begin(self) -> None:
        """A call goes out: until it has ended, the connection is not closed for another's sake."""
        self._calls += 1
        self._idle.clear()

    def end(self) -> None:
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def close(self) -> None:
        self.ended.set()
        if not self._connected.done():  # it may never answer
            self.held.cancel()
        await asyncio.wait((self.held,))

    async def _hold(self) -> None:
        try:
            transport = self._source.streams(self.ended)
            async with Client(transport, cache=None, message_handler=self._heard) as client:
                self.client = client
                await self._joined(client)
                self._connected.set_result(client)
                await self.ended.wait()
                await self._idle.wait()
        except Exception as error:  # noqa: BLE001 -- whatever is there that is no MCP server
            if not self._connected.done():
                self._connected.set_exception(self._silent(error))
        finally:
            self.ended.set()

    def _silent(self, why: object) -> ConfigInvalidError:
        while isinstance(why, BaseExceptionGroup):  # of the SDK's scopes, each of which adds nothing
            why = why.exceptions[0]
        message = f"gateway: {self._source.name!r} does not answer as an MCP server: {why}"
        return ConfigInvalidError(message[:500], hint="try it by itself")


class Command:
    """A command that speaks MCP on its stdin and stdout: one process, without our own settings."""

    tells = False
    patience_s: float | None = None

    def __init__(self, command: Sequence[str]) -> None:
        self.words = list(command)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self._command = StdioServerParameters(command=command[0], args=list(command[1:]), env=environment)
        self.name = command[0]

    @asynccontextmanager
    async def streams(self, ended: asyncio.Event) -> AsyncIterator[Streams]:
        """The SDK's stdio transport, which also says when the process has ended: a call after that was never sent."""
        async with stdio_client(self._command) as (read, write):
            yield _Watched(read, ended), write


class _Watched:
    """A stream of messages that sets an event at its end."""

    def __init__(self, read: ReadStream[SessionMessage | Exception], ended: asyncio.Event) -> None:
        self._read = read
        self._ended = ended

    async def receive(self) -> SessionMessage | Exception:
        return await self._read.receive()

    async def aclose(self) -> None:
        await self._read.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self._read.__anext__()
        except StopAsyncIteration:
            self._ended.set()
            raise

    async def __aenter__(self) -> Self:
        await self._read.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._read.__aexit__(kind, error, trace)
