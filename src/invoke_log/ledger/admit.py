"""Signed events to the log: judge each against the heads that stand, append it if they still stand. SPEC §9.1 [ADM-1].

This is the one place where an event is admitted. A judgement is made on a snapshot and carried out by compare-and-set
on every chain that it read; where one moved meanwhile, the same signed bytes are judged again.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain as joined
from typing import Final, NamedTuple

from invoke_log.errors import CommitUncertainError, InvokeLogError, LogHaltedError, StoreError
from invoke_log.format import digest, merkle
from invoke_log.format.digest import EventId
from invoke_log.format.envelope import Envelope, verify_envelope
from invoke_log.ledger import chain
from invoke_log.ledger.memo import encode_memo, encode_tick
from invoke_log.ledger.state import AheadTick, LiveWorld, Memory, landed
from invoke_log.log.engine import Appended, Engine, Pending, Reader
from invoke_log.rules.admission import AUTHORITY, Admitted, Stale, admit
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.budget import change_of, counted_event
from invoke_log.rules.event import CHAINED_KINDS, GOVERNANCE_KINDS, Event, parse_event
from invoke_log.rules.governance import ReadRoot, Refused, found
from invoke_log.rules.kind import Handle, Intent, Observation, Redrive, Start, Tick
from invoke_log.rules.world import EffectState

APPEND_ATTEMPTS_MAX: Final = 100
"""Judgements of one event before UNAVAILABLE: each lost race means that another append was accepted."""
OPENERS: Final = min(os.cpu_count() or 1, 8)
"""Threads that open events: each needs the interpreter's lock for a third of its time, so that more would wait."""
OPENED_TOGETHER: Final = 8
"""Events that a thread takes at a time: a millisecond's work, which hides the hand-over and ends with the others'."""
OPENED_IN_THREADS: Final = 2 * OPENED_TOGETHER
"""Events from which on threads are worth their start; they end with the call."""


class Opened(NamedTuple):
    """An envelope whose signature verified, and the event that it says; `open_event` makes the only ones."""

    envelope: Envelope
    event: Event


class _Judged(NamedTuple):
    """An admitted event, ready for the store, and the state it leaves to remember. place: where it stands until it
    lands.
    """

    id: EventId
    pending: Pending
    state: EffectState | None
    place: int


Riders = Callable[[LiveWorld], Sequence[Opened | Refused]]
"""Which events go along with an append; see `append_events`."""


def open_event(envelope: Envelope) -> Opened | Refused:
    """Return an envelope opened, or why it cannot be: the signature is verified, whoever made it."""
    return _open([envelope])[0]


def open_events(envelopes: Sequence[Envelope]) -> list[Opened | Refused]:
    """Return envelopes opened, in order; in threads where they are many: libsodium verifies without the interpreter's
    lock.
    """
    if len(envelopes) < OPENED_IN_THREADS or OPENERS == 1:
        return _open(envelopes)
    shares = iter(range(0, len(envelopes), OPENED_TOGETHER))

    def open_shares() -> list[tuple[int, list[Opened | Refused]]]:
        return [(at, _open(envelopes[at : at + OPENED_TOGETHER])) for at in shares]

    with ThreadPoolExecutor(OPENERS - 1, thread_name_prefix="invoke-log-open") as others:
        theirs: list[Future[list[tuple[int, list[Opened | Refused]]]]] = []
        with suppress(RuntimeError):  # a program that has come to its end takes on no thread: this one opens them all
            for _ in range(OPENERS - 1):
                theirs.append(others.submit(open_shares))
        done = [open_shares(), *(each.result() for each in theirs)]
    return [opened for _, share in sorted(joined.from_iterable(done)) for opened in share]


def _open(envelopes: Sequence[Envelope]) -> list[Opened | Refused]:
    # All signatures first: what verifies and what reads fields drive each other out of the processor's caches.
    faults = [_signature_fault(envelope) for envelope in envelopes]
    return [fault or _read(envelope) for envelope, fault in zip(envelopes, faults, strict=True)]


def _signature_fault(envelope: Envelope) -> Refused | None:
    try:
        verify_envelope(envelope)
    except InvokeLogError as error:
        return Refused(code=error.code, reason=error.message)
    return None


def _read(envelope: Envelope) -> Opened | Refused:
    try:
        event = parse_event(envelope.fields, digest.event_id(envelope.body))
    except InvokeLogError as error:
        return Refused(code=error.code, reason=error.message)
    return Opened(envelope=envelope, event=event)


