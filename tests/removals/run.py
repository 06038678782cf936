"""Take the rules of SPEC.md out of the code, one at a time, and see that a test fails: `make removals [ONLY=EVT]`.

The list is data, the TOML files beside this, one for each section of SPEC.md. A removal replaces one text of one file
by another, so that a rule is gone and the rest still runs, and names the tests of which one must then fail. A clause
that no code keeps stands in a table `[not-code]`, ahead of the removals of its list, with the reason.

A copy of the tree is changed, never the tree itself. What counts as caught is a test that failed: code that no longer
runs proves nothing, and neither does a run that had to be stopped.
"""

import argparse
import hashlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import SimpleQueue, get_context
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PACKAGE: Final = Path("src", "invoke_log")
COPIED: Final = ("src", "tests", "vectors", "docs", "SPEC.md", "README.md", "pyproject.toml")

RUN_S_MAX: Final = 120
"""Seconds for the tests of one removal, which take one or two: past it they hang."""
CONTROL_S_MAX: Final = 1_800
SAID_CHARS: Final = 2_000
"""Of what pytest said, its end, where a removal was not caught."""

CAUGHT: Final = "caught"
SURVIVED: Final = "survived"
BROKEN: Final = "broken"
"""The tests could not be run, or what failed is the edit itself: it proves nothing about the rule."""
HUNG: Final = "hung"
"""No test had failed when the time was up, and none of them has a limit of its own: no test sees this removal."""
EXIT_CODES: Final = {SURVIVED: 0, CAUGHT: 1, BROKEN: 2}

FAULTS_OF_THE_EDIT: Final = ("NameError", "UnboundLocalError", "SyntaxError", "IndentationError", "ImportError")

LOADED_ONCE: Final = ("hypothesis.strategies", "cbor2", "blake3", "nacl.bindings", "lmdb", "click", "asyncio")
"""What takes most of the time of a short run: loaded here, and there in every process that is forked from this one."""
FORK: Final = get_context("fork")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One rule that is taken out: in `file` of the package, `old`, which stands there once, becomes `new`.

    clause: of SPEC.md, or the section whose table holds a rule that has no id: EVT-1, 9.4. tests: pytest's node ids.
    """

    clause: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, source: str) -> str:
        """Return a module's source without the rule. Raises ValueError: `old` does not stand in it exactly once."""
        found = source.count(self.old)
        if found != 1:
            raise ValueError(f"{self.clause}: {self.file} holds {self.old!r} {found} times, want once")
        return source.replace(self.old, self.new)

    def __str__(self) -> str:
        cut = " ".join(self.old.split())[:60], " ".join(self.new.split())[:60]
        return f"{self.clause:8} {self.file}: {cut[0]} -> {cut[1] or 'nothing'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one removal, or of the control: one of four words, and for all but `caught` what pytest said."""

    word: str
    said: str


def load(folder: Path = HERE) -> list[Removal]:
    """Return the removals of every list in a folder, in the order of their files."""
    tables = (table for listed in _lists(folder) for table in listed.get("removal", ()))
    return [Removal(**{**table, "tests": tuple(table["tests"])}) for table in tables]


def not_code(folder: Path = HERE) -> dict[str, str]:
    """Return the clauses that no code of the package keeps, each with the reason."""
    return {clause: why for listed in _lists(folder) for clause, why in listed.get("not-code", {}).items()}


def _lists(folder: Path) -> Iterator[dict[str, Any]]:
    return (tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml")))


def copy_tree(root: Path, to: Path) -> Path:
    """Return a copy of what the tests read, modification times kept: compiled modules stay good."""
    to.mkdir()
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=shutil.ignore_patterns("node_modules", "removals"))
        elif (root / name).exists():
            shutil.copy2(root / name, to / name)
    return to


def control(tree: Path, tests: Iterable[str]) -> Verdict:
    """Return what the tests say of the tree as it is: `survived`, or a removal would prove nothing."""
    return _run(tree, sorted(set(tests)), limit_s=CONTROL_S_MAX, compile_modules=True)


def attempt(tree: Path, removal: Removal, *, limit_s: float) -> Verdict:
    """Return what the tests say of a copy of the tree without the rule; it is whole again afterwards."""
    with _without(tree / PACKAGE / removal.file, removal):
        return _run(tree, removal.tests, limit_s=limit_s, compile_modules=False)


@contextmanager
def _without(path: Path, removal: Removal) -> Iterator[None]:
    source, kept = path.read_bytes(), path.stat()
    path.write_text(removal.apply(source.decode()), encoding="utf-8")
    # A compiled module is known by its source's size and time in seconds: both can be those of a moment ago.
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns + 10**9))
    try:
        yield
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))


def _run(tree: Path, tests: Sequence[str], *, limit_s: float, compile_modules: bool) -> Verdict:
    process = FORK.Process(target=_run_pytest, args=(tree, tests, compile_modules))
    process.start()
    process.join(limit_s)
    hung = process.is_alive()
    if hung:
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    words = {code: word for word, code in EXIT_CODES.items()}
    word = HUNG if hung else words.get(process.exitcode or 0, BROKEN)
    return Verdict(word=word, said=_said(tree).read_text(encoding="utf-8", errors="replace"))


def _said(tree: Path) -> Path:
    return tree / "said.txt"


