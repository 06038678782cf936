"""The life of one effect, as SPEC sections 8 to 10 tell it, in a world that loses, delays and repeats what is sent.

`judge` is the log: what it makes of an event, one line a rule. `moves` is the world: executors that crash and
oversleep, requests that land late or never, answers that are lost, a provider, a reader, a person, a clock, an older
copy of the log. Time is counted in units of D; an event takes none, and a request may land until Q after it was sent.

Each field of `Rules` is one rule. With all of them on, nothing that `broken_in` names can happen; `rows.py` turns them
off one by one.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from docs.model.checker import Label

FREE, CLAIMED, STARTED, UNKNOWN, COMMITTED, ABSENT = (
    "free",
    "claimed",
    "started",
    "unknown",
    "committed",
    "not_committed",
)
OPEN: Final = (CLAIMED, STARTED, UNKNOWN)
NONE: Final = -1
"""No tick has come since: nothing has passed."""
D: Final = 1


class Rules(NamedTuple):
    """What keeps an effect from happening twice, each with the clauses of SPEC that state it."""

    effect_key: bool = True  # ADM-4, ID-7: an open or committed effect blocks, whoever asks and whatever they saw since
    start_once: bool = True  # ADM-1, EFF-13, 9.4 start: one START of one claim; no lease takes it over
    no_op_is_no: bool = True  # CALL-4: a duplicate permits nothing
    timeout_unknown: bool = True  # PRF-2: no answer is no failure
    send_deadline: bool = True  # CALL-2: the executor sends before D has passed, or never
    quiescence: bool = True  # PRF-5: absence counts when D + Q have passed since the last send
    from_tick_after: bool = True  # TIME-4: they are counted from the tick after it
    tick_before_read: bool = True  # PRF-5: the read names a tick that its reader held before it began
    own_start: bool = True  # EFF-9: an outcome is of the START that is open
    redrive_is_send: bool = True  # EFF-10: D + Q count from the last re-drive
    redriven_answer: bool = True  # EFF-11: after a re-drive an executor's failure settles nothing
    redrive_stores_all: bool = True  # 9.4 redrive: only where the provider stores every result
    redrive_clock: bool = True  # CALL-6: the provider still knows its key, by the sender's own clock too
    generation_in_key: bool = True  # ID-11, EFF-7: a repeat has a provider key of its own
    tag_keeps_turn: bool = True  # ID-10: the tag does not rotate with the provider key
    recovery_opens: bool = True  # REC-3, REC-4: after an older copy, what was open or is claimed first is unknown
    repeats_pay: bool = True  # REC-4: and so is every repeat: the lost tail may hold one, too
    recovery_bound: bool = True  # REC-6: and absence is counted from the recovery, too
    recovery_word: bool = True  # REC-6: and an executor's failure settles nothing
    lineage: bool = True  # EFF-14: a class's successor waits for the key that it retires
    lost_lineage: bool = True  # REC-7: a retired key that a lost tail may hold counts as open
    patience: bool = True  # 9.4 attestation: a person waits for D + Q, too
    presence_always: bool = True  # EFF-12: presence is never refused for the effect's state
    watchdog: bool = True  # 9.4 suspect: anybody may say that D has passed without an answer


class World(NamedTuple):
    """The counterparty and the bounds of the search. Durations in units of D."""

    keyed: str = ""  # "" no provider key; "success", "all": which results are stored under it
    reads: bool = True  # a complete, authoritative listing by tag
    person: bool = False  # somebody attests, and looks first
    settles_true: bool = True  # no request lands later than Q after it was sent
    keeps_key: int = 99  # how long the provider remembers a result
    resends: bool = False  # something below the tool repeats a request
    fails: bool = False  # the provider may decline
    restores: int = 0  # times that the log goes on from an older copy
    registers_again: bool = True  # whoever recovers registers what the copy lacks before anybody acts
    repeats: int = 0  # times that `again` is authorised
    classes: int = 1  # effect classes that name the same effect: 2 is a successor
    attempts: int = 2
    redrives: int = 1
    executors: int = 2
    q: int = 1
    ends: int = 4  # the clock stops here


class Record(NamedTuple):
    """What the log says of one effect key."""

    status: str = FREE
    generation: int = 1
    committed_max: int = 0
    base: str = FREE
    base_generation: int = 1
    turn: int = 0
    attempt: int = 0
    start: int = 0  # the open START's serial number
    start_lo: int = 0
    sent_hi: int = NONE
    redriven: bool = False
    tainted: bool = False
    recovered_hi: int = NONE
    recovered: bool = False
    owes: bool = False  # the next intent pays for a recovery


class Process(NamedTuple):
    """An executor, or (the last one) a reconciler that re-drives: what it holds in memory, and loses when it dies."""

    phase: str = "idle"  # idle, holds, waits, knows
    key: int = 0
    generation: int = 0
    turn: int = 0
    start: int = 0
    began: int = 0
    answer: str = ""  # ok, definite_failure, stored_failure, never_sent; "" where no answer came


class Request(NamedTuple):
    """A request on its way."""

    key: int
    generation: int
    turn: int
    sent: int
    process: int


class Reader(NamedTuple):
    """A read that has been made and not yet told."""

    key: int
    generation: int
    held: int
    seen: bool


class State(NamedTuple):
    """The log, and the world that it speaks of."""

    now: int = 0
    lo: int = 0
    records: tuple[Record, ...] = (Record(),)
    processes: tuple[Process, ...] = ()
    flying: tuple[Request, ...] = ()
    landed: tuple[tuple[tuple[int, int, int], int], ...] = ()  # ((key, generation, turn), how often)
    stored: tuple[tuple[tuple[int, int, int], str, int], ...] = ()  # provider key, result, when
    reader: Reader | None = None
    copy: tuple[tuple[Record, ...], int, bool] | None = None  # an older log: its records, its time, `successor`
    successor: bool = False  # the second class is registered, and retires the first
    restored: int = 0
    repeated: int = 0
    redriven: int = 0
    serial: int = 0


def first_state(world: World) -> State:
    """Return the world before anything was decided."""
    return State(records=(Record(),) * world.classes, processes=(Process(),) * (world.executors + 1))


def settle(world: World) -> int:
    return D + world.q


def _forgets(world: World, record: Record, now: int) -> bool:
    """Whether the provider may have forgotten its key by the time a re-drive of now lands."""
    return now + settle(world) >= record.start_lo + world.keeps_key


def judge(rules: Rules, world: World, record: Record, lo: int, event: Label, state: State) -> Record | None:
    """Return what the log holds after an event, or None: it is not accepted."""
    match event:
        case ("intent", int(key)):
            return _intent(rules, world, record, key, state)
        case ("again", int()):
            if record.status != COMMITTED:
                return None
            generation = record.generation + 1
            claimed = record._replace(generation=generation, turn=0, base_generation=record.generation)
            return _claim(rules, claimed, base=COMMITTED, pays=record.recovered and rules.repeats_pay)
        case ("release", int()):
            if record.status != CLAIMED:
                return None
            return record._replace(status=record.base, generation=record.base_generation, start=0)
        case ("start", int(), int()):
            if record.status != CLAIMED and (rules.start_once or record.status not in OPEN):
                return None
            sent = record._replace(start=state.serial + 1, start_lo=lo, sent_hi=NONE, redriven=False)
            return sent._replace(status=STARTED)
        case ("outcome", int(), int(), str(answer), int(start)):
            return _outcome(rules, record, answer, start)
        case ("suspect", int()):
            passed = record.sent_hi != NONE and lo >= record.sent_hi + D
            return record._replace(status=UNKNOWN) if record.status == STARTED and passed and rules.watchdog else None
        case ("redrive", int(), int()):
            safe = (world.keyed == "all" or not rules.redrive_stores_all) and not _forgets(world, record, lo)
            if record.status != UNKNOWN or not record.start or record.tainted or not safe:
                return None
            return record._replace(redriven=True, sent_hi=NONE if rules.redrive_is_send else record.sent_hi)
        case ("present", int(), int(generation)):
            if not rules.presence_always and record.status != UNKNOWN:
                return None
            return _commit(record, generation) if generation > record.committed_max else record
        case ("absent", int(), int(generation), int(held), str(evidence)):
            if record.status != UNKNOWN or generation != record.generation:
                return None
            held = held if rules.tick_before_read else lo
            return _absent(record, evidence) if _passed(rules, world, record, held) else None
        case ("attest", int(), str(status)):
            if record.status != UNKNOWN or (rules.patience and not _passed(rules, world, record, lo)):
                return None
            return _commit(record, record.generation) if status == COMMITTED else _absent(record, "attested")
        case _:
            raise ValueError(event)


def _intent(rules: Rules, world: World, record: Record, key: int, state: State) -> Record | None:
    if world.classes > 1 and state.successor != bool(key):
        return None  # a class is in force from its registration until its successor's
    earlier = state.records[:key]
    if rules.lineage and any(other.status not in (FREE, ABSENT) for other in earlier):
        return None
    if rules.lost_lineage and any(other.owes for other in earlier):
        return None
    if record.status in (FREE, ABSENT):
        return _claim(rules, record._replace(base_generation=record.generation), base=record.status, pays=record.owes)
    if not rules.effect_key and record.status not in (CLAIMED, STARTED):
        return _claim(rules, record._replace(base_generation=record.generation), base=FREE, pays=record.owes)
    return None


def _claim(rules: Rules, record: Record, *, base: str, pays: bool) -> Record:
    pays = pays and rules.recovery_opens
    claimed = record._replace(base=base, attempt=record.attempt + 1, start=0, sent_hi=NONE, redriven=False)
    return claimed._replace(status=UNKNOWN if pays else CLAIMED, tainted=pays, owes=False)


def _outcome(rules: Rules, record: Record, answer: str, start: int) -> Record | None:
    if record.status not in (STARTED, UNKNOWN) or (rules.own_start and record.start != start):
        return None
    settles = not record.tainted or not rules.recovery_word
    if answer == "ok":
        return _commit(record, record.generation) if settles else None
    if answer in ("definite_failure", "stored_failure", "never_sent"):
        return _absent(record, answer) if settles and (not record.redriven or not rules.redriven_answer) else None
    if rules.timeout_unknown:
        return record._replace(status=UNKNOWN)
    return _absent(record, "no_answer")


def _commit(record: Record, generation: int) -> Record:
    return record._replace(
        status=COMMITTED, generation=generation, committed_max=generation, start=0, sent_hi=NONE, tainted=False
    )


def _absent(record: Record, evidence: str) -> Record:
    turn = record.turn + (evidence in ("stored_failure", "key_burnt"))
    return record._replace(status=ABSENT, turn=turn, start=0, sent_hi=NONE, tainted=False)


def _passed(rules: Rules, world: World, record: Record, held: int) -> bool:
    """Whether D + Q have passed since the last send, and since a recovery."""
    if not rules.quiescence:
        return True
    since = []
    if record.start:
        since.append(record.sent_hi if rules.from_tick_after else record.start_lo)
    if record.tainted and rules.recovery_bound:
        since.append(record.recovered_hi)
    if record.tainted and not since:
        return True
    return bool(since) and NONE not in since and held >= max(since) + settle(world)


def moves(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    """Yield whatever can happen next."""
    if state.now < world.ends:
        yield ("time",), state._replace(now=state.now + 1)
    if ticked(state) != state:
        yield ("tick",), ticked(state)
    for event in events(world, state):
        key = int(event[1])
        record = judge(rules, world, state.records[key], state.lo, event, state)
        if event[0] == "redrive" and rules.redrive_clock and _forgets(world, state.records[key], state.now):
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


def ticked(state: State) -> State:
    """The log's time is told: whatever came before it has now passed."""
    now = state.now
    records = tuple(
        r._replace(
            sent_hi=now if r.start and r.sent_hi == NONE else r.sent_hi,
            recovered_hi=now if r.recovered and r.recovered_hi == NONE else r.recovered_hi,
        )
        for r in state.records
    )
    return state._replace(lo=now, records=records)


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
    """What an accepted event means to whoever appended it."""
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
        gone = state._replace(records=tuple(after), lo=lo, successor=known, copy=None)
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
