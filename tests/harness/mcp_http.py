"""MCP over HTTP on loopback: servers and the gateway in the event loop of a test, and stock clients of either era."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import uvicorn
from mcp import Client
from starlette.types import ASGIApp

import invoke_log as il
from invoke_log.surfaces.mcp_server.door import make_door
from invoke_log.surfaces.mcp_server.endpoint import Endpoint
from invoke_log.surfaces.mcp_server.serving import serve_gateway
from invoke_log.surfaces.mcp_server.upstream import Source
from tests.harness import http_bank
from tests.harness.mcp_shop import SOURCE, TIMEOUT_S

OTHER = {"2026-07-28": "legacy", "legacy": "2026-07-28"}


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve an app, and yield its MCP URL."""
    listener = make_door(f"127.0.0.1:{port}", token=None, names=()).listen()
    server = Quiet(http_bank.configured(app))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        await running


class Quiet(uvicorn.Server):
    """One of several servers in a process: signals are not for it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def gateway(log: il.Log, source: Source | str) -> AsyncIterator[str]:
    """Run the gateway in front of a server, and yield its URL. It ends once no call is out."""
    door = make_door("127.0.0.1:0", token=None, names=())
    with door.listen() as listener:
        behind = Endpoint(source, {}) if isinstance(source, str) else source
        running = asyncio.create_task(
            serve_gateway(il.Guard(log), behind, default="observe", approver=None, at=(door, listener))
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        async with httpx2.AsyncClient() as probe:  # the socket listens already: this answers once it serves
            answered = asyncio.create_task(probe.get(url, timeout=TIMEOUT_S))
            await asyncio.wait((running, answered), return_when=asyncio.FIRST_COMPLETED)
            answered.cancel()
        try:
            if not running.done():
                yield url
        finally:
            if not running.done():
                signal.raise_signal(signal.SIGTERM)
            await running


def client(url: str, era: str) -> AbstractAsyncContextManager[Client]:
    """Return a stock client."""
    return Client(url, mode=era, read_timeout_seconds=TIMEOUT_S)


@contextmanager
def bank_process(ledger: Path, era: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the bank as a process of its own, and yield once it answers."""
    command = [sys.executable, http_bank.__file__, str(ledger), era, str(port)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCE)})
    try:
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            try:
                httpx2.get(f"http://127.0.0.1:{port}/mcp")
                break
            except httpx2.TransportError:
                time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with make_door("127.0.0.1:0", token=None, names=()).listen() as listener:
        return int(listener.getsockname()[1])
