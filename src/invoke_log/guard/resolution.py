"""Evidence about one effect to the log: each piece once, against the head that stands, whoever else brings some.

Nothing here asks anybody: reconcilers, webhooks and sweeps have seen something, and this puts it on record. Every
append is conditional; who loses a race reads again, and finds that there is nothing left to say or says it there.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from invoke_log.errors import KeyInvalidError
from invoke_log.format import cbor, digest
from invoke_log.format.envelope import Envelope
from invoke_log.ledger.log import Log
from invoke_log.ledger.state import LiveWorld
from invoke_log.ledger.submit import append_drawn
from invoke_log.log.home import signer_beside
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.call import APPENDS_MAX
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import contradicts
from invoke_log.rules.evidence import reads_absent
from invoke_log.rules.governance import Governance
from invoke_log.rules.kind import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    Data,
    Evidence,
    Freeze,
    Note,
    Observation,
    Resolution,
    Scope,
    Start,
)
from invoke_log.rules.world import EffectState

_log = logging.getLogger(__name__)
RECORDED: Final = "recorded"
KNOWN: Final = "known"
REFUSED: Final = "refused"
UNAVAILABLE: Final = "unavailable"
REFERENCE_BYTES_MAX: Final = 512
_TAG: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of evidence.

    answer: recorded, known (it was on record already), refused (by the log, which says why in `note`) or unavailable
    (bring it again). incident: what has happened that must not, and who has to act; None: nothing has.
    """

    answer: str
    note: str
    incident: str | None = None


class Case:
    """One effect under a contract, and a key that brings evidence about it."""

    def __init__(self, log: Log, signer: Signer, contract: Contract, *, effect: bytes, resource: str) -> None:
        self.log = log
        self.signer = signer
        self.contract = contract
        self.effect = effect
        self.resource = resource

    @property
    def name(self) -> str:
        """The effect key as it prints."""
        return digest.format_id("eff", self.effect)

    @property
    def granted(self) -> bool:
        """Whether the key may bring evidence about the effect: it holds a grant as reconciler over it now."""
        return self.counts(self.signer.public_key, self.log.governance)

    def grant_missing(self) -> Brought:
        """What becomes of evidence that this key brings where it may bring none."""
        key = digest.format_id("key", self.signer.public_key)
        return Brought(answer=REFUSED, note=f"grant-missing: {key} holds no grant as reconciler over this effect")

    def counts(self, key: bytes, governance: Governance) -> bool:
        """Whether what a key says of the effect can settle it: the key holds a grant as reconciler over it."""
        return governance.holds(key, "reconciler", self.contract.effect_class, self.resource)

    def state(self) -> EffectState:
        """Return the effect as it stands now."""
        with self.log.world() as world:
            return world.effect(self.effect, self.resource)

    def append(self, data: Data, *, prev: bytes | None = None) -> Answer:
        """Return the answer to an event of this effect after `prev`, or where its chain stands."""
        return self.log.append(self._draft(data, prev))

    def references(self, generation: int) -> set[str | None]:
        """Return the provider's objects that are on record as present for a generation; None among them: an unnamed
        one.
        """
        with self.log.world() as world:
            said = [event.data for _, event in world.events_of(self.effect, self.resource)]
        return {
            data.evidence.reference
            for data in said
            if isinstance(data, Resolution) and data.presence == PRESENT and data.generation == generation
        }

    def present(self, seen: Sequence[Evidence], *, generation: int) -> Brought:
        """Put every object that was seen under the tag of a generation on record, in one commit, each once.

        A second object is an incident: what can still be stopped is frozen first, where this process may.
        """
        for _ in range(APPENDS_MAX):
            state, on_record = self.state(), self.references(generation)
            new = list({e.reference: e for e in seen if _is_new(e.reference, on_record)}.values())
            if not new:
                return Brought(answer=KNOWN, note="on record already")
            objects = ({evidence.reference for evidence in new} | on_record) - {None}
            incident = self._duplicate(objects) if len(objects) > 1 else None
            if incident is None and contradicts(state, generation):
                incident = "contradiction: it was settled as not_committed, and happened after all"
            # Crash here: frozen, with nothing seen on record. The effect is as open as before, and is looked at again.
            answer = self._append_presences(new, state, generation=generation, note=incident)
            if isinstance(answer, Accepted):
                if incident is not None:
                    _log.warning("effect %s: %s", self.name, incident)
                return Brought(answer=RECORDED, note=_found(new), incident=incident)
            if not isinstance(answer, Stale | Duplicate):  # whoever signs the same bytes at once has said the same
                break
        return _not_accepted(answer)

    def absent(self, evidence: Evidence, *, of: EffectState) -> Brought:
        """Settle an unknown effect as not committed, if the log's rules let this evidence show it.

        Args: of: the effect as it stood before anybody was asked; the answer says nothing of what was sent later.
        """
        for _ in range(APPENDS_MAX):
            state = self.state()
            if state.status != UNKNOWN:
                return Brought(answer=KNOWN, note=f"it is {state.status} already")
            if (state.generation, state.attempt, state.send) != (of.generation, of.attempt, of.send):
                return Brought(answer=REFUSED, note="it was sent again meanwhile, and this says nothing of that")
            data = Resolution(
                presence=ABSENT, contract_id=self.contract.id, generation=state.generation, evidence=evidence
            )
            answer = self.append(data, prev=state.last)
            if isinstance(answer, Accepted | Duplicate):
                return Brought(answer=RECORDED, note="it is absent, and can no longer appear")
            if not isinstance(answer, Stale):
                break
        return _not_accepted(answer)

    def observe(self, presence: str, evidence: Evidence, about: bytes) -> Brought:
        """Put a reading that settles nothing by itself on record; `about` is the send that it is about."""
        answer = self.append(Observation(about=about, presence=presence, evidence=evidence))
        if isinstance(answer, Accepted | Duplicate):
            return Brought(answer=RECORDED, note="observed")
        return _not_accepted(answer)

    def _append_presences(
        self, new: Sequence[Evidence], state: EffectState, *, generation: int, note: str | None
    ) -> Answer:
        """Return the first answer that is not accepted, or the last; a note in words goes into the same commit."""
        envelopes, head = [], state.last
        for evidence in new:
            data: Data = Resolution(
                presence=PRESENT, contract_id=self.contract.id, generation=generation, evidence=evidence
            )
            envelopes.append(self._draft(data, head))
            head = digest.event_id(envelopes[-1].body)
        if note is not None and head is not None:
            envelopes.append(self._draft(Note(about=head, text=note), None))
        answers = self.log.append_many(envelopes)
        return next((answer for answer in answers if not isinstance(answer, Accepted)), answers[-1])

    def _draft(self, data: Data, prev: bytes | None) -> Envelope:
        return self.log.draft(data, self.signer, effect=self.effect, resource=self.resource, prev=prev)

    def _duplicate(self, objects: set[str | None]) -> str:
        """Freeze what lies beside the effect, where this process may, and say so; else say who has to."""
        prefix = self.resource[: self.resource.rfind("/") + 1]
        scope = Scope(effect_class=self.contract.effect_class, prefix=prefix)
        named = ", ".join(sorted(str(reference) for reference in objects)[:3])
        what, where = f"duplicate: {len(objects)} objects under one tag ({named})", f"{scope.effect_class}:{prefix}"
        if self.log.governance.frozen(scope.effect_class, self.resource):
            return f"{what}; {where} is frozen"
        admin = self._admin()
        if admin is not None and self._freeze(scope, what, admin):
            return f"{what}; {where} is frozen now"
        who = holders(self.log.governance, "admin")
        return f"{what}; an admin ({who}) has to stop what is left: invoke-log freeze {where}"

    def _admin(self) -> Signer | None:
        try:
            return signer_beside(self.log.path, "admin")
        except KeyInvalidError:
            return None  # evidence does not wait for a key file to be mended

    def _freeze(self, scope: Scope, reason: str, admin: Signer) -> bool:
        _, answer = append_drawn(self.log, Freeze(scope=scope, reason=reason), admin)
        return isinstance(answer, Accepted) or self.log.governance.frozen(scope.effect_class, self.resource)


