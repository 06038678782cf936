"""`gateway` is a verb and a group of verbs: what stands behind `--` is a COMMAND, whatever it is called."""

import sys
from pathlib import Path
from typing import Final

import click
import pytest

import invoke_log as il
from invoke_log.surfaces.cli.gateway import gateway
from invoke_log.surfaces.cli.main import cli, main
from invoke_log.surfaces.mcp_server import serving
from invoke_log.surfaces.mcp_server.upstream import Command

TOOLLESS: Final = """
import asyncio
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

async def main():
    server = Server("toolless")
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())

asyncio.run(main())
"""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """The commands that were served, and what becomes of tools without a contract; none is started."""
    il.Log.create(tmp_path / "payments", origin="example.com/payments").close()
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[list[str], str]] = []

    async def serve(guard: il.Guard, source: Command, *, default: str, approver: object, at: object) -> None:
        calls.append((source.words, default))

    monkeypatch.setattr(serving, "serve_gateway", serve)
    return calls


@pytest.mark.parametrize(
    ("line", "command", "default"),
    [
        ("gateway --log payments -- npx -y shop", "npx -y shop", "deny"),
        ("gateway --default observe --log payments -- npx --log x --json -- -v", "npx --log x --json -- -v", "observe"),
        ("--log payments gateway -- install claude-code", "install claude-code", "deny"),
        ("gateway --log payments --contracts payments/keys -- --help", "--help", "deny"),
    ],
)
def test_what_stands_behind_the_dashes_is_the_command(
    line: str, command: str, default: str, served: list[tuple[list[str], str]]
) -> None:
    assert main(line.split()) == 0
    assert served == [(command.split(), default)]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("gateway --log payments", "give the server behind as -- COMMAND"),
        ("gateway --log payments --", "give the server behind as -- COMMAND"),
        ("gateway --log payments npx -y shop", "no such command 'npx'"),
        ("gateway --defualt observe -- npx", "no such option '--defualt'"),
        ("gateway --default observe install codex", "--default stands before install"),
        ("gateway draft", "give the server behind as -- COMMAND, or as --upstream URL"),
    ],
)
def test_a_line_that_means_nothing_is_said_so(
    line: str, error: str, served: list[tuple[list[str], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert error in capsys.readouterr().err
    assert served == []


def test_its_help_has_its_options_and_its_verbs() -> None:
    text = gateway.get_help(click.Context(gateway, info_name="gateway", parent=click.Context(cli)))
    assert "gateway [OPTIONS] -- COMMAND..." in text
    for word in ("--contracts", "--default", "--log", "draft", "install", "uninstall"):
        assert word in text


def test_a_server_without_tools_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = tmp_path / "server.py"
    server.write_text(TOOLLESS)
    assert main(["gateway", "draft", "-o", str(tmp_path / "drafts"), "--", sys.executable, str(server)]) == 2
    assert "does not list its tools: Method not found" in capsys.readouterr().err
    assert not (tmp_path / "drafts").exists()
