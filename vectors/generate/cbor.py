"""vectors/cbor: what IL1 accepts, with its value; what a decoder refuses; what an encoder refuses.

The encoder below is ours and small, so that the vectors do not repeat what some library happens to write. In JSON a
byte string is {"$bytes": hex}, a map {"$map": [[key, value], …]} in encoded order, and a float, which IL1 does not
have, {"$float": text}.
"""

import json
from collections.abc import Iterator
from typing import TypeAlias

AREAS = ("cbor",)

Value: TypeAlias = "bool | int | bytes | str | list[Value] | dict[str, Value] | None"
Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, OTHER = range(8)
NAMES = ("unsigned", "negative", "bytes", "text", "array", "map", "tag", "other")
INTEGER_MAX = 2**53 - 1
NESTING_MAX = 16
INNERMOST: list[Value] = [[], {}, 0]

ASTRAL, BELOW_ASTRAL = "\U00010151", "\uffe0x"  # four bytes each; UTF-16 orders them the other way round


def head(major: int, argument: int, width: int | None = None) -> bytes:
    """Return an item's head in its shortest form, or with `width` bytes of argument."""
    if width is None:
        width = 0 if argument < 24 else next(size for size in (1, 2, 4, 8) if argument < 1 << 8 * size)
    if width == 0:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | 23 + width.bit_length()]) + argument.to_bytes(width, "big")


def encode(value: Value) -> bytes:
    """Return the IL1 encoding of a value that has one; it checks nothing."""
    match value:
        case None | bool():
            return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
        case int():
            return head(UNSIGNED, value) if value >= 0 else head(NEGATIVE, -1 - value)
        case bytes():
            return head(BYTES, len(value)) + value
        case str():
            return text(value.encode())
        case list():
            return head(ARRAY, len(value)) + b"".join(map(encode, value))
        case dict():
            # A shortest head grows with the length, so that sorting encoded keys sorts by length, then by bytes.
            return pairs(*sorted((encode(key), encode(item)) for key, item in value.items()))


def text(utf8: bytes) -> bytes:
    """Return these bytes as a text string, UTF-8 or not."""
    return head(TEXT, len(utf8)) + utf8


def pairs(*items: tuple[bytes, bytes]) -> bytes:
    """Return a map of encoded keys and values as they are given."""
    return head(MAP, len(items)) + b"".join(key + item for key, item in items)


def nested(depth: int, inside: Value) -> Value:
    """Return `inside` within `depth` arrays and maps in turn."""
    for level in range(depth):
        inside = [inside] if level % 2 else {"in": inside}
    return inside


