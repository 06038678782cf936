"""Search every row and print what it came to; exit code 1 where one ends otherwise than it says.

python -m docs.model.run [--fast] [WORDS…]       rows whose name holds one of WORDS
"""

import sys
import time

from docs.model.approval import ROWS
from docs.model.rows import HOLDS, WEAK


def main(arguments: list[str]) -> int:
    """Run the rows that were asked for."""
    fast, words, wrong = "--fast" in arguments, [word for word in arguments if not word.startswith("--")], 0
    print(f"{'row':<46} {'rule off':<20} {'result':<10} {'states':>9} {'trace':>5} {'s':>6}")
    for row in (*HOLDS, *WEAK, *ROWS):
        if (fast and not row.fast) or (words and not any(word in row.name for word in words)):
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
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
