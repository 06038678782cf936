"""The gateway between a stock client and a real server that fails on purpose; what landed is counted in its ledger."""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, TextContent

import invoke_log as il
from invoke_log.format.cbor import Value
from invoke_log.log.signer import load_key
from invoke_log.rules.contract import complete_contract, parse_contract
from invoke_log.surfaces.cli.main import main
from invoke_log.surfaces.mcp_server.gateway import result_of_ending
from tests.harness.mcp_shop import (
    PAY,
    SOURCE,
    Ask,
    Call,
    connected,
    contract,
    fields_of,
    make_log,
    order,
    parameters,
    told,
)

BANK = Path(__file__).parents[2] / "harness" / "bank_server.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """A log, a ledger, and how a client reaches the bank: through the gateway, or by itself."""

    log: Path
    ledger: Path

    def behind(self, *options: str) -> StdioServerParameters:
        command = (sys.executable, str(BANK), str(self.ledger))
        return parameters("gateway", "--log", str(self.log), *options, "--", *command)

    def alone(self) -> StdioServerParameters:
        return StdioServerParameters(command=sys.executable, args=[str(BANK), str(self.ledger)])

    def landed(self, name: str) -> int:
        """Return how many payments of an order the ledger has."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return sum(line.split()[1] == name for line in lines)


def make_bank(place: Path) -> Bank:
    make_log(place / "payments").close()
    return Bank(log=place / "payments", ledger=place / "ledger")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return make_bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def client(bank: Bank) -> Iterator[Ask]:
    """A stock client of the gateway."""
    with connected(bank.behind()) as ask:
        yield ask


@pytest.fixture(scope="module")
def alone(bank: Bank) -> Iterator[Ask]:
    """A client of the bank without the gateway, in the handshake era."""
    with connected(bank.alone(), era="legacy") as ask:
        yield ask


def pay(name: str, amount: int = 100) -> Call:
    return "pay", order(name, amount)


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def abandon(bank: Bank, client: Client, name: str) -> None:
    """Issue a call, and cancel it once it has landed and before it is answered."""
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, *pay(name))
        while not bank.landed(name):
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()


def test_a_payment_lands_once_however_often_its_call_is_issued(bank: Bank, client: Ask) -> None:
    first, again, other = told(client, pay("ok-1"), pay("ok-1"), pay("ok-1", 200))
    assert not first.is_error
    assert text_of(first) == text_of(again) == "paid 100 for ok-1"
    assert first.structured_content == again.structured_content
    assert first.meta is not None
    assert again.meta is not None
    effect = first.meta["invoke-log/effect"]
    assert (first.meta["invoke-log/fresh"], again.meta["invoke-log/fresh"]) == (True, False)
    assert first.meta["invoke-log/receipt"] == f"invoke://receipts/{effect}"
    assert other.is_error
    assert (fields_of(other)["status"], fields_of(other)["next"]) == ("conflict", "receipt")
    assert bank.landed("ok-1") == 1
    assert effect in bank.ledger.read_text()  # the server was told, to use it as it likes


@pytest.mark.parametrize(
    ("name", "landed"),
    [
        ("errs-1", 1),  # acts, then says that it failed
        ("declares-1", 1),  # acts, then says that it failed with a code that the contract does not list
        ("dies-1", 1),  # acts, then dies
        ("exit-1", 0),  # dies, and nobody can tell
        ("hangs-1", 1),  # acts, then never answers
        ("typed-task", 1),  # says that it goes on
        ("typed-input_required", 1),  # asks, and says for nothing
    ],
)
def test_without_proof_the_outcome_is_unknown_and_the_call_is_not_sent_again(
    bank: Bank, client: Ask, name: str, landed: int
) -> None:
    first, again, after = told(client, pay(name), pay(name), pay(f"ok-after-{name}"))
    assert first.is_error
    said = fields_of(first)
    assert (said["v"], said["code"], said["status"], said["next"]) == (1, "outcome-unknown", "unknown", "attest")
    assert "Do not call it again" in text_of(first)
    assert again.is_error
    assert (fields_of(again)["code"], fields_of(again)["next"]) == ("blocked", "attest")
    assert fields_of(again)["effect_key"] == said["effect_key"]
    assert bank.landed(name) == landed
    assert not after.is_error, "the server behind was started again"


