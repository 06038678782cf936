"""A log as a bundle, with one leaf or attachment in memory at a time. SPEC §14 [BDL-1] to [BDL-7]."""

from collections.abc import Callable
from pathlib import Path

from invoke_log.errors import NotFoundError
from invoke_log.format import bundle, digest
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.envelope import decode_body
from invoke_log.format.note import parse_note
from invoke_log.log import home
from invoke_log.log.engine import Engine
from invoke_log.rules.event import attachments_of, parse_event


def write_bundle(write: Callable[[bytes], object], engine: Engine, *, origin: str, note: bytes, place: Path) -> None:
    """Write the leaves that a checkpoint covers, the checkpoint, and the attachments that they name and `place` keeps.

    Raises: NotFoundError: an attachment was erased meanwhile. StoreError.
    """
    size = parse_body(parse_note(note).text).size
    write(bundle.encode_header(bundle.Header(origin=origin, first=0, size=size, left_edge=())))
    named: set[bytes] = set()
    with engine.snapshot() as reader:
        for body, signature in reader.entries(0, size):
            write(bundle.encode_entry(body, signature))
            named |= attachments_of(parse_event(decode_body(body), digest.event_id(body)))
    kept = [key for key in sorted(named) if home.is_attachment_kept(place, key)]
    write(bundle.encode_trailer_head(note, len(kept)))
    for key in kept:
        raw = home.read_attachment(place, key)
        if raw is None:
            raise NotFoundError(f"attachment {key.hex()} was erased during the export", hint="export once more")
        write(bundle.encode_attachment(raw))
