"""IL1: one value, one encoding, and nothing else is read [IL1-1] to [IL1-6]."""

import enum
import io
import json
import warnings
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast
from unicodedata import is_normalized

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import CutError, MalformedError
from invoke_log.format import cbor, limits
from invoke_log.format.repertoire import assigned_ranges, in_repertoire
from vectors.generate import cbor as ours

VECTORS = Path(__file__).parents[2] / "vectors" / "cbor"

Case = dict[str, Any]


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in json.loads((VECTORS / f"{name}.json").read_text())]


def untyped(value: object) -> cbor.Value:
    """Return what typed JSON spells; the cast is a lie where IL1 cannot say it."""
    match value:
        case {"$bytes": str(digits)}:
            return bytes.fromhex(digits)
        case {"$float": str(digits)}:
            return cast(cbor.Value, float(digits))
        case {"$map": [*pairs]}:
            return {cast(str, untyped(key)): untyped(item) for key, item in pairs}
        case [*items]:
            return [untyped(item) for item in items]
        case _:
            return cast(cbor.Value, value)


INTEGERS = st.integers(-limits.INTEGER_MAX, limits.INTEGER_MAX)
TEXTS = st.one_of(
    st.text(st.characters(codec="ascii"), max_size=40),
    st.text(st.sampled_from([chr(end) for pair in assigned_ranges() for end in pair if not 0xD800 <= end < 0xE000])),
    st.text(st.characters(codec="utf-8"), max_size=8),
).filter(lambda text: in_repertoire(text) and is_normalized("NFC", text))
KEYS = TEXTS.filter(lambda text: 0 < len(text.encode()) <= limits.MAP_KEY_BYTES_MAX)
SCALARS = st.one_of(st.none(), st.booleans(), INTEGERS, st.binary(max_size=300), TEXTS)
VALUES: st.SearchStrategy[cbor.Value] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=30) | st.dictionaries(KEYS, inner, max_size=30), max_leaves=60
)


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """Draw the encoding of a value with a few bytes changed, taken out, put in or repeated."""
    raw = bytearray(ours.encode(draw(VALUES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        match draw(st.sampled_from(["change", "remove", "insert", "repeat"])):
            case "change" if at < len(raw):
                raw[at] ^= 1 << draw(st.integers(0, 7))
            case "remove":
                del raw[at : at + draw(st.integers(1, 4))]
            case "insert":
                raw[at:at] = draw(st.binary(min_size=1, max_size=4))
            case _:
                raw[at:at] = raw[at : at + 8]
    return bytes(raw)


class Trickle:
    """A stream that gives one byte at a time, counts them, and fails once it has given `until`."""

    def __init__(self, raw: bytes, *, until: int | None = None) -> None:
        self.inner = io.BytesIO(raw)
        self.until = until

    def read(self, size: int, /) -> bytes:
        if self.inner.tell() == self.until:
            raise OSError("disk gone")
        return self.inner.read(min(size, 1))


# Vectors


@pytest.mark.parametrize("case", cases("accept"))
def test_the_value_and_the_bytes_name_each_other(case: Case) -> None:
    raw, value = bytes.fromhex(case["hex"]), untyped(case["value"])
    assert cbor.encode(value) == raw
    assert ours.typed(cbor.decode(raw)) == case["value"]
    item = cbor.SequenceReader(io.BytesIO(raw)).read_item()
    assert item is not None
    assert (item.raw, ours.typed(item.value)) == (raw, case["value"])


@pytest.mark.parametrize("case", cases("reject"))
def test_other_bytes_are_refused(case: Case) -> None:
    raw = bytes.fromhex(case["hex"])
    with pytest.raises(MalformedError, match=r"^\$.*: .*, want "):
        cbor.decode(raw)
    reader = cbor.SequenceReader(io.BytesIO(raw))
    if case["reason"] == "trailing-bytes":  # in a sequence they are the next item
        assert reader.read_item() is not None
    elif raw:
        with pytest.raises(MalformedError, match=r"^item at byte 0: \$.*: .*, want ") as caught:
            reader.read_item()
        # A string that promises more than any item may hold lies; whatever else ends early was cut [BDL-6].
        lies = raw[0] >> 5 in (2, 3) and "promised" in case["comment"]
        assert isinstance(caught.value, CutError) == (case["reason"] == "truncated" and not lies)


@pytest.mark.parametrize("case", cases("encode_reject"))
def test_other_values_are_refused_and_never_mended(case: Case) -> None:
    with pytest.raises(MalformedError, match=r"^\$.*: .*, want "):
        cbor.encode(untyped(case["value"]))


# Laws


@given(VALUES)
def test_encode_agrees_with_a_second_encoder_and_decode_undoes_it(value: cbor.Value) -> None:
    raw = ours.encode(value)
    assert cbor.encode(value) == raw
    assert ours.typed(cbor.decode(raw)) == ours.typed(value)  # typed, since True == 1


@given(near_misses() | st.binary(max_size=40))
def test_decode_accepts_only_what_encode_gives_back_and_raises_nothing_else(raw: bytes) -> None:
    try:
        value = cbor.decode(raw)
    except MalformedError:
        return
    assert cbor.encode(value) == raw == ours.encode(value)


@given(near_misses())
def test_a_sequence_of_one_is_judged_as_decode_judges_it(raw: bytes) -> None:
    try:
        item = cbor.SequenceReader(Trickle(raw)).read_item()
    except MalformedError:
        with pytest.raises(MalformedError):
            cbor.decode(raw)
    else:
        assert ours.typed(cbor.decode(item.raw)) == ours.typed(item.value) if item else raw == b""


@given(st.dictionaries(KEYS, SCALARS, max_size=20), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_were_put_in_does_not_matter(mapping: dict[str, cbor.Value], random: Random) -> None:
    shuffled = list(mapping.items())
    random.shuffle(shuffled)
    assert cbor.encode([{"in": dict(shuffled)}]) == cbor.encode([{"in": mapping}])


def test_encode_leaves_its_argument_alone_and_decode_returns_keys_in_encoded_order() -> None:
    inner: dict[str, cbor.Value] = {"b": 1, "aa": [{"d": 1, "c": 2}], "a": 2}
    value: cbor.Value = [inner, 7]
    raw = cbor.encode(value)
    assert list(inner) == ["b", "aa", "a"]
    assert list(cast(Any, cbor.decode(raw))[0]) == ["a", "b", "aa"]


# What is no value


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


class Flags(dict[str, cbor.Value]):
    pass


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Name("a"),
        Flags(a=1),
        OrderedDict(a=1),
        (1, 2),
        {1, 2},
        frozenset("a"),
        range(2),
        bytearray(b"a"),
        memoryview(b"a"),
        Decimal(1),
        datetime(2030, 1, 1, tzinfo=UTC),
        cbor2.undefined,
        cbor2.CBORTag(1, 0),
        object(),
        {Name("a"): 1},
    ],
)
def test_only_exact_types_are_values(value: object) -> None:
    for inside in (value, [value], {"a": [0, value]}):
        with pytest.raises(MalformedError):
            cbor.encode(cast(cbor.Value, inside))


def test_booleans_stay_booleans_and_ones_stay_ones() -> None:
    assert cbor.encode([True, 1, False, 0]).hex() == "84f501f400"


@pytest.mark.parametrize("depth", [17, 1_000, 100_000])
def test_deep_nesting_is_an_error_and_never_a_crash(depth: int) -> None:
    for wrap in (lambda inner: [inner], lambda inner: {"a": inner}):
        value: Any = 0
        for _ in range(depth):
            value = wrap(value)
        with pytest.raises(MalformedError, match="nested deeper than 16"):
            cbor.encode(value)
        with pytest.raises(MalformedError):
            cbor.decode(b"\x81" * depth + b"\x00")


def test_a_list_that_holds_itself_is_an_error() -> None:
    value: list[cbor.Value] = []
    value.append(value)
    with pytest.raises(MalformedError, match="nested deeper than 16"):
        cbor.encode(value)


# Sizes


@pytest.mark.parametrize("bytes_max", [300, limits.BODY_BYTES_MAX, limits.ITEM_BYTES_MAX])
def test_a_bound_is_inclusive(bytes_max: int) -> None:
    fits = b"x" * (bytes_max - len(ours.head(ours.BYTES, bytes_max)))
    raw = cbor.encode(fits, bytes_max=bytes_max)
    assert len(raw) == bytes_max
    assert cbor.decode(raw, bytes_max=bytes_max) == fits
    assert cbor.SequenceReader(io.BytesIO(raw)).read_item(bytes_max=bytes_max) is not None
    over = f"want at most {bytes_max}|want at most that"
    with pytest.raises(MalformedError, match=over):
        cbor.encode(fits + b"x", bytes_max=bytes_max)
    with pytest.raises(MalformedError, match=over):
        cbor.decode(ours.encode(fits + b"x"), bytes_max=bytes_max)
    with pytest.raises(MalformedError, match=over):
        cbor.SequenceReader(io.BytesIO(ours.encode(fits + b"x"))).read_item(bytes_max=bytes_max)


def test_an_item_is_a_mebibyte_at_most_where_nothing_else_is_said() -> None:
    with pytest.raises(MalformedError, match="want at most 1048576"):
        cbor.encode(bytes(1 << 20))
    with pytest.raises(MalformedError, match="want at most 1048576"):
        cbor.decode(ours.encode(bytes(1 << 20)))


def test_the_size_is_judged_before_anything_is_parsed() -> None:
    with pytest.raises(MalformedError, match="11 bytes, want at most 10"):
        cbor.decode(b"\xff" * 11, bytes_max=10)


# Messages


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (1.5, "$: float"),
        ([0, [1.5]], "$[1][0]: float"),
        ({"data": {"identity": {"order": 1.5}}}, "$.data.identity.order: float"),
        ({"a b": {"\xe9": 1.5}}, "$['a b']['\\xe9']: float"),
        ({"a": {"": 1}}, "$.a['']: a map key of 0 bytes"),
        ({"a": [{7: 1}]}, "$.a[0]: a map key of type int"),
        ({"a": "e\u0301"}, "$.a: text 'e\\u0301' that is not in NFC"),
        ({"k" * 300: 1}, f"$.{'k' * 39}: a map key of 300 bytes"),
    ],
)
def test_an_error_says_where_in_the_value(value: object, where: str) -> None:
    with pytest.raises(MalformedError) as caught:
        cbor.encode(cast(cbor.Value, value))
    assert caught.value.message.startswith(f"{where}"), caught.value.message


