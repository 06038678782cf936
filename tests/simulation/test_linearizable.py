"""Concurrent appends answer as if they had come one by one, whatever the store, in threads and in processes. L3, S11"""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.memory import MemoryStore
from invoke_log.store.protocol import Answer, Appended, Moved, Pending, Store
from tests.simulation.hammer import hammered, seen_in
from tests.simulation.linearizable import LOST, Seen, linearizable

ROOT = Path(__file__).parents[2]
HISTORIES = {"memory": 240, "lmdb": 60}


class CheckThenAct(MemoryStore):
    """A store whose comparison and whose write are two steps."""

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        [pending] = pendings
        with self.snapshot() as reader:
            for chain, expected in pending.expect.items():
                row = reader.head(chain)
                if (row.head if row else None) != expected:
                    return [Moved(chain=chain, head=row.head if row else None)]
        time.sleep(0.0002)
        return super().append([dataclasses.replace(pending, expect={})])


class Dropping(MemoryStore):
    """A store that acknowledges every fifth append and keeps nothing of it."""

    asked = 0

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        self.asked += 1
        if self.asked % 5:
            return super().append(pendings)
        return [Appended(index=self.barrier())]  # type: ignore[arg-type]  # the index that the next one will get


@pytest.mark.parametrize("kind", HISTORIES)
def test_concurrent_histories_of_a_store_are_linearizable(kind: str, tmp_path: Path) -> None:
    store: Store = MemoryStore() if kind == "memory" else LmdbStore.create(tmp_path / "store", {})
    raced = 0
    for history in range(HISTORIES[kind]):
        began, seen = hammered(store, history, workers=5, count=4)
        assert linearizable(seen, began), seen
        raced += any(each.moved for each in seen)
    store.close()
    assert raced > HISTORIES[kind] // 2  # or nothing was tried


def test_histories_of_several_processes_are_linearizable(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "store", {}).close()
    command = [sys.executable, "-m", "tests.simulation.hammer", str(tmp_path / "store"), "7"]
    crew = [
        subprocess.Popen([*command, str(worker), "8"], cwd=ROOT, stdin=-1, stdout=-1, text=True) for worker in range(4)
    ]
    for process in crew:
        assert process.stdout is not None
        process.stdout.readline()
    outputs = [process.communicate("\n") for process in crew]
    seen = [seen_in(line) for output, _ in outputs for line in output.splitlines()]
    assert len(seen) == 32
    assert linearizable(seen, (0, (None, None)))


@pytest.mark.parametrize("broken", [CheckThenAct, Dropping])
def test_a_broken_compare_and_set_is_flagged(broken: type[MemoryStore]) -> None:
    store = broken()
    histories = [hammered(store, history, workers=5, count=6) for history in range(20)]
    assert sum(not linearizable(seen, began) for began, seen in histories) >= 19


def one(called: float, returned: float, old: str | None, new: str, **answer: Any) -> Seen:
    return Seen(called=called, returned=returned, expect=((0, old),), sets=((0, new),), **answer)


@pytest.mark.parametrize(
    ("history", "explained"),
    [
        ([one(0, 1, None, "a", index=0), one(2, 3, "a", "b", index=1)], True),
        ([one(2, 3, None, "a", index=0), one(0, 1, "a", "b", index=1)], False),  # it returned before the other began
        ([one(0, 3, None, "a", index=0), one(1, 2, "a", "b", index=1)], True),
        ([one(0, 9, None, "a", index=0), one(0, 9, None, "b", index=1)], False),  # two on one head
        ([one(0, 9, None, "a", index=0), one(0, 9, None, "b", moved=(0, "a"))], True),
        ([one(0, LOST, None, "a"), one(5, 6, None, "b", index=0)], True),  # what was lost never happened
        ([one(0, LOST, None, "a"), one(5, 6, "a", "b", index=1)], True),  # or it did
        ([one(0, 1, None, "a", index=0), one(2, 3, None, "b", moved=(0, "c"))], False),
    ],
)
def test_the_checker_knows_what_one_order_explains(history: list[Seen], explained: bool) -> None:
    assert linearizable(history, (0, (None,))) is explained
