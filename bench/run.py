"""Measure what design targets speak of, each against a floor in the same run: `make bench`.

python bench/run.py [--blocks N] [--json FILE] [NAME …]

Where a target names 10^7 events, a row says at how many fewer it is measured. The rows of 16, 64 and 512 tasks are held
to the engine's targets and measured with the ledger, which judges each event besides.
"""

import argparse
import asyncio
import itertools
import logging
import shutil
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final
from unittest import mock

import cbor2
import lmdb
from nacl.signing import SigningKey

import invoke_log as il
from bench.measure import Amount, Block, Figure, compare, table, write_json
from invoke_log.format import digest, keys, merkle
from invoke_log.format.envelope import Envelope, decode_body, signed_bytes
from invoke_log.ledger.log import sign_event
from invoke_log.log import home
from invoke_log.log.engine import Engine, Pending
from invoke_log.rules.answer import Accepted
from invoke_log.rules.kind import Note

SEED: Final = b"\x07" * 32
BLOCK: Final = 50
BATCH: Final = 100
CALLS: Final = 7_000
"""Guarded calls of the log that is replayed, appended again and shown in receipts: three events each. So many that the
time in which replay's other processes begin is a small part of it.
"""
SIGNED: Final = 4_000
"""Signatures of it that are verified and nothing else, as a floor."""
NOTE_BYTES: Final = 445


