"""The pages of docs/reference, written from the code: `python docs/generate.py`; --check says which are not current.

cli.md                 every verb, from its own help
errors.md              every code, from the exception classes and the table of exit codes
contract.md            how a contract is written, every field of it, and those that come with the package
contract.schema.json   the JSON Schema of a contract file
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from invoke_log import errors
from invoke_log.format import limits
from invoke_log.guard import outcome
from invoke_log.guard.registry import read_map, ready_contract, ready_names
from invoke_log.rules import contract, schema
from invoke_log.rules.answer import NAMES
from invoke_log.rules.contract import DEFAULTS
from invoke_log.surfaces import outcomes
from invoke_log.surfaces.cli.main import cli
from invoke_log.surfaces.cli.session import SHARED

HERE: Final = Path(__file__).parent / "reference"
FROM: Final = "Written by `docs/generate.py`; edit the code instead.\n"
VERDICTS: Final = ("allow", "deny", "ask")
Json = dict[str, Any]
SPEC: Final = Path(__file__).parents[1] / "SPEC.md"
_ROW: Final = re.compile(r"^\| (`[a-z_`, ]+`) \| (.+) \|$", re.MULTILINE)
_TOKEN: Final = "[A-Za-z0-9_.:/@+=-]"
ARGUMENT_DEFAULTS: Final = {"raw": False, "private": False, "default": None}
"""What `complete_contract` fills in beside `DEFAULTS`."""


def cli_page() -> str:
    """Return docs/reference/cli.md."""
    context = click.Context(cli, info_name="invoke-log")
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in outcomes.MEANINGS.items())
    head = f"# Command line\n\n{FROM}\n{_text(cli)}\n| exit code | |\n|---|---|\n{codes}\n"
    shared = "Every verb takes these, before its name or after it:\n\n" + _options(list(SHARED), context)
    return head + shared + "".join(_verbs(cli, context))


def errors_page() -> str:
    """Return docs/reference/errors.md."""
    exceptions = [*_exceptions(errors), *_exceptions(outcome)]
    rows = "".join(
        f"| `{kind.code}` | {outcomes.EXIT_CODES[kind.code]} | `{kind.__name__}` | {_first_line(kind)} |\n"
        for kind in exceptions
    )
    words = "".join(f"| {word} | {outcomes.EXIT_CODES[word]} |\n" for word in (*NAMES.values(), *VERDICTS))
    return (
        f"# Answers and errors\n\n{FROM}\n"
        "An append answers with one of eight words, a policy with one of three. They are values, not errors.\n\n"
        f"| word | exit code |\n|---|---|\n{words}\n"
        "An exception means: the caller broke a rule, the bytes lie, or the outside is down. Its code is stable.\n\n"
        f"| code | exit code | class | |\n|---|---|---|---|\n{rows}\n"
        "Why an event is not admitted, and what replay finds, has codes of its own: SPEC.md, section 11.\n"
    )


def contract_page() -> str:
    """Return docs/reference/contract.md."""
    rows = "".join(f"| `{name}` | {_default(name)} | {text} |\n" for name, text in _meanings().items())
    listed = "".join(
        f"| `{name}` | {partial['effect_class']!s} | {partial['observability']!s} |\n"
        for name in ready_names()
        for partial in [read_map(ready_contract(name).encode(), ".toml", name)]
    )
    return (
        f"# Contracts\n\n{FROM}\n{CONTRACT_HEAD}\n| ready | effect class | observability |\n|---|---|---|\n{listed}\n"
        f"## Fields\n\n{CONTRACT_FIELDS}\n| field | where left out | |\n|---|---|---|\n{rows}"
    )


def schema_page() -> str:
    """Return docs/reference/contract.schema.json.

    It says what a file may hold, where the usual things may be left out. What a contract promises is judged when it is
    loaded: a JSON Schema can't know that a tool without a field for its tag can't be asked.
    """
    return json.dumps(contract_schema(), indent=2) + "\n"


def contract_schema() -> Json:
    """Return the JSON Schema of a contract file, draft 2020-12."""
    fields: Any = contract.SCHEMA["fields"]
    properties = {name: _json_schema(name, field) for name, field in fields.items()}
    for name, text in _meanings().items():
        properties[name]["description"] = text
    for name, default in contract.DEFAULTS.items():
        properties[name]["default"] = default
    properties["arguments"]["additionalProperties"] = {"$ref": "#/$defs/argument"}
    properties["profile"] |= {"anyOf": [{"$ref": "#/$defs/schema"}, {"type": "null"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "invoke-log tool contract",
        "type": "object",
        "properties": properties,
        "required": sorted(fields.keys() - contract.DEFAULTS.keys()),
        "additionalProperties": False,
        "$defs": {"argument": _argument(fields["arguments"]["of"]), "schema": _schema_of_schemas()},
    }


CONTRACT_HEAD: Final = """\
A contract is a file in TOML or JSON. `il.Contract.load(FILE)` reads it, `invoke-log contract add FILE` registers it,
and both refuse one that promises what cannot work. [contract.schema.json](contract.schema.json) is its JSON Schema
(draft 2020-12), for editors and other programs. `invoke-log gateway draft` drafts one for each tool of an MCP server; a
file in which a field or a role is still `REVIEW` is refused.

