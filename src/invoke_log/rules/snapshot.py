"""What was seen of the world when a decision was made, in the one form that makes "the same world" the same bytes.

SPEC §4.2 [SNP-1] to [SNP-4].

>>> difference({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]})
'$.b[1]: 2 against 3'
"""

from dataclasses import dataclass, field

from invoke_log.errors import MalformedError, SnapshotInvalidError
from invoke_log.format import cbor, digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.schema import Check, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a snapshot looks like: a closed schema, and what checks a value against it."""

    schema: Schema
    check: Check = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot in its profile's normal form. id: plain BLAKE3 of `raw`, its IL1 bytes, sent as an attachment."""

    id: digest.Digest
    raw: bytes
    fields: dict[str, Value]


def profile_of(found: Schema) -> Profile:
    """Return the profile that a schema describes. Raises MalformedError: it is not well formed."""
    return Profile(schema=found, check=schema.compile_schema(found))


def freeze(profile: Profile, value: Value) -> Snapshot:
    """Return the snapshot of a value that is in its profile's normal form [SNP-1], [SNP-2].

    Raises: SnapshotInvalidError: it is not; it names the field, and nothing is repaired.
    """
    try:
        profile.check(value, "snapshot")
        raw = cbor.encode(value, bytes_max=limits.BODY_BYTES_MAX)
    except MalformedError as error:
        raise SnapshotInvalidError(error.message) from error
    assert isinstance(value, dict), "a profile is a record"
    return Snapshot(id=digest.attachment_digest(raw), raw=raw, fields=value)


def drifted(before: dict[str, Value], after: dict[str, Value], may_drift: frozenset[str]) -> str | None:
    """Return the first difference outside the fields that a contract lets drift, or None [SNP-3]."""
    keep = [{name: value for name, value in fields.items() if name not in may_drift} for fields in (before, after)]
    return difference(*keep)


def difference(one: Value, other: Value) -> str | None:
    """Return where two values first differ, in encoded order: what keeps them from colliding [SNP-4]."""
    return _difference(one, other, "$")


def _difference(one: Value, other: Value, path: str) -> str | None:
    if type(one) is dict and type(other) is dict:
        names = sorted(one.keys() | other.keys(), key=lambda name: (len(name.encode()), name.encode()))
        steps = ((f"{path}.{name}", one.get(name, _Missing), other.get(name, _Missing)) for name in names)
    elif type(one) is list and type(other) is list:
        longer = range(max(len(one), len(other)))
        steps = (
            (f"{path}[{at}]", one[at] if at < len(one) else _Missing, other[at] if at < len(other) else _Missing)
            for at in longer
        )
    elif type(one) is type(other) and one == other:
        return None
    else:
        return f"{path}: {_show(one)} against {_show(other)}"
    for at, left, right in steps:
        if left is _Missing or right is _Missing:
            return f"{at}: {_show(left)} against {_show(right)}"
        found = _difference(left, right, at)  # type: ignore[arg-type]  # neither is missing here
        if found is not None:
            return found
    return None


class _Missing:
    """Stands for a field that is not there: null is a value."""


def _show(value: object) -> str:
    if value is _Missing:
        return "nothing"
    return value.hex()[:64] if isinstance(value, bytes) else repr(value)[:80]
