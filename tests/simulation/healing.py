"""The faults stop: everything must come to rest, and be settled by whom the contract says can settle it. L1 to L5."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from invoke_log.rules.kind import CLAIMED, COMMITTED, STARTED, UNKNOWN
from tests.harness.live import D_MS, TTL_MS
from tests.simulation import cast
from tests.simulation.check import Judge
from tests.simulation.provider import SETTLE_MS, TOOLS
from tests.simulation.world import RESTS_MS, Process, Turns, Violation, World, copied

REST_STEPS_MAX: Final = 4_000
LAPSES: Final = 0.25
"""In how many runs nobody ticks, at the end, until an approval is too old."""
RELAPSES: Final = 0.25
"""How many runs lose their store once more, at a moment when all effects are settled."""
ECHOES: Final = 0.2
"""How many of the runs in which a provider tells something, and no store was put back, go deep into one effect."""
ROUNDS: Final = 3
ODDS_OF_ECHOES: Final[tuple[dict[str, int], ...]] = ({"provider": 8}, {}, {"network": 2})
"""What goes wrong how often, call by call: mostly it is declined, done, lost."""
PEOPLE_ONLY: Final = ("blind", "lagging", "telling")
"""Tools of which asking alone cannot settle everything."""
READERS: Final = ("reconciler", "second reconciler")


class Healing:
    """What happens to a world from when its faults stop."""

    def __init__(self, world: World, judge: Judge) -> None:
        self.world, self.judge = world, judge
        self.healer = Process(world, "healer", world.founded.admin, self._mend)
        world.processes.append(self.healer)
        self.by_name = {process.name: process for process in world.processes}

    def script(self) -> Turns:
        self.world.faulty, self.world.ticks_again_ms = False, 0
        self.world.pass_time(D_MS + 1_000)
        yield from self.rest(*READERS)  # who meet answers that come late
        # Somebody sets the wall clock right: until it has caught up with the log's time, nothing that waits goes on.
        self.world.wall_ms += max(0, self.judge.fold.now_ms() - self.world.now_ms())
        yield from self.world.run(self.healer)
        yield from self.rest("healer")
        self.healer.job = cast.release
        yield from self.settle()
        if "listener" in self.by_name and not self.world.restores and self.world.ticker.random() < ECHOES:
            yield from self.echo()
            yield from self.settle()
        if self.world.rng.random() < RELAPSES:
            yield from self.relapse()
            yield from self.settle()
        yield from self.race()
        if not self.world.restores and self.world.ticker.random() < LAPSES:
            yield from self.lapse()

    def rest(self, *names: str) -> Turns:
        """Let these do their job once, and everybody who is in the middle of one finish it."""
        for process in self.world.processes:
            process.wakes_ms = self.world.boot_ms
        for name in names:
            yield from self.world.run(self.by_name[name])
        for _ in range(REST_STEPS_MAX):
            busy = [process for process in self.world.processes if not process.idle]
            if not busy:
                return
            yield from self.world.step(busy)
        raise Violation("L1", f"never at rest: {[process.name for process in busy]}")

    def settle(self) -> Turns:
        """Settle what can be by asking, give back what nobody goes on with, and have people settle the rest."""
        for wait_ms in (D_MS, SETTLE_MS, SETTLE_MS, SETTLE_MS):  # first, where it may, a request is sent again
            self.world.pass_time(wait_ms + 1_000)
            yield from self.rest(*READERS)
            unsettled = [each for each in self.left(STARTED, UNKNOWN) if each[0] not in PEOPLE_ONLY]
            if not unsettled:
                break
        else:
            raise Violation("L2", f"not settled by asking: {unsettled}")
        yield from self._until_none(("healer",), CLAIMED, clause="L5", after_ms=TTL_MS)
        yield from self._until_none((*READERS, "attestor"), CLAIMED, STARTED, UNKNOWN, clause="L1", after_ms=SETTLE_MS)

    def _until_none(self, names: Iterable[str], *statuses: str, clause: str, after_ms: int) -> Turns:
        for _ in range(2):
            if not self.left(*statuses):
                return
            self.world.pass_time(after_ms + 1_000)
            yield from self.rest(*names)
        if self.left(*statuses):
            raise Violation(clause, f"it stays as it is: {self.left(*statuses)}")

    def echo(self) -> Turns:
        """One effect over and over, declined, done, repeated and lost with a tail, while messages of it come late."""
        world, draw = self.world, self.world.ticker
        tool = next(name for name in world.called if "webhook" in TOOLS[name])
        self.by_name["agent a"].job = partial(cast.call, tool=tool, order="told", amount=1)
        self.by_name["repeater"].job = partial(cast.repeat, amounts=(1,))
        world.faulty, world.silence = True, 0
        losses = draw.choice((0, 0, 0.2))  # after one, a decline settles nothing any more
        for odds in ODDS_OF_ECHOES * ROUNDS:
            world.weather = dict.fromkeys(world.weather, 0) | {"message": 1} | odds
            world.backups = [copied(world.store)]
            yield from self.rest("agent a")
            world.pass_time(draw.choice(RESTS_MS))
            if draw.random() < losses:
                world.restore()
                yield from self.rest("agent a")
            if draw.random() < 0.8:
                yield from self.rest("listener")
            if draw.random() < 0.8:
                world.pass_time(SETTLE_MS + 1_000)
                yield from self.rest("attestor")
            yield from self.rest("repeater")
        world.faulty = False
        self.by_name["agent a"].job, self.by_name["repeater"].job = cast.call, cast.repeat

    def relapse(self) -> Turns:
        """Lose everything that is done from here on: the store as it stands now is put back then."""
        hearing = [name for name in ("sweeper", "listener") if name in self.by_name]
        calling = ("agent a", "agent b", "agent c", "repeater")
        self.world.backups = [copied(self.world.store)]
        yield from self.rest(*calling, *hearing)
        self.world.restore()
        yield from self.rest(*hearing)
        yield from self.rest(*calling, *hearing)
        yield from self.rest("approver")

    def race(self) -> Turns:
        """L3, L4: two agents call one fresh effect while a third annotates it: one wins, and it is done."""
        tool = next(name for name in self.world.called if name != cast.BUDGETED)  # the other's budget may be spent
        call = partial(cast.call, tool=tool, order="fresh", amount=1)
        before = len(self.world.provider.landed)
        if self.world.restores:  # the first intent of an effect is unknown then: to be asked about, and decided again
            self.by_name["agent a"].job = call
            yield from self.rest("agent a")
            for _ in range(2):
                self.world.pass_time(SETTLE_MS + 1_000)
                yield from self.rest(*READERS, "attestor")
        for name in ("agent a", "agent b"):
            self.by_name[name].job = call
        self.healer.job = cast.annotate
        racing = ("agent a", "agent b", "healer")
        for name in racing:
            yield from self.world.run(self.by_name[name])
        yield from self.rest(*racing)
        landed = len(self.world.provider.landed) - before
        if landed != 1 or not any(state.status == COMMITTED for state in self.judge.fold.effects.values()):
            raise Violation("L3", f"of two that raced for a fresh effect {landed} landed")

    def lapse(self) -> Turns:
        """[CALL-8]: people consent, nobody ticks, and who asked comes back too late: nothing is sent, nothing lost."""
        agent, approver = self.by_name["agent a"], self.by_name["approver"]
        tool = next(name for name in self.world.called if name != cast.BUDGETED)
        agent.job = partial(cast.call, tool=tool, order="asked", amount=2)
        approver.job = partial(cast.approve, denies=0)
        before = len(self.world.provider.landed)
        self.world.ticks_again_ms = self.world.boot_ms + 2 * TTL_MS
        yield from self.rest("agent a")
        yield from self.rest("approver")
        self.world.pass_time(TTL_MS + D_MS + 2_000)
        yield from self.rest("agent a")
        self.world.ticks_again_ms = 0
        yield from self.rest("approver")
        yield from self.rest("agent a")
        landed = len(self.world.provider.landed) - before
        if landed != 1:
            raise Violation("L1", f"of a call that people have consented to twice {landed} landed")

    def left(self, *statuses: str) -> list[tuple[str, str]]:
        """The tool and status of each effect that stands so."""
        contracts = self.judge.fold.governance.contracts
        return [
            (contracts[state.claim.contract_id].name, state.status)
            for state in self.judge.fold.effects.values()
            if state.status in statuses and state.claim is not None
        ]

    def _mend(self, process: Process) -> None:
        """Give back what was taken, and have the tools run under what is in force."""
        for name in cast.ROLES:
            cast.regrant(process, name)
        cast.thaw(process)
        governance = process.opened().governance
        for contract_id in governance.latest.values():
            self.world.adopt(governance.contracts[contract_id])
