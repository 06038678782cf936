"""Damages the data file of a finished log in many ways, and replays each with the command line, in a child of its own.

    python damage.py LOG TRUST SEED COUNT FIRST STEP

Prints one JSON object: how each kind of damage ended, and every ending that should not be, by number. An ending is
`same` (what replay prints is what it prints of the sound log: nothing that counts was hit), `refused` (exit code 3, and
why), or `older` (the log as it was one commit before: what the page that names the last commit decides).
"""

import io
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from invoke_log.audit.source import open_source
from invoke_log.format.envelope import entry_of
from invoke_log.format.merkle import EMPTY_FRONTIER, leaf_hash
from invoke_log.surfaces.cli.main import main as command_line
from tests.faults.child import in_child, only_thread
from tests.faults.journal import PAGE_BYTES

KINDS: Final = ("bit", "page header bit", "meta bit", "page zeroed", "page copied", "cut")
META_BYTES: Final = 176
SHM: Final = Path("/dev/shm")


def main() -> int:
    log, trust = Path(sys.argv[1]), sys.argv[2]
    seed, count, first, step = (int(argument) for argument in sys.argv[3:])
    only_thread()
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as scratch:
        copy = Path(shutil.copytree(log, Path(scratch) / "log"))
        raw, sound = (copy / "store" / "data.mdb").read_bytes(), json.loads(in_child(partial(replayed, copy, trust)))
        assert sound["exit_code"] == 0, sound
        trial = Trial(copy, trust, raw, sound["stdout"], json.loads(in_child(partial(roots_of, copy))))
        ends: Counter[str] = Counter()
        wrong: dict[int, str] = {}
        for number in range(first, count, step):
            kind, damaged = damage(raw, random.Random(f"{seed}/{number}"))
            end = in_child(partial(trial.end, damaged))
            ends[f"{kind}: {end[:9]}"] += 1
            if end not in ("same", "refused", "older"):
                wrong[number] = f"{kind}: {end}"
    print(json.dumps({"ends": ends, "wrong": wrong}))
    return 0


def damage(raw: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return a damaged copy of a file, never one that is as it was, and what was done to it."""
    kind, pages = rng.choice(KINDS), len(raw) // PAGE_BYTES
    damaged = bytearray(raw)
    while damaged == raw:
        page = rng.randrange(pages) * PAGE_BYTES
        if kind == "cut":
            del damaged[rng.randrange(len(raw)) :]
        elif kind == "page zeroed":
            damaged[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
        elif kind == "page copied":
            other = rng.randrange(pages) * PAGE_BYTES
            damaged[page : page + PAGE_BYTES] = raw[other : other + PAGE_BYTES]
        else:
            header, meta = (page, 64), (page % (2 * PAGE_BYTES), META_BYTES)
            spans = {"bit": (0, len(raw)), "page header bit": header, "meta bit": meta}
            start, length = spans[kind]
            damaged[start + rng.randrange(length)] ^= 1 << rng.randrange(8)
    return kind, bytes(damaged)


def replayed(log: Path, trust: str) -> str:
    """Return what `invoke-log replay` ends with and prints, as JSON."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        code = command_line(["replay", str(log), "--trust", trust, "--json"])
    return json.dumps({"exit_code": code, "stdout": stdout.getvalue(), "stderr": stderr.getvalue()})


def roots_of(log: Path) -> str:
    """Return the root of a log's tree at each size, as JSON."""
    frontier, roots = EMPTY_FRONTIER, []
    with open_source(log) as source:
        for entry in source.entries():
            frontier, _ = frontier.append(leaf_hash(entry_of(*entry)))
            roots.append(frontier.root().hex())
    return json.dumps(roots)


@dataclass
class Trial:
    """A log to be damaged. sound: what replay prints of it. roots: at each of its sizes."""

    log: Path
    trust: str
    raw: bytes
    sound: str
    roots: list[str]

    def end(self, damaged: bytes) -> str:
        (self.log / "store" / "data.mdb").write_bytes(damaged)
        found = json.loads(replayed(self.log, self.trust))
        code, report = found["exit_code"], json.loads(found["stdout"] or "null")
        if (code, found["stdout"]) == (0, self.sound):
            return "same"
        if code == 3 and (has_error(report) or found["stderr"].startswith("error: ")):
            return "refused"
        return "older" if code == 0 and self.is_older(report) else json.dumps(found)

    def is_older(self, report: dict[str, Any]) -> bool:
        """Whether this is the log as it was before its last commit: an entry less, or its last checkpoint."""
        size = report["size"]
        shrunk = size < len(self.roots) or report["covered"] != json.loads(self.sound)["covered"]
        return bool(shrunk and report["root"] == self.roots[size - 1] and len(self.roots) - size <= 1)


def has_error(report: dict[str, Any] | None) -> bool:
    return report is not None and any(finding["severity"] == "error" for finding in report["findings"])


if __name__ == "__main__":
    os.environ.pop("INVOKE_LOG", None)
    sys.exit(main())
