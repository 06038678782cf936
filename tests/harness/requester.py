"""A process that makes one guarded call with a key of its own, and says how it ended.

Arguments: the log's directory, the key's file, the provider (a file with one tag a line). Prints the ending's name.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from invoke_log.guard.guard import Guard
from invoke_log.ledger.log import Log
from invoke_log.log.signer import load_key
from tests.harness.shop import ARGUMENTS
from tests.harness.victim import charging


def main(arguments: Sequence[str]) -> None:
    path, key, provider = map(Path, arguments)
    with Log.open(path) as log:
        guard = Guard(log, key=load_key(key))
        charging(guard, provider)
        print(type(guard.call("charge", ARGUMENTS)).__name__)


if __name__ == "__main__":
    main(sys.argv[1:])
