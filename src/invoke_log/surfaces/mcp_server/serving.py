"""How the gateway and the log's own server are reached: on stdin and stdout, or by streamable HTTP."""

import asyncio
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from invoke_log.errors import ConfigInvalidError
from invoke_log.guard.guard import Guard
from invoke_log.surfaces.mcp_server.approver import Approver
from invoke_log.surfaces.mcp_server.door import Door
from invoke_log.surfaces.mcp_server.gateway import Default, Gateway
from invoke_log.surfaces.mcp_server.relay import Carrier, Relay
from invoke_log.surfaces.mcp_server.server import make_server
from invoke_log.surfaces.mcp_server.tools import Tools
from invoke_log.surfaces.mcp_server.upstream import Source

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
STARTS_S: Final = 30.0
"""How long a command that has not answered yet is waited for once nobody is at stdin's other end any more."""
LOOK_S: Final = 0.25
GRACE_S: Final = 1
"""How long answers may still be written, and streams stay open, once a signal has asked the server to end."""


async def serve_gateway(
    guard: Guard,
    source: Source,
    *,
    default: Default,
    approver: Approver | None,
    at: tuple[Door, socket.socket] | None = None,
) -> None:
    """Answer until stdin ends, or by HTTP until a signal; then wait for the calls that are out.

    Args: default, approver: as `Gateway`. at: the door, and its socket.
    Raises: ConfigInvalidError: the server behind does not answer as one.
    """
    relay = Relay(source)
    gateway = Gateway(guard, relay, default=default, approver=approver)

    async def leaving() -> None:
        relay.close()
        await gateway.settled()

    try:
        starting = relay.server(gateway.call_tool)
        if at is None:
            server = await _while_asked(starting)
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())
        else:
            server = await starting
            await _serve_http(server.streamable_http_app(transport_security=_security(at[0])), *at, leaving)
        # The client went away, and decided nothing: each call that is out still has its outcome appended.
        await gateway.settled()
    finally:
        relay.close()
        await relay.upstream.close()


async def _while_asked(starting: Coroutine[Any, Any, Carrier]) -> Carrier:
    """Return the server once the one behind answers. Nothing reads stdin before: whoever went away meanwhile may have
    asked already, and is still answered for a while.
    """
    task = asyncio.create_task(starting)
    while not task.done() and not _left():
        await asyncio.wait((task,), timeout=LOOK_S)
    try:
        async with asyncio.timeout(STARTS_S):
            return await task
    except TimeoutError as error:
        raise ConfigInvalidError("gateway: the client went away, and the server behind does not answer") from error


def _left() -> bool:
    """Whether nobody is at stdin's other end any more."""
    stdin = select.poll()
    # The end of a pipe is always said; that of a socket where it is asked for, which Linux alone can be.
    stdin.register(0, getattr(select, "POLLRDHUP", 0))
    return bool(stdin.poll(0))


def serve(tools: Tools, *, at: tuple[Door, socket.socket] | None = None) -> None:
    """Answer questions about a log on stdin and stdout until stdin ends, or by HTTP until a signal."""
    server = make_server(tools)
    if at is None:
        server.run("stdio")
        return
    asyncio.run(_serve_http(server.streamable_http_app(transport_security=_security(at[0])), *at))


def _security(door: Door) -> TransportSecuritySettings:
    """A page in a browser that resolves its own name to this address names a host and an origin that are not these."""
    hosts = [name + port for name in door.names for port in ("", ":*")]
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


async def _serve_http(
    app: Starlette, door: Door, listening: socket.socket, leaving: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, and then until `leaving` has returned; at a second one, no longer."""
    config = uvicorn.Config(
        _Admitting(app, door),
        access_log=False,
        log_config=None,
        log_level="critical",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Task[None]] = []

    async def end() -> None:
        if leaving is not None and len(ends) == 1:
            await leaving()
        server.should_exit = True

    for number in SIGNALS:
        loop.add_signal_handler(number, lambda: ends.append(loop.create_task(end())))
    await server.serve(sockets=[listening])
    for number in SIGNALS:  # from now on they end the process, whatever is still out
        loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """Uvicorn's own raises the signal again once it has served, and would end us before the calls that are out."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Admitting:
    """Answers who brings no token with 401, before anything else looks at the request."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._door.admits(scope["headers"]):
            refusal = PlainTextResponse("a bearer token is wanted", 401, headers={"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
