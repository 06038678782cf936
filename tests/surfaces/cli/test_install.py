"""`gateway install` and `uninstall` on real files: what is written, when nothing is, and what is said."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import invoke_log as il
from invoke_log.surfaces import client_config
from invoke_log.surfaces.cli.main import cli, main

ENTRY: dict[str, Any] = {"command": "npx", "args": ["-y", "shop"], "env": {"TOKEN": "secret"}}
CODEX = '[mcp_servers.shop]\ncommand = "npx" # the shop\nargs = ["-y", "shop"]\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log, where a client of each format has one server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INVOKE_LOG_KEY", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "argv", ["pytest"])
    il.Log.create(Path("payments"), origin="example.com/payments").close()
    Path(".mcp.json").write_text(json.dumps({"mcpServers": {"shop": ENTRY, "far": {"url": "https://example.com"}}}))
    Path("home/.codex").mkdir(parents=True)
    Path("home/.codex/config.toml").write_text(CODEX)
    return tmp_path


def entry(name: str = "shop") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(".mcp.json").read_text())["mcpServers"][name]
    return found


def written(file: Path) -> tuple[int, int]:
    """Which file it is, and when it was last written: not when it was last read."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns


def gateway_of(here: Path, *options: str) -> list[str]:
    return ["-m", "invoke_log", "gateway", "--log", str(here / "payments"), *options, "--"]


def test_a_server_goes_behind_the_gateway_and_comes_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(".mcp.json").read_bytes()
    Path(".mcp.json").chmod(0o640)
    assert main(["gateway", "install", "claude-code", "--log", "payments"]) == 0
    said = capsys.readouterr()
    args = [*gateway_of(here), "npx", "-y", "shop"]
    assert entry() == {"command": sys.executable, "args": args, "env": ENTRY["env"]}
    assert said.out.splitlines()[0].startswith(f"installed  shop: {sys.executable} -m invoke_log gateway --log ")
    assert said.out.splitlines()[1] == "skipped    far: it is reached over HTTP, and its client holds what lets it in"
    assert "start the client again" in said.err
    installed = Path(".mcp.json").stat()
    assert stat.S_IMODE(installed.st_mode) == 0o640
    assert main(["gateway", "install", "claude-code", "shop", "--log", "payments"]) == 0
    again = capsys.readouterr()
    assert again.out.startswith("unchanged  shop: it is already: ")
    assert again.err == ""
    assert Path(".mcp.json").stat().st_ino == installed.st_ino
    assert main(["gateway", "uninstall", "claude-code", "shop"]) == 0
    assert capsys.readouterr().out == "restored   shop: npx -y shop\n"
    assert Path(".mcp.json").read_bytes() == before
    assert [file.name for file in here.iterdir() if ".mcp.json." in file.name] == []


