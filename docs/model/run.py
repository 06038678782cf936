"""Search every row and print what it came to, step by step where it breaks; exit code 1 where one ends otherwise than
it says.

python -m docs.model.run [--fast] [WORDS…]       rows whose name holds one of WORDS
python -m docs.model.run --write                 those that break, into counterexamples.md
"""

import sys
import time

from docs.model.approval import ROWS
from docs.model.rows import HOLDS, WEAK
from docs.model.words import HEAD, PAGE, section, steps


def main(arguments: list[str]) -> int:
    """Run the rows that were asked for."""
    fast, write, wrong = "--fast" in arguments, "--write" in arguments, 0
    words = [word for word in arguments if not word.startswith("--")]
    page = HEAD
    print(f"{'row':<46} {'rule off':<20} {'result':<10} {'states':>9} {'steps':>5} {'s':>6}")
    for row in (*HOLDS, *WEAK, *ROWS):
        named = not words or any(word in row.name for word in words)
        if not named or (fast and not row.fast) or (write and not row.breaks):
            continue
        began = time.monotonic()
        found = row.run()
        right = found.broken == row.breaks
        wrong += not right
        result = f"breaks {found.broken}" if found.broken else "holds"
        took = time.monotonic() - began
        print(
            f"{row.name:<46} {row.off or '':<20} {result:<10} "
            f"{found.states:>9} {len(found.trace) or '':>5} {took:>6.1f}"
            f"{'' if right else f'   want {row.breaks}'}",
            flush=True,
        )
        if found.broken:
            print("".join(f"    {step}\n" for step in steps(row, found)), flush=True)
            page += section(row, found)
    if write:
        PAGE.write_text(page, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