Some come with the package, for copying or for use as they are. Their realm is left open, so that none is registered
before somebody has said which account is meant, live or test:

```console
$ invoke-log contract ready stripe-payment-intent > charge.toml
```

```python
il.Contract.ready("stripe-payment-intent", realm={"account": "acct_1", "mode": "live"})
```
"""
CONTRACT_FIELDS: Final = """\
Durations are milliseconds. In TOML, null is a field left out. The types of an argument's `schema` and of `profile` are
those of SPEC.md, section 4.
"""
PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "errors.md": errors_page,
    "contract.md": contract_page,
    "contract.schema.json": schema_page,
}


def main(arguments: list[str]) -> int:
    """Write every page, or with --check name those that are not current. Return 1 where one is not."""
    stale = 0
    for name, page in PAGES.items():
        path, text = HERE / name, page()
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path} is not current: run python docs/generate.py\n")
            stale = 1
    return stale


def _default(name: str) -> str:
    return f"`{json.dumps(DEFAULTS[name])}`" if name in DEFAULTS else "must be there"


def _meanings() -> dict[str, str]:
    """Return what each field of a contract means, as SPEC's table of them says it."""
    section = SPEC.read_text(encoding="utf-8").partition("\n### 7.1 ")[2].partition("\n- [CTR-1]")[0]
    found = {
        name: text.replace("`", "")
        for names, text in _ROW.findall(section)
        for name in re.findall(r"[a-z_]+", names)
        if name != "field"
    }
    assert found.keys() == contract.SCHEMA["fields"].keys(), "SPEC §7.1 has a row for each field"  # type: ignore[union-attr]  # a record's fields
    return found


def _argument(of: Json) -> Json:
    inner = _json_schema("argument", of)
    inner["properties"]["schema"] = {"$ref": "#/$defs/schema"}
    inner["properties"]["default"] = {"anyOf": [{"type": "array", "minItems": 1, "maxItems": 1}, {"type": "null"}]}
    for name, default in ARGUMENT_DEFAULTS.items():
        inner["properties"][name]["default"] = default
    inner["required"] = sorted(set(inner["required"]) - ARGUMENT_DEFAULTS.keys())
    return inner


