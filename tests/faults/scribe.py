"""The script whose every write is journaled: makes a log and fills it with notes, attachments and checkpoints.

    python scribe.py PLACE TURNS [sync=off | metasync=off]

One line on stdout for each thing that it was told is durable: `log`, `entries SIZE`, `attachment HEX`, `checkpoint
HEX`.
Keys, clock and turns are always the same. With `sync=off` or `metasync=off` LMDB is opened with less than the product
asks of it: the controls.
"""

import itertools
import os
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lmdb

import invoke_log as il
from invoke_log.format import digest
from invoke_log.format.envelope import Envelope
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Accepted
from invoke_log.rules.kind import Note

SEED = 1
T0 = 1_790_000_000_000


def main() -> int:
    place, turns, switches = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    off: dict[str, Any] = {switch.removesuffix("=off"): False for switch in switches}
    seeds, times = itertools.count(1), itertools.count(T0, 400)
    with (
        patch("secrets.token_bytes", lambda length: bytes([next(seeds)]) * length),
        patch("invoke_log.ledger.log._now_ms", lambda: next(times)),
        patch("lmdb.open", partial(lmdb.open, **off)),
    ):
        log = il.Log.create(place / "log", origin="example.com/faults")
        say("log")
        write(log, il.load_key(place / "log" / "keys" / "agent.key"), turns)
        log.close()
    return 0


def write(log: il.Log, key: FileSigner, turns: int) -> None:
    """Small entries and long ones, alone and many in a commit, between attachments and checkpoints."""
    rng, numbers = random.Random(SEED), itertools.count()
    for turn in range(turns):
        what = rng.choices(("one", "many", "attachment", "checkpoint"), (12, 2, 2, 2))[0] if turn else "checkpoint"
        if what == "attachment":
            say(f"attachment {log.keep_attachment(rng.randbytes(rng.choice((10, 9_000)))).hex()}")
        elif what == "checkpoint":
            say(f"checkpoint {log.checkpoint().hex()}")
        else:
            notes = [note(log, key, next(numbers), rng) for _ in range(1 if what == "one" else rng.randrange(2, 8))]
            answers = log.append_many(notes)
            accepted = [answer.index for answer in answers if isinstance(answer, Accepted)]
            assert len(accepted) == len(notes), answers
            say(f"entries {accepted[-1] + 1}")


def note(log: il.Log, key: FileSigner, number: int, rng: random.Random) -> Envelope:
    text = "x" * rng.choice((10, 200, 1_500, 7_000))
    effect = digest.event_id(str(number).encode())
    return log.draft(Note(about=bytes(32), text=text), key, effect=effect, resource=f"r/{number % 7}")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one call, so that the journal has the line whole


if __name__ == "__main__":
    sys.exit(main())
