"""What passes the gateway as it is: everything of the server behind but its tools' calls, and what it says by itself.

All clients share one connection to the server behind: what one of them subscribes to is subscribed once, and a log
message that does not say which request it belongs to reaches whoever asked for its level.
"""

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import anyio
from mcp import Client, MCPError, types
from mcp.client.session import IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
    event_from_wire,
    event_to_notification,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, TypeAdapter

from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.mcp_server.asked import ASKED, LEVELS, Asked, forwarded, wants
from invoke_log.surfaces.mcp_server.upstream import Source, Upstream

log = logging.getLogger(__name__)

Request = ServerRequestContext[Any, Any]
Answer = TypeVar("Answer", bound=BaseModel)
Asks = Callable[..., types.ClientRequest]
Calls = Callable[[Request, Any], Awaitable[BaseModel]]
PAGE: Final = types.PaginatedRequestParams
PAGES_MAX: Final = 100
"""Pages of one list of tools: who goes on for longer goes on for ever."""
LISTEN_S: Final = 10.0
LEAVE_S: Final = 2.0
RELISTEN_S: Final = 1.0
"""How long after a stream of changes broke the next one is opened."""
PASSED: Final[tuple[tuple[str, Any, type[types.RequestParams], TypeAdapter[Any]], ...]] = (
    ("resources", types.ListResourcesRequest, PAGE, TypeAdapter(types.ListResourcesResult)),
    ("resources", types.ListResourceTemplatesRequest, PAGE, TypeAdapter(types.ListResourceTemplatesResult)),
    (
        "resources",
        types.ReadResourceRequest,
        types.ReadResourceRequestParams,
        TypeAdapter(types.ReadResourceResult | types.InputRequiredResult),
    ),
    ("prompts", types.ListPromptsRequest, PAGE, TypeAdapter(types.ListPromptsResult)),
    (
        "prompts",
        types.GetPromptRequest,
        types.GetPromptRequestParams,
        TypeAdapter(types.GetPromptResult | types.InputRequiredResult),
    ),
    ("completions", types.CompleteRequest, types.CompleteRequestParams, TypeAdapter(types.CompleteResult)),
)
"""What passes as it is: the capability that the server behind must have, the request, its parameters, its answer."""


class Carrier(Server[Any]):
    """The gateway's server: it says that it can do what the server behind can, and no more, in either era."""

    def __init__(
        self,
        capabilities: types.ServerCapabilities,
        instructions: str | None,
        get_tool_input_schema: Callable[[str], dict[str, Any] | None],
    ) -> None:
        super().__init__("invoke-log gateway", instructions=instructions, get_tool_input_schema=get_tool_input_schema)
        self._capabilities = capabilities

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> types.ServerCapabilities:
        """Return those of the server behind which pass. The SDK asks here; what it would derive is not asked for."""
        return self._capabilities


@dataclass(slots=True, kw_only=True)
class _Peer:
    """A client of the handshake era, which is told things without asking."""

    session: ServerSession
    uris: set[str] = field(default_factory=set)
    level: types.LoggingLevel | None = None


