"""A process of its own for the tests of stores: appends until it is told to stop, or is killed.

usage: appender.py DIRECTORY NAME ROUNDS CHAINS. It prints a line for each entry once it is durable: leaf index, number.
"""

import sys
from hashlib import sha256

from invoke_log.format.merkle import leaf_hash
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.protocol import Appended, Pending


def main(directory: str, name: str, rounds: int, chains: int) -> None:
    store = LmdbStore.open(directory)
    for turn in range(rounds):
        number = f"{name}{turn}"
        chain = bytes(15) + bytes([turn % chains]) + b"hot"
        with store.snapshot() as reader:
            row = reader.head(chain)
        signature = sha256(number.encode()).digest() * 2
        body = b"%b " % number.encode() + bytes(400)
        pending = Pending(
            body=body,
            signature=signature,
            entry_leaf_hash=leaf_hash(body + signature),
            expect={chain: row.head if row else None},
            rows=[(chain, signature[:32], number.encode())],
        )
        [answer] = store.append([pending])
        if isinstance(answer, Appended):
            print(answer.index, number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
