"""The gateway and the log's own server over HTTP: stock clients of both eras, who come, go away and come again."""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

import invoke_log as il
from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.cli.main import main
from invoke_log.surfaces.mcp_server.door import make_door, read_token
from invoke_log.surfaces.mcp_server.serving import GRACE_S
from tests.harness.http_bank import make_bank
from tests.harness.mcp_http import OTHER, client, gateway, serving
from tests.harness.mcp_shop import ERAS, SOURCE, TIMEOUT_S, fields_of, make_log, make_shop, order

TOKEN = "open-sesame-open-sesame"


def landed(place: Path, name: str) -> int:
    ledger = place / "ledger"
    return sum(line.split()[1] == name for line in ledger.read_text().splitlines()) if ledger.exists() else 0


async def pay(each: Client, name: str) -> CallToolResult:
    return await each.call_tool("pay", order(name, 100))


async def committed(each: Client, name: str) -> CallToolResult:
    """Issue a call until it is told its outcome."""
    for _ in range(400):
        result = await pay(each, name)
        if not result.is_error:
            return result
        assert fields_of(result)["next"] == "poll"
        await asyncio.sleep(0.05)
    raise AssertionError("it never settled")


@pytest.mark.parametrize("era", ERAS)
def test_a_client_that_goes_away_mid_call_and_comes_again_in_the_other_era_has_one_effect(
    tmp_path: Path, era: str
) -> None:
    async def body() -> None:
        with make_log(tmp_path / "payments") as log:
            async with (
                serving(make_bank(tmp_path / "ledger", era=OTHER[era])) as bank,
                gateway(log, bank) as url,
            ):
                async with client(url, era) as first, anyio.create_task_group() as group:
                    group.start_soon(pay, first, "slow-1")
                    while not landed(tmp_path, "slow-1"):
                        await anyio.sleep(0.01)
                    group.cancel_scope.cancel()
                async with client(url, OTHER[era]) as second:
                    told = await committed(second, "slow-1")
                    again = await pay(second, "slow-1")
            [state] = log.effects()
        assert state.status == "committed"
        assert told.meta is not None
        assert told.meta["invoke-log/fresh"] is False
        assert told.content == again.content
        assert landed(tmp_path, "slow-1") == 1
        assert il.replay(tmp_path / "payments").ok

    asyncio.run(body())


def test_clients_at_once_with_the_same_call_have_one_effect(tmp_path: Path) -> None:
    async def body() -> None:
        with make_log(tmp_path / "payments") as log:
            async with (
                serving(make_bank(tmp_path / "ledger", era=ERAS[0])) as bank,
                gateway(log, bank) as url,
                client(url, ERAS[0]) as one,
                client(url, ERAS[1]) as other,
            ):
                results = await asyncio.gather(*(pay(each, "slow-race") for each in (one, other, one, other)))
        assert sum(not result.is_error for result in results) == 1
        assert {fields_of(result)["code"] for result in results if result.is_error} == {"blocked"}
        assert landed(tmp_path, "slow-race") == 1

    asyncio.run(body())


