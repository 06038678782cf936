"""Appending until the log answers: the same bytes again after UNAVAILABLE, a new draft where another came first."""

from collections.abc import Sequence
from typing import Final

from invoke_log.format import digest
from invoke_log.format.digest import EventId
from invoke_log.format.envelope import Envelope
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.call import APPENDS_MAX
from invoke_log.rules.kind import Data

DRAFTS_MAX: Final = 10
"""Times that an event is drawn up anew because another took the head that it named."""


def append_drawn(
    log: Log, data: Data, signer: Signer, *, effect: bytes | None = None, resource: str | None = None
) -> tuple[EventId, Answer]:
    """Return the id of an event that rests on no head, and the log's answer to it, wherever its chain stood then."""
    for _ in range(DRAFTS_MAX):
        envelope = log.draft(data, signer, effect=effect, resource=resource)
        [answer] = append_surely(log, [envelope])
        if not isinstance(answer, Stale):
            break
    return digest.event_id(envelope.body), answer


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
