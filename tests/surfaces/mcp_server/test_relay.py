"""What passes the gateway as it is: a server that does all there is, by pipe and by HTTP, and clients of both eras."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, types
from mcp.client._memory import InMemoryTransport
from mcp.server.lowlevel.server import Server
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

import invoke_log as il
from invoke_log.surfaces.mcp_server.gateway import Gateway
from invoke_log.surfaces.mcp_server.relay import Relay
from invoke_log.surfaces.mcp_server.upstream import Source
from tests.harness.library import Library
from tests.harness.mcp_http import gateway, serving
from tests.harness.mcp_shop import ERAS, TIMEOUT_S, make_log, order

WAYS = [(how, behind, era) for how in ("pipe", "HTTP") for behind in ERAS for era in ERAS]


class Pipe:
    """A server at the other end of a pair of streams, as a command is."""

    tells = False
    patience_s: float | None = None
    name = "pipe"

    def __init__(self, library: Library) -> None:
        self._library = library
        self.ended: list[asyncio.Event] = []

    def streams(self, ended: asyncio.Event) -> Any:
        self.ended.append(ended)
        return InMemoryTransport(self._library.server())


class Heard:
    """What a client was told, and how it asks for log messages."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    async def __call__(self, message: Any) -> None:
        assert isinstance(message, types.ServerNotification), message
        if isinstance(message, types.ProgressNotification):
            return  # for whoever asked, by the request's own callback
        params = message.params.model_dump(by_alias=True, exclude_none=True, exclude={"meta"}) if message.params else {}
        self.told.append((message.method.removeprefix("notifications/"), params.get("uri", params.get("data"))))

    async def hears(self, *expected: tuple[str, Any]) -> None:
        """Wait until all of these were told, and nothing beside them."""
        for _ in range(600):
            if len(self.told) >= len(expected):
                break
            await asyncio.sleep(0.05)
        assert sorted(self.told, key=str) == sorted(expected, key=str)
        self.told.clear()


@asynccontextmanager
async def carried(log: il.Log, library: Library, how: str) -> AsyncIterator[Callable[[str, Heard], Any]]:
    """Put the gateway in front of the library, and yield what makes a client of it."""
    if how == "HTTP":
        async with serving(library.server().streamable_http_app()) as behind, gateway(log, behind) as url:
            yield lambda era, heard: stock(url, era, heard)
        return
    async with piped(log, Pipe(library)) as server:
        yield lambda era, heard: stock(InMemoryTransport(server), era, heard)


@asynccontextmanager
async def piped(log: il.Log, source: Source) -> AsyncIterator[Any]:
    relay = Relay(source)
    front = Gateway(il.Guard(log), relay, default="observe", approver=None)
    try:
        yield await relay.server(front.call_tool)
    finally:
        relay.close()
        await relay.upstream.close()


def stock(server: Any, era: str, heard: Heard) -> Client:
    return Client(
        server,
        mode="auto" if era in MODERN_PROTOCOL_VERSIONS else era,  # which asks what the server can do
        message_handler=heard,
        log_level="warning" if era in MODERN_PROTOCOL_VERSIONS else None,
        read_timeout_seconds=TIMEOUT_S,
        cache=None,
    )


async def answers(each: Client) -> list[Any]:
    """Ask for all that there is, page by page."""
    found: list[Any] = []
    for ask in (each.list_tools, each.list_resources):
        cursor = None
        for _ in range(2):
            page: Any = await ask(cursor=cursor)
            found.append(page)
            cursor = page.next_cursor
    found += [
        await each.list_resource_templates(),
        await each.read_resource("lib://a"),
        await each.list_prompts(),
        await each.get_prompt("write", {"topic": "logs"}),
        await each.complete(types.PromptReference(type="ref/prompt", name="write"), {"name": "topic", "value": "re"}),
    ]
    with pytest.raises(MCPError) as caught:
        await each.read_resource("lib://none")
    return [
        *(each.model_dump(exclude={"meta", "ttl_ms", "cache_scope"}) for each in found),
        caught.value.error.model_dump(),
    ]


def abilities(each: Client) -> Any:
    return each.server_capabilities.model_dump(exclude_none=True)


