"""A server behind that is reached by HTTP, and what lies in front of it; what landed is counted in its ledger."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import CallToolResult

import invoke_log as il
from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.mcp_server.endpoint import Endpoint
from tests.harness.http_bank import FAULTS, make_bank
from tests.harness.mcp_http import OTHER, bank_process, client, free_port, gateway, serving
from tests.harness.mcp_shop import ERAS, fields_of, make_log, order

SECOND_SYN_S = 2.5
"""From a timeout of 1 s to the third packet by which the system tries to connect, after 3 s."""
DEFINITE = ["-32601", "-32602", "http_401"]


def open_log(place: Path, **changed: object) -> il.Log:
    return make_log(place / "payments", definite_failures=DEFINITE, **changed)


def landed(place: Path, name: str) -> int:
    ledger = place / "ledger"
    return sum(line.split()[1] == name for line in ledger.read_text().splitlines()) if ledger.exists() else 0


async def pay(each: Client, name: str) -> CallToolResult:
    return await each.call_tool("pay", order(name, 100))


@pytest.mark.parametrize("era", ERAS)
def test_what_got_no_answer_of_the_server_s_own_is_unknown_and_is_not_sent_again(tmp_path: Path, era: str) -> None:
    names = [f"{how}-1" for how in (*FAULTS, "hangs")]

    async def body() -> None:
        with open_log(tmp_path, timeout_ms=1_500) as log:
            async with (
                serving(make_bank(tmp_path / "ledger", era=era)) as bank,
                gateway(log, bank) as url,
                client(url, era) as one,
                client(url, OTHER[era]) as other,
            ):
                told = await asyncio.gather(*(pay(one, name) for name in names))
                again = await asyncio.gather(*(pay(other, name) for name in names))
        for name, first, second in zip(names, told, again, strict=True):
            assert first.is_error
            assert fields_of(first)["code"] == "outcome-unknown", name
            assert fields_of(second)["code"] == "blocked", name
        assert {name: landed(tmp_path, name) for name in names} == dict.fromkeys(names, 1)

    asyncio.run(body())


@pytest.mark.parametrize("era", ERAS)
def test_what_becomes_of_one_call_does_not_cut_off_another(tmp_path: Path, era: str) -> None:
    async def body() -> None:
        with open_log(tmp_path, timeout_ms=60_000) as log:
            async with (
                serving(make_bank(tmp_path / "ledger", era=era)) as bank,
                gateway(log, bank) as url,
                client(url, era) as one,
            ):
                out = asyncio.create_task(pay(one, "held-1"))
                while not landed(tmp_path, "held-1"):
                    await asyncio.sleep(0.01)
                lost = [await pay(one, name) for name in ("truncates-1", "vanishes-1")]
                paid = await pay(one, "ok-1")  # of a session that it believes gone, it begins another
                (tmp_path / "let-go").touch()
                told = await out
        assert all(each.is_error for each in lost)
        assert not paid.is_error
        assert not told.is_error

    asyncio.run(body())


def test_a_status_that_the_contract_lists_proves_that_nothing_happened(tmp_path: Path) -> None:
    async def body() -> None:
        with open_log(tmp_path) as log:
            async with (
                serving(make_bank(tmp_path / "ledger", era=ERAS[0])) as bank,
                gateway(log, bank) as url,
                client(url, ERAS[0]) as one,
            ):
                denied = await pay(one, "denied-1")
        assert fields_of(denied)["code"] == "not-committed"
        assert landed(tmp_path, "denied-1") == 0

    asyncio.run(body())


@pytest.mark.parametrize("era", ERAS)
def test_a_server_that_dies_mid_call_leaves_an_unknown_and_what_never_reached_it_was_not_sent(
    tmp_path: Path, era: str
) -> None:
    port = free_port()

    async def body() -> None:
        with open_log(tmp_path) as log, bank_process(tmp_path / "ledger", era, port):
            async with gateway(log, f"http://127.0.0.1:{port}/mcp") as url, client(url, era) as one:
                dead = await pay(one, "dies-1")
                refused = await pay(one, "ok-1")
                async with serving(make_bank(tmp_path / "ledger", era=era), port):
                    told = [await pay(one, f"ok-new-{number}") for number in range(2)]
                    paid = await pay(one, "ok-1")
                    again = await pay(one, "dies-1")
        assert fields_of(dead)["code"] == "outcome-unknown"
        assert (fields_of(refused)["code"], fields_of(refused)["next"]) == ("not-committed", "decide_again")
        # It does not know the session: a call that is told so, before the stream beside it is, is unknown.
        assert [fields_of(each)["code"] for each in told if each.is_error] in (
            [],
            ["outcome-unknown"] * (era == "legacy"),
        )
        assert not told[1].is_error
        assert not paid.is_error
        assert fields_of(again)["code"] == "blocked"
        assert (landed(tmp_path, "dies-1"), landed(tmp_path, "ok-1")) == (1, 1)

    asyncio.run(body())


def test_what_still_connects_when_its_time_is_up_was_not_sent_and_is_not_sent_later(tmp_path: Path) -> None:
    """A connection that is not answered is tried for seconds, and this server takes whatever comes then."""
    port = free_port()

    async def body() -> None:
        with open_log(tmp_path, timeout_ms=1_000) as log:
            async with contextlib.AsyncExitStack() as stack:
                async with serving(make_bank(tmp_path / "ledger", era="stateless"), port) as behind:
                    url = await stack.enter_async_context(gateway(log, behind))
                    one = await stack.enter_async_context(client(url, ERAS[0]))
                with swallowing(port):
                    late = await pay(one, "ok-1")
                async with serving(make_bank(tmp_path / "ledger", era="stateless"), port):
                    await asyncio.sleep(SECOND_SYN_S)
                    assert landed(tmp_path, "ok-1") == 0
                    paid = await pay(one, "ok-1")
        assert fields_of(late)["code"] == "not-committed"
        assert not paid.is_error
        assert landed(tmp_path, "ok-1") == 1

    asyncio.run(body())


@contextlib.contextmanager
def swallowing(port: int) -> Iterator[None]:
    """A port that answers no packet: nobody accepts, and its queue is full."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield


