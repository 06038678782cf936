"""A log as one file: read whole or not at all. [BDL-1] to [BDL-7]"""

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from invoke_log.errors import CutError, MalformedError
from invoke_log.format import bundle, cbor, digest
from invoke_log.format.bundle import BundleReader, Header
from invoke_log.format.cbor import Value
from tests.harness import forge

HEADER = Header(origin="example.com/log", first=0, size=3, left_edge=())
ENTRIES = [(bytes([at]) * 5, bytes([at]) * 64) for at in range(3)]
ATTACHMENTS = (b"one", b"two", b"")
NOTE = b"a signed note"


def written(header: Header = HEADER, *, trailer: bytes | None = None) -> list[bytes]:
    """The items of a bundle."""
    entries = [bundle.encode_entry(body, signature) for body, signature in ENTRIES]
    return [bundle.encode_header(header), *entries, trailer or forge.trailer(NOTE, ATTACHMENTS)]


def read(raw: bytes) -> tuple[Header, list[tuple[bytes, bytes]], bytes, list[bytes]]:
    """Header, leaves, checkpoint and attachments."""
    reader = BundleReader(io.BytesIO(raw))
    entries, trailer = list(reader.entries()), reader.trailer()
    return reader.header, entries, trailer.note, list(trailer.attachments)


def refused(raw: bytes) -> type[Exception] | None:
    try:
        read(raw)
    except MalformedError as error:
        return type(error)
    return None


def test_what_was_written_is_read_one_item_after_the_other() -> None:
    header, entries, note, attachments = read(b"".join(written()))
    assert (header, entries, note) == (HEADER, ENTRIES, NOTE)
    assert attachments == sorted(ATTACHMENTS, key=digest.attachment_digest)


def test_a_bundle_cut_at_any_byte_is_cut_or_malformed_and_at_an_item_it_is_cut() -> None:
    items = written()
    raw = b"".join(items)
    ends = {sum(map(len, items[:count])) for count in range(len(items))}
    for length in range(len(raw)):
        error = refused(raw[:length])
        assert error in (CutError, MalformedError), length
        if length in ends:
            assert error is CutError, length
    assert refused(raw) is None


def test_an_empty_trailer_or_a_trailer_in_the_place_of_a_leaf_is_cut() -> None:
    items = written()
    assert refused(b"".join(written(trailer=cbor.encode([])))) is CutError
    for missing in range(1, 4):
        assert refused(b"".join([*items[:missing], items[-1]])) is CutError
        assert refused(b"".join([*items[:missing], cbor.encode([])])) is CutError


def test_nothing_may_follow_the_trailer() -> None:
    raw = b"".join(written())
    for behind in (b"\xf6", b"\x00", cbor.encode([]), written()[-1], b"\xff"):
        assert refused(raw + behind) is MalformedError


def test_items_in_another_order_are_malformed() -> None:
    header, first, *rest = written()
    assert refused(b"".join([first, header, *rest])) is MalformedError
    assert refused(b"".join([header, header, first, *rest])) is MalformedError
    assert refused(b"".join([header, first, *rest[:-1], first, rest[-1]])) is MalformedError


@pytest.mark.parametrize(
    "change",
    [
        lambda item: ["invoke-log bundle 2", *item[1:]],
        lambda item: [item[0].encode(), *item[1:]],
        lambda item: item[:-1],
        lambda item: [*item, None],
        lambda item: [item[0], b"example.com/log", *item[2:]],
        lambda item: [*item[:2], None, *item[3:]],
        lambda item: [*item[:2], False, *item[3:]],
        lambda item: [*item[:2], -1, *item[3:]],
        lambda item: [*item[:2], 3, *item[3:]],
        lambda item: [*item[:3], 0, item[4]],
        lambda item: [*item[:3], "3", item[4]],
        lambda item: [*item[:4], None],
        lambda item: [*item[:4], [bytes(32)]],
        lambda item: {"header": item},
    ],
    ids=range(14),
)
def test_a_header_of_another_form_is_malformed(change: Callable[[Any], Any]) -> None:
    item = change(["invoke-log bundle 1", "example.com/log", 0, 3, []])
    with pytest.raises(MalformedError):
        bundle.decode_header(cbor.encode(item))


@pytest.mark.parametrize(("first", "hashes"), [(0, 0), (1, 1), (2, 1), (3, 2), (7, 3), (8, 1)])
def test_the_left_edge_has_a_hash_for_each_perfect_tree_before_the_first_leaf(first: int, hashes: int) -> None:
    for count in range(5):
        edge = tuple(bytes([at]) * 32 for at in range(count))
        header = Header(origin="example.com/log", first=first, size=9, left_edge=edge)
        if count == hashes:
            assert bundle.decode_header(bundle.encode_header(header)) == header
        else:
            with pytest.raises(MalformedError):
                bundle.decode_header(bundle.encode_header(header))


