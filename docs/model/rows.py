"""What is searched: the rules as they are, in every world that they are for, and each rule turned off where it is
missed.

A row of `HOLDS` ends without a broken invariant. A row of `WEAK` breaks the one that it names, and its shortest trace
is a test of the real code.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from docs.model.checker import Found, Label, search, trapped
from docs.model.effect import Rules, State, World, settle
from docs.model.world import broken_in, first_state, moves, settled

STATES_MAX: Final = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One search. breaks: the invariant that has to break, None where all hold. off: the rule that is turned off.

    live: what has to stay reachable is looked for too (L1). fast: it is small enough for every change.
    """

    name: str
    world: World
    breaks: str | None = None
    off: str | None = None
    live: bool = False
    fast: bool = False
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", Rules()._replace(**{self.off: False}) if self.off else Rules())

    def run(self) -> Found[State]:
        """Return what the search came to."""
        start, world = first_state(self.world), self.world

        def steps(state: State) -> Iterator[tuple[Label, State]]:
            return moves(self.rules, world, state)

        if self.live:
            return trapped(start, steps, told(world), _in_time(world), states_max=STATES_MAX)

        def broken(state: State) -> str | None:
            found = broken_in(world, state)
            return found if self.breaks in (None, found) else None

        return search(start, steps, broken, states_max=STATES_MAX)


def told(world: World) -> Callable[[State], bool]:
    """Whether the log says of every effect what became of it, and says the truth."""
    return lambda state: settled(state) and broken_in(world, state) not in ("S2", "S3")


def _in_time(world: World) -> Callable[[State], bool]:
    """Whether the clock runs on for long enough to settle what is open."""
    return lambda state: state.now + settle(world) <= world.ends and broken_in(world, state) != "S1"