@pytest.mark.parametrize(
    ("digits", "where"),
    [
        ("8201c3", "$: stopped after 3 bytes: tag 3, "),
        ("a1616161ff", "$: stopped after 5 bytes: 'utf-8' codec "),
        ("82011801", "$: byte 2 is 0x18, want 0x01 (shortest head"),
        ("a2616201616102", "$: byte 2 is 0x62, want 0x61 (shortest head, keys in order)"),
        ("0000", "$: 1 bytes after the item, want none"),
        ("a1616182f6fb3ff8000000000000", "$.a[1]: float, "),
        # These the walk or the comparison would refuse as well; the parser has to be first, before it has built much.
        ("d823", "$: stopped after 2 bytes: tag 35, "),
        ("9f" + "00" * 9, "$: stopped after 1 bytes: "),
        ("a3616100616100616200", "$: stopped after 7 bytes: "),
        ("81" * 18 + "00", "$: stopped after 17 bytes: "),
        ("a20000616100", "$: stopped after 2 bytes: "),
    ],
)
def test_an_error_says_where_in_the_bytes(digits: str, where: str) -> None:
    with pytest.raises(MalformedError) as caught:
        cbor.decode(bytes.fromhex(digits))
    assert caught.value.message.startswith(where), caught.value.message


def test_an_error_quotes_little_of_what_it_read() -> None:
    pair = ours.encode("k" * 250) + b"\0"
    with pytest.raises(MalformedError) as caught:
        cbor.decode(ours.head(ours.MAP, 2) + pair + pair)
    assert len(caught.value.message) < 200


