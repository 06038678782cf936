"""A provider's messages: authenticated by the caller's verifier, matched by tag, put on record once. SPEC §10 [PRF-1].

Messages come early, late, twice and forged. Presence commits from any status. A negative message settles only what is
unknown, and only where it cannot be about another attempt; otherwise it is kept as an observation. What is not
verified appends nothing.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from invoke_log.errors import InvokeLogError, KeyInvalidError, KeyLockedError, StoreError
from invoke_log.format import digest
from invoke_log.guard.resolution import (
    KNOWN,
    RECORDED,
    REFUSED,
    UNAVAILABLE,
    Brought,
    Case,
    check_reference,
    only_start,
    tagged,
)
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.contract import Contract
from invoke_log.rules.governance import Governance
from invoke_log.rules.kind import ABSENT, COMMITTED, NOT_COMMITTED, UNKNOWN, Evidence, Intent, Observation, Resolution
from invoke_log.rules.world import EffectState

_log = logging.getLogger(__name__)
IGNORED: Final = "ignored"
HTTP_STATUSES: Final = {RECORDED: 200, KNOWN: 200, IGNORED: 202, REFUSED: 400, UNAVAILABLE: 503}
"""What to answer a provider. Below 300, it takes the message for delivered. `unavailable` asks for it once more; where
it is `refused`, many deliver it again too, and are refused again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an authenticated message says: the provider's event, the object that it is about, and the tag on that.

    key_id: which key it was authenticated with, as the contract names it. tag: 64 hex digits. reference: the
    object by the name that a read-back and a sweep give it, since another name is another object.
    """

    key_id: str
    event: str
    tag: str | None
    reference: str | None


Verify = Callable[[bytes, Mapping[str, str]], Notice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of a message. answer: recorded, known, ignored, refused or unavailable. status: the effect's now.

    incident: what must not have happened, and who has to act.
    """

    answer: str
    note: str
    effect_key: str | None = None
    status: str | None = None
    incident: str | None = None

    @property
    def http_status(self) -> int:
        """The HTTP status to answer with."""
        return HTTP_STATUSES[self.answer]


def hear(log: Log, signer: Signer, body: bytes, headers: Mapping[str, str], verify: Verify) -> Heard:
    """Return what became of a message: verify it, find its effect, and put on record what it says."""
    try:
        notice = verify(body, headers)
    except Exception as error:  # noqa: BLE001 -- whatever a verifier raises, it has not vouched for the message
        _log.warning("webhook.refused", extra={"error": type(error).__name__})
        return Heard(answer=REFUSED, note=f"not verified: {type(error).__name__}: nothing was appended")
    try:
        if not isinstance(notice, Notice):
            raise TypeError(f"its verifier returned {type(notice).__name__}, want il.Notice")
        return _hear(log, signer, body, notice)
    except (StoreError, KeyInvalidError, KeyLockedError) as error:  # ours to mend, and the message is not lost
        return Heard(answer=UNAVAILABLE, note=error.message)
    except (InvokeLogError, TypeError) as error:
        return Heard(answer=REFUSED, note=f"the message cannot be worked with: {error}")


def _hear(log: Log, signer: Signer, body: bytes, notice: Notice) -> Heard:
    found = tagged(log, notice.tag)
    if found is None:
        return Heard(answer=IGNORED, note="it carries no tag that this log has made")
    state, generation = found
    name = digest.format_id("eff", state.effect)
    own = _contract_of(log, state)
    contract, says = _said(log.governance, own, notice)
    if contract is None or contract.webhook is None:
        return Heard(answer=IGNORED, note=f"no contract takes {notice.event!r} as an answer", effect_key=name)
    if contract.webhook.key_id != notice.key_id:
        note = f"verified with key {notice.key_id!r}, and the contract wants {contract.webhook.key_id!r}"
        return Heard(answer=REFUSED, note=note, effect_key=name)
    reference = check_reference(notice.reference) if notice.reference is not None else None
    # The last version may be of the class that retires the effect's, and says nothing of an effect under that one.
    named = contract if contract.effect_class == own.effect_class else own
    case = Case(log, signer, named, effect=state.effect, resource=state.resource)
    if says == COMMITTED:
        evidence = _evidence(log, body, reference, None)
        brought = case.present([evidence], generation=generation)
    else:
        brought = _negative(case, body, reference, notice.event, generation=generation)
    return Heard(
        answer=brought.answer,
        note=brought.note,
        effect_key=name,
        status=case.state().status,
        incident=brought.incident,
    )


