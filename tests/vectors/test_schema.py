"""vectors/schema.json: every vector has the shape that it says, by the few keywords of JSON Schema that it uses."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.vectors.cases import VECTORS, files

SCHEMA: Final[dict[str, Any]] = json.loads((VECTORS / "schema.json").read_bytes())
TYPES: Final[dict[str, Callable[[object], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
}


def faults(schema: dict[str, Any], value: Any, at: str = "$") -> Iterator[str]:
    """Yield where a value is not in a schema."""
    for keyword, wanted in schema.items():
        yield from _fault(keyword, wanted, value, at, schema)


def _fault(keyword: str, wanted: Any, value: Any, at: str, schema: dict[str, Any]) -> Iterator[str]:
    match keyword:
        case "$ref":
            yield from faults(SCHEMA["$defs"][wanted.removeprefix("#/$defs/")], value, at)
        case "oneOf" | "anyOf":
            fitting = sum(not list(faults(choice, value, at)) for choice in wanted)
            if not fitting or (keyword == "oneOf" and fitting > 1):
                yield f"{at}: {fitting} choices of {keyword} fit"
        case "type" if not TYPES[wanted](value):
            yield f"{at}: want {wanted}"
        case "required" if isinstance(value, dict):
            yield from (f"{at}: no {name}" for name in wanted if name not in value)
        case "properties" if isinstance(value, dict):
            for name in value.keys() & wanted.keys():
                yield from faults(wanted[name], value[name], f"{at}.{name}")
        case "additionalProperties" if isinstance(value, dict):
            yield from (f"{at}: unknown {name}" for name in value if name not in schema["properties"])
        case "items" if isinstance(value, list):
            for index, item in enumerate(value):
                yield from faults(wanted, item, f"{at}[{index}]")
        case "pattern" if isinstance(value, str) and not re.search(wanted, value):
            yield f"{at}: does not match {wanted}"
        case "enum" if value not in wanted:
            yield f"{at}: none of {wanted}"
        case "const" if value != wanted:
            yield f"{at}: not {wanted}"
        case "minimum" if type(value) is int and value < wanted:
            yield f"{at}: below {wanted}"
        case "minItems" if isinstance(value, list) and len(value) < wanted:
            yield f"{at}: fewer than {wanted}"
        case "maxItems" if isinstance(value, list) and len(value) > wanted:
            yield f"{at}: more than {wanted}"
        case _:
            known = {"type", "required", "properties", "additionalProperties", "items", "pattern", "enum", "const"}
            assert keyword in known | {"minimum", "minItems", "maxItems", "description"}, keyword


@pytest.mark.parametrize("area", sorted(SCHEMA["properties"]))
def test_every_file_of_an_area_is_in_its_schema(area: str) -> None:
    paths = [path for path in files() if path.parent.name == area]
    assert paths
    found = {path.name: list(faults(SCHEMA["properties"][area], json.loads(path.read_bytes()))) for path in paths}
    assert {name: wrong[:3] for name, wrong in found.items() if wrong} == {}


def test_every_area_has_a_schema() -> None:
    assert {path.parent.name for path in files() if path.parent != VECTORS} <= SCHEMA["properties"].keys()


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, True),
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "null"}}}, {"a": None}, {}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"b": 1}),
        ({"items": {"$ref": "#/$defs/hex"}}, ["00ff"], ["0"]),
        ({"oneOf": [{"const": 1}, {"enum": [2, 3]}]}, 3, 4),
        ({"anyOf": [{"type": "array", "minItems": 1}, {"type": "null"}]}, None, []),
    ],
)
def test_the_check_sees_each_way_to_differ(schema: dict[str, Any], good: object, bad: object) -> None:
    assert list(faults(schema, good)) == []
    assert list(faults(schema, bad)) != []


def test_no_file_stands_outside_of_an_area() -> None:
    assert [path for path in files() if path.parent == VECTORS] == [Path(VECTORS / "schema.json")]