def test_the_left_edge_holds_hashes_of_32_bytes() -> None:
    for wrong in (bytes(31), "0" * 32, None):
        with pytest.raises(MalformedError):
            bundle.decode_header(cbor.encode(["invoke-log bundle 1", "example.com/log", 1, 3, [wrong]]))


def test_a_bundle_of_later_leaves_counts_from_its_first() -> None:
    header = Header(origin="example.com/log", first=4, size=7, left_edge=(bytes(32),))
    reader = BundleReader(io.BytesIO(b"".join(written(header))))
    assert (reader.index, list(reader.entries()), reader.index) == (4, ENTRIES, 7)


@pytest.mark.parametrize(
    "item",
    [None, [], [b""], [b"", b"", b""], ["", b""], [b"", ""], {"body": b"", "signature": b""}, b"", [b"", None]],
    ids=range(9),
)
def test_a_leaf_of_another_form_is_no_leaf(item: Value) -> None:
    header, _, *rest = written()
    assert refused(b"".join([header, cbor.encode(item), *rest])) is (CutError if item == [] else MalformedError)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [NOTE],
        [NOTE, [], []],
        [NOTE.decode(), []],
        [NOTE, None],
        [NOTE, ["text"]],
        [NOTE, [b"one", b"one"]],
        [NOTE, sorted([b"one", b"two"], key=digest.attachment_digest)[::-1]],
        {"note": NOTE},
    ],
    ids=range(9),
)
def test_a_trailer_of_another_form_is_malformed(item: Value) -> None:
    assert refused(b"".join(written(trailer=cbor.encode(item)))) is MalformedError


def test_a_trailer_that_says_it_has_more_parts_is_malformed_before_they_come() -> None:
    assert refused(b"".join(written(trailer=b"\x83\x40\x80"))) is MalformedError


def test_a_trailer_holds_one_attachment_at_a_time_whatever_they_come_to() -> None:
    size, count = 1 << 20, 24
    large = sorted((bytes([at]) * size for at in range(count)), key=digest.attachment_digest)
    stream = io.BufferedReader(io.BytesIO(b"".join(written(trailer=forge.trailer(NOTE, large)))))
    reader = BundleReader(stream)
    assert len(list(reader.entries())) == len(ENTRIES)
    tracemalloc.start()
    try:
        found = sum(raw == large[at] for at, raw in enumerate(reader.trailer().attachments))
        assert tracemalloc.get_traced_memory()[1] < 4 * size
    finally:
        tracemalloc.stop()
    assert found == count


def test_a_length_that_a_trailer_only_claims_takes_no_memory() -> None:
    for claims in (b"\x82\x40\x9b" + b"\xff" * 8, b"\x82\x40\x81\x5b" + b"\xff" * 8, b"\x82\x5b" + b"\xff" * 8):
        tracemalloc.start()
        try:
            assert refused(b"".join(written(trailer=claims))) in (CutError, MalformedError)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("before", "longest"), [(b"\x82", 65_536), (b"\x82\x40\x81", 64 << 20)], ids=["note", "attachment"]
)
def test_a_part_of_a_trailer_longer_than_its_bound_is_malformed_before_it_is_read(before: bytes, longest: int) -> None:
    assert refused(b"".join(written(trailer=before + b"\x5a" + longest.to_bytes(4)))) is CutError
    assert refused(b"".join(written(trailer=before + b"\x5a" + (longest + 1).to_bytes(4)))) is MalformedError


def test_a_second_spelling_of_an_item_is_malformed() -> None:
    header, first, *rest = written()
    assert first[:2] == b"\x82\x45"
    assert refused(b"".join([header, b"\x98\x02" + first[1:], *rest])) is MalformedError
    assert refused(b"".join([header, b"\x82\x58\x05" + first[2:], *rest])) is MalformedError
    for head, note, none in (
        (b"\x98\x02", b"\x40", b"\x80"),
        (b"\x82", b"\x58\x00", b"\x80"),
        (b"\x82", b"\x40", b"\x9f\xff"),
    ):
        assert refused(b"".join(written(trailer=head + note + none))) is MalformedError
    assert refused(b"".join([b"\xd9\xd9\xf7", header, first, *rest])) is MalformedError


def test_a_leaf_longer_than_any_entry_is_malformed_before_it_is_read() -> None:
    header, _, *rest = written()
    long = bundle.encode_entry(bytes(64_000), bytes(64))
    assert refused(b"".join([header, long, *rest])) is None
    longer = cbor.encode([bytes(64_200), bytes(64)])
    assert refused(b"".join([header, longer, *rest])) is MalformedError
