"""Closed schemas: which values a field may hold. SPEC §4 [VAL-1] to [VAL-14].

A schema is itself an IL1 map, so a contract can carry one and its hash pins it. There are no optional fields, no unions
but null, no patterns and no floats: two programs that accept one value accept the same bytes of it. The same language
describes snapshot profiles, tool arguments and the bodies of events.

>>> check(integer(0, 9), 10)
Traceback (most recent call last):
invoke_log.errors.MalformedError: $: found 10, want an integer from 0 to 9
"""

from collections.abc import Callable, Set
from functools import lru_cache
from typing import Final, TypeAlias

from invoke_log.errors import MalformedError
from invoke_log.format import cbor, limits
from invoke_log.format.cbor import Value

Schema = dict[str, Value]
Path: TypeAlias = "str | tuple[Path, str]"
"""Where a check stands: a step linked to the path of what holds it. Only an error spells it out."""
Check = Callable[[Value, Path], None]

TOKEN_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/@+=")
TIME_WINDOWS: Final = {"s": (946_684_800, 4_102_444_800), "ms": (946_684_800_000, 4_102_444_800_000)}
"""2000-01-01 to 2100-01-01. The windows do not meet: seconds read as milliseconds are an error, never another time."""


def integer(low: int = -limits.INTEGER_MAX, high: int = limits.INTEGER_MAX, *, nullable: bool = False) -> Schema:
    """Return the schema of an integer within inclusive bounds [VAL-2]."""
    return {"type": "integer", "min": low, "max": high, "nullable": nullable}


def time(unit: str, grain: int = 1, *, nullable: bool = False) -> Schema:
    """Return the schema of a Unix time in `s` or `ms` that is a multiple of `grain` [VAL-3]."""
    return {"type": "time", "unit": unit, "grain": grain, "nullable": nullable}


def decimal(scale: int, *, nullable: bool = False) -> Schema:
    """Return the schema of decimal text with exactly `scale` digits after the point [VAL-4]."""
    return {"type": "decimal", "scale": scale, "nullable": nullable}


def boolean(*, nullable: bool = False) -> Schema:
    """Return the schema of a truth value [VAL-5]."""
    return {"type": "boolean", "nullable": nullable}


def enum(*members: str, nullable: bool = False) -> Schema:
    """Return the schema of one text out of a few [VAL-6]."""
    return {"type": "enum", "of": list(members), "nullable": nullable}


def token(size: int = 256, *, nullable: bool = False) -> Schema:
    """Return the schema of an identifier: 1 to `size` characters of `TOKEN_CHARACTERS`, so never prose [VAL-7]."""
    return {"type": "token", "max": size, "nullable": nullable}


def text(size: int = 4096, *, nullable: bool = False) -> Schema:
    """Return the schema of free text of at most `size` UTF-8 bytes [VAL-8]."""
    return {"type": "text", "max": size, "nullable": nullable}


def blob(low: int, high: int, *, nullable: bool = False) -> Schema:
    """Return the schema of a byte string of `low` to `high` bytes [VAL-9]."""
    return {"type": "bytes", "min": low, "max": high, "nullable": nullable}


def listing(of: Schema, size: int, order: str, *, nullable: bool = False) -> Schema:
    """Return the schema of a list of at most `size` items in an order that `order` says the origin of [VAL-10]."""
    return {"type": "list", "of": of, "max": size, "order": order, "nullable": nullable}


def unique(of: Schema, size: int, *, nullable: bool = False) -> Schema:
    """Return the schema of a set: at most `size` items, ascending by their encoded bytes, none twice [VAL-11]."""
    return {"type": "set", "of": of, "max": size, "nullable": nullable}


def record(fields: dict[str, Schema], *, nullable: bool = False) -> Schema:
    """Return the schema of a map with exactly these fields [VAL-12]."""
    return {"type": "record", "fields": dict(fields), "nullable": nullable}


def mapping(of: Schema, size: int) -> Schema:
    """Return the schema of a map from tokens to values of one schema, at most `size` of them [VAL-13]."""
    return {"type": "mapping", "of": of, "max": size, "nullable": False}


def anything() -> Schema:
    """Return the schema of any IL1 value; only for fields that another schema checks later [VAL-14]."""
    return {"type": "anything", "nullable": True}


def check(schema: Schema, value: Value) -> None:
    """Raise MalformedError unless the value is in the schema's normal form: where, what was found, what was wanted."""
    compile_schema(schema)(value, "$")


def compile_schema(schema: Schema) -> Check:
    """Return the check of a schema as one function of (value, path).

    Raises: MalformedError: the schema itself is not well formed.
    """
    return _compiled(cbor.encode(schema))


@lru_cache(maxsize=1024)
def _compiled(raw: bytes) -> Check:
    return _compile(cbor.decode(raw), "schema")


def _compile(schema: Value, path: str) -> Check:
    inner, nullable = _checked(schema, path)
    if not nullable:
        return inner

    def check_nullable(value: Value, at: Path) -> None:
        if value is not None:
            inner(value, at)

    return check_nullable


