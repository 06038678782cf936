"""The JSON Schema of contract files says what loading them says, as far as form goes. [CTR-1]"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from docs import generate
from invoke_log.errors import ContractInvalidError
from invoke_log.guard.registry import read_map, ready_contract, ready_names
from invoke_log.rules.contract import DEFAULTS, SCHEMA, complete_contract, parse_contract
from tests.harness.live import PARTIAL

PUBLISHED: Any = json.loads((generate.HERE / "contract.schema.json").read_text(encoding="utf-8"))
VALIDATOR: Any = jsonschema.Draft202012Validator(PUBLISHED)
ODD: tuple[Any, ...] = (None, True, 0, -1, 10**18, "", "x", "free text", "x" * 600, [], ["b", "a"], [1], {}, {"a": "b"})
FULL: Any = {
    **PARTIAL,
    "realm": {"account": "acct_1"},
    "retires": {"effect_class": "money.charge/0", "resource": "r", "purpose": None, "identity": ["customer"]},
    "webhook": {"scheme": "stripe", "key_id": "k", "positive": ["paid"], "negative": []},
    "profile": {"type": "record", "fields": {"total": {"type": "decimal", "scale": 2}}},
    "may_drift": ["total"],
}


def refusal(partial: Any) -> str | None:
    """Why a contract does not load; None: it does."""
    try:
        parse_contract(complete_contract(partial))
    except ContractInvalidError as error:
        return error.message
    return None


def changed(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every map of a contract with one field left out, added, or changed into something odd."""
    if not isinstance(value, dict):
        return
    yield ".".join((*path, "+extra")), {**value, "extra": 1}
    for name in value:
        yield ".".join((*path, f"-{name}")), {key: inner for key, inner in value.items() if key != name}
        for odd in ODD:
            yield ".".join((*path, name, repr(odd)[:20])), {**value, name: odd}
        for where, inner in changed(value[name], (*path, name)):
            yield where, {**value, name: inner}


CHANGED = dict(changed(FULL))


def test_it_is_a_json_schema_with_every_field_its_default_and_its_meaning() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    properties = PUBLISHED["properties"]
    assert properties.keys() == SCHEMA["fields"].keys()  # type: ignore[union-attr]  # a record's fields
    assert {name: field["default"] for name, field in properties.items() if "default" in field} == DEFAULTS
    assert all(field["description"] for field in properties.values())


@pytest.mark.parametrize("name", ready_names())
def test_each_ready_contract_has_its_form_but_for_the_realm_that_is_left_open(name: str) -> None:
    partial: Any = read_map(ready_contract(name).encode(), ".toml", name)
    assert {error.json_path.split(".")[1] for error in VALIDATOR.iter_errors(partial)} == {"realm"}
    VALIDATOR.validate({**partial, "realm": dict.fromkeys(partial["realm"], "acct_1")})


def test_it_refuses_nothing_that_loads_and_all_that_is_refused_for_its_form() -> None:
    assert refusal(FULL) is None
    assert VALIDATOR.is_valid(FULL)
    differ = []
    for where, partial in CHANGED.items():
        if where.startswith("arguments.amount.schema.max."):
            continue  # a bound below the other: no JSON Schema compares two fields
        why = refusal(partial)
        # It is named where a promise is refused; what stands in another form has no name yet.
        if VALIDATOR.is_valid(partial) != (why is None or why.startswith("contract '")):
            differ.append((where, why))
    assert differ == []
    assert len(CHANGED) > 500
