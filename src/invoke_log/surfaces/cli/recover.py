"""`recover`: a log that goes on from an older copy."""

from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import click

from invoke_log.audit import replay as audit
from invoke_log.audit.report import ERROR, Report
from invoke_log.audit.source import open_source
from invoke_log.errors import MalformedError, NotFoundError
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.digest import format_id
from invoke_log.format.keys import format_verifier_key
from invoke_log.format.note import NOTE_BYTES_MAX, parse_note
from invoke_log.ledger import recovery
from invoke_log.ledger.recovery import Survivors
from invoke_log.rules.kind import UNKNOWN, Recovery
from invoke_log.surfaces.cli.argument import ORIGIN
from invoke_log.surfaces.cli.given import read_again
from invoke_log.surfaces.cli.session import Session, Verb, hint
from invoke_log.surfaces.outcomes import DONE, UNVERIFIED
from invoke_log.surfaces.render import View, report_view

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("recover", cls=Verb)
@click.argument("copy", metavar="FROM", type=click.Path(exists=True, path_type=Path))
@click.option("--origin", callback=ORIGIN, metavar="NAME", help="The new log's name.  [default: the old one, with .e1]")
@click.option("--checkpoint", "kept", type=_FILE, help="The latest checkpoint of the old log that anybody has kept.")
@click.option(
    "--leaves", type=click.IntRange(min=1), metavar="N", help="Go on from the first N leaves, and leave the rest out."
)
@click.pass_obj
def recover(session: Session, copy: Path, origin: str | None, kept: Path | None, leaves: int | None) -> int:
    """Go on from an older copy of a log that is lost.

    FROM is a bundle, or a copy of the log's directory; --log names the directory to make. What came after the copy is
    gone, and some of it may have happened: what was open is unknown in the new log, and so is the next call of every
    key, until somebody has looked. Nothing may append to the old log any more.

    The new log has its own key and origin: third parties need what is printed. The admin key beside the copy signs, or
    --key.

    \b
    Example: invoke-log recover payments.bundle --log payments-2 --key admin.key
    """
    with read_again(copy) as found:
        return _recovered(session, found, origin, kept, leaves)


def _recovered(session: Session, copy: Path, origin: str | None, kept: Path | None, leaves: int | None) -> int:
    report = audit.replay(copy) if leaves is None else None
    if report is not None and not report.ok:
        session.say(report_view(report, effects=False))
        _hint_what_is_sound(report)
        return UNVERIFIED
    admin = session.signer("admin", beside=copy)
    with open_source(copy) as source:
        everything = source.entries()

        def closing(named: set[bytes], keep: Callable[[bytes], None]) -> bytes | None:
            try:
                deque(everything, maxlen=0)  # what is left out lies between here and the end
                found = source.closing(named)
                for raw in found.attachments:
                    keep(raw)
            except MalformedError:  # the copy is cut: --leaves has said where
                return _read_note(kept)
            return _read_note(kept) or found.note

        keys = copy if copy.is_dir() else None
        survivors = Survivors(entries=islice(everything, leaves), closing=closing, keys=keys)
        recovery.recover(session.log_path, survivors, admin=admin, origin=origin)
    _say_what_is_new(session)
    return DONE


def _read_note(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            return stream.read(NOTE_BYTES_MAX + 1)
    except OSError as error:
        raise NotFoundError(f"checkpoint {file}: {error.strerror}") from error


def _hint_what_is_sound(report: Report) -> None:
    first = min((f.index for f in report.findings if f.severity == ERROR and f.index is not None), default=0)
    if first:
        hint(f"the leaves before leaf {first} agree with each other: --leaves {first} goes on from them alone")


def _say_what_is_new(session: Session) -> None:
    with session.open_to_read() as log:
        trust = format_verifier_key(log.verifier_key)
        unknown = sum(state.status == UNKNOWN for state in log.open_effects())
        found = next(log.entries(log.governance.recoveries[-1].index))
    assert isinstance(found.event.data, Recovery)
    note = found.event.data.checkpoint
    lost = max(0, int(parse_body(parse_note(note).text).size) - found.index) if note else None
    fields = {
        "log": str(session.log_path),
        "origin": found.event.data.origin,
        "trust": trust,
        "size": found.index,
        "lost": lost,
        "unknown": unknown,
        "id": format_id("evt", found.event.id),
    }
    session.say(View(fields=fields, text=trust))
    if not session.json:
        missing = f"; at least {lost} after them are lost" if lost else ""
        hint(f"{found.index} leaves carried over{missing}; unknown effects: {unknown}")
        hint("settle them with reconcile, show and attest; give the new verifier key to third parties")
