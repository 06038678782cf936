"""A log as one file that a third party replays without a store. SPEC §14 [BDL-1] to [BDL-7].

A CBOR sequence (RFC 8742) of IL1 items: a header, one item for each leaf, a trailer with the signed checkpoint and the
attachments. Header and entries are deterministic for a range of leaves; a file without a trailer was cut.

>>> list(decode_header(encode_header(Header(origin="example.com/log", first=0, size=1, left_edge=()))).left_edge)
[]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from invoke_log.errors import CutError, MalformedError
from invoke_log.format import cbor, digest, limits
from invoke_log.format.cbor import ByteStream, SequenceReader, Value
from invoke_log.format.merkle import HASH_BYTES
from invoke_log.format.note import NOTE_BYTES_MAX

MAGIC: Final = "invoke-log bundle 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Which leaves follow: from `first`, up to the tree size `size`.

    left_edge: the hashes of the perfect subtrees that the first `first` leaves split into; empty when first is 0.
    """

    origin: str
    first: int
    size: int
    left_edge: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """The checkpoint as a signed note of at most 65,536 bytes, and the attachments, read as they are asked for.

    attachments: at most 64 MiB each, ascending by their BLAKE3, none twice. The file ends after the last one.
        Raises: CutError: the file ends before. MalformedError: they are not, or something follows.
    """

    note: bytes
    attachments: Iterator[bytes]


def encode_header(header: Header) -> bytes:
    """Return a header's bytes [BDL-2]."""
    return cbor.encode([MAGIC, header.origin, header.first, header.size, list(header.left_edge)])


def encode_entry(body: bytes, signature: bytes) -> bytes:
    """Return the item of one leaf [BDL-3]."""
    return cbor.encode([body, signature])


def encode_trailer_head(note: bytes, attachments: int) -> bytes:
    """Return what a trailer begins with; so many attachments follow, ascending by their BLAKE3, none twice [BDL-4]."""
    return cbor.array_head(2) + cbor.byte_string(note) + cbor.array_head(attachments)


def encode_attachment(raw: bytes) -> bytes:
    """Return an attachment as it stands in a trailer [BDL-4]."""
    return cbor.byte_string(raw)


def decode_header(raw: bytes) -> Header:
    """Return the header that these bytes are. Raises MalformedError."""
    return _header(cbor.decode(raw))


class BundleReader:
    """Reads a bundle from a stream, one item in memory at a time: `header`, then `entries`, then `trailer`.

    Raises in all three: CutError: the file ends too early. MalformedError: an item of another form.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._items = SequenceReader(stream)
        first = self._items.read_item()
        if first is None:
            raise CutError("bundle: the file is empty, want a header")
        self.header: Final = _header(first.value)
        self.index = self.header.first
        """The leaf that comes next."""

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Return body and signature of each leaf in order, exactly as many as the header says [BDL-3]."""
        while self.index < self.header.size:
            item = self._items.read_item(bytes_max=limits.LEAF_ITEM_BYTES_MAX)
            if item is None:
                raise CutError(f"bundle: ends before leaf {self.index}, want {self.header.size} leaves and a trailer")
            yield _entry(item.value, self.index)
            self.index += 1

    def trailer(self) -> Trailer:
        """Return the trailer, after the last entry; its attachments are still to be read [BDL-4], [BDL-5]."""
        try:
            parts = self._items.read_array_head()
        except CutError as error:
            raise CutError("bundle: ends after its last leaf, want a trailer with a checkpoint") from error
        if parts == 0:
            raise CutError("bundle: the trailer is empty, want [checkpoint, attachments]")
        if parts != 2:
            raise MalformedError("bundle: the last item is not [checkpoint, attachments]")
        note = self._items.read_byte_string(bytes_max=NOTE_BYTES_MAX)
        return Trailer(note=note, attachments=self._attachments())

    def _attachments(self) -> Iterator[bytes]:
        before = b""
        for _ in range(self._items.read_array_head()):
            raw = self._items.read_byte_string(bytes_max=limits.ATTACHMENT_BYTES_MAX)
            key = digest.attachment_digest(raw)
            if key <= before:
                raise MalformedError("bundle: attachments ascend by their BLAKE3, none twice")
            yield raw
            before = key
        self._items.expect_end()


def _header(value: Value) -> Header:
    if type(value) is not list or len(value) != 5 or type(value[0]) is not str or value[0] != MAGIC:
        raise MalformedError(f"bundle: the first item is not [{MAGIC!r}, origin, first leaf, size, left edge]")
    _, origin, first, size, edge = value
    if type(origin) is not str or type(first) is not int or type(size) is not int or not 0 <= first < size:
        raise MalformedError("bundle: header wants an origin, and first leaf below size")
    if type(edge) is not list or len(edge) != first.bit_count():
        raise MalformedError(f"bundle: header wants {first.bit_count()} hashes left of leaf {first}")
    hashes = tuple(item for item in edge if type(item) is bytes and len(item) == HASH_BYTES)
    if len(hashes) != len(edge):
        raise MalformedError("bundle: the left edge wants hashes of 32 bytes")
    return Header(origin=origin, first=first, size=size, left_edge=hashes)


def _entry(value: Value, index: int) -> tuple[bytes, bytes]:
    if type(value) is list and len(value) == 2:
        body, signature = value
        if type(body) is bytes and type(signature) is bytes:
            return body, signature
        if type(body) is bytes and type(signature) is list:
            raise CutError(f"bundle: found the trailer where leaf {index} should be")
    if value == []:
        raise CutError(f"bundle: found an empty trailer where leaf {index} should be")
    raise MalformedError(f"bundle: leaf {index} is not [body, signature]")
