"""What a process wrote, synced and said, as strace saw it; and the disks that a power cut could leave of it.

A journal is exact: strace prints every byte that is handed to the kernel. What a barrier covers is durable: a write
through a descriptor that waits for the disk, a file's content after its fdatasync, a folder's names after its fsync.
Of what no barrier covers yet, anything may be lost, come in another order, or be torn between sectors.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

SYSCALLS: Final = (
    "openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,"
    "write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,sendfile,copy_file_range,"
    "fsync,fdatasync,sync_file_range,msync,lseek,mmap"
)
TRACER: Final = ("strace", "-f", "-y", "-v", "-xx", "-qq", "-s", "4194304", "-e", f"trace={SYSCALLS}", "-o")
"""Every call with every byte, strings in hex; the journal's file comes next."""

SECTOR_BYTES: Final = 512
PAGE_BYTES: Final = 4_096
LOCK_FILE: Final = "lock.mdb"
"""Shared memory of the processes that have a store open; after a power cut the first one makes it anew."""

_CALL: Final = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR: Final = re.compile(r"\b(\d+)<((?:\\x[0-9a-f]{2})*)>")


@dataclass(frozen=True)
class Write:
    """Bytes of a file. waits: the call returns when they are on the disk."""

    file: int
    offset: int
    raw: bytes
    waits: bool


@dataclass(frozen=True)
class Resize:
    """A file that got another length."""

    file: int
    size: int


@dataclass(frozen=True)
class Sync:
    """A barrier for a file's content, or for the names in a folder."""

    of: int | str


@dataclass(frozen=True)
class Name:
    """A name that came (file, or None for a folder), moved to `target`, or went."""

    verb: str
    path: str
    file: int | None = None
    target: str = ""


@dataclass(frozen=True)
class Said:
    """A line that somebody outside has read, so that it has to stay true."""

    text: str


Op = Write | Resize | Sync | Name | Said
Fate = tuple[int, tuple[int, ...]]
"""A pending operation that survives, and the sectors of it that do; all of it where there are none."""


@dataclass
class _Open:
    file: int | str
    waits: bool
    at: int = 0


@dataclass
class _Tracer:
    """Turns the lines of a trace into operations on what lies under `root`."""

    root: str
    ops: list[Op] = field(default_factory=list)
    opened: dict[int, _Open] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def read(self, line: str) -> None:
        found = _CALL.match(line)
        assert found, f"two threads at once: {line[:200]}"
        name, arguments, result = found[1], found[2], int(found[3])
        if result < 0:
            return
        strings = [bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(arguments)]
        descriptor = _DESCRIPTOR.search(arguments)
        if name == "openat":
            self._open(strings[0].decode(), arguments, result)
        elif name in ("mkdir", "rename", "unlink", "rmdir"):
            self._name(name, [text.decode() for text in strings])
        elif descriptor is not None and name not in ("mkdirat", "renameat", "renameat2", "unlinkat"):
            self._use(name, int(descriptor[1]), arguments, b"".join(strings)[:result], result)
        else:
            raise AssertionError(f"not journaled: {line[:200]}")

    def _open(self, path: str, arguments: str, descriptor: int) -> None:
        self.opened.pop(descriptor, None)
        if not self._ours(path):
            return
        if "O_DIRECTORY" in arguments or path == self.root:
            self.opened[descriptor] = _Open(file=path, waits=False)
            return
        if path not in self.files:
            self.files[path], self.made = self.made, self.made + 1
            self.ops.append(Name("make", path, self.files[path]))
        elif "O_TRUNC" in arguments:
            self.ops.append(Resize(self.files[path], 0))
        self.opened[descriptor] = _Open(file=self.files[path], waits="O_DSYNC" in arguments or "O_SYNC" in arguments)

    def _name(self, verb: str, paths: list[str]) -> None:
        if not self._ours(paths[0]):
            return
        if verb == "rename":
            self.ops.append(Name("move", paths[0], target=paths[1]))
            self.files = {_moved(path, paths[0], paths[1]): file for path, file in self.files.items()}
        elif verb == "mkdir":
            self.ops.append(Name("make", paths[0]))
        else:
            self.ops.append(Name("remove", paths[0]))
            self.files.pop(paths[0], None)

    def _use(self, name: str, descriptor: int, arguments: str, raw: bytes, result: int) -> None:
        if descriptor == 1:
            self.ops += [Said(line) for line in raw.decode().splitlines()]
            return
        opened = self.opened[descriptor]
        if name in ("fsync", "fdatasync"):
            self.ops.append(Sync(opened.file))
            return
        assert isinstance(opened.file, int), f"{name} on a folder"
        if name == "lseek":
            opened.at = result
        elif name in ("write", "writev"):
            self.ops.append(Write(opened.file, opened.at, raw, opened.waits))
            opened.at += result
        elif name in ("pwrite64", "pwritev"):
            self.ops.append(Write(opened.file, int(arguments.rsplit(", ", 1)[1]), raw, opened.waits))
        elif name == "ftruncate":
            self.ops.append(Resize(opened.file, int(arguments.rsplit(", ", 1)[1])))
        else:
            assert name == "mmap", f"not journaled: {name}"
            assert "PROT_WRITE" not in arguments, "written past the journal"

    def _ours(self, path: str) -> bool:
        return path == self.root or path.startswith(f"{self.root}/")


