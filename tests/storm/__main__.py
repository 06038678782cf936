"""`python -m tests.storm [--effects N] [--rounds N] [--seed N] [--unguarded]`: storms over new providers, each printed.

The exit code is 1 where anything is twice or wrong.
"""

import argparse
import logging
import secrets
import sys
import time

from tests.storm.storm import lines, run


def main() -> int:
    parser = argparse.ArgumentParser(description="a storm over every observability")
    parser.add_argument("--effects", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--unguarded", action="store_true", help="the control: agents without a guard")
    asked = parser.parse_args()
    faults = 0
    for seed in range(asked.seed, asked.seed + asked.rounds):
        began_s = time.monotonic()
        verdict = run(effects=asked.effects, seed=seed, guarded=not asked.unguarded)
        print("\n".join(lines(verdict, seed)), f"{time.monotonic() - began_s:.0f} s", sep="\n", flush=True)
        faults += len(verdict.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # a provider here logs every request
    sys.exit(main())