def test_the_time_that_the_gateway_adds_over_http(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def timed(url: str, name: str) -> float:
        took = []
        async with client(url, ERAS[0]) as each:
            for number in range(10):
                began = time.perf_counter()
                await pay(each, f"{name}-{number}")
                took.append(time.perf_counter() - began)
        return statistics.median(took) * 1000

    async def body() -> None:
        with make_log(tmp_path / "payments") as log:
            async with serving(make_bank(tmp_path / "ledger", era=ERAS[0])) as bank, gateway(log, bank) as url:
                alone, behind = await timed(bank, "alone"), await timed(url, "behind")
        record_property(
            "note",
            f"MCP gateway, HTTP on both sides: p50 {behind:.1f} ms a call, {alone:.1f} ms without it, target +15 ms",
        )
        assert landed(tmp_path, "behind-9") == 1

    asyncio.run(body())


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a verb as a process of its own, and yield the URL that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke_log", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "BANK_TOKEN": f"Bearer {TOKEN}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("listening at http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def test_the_gateway_between_http_and_http_ends_on_a_signal_once_its_calls_have_their_outcome(tmp_path: Path) -> None:
    make_log(tmp_path / "payments", timeout_ms=60_000).close()
    seen: list[bytes] = []

    async def body() -> int:
        bank = make_bank(tmp_path / "ledger", era=ERAS[0])

        async def looking(scope, receive, send):  # type: ignore[no-untyped-def]
            seen.extend(value for name, value in scope.get("headers", ()) if name == b"authorization")
            await bank(scope, receive, send)

        async with serving(looking) as behind:
            given = ("gateway", "--log", str(tmp_path / "payments"), "--http", "127.0.0.1:0", "--upstream", behind)
            with running(*given, "--upstream-header", "Authorization=env:BANK_TOKEN") as (process, url):
                async with client(url, ERAS[0]) as each:
                    await each.list_tools()  # it would ask once it has its answer
                    call = asyncio.create_task(pay(each, "held-1"))
                    while not landed(tmp_path, "held-1"):
                        await asyncio.sleep(0.01)
                    process.send_signal(signal.SIGTERM)
                    await asyncio.sleep(GRACE_S + 0.5)
                    (tmp_path / "let-go").touch()
                    told = await call
                assert not told.is_error
                return await asyncio.to_thread(process.wait, TIMEOUT_S)

    assert asyncio.run(body()) == 0
    assert {each.decode() for each in seen} == {f"Bearer {TOKEN}"}
    with il.Log.open(tmp_path / "payments", read_only=True) as log:
        assert [state.status for state in log.effects()] == ["committed"]
    assert landed(tmp_path, "held-1") == 1


def test_the_log_answers_over_http_whoever_brings_the_token_and_names_this_host(tmp_path: Path) -> None:
    effects = make_shop(tmp_path / "payments")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    given = ("mcp", "--log", str(tmp_path / "payments"), "--http", "localhost:0")

    async def ask(url: str, era: str) -> object:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http), mode=era) as each,
        ):
            return fields_of(await each.call_tool("effect_status", {"effect_key": effects["unknown"]}))["status"]

    with running(*given, "--token-file", str(tmp_path / "token")) as (process, url):
        assert [asyncio.run(ask(url, era)) for era in ERAS] == ["unknown", "unknown"]
        right = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer open-sesame-open-sesama"}, 401),
            ({"Authorization": TOKEN}, 401),
            ({**right, "Host": "evil.example"}, 421),
            ({**right, "Origin": "http://evil.example"}, 403),
            ({**right, "Origin": "http://localhost:1234"}, 400),  # let in, and it asks for nothing
        ):
            assert httpx2.post(url, headers=headers, json={}).status_code == status, headers
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("text", "token", "names", "said"),
    [
        ("8080", None, (), "want HOST:PORT"),
        ("127.0.0.1:65536", None, (), "want HOST:PORT"),
        ("::1:80", None, (), "want HOST:PORT"),
        ("no such host:80", None, (), "no such host"),
        ("a..b:80", None, (), "host 'a..b'"),
        ("0.0.0.0:0", None, ("bank.example",), "nothing says whom to let in"),
        ("0.0.0.0:0", TOKEN, (), "every address"),
    ],
)
def test_a_door_that_is_none_or_stands_open_is_refused(
    text: str, token: str | None, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigInvalidError, match=said):
        make_door(text, token=token, names=names)


def test_doors_on_loopback_and_beyond() -> None:
    assert not make_door("[::1]:0", token=None, names=()).beyond
    beyond = make_door("0.0.0.0:0", token=TOKEN, names=("bank.example",))
    assert (beyond.beyond, beyond.names) == (True, ("bank.example",))
    with make_door("127.0.0.1:0", token=None, names=()).listen() as listener:
        taken = make_door(f"127.0.0.1:{listener.getsockname()[1]}", token=None, names=())
        with pytest.raises(ConfigInvalidError, match="in use") as caught:
            taken.listen()
        assert caught.value.hint == "port 0 takes a free one"


@pytest.mark.parametrize(
    ("line", "mode", "said"), [("short", 0o600, "16 to 512"), (TOKEN, 0o644, "lets others read it"), ("", 0o600, "16")]
)
def test_a_token_that_others_can_read_or_guess_is_refused(tmp_path: Path, line: str, mode: int, said: str) -> None:
    (tmp_path / "token").write_text(line)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(ConfigInvalidError, match=said):
        read_token(tmp_path / "token")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "give the server behind as -- COMMAND, or as --upstream URL"),
        (("--upstream", "http://127.0.0.1:1/mcp", "--", "true"), "give the server behind"),
        (("--upstream-header", "A=env:B", "--", "true"), "goes with --upstream"),
        (("--token-file", "token", "--", "true"), "go with --http"),
        (("--upstream", "http://127.0.0.1:1/mcp", "--upstream-header", "Authorization=Bearer x"), "not the value"),
        (("--upstream", "http://127.0.0.1:1/mcp", "--upstream-header", "A=env:NOT_SET_HERE"), "holds no line"),
        (("--http", "127.0.0.1:99999", "--", "true"), "want HOST:PORT"),
    ],
)
def test_options_that_do_not_go_together_are_said_so(
    tmp_path: Path, given: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_log(tmp_path / "payments").close()
    assert main(["gateway", "--log", str(tmp_path / "payments"), *given]) == 2
    assert said in capsys.readouterr().err