def foresee(world: LiveWorld, envelope: Envelope) -> None:
    """Let what is drawn up next on `world` see an event as if it were on the log, where it would be admitted. Appends
    nothing.
    """
    opened = open_event(envelope)
    if isinstance(opened, Opened):
        _judge(world, opened)


def append_events(
    engine: Engine,
    memory: Memory,
    signed: Sequence[Opened | Refused],
    *,
    riders: Riders = lambda _: (),
) -> list[Answer]:
    """Return one answer for each event, in order; accepted ones are durable, in one commit where no race was lost.

    Events are judged in order and see the earlier accepted ones of the same call. Never raises for what an event
    says: what breaks a rule is REFUSED; where a commit's fate is not known, the answer is UNAVAILABLE.

    Args: riders: asked once, with the world as these events leave it, for what goes after them in the same commit;
        their answers come last.
    Raises: StoreFullError, StoreReadOnlyError, StoreError: nothing was stored.
    """
    events = list(signed)
    answers: list[Answer | None] = [opened if isinstance(opened, Refused) else None for opened in events]
    try:
        for attempt in range(APPEND_ATTEMPTS_MAX):
            with engine.snapshot() as reader:
                world = LiveWorld(reader, memory)
                judged = _judge_open(world, events, answers)
                if not attempt:
                    riding = riders(world)
                    events += riding
                    answers += [opened if isinstance(opened, Refused) else None for opened in riding]
                    judged += _judge_open(world, events, answers, start=len(signed))
            if judged:
                _append(engine, memory, judged, events, answers)
            if all(answers):
                break
    except StoreError as error:
        uncertain = isinstance(error, CommitUncertainError | LogHaltedError)
        if not uncertain and not any(isinstance(answer, Accepted) for answer in answers):
            raise
        return [answer or Unavailable(reason=error.message) for answer in answers]
    return [
        answer or Unavailable(reason="every attempt lost its race: append the same bytes again") for answer in answers
    ]


def append_replayed(engine: Engine, memory: Memory, signed: Sequence[Opened | Refused]) -> list[Answer]:
    """Return one answer for each event, in order, from a log that nobody else appends to, judged as replay judges it.

    Its leaf is known before, and before the first one the tree. What is asked live only (SPEC §11.1) is not asked: it
    keeps whoever decides from deciding on what is out of date, and these have been decided.

    Raises: StoreError, CommitUncertainError.
    """
    answers: list[Answer | None] = [opened if isinstance(opened, Refused) else None for opened in signed]
    judged: list[tuple[int, _Judged]] = []
    with engine.snapshot() as reader:
        world = LiveWorld(reader, memory)
        for at, opened in enumerate(signed):
            if isinstance(opened, Opened):
                answer = _judge_replayed(world, opened)
                if isinstance(answer, _Judged):
                    judged.append((at, answer))
                else:
                    answers[at] = answer
    if judged:
        _append(engine, memory, judged, signed, answers)
    assert all(answers), "somebody else appends to this log"
    return [answer for answer in answers if answer is not None]


def founding_entries(empty: Reader, envelopes: Sequence[Envelope]) -> list[Pending]:
    """Return the entries that found a log: genesis, and what comes with it in the same commit.

    Raises: InvokeLogError: leaf 0 is no genesis, or a later event is not admitted after it.
    """
    world = LiveWorld(empty, Memory())
    pendings: list[Pending] = []
    for at, opened in enumerate(map(open_event, envelopes)):
        judged = (
            opened if isinstance(opened, Refused) else _judge_replayed(world, opened) if at else _found(world, opened)
        )
        if not isinstance(judged, _Judged):
            raise InvokeLogError(f"event {at} of a new log is not admitted: {judged}")
        pendings.append(judged.pending)
    return pendings


def _judge_open(
    world: LiveWorld, events: Sequence[Opened | Refused], answers: list[Answer | None], *, start: int = 0
) -> list[tuple[int, _Judged]]:
    """Judge what has no answer yet, in order: return what may be appended, and fill in the answers that are final."""
    judged: list[tuple[int, _Judged]] = []
    for at, signed in enumerate(events[start:], start):
        if answers[at] is not None or isinstance(signed, Refused) or signed.event.id in world.ahead.events:
            continue  # the same bytes twice: what the second is depends on whether the first gets in
        answer = _judge(world, signed)
        if isinstance(answer, _Judged):
            judged.append((at, answer))
        else:
            answers[at] = answer
    return judged


