"""One effect as one file: a header, the leaves that are shown, the checkpoint. [RCP-1], [RCP-2]"""

import io

import pytest

from invoke_log.errors import CutError, MalformedError
from invoke_log.format import cbor, receipt
from invoke_log.format.cbor import Value
from invoke_log.format.receipt import Header, ReceiptReader, Shown

HEADER = Header(origin="example.com/log", effect=bytes(32), size=9)
SHOWN = [
    Shown(index=at, body=bytes([at]), signature=bytes([at]) * 64, proof=tuple(bytes([n]) * 32 for n in range(at)))
    for at in (0, 1, 4, 8)
]
NOTE = b"a signed note"


def written() -> list[bytes]:
    """The items of a receipt."""
    return [receipt.encode_header(HEADER), *map(receipt.encode_shown, SHOWN), receipt.encode_trailer(NOTE)]


def read(raw: bytes) -> tuple[Header, list[Shown], bytes | None]:
    reader = ReceiptReader(io.BytesIO(raw))
    return reader.header, list(reader.leaves()), reader.note


def refused(*items: bytes) -> type[Exception] | None:
    try:
        read(b"".join(items))
    except MalformedError as error:
        return type(error)
    return None


def test_what_was_written_is_read() -> None:
    assert read(b"".join(written())) == (HEADER, SHOWN, NOTE)


def test_a_receipt_cut_at_any_byte_is_cut_or_malformed_and_at_an_item_it_is_cut() -> None:
    items = written()
    raw = b"".join(items)
    ends = {sum(map(len, items[:count])) for count in range(len(items))}
    for length in range(len(raw)):
        error = refused(raw[:length])
        assert error in (CutError, MalformedError), length
        if length in ends:
            assert error is CutError, length
    assert refused(raw) is None


def test_nothing_may_follow_the_checkpoint() -> None:
    items = written()
    for behind in (b"\xf6", items[-1], items[1], b"\xff"):
        assert refused(*items, behind) is MalformedError


def test_leaves_ascend_below_the_size_and_none_is_shown_twice() -> None:
    header, *leaves, note = written()
    assert refused(header, leaves[1], leaves[0], note) is MalformedError
    assert refused(header, leaves[0], leaves[0], note) is MalformedError
    beyond = receipt.encode_shown(Shown(index=9, body=b"", signature=b"", proof=()))
    below = cbor.encode([-1, b"", b"", []])
    assert refused(header, *leaves, beyond, note) is MalformedError
    assert refused(header, below, note) is MalformedError
    assert refused(header, note) is None


@pytest.mark.parametrize(
    "item",
    [
        ["invoke-log receipt 2", "example.com/log", bytes(32), 9],
        [b"invoke-log receipt 1", "example.com/log", bytes(32), 9],
        ["invoke-log receipt 1", "example.com/log", bytes(31), 9],
        ["invoke-log receipt 1", "example.com/log", bytes(32), 0],
        ["invoke-log receipt 1", "example.com/log", bytes(32), True],
        ["invoke-log receipt 1", b"example.com/log", bytes(32), 9],
        ["invoke-log receipt 1", "example.com/log", bytes(32)],
        ["invoke-log receipt 1", "example.com/log", bytes(32), 9, []],
        None,
    ],
    ids=range(9),
)
def test_a_header_of_another_form_is_malformed(item: Value) -> None:
    assert refused(cbor.encode(item), *written()[1:]) is MalformedError


@pytest.mark.parametrize(
    "item",
    [
        [0, b"", b""],
        [0, b"", b"", [], []],
        ["0", b"", b"", []],
        [False, b"", b"", []],
        [0, "", b"", []],
        [0, b"", "", []],
        [0, b"", b"", None],
        [0, b"", b"", [bytes(31)]],
        [0, b"", b"", ["0" * 32]],
        [0, b"", b"", [bytes(32)] * 65],
        [],
        ["a note that is text"],
        None,
    ],
    ids=range(13),
)
def test_a_leaf_of_another_form_is_malformed(item: Value) -> None:
    header, *_, note = written()
    assert refused(header, cbor.encode(item), note) is MalformedError


def test_a_proof_has_at_most_64_hashes() -> None:
    header, *_, note = written()
    longest = Shown(index=0, body=b"", signature=b"", proof=(bytes(32),) * 64)
    assert refused(header, receipt.encode_shown(longest), note) is None
