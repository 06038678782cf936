"""Events to the log, and its answers to stdout: what every verb that appends ends with."""

from collections.abc import Sequence

from invoke_log.errors import ConfigInvalidError, MalformedError
from invoke_log.format import digest
from invoke_log.ledger.log import Log
from invoke_log.ledger.submit import append_drawn
from invoke_log.log.signer import Signer
from invoke_log.rules.answer import Answer
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import Data
from invoke_log.surfaces.cli.session import Session, aside, hint
from invoke_log.surfaces.outcomes import DONE, exit_code_of
from invoke_log.surfaces.render import answer_view


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
    Raises: ConfigInvalidError: what was given has no bytes on a log. That is no log that does not verify.
    """
    try:
        event_id, answer = append_drawn(log, data, signer, effect=effect, resource=resource)
    except MalformedError as error:
        raise ConfigInvalidError(error.message) from error
    view, code = answer_view(answer, event_id), exit_code_of(answer)
    if code == DONE or session.json:
        session.say(view)
    else:
        aside(f"error: {view.text}")
    explain(session, signer, [answer])
    return code


def explain(session: Session, signer: Signer, answers: Sequence[Answer]) -> None:
    """Say which key signed, where the log refused what it may do."""
    if any(isinstance(answer, Refused) and answer.code == "grant-missing" for answer in answers):
        hint(f"{digest.format_id('key', signer.public_key)} of {session.signed_with} signed; --key FILE names another")
