"""The model of docs/model and the real rules: they agree event by event, and the rules prevent what it warns of."""

import os
import random
from functools import cache
from typing import Final

import pytest

from docs.model.checker import Found, Label
from docs.model.effect import Rules, State, events, first_state, judge, moves
from docs.model.rows import HOLDS, WEAK, Row
from tests.model.twin import Twin

LONG: Final = bool(os.environ.get("INVOKE_LOG_MODEL"))
TRACES: Final = 10_000 if LONG else 500
STEPS: Final = 25
KINDS: Final = frozenset(
    ("intent", "again", "release", "start", "outcome", "suspect", "redrive", "present", "absent", "attest")
)
WORLDS: Final = tuple(row.world._replace(ends=8, attempts=4, redrives=2) for row in HOLDS)
ALL: Final = Rules()
OF_THE_GUARD: Final = ("no_op_is_no", "send_deadline", "redrive_clock")
"""Nothing that is appended shows whether these hold: tests/guard/test_driver.py and test_redrive.py do."""


@cache
def found(row: Row) -> Found[State]:
    return row.run()


@pytest.mark.parametrize("row", [row for row in (*HOLDS, *WEAK) if row.fast or LONG], ids=lambda row: row.name)
def test_a_row_ends_as_it_says(row: Row) -> None:
    assert found(row).broken == row.breaks, found(row).trace


@pytest.mark.parametrize(
    "row", [row for row in WEAK if (row.fast or LONG) and row.off and not row.live], ids=lambda row: row.name
)
def test_a_counter_example_does_not_pass_the_real_rules(row: Row) -> None:
    """Each shortest trace is played to the log: where the missing rule let an event through, the log says no, or it
    says what is true.
    """
    if row.off in OF_THE_GUARD:
        return
    twin, state = Twin(row.world, row.rules), first_state(row.world)
    for move in found(row).trace:
        after = next(after for label, after in moves(row.rules, row.world, state) if label == move)
        if move[0] not in KINDS:
            twin.pass_on(move, state)
        elif not twin.say(move, state) or twin.differs(after):
            return
        state = after
    pytest.fail(f"the real rules let all of it through: {found(row).trace}")


def walk(seed: int, seen: set[str]) -> None:
    """One random life: what the model accepts and what it refuses, the real rules do too."""
    choose = random.Random(seed)
    world = WORLDS[seed % len(WORLDS)]
    twin, state = Twin(world, ALL), first_state(world)
    for _ in range(STEPS):
        for event in events(world, state):
            record = state.records[int(event[1])]
            if judge(ALL, world, record, state.lo, event, state) is None:
                assert not twin.say(event, state), f"seed {seed}: the real rules accept {event} in {state}"
        by_kind: dict[str, list[tuple[Label, State]]] = {}
        for move, after in moves(ALL, world, state):
            by_kind.setdefault(str(move[0]), []).append((move, after))
        if not by_kind:
            return
        move, after = choose.choice(by_kind[choose.choice(sorted(by_kind))])
        if move[0] in KINDS:
            assert twin.say(move, state), f"seed {seed}: the real rules refuse {move} in {state}"
            seen.add(str(move[0]))
        else:
            twin.pass_on(move, state)
        state = after
        assert (difference := twin.differs(state)) is None, f"seed {seed}: after {move}: {difference}"


def test_random_lives_are_judged_alike() -> None:
    seen: set[str] = set()
    for seed in range(TRACES):
        walk(seed, seen)
    assert seen == KINDS
