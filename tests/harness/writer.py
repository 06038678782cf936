"""A process that appends decisions until it is killed, and prints the id and leaf of each once it is acknowledged.

Arguments: the log's directory, and a word that its orders begin with.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from invoke_log.ledger.log import Log
from invoke_log.log.signer import load_key
from invoke_log.rules.answer import Accepted
from tests.harness.live import Clock, Live


def write(path: Path, word: str) -> None:
    log_key, admin, agent = (load_key(path / "keys" / f"{name}.key") for name in ("log", "admin", "agent"))
    with Log.open(path) as log:
        live = Live(log, Clock(), log_key, admin, agent)
        [live.contract] = log.governance.contracts.values()
        for number in range(100_000):
            bound = live.bound(order=f"{word}-{number}", customer=f"cus_{number % 5}")
            for answer in live.append(live.begun(bound)):
                if isinstance(answer, Accepted):
                    print(answer.id.hex(), answer.index, flush=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
