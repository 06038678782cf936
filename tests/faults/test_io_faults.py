"""SIGKILL, EIO, ENOSPC and short writes at the n-th I/O call of a script of appends: nothing acknowledged is lost. S11.

A kill at every 13th call of 200 appends here, some 85, which take 65 s of one processor; at every call with
INVOKE_LOG_TORTURE=1 (`make torture`). An error at five calls here, at a hundred there. strace carries the faults out,
so what is killed is the real store on a real disk. For each fault a row is printed, tried and survived, and one of its
control: a script that acknowledges too early, or whatever the append came to, which has to lose something.
"""

import os
import re
import shutil
import signal
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
APPENDS = 200
STRIDE = 1 if TORTURE else 13
TRIED = 100 if TORTURE else 5
CONTROLS = 3
PARTS = 5
WRITES = frozenset(("pwrite64", "writev", "pwritev"))
SYNCS = frozenset(("fdatasync",))
SYSCALLS = WRITES | SYNCS | {"fsync", "ftruncate"}
STRACE = ("strace", "-f", "-qq", "-e", f"trace={','.join(sorted(SYSCALLS))}")
# strace counts each system call by itself: a point is a call's name and its number among those of that name.
Point = tuple[str, int]
Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="tool missing: strace")


@dataclass(frozen=True)
class Fault:
    """What is injected into which calls. control: how the script of its control fails to wait for the answer."""

    name: str
    calls: frozenset[str]
    injected: str
    control: str

    @property
    def kills(self) -> bool:
        return self.injected.startswith("signal=")

    def some_of(self, points: list[Point], count: int) -> list[Point]:
        """Return the middle of each of so many equal parts of the calls that this fault is for."""
        faulty = [point for point in points if point[0] in self.calls]
        return [faulty[(2 * part + 1) * len(faulty) // (2 * count)] for part in range(count)]


KILL = Fault("SIGKILL", SYSCALLS, "signal=SIGKILL", "early")
ERRORS = (
    Fault("EIO of a sync", SYNCS, "error=EIO", "deaf"),
    Fault("EIO of a write", WRITES, "error=EIO", "deaf"),
    Fault("ENOSPC of a write", WRITES, "error=ENOSPC", "deaf"),
    # It says that it wrote 512 bytes, and wrote none: whatever a short write leaves, this leaves less.
    Fault("a short write", WRITES, "retval=512", "deaf"),
)


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
    _run([*STRACE, "-o", str(traced)], log)
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


def _lost(log: Path, run: Run) -> list[str]:
    """Acknowledged events that are not on the log as the next process finds it; the log itself must be whole."""
    with il.Log.open(log) as opened:
        there = {entry.event.id.hex() for entry in opened.entries()}
        assert opened.tick() is not None, "the next open goes on"
        opened.checkpoint()
    report = il.replay(log)
    assert report.ok, report.findings
    return [event_id for event_id in run.acked if event_id not in there]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_io_call_loses_nothing_acknowledged(
    template: Path, points: list[Point], tmp_path: Path, part: int, record_property: Record
) -> None:
    _is_survived(template, tmp_path, KILL, points[::STRIDE][part::PARTS], record_property)


@pytest.mark.parametrize("fault", ERRORS, ids=lambda fault: fault.name)
def test_an_io_error_loses_nothing_acknowledged(
    template: Path, points: list[Point], tmp_path: Path, fault: Fault, record_property: Record
) -> None:
    _is_survived(template, tmp_path, fault, fault.some_of(points, TRIED), record_property)


@pytest.mark.parametrize("fault", [KILL, *ERRORS], ids=lambda fault: fault.name)
def test_the_control_of_a_fault_loses_some(
    template: Path, points: list[Point], tmp_path: Path, fault: Fault, record_property: Record
) -> None:
    """The same fault and the same judge, and a script that does not wait for the answer, or does not listen to it."""
    tried, lost = _tried(template, tmp_path, fault, fault.some_of(points, CONTROLS), mode=(fault.control,))
    record_property("figure", (f"{fault.name}, control: the script is {fault.control}", tried, tried - len(lost)))
    assert lost


def _is_survived(template: Path, place: Path, fault: Fault, points: list[Point], record_property: Record) -> None:
    tried, lost = _tried(template, place, fault, points)
    record_property("figure", (f"{fault.name} at an I/O call of {APPENDS} appends", tried, tried - len(lost)))
    assert lost == {}
    # Ticks come by the clock: a run that took less time than the counted one has some calls fewer.
    assert tried >= 0.6 * len(points), "the fault reached the script"


def _tried(
    template: Path, place: Path, fault: Fault, points: list[Point], *, mode: tuple[str, ...] = ()
) -> tuple[int, dict[Point, list[str]]]:
    """Run the script into a fault at each of some points; return how often it was reached, and where what was lost."""
    reached = 0
    lost: dict[Point, list[str]] = {}
    for name, number in points:
        log, trace = shutil.copytree(template, place / f"{name}{number}"), place / "trace"
        # Which stops the script at no other call, and is quicker. strace 6.1 injects no signal then.
        filtered = () if fault.kills else ("--seccomp-bpf",)
        inject = f"inject={name}:{fault.injected}:when={number}"
        run = _run([*STRACE, *filtered, "-o", str(trace), "-e", inject], log, mode=mode)
        if fault.kills:
            reached += run.returncode == -signal.SIGKILL
        else:
            reached += "(INJECTED)" in trace.read_text()
            assert run.returncode == 0, run.faults
            assert len(run.acked) == APPENDS, "after a fault the log re-verifies itself and goes on"
        if missing := _lost(log, run):
            lost[name, number] = missing
        shutil.rmtree(log)
    return reached, lost


def test_a_disk_that_stays_full_refuses_and_loses_nothing(template: Path, tmp_path: Path) -> None:
    log = shutil.copytree(template, tmp_path / "log")
    full = [argument for name in WRITES for argument in ("-e", f"inject={name}:error=ENOSPC:when=12+")]
    run = _run([*STRACE, "-o", os.devnull, *full], log, count=20)
    assert any("store-full" in fault for fault in run.faults), run.faults[:5]
    assert 0 < len(run.acked) < 20
    assert _lost(log, run) == []