def test_headers_go_to_the_server_behind(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def body() -> None:
        bank = make_bank(tmp_path / "ledger", era=ERAS[0])

        async def looking(scope, receive, send):  # type: ignore[no-untyped-def]
            seen.append(dict(scope.get("headers", ())).get(b"authorization", b""))
            await bank(scope, receive, send)

        with open_log(tmp_path) as log:
            async with serving(looking) as url:
                source = Endpoint(url, {"Authorization": "Bearer of-the-bank"})
                async with gateway(log, source) as front, client(front, ERAS[0]) as one:
                    await pay(one, "ok-1")

    asyncio.run(body())
    assert {each for each in seen if each} == {b"Bearer of-the-bank"}
    assert seen.count(b"") <= 1  # the lifespan


@pytest.mark.parametrize(
    "url", ["ftp://bank/mcp", "bank", "http://", "http://me:secret@bank/mcp", "http://bank:none/mcp"]
)
def test_what_is_no_url_of_a_server_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigInvalidError) as caught:
        Endpoint(url, {})
    assert "secret" not in str(caught.value)


def test_its_name_has_no_query_and_says_whether_headers_go_in_the_clear() -> None:
    endpoint = Endpoint("http://bank.example/mcp?key=secret", {})
    assert (endpoint.name, endpoint.in_clear) == ("http://bank.example/mcp", True)
    assert not Endpoint("http://127.0.0.1:8080/mcp", {}).in_clear
    assert not Endpoint("https://bank.example/mcp", {}).in_clear


def test_a_server_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    async def body() -> None:
        with open_log(tmp_path) as log:
            async with gateway(log, f"http://127.0.0.1:{free_port()}/mcp"):
                pass

    began = time.monotonic()
    with pytest.raises(ConfigInvalidError, match="does not answer as an MCP server"):
        asyncio.run(body())
    assert time.monotonic() - began < 20
