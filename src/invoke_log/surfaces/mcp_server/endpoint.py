"""A server behind the gateway that is reached by streamable HTTP. A call is sent once, or never; nothing is resumed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp.types import CONNECTION_CLOSED, INTERNAL_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError

from invoke_log.adapter.http import failure_of
from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.mcp_server.upstream import ATTEMPT, Attempt, Streams

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
CONNECT_S: Final = 10.0
"""How long connecting, and getting what was asked onto the wire, may take. Answers take what their contracts say."""
IDLE_S: Final = 1.0
"""How long a connection is kept for the next request. Servers close idle ones after some 5 s: a call that is written
as its connection is closed is one whose outcome is unknown.
"""
LEAVE_S: Final = 2.0
HEADERS_SENT: Final = ".send_request_headers.started"
"""The end of the name of the client's last event before the first byte of a request."""


class Endpoint:
    """A URL that speaks MCP. headers: sent with each request, such as Authorization. in_clear: whether a network sees
    them.

    Raises: ConfigInvalidError: no http or https URL, or one with a password in it.
    """

    tells = True
    patience_s: float | None = 30.0

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ConfigInvalidError(f"upstream {url[:200]!r}: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigInvalidError(f"upstream {url[:200]!r}: want a URL with http or https and a host")
        if parsed.userinfo:
            raise ConfigInvalidError(
                "upstream: the URL has a user or password in it, which other processes can see",
                hint="give --upstream-header Authorization=env:NAME, or =file:PATH",
            )
        self.name = str(parsed.copy_with(query=None))
        self.in_clear = parsed.scheme == "http" and parsed.host not in LOOPBACK

    @asynccontextmanager
    async def streams(self, ended: asyncio.Event) -> AsyncIterator[Streams]:
        """The SDK's transport over a client that sends each message once."""
        async with (
            _Once(ended, self._headers) as http,
            streamable_http_client(self._url, http_client=http) as streams,
        ):
            yield streams


class _Once(httpx2.AsyncClient):
    """The SDK's transport asks this client, and learns of what goes wrong as an answer: an exception would end its
    connection, and with it every other call that is out.
    """

    def __init__(self, ended: asyncio.Event, headers: Mapping[str, str]) -> None:
        super().__init__(
            headers=dict(headers),
            timeout=httpx2.Timeout(CONNECT_S, read=None),
            limits=httpx2.Limits(keepalive_expiry=IDLE_S),
            follow_redirects=False,
            max_redirects=0,  # the SDK sends a message again where it is redirected within the server, but for this
        )
        self._ended = ended

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # noqa: ANN401 -- the client's own
        attempt = ATTEMPT.get()
        if attempt is not None and request.method == "GET":
            # The rest of an answer whose stream broke. The SDK takes whatever answer comes for the one to the call.
            return _fault(request, CONNECTION_CLOSED, "the response was lost, and is not resumed")
        if attempt is not None and attempt.taken:
            attempt = None  # what follows a call says that it was given up
        if request.method == "DELETE":  # the end of a session: whoever leaves does not wait for long
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(LEAVE_S).as_dict()}
        try:
            return await (
                self._send(request, **options) if attempt is None else self._call(attempt, request, **options)
            )
        except httpx2.TransportError as error:
            return _fault(request, CONNECTION_CLOSED, f"{type(error).__name__}: {error}")

    async def _call(self, attempt: Attempt, request: httpx2.Request, **options: Any) -> httpx2.Response:  # noqa: ANN401
        async def trace(event: str, _: Mapping[str, Any]) -> None:
            if event.endswith(HEADERS_SENT):
                if not attempt.may_send():
                    raise httpx2.ConnectError("the send deadline has passed")
                attempt.sent = True

        attempt.taken = True
        request.extensions = {**request.extensions, "trace": trace}
        response = await self._send(request, **options)
        attempt.failure = failure_of(response.status_code)
        if response.status_code < 400 or (attempt.failure is not None and _is_protocol_error(response)):
            return response
        # The SDK reads a status, and what a proxy says under one that proves nothing, as the server's own error of the
        # protocol, which a contract may list.
        await response.aclose()
        return _fault(request, INTERNAL_ERROR, f"HTTP {response.status_code}")

    async def _send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # noqa: ANN401
        response = await super().send(request, **options)
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        if response.status_code == 404 and MCP_SESSION_ID in request.headers:
            self._ended.set()  # the server has forgotten the session: the next call begins another
        return response


def _is_protocol_error(response: httpx2.Response) -> bool:
    """Whether the body is an error of JSON-RPC."""
    try:
        return isinstance(jsonrpc_message_adapter.validate_json(response.content, by_name=False), JSONRPCError)
    except (httpx2.ResponseNotRead, ValidationError):
        return False


def _fault(request: httpx2.Request, code: int, message: str) -> httpx2.Response:
    """What went wrong on the way, as the answer that the SDK hands to whoever waits for it."""
    error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=code, message=message[:500]))
    return httpx2.Response(503, json=error.model_dump(mode="json"), request=request)