HOLDS: Final = (
    Row(name="unkeyed, queryable", world=World(ends=3), fast=True),
    Row(name="unkeyed, queryable, may decline", world=World(fails=True)),
    Row(name="keyed, stores successes", world=World(keyed="success", fails=True, executors=1)),
    Row(name="keyed, stores all", world=World(keyed="all", fails=True, executors=1, ends=2, attempts=1), fast=True),
    Row(name="keyed, stores all, re-driven", world=World(keyed="all", fails=True, executors=1, ends=3)),
    Row(name="keyed, stores all, forgets", world=World(keyed="all", keeps_key=3, executors=1, ends=5)),
    Row(name="keyed, one repeat", world=World(keyed="all", repeats=1, executors=1, ends=2)),
    Row(name="unkeyed, one repeat", world=World(repeats=1, executors=1, ends=3)),
    Row(name="a repeat after an older copy", world=World(restores=1, repeats=2, executors=1, ends=2)),
    Row(name="a successor after an older copy", world=World(restores=1, classes=2, executors=1, ends=2)),
    Row(name="unkeyed, from an older copy", world=World(restores=1, executors=1, ends=3)),
    # Two attempts and a longer clock together are more than can be searched.
    Row(name="keyed, from an older copy", world=World(keyed="all", fails=True, restores=1, executors=1, ends=2)),
    Row(
        name="keyed, from an older copy, for longer",
        world=World(keyed="all", fails=True, restores=1, executors=1, ends=3, attempts=1),
    ),
    Row(name="a class and its successor", world=World(classes=2, executors=1, ends=3)),
    Row(
        name="ticks that are held up",
        world=World(held_ticks=True, sets_back=1, q=0, executors=1, ends=2, attempts=1),
        fast=True,
    ),
    Row(name="ticks that are held up, for longer", world=World(held_ticks=True, sets_back=2, executors=1, ends=3)),
    Row(
        name="ticks that are held up, re-driven",
        world=World(held_ticks=True, keyed="all", executors=1, ends=3, attempts=1),
    ),
    Row(name="nobody can ask, a person looks", world=World(reads=False, person=True), fast=True),
    Row(name="what is open can be settled: queryable", world=World(executors=1), live=True, fast=True),
    Row(name="what is open can be settled: keyed", world=World(executors=1, keyed="all", ends=3), live=True),
    Row(name="what is open can be settled: by a person", world=World(reads=False, person=True, executors=1), live=True),
    Row(
        name="what is open can be settled: ticks held up",
        world=World(held_ticks=True, executors=1, ends=3, attempts=1),
        live=True,
    ),
    Row(name="a late effect can be told", world=World(executors=1, settles_true=False), live=True),
)
WEAK: Final = (
    Row(name="START again, after a lease", off="start_once", world=World(), breaks="S1", fast=True),
    Row(name="the key folds what was seen", off="effect_key", world=World(), breaks="S1", fast=True),
    Row(name="a duplicate taken for permission", off="no_op_is_no", world=World(), breaks="S4", fast=True),
    Row(name="a timeout taken for failure", off="timeout_unknown", world=World(), breaks="S2", fast=True),
    Row(name="no send deadline", off="send_deadline", world=World(executors=1), breaks="S2", fast=True),
    Row(name="absence believed at once", off="quiescence", world=World(), breaks="S2", fast=True),
    Row(name="counted from the tick before", off="from_tick_after", world=World(executors=1), breaks="S2", fast=True),
    Row(
        name="a tick bounds what its signer had not seen",
        off="tick_covers",
        world=World(held_ticks=True, q=0, executors=1, ends=1, attempts=1),
        breaks="S2",
        fast=True,
    ),
    Row(
        name="a tick that was overtaken counts",
        off="tick_in_order",
        world=World(held_ticks=True, sets_back=1, q=0, executors=1, ends=1, attempts=1),
        breaks="S2",
        fast=True,
    ),
    Row(name="the read's tick came after it", off="tick_before_read", world=World(executors=1), breaks="S2", fast=True),
    Row(name="any START's outcome", off="own_start", world=World(fails=True), breaks="S2"),
    Row(
        name="a re-drive is no send",
        off="redrive_is_send",
        world=World(keyed="all", executors=1, ends=3),
        breaks="S2",
        fast=True,
    ),
    Row(
        name="a failure after a re-drive",
        off="redriven_answer",
        world=World(keyed="all", executors=1, ends=2),
        breaks="S2",
        fast=True,
    ),
    Row(name="re-driven unkeyed", off="redrive_stores_all", world=World(executors=1), breaks="S1", fast=True),
    Row(
        name="re-driven by the log's time alone",
        off="redrive_clock",
        world=World(keyed="all", keeps_key=3, executors=1, ends=5),
        breaks="S1",
        fast=True,
    ),
    Row(
        name="one provider key for all generations",
        off="generation_in_key",
        world=World(keyed="all", repeats=1, executors=1, ends=0),
        breaks="S3",
        fast=True,
    ),
    Row(name="a recovery changes nothing", off="recovery_opens", world=World(restores=1), breaks="S1", fast=True),
    Row(
        name="a repeat that pays for no recovery",
        off="repeats_pay",
        world=World(restores=1, repeats=2, executors=1, ends=0),
        breaks="S1",
        fast=True,
    ),
    Row(
        name="a successor that a lost tail does not stop",
        off="lost_lineage",
        world=World(restores=1, classes=2, executors=1, ends=2),
        breaks="S1",
    ),
    Row(
        name="a successor that was lost and not registered again",
        world=World(restores=1, classes=2, executors=1, ends=2, registers_again=False),
        breaks="S1",
    ),
    Row(
        name="absence not counted from the recovery",
        off="recovery_bound",
        world=World(restores=1, executors=1, ends=3),
        breaks="S2",
        fast=True,
    ),
    Row(
        name="a failure believed after a recovery",
        off="recovery_word",
        world=World(keyed="all", restores=1, executors=1, ends=2),
        breaks="S2",
    ),
    Row(
        name="the tag rotates with the key",
        off="tag_keeps_turn",
        world=World(keyed="all", fails=True, restores=1, executors=1, ends=3),
        breaks="S2",
    ),
    Row(name="a successor that does not wait", off="lineage", world=World(classes=2), breaks="S1", fast=True),
    Row(
        name="a hasty person",
        off="patience",
        world=World(reads=False, person=True),
        breaks="S2",
        fast=True,
    ),
    Row(name="a bound Q that is not true", world=World(settles_true=False, executors=1), breaks="S2", fast=True),
    Row(name="something below repeats", world=World(resends=True), breaks="S1", fast=True),
    Row(name="no watchdog", off="watchdog", world=World(executors=1, ends=3), breaks="L1", live=True, fast=True),
    Row(name="nobody asks and nobody says", world=World(reads=False, executors=1), breaks="L1", live=True, fast=True),
    Row(
        name="a late effect is refused",
        off="presence_always",
        world=World(executors=1, settles_true=False),
        breaks="L1",
        live=True,
        fast=True,
    ),
)
