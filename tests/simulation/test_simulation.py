"""Seeded histories of the real code in a world that fails: safety with faults on, liveness with faults off.

Each seed checks S1 to S15 at every leaf, every landing and every send, and L1 to L5 once the faults stop; what a number
means is said where it is raised, in `check.py` and `run.py`. A seed that fails is replayed, with all its steps, by
`python -m tests.simulation.run --seeds SEED`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pytest

from invoke_log.format import keys
from tests.simulation import coverage
from tests.simulation.broken import BROKEN, found
from tests.simulation.remembered import remembered
from tests.simulation.run import STEPS, Ran, remember, run

ROOT = Path(__file__).parents[2]
SEEDS: Final = 100
"""Seeds of one case."""
CASES: Final = [range(first, first + SEEDS) for first in range(0, 2_000, SEEDS)]
"""Some five minutes of one processor, in cases that several share evenly; `make simulate` runs 100,000."""
SEARCH: Final = range(10_000, 11_000)
"""Seeds among which each way and each fault has to show, and each seeded bug: the search ends where all have."""


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    with remembered():
        yield


@pytest.mark.parametrize("seeds", CASES, ids=lambda seeds: f"{seeds.start}:{seeds.stop}")
def test_no_seed_breaks_an_invariant(seeds: range, record_property: Callable[[str, object], None]) -> None:
    """S1 to S15, L1 to L5"""
    steps = sum(checked(seed).steps for seed in seeds)
    assert steps >= STEPS * len(seeds)
    said(seeds, record_property)


def test_the_seeds_together_go_everywhere(record_property: Callable[[str, object], None]) -> None:
    """Every way of the table that this world can go, and every fault of it, each in some seed; and no other way."""
    happened, faults = Counter[str](), Counter[str]()
    for seed in SEARCH:
        ran = checked(seed)
        happened.update(ran.happened)
        faults.update(ran.faults)
        if not coverage.missing(happened, faults):
            break
    assert coverage.missing(happened, faults) == []
    assert coverage.unlisted(happened) == []
    said(range(SEARCH.start, seed + 1), record_property)


def said(seeds: range, record_property: Callable[[str, object], None]) -> None:
    """Say in the run's output what was run, and how to run it again."""
    record_property("figure", ("simulated histories", len(seeds), len(seeds)))
    record_property("note", f"simulated by: python -m tests.simulation.run --seeds {seeds.start}:{seeds.stop}")


def checked(seed: int) -> Ran:
    """What a seed came to, which broke nothing."""
    ran = run(seed)
    assert ran.failed is None, f"seed {seed}: {ran.failed}\n" + "\n".join(ran.trace[-60:])
    return ran


def test_a_seed_is_one_history_in_every_process() -> None:
    """S13, and what makes a failure worth a seed: also where nothing is remembered, as in these processes."""
    program = "from tests.simulation.run import run; print([run(seed).story for seed in (1, 2, 3)])"
    path = os.pathsep.join(sys.path)
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]
    here = str([run(seed).story for seed in (1, 2, 3)])
    assert told == [here, here]


def test_a_process_that_runs_many_seeds_remembers_to_its_end() -> None:
    """And so takes two thirds of the time."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=remember) as pool:
        assert "asked_once" in pool.submit(who_verifies).result()


def who_verifies() -> str:
    """The name of the function by which this process verifies signatures."""
    return keys.verify.__qualname__


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_rule_that_is_taken_out_is_missed(broken: Callable[[], AbstractContextManager[None]]) -> None:
    assert found(broken, range(1_000)) is not None