def accepted() -> Iterator[tuple[str, Value]]:
    """Yield (class, value)."""
    for simple in (None, False, True):
        yield "simple", simple
    edges = (0, 1, 10, 23, 24, 25, 100, 255, 256, 1000, 65535, 65536, 10**6, 2**32 - 1, 2**32, 10**12)
    for number in (*edges, 1893456000000, INTEGER_MAX - 1, INTEGER_MAX):
        yield "integer", number
    for number in (*edges, INTEGER_MAX - 1):
        yield "integer-negative", -1 - number
    for size in (0, 1, 23, 24, 32, 64, 255, 256, 300):
        yield "bytes", bytes(n % 251 for n in range(size))
    yield "bytes-that-look-like-text", b"text"
    yield "bytes-not-utf-8", b"\xff\xfe\xe0\xa0"
    yield "bytes-nfd", "e\u0301".encode()
    for size in (0, 1, 23, 24, 255, 256, 300):
        yield "text-ascii", ("abcdefghij" * 30)[:size]
    yield "text-controls", "\0\t\n\r\x1f\x7f"
    yield "text-escapes", '"\\/'
    for written in ("\xfc", "\u6c34", ASTRAL, "\U0010fffd", "\ue000", "\ufffd", "\u200b\u202e"):
        yield "text-non-ascii", written
    for written in ("\u08c7", "\U0001fad6", "\U00030000", "\U0003134a"):  # the newest of Unicode 13.0.0
        yield "text-unicode-13", written
    for written in ("\xe9", "q\u0307", "\uac00", "\u1e9b\u0323", "\xc5", "\u03a9", "\u0308\u0301"):
        yield "text-nfc", written
    yield "text-byte-order-mark", "\ufeffabc"
    yield "text-utf-8-widths", "\x7f\x80\u07ff\u0800\uffee\U00010000"
    yield "array", []
    for size in (1, 23, 24, 256):
        yield "array", [n % 24 for n in range(size)]
    yield "array-mixed", [None, False, True, 0, -1, b"", "", [], {}]
    yield "array-of-arrays", [[], [[]], [[], [[]]]]
    yield "map", {}
    yield "map", {"a": 1}
    for size in (23, 24):
        yield "map", {chr(97 + n): n for n in range(size)}
    yield "map-order-by-length-first", {"b": 1, "aa": 2, "c": 3}
    yield "map-order-by-bytes", {"ab": 1, "aB": 2, "a-": 3, "a_": 4}
    yield "map-order-counts-bytes-not-characters", {"\xe9": 1, "zz": 2, "z": 3, "aaa": 4}
    yield "map-order-is-not-utf-16", {ASTRAL: 1, BELOW_ASTRAL: 2}
    yield "map-order-across-head-widths", {"k" * 23: 1, "a" * 24: 2, "a" * 255: 3, "a" * 256: 4}
    yield "map-keys-that-objects-have", {"__proto__": 1, "constructor": 2, "toString": 3, "1": 4, "0": 5}
    yield "map-key-controls", {"\0": 1, " ": 2}
    yield "map-key-longest", {"\xe9" * 128: "256 bytes"}
    yield "map-of-maps", {"a": {"b": {"c": {}}}, "b": {"a": []}}
    for innermost in INNERMOST:
        yield "nesting", nested(NESTING_MAX - (innermost != 0), innermost)
    yield (
        "event-like",
        {
            "v": 1,
            "kind": "intent",
            "at_ms": 1893456000000,
            "by": bytes(range(32)),
            "prev": None,
            "resource": "stripe/acct_1/live/order/88%2F12",
            "data": {"purpose": "88/12", "identity": {"order": "88/12"}, "content": {"cents": 1200, "currency": "eur"}},
        },
    )


def refused() -> Iterator[tuple[str, bytes, str]]:
    """Yield (reason, bytes, comment): one fault each, so that any error is the right one."""
    yield from _not_well_formed()
    yield from _outside_the_model()
    yield from _not_shortest()
    yield from _bad_text()
    yield from _bad_maps()
    yield from _too_deep()


def _not_well_formed() -> Iterator[tuple[str, bytes, str]]:
    yield "truncated", b"", "nothing"
    for major in (UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP):
        for width in (1, 2, 4, 8):
            yield "truncated", head(major, 2 ** (8 * width) - 1, width)[:-1], f"{NAMES[major]}: head cut short"
    for major in (BYTES, TEXT, ARRAY, MAP):
        yield "truncated", head(major, 1), f"{NAMES[major]}: content missing"
        yield "truncated", head(major, 2**32 - 1), f"{NAMES[major]}: 4 Gi promised, none there"
        yield "truncated", head(major, 2**64 - 1), f"{NAMES[major]}: 2**64 - 1 promised, none there"
    yield "truncated", encode("ab")[:-1], "text cut short"
    yield "truncated", encode([1, 2])[:-1], "second element missing"
    yield "truncated", encode({"a": 1})[:-1], "value missing"
    for value in (None, "a", *INNERMOST):
        yield "trailing-bytes", encode(value) + b"\0", "another item after the first"
    yield "trailing-bytes", encode({"a": 1}) + encode({"a": 1}), "a sequence of two"
    for major, name in enumerate(NAMES):
        for info in (28, 29, 30):
            yield "reserved", bytes([major << 5 | info]), f"{name}: additional information {info}"
    for major in (UNSIGNED, NEGATIVE, TAG):
        yield "reserved", bytes([major << 5 | 31]), f"{NAMES[major]}: additional information 31"
    yield "indefinite", b"\xff", "break alone"
    yield "indefinite", head(ARRAY, 1) + b"\xff", "break as an element"
    for major, content in ((BYTES, encode(b"a")), (TEXT, encode("a")), (ARRAY, encode(1)), (MAP, encode("a") + b"\0")):
        yield "indefinite", bytes([major << 5 | 31]) + b"\xff", f"{NAMES[major]}: empty"
        yield "indefinite", bytes([major << 5 | 31]) + content + b"\xff", f"{NAMES[major]}: one inside"
        yield "indefinite", head(ARRAY, 1) + bytes([major << 5 | 31]) + b"\xff", f"{NAMES[major]}: in an array"


