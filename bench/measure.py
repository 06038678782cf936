"""Interleaved blocks: a subject and its floor take turns, so that what the machine does meanwhile happens to both.

A figure is the median over the blocks of (floor's time / subject's time): how much of the floor's speed is left.
Absolute times drift on shared machines; the ratio is what is compared. An amount is counted and not timed.
"""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Block = Callable[[], int]
"""Does a block of work and returns how many operations it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table. per_s: operations a second, median; floor_per_s likewise; ratio: of the two, block by
    block. met: whether the target is, which says how much of the ratio or how many a second are wanted.
    """

    name: str
    per_s: float
    floor: str
    floor_per_s: float
    ratio: float
    blocks: int
    target: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """One row of the second table: what was counted, in which unit, and the most that it should be."""

    name: str
    value: float
    unit: str
    most: float

    @property
    def met(self) -> bool:
        return self.value <= self.most


def compare(
    name: str,
    subject: Block,
    *,
    floor: str,
    floor_block: Block,
    blocks: int,
    least_ratio: float = 0,
    least_per_s: float = 0,
) -> Figure:
    """Return the figure of a subject against its floor, block by block in turn, after one block of each to warm up."""
    subject()
    floor_block()
    rates: list[float] = []
    floors: list[float] = []
    for _ in range(blocks):
        floors.append(_rate(floor_block))
        rates.append(_rate(subject))
    ratio = statistics.median(rate / below for rate, below in zip(rates, floors, strict=True))
    per_s = statistics.median(rates)
    return Figure(
        name=name,
        per_s=per_s,
        floor=floor,
        floor_per_s=statistics.median(floors),
        ratio=ratio,
        blocks=blocks,
        target=f"{least_ratio:.2f}" if least_ratio else f"{least_per_s:,.0f}/s" if least_per_s else "",
        met=ratio >= least_ratio and per_s >= least_per_s,
    )


def table(rows: list[Figure | Amount]) -> str:
    """Return the rows as lines of text, one each: figures, then amounts."""
    figures = [("what", "a second", "floor", "a second", "ratio", "target", "")]
    amounts = [("what", "amount", "unit", "at most", "")]
    for row in rows:
        said = "" if row.met else "missed"
        if isinstance(row, Figure):
            rates = (f"{row.per_s:,.0f}", row.floor, f"{row.floor_per_s:,.0f}", f"{row.ratio:.2f}")
            figures.append((row.name, *rates, row.target, said))
        else:
            amounts.append((row.name, f"{row.value:,.2f}", row.unit, f"{row.most:,.2f}", said))
    return "\n\n".join(_aligned(lines) for lines in (figures, amounts) if len(lines) > 1)


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def write_json(rows: list[Figure | Amount], path: Path) -> None:
    """Write the rows with the machine and the commit that they were measured on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    machine = {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()}
    path.parent.mkdir(parents=True, exist_ok=True)
    said = [{**asdict(row), "met": row.met} for row in rows]
    path.write_text(json.dumps({"v": 1, "commit": commit, "machine": machine, "rows": said}, indent=2) + "\n")


def _rate(block: Block) -> float:
    began = time.perf_counter()
    count = block()
    return count / (time.perf_counter() - began)