def _schema_of_schemas() -> Json:
    """The types that a contract's own schemas may use: one object each, by its `type`."""
    inner: Json = {"$ref": "#/$defs/schema"}
    natural = {"type": "integer", "minimum": 0, "maximum": limits.BODY_BYTES_MAX}
    number = {"type": "integer", "minimum": -limits.INTEGER_MAX, "maximum": limits.INTEGER_MAX}
    fields: dict[str, dict[str, Json]] = {
        "integer": {"min": number, "max": number},
        "time": {"unit": {"enum": sorted(schema.TIME_WINDOWS)}, "grain": {"type": "integer", "minimum": 1}},
        "decimal": {"scale": {"type": "integer", "minimum": 0, "maximum": 18}},
        "boolean": {},
        "enum": {"of": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}},
        "token": {"max": {"type": "integer", "minimum": 1, "maximum": 512}},
        "text": {"max": natural},
        "bytes": {"min": natural, "max": natural},
        "list": {"of": inner, "max": natural, "order": {"type": "string", "minLength": 1}},
        "set": {"of": inner, "max": natural},
        "record": {
            "fields": {
                "type": "object",
                "additionalProperties": inner,
                "propertyNames": {"pattern": f"^{_TOKEN}*$"},
            }
        },
    }
    assert fields.keys() == schema.PROFILE_TYPES, "each type that a published schema may use is here"
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {"type": {"const": name}, "nullable": {"type": "boolean", "default": False}, **own},
                "required": ["type", *own],
                "additionalProperties": False,
            }
            for name, own in fields.items()
        ]
    }


def _json_schema(name: str, field: Json) -> Json:
    """One of our closed schemas as a JSON Schema. Lengths count characters there, and UTF-8 bytes here."""
    match field["type"]:
        case "integer":
            inner: Json = {"type": "integer", "minimum": field["min"], "maximum": field["max"]}
        case "boolean":
            inner = {"type": "boolean"}
        case "enum":
            inner = {"enum": list(field["of"])}
        case "token":
            inner = {"type": "string", "pattern": f"^{_TOKEN}+$", "maxLength": field["max"]}
        case "text":
            inner = {"type": "string", "maxLength": field["max"]}
        case "set":
            items = _json_schema(name, field["of"])
            inner = {"type": "array", "items": items, "maxItems": field["max"], "uniqueItems": True}
        case "record":
            properties = {each: _json_schema(each, of) for each, of in field["fields"].items()}
            required = sorted(properties)
            inner = {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
        case "mapping":
            inner = {
                "type": "object",
                "additionalProperties": _json_schema(name, field["of"]),
                "propertyNames": {"pattern": f"^{_TOKEN}+$"},
                "maxProperties": field["max"],
            }
        case "list" | "anything":
            return {}  # what another schema describes
        case other:
            raise ValueError(f"contract field {name} has type {other!r}, which no JSON Schema is written for")
    return {"anyOf": [inner, {"type": "null"}]} if field["nullable"] else inner


def _verbs(group: click.Group, context: click.Context) -> Iterator[str]:
    again = {
        verb for inner in group.commands.values() if isinstance(inner, click.Group) for verb in inner.commands.values()
    }
    for name in group.list_commands(context):
        command = group.commands[name]
        if command in again:
            continue  # a verb with a shorter name too, which its help says
        inner = click.Context(command, info_name=name, parent=context)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            pieces = " ".join(piece for piece in command.collect_usage_pieces(inner) if piece != "[OPTIONS]")
            usage = f"{inner.command_path} {pieces}".rstrip()
            own = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
            yield f"\n## `{usage}`\n\n{_text(command)}{chr(10) if own else ''}{_options(own, inner)}"
        if isinstance(command, click.Group):
            yield from _verbs(command, inner)


def _text(command: click.Command) -> str:
    """The help of a command; what it keeps as it is written is an example."""
    text = inspect.cleandoc(command.help or "")
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            example = paragraph.removeprefix("\b\n").removeprefix("Example: ")
            parts.append(f"```console\n$ {example}\n```\n")
        else:
            parts.append(paragraph + "\n")
    return "\n".join(parts)


def _options(options: list[click.Option], context: click.Context) -> str:
    if not options:
        return ""
    rows = []
    for option in options:
        record = option.get_help_record(context)
        assert record is not None, "no option is hidden"
        names, words = (text.replace("|", "\\|") for text in record)
        rows.append(f"| `{names}` | {words} |\n")
    return "| option | |\n|---|---|\n" + "".join(rows)


def _exceptions(module: ModuleType) -> list[type[errors.InvokeLogError]]:
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, errors.InvokeLogError) and kind.__module__ == module.__name__
    ]
    return list(dict.fromkeys(kinds))


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