def _outside_the_model() -> Iterator[tuple[str, bytes, str]]:
    for number, content, comment in (
        (0, encode("2030-01-01T00:00:00Z"), "time as text"),
        (1, encode(1893456000), "time as a number"),
        (2, encode(b"\x01"), "bignum"),
        (3, encode(b"\x01"), "negative bignum"),
        (4, encode([-2, 100]), "decimal fraction"),
        (5, encode([1, 3]), "bigfloat"),
        (18, encode([b"", {}, b"", b""]), "COSE_Sign1"),
        (24, encode(encode(1)), "encoded CBOR"),
        (25, encode(0), "string reference"),
        (28, encode([]), "shareable"),
        (29, encode(0), "shared reference"),
        (30, encode([1, 3]), "rational"),
        (32, encode("http://example.com"), "URI"),
        (35, encode("(a*)*"), "regular expression"),
        (36, encode("Subject: x"), "e-mail"),
        (37, encode(bytes(16)), "UUID"),
        (42, encode(b"\0\x01\x71\x12\x20" + bytes(32)), "CID"),
        (100, encode(0), "days"),
        (256, encode([]), "string namespace"),
        (258, encode([1, 2]), "set"),
        (55799, encode(0), "self-described"),
        (2**64 - 1, encode(0), "the largest number"),
    ):
        yield "tag", head(TAG, number) + content, f"tag {number}: {comment}"
    yield "tag", head(ARRAY, 1) + head(TAG, 1) + encode(0), "tag 1 in an array"
    yield "tag", pairs((head(TAG, 0) + encode("a"), encode(1))), "tag 0 on a key"
    for bits in (
        "f90000",
        "f98000",
        "f93c00",
        "f93e00",
        "f97c00",
        "f9fc00",
        "f97e00",
        "f97e01",
        "fa3f800000",
        "fa7fc00000",
    ):
        yield "float", bytes.fromhex(bits), "a float, whole or not"
    for bits in ("fb3ff199999999999a", "fb4340000000000000", "fb7ff8000000000000"):
        yield "float", bytes.fromhex(bits), "a double"
    yield "float", pairs((encode("a"), bytes.fromhex("f93c00"))), "1.0 in a map"
    for bits in ("e0", "f0", "f3", "f7", "f820", "f8ff", "f814", "f800"):
        yield "simple", bytes.fromhex(bits), "undefined, a simple value without meaning, or a two-byte false"
    for number in (2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1):
        yield "integer-range", head(UNSIGNED, number), str(number)
        yield "integer-range", head(NEGATIVE, number - 1), str(-number)


def _not_shortest() -> Iterator[tuple[str, bytes, str]]:
    for major in (UNSIGNED, NEGATIVE):
        for number, width in ((0, 1), (23, 1), (0, 2), (255, 2), (0, 4), (65535, 4), (0, 8), (2**32 - 1, 8)):
            yield "not-shortest", head(major, number, width), f"{NAMES[major]} {number} in {width} bytes"
    for major, element in ((BYTES, b"a"), (TEXT, b"a"), (ARRAY, b"\0")):
        for count, width in ((0, 1), (1, 1), (1, 2), (1, 4), (1, 8), (23, 1), (255, 2)):
            raw = head(major, count, width) + element * count
            yield "not-shortest", raw, f"{NAMES[major]}: length {count} in {width} bytes"
    for width in (1, 2, 4, 8):
        yield "not-shortest", head(MAP, 0, width), f"map: length 0 in {width} bytes"
        yield "not-shortest", head(MAP, 1, width) + encode("a") + b"\0", f"map: length 1 in {width} bytes"
    yield "not-shortest", pairs((head(TEXT, 1, 1) + b"a", encode(1))), "length of a key"