def _negative(case: Case, body: bytes, reference: str | None, event: str, *, generation: int) -> Brought:
    """Settle an unknown effect as absent, where the message is surely about its open attempt; else keep the reading."""
    if not case.granted:  # nothing that it says of this would ever count
        return case.grant_missing()
    state, evidence = case.state(), _evidence(case.log, body, reference, event)
    with case.log.world() as world:
        start = only_start(world, state, generation)
        first = next(event.id for _, event in world.events_of(case.effect, case.resource))
    if state.status == UNKNOWN and state.send is not None and state.send.id == start:
        brought = case.absent(evidence, of=state)
        if brought.answer in (RECORDED, UNAVAILABLE):
            return brought
    if _on_record(case, evidence, generation=generation, start=start):
        return Brought(answer=KNOWN, note="on record already")
    # Never about the head: that may be the START of another generation, which this would then seem to be about.
    about = start if start is not None else first
    observed = case.observe(ABSENT, evidence, about)
    if observed.answer != RECORDED:
        return observed
    return Brought(answer=RECORDED, note=f"observed; the effect is {state.status}, and this settles nothing now")


def _on_record(case: Case, message: Evidence, *, generation: int, start: bytes | None) -> bool:
    """Whether a reading on record holds these bytes or, about the only `start` there is, says the same of one object.

    Providers that deliver a message again may write it anew, with another time in it.
    """
    with case.log.world() as world:
        of = (case.effect, case.resource)
        for _, event in (*world.events_of(*of), *world.observations(*of)):
            if not case.counts(event.by, world.governance):
                continue  # what can settle nothing stands in no other's way
            match event.data:
                case Observation() as data if data.presence == ABSENT:
                    about: bytes | None = data.about
                case Resolution() as data if data.presence == ABSENT:
                    about = start if data.generation == generation else None
                case _:
                    continue
            if data.evidence == message or (about == start is not None and _same_object(data.evidence, message)):
                return True
    return False


def _same_object(earlier: Evidence, message: Evidence) -> bool:
    """Whether two messages are one provider's event about one object that they name."""
    said = (message.kind, message.reference, message.failure)
    return message.reference is not None and said == (earlier.kind, earlier.reference, earlier.failure)


def _evidence(log: Log, body: bytes, reference: str | None, failure: str | None) -> Evidence:
    # Crash after this: a file that nothing names, found again by its digest when the message is delivered again.
    kept = log.keep_attachment(body)
    return Evidence(
        kind="webhook", reference=reference, failure=failure, attachment={"attachment": kept, "size": len(body)}
    )


def _contract_of(log: Log, state: EffectState) -> Contract:
    """The contract of an effect's claim; where nobody decided this generation, of whoever last named one."""
    if state.claim is not None:
        return log.governance.contracts[state.claim.contract_id]
    with log.world() as world:
        said = [event.data for _, event in world.events_of(state.effect, state.resource)]
    return log.governance.contracts[[data.contract_id for data in said if isinstance(data, Intent | Resolution)][-1]]


def _said(governance: Governance, own: Contract, notice: Notice) -> tuple[Contract | None, str]:
    """The contract under which a message says something of an effect, and what: the effect's own, or its last version.

    A later version may take more events as proof of presence, and another key; only the effect's own can say what
    proves absence.
    """
    last = governance.contracts[governance.latest[own.name]]
    if own.webhook is not None and notice.event in own.webhook.negative:
        return own, NOT_COMMITTED
    takes = None
    for contract in (last, own) if governance.succeeds(last, own) else (own,):
        webhook = contract.webhook
        if webhook is not None and notice.event in webhook.positive:
            takes = contract if takes is None or webhook.key_id == notice.key_id else takes
    return takes, COMMITTED
