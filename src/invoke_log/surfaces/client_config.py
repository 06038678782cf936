"""Where MCP clients keep their servers, and those servers behind the gateway and back.

Nothing is kept aside: what a server's command was stands behind the `--` of what it is now, so that edits made since
are kept, whoever made them.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from invoke_log.errors import ConfigInvalidError, NotFoundError
from invoke_log.log.file import read_file
from invoke_log.surfaces.config_text import BEFORE, Change, ConfigText, changed, parse_config, put_before, take_back

PROGRAMS: Final = ("invoke-log", "invoke_log")
"""What runs the gateway: the command, or the module behind `python -m`."""
TABLES: Final = ("mcpServers", "servers", "context_servers", "mcp_servers")
"""How clients call the table of their servers."""
URLS: Final = ("url", "serverUrl", "httpUrl")
CLIENTS: Final = ("claude-desktop", "claude-code", "cursor", "vscode", "windsurf", "zed", "codex")
SCOPES: Final = ("user", "project", "local")
FILE_BYTES_MAX: Final = 64 << 20
"""Bytes of a client's file: some keep a whole history in it."""
NO_TEXTS: Final = "args is not a list of texts"
State = Literal["installed", "restored", "unchanged", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A table of servers: its file, and the names that lead to it."""

    file: Path
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What becomes of a server. command: what the client runs from now on; empty where it runs none. why: its state."""

    name: str
    state: State
    command: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A file as it is and as it would be, and what becomes of each server that was asked for."""

    place: Place
    before: str
    after: str
    servers: tuple[Server, ...]


def places(client: str) -> dict[str, Place]:
    """Return where a client of `CLIENTS` keeps its servers on this machine, by scope; the usual one first."""
    home, here = Path.home(), Path.cwd()
    claude = Path(os.environ.get("CLAUDE_CONFIG_DIR") or home) / ".claude.json"
    codex = Path(os.environ.get("CODEX_HOME") or home / ".codex")
    zed = _settings("Zed") if sys.platform == "win32" else _dotted() / "zed"
    files: dict[str, dict[str, tuple[Path, tuple[str, ...]]]] = {
        "claude-desktop": {"user": (_settings("Claude") / "claude_desktop_config.json", ("mcpServers",))},
        "claude-code": {
            "project": (here / ".mcp.json", ("mcpServers",)),
            "user": (claude, ("mcpServers",)),
            "local": (claude, ("projects", str(here), "mcpServers")),
        },
        "cursor": {
            "user": (home / ".cursor" / "mcp.json", ("mcpServers",)),
            "project": (here / ".cursor" / "mcp.json", ("mcpServers",)),
        },
        "vscode": {
            "project": (here / ".vscode" / "mcp.json", ("servers",)),
            "user": (_settings("Code") / "User" / "mcp.json", ("servers",)),
        },
        "windsurf": {"user": (home / ".codeium" / "windsurf" / "mcp_config.json", ("mcpServers",))},
        "zed": {
            "user": (zed / "settings.json", ("context_servers",)),
            "project": (here / ".zed" / "settings.json", ("context_servers",)),
        },
        "codex": {
            "user": (codex / "config.toml", ("mcp_servers",)),
            "project": (here / ".codex" / "config.toml", ("mcp_servers",)),
        },
    }
    return {scope: Place(file=file, keys=keys) for scope, (file, keys) in files[client].items()}


def place_of(file: Path) -> Place:
    """Return where the servers stand in a file of whatever client.

    Raises: NotFoundError, ConfigInvalidError: no file, none that can be read, or no table of servers in it.
    """
    value = _read(file).value
    for name in TABLES:
        if type(value.get(name)) is dict:
            return Place(file=file, keys=(name,))
    raise ConfigInvalidError(f"{file}: no table of servers", hint=f"one of {', '.join(TABLES)} has to be there")


def server_names(place: Place) -> list[str]:
    """Return the names of the servers at a place. Raises: NotFoundError, ConfigInvalidError: as `place_of`."""
    return list(_table(_read(place.file), place))


def install(place: Place, names: Sequence[str], gateway: Sequence[str]) -> Plan:
    """Return the plan that puts servers behind the gateway; without names, all whose command is known.

    Args: gateway: how the gateway is started, up to the `--` before a server's own command.
    Raises: NotFoundError, ConfigInvalidError: a server that is not there, or that cannot be put behind it.
    """
    config = _read(place.file)
    servers: list[Server] = []
    changes: list[Change] = []
    for name in _chosen(config, place, names):
        entry = _table(config, place)[name]
        command = _command(entry)
        why = _not_put(entry, command)
        if not why:
            changes.append(put_before(config, (*place.keys, name), gateway))
            server = Server(name=name, state="installed", command=(*gateway, BEFORE, *command))
        elif _gateway_of(command) is not None:
            server = Server(name=name, state="unchanged", command=command, why=why)
        elif names:
            raise ConfigInvalidError(f"{place.file}: server {name!r} cannot be put behind the gateway: {why}")
        else:
            server = Server(name=name, state="skipped", command=command, why=why)
        servers.append(server)
    return Plan(place=place, before=config.text, after=changed(config, changes), servers=tuple(servers))


def uninstall(place: Place, names: Sequence[str]) -> Plan:
    """Return the plan that gives servers back the command that they had; without names, all behind the gateway.

    Raises: NotFoundError, ConfigInvalidError: a server that is not there, or whose command cannot be told.
    """
    config = _read(place.file)
    servers: list[Server] = []
    changes: list[Change] = []
    for name in _chosen(config, place, names):
        entry = _table(config, place)[name]
        command = _command(entry)
        behind = _gateway_of(command)
        why = NO_TEXTS if _is_of_no_texts(entry) else ""
        if behind is None and not why:
            server = Server(name=name, state="unchanged", command=command, why="it is not behind the gateway")
        elif behind is None or BEFORE not in command[:-1]:
            why = why or "no command of its own stands behind a --"
            if names:
                raise ConfigInvalidError(f"{place.file}: server {name!r}: {why}", hint="edit it by hand")
            server = Server(name=name, state="skipped", command=command, why=why)
        else:
            changes.append(take_back(config, (*place.keys, name)))
            server = Server(name=name, state="restored", command=command[len(behind) + 1 :])
        servers.append(server)
    return Plan(place=place, before=config.text, after=changed(config, changes), servers=tuple(servers))


def _read(file: Path) -> ConfigText:
    try:
        text = read_file(file, "config", bytes_max=FILE_BYTES_MAX, wrong=ConfigInvalidError).decode()
    except ValueError as error:
        raise ConfigInvalidError(f"{file}: not UTF-8 text") from error
    try:
        return parse_config(text, toml=file.suffix == ".toml")
    except (ValueError, RecursionError) as error:
        raise ConfigInvalidError(f"{file}: {error}", hint="nothing was written: put it right first") from error


def _table(config: ConfigText, place: Place) -> dict[str, Any]:
    value: Any = config.value
    for key in place.keys:
        value = value.get(key) if type(value) is dict else None
    if type(value) is not dict or not value:
        raise ConfigInvalidError(f"{place.file}: no server in {'.'.join(place.keys)}")
    return value


def _chosen(config: ConfigText, place: Place, names: Sequence[str]) -> list[str]:
    table = _table(config, place)
    missing = [name for name in names if name not in table]
    if missing:
        found = ", ".join(repr(name) for name in table)
        raise NotFoundError(f"{place.file}: no server {', '.join(map(repr, missing))}", hint=f"there is {found}")
    return list(dict.fromkeys(names)) or list(table)


def _command(entry: object) -> tuple[str, ...]:
    """A server's command and arguments; empty where it has none, or they are not texts."""
    if not isinstance(entry, dict) or type(entry.get("command")) is not str or _is_of_no_texts(entry):
        return ()
    return (entry["command"], *entry.get("args", []))


def _is_of_no_texts(entry: object) -> bool:
    """Whether a server's arguments are something else than a list of texts."""
    args = entry.get("args", []) if isinstance(entry, dict) else []
    return type(args) is not list or not all(type(word) is str for word in args)


def _not_put(entry: object, command: tuple[str, ...]) -> str:
    """Why a server is not put behind the gateway; empty where it can be."""
    behind = _gateway_of(command)
    if behind is not None:
        return f"it is already: {' '.join(behind)}"
    if not command and isinstance(entry, dict) and any(name in entry for name in URLS):
        return "it is reached over HTTP, and its client holds what lets it in"
    if not command:
        return NO_TEXTS if _is_of_no_texts(entry) else "it has no command that is a text"
    return "it is the log's own server" if _runs(command, "mcp") else ""


def _gateway_of(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """How the gateway is started that a command runs, up to the `--`; None: it runs none."""
    behind = command[: command.index(BEFORE)] if BEFORE in command else command
    return behind if _runs(behind, "gateway") else None


def _runs(command: Sequence[str], verb: str) -> bool:
    """Whether a command runs a verb of ours, by whatever starts it: a path, `python -m`, `uvx`."""
    before = command[: command.index(verb)] if verb in command else ()
    return any(re.split(r"[/\\]", word)[-1].removesuffix(".exe") in PROGRAMS for word in before)


def _dotted() -> Path:
    """Where programs of the desktop keep their settings; on macOS too, those that do as on Linux."""
    given = os.environ.get("XDG_CONFIG_HOME") if sys.platform != "darwin" else None
    return Path(given) if given else Path.home() / ".config"


def _settings(name: str) -> Path:
    """The folder where a program of the desktop keeps its settings, as the operating system wants it."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / name
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / name
    return _dotted() / name
