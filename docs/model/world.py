"""The world of one effect: it loses, delays and repeats what is sent.

Executors that crash and oversleep, requests that land late or never, answers that are lost, a provider, a reader, a
person, a clock, ticks that are held up, an older copy of the log. Time is counted in units of D; an event takes none,
and a request may land until Q after it was sent.
"""

from collections.abc import Iterator

from docs.model.checker import Label
from docs.model.effect import (
    ABSENT,
    COMMITTED,
    NONE,
    OPEN,
    STARTED,
    UNKNOWN,
    D,
    Process,
    Reader,
    Record,
    Request,
    Rules,
    Sealed,
    State,
    World,
    forgets,
    judge,
)


def first_state(world: World) -> State:
    """Return the world before anything was decided."""
    return State(records=(Record(),) * world.classes, processes=(Process(),) * (world.executors + 1))


def moves(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    """Yield whatever can happen next."""
    if state.now < world.ends:
        yield ("time",), state._replace(now=state.now + 1)
    yield from _ticks(rules, world, state)
    for event in events(world, state):
        key = int(event[1])
        record = judge(rules, world, state.records[key], state.lo, event, state)
        if event[0] == "redrive" and rules.redrive_clock and forgets(world, state.records[key], state.now):
            continue
        if record is not None:
            after = _with_record(state, key, record)
            yield event, _after(event, state, after)
        elif event[0] == "start" and _is_no_op(state, event) and not rules.no_op_is_no:
            yield event, _holding(state, event, serial=state.records[key].start)
    if world.classes > 1 and not state.successor:
        yield ("register",), state._replace(successor=True)
    yield from _executors(rules, world, state)
    yield from _provider(rules, world, state)
    yield from _reads(rules, world, state)
    yield from _copies(rules, world, state)


def _ticks(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    clock = state.now - state.behind
    if (told := _told(rules, state, Sealed(clock))) != state:
        yield ("tick",), told
    if state.now >= world.sets_back > state.behind:
        yield ("set_back", world.sets_back), state._replace(behind=world.sets_back)
    if state.sealed is not None:
        counts = not state.sealed.overtaken or not rules.tick_in_order
        yield ("store",), (_told(rules, state, state.sealed) if counts else state)._replace(sealed=None)
    elif world.held_ticks:
        yield ("seal",), state._replace(sealed=Sealed(clock))


def _told(rules: Rules, state: State, tick: Sealed) -> State:
    """The log's time is told: whatever the tick's signer had seen has now passed. One that is held up is overtaken."""
    time = max(state.lo, tick.time)
    unseen = tick.unseen if rules.tick_covers else ()
    records = tuple(
        r._replace(
            sent_hi=time if r.start and r.sent_hi == NONE and key not in unseen else r.sent_hi,
            recovered_hi=time if r.recovered and r.recovered_hi == NONE else r.recovered_hi,
        )
        for key, r in enumerate(state.records)
    )
    sealed = state.sealed._replace(overtaken=True) if state.sealed is not None else None
    return state._replace(lo=time, records=records, sealed=sealed)


def events(world: World, state: State) -> Iterator[Label]:
    """Yield the events that somebody could append now; what the log makes of each is for `judge`."""
    for key, record in enumerate(state.records):
        if record.attempt < world.attempts:
            yield ("intent", key)
            if state.repeated < world.repeats:
                yield ("again", key)
        yield ("release", key)
        for number, process in enumerate(state.processes[:-1]):
            if process.phase == "idle":
                yield ("start", key, number)
        yield ("suspect", key)
        if state.processes[-1].phase == "idle" and state.redriven < world.redrives:
            yield ("redrive", key, len(state.processes) - 1)
        if world.person:
            happened = _lands(state, key, record.generation) > 0
            yield ("attest", key, COMMITTED if happened else ABSENT)
    for number, process in enumerate(state.processes):
        if process.phase == "knows":
            if number < len(state.processes) - 1:
                yield ("outcome", process.key, number, process.answer, process.start)
            if process.answer == "ok":
                yield ("present", process.key, process.generation)
    reader = state.reader
    if reader is not None and reader.seen:
        yield ("present", reader.key, reader.generation)
    elif reader is not None:
        burnt = any(stored[:2] == (_key_of(state, reader), "failed") for stored in state.stored)
        burnt = burnt and not state.records[reader.key].tainted
        yield ("absent", reader.key, reader.generation, reader.held, "key_burnt" if burnt else "absence")


def _key_of(state: State, reader: Reader) -> tuple[int, int, int]:
    return (reader.key, reader.generation, state.records[reader.key].turn)


def _lands(state: State, key: int, generation: int) -> int:
    return sum(count for (k, g, _), count in state.landed if (k, g) == (key, generation))


def _with_record(state: State, key: int, record: Record) -> State:
    return state._replace(records=(*state.records[:key], record, *state.records[key + 1 :]))


def _with_process(state: State, number: int, process: Process) -> State:
    return state._replace(processes=(*state.processes[:number], process, *state.processes[number + 1 :]))


def _is_no_op(state: State, event: Label) -> bool:
    return state.records[int(event[1])].status == STARTED


def _holding(state: State, event: Label, *, serial: int) -> State:
    record = state.records[int(event[1])]
    held = Process("holds", int(event[1]), record.generation, record.turn, serial, state.now)
    return _with_process(state, int(event[2]), held)


def _after(event: Label, before: State, after: State) -> State:
    """What an accepted event means to whoever appended it, and to a tick that is held up: it has not seen the send."""
    if before.sealed is not None and event[0] in ("start", "redrive"):
        after = after._replace(sealed=before.sealed._replace(unseen=before.sealed.unseen | {int(event[1])}))
    match event:
        case ("start", *_):
            after = _holding(after, event, serial=before.serial + 1)
            return after._replace(serial=before.serial + 1)
        case ("redrive", int(key), int(number)):
            record = after.records[key]
            held = Process("holds", key, record.generation, record.turn, record.start, before.now)
            return _with_process(after, number, held)._replace(redriven=before.redriven + 1)
        case ("outcome", int(), int(number), *_):
            return _with_process(after, number, Process())
        case ("again", *_):
            return after._replace(repeated=before.repeated + 1)
        case ("present" | "absent", *_) if before.reader is not None:
            return after._replace(reader=None)
    return after


def _executors(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    for number, process in enumerate(state.processes):
        if process.phase == "idle":
            continue
        yield ("crash", number), _with_process(state, number, Process())
        if process.phase == "holds":
            if number < len(state.processes) - 1:
                yield (
                    ("refrain", number),
                    _with_process(state, number, process._replace(phase="knows", answer="never_sent")),
                )
            if state.now - process.began < D or not rules.send_deadline:
                request = Request(process.key, process.generation, process.turn, state.now, number)
                sent = _with_process(state, number, process._replace(phase="waits"))
                copies = (request, request) if world.resends else (request,)
                yield ("send", number), sent._replace(flying=tuple(sorted((*state.flying, *copies))))
        elif process.phase == "waits":
            yield ("timeout", number), _with_process(state, number, process._replace(phase="knows", answer=""))


def _provider(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    for at, request in enumerate(state.flying):
        if at and request == state.flying[at - 1]:
            continue
        gone = state._replace(flying=(*state.flying[:at], *state.flying[at + 1 :]))
        yield ("lost", at), gone
        if world.settles_true and state.now - request.sent > world.q:
            continue
        generation = request.generation if rules.generation_in_key else 1
        key = (request.key, generation, request.turn)
        known = [result for k, result, when in state.stored if k == key and state.now - when < world.keeps_key]
        results = known or (["ok", "failed"] if world.fails else ["ok"])
        for result in results:
            done = gone
            if not known and result == "ok":
                done = _landed(done, (request.key, request.generation, request.turn))
            if not known and world.keyed and (result == "ok" or world.keyed == "all"):
                done = done._replace(stored=tuple(sorted((*done.stored, (key, result, state.now)))))
            yield ("lands" if result == "ok" else "declines", at, "unheard"), done
            waiting = state.processes[request.process]
            if waiting.phase == "waits" and (waiting.key, waiting.generation) == (request.key, request.generation):
                failure = "stored_failure" if world.keyed == "all" else "definite_failure"
                heard = waiting._replace(phase="knows", answer="ok" if result == "ok" else failure)
                yield (
                    ("lands" if result == "ok" else "declines", at, "heard"),
                    _with_process(done, request.process, heard),
                )


def _landed(state: State, key: tuple[int, int, int]) -> State:
    counts = dict(state.landed)
    counts[key] = counts.get(key, 0) + 1
    return state._replace(landed=tuple(sorted(counts.items())))


def _reads(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    if state.reader is not None:
        yield ("forgets",), state._replace(reader=None)
    if not world.reads or state.reader is not None:
        return
    for key, record in enumerate(state.records):
        if record.status in (STARTED, UNKNOWN, ABSENT):
            turns = [turn for (k, g, turn), _ in state.landed if (k, g) == (key, record.generation)]
            seen = bool(turns) if rules.tag_keeps_turn else record.turn in turns
            reader = Reader(key, record.generation, state.lo, seen)
            yield ("read", key), state._replace(reader=reader)


def _copies(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    if state.restored >= world.restores:
        return
    if state.copy is None:
        yield ("copy",), state._replace(copy=(state.records, state.lo, state.successor))
    elif state.copy[0] != state.records:
        records, lo, successor = state.copy
        # A class that was retired already took no intent in the lost tail.
        after = [_recovered(rules, record, owes=not successor or at > 0) for at, record in enumerate(records)]
        known = successor or (state.successor and world.registers_again)
        # A recovery changes the log's id: no tick of the lost log counts in this one.
        gone = state._replace(records=tuple(after), lo=lo, successor=known, copy=None, sealed=None)
        yield ("recover",), gone._replace(restored=state.restored + 1)


def _recovered(rules: Rules, record: Record, *, owes: bool) -> Record:
    if not rules.recovery_opens:
        return record
    record = record._replace(recovered=True, recovered_hi=NONE)
    if record.status in OPEN:
        return record._replace(status=UNKNOWN, tainted=True)
    return record._replace(owes=owes)


def broken_in(world: World, state: State) -> str | None:
    """Return the invariant that does not hold in a state (protocol's numbers), or None."""
    for generation in {g for (_, g, _), _ in state.landed}:
        if sum(count for (_, g, _), count in state.landed if g == generation) > 1:
            return "S1"
    for key, record in enumerate(state.records):
        # What an older copy says of absence counts for nothing: REC-4 makes the next intent pay for it.
        if record.status == ABSENT and not record.owes and _lands(state, key, record.generation):
            return "S2"
        if record.committed_max and not _lands(state, key, record.committed_max):
            return "S3"
    holders = [(p.key, p.start) for p in state.processes[:-1] if p.phase == "holds"]
    if len(holders) > len(set(holders)):
        return "S4"
    return None


def settled(state: State) -> bool:
    """Return whether the log says of every effect what became of it."""
    return all(record.status not in OPEN for record in state.records)
