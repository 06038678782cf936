"""A client's configuration file as text: where each server's command stands in it, and edits of nothing else.

JSON as clients take it, with comments and trailing commas, and TOML. An edit replaces characters and never writes a
file anew, so that comments and layout stay. Each is parsed again: had it changed anything else, it is refused.
"""

import copy
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from invoke_log.errors import ConfigInvalidError

BLANK: Final = " \t\r\n"
BEFORE: Final = "--"
"""What stands between our own arguments and the command that they are put before."""
_JSON_GAP: Final = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TOML_GAP: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_COMMA: Final = re.compile(r"[ \t\r\n]*,")
_TOML_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"(?!")|\'[^\'\n]*\'(?!\')')
_TOML_TABLE: Final = re.compile(r"^[ \t]*\[[^\r\n]*", re.MULTILINE)
_TOML_MEMBER: Final = re.compile(r"^[ \t]*(command|args)[ \t]*=[ \t]*", re.MULTILINE)
Edit = tuple[int, int, str]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a server's command stands: offsets into the text.

    key: where the command's key begins. command: the literal that it is. args_key: as `key`. args: the literals of
    the arguments. opening: behind the bracket before them. The last three are None where there are none.
    """

    key: int
    command: Span
    args_key: int | None
    opening: int | None
    args: tuple[Span, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigText:
    """A file's text and what it says. root: where what stands, if it is JSON; None: it is TOML."""

    text: str
    value: dict[str, Any]
    root: "_Node | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A server's command and arguments as they are to be. keys: what leads to it. fields: of the two, those it has."""

    keys: tuple[str, ...]
    edits: tuple[Edit, ...]
    fields: dict[str, Any]


def parse_config(text: str, *, toml: bool) -> ConfigText:
    """Return what a configuration file says. Raises: ValueError: it is no such text, or a key stands twice."""
    root = None if toml else _json_root(text)
    return ConfigText(text=text, value=tomllib.loads(text) if root is None else root.value, root=root)


def put_before(config: ConfigText, keys: tuple[str, ...], words: Sequence[str]) -> Change:
    """Return the change after which a server's command is `words`, `--` and what it was.

    Raises: ConfigInvalidError: it stands in a form that can't be edited in place.
    """
    spot = _spot(config, keys)
    literals = [*(_literal(word) for word in (*words[1:], BEFORE)), config.text[slice(*spot.command)]]
    written = ", ".join(literals)
    if spot.args is None or spot.opening is None:
        # Right before the command, where nobody else writes it: so it is known later that there was none.
        member = f"args = [{written}]" if config.root is None else f'"args": [{written}],'
        added: Edit = (spot.key, spot.key, member + _blank(config.text, spot.key))
    elif spot.args:
        first = spot.args[0][0]
        added = (first, first, f"{written},{_blank(config.text, first)}")
    else:
        added = (spot.opening, spot.opening, written)
    entry = _entry(config.value, keys)
    args = [*words[1:], BEFORE, entry["command"], *entry.get("args", [])]
    edits = ((*spot.command, _literal(words[0])), added)
    return Change(keys=keys, edits=edits, fields={"command": words[0], "args": args})


def take_back(config: ConfigText, keys: tuple[str, ...]) -> Change:
    """Return the change after which a server's command is what follows the first `--` of its arguments.

    Raises: ConfigInvalidError: it stands in a form that can't be edited in place.
    """
    spot = _spot(config, keys)
    entry = _entry(config.value, keys)
    before: int = entry["args"].index(BEFORE)
    text, literals = config.text, spot.args
    if literals is None or spot.args_key is None or len(literals) != len(entry["args"]):
        raise _by_hand(keys)
    original, rest = literals[before + 1], literals[before + 2 :]
    fields: dict[str, Any] = {"command": entry["args"][before + 1], "args": entry["args"][before + 2 :]}
    if rest:
        taken: Edit = (literals[0][0], rest[0][0], "")
    else:
        comma = _COMMA.match(text, literals[-1][1])
        end = comma.end() if comma else literals[-1][1]
        taken = (literals[0][0], end, "")
        if not text[end : spot.key].strip(f"{BLANK},]") and spot.args_key < spot.key:
            taken = (spot.args_key, spot.key, "")
            del fields["args"]
    edits = ((*spot.command, text[slice(*original)]), taken)
    return Change(keys=keys, edits=edits, fields=fields)


def changed(config: ConfigText, changes: Sequence[Change]) -> str:
    """Return the text with these changes, which differs in nothing else.

    Raises: ConfigInvalidError: it would.
    """
    text = config.text
    for start, end, new in sorted((edit for change in changes for edit in change.edits), reverse=True):
        text = text[:start] + new + text[end:]
    expected = copy.deepcopy(config.value)
    for change in changes:
        entry = _entry(expected, change.keys)
        for name in ("command", "args"):
            entry.pop(name, None)
        entry.update(change.fields)
    try:
        found = parse_config(text, toml=config.root is None).value
    except ValueError:
        found = {}
    if found != expected:
        raise _by_hand(*(change.keys for change in changes))
    return text


def _spot(config: ConfigText, keys: Sequence[str]) -> Spot:
    found = _toml_spot(config.text, keys) if config.root is None else _json_spot(config.root, keys)
    if found is None:
        raise _by_hand(keys)
    return found