def tagged(log: Log, tag: str | None) -> tuple[EffectState, int] | None:
    """Return the effect and the generation that a provider's object belongs to by its tag; None: none of this log's."""
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):  # whatever a provider's client handed on
        return None
    with log.world() as world:
        return world.tagged(bytes.fromhex(tag))


def only_start(world: LiveWorld, state: EffectState, generation: int) -> bytes | None:
    """Return the one START that a negative message under a generation's tag can be about; None: it may be another.

    All attempts of a generation share its tag, those of a tail that a recovery has lost among them [CALL-7].
    """
    if any(recovery.forgot(state.effect_class, state.resource) for recovery in world.governance.recoveries):
        return None
    tag = digest.tag(state.effect, generation)
    said = (event for _, event in world.events_of(state.effect, state.resource))
    starts = [event.id for event in said if isinstance(event.data, Start) and event.data.tag == tag]
    return starts[0] if len(starts) == 1 else None


def readings(world: LiveWorld, state: EffectState, contract: Contract, bound_ms: int | None) -> dict[bytes, bytes]:
    """Return the readings without our tag that are on record and count now: by key, the latest of each [PRF-7]."""
    return {
        event.by: event.id
        for _, event in world.observations(state.effect, state.resource)
        if reads_absent(event, contract, bound_ms=bound_ms, world=world)
    }


def holders(
    governance: Governance,
    role: str,
    effect_class: str = "*",
    resource: str = "",
    *,
    without: frozenset[bytes] = frozenset(),
) -> str:
    """Return the names of those who hold a role over an effect, for people; "nobody" where there is none."""
    names = {
        grant.subject or digest.format_id("key", grant.key)
        for grant in governance.grants
        if grant.role == role and grant.scope.covers(effect_class, resource) and grant.key not in without
    }
    return ", ".join(sorted(names)) or "nobody"


def check_reference(found: object) -> str:
    """Return what names one of the provider's objects, in a spelling that the log can keep.

    Raises: TypeError, MalformedError.
    """
    if not isinstance(found, str) or not 0 < len(found.encode(errors="replace")) <= REFERENCE_BYTES_MAX:
        raise TypeError(f"a reference is {str(found)[:40]!r}, want text of 1 to {REFERENCE_BYTES_MAX} bytes")
    cbor.encode(found)
    return found


def _is_new(reference: str | None, on_record: set[str | None]) -> bool:
    """Whether a sighting says more than what is on record: an unnamed object may be any of those."""
    return not on_record if reference is None else reference not in on_record


def _found(new: Sequence[Evidence]) -> str:
    named = [evidence.reference for evidence in new if evidence.reference is not None]
    return f"found {', '.join(named[:3])}" if named else "it is there"


def _not_accepted(answer: Answer) -> Brought:
    reason = str(getattr(answer, "reason", answer))
    if isinstance(answer, Unavailable | Stale):
        return Brought(answer=UNAVAILABLE, note=f"not recorded, bring it again: {reason}")
    return Brought(answer=REFUSED, note=f"{getattr(answer, 'code', 'refused')}: {reason}")
