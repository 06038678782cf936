"""From what Python programs hold to a snapshot's normal form: the one place where spellings are folded. SPEC §4
[SNP-5].

Folded: the order of sets, `Decimal` and decimal text to the declared scale, times to the declared unit and grain
(floored, from aware datetimes too), text to NFC. Refused: floats, naive datetimes, fractions below the scale, fields
that the profile does not name. What is folded is what was *seen*; arguments are *sent*, and are never changed.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from invoke_log.errors import MalformedError, SnapshotInvalidError
from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.rules.schema import Schema
from invoke_log.rules.snapshot import Profile

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
"""What `Decimal` reads besides, no other runtime does: spaces around, underscores, the digits of other scripts."""
_DIGITS: Final = 40


def fold(profile: Profile, seen: object) -> Value:
    """Return a value in the profile's normal form, where there is exactly one; `rules.snapshot.freeze` checks it.

    Raises: SnapshotInvalidError: a spelling that cannot be folded without loss; it names the field.
    """
    return _fold(profile.schema, seen, "snapshot")


def _fold(profile: Schema, seen: object, path: str) -> Value:
    if seen is None:
        return None
    match profile["type"]:
        case "record" if isinstance(seen, dict):
            fields = cast("dict[str, Schema]", profile["fields"])
            return {
                _name(name, path): _fold(fields[name], value, f"{path}.{name}")
                if name in fields
                else cast("Value", value)
                for name, value in seen.items()
            }
        case "time":
            return _time(profile, seen, path)
        case "decimal":
            return _decimal(cast("int", profile["scale"]), seen, path)
        case "text" | "token" | "enum" if isinstance(seen, str):
            return unicodedata.normalize("NFC", seen)
        case "list" if isinstance(seen, list | tuple):
            return [_fold(cast("Schema", profile["of"]), item, f"{path}[{at}]") for at, item in enumerate(seen)]
        case "set" if isinstance(seen, list | tuple | set | frozenset):
            return _set([_fold(cast("Schema", profile["of"]), item, f"{path}[]") for item in seen], path)
        case _:
            return cast("Value", seen)


def _name(name: Any, path: str) -> str:
    """A name of a field as it is: two names that fold to one would be a silent choice between their values."""
    if not isinstance(name, str):
        raise SnapshotInvalidError(f"{path}: field name {name!r}, want text")
    return name


def _set(items: list[Value], path: str) -> list[Value]:
    try:
        return sorted(items, key=cbor.encode)
    except MalformedError as error:
        raise SnapshotInvalidError(f"{path}: an item has no place in a set: {error.message}") from error


def _time(profile: Schema, seen: object, path: str) -> Value:
    grain = cast("int", profile["grain"])
    if isinstance(seen, datetime):
        if seen.tzinfo is None:
            raise SnapshotInvalidError(f"{path}: a datetime without a time zone names no moment")
        count = (seen - _EPOCH) // _UNITS[cast("str", profile["unit"])]
    elif type(seen) is int:
        count = seen
    else:
        return cast("Value", seen)
    return count - count % grain


def _decimal(scale: int, seen: object, path: str) -> Value:
    if isinstance(seen, bool) or not isinstance(seen, int | str | Decimal):
        return cast("Value", seen)
    if isinstance(seen, str) and not _DECIMAL.fullmatch(seen):
        return seen
    number = Decimal(seen)
    sign, digits, exponent = number.as_tuple()
    if not number.is_finite() or len(digits) > _DIGITS or abs(number.adjusted()) > _DIGITS:
        raise SnapshotInvalidError(f"{path}: {seen} is no decimal of at most {_DIGITS} digits")
    units = int("".join(map(str, digits))) * 10 ** max(0, int(exponent) + scale)
    lost = 10 ** max(0, -int(exponent) - scale)
    if units % lost:
        raise SnapshotInvalidError(f"{path}: {seen} has more than {scale} digits after the point")
    whole = str(units // lost).rjust(scale + 1, "0")
    text = f"{whole[:-scale]}.{whole[-scale:]}" if scale else whole
    return f"-{text}" if sign and text.strip("0.") else text
