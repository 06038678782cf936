"""Processes that die: what was acknowledged is there, what was sent is not sent again. [CALL-2], S1, S2, S3, S11, L1"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from invoke_log.audit.replay import replay
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Blocked, Committed
from invoke_log.guard.reconcile import NONE, ONE
from invoke_log.ledger.log import Log
from tests.harness import victim
from tests.harness.live import ORIGIN, Q_MS, Clock, open_live
from tests.harness.shop import ARGUMENTS, UNHURRIED_MS

HARNESS = Path(victim.__file__).parent


class Scene:
    """A log, a provider, and a clock that the test moves on after the crash."""

    def __init__(self, place: Path) -> None:
        self.path, self.provider = place / "log", place / "provider"
        Log.create(self.path, origin=ORIGIN).close()
        with Log.open(self.path) as log:
            victim.charging(Guard(log), self.provider)  # registers the contract

    def crash(self, point: str) -> None:
        command = [sys.executable, str(HARNESS / "victim.py"), str(self.path), str(self.provider), point]
        died = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr

    def landed(self) -> int:
        return len(self.provider.read_text().splitlines()) if self.provider.exists() else 0


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The machine's clock in this process: it stands still, and the test moves it on."""
    moved = Clock(time.time_ns() // 1_000_000)
    with patch("invoke_log.ledger.log._now_ms", moved), patch("invoke_log.guard.patience._clock", moved.seconds):
        yield moved


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def reopened(scene: Scene) -> tuple[Log, Guard]:
    log = Log.open(scene.path)
    guard = Guard(log)
    victim.charging(guard, scene.provider)
    return log, guard


@pytest.mark.parametrize(
    ("point", "landed"), [(victim.BEFORE_SEND, 0), (victim.IN_TOOL, 1), (victim.BEFORE_OUTCOME, 1)]
)
def test_after_a_crash_behind_its_start_nobody_sends_until_a_reconciler_has_settled_it(
    scene: Scene, clock: Clock, point: str, landed: int
) -> None:
    scene.crash(point)
    assert scene.landed() == landed
    clock.ms = time.time_ns() // 1_000_000 + 1_000
    log, guard = reopened(scene)
    for _ in range(2):
        blocked = guard.call("charge", ARGUMENTS)
        assert isinstance(blocked, Blocked)
        assert blocked.next == "poll"
    [look] = guard.reconcile()
    assert (look.probe, look.status) == (None, "started")
    clock.ms += UNHURRIED_MS
    blocked = guard.call("charge", ARGUMENTS)
    assert isinstance(blocked, Blocked)
    [look] = guard.reconcile()
    assert (look.probe, look.status) == ((ONE, "committed") if landed else (NONE, "unknown"))
    assert scene.landed() == landed
    if not landed:
        clock.ms += Q_MS
        [look] = guard.reconcile()
        assert (look.probe, look.status) == (NONE, "not_committed")
        assert isinstance(guard.call("charge", ARGUMENTS), Committed)
    ending = guard.call("charge", ARGUMENTS)
    assert isinstance(ending, Blocked if landed else Committed)
    assert scene.landed() == 1
    clock.ms += 1
    log.tick()  # the refusals that wait ride with it
    log.checkpoint()
    log.close()
    report = replay(scene.path)
    assert report.findings == ()
    [effect] = report.effects
    assert (effect.status, effect.attempts) == ("committed", 2 - landed)


def test_after_a_crash_before_its_start_nothing_happened_and_the_call_is_free(scene: Scene) -> None:
    scene.crash(victim.BEFORE_START)
    log, guard = reopened(scene)
    assert list(log.effects()) == []
    assert isinstance(guard.call("charge", ARGUMENTS), Committed)
    assert scene.landed() == 1
    log.close()


def test_after_a_crash_behind_its_outcome_the_result_is_on_record(scene: Scene) -> None:
    scene.crash(victim.AFTER_OUTCOME)
    log, guard = reopened(scene)
    ending = guard.call("charge", ARGUMENTS)
    assert isinstance(ending, Committed)
    assert (ending.value, ending.fresh, scene.landed()) == ({"id": "pi_0"}, False, 1)
    log.close()


def test_whatever_three_processes_were_told_is_there_however_they_are_killed(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        path = live.log.path
    choose = random.Random(5)
    heard: list[str] = []

    def begin(number: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(HARNESS / "writer.py"), str(path), f"w{number}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def kill(writer: subprocess.Popen[str]) -> None:
        writer.send_signal(signal.SIGKILL)
        heard.extend(writer.communicate(timeout=60)[0].splitlines())
        assert writer.returncode == -signal.SIGKILL

    writers = [begin(number) for number in range(3)]
    for number in range(3, 6):
        assert writers[0].stdout is not None
        heard.append(writers[0].stdout.readline().rstrip())  # it has begun to append
        time.sleep(choose.uniform(0.0, 0.2))
        kill(writers.pop(0))
        writers.append(begin(number))
    for writer in writers:
        assert writer.stdout is not None
        heard.append(writer.stdout.readline().rstrip())
        kill(writer)
    told = {
        int(line.split()[1]): line.split()[0] for line in heard if len(line.split()) == 2 and len(line.split()[0]) == 64
    }
    assert len(told) >= 6
    with Log.open(path) as log:
        stored = {entry.index: entry.event.id.hex() for entry in log.entries()}
        assert {index: stored[index] for index in told} == told
        assert len(set(stored.values())) == len(stored)
        log.checkpoint()
    report = replay(path)
    assert report.findings == ()
    assert report.covered == len(stored)