def _bad_text() -> Iterator[tuple[str, bytes, str]]:
    for reason, utf8, comment in (
        ("utf-8", b"\xff", "no such byte"),
        ("utf-8", b"\x80", "continuation alone"),
        ("utf-8", b"\xc3", "sequence cut short"),
        ("utf-8", b"\xc3\x28", "sequence interrupted"),
        ("utf-8", b"\xc0\x80", "overlong NUL"),
        ("utf-8", b"\xe0\x80\xaf", "overlong slash"),
        ("utf-8", b"\xf0\x82\x82\xac", "overlong euro"),
        ("utf-8", b"\xed\xa0\x80", "high surrogate"),
        ("utf-8", b"\xed\xbf\xbf", "low surrogate"),
        ("utf-8", b"\xed\xa0\xbd\xed\xb8\x80", "surrogate pair (CESU-8)"),
        ("utf-8", b"\xf4\x90\x80\x80", "U+110000"),
        ("not-nfc", "e\u0301".encode(), "decomposed e acute"),
        ("not-nfc", "\u212b".encode(), "angstrom sign, a singleton"),
        ("not-nfc", "\u2126".encode(), "ohm sign, a singleton"),
        ("not-nfc", "\u1100\u1161".encode(), "Hangul in parts"),
        ("not-nfc", "a\u0301\u0323".encode(), "marks out of order"),
        ("not-nfc", "\u0958".encode(), "a composition exclusion"),
        ("not-nfc", "\U0001d15e".encode(), "a musical symbol that decomposes"),
        ("not-nfc", "\uf900".encode(), "a compatibility ideograph"),
        ("not-nfc", "\u0344".encode(), "a mark that decomposes"),
        ("unassigned", "\u0378".encode(), "never assigned"),
        ("unassigned", "\ufdd0".encode(), "noncharacter"),
        ("unassigned", "\uffff".encode(), "noncharacter"),
        ("unassigned", "\U0001ffff".encode(), "noncharacter"),
        ("unassigned", "\U0010ffff".encode(), "noncharacter"),
        ("unassigned", "\u061d".encode(), "of Unicode 14.0"),
        ("unassigned", "\U00010efd".encode(), "of Unicode 15.0"),
        ("unassigned", "x\u0301\U00010efd".encode(), "of Unicode 15.0, reorders"),
        ("unassigned", "\U0001fae8".encode(), "of Unicode 15.0"),
        ("unassigned", "\U0002ebf0".encode(), "of Unicode 15.1"),
        ("unassigned", "\U00040000".encode(), "an empty plane"),
        ("unassigned", "\U000e0000".encode(), "before the tags"),
    ):
        yield reason, text(utf8), comment
        yield reason, pairs((text(utf8), encode(0))), f"{comment}, in a key"
    yield "not-nfc", encode([["a", {"k": "e\u0301"}]]), "decomposed, deep inside"


def _bad_maps() -> Iterator[tuple[str, bytes, str]]:
    keys: list[Value] = [0, -1, b"a", None, True, ["a"], {"a": 1}]
    for key in keys:
        yield "key-type", pairs((encode(key), encode(0))), f"key {typed(key)}"
    yield "key-type", pairs((bytes.fromhex("f97e00"), encode(0))), "key NaN"
    yield "key-type", pairs((bytes.fromhex("f97e00"), encode(0)), (bytes.fromhex("f97e00"), encode(1))), "key NaN twice"
    yield "key-type", pairs((encode(1), encode(0)), (encode("a"), encode(0))), "one key of two"
    yield "key-size", pairs((encode(""), encode(0))), "0 bytes"
    yield "key-size", pairs((encode("a" * 257), encode(0))), "257 bytes"
    yield "key-size", pairs((encode("\xe9" * 128 + "a"), encode(0))), "129 characters, 257 bytes"
    for first, second in (
        ("b", "a"),
        ("aa", "b"),
        ("aa", "a"),
        ("\xe9", "z"),
        ("aaa", "\xe9"),
        (ASTRAL, BELOW_ASTRAL),
        ("a" * 24, "k" * 23),
        ("a_", "a-"),
        ("ab", "aB"),
    ):
        comment = f"{first!a} before {second!a}"[:80]
        yield "key-order", pairs((encode(first), encode(1)), (encode(second), encode(2))), comment
    yield "key-order", head(ARRAY, 1) + pairs((encode("b"), encode(1)), (encode("a"), encode(2))), "in an array"
    yield "key-duplicate", pairs((encode("a"), encode(1)), (encode("a"), encode(1))), "the same value"
    yield "key-duplicate", pairs((encode("a"), encode(1)), (encode("a"), encode(2))), "another value"
    repeated = pairs((encode("a"), encode(1)), (encode("b"), encode(2)), (encode("a"), encode(3)))
    yield "key-duplicate", repeated, "not side by side"


