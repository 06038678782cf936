"""The MCP server behind the gateway: one process, started again by the next call where it has ended."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage

from invoke_log.errors import ConfigInvalidError

OURS: Final = "INVOKE_LOG"
"""How the names of our own settings begin: where keys lie is nothing that a tool has to know."""
Streams = tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]


class Upstream:
    """A connection to a command that speaks MCP on its stdin and stdout. Used by the tasks of one event loop."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self._command = StdioServerParameters(command=command[0], args=list(command[1:]), env=environment)
        self._starting = asyncio.Lock()
        self._link: _Link | None = None

    async def client(self) -> Client:
        """Return a client that was connected a moment ago; the command is started where it does not run.

        Raises: ConfigInvalidError: it cannot be started, or does not speak MCP. Nothing was sent.
        """
        async with self._starting:
            if self._link is None or self._link.ended.is_set():
                await self.close()
                self._link = _Link(self._command)
            return await self._link.connected()

    async def close(self) -> None:
        """End the process: stdin first, then signals."""
        if self._link is not None:
            await self._link.close()
            self._link = None


class _Link:
    """One run of the command. What enters the client's scopes leaves them: that is one task, which waits here."""

    def __init__(self, command: StdioServerParameters) -> None:
        self._command = command
        self.ended = asyncio.Event()
        self._connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._held = asyncio.create_task(self._hold())

    async def connected(self) -> Client:
        return await asyncio.shield(self._connected)

    async def close(self) -> None:
        self.ended.set()
        await self._held

    async def _hold(self) -> None:
        try:
            async with Client(_watched(self._command, self.ended), cache=None) as client:
                self._connected.set_result(client)
                await self.ended.wait()
        except Exception as error:  # noqa: BLE001 -- whatever a command does that is no MCP server
            if not self._connected.done():
                message = f"gateway: {self._command.command!r} does not answer as an MCP server: {error}"
                self._connected.set_exception(ConfigInvalidError(message[:500], hint="try the command by itself"))
        finally:
            self.ended.set()


@asynccontextmanager
async def _watched(command: StdioServerParameters, ended: asyncio.Event) -> AsyncIterator[Streams]:
    """The SDK's stdio transport, which also says when the process has ended: a call after that was never sent."""
    async with stdio_client(command) as (read, write):
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
