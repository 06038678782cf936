"""Stock MCP servers behind the gateway, which was drafted for, reviewed and installed as a user would.

Each effect is counted where it happens: what a call wrote is taken away, and the call issued again must not bring it
back.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

import invoke_log as il
from invoke_log.surfaces.cli.main import main
from tests.harness.mcp_shop import ERAS, SOURCE, Ask, connected, fields_of, told
from tests.harness.upstreams import stock_server

WRITES: Final = {
    "write_file": ("file.write/1", "file/{path}"),
    "edit_file": ("file.edit/1", "file/{path}"),
    "create_directory": ("file.mkdir/1", "file/{path}"),
    "move_file": ("file.move/1", "file/{source}"),
    "gzip-file-as-resource": ("resource.make/1", "gzip/{name}"),
}
"""What a person settles: effect class and resource of the tools that change something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """A log, its drafts, and what the configuration of a client says after `gateway install`, by server."""

    log: Path
    files: Path
    drafts: Path
    installed: dict[str, StdioServerParameters]


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Wired:
    place = tmp_path_factory.mktemp("wired")
    (place / "files").mkdir()
    servers = {
        "files": stock_server("server-filesystem", str(place / "files")),
        "everything": stock_server("server-everything", "stdio"),
    }
    config = place / "mcp.json"
    entries = {name: {"command": command[0], "args": list(command[1:])} for name, command in servers.items()}
    config.write_text(json.dumps({"mcpServers": entries}, indent=2))
    log = place / "payments"
    assert main(["init", str(log), "--origin", "example.com/files"]) == 0
    for command in servers.values():
        assert main(["gateway", "draft", "-o", str(place / "contracts"), "--", *command]) == 0
    refused(log, place / "contracts")
    for draft in (place / "contracts").iterdir():
        settle(draft)
        assert main(["contract", "add", str(draft), "--log", str(log)]) == 0
    assert main(["gateway", "install", "--file", str(config), "--log", str(log)]) == 0
    installed = {
        name: StdioServerParameters(
            command=entry["command"],
            args=entry["args"],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "INVOKE_LOG_PASSPHRASE_FILE": "it is nothing to a server"},
        )
        for name, entry in json.loads(config.read_text())["mcpServers"].items()
    }
    return Wired(log=log, files=place / "files", drafts=place / "contracts", installed=installed)


def refused(log: Path, drafts: Path) -> None:
    """Check that no draft is taken as it was written, neither by itself nor by a gateway that registers a folder."""
    written = sorted(drafts.iterdir())
    assert len(written) > 20
    assert {draft: main(["contract", "add", str(draft), "--log", str(log)]) for draft in written} == dict.fromkeys(
        written, 4
    )
    assert main(["gateway", "--log", str(log), "--contracts", str(drafts), "--", "never-run"]) == 4
    with il.Log.open(log, read_only=True) as opened:
        assert opened.governance.contracts == {}


def settle(draft: Path) -> None:
    """Say of a tool what only a person can, by its draft's name."""
    effect_class, resource = WRITES.get(draft.stem, ("none", draft.stem))
    text = draft.read_text()
    for field, value in (("effect_class", effect_class), ("resource", resource), ("observability", "fire-and-forget")):
        text = text.replace(f'{field} = "REVIEW"', f'{field} = "{value}"')
    assert "it only reads: yes" not in text or effect_class == "none"
    draft.write_text(text)


