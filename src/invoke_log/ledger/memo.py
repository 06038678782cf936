"""What the store keeps beside a chain's head, not on the wire: an effect's folded state in at most 256 bytes, and of a
tick its time and what it covers.

A memo names the events that the state rests on and does not repeat them; whoever reads it loads them. The auditor
never does: it derives the state again.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

from invoke_log.format import cbor, limits
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN
from invoke_log.rules.world import EffectState

_STATUSES: Final = (FREE, CLAIMED, STARTED, COMMITTED, NOT_COMMITTED, UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """An effect's state with event ids where the events themselves are needed. Fields as in `EffectState`.

    last_send is the id of the last re-drive, None where START is the last send.
    """

    effect_class: str
    status: str
    generation: int
    attempt: int
    turn: int
    committed_max: int
    base_status: str
    base_generation: int
    base_claim: bytes | None
    claim: bytes | None
    send: bytes | None
    last_send: bytes | None
    sealed_request: bytes | None
    tainted: int | None
    absorbed: int


def encode_tick(time_ms: int, covers: int) -> bytes:
    """Return the memo of a tick, 16 bytes: its time (TIME-2) and how many leaves it covers."""
    return time_ms.to_bytes(8, "big") + covers.to_bytes(8, "big")


def decode_tick(raw: bytes) -> tuple[int, int]:
    """Return what `encode_tick` took."""
    return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")


def encode_memo(state: EffectState, *, last_send: bytes | None) -> bytes:
    """Return the memo of a state; `last_send` is the id of the re-drive that was the attempt's last send, or None."""
    raw = cbor.encode_flat(
        [
            state.effect_class,
            _STATUSES.index(state.status),
            state.generation,
            state.attempt,
            state.turn,
            state.committed_max,
            _STATUSES.index(state.base_status),
            state.base_generation,
            state.base_claim.id if state.base_claim else None,
            state.claim.id if state.claim else None,
            state.send.id if state.send else None,
            last_send if state.send else None,
            state.sealed_request,
            state.tainted,
            state.absorbed,
        ]
    )
    assert len(raw) <= limits.MEMO_BYTES_MAX, "an effect's memo has room for every field at its largest"
    return raw


def decode_memo(raw: bytes) -> Memo:
    """Return what `encode_memo` wrote. Raises MalformedError: these are not its bytes."""
    row = cast("list[Any]", cbor.decode(raw, bytes_max=limits.MEMO_BYTES_MAX))
    return Memo(
        effect_class=row[0],
        status=_STATUSES[row[1]],
        generation=row[2],
        attempt=row[3],
        turn=row[4],
        committed_max=row[5],
        base_status=_STATUSES[row[6]],
        base_generation=row[7],
        base_claim=row[8],
        claim=row[9],
        send=row[10],
        last_send=row[11],
        sealed_request=row[12],
        tainted=row[13],
        absorbed=row[14],
    )
