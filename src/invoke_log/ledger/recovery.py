"""A log that goes on from an older copy, in a directory and under an origin of its own. SPEC §9.6 [REC-1] to [REC-3].

The copy is missing what came after it, and nobody knows what that was. So the new log begins with every leaf of the
copy, judged again, and then says what happened: from there on nothing that the log says about absence counts, and what
was open is unknown. The copy itself is not touched.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from invoke_log.errors import ConfigInvalidError, MalformedError
from invoke_log.format import digest, limits
from invoke_log.format.checkpoint import open_checkpoint
from invoke_log.format.digest import EventId
from invoke_log.format.envelope import Envelope, decode_body
from invoke_log.format.merkle import frontier_at
from invoke_log.ledger.admit import Opened, append_events, append_replayed, founding_entries, open_event, open_events
from invoke_log.ledger.log import sign_event
from invoke_log.ledger.state import LiveWorld, Memory
from invoke_log.log import home
from invoke_log.log.engine import Engine
from invoke_log.log.prove import node_reader
from invoke_log.log.signer import FileSigner, Signer
from invoke_log.rules.answer import Accepted, Answer
from invoke_log.rules.event import attachments_of
from invoke_log.rules.governance import Governance, Refused
from invoke_log.rules.kind import Recovery, Tick

CARRIED_TOGETHER: Final = 1_000
"""Leaves in one commit while a copy is carried over."""
_SUCCESSOR: Final = re.compile(r"\.e[1-9][0-9]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivors:
    """What is left of a log.

    entries: body and signature of every leaf from 0 on. closing: asked once they are read; hands over each attachment
    that is left, and returns the latest signed note that anybody has kept, which may cover more, or None; it is given
    the digests that the leaves name, and what takes an attachment. keys: the directory whose `keys/` holds its key
    files; or None.
    """

    entries: Iterable[tuple[bytes, bytes]]
    closing: Callable[[set[bytes], Callable[[bytes], None]], bytes | None]
    keys: Path | None


def recover(path: Path, survivors: Survivors, *, admin: Signer, origin: str | None) -> None:
    """Create the directory of a log that goes on from what is left of another, whole or not at all.

    It gets a log key of its own, and the other key files that lay beside the copy.

    Args:
        admin: signs the recovery.
        origin: the log's name from now on; None: that of the copy with `.e1`, or the next number.
    Raises: MalformedError: a leaf that no log would have accepted there, or a checkpoint that is not true of them.
        SignatureInvalidError: a checkpoint that is not the log's. ConfigInvalidError: the recovery is refused.
        StoreExistsError, NotFoundError (no parent directory), StoreError. Nothing was created.
    """
    seed = secrets.token_bytes(32)

    def fill(place: Path, engine: Engine) -> None:
        named = _carry(engine, survivors.entries)

        def keep(raw: bytes) -> None:
            if digest.attachment_digest(raw) in named:
                home.keep_attachment(place, raw)

        known = survivors.closing(named, keep)
        if survivors.keys is not None:
            home.copy_keys(place, survivors.keys)
        go_on(engine, admin=admin, log_key=FileSigner(seed), origin=origin, known=known)

    home.create_home(path, key_seeds={"log": seed}, fill=fill)


def go_on(engine: Engine, *, admin: Signer, log_key: Signer, origin: str | None, known: bytes | None) -> EventId:
    """Append a recovery with amnesia and the first tick of the new log key; return the recovery's id.

    Nobody else may have the log open: a recovery names the leaf at which it stands. Args and Raises: as `recover`.
    """
    memory = Memory()
    with engine.snapshot() as reader:
        world = LiveWorld(reader, memory)
        before, was_ms = world.governance, world.now_ms()
        if known is not None:
            if len(known) > (most := limits.RECOVERY_CHECKPOINT_BYTES_MAX):
                raise MalformedError(
                    f"checkpoint: {len(known)} bytes, and a recovery holds at most {most}",
                    hint="of its last lines, one for each signature, leave away those of witnesses",
                )
            last = open_checkpoint(known, before.verifier_key).checkpoint
            if last.size <= reader.size and frontier_at(last.size, node_reader(reader)).root() != last.root:
                raise MalformedError(
                    f"checkpoint: has another root for {last.size} leaves, so this is no copy of its log"
                )
        data = Recovery(
            old_origin=before.origin,
            origin=origin or successor(before),
            size=int(reader.size),
            root=reader.root,
            checkpoint=known,
            log_key=log_key.public_key,
            amnesia=True,
        )
    recovery = open_event(sign_event(data, admin, log=before.log_id, prev=before.head))
    _require(append_replayed(engine, memory, [recovery])[0])
    assert isinstance(recovery, Opened)
    event = recovery.event
    # Crash before the tick: nothing is missing. Its clock was read before the recovery was stored, so that it does not
    # cover it: what is unknown stays so until D + Q after whichever tick comes next.
    told = Tick(time_ms=max(event.at_ms, was_ms), covers=data.size, map=None)
    tick = sign_event(told, log_key, log=event.id)
    _require(append_events(engine, memory, [open_event(tick)])[0])
    return event.id


def successor(governance: Governance) -> str:
    """Return the name of the log after a recovery: the first of `<origin>.e1`, `.e2` … that it never had."""
    stem = _SUCCESSOR.sub("", governance.origin)
    names = (f"{stem}.e{number}" for number in range(1, limits.INTEGER_MAX))
    return next(name for name in names if name not in governance.origins)


def _carry(engine: Engine, entries: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """Append every leaf of a copy to an empty log, each judged again; return the attachments that they name."""
    memory, named, index = Memory(), set[bytes](), 0
    leaves = (Envelope(body=body, signature=signature, fields=decode_body(body)) for body, signature in entries)
    with engine.snapshot() as empty:
        founding = founding_entries(empty, list(islice(leaves, 1)))
    engine.append(founding)
    for alone, run in groupby(leaves, key=_stands_alone):
        while some := open_events(list(islice(run, 1 if alone else CARRIED_TOGETHER))):
            for opened, answer in zip(some, append_replayed(engine, memory, some), strict=True):
                index += 1
                if not isinstance(answer, Accepted) or not isinstance(opened, Opened):
                    raise MalformedError(f"leaf {index}: no log accepts this event there: {answer}")
                named |= attachments_of(opened.event)
    return named


def _stands_alone(envelope: Envelope) -> bool:
    """Whether it is a recovery, which is judged by the tree before it."""
    return envelope.fields.get("kind") == "recovery"


def _require(answer: Answer) -> None:
    if not isinstance(answer, Accepted):
        raise ConfigInvalidError(
            f"recovery: refused: {answer.reason if isinstance(answer, Refused) else answer}",
            hint="an admin of the old log signs it: --key FILE",
        )
