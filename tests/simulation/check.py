"""What must hold, by number (S1 to S15): every new leaf against what the provider really did and who sent what.

The judge has its own fold of the log and the provider's own ledger, and asks the code under test for nothing.
"""

import functools
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, cast

from invoke_log.audit.receipt import verify_receipt
from invoke_log.audit.replay import replay
from invoke_log.audit.report import Report
from invoke_log.audit.source import BundleSource
from invoke_log.format import digest
from invoke_log.format.bundle import BundleReader
from invoke_log.format.cbor import Value
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.envelope import Envelope, decode_body, entry_of
from invoke_log.format.merkle import EMPTY_FRONTIER, leaf_hash
from invoke_log.format.note import parse_note
from invoke_log.guard.registry import Tool
from invoke_log.guard.tool_call import Call
from invoke_log.ledger.log import TICK_AGE_MS_MAX
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.effect import OPEN
from invoke_log.rules.event import CHAINED_KINDS, Event, parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import (
    CLAIMED,
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    Approval,
    Attestation,
    Denial,
    Grant,
    Intent,
    Outcome,
    Redrive,
    Release,
    Resolution,
    Revoke,
    Start,
)
from invoke_log.rules.world import EffectState
from invoke_log.store.memory import MemoryStore
from tests.harness.live import D_MS
from tests.harness.story import copied_fold
from tests.simulation.cast import BUDGETED, SPENT_MAX, Sending
from tests.simulation.world import Founded, Process, Violation, World

ROLE_OF: Final[dict[type, tuple[str, ...]]] = {
    Intent: ("agent", "repeat"),
    Approval: ("approver",),
    Denial: ("approver",),
    Start: ("executor",),
    Redrive: ("reconciler",),
    Attestation: ("attestor",),
}
CLASS: Final = f"{BUDGETED}/1"
SET_BACK: Final = "clock set backwards"
NEVER: Final = (Accepted, Duplicate, Stale, Unavailable)


def as_founded(founded: Founded) -> tuple[Fold, set[tuple[bytes, str]]]:
    """The fold of the leaves that every run begins with, and the roles that they give, to go on from."""
    fold, held = _founded(founded.store)
    return copied_fold(fold), set(held)


@functools.cache
def _founded(store: MemoryStore) -> tuple[Fold, set[tuple[bytes, str]]]:
    fold, held = Fold(), set[tuple[bytes, str]]()
    for index, (body, _) in enumerate(store._entries):
        event = parse_event(decode_body(body), digest.event_id(body))
        assert not isinstance(fold.apply(event, index=index, root=None), Void)
        if isinstance(event.data, Grant):
            held.add((event.data.key, event.data.role))
    return fold, held


