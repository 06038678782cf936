from collections.abc import Callable

import pytest

from invoke_log.errors import MalformedError
from invoke_log.store.protocol import Pending

HASH = bytes(32)


def pending(
    *,
    body: bytes = b"",
    signature: bytes = bytes(64),
    leaf: bytes = HASH,
    expect: dict[bytes, bytes | None] | None = None,
    rows: list[tuple[bytes, bytes, bytes]] | None = None,
) -> Pending:
    return Pending(body=body, signature=signature, entry_leaf_hash=leaf, expect=expect or {}, rows=rows or [])


def test_an_entry_at_every_bound_is_accepted() -> None:
    chain = bytes(120)
    full = pending(body=bytes(64_000), expect={chain: HASH, b"c": None}, rows=[(chain, HASH, bytes(256))])
    assert len(full.body) == 64_000


WRONG: dict[str, Callable[[], Pending]] = {
    "body": lambda: pending(body=bytes(64_001)),
    "signature": lambda: pending(signature=bytes(63)),
    "leaf hash": lambda: pending(leaf=bytes(33)),
    "empty name expected": lambda: pending(expect={b"": None}),
    "long name expected": lambda: pending(expect={bytes(121): None}),
    "empty head expected": lambda: pending(expect={b"c": b""}),
    "short head expected": lambda: pending(expect={b"c": bytes(31)}),
    "empty name": lambda: pending(rows=[(b"", HASH, b"")]),
    "long name": lambda: pending(rows=[(bytes(121), HASH, b"")]),
    "long head": lambda: pending(rows=[(b"c", bytes(33), b"")]),
    "long memo": lambda: pending(rows=[(b"c", HASH, bytes(257))]),
    "one chain twice": lambda: pending(rows=[(b"c", HASH, b""), (b"c", HASH, b"")]),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_entry_out_of_bounds_is_refused(what: str) -> None:
    with pytest.raises(MalformedError, match="pending: "):
        WRONG[what]()
