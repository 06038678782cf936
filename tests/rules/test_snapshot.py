"""Snapshots: one form, a bound, and where two of them differ. SPEC §4.2."""

import pytest

from invoke_log.errors import SnapshotInvalidError
from invoke_log.format import cbor, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.snapshot import difference, drifted, freeze, profile_of

PROFILE = profile_of(schema.record({name: schema.text(limits.BODY_BYTES_MAX) for name in ("a", "b")}))
HALF = "x" * (limits.BODY_BYTES_MAX // 2)


def filled(size: int) -> dict[str, Value]:
    """Return a value of the profile that is `size` bytes encoded."""
    overhead = len(cbor.encode({"a": HALF, "b": HALF})) - 2 * len(HALF)
    return {"a": HALF, "b": "x" * (size - overhead - len(HALF))}


def test_a_snapshot_has_at_most_64000_bytes_whatever_its_fields_may_hold() -> None:
    """[SNP-1]"""
    assert len(freeze(PROFILE, filled(limits.BODY_BYTES_MAX)).raw) == limits.BODY_BYTES_MAX
    with pytest.raises(SnapshotInvalidError, match="64001 bytes encoded, want at most 64000"):
        freeze(PROFILE, filled(limits.BODY_BYTES_MAX + 1))


def test_what_is_not_in_the_profiles_form_is_refused_and_not_repaired() -> None:
    """[SNP-2]"""
    profile = profile_of(schema.record({"ids": schema.unique(schema.token(8), 8), "at": schema.time("ms", 1000)}))
    good: dict[str, Value] = {"ids": ["a", "b"], "at": 1_790_000_000_000}
    assert freeze(profile, good).fields == good
    wrong: list[dict[str, Value]] = [
        {"ids": ["b", "a"]},
        {"ids": ["a", "a"]},
        {"at": 1_790_000_000_001},
        {"at": "1790000000000"},
    ]
    for bad in wrong:
        with pytest.raises(SnapshotInvalidError):
            freeze(profile, {**good, **bad})


def test_every_field_counts_but_those_that_may_drift() -> None:
    """[SNP-3]"""
    before: dict[str, Value] = {"etag": "1", "seen": 1, "balance": 5}
    assert drifted(before, {**before, "seen": 2, "etag": "2"}, frozenset(("seen", "etag"))) is None
    assert drifted(before, {**before, "seen": 2, "balance": 4}, frozenset(("seen", "etag"))) == "$.balance: 5 against 4"
    assert drifted(before, {**before, "seen": 2}, frozenset()) == "$.seen: 1 against 2"


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        ({"bb": 1, "z": 1}, {"bb": 2, "z": 2}, "$.z: 1 against 2"),
        ({"a": [1, 2, 3]}, {"a": [1, 3, 2]}, "$.a[1]: 2 against 3"),
        ({"a": [1]}, {"a": [1, 2]}, "$.a[1]: nothing against 2"),
        ({"a": None}, {}, "$.a: None against nothing"),
        ({"a": None}, {"a": None}, None),
        ({"a": True}, {"a": 1}, "$.a: True against 1"),
    ],
    ids=["by length first", "by position", "one more", "absent is not null", "null is null", "true is not 1"],
)
def test_two_snapshots_differ_at_the_first_path_in_encoded_order(one: Value, other: Value, first: str | None) -> None:
    """[SNP-4]"""
    assert difference(one, other) == first