def test_options_and_places_are_written_so_that_they_hold_everywhere(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("contracts").mkdir()
    program = here / "bin" / "invoke-log"
    program.parent.mkdir()
    program.symlink_to(here / "elsewhere" / "invoke-log")
    program.resolve().parent.mkdir()
    program.resolve().touch()
    monkeypatch.setattr(sys, "argv", ["bin/invoke-log"])
    monkeypatch.setenv("INVOKE_LOG", "payments")
    monkeypatch.setenv("INVOKE_LOG_KEY", "agent.key")
    options = ["--default", "ask", "--contracts", "contracts", "--approver", "person.key"]
    assert main(["gateway", "install", "claude-code", *options, "shop"]) == 0
    assert entry()["command"] == str(program)
    assert entry()["args"] == [
        *("gateway", "--log", str(here / "payments"), "--key", str(here / "agent.key")),
        *("--contracts", str(here / "contracts"), "--default", "ask", "--approver", str(here / "person.key")),
        *("--", "npx", "-y", "shop"),
    ]
    monkeypatch.setenv("INVOKE_LOG_KEY", "ssh-agent:key_00")
    assert main(["gateway", "install", "codex"]) == 0
    assert '"--key", "ssh-agent:key_00", "--", "npx", "-y", "shop"]' in Path("home/.codex/config.toml").read_text()


def test_a_toml_file_keeps_its_comments(here: Path) -> None:
    assert main(["gateway", "install", "codex", "--log", "payments"]) == 0
    text = Path("home/.codex/config.toml").read_text()
    assert f'command = "{sys.executable}" # the shop\n' in text
    assert main(["gateway", "uninstall", "codex"]) == 0
    assert Path("home/.codex/config.toml").read_text() == CODEX


def test_a_dry_run_says_what_would_change_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("home/.codex/config.toml").write_text(f'{CODEX}env = {{ TOKEN = "secret" }}\n')
    before = written(Path("home/.codex/config.toml"))
    assert main(["gateway", "install", "codex", "--log", "payments", "--dry-run"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if line[0] not in "+-@"] == []  # what stays may be a secret
    assert f'+command = "{sys.executable}" # the shop' in out
    assert '-args = ["-y", "shop"]' in out
    assert main(["gateway", "install", "codex", "--log", "payments", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["v"], said["written"]) == (1, False)
    assert said["diff"].splitlines() == out
    assert written(Path("home/.codex/config.toml")) == before


def test_json_has_what_became_of_each_server(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "install", "claude-code", "--log", "payments", "--json"]) == 0
    shop = {"name": "shop", "state": "installed", "command": [sys.executable, *gateway_of(here), "npx", "-y", "shop"]}
    assert json.loads(capsys.readouterr().out) == {
        "v": 1,
        "file": str(here / ".mcp.json"),
        "written": True,
        "servers": [
            {**shop, "why": ""},
            {
                "name": "far",
                "state": "skipped",
                "command": [],
                "why": "it is reached over HTTP, and its client holds what lets it in",
            },
        ],
    }


def test_a_file_behind_a_link_is_written_where_it_is(here: Path) -> None:
    Path(".mcp.json").rename("dotfile.json")
    Path(".mcp.json").symlink_to("dotfile.json")
    assert main(["gateway", "install", "claude-code", "--log", "payments"]) == 0
    assert Path(".mcp.json").is_symlink()
    assert json.loads(Path("dotfile.json").read_text())["mcpServers"]["shop"]["command"] == sys.executable


def test_what_a_client_wrote_meanwhile_is_not_undone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = client_config.install

    def changed(*arguments: Any) -> client_config.Plan:
        plan = planned(*arguments)
        Path(".mcp.json").write_text('{"theirs": 1}')
        return plan

    monkeypatch.setattr(client_config, "install", changed)
    assert main(["gateway", "install", "claude-code", "--log", "payments"]) == 2
    assert Path(".mcp.json").read_text() == '{"theirs": 1}'
    assert sorted(file.name for file in here.iterdir()) == [".mcp.json", "home", "payments"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["claude-code"], "no log is named"),
        (["claude-code", "--log", "gone"], "log gone: no such directory"),
        (["--log", "payments"], "found nothing, want one of claude-desktop"),
        (["emacs", "--log", "payments"], "found 'emacs', want one of claude-desktop"),
        (["cursor", "--log", "payments"], "mcp.json: No such file or directory"),
        (["codex", "--scope", "local", "--log", "payments"], "codex has no scope local, but user, project"),
        (["--file", ".mcp.json", "--scope", "user", "--log", "payments"], "--scope says which file of a CLIENT"),
        (["claude-code", "ship", "--log", "payments"], "no server 'ship'"),
        (
            ["claude-code", "far", "--log", "payments"],
            "'far' cannot be put behind the gateway: it is reached over HTTP",
        ),
        (["--file", "bad.json", "--log", "payments"], "bad.json: want a colon: line 1 column 6"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    arguments: list[str], error: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INVOKE_LOG", raising=False)
    Path("bad.json").write_text('{"a" 1}')
    before = written(Path(".mcp.json"))
    assert main(["gateway", "install", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert error in said.err
    assert written(Path(".mcp.json")) == before


def test_whoever_may_not_read_the_file_may_not_read_what_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is private from its first byte on, before it has the mode of the old one."""
    seen: list[int] = []
    real = os.fchmod

    def watched(descriptor: int, mode: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    assert main(["gateway", "install", "claude-code", "--log", "payments"]) == 0
    assert seen == [0o600]


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        ("gateway", "", ["draft", "install", "uninstall"]),
        ("gateway install", "c", ["claude-code", "claude-desktop", "codex", "cursor"]),
        ("gateway install claude-code", "", ["far", "shop"]),
        ("gateway uninstall --file .mcp.json", "s", ["shop"]),
        ("gateway install emacs", "", []),
        ("gateway install --scope", "", ["local", "project", "user"]),
        ("gateway --default", "", ["ask", "deny", "observe"]),
    ],
)
def test_a_shell_completes_verbs_clients_and_servers(words: str, incomplete: str, found: list[str], here: Path) -> None:
    environment = {
        "_INVOKE_LOG_COMPLETE": "bash_complete",
        "COMP_WORDS": f"invoke-log {words} {incomplete}",
        "COMP_CWORD": str(len(words.split()) + 1),
    }
    result = CliRunner().invoke(cli, prog_name="invoke-log", env=environment)
    assert sorted(line.partition(",")[2] for line in result.output.splitlines() if line) == found
