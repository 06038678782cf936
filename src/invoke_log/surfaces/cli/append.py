"""`append`: JSON lines to signed events."""

from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

import click

from invoke_log.errors import MalformedError
from invoke_log.format import digest
from invoke_log.format.envelope import Envelope
from invoke_log.ledger.admit import foresee
from invoke_log.ledger.log import Log
from invoke_log.ledger.submit import DRAFTS_MAX, append_surely
from invoke_log.log.home import read_attachment
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer
from invoke_log.rules.governance import Refused
from invoke_log.surfaces.cli.draft import Line, draft, parse_line
from invoke_log.surfaces.cli.meaning import Scene
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.cli.stream import lines_of
from invoke_log.surfaces.cli.submit import explain
from invoke_log.surfaces.outcomes import exit_code_of, worst
from invoke_log.surfaces.render import answer_view

Answered = tuple[Answer, bytes | None]
"""An answer, and the id of the event that it is about; None where the line made none."""


@click.command("append", cls=Verb)
@click.argument("file", type=click.File("rb", lazy=True))
@click.pass_obj
def append(session: Session, file: BinaryIO) -> int:
    """Sign events and append them.

    FILE, or stdin for -, holds JSON lines; one answer a line is printed. A line is {"kind": …, "resource": …, "data":
    {…}}; bytes are {"$bytes": hex}. Left out, these are filled in from the log as it stands: prev, state and effect;
    an intent's verdict; a START's intent, approvals, verdict, provider_key and tag; the start of an outcome, suspect
    or redrive; and fields of data that may be null. A line may also give effect, prev, state and at_ms itself.

    Lines that are there at the same time go into one durable commit, and each sees the ones before it. The exit code
    is that of the worst line. Without --key the agent key beside the log signs.

    \b
    Example: echo '{"kind":"note","resource":"crm/42","data":{"about":…,"text":"seen"}}' | invoke-log append -
    """
    codes = []
    with session.open() as log:
        signer = session.signer("agent")
        for batch in lines_of(file):
            answered = append_lines(log, signer, batch)
            for answer, event_id in answered:
                session.say(answer_view(answer, event_id))
                codes.append(exit_code_of(answer))
            explain(session, signer, [answer for answer, _ in answered])
    return worst(codes)


def append_lines(log: Log, signer: Signer, batch: Sequence[bytes]) -> list[Answered]:
    """Return one answer for each line. A line that lost a race for heads that it did not name itself is drawn up
    again.
    """
    lines = [_parsed(text) for text in batch]
    answered: dict[int, Answered] = {}
    todo = list(range(len(lines)))
    for _ in range(DRAFTS_MAX):
        found = _append_once(log, signer, [lines[at] for at in todo])
        answered |= dict(zip(todo, found, strict=True))
        lost = next((at for at in todo if _lost_a_race(lines[at], answered[at][0])), None)
        if lost is None:
            break
        # What was drawn up after it saw a log that did not come to be.
        todo = [at for at in todo if at >= lost and not isinstance(answered[at][0], Accepted)]
    return [answered[at] for at in range(len(lines))]


def _parsed(text: bytes) -> Line | Refused:
    try:
        return parse_line(text)
    except MalformedError as error:
        return Refused(code=error.code, reason=error.message)


def _lost_a_race(line: Line | Refused, answer: Answer) -> bool:
    return isinstance(answer, Stale) and isinstance(line, Line) and not line.rests_on_heads


def _append_once(log: Log, signer: Signer, lines: Sequence[Line | Refused]) -> list[Answered]:
    """Draw all lines up on one snapshot, each seeing the earlier ones, and append them in one commit."""
    # A tick of ours first, so that what needs time to have passed sees it; but a verdict that a line brings rests on
    # the last one.
    brings_verdict = any(isinstance(line, Line) and "verdict" in line.data for line in lines)
    with log.world() as world:
        due = None if brings_verdict else log.due_tick(world)
        before = [due[0]] if due is not None else []
        for envelope in before:
            foresee(world, envelope)
        scene = Scene(world=world, issuer=signer.public_key, attachment=partial(read_attachment, log.path))
        drafts = [_drafted(line, scene, signer) for line in lines]
    envelopes = [drafted for drafted in drafts if isinstance(drafted, Envelope)]
    answers = iter(append_surely(log, [*before, *envelopes])[len(before) :] if envelopes else [])
    return [
        (next(answers), digest.event_id(drafted.body)) if isinstance(drafted, Envelope) else (drafted, None)
        for drafted in drafts
    ]


def _drafted(line: Line | Refused, scene: Scene, signer: Signer) -> Envelope | Refused:
    if isinstance(line, Refused):
        return line
    try:
        envelope = draft(line, scene, signer)
    except MalformedError as error:
        return Refused(code=error.code, reason=error.message)
    foresee(scene.world, envelope)
    return envelope