class Journal:
    """The operations of one process on one folder, in order."""

    def __init__(self, root: str, ops: list[Op]) -> None:
        self.root = root
        self.ops = ops
        self._covered = [self._barrier(at) for at in range(len(ops))]
        self._base: dict[int, bytearray] = {}
        self._folded: set[int] = set()
        self.pending = cache(self._pending)

    @classmethod
    def read(cls, trace: Path, root: Path) -> "Journal":
        """Return the journal in a trace, of what lies under `root` and what the process wrote to its stdout."""
        tracer = _Tracer(str(root))
        ours = "".join(f"\\x{byte:02x}" for byte in str(root).encode())
        lock = "".join(f"\\x{byte:02x}" for byte in LOCK_FILE.encode())
        with trace.open() as lines:
            for line in lines:
                if (ours in line or " write(1<" in line) and lock not in line:
                    tracer.read(line)
        return cls(tracer.root, tracer.ops)

    def said(self, at: int) -> list[str]:
        """Return the lines that were read outside before a power cut at a position."""
        return [op.text for op in self.ops[:at] if isinstance(op, Said)]

    def cuts(self) -> dict[int, int]:
        """Return the positions at which the power may fail, and how many sectors may then be lost.

        A position is how many operations had been asked for, the last of which may be under way. Those between two
        barriers come down to the last of them: what they may lose, it may lose.
        """
        end = len(self.ops)
        ends = [at for at in range(1, end) if not set(self.pending(at)) <= set(self.pending(at + 1))]
        ends += [end] if self.pending(end) else []
        return {at: sum(map(self._sectors, self.pending(at))) for at in ends}

    def _pending(self, at: int) -> list[int]:
        """Return the operations that no barrier covers when the power fails."""
        return [
            index
            for index, op in enumerate(self.ops[:at])
            if isinstance(op, Write | Resize | Name) and self._covered[index] + 1 >= at
        ]

    def fates(self, at: int, rng: random.Random) -> list[Fate]:
        """Return what survives of what is pending, in the order in which it reached the disk."""
        survives, torn = rng.choice((0.5, 0.9, 1.0)), rng.choice((0.2, 1.0, 1.0))
        kept: list[Fate] = []
        for index in self.pending(at):
            if rng.random() >= survives:
                continue
            op = self.ops[index]
            sectors: tuple[int, ...] = ()
            if isinstance(op, Write) and rng.random() < torn:
                sectors = _torn(op, rng)
                if not sectors:
                    continue
            kept.append((index, sectors))
        rng.shuffle(kept)
        return kept

    def image(self, at: int, kept: list[Fate]) -> dict[str, bytes | None]:
        """Return what the root is and what lies under it: each path below it and its content, None for a folder.

        Cuts are asked for in ascending order: what is durable stays so, and is folded once.
        """
        self._fold(at)
        contents = {file: bytearray(content) for file, content in self._base.items()}
        alive = {index for index, _ in kept} | self._folded
        for index, sectors in kept:
            _apply(contents, self.ops[index], sectors)
        names: dict[str, int | None] = {self.root: None}
        for index in sorted(alive):  # names in order: to lose some of them is as far as a file system goes
            op = self.ops[index]
            if isinstance(op, Name):
                _rename(names, op)
        return {
            path.removeprefix(self.root): None if file is None else bytes(contents.get(file, b""))
            for path, file in sorted(names.items())
        }

    def _sectors(self, index: int) -> int:
        op = self.ops[index]
        return 1 + len(op.raw) // SECTOR_BYTES if isinstance(op, Write) else 1

    def _fold(self, at: int) -> None:
        pending = set(self.pending(at))
        for index, op in enumerate(self.ops[:at]):
            if index not in pending and index not in self._folded:
                self._folded.add(index)
                _apply(self._base, op, ())

    def _barrier(self, at: int) -> int:
        """Return the operation that makes this one durable; past the end where none does."""
        op = self.ops[at]
        if isinstance(op, Write) and op.waits:
            return at
        if isinstance(op, Sync | Said):
            return len(self.ops)
        of: int | str = str(PurePosixPath(op.target or op.path).parent) if isinstance(op, Name) else op.file
        later = (index for index in range(at + 1, len(self.ops)) if self.ops[index] == Sync(of))
        return next(later, len(self.ops))


