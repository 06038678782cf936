"""An MCP server over HTTP with one tool, `pay`. The order's name says what goes wrong, there or on the way.

Each payment is a line in the ledger file, flushed to disk before anything is answered.

    python http_bank.py LEDGER ERA PORT
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TAKES_S = {"slow": 0.5, "hangs": 30.0}
MODERN = b"2026-07-28"
RESULT = {"content": [{"type": "text", "text": "never said"}], "resultType": "complete"}
Fault = Callable[[Send], Awaitable[None]]


def make_bank(ledger: Path, *, era: str) -> ASGIApp:
    """Return the bank. era: "legacy" for one that knows the handshake alone, "stateless" for one without sessions."""
    server = MCPServer("bank", log_level="CRITICAL")

    @server.tool()
    async def pay(account: str, order: str, amount: int) -> str:
        """Pay. The order's name says what goes wrong."""
        with ledger.open("a") as stream:
            stream.write(f"{account} {order} {amount}\n")
            stream.flush()
            os.fsync(stream.fileno())
        how = order.partition("-")[0]
        if how == "dies":
            os._exit(1)
        await anyio.sleep(TAKES_S.get(how, 0))
        while how == "held" and not ledger.with_name("let-go").exists():
            await anyio.sleep(0.01)
        return f"paid {amount} for {order}"

    return _InFront(server.streamable_http_app(stateless_http=era == "stateless"), era)


class _InFront:
    """What lies between: it lets the bank act, and loses or changes what it says."""

    def __init__(self, app: ASGIApp, era: str) -> None:
        self._app = app
        self._era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if self._era != MODERN.decode() and headers.get(b"mcp-protocol-version") == MODERN:
            await answer(send, 400, b"text/plain", b"what is that")
            return
        if b"last-event-id" in headers:  # an answer to another call, for whoever resumes
            said = json.dumps({"jsonrpc": "2.0", "id": 1, "result": RESULT}).encode()
            await answer(send, 200, b"text/event-stream", b"data: " + said + b"\n\n")
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.disconnect" or not message["more_body"]:
                break
        how = _order(body).partition("-")[0]
        if how == "denied":
            await answer(send, 401, b"text/plain", b"who are you")
            return
        fault = FAULTS.get(how)
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return given.pop() if given else await receive()

        async def lost(message: Message) -> None:
            pass

        await self._app(scope, again, send if fault is None else lost)
        if fault is not None:
            await fault(send)


def _order(body: bytes) -> str:
    """The order of a call, else nothing."""
    try:
        return str(json.loads(body)["params"]["arguments"]["order"])
    except (ValueError, KeyError, TypeError):
        return ""


async def answer(send: Send, status: int, kind: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *more]})
    await send({"type": "http.response.body", "body": body})


async def fails(send: Send) -> None:
    await answer(send, 500, b"text/plain", b"internal error")


def errs(status: int) -> Fault:
    """A proxy's error, in the words of the protocol."""

    async def fault(send: Send) -> None:
        said = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "bad gateway"}}
        await answer(send, status, b"application/json", json.dumps(said).encode())

    return fault


async def vanishes(send: Send) -> None:
    await answer(send, 404, b"text/plain", b"not found")


async def redirects(send: Send) -> None:
    await answer(send, 307, b"text/plain", b"", (b"location", b"/mcp"))


async def truncates(send: Send) -> None:
    kind = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    await send({"type": "http.response.body", "body": b'{"jsonrpc":"2.0",', "more_body": True})
    raise ConnectionResetError  # uvicorn closes the connection


async def breaks(send: Send) -> None:
    await answer(send, 200, b"text/event-stream", b"id: 7\nretry: 10\ndata: \n\n")


DOUBTFUL = (408, 409, 425, 429, 502)
FAULTS: dict[str, Fault] = {
    **{each.__name__: each for each in (fails, vanishes, redirects, truncates, breaks)},
    **{f"errs{status}": errs(status) for status in DOUBTFUL},
}


def configured(app: ASGIApp, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(app, log_config=None, log_level=60, ws="none", timeout_graceful_shutdown=0, **more)


if __name__ == "__main__":
    uvicorn.Server(configured(make_bank(Path(sys.argv[1]), era=sys.argv[2]), port=int(sys.argv[3]))).run()
