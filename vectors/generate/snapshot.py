"""vectors/snapshot: what the normal form of a profile is, which snapshots are one and which are two, and which are
none.

`same`: two spellings at intake, and the one snapshot that they become. Intake is not on the wire; a value is JSON,
with {"$bytes": hex}, {"$float": text} and {"$time": an RFC 3339 time with its offset}. `differ`: two snapshots and
the first path at which they differ. `normal`: bytes, and whether they are a snapshot of the profile. `drift`: what
may change between decision and START.
"""

from collections.abc import Iterator

from vectors.generate import _wire as wire
from vectors.generate._wire import Case, Map, Value

AREAS = ("snapshot",)

TODAY = 1_790_000_000
TOKEN: Map = {"type": "token", "max": 16, "nullable": False}


def kind(name: str, *, nullable: bool = False, **fields: Value) -> Map:
    return {"type": name, **fields, "nullable": nullable}


def record(**fields: Value) -> Map:
    return kind("record", fields=fields)


INTEGER = kind("integer", min=0, max=9999)
PRICE = kind("decimal", scale=2)
DAY = kind("time", unit="s", grain=86_400)
MOMENT = kind("time", unit="ms", grain=1)
TEXT = kind("text", max=64)
TAGS = kind("set", of=TOKEN, max=8)
LINES = kind("list", of=record(sku=TOKEN, count=INTEGER), max=8, order="as the order lists them")
CUSTOMER = record(balance=INTEGER, plan=kind("enum", of=["free", "pro"]), name=kind("text", max=64, nullable=True))


def generate() -> dict[str, bytes]:
    cases = {
        **{f"same-{name}": case for name, case in same()},
        **{f"differ-{name}": case for name, case in differ()},
        **{f"intake-{name}": case for name, case in intake_refused()},
        **{f"normal-{name}": case for name, case in normal()},
        **{f"drift-{name}": case for name, case in drift()},
    }
    return wire.files("snapshot", cases)


def one_snapshot(comment: str, schema: Map, one: object, other: object, form: Value) -> Case:
    raw = wire.il1({"x": form})
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["same", "intake"],
        "profile": wire.typed(record(x=schema)),
        "one": {"x": one},
        "other": {"x": other},
        "normal": wire.typed({"x": form}),
        "il1": raw.hex(),
        "snapshot_id": wire.plain(raw).hex(),
    }


def same() -> Iterator[tuple[str, Case]]:
    case = one_snapshot
    yield "set-order", case("the order of a set [SNP-5]", TAGS, ["b", "a", "aa"], ["aa", "b", "a"], ["a", "b", "aa"])
    yield "decimal-padded", case("zeros behind the point", PRICE, "12.5", "12.50", "12.50")
    yield "decimal-integer", case("an integer", PRICE, 12, "12", "12.00")
    yield "decimal-exponent", case("an exponent", PRICE, "1.25e1", "12.5", "12.50")
    yield "decimal-longer", case("zeros past the scale lose nothing", PRICE, "12.5000", "12.50", "12.50")
    yield "decimal-leading", case("leading zeros and a plus", PRICE, "+012.50", "12.5", "12.50")
    yield "decimal-minus-zero", case("there is one zero", PRICE, "-0.00", "0", "0.00")
    yield "decimal-negative", case("a negative amount", PRICE, "-.5", "-0.50", "-0.50")
    midnight = TODAY - TODAY % 86_400
    yield "time-floored", case("a time within its grain is floored", DAY, TODAY, midnight, midnight)
    utc, berlin = at("14:13:20+00:00"), at("16:13:20+02:00")
    yield "time-offset", case("one moment, two offsets", MOMENT, utc, berlin, TODAY * 1000)
    fine, coarse = at("14:13:20.001999+00:00"), TODAY * 1000 + 1
    yield "time-micro", case("what is finer than the unit", MOMENT, fine, coarse, coarse)
    yield "text-nfc", case("composed and decomposed", TEXT, "caf\xe9", "cafe\u0301", "caf\xe9")
    yield "text-singleton", case("the angstrom sign is a letter", TEXT, "\u212b", "A\u030a", "\xc5")
    texts = kind("set", of=TEXT, max=4)
    yield "set-of-text", case("members that are folded first", texts, ["z", "e\u0301"], ["\xe9", "z"], ["z", "\xe9"])
    yield "null", case("null is null", kind("decimal", scale=2, nullable=True), None, None, None)
    seen: Map = {"plan": "pro", "balance": 1, "name": None}
    yield "fields", case("the order of fields", CUSTOMER, seen, dict(reversed(seen.items())), seen)
    days = kind("list", of=record(at=DAY), max=2, order="as listed")
    yield "nested", case("folded at every depth", days, [{"at": TODAY}], [{"at": TODAY + 1}], [{"at": midnight}])


