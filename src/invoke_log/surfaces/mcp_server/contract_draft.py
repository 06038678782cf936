"""Drafts of contracts for the tools of a server, for a person to settle.

What a server says of its own tools is a hint, and goes into comments. What two calls being the same effect means, and
whether anybody can ask later, only somebody who knows the tool can say: there a draft has `REVIEW`, which no contract
file may have when it is loaded.
"""

import json
import math
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mcp import MCPError
from mcp.types import PaginatedRequestParams, Tool, ToolAnnotations

from invoke_log.errors import ConfigInvalidError, MalformedError
from invoke_log.format.limits import INTEGER_MAX
from invoke_log.guard.registry import REVIEW
from invoke_log.rules.contract import KEY_TYPES
from invoke_log.rules.schema import TOKEN_CHARACTERS, Schema, check
from invoke_log.surfaces.mcp_server.upstream import Source, Upstream
from invoke_log.surfaces.render import View, shown

PAGES_MAX: Final = 100
"""Pages of tools that a server is asked for: more than any has."""
NAME_CHARS_MAX: Final = 128
SAID_CHARS_MAX: Final = 600
"""Characters of a tool's description that a draft repeats."""
LINE_CHARS: Final = 110
TOKEN_MAX: Final = 512
TEXT_BYTES: Final = 16_384
ITEMS: Final = 100
DEPTH_MAX: Final = 8
NAMING: Final = frozenset(
    (
        *("account", "address", "branch", "bucket", "channel", "customer", "destination", "directory", "email", "file"),
        *("filename", "folder", "host", "id", "invoice", "key", "name", "number", "order", "owner", "path", "project"),
        *("recipient", "ref", "repo", "repository", "sha", "slug", "source", "table", "target", "to", "uri", "url"),
        *("user", "username", "uuid"),
    )
)
"""Words that names of arguments end with where the argument says which thing is meant, and not how it is to be."""
HINTS: Final = (
    ("read_only_hint", "it only reads"),
    ("destructive_hint", "it may destroy"),
    ("idempotent_hint", "twice is as once"),
    ("open_world_hint", "it reaches other systems"),
)


class _UnsupportedError(Exception):
    """A JSON Schema for which contracts have no type: what it is."""


async def list_tools(source: Source) -> tuple[str, list[Tool]]:
    """Return what an MCP server calls itself, and its tools; none is called.

    Raises: ConfigInvalidError: it does not answer as one.
    """
    upstream = Upstream(source, heard=_nothing, joined=_nothing)
    try:
        client = await upstream.client()
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                itself = client.server_info
                return (f"{itself.name} {itself.version}" if itself is not None else source.name), tools
        raise ConfigInvalidError(f"{source.name!r} has more than {PAGES_MAX} pages of tools")
    except MCPError as error:
        raise ConfigInvalidError(f"{source.name!r} does not list its tools: {error}") from error
    finally:
        await upstream.close()


async def _nothing(message: object) -> None:
    """What a server says unasked, and on its connection, changes no draft."""


def write_draft(folder: Path, tool: Tool, server: str) -> View:
    """Write a tool's draft into a folder, and return what became of it; a file that is there is never written.

    Raises: ConfigInvalidError: the folder cannot be written.
    """
    fields = {"tool": tool.name, "file": None, "state": "skipped"}
    if not 0 < len(tool.name) <= NAME_CHARS_MAX or not TOKEN_CHARACTERS.issuperset(tool.name):
        why = f"a contract's name has 1 to {NAME_CHARS_MAX} characters of A-Z a-z 0-9 _ - . : / @ + ="
        return View(fields={**fields, "why": why}, text=f"skipped  {shown(tool.name)}: {why}")
    # The name is the server's choice: it must lead to nowhere else, and no two of them to one file.
    file = folder / (re.sub(r"[^A-Za-z0-9_.-]|^\.", lambda odd: f"%{ord(odd[0]):02X}", tool.name) + ".toml")
    text = draft_of(tool, server)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        why = "it is there already"
        return View(fields={**fields, "file": str(file), "state": "kept", "why": why}, text=f"kept     {file}: {why}")
    except OSError as error:
        raise ConfigInvalidError(f"{file}: {error.strerror}") from error
    return View(fields={**fields, "file": str(file), "state": "written", "why": ""}, text=f"written  {file}")


