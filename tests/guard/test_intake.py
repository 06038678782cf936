"""What Python programs hold, folded to the one form of a snapshot, or refused. [SNP-1], [SNP-2]"""

import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import SnapshotInvalidError
from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.guard.intake import fold
from invoke_log.rules.schema import Schema
from invoke_log.rules.snapshot import Profile, freeze, profile_of

TOKEN: Schema = {"type": "token", "max": 8, "nullable": False}


def profile(nullable: bool = False, **field: Value) -> Profile:
    """A profile of one field, `it`."""
    return profile_of({"type": "record", "nullable": False, "fields": {"it": {"nullable": nullable, **field}}})


def frozen(of: Profile, seen: object) -> Value:
    return freeze(of, fold(of, {"it": seen})).fields["it"]


DECIMAL = profile(type="decimal", scale=2)
SECONDS = profile(type="time", unit="s", grain=60)
MILLIS = profile(type="time", unit="ms", grain=1)


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        (5, "5.00"),
        (-5, "-5.00"),
        (0, "0.00"),
        ("5", "5.00"),
        ("05.5", "5.50"),
        ("+5.50", "5.50"),
        ("5.500", "5.50"),
        ("5e1", "50.00"),
        (".5E+1", "5.00"),
        ("5.", "5.00"),
        ("-0.00", "0.00"),
        (Decimal("-0"), "0.00"),
        (Decimal("5.5"), "5.50"),
        (Decimal("1E+2"), "100.00"),
        (Decimal("0.01"), "0.01"),
    ],
    ids=repr,
)
def test_decimals_of_every_spelling_come_to_the_scale(seen: object, want: str) -> None:
    assert frozen(DECIMAL, seen) == want


@pytest.mark.parametrize(
    "seen",
    [
        5.5,
        float("nan"),
        True,
        "5.001",
        Decimal("0.001"),
        Decimal("NaN"),
        Decimal("Infinity"),
        "five",
        "",
        ".",
        " 5 ",
        "5\n",
        "1_0",
        "\u0665",
        "\uff15",
        "5,00",
        "Infinity",
        "0x5",
        "5e",
        "1e9999999999999999999",
        "5." + "0" * 5_000,
        b"5",
        "1e99",
        [5],
    ],
    ids=repr,
)
def test_decimals_that_would_lose_something_are_refused(seen: object) -> None:
    with pytest.raises(SnapshotInvalidError, match="it"):
        frozen(DECIMAL, seen)


def test_a_decimal_without_places_has_no_point() -> None:
    whole = profile(type="decimal", scale=0)
    assert [frozen(whole, seen) for seen in (0, "7.0", Decimal(-12))] == ["0", "7", "-12"]


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False))
def test_a_decimal_keeps_its_value(seen: Decimal) -> None:
    folded = frozen(DECIMAL, seen)
    assert isinstance(folded, str)
    assert Decimal(folded) == seen


MOMENT = datetime(2026, 3, 1, 9, 15, 30, 500_000, tzinfo=UTC)


def test_times_are_floored_to_unit_and_grain_from_any_zone() -> None:
    minute_s = int(MOMENT.timestamp()) - 30
    for seen in (MOMENT, MOMENT.astimezone(timezone(timedelta(hours=5))), minute_s, minute_s + 59):
        assert frozen(SECONDS, seen) == minute_s
    assert frozen(SECONDS, minute_s + 60) == minute_s + 60
    assert frozen(MILLIS, MOMENT) == minute_s * 1_000 + 30_500
    assert frozen(MILLIS, MOMENT + timedelta(microseconds=999)) == minute_s * 1_000 + 30_500


@pytest.mark.parametrize("seen", [MOMENT.replace(tzinfo=None), 1.5, True, "2026-03-01", 5, None], ids=str)
def test_what_names_no_moment_is_refused(seen: object) -> None:
    with pytest.raises(SnapshotInvalidError):
        frozen(SECONDS, seen)