def _checked(schema: Value, path: str) -> tuple[Check, bool]:
    """Return the check of values that are not null, and whether null is one too."""
    if type(schema) is not dict:
        raise _wrong(path, schema, "a schema (a map)")
    name = schema.get("type")
    if type(name) is not str or name not in _COMPILERS:
        raise _wrong(f"{path}.type", name, f"one of {', '.join(sorted(_COMPILERS))}")
    compiler, fields = _COMPILERS[name]
    if schema.keys() != {"type", "nullable", *fields}:
        raise _wrong(path, sorted(schema), f"exactly the fields {', '.join(sorted(('type', 'nullable', *fields)))}")
    if type(schema["nullable"]) is not bool:
        raise _wrong(f"{path}.nullable", schema["nullable"], "true or false")
    return compiler(schema, path), schema["nullable"]


def _wrong(path: Path, found: object, wanted: str) -> MalformedError:
    shown = f"{type(found).__name__} of {len(found)} bytes" if isinstance(found, bytes) else repr(found)[:60]
    return MalformedError(f"{_spelled(path)}: found {shown}, want {wanted}")


def _spelled(path: Path) -> str:
    steps: list[str] = []
    while isinstance(path, tuple):
        path, step = path
        steps.append(step if step.startswith("[") else f".{step}")
    return path + "".join(reversed(steps))


def _bound(schema: Schema, field: str, path: str, low: int, high: int) -> int:
    value = schema[field]
    if type(value) is not int or not low <= value <= high:
        raise _wrong(f"{path}.{field}", value, f"an integer from {low} to {high}")
    return value


def _integer(schema: Schema, path: str) -> Check:
    low = _bound(schema, "min", path, -limits.INTEGER_MAX, limits.INTEGER_MAX)
    high = _bound(schema, "max", path, low, limits.INTEGER_MAX)

    def check_integer(value: Value, at: Path) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _wrong(at, value, f"an integer from {low} to {high}")

    return check_integer


def _time(schema: Schema, path: str) -> Check:
    unit = schema["unit"]
    if type(unit) is not str or unit not in TIME_WINDOWS:
        raise _wrong(f"{path}.unit", unit, "s or ms")
    low, high = TIME_WINDOWS[unit]
    grain = _bound(schema, "grain", path, 1, low)

    def check_time(value: Value, at: Path) -> None:
        if type(value) is not int or not low <= value < high:
            raise _wrong(at, value, f"a time in {unit} from 2000 to 2100")
        if value % grain:
            raise _wrong(at, value, f"a multiple of the grain {grain} {unit}")

    return check_time


def _decimal(schema: Schema, path: str) -> Check:
    scale = _bound(schema, "scale", path, 0, 18)

    def check_decimal(value: Value, at: Path) -> None:
        if type(value) is not str or not is_decimal(value, scale):
            raise _wrong(at, value, f"decimal text with {scale} digits after the point, no + and no leading zero")

    return check_decimal


def is_decimal(value: str, scale: int) -> bool:
    """Return whether text is the one spelling of a decimal at this scale, at most 40 characters [VAL-4]."""
    if len(value) > 40 or not value.isascii():
        return False
    whole, point, fraction = value.removeprefix("-").partition(".")
    digits = whole + fraction
    return (
        whole.isdigit()
        and (scale == 0 or fraction.isdigit())
        and (len(whole) == 1 or whole[0] != "0")
        and len(fraction) == scale
        and bool(point) == (scale > 0)
        and not (value[0] == "-" and not digits.strip("0"))
    )


def _boolean(_schema: Schema, _path: str) -> Check:
    def check_boolean(value: Value, at: Path) -> None:
        if type(value) is not bool:
            raise _wrong(at, value, "true or false")

    return check_boolean


def _enum(schema: Schema, path: str) -> Check:
    listed = schema["of"]
    if type(listed) is not list or not listed or not all(type(member) is str for member in listed):
        raise _wrong(f"{path}.of", listed, "a list of texts")
    members = frozenset(str(member) for member in listed)
    if len(members) != len(listed):
        raise _wrong(f"{path}.of", listed, "no text twice")

    def check_enum(value: Value, at: Path) -> None:
        if type(value) is not str or value not in members:
            raise _wrong(at, value, f"one of {', '.join(sorted(members))}")

    return check_enum


def _token(schema: Schema, path: str) -> Check:
    size = _bound(schema, "max", path, 1, 512)

    def check_token(value: Value, at: Path) -> None:
        if type(value) is not str or not 0 < len(value) <= size or not TOKEN_CHARACTERS.issuperset(value):
            raise _wrong(at, value, f"1 to {size} characters of A-Z a-z 0-9 _ - . : / @ + =")

    return check_token