# Sequences


def test_items_come_one_by_one_with_their_offsets() -> None:
    values: list[cbor.Value] = [None, {"a": [1]}, b"x" * 70_000, []]
    raws = [cbor.encode(value) for value in values]
    stream = io.BytesIO(b"".join(raws))
    reader = cbor.SequenceReader(stream)
    for at, (value, raw) in enumerate(zip(values, raws, strict=True)):
        before = sum(map(len, raws[:at]))
        assert reader.read_item() == cbor.SequenceItem(value=value, raw=raw, offset=before)
        assert stream.tell() == reader.offset == before + len(raw)  # nothing was read ahead
    assert reader.read_item() is None
    assert reader.read_item() is None


def test_an_error_in_a_sequence_says_which_item() -> None:
    reader = cbor.SequenceReader(io.BytesIO(bytes.fromhex("8101a16161fb3ff8000000000000")))
    reader.read_item()
    with pytest.raises(MalformedError, match=r"^item at byte 2: \$\.a: float, want "):
        reader.read_item()


@pytest.mark.parametrize("ahead", [1, 7, 8_192])
def test_a_stream_that_shows_what_comes_is_read_and_judged_alike(ahead: int) -> None:
    values: list[cbor.Value] = [None, {"a": [1]}, b"x" * 70_000, []]
    good = b"".join(cbor.encode(value) for value in values)
    for tail in (b"", b"\x18\x17", b"\x44abc", b"\xa2\x61b\x01\x61a\x01", b"\xc0\x00", ours.head(ours.BYTES, 2**40)):
        shown = io.BufferedReader(io.BytesIO(good + tail), ahead)
        readers = [cbor.SequenceReader(shown), cbor.SequenceReader(io.BytesIO(good + tail))]
        for _ in values:
            one, two = (reader.read_item() for reader in readers)
            assert one == two
            assert one is not None
            assert shown.tell() == readers[0].offset == readers[1].offset
        said: list[object] = []
        for reader in readers:
            try:
                said.append(reader.read_item())
            except MalformedError as error:
                said.append((type(error), error.message))
        assert said[0] == said[1]
        assert (said[0] is None) == (tail == b"")


