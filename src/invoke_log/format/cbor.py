"""IL1, the one deterministic CBOR encoding of a value, and a reader for files of such items. SPEC [IL1-1] to [IL1-6].

IL1 is RFC 8949 §4.2 with further rules: null, booleans, integers, byte strings, text, arrays, maps with text keys, and
nothing else. One value has one encoding; whatever is not that encoding is refused, never repaired. cbor2 parses, one
walk checks the model, and encoding again must give back the bytes that were read. Only the heads of arrays and byte
strings too long to be held several times are read by hand.

>>> encode({"to": "acct_2", "cents": 1200}).hex()
'a262746f66616363745f326563656e74731904b0'
>>> decode(bytes.fromhex("a262746f66616363745f326563656e74731904b0"))
{'to': 'acct_2', 'cents': 1200}
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import IO, Any, Final, NamedTuple, NoReturn, Protocol, TypeAlias, TypedDict, cast
from unicodedata import is_normalized

import cbor2

from invoke_log.errors import CutError, MalformedError
from invoke_log.format import limits
from invoke_log.format.repertoire import in_repertoire

Value: TypeAlias = "bool | int | bytes | str | list[Value] | dict[str, Value] | None"
"""What IL1 can say [IL1-2]. Exact types: no subclass, no tuple, no bytearray, no float."""

_INTEGER_MAX: Final = limits.INTEGER_MAX
_KEY_BYTES_MAX: Final = limits.MAP_KEY_BYTES_MAX

_Container: TypeAlias = list[object] | dict[object, object]
_Path: TypeAlias = "str | tuple[_Path, object]"
"""Where the walk stands: a key or index linked to the path of what holds it. Only an error spells it out."""


class ByteStream(Protocol):
    """Where bytes come from: `read` returns at most `size` bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes: ...


class SequenceItem(NamedTuple):
    """One item of a CBOR sequence: its value, the bytes it was read from, and how many bytes came before it."""

    value: Value
    raw: bytes
    offset: int


def encode(value: Value, *, bytes_max: int = limits.ITEM_BYTES_MAX) -> bytes:
    """Return the one encoding of `value`, at most `bytes_max` bytes; maps may hold their keys in any order [IL1-1].

    Raises: MalformedError: something that IL1 cannot say, with its path, or an encoding that is too long.
    """
    raw = cbor2.dumps(_in_order(value, "$"))
    if len(raw) > bytes_max:
        raise MalformedError(f"$: {len(raw)} bytes encoded, want at most {bytes_max}")
    return raw


def encode_flat(item: Sequence[bytes | int | str | None]) -> bytes:
    """Return the encoding of an array of ids, tokens, bounded counts and nulls: nothing to walk [IL1-1]."""
    return cbor2.dumps(item)


def array_head(count: int) -> bytes:
    """Return the bytes that begin an array of `count` items, for an array too long to be encoded whole [IL1-1]."""
    return _head(_ARRAY, count)


def byte_string(raw: bytes) -> bytes:
    """Return the encoding of a byte string: of bytes that are encoded already, there is nothing to walk [IL1-1]."""
    return cbor2.dumps(raw)


def _head(major: int, count: int) -> bytes:
    # It is the head of the same number as an unsigned integer, with another major type in its upper three bits.
    head = cbor2.dumps(count)
    return bytes((head[0] | major << 5,)) + head[1:]


def decode(raw: bytes, *, bytes_max: int = limits.ITEM_BYTES_MAX) -> Value:
    """Return the value whose encoding is `raw`, at most `bytes_max` bytes; map keys come in encoded order [IL1-1].

    Raises: MalformedError: whatever `encode` would not have written. The size is judged before anything is parsed.
    """
    if len(raw) > bytes_max:
        raise MalformedError(f"$: {len(raw)} bytes, want at most {bytes_max}")
    try:
        found = cbor2.loads(raw, **_STRICT)
    except cbor2.CBORDecodeError as error:
        raise MalformedError(f"$: {_reason(error, _parsed_bytes(raw))}, want one IL1 item") from error
    return _confirmed(found, raw, "$")


