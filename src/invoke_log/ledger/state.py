"""What the log knows, read from a store at one moment: the live path's `World`.

Every chain that a judgement reads is remembered with the head that it saw. The append then expects exactly these
heads, so a judgement can never be carried out on a log that has moved under it, whatever it looked at.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.digest import EventId
from invoke_log.format.envelope import decode_body
from invoke_log.ledger import chain
from invoke_log.ledger.memo import Memo, decode_memo, decode_tick
from invoke_log.log.engine import ChainRow, Reader
from invoke_log.rules.budget import Change, Counted, Spending, counted, counted_event
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import decision_key_of
from invoke_log.rules.effect import OPEN, absorb
from invoke_log.rules.event import Event, parse_event
from invoke_log.rules.governance import Governance, Refused, found, govern
from invoke_log.rules.intent import Bound, rederive
from invoke_log.rules.kind import Handle, Intent, Redrive, Resolution, Start
from invoke_log.rules.policy import Policy
from invoke_log.rules.world import PENDING, Claim, EffectState, Send

FIRST_PLACE: Final = PENDING - 1
"""Where the first entry of an append stands while it has no leaf; each later one stands one below."""
EFFECTS_CACHED_MAX: Final = 4_096
"""Effects whose state a process remembers by its chain's head: under 8 MB, and more than are open at one time."""


class Memory:
    """What a process remembers between appends. All of it is named by a hash, so none of it can be out of date.

    Threads may share it.
    """

    def __init__(self) -> None:
        self.governance: tuple[Governance, int] | None = None
        """The governance last folded, and the leaf of its head. One value, so that no thread sees half of it."""
        self.spending: tuple[Spending, int] | None = None
        """What budgets count, and the leaf of the last row that anybody of this process has read of it."""
        self.spending_lock = threading.Lock()
        self._effects: OrderedDict[bytes, EffectState] = OrderedDict()
        self._lock = threading.Lock()

    def effect(self, head: bytes) -> EffectState | None:
        """Return the effect's state that was kept under this head of its chain."""
        with self._lock:
            return self._effects.get(head)

    def keep(self, state: EffectState) -> None:
        """Remember an effect's state under its chain's head."""
        assert state.last is not None
        with self._lock:
            self._effects[state.last] = state
            while len(self._effects) > EFFECTS_CACHED_MAX:
                self._effects.popitem(last=False)


class AheadTick(NamedTuple):
    """A tick of the append in the making: its place, its time (TIME-2), and what it covers."""

    place: int
    time_ms: int
    covers: int


@dataclass(slots=True)
class Ahead:
    """What the earlier entries of the same append will have changed, once they are durable.

    events: by id, each with its place: below every leaf, and in their order from `FIRST_PLACE` down. counts: what
    changes for budgets.
    """

    heads: dict[bytes, bytes] = field(default_factory=dict)
    effects: dict[bytes, EffectState] = field(default_factory=dict)
    events: dict[bytes, tuple[int, Event]] = field(default_factory=dict)
    governance: Governance | None = None
    redrives: dict[bytes, bytes] = field(default_factory=dict)
    ticks: list[AheadTick] = field(default_factory=list)
    counts: list[Change] = field(default_factory=list)

    @property
    def place(self) -> int:
        """Where the next entry stands."""
        return FIRST_PLACE - len(self.events)


def landed(state: EffectState, leaves: Mapping[int, int]) -> EffectState:
    """Return a state with leaves where places stood, once the store has said which leaf each place became."""
    claim, base, send = state.claim, state.base_claim, state.send
    if claim is not None and claim.index < 0:
        claim = claim._replace(index=leaves[claim.index])
    if base is not None and base.index < 0:
        base = base._replace(index=leaves[base.index])
    if send is not None and send.last_index < 0:
        send = send._replace(index=leaves.get(send.index, send.index), last_index=leaves[send.last_index])
    if claim is state.claim and base is state.base_claim and send is state.send:
        return state
    return state._replace(claim=claim, base_claim=base, send=send)