def test_a_bound_holds_where_the_stream_shows_more() -> None:
    raw = cbor.encode([b"x" * 100])
    assert cbor.SequenceReader(io.BufferedReader(io.BytesIO(raw))).read_item(bytes_max=len(raw)) is not None
    with pytest.raises(MalformedError, match="more than 102 bytes"):
        cbor.SequenceReader(io.BufferedReader(io.BytesIO(raw))).read_item(bytes_max=len(raw) - 1)


def test_a_sequence_cut_anywhere_is_a_whole_prefix_or_cut() -> None:
    raws = [cbor.encode(value) for value in cast(list[cbor.Value], [[b"body" * 10, b"s" * 64], {"a": "é"}, 1000])]
    whole = b"".join(raws)
    ends = {0, len(raws[0]), len(raws[0] + raws[1]), len(whole)}
    for size in range(len(whole) + 1):
        reader = cbor.SequenceReader(Trickle(whole[:size]))
        complete = sum(end <= size for end in ends)
        for _ in range(complete - 1):
            assert reader.read_item() is not None
        if size in ends:
            assert reader.read_item() is None
        else:
            with pytest.raises(CutError, match="the stream ends after"):
                reader.read_item()


@pytest.mark.parametrize("head", [ours.head(ours.BYTES, 2**40), ours.head(ours.ARRAY, 2**40), ours.head(ours.TEXT, 65)])
def test_an_item_past_its_bound_is_refused_before_it_is_read(head: bytes) -> None:
    stream = io.BytesIO(head + bytes(100_000))
    with pytest.raises(MalformedError, match="more than 64 bytes") as caught:
        cbor.SequenceReader(stream).read_item(bytes_max=64)
    assert stream.tell() <= 64
    assert not isinstance(caught.value, CutError)


@pytest.mark.parametrize("until", [0, 1, 2, 4])
def test_the_streams_own_error_passes_through(until: int) -> None:
    with pytest.raises(OSError, match="disk gone"):
        cbor.SequenceReader(Trickle(bytes.fromhex("824401020304f6"), until=until)).read_item()


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 65_535, 65_536])
def test_array_head_begins_an_array_of_so_many(count: int) -> None:
    assert cbor.array_head(count) == ours.head(ours.ARRAY, count)


# Other people's vectors


def borrowed(folder: Path, name: str) -> list[Any]:
    with (folder / "cbor-wg" / f"{name}.cbor").open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore", BytesWarning)  # some maps in it have bytes and integers as keys
        document = cbor2.load(stream, max_depth=2_000)
    return cast(list[Any], document["tests"])


def in_model(value: object, room: int = 16) -> bool:
    """Return whether IL1 can say a value, without asking the codec."""
    match value:
        case str():
            return in_repertoire(value) and is_normalized("NFC", value)
        case int():
            return abs(value) < 2**53
        case [*items]:
            return room > 0 and all(in_model(item, room - 1) for item in items)
        case dict():
            texts = all(isinstance(key, str) and key and in_model(key) for key in value)
            return room > 0 and texts and all(in_model(item, room - 1) for item in value.values())
        case _:
            return value is None or isinstance(value, bytes)


def test_what_is_not_cbor_is_refused(shared_data: Path) -> None:
    tests = borrowed(shared_data, "bad")
    assert tests
    for case in tests:
        with pytest.raises(MalformedError):
            cbor.decode(case["encoded"])


def test_of_what_is_cbor_only_il1_is_accepted(shared_data: Path) -> None:
    accepted = 0
    for case in borrowed(shared_data, "good"):
        raw, value = case["encoded"], case["decoded"]
        if in_model(value) and ours.encode(value) == raw:
            assert ours.typed(cbor.decode(raw)) == ours.typed(value)
            accepted += 1
        else:
            with pytest.raises(MalformedError):
                cbor.decode(raw)
    assert accepted == 11