def _append(
    engine: Engine,
    memory: Memory,
    judged: Sequence[tuple[int, _Judged]],
    events: Sequence[Opened | Refused],
    answers: list[Answer | None],
) -> None:
    """Append what was judged, and fill in the answers that are final."""
    moved_from: int | None = None
    leaves: dict[int, int] = {}
    states: dict[bytes, EffectState] = {}
    results = engine.append([ready.pending for _, ready in judged])
    for (at, ready), result in zip(judged, results, strict=True):
        if not isinstance(result, Appended):
            moved_from = at if moved_from is None else moved_from
            continue
        answers[at] = Accepted(id=ready.id, index=result.index)
        leaves[ready.place] = result.index
        if ready.state is not None:
            states[ready.state.effect] = ready.state  # only the last one is at its chain's head
    for state in states.values():
        memory.keep(landed(state, leaves))
    if moved_from is None:
        return
    # What was judged after an entry that lost its race was judged on a world that did not come to be.
    for at in range(moved_from + 1, len(events)):
        if isinstance(events[at], Opened) and not isinstance(answers[at], Accepted):
            answers[at] = None


def _judge(world: LiveWorld, signed: Opened) -> _Judged | Answer:
    """Judge an event that is about to happen: by replay's rules, and by those that are live only."""
    world.begin()
    # The leaf is not known before the append, but it lies at or after the snapshot's size: so much a tick may cover.
    index = int(world.reader.size) if isinstance(signed.event.data, Tick) else world.ahead.place
    event, judgement = signed.event, _admit(world, signed.event, index=index)
    if not isinstance(judgement, Admitted):
        return judgement
    return _stale_clock(world, event) or _stale_budgets(world, event) or _prepare(world, signed, judgement)


def _judge_replayed(world: LiveWorld, signed: Opened) -> _Judged | Answer:
    """Judge an event that has happened, and that takes the next leaf if it is admitted: by replay's rules alone."""
    world.begin()
    event, reader, before = signed.event, world.reader, len(world.ahead.events)
    leaf = digest.LeafIndex(reader.size + before)
    if event.id in world.ahead.events:
        return Duplicate(of=event.id, index=leaf)
    # What time it is at a leaf of this append, the world knows by its place.
    index = leaf if not before or isinstance(event.data, Tick) else world.ahead.place
    judgement = _admit(world, event, index=index, root=None if before else lambda: reader.root)
    return _prepare(world, signed, judgement) if isinstance(judgement, Admitted) else judgement


def _admit(world: LiveWorld, event: Event, *, index: int, root: ReadRoot | None = None) -> Admitted | Answer:
    judgement = admit(event, world, index=index, root=root)
    if isinstance(judgement, Refused) and judgement.code in AUTHORITY:
        return judgement
    return _find_duplicate(world, event) or judgement


def _stale_clock(world: LiveWorld, event: Event) -> Stale | None:
    """What names a time that is no longer the log's has to be drawn up again, or replay would report it."""
    match event.data:
        case Intent() | Start() as data if data.verdict.inputs["now_ms"] != world.now_ms():
            reason = "a tick has come since the verdict was reached"
            return Stale(code="now-stale", head=world.head(chain.TICKS), reason=reason)
        case Tick() as data if data.time_ms < world.now_ms():
            reason = "another tick with a later time came first"
            return Stale(code="tick-backwards", head=world.head(chain.TICKS), reason=reason)
        case _:
            return None


def _stale_budgets(world: LiveWorld, event: Event) -> Stale | None:
    """What names a count that is no longer the log's has to be judged again: so no two calls pass on one count."""
    data = event.data
    if not isinstance(data, Intent | Start):
        return None
    assert event.effect is not None and event.resource is not None
    policy = world.governance.policies[data.verdict.policy_id]
    if not policy.budgets and data.verdict.inputs["budgets"] == {}:
        return None
    standing = world.chained(event.effect, event.resource, data.intent) if isinstance(data, Start) else None
    intent = standing[1] if standing is not None else event
    assert isinstance(intent.data, Intent)
    own = counted_event(intent, world.governance.contracts[intent.data.contract_id], at_ms=world.now_ms())
    claim = intent.id if standing is not None else None
    if world.budgets_hold(policy, own, data.verdict.inputs["budgets"], claim=claim):
        return None
    reason = "what its policy's budgets count has changed since the verdict was reached"
    return Stale(code="budgets-stale", head=world.head(chain.COUNTS), reason=reason)


