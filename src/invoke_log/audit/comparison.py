"""What an admitted event says about itself, against what replay computes. SPEC §12 [RPL-5], [RPL-6].

These disagreements are findings and void nothing: every honest replayer, whatever it can check, gets the same state
root.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

from invoke_log.audit.history import History
from invoke_log.audit.report import EffectReport, Find
from invoke_log.errors import MalformedError
from invoke_log.format import cbor, digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import evidence
from invoke_log.rules.admission import Admitted
from invoke_log.rules.budget import Spending, counted_event
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import facts_of
from invoke_log.rules.effect import contradicts
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
)
from invoke_log.rules.policy import NO_ENGINES, Engines, Judgement, Policy, judge
from invoke_log.rules.render import rendering_digest
from invoke_log.rules.snapshot import Profile, drifted
from invoke_log.rules.states import Ended, Kept
from invoke_log.rules.world import EffectState

_SUSPECT: Final = "signed by a key that is suspect from leaf {} on"

_NEVER: Final = Ended(grade="", relies_on=(), earlier=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """One naming of an attachment: the leaf, the size where it is said, or the contract whose snapshot it is and what
    was copied of it.
    """

    index: int
    size: int | None = None
    contract: Contract | None = None
    inline: dict[str, Value] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drift:
    """A START that names another snapshot than its intent, and the fields that may differ."""

    index: int
    decided: bytes
    started: bytes
    contract: Contract


class _Snapshot:
    """An attachment that is named as a snapshot: however many leaves name it, it is decoded once, checked once under
    each contract, and each of its fields is encoded once.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._faults: dict[bytes, str | None] = {}
        self._encoded: dict[str, bytes] = {}

    @property
    def fields(self) -> dict[str, Value]:
        """Those that it has, where it has no fault."""
        value, _ = self._decoded
        assert isinstance(value, dict), "a profile is a record"
        return value

    def fault(self, contract_id: bytes, profile: Profile) -> str | None:
        """Return why it is no snapshot in a contract's profile; None: it is one."""
        if contract_id not in self._faults:
            self._faults[contract_id] = self._fault(profile)
        return self._faults[contract_id]

    def encoded(self, name: str) -> bytes:
        """Return the bytes of a field that it has."""
        if name not in self._encoded:
            self._encoded[name] = cbor.encode(self.fields[name])
        return self._encoded[name]

    @cached_property
    def _decoded(self) -> tuple[Value, str | None]:
        try:
            return cbor.decode(self._raw, bytes_max=limits.BODY_BYTES_MAX), None
        except MalformedError as error:
            return None, error.message

    def _fault(self, profile: Profile) -> str | None:
        value, fault = self._decoded
        if fault is not None:
            return fault
        try:
            profile.check(value, "snapshot")
        except MalformedError as error:
            return error.message
        return None


