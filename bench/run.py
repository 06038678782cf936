"""Measure what design targets speak of, each against a floor in the same run: `make bench`.

python bench/run.py [--blocks N] [--json FILE] [NAME …]
"""

import argparse
import asyncio
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2
import lmdb
from nacl.signing import SigningKey

import invoke_log as il
from bench.measure import Block, Figure, compare, table, write_json
from invoke_log.audit.structure import read_leaves
from invoke_log.format import digest, keys, merkle
from invoke_log.format.bundle import BundleReader
from invoke_log.format.envelope import Envelope, signed_bytes
from invoke_log.ledger.log import sign_event
from invoke_log.log import home
from invoke_log.log.engine import Engine, Pending
from invoke_log.rules.kind import Note

SEED = b"\x07" * 32
BLOCK = 50


class Bench:
    """A scratch directory and what is measured in it."""

    def __init__(self, place: Path, *, blocks: int) -> None:
        self.place = place
        self.blocks = blocks
        self.key = SigningKey(SEED)
        self.serial = itertools.count()
        self._floor = lmdb.open(str(place / "floor"), map_size=1 << 34, max_dbs=1)

    def figures(self) -> Iterator[tuple[str, Callable[[], Figure]]]:
        """Every row by its name; nothing is measured before it is called."""
        yield "engine", self.engine_one
        yield "engine-many", self.engine_many
        yield "tasks-16", lambda: self.engine_tasks(16)
        yield "tasks-64", lambda: self.engine_tasks(64)
        yield "replay", self.replay
        yield "guard", self.guard

    def floor_a(self) -> int:
        """Floor A: plain dumps, sign, ONE put, one default-sync commit."""
        for _ in range(BLOCK):
            serial = next(self.serial)
            body = cbor2.dumps(self._fields(serial))
            signature = self.key.sign(body).signature
            with self._floor.begin(write=True) as txn:
                txn.put(serial.to_bytes(8, "big"), body + signature, append=True)
        return BLOCK

    def engine_one(self) -> Figure:
        """Encode, sign, verify the signature, append one note with one chain row; durable."""
        engine = self._engine("one")

        def block() -> int:
            for _ in range(BLOCK):
                engine.append([self._pending(self._note())])
            return BLOCK

        return self._against_a("engine, one at a time, durable", block, "0.6")

    def engine_many(self) -> Figure:
        engine = self._engine("many")
        batches = iter([[self._pending(self._note()) for _ in range(100)] for _ in range(self.blocks + 1)])

        def block() -> int:
            engine.append(next(batches))
            return 100

        return self._against_a("engine, append_many of 100", block, "10k/s")

    def engine_tasks(self, tasks: int) -> Figure:
        log = self._log(f"tasks{tasks}")
        signer = il.load_key(log.path / "keys" / "agent.key")
        drafts = [self._draft(log, signer) for _ in range((self.blocks + 1) * tasks * 8)]
        waiting = iter(drafts)

        async def run() -> None:
            async def task() -> None:
                for _ in range(8):
                    await log.aappend(next(waiting))

            await asyncio.gather(*(task() for _ in range(tasks)))

        def block() -> int:
            asyncio.run(run())
            return tasks * 8

        figure = self._against_a(f"ledger, {tasks} tasks in one process", block, {16: "8k/s", 64: "12k/s"}[tasks])
        log.close()
        return figure

    def replay(self) -> Figure:
        """Replay with signatures, against verifying the same signatures on one core and doing nothing else."""
        log = self._log("replay")
        guard = il.Guard(log)

        @guard.tool("money.charge/1", resource="stripe/customer/{customer}", purpose="order")
        def charge(customer: str, amount: int, order: str) -> str:
            return order

        for number in range(700):
            charge(customer=f"c{number % 300}", amount=number, order=str(number))
        bundle = self.place / "replay.bundle"
        with bundle.open("wb") as stream:
            log.export(stream.write)
        log.close()
        with bundle.open("rb") as raw:
            leaves = list(read_leaves(BundleReader(raw).entries()))
        envelopes = [leaf.envelope for leaf in leaves]
        signed = [(e.fields["by"], signed_bytes(e.fields, e.body), e.signature) for e in envelopes]

        def floor() -> int:
            for by, message, signature in signed:
                assert isinstance(by, bytes)
                keys.verify(by, message, signature)
            return len(signed)

        def subject() -> int:
            report = il.replay(bundle)
            assert report.ok
            return report.size

        return compare(
            "replay with signatures",
            subject,
            floor="verify, one core",
            floor_block=floor,
            blocks=max(3, self.blocks // 8),
            target="0.55",
        )

    def guard(self) -> Figure:
        """A guarded call of a tool that does nothing, against a floor of one commit."""
        log = self._log("guard")
        guard = il.Guard(log)

        @guard.tool("money.charge/1", resource="stripe/customer/{customer}", purpose="order")
        def charge(customer: str, amount: int, order: str) -> str:
            return order

        def block() -> int:
            for _ in range(BLOCK):
                number = next(self.serial)
                charge(customer=f"c{number}", amount=1, order=str(number))
            return BLOCK

        figure = self._against_a("guarded call, two commits", block, "2 commits + 0.5 ms")
        log.close()
        return figure

    def close(self) -> None:
        self._floor.close()

    def _against_a(self, name: str, block: Block, target: str) -> Figure:
        return compare(name, block, floor="floor A", floor_block=self.floor_a, blocks=self.blocks, target=target)

    def _fields(self, serial: int) -> dict[str, object]:
        data = {"about": bytes(32), "text": "x" * 200}
        return {"v": 1, "kind": "note", "by": bytes(32), "at_ms": serial, "data": data}

    def _note(self) -> Envelope:
        serial = next(self.serial)
        note = Note(about=bytes(32), text=f"{serial:08d}" + "x" * 112)
        effect = digest.event_id(serial.to_bytes(8, "big"))
        return sign_event(note, _Signer(self.key), log=bytes(32), of=(effect, f"r/{serial % 100_000}"))

    def _pending(self, envelope: Envelope) -> Pending:
        by = envelope.fields["by"]
        assert isinstance(by, bytes)
        assert keys.verify(by, signed_bytes(envelope.fields, envelope.body), envelope.signature)
        event = digest.event_id(envelope.body)
        chain = event[:16] + b"n" + event
        leaf = merkle.leaf_hash(envelope.entry)
        return Pending(
            body=envelope.body,
            signature=envelope.signature,
            entry_leaf_hash=leaf,
            expect={chain: None},
            rows=[(chain, event, b"")],
        )

    def _draft(self, log: il.Log, signer: il.Signer) -> Envelope:
        serial = next(self.serial)
        note = Note(about=bytes(32), text=f"{serial:08d}" + "x" * 112)
        effect = digest.event_id(serial.to_bytes(8, "big"))
        return log.draft(note, signer, effect=effect, resource=f"r/{serial % 100_000}")

    def _engine(self, name: str) -> Engine:
        place = self.place / name
        home.create_home(place, key_seeds={}, first=lambda _: [])
        return Engine(lambda: home.open_store(place))

    def _log(self, name: str) -> il.Log:
        return il.Log.create(self.place / name, origin=f"example.com/{name}")


class _Signer:
    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.public_key = bytes(key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="rows to measure; all where none is named")
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"))
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="invoke-log-bench-"))
    bench = Bench(place, blocks=options.blocks)
    figures: list[Figure] = []
    try:
        for name, measure in bench.figures():
            if not options.names or name in options.names:
                print(f"measuring {name} …", file=sys.stderr, flush=True)
                figures.append(measure())
    finally:
        bench.close()
        shutil.rmtree(place, ignore_errors=True)
    print(table(figures))
    write_json(figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
