"""Closed schemas: one form for each value, and an error for every other. SPEC §4.1."""

from typing import Any

import pytest

from invoke_log.errors import MalformedError
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.schema import Schema

MS = 1_790_000_000_000


def holds(of: Schema, value: Value) -> bool:
    try:
        schema.check(of, value)
    except MalformedError:
        return False
    return True


BOTH_SIDES: list[tuple[str, Schema, list[Value], list[Value]]] = [
    ("integer [VAL-2]", schema.integer(1, 9), [1, 9], [0, 10, True, "5", None, 5.0]),  # type: ignore[list-item]
    (
        "time [VAL-3]",
        schema.time("ms", 1000),
        [MS],
        [MS + 1, MS // 1000, str(MS), True, 946_684_799_000, 4_102_444_800_000],
    ),
    ("time s [VAL-3]", schema.time("s", 60), [946_684_800, 4_102_444_740], [946_684_740, 4_102_444_800, MS]),
    (
        "decimal [VAL-4]",
        schema.decimal(2),
        ["0.00", "-0.50", "1234567890.00", "1" * 37 + ".00"],
        [
            "0.5",
            ".50",
            "00.50",
            "-0.00",
            "+0.50",
            "0.500",
            "1",
            "1.",
            "1.ab",
            "1.-5",
            "١.00",
            "1e2",
            "-",
            "",
            1,
            "1" * 38 + ".00",
        ],
    ),
    ("decimal 0 [VAL-4]", schema.decimal(0), ["0", "12", "-12"], ["12.", "012", "", "-0", "1.0"]),
    ("boolean [VAL-5]", schema.boolean(), [True, False], [0, 1, None, "true"]),
    ("enum [VAL-6]", schema.enum("eur", "usd"), ["eur", "usd"], ["USD", "", None, 1]),
    ("token [VAL-7]", schema.token(6), ["cus_1", "A-z.:/", "@+=0"], ["", "cus_123", "cus 1", "naïve", b"cus", None]),
    ("text [VAL-8]", schema.text(3), ["", "abc", "né"], ["abcd", "née", b"abc", None]),
    ("bytes [VAL-9]", schema.blob(1, 2), [b"a", b"ab"], [b"", b"abc", "a", None]),
    (
        "list [VAL-10]",
        schema.listing(schema.boolean(nullable=True), 2, "as listed"),
        [[], [True, None], [None, True]],
        [[True, True, True], [0], True, None],
    ),
    (
        "set [VAL-11]",
        schema.unique(schema.token(9), 3),
        [[], ["z", "aa"], ["a", "b", "cc"]],
        [["aa", "z"], ["z", "z"], ["b", "a"], ["a", "b", "c", "d"], [1], "a"],
    ),
    (
        "record [VAL-12]",
        schema.record({"a": schema.boolean(), "b": schema.integer(nullable=True)}),
        [{"a": True, "b": None}],
        [{}, {"a": True}, {"a": True, "b": 1, "c": 1}, {"a": 1, "b": 1}, [], None],
    ),
    (
        "mapping [VAL-13]",
        schema.mapping(schema.boolean(), 1),
        [{}, {"x": True}],
        [{"x": True, "y": True}, {"x y": True}, {"x": 1}, None],
    ),
    ("anything [VAL-14]", schema.anything(), [None, {"a": [1, "b", None]}, b""], []),
]


@pytest.mark.parametrize(("of", "good", "bad"), [row[1:] for row in BOTH_SIDES], ids=[row[0] for row in BOTH_SIDES])
def test_a_schema_holds_its_values_and_no_others(of: Schema, good: list[Value], bad: list[Value]) -> None:
    """[VAL-1] and, row by row, the clause in its id."""
    assert [value for value in good if not holds(of, value)] == []
    assert [value for value in bad if holds(of, value)] == []


NULLABLE: list[Schema] = [
    schema.integer(nullable=True),
    schema.time("s", nullable=True),
    schema.decimal(2, nullable=True),
    schema.boolean(nullable=True),
    schema.enum("a", nullable=True),
    schema.token(nullable=True),
    schema.text(nullable=True),
    schema.blob(1, 2, nullable=True),
    schema.listing(schema.boolean(), 1, "as listed", nullable=True),
    schema.unique(schema.boolean(), 1, nullable=True),
    schema.record({"a": schema.boolean()}, nullable=True),
]


@pytest.mark.parametrize("of", NULLABLE, ids=lambda of: str(of["type"]))
def test_null_is_a_value_only_where_the_schema_says_so(of: Schema) -> None:
    """[VAL-1]"""
    assert holds(of, None)
    assert not holds({**of, "nullable": False}, None)
    assert holds(schema.record({"a": of}), {"a": None})
    assert not holds(schema.record({"a": {**of, "nullable": False}}), {"a": None})
    wrong: Value = {"x": 1}
    assert not holds(of, wrong)


MALFORMED: list[Any] = [
    None,
    [],
    {},
    {"type": "float", "nullable": False},
    {"type": ["integer"], "nullable": False},
    {"type": "boolean"},
    {"type": "boolean", "nullable": None},
    {"type": "boolean", "nullable": False, "max": 1},
    {"type": "integer", "min": 2, "max": 1, "nullable": False},
    {"type": "integer", "min": 0, "max": 2**53, "nullable": False},
    {"type": "integer", "min": True, "max": 2, "nullable": False},
    {"type": "time", "unit": "us", "grain": 1, "nullable": False},
    {"type": "time", "unit": ["s"], "grain": 1, "nullable": False},
    {"type": "time", "unit": "s", "grain": 0, "nullable": False},
    {"type": "time", "unit": "s", "grain": 946_684_801, "nullable": False},
    {"type": "decimal", "scale": 19, "nullable": False},
    {"type": "enum", "of": [], "nullable": False},
    {"type": "enum", "of": "ab", "nullable": False},
    {"type": "enum", "of": ["a", "a"], "nullable": False},
    {"type": "enum", "of": ["a", 1], "nullable": False},
    {"type": "token", "max": 513, "nullable": False},
    {"type": "token", "max": 0, "nullable": False},
    {"type": "text", "max": 64_001, "nullable": False},
    {"type": "bytes", "min": 2, "max": 1, "nullable": False},
    {"type": "list", "of": schema.boolean(), "max": 1, "order": "", "nullable": False},
    {"type": "list", "of": schema.boolean(), "max": 1, "order": 1, "nullable": False},
    {"type": "list", "of": {"type": "float"}, "max": 1, "order": "as listed", "nullable": False},
    {"type": "list", "of": schema.boolean(), "max": 64_001, "order": "as listed", "nullable": False},
    {"type": "set", "of": None, "max": 1, "nullable": False},
    {"type": "set", "of": schema.boolean(), "max": -1, "nullable": False},
    {"type": "record", "fields": [], "nullable": False},
    {"type": "record", "fields": {"a b": schema.boolean()}, "nullable": False},
    {"type": "record", "fields": {"a": {"type": "float"}}, "nullable": False},
    {"type": "mapping", "of": schema.boolean(), "max": 1025, "nullable": False},
]


@pytest.mark.parametrize("of", MALFORMED, ids=str)
def test_a_schema_that_is_not_well_formed_is_refused_before_any_value(of: Schema) -> None:
    """[VAL-1]"""
    with pytest.raises(MalformedError):
        schema.compile_schema(of)


def test_an_error_names_where_it_is_what_was_found_and_what_was_wanted() -> None:
    of = schema.record({"a": schema.listing(schema.record({"b": schema.integer(0, 9)}), 9, "as listed")})
    with pytest.raises(MalformedError, match=r"^\$\.a\[1\]\.b: found 10, want an integer from 0 to 9$"):
        schema.check(of, {"a": [{"b": 1}, {"b": 10}]})
    with pytest.raises(
        MalformedError, match=r"^\$\.a\[0\]: found a map without b and with unknown 'c', want exactly b$"
    ):
        schema.check(of, {"a": [{"c": 1}]})
    with pytest.raises(MalformedError, match=r"^\$: found a map with unknown 'c', want exactly no fields$"):
        schema.check(schema.record({}), {"c": 1})
    with pytest.raises(MalformedError, match=r"^\$: found bytes of 3 bytes, want 32 bytes$"):
        schema.check(schema.blob(32, 32), b"abc")
    with pytest.raises(MalformedError, match=r"^\$: found bytes of 3 bytes, want text of at most 9 bytes$"):
        schema.check(schema.text(9), b"abc")


def test_published_schemas_name_every_field() -> None:
    """[VAL-1]"""
    assert set(schema._COMPILERS) - schema.PROFILE_TYPES == {"mapping", "anything"}