def _torn(op: Write, rng: random.Random) -> tuple[int, ...]:
    """Some sectors of a write, or of its pages: by their numbers in the file."""
    unit = rng.choice((SECTOR_BYTES, PAGE_BYTES))
    kept: list[int] = []
    for start in range(op.offset // unit, (op.offset + len(op.raw) - 1) // unit + 1):
        if rng.random() < 0.5:
            first = start * unit // SECTOR_BYTES
            kept += range(first, first + unit // SECTOR_BYTES)
    return tuple(kept)


def _apply(contents: dict[int, bytearray], op: Op, sectors: tuple[int, ...]) -> None:
    if isinstance(op, Resize):
        content = contents.setdefault(op.file, bytearray())
        del content[op.size :]
        content.extend(bytes(op.size - len(content)))
    elif isinstance(op, Write):
        content = contents.setdefault(op.file, bytearray())
        for start, stop in _spans(op, sectors):
            content.extend(bytes(max(0, stop - len(content))))
            content[start:stop] = op.raw[start - op.offset : stop - op.offset]


def _spans(op: Write, sectors: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    end = op.offset + len(op.raw)
    if not sectors:
        yield op.offset, end
    for sector in sectors:
        start, stop = max(op.offset, sector * SECTOR_BYTES), min(end, (sector + 1) * SECTOR_BYTES)
        if start < stop:
            yield start, stop


def _rename(names: dict[str, int | None], op: Name) -> None:
    if op.verb == "make" and str(PurePosixPath(op.path).parent) in names:
        names[op.path] = op.file
    elif op.verb == "move" and op.path in names:
        for path in [path for path in names if path == op.path or path.startswith(f"{op.path}/")]:
            names[_moved(path, op.path, op.target)] = names.pop(path)
    elif op.verb == "remove":
        names.pop(op.path, None)


def _moved(path: str, source: str, target: str) -> str:
    return target + path.removeprefix(source) if path == source or path.startswith(f"{source}/") else path