@pytest.fixture(scope="module", params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def files(wired: Wired, era: str) -> Iterator[Ask]:
    with connected(wired.installed["files"], era=era) as ask:
        yield ask


@pytest.fixture(scope="module")
def everything(wired: Wired, era: str) -> Iterator[Ask]:
    with connected(wired.installed["everything"], era=era) as ask:
        yield ask


@pytest.fixture(scope="module")
def alone() -> Iterator[Ask]:
    """The server without a gateway: it knows the handshake era only."""
    command, *args = stock_server("server-everything", "stdio")
    with connected(StdioServerParameters(command=command, args=args), era="legacy") as ask:
        yield ask


def text_of(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


def same(first: CallToolResult, again: CallToolResult) -> None:
    """Check that a call was answered, and issued again was told the recorded answer."""
    assert not first.is_error, first
    assert (first.content, first.structured_content) == (again.content, again.structured_content)
    assert [(each.meta or {})["invoke-log/fresh"] for each in (first, again)] == [True, False]


def test_a_file_is_written_once(wired: Wired, files: Ask, era: str) -> None:
    file = wired.files / f"{era}.txt"
    call = ("write_file", {"path": str(file), "content": "one\n"})
    [first] = told(files, call)
    assert file.read_text() == "one\n"
    file.unlink()
    again, other = told(files, call, ("write_file", {"path": str(file), "content": "two\n"}))
    same(first, again)
    assert fields_of(other)["status"] == "conflict"
    assert not file.exists()


def test_a_directory_is_made_once_and_a_file_moved_once(wired: Wired, files: Ask, era: str) -> None:
    folder, source, moved = (wired.files / f"{era}-{name}" for name in ("folder", "source", "moved"))
    source.write_text("here")
    calls = (
        ("create_directory", {"path": str(folder)}),
        ("move_file", {"source": str(source), "destination": str(moved)}),
    )
    first = told(files, *calls)
    assert folder.is_dir()
    assert moved.read_text() == "here"
    folder.rmdir()
    moved.rename(source)
    for one, other in zip(first, told(files, *calls), strict=True):
        same(one, other)
    assert not folder.exists()
    assert not moved.exists()


def test_arguments_with_records_inside_are_under_a_contract_too(wired: Wired, files: Ask, era: str) -> None:
    file = wired.files / f"{era}-edited"
    file.write_text("old\n")
    call = ("edit_file", {"path": str(file), "edits": [{"oldText": "old", "newText": "new"}]})
    [first] = told(files, call)
    assert file.read_text() == "new\n"
    file.write_text("old\n")
    [again] = told(files, call)
    same(first, again)
    assert file.read_text() == "old\n"


def test_reads_pass_and_see_what_is_there_now(wired: Wired, files: Ask, era: str) -> None:
    file = wired.files / f"{era}-read"
    for content in ("first", "second"):
        file.write_text(content)
        read, listed = told(
            files, ("read_text_file", {"path": str(file)}), ("list_directory", {"path": str(wired.files)})
        )
        assert text_of(read) == content
        assert file.name in text_of(listed)


def test_an_error_of_the_server_proves_nothing_and_blocks(wired: Wired, files: Ask, era: str) -> None:
    call = ("write_file", {"path": f"{wired.files}-outside/{era}", "content": "no"})
    first, again = told(files, call, call)
    assert fields_of(first)["code"] == "outcome-unknown"
    assert fields_of(again)["code"] == "blocked"


def test_the_list_of_tools_is_the_servers_own(everything: Ask, alone: Ask, era: str) -> None:
    left_out = {"meta", "execution"} if era == ERAS[0] else {"meta"}  # the newer protocol has no `execution`

    async def tools(client: Client) -> list[Any]:
        return [tool.model_dump(exclude=left_out) for tool in (await client.list_tools()).tools]

    assert everything(tools) == alone(tools)


def test_tools_that_only_answer_pass_as_they_are(everything: Ask, alone: Ask) -> None:
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("echo", {"message": "hello"}),
        ("get-sum", {"a": 2, "b": 3.5}),
        ("get-structured-content", {"location": "Chicago"}),
        ("get-tiny-image", {}),
        ("get-sum", {"a": "two", "b": 3}),
        ("echo", {}),
    )
    behind, without = told(everything, *calls), told(alone, *calls)
    assert [(each.content, each.structured_content, each.is_error) for each in behind] == [
        (each.content, each.structured_content, each.is_error) for each in without
    ]
    assert [each.is_error for each in behind] == [False, False, False, False, True, True]
    assert "hello" in text_of(behind[0])
    assert "5.5" in text_of(behind[1])


def test_a_tool_that_takes_long_tells_its_progress(everything: Ask) -> None:
    told_so_far: list[tuple[float, float | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told_so_far.append((progress, total))

    async def long(client: Client) -> CallToolResult:
        arguments = {"duration": 0.4, "steps": 4}
        return await client.call_tool("trigger-long-running-operation", arguments, progress_callback=hear)

    assert "completed" in text_of(everything(long))
    assert told_so_far == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_is_no_tool_passes_as_it_is(everything: Ask, alone: Ask) -> None:
    async def rest(client: Client) -> list[Any]:
        resources = (await client.list_resources()).resources
        prompts = (await client.list_prompts()).prompts
        return [
            [each.model_dump(exclude={"meta"}) for each in (*resources, *prompts)],
            (await client.read_resource(resources[0].uri)).contents,
            (await client.get_prompt("args-prompt", {"city": "Chicago"})).messages,
        ]

    assert everything(rest) == alone(rest)


def test_a_tool_that_makes_something_makes_it_once(everything: Ask, era: str) -> None:
    name = f"{era}.gz"
    call = ("gzip-file-as-resource", {"name": name, "data": "data:text/plain;base64,aGVsbG8="})
    first, again = told(everything, call, call)
    same(first, again)
    assert any(getattr(block, "name", None) == name for block in first.content)


def test_a_server_is_told_nothing_of_where_keys_lie(everything: Ask) -> None:
    [result] = told(everything, ("get-env", {}))
    names = set(json.loads(text_of(result)))
    assert "PATH" in names
    assert not {name for name in names if re.match("INVOKE_LOG", name)}


def test_replay_agrees_with_what_was_told(wired: Wired, files: Ask) -> None:
    assert il.replay(wired.log).ok