def at(time: str) -> object:
    return {"$time": f"2026-09-21T{time}"}


def differ() -> Iterator[tuple[str, Case]]:
    def case(comment: str, schema: Map, one: Map, other: Map, path: str) -> Case:
        return {
            "comment": comment,
            "expect": "ok",
            "flags": ["differ"],
            "profile": wire.typed(schema),
            "one": wire.typed(one),
            "other": wire.typed(other),
            "one_id": wire.plain(wire.il1(one)).hex(),
            "other_id": wire.plain(wire.il1(other)).hex(),
            "path": path,
        }

    seen: Map = {"balance": 100, "plan": "pro", "name": None}
    yield "value", case("another value [SNP-4]", CUSTOMER, seen, {**seen, "balance": 101}, "$.balance")
    yield "null", case("null and empty text are two things", CUSTOMER, seen, {**seen, "name": ""}, "$.name")
    both: Map = {**seen, "balance": 1, "plan": "free"}
    yield "first", case("the first in encoded order: shorter names first", CUSTOMER, seen, both, "$.plan")
    lines = record(lines=LINES)
    one: Map = {"lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]}
    swapped: Map = {"lines": [{"sku": "b", "count": 2}, {"sku": "a", "count": 1}]}
    yield "list-order", case("the order of a list is part of it", lines, one, swapped, "$.lines[0].sku")
    shorter: Map = {"lines": [{"sku": "a", "count": 1}]}
    yield "list-length", case("an item more", lines, one, shorter, "$.lines[1]")
    yield "set", case("another member", record(tags=TAGS), {"tags": ["a", "c"]}, {"tags": ["a", "b"]}, "$.tags[1]")
    yield "case", case("letters of another case", record(name=TEXT), {"name": "Ada"}, {"name": "ada"}, "$.name")
    yield "alike", case("letters that look alike", record(name=TEXT), {"name": "a"}, {"name": "\u0430"}, "$.name")
    yield (
        "compatible",
        case("NFC keeps what only looks the same", record(name=TEXT), {"name": "\ufb01"}, {"name": "fi"}, "$.name"),
    )
    yield "time", case("a grain later", record(at=DAY), {"at": 86_400 * 20_000}, {"at": 86_400 * 20_001}, "$.at")


def intake_refused() -> Iterator[tuple[str, Case]]:
    faults: dict[str, tuple[str, Map, object]] = {
        "float": ("a float is no price [SNP-5]", PRICE, {"$float": "12.5"}),
        "float-integer": ("nor a count", INTEGER, {"$float": "12.0"}),
        "float-nan": ("not a number", PRICE, {"$float": "nan"}),
        "decimal-finer": ("a fraction below the scale would be lost", PRICE, "12.505"),
        "decimal-words": ("no number", PRICE, "twelve"),
        "decimal-empty": ("no digits", PRICE, ""),
        "decimal-comma": ("a comma", PRICE, "12,50"),
        "decimal-space": ("a space before it", PRICE, " 12.5"),
        "decimal-newline": ("a line that ends", PRICE, "12.5\n"),
        "decimal-underscore": ("an underscore between digits", PRICE, "1_000"),
        "decimal-script": ("digits of another script", PRICE, "\u0661\u0662"),
        "decimal-infinite": ("infinity", PRICE, "Infinity"),
        "decimal-huge": ("more than 40 digits", PRICE, "1e41"),
        "decimal-digits": ("more than 40 digits, though nothing would be lost", PRICE, "12." + "0" * 39),
        "decimal-long": ("41 characters in its normal form", PRICE, "1" * 38),
        "decimal-boolean": ("true is no number", PRICE, True),
        "decimal-null": ("null where it may not be", PRICE, None),
        "integer-text": ("an integer as text", INTEGER, "12"),
        "integer-boolean": ("true is not 1", INTEGER, True),
        "integer-bound": ("above its bound", INTEGER, 10_000),
        "time-naive": ("a time without an offset names no moment", MOMENT, {"$time": "2026-09-21T14:13:20"}),
        "time-unit": ("seconds where milliseconds are meant", MOMENT, TODAY),
        "time-past": ("before the year 2000", DAY, 0),
        "time-text": ("a time as text", MOMENT, "2026-09-21"),
        "set-twice": ("one member twice", TAGS, ["a", "a"]),
        "set-twice-folded": ("twice, once folded", kind("set", of=TEXT, max=4), ["\xe9", "e\u0301"]),
        "set-full": ("too many members", TAGS, list("abcdefghi")),
        "enum-other": ("not a member", kind("enum", of=["free", "pro"]), "PRO"),
        "token-prose": ("a space in a token", TOKEN, "a b"),
        "text-long": ("65 bytes", TEXT, "x" * 65),
        "text-unassigned": ("a code point that Unicode 13.0.0 does not have", TEXT, "\u061d"),
        "field-missing": ("a field less", CUSTOMER, {"balance": 1, "plan": "pro"}),
        "field-extra": ("a field more", CUSTOMER, {"balance": 1, "plan": "pro", "name": None, "read_at": TODAY}),
    }
    for name, (comment, schema, value) in faults.items():
        yield (
            name,
            {
                "comment": comment,
                "expect": "snapshot-invalid",
                "flags": ["intake"],
                "profile": wire.typed(record(x=schema)),
                "one": {"x": value},
            },
        )


def normal() -> Iterator[tuple[str, Case]]:
    """One schema at a time, the only field of a record: values just inside of it and just outside."""
    yield from rows("ok", "a value of the schema", inside())
    yield from rows("snapshot-invalid", "not in the form, and nothing mends it [SNP-2]", outside())
    empty = record()
    yield "record-empty-ok", normal_case("a profile without a field [SNP-1]", "ok", empty, wire.il1({}))
    bad = "snapshot-invalid"
    wrong: dict[str, Value] = {"list": [1], "null": None, "text": "x", "extra": {"x": 1}}
    for name, value in wrong.items():
        raw = wire.il1(value)
        yield f"record-empty-{name}", normal_case("a snapshot is a map with these fields", bad, empty, raw)


Rows = dict[str, tuple[str, Map, list[Value]]]


def rows(expect: str, comment: str, cases: Rows) -> Iterator[tuple[str, Case]]:
    for name, (clause, schema, values) in cases.items():
        for at, value in enumerate(values):
            suffix = "-ok" if expect == "ok" else ""
            yield (
                f"{name}{suffix}-{at}",
                normal_case(f"{comment} [{clause}]", expect, record(x=schema), wire.il1({"x": value})),
            )


def normal_case(comment: str, expect: str, profile: Map, raw: bytes) -> Case:
    case: Case = {
        "comment": comment,
        "expect": expect,
        "flags": ["normal"],
        "profile": wire.typed(profile),
        "il1": raw.hex(),
    }
    return case | ({"snapshot_id": wire.plain(raw).hex()} if expect == "ok" else {})


def inside() -> Rows:
    return {
        "integer": ("VAL-2", kind("integer", min=-3, max=9), [-3, 0, 9]),
        "time-s": ("VAL-3", DAY, [946_684_800, 4_102_444_800 - 86_400]),
        "time-ms": ("VAL-3", MOMENT, [946_684_800_000, 4_102_444_799_999]),
        "decimal": ("VAL-4", PRICE, ["0.00", "-0.01", "12.50", "1" * 37 + ".00"]),
        "decimal-0": ("VAL-4", kind("decimal", scale=0), ["0", "-1", "10"]),
        "decimal-18": ("VAL-4", kind("decimal", scale=18), ["0." + "0" * 17 + "1"]),
        "boolean": ("VAL-5", kind("boolean"), [True, False]),
        "enum": ("VAL-6", kind("enum", of=["free", "pro", ""]), ["free", ""]),
        "token": ("VAL-7", TOKEN, ["aZ09_-.:/@+=", "a" * 16]),
        "text": ("VAL-8", TEXT, ["", "\xe9" * 32, "a\nb"]),
        "bytes": ("VAL-9", kind("bytes", min=1, max=2), [b"\x00", b"\xff\xff"]),
        "list": ("VAL-10", kind("list", of=TOKEN, max=2, order="as listed"), [[], ["b", "a"], ["a", "a"]]),
        "set": ("VAL-11", TAGS, [[], ["a", "b", "aa"], ["z", "aa"]]),
        "set-integers": (
            "VAL-11",
            kind("set", of=kind("integer", min=-9, max=99), max=9),
            [[1, 24, -1], [0, 23, 99, -9]],
        ),
        "record": ("VAL-12", record(sku=TOKEN), [{"sku": "a"}]),
        "nullable": ("VAL-1", kind("integer", min=0, max=9, nullable=True), [None, 9]),
    }


def outside() -> Rows:
    return {
        "integer": ("VAL-2", kind("integer", min=-3, max=9), [-4, 10, True, "1", None]),
        "time-s": ("VAL-3", DAY, [946_684_800 - 86_400, 4_102_444_800, TODAY, TODAY * 1000]),
        "time-ms": ("VAL-3", MOMENT, [946_684_799_999, 4_102_444_800_000, TODAY, "2026"]),
        "decimal": (
            "VAL-4",
            PRICE,
            [
                "0.5",
                ".50",
                "00.50",
                "-0.00",
                "+0.50",
                "0.500",
                "1,00",
                "1e2",
                "",
                "-",
                "1.",
                " 1.00",
                1,
                "1" * 38 + ".00",
            ],
        ),
        "decimal-digits": ("VAL-4", PRICE, ["\u0661.00", "1.\u0660\u0660"]),
        "decimal-0": ("VAL-4", kind("decimal", scale=0), ["12.", "012", "", "-0", "1.0"]),
        "boolean": ("VAL-5", kind("boolean"), [0, 1, None, "true"]),
        "enum": ("VAL-6", kind("enum", of=["free", "pro"]), ["PRO", "", "fre", None]),
        "token": ("VAL-7", TOKEN, ["", "a b", "a" * 17, "\xe9", "a\n", 1]),
        "text": ("VAL-8", TEXT, ["\xe9" * 33, "x" * 65, b"x", None]),
        "bytes": ("VAL-9", kind("bytes", min=1, max=2), [b"", b"abc", "a"]),
        "list": ("VAL-10", kind("list", of=TOKEN, max=2, order="as listed"), [["a", "b", "c"], ["a", 1], "a", {}]),
        "set": ("VAL-11", TAGS, [["aa", "z"], ["b", "a"], ["a", "a"], ["a b"], list("abcdefghi")]),
        "set-integers": ("VAL-11", kind("set", of=kind("integer", min=-9, max=99), max=9), [[-1, 0], [24, 1]]),
        "record": ("VAL-12", record(sku=TOKEN), [{}, {"sku": None}, {"sku": "a", "x": 1}, ["a"]]),
        "nullable": ("VAL-1", kind("integer", min=0, max=9, nullable=True), [10, ""]),
    }


def drift() -> Iterator[tuple[str, Case]]:
    def case(comment: str, after: Map, may_drift: list[str], path: str | None) -> Case:
        return {
            "comment": f"{comment} [SNP-3]",
            "expect": "ok",
            "flags": ["drift"],
            "before": wire.typed(seen),
            "after": wire.typed(after),
            "may_drift": may_drift,
            "path": path,
        }

    seen: Map = {"balance": 100, "plan": "pro", "name": None}
    richer: Map = {**seen, "balance": 101}
    yield "none", case("nothing has changed", seen, [], None)
    yield "named", case("what may drift has", richer, ["balance"], None)
    yield "other", case("something else has", richer, ["name"], "$.balance")
    yield "both", case("both have", {**richer, "plan": "free"}, ["balance"], "$.plan")
