"""Builds the disks that a power cut could leave, opens each as the next process would, and says what is not there.

    python powercut.py TRACE PLACE SEED COUNT FIRST STEP

TRACE is what `scribe.py` did to PLACE. Of COUNT images those numbered FIRST, FIRST + STEP … are tried. Prints one JSON
object: how many were tried, how many had no log yet, digests that tell different images apart, and what was lost, by
number. The same numbers give the same images.
"""

import json
import os
import random
import shutil
import sys
import tempfile
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Final

from blake3 import blake3

import invoke_log as il
from invoke_log.errors import NotFoundError
from invoke_log.format import digest
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.envelope import entry_of
from invoke_log.format.merkle import EMPTY_FRONTIER, leaf_hash
from invoke_log.format.note import parse_note
from invoke_log.log.home import open_store, read_attachment
from invoke_log.log.publish import CHECKPOINT_META
from invoke_log.store.protocol import Reader
from tests.faults.child import in_child, only_thread
from tests.faults.journal import Fate, Journal

CHUNK: Final = 64
"""Images that one child tries; where it is killed, they are tried again one by one."""
GO_ON_EVERY: Final = 23
"""Of this many images one is also appended to, signed and replayed."""
NO_LOG: Final = "no log"
SHM: Final = Path("/dev/shm")


def main() -> int:
    trace, place = Path(sys.argv[1]), Path(sys.argv[2])
    seed, count, first, step = (int(argument) for argument in sys.argv[3:])
    only_thread()
    os.umask(0o077)  # a key file that others may read is refused, and a journal has no modes
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as scratch:
        trial = Trial(Journal.read(trace, place), Finished.read(place / "log"), f"{scratch}/disk", seed, count)
        print(json.dumps(trial.run(range(first, count, step))))
    return 0


@dataclass
class Finished:
    """The log that no power cut met: its entries, their leaf hashes, and the root of its tree at each size."""

    entries: list[tuple[bytes, bytes]]
    leaves: list[bytes]
    roots: list[bytes]

    @classmethod
    def read(cls, log: Path) -> "Finished":
        with il.Log.open(log, read_only=True) as opened:
            entries = [(entry.body, entry.signature) for entry in opened.entries()]
        leaves = [leaf_hash(entry_of(*entry)) for entry in entries]
        frontier, roots = EMPTY_FRONTIER, [EMPTY_FRONTIER.root()]
        for leaf in leaves:
            frontier, _ = frontier.append(leaf)
            roots.append(frontier.root())
        return cls(entries, leaves, roots)

    def differs(self, reader: Reader) -> bool:
        """Whether a store holds anything but the first entries of this log, all of them and their tree."""
        size = reader.size
        return (
            size > len(self.entries)
            or list(reader.entries(0, size)) != self.entries[:size]
            or reader.hashes(0, 0, size) != self.leaves[:size]
            or reader.root != self.roots[size]
        )


@dataclass
class Image:
    number: int
    files: dict[str, bytes | None]
    said: list[str]


@dataclass
class Trial:
    """The images of one journal, and where they are put to be opened."""

    journal: Journal
    finished: Finished
    disk: str
    seed: int
    count: int
    cuts: list[int] = field(init=False)
    first: list[int] = field(init=False)
    """The number of the first image of each cut."""

    def __post_init__(self) -> None:
        sectors = self.journal.cuts()
        *before, total = accumulate(sectors.values(), initial=0)
        self.cuts = list(sectors)
        self.first = [self.count * lost_before // total for lost_before in before]

    def run(self, numbers: range) -> dict[str, object]:
        verdicts: dict[int, str] = {}
        seen: set[str] = set()
        for start in range(0, len(numbers), CHUNK):
            chunk = [self.image(number) for number in numbers[start : start + CHUNK]]
            seen |= {fingerprint(image.files) for image in chunk}
            found = in_child(partial(self.lost_of, chunk))
            if found.startswith("["):
                verdicts.update(zip((image.number for image in chunk), json.loads(found), strict=True))
            else:
                verdicts.update((image.number, in_child(partial(self.lost, image))) for image in chunk)
        lost = {number: text for number, text in verdicts.items() if text not in ("", NO_LOG)}
        none = sum(text == NO_LOG for text in verdicts.values())
        return {"tried": len(verdicts), "no_log": none, "seen": sorted(seen), "lost": lost}

    def image(self, number: int) -> Image:
        """Return an image by its number.

        Each cut has its share, by how much it may lose: one image where all of that is lost, one where nothing is, and
        then any. Cuts ascend with the numbers, so that the journal folds each write once.
        """
        at = bisect_right(self.first, number) - 1
        cut, nth = self.cuts[at], number - self.first[at]
        kept: list[Fate] = []
        if nth == 1:
            kept = [(index, ()) for index in self.journal.pending(cut)]
        elif nth > 1:
            kept = self.journal.fates(cut, random.Random(f"{self.seed}/{number}"))
        return Image(number, self.journal.image(cut, kept), self.journal.said(cut))

    def lost_of(self, images: list[Image]) -> str:
        return json.dumps([self.lost(image) for image in images])

    def lost(self, image: Image) -> str:
        """Return what the log in an image lacks of what was said, "" where that is nothing."""
        shutil.rmtree(self.disk, ignore_errors=True)
        for name, content in image.files.items():
            if content is None:
                os.mkdir(self.disk + name)  # noqa: PTH102 -- thousands of times; a Path costs more than the folder
            else:
                with open(self.disk + name, "wb") as stream:  # noqa: PTH123
                    stream.write(content)
        log = Path(self.disk, "log")
        try:
            missing = self.missing(log, image.said)
            return missing or (went_on(log) if image.number % GO_ON_EVERY == 0 else "")
        except NotFoundError as error:
            return NO_LOG if not image.said else f"{error.code}: {error.message}"
        except il.InvokeLogError as error:
            return f"{error.code}: {error.message}"

    def missing(self, log: Path, said: list[str]) -> str:
        store = open_store(log)
        try:
            with store.snapshot() as reader:
                size, differs = reader.size, self.finished.differs(reader)
            note = store.get_meta(CHECKPOINT_META)
        finally:
            store.close()
        if differs:
            return f"the {size} entries or their tree are not those that were written"
        signed = parse_body(parse_note(note).text).size if note is not None else 0
        for what, _, of in (line.partition(" ") for line in said):
            if what == "entries" and int(of) > size:
                return f"{of} entries were acknowledged, {size} are there"
            if what == "checkpoint" and parse_body(parse_note(bytes.fromhex(of)).text).size > signed:
                return f"a checkpoint was shown that is not journaled; the last is of size {signed}"
            if what == "attachment" and read_attachment(log, bytes.fromhex(of)) is None:
                return f"attachment {of} was kept and is not there"
        return ""


def went_on(log: Path) -> str:
    """Append to a log, sign it and replay it as a whole; return what went wrong, or ""."""
    with il.Log.open(log) as opened:
        if opened.tick() is None:
            return "the log key is not there"
        opened.checkpoint()
    report = il.replay(log)
    return "" if report.findings == () else f"{report.findings[0]}"


def fingerprint(files: dict[str, bytes | None]) -> str:
    hasher = blake3()
    for name, content in files.items():
        hasher.update(digest.event_id(name.encode()))
        hasher.update(blake3(content or b"").digest())
    return hasher.hexdigest(8)


if __name__ == "__main__":
    os.environ.pop("INVOKE_LOG", None)
    sys.exit(main())