class Relay:
    """The gateway's side of everything that passes. Used by the tasks of one event loop."""

    def __init__(self, source: Source) -> None:
        self.upstream = Upstream(source, heard=self._heard, joined=self._joined)
        self._able = types.ServerCapabilities()
        self._met = False
        self._schemas: dict[str, dict[str, Any]] = {}
        self._peers: dict[Connection, _Peer] = {}
        self._asking: set[Asked] = set()
        self._bus = InMemorySubscriptionBus()
        self._listening = ListenHandler(self._bus)
        self._uris: Counter[str] = Counter()
        self._subscribing = asyncio.Lock()
        self._stream: asyncio.Task[None] | None = None

    async def server(self, call_tool: Calls) -> Carrier:
        """Return a server that stands for the one behind. call_tool: answers calls of tools.

        Raises: ConfigInvalidError: the server behind does not answer.
        """
        client = await self.upstream.client()
        able = client.server_capabilities
        self._able = types.ServerCapabilities(
            tools=able.tools,
            resources=able.resources,
            prompts=able.prompts,
            completions=able.completions,
            logging=able.logging,
        )
        server = Carrier(self._able, client.instructions, self._schemas.get)
        server.middleware.append(self._asked)
        server.add_notification_handler("notifications/initialized", types.NotificationParams, self._meets)
        server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, self._listen)
        if able.tools is not None:
            server.add_request_handler("tools/list", types.PaginatedRequestParams, self._list_tools)
            server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
        if able.logging is not None:
            server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self._set_level)
        if able.resources is not None and able.resources.subscribe:
            server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, self._subscribe)
            server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, self._unsubscribe)
        for needed, asks, params, answer in PASSED:
            if getattr(able, needed) is not None:
                method = asks.model_fields["method"].default
                server.add_request_handler(method, params, functools.partial(self._pass, asks, answer))
        return server

    async def ask(self, request: types.ClientRequest, answer: TypeAdapter[Answer]) -> Answer:
        """Return the answer of the server behind to a request, as it is.

        Raises: MCPError: what it answered, or that it cannot be reached.
        """
        client = await self._client()
        if request.params is not None:
            request.params.meta = forwarded(request.params.meta)
        asked = ASKED.get()
        return await client.session.send_request(
            request, answer, progress_callback=asked.progress if asked is not None else None
        )

    def close(self) -> None:
        """End the streams of changes that clients have open."""
        self._listening.close()
        if self._stream is not None:
            self._stream.cancel()

    async def _pass(self, asks: Asks, answer: TypeAdapter[Any], _: Request, given: types.RequestParams) -> types.Result:
        result: types.Result = await self.ask(asks(params=given), answer)
        return result

    async def _client(self) -> Client:
        try:
            return await self.upstream.client()
        except ConfigInvalidError as error:
            raise MCPError(types.INTERNAL_ERROR, error.message) from error

    async def _list_tools(self, _: Request, params: types.PaginatedRequestParams) -> types.ListToolsResult:
        params.meta = forwarded(params.meta)
        return await self._tools(await self._client(), params)

    async def _tools(self, client: Client, params: types.PaginatedRequestParams) -> types.ListToolsResult:
        listed = await client.session.list_tools(params=params)
        self._schemas.update((tool.name, tool.input_schema) for tool in listed.tools)
        return listed

    # What clients ask for beside requests.

    async def _asked(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        """Around every request: say whose it is."""
        if ctx.request_id is None:
            return await call_next(ctx)
        meta = ctx.meta or {}
        peer = self._peers.get(_connection_of(ctx))
        level = meta.get(types.LOG_LEVEL_META_KEY)
        asked = Asked(
            session=ctx.session,
            request_id=ctx.request_id,
            token=meta.get("progress_token"),
            level=peer.level if peer is not None else level if level in LEVELS else None,
        )
        reset = ASKED.set(asked)
        self._asking.add(asked)
        try:
            return await call_next(ctx)
        finally:
            self._asking.discard(asked)
            ASKED.reset(reset)

    async def _meets(self, request: Request, _: types.NotificationParams) -> None:
        self._peer(request)

    def _peer(self, request: Request) -> _Peer:
        """The client of the handshake era that asks. It is told of changes until its connection ends."""
        connection = _connection_of(request)
        if connection not in self._peers:
            self._peers[connection] = _Peer(session=request.session)
            connection.exit_stack.push_async_callback(self._leaves, connection)
        return self._peers[connection]

    async def _leaves(self, connection: Connection) -> None:
        await self._drop(self._peers.pop(connection).uris)

    async def _set_level(self, request: Request, params: types.SetLevelRequestParams) -> types.EmptyResult:
        self._peer(request).level = params.level
        await self._ask_level(await self._client())
        return types.EmptyResult()

    async def _subscribe(self, request: Request, params: types.SubscribeRequestParams) -> types.EmptyResult:
        peer = self._peer(request)
        if params.uri not in peer.uris:
            await self._want({params.uri})
            peer.uris.add(params.uri)
        return types.EmptyResult()

    async def _unsubscribe(self, request: Request, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        peer = self._peer(request)
        if params.uri in peer.uris:
            peer.uris.discard(params.uri)
            await self._drop({params.uri})
        return types.EmptyResult()

    async def _listen(
        self, request: Request, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Answer a client's stream of changes; what the server behind does not tell is left out of what it grants."""
        able, wanted = self._able, params.notifications
        if able.resources is None or not able.resources.subscribe:
            wanted.resource_subscriptions = None
        for kind, ability in (("tools", able.tools), ("prompts", able.prompts), ("resources", able.resources)):
            if ability is None or not ability.list_changed:
                setattr(wanted, f"{kind}_list_changed", None)
        uris = set(wanted.resource_subscriptions or ())
        await self._want(uris)
        try:
            return await self._listening(request, params)
        finally:
            with anyio.move_on_after(LEAVE_S, shield=True):
                await self._drop(uris)

    # What the server behind is asked to tell.

    async def _joined(self, client: Client) -> None:
        """On each connection: its tools, whose schemas say which headers a call has, and what clients subscribed to."""
        if client.server_capabilities.tools is not None:
            with suppress(MCPError):  # a client that asks for the list is told
                params = types.PaginatedRequestParams()
                for _ in range(PAGES_MAX):
                    params.cursor = (await self._tools(client, params)).next_cursor
                    if params.cursor is None:
                        break
        try:
            await self._ask_level(client)
            await self._follow(client, set(self._uris))
        except MCPError as error:
            log.warning("gateway: the server behind tells no changes: %a", error.message[:200])
        if self._met:
            await self._missed()
        self._met = True

    async def _ask_level(self, client: Client) -> None:
        """Ask for the lowest level of log messages that any client wants: of the others' each gets its own."""
        levels = [peer.level for peer in self._peers.values() if peer.level is not None]
        if levels and client.protocol_version not in MODERN_PROTOCOL_VERSIONS:  # there each request says it
            params = types.SetLevelRequestParams(level=min(levels, key=LEVELS.index))
            await client.session.send_request(types.SetLevelRequest(params=params), types.EmptyResult)

    async def _want(self, uris: set[str]) -> None:
        """Subscribe to resources, each once however many clients want it."""
        client = await self._client()
        async with self._subscribing:
            new = uris - set(self._uris)
            self._uris.update(uris)
            try:
                if new:
                    await self._follow(client, new)
            except BaseException:
                self._forget(uris)
                raise

    async def _drop(self, uris: set[str]) -> None:
        """Give up subscriptions; those that nobody wants any more end."""
        async with self._subscribing:
            gone = self._forget(uris)
            client = self.upstream.connected()
            if not gone or client is None:
                return
            with suppress(MCPError):
                if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                    await self._open_stream(client)
                    return
                for uri in gone:
                    request = types.UnsubscribeRequest(params=types.UnsubscribeRequestParams(uri=uri))
                    await client.session.send_request(request, types.EmptyResult)

    def _forget(self, uris: set[str]) -> set[str]:
        self._uris.subtract(uris)
        self._uris += Counter()  # without those at zero
        return uris - set(self._uris)

    async def _follow(self, client: Client, uris: set[str]) -> None:
        """Ask for what changes from now on, and for these resources."""
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            await self._open_stream(client)
            return
        for uri in uris:
            request = types.SubscribeRequest(params=types.SubscribeRequestParams(uri=uri))
            await client.session.send_request(request, types.EmptyResult)

    async def _open_stream(self, client: Client) -> None:
        """Open the stream of changes that all clients share, and only then end the one before it."""
        before, stream = self._stream, None
        if any(self._changes(client).values()) or self._uris:
            opened = asyncio.get_running_loop().create_future()
            stream = asyncio.create_task(self._hold_stream(client, opened))
            try:
                async with asyncio.timeout(LISTEN_S):
                    await opened
            except TimeoutError as error:
                stream.cancel()
                raise MCPError(types.INTERNAL_ERROR, "no stream of changes is granted") from error
        self._stream = stream
        if before is not None:
            before.cancel()

    def _changes(self, client: Client) -> dict[str, bool]:
        """Which lists the server says when they change."""
        able = client.server_capabilities
        return {
            "tools_list_changed": able.tools is not None and bool(able.tools.list_changed),
            "prompts_list_changed": able.prompts is not None and bool(able.prompts.list_changed),
            "resources_list_changed": able.resources is not None and bool(able.resources.list_changed),
        }

    async def _hold_stream(self, client: Client, opened: "asyncio.Future[None]") -> None:
        try:
            async with client.listen(**self._changes(client), resource_subscriptions=sorted(self._uris)) as changes:
                opened.set_result(None)
                async for _ in changes:  # each is heard as well
                    pass
        except (MCPError, SubscriptionLost) as error:
            if not opened.done():
                opened.set_exception(MCPError(types.INTERNAL_ERROR, f"the server behind: {error}"))
                return
        self._stream = None
        await self._reopen(client)

    async def _reopen(self, client: Client) -> None:
        """The stream ended by itself. What changes until the next one stands is made good afterwards."""
        while self._stream is None and self.upstream.connected() is client:
            await asyncio.sleep(RELISTEN_S)
            with suppress(MCPError):
                async with self._subscribing:
                    await self._open_stream(client)
                await self._missed()

    async def _missed(self) -> None:
        """Say that everything may have changed: nobody was told for a while."""
        able = self._able
        lists = (
            (ToolsListChanged(), able.tools),
            (PromptsListChanged(), able.prompts),
            (ResourcesListChanged(), able.resources),
        )
        events: list[ServerEvent] = [event for event, their in lists if their is not None and their.list_changed]
        for event in (*events, *(ResourceUpdated(uri=uri) for uri in self._uris)):
            await self._heard(event_to_notification(event, {}))

    # What the server behind says by itself.

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, types.LoggingMessageNotification):
            await self._heard_log(message)
        elif isinstance(message, types.ServerNotification):
            params = message.params.model_dump(by_alias=True) if message.params is not None else None
            event = event_from_wire(message.method, params)
            if event is not None:
                await self._bus.publish(event)
                of_resource = isinstance(message, types.ResourceUpdatedNotification)
                await self._tell(message, (peer for peer in self._peers.values() if peer.uris or not of_resource))

    async def _heard_log(self, message: types.LoggingMessageNotification) -> None:
        """Pass a log message to the request that it came on, else to whoever asked for its level."""
        asked = ASKED.get()
        if asked is not None:
            await asked.log(message)
            return
        for each in list(self._asking):
            if each.session.protocol_version in MODERN_PROTOCOL_VERSIONS:
                await each.log(message)
        peers = self._peers.values()
        await self._tell(message, (peer for peer in peers if peer.level is None or wants(peer.level, message)))

    async def _tell(self, notification: types.ServerNotification, peers: Iterable[_Peer]) -> None:
        """Tell clients of the handshake era. One that does not read holds up no other."""
        await asyncio.gather(*(peer.session.send_notification(notification) for peer in peers), return_exceptions=True)


def _connection_of(request: Request) -> Connection:
    """The client's connection: what outlives a request hangs on it, and the SDK hands it out nowhere else."""
    return request.session._connection
