"""Where clients keep their servers, and what becomes of each server that is put behind the gateway or taken back."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from invoke_log.errors import ConfigInvalidError, NotFoundError
from invoke_log.surfaces import client_config
from invoke_log.surfaces.client_config import CLIENTS, SCOPES, Place, Plan

GATEWAY = ["/opt/bin/invoke-log", "gateway", "--log", "/srv/payments"]
SERVERS: dict[str, Any] = {
    "shop": {"command": "npx", "args": ["-y", "shop", "--", "-v"], "env": {"KEY": "1"}},
    "bare": {"command": "bank"},
    "near": {"command": "files", "args": ["src/invoke-log"]},
    "far": {"type": "http", "url": "https://example.com/mcp"},
    "log": {"command": "invoke-log", "args": ["mcp", "--log", "payments"]},
    "by-hand": {"command": "python", "args": ["-m", "invoke_log", "--log", "p", "gateway", "--", "node", "s.js"]},
    "no-dashes": {"command": "uvx", "args": ["invoke-log", "gateway", "--upstream", "https://example.com/mcp"]},
    "extension": {"settings": {}},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "APPDATA", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def place_with(folder: Path, servers: dict[str, Any]) -> Place:
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": servers}))
    return client_config.place_of(file)


def servers_of(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.after)["mcpServers"]
    return found


@pytest.mark.parametrize(
    ("platform", "files"),
    [
        (
            "linux",
            {
                "claude-desktop": ".config/Claude/claude_desktop_config.json",
                "vscode user": ".config/Code/User/mcp.json",
                "zed": ".config/zed/settings.json",
            },
        ),
        (
            "darwin",
            {
                "claude-desktop": "Library/Application Support/Claude/claude_desktop_config.json",
                "vscode user": "Library/Application Support/Code/User/mcp.json",
                "zed": ".config/zed/settings.json",
            },
        ),
        (
            "win32",
            {
                "claude-desktop": "AppData/Roaming/Claude/claude_desktop_config.json",
                "vscode user": "AppData/Roaming/Code/User/mcp.json",
                "zed": "AppData/Roaming/Zed/settings.json",
            },
        ),
    ],
)
def test_each_client_keeps_its_servers_where_the_system_wants_it(
    platform: str, files: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    everywhere = {
        "claude-code": ".mcp.json",
        "claude-code user": ".claude.json",
        "claude-code local": ".claude.json",
        "cursor": ".cursor/mcp.json",
        "vscode": ".vscode/mcp.json",
        "windsurf": ".codeium/windsurf/mcp_config.json",
        "zed project": ".zed/settings.json",
        "codex": ".codex/config.toml",
    }
    for named, file in {**everywhere, **files}.items():
        client, _, scope = named.partition(" ")
        found = client_config.places(client)
        assert found[scope or next(iter(found))].file == home / file
    keys = {client: next(iter(client_config.places(client).values())).keys[0] for client in CLIENTS}
    assert {client: key for client, key in keys.items() if key != "mcpServers"} == {
        "vscode": "servers",
        "zed": "context_servers",
        "codex": "mcp_servers",
    }
    assert client_config.places("claude-code")["local"].keys == ("projects", str(home), "mcpServers")
    assert {scope for client in CLIENTS for scope in client_config.places(client)} == set(SCOPES)


def test_the_environment_moves_what_it_moves_for_the_clients(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.setenv(name, str(home / name))
    found = {client: client_config.places(client)["user"].file for client in ("zed", "claude-code", "codex", "vscode")}
    assert found == {
        "zed": home / "XDG_CONFIG_HOME" / "zed" / "settings.json",
        "claude-code": home / "CLAUDE_CONFIG_DIR" / ".claude.json",
        "codex": home / "CODEX_HOME" / "config.toml",
        "vscode": home / "XDG_CONFIG_HOME" / "Code" / "User" / "mcp.json",
    }
    monkeypatch.setattr(sys, "platform", "darwin")
    assert client_config.places("zed")["user"].file == home / ".config" / "zed" / "settings.json"


def test_without_names_all_that_can_be_are_put_behind_the_gateway_and_taken_back(tmp_path: Path) -> None:
    place = place_with(tmp_path, SERVERS)
    plan = client_config.install(place, [], GATEWAY)
    assert {server.name: server.state for server in plan.servers} == {
        "shop": "installed",
        "bare": "installed",
        "near": "installed",
        "far": "skipped",
        "log": "skipped",
        "by-hand": "unchanged",
        "no-dashes": "unchanged",
        "extension": "skipped",
    }
    assert servers_of(plan) == {
        **SERVERS,
        "shop": {
            "command": GATEWAY[0],
            "args": [*GATEWAY[1:], "--", "npx", "-y", "shop", "--", "-v"],
            "env": {"KEY": "1"},
        },
        "bare": {"command": GATEWAY[0], "args": [*GATEWAY[1:], "--", "bank"]},
        "near": {"command": GATEWAY[0], "args": [*GATEWAY[1:], "--", "files", "src/invoke-log"]},
    }
    place.file.write_text(plan.after)
    again = client_config.install(place, [], GATEWAY)
    assert again.after == plan.after
    assert {server.why for server in again.servers if server.state == "unchanged"} == {
        f"it is already: {' '.join(GATEWAY)}",
        "it is already: python -m invoke_log --log p gateway",
        "it is already: uvx invoke-log gateway --upstream https://example.com/mcp",
    }
    assert "installed" not in {server.state for server in again.servers}
    back = client_config.uninstall(place, ["shop", "bare", "near"])
    assert back.after == plan.before
    assert [server.command for server in back.servers[:2]] == [("npx", "-y", "shop", "--", "-v"), ("bank",)]


def test_what_was_put_there_by_hand_is_taken_back_too(tmp_path: Path) -> None:
    plan = client_config.uninstall(place_with(tmp_path, SERVERS), ["by-hand", "shop"])
    assert servers_of(plan)["by-hand"] == {"command": "node", "args": ["s.js"]}
    assert [server.state for server in plan.servers] == ["restored", "unchanged"]


def test_a_server_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    place = place_with(tmp_path, SERVERS)
    names = ["shop", "ship", "sheep"]
    for change in (partial(client_config.install, gateway=GATEWAY), client_config.uninstall):
        with pytest.raises(NotFoundError, match="no server 'ship', 'sheep'") as caught:
            change(place, names)
        assert caught.value.hint is not None
        assert "'shop', 'bare', 'near', 'far'" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "why"),
    [("far", "over HTTP"), ("log", "the log's own server"), ("extension", "it has no command that is a text")],
)
def test_a_server_that_is_named_and_cannot_be_put_there_is_an_error(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalidError, match=why):
        client_config.install(place_with(tmp_path, SERVERS), ["shop", name], GATEWAY)


@pytest.mark.parametrize("args", ["-y", ["-y", 1], {"0": "-y"}, None])
def test_arguments_that_are_no_list_of_texts_leave_that_server_out(args: object, tmp_path: Path) -> None:
    place = place_with(tmp_path, {"odd": {"command": "invoke-log", "args": args}, "bare": {"command": "bank"}})
    plans = [client_config.install(place, [], GATEWAY), client_config.uninstall(place, [])]
    assert [[server.state for server in plan.servers] for plan in plans] == [
        ["skipped", "installed"],
        ["skipped", "unchanged"],
    ]
    assert [plan.servers[0].why for plan in plans] == ["args is not a list of texts"] * 2
    assert servers_of(plans[0])["odd"] == {"command": "invoke-log", "args": args}
    for change in (partial(client_config.install, gateway=GATEWAY), client_config.uninstall):
        with pytest.raises(ConfigInvalidError, match=r"'odd'.*: args is not a list of texts"):
            change(place, ["odd"])


def test_a_gateway_without_a_command_is_not_taken_back(tmp_path: Path) -> None:
    place = place_with(tmp_path, SERVERS)
    with pytest.raises(ConfigInvalidError, match="no command of its own stands behind a --"):
        client_config.uninstall(place, ["no-dashes"])
    everything = client_config.uninstall(place, [])
    states = {server.name: server.state for server in everything.servers if server.state != "unchanged"}
    assert states == {"by-hand": "restored", "no-dashes": "skipped"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "line 1"),
        ("{}", "no table of servers"),
        ('{"mcpServers": []}', "no table of servers"),
        ('{"mcpServers": {}}', "no server in mcpServers"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_file_without_servers_is_said_so(text: str, error: str, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(text)
    with pytest.raises(ConfigInvalidError, match=error):
        client_config.server_names(client_config.place_of(file))


def test_a_file_that_is_no_text_and_one_that_is_not_there_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        client_config.place_of(tmp_path / "gone.json")
    (tmp_path / "mcp.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ConfigInvalidError, match="not UTF-8"):
        client_config.place_of(tmp_path / "mcp.json")