def _by_hand(*servers: Sequence[str]) -> ConfigInvalidError:
    return ConfigInvalidError(
        f"server {', '.join(repr(keys[-1]) for keys in servers)} is written in a form that can't be edited in place",
        hint="give it a table of its own with command and args, or edit it by hand",
    )


def _entry(value: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    for key in keys:
        value = value[key]
    return value


def _literal(word: str) -> str:
    """Text as both JSON and TOML spell it."""
    return json.dumps(word, ensure_ascii=False).replace("\x7f", "\\u007f")


def _blank(text: str, at: int) -> str:
    """The blanks that stand before a place, so that what is put there looks like what follows; one, where none do."""
    before = text[:at]
    return before[len(before.rstrip(BLANK)) :] or " "


@dataclass(frozen=True, slots=True)
class _Node:
    value: Any
    start: int
    end: int
    members: "dict[str, tuple[int, _Node]] | None" = None
    items: "tuple[_Node, ...] | None" = None


def _json_root(text: str) -> _Node:
    root = _json_node(text, _gap(text, int(text.startswith("\ufeff"))))
    end = _gap(text, root.end)
    if end != len(text):
        raise json.JSONDecodeError("more after the end", text, end)
    if root.members is None:
        raise json.JSONDecodeError("want an object", text, root.start)
    return root


def _gap(text: str, at: int) -> int:
    found = _JSON_GAP.match(text, at)
    assert found is not None, "it matches nothing too"
    return found.end()


def _json_node(text: str, at: int) -> _Node:
    if text[at : at + 1] == "{":
        return _object(text, at)
    if text[at : at + 1] == "[":
        return _array(text, at)
    value, end = _SCALAR.raw_decode(text, at)
    return _Node(value, at, end)


def _object(text: str, start: int) -> _Node:
    members: dict[str, tuple[int, _Node]] = {}
    at = _gap(text, start + 1)
    while text[at : at + 1] != "}":
        key = _json_node(text, at)
        if type(key.value) is not str or key.value in members:
            raise json.JSONDecodeError("want a name that stands once", text, at)
        at = _gap(text, key.end)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("want a colon", text, at)
        node = _json_node(text, _gap(text, at + 1))
        members[key.value] = (key.start, node)
        at = _next(text, node.end, "}")
    return _Node({name: node.value for name, (_, node) in members.items()}, start, at + 1, members=members)


def _array(text: str, start: int) -> _Node:
    items: list[_Node] = []
    at = _gap(text, start + 1)
    while text[at : at + 1] != "]":
        items.append(_json_node(text, at))
        at = _next(text, items[-1].end, "]")
    return _Node([node.value for node in items], start, at + 1, items=tuple(items))


def _next(text: str, at: int, closing: str) -> int:
    """Where the next member is, or the bracket that closes; a comma may stand before that too."""
    at = _gap(text, at)
    if text[at : at + 1] == ",":
        return _gap(text, at + 1)
    if text[at : at + 1] != closing:
        raise json.JSONDecodeError(f"want a comma or {closing}", text, at)
    return at


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


_SCALAR: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _json_spot(root: _Node, keys: Sequence[str]) -> Spot:
    node = root
    for name in keys:
        assert node.members is not None, "what is located is there"
        node = node.members[name][1]
    assert node.members is not None
    key, command = node.members["command"]
    args_key, args = node.members.get("args", (None, None))
    if args is None:
        return Spot(key=key, command=(command.start, command.end), args_key=None, opening=None, args=None)
    return Spot(
        key=key,
        command=(command.start, command.end),
        args_key=args_key,
        opening=args.start + 1,
        args=tuple((item.start, item.end) for item in args.items or ()),
    )


def _toml_spot(text: str, keys: Sequence[str]) -> Spot | None:
    """A table of its own, with both members on lines of their own: as clients write them."""
    tables = list(_TOML_TABLE.finditer(text))
    ends = [*(each.start() for each in tables), len(text)][1:]
    for table, end in zip(tables, ends, strict=True):
        if _opens(table.group(), keys):
            return _toml_members(text, table.end(), end)
    return None


def _opens(header: str, keys: Sequence[str]) -> bool:
    wanted: dict[str, Any] = {}
    for key in reversed(keys):
        wanted = {key: wanted}
    try:
        return tomllib.loads(header) == wanted
    except ValueError:
        return False


def _toml_members(text: str, start: int, end: int) -> Spot | None:
    found = {match.group(1): match for match in _TOML_MEMBER.finditer(text, start, end)}
    command = _TOML_STRING.match(text, found["command"].end(), end) if "command" in found else None
    if command is None:
        return None
    key, args, opening, args_key = found["command"].start(1), None, None, None
    if "args" in found:
        args_key, opening = found["args"].start(1), found["args"].end() + 1
        args = _toml_strings(text, opening, end)
        if args is None:
            return None
    return Spot(key=key, command=command.span(), args_key=args_key, opening=opening, args=args)


def _toml_strings(text: str, at: int, end: int) -> tuple[Span, ...] | None:
    strings: list[Span] = []
    while (gap := _TOML_GAP.match(text, at, end)) and text[gap.end() : gap.end() + 1] != "]":
        string = _TOML_STRING.match(text, gap.end(), end)
        if string is None:
            return None
        strings.append(string.span())
        after = _TOML_GAP.match(text, string.end(), end)
        assert after is not None, "it matches nothing too"
        at = after.end() + (text[after.end() : after.end() + 1] == ",")
    return tuple(strings)