def test_only_a_failure_that_the_contract_lists_proves_that_nothing_happened(bank: Bank, client: Ask) -> None:
    first, again = told(client, pay("declined-1"), pay("declined-1"))
    assert first.is_error
    assert (fields_of(first)["code"], fields_of(first)["next"]) == ("not-committed", "decide_again")
    assert "Nothing happened by this call" in text_of(first), "it was sent"
    assert fields_of(again)["code"] == "not-committed", "deciding again is a new attempt"
    assert bank.landed("declined-1") == 0


def test_a_server_that_answers_twice_changes_nothing(bank: Bank, client: Ask) -> None:
    _, again, after = told(client, pay("twice-1"), pay("twice-1"), pay("ok-after-twice"))
    assert bank.landed("twice-1") == 1
    assert text_of(after) == "paid 100 for ok-after-twice"
    assert not again.is_error


def test_a_call_that_the_client_cancels_goes_on_to_its_outcome(bank: Bank, client: Ask) -> None:
    async def cancel(each: Client) -> CallToolResult:
        await abandon(bank, each, "slow-1")
        for _ in range(200):
            result = await each.call_tool(*pay("slow-1"))
            if not result.is_error:
                return result
            assert fields_of(result)["next"] == "poll"
            await asyncio.sleep(0.05)
        raise AssertionError("it never settled")

    assert text_of(client(cancel)) == "paid 100 for slow-1"
    assert bank.landed("slow-1") == 1


def test_calls_of_one_effect_at_once_send_once(bank: Bank, client: Ask) -> None:
    async def race(each: Client) -> list[CallToolResult]:
        return list(await asyncio.gather(*(each.call_tool(*pay("slow-race")) for _ in range(5))))

    results = client(race)
    assert sum(not result.is_error for result in results) == 1
    assert {fields_of(result)["code"] for result in results if result.is_error} == {"blocked"}
    assert bank.landed("slow-race") == 1


def test_what_the_policy_asks_about_waits_and_goes_on_once_it_is_approved(bank: Bank, client: Ask) -> None:
    [asked] = told(client, pay("ok-large", 5_000))
    assert fields_of(asked)["code"] == "approval-pending"
    assert bank.landed("ok-large") == 0
    with il.Log.open(bank.log) as log:
        admin = load_key(bank.log / "keys" / "admin.key")
        assert type(il.approve(log, fields_of(asked)["by"], admin)).__name__ == "Accepted"
    [paid, denied] = told(client, pay("ok-large", 5_000), pay("ok-huge", 500_000))
    assert text_of(paid) == "paid 5000 for ok-large"
    assert fields_of(denied)["code"] == "denied"
    assert (bank.landed("ok-large"), bank.landed("ok-huge")) == (1, 0)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("balance", {"account": "acct_1"}), "config-invalid"),
        (("pay", {"account": "acct_1", "order": "ok-2"}), "argument-invalid"),
        (("pay", {**order("ok-2", 1), "amount": 1.5}), "argument-invalid"),
        (("pay", {**order("ok-2", 1), "memo": "hi"}), "argument-invalid"),
    ],
)
def test_what_no_contract_covers_is_not_called_and_the_answer_says_what_to_do(
    bank: Bank, client: Ask, call: Call, code: str
) -> None:
    [result] = told(client, call)
    assert result.is_error
    assert fields_of(result)["code"] == code
    assert code != "config-invalid" or "contract add" in text_of(result)
    assert bank.landed("ok-2") == 0


def test_the_time_that_the_gateway_adds(
    bank: Bank, client: Ask, alone: Ask, record_property: Callable[[str, object], None]
) -> None:
    async def timed(each: Client, name: str) -> list[float]:
        took = []
        for number in range(20):
            began = time.perf_counter()
            await each.call_tool(*pay(f"{name}-{number}"))
            took.append(time.perf_counter() - began)
        return took

    by_itself = statistics.median(alone(lambda each: timed(each, "ok-alone")))
    behind = statistics.median(client(lambda each: timed(each, "ok-timed")))
    record_property(
        "note", f"MCP gateway: p50 {behind * 1000:.1f} ms a call, {by_itself * 1000:.1f} ms without it, target +15 ms"
    )
    assert bank.landed("ok-timed-0") == 1


def test_a_tool_under_a_withdrawn_contract_is_not_called_though_the_contract_declares_a_read(tmp_path: Path) -> None:
    bank = make_bank(tmp_path)
    with il.Log.open(bank.log) as log:
        admin = load_key(bank.log / "keys" / "admin.key")
        said: dict[str, Value] = {"name": "tip", "effect_class": "none", "resource": "bank"}
        log.append(log.draft(parse_contract(complete_contract(said)), admin))
    withdrawn = ("contract", "withdraw", "tip", "--log", str(bank.log), "--reason", "it pays")
    assert main([*withdrawn]) == 0
    with connected(bank.behind()) as behind:
        [answered] = told(behind, ("tip", order("ok-1", 5)))
    assert (answered.is_error, bank.landed("ok-1")) == (True, 0)
    assert "its contract was withdrawn" in text_of(answered)