class Comparison:
    """Everything an audit compares beside admission itself."""

    def __init__(self, fold: Fold, find: Find, *, spending: Spending | None, engines: Engines = NO_ENGINES) -> None:
        """Args: spending: None where not every leaf is shown, as in a receipt: then no budget is counted."""
        self._fold = fold
        self._find = find
        self._spending = spending
        self._engines = engines
        self._intents: dict[bytes, Event] = {}
        """Those of open claims, by effect."""
        self._history = History()
        self._maps: list[tuple[int, int, bytes]] = []
        """Of ticks with a map: the size that it covers, the leaf, and the root."""
        self._named: dict[bytes, list[_Named]] = {}
        self._drifts: list[_Drift] = []
        self._snapshots: dict[tuple[bytes, bytes], dict[str, Value] | None] = {}
        """Those that drifts are between, by contract and digest, once they are read."""
        self._signed: defaultdict[bytes, array[int]] = defaultdict(partial(array, "Q"))
        self._suspects: dict[bytes, int] = {}

    def judge(self, event: Event, index: int) -> Judgement | None:
        """Return what the policy says on the inputs that an event recorded; None: there is no verdict to be judged.

        Asked before the fold applies the event, which reads the recorded answer: here only `policy_id` and `inputs` are
        read of a verdict.
        """
        match event.data:
            case Intent() as data if index:
                intent, verdict, again = event, data.verdict, data.again is not None
            case Start() as start if (claimed := self._intents.get(event.effect or b"")) is not None:
                intent, verdict, again = claimed, start.verdict, False
            case _:
                return None
        assert isinstance(intent.data, Intent) and intent.effect is not None and intent.resource is not None
        governance, state = self._fold.governance, self._fold.effects.get(intent.effect)
        contract = governance.contracts.get(intent.data.contract_id)
        policy = governance.policies.get(verdict.policy_id)
        if contract is None or policy is None:
            return None
        generation = (state.generation if state is not None else 1) + again
        facts = facts_of(contract, intent.data, resource=intent.resource, issuer=intent.by, generation=generation)
        return judge(policy, facts, verdict.inputs, engines=self._engines)

    def compare(self, event: Event, index: int, own: Judgement | None, admitted: Admitted) -> None:
        """Compare what an event recorded with `own`, what `judge` said of it, and with the fold that has applied it."""
        self._name_attachments(event, index)
        self._suspect(event, index)
        if admitted.effect is not None and admitted.before is not None:
            self._compare_effect(event, index, own, admitted.before, admitted.effect)
            return
        match event.data:
            case Tick() as data:
                if data.time_ms < (last_ms := self._fold.lo(index)):
                    self._find("tick-backwards", index, f"tick at {data.time_ms} ms after one at {last_ms} ms")
                if data.map is not None:
                    self._maps.append((data.covers, index, data.map))
            case Revoke() as data if data.suspect_from is not None:
                self._find(
                    "suspect", index, f"what rests on this key or grant is suspect from leaf {data.suspect_from} on"
                )
            case Recovery():
                for state in self._fold.recovered:
                    self._history.note_recovered(index, state)
            case _:
                pass

    def _suspect(self, event: Event, index: int) -> None:
        """Remark once on each leaf that a suspect key signed, before the revoke that says so or after it [RPL-11]."""
        suspects, before = self._fold.governance.suspects, self._suspects
        for key, since in suspects.items() if suspects is not before else ():
            signed = self._signed[key]
            for leaf in signed[bisect_left(signed, since) : bisect_left(signed, before.get(key, index))]:
                self._find("key-suspect", leaf, _SUSPECT.format(since))
        if event.by in suspects and suspects[event.by] <= index:
            self._find("key-suspect", index, _SUSPECT.format(suspects[event.by]))
        self._signed[event.by].append(index)
        self._suspects = suspects

    def effects(self) -> tuple[EffectReport, ...]:
        """Return the report of every effect, by key. Asked once: each takes the place of what it is made from."""
        self._spending = None
        return tuple(_report(self._fold.effects.pop(key), event_ids) for key, event_ids in self._history.events())

    def check_maps(self) -> None:
        """Compare the roots that ticks carry with those of the leaves that they cover, all of them in one pass [MAP-8].

        Asked once all leaves are read, never of a receipt, which shows some. Each tick covers more than the one before.
        """
        roots = self._history.roots(covers for covers, _, _ in self._maps)
        for (covers, index, claimed), root in zip(self._maps, roots, strict=True):
            if claimed != root:
                self._find("map-differs", index, f"the map root is not that of the first {covers} leaves")

    @property
    def named(self) -> list[bytes]:
        """The digests of the attachments that entries name, in the order in which they were first named."""
        return list(self._named)

    def check_attachments(self, attachments: Iterable[bytes]) -> None:
        """Compare the attachments that came with the log with those that its entries name."""
        missing, unnamed = dict(self._named), 0
        for raw in attachments:
            key: bytes = digest.attachment_digest(raw)
            self._check_attachment(key, raw, missing.pop(key, []))
            if key not in self._named:
                unnamed, last = unnamed + 1, key
        if unnamed:
            words = f"no entry names {unnamed} of the attachments, {last.hex()} among them"
            self._find("attachment-unnamed", None, words)
        for key, (first, *_) in missing.items():
            self._find(
                "attachment-missing", first.index, f"attachment {key.hex()} is not here: what it says is not checked"
            )
        self._check_drifts()

    def _check_attachment(self, key: bytes, raw: bytes, namings: list[_Named]) -> None:
        snapshot = _Snapshot(raw)
        for named in namings:
            if named.size is not None and named.size != len(raw):
                words = f"attachment {key.hex()} has {len(raw)} bytes, want {named.size}"
                self._find("attachment-differs", named.index, words)
            if named.contract is not None and named.contract.profile is not None:
                self._check_snapshot(key, snapshot, named, named.contract, named.contract.profile)

    def _check_drifts(self) -> None:
        """A guard that read the world again before its START lets only what the contract names be different [SNP-3]."""
        found: dict[tuple[bytes, bytes, bytes], str | None] = {}
        for drift in self._drifts:
            # Two snapshots are compared once under each contract, however many STARTs are between them.
            between = (drift.contract.id, drift.decided, drift.started)
            if between not in found:
                found[between] = self._drifted(drift)
            if found[between] is not None:
                words = f"the START's snapshot is not the intent's: {found[between]}"
                self._find("snapshot-drifted", drift.index, words)

    def _drifted(self, drift: _Drift) -> str | None:
        before, after = (self._snapshots[drift.contract.id, key] for key in (drift.decided, drift.started))
        return None if before is None or after is None else drifted(before, after, drift.contract.may_drift)

    def _compare_effect(
        self, event: Event, index: int, own: Judgement | None, before: EffectState, after: EffectState
    ) -> None:
        effect, kept, now_ms = after.effect, self._fold.effects.kept(after.effect), self._fold.now_ms()
        self._history.note(index, after)
        match event.data:
            case Intent() as data:
                kept.purpose = data.purpose
                kept.sworn |= self._claimed_on_oath(data, before, after)
                self._intents[effect] = event
                self._compare_verdict(event, data, index, own, now_ms)
            case Start() as data if effect in self._intents:
                self._compare_verdict(self._intents[effect], data, index, own, now_ms)
            case Approval() | Denial() as data if effect in self._intents:
                self._compare_rendering(self._intents[effect], data, index)
            case Resolution() as data if data.presence == PRESENT:
                kept.purpose = data.of.purpose if data.of is not None else kept.purpose
                self._compare_presence(data, index, before, kept.reference)
            case _:
                pass
        if after.status != CLAIMED:
            self._intents.pop(effect, None)
        if (
            (before.status, before.generation) != (after.status, after.generation)
            and after.status in (COMMITTED, NOT_COMMITTED)
            and not isinstance(event.data, Denial)
            and event.kind != "release"
        ):
            contract = self._contract_of(event, after if after.claim else before)
            grade = evidence.grade_of(
                event, contract, observers=self._observers(event), by_executor=event.by in kept.starters
            )
            ended = kept.ended or _NEVER
            earlier = ended.earlier if contradicts(before, after.generation) else ended.relies_on
            relies_on = evidence.reliance_of(event, contract, grade=grade, sworn=kept.sworn, earlier=earlier)
            kept.ended = Ended(grade=grade, relies_on=relies_on, earlier=earlier)
            if after.status == COMMITTED:
                kept.reference = event.data.evidence.reference if isinstance(event.data, Outcome | Resolution) else None
        if self._spending is not None:
            contracts = self._fold.governance.contracts
            self._spending.follow(event, before, after, contracts=contracts, index=index, at_ms=now_ms)

    def _claimed_on_oath(self, intent: Intent, before: EffectState, after: EffectState) -> bool:
        """Return whether a recovery would have made this claim unknown, had nobody sworn [REC-4], [REC-5]."""
        accounted = before.absorbed if intent.again is None else 0
        return after.status == CLAIMED and accounted < len(self._fold.governance.recoveries)

    def _contract_of(self, event: Event, state: EffectState) -> Contract | None:
        contracts = self._fold.governance.contracts
        match event.data:
            case Intent() | Resolution() as data:
                return contracts.get(data.contract_id)
            case _:
                return contracts.get(state.claim.contract_id) if state.claim is not None else None

    def _observers(self, event: Event) -> list[bytes]:
        if not isinstance(event.data, Resolution):
            return []
        found = (self._fold.unchained(key, event.resource or "") for key in event.data.evidence.observations)
        return [observed[1].by for observed in found if observed is not None]

    def _compare_presence(self, data: Resolution, index: int, state: EffectState, known: str | None) -> None:
        """Args: state: from before it. known: the provider's object that committed the last generation until then."""
        if contradicts(state, data.generation):
            self._find("contradiction", index, "present after not_committed: the effect happened after all")
        reference = data.evidence.reference
        if data.generation == state.committed_max and None not in (reference, known) and reference != known:
            self._find("duplicate-effect", index, f"a second object {reference!r} under one tag, beside {known!r}")

    def _compare_verdict(
        self, intent: Event, data: Intent | Start, index: int, own: Judgement | None, now_ms: int
    ) -> None:
        assert isinstance(intent.data, Intent)
        governance, verdict = self._fold.governance, data.verdict
        contract, policy = governance.contracts[intent.data.contract_id], governance.policies[verdict.policy_id]
        if own is None:
            self._find("policy-unchecked", index, f"no engine {policy.engine!r} here: the verdict is not checked")
        elif (own.answer, own.rule, own.approvals) != (verdict.answer, verdict.rule, verdict.approvals):
            self._find(
                "verdict-differs",
                index,
                f"recorded {verdict.answer} by {verdict.rule!r}, replayed {own.answer} by {own.rule!r}",
            )
        if verdict.inputs["now_ms"] != now_ms:
            self._find(
                "now-differs",
                index,
                f"the verdict says now is {verdict.inputs['now_ms']!r} ms, the log says {now_ms} ms",
            )
        inline = verdict.inputs["snapshot"]
        assert isinstance(inline, dict)
        unseen = data.snapshot_id is None and inline != {}
        unread = own is not None and inline != {} and not inline.keys() <= policy.snapshot_fields
        if unseen or unread:
            self._find("inputs-differ", index, "the verdict's inputs are not those that the policy reads")
        if policy.budgets or verdict.inputs["budgets"] != {}:
            self._compare_budgets(intent, data, policy, index, now_ms)
        if data.snapshot_id is not None:
            self._name(
                data.snapshot_id,
                _Named(index=index, contract=contract, inline=inline, reads=policy.snapshot_fields),
            )
            self._note_drift(intent.data.snapshot_id, data.snapshot_id, contract, index)

    def _note_drift(self, decided: bytes | None, seen: bytes, contract: Contract, index: int) -> None:
        if decided is not None and decided != seen:
            self._drifts.append(_Drift(index=index, decided=decided, started=seen, contract=contract))
            self._snapshots |= {(contract.id, decided): None, (contract.id, seen): None}

    def _compare_budgets(self, intent: Event, data: Intent | Start, policy: Policy, index: int, now_ms: int) -> None:
        if not policy.budgets:
            self._find("budgets-differ", index, "the verdict says what budgets count, and its policy has none")
        elif self._spending is not None:
            assert isinstance(intent.data, Intent)
            contract = self._fold.governance.contracts[intent.data.contract_id]
            own = counted_event(intent, contract, at_ms=now_ms)
            recorded, holds = data.verdict.inputs["budgets"], self._spending.holds
            claim = intent.id if isinstance(data, Start) else None
            if not holds(policy.budgets, recorded, own, claim=claim, now_ms=now_ms, index=index):
                self._find("budgets-differ", index, "the verdict's budgets are not what is counted at this leaf")

    def _compare_rendering(self, intent: Event, data: Approval | Denial, index: int) -> None:
        assert isinstance(intent.data, Intent)
        contract = self._fold.governance.contracts[intent.data.contract_id]
        if data.shown != rendering_digest(intent, contract):
            self._find("rendering-differs", index, "what was shown is not render/1 of the intent")

    def _name(self, key: bytes, named: _Named) -> None:
        self._named.setdefault(key, []).append(named)

    def _name_attachments(self, event: Event, index: int) -> None:
        for key, size in references_of(event):
            self._name(key, _Named(index=index, size=size))

    def _check_snapshot(
        self, key: bytes, snapshot: _Snapshot, named: _Named, contract: Contract, profile: Profile
    ) -> None:
        fault = snapshot.fault(contract.id, profile)
        if fault is not None:
            self._find("snapshot-invalid", named.index, fault)
            return
        fields = snapshot.fields
        if (contract.id, key) in self._snapshots:
            self._snapshots[contract.id, key] = fields
        for name in sorted({*named.inline, *(named.reads & fields.keys())}):
            there = name in fields and name in named.inline
            # Compared as bytes: in Python True equals 1, and a field that is not there reads as null.
            if not there or snapshot.encoded(name) != cbor.encode(named.inline[name]):
                self._find("inputs-differ", named.index, f"the verdict's snapshot field {name} is not the snapshot's")


def _report(kept: Kept, event_ids: bytes) -> EffectReport:
    state = kept.state
    ended = kept.ended if state.status in (COMMITTED, NOT_COMMITTED) else None
    return EffectReport(
        effect=state.effect,
        resource=state.resource,
        effect_class=state.effect_class,
        purpose=kept.purpose,
        status=state.status,
        generation=state.generation,
        attempts=state.attempt,
        grade=ended.grade if ended is not None else None,
        relies_on=ended.relies_on if ended is not None else (),
        event_ids=event_ids,
    )
