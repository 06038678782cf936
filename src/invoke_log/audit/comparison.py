"""What an admitted event says about itself, against what replay computes. SPEC §12 [RPL-5], [RPL-6].

These disagreements are findings and void nothing: every honest replayer, whatever it can check, gets the same state
root.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from invoke_log.audit.map_history import MapHistory
from invoke_log.audit.report import EffectReport
from invoke_log.errors import MalformedError
from invoke_log.format import cbor, digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import evidence
from invoke_log.rules.admission import Admitted
from invoke_log.rules.budget import Spending, counted_event
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import facts_of
from invoke_log.rules.effect import OPEN
from invoke_log.rules.event import Event, references_of
from invoke_log.rules.fold import Fold
from invoke_log.rules.kind import (
    CLAIMED,
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    Approval,
    Denial,
    Intent,
    Outcome,
    Recovery,
    Resolution,
    Revoke,
    Start,
    Tick,
    Verdict,
)
from invoke_log.rules.policy import NO_ENGINES, Engines, Judgement, judge
from invoke_log.rules.render import rendering_digest
from invoke_log.rules.snapshot import Profile, drifted
from invoke_log.rules.world import EffectState

_SUSPECT: Final = "signed by a key that is suspect from leaf {} on"

_Kept = TypeVar("_Kept", bound=tuple[object, ...])
Find = Callable[[str, int | None, str], None]


@dataclass(slots=True)
class _Life:
    """What the report says of one effect beside its state, and what is kept while a claim is open.

    sworn: whether an oath let an intent be claimed after a recovery; earlier: what `relies_on` was before the event
    that settled the effect last.
    """

    purpose: str = ""
    events: list[bytes] = field(default_factory=list)
    grade: str | None = None
    relies_on: tuple[str, ...] = ()
    sworn: bool = False
    earlier: tuple[str, ...] = ()
    reference: str | None = None
    intent: Event | None = None
    committed: tuple[int, ...] = ()
    last_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """One naming of an attachment: the leaf, the size where it is said, or a snapshot's profile and what was copied
    of it.
    """

    index: int
    size: int | None = None
    profile: Profile | None = None
    inline: dict[str, Value] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drift:
    """A START that names another snapshot than its intent, and the fields that may differ."""

    index: int
    decided: bytes
    started: bytes
    may_drift: frozenset[str]


class Before(NamedTuple):
    """What has to be read before an event moves it, and the verdict that the policy gives on the recorded inputs."""

    state: EffectState | None
    now_ms: int
    verdict: Judgement | None


class Comparison:
    """Everything an audit compares beside admission itself."""

    def __init__(self, fold: Fold, find: Find, *, spending: Spending | None, engines: Engines = NO_ENGINES) -> None:
        """Args: spending: None where not every leaf is shown, as in a receipt: then budgets are not checked."""
        self._fold = fold
        self._find = find
        self._spending = spending
        self._engines = engines
        self._lives: defaultdict[bytes, _Life] = defaultdict(_Life)
        self._named: dict[bytes, list[_Named]] = {}
        self._drifts: list[_Drift] = []
        self._snapshots: dict[bytes, dict[str, Value] | None] = {}
        self._map = MapHistory()
        self._tuples: dict[Any, Any] = {}
        self._signed: defaultdict[bytes, array[int]] = defaultdict(partial(array, "Q"))
        self._suspects: dict[bytes, int] = {}

    def before(self, event: Event, index: int) -> Before:
        """Return what `after` needs of the state that the event is about to move, and nothing recorded."""
        state = self._fold.effects.get(event.effect) if event.effect is not None else None
        return Before(state=state, now_ms=self._fold.now_ms(), verdict=self._judge(event, state) if index else None)

    def after(self, event: Event, index: int, before: Before, admitted: Admitted) -> None:
        """Compare an event that was admitted with what it recorded."""
        self._name_attachments(event, index)
        self._suspect(event, index)
        match event.data:
            case Tick() as data:
                if data.time_ms < before.now_ms:
                    self._find("tick-backwards", index, f"tick at {data.time_ms} ms after one at {before.now_ms} ms")
                if data.map is not None and data.map != self._map.root_at(data.covers):
                    self._find("map-differs", index, f"the map root is not that of the first {data.covers} leaves")
            case Revoke() as data if data.suspect_from is not None:
                self._find(
                    "suspect", index, f"what rests on this key or grant is suspect from leaf {data.suspect_from} on"
                )
            case Recovery() if admitted.governance is not None:
                self._note_recovered(index)
            case _ if admitted.effect is not None:
                self._compare_effect(event, index, before, admitted.effect)
                if self._spending is not None and event.effect is not None:
                    after, contracts = self._fold.effects[event.effect], self._fold.governance.contracts
                    now_ms = before.now_ms
                    self._spending.follow(event, before.state, after, contracts=contracts, index=index, at_ms=now_ms)
            case _:
                pass

    def _suspect(self, event: Event, index: int) -> None:
        """Remark once on each leaf that a suspect key signed, before the revoke that says so or after it [RPL-11]."""
        suspects, before = self._fold.governance.suspects, self._suspects
        for key in suspects.keys() if suspects is not before else ():
            for leaf in self._signed[key]:
                if suspects[key] <= leaf and not (key in before and before[key] <= leaf):
                    self._find("key-suspect", leaf, _SUSPECT.format(suspects[key]))
        if event.by in suspects and suspects[event.by] <= index:
            self._find("key-suspect", index, _SUSPECT.format(suspects[event.by]))
        self._signed[event.by].append(index)
        self._suspects = suspects

    def effects(self) -> tuple[EffectReport, ...]:
        """Return the report of every effect, by key. Asked once: each takes the place of what it is made from."""
        return tuple(self._effect(key, self._fold.effects[key], self._lives.pop(key)) for key in sorted(self._lives))

    @property
    def named(self) -> list[bytes]:
        """The digests of the attachments that entries name, in the order in which they were first named."""
        return list(self._named)

    def check_attachments(self, attachments: Iterable[bytes]) -> None:
        """Compare the attachments that came with the log with those that its entries name."""
        missing = dict(self._named)
        for raw in attachments:
            key: bytes = digest.attachment_digest(raw)
            for named in missing.pop(key, ()):
                self._check_attachment(key, raw, named)
            if key not in self._named:
                self._find("attachment-unnamed", None, f"no entry names attachment {key.hex()}")
        for key, (first, *_) in missing.items():
            self._find(
                "attachment-missing", first.index, f"attachment {key.hex()} is not here: what it says is not checked"
            )
        self._check_drifts()

    def _check_attachment(self, key: bytes, raw: bytes, named: _Named) -> None:
        if named.size is not None and named.size != len(raw):
            words = f"attachment {key.hex()} has {len(raw)} bytes, want {named.size}"
            self._find("attachment-differs", named.index, words)
        if named.profile is not None:
            self._check_snapshot(key, raw, named, named.profile)

    def _check_drifts(self) -> None:
        """A guard that read the world again before its START lets only what the contract names be different [SNP-3]."""
        for drift in self._drifts:
            before, after = self._snapshots[drift.decided], self._snapshots[drift.started]
            found = drifted(before, after, drift.may_drift) if before is not None and after is not None else None
            if found is not None:
                self._find("snapshot-drifted", drift.index, f"the START's snapshot is not the intent's: {found}")

    def _effect(self, key: bytes, state: EffectState, life: _Life) -> EffectReport:
        return EffectReport(
            effect=key,
            resource=state.resource,
            effect_class=state.effect_class,
            purpose=life.purpose,
            status=state.status,
            generation=state.generation,
            attempts=state.attempt,
            grade=life.grade if state.status in (COMMITTED, NOT_COMMITTED) else None,
            relies_on=life.relies_on if state.status in (COMMITTED, NOT_COMMITTED) else (),
            events=tuple(life.events),
        )

    def _compare_effect(self, event: Event, index: int, before: Before, after: EffectState) -> None:
        assert event.effect is not None
        life = self._lives[event.effect]
        life.events.append(event.id)
        life.last_index = index
        if after.committed_max > (before.state.committed_max if before.state is not None else 0):
            life.committed = self._same((*life.committed, after.committed_max))
        self._note(after, life, index)
        contract = self._contract_of(event, after if after.claim else before.state or after)
        match event.data:
            case Intent() as data:
                life.purpose, life.intent = data.purpose, event
                life.sworn |= self._claimed_on_oath(data, before.state, after)
                self._compare_verdict(life.intent, data, index, before)
            case Start() as data if life.intent is not None:
                self._compare_verdict(life.intent, data, index, before)
            case Approval() | Denial() as data if life.intent is not None:
                self._compare_rendering(life.intent, data, index)
            case Resolution() as data if data.presence == PRESENT:
                life.purpose = data.of.purpose if data.of is not None else life.purpose
                self._compare_presence(data, index, before, after, life)
            case _:
                pass
        if after.status != CLAIMED:
            life.intent = None
        settled = (
            before.state is None or before.state.status != after.status or before.state.generation != after.generation
        )
        if (
            settled
            and after.status in (COMMITTED, NOT_COMMITTED)
            and not isinstance(event.data, Denial)
            and event.kind != "release"
        ):
            own = self._fold.started_by(event.effect, event.resource or "", event.by)
            life.grade = evidence.grade_of(event, contract, observers=self._observers(event), by_executor=own)
            if not _contradicts(before.state, after.generation):
                life.earlier = life.relies_on
            life.relies_on = self._same(
                evidence.reliance_of(event, contract, grade=life.grade, sworn=life.sworn, earlier=life.earlier)
            )
            life.reference = event.data.evidence.reference if isinstance(event.data, Outcome | Resolution) else None

    def _claimed_on_oath(self, intent: Intent, before: EffectState | None, after: EffectState) -> bool:
        """Return whether a recovery would have made this claim unknown, had nobody sworn [REC-4], [REC-5]."""
        accounted = 0 if before is None or intent.again is not None else before.absorbed
        return after.status == CLAIMED and accounted < len(self._fold.governance.recoveries)

    def _same(self, value: _Kept) -> _Kept:
        """Return the one tuple that stands for all that are equal to it: most effects end alike."""
        same: _Kept = self._tuples.setdefault(value, value)
        return same

    def _note(self, state: EffectState, life: _Life, index: int) -> None:
        assert state.last is not None
        noted = (state.status, state.generation, life.committed, state.last, life.last_index)
        self._map.note(index, state.effect, noted)

    def _note_recovered(self, index: int) -> None:
        """A recovery moves statuses at its own leaf, and no head."""
        for key, state in self._fold.effects.items():
            if state.tainted == index:
                self._note(state, self._lives[key], index)

    def _contract_of(self, event: Event, state: EffectState) -> Contract | None:
        contracts = self._fold.governance.contracts
        if isinstance(event.data, Intent | Resolution):
            return contracts.get(event.data.contract_id)
        return contracts.get(state.claim.contract_id) if state.claim is not None else None

    def _observers(self, event: Event) -> list[bytes]:
        assert isinstance(event.data, Outcome | Resolution) or event.kind == "attestation"
        if not isinstance(event.data, Resolution):
            return []
        found = (self._fold.unchained(key, event.resource or "") for key in event.data.evidence.observations)
        return [observed[1].by for observed in found if observed is not None]

    def _compare_presence(self, data: Resolution, index: int, before: Before, after: EffectState, life: _Life) -> None:
        state = before.state
        if state is None:
            return
        if _contradicts(state, data.generation):
            self._find("contradiction", index, "present after not_committed: the effect happened after all")
        reference = data.evidence.reference
        if (
            data.generation == state.committed_max
            and None not in (reference, life.reference)
            and reference != life.reference
        ):
            self._find(
                "duplicate-effect", index, f"a second object {reference!r} under one tag, beside {life.reference!r}"
            )

    def _judge(self, event: Event, state: EffectState | None) -> Judgement | None:
        """Judge before the recorded answer is read: of the verdict, only `policy_id` and `inputs` are."""
        intent, generation = event, 1 if state is None else state.generation
        if isinstance(event.data, Start) and (life := self._lives.get(event.effect or b"")) is not None:
            intent = life.intent or event
        elif isinstance(event.data, Intent):
            generation += event.data.again is not None
        if not isinstance(event.data, Intent | Start) or not isinstance(intent.data, Intent):
            return None
        contract = self._fold.governance.contracts.get(intent.data.contract_id)
        policy = self._fold.governance.policies.get(event.data.verdict.policy_id)
        if contract is None or policy is None:
            return None
        resource = intent.resource or ""
        facts = facts_of(contract, intent.data, resource=resource, issuer=intent.by, generation=generation)
        return judge(policy, facts, event.data.verdict.inputs, engines=self._engines)

    def _compare_verdict(self, intent: Event, data: Intent | Start, index: int, before: Before) -> None:
        assert isinstance(intent.data, Intent)
        contract = self._fold.governance.contracts[intent.data.contract_id]
        verdict, own = data.verdict, before.verdict
        policy = self._fold.governance.policies[verdict.policy_id]
        if own is None:
            self._find("policy-unchecked", index, f"no engine {policy.engine!r} here: the verdict is not checked")
        elif (own.answer, own.rule, own.approvals) != (verdict.answer, verdict.rule, verdict.approvals):
            self._find(
                "verdict-differs",
                index,
                f"recorded {verdict.answer} by {verdict.rule!r}, replayed {own.answer} by {own.rule!r}",
            )
        if verdict.inputs["now_ms"] != before.now_ms:
            self._find(
                "now-differs",
                index,
                f"the verdict says now is {verdict.inputs['now_ms']!r} ms, the log says {before.now_ms} ms",
            )
        inline = verdict.inputs["snapshot"]
        assert isinstance(inline, dict)
        unseen = data.snapshot_id is None and inline != {}
        unread = own is not None and inline != {} and not inline.keys() <= policy.snapshot_fields
        if unseen or unread:
            self._find("inputs-differ", index, "the verdict's inputs are not those that the policy reads")
        self._compare_budgets(intent, verdict, index, before)
        if data.snapshot_id is not None:
            self._name(
                data.snapshot_id,
                _Named(index=index, profile=contract.profile, inline=inline, reads=policy.snapshot_fields),
            )
            self._note_drift(intent.data.snapshot_id, data.snapshot_id, contract.may_drift, index)

    def _note_drift(self, decided: bytes | None, seen: bytes, may_drift: frozenset[str], index: int) -> None:
        if decided is not None and decided != seen:
            self._drifts.append(_Drift(index=index, decided=decided, started=seen, may_drift=may_drift))
            self._snapshots |= {decided: None, seen: None}

    def _compare_budgets(self, intent: Event, verdict: Verdict, index: int, before: Before) -> None:
        policy, recorded = self._fold.governance.policies[verdict.policy_id], verdict.inputs["budgets"]
        if not policy.budgets and recorded != {}:
            self._find("budgets-differ", index, "the verdict says what budgets count, and its policy has none")
        if not policy.budgets or self._spending is None:
            return
        assert isinstance(intent.data, Intent)
        contract = self._fold.governance.contracts[intent.data.contract_id]
        own = counted_event(intent, contract, at_ms=before.now_ms)
        state = before.state
        claim = state.claim.id if state is not None and state.claim is not None and state.status in OPEN else None
        holds = self._spending.holds
        if not holds(policy.budgets, recorded, own, claim=claim, now_ms=before.now_ms, index=index):
            self._find("budgets-differ", index, "the verdict's budgets are not what is counted at this leaf")

    def _compare_rendering(self, intent: Event, data: Approval | Denial, index: int) -> None:
        assert isinstance(intent.data, Intent)
        contract = self._fold.governance.contracts[intent.data.contract_id]
        if data.shown != rendering_digest(intent, contract):
            self._find("rendering-differs", index, "what was shown is not render/1 of the intent")

    def _name(self, key: bytes, named: _Named) -> None:
        self._named.setdefault(key, []).append(named)

    def _name_attachments(self, event: Event, index: int) -> None:
        for key, size in references_of(event).items():
            self._name(key, _Named(index=index, size=size))

    def _check_snapshot(self, key: bytes, raw: bytes, named: _Named, profile: Profile) -> None:
        try:
            value = cbor.decode(raw, bytes_max=limits.BODY_BYTES_MAX)
            profile.check(value, "snapshot")
        except MalformedError as error:
            self._find("snapshot-invalid", named.index, error.message)
            return
        assert isinstance(value, dict)
        if key in self._snapshots:
            self._snapshots[key] = value
        for name in sorted({*named.inline, *(named.reads & value.keys())}):
            there = name in value and name in named.inline
            # Compared as bytes: in Python True equals 1, and a field that is not there reads as null.
            if not there or cbor.encode(value[name]) != cbor.encode(named.inline[name]):
                self._find("inputs-differ", named.index, f"the verdict's snapshot field {name} is not the snapshot's")


def _contradicts(state: EffectState | None, generation: int) -> bool:
    """Return whether a presence of this generation shows that the last closing was wrong."""
    return state is not None and state.status == NOT_COMMITTED and state.generation == generation
