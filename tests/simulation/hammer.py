"""Many appends to few chains at once, each written down as its caller saw it.

As a program, one process of several: `python -m tests.simulation.hammer STORE HISTORY WORKER COUNT`; prints JSON lines.
"""

import dataclasses
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from invoke_log.format.merkle import leaf_hash
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.protocol import Appended, Moved, Pending, Store
from tests.simulation.linearizable import LOST, Heads, Seen

CHAINS: Final = 2
LOST_ODDS: Final = 0.1


def chain_name(history: int, chain: int) -> bytes:
    return history.to_bytes(16, "big") + bytes([chain])


def heads_of(store: Store, history: int) -> Heads:
    """What the chains of a history hold now."""
    with store.snapshot() as reader:
        rows = [reader.head(chain_name(history, chain)) for chain in range(CHAINS)]
        return int(reader.size), tuple(row.head.hex() if row else None for row in rows)


def hammer(store: Store, history: int, worker: int, count: int) -> Iterator[Seen]:
    """Append so many times on what was just read, to one chain or to both, and yield what came of it."""
    rng = random.Random(f"{history} {worker}")
    for turn in range(count):
        _, standing = heads_of(store, history)
        chains = rng.choice(((0,), (1,), (0, 1), (1, 0)))
        signature = sha256(f"{history} {worker} {turn}".encode()).digest() * 2
        names = [chain_name(history, chain) for chain in chains]
        expected = [bytes.fromhex(head) if (head := standing[chain]) is not None else None for chain in chains]
        pending = Pending(
            body=b"body",
            signature=signature,
            entry_leaf_hash=leaf_hash(signature),
            expect=dict(zip(names, expected, strict=True)),
            rows=[(name, signature[:32], b"") for name in names],
        )
        time.sleep(0.0001)  # others come first
        called = time.monotonic()
        [answer] = store.append([pending])
        returned = LOST if rng.random() < LOST_ODDS else time.monotonic()
        yield Seen(
            called=called,
            returned=returned,
            expect=tuple((chain, standing[chain]) for chain in chains),
            sets=tuple((chain, signature[:32].hex()) for chain in chains),
            index=answer.index if isinstance(answer, Appended) else None,
            moved=(answer.chain[-1], answer.head.hex() if answer.head else None) if isinstance(answer, Moved) else None,
        )


def hammered(store: Store, history: int, *, workers: int, count: int) -> tuple[Heads, list[Seen]]:
    """What stood before, and what so many threads saw that appended at once."""
    began, seen, barrier = heads_of(store, history), list[Seen](), threading.Barrier(workers)

    def work(worker: int) -> None:
        barrier.wait()
        seen.extend(hammer(store, history, worker, count))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return began, seen


def seen_in(line: str) -> Seen:
    """What a line of another process's output says."""
    fields = json.loads(line)
    pairs = {name: tuple(map(tuple, fields[name])) for name in ("expect", "sets")}
    return Seen(**{**fields, **pairs, "moved": tuple(fields["moved"]) if fields["moved"] else None})


def main(place: str, history: int, worker: int, count: int) -> None:
    store = LmdbStore.open(place)
    print(flush=True)
    sys.stdin.readline()  # all at once
    for seen in hammer(store, history, worker, count):
        print(json.dumps(dataclasses.asdict(seen)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
