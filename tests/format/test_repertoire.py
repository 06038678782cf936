"""The repertoire is Unicode 13.0.0, whatever Unicode this Python knows [IL1-3]."""

import json
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest

from invoke_log.format.repertoire import assigned_ranges, in_repertoire

VECTOR = Path(__file__).parents[2] / "vectors" / "text" / "unicode13_assigned.json"


def test_the_ranges_hold_every_code_point_of_unicode_13() -> None:
    ranges = assigned_ranges()
    assert len(ranges) == 677
    # 143,859 characters as the standard counts them, 65 controls and 137,468 for private use.
    assert sum(last - first + 1 for first, last in ranges) == 143_859 + 65 + 137_468


def test_the_ranges_ascend_and_do_not_touch() -> None:
    ranges = assigned_ranges()
    assert all(first <= last for first, last in ranges)
    assert all(last + 1 < following for (_, last), (following, _) in pairwise(ranges))


def test_the_vector_holds_the_same_ranges() -> None:
    assert json.loads(VECTOR.read_text()) == [list(pair) for pair in assigned_ranges()]


def test_the_ranges_are_those_of_the_borrowed_list(shared_data: Path) -> None:
    borrowed = json.loads((shared_data / "unicode13_assigned.json").read_text())
    assert borrowed == [list(pair) for pair in assigned_ranges()]


def test_a_later_unicode_has_taken_nothing_back() -> None:
    assert tuple(map(int, unicodedata.unidata_version.split("."))) >= (13, 0, 0)
    lost = [
        point
        for first, last in assigned_ranges()
        for point in range(first, last + 1)
        if unicodedata.category(chr(point)) in ("Cn", "Cs")
    ]
    assert lost == []


def test_each_range_is_inside_and_its_neighbours_are_not() -> None:
    for first, last in assigned_ranges():
        assert in_repertoire(chr(first) + chr(last))
        assert first == 0 or not in_repertoire(chr(first - 1))
        assert last == 0x10FFFF or not in_repertoire(chr(last + 1))


@pytest.mark.parametrize("text", ["", "plain", "\0\n\x7f", "naïve 数", "\U0001fad6", "\U0010fffd", "line\n"])
def test_text_of_assigned_code_points_is_inside(text: str) -> None:
    assert in_repertoire(text)


def test_no_surrogate_is_inside() -> None:
    assert not any(in_repertoire(chr(point)) for point in range(0xD800, 0xE000))


@pytest.mark.parametrize("stranger", ["\u0378", "\ud800", "\uffff", "\U00010efd", "\U0001fae8", "\U0010ffff"])
def test_one_stranger_anywhere_puts_text_outside(stranger: str) -> None:
    for text in (stranger, f"{stranger}a", f"a{stranger}", f"a\n{stranger}", f"é{stranger}\n"):
        assert not in_repertoire(text)