class LiveWorld:
    """The rules' view of a store's snapshot and of what an append in the making has ahead of it.

    `expect` is what the judgement since the last `begin` has read: chain name to head.
    """

    def __init__(self, reader: Reader, memory: Memory) -> None:
        self.reader = reader
        self._memory = memory
        self.ahead = Ahead()
        self._rows: dict[bytes, ChainRow | None] = {}
        """Of this one snapshot, and so true for as long as it is read."""
        self.begin()

    def begin(self) -> None:
        """Start a new judgement: nothing has been read for it yet."""
        self.expect: dict[bytes, bytes | None] = {}
        self._governance: Governance | None = None

    @property
    def governance(self) -> Governance:
        if self._governance is None:
            self.head(chain.GOVERNANCE)
            if self.ahead.governance is not None:
                self._governance = self.ahead.governance
            else:
                self._governance = self._fold_governance(self._memory.governance)
        return self._governance

    def now_ms(self) -> int:
        return self.lo(PENDING)

    def lo(self, index: int) -> int:
        if index < 0:
            # Where no leaf is known yet, the last tick of all decides: it has to be still the last one then.
            self.head(chain.TICKS)
            for tick in reversed(self.ahead.ticks):
                if index == PENDING or tick.place > index:
                    return tick.time_ms
            row = self._row(chain.TICKS)
        else:
            row = self.reader.row_at_or_before(chain.TICKS, index - 1) if index else None
        return decode_tick(row.memo)[0] if row else 0

    def hi(self, index: int) -> int | None:
        if index == PENDING:
            return None
        for row in self.ticks_after(index) if index >= 0 else ():
            time_ms, covers = decode_tick(row.memo)
            if covers > index:
                return time_ms
        self.head(chain.TICKS)
        leaf = index if index >= 0 else self._leaf(index)
        return next((tick.time_ms for tick in self.ahead.ticks if tick.covers > leaf), None)

    def last_tick(self) -> tuple[int, bytes] | None:
        self.head(chain.TICKS)
        if self.ahead.ticks:
            return self._leaf(self.ahead.ticks[-1].place), self.ahead.heads[chain.TICKS]
        row = self._row(chain.TICKS)
        return (row.index, row.head) if row else None

    def _leaf(self, place: int) -> int:
        """The leaf at which a place will lie at the earliest: where nobody else appends, that very leaf."""
        return int(self.reader.size) + FIRST_PLACE - place

    def ticks_after(self, index: int) -> Iterator[ChainRow]:
        """Return the stored ticks after a leaf up to the one that covers it: the first or the second [TIME-1]."""
        row = self.reader.row_after(chain.TICKS, index)
        while row is not None:
            yield row
            row = self.reader.row_after(chain.TICKS, row.index) if decode_tick(row.memo)[1] <= index else None

    def effect(self, effect: bytes, resource: str) -> EffectState:
        name = chain.of_effect(effect, resource)
        head = self.head(name)
        if effect in self.ahead.effects:
            return absorb(self.ahead.effects[effect], self.governance.recoveries)
        if head is None:
            bound = self.head(chain.of_binding(effect))
            if bound is not None:
                return EffectState(effect=effect, resource=f"of hash {bound.hex()}")
            return EffectState(effect=effect, resource=resource)
        state = self._memory.effect(head)
        if state is None:
            state = self._load(effect, resource, name, head)
            self._memory.keep(state)
        return absorb(state, self.governance.recoveries)

    def state_hash(self, resource: str) -> bytes:
        return self.head(chain.of_state(resource)) or digest.state_zero(self.governance.log_id, resource)

    def chained(self, effect: bytes, resource: str, event_id: bytes) -> tuple[int, Event] | None:
        pending = self.ahead.events.get(event_id)
        if pending is not None:
            return pending if pending[1].effect == effect else None
        for index, event_head in self.chain_of(effect, resource):
            if event_head == event_id:
                return index, self.event(index)
        return None

    def unchained(self, event_id: bytes, resource: str) -> tuple[int, Event] | None:
        pending = self.ahead.events.get(event_id)
        if pending is not None:
            return pending if pending[1].resource in (None, resource) else None
        for name in (chain.of_unchained(event_id, resource), chain.of_unchained(event_id, None)):
            row = self._row(name)
            if row is not None:
                return row.index, self.event(row.index)
        return None

    def started_by(self, effect: bytes, resource: str, key: bytes) -> bool:
        ahead = (event for _, event in self.ahead.events.values() if event.effect == effect)
        stored = (event for _, event in self.events_of(effect, resource))
        return any(isinstance(event.data, Start) and event.by == key for event in (*ahead, *stored))

    def budgets(
        self, contract: Contract, meant: Bound | Intent, state: EffectState, *, now_ms: int
    ) -> dict[str, Value]:
        """Return the `budgets` of a verdict on a call at this moment, of the policy in force [POL-7]."""
        policy = self.governance.policy
        if policy is None or not policy.budgets:
            return {}
        own = counted(b"", contract, meant, resource=state.resource, at_ms=now_ms)
        claim = state.claim.id if state.claim is not None and state.status in OPEN else None
        with self._spending() as (spending, leaf):
            # Where another thread has read on, its count is taken, and said to be of that later leaf.
            as_of = max(int(self.reader.size), leaf + 1)
            return spending.inputs(policy.budgets, own, claim=claim, now_ms=now_ms, as_of=as_of)

    def budgets_hold(self, policy: Policy, own: Counted, recorded: Value, *, claim: bytes | None) -> bool:
        """Return whether the `budgets` of a verdict are what is counted where it is about to be appended [POL-7]."""
        if not policy.budgets:
            return recorded == {}
        self.head(chain.COUNTS)
        if any(change.id != claim for change in self.ahead.counts):
            return False  # what they change is counted once they have a leaf
        # Its leaf is not before the snapshot's size, whatever becomes of what is ahead.
        index = int(self.reader.size)
        with self._spending() as (spending, _):
            return spending.holds(policy.budgets, recorded, own, claim=claim, now_ms=self.now_ms(), index=index)

    @contextmanager
    def _spending(self) -> Iterator[tuple[Spending, int]]:
        """What budgets count, read on to this snapshot's last row, and that leaf. Where another thread is further, so
        is this.
        """
        memory, contracts = self._memory, self.governance.contracts
        with memory.spending_lock:
            # Whoever is interrupted in here leaves none: half counted, or counted twice, it would go on so.
            (spending, leaf), memory.spending = memory.spending or (Spending(), -1), None
            for row in self.reader.rows(chain.COUNTS, leaf + 1):
                change, new = Change(id=row.memo[1:], counts=row.memo[0] == 1), None
                if change.id == row.head:
                    event = self.event(row.index)
                    assert isinstance(event.data, Intent | Resolution)
                    new = counted_event(event, contracts[event.data.contract_id], at_ms=self.lo(row.index))
                spending.note(row.index, change, new)
                leaf = row.index
            spending.pass_to(self.lo(int(self.reader.size)))  # by what is durable: a tick that is ahead may never be
            yield spending, leaf
            memory.spending = spending, leaf

    def head(self, name: bytes) -> bytes | None:
        """Return a chain's head, and expect it."""
        if name in self.expect:
            return self.expect[name]
        if name in self.ahead.heads:
            self.expect[name] = self.ahead.heads[name]
        else:
            row = self._row(name)
            self.expect[name] = row.head if row else None
        return self.expect[name]

    def _row(self, name: bytes) -> ChainRow | None:
        """The last row of a chain on the store."""
        if name not in self._rows:
            self._rows[name] = self.reader.head(name)
        return self._rows[name]

    def chain_of(self, effect: bytes, resource: str) -> Iterator[tuple[int, bytes]]:
        """Return leaf index and event id of each event on an effect's chain, in order."""
        for row in self.reader.rows(chain.of_effect(effect, resource)):
            yield row.index, row.head

    def events_of(self, effect: bytes, resource: str) -> Iterator[tuple[int, Event]]:
        """Return each event on an effect's chain, in order, with its leaf."""
        for index, _ in self.chain_of(effect, resource):
            yield index, self.event(index)

    def intent(self, claim: Claim) -> Intent:
        """Return what a claim's intent says."""
        data = self.event(claim.index).data
        assert isinstance(data, Intent)
        return data

    def unchained_chain(self, name: bytes) -> Iterator[tuple[int, bytes]]:
        """Return leaf index and event id of the event that stands alone under a name, if it is there."""
        row = self._row(name)
        if row is not None:
            yield row.index, row.head

    def observations(self, effect: bytes, resource: str) -> Iterator[tuple[int, Event]]:
        """Return the observations of an effect, in order, each with its leaf."""
        for row in self.reader.rows(chain.of_observations(effect, resource)):
            yield row.index, self.event(row.index)

    def handles(self, send: Send, resource: str) -> tuple[str, ...]:
        """Return the handles that a START's own key noted about it, in order: nobody else knows what it will end as."""
        noted = (self.event(row.index) for row in self.reader.rows(chain.of_handles(send.id, resource)))
        return tuple(event.data.handle for event in noted if isinstance(event.data, Handle) and event.by == send.by)

    def binding(self, effect: bytes) -> int | None:
        """Return the leaf of the first event of an effect, which says what resource it belongs to; None: there is
        none.
        """
        row = self._row(chain.of_binding(effect))
        return row.index if row else None

    def resource_of(self, effect: bytes) -> str | None:
        """Return the resource that an effect belongs to; None: no event of this log is on its chain."""
        bound = self.binding(effect)
        return self.event(bound).resource if bound is not None else None

    def tagged(self, tag: bytes) -> tuple[EffectState, int] | None:
        """Return the effect and the generation that a tag was made for; None: none of this log's."""
        row = self._row(chain.of_tag(tag))
        if row is None:
            return None
        event = self.event(row.index)
        assert event.effect is not None and event.resource is not None
        return self.effect(event.effect, event.resource), int.from_bytes(row.memo, "big")

    def effects(self, after: bytes = b"") -> Iterator[EffectState]:
        """Return the state of every effect with an event on its chain, by key; of those behind `after`."""
        for effect, _ in self._bindings(after):
            yield self._bound_effect(effect)

    def open_effects(self, after: bytes = b"") -> Iterator[EffectState]:
        """Return the state of every effect that is claimed, started or unknown, by key, behind `after`; of others the
        memo alone is read, a tenth of the work.
        """
        for effect, hashed in self._bindings(after):
            row = self.reader.head(chain.of_bound_effect(effect, hashed))
            assert row is not None, "whoever binds an effect puts an event on its chain"
            if decode_memo(row.memo).status in OPEN:  # a recovery leaves none of them settled, and opens no other
                yield self._bound_effect(effect)

    def _bindings(self, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The key of every effect behind `after`, in order, and the hash of its resource."""
        first = chain.of_binding(after)
        for name, row in self.reader.heads(chain.BINDINGS, chain.BINDING_BYTES, first):
            if name != first:
                yield name[len(chain.BINDINGS) :], row.head

    def _bound_effect(self, effect: bytes) -> EffectState:
        resource = self.resource_of(effect)
        assert resource is not None
        state = self.effect(effect, resource)
        self.begin()
        self._rows = {}  # or there would be some of every effect
        return state

    def claimed_by(self, intent: bytes) -> EffectState | None:
        """Return the state of the effect whose latest claim this intent is; None: it is no intent, or not any more."""
        # Every intent begins to count: what budgets count finds it by its id.
        leaf = next((row.index for row in self.reader.rows(chain.COUNTS) if row.head == intent), None)
        if leaf is None:
            return None
        event = self.event(leaf)
        assert event.effect is not None and event.resource is not None
        state = self.effect(event.effect, event.resource)
        return state if state.claim is not None and state.claim.id == intent else None

    def last_redrive(self, name: bytes) -> bytes | None:
        """Return the id of the re-drive that an effect's stored memo names as its last send."""
        pending = self.ahead.redrives.get(name)
        row = self._row(name)
        return pending or (decode_memo(row.memo).last_send if row else None)

    def governance_chain(self) -> Iterator[tuple[int, bytes]]:
        """Return leaf index and event id of each governance event, in order."""
        for row in self.reader.rows(chain.GOVERNANCE):
            yield row.index, row.head

    def event(self, index: int) -> Event:
        """Return the event at a leaf."""
        body, _ = self.reader.entry(index)
        return parse_event(decode_body(body), digest.event_id(body))

    def _fold_governance(self, kept: tuple[Governance, int] | None) -> Governance:
        standing = self._row(chain.GOVERNANCE)
        if kept is not None and standing is not None and kept[0].head == standing.head:
            return kept[0]
        if kept is not None and standing is not None and kept[1] > standing.index:
            kept = None  # another thread has read on: this snapshot is older, and folded from the beginning
        known, index = kept if kept is not None else (None, -1)
        for row in self.reader.rows(chain.GOVERNANCE, index + 1):
            event, index = self.event(row.index), row.index
            after = found(event) if known is None else govern(known, event, index=index, root=None)
            assert not isinstance(after, Refused), "the store holds what was admitted"
            known = after
        assert known is not None, "a log begins with genesis"
        self._memory.governance = (known, index)
        return known

    def _load(self, effect: bytes, resource: str, name: bytes, head: bytes) -> EffectState:
        row = self._row(name)
        assert row is not None
        memo = decode_memo(row.memo)
        wanted = {memo.claim, memo.base_claim, memo.send, memo.last_send} - {None}
        leaves = {r.head: r.index for r in self.reader.rows(name) if r.head in wanted} if wanted else {}
        return EffectState(
            effect=effect,
            resource=resource,
            effect_class=memo.effect_class,
            status=memo.status,
            generation=memo.generation,
            attempt=memo.attempt,
            turn=memo.turn,
            last=head,
            committed_max=memo.committed_max,
            base_status=memo.base_status,
            base_generation=memo.base_generation,
            base_claim=self._load_claim(leaves, memo.base_claim, memo.base_generation),
            claim=self._load_claim(leaves, memo.claim, memo.generation),
            send=self._load_send(leaves, memo),
            sealed_request=memo.sealed_request,
            tainted=memo.tainted,
            absorbed=memo.absorbed,
        )

    def _load_claim(self, leaves: Mapping[bytes, int], event_id: bytes | None, generation: int) -> Claim | None:
        if event_id is None:
            return None
        index = leaves[event_id]
        event = self.event(index)
        assert isinstance(event.data, Intent)
        bound = rederive(self.governance.contracts[event.data.contract_id], event.data)
        return Claim(
            id=EventId(event_id),
            index=index,
            issuer=event.by,
            contract_id=event.data.contract_id,
            request=bound.request,
            decision_key=decision_key_of(event, event.data, bound, generation=generation),
            asks=event.data.verdict.answer == "ask",
            approvals=event.data.verdict.approvals,
        )

    def _load_send(self, leaves: Mapping[bytes, int], memo: Memo) -> Send | None:
        if memo.send is None:
            return None
        start = self.event(leaves[memo.send])
        assert isinstance(start.data, Start)
        nonce_hash, last_index = start.data.nonce_hash, leaves[memo.send]
        if memo.last_send is not None:
            last_index = leaves[memo.last_send]
            assert isinstance(self.event(last_index).data, Redrive)
        return Send(
            id=memo.send,
            index=leaves[memo.send],
            by=start.by,
            nonce_hash=nonce_hash,
            last_index=last_index,
            redriven=memo.last_send is not None,
        )
