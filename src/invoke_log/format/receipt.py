"""Everything that a third party needs to check one effect offline. SPEC §15 [RCP-1], [RCP-2].

A CBOR sequence of IL1 items, as a bundle is: a header, one item for each leaf that is shown, a trailer with the signed
checkpoint. Each leaf comes with its inclusion proof in the checkpoint's tree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from invoke_log.errors import CutError, MalformedError
from invoke_log.format import cbor, limits
from invoke_log.format.cbor import ByteStream, SequenceReader, Value
from invoke_log.format.merkle import HASH_BYTES

MAGIC: Final = "invoke-log receipt 1"
_PROOF_HASHES_MAX: Final = 64
ITEM_BYTES_MAX: Final = limits.LEAF_ITEM_BYTES_MAX + _PROOF_HASHES_MAX * (HASH_BYTES + 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Which effect of which log, at which tree size."""

    origin: str
    effect: bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One leaf and the hashes that tie it to the root, its sibling first."""

    index: int
    body: bytes
    signature: bytes
    proof: tuple[bytes, ...]


def encode_header(header: Header) -> bytes:
    """Return a header's bytes [RCP-1]."""
    return cbor.encode([MAGIC, header.origin, header.effect, header.size])


def encode_shown(shown: Shown) -> bytes:
    """Return the item of one leaf [RCP-1]."""
    return cbor.encode([shown.index, shown.body, shown.signature, list(shown.proof)])


def encode_trailer(note: bytes) -> bytes:
    """Return the last item [RCP-1]."""
    return cbor.encode([note])


class ReceiptReader:
    """Reads a receipt from a stream: `header`, then `leaves`, then `note`.

    Raises in all three: CutError: it ends too early. MalformedError: an item of another form.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._items = SequenceReader(stream)
        self.note: bytes | None = None
        """The signed checkpoint, once `leaves` has been read to its end."""
        first = self._items.read_item(bytes_max=ITEM_BYTES_MAX)
        if first is None:
            raise CutError("receipt: it is empty, want a header")
        self.header: Final = _header(first.value)

    def leaves(self) -> Iterator[Shown]:
        """Return the leaves that are shown, ascending by index [RCP-2]."""
        before = -1
        while self.note is None:
            item = self._items.read_item(bytes_max=ITEM_BYTES_MAX)
            if item is None:
                raise CutError("receipt: ends before its checkpoint")
            if type(item.value) is list and len(item.value) == 1 and type(item.value[0]) is bytes:
                self.note = item.value[0]
                continue
            shown = _shown(item.value, item.offset)
            if not before < shown.index < self.header.size:
                raise MalformedError(
                    f"receipt: leaf {shown.index} after leaf {before}, want ascending below {self.header.size}"
                )
            before = shown.index
            yield shown
        self._items.expect_end()


def _header(value: Value) -> Header:
    if type(value) is list and len(value) == 4 and type(value[0]) is str and value[0] == MAGIC:
        _, origin, effect, size = value
        if type(origin) is str and type(effect) is bytes and len(effect) == 32 and type(size) is int and size > 0:
            return Header(origin=origin, effect=effect, size=size)
    raise MalformedError(f"receipt: the first item is not [{MAGIC!r}, origin, effect key, size]")


def _shown(value: Value, offset: int) -> Shown:
    if type(value) is list and len(value) == 4:
        index, body, signature, proof = value
        if type(index) is int and type(body) is bytes and type(signature) is bytes and type(proof) is list:
            hashes = tuple(item for item in proof if type(item) is bytes and len(item) == HASH_BYTES)
            if len(hashes) == len(proof) <= _PROOF_HASHES_MAX:
                return Shown(index=index, body=body, signature=signature, proof=hashes)
    raise MalformedError(f"receipt: the item at byte {offset} is not [leaf index, body, signature, inclusion proof]")