class Bench:
    """A scratch directory and what is measured in it."""

    def __init__(self, place: Path, *, blocks: int) -> None:
        self.place = place
        self.blocks = blocks
        self.key = SigningKey(SEED)
        self.serial = itertools.count()
        self._floor = lmdb.open(str(place / "floor"), map_size=1 << 34, max_dbs=1)

    def rows(self) -> Iterator[tuple[str, Callable[[], Figure | Amount]]]:
        """Every row by its name; nothing is measured before it is called."""
        yield "engine-bound", self.engine_bound
        yield "engine", self.engine_one
        yield "engine-many", self.engine_many
        yield "engine-size", self.engine_at_size
        yield "tasks-16", lambda: self.ledger_tasks(16, least_per_s=8_000)
        yield "tasks-64", lambda: self.ledger_tasks(64, least_per_s=12_000)
        yield "tasks-512", lambda: self.ledger_tasks(512, least_per_s=18_000)
        yield "ledger", lambda: self.ledger(1, least_ratio=0.6)
        yield "ledger-many", lambda: self.ledger(BATCH, least_ratio=0.5)
        yield "replay", self.replay
        yield "replay-unsigned", self.replay_unsigned
        yield "receipt-make", self.receipt_make
        yield "receipt-verify", self.receipt_verify
        yield "open", self.open
        yield "guard", lambda: self._guarded
        yield "guard-excess", self.guard_excess
        yield "guard-signatures", self.guard_signatures
        yield "disk", self.disk
        yield "memory", self.replay_memory

    # Floors.

    def floor_a(self) -> int:
        """Floor A: plain dumps, sign, ONE put, one default-sync commit."""
        for _ in range(BLOCK):
            self._put([self._fields(next(self.serial))])
        return BLOCK

    def two_commits(self) -> int:
        """What a guarded call waits for: two default-sync commits of two puts each, nothing signed."""
        for _ in range(2 * BLOCK):
            with self._floor.begin(write=True) as txn:
                for _ in range(2):
                    txn.put(next(self.serial).to_bytes(8, "big"), bytes(NOTE_BYTES), append=True)
        return BLOCK

    def verify(self) -> int:
        """Signatures of the log of calls, on one core and nothing else."""
        for by, message, signature in self._signed:
            keys.verify(by, message, signature)
        return len(self._signed)

    # The engine: bytes, and no rules.

    def engine_one(self) -> Figure:
        """Encode, sign, verify the signature, append one note with one chain row; durable."""
        engine = self._engine("one")

        def block() -> int:
            for _ in range(BLOCK):
                engine.append([self._pending(self._note())])
            return BLOCK

        return self._against_a("engine, one at a time, durable", block, least_ratio=0.6)

    def engine_bound(self) -> Figure:
        """What is left of floor A for whoever verifies and has an index: the same, its signature verified, and one row
        under a hash. No engine that does both can be faster, whatever it is written in.
        """

        store = lmdb.open(str(self.place / "indexed"), map_size=1 << 34, max_dbs=1)
        by = bytes(self.key.verify_key)

        def block() -> int:
            for _ in range(BLOCK):
                serial = next(self.serial)
                body = cbor2.dumps(self._fields(serial))
                signature = self.key.sign(body).signature
                assert keys.verify(by, body, signature)
                with store.begin(write=True) as txn:
                    txn.put(b"c" + digest.event_id(body), body[:32])
                    txn.put(b"t" + serial.to_bytes(8, "big"), body + signature, append=True)
            return BLOCK

        figure = self._against_a("floor A, verified and with one index row", block)
        store.close()
        return figure

    def engine_many(self) -> Figure:
        engine = self._engine("many")
        batches = iter([[self._pending(self._note()) for _ in range(BATCH)] for _ in range(self.blocks + 1)])

        def block() -> int:
            engine.append(next(batches))
            return BATCH

        return self._against_a("engine, append of 100", block, least_per_s=10_000)

    def engine_at_size(self) -> Figure:
        """Appends of 100 to a store of 100,000 entries, against the same to one of 10,000; commits included."""
        blocks: list[Block] = []
        for size in (100_000, 10_000):
            engine = self._engine(f"size{size}")
            for _ in range(size // 1_000):
                engine.append([self._raw() for _ in range(1_000)])
            blocks.append(lambda engine=engine: len(engine.append([self._raw() for _ in range(BATCH)])))  # type: ignore[misc]
        return compare(
            "engine, append of 100 at 10^5 entries (the target: 10^7)",
            blocks[0],
            floor="the same at 10^4",
            floor_block=blocks[1],
            blocks=self.blocks,
            least_ratio=1 / 1.3,
        )

    # The ledger: judged.

    def ledger_tasks(self, tasks: int, *, least_per_s: float) -> Figure:
        log = self._log(f"tasks{tasks}")
        signer = il.load_key(log.path / "keys" / "agent.key")
        each = max(1, 128 // tasks)
        drafts = iter([self._draft(log, signer) for _ in range((self.blocks + 1) * tasks * each)])

        async def run() -> None:
            async def task() -> None:
                for _ in range(each):
                    await log.aappend(next(drafts))

            await asyncio.gather(*(task() for _ in range(tasks)))

        with asyncio.Runner() as loop:  # one for all blocks: what it takes to make one is no append

            def block() -> int:
                loop.run(run())
                return tasks * each

            figure = self._against_a(
                f"ledger (the target: engine), {tasks} tasks in one process", block, least_per_s=least_per_s
            )
        log.close()
        return figure

    def ledger(self, count: int, *, least_ratio: float) -> Figure:
        """The events of guarded calls, made beforehand, to a log that is the same up to the first of them."""
        place = self.place / f"ledger{count}"
        shutil.copytree(self._calls / "before", place)
        log = il.Log.open(place)
        batches = [self._events[at : at + count] for at in range(0, len(self._events), count)]
        events, fields = iter(batches), itertools.cycle([[event.fields for event in batch] for batch in batches])
        size = max(BLOCK, count)

        def block() -> int:
            for _ in range(size // count):
                assert all(isinstance(answer, Accepted) for answer in log.append_many(next(events)))
            return size

        def floor() -> int:
            for _ in range(size // count):
                self._put(next(fields))
            return size

        figure = compare(
            f"ledger, append_many of {count}" if count > 1 else "ledger, one at a time, durable",
            block,
            floor="encode, sign, commit",
            floor_block=floor,
            blocks=min(self.blocks, len(self._events) // size - 1),
            least_ratio=least_ratio,
        )
        log.close()
        return figure

    # The auditor.

    def replay(self) -> Figure:
        """Replay with signatures, against verifying the same signatures on one core and doing nothing else."""
        return self._against_verify("replay with signatures", self._replayed, least_ratio=0.55)

    def replay_unsigned(self) -> Figure:
        """The same without its signatures, which only this row can leave out, and in one process."""
        alone = mock.patch("invoke_log.audit.structure.CHUNKS_ALONE", 1 << 30)

        def trust(envelope: Envelope) -> None:
            """Verify nothing. A mock would take a seventh of what is measured."""

        def block() -> int:
            with alone, mock.patch("invoke_log.audit.leaf.verify_envelope", trust):
                return self._replayed()

        return self._against_verify("replay but for signatures", block, least_per_s=45_000)

    def receipt_make(self) -> Figure:
        log = il.Log.open(self._calls / "after")
        log.checkpoint()
        effects = itertools.cycle([effect.effect for effect in il.replay(self._bundle).effects])

        def block() -> int:
            for _ in range(BLOCK):
                log.receipt(next(effects))
            return BLOCK

        figure = self._against_verify(f"receipt, made, at {3 * CALLS:,} events", block, least_per_s=1_000 / 1.5)
        log.close()
        return figure

    def receipt_verify(self) -> Figure:
        log = il.Log.open(self._calls / "after")
        log.checkpoint()
        trust = log.verifier_key
        effects = islice(il.replay(self._bundle).effects, BLOCK)
        receipts = [log.receipt(effect.effect) for effect in effects]
        log.close()

        def block() -> int:
            for receipt in receipts:
                il.verify_receipt(receipt, trust=trust)
            return len(receipts)

        return self._against_verify(f"receipt, verified, at {3 * CALLS:,} events", block, least_per_s=1_000)

    def replay_memory(self) -> Amount:
        """Bytes at the peak of a replay, each effect's share: the log of all calls, less that of half as many."""
        half = self.place / "half.bundle"
        log = self._log("half")
        self._call(log, CALLS // 2)
        with half.open("wb") as stream:
            log.export(stream.write)
        log.close()
        peaks: list[int] = []
        for bundle in (half, self._bundle):
            il.replay(bundle)  # what is loaded and cached once is nobody's share
            tracemalloc.start()
            il.replay(bundle)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        share = (peaks[1] - peaks[0]) / (CALLS - CALLS // 2)
        return Amount(name="replay memory, three events an effect", value=share, unit="B an effect", most=700)

    # The rest.

    def open(self) -> Figure:
        place = self._calls / "after"

        def block() -> int:
            for _ in range(BLOCK):
                il.Log.open(place).close()
            return BLOCK

        return self._against_a(f"open and close, warm, at {3 * CALLS:,} events", block, least_per_s=200)

    @cached_property
    def _guarded(self) -> Figure:
        """A guarded call of a tool that does nothing."""
        log = self._log("guard")
        figure = compare(
            "guarded call",
            lambda: self._call(log, BLOCK),
            floor="two commits",
            floor_block=self.two_commits,
            blocks=self.blocks,
        )
        log.close()
        return figure

    def guard_excess(self) -> Amount:
        excess = 1_000 / self._guarded.per_s - 1_000 / self._guarded.floor_per_s
        return Amount(name="guarded call over the bare tool and two commits", value=excess, unit="ms", most=0.5)

    def guard_signatures(self) -> Amount:
        """What the three events of a guarded call take to be signed, and verified before they are stored."""
        messages = [body for _, body, _ in self._signed[: 3 * BLOCK]]

        def block() -> int:
            for message in messages:
                keys.verify(bytes(self.key.verify_key), message, self.key.sign(message).signature)
            return BLOCK

        per_s = self._against_a("signatures of a guarded call", block).per_s
        return Amount(name="of that, three signatures made and verified", value=1_000 / per_s, unit="ms", most=0.5)

    def disk(self) -> Amount:
        """In appends of 100, as above: the pages that a commit has copied lie free until the one after the next. Of
        1,000 notes in one commit that is a quarter of so small a log.
        """
        place = self.place / "disk"
        engine = self._engine("disk")
        count = 20_000
        notes = (self._pending(self._note()) for _ in range(count))
        while batch := list(islice(notes, BATCH)):
            engine.append(batch)
        engine.close()
        blocks = sum(512 * path.stat().st_blocks for path in place.rglob("*") if path.is_file())
        return Amount(name=f"on disk for a note of {self._note_bytes} bytes", value=blocks / count, unit="B", most=900)

    def close(self) -> None:
        self._floor.close()

    def _against_a(self, name: str, block: Block, **least: float) -> Figure:
        return compare(name, block, floor="floor A", floor_block=self.floor_a, blocks=self.blocks, **least)

    def _against_verify(self, name: str, block: Block, **least: float) -> Figure:
        blocks = max(3, self.blocks // 8)
        return compare(name, block, floor="verify, one core", floor_block=self.verify, blocks=blocks, **least)

    def _put(self, fields: Sequence[object]) -> None:
        rows: list[bytes] = []
        for each in fields:
            body = cbor2.dumps(each)
            rows.append(body + self.key.sign(body).signature)
        with self._floor.begin(write=True) as txn:
            for row in rows:
                txn.put(next(self.serial).to_bytes(8, "big"), row, append=True)

    @cached_property
    def _calls(self) -> Path:
        """A log as it is before and after guarded calls. The log key goes away: no tick comes between the events."""
        place = self.place / "calls"
        log = self._log("calls/after")
        self._call(log, 1, order="first")
        log.close()
        shutil.move(place / "after" / "keys" / "log.key", place / "log.key")
        shutil.copytree(place / "after", place / "before")
        log = il.Log.open(place / "after")
        self._call(log, CALLS)
        log.close()
        shutil.move(place / "log.key", place / "after" / "keys" / "log.key")
        return place

    @cached_property
    def _bundle(self) -> Path:
        bundle = self.place / "calls.bundle"
        log = il.Log.open(self._calls / "after")
        with bundle.open("wb") as stream:
            log.export(stream.write)
        log.close()
        return bundle

    @cached_property
    def _envelopes(self) -> list[Envelope]:
        log = il.Log.open(self._calls / "after", read_only=True)
        pairs = [(entry.body, entry.signature) for entry in log.entries()]
        log.close()
        return [Envelope(body=body, signature=signature, fields=decode_body(body)) for body, signature in pairs]

    @cached_property
    def _events(self) -> list[Envelope]:
        """The events of the calls, in order, from the first that the log before them does not hold."""
        log = il.Log.open(self._calls / "before", read_only=True)
        size = sum(1 for _ in log.entries())
        log.close()
        return self._envelopes[size : size + 3 * CALLS]

    @cached_property
    def _signed(self) -> list[tuple[bytes, bytes, bytes]]:
        signed: list[tuple[bytes, bytes, bytes]] = []
        for envelope in self._envelopes[:SIGNED]:
            by = envelope.fields["by"]
            assert isinstance(by, bytes)
            signed.append((by, signed_bytes(envelope.fields, envelope.body), envelope.signature))
        return signed

    def _replayed(self) -> int:
        report = il.replay(self._bundle)
        assert report.ok
        return report.size

    def _call(self, log: il.Log, count: int, *, order: str = "") -> int:
        guard = il.Guard(log)

        @guard.tool("money.charge/1", resource="stripe/customer/{customer}", purpose="order")
        def charge(customer: str, amount: int, order: str) -> str:
            return order

        for _ in range(count):
            number = next(self.serial)
            charge(customer=f"c{number % 300}", amount=number, order=order or str(number))
        return count

    def _fields(self, serial: int) -> dict[str, object]:
        data = {"about": bytes(32), "text": "x" * 200}
        return {"v": 1, "kind": "note", "by": bytes(32), "at_ms": serial, "data": data}

    def _note(self) -> Envelope:
        serial = next(self.serial)
        note = Note(about=bytes(32), text=f"{serial:08d}" + "x" * 152)
        effect = digest.event_id(serial.to_bytes(8, "big"))
        return sign_event(note, _Signer(self.key), log=bytes(32), of=(effect, f"r/{serial % 100_000}"))

    @property
    def _note_bytes(self) -> int:
        return len(self._note().body) + 64

    def _pending(self, envelope: Envelope) -> Pending:
        by = envelope.fields["by"]
        assert isinstance(by, bytes)
        assert keys.verify(by, signed_bytes(envelope.fields, envelope.body), envelope.signature)
        event = digest.event_id(envelope.body)
        return _row(envelope.body, envelope.signature, event, merkle.leaf_hash(envelope.entry))

    def _raw(self) -> Pending:
        """An entry for the engine alone, which reads neither body nor signature."""
        body = next(self.serial).to_bytes(NOTE_BYTES - 64, "big")
        event = digest.event_id(body)
        return _row(body, bytes(64), event, merkle.leaf_hash(body))

    def _draft(self, log: il.Log, signer: il.Signer) -> Envelope:
        serial = next(self.serial)
        note = Note(about=bytes(32), text=f"{serial:08d}" + "x" * 152)
        effect = digest.event_id(serial.to_bytes(8, "big"))
        return log.draft(note, signer, effect=effect, resource=f"r/{serial % 100_000}")

    def _engine(self, name: str) -> Engine:
        place = self.place / name
        home.create_home(place, key_seeds={}, fill=lambda place, engine: None)
        return Engine(lambda: home.open_store(place))

    def _log(self, name: str) -> il.Log:
        place = self.place / name
        place.parent.mkdir(exist_ok=True)
        return il.Log.create(place, origin=f"example.com/{place.name}")


def _row(body: bytes, signature: bytes, event: bytes, leaf: bytes) -> Pending:
    chain = event[:16] + b"n" + event
    rows = [(chain, event, b"")]
    return Pending(body=body, signature=signature, entry_leaf_hash=leaf, expect={chain: None}, rows=rows)


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
    logging.disable()  # that a contract is registered with a key beside the log is no news here
    place = Path(tempfile.mkdtemp(prefix="invoke-log-bench-"))
    bench = Bench(place, blocks=options.blocks)
    rows: list[Figure | Amount] = []
    try:
        for name, measure in bench.rows():
            if not options.names or name in options.names:
                print(f"measuring {name} …", file=sys.stderr, flush=True)
                rows.append(measure())
    finally:
        bench.close()
        shutil.rmtree(place, ignore_errors=True)
    print(table(rows))
    write_json(rows, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