def draft_of(tool: Tool, server: str) -> str:
    """Return the TOML text of a tool's draft. server: as it calls itself: its command may have a secret in it."""
    lines = [
        f"# Draft of a contract for a tool of {shown(server)[:LINE_CHARS]}.",
        "# A person who knows the tool settles each REVIEW and looks over the rest. Until then no log takes this file.",
        "#",
        *_said(tool),
        "",
        f"name = {_inline(tool.name)}",
    ]
    if tool.annotations is not None and tool.annotations.read_only_hint:
        lines += [
            "",
            '# "none" if it is true that it only reads: its calls pass as they are, whatever their arguments. If not,',
            "# it wants more; the drafts of tools that change something show what.",
            f"effect_class = {_inline(REVIEW)}",
            f"resource = {_inline(tool.name)}",
        ]
        return "\n".join(lines) + "\n"
    return "\n".join([*lines, *_promises(), *_arguments(tool.input_schema)]) + "\n"


def _said(tool: Tool) -> Iterator[str]:
    # Others wrote it: nothing of it may end the line of a comment.
    yield "# The server says, and only hints:"
    for line in (tool.description or tool.title or "nothing of what it does").strip()[:SAID_CHARS_MAX].splitlines():
        yield from (f"#   {shown(part)}" for part in textwrap.wrap(line, LINE_CHARS))
    hints = tool.annotations or ToolAnnotations()
    said = [
        f"{words}: {'yes' if value else 'no'}" for name, words in HINTS if (value := getattr(hints, name)) is not None
    ]
    yield f"#   {', '.join(said) or 'no hints'}"


def _promises() -> Iterator[str]:
    review = _inline(REVIEW)
    yield from (
        "",
        '# What kind of change a call makes, and a version: "file.write/1". Tools that make the same change share it.',
        '# "none" where it changes nothing.',
        f"effect_class = {review}",
        "",
        "# What a call acts on, the finest thing that makes sense, with its account in it; {argument} stands for the",
        '# value of an identity argument: "file/{path}".',
        f"resource = {review}",
        "",
        '# How it can be known later whether a call without an answer happened: "fire-and-forget" where nobody can',
        '# ask; else "transactional", "queryable" or "webhook-confirmable", with read_back, handle or webhook.',
        f"observability = {review}",
        "",
        "# The longest that it runs, in milliseconds, and how much longer its change may still land afterwards.",
        "timeout_ms = 30_000 # review",
        "quiescence_ms = 60_000 # review",
        "",
        "# Errors that prove that nothing happened, by code or whole text. A wrong one makes it happen twice.",
        "definite_failures = []",
        "",
        "# Two calls with the same identity arguments are one effect, which happens once. With other content they are",
        "# a conflict, and refused. purpose names the identity argument that says what for, such as an order.",
    )