class SequenceReader:
    """Reads a CBOR sequence (RFC 8742) of IL1 items one by one from `stream`, never a byte further than asked.

    Memory holds one item. After an error it stands somewhere inside an item: read no more. Items are read several times
    as fast from an `io.BufferedReader`, which shows the bytes that it holds already.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._shown = stream.peek if isinstance(stream, io.BufferedReader) else None
        self._meter = _Meter(stream)
        self._decoder = cbor2.CBORDecoder(cast(IO[bytes], self._meter), **_STRICT)
        self.offset = 0
        """Bytes read so far: where the next item begins."""

    def read_item(self, *, bytes_max: int = limits.ITEM_BYTES_MAX) -> SequenceItem | None:
        """Return the next item, or None where the stream ends between two items.

        Raises: CutError: the stream ends inside an item. MalformedError: not IL1, or longer than `bytes_max`, which is
        noticed before more than that is read. Whatever the stream's own `read` raises passes through.
        """
        item = self._item_shown(bytes_max) or self._item_read(bytes_max)
        if item is not None:
            self.offset += len(item.raw)
        return item

    def _item_shown(self, bytes_max: int) -> SequenceItem | None:
        """Return the next item where the stream shows all of it and nothing is wrong, else None with nothing read."""
        if self._shown is None or not (shown := self._shown()):
            return None
        try:
            value = _in_order(cbor2.loads(shown, **_STRICT), "$")
        except (cbor2.CBORDecodeError, MalformedError):
            return None  # cut off by the buffer, or wrong: whoever reads byte by byte can tell, and says where
        raw = cbor2.dumps(value)
        if len(raw) > bytes_max or not shown.startswith(raw):
            return None
        self._stream.read(len(raw))
        return SequenceItem(value=value, raw=raw, offset=self.offset)

    def _item_read(self, bytes_max: int) -> SequenceItem | None:
        meter = self._meter
        meter.begin(bytes_max)
        root = f"item at byte {self.offset}: $"
        try:
            found = self._decoder.decode()
        except cbor2.CBORDecodeError as error:
            if meter.in_stream and error.__cause__:  # the stream's own error, as cbor2 wrapped it
                raise error.__cause__ from None
            if meter.overlong:
                raise MalformedError(f"{root}: more than {bytes_max} bytes, want at most that") from None
            if not isinstance(error, cbor2.CBORDecodeEOF):
                raise MalformedError(f"{root}: {_reason(error, meter.taken)}, want one IL1 item") from error
            if meter.taken:
                raise CutError(f"{root}: the stream ends after {meter.taken} bytes, want the whole item") from None
            return None
        raw = b"".join(meter.chunks)
        return SequenceItem(value=_confirmed(found, raw, root), raw=raw, offset=self.offset)

    def read_array_head(self) -> int:
        """Return how many items the array that comes next has [IL1-1].

        What is in it is read next, one by one: for an array too long to be held whole.
        Raises: CutError: the stream ends before its head does. MalformedError: something else comes.
        """
        return self._read_head(_ARRAY, "the head of an array")

    def read_byte_string(self, *, bytes_max: int) -> bytes:
        """Return the next item, a byte string of at most `bytes_max` bytes; it is held once, not several times [IL1-1].

        Raises: CutError: the stream ends before it does. MalformedError: something else comes, or a longer one.
        """
        size = self._read_head(_BYTE_STRING, "a byte string")
        if size > bytes_max:
            raise MalformedError(f"byte {self.offset}: a byte string of {size} bytes, want at most {bytes_max}")
        raw = self._read_exactly(size)
        if len(raw) < size:
            raise CutError(f"byte {self.offset}: the stream ends, want all {size} bytes of a byte string")
        return raw

    def _read_head(self, major: int, wanted: str) -> int:
        """Return the number in the next item's head (RFC 8949 §3)."""
        root = f"byte {self.offset}"
        head = self._read_exactly(1)
        short = head[0] & 0x1F if head else 0
        width = _NUMBER_BYTES.get(short, 0)
        head += self._read_exactly(width)
        if len(head) < 1 + width:
            raise CutError(f"{root}: the stream ends, want {wanted}")
        number = int.from_bytes(head[1:]) if width else short
        if head != _head(major, number):
            raise MalformedError(f"{root}: found {head.hex()}, want {wanted}, its length in the shortest form")
        return number

    def _read_exactly(self, size: int) -> bytes:
        raw = _exactly(self._stream, size)
        self.offset += len(raw)
        return raw

    def expect_end(self) -> None:
        """Return where the stream has ended. Raises MalformedError: a byte follows, whatever it is."""
        if self._stream.read(1):
            raise MalformedError(f"byte {self.offset}: found more after the last item, want the end")


