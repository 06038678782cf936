"""The model of approvals and the real rules: they agree event by event, and the rules stop what it warns of. S9"""

import os
import random
from typing import Final

import pytest

from docs.model.approval import (
    EXECUTOR,
    ISSUER,
    ONE,
    ROWS,
    TWO,
    Row,
    Rules,
    State,
    World,
    events,
    judge,
    moves,
)
from docs.model.checker import Label
from docs.model.words import PAGE, section
from invoke_log.rules.kind import Approval, Denial, Release, Revoke
from tests.guard import test_standing_time
from tests.harness.play import APPROVER, SECOND, Play, must
from tests.harness.play import EXECUTOR as EXECUTOR_KEY
from tests.harness.worked_log import ADMIN, AGENT, a_start, contract, verdict

TTL_MS: Final = 1_000
LONG: Final = bool(os.environ.get("INVOKE_LOG_MODEL"))
LIVES: Final = 2_000 if LONG else 40
STEPS: Final = 20
KEYS: Final = {ISSUER: AGENT, EXECUTOR: EXECUTOR_KEY, ONE: APPROVER, TWO: SECOND}
OF_THE_GUARD: Final = {"own_clock": test_standing_time.test_last_weeks_approval_starts_nothing_today}
"""Nothing that is appended shows whether it holds: this test does."""
KINDS: Final = frozenset(("intent", "approve", "deny", "release", "start"))


class Twin:
    """A log under the real rules, led by the model's labels."""

    def __init__(self, world: World) -> None:
        self.ticks = world.ticks
        self.play = Play(contract(approvals={"count": world.wanted, "ttl_ms": TTL_MS}))
        self.intents: list[bytes] = []
        self.approvals: list[bytes] = []

    def say(self, event: Label) -> bool:
        """Return whether the real rules accept an event of the model, and append it."""
        answer = self._append(event)
        if isinstance(answer, bytes) and event[0] in ("intent", "approve"):
            (self.intents if event[0] == "intent" else self.approvals).append(answer)
        return isinstance(answer, bytes)

    def pass_on(self, move: Label, before: State) -> None:
        """Take part in a move that is no event of the effect."""
        if move[0] == "tick" or (move[0] == "wait" and self.ticks):
            must(self.play.tick((before.now + (move[0] == "wait")) * TTL_MS))
        elif move[0] == "revoke":
            key = KEYS[str(move[1])].public_key
            must(self.play.say(Revoke(key=key, grant=None, suspect_from=None), ADMIN))

    def _append(self, event: Label) -> bytes | str:
        play = self.play
        claim = self.intents[-1] if self.intents else bytes(32)
        match event:
            case ("intent",):
                return play.intend(verdict=verdict("ask", approvals=1))
            case ("approve", str(by), int(intent)):
                return play.say(Approval(intent=self.intents[intent - 1], shown=bytes(32)), KEYS[by])
            case ("deny", str(by)):
                return play.say(Denial(intent=claim, shown=bytes(32), reason="no"), KEYS[by])
            case ("release",):
                return play.say(Release(intent=claim, reason="given up"), AGENT)
            case ("start", *numbers):
                listed = tuple(sorted(self.approvals[int(number)] for number in numbers))
                return play.say(a_start(claim, play.bound, approvals=listed), EXECUTOR_KEY)
            case _:
                raise ValueError(event)


@pytest.mark.parametrize("row", [row for row in ROWS if row.fast or LONG], ids=lambda row: row.name)
def test_a_row_ends_as_it_says(row: Row) -> None:
    found = row.run()
    assert found.broken == row.breaks
    if found.broken:
        assert section(row, found) in PAGE.read_text(encoding="utf-8"), "run python -m docs.model.run --write"


def test_a_rule_that_no_event_shows_is_held_by_a_test_of_the_guard() -> None:
    for rule, test in OF_THE_GUARD.items():
        assert f"`{rule}`" in (test.__doc__ or "")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.off and row.off not in OF_THE_GUARD], ids=lambda row: row.name
)
def test_a_counter_example_is_refused_by_the_real_rules(row: Row) -> None:
    twin, state = Twin(row.world), State()
    trace = row.run().trace
    for move in trace:
        if move[0] not in KINDS:
            twin.pass_on(move, state)
        elif not twin.say(move):
            return
        state = next(after for label, after in moves(row.rules, row.world, state) if label == move)
    pytest.fail(f"the real rules let all of it through: {trace}")


def test_random_lives_are_judged_alike() -> None:
    seen: set[str] = set()
    for seed in range(LIVES):
        walk(seed, seen)
    assert seen == KINDS


def walk(seed: int, seen: set[str]) -> None:
    """One random life: what the model accepts and what it refuses, the real rules do too."""
    choose = random.Random(seed)
    world = World(wanted=1 + seed % 2, intents=3, approvals=4, ends=4)
    twin, state = Twin(world), State()
    for _ in range(STEPS):
        refused = [event for event in events(world, state) if judge(Rules(), world, state, event) is None]
        for event in choose.sample(refused, min(len(refused), 4)):
            assert not twin.say(event), f"seed {seed}: the real rules accept {event} in {state}"
        by_kind: dict[str, list[tuple[Label, State]]] = {}
        for move, after in moves(Rules(), world, state):
            by_kind.setdefault(str(move[0]), []).append((move, after))
        if state.started or not by_kind:
            return
        move, state_after = choose.choice(by_kind[choose.choice(sorted(by_kind))])
        if move[0] in KINDS:
            assert twin.say(move), f"seed {seed}: the real rules refuse {move} in {state}"
            seen.add(str(move[0]))
        else:
            twin.pass_on(move, state)
        state = state_after