def test_sets_are_ordered_by_their_encoding_and_refuse_what_is_there_twice() -> None:
    tokens = profile(type="set", of=TOKEN, max=9)
    for seen in (["aa", "b", "c"], ("c", "b", "aa"), {"aa", "c", "b"}, frozenset({"b", "aa", "c"})):
        assert frozen(tokens, seen) == ["b", "c", "aa"]
    texts = profile(type="set", of={"type": "text", "max": 9, "nullable": False}, max=9)
    both = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    with pytest.raises(SnapshotInvalidError):
        frozen(texts, both)
    for wrong in ([1.5], [object()], "abc", {"a": 1}, 5):
        with pytest.raises(SnapshotInvalidError):
            frozen(tokens, wrong)


def test_lists_keep_their_order_and_items_are_folded() -> None:
    amounts = profile(type="list", of={"type": "decimal", "scale": 1, "nullable": False}, max=9, order="as listed")
    assert frozen(amounts, (2, "1", Decimal("1.5"))) == ["2.0", "1.0", "1.5"]
    for wrong in ({1, 2}, "12", 1):
        with pytest.raises(SnapshotInvalidError):
            frozen(amounts, wrong)


def test_records_are_folded_field_by_field_and_take_no_field_more_or_less() -> None:
    nested = profile(type="record", fields={"a": {"type": "decimal", "scale": 1, "nullable": False}})
    assert frozen(nested, {"a": 1}) == {"a": "1.0"}
    for wrong in ({}, {"a": 1, "b": 2}, {"b": 1}, [("a", 1)], {1: 1}):
        with pytest.raises(SnapshotInvalidError):
            frozen(nested, wrong)


def test_a_field_name_is_never_folded_into_another() -> None:
    """U+212A, the Kelvin sign, is K in NFC: two values for one field would be a silent choice."""
    of = profile_of({"type": "record", "nullable": False, "fields": {"K": TOKEN}})
    with pytest.raises(SnapshotInvalidError):
        freeze(of, fold(of, {"\u212a": "x", "K": "y"}))
    with pytest.raises(SnapshotInvalidError):
        freeze(of, fold(of, {"\u212a": "x"}))


@pytest.mark.parametrize("kind", ["text", "enum"])
def test_text_comes_to_nfc(kind: str) -> None:
    name = unicodedata.normalize("NFC", "Zoë")
    of = profile(type="text", max=9) if kind == "text" else profile(type="enum", of=[name])
    assert frozen(of, unicodedata.normalize("NFD", "Zoë")) == name


@pytest.mark.parametrize("seen", ["\ud800", "\U0001fadf", 5, b"x", "x" * 10], ids=ascii)
def test_text_that_no_log_can_hold_is_refused(seen: object) -> None:
    with pytest.raises(SnapshotInvalidError):
        frozen(profile(type="text", max=9), seen)


def test_null_stands_only_where_it_may() -> None:
    assert frozen(profile(nullable=True, type="decimal", scale=2), None) is None
    with pytest.raises(SnapshotInvalidError):
        frozen(DECIMAL, None)


@pytest.mark.parametrize(
    ("field", "seen"),
    [
        ({"type": "integer", "min": 0, "max": 9}, 1.0),
        ({"type": "integer", "min": 0, "max": 9}, True),
        ({"type": "integer", "min": 0, "max": 9}, "5"),
        ({"type": "boolean"}, 1),
        ({"type": "bytes", "min": 0, "max": 9}, "x"),
        ({"type": "bytes", "min": 0, "max": 9}, bytearray(b"x")),
        ({"type": "token", "max": 9}, "a b"),
    ],
    ids=repr,
)
def test_nothing_else_is_folded(field: dict[str, Any], seen: object) -> None:
    with pytest.raises(SnapshotInvalidError):
        frozen(profile(**field), seen)


def test_two_spellings_of_one_world_are_one_snapshot() -> None:
    fields: dict[str, Value] = {
        "total": {"type": "decimal", "scale": 2, "nullable": False},
        "seen_at": {"type": "time", "unit": "s", "grain": 60, "nullable": False},
        "items": {"type": "set", "of": TOKEN, "max": 9, "nullable": False},
    }
    of = profile_of({"type": "record", "nullable": False, "fields": fields})
    one = fold(of, {"total": Decimal("10"), "seen_at": MOMENT, "items": {"tea", "pot"}})
    other = fold(of, {"items": ["pot", "tea"], "seen_at": int(MOMENT.timestamp()), "total": "10.0"})
    assert freeze(of, one).id == freeze(of, other).id
    assert cbor.encode(one) == cbor.encode(other)