def _confirmed(found: object, raw: bytes, root: str) -> Value:
    """Return what was parsed from `raw`, once it is in the model and encodes to `raw` again."""
    value = _in_order(found, root)
    wanted = cbor2.dumps(value)
    if wanted != raw:
        # All that passes the parser and the walk: a head that is not shortest, keys out of order, bytes after the item.
        at = next((at for at, (one, other) in enumerate(zip(raw, wanted, strict=False)) if one != other), len(wanted))
        if at == len(wanted):
            raise MalformedError(f"{root}: {len(raw) - at} bytes after the item, want none")
        raise MalformedError(
            f"{root}: byte {at} is {raw[at]:#04x}, want {wanted[at]:#04x} (shortest head, keys in order)"
        )
    return value


def _in_order(value: object, root: str) -> Value:
    """Return `value`, checked, with each map's keys in encoded order: the same object where they already are."""
    if type(value) is dict or type(value) is list:
        value = _walk(value, root, limits.NESTING_MAX)
    else:
        _check_scalar(value, root)
    return cast(Value, value)


def _walk(container: _Container, path: _Path, room: int) -> _Container:
    """Return `container` with every map inside it in order; `room` is how many levels may open, this one too [IL1-5].

    The depth is judged before the descent: cbor2 kills the interpreter on a list nested thousands deep.
    """
    if not room:
        _refuse(path, f"nested deeper than {limits.NESTING_MAX}", "at most that")
    if not container:
        return container
    if type(container) is dict:
        container = _keys_in_order(container, path)
        items: Iterable[tuple[object, Any]] = container.items()
    else:
        items = enumerate(container)
    moved: Any = None
    for key, item in items:
        # What events are mostly made of goes first and calls nothing; `_check_scalar` knows all of the rule.
        kind = type(item)
        if kind is bytes or item is None or (kind is str and item.isascii()):
            continue
        if kind is int and -_INTEGER_MAX <= item <= _INTEGER_MAX:
            continue
        if kind is dict or kind is list:
            walked = _walk(item, (path, key), room - 1)
            if walked is not item:
                moved = container.copy() if moved is None else moved
                moved[key] = walked
        else:
            _check_scalar(item, (path, key))
    return container if moved is None else cast("_Container", moved)


def _check_scalar(value: object, path: _Path) -> None:
    """Raise unless `value` is null, a boolean, an integer in range, bytes, or text as IL1 has it [IL1-2]."""
    if type(value) is int:
        if not -_INTEGER_MAX <= value <= _INTEGER_MAX:
            _refuse(path, f"an integer of {value.bit_length()} bits", "one from -(2**53 - 1) to 2**53 - 1")
    elif type(value) is str:
        check_text(value, path)
    elif not (value is None or type(value) is bytes or type(value) is bool):
        _refuse(path, type(value).__name__, "null, a boolean, an integer, bytes, text, an array or a map")


def _keys_in_order(mapping: dict[object, object], path: _Path) -> dict[object, object]:
    """Return `mapping`, keys checked and ascending by (size, bytes): the same object where they already are [IL1-4]."""
    try:
        ordered = (_known_order if len(mapping) <= _KNOWN_KEYS_MAX else _order)(*mapping)
    except MalformedError as error:
        raise MalformedError(_spelled(path) + error.message) from None
    return mapping if ordered is None else {key: mapping[key] for key in ordered}


def _order(*keys: object) -> list[str] | None:
    """Return keys ascending by (size, bytes), None where they already are. Raises MalformedError, from the key on."""
    for key in keys:
        if type(key) is not str:
            _refuse("", f"a map key of type {type(key).__name__}", "text")
    sized: list[tuple[int, str]] = []
    for key in cast("tuple[str, ...]", keys):
        check_text(key, ("", key))
        size = len(key.encode())
        if not 0 < size <= _KEY_BYTES_MAX:
            _refuse(("", key), f"a map key of {size} bytes", f"1 to {_KEY_BYTES_MAX}")
        sized.append((size, key))
    # Python orders text by code point, which is also how UTF-8 orders it by bytes.
    ordered = sorted(sized)
    return None if ordered == sized else [key for _, key in ordered]


_known_order: Final = lru_cache(maxsize=256, typed=True)(_order)
"""Programs write few sets of keys, again and again: to look one up takes a quarter of judging it (0.7 for 2.5 us). A
key of another type is another set: a subclass of text may equal it.
"""
_KNOWN_KEYS_MAX: Final = 32
"""Keys of a map that is remembered, of at most 256 bytes each: the memory is bounded by some 2 MB."""