def _run_pytest(tree: Path, tests: Sequence[str], compile_modules: bool) -> None:
    """Run tests of a copy in this process, a group of its own, and end it with the exit code of the verdict."""
    os.setsid()
    with _said(tree).open("wb") as said:
        os.dup2(said.fileno(), sys.stdout.fileno())
        os.dup2(said.fileno(), sys.stderr.fileno())
    os.chdir(tree)
    # CI: the same random examples every time, and no skip that would look like a pass.
    os.environ |= {"CI": "true", "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path[:0] = [str(tree), str(tree / "src")]
    sys.dont_write_bytecode = not compile_modules
    failures = _Failures()
    # Plain assertions: what is loaded already cannot be rewritten.
    options = ["-q", "-x", "-p", "no:cacheprovider", "--assert=plain", "--tb=short", f"--basetemp={tree / 'tmp'}"]
    exit_code = int(pytest.main([*options, *tests], plugins=[failures]))
    sys.stdout.flush()
    os._exit(EXIT_CODES[failures.judge(exit_code)])


class _Failures:
    """A pytest plugin that keeps what failed, to tell a test that fails from one that could not be run."""

    def __init__(self) -> None:
        self._of_tests: list[str] = []
        self._others = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.when == "call":
            crash: Any = getattr(report.longrepr, "reprcrash", None)
            self._of_tests.append(crash.message if crash is not None else "")
        elif report.failed:
            self._others += 1

    def judge(self, exit_code: int) -> str:
        if exit_code == pytest.ExitCode.OK:
            return SURVIVED
        faults = [message for message in self._of_tests if message.startswith(FAULTS_OF_THE_EDIT)]
        failed = exit_code == pytest.ExitCode.TESTS_FAILED and self._of_tests and not faults and not self._others
        return CAUGHT if failed else BROKEN


_own_tree: Path | None = None


def _take_tree(trees: "SimpleQueue[Path]") -> None:
    global _own_tree
    _own_tree = trees.get()


def _attempt_here(removal: Removal, limit_s: float) -> tuple[Removal, Verdict, float]:
    assert _own_tree is not None
    began = time.monotonic()
    return removal, attempt(_own_tree, removal, limit_s=limit_s), time.monotonic() - began


def run_all(removals: Sequence[Removal], *, jobs: int, limit_s: float) -> Iterator[tuple[Removal, Verdict, float]]:
    """Yield each removal with what came of it and in how many seconds, as they end.

    Raises: SystemExit: a named test does not pass on the tree as it is.
    """
    for name in LOADED_ONCE:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="removals-") as where:
        first = copy_tree(ROOT, Path(where, "0"))
        untouched = control(first, (test for removal in removals for test in removal.tests))
        if untouched.word != SURVIVED:
            raise SystemExit(f"{untouched.said}\nerror: a named test does not pass on the tree as it is")
        trees: SimpleQueue[Path] = SimpleQueue()
        for tree in (first, *(copy_tree(first, Path(where, str(at))) for at in range(1, jobs))):
            trees.put(tree)
        with ProcessPoolExecutor(jobs, mp_context=FORK, initializer=_take_tree, initargs=(trees,)) as pool:
            for done in as_completed([pool.submit(_attempt_here, removal, limit_s) for removal in removals]):
                yield done.result()


def sample(removals: Sequence[Removal], count: int, *, root: Path) -> list[Removal]:
    """Return every n-th removal, `count` in all: the same ones for the same sources, others when they change."""
    sources = sorted((root / PACKAGE).rglob("*.py"))
    start = int.from_bytes(hashlib.sha256(b"".join(path.read_bytes() for path in sources)).digest()[:8], "big")
    step = max(1, len(removals) // count)
    return [removals[(start + at * step) % len(removals)] for at in range(min(count, len(removals)))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the removals that are asked for, a line each; return 1 if one was not caught."""
    parser = argparse.ArgumentParser(prog="make removals", description="take rules out of the code and see tests fail")
    parser.add_argument("only", nargs="*", metavar="CLAUSE", help="areas or clauses: EVT, EFF-8; all, if left out")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them, others with every change of the sources")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at one time; all cores")
    parser.add_argument("--limit", type=float, default=RUN_S_MAX, metavar="S", help=f"seconds for one; {RUN_S_MAX}")
    asked = parser.parse_args(arguments)
    removals = [r for r in load() if not asked.only or {r.clause, r.clause.partition("-")[0]} & set(asked.only)]
    if not removals:
        parser.error(f"no removal of {', '.join(asked.only)}")
    if asked.sample:
        removals = sample(removals, asked.sample, root=ROOT)
    escaped: list[tuple[Removal, Verdict]] = []
    for at, (removal, verdict, took_s) in enumerate(run_all(removals, jobs=asked.jobs, limit_s=asked.limit), 1):
        print(f"{at:4}/{len(removals)} {verdict.word:9} {took_s:5.1f} s  {removal}", flush=True)
        if verdict.word != CAUGHT:
            escaped.append((removal, verdict))
    for removal, verdict in escaped:
        print(f"\n{verdict.word}: {removal}\n  tests: {' '.join(removal.tests)}\n{verdict.said[-SAID_CHARS:]}")
    words = [verdict.word for _, verdict in escaped]
    counts = ", ".join(f"{words.count(word)} {word}" for word in (SURVIVED, HUNG, BROKEN))
    print(f"{len(removals)} tried, {len(removals) - len(words)} caught, {counts}")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
