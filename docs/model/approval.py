"""What a START may rest on, as SPEC tells it in EFF-5 and EFF-8: who consented, to which intent, when, by which keys.

A model beside `effect.py`, of one effect that asks: two approvers, an issuer and an executor who hold that role, too, a
clock, and a log that hears of it where somebody ticks. What a START lists is chosen freely: also what nobody should
take. Time is counted in TTLs of an approval.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, NamedTuple

from docs.model.checker import Found, Label, search

ISSUER, EXECUTOR, ONE, TWO = "issuer", "executor", "one", "two"
PEOPLE: Final = (ISSUER, EXECUTOR, ONE, TWO)
STATES_MAX: Final = 2_000_000


class Rules(NamedTuple):
    """What makes an approval count, each with the clauses of SPEC that state it."""

    open_claim: bool = True  # EFF-5: it names the open claim
    this_intent: bool = True  # EFF-8: it is of the intent that is started
    never_issuer: bool = True  # 9.4 approval: not by the intent's issuer
    never_executor: bool = True  # EFF-8: not by the START's own key
    not_expired: bool = True  # EFF-8: not older than the contract's TTL
    own_clock: bool = True  # CALL-8: nor by the clock of who starts
    still_holds: bool = True  # EFF-8: by a key that still holds the role
    distinct_keys: bool = True  # EFF-8: as many keys as are wanted, not as many approvals


class World(NamedTuple):
    """The bounds of the search. wanted: approvals that a START needs. ticks: whether somebody ticks at all times; then
    the log's time is everybody's.
    """

    wanted: int = 2
    intents: int = 2
    approvals: int = 3
    revokes: int = 1
    ends: int = 2
    ticks: bool = False


class Consent(NamedTuple):
    """An approval on the log. at: the log's time before it; given: when it came."""

    intent: int
    by: str
    at: int
    given: int


class State(NamedTuple):
    """The log, and the time. claim: the number of the open intent, 0 where none is; started: what was listed, for
    which, and when.
    """

    now: int = 0
    lo: int = 0
    claim: int = 0
    intents: int = 0
    approvals: tuple[Consent, ...] = ()
    holders: tuple[str, ...] = PEOPLE
    started: tuple[tuple[Consent, ...], int, int] | None = None


def judge(rules: Rules, world: World, state: State, event: Label) -> State | None:
    """Return what the log holds after an event, or None: it is not accepted."""
    match event:
        case ("intent",):
            if state.claim or state.started:
                return None
            return state._replace(claim=state.intents + 1, intents=state.intents + 1)
        case ("approve", str(by), int(intent)):
            named = intent == state.claim or not rules.open_claim
            if not state.claim or not named or by not in state.holders or (by == ISSUER and rules.never_issuer):
                return None
            return state._replace(approvals=(*state.approvals, Consent(intent, by, state.lo, state.now)))
        case ("deny", str(by)):
            if not state.claim or by not in state.holders or by == ISSUER:
                return None
            return state._replace(claim=0)
        case ("release",):
            return state._replace(claim=0) if state.claim else None
        case ("start", *numbers):
            listed = tuple(state.approvals[int(number)] for number in numbers)
            if not state.claim or not all(_counts(rules, state, each) for each in listed):
                return None
            count = len({each.by for each in listed}) if rules.distinct_keys else len(listed)
            return state._replace(claim=0, started=(listed, state.claim, state.now)) if count >= world.wanted else None
        case _:
            raise ValueError(event)


def _counts(rules: Rules, state: State, approval: Consent) -> bool:
    return (
        (approval.intent == state.claim or not rules.this_intent)
        and (approval.by != EXECUTOR or not rules.never_executor)
        and (state.lo <= approval.at + 1 or not rules.not_expired)
        and (approval.by in state.holders or not rules.still_holds)
    )


def events(world: World, state: State) -> Iterator[Label]:
    """Yield the events that somebody could append now; what the log makes of each is for `judge`."""
    if state.intents < world.intents:
        yield ("intent",)
    for by in PEOPLE:
        if len(state.approvals) < world.approvals:
            yield from (("approve", by, intent) for intent in range(1, state.intents + 1))
        yield ("deny", by)
    yield ("release",)
    for count in range(world.wanted + 1):
        for numbers in combinations(range(len(state.approvals)), count):
            yield ("start", *numbers)


def moves(rules: Rules, world: World, state: State) -> Iterator[tuple[Label, State]]:
    """Yield whatever can happen next."""
    if state.now < world.ends:
        now = state.now + 1
        yield ("wait",), state._replace(now=now, lo=now if world.ticks else state.lo)
    if state.lo < state.now:
        yield ("tick",), state._replace(lo=state.now)
    for by in (ONE, TWO):
        if by in state.holders and len(PEOPLE) - len(state.holders) < world.revokes:
            yield ("revoke", by), state._replace(holders=tuple(each for each in state.holders if each != by))
    for event in events(world, state):
        after = judge(rules, world, state, event)
        if after is None or (rules.own_clock and not world.ticks and _too_late(state, after)):
            continue
        yield event, after


def _too_late(before: State, after: State) -> bool:
    """Whether a START lists what is too old by the clock of who starts, counted as the log does."""
    listed = after.started[0] if after.started and not before.started else ()
    return any(before.now > approval.at + 1 for approval in listed)


def broken_in(world: World, state: State) -> str | None:
    """S9: who started had the consent of so many others, to this very intent, lately, who may consent still."""
    if state.started is None:
        return None
    listed, intent, at = state.started
    others = {
        consent.by
        for consent in listed
        if consent.intent == intent and at - consent.given <= 1 and consent.by in state.holders
    }
    return None if len(others - {ISSUER, EXECUTOR}) >= world.wanted else "S9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One search, as those of `rows.py`."""

    name: str
    world: World = field(default_factory=World)
    breaks: str | None = None
    off: str | None = None
    fast: bool = True

    @property
    def rules(self) -> Rules:
        return Rules()._replace(**{self.off: False}) if self.off else Rules()

    def run(self) -> Found[State]:
        """Return what the search came to. Nothing is asked after a START: who is revoked later had consented."""
        rules, world = self.rules, self.world

        def steps(state: State) -> Iterator[tuple[Label, State]]:
            return iter(()) if state.started else moves(rules, world, state)

        return search(State(), steps, lambda state: broken_in(world, state), states_max=STATES_MAX)


ROWS: Final = (
    Row(name="one approval is wanted", world=World(wanted=1, approvals=2)),
    Row(name="two approvals are wanted", world=World(approvals=2)),
    Row(name="two approvals are wanted, of three", fast=False),
    Row(name="the issuer approves", off="never_issuer", world=World(wanted=1), breaks="S9"),
    Row(name="the executor approves", off="never_executor", world=World(wanted=1), breaks="S9"),
    Row(name="an approval of another intent", off="this_intent", world=World(wanted=1), breaks="S9"),
    Row(name="an approval that had expired", off="not_expired", world=World(wanted=1, ticks=True), breaks="S9"),
    Row(name="an approval, by the log's time alone", off="own_clock", world=World(wanted=1), breaks="S9"),
    Row(name="an approver who is none any more", off="still_holds", world=World(wanted=1), breaks="S9"),
    Row(name="one approver twice", off="distinct_keys", breaks="S9"),
)
"""`open_claim` has no row: what names no open claim is no approval of the intent that is started, either."""
