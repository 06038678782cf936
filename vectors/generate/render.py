"""vectors/render: the texts of render/1, each written out here and never by a JSON library.

A case gives an intent's body and its contract. Whoever approves consents to `shown`, the digest of `text`.
"""

from collections.abc import Iterator
from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._sample import CHARGE, DATA, LOG_ID, OTHER_ID
from vectors.generate._wire import AGENT, T0, Case, Map, Value

AREAS = ("render",)

SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def generate() -> dict[str, bytes]:
    cases = {
        name: case(comment, content, shown, **more)
        for name, comment, content, shown, more in (*texts(), *values(), *heads())
    }
    return wire.files("render", cases)


Row = tuple[str, str, Map, dict[str, str], Map]


def texts() -> Iterator[Row]:
    """Yield text that would like to be something else on the screen, and how it is shown."""
    rows: dict[str, tuple[str, str, str]] = {
        "quotes": ("quotes and backslashes", 'a "b" \\c', '"a \\"b\\" \\\\c"'),
        "lines": ("line ends", "a\nb\rc\td", '"a\\nb\\rc\\td"'),
        "controls": ("controls", "\0\b\f\x1b\x7f", '"\\u0000\\b\\f\\u001b\\u007f"'),
        "forged": (
            "a line that looks like ours",
            '5\n  currency: "usd"\nrepeats a committed effect: no',
            '"5\\n  currency: \\"usd\\"\\nrepeats a committed effect: no"',
        ),
        "bidi": ("direction marks", "a\u202eb\u2066c", '"a\\u202eb\\u2066c"'),
        "invisible": (
            "a zero-width space, a soft hyphen, a byte order mark",
            "\u200b\xad\ufeff",
            '"\\u200b\\u00ad\\ufeff"',
        ),
        "separators": ("line and paragraph separators", "\u2028\u2029\x85", '"\\u2028\\u2029\\u0085"'),
        "letters": ("letters past ASCII", "caf\xe9 \u6c34", '"caf\\u00e9 \\u6c34"'),
        "astral": ("two UTF-16 code units", "\U0001f600\U00010151", '"\\ud83d\\ude00\\ud800\\udd51"'),
        "slash": ("a slash is itself, and so are < and >", "</script>", '"</script>"'),
        "empty": ("no text", "", '""'),
    }
    for name, (comment, text, shown) in rows.items():
        yield f"text-{name}", f"{comment} [RND-1]", {"amount": text}, {"amount": shown}, {}


def values() -> Iterator[Row]:
    rows: dict[str, tuple[str, Value, str]] = {
        "integer": ("an integer", -5000, "-5000"),
        "largest": ("the largest", 2**53 - 1, "9007199254740991"),
        "true": ("true", True, "true"),
        "false": ("false", False, "false"),
        "null": ("null", None, "null"),
        "bytes": ("bytes", b"\x00\xff", "2 bytes 00ff"),
        "bytes-none": ("no bytes", b"", "0 bytes "),
        "bytes-33": ("the first 32 of 33 bytes", bytes(range(33)), f"33 bytes {bytes(range(32)).hex()}"),
        "list": ("a list", ["a", 1, None], '["a", 1, null]'),
        "list-empty": ("an empty list", [], "[]"),
        "map": ("a map in encoded order", {"bb": 1, "c": 2, "a": 3}, '{"a": 3, "c": 2, "bb": 1}'),
        "map-empty": ("an empty map", {}, "{}"),
        "map-key": ("a key is quoted too", {'x"\n': 1}, '{"x\\"\\n": 1}'),
        "nested": ("records in a list", [{"sku": "a", "n": [b"\x01"]}], '[{"n": [1 bytes 01], "sku": "a"}]'),
    }
    for name, (comment, value, shown) in rows.items():
        yield f"value-{name}", f"{comment} [RND-1]", {"amount": value}, {"amount": shown}, {}
    attachment: Map = {"size": 20_000, "attachment": bytes(range(32))}
    shown = '{"size": 20000, "attachment": 32 bytes ' + bytes(range(32)).hex() + "}"
    yield "value-attachment", "a long raw argument is its digest [RND-1]", {"pdf": attachment}, {"pdf": shown}, {}
    ordered: Map = {"bb": 1, "a": 2, "aa": 3, "Z": 4}
    yield (
        "order",
        "arguments by length, then by bytes [RND-1]",
        ordered,
        {key: str(n) for key, n in ordered.items()},
        {},
    )
    yield "no-content", "identity alone", {}, {}, {}


def heads() -> Iterator[Row]:
    amount: Map = {"amount": 5000}
    shown = {"amount": "5000"}
    yield "repeat", "it repeats a committed effect", amount, shown, {"again": OTHER_ID}
    yield "after", "a second attempt is no repeat", amount, shown, {"after": OTHER_ID}
    yield "purpose-empty", "no purpose", amount, shown, {"purpose": ""}
    yield "purpose-quoted", "a purpose is quoted", amount, shown, {"purpose": "a@b/c"}


def case(comment: str, content: Map, shown: dict[str, str], **data: Value) -> Case:
    values: Map = {**DATA["intent"], "content": content, **data}
    identity = cast("Map", values["identity"])
    resource = wire.expand(str(CHARGE["resource"]), {**cast("Map", CHARGE["realm"]), **identity})
    body: Map = {
        "v": 1,
        "log": LOG_ID,
        "kind": "intent",
        "by": AGENT.public,
        "at_ms": T0,
        "prev": values["after"] or values["again"],
        "data": values,
        "effect": wire.named("effect", CHARGE["effect_class"], resource, values["purpose"], identity),
        "resource": resource,
        "state": wire.named("zero", LOG_ID, resource),
    }
    lines = [
        "invoke-log render/1",
        f"intent: evt_{wire.h('event', wire.il1(body)).hex()}",
        f"issuer: key_{AGENT.public.hex()}",
        'tool: "charge-customer" version 1',
        f"contract: ctr_{wire.named('contract', CHARGE).hex()}",
        'effect class: "money.charge/1"',
        f"resource: {quoted(resource)}",
        f"purpose: {quoted(str(values['purpose']))}",
        f"repeats a committed effect: {'yes' if values['again'] else 'no'}",
        "arguments (text in quotes was written by the agent or its sources, and is not to be trusted):",
        *(f"  {name}: {line}" for name, line in in_order({"customer": '"cus_1"', **shown})),
    ]
    text = "".join(f"{line}\n" for line in lines)
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["render"],
        "contract": wire.typed(CHARGE),
        "body": wire.il1(body).hex(),
        "text": text,
        "shown": wire.plain(text.encode()).hex(),
    }


def in_order(lines: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(lines.items(), key=lambda line: (len(line[0]), line[0]))


def quoted(text: str) -> str:
    assert text.isascii()
    return '"' + "".join(SHORT.get(letter, letter) for letter in text) + '"'
