"""Events to the log, and its answers to stdout: what every verb that appends ends with."""

from collections.abc import Sequence
from typing import Final

import click

from invoke_log.format import digest
from invoke_log.format.envelope import Envelope
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import Data
from invoke_log.surfaces.cli.session import Session, hint
from invoke_log.surfaces.outcomes import DONE, exit_code_of
from invoke_log.surfaces.render import answer_view

APPENDS_MAX: Final = 5
"""Times that the same bytes are appended again after UNAVAILABLE."""
DRAFTS_MAX: Final = 10
"""Times that an event is drawn up anew because another took the head that it named."""


def submit(
    session: Session,
    log: Log,
    data: Data,
    signer: Signer,
    *,
    effect: bytes | None = None,
    resource: str | None = None,
) -> int:
    """Append one event against the heads that stand, print the answer, and return its exit code.

    What was not accepted is an error: on stderr for people, for programs the same object as ever.
    """
    for _ in range(DRAFTS_MAX):
        envelope = log.draft(data, signer, effect=effect, resource=resource)
        [answer] = append_surely(log, [envelope])
        if not isinstance(answer, Stale):
            break
    view, code = answer_view(answer, digest.event_id(envelope.body)), exit_code_of(answer)
    if code == DONE or session.json:
        session.say(view)
    else:
        click.echo(f"error: {view.text}", err=True)
    explain(session, signer, [answer])
    return code


def append_surely(log: Log, envelopes: Sequence[Envelope]) -> list[Answer]:
    """Return one answer for each event; where it is UNAVAILABLE, the same bytes were appended again before that was
    said.
    """
    answers = log.append_many(envelopes)
    for _ in range(APPENDS_MAX):
        unsure = [at for at, answer in enumerate(answers) if isinstance(answer, Unavailable)]
        if not unsure:
            break
        for at, answer in zip(unsure, log.append_many([envelopes[at] for at in unsure]), strict=True):
            # After our own UNAVAILABLE, DUPLICATE of these very bytes says that they were accepted.
            answers[at] = Accepted(id=answer.of, index=answer.index) if isinstance(answer, Duplicate) else answer
    return answers


def explain(session: Session, signer: Signer, answers: Sequence[Answer]) -> None:
    """Say which key signed, where the log refused what it may do."""
    if any(isinstance(answer, Refused) and answer.code == "grant-missing" for answer in answers):
        hint(f"{digest.format_id('key', signer.public_key)} of {session.signed_with} signed; --key FILE names another")
