"""The life of one effect, as SPEC sections 8 to 10 tell it: the rules, and what the log makes of an event by them.

Each field of `Rules` is one rule, and `judge` has a line or two for it. What happens around the log is in world.py.
With all rules on, nothing that its `broken_in` names can happen; `rows.py` turns them off one by one.
"""

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
    tick_covers: bool = True  # TIME-3: and a tick comes after what its signer had seen when it read its clock
    tick_in_order: bool = True  # TIME-1: a tick that another one overtook counts for nothing
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
    held_ticks: bool = False  # a tick may be stored long after its signer read the clock
    sets_back: int = 0  # how far the clock that ticks tell is set back, once
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


class Sealed(NamedTuple):
    """A tick that is held up: its signer has read the clock, and has not stored it yet."""

    time: int
    unseen: frozenset[int] = frozenset()  # keys with a send that came since, and is not below `covers`
    overtaken: bool = False


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
    sealed: Sealed | None = None
    behind: int = 0  # how far the clock that ticks tell was set back
    reader: Reader | None = None
    copy: tuple[tuple[Record, ...], int, bool] | None = None  # an older log: its records, its time, `successor`
    successor: bool = False  # the second class is registered, and retires the first
    restored: int = 0
    repeated: int = 0
    redriven: int = 0
    serial: int = 0


def settle(world: World) -> int:
    return D + world.q


def forgets(world: World, record: Record, now: int) -> bool:
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
            safe = (world.keyed == "all" or not rules.redrive_stores_all) and not forgets(world, record, lo)
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
