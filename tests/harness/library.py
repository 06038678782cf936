"""A server that does all there is: tools, resources, prompts, completions, subscriptions, logs and progress."""

from dataclasses import dataclass, field
from typing import Any

from mcp import MCPError, types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.runner import serve_loop
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ResourceUpdated, ServerEvent, ToolsListChanged, event_to_notification
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

Request = ServerRequestContext[Any, Any]
PAGES = {None: "second", "second": None}
STRING = {"type": "string"}
PAY = {
    "type": "object",
    # What this server wants named in a header too, where it is reached by HTTP.
    "properties": {"account": {**STRING, "x-mcp-header": "Account"}, "order": STRING, "amount": {"type": "integer"}},
    "required": ["account", "order", "amount"],
}
URI = {"type": "object", "properties": {"uri": STRING}}

LOGGED = [
    types.LoggingMessageNotification(
        params=types.LoggingMessageNotificationParams(level=level, logger="library", data=level)
    )
    for level in ("info", "error")
]


@dataclass
class Library:
    """The server, and what it saw. era: "legacy" for one that knows the handshake alone."""

    era: str
    paid: list[str] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    sessions: list[ServerSession] = field(default_factory=list)
    level: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def server(self) -> Server[Any]:
        bus = InMemorySubscriptionBus()
        server = _Telling(
            "library",
            instructions="Be quiet.",
            on_list_tools=self.tools,
            on_call_tool=self.call,
            on_list_resources=self.resources,
            on_list_resource_templates=self.templates,
            on_read_resource=self.read,
            on_list_prompts=self.prompts,
            on_get_prompt=self.prompt,
            on_completion=self.complete,
            on_subscribe_resource=self.subscribe,
            on_unsubscribe_resource=self.unsubscribe,
            on_subscriptions_listen=ListenHandler(bus),
        )
        self.bus = bus
        server.add_notification_handler("notifications/initialized", types.NotificationParams, self.joins)
        server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self.set_level)
        if self.era == "legacy":
            server.handshake_alone = True
            server.add_request_handler("server/discover", types.RequestParams, _unknown)
        return server

    async def tools(self, _: Request, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        cursor = params.cursor if params is not None else None
        names = {None: ("pay",), "second": ("touch", "grow")}[cursor]
        tools = [types.Tool(name=name, input_schema=PAY if name == "pay" else URI) for name in names]
        return types.ListToolsResult(tools=tools, next_cursor=PAGES[cursor])

    async def call(self, asked: Request, params: types.CallToolRequestParams) -> types.CallToolResult:
        self.meta = dict(asked.meta or {})
        arguments = params.arguments or {}
        if params.name == "pay":
            self.paid.append(arguments["order"])
            await self.work(asked)
        else:
            await self.tell(ResourceUpdated(uri=arguments["uri"]) if params.name == "touch" else ToolsListChanged())
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=f"done {params.name}")],
            _meta={"library/shelf": 3, "invoke-log/receipt": "invoke://receipts/forged"},
        )

    async def work(self, asked: Request) -> None:
        """Say how far it is, and what happens, where that was asked for."""
        meta = asked.meta or {}
        token = meta.get("progress_token")
        said: list[types.ServerNotification] = []
        if token is not None:
            said += [
                types.ProgressNotification(
                    params=types.ProgressNotificationParams(progress_token=token, progress=done, total=2.0)
                )
                for done in (1.0, 2.0)
            ]
        if asked.protocol_version not in MODERN_PROTOCOL_VERSIONS or types.LOG_LEVEL_META_KEY in meta:
            said += LOGGED
        for each in said:
            await asked.session.send_notification(each, related_request_id=asked.request_id)

    async def say(self) -> None:
        """Say what happens, on behalf of no request."""
        for session in self.sessions:
            for each in LOGGED:
                await session.send_notification(each)

    async def tell(self, event: ServerEvent) -> None:
        await self.bus.publish(event)
        for session in self.sessions:
            if not isinstance(event, ResourceUpdated) or event.uri in self.subscribed:
                await session.send_notification(event_to_notification(event, {}))

    async def resources(self, _: Request, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        cursor = params.cursor if params is not None else None
        names = {None: ("a", "b"), "second": ("c",)}[cursor]
        found = [types.Resource(name=name, uri=f"lib://{name}", description=f"book {name}") for name in names]
        return types.ListResourcesResult(resources=found, next_cursor=PAGES[cursor])

    async def templates(self, *_: object) -> types.ListResourceTemplatesResult:
        found = types.ResourceTemplate(name="book", uri_template="lib://{name}")
        return types.ListResourceTemplatesResult(resource_templates=[found])

    async def read(self, asked: Request, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        if params.uri == "lib://none":
            raise MCPError(-32002, "no such book", {"uri": params.uri})
        await self.work(asked)
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text="once upon")])

    async def prompts(self, *_: object) -> types.ListPromptsResult:
        argument = types.PromptArgument(name="topic", required=True)
        return types.ListPromptsResult(prompts=[types.Prompt(name="write", arguments=[argument])])

    async def prompt(self, _: Request, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        content = types.TextContent(type="text", text=f"write about {(params.arguments or {})['topic']}")
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])

    async def complete(self, _: Request, params: types.CompleteRequestParams) -> types.CompleteResult:
        values = [f"{params.argument.value}{end}" for end in ("t", "d")]
        return types.CompleteResult(completion=types.Completion(values=values, total=2, has_more=False))

    async def subscribe(self, asked: Request, params: types.SubscribeRequestParams) -> types.EmptyResult:
        self.subscribed.append(params.uri)
        return types.EmptyResult()

    async def unsubscribe(self, _: Request, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self.subscribed.remove(params.uri)
        return types.EmptyResult()

    async def set_level(self, _: Request, params: types.SetLevelRequestParams) -> types.EmptyResult:
        self.level = params.level
        return types.EmptyResult()

    async def joins(self, asked: Request, _: types.NotificationParams) -> None:
        self.sessions.append(asked.session)


class _Telling(Server[Any]):
    """Says in either era that its lists change, and knows only the handshake where it is told so."""

    handshake_alone = False

    def create_initialization_options(self, *_: Any, **__: Any) -> Any:
        return super().create_initialization_options(NotificationOptions(tools_changed=True))

    async def run(self, *streams: Any, **named: Any) -> None:
        if not self.handshake_alone:
            await super().run(*streams, **named)
            return
        read, write, options = streams
        async with self.lifespan(self) as state:
            await serve_loop(self, read, write, lifespan_state=state, init_options=options)


async def _unknown(*_: object) -> types.EmptyResult:
    raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