class Judge:
    """Watches one world. Every method raises Violation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.starts: dict[str, list[Sending]] = defaultdict(list)
        """Every permission that was ever given for a tag, also by leaves that a restore has lost."""
        self.closed: dict[bytes, str] = {}
        """Permissions that the log says came to nothing, and will."""
        self.excused: set[str] = set()
        """Tags of which the log was told by a clock that had leapt, and says that it relied on it."""
        self.consented: dict[bytes, tuple[int, int]] = {}
        """When each approval was stored, on the clock that nobody sets, and how often the other had been set back."""
        self.landed = 0
        self.happened: Counter[str] = Counter()
        """Kinds of events, and the ways that effects went, by how often."""
        world.heard, world.restored, world.watch = self.heard, self.restored, self.watch
        self.restored(len(world.store._entries))

    def restored(self, leaves: int) -> None:
        """Begin again with the leaves that are there now, of which so many are as they were before."""
        self.fold, self.held = as_founded(self.world.founded)
        self.at = len(self.world.founded.store._entries)
        self.known = leaves
        """Leaves that were judged before: what a provider did meanwhile does not make them untrue."""
        self.used: set[bytes] = set()
        self.started: set[bytes] = set()
        self.attested: set[bytes] = set()
        """Events by which a person settled an effect, whatever became of it since."""
        self.amounts: dict[bytes, int] = {}
        """What each intent may spend of the budget."""
        self.spent: dict[tuple[bytes, int], int] = {}
        """What was spent of it, or is about to be, by effect and generation."""
        self.watch()

    def watch(self) -> None:
        """Judge what is new: leaves and landings."""
        entries = self.world.store._entries
        while self.at < len(entries):
            body, _ = entries[self.at]
            event = parse_event(decode_body(body), digest.event_id(body))
            before = dict(self.fold.effects) if event.kind == "recovery" else {}
            if event.effect is not None:
                standing = self.fold.effects.get(event.effect)
                before = {event.effect: standing or EffectState(effect=event.effect, resource="")}
            folded = self.fold.apply(event, index=self.at, root=None)
            if isinstance(folded, Void):
                raise Violation("S7", f"leaf {self.at} ({event.kind}) is void: {folded.code}: {folded.reason}")
            self._count(event, before)
            self._leaf(event, before.get(event.effect or b""))
            self.at += 1
        landed = self.world.provider.landed
        while self.landed < len(landed):
            request = landed[self.landed].request
            self.landed += 1
            if request.attempt in self.closed and request.tag not in self.excused:
                raise Violation("S2", f"{request.tag[:8]} landed after {self.closed[request.attempt]}")
            if len(self.world.provider.under(request.tag)) > 1 and request.tag not in self.excused:
                raise Violation("S1", f"{request.tag[:8]} landed twice")

    def heard(self, envelopes: Sequence[Envelope], answers: Sequence[Answer]) -> None:
        """What the log answered is true of its store, and evidence was not turned away."""
        for envelope, answer in zip(envelopes, answers, strict=True):
            if isinstance(answer, Accepted):
                entries = self.world.store._entries
                if answer.index >= len(entries) or entries[answer.index][0] != envelope.body:
                    raise Violation("S11", f"{envelope.fields['kind']!r} was accepted at a leaf that does not hold it")
            data = envelope.fields["data"]
            if envelope.fields["kind"] == "resolution" and isinstance(data, dict) and data["presence"] == PRESENT:
                code = getattr(answer, "code", "")
                if not isinstance(answer, NEVER) and code not in ("grant-missing", "log-mismatch"):
                    raise Violation("S15", f"a sighting was answered {answer}")

    def sending(self, process: Process, tool: Tool, call: Call, arguments: dict[str, Value]) -> None:
        """A request is about to leave: by whom, under which permission, in time, and as it was decided."""
        try:
            self._check_sending(process, tool, call, arguments)
        except Violation as violation:  # not to be taken for an answer of the provider
            self.world.fail(violation)
            raise

    def _check_sending(self, process: Process, tool: Tool, call: Call, arguments: dict[str, Value]) -> None:
        self.watch()
        effect = bytes.fromhex(call.effect_key[4:])
        permission = process.sends.get(effect)
        if permission is None or permission.tag != call.tag:
            raise Violation("S4", f"{process.name} sends {call.tag[:8]} and no START was accepted from it")
        if permission.used:
            raise Violation("S4", f"{process.name} sends {call.tag[:8]} twice under one START")
        if self.world.boot_ms > permission.stored_ms + D_MS:
            raise Violation("S4", f"{process.name} sends {call.tag[:8]} after its deadline")
        self._check_consented(process, permission)
        if (tool.contract.id, bind(tool.contract, arguments).request) != (permission.contract_id, permission.request):
            raise Violation("S10", f"{process.name} sends {call.tag[:8]} under another contract or with other content")
        permission.used = True

    def _check_consented(self, process: Process, permission: Sending) -> None:
        """[CALL-8]: each approval was young enough when it was looked at, and D has not passed since."""
        counts_ms = permission.approvals_ttl_ms + TICK_AGE_MS_MAX + D_MS
        for given_ms, set_back in map(self.consented.__getitem__, permission.approvals):
            unsure = set_back != self.world.faults[SET_BACK]
            if self.world.boot_ms > given_ms + counts_ms and not unsure:
                raise Violation("S9", f"{process.name} sends {permission.tag[:8]} on an approval that has lapsed")

    def _count(self, event: Event, before: Mapping[bytes, EffectState]) -> None:
        """Keep what came by this leaf, and how effects went by it: by its own where it has one, else by all."""
        if self.at < self.known:
            return
        self.happened[event.kind] += 1
        if event.kind not in CHAINED_KINDS and event.kind != "recovery":
            return
        for effect, state in before.items():
            after = self.fold.effect(effect, state.resource)
            if event.effect is not None or state != after:
                self.happened[f"{state.status}>{after.status} by {event.kind}"] += 1

    def _leaf(self, event: Event, before: EffectState | None) -> None:
        self._check_signer(event)
        data = event.data
        if event.effect is None:
            return
        state = self.fold.effects.get(event.effect)
        if state is None:
            return
        self._check_spent(event, state)
        if isinstance(data, Attestation):
            self.attested.add(event.id)
        elif isinstance(data, Approval):
            self._note_consent(event)
        if isinstance(data, Start):
            self._check_start(event, data, before, state)
        elif isinstance(data, Redrive):
            self._permit(event, state)
        if event.kind == "start" and state.status != "started":
            raise Violation("S6", "a START that starts nothing")
        self._check_final(event, before, state)
        if before is None or (before.status, before.generation) == (state.status, state.generation):
            return
        if self.at < self.known:
            return
        if state.status == COMMITTED and state.committed_max == state.generation:
            self._check_committed(event, before, state)
        elif state.status == NOT_COMMITTED and before.status != CLAIMED:
            self._check_absent(event, state)

    def _check_signer(self, event: Event) -> None:
        data = event.data
        if isinstance(data, Grant):
            self.held.add((data.key, data.role))
        elif isinstance(data, Revoke):
            self.held = {(key, role) for key, role in self.held if key != data.key}
        wanted = ROLE_OF.get(type(data))
        if wanted is not None and not any((event.by, role) in self.held for role in wanted):
            raise Violation("S8", f"{event.kind} by a key that holds none of {', '.join(wanted)}")

    def _check_start(self, event: Event, data: Start, before: EffectState | None, state: EffectState) -> None:
        if before is None or before.status != CLAIMED or before.claim is None or before.claim.id != data.intent:
            raise Violation("S6", "a START of what is not claimed")
        if data.intent in self.started:
            raise Violation("S6", "a second START of one intent")
        self.started.add(data.intent)
        approvers, contract = set[bytes](), self.fold.governance.contracts[before.claim.contract_id]
        for approval_id in data.approvals:
            found = self.fold.chained(state.effect, state.resource, approval_id)
            assert found is not None
            assert isinstance(found[1].data, Approval)
            if found[1].data.intent != data.intent or approval_id in self.used:
                raise Violation("S9", "an approval of another intent, or one that a START has listed before")
            if found[1].by in (event.by, before.claim.issuer):
                raise Violation("S9", "an approval by issuer or executor")
            if self.fold.lo(self.at) > self.fold.lo(found[0]) + contract.approvals_ttl_ms:
                raise Violation("S9", "an approval that had expired")
            approvers.add(found[1].by)
            self.used.add(approval_id)
        wanted = max(1, contract.approvals_count, before.claim.approvals, data.verdict.approvals)
        if (before.claim.asks or data.verdict.answer == "ask") and len(approvers) < wanted:
            raise Violation("S9", f"a START with {len(approvers)} approvals of the {wanted} that were asked for")
        self._permit(event, state, approvals=data.approvals)

    def _note_consent(self, event: Event) -> None:
        """Keep when an approval came; where the log's time was ahead of the wall clock, nobody can tell its age."""
        _, stored_ms = self.world.authors.get(self.at, (None, self.world.boot_ms))
        ahead = self.fold.lo(self.at) > self.world.wall_ms + stored_ms
        self.consented.setdefault(event.id, (stored_ms, -1 if ahead else self.world.faults[SET_BACK]))

    def _permit(self, event: Event, state: EffectState, *, approvals: tuple[bytes, ...] = ()) -> None:
        """A START or a re-drive: its process may send once, and knows it where it lives."""
        tag = digest.tag(state.effect, state.generation).hex()
        process, stored_ms = self.world.authors.get(self.at, (None, self.world.boot_ms))
        if any(each.id == event.id for each in self.starts[tag]):
            return  # the same leaf as before a restore
        assert state.claim is not None
        sending = Sending(
            id=event.id,
            effect=state.effect,
            tag=tag,
            contract_id=state.claim.contract_id,
            request=state.claim.request,
            stored_ms=stored_ms,
            approvals=approvals,
            approvals_ttl_ms=self.fold.governance.contracts[state.claim.contract_id].approvals_ttl_ms,
        )
        self.starts[tag].append(sending)
        if process is not None and not process.doomed:
            process.sends[state.effect] = sending

    def _check_spent(self, event: Event, state: EffectState) -> None:
        """What a budget lets through is bounded by what the log knows to be done or under way [POL-7]."""
        data = event.data
        if isinstance(data, Intent):
            self.amounts[event.id] = cast("int", data.content["amount"]) if state.effect_class == CLASS else 0
        for effect, generation in [key for key in self.spent if key[0] == state.effect]:
            if generation >= state.generation:
                del self.spent[effect, generation]
        if state.status in (*OPEN, COMMITTED) and state.claim is not None:
            self.spent[state.effect, state.generation] = self.amounts[state.claim.id]
        rule = data.verdict.rule if isinstance(data, Intent | Start) else None
        if rule == "within" and state.effect_class == CLASS and sum(self.spent.values()) > SPENT_MAX:
            raise Violation("POL-7", f"{event.kind} within a budget of {SPENT_MAX} makes {sum(self.spent.values())}")

    def _check_final(self, event: Event, before: EffectState | None, state: EffectState) -> None:
        if before is None:
            return
        if state.committed_max < before.committed_max:
            raise Violation("S5", f"{event.kind} forgets a commit")
        if before.status == COMMITTED and state.status != COMMITTED and state.generation <= before.generation:
            raise Violation("S5", f"{event.kind} takes a commit back")

    def _check_committed(self, event: Event, before: EffectState, state: EffectState) -> None:
        tag = digest.tag(state.effect, state.generation).hex()
        if isinstance(event.data, Outcome | Resolution | Attestation) and not self.world.provider.under(tag):
            if not self._excuse(event, tag):
                raise Violation("S3", f"{event.kind} commits {tag[:8]}, which did not land")
        elif isinstance(event.data, Release | Denial) and before.status != CLAIMED:
            raise Violation("S5", f"{event.kind} commits {tag[:8]}")

    def _check_absent(self, event: Event, state: EffectState) -> None:
        tag = digest.tag(state.effect, state.generation).hex()
        self._excuse(event, tag)
        if tag in self.excused:
            return
        # A definite failure, or a call that never left, speaks for one attempt; it can only follow on closed ones.
        for sending in self.starts[tag]:
            self.closed[sending.id] = f"{event.kind} of leaf {self.at} said that it did not"
            if any(landing.request.attempt == sending.id for landing in self.world.provider.under(tag)):
                raise Violation("S2", f"{event.kind} says that {tag[:8]} did not land, and it did")

    def _excuse(self, event: Event, tag: str) -> bool:
        """A person goes by the log's clock alone, and the log says that it relied on it (S14): not more is promised.

        A reconciler also waits by its own clock.
        """
        if isinstance(event.data, Attestation) and self.world.leapt:
            self.excused.add(tag)
            return True
        return False

    # --- at the end, on a log that rests

    def conclude(self) -> Report:
        """Replay what is exported, as a third party does, and compare with the fold, the store and the notes."""
        self.watch()
        log = self.world.log
        items: list[bytes] = []
        log.export(items.append)
        raw = b"".join(items)
        report = replay(BundleSource(BundleReader(io.BytesIO(raw))), trust=log.verifier_key)
        if not report.ok:
            raise Violation("S7", f"replay finds {[f for f in report.findings if f.severity == 'error'][:3]}")
        if report.state_root != self.fold.state_root(report.size):
            raise Violation("S13", "the replay's state root is not that of the fold that watched")
        live = {state.effect: (state.status, state.generation, state.last) for state in log.effects()}
        if live != {e: (state.status, state.generation, state.last) for e, state in self.fold.effects.items()}:
            raise Violation("S13", "what the store remembers of its effects is not what its leaves say")
        if [state.effect for state in log.open_effects()] != sorted(e for e in live if live[e][0] in OPEN):
            raise Violation("S13", "what the store counts as open is not what its leaves say")
        self._check_notes()
        leaves = [digest.event_id(body) for body, _ in self.world.store._entries]
        contradictions = {leaves[f.index] for f in report.findings if f.code == "contradiction" and f.index is not None}
        for effect in report.effects:
            if effect.status not in (COMMITTED, NOT_COMMITTED):
                continue
            if effect.grade is None or not effect.relies_on:
                raise Violation("S14", f"{effect.resource} is settled, and neither grade nor reliance is named")
            by_a_person = not self.attested.isdisjoint(effect.events) and contradictions.isdisjoint(effect.events)
            if by_a_person and not {"attestor", "log-clock"} <= set(effect.relies_on):
                raise Violation("S14", f"{effect.resource} rests on a person and the log's clock and does not say so")
        if report.effects:
            chosen = self.world.rng.choice(report.effects)
            shown = verify_receipt(log.receipt(chosen.effect), trust=log.verifier_key).effect
            if (shown.status, shown.grade, shown.relies_on) != (chosen.status, chosen.grade, chosen.relies_on):
                raise Violation("S14", "a receipt names another grade or reliance than the replay")
        return report

    def _check_notes(self) -> None:
        """S12: every checkpoint that was signed since the last restore is a prefix of what is there now."""
        roots, frontier = {}, EMPTY_FRONTIER
        for body, signature in self.world.store._entries:
            frontier, _ = frontier.append(leaf_hash(entry_of(body, signature)))
            roots[frontier.size] = frontier.root()
        for restores, note in self.world.notes:
            said = parse_body(parse_note(note).text)
            if restores == self.world.restores and roots.get(said.size) != said.root:
                raise Violation("S12", f"a checkpoint of {said.size} leaves is of another history")
