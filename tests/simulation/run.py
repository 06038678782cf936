"""Run seeds: `python -m tests.simulation.run --seeds 0:1000`. A seed that fails is printed with its last steps."""

import argparse
import atexit
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Final

from invoke_log.rules.contract import Contract
from tests.simulation import cast, coverage
from tests.simulation.check import Judge
from tests.simulation.healing import Healing
from tests.simulation.provider import TOOLS
from tests.simulation.remembered import remembered
from tests.simulation.world import Process, Turns, Violation, World

STEPS: Final = 200
"""Steps of a run with faults; as many again and more follow without."""
CONCLUDED: Final = 0.3
"""How many runs end in a whole replay of what is exported, which costs as much as the run; all are folded meanwhile."""
TRACE_LINES: Final = 60
"""Lines that a seed that fails is printed with, among others."""
TOLD_EVERY_S: Final = 60
"""How often a long run says on stderr how far it is."""
KEYS: Final = {"listener": "second reconciler", "sweeper": "reconciler"}
"""Whose key a process has, where it is not its own; who has none has the admin's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a seed came to. story: a digest of every step; failed: the clause and its words, None where all held.

    happened: kinds of events, and the ways that effects went, by how often.
    """

    seed: int
    steps: int
    leaves: int
    landed: int
    story: str
    happened: Counter[str]
    faults: Counter[str]
    failed: str | None = None
    trace: tuple[str, ...] = ()


def run(seed: int, *, steps: int = STEPS) -> Ran:
    """Return what a seed came to. What violates an invariant, or raises what nothing explains, is in `failed`."""
    world = World(seed, cast.founded())
    failed, judge = None, Judge(world)
    with world.in_force():
        try:
            world.play(script(world, judge, steps))
            if world.rng.random() < CONCLUDED:
                judge.conclude()
        except Exception as error:  # noqa: BLE001 -- whatever it is: the seed that shows it is what is wanted
            failed = str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
            world.failure = None
        finally:
            world.end()
    return Ran(
        seed=seed,
        steps=world.steps,
        leaves=len(world.store._entries),
        landed=len(world.provider.landed),
        story=world.story.hexdigest(),
        happened=judge.happened,
        faults=world.faults,
        failed=failed,
        trace=tuple(world.trace),
    )


def script(world: World, judge: Judge, steps: int) -> Turns:
    """Safety with faults on, then liveness with faults off."""
    for contract in world.founded.contracts:
        adopt(world, judge, contract)
    world.called = tuple(world.rng.sample(sorted(TOOLS), 2))
    jobs: dict[str, Callable[[Process], object]] = {
        "agent a": cast.call,
        "agent b": cast.call,
        "agent c": cast.call,
        "reconciler": cast.reconcile,
        "approver": cast.approve,
        "attestor": cast.attest,
        "repeater": cast.repeat,
        "second reconciler": cast.reconcile,
    }
    others: dict[str, Callable[[Process], object]] = {
        "admin": cast.govern,
        "releaser": cast.release,
        "annotator": cast.annotate,
        "publisher": cast.publish,
        "sweeper": cast.sweep,
        "second approver": cast.approve,
    }
    if any("webhook" in TOOLS[name] for name in world.called):
        jobs["listener"] = cast.listen
    world.adopt = partial(adopt, world, judge)
    jobs |= {name: others[name] for name in world.rng.sample(sorted(others), 3)}
    for name, job in jobs.items():
        key = world.founded.keys.get(KEYS.get(name, name), world.founded.admin)
        world.processes.append(Process(world, name, key, job))
    for _ in range(steps):
        yield from world.step(world.processes)
    yield from Healing(world, judge).script()


def adopt(world: World, judge: Judge, contract: Contract) -> None:
    """Have the tool of this name run under a contract from now on."""
    world.tools[contract.name] = cast.tool_of(world, contract, judge.sending)


def sweep(seeds: Sequence[int], *, steps: int = STEPS, workers: int | None = None) -> Iterator[Ran]:
    """Run many seeds, in order, in as many processes; workers: as the machine has processors."""
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn"), initializer=remember) as pool:
        yield from pool.map(partial(run, steps=steps), seeds, chunksize=10)


def remember() -> None:
    """Have a process that does nothing else but run seeds remember the answers of pure functions, to its end."""
    remembering = remembered()
    remembering.__enter__()
    atexit.register(remembering.__exit__, None, None, None)  # which keeps it: a generator let go of ends at once


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="from:to, or one seed, whose steps are all printed")
    parser.add_argument("--steps", type=int, default=STEPS, help="with faults, before the world heals")
    given = parser.parse_args(argv)
    first, _, last = given.seeds.partition(":")
    seeds = range(int(first), int(last or int(first) + 1))
    results = sweep(seeds, steps=given.steps) if last else iter([run(int(first), steps=given.steps)])
    count, happened, faults = Counter[str](), Counter[str](), Counter[str]()
    began_s = told_s = time.monotonic()
    for ran in results:
        count.update(seeds=1, steps=ran.steps, leaves=ran.leaves, landings=ran.landed, failed=bool(ran.failed))
        happened.update(ran.happened)
        faults.update(ran.faults)
        if ran.failed or not last:
            print(*ran.trace[-TRACE_LINES if last else 0 :], sep="\n")
        if ran.failed:
            print(f"seed {ran.seed} after {ran.steps} steps: {ran.failed}", flush=True)
        if (now_s := time.monotonic()) - told_s >= TOLD_EVERY_S:
            told_s = now_s
            told = f"{count['seeds']} of {len(seeds)} seeds, {count['failed']} failed, {now_s - began_s:.0f} s"
            print(told, file=sys.stderr, flush=True)
    print(coverage.table(happened, faults))
    print(", ".join(f"{number} {name}" for name, number in count.items()), f"in {time.monotonic() - began_s:.0f} s")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