@asynccontextmanager
async def told_of(each: Client, era: str, uri: str) -> AsyncIterator[None]:
    """Subscribe as the era does."""
    if era in MODERN_PROTOCOL_VERSIONS:
        async with each.listen(tools_list_changed=True, resource_subscriptions=[uri]):
            yield
        return
    params = types.SubscribeRequestParams(uri=uri)
    await each.session.send_request(types.SubscribeRequest(params=params), types.EmptyResult)
    yield
    again = types.UnsubscribeRequest(params=types.UnsubscribeRequestParams(uri=uri))
    await each.session.send_request(again, types.EmptyResult)


@pytest.mark.parametrize(("how", "behind", "era"), WAYS)
def test_everything_of_the_server_behind_reaches_the_client(tmp_path: Path, how: str, behind: str, era: str) -> None:
    library = Library(behind)

    async def body() -> None:
        heard = Heard()
        async with stock(InMemoryTransport(Library(behind).server()), behind, Heard()) as alone:
            direct = (abilities(alone), alone.instructions, await answers(alone))
        with make_log(tmp_path / "payments") as log:
            async with carried(log, library, how) as making, making(era, heard) as each:
                if era == "legacy":
                    level = types.SetLevelRequest(params=types.SetLevelRequestParams(level="warning"))
                    await each.session.send_request(level, types.EmptyResult)
                assert (abilities(each), each.instructions, await answers(each)) == direct
                heard.told.clear()
                await progress_and_logs(each, library, heard)
                await changes(each, era, heard)
                # What a request says of its own connection does not pass: the next one is another.
                assert (types.PROTOCOL_VERSION_META_KEY in library.meta) == (behind in MODERN_PROTOCOL_VERSIONS)
        assert library.subscribed == []

    asyncio.run(body())