def _arguments(schema: dict[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    if type(properties) is not dict or not properties:
        yield from ("", "# The server names no argument.")
        return
    required = schema.get("required")
    for name, of in properties.items():
        yield ""
        try:
            lines = list(_argument(name, of, schema))
        except _UnsupportedError as error:
            yield f"# {shown(name)}: {shown(str(error))}, which no contract can have. Calls that have it are refused."
            continue
        if (type(required) is list and name in required) or (isinstance(of, dict) and "default" in of):
            yield from lines
        else:
            yield f"# {shown(name)} may be left out, without a default: calls that have it are refused. To demand it:"
            yield from (f"# {line}" for line in lines)


def _argument(name: str, of: object, root: dict[str, Any]) -> Iterator[str]:
    if not name or not TOKEN_CHARACTERS.issuperset(name):
        raise _UnsupportedError("a name that is none for a contract")
    said: list[str] = []
    try:
        schema = _schema(of, root, said, names=_names(name), depth=0)
        if isinstance(of, dict) and "default" in of:
            check(schema, of["default"])
    except MalformedError as error:
        raise _UnsupportedError("a default that its own schema does not allow") from error
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:
        # What a server wrote need not be a JSON Schema.
        raise _UnsupportedError("a schema that is none") from error
    identity = _names(name) and schema["type"] in KEY_TYPES and not schema["nullable"]
    yield f"[arguments.{_key(name)}]"
    for line in said:
        yield f"# {line}"
    yield f"role = {_inline('identity' if identity else 'content')} # review"
    yield f"schema = {_inline(schema)}"
    if isinstance(of, dict) and "default" in of:
        if of["default"] is None:
            raise _UnsupportedError("a default of null")
        yield f"default = {_inline([of['default']])}"


def _schema(of: object, root: dict[str, Any], said: list[str], *, names: bool, depth: int) -> Schema:
    """A JSON Schema as a contract's. said: what it says otherwise. names: whether text says which thing is meant."""
    if depth == DEPTH_MAX:
        raise _UnsupportedError("a value inside itself, or very deep")
    found, nullable = _resolved(of, root)
    if "enum" in found or "const" in found:
        members = found.get("enum", [found.get("const")])
        if not members or not all(type(member) is str for member in members):
            raise _UnsupportedError("a choice of other than texts")
        return {"type": "enum", "of": list(dict.fromkeys(members)), "nullable": nullable}
    match found.get("type"):
        case "boolean":
            return {"type": "boolean", "nullable": nullable}
        case "integer" | "number" as kind:
            if kind == "number":
                said.append("A number with a fraction is refused: contracts have whole numbers, and decimals as text.")
            low, high = _bounds(found)
            return {"type": "integer", "min": low, "max": high, "nullable": nullable}
        case "string":
            length = max(math.floor(found.get("maxLength", TEXT_BYTES)), 1)
            if names and not nullable:
                said.append("A token has no blanks: letters, digits and _ - . : / @ + =")
                return {"type": "token", "max": min(length, TOKEN_MAX), "nullable": False}
            return {"type": "text", "max": min(4 * length, TEXT_BYTES), "nullable": nullable}
        case "array":
            if not isinstance(found.get("items"), dict):
                raise _UnsupportedError("a list of anything")
            items = _schema(found["items"], root, said, names=False, depth=depth + 1)
            size = min(max(math.floor(found.get("maxItems", ITEMS)), 1), TEXT_BYTES)
            return {"type": "list", "of": items, "max": size, "order": "as the caller gave it", "nullable": nullable}
        case "object":
            return _record(found, root, said, nullable=nullable, depth=depth)
        case other:
            raise _UnsupportedError(f"a value of type {other}" if other else "a value of any type")


def _record(of: dict[str, Any], root: dict[str, Any], said: list[str], *, nullable: bool, depth: int) -> Schema:
    properties = of.get("properties") or {}
    if not properties or of.get("additionalProperties") not in (None, False):
        raise _UnsupportedError("an object of any fields")
    optional = sorted(properties.keys() - set(of.get("required") or ()))
    if optional:
        raise _UnsupportedError(f"an object whose {', '.join(optional)} may be left out")
    if not all(TOKEN_CHARACTERS.issuperset(name) for name in properties):
        raise _UnsupportedError("an object with names that are none for a contract")
    fields = {name: _schema(inner, root, said, names=False, depth=depth + 1) for name, inner in properties.items()}
    return {"type": "record", "fields": dict(fields), "nullable": nullable}


def _resolved(of: object, root: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A schema without its reference and without null, and whether it may be null."""
    nullable = False
    for _ in range(DEPTH_MAX):
        if not isinstance(of, dict):
            break
        choices = of.get("anyOf") or of.get("oneOf")
        if type(of.get("$ref")) is str:
            of = _referred(of["$ref"], root)
        elif type(choices) is list:
            others = [choice for choice in choices if choice != {"type": "null"}]
            nullable |= len(others) < len(choices)
            if len(others) != 1:
                raise _UnsupportedError("a value of one type or another")
            of = others[0]
        elif type(of.get("type")) is list:
            nullable |= "null" in of["type"]
            others = [kind for kind in of["type"] if kind != "null"]
            if len(others) != 1:
                raise _UnsupportedError("a value of one type or another")
            of = {**of, "type": others[0]}
        else:
            return of, nullable
    raise _UnsupportedError("a schema that is none")


def _referred(reference: str, root: dict[str, Any]) -> object:
    found: object = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _bounds(of: dict[str, Any]) -> tuple[int, int]:
    """The whole numbers that a schema allows, inclusive."""
    low, high = math.ceil(of.get("minimum", -INTEGER_MAX)), math.floor(of.get("maximum", INTEGER_MAX))
    if "exclusiveMinimum" in of:
        low = max(low, math.floor(of["exclusiveMinimum"]) + 1)
    if "exclusiveMaximum" in of:
        high = min(high, math.ceil(of["exclusiveMaximum"]) - 1)
    low, high = max(low, -INTEGER_MAX), min(high, INTEGER_MAX)
    if low > high:
        raise _UnsupportedError("a number of which there is none")
    return low, high


def _names(name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)
    return bool(words) and words[-1].lower() in NAMING


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _inline(name)


def _inline(value: object) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        said = {name: inner for name, inner in value.items() if (name, inner) != ("nullable", False)}
        return "{ " + ", ".join(f"{_key(name)} = {_inline(inner)}" for name, inner in said.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