def check_text(text: str, path: _Path) -> None:
    """Raise MalformedError unless `text` is in the repertoire and in normal form NFC [IL1-3]; ASCII always is."""
    if text.isascii():
        return
    if not in_repertoire(text):
        _refuse(path, f"text {text[:24]!a} with a code point outside Unicode 13.0.0", "assigned code points")
    if not is_normalized("NFC", text):
        _refuse(path, f"text {text[:24]!a} that is not in NFC", "NFC")


def _refuse(path: _Path, found: str, wanted: str) -> NoReturn:
    raise MalformedError(f"{_spelled(path)}: {found}, want {wanted}")


def _spelled(path: _Path) -> str:
    """Return the path as in `$.data.rows[3]`; each step is cut, and plain ASCII."""
    steps = []
    while isinstance(path, tuple):
        path, key = path
        steps.append(f".{key}" if isinstance(key, str) and key.isascii() and key.isidentifier() else f"[{key!a}]")
    return f"{path}{''.join(step[:40] for step in reversed(steps))}"


_BYTE_STRING: Final = 2
_ARRAY: Final = 4
_NUMBER_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
"""Of a head whose low five bits say so: how many bytes of its number follow (RFC 8949 §3)."""
_PIECE_BYTES: Final = 65_536
"""cbor2 asks for longer strings in pieces of this size."""
_LENGTH_BYTES_MAX: Final = 8


def _exactly(stream: ByteStream, size: int) -> bytes:
    """Return the next `size` bytes of a stream, or all that are left."""
    chunks: list[bytes] = []
    while size and (chunk := stream.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Meter:
    """A stream as cbor2 reads it: exactly what the item needs, at most `bytes_max` bytes, and every byte kept."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.begin(0)

    def begin(self, bytes_max: int) -> None:
        """Start over, for an item of at most `bytes_max` bytes."""
        self._bytes_max = bytes_max
        self.chunks: list[bytes] = []
        self.taken = 0
        self.overlong = False
        self.in_stream = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False  # so that cbor2 reads nothing ahead

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer where the stream ends or the item would grow past its bound."""
        if self.taken + self._wanted(size) > self._bytes_max:
            self.overlong = True
            return b""
        self.in_stream = True
        chunk = _exactly(self._stream, size)
        self.in_stream = False
        self.chunks.append(chunk)
        self.taken += len(chunk)
        return chunk

    def _wanted(self, size: int) -> int:
        """Return the bytes that are asked for: of a long string, whose first piece follows its length, all of it."""
        head = self.chunks[-1] if self.chunks else b""
        return int.from_bytes(head) if size >= _PIECE_BYTES and len(head) <= _LENGTH_BYTES_MAX else size


class _NoTags(dict[int, NoReturn]):
    """What cbor2 asks at the head of every tag, the built-in ones too; it raises before the content is read.

    Without it cbor2 compiles regular expressions, parses e-mail, and lets shared references double per nine bytes. It
    is a dict, which cbor2 knows at sight: any other Mapping it asks for its type before each item (0.6 us).
    """

    def __missing__(self, tag: int) -> NoReturn:
        raise MalformedError(f"tag {tag}")


class _Strict(TypedDict):
    semantic_decoders: Mapping[int, NoReturn]
    max_depth: int
    allow_indefinite: bool
    allow_duplicate_keys: bool
    strict_hashable_types: bool


_STRICT: Final = _Strict(
    semantic_decoders=_NoTags(),
    max_depth=limits.NESTING_MAX,
    allow_indefinite=False,
    allow_duplicate_keys=False,
    strict_hashable_types=True,
)


def _parsed_bytes(raw: bytes) -> int:
    """Return how far the parser came in `raw` before it gave up: `loads` does not say, so it reads again, exactly."""
    stream = io.BytesIO(raw)
    with suppress(cbor2.CBORDecodeError):
        cbor2.CBORDecoder(stream, read_size=1, **_STRICT).decode()
    return stream.tell()


def _reason(error: cbor2.CBORDecodeError, parsed_bytes: int) -> str:
    """Return where and why the parser gave up, cut, since it quotes what it read."""
    return f"stopped after {parsed_bytes} bytes: {str(error.__cause__ or error)[:120]}"
