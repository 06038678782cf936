"""A process that races for ten effects, each with its intent and START in one append, and prints its answers as JSON.

Arguments: the log's directory, a file whose appearance starts the race, the seed of its key.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from invoke_log.ledger.log import Log
from invoke_log.log.signer import FileSigner
from tests.harness.live import Clock, Live


def race(path: Path, go: Path, key: FileSigner) -> list[list[str]]:
    with Log.open(path) as log:
        live = Live(log, Clock(), key, key, key)
        [live.contract] = log.governance.contracts.values()
        while not go.exists():
            time.sleep(0.001)
        heard = []
        for order in range(10):
            while True:
                answers = live.append(live.begun(live.bound(order=str(order), customer=f"cus_{order}")))
                if getattr(answers[0], "code", "") != "now-stale":
                    break
            heard.append([type(answer).__name__ for answer in answers])
        return heard


if __name__ == "__main__":
    print(json.dumps(race(Path(sys.argv[1]), Path(sys.argv[2]), FileSigner(bytes([int(sys.argv[3])]) * 32))))
