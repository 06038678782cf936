"""vectors/text/unicode13_assigned.json, the repertoire of text for other languages; and where its table comes from.

The vector is written from the table in src/invoke_log/format/repertoire.py. To make that table anew, run

    python vectors/generate/repertoire.py [DIRECTORY]

where node is: DIRECTORY holds the npm package @unicode/unicode-13.0.0 unpacked; without it, `npm pack` fetches the
version below. The ranges are the complement of its general categories Unassigned (Cn) and Surrogate (Cs). Unicode
13.0.0 is final: there is no reason to run this but doubt.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from pathlib import Path

from invoke_log.format import repertoire

AREAS = ("text",)

PACKAGE = "@unicode/unicode-13.0.0@2.0.7"
SOURCE_FILE = Path(repertoire.__file__)
TABLE_OPENS = '_GAPS_AND_LENGTHS: Final = """\n'
CODE_POINTS = 0x110000

PRINT_RANGES = """
const ranges = [];
for (const category of ["Unassigned", "Surrogate"]) {
  const found = await import(`${process.argv[1]}/General_Category/${category}/ranges.mjs`);
  for (const range of found.default) ranges.push([range.begin, range.end]);
}
console.log(JSON.stringify(ranges));
"""


def generate() -> dict[str, bytes]:
    """Return the ranges as JSON, one [first, last] a line."""
    lines = ",\n".join(f"[{first}, {last}]" for first, last in repertoire.assigned_ranges())
    return {"text/unicode13_assigned.json": f"[\n{lines}\n]\n".encode()}


def fetch(directory: Path) -> Path:
    """Return where the package was unpacked."""
    command = ["npm", "pack", "--silent", PACKAGE]
    file_name = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()
    with tarfile.open(directory / file_name) as archive:
        archive.extractall(directory, filter="data")
    return directory / "package"


def excluded(package: Path) -> list[tuple[int, int]]:
    """Return the ranges of Unassigned and Surrogate as (first, one past the last), ascending."""
    command = ["node", "--input-type=module", "--eval", PRINT_RANGES, str(package.resolve())]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted((begin, end) for begin, end in json.loads(printed))


def complement(holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges between the holes as (first, last)."""
    edges = [0, *(edge for hole in holes for edge in hole), CODE_POINTS]
    return [(begin, end - 1) for begin, end in zip(edges[::2], edges[1::2], strict=True) if begin < end]


def table(ranges: list[tuple[int, int]]) -> str:
    """Return the ranges as the source writes them: gap+length in hex, the length left out where it is one."""
    words = []
    following = 0
    for first, last in ranges:
        words.append(f"{first - following:x}" + (f"+{last - first + 1:x}" if last > first else ""))
        following = last + 1
    return textwrap.fill(" ".join(words), width=118)


def main() -> None:
    """Put the table made from the package into the source."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(sys.argv[1]) if len(sys.argv) > 1 else fetch(Path(scratch))
        ranges = complement(excluded(package))
    head, opening, rest = SOURCE_FILE.read_text().partition(TABLE_OPENS)
    _, closing, tail = rest.partition('"""')
    SOURCE_FILE.write_text(f"{head}{opening}{table(ranges)}\n{closing}{tail}")


if __name__ == "__main__":
    main()