async def progress_and_logs(each: Client, library: Library, heard: Heard) -> None:
    """A guarded call, one without a contract, and another request say how far they are."""
    came: list[tuple[float, float | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        came.append((progress, total))

    paid = await each.call_tool("pay", order("ok-1", 100), progress_callback=progress)
    assert not paid.is_error, paid
    assert library.paid == ["ok-1"]
    assert {"invoke-log/effect", "invoke-log/tag"} <= library.meta.keys()
    await heard.hears(("message", "error"))
    again = await each.call_tool("pay", order("ok-1", 100), progress_callback=progress)
    assert again.meta is not None
    assert again.meta["invoke-log/fresh"] is False
    await asyncio.sleep(0.05)
    assert came == [(1.0, 2.0), (2.0, 2.0)]


async def changes(each: Client, era: str, heard: Heard) -> None:
    async with told_of(each, era, "lib://a"):
        await each.call_tool("touch", {"uri": "lib://b"})
        await each.call_tool("touch", {"uri": "lib://a"})
        await each.call_tool("grow", {})
        await heard.hears(("resources/updated", "lib://a"), ("tools/list_changed", None))


def test_what_only_the_gateway_says_passes_neither_way(tmp_path: Path) -> None:
    library = Library(ERAS[0])
    given: Any = {"invoke-log/tag": "f" * 64, "invoke-log/provider-key": "e" * 64, "reader/card": 7}

    async def body() -> None:
        with make_log(tmp_path / "payments") as log:
            async with carried(log, library, "pipe") as making, making(ERAS[0], Heard()) as each:
                passed = await each.call_tool("touch", {"uri": "lib://a"}, meta=given)
                assert library.meta["reader/card"] == 7
                assert [name for name in library.meta if name.startswith("invoke-log/")] == []
                paid = await each.call_tool("pay", order("ok-1", 100))
        assert passed.meta is not None
        assert paid.meta is not None
        assert (passed.meta["library/shelf"], paid.meta["library/shelf"]) == (3, 3)
        assert "invoke-log/receipt" not in passed.meta
        assert paid.meta["invoke-log/receipt"] == f"invoke://receipts/{paid.meta['invoke-log/effect']}"

    asyncio.run(body())


@pytest.mark.parametrize("unasked", [False, True])
def test_each_client_is_told_log_messages_of_its_level_and_its_own_where_the_way_says_whose_they_are(
    tmp_path: Path, unasked: bool
) -> None:
    library = Library("legacy")

    async def body() -> None:
        quiet, all_of_it = Heard(), Heard()
        with make_log(tmp_path / "payments") as log:
            async with (
                carried(log, library, "pipe" if unasked else "HTTP") as making,
                making("legacy", quiet) as one,
                making("legacy", all_of_it) as other,
            ):
                for each, level in ((one, "error"), (other, "info")):
                    params = types.SetLevelRequestParams.model_validate({"level": level})
                    await each.session.send_request(types.SetLevelRequest(params=params), types.EmptyResult)
                assert library.level == "info"
                for each in (one, other):
                    await (library.say() if unasked else each.read_resource("lib://a"))
                times = 2 if unasked else 1
                await quiet.hears(*[("message", "error")] * times)
                await all_of_it.hears(*[("message", "info"), ("message", "error")] * times)

    asyncio.run(body())


@pytest.mark.parametrize("behind", ERAS)
def test_what_two_clients_subscribe_to_is_subscribed_once_and_ends_with_the_last(tmp_path: Path, behind: str) -> None:
    library = Library(behind)

    async def body() -> None:
        first, second = Heard(), Heard()
        with make_log(tmp_path / "payments") as log:
            async with carried(log, library, "HTTP") as making, making("legacy", first) as one:
                async with making(ERAS[0], second) as other, told_of(other, ERAS[0], "lib://a"):
                    async with told_of(one, "legacy", "lib://a"):
                        await one.call_tool("touch", {"uri": "lib://a"})
                        await first.hears(("resources/updated", "lib://a"))
                        await second.hears(("resources/updated", "lib://a"))
                        assert library.subscribed == ["lib://a"] * (behind == "legacy")
                    await one.call_tool("touch", {"uri": "lib://a"})
                    await second.hears(("resources/updated", "lib://a"))
                async with making("legacy", Heard()) as leaver:
                    params = types.SubscribeRequestParams(uri="lib://c")
                    await leaver.session.send_request(types.SubscribeRequest(params=params), types.EmptyResult)
                    assert library.subscribed[-1:] == ["lib://c"] * (behind == "legacy")
                for _ in range(200):
                    if not library.subscribed:
                        break
                    await asyncio.sleep(0.05)
                assert library.subscribed == []
                await one.call_tool("touch", {"uri": "lib://a"})
                await asyncio.sleep(0.1)
                await first.hears()

    asyncio.run(body())


@pytest.mark.parametrize("behind", ERAS)
def test_a_connection_that_is_made_anew_subscribes_anew_and_tells_what_may_have_changed(
    tmp_path: Path, behind: str
) -> None:
    library = Library(behind)
    source = Pipe(library)

    async def body() -> None:
        heard = Heard()
        with make_log(tmp_path / "payments") as log:
            async with (
                piped(log, source) as server,
                stock(InMemoryTransport(server), ERAS[0], heard) as each,
                told_of(each, ERAS[0], "lib://a"),
            ):
                if behind == "legacy":
                    async with stock(InMemoryTransport(server), "legacy", Heard()) as other:
                        params = types.SetLevelRequestParams(level="error")
                        await other.session.send_request(types.SetLevelRequest(params=params), types.EmptyResult)
                        library.level = None
                        source.ended[0].set()  # its process ended
                        library.subscribed.clear()
                        await each.list_prompts()
                        assert library.level == "error"
                else:
                    source.ended[0].set()
                    await each.list_prompts()
                await heard.hears(("resources/updated", "lib://a"), ("tools/list_changed", None))
                await each.call_tool("touch", {"uri": "lib://a"})
                await heard.hears(("resources/updated", "lib://a"))
                assert len(source.ended) == 2

    asyncio.run(body())


def test_what_a_server_wants_named_in_a_header_is_named_though_nobody_asked_for_its_tools(tmp_path: Path) -> None:
    library = Library(ERAS[0])

    async def body() -> None:
        with make_log(tmp_path / "payments") as log:
            async with carried(log, library, "HTTP") as making, making("legacy", Heard()) as each:
                paid = await each.call_tool("pay", order("ok-1", 100))
        assert not paid.is_error, paid
        assert library.paid == ["ok-1"]

    asyncio.run(body())


@pytest.mark.parametrize("era", ERAS)
def test_what_the_server_behind_cannot_do_is_not_promised(tmp_path: Path, era: str) -> None:
    bare: Server[Any] = Server("bare", on_list_tools=Library(era).tools, on_call_tool=Library(era).call)

    async def body() -> None:
        with make_log(tmp_path / "payments") as log:
            async with (
                serving(bare.streamable_http_app()) as behind,
                gateway(log, behind) as url,
                stock(url, era, Heard()) as each,
            ):
                assert abilities(each) == {"tools": {"list_changed": False}}
                with pytest.raises(MCPError) as caught:
                    await each.list_resources()
                assert caught.value.code == types.METHOD_NOT_FOUND

    asyncio.run(body())