def test_the_legacy_era_lists_the_same_tools_observes_and_outlives_its_client(alone: Ask, tmp_path: Path) -> None:
    bank = make_bank(tmp_path)
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "balance.json").write_text(
        json.dumps(
            {
                "name": "peek",
                "effect_class": "none",
                "resource": "bank/{account}",
                "arguments": {"account": PAY["arguments"]["account"]},
            }
        )
    )

    async def list_tools(each: Client) -> list[Any]:
        return [tool.model_dump(exclude={"meta"}) for tool in (await each.list_tools()).tools]

    tools = alone(list_tools)
    options = ("--default", "observe", "--contracts", str(folder))

    async def leave(each: Client) -> None:
        await abandon(bank, each, "slow-left")

    with connected(bank.behind(*options), era="legacy") as behind:
        assert behind(list_tools) == tools
        paid, read = told(behind, pay("ok-legacy"), ("balance", {"account": "acct_1"}))
        assert text_of(paid) == "paid 100 for ok-legacy"
        assert text_of(read) == "100"
        behind(leave)
    assert bank.landed("slow-left") == 1
    with il.Log.open(bank.log) as log:
        assert sorted(state.status for state in log.effects()) == ["committed", "committed"]
        assert log.governance.latest.keys() == {"pay", "peek"}
        notes = [entry.event.data for entry in log.entries() if entry.event.kind == "note"]
    assert [note.text.endswith("balance") for note in notes] == [True]  # type: ignore[union-attr]
    assert il.replay(bank.log).ok


@pytest.mark.parametrize(
    "value",
    [
        {"content": ["line"]},
        {"content": [{"type": "text"}]},
        {"content": [], "isError": True},
        {"content": [], "resultType": "task"},
        {"content": 1},
        ["content"],
    ],
)
def test_what_a_tool_without_a_gateway_returned_is_told_as_the_value_that_it_is(value: Any) -> None:
    result = result_of_ending(il.Committed(effect_key="eff_1", value=value, fresh=False, receipt=bytes))
    assert not result.is_error
    assert fields_of(result) == {"v": 1, "result": value}
    assert result.meta == {
        "invoke-log/effect": "eff_1",
        "invoke-log/fresh": False,
        "invoke-log/receipt": "invoke://receipts/eff_1",
    }


def test_a_gateway_that_is_killed_leaves_what_nobody_may_send_again(tmp_path: Path) -> None:
    bank = make_bank(tmp_path)
    with connected(bank.behind()) as client, pytest.raises(MCPError):
        told(client, pay("kills-1"))
    with il.Log.open(bank.log) as log:
        guard = il.Guard(log)

        @guard.tool(contract())
        def pay_again(**arguments: Any) -> None:
            raise AssertionError("it was sent again")

        again = guard.call("pay", order("kills-1", 100))
    assert isinstance(again, il.Blocked)
    assert (again.status, again.next) == ("blocked", "poll")
    assert bank.landed("kills-1") == 1


IMPATIENT = """
import sys
from invoke_log.surfaces.cli.main import main
from invoke_log.surfaces.mcp_server import serving
serving.STARTS_S = 0.1
sys.exit(main(sys.argv[1:]))
"""


def test_a_command_that_never_answers_is_left_once_its_client_went_away(tmp_path: Path) -> None:
    make_log(tmp_path / "payments").close()
    started = tmp_path / "started"
    given = ("gateway", "--log", str(tmp_path / "payments"), "--", "sh", "-c", f"echo $$ >{started}; cat >/dev/null")
    client, theirs = socket.socketpair()  # as clients on Node have it, which end it half
    with client, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, *given],
            stdin=theirs.fileno(),
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            text=True,
        )
        try:
            while not started.exists():
                time.sleep(0.01)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            client.shutdown(socket.SHUT_WR)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
            process.communicate()
    assert (process.returncode, "the client went away" in said) == (2, True)
    assert not Path("/proc", started.read_text().strip()).exists()


def test_a_command_that_is_no_server_is_said_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_log(tmp_path / "payments").close()
    assert main(["gateway", "--log", str(tmp_path / "payments"), "--", "no-such-command"]) == 2
    assert "does not answer as an MCP server" in capsys.readouterr().err
