"""A log of forty events with something of everything that a bundle holds, and keys that may no longer sign.

`forty(place)` is the log, the bundle of it under a cosigned checkpoint, and the key whose grants were revoked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from invoke_log.format import cosignature, keys, note
from invoke_log.format.cbor import Value
from invoke_log.format.note import NoteSignature
from invoke_log.log.signer import FileSigner
from invoke_log.rules.kind import (
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    UNKNOWN,
    Attestation,
    Evidence,
    Freeze,
    Note,
    Revoke,
    Scope,
    Unfreeze,
)
from tests.harness.forge import Parts, take_apart
from tests.harness.live import D_MS, Q_MS, T0, Live, id_of, memory_live

EVENTS: Final = 40
WITNESS: Final = FileSigner(bytes([9]) * 32)
WITNESS_NAME: Final = "example.net/witness"
PAPERS: Final = (b"a signed paper", b"an invoice, scanned" * 20)


@dataclass(frozen=True)
class Forty:
    """live: the log. parts: its bundle. revoked: held every role of an agent for a while."""

    live: Live
    parts: Parts
    revoked: FileSigner


@contextmanager
def forty(place: Path, *, began_ms: int = T0) -> Iterator[Forty]:
    with memory_live(place, began_ms=began_ms) as live:
        revoked = _tell(live)
        parts = take_apart(live.bundle())
        assert len(parts.leaves) == EVENTS
        yield Forty(live, replace(parts, note=cosigned(parts.note)), revoked)


def cosigned(raw: bytes) -> bytes:
    """The checkpoint with a witness's line under it. Nothing is known of that witness where no key of it is given."""
    opened, time_s = note.parse_note(raw), T0 // 1_000
    signed = WITNESS.sign(cosignature.cosigned_bytes(opened.text, time_s))
    line = NoteSignature(
        name=WITNESS_NAME,
        key_id=keys.note_key_id(WITNESS_NAME, keys.WITNESS_KEY, WITNESS.public_key),
        payload=time_s.to_bytes(8, "big") + signed,
    )
    return note.format_note(replace(opened, signatures=(*opened.signatures, line)))


def named(live: Live, raw: bytes) -> dict[str, Value]:
    """Keep an attachment beside the log, and return how an event names it."""
    return {"attachment": live.log.keep_attachment(raw), "size": len(raw)}


def _tell(live: Live) -> FileSigner:
    revoked = live.grant(22, "agent", "executor", "reconciler")
    live.put(live.log.draft(Revoke(key=revoked.public_key, grant=None, suspect_from=None), live.admin))
    first, second, third = (live.bound(order=order) for order in ("1", "2", "3"))
    live.put(live.begun(first))
    live.put(live.outcome(COMMITTED, "", first))
    live.put(live.draw(Note(about=bytes(32), text="settled"), live.admin, first))
    live.put(live.begun(second))
    live.put(live.outcome(UNKNOWN, "", second))
    live.wait(5)
    live.wait(D_MS + Q_MS)
    paper, scan = (named(live, each) for each in PAPERS)
    live.put(live.draw(Attestation(status=NOT_COMMITTED, reason="asked them", attachment=paper), live.admin, second))
    live.put(live.begun(second))
    live.put(live.outcome(COMMITTED, "", second))
    live.ask()
    intent = live.intent(third)
    live.put(intent)
    approval = live.approval(intent, third)
    live.put(approval)
    live.put(live.start(intent, approvals=(id_of(approval),)))
    seen = Evidence(kind="tag_seen", reference="pi_3", attachment=scan)
    live.put(live.draw(live.resolution(PRESENT, 1, seen), live.agent, third))
    denied = live.intent()
    live.put(denied)
    live.put(live.denial(denied))
    live.put(live.intent())
    live.put(live.release())
    scope = Scope(effect_class="*", prefix="")
    for data in (Freeze(scope=scope, reason="stop"), Unfreeze(scope=scope, reason="go on")):
        live.put(live.log.draft(data, live.admin))
    live.put(live.draw(Note(about=bytes(32), text="all done"), live.agent))
    live.wait(5)
    return revoked
