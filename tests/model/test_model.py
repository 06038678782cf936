"""The model of docs/model and the real rules: they agree event by event, and the rules prevent what it warns of."""

import os
import random
import re
from functools import cache
from typing import Final

import pytest

from docs.model.approval import ROWS
from docs.model.checker import Found, Label, search
from docs.model.effect import Rules, State, judge
from docs.model.rows import HOLDS, STATES_MAX, WEAK, Row, told
from docs.model.words import HEAD, PAGE, section
from docs.model.world import events, first_state, moves
from tests.guard import test_driver, test_redrive
from tests.model.twin import Twin

LONG: Final = bool(os.environ.get("INVOKE_LOG_MODEL"))
TRACES: Final = 10_000 if LONG else 500
PRESENCE_FIRST: Final = 2_768
"""A life in which what a lost tail had decided is seen before anybody decides it again."""
STEPS: Final = 25
KINDS: Final = frozenset(
    ("intent", "again", "release", "start", "outcome", "suspect", "redrive", "present", "absent", "attest")
)
WORLDS: Final = tuple(row.world._replace(ends=8, attempts=4, redrives=2) for row in HOLDS)
ALL: Final = Rules()
OF_THE_GUARD: Final = {
    "no_op_is_no": test_driver.test_only_accepted_permits_a_send,
    "send_deadline": test_driver.test_after_the_send_deadline_nothing_is_sent,
    "redrive_clock": test_redrive.test_where_nobody_ticks_this_machine_says_how_old_the_providers_key_is,
}
"""Nothing that is appended shows whether these hold: these tests do."""
SEARCHED: Final = [row for row in (*HOLDS, *WEAK) if row.fast or LONG]
PLAYED: Final = [row for row in SEARCHED if row.off and row.off not in OF_THE_GUARD]


@cache
def found(row: Row) -> Found[State]:
    return row.run()


@pytest.mark.parametrize("row", SEARCHED, ids=lambda row: row.name)
def test_a_row_ends_as_it_says(row: Row) -> None:
    assert found(row).broken == row.breaks, found(row).trace
    if row.breaks:
        assert section(row, found(row)) in PAGE.read_text(encoding="utf-8"), "run python -m docs.model.run --write"


def test_the_page_has_a_section_for_each_row_that_breaks_and_no_other() -> None:
    names = [row.name for row in (*WEAK, *ROWS) if row.breaks]
    assert re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == names
    assert PAGE.read_text(encoding="utf-8").startswith(HEAD)


def test_a_rule_that_no_event_shows_is_held_by_a_test_of_the_guard() -> None:
    for rule, test in OF_THE_GUARD.items():
        assert f"`{rule}`" in (test.__doc__ or "")


@pytest.mark.parametrize("row", [row for row in PLAYED if not row.live], ids=lambda row: row.name)
def test_a_counter_example_does_not_pass_the_real_rules(row: Row) -> None:
    """Each shortest trace is played to the log: where the missing rule let an event through, the log says no, or it
    says what is true.
    """
    twin, state = Twin(row.world, row.rules), first_state(row.world)
    for move in found(row).trace:
        after = next(after for label, after in moves(row.rules, row.world, state) if label == move)
        if move[0] not in KINDS:
            twin.pass_on(move, state)
        elif not twin.say(move, state) or twin.differs(after):
            return
        state = after
    pytest.fail(f"the real rules let all of it through: {found(row).trace}")


@pytest.mark.parametrize("row", [row for row in PLAYED if row.live], ids=lambda row: row.name)
def test_where_a_missing_rule_leaves_a_trap_the_real_rules_go_on_and_settle_it(row: Row) -> None:
    """L1: the trace leads into the trap, and what all rules allow leads out of it again."""
    trap, world = found(row), row.world
    assert trap.last is not None
    way_out = search(
        trap.last,
        lambda state: moves(ALL, world, state),
        lambda state: "told" if told(world)(state) else None,
        states_max=STATES_MAX,
    )
    assert way_out.broken == "told"
    twin, state = Twin(world, ALL), first_state(world)
    for move in (*trap.trace, *way_out.trace):
        if move[0] not in KINDS:
            twin.pass_on(move, state)
        else:
            assert twin.say(move, state), f"the real rules refuse {move} in {state}"
        state = next(after for label, after in moves(ALL, world, state) if label == move)
        assert (difference := twin.differs(state)) is None, f"after {move}: {difference}"
    assert told(world)(state)


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
    for seed in (*range(TRACES), PRESENCE_FIRST):
        walk(seed, seen)
    assert seen == KINDS
