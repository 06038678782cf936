"""Interleaved blocks: a subject and its floor take turns, so that what the machine does meanwhile happens to both.

A figure is the median over the blocks of (floor's time / subject's time): how much of the floor's speed is left.
Absolute times drift on shared machines; the ratio is what is compared.
"""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

Block = Callable[[], int]
"""Does a block of work and returns how many operations it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table. per_s: operations a second, median; floor_per_s likewise; ratio: of the two, block by
    block.
    """

    name: str
    per_s: float
    floor: str
    floor_per_s: float
    ratio: float
    blocks: int
    target: str


def compare(name: str, subject: Block, *, floor: str, floor_block: Block, blocks: int, target: str) -> Figure:
    """Return the figure of a subject against its floor, block by block in turn, after one block of each to warm up."""
    subject()
    floor_block()
    rates: list[float] = []
    floors: list[float] = []
    for _ in range(blocks):
        floors.append(_rate(floor_block))
        rates.append(_rate(subject))
    ratio = statistics.median(rate / below for rate, below in zip(rates, floors, strict=True))
    return Figure(
        name=name,
        per_s=statistics.median(rates),
        floor=floor,
        floor_per_s=statistics.median(floors),
        ratio=ratio,
        blocks=blocks,
        target=target,
    )


def table(figures: list[Figure]) -> str:
    """Return the figures as lines of text, one each."""
    rows = [("what", "a second", "floor", "a second", "ratio", "target")]
    rows += [(f.name, f"{f.per_s:,.0f}", f.floor, f"{f.floor_per_s:,.0f}", f"{f.ratio:.2f}", f.target) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def write_json(figures: list[Figure], path: Path) -> None:
    """Write the figures with the machine and the commit that they were measured on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    machine = {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()}
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(figure) for figure in figures]
    path.write_text(json.dumps({"v": 1, "commit": commit, "machine": machine, "figures": rows}, indent=2) + "\n")


def _rate(block: Block) -> float:
    began = time.perf_counter()
    count = block()
    return count / (time.perf_counter() - began)