def _found(world: LiveWorld, signed: Opened) -> _Judged | Refused:
    world.begin()
    founded = found(signed.event)
    if isinstance(founded, Refused):
        return founded
    world.head(chain.GOVERNANCE)
    return _prepare(world, signed, Admitted(governance=founded))


def _find_duplicate(world: LiveWorld, event: Event) -> Duplicate | None:
    """Look for this very event where it would stand. One that names the standing head cannot be there yet."""
    if event.kind in CHAINED_KINDS:
        assert event.effect is not None and event.resource is not None
        if event.prev == world.head(chain.of_effect(event.effect, event.resource)):
            return None
        rows = world.chain_of(event.effect, event.resource)
    elif event.kind in GOVERNANCE_KINDS:
        if event.prev == world.head(chain.GOVERNANCE):
            return None
        rows = world.governance_chain()
    else:
        rows = world.unchained_chain(chain.of_unchained(event.id, event.resource))
    for index, event_id in rows:
        if event_id == event.id:
            return Duplicate(of=event.id, index=digest.LeafIndex(index))
    return None


def _prepare(world: LiveWorld, signed: Opened, admitted: Admitted) -> _Judged:
    """Turn what an event leaves behind into rows, and let the rest of the append see it."""
    event, ahead = signed.event, world.ahead
    place = ahead.place
    if admitted.effect is not None:
        rows: _Rows = _effect_rows(world, event, admitted)
    elif admitted.governance is not None:
        rows = [(chain.GOVERNANCE, event.id, b"")]
        ahead.governance = admitted.governance
    else:
        rows = _unchained_rows(world, event)
    expect = world.expect
    world.begin()  # what comes next sees this event, and expects what it leaves
    ahead.events[event.id] = (place, event)
    for name, head, _ in rows:
        ahead.heads[name] = head
    pending = Pending(
        body=signed.envelope.body,
        signature=signed.envelope.signature,
        entry_leaf_hash=merkle.leaf_hash(signed.envelope.entry),
        expect=expect,
        rows=rows,
    )
    return _Judged(id=event.id, pending=pending, state=admitted.effect, place=place)


_Rows = list[tuple[bytes, bytes, bytes]]


def _effect_rows(world: LiveWorld, event: Event, admitted: Admitted) -> _Rows:
    before, after, ahead = admitted.before, admitted.effect, world.ahead
    assert before is not None and after is not None and event.effect is not None and event.resource is not None
    name = chain.of_effect(event.effect, event.resource)
    rows: _Rows = [(name, event.id, encode_memo(after, last_send=_last_send(world, event, after, name)))]
    ahead.effects[event.effect] = after
    if before.last is None:
        rows.append((chain.of_binding(event.effect), chain.resource_hash(event.resource), b""))
    if before.last is None or after.generation > before.generation:
        tag, generation = digest.tag(event.effect, after.generation), after.generation.to_bytes(8, "big")
        rows.append((chain.of_tag(tag), event.id, generation))
    if admitted.state_hash is not None:
        rows.append((chain.of_state(event.resource), admitted.state_hash, b""))
    change = change_of(before, after, event.id)
    if change is not None:
        rows.append((chain.COUNTS, event.id, bytes([change.counts]) + change.id))
        ahead.counts.append(change)
    return rows


def _unchained_rows(world: LiveWorld, event: Event) -> _Rows:
    name = chain.of_unchained(event.id, event.resource)
    world.head(name)
    rows: _Rows = [(name, event.id, b"")]
    match event.data:
        case Observation():
            assert event.effect is not None and event.resource is not None
            rows.append((chain.of_observations(event.effect, event.resource), event.id, b""))
        case Handle() as data:
            assert event.resource is not None
            rows.append((chain.of_handles(data.about, event.resource), event.id, b""))
        case Tick() as data:
            now_ms = max(data.time_ms, world.now_ms())
            rows.append((chain.TICKS, event.id, encode_tick(now_ms, data.covers)))
            world.ahead.ticks.append(AheadTick(world.ahead.place, now_ms, data.covers))
        case _:
            pass
    return rows


def _last_send(world: LiveWorld, event: Event, state: EffectState, name: bytes) -> bytes | None:
    """The re-drive that was the attempt's last send: this event, or the one that the head's memo names already."""
    if isinstance(event.data, Redrive):
        world.ahead.redrives[name] = event.id
        return event.id
    return world.last_redrive(name) if state.send is not None and state.send.redriven else None