def _text(schema: Schema, path: str) -> Check:
    size = _bound(schema, "max", path, 0, limits.BODY_BYTES_MAX)

    def check_text(value: Value, at: Path) -> None:
        if (
            type(value) is not str
            or len(value) > size
            or (not value.isascii() and len(value.encode("utf-8", "surrogatepass")) > size)
        ):
            raise _wrong(at, value, f"text of at most {size} bytes")

    return check_text


def _bytes(schema: Schema, path: str) -> Check:
    low = _bound(schema, "min", path, 0, limits.BODY_BYTES_MAX)
    high = _bound(schema, "max", path, low, limits.BODY_BYTES_MAX)

    def check_bytes(value: Value, at: Path) -> None:
        if type(value) is not bytes or not low <= len(value) <= high:
            raise _wrong(at, value, f"{low} bytes" if low == high else f"{low} to {high} bytes")

    return check_bytes


def _list(schema: Schema, path: str) -> Check:
    size = _bound(schema, "max", path, 0, limits.BODY_BYTES_MAX)
    if type(schema["order"]) is not str or not schema["order"]:
        raise _wrong(f"{path}.order", schema["order"], "a text that says where the order comes from")
    check_item = _compile(schema["of"], f"{path}.of")

    def check_list(value: Value, at: Path) -> None:
        if type(value) is not list or len(value) > size:
            raise _wrong(at, value, f"a list of at most {size} items")
        for position, item in enumerate(value):
            check_item(item, (at, f"[{position}]"))

    return check_list


def _set(schema: Schema, path: str) -> Check:
    size = _bound(schema, "max", path, 0, limits.BODY_BYTES_MAX)
    check_item = _compile(schema["of"], f"{path}.of")

    def check_set(value: Value, at: Path) -> None:
        if type(value) is not list or len(value) > size:
            raise _wrong(at, value, f"a set of at most {size} items")
        before = b""
        for position, item in enumerate(value):
            check_item(item, (at, f"[{position}]"))
            encoded = cbor.encode(item)
            if encoded <= before:
                raise _wrong((at, f"[{position}]"), item, "items ascending by their encoded bytes, none twice")
            before = encoded

    return check_set


def _record(schema: Schema, path: str) -> Check:
    fields = schema["fields"]
    if type(fields) is not dict:
        raise _wrong(f"{path}.fields", fields, "a map of schemas")
    for name in fields:
        if not TOKEN_CHARACTERS.issuperset(name):
            raise _wrong(f"{path}.fields", name, "field names that are tokens")
    checks = [(name, *_checked(inner, f"{path}.fields.{name}")) for name, inner in fields.items()]
    names = fields.keys()

    def check_record(value: Value, at: Path) -> None:
        if type(value) is not dict:
            raise _wrong(at, value, "a map")
        if value.keys() != names:
            raise _fields_differ(at, value, names)
        for name, check_field, nullable in checks:
            field = value[name]
            if field is not None or not nullable:
                check_field(field, (at, name))

    return check_record


def _fields_differ(at: Path, value: dict[str, Value], names: Set[str]) -> MalformedError:
    missing, extra = sorted(names - value.keys()), sorted(value.keys() - names)
    said = " and ".join(
        part
        for part in (
            f"without {', '.join(missing)}" if missing else "",
            f"with unknown {', '.join(repr(name)[:40] for name in extra)}" if extra else "",
        )
        if part
    )
    return MalformedError(f"{_spelled(at)}: found a map {said}, want exactly {', '.join(sorted(names)) or 'no fields'}")


def _mapping(schema: Schema, path: str) -> Check:
    size = _bound(schema, "max", path, 0, 1024)
    check_item = _compile(schema["of"], f"{path}.of")

    def check_mapping(value: Value, at: Path) -> None:
        if type(value) is not dict or len(value) > size:
            raise _wrong(at, value, f"a map of at most {size} fields")
        for name, item in value.items():
            if not TOKEN_CHARACTERS.issuperset(name):
                raise _wrong(at, name, "field names that are tokens")
            check_item(item, (at, name))

    return check_mapping


def _anything(_schema: Schema, _path: str) -> Check:
    def check_anything(_value: Value, _at: Path) -> None:
        return

    return check_anything


_COMPILERS: Final[dict[str, tuple[Callable[[Schema, str], Check], tuple[str, ...]]]] = {
    "integer": (_integer, ("min", "max")),
    "time": (_time, ("unit", "grain")),
    "decimal": (_decimal, ("scale",)),
    "boolean": (_boolean, ()),
    "enum": (_enum, ("of",)),
    "token": (_token, ("max",)),
    "text": (_text, ("max",)),
    "bytes": (_bytes, ("min", "max")),
    "list": (_list, ("of", "max", "order")),
    "set": (_set, ("of", "max")),
    "record": (_record, ("fields",)),
    "mapping": (_mapping, ("of", "max")),
    "anything": (_anything, ()),
}
PROFILE_TYPES: Final = frozenset(_COMPILERS) - {"mapping", "anything"}
"""The types that a published schema (a profile, a contract's arguments) may use: all that name every field [VAL-1]."""
