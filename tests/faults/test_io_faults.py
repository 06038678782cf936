"""SIGKILL, EIO, ENOSPC and short writes at the n-th I/O call of a script of appends: nothing acknowledged is lost. S11.

Every 13th call here, every one with INVOKE_LOG_TORTURE=1 (`make torture`). strace carries the faults out, so what is
killed is the real store on a real disk. How many points were tried is printed; each fault has a control that must fail.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import invoke_log as il

SCRIPT = Path(__file__).with_name("appender.py")
TORTURE = os.environ.get("INVOKE_LOG_TORTURE") == "1"
APPENDS = 200 if TORTURE else 40
STRIDE = 1 if TORTURE else 13
SYSCALLS = "pwrite64,writev,pwritev,fdatasync,fsync,ftruncate"
# strace counts each system call by itself: a point is a call's name and its number among those of that name.
Point = tuple[str, int]
Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="tool missing: strace")


@dataclass(frozen=True)
class Run:
    """What a run of the script said: ids that it was told are durable, and faults that it met."""

    acked: list[str]
    faults: list[str]
    returncode: int


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "log"
    il.Log.create(path, origin="example.com/faults").close()
    return path


@pytest.fixture(scope="module")
def points(template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    """Every I/O call that the whole script makes, in order."""
    place = tmp_path_factory.mktemp("count")
    log = shutil.copytree(template, place / "log")
    traced = place / "trace"
    _run(["strace", "-f", "-qq", "-o", str(traced), "-e", f"trace={SYSCALLS}"], log)
    seen: Counter[str] = Counter()
    found: list[Point] = []
    for name in re.findall(r"^\d+ +(\w+)\(", traced.read_text(), re.MULTILINE):
        seen[name] += 1
        found.append((name, seen[name]))
    return found


def _run(prefix: list[str], log: Path, *, mode: tuple[str, ...] = (), count: int = APPENDS) -> Run:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*prefix, sys.executable, str(SCRIPT), str(log), "0", str(count), *mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    lines = done.stdout.splitlines()
    acked = [line.split()[2] for line in lines if line.startswith("acked ") and len(line.split()) == 3]
    return Run(
        acked=acked, faults=[line for line in lines if not line.startswith("acked ")], returncode=done.returncode
    )


def _inject(name: str, when: str, fault: str) -> list[str]:
    return [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={SYSCALLS}",
        "-e",
        f"inject={name}:{fault}:when={when}",
    ]


def _lost(log: Path, run: Run) -> list[str]:
    """Acknowledged events that are not on the log as the next process finds it; the log itself must be whole."""
    with il.Log.open(log) as opened:
        there = {entry.event.id.hex() for entry in opened.entries()}
        assert opened.tick() is not None, "the next open goes on"
        opened.checkpoint()
    report = il.replay(log)
    assert report.ok, report.findings
    return [event_id for event_id in run.acked if event_id not in there]


def test_a_kill_at_any_io_call_loses_nothing_acknowledged(
    template: Path, points: list[Point], tmp_path: Path, record_property: Record
) -> None:
    chosen = points[::STRIDE]
    killed = 0
    for name, number in chosen:
        log = shutil.copytree(template, tmp_path / f"{name}{number}")
        run = _run(_inject(name, str(number), "signal=SIGKILL"), log)
        assert _lost(log, run) == [], f"killed at {name} {number}"
        shutil.rmtree(log)
        killed += run.returncode != 0
    record_property("figure", (f"killed at an I/O call, of {len(points)}", killed, killed))
    # Ticks come by the clock: a run that took less time than the counted one has a few calls fewer.
    assert killed >= 0.9 * len(chosen)


def test_the_control_that_acknowledges_first_loses_some(template: Path, points: list[Point], tmp_path: Path) -> None:
    lost = 0
    for name, number in points[len(points) // 2 :][:4]:
        log = shutil.copytree(template, tmp_path / f"{name}{number}")
        run = _run(_inject(name, str(number), "signal=SIGKILL"), log, mode=("early",))
        lost += len(_lost(log, run))
    assert lost > 0


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ({"fdatasync"}, "error=EIO"),
        ({"pwrite64", "writev", "pwritev"}, "error=ENOSPC"),
        ({"pwrite64", "writev", "pwritev"}, "error=EIO"),
        ({"pwrite64", "writev", "pwritev"}, "retval=512"),
    ],
    ids=["sync-eio", "write-enospc", "write-eio", "write-short"],
)
def test_an_io_error_loses_nothing_acknowledged(
    template: Path, points: list[Point], tmp_path: Path, names: set[str], fault: str, record_property: Record
) -> None:
    faulty = [(name, number) for name, number in points if name in names and number > 1]
    chosen = faulty[:: max(1, len(faulty) // (100 if TORTURE else 5))]
    met = 0
    for name, number in chosen:
        log = shutil.copytree(template, tmp_path / f"{name}{number}")
        run = _run(_inject(name, str(number), fault), log)
        assert run.returncode == 0, run.faults
        assert len(run.acked) == APPENDS, "after a fault the log re-verifies itself and goes on"
        assert _lost(log, run) == [], f"{fault} at {name} {number}"
        shutil.rmtree(log)
        met += len(run.faults)
    record_property("figure", (f"{fault} at an I/O call", len(chosen), len(chosen)))
    assert met > 0, "the fault reached the script"


def test_a_disk_that_stays_full_refuses_and_loses_nothing(template: Path, tmp_path: Path) -> None:
    log = shutil.copytree(template, tmp_path / "log")
    full = [argument for name in ("pwrite64", "writev") for argument in _inject(name, "12+", "error=ENOSPC")[-2:]]
    run = _run(["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={SYSCALLS}", *full], log, count=20)
    assert any("store-full" in fault for fault in run.faults), run.faults[:5]
    assert 0 < len(run.acked) < 20
    assert _lost(log, run) == []