def _too_deep() -> Iterator[tuple[str, bytes, str]]:
    for innermost in INNERMOST:
        depth = NESTING_MAX + (innermost == 0)
        yield "nesting", encode(nested(depth, innermost)), f"17 levels around {typed(innermost)}"
    yield "nesting", head(ARRAY, 1) * 16 + encode([]), "17 arrays"
    yield "nesting", (head(MAP, 1) + encode("a")) * 16 + encode({}), "17 maps"
    yield "nesting", head(ARRAY, 1) * 1000 + encode(0), "1,000 arrays"


def unencodable() -> Iterator[tuple[str, Json]]:
    """Yield (reason, typed value): no encoder may write these, nor mend them on the way."""
    for number in (2**53, -(2**53), 2**63, 2**64, -(2**64) - 1, 10**30):
        yield "integer-range", number
    for spelled in ("0.0", "-0.0", "1.0", "1.5", "nan", "inf"):
        yield "float", {"$float": spelled}
    yield "float", [{"$map": [["a", [{"$float": "1.0"}]]]}]
    for written in ("e\u0301", "\u212b", "\u1100\u1161", "a\u0301\u0323"):
        yield "not-nfc", written
        yield "not-nfc", {"$map": [[written, 0]]}
    for written in ("\u0378", "\uffff", "\U00010efd", "\U0001fae8"):
        yield "unassigned", written
        yield "unassigned", {"$map": [[written, 0]]}
    for written in ("\ud800", "\udfff", "a\udc80"):
        yield "utf-8", written
        yield "utf-8", {"$map": [[written, 0]]}
    keys: list[Json] = [0, None, True, {"$bytes": "61"}]
    for key in keys:
        yield "key-type", {"$map": [[key, 0]]}
    for written in ("", "a" * 257, "\xe9" * 128 + "a"):
        yield "key-size", {"$map": [[written, 0]]}
    for innermost in INNERMOST:
        yield "nesting", typed(nested(NESTING_MAX + (innermost == 0), innermost))


def typed(value: Value) -> Json:
    """Return a value as JSON that keeps bytes and the order of keys."""
    match value:
        case bytes():
            return {"$bytes": value.hex()}
        case list():
            return [typed(item) for item in value]
        case dict():
            return {"$map": [[key, typed(value[key])] for key in sorted(value, key=encode)]}
        case _:
            return value


def generate() -> dict[str, bytes]:
    """Return the three files."""
    count: dict[str, int] = {}
    accept: list[Json] = [
        {"id": _id(kind, count), "hex": encode(value).hex(), "value": typed(value)} for kind, value in accepted()
    ]
    reject: list[Json] = [
        {"id": _id(reason, count), "hex": raw.hex(), "reason": reason, "comment": comment}
        for reason, raw, comment in refused()
    ]
    encode_reject: list[Json] = [
        {"id": _id(f"encode-{reason}", count), "value": value, "reason": reason} for reason, value in unencodable()
    ]
    return {
        "cbor/accept.json": _lines(accept),
        "cbor/reject.json": _lines(reject),
        "cbor/encode_reject.json": _lines(encode_reject),
    }


def _id(name: str, count: dict[str, int]) -> str:
    count[name] = count.get(name, 0) + 1
    return f"{name}-{count[name]}"


def _lines(cases: list[Json]) -> bytes:
    """Return a JSON list, one case a line, so that a diff shows cases. Only ASCII: no editor normalises it."""
    return ("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n").encode()
