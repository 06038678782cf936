"""`invoke-log mcp` as the SDK's stock client sees it: a process of its own, over stdio."""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, TextResourceContents

import invoke_log as il
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.cli.main import main
from invoke_log.surfaces.mcp_server.tools import Tools
from tests.harness.mcp_shop import Ask, Call, connected, fields_of, make_shop, order, parameters, told

READING = {
    *("effect_status", "list_effects", "show", "list_contracts", "show_contract", "list_approvals"),
    *("simulate", "read_receipt", "verify_receipt", "replay"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mcp") / "payments"


@pytest.fixture(scope="module")
def effects(place: Path) -> dict[str, str]:
    """The shop's effect keys by how they stand."""
    return make_shop(place)


@pytest.fixture(scope="module")
def client(place: Path, effects: dict[str, str]) -> Iterator[Ask]:
    """A stock client, connected to a server that only reads."""
    with connected(parameters("mcp", "--log", str(place))) as ask:
        yield ask


def cli_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return what the command line prints with --json."""
    capsys.readouterr()
    main([*arguments, "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_tool_reads_and_none_consents(client: Ask) -> None:
    tools = client(lambda each: each.list_tools()).tools
    assert {tool.name for tool in tools} == READING
    assert all(tool.annotations.read_only_hint and not tool.annotations.open_world_hint for tool in tools)
    assert all(tool.output_schema and tool.description for tool in tools)


def test_the_answers_are_those_of_the_command_line(
    client: Ask, place: Path, effects: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Call] = [
        *(("effect_status", {"effect_key": key}) for key in effects.values()),
        ("list_effects", {}),
        ("list_contracts", {}),
        ("show_contract", {"name": "pay"}),
        ("list_approvals", {}),
        ("show", {"id": effects["unknown"]}),
    ]
    results = [fields_of(result) for result in told(client, *calls)]
    log = ("--log", str(place))
    assert results[:3] == [line for key in effects.values() for line in cli_json(capsys, "status", key, *log)]
    assert [{"v": 1, **each} for each in results[3]["effects"]] == cli_json(capsys, "list", *log)
    assert [{"v": 1, **each} for each in results[4]["contracts"]] == cli_json(capsys, "contract", "list", *log)
    assert [results[5]] == cli_json(capsys, "contract", "show", "pay", *log)
    assert [{"v": 1, **each} for each in results[6]["approvals"]] == cli_json(capsys, "approvals", *log)
    assert [results[7]] == cli_json(capsys, "show", effects["unknown"], *log)
    assert results[1].items() <= results[7].items()
    assert [each["status"] for each in results[:3]] == ["committed", "unknown", "claimed"]
    assert [each["next"] for each in results[:3]] == ["receipt", "attest", "wait"]


def test_effects_are_listed_by_status_and_in_parts(client: Ask, effects: dict[str, str]) -> None:
    [only] = told(client, ("list_effects", {"status": "unknown"}))
    assert [each["effect_key"] for each in fields_of(only)["effects"]] == [effects["unknown"]]
    found, after = [], None
    for _ in range(3):
        [part] = told(client, ("list_effects", {"limit": 1, "after": after}))
        found += fields_of(part)["effects"]
        after = fields_of(part)["after"]
    assert [each["effect_key"] for each in found] == sorted(effects.values())
    assert after is None


def test_a_part_reads_no_effect_of_those_before_it(
    place: Path, effects: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    bound = LiveWorld._bound_effect

    def counted(world: LiveWorld, effect: bytes) -> EffectState:
        read.append(f"eff_{effect.hex()}")
        return bound(world, effect)

    monkeypatch.setattr(LiveWorld, "_bound_effect", counted)
    first, second, last = sorted(effects.values())
    with il.Log.open(place, read_only=True) as log:
        tools = Tools(log=log, signer=None, proposes=False)
        for after, follow in ((first, [second, last]), (second, [last]), (last, []), (f"eff_{'f' * 64}", [])):
            part = fields_of(tools.list_effects(after=after))
            assert [each["effect_key"] for each in part["effects"]] == read == follow
            assert fields_of(tools.list_effects("unknown", effects["unknown"]))["effects"] == []
            read.clear()


def test_simulation_is_the_policy_in_force(
    client: Ask, place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls = [{"contract": "pay", "arguments": order("new", amount)} for amount in (10, 2_000, 500_000)]
    (tmp_path / "calls").write_text("".join(json.dumps(call) + "\n" for call in calls))
    results = [fields_of(result) for result in told(client, *(("simulate", call) for call in calls))]
    assert [each["verdict"] for each in results] == ["allow", "ask", "deny"]
    assert results == cli_json(capsys, "policy", "simulate", str(tmp_path / "calls"), "--log", str(place))


def test_a_receipt_is_made_and_verified_and_a_changed_one_is_not(
    client: Ask, place: Path, effects: dict[str, str]
) -> None:
    [made] = told(client, ("read_receipt", {"effect_key": effects["committed"]}))
    raw = bytes.fromhex(fields_of(made)["receipt"]["$bytes"])
    with il.Log.open(place, read_only=True) as log:
        key = log.verifier_key
    assert il.verify_receipt(raw, trust=key).effect.status == "committed"
    changed = raw[:-40] + bytes([raw[-40] ^ 1]) + raw[-39:]
    good, bad = told(
        client,
        ("verify_receipt", {"receipt": {"$bytes": raw.hex()}, "trust": il.format_verifier_key(key)}),
        ("verify_receipt", {"receipt": {"$bytes": changed.hex()}}),
    )
    assert fields_of(good)["ok"]
    assert fields_of(good)["trusted"]
    assert bad.is_error
    assert fields_of(bad)["code"] in ("receipt-invalid", "signature-invalid", "proof-invalid", "malformed")


def test_replay_is_made_while_the_server_has_the_log_open(client: Ask, place: Path) -> None:
    [found] = told(client, ("replay", {}))
    report = il.replay(place)
    assert fields_of(found)["ok"]
    assert fields_of(found)["size"] == report.size
    assert report.state_root is not None
    assert fields_of(found)["state_root"] == report.state_root.hex()


def test_resources_are_read(client: Ask, effects: dict[str, str]) -> None:
    async def ask(each: Client) -> list[Any]:
        uris = [f"invoke://effects/{effects['unknown']}", "invoke://contracts/pay", "invoke://approvals"]
        uris.append(f"invoke://receipts/{effects['committed']}")
        return [(await each.read_resource(uri)).contents[0] for uri in uris]

    *texts, receipt = client(ask)
    assert all(isinstance(each, TextResourceContents) for each in texts)
    effect, one, approvals = (json.loads(each.text) for each in texts)
    assert (effect["v"], effect["status"]) == (1, "unknown")
    assert one["name"] == "pay"
    assert [each["effect_key"] for each in approvals["approvals"]] == [effects["claimed"]]
    assert isinstance(receipt, BlobResourceContents)
    assert il.verify_receipt(base64.b64decode(receipt.blob)).effect.status == "committed"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("effect_status", {"effect_key": "eff_" + "00" * 32}), "not-found"),
        (("effect_status", {"effect_key": "order 789"}), "malformed"),
        (("show_contract", {"name": "refund"}), "not-found"),
        (("list_effects", {"status": "done"}), "malformed"),
        (("simulate", {"contract": "pay", "arguments": {"order": "1"}}), "argument-invalid"),
        (("simulate", {"contract": "pay", "arguments": {**order("new", 1), "amount": 1.5}}), "malformed"),
    ],
)
def test_an_error_has_the_code_of_the_command_line(client: Ask, call: Call, code: str) -> None:
    [result] = told(client, call)
    assert result.is_error
    assert fields_of(result)["code"] == code
    assert fields_of(result)["message"]


def test_a_resource_that_is_not_there_is_an_error_with_its_code(client: Ask) -> None:
    async def ask(each: Client) -> None:
        await each.read_resource("invoke://contracts/refund")

    with pytest.raises(MCPError, match="not-found"):
        client(ask)


def test_slow_answers_do_not_hold_up_others(client: Ask, effects: dict[str, str]) -> None:
    """A replay takes a second or so; a status asked meanwhile is there before it."""

    async def ask(each: Client) -> list[str]:
        came: list[str] = []

        async def one(name: str, arguments: dict[str, Any]) -> None:
            await each.call_tool(name, arguments)
            came.append(name)

        await each.list_tools()
        replaying = asyncio.create_task(one("replay", {}))
        await asyncio.sleep(0.05)
        await one("effect_status", {"effect_key": effects["unknown"]})
        await replaying
        return came

    assert client(ask) == ["effect_status", "replay"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proposals") / "payments"
    make_shop(path)
    return path


@pytest.fixture(scope="module")
def proposer(own: Path) -> Iterator[Ask]:
    """A client of the handshake era, of a server that was given the agent's key."""
    key = own / "keys" / "agent.key"
    with connected(parameters("mcp", "--log", str(own), "--key", str(key)), era="legacy") as ask:
        yield ask


def proposal(name: str, amount: int) -> Call:
    return "propose", {"contract": "pay", "arguments": order(name, amount)}


def test_a_server_with_a_key_proposes_and_says_that_it_writes(proposer: Ask) -> None:
    tools = {tool.name: tool for tool in proposer(lambda each: each.list_tools()).tools}
    assert set(tools) == {*READING, "propose"}
    assert not tools["propose"].annotations.read_only_hint
    assert tools["propose"].output_schema


def test_a_proposal_is_answered_as_the_log_answers(own: Path, proposer: Ask) -> None:
    calls = [
        *(proposal("new", 100), proposal("new", 100), proposal("new", 200)),
        *(proposal("big", 2_000), proposal("huge", 500_000), proposal("lost", 600), proposal("done", 500)),
    ]
    results = told(proposer, *calls)
    assert not any(result.is_error for result in results)
    answers = [fields_of(result) for result in results]
    assert [(each["answer"], each["status"], each["next"]) for each in answers] == [
        ("accepted", "claimed", "wait"),
        ("blocked", "claimed", "wait"),
        ("conflict", "claimed", "wait"),
        ("accepted", "claimed", "wait"),
        ("refused", "free", "decide_again"),
        ("blocked", "unknown", "attest"),
        ("blocked", "committed", "receipt"),
    ]
    assert [each["verdict"] for each in answers[2:5]] == ["allow", "ask", "deny"]
    [pending] = told(proposer, ("list_approvals", {}))
    assert answers[3]["id"] in [each["intent"] for each in fields_of(pending)["approvals"]]
    [last] = told(proposer, proposal("last", 100))  # the refusals ride along with it
    assert fields_of(last)["answer"] == "accepted"


def test_the_handshake_era_reads_the_same(own: Path, proposer: Ask) -> None:
    async def ask(each: Client) -> str:
        return str((await each.read_resource("invoke://contracts/pay")).contents[0].text)  # type: ignore[union-attr]

    [listed] = told(proposer, ("list_effects", {"status": "unknown"}))
    assert [each["status"] for each in fields_of(listed)["effects"]] == ["unknown"]
    assert json.loads(proposer(ask))["name"] == "pay"


@pytest.mark.parametrize("verb", [("mcp",), ("gateway", "--", "true")], ids=["mcp", "gateway"])
def test_without_the_sdk_a_verb_says_which_extra_to_install(
    place: Path, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("invoke_log.surfaces.mcp_server")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("mcp", "mcp.server.mcpserver"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["--log", str(place), *verb]) == 2
    assert 'pip install "invoke-log[mcp]"' in capsys.readouterr().err
