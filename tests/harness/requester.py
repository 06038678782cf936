"""A process that makes one guarded call with a key of its own, and says how it ended.

Arguments: the log's directory, the key's file, the provider (a file with one tag a line). Prints the ending's name.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from invoke_log.guard.guard import Guard
from invoke_log.guard.tool_call import Call
from invoke_log.ledger.log import Log
from invoke_log.log.signer import load_key
from invoke_log.rules.contract import complete_contract, parse_contract
from tests.harness.live import PARTIAL
from tests.harness.shop import ARGUMENTS, UNHURRIED_MS

CONTRACT: Final = parse_contract(
    complete_contract(
        {
            **PARTIAL,
            "send_deadline_ms": UNHURRIED_MS,
            "claim_ttl_ms": UNHURRIED_MS,
            "approvals": {"count": 1, "ttl_ms": UNHURRIED_MS},
        }
    )
)


def charging(guard: Guard, provider: Path) -> None:
    """Put the tool under the guard: it charges at the provider."""

    def charge(customer: str, order: str, amount: int, *, invoke: Call) -> str:
        with provider.open("a") as stream:
            print(invoke.tag, file=stream, flush=True)
        return invoke.tag

    guard.tool(CONTRACT, read_back=lambda call: [])(charge)


def main(arguments: Sequence[str]) -> None:
    path, key, provider = map(Path, arguments)
    with Log.open(path) as log:
        guard = Guard(log, key=load_key(key))
        charging(guard, provider)
        print(type(guard.call("charge", ARGUMENTS)).__name__)


if __name__ == "__main__":
    main(sys.argv[1:])
