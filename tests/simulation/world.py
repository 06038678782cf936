"""A world made of one seed: its clock, its disk, and processes that run one at a time, each to its next pause.

The code that runs is the product's own, unmodified. It pauses wherever it asks the store or the provider; there the
seed says who runs on, how much time passes, and whether a process dies, sleeps past its deadline, or finds its disk in
trouble. One seed is one history: nothing else is read from the machine, and one thread runs at a time.
"""

import hashlib
import logging
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from invoke_log.errors import CommitUncertainError, LogHaltedError, StoreError, StoreFullError
from invoke_log.format import digest
from invoke_log.format.digest import TreeSize
from invoke_log.format.envelope import Envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.registry import Tool
from invoke_log.ledger.log import Log
from invoke_log.log.engine import Engine
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Answer
from invoke_log.rules.contract import Contract
from invoke_log.rules.governance import Governance
from invoke_log.store.memory import MemoryStore
from invoke_log.store.protocol import Answer as StoreAnswer
from invoke_log.store.protocol import Appended, Pending, Reader
from tests.harness.live import D_MS, Q_MS, T0, TTL_MS, Clock, Live
from tests.harness.player import recover
from tests.simulation.provider import SETTLE_MS, Provider

PLACE: Final = Path("/dev/null/log")
"""Nothing can be kept beside this log: files are not of this world."""
EXPECTED: Final = frozenset((StoreError, StoreFullError, CommitUncertainError, LogHaltedError))
"""What a store in trouble raises. StoreDamagedError is none of them: no fault of this disk damages what was stored."""
TRACE_LINES_MAX: Final = 4_000
"""Of what happened, the last of which a seed that fails is printed with."""


class CrashError(BaseException):
    """The process died here."""


class EndedError(BaseException):
    """The run is over."""


class Violation(AssertionError):  # noqa: N818 -- what it is called
    """An invariant does not hold: `clause` is its number."""

    def __init__(self, clause: str, words: str) -> None:
        super().__init__(f"{clause}: {words}")
        self.clause = clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A log as it stands when a run begins: genesis, keys, contracts, policy. governance: folded, with its leaf."""

    store: MemoryStore
    governance: tuple[Governance, int]
    log_key: FileSigner
    admin: FileSigner
    keys: dict[str, FileSigner]
    contracts: tuple[Contract, ...]


def copied(store: MemoryStore) -> MemoryStore:
    """A copy of a store, as a backup is."""
    copy = MemoryStore()
    copy._entries, copy._names = list(store._entries), list(store._names)
    copy._nodes = {level: list(nodes) for level, nodes in store._nodes.items()}
    copy._chains = {name: list(rows) for name, rows in store._chains.items()}
    copy._frontier, copy._meta = store._frontier, dict(store._meta)
    return copy


class Process:
    """A process that does one job after the other. Where it dies, another one takes its place, with the same key."""

    def __init__(self, world: "World", name: str, signer: FileSigner, job: Callable[["Process"], object]) -> None:
        self.world, self.name, self.signer, self.job = world, name, signer, job
        self.go = threading.Lock()
        self.go.acquire()
        self.wakes_ms = 0
        self.idle = True
        self.doomed = False
        self.ended = False
        self.log: Heard | None = None
        self.guard: Guard | None = None
        self.sends: dict[bytes, Any] = {}
        """What this very process may send, by effect: gone with it, as its nonces are."""
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def pause(self, where: str) -> None:
        """Let others run. Raises CrashError where this process dies here."""
        if self.world.over:
            raise EndedError
        if not self.doomed:
            self.world.give_back(self, where)
        if self.doomed:
            raise CrashError

    def opened(self) -> Log:
        """The log as this process has it open; opened anew where the store was replaced by another."""
        if self.log is None or self.log.store is not self.world.store:
            self.log, self.guard = Heard(self, self.world.store), None
        return self.log

    def guarded(self) -> Guard:
        """The guard of this process, over the log as it has it open, with the tools as they are now."""
        log = self.opened()
        self.guard = self.guard or Guard(log, key=self.signer)
        self.guard._tools = dict(self.world.tools)
        return self.guard

    def _live(self) -> None:
        self.go.acquire()
        while not self.world.over:
            try:
                self.idle = True
                self.pause("idle")
                self.idle = False
                self.job(self)
            except StoreError as error:
                if type(error) not in EXPECTED:
                    self.world.fail(error)
            except CrashError:
                self.log, self.sends, self.doomed = None, {}, False
            except EndedError:
                break
            except BaseException as error:  # noqa: BLE001 -- whatever it is, no fault of the world explains it
                self.world.fail(error)
        self.ended = True
        self.world.back.release()


class Disk:
    """The store as one process has it open. It fails, it fills up, and at times it does not say whether it stored."""

    path = "simulated"
    read_only = False

    def __init__(self, process: Process, store: MemoryStore) -> None:
        self.process, self.world, self.store = process, process.world, store
        if self.world.chance() < 0.02:
            raise StoreError("simulated: the store does not open")

    def append(self, pendings: Sequence[Pending]) -> list[StoreAnswer]:
        self._reach("append")
        fate = self.world.chance()
        if fate < 0.01:
            raise StoreFullError("simulated: no space")
        if fate < 0.03:
            raise CommitUncertainError("simulated: the commit reported an error, and was not stored")
        answers = self.store.append(pendings)
        for answer in answers:
            if isinstance(answer, Appended):
                self.world.authors[answer.index] = (self.process, self.world.boot_ms)
        if fate < 0.06:
            raise CommitUncertainError("simulated: the commit reported an error, and was stored")
        self._reach("appended")
        return answers

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        if self.world.rng.random() < 0.4:
            self._reach("read")
        with self.store.snapshot() as reader:
            yield reader

    def barrier(self) -> TreeSize:
        return self.store.barrier()

    def get_meta(self, name: bytes) -> bytes | None:
        self._reach("meta")
        return self.store.get_meta(name)

    def put_meta(self, name: bytes, value: bytes, *, expect: bytes | None) -> bool:
        self._reach("meta")
        return self.store.put_meta(name, value, expect=expect)

    def close(self) -> None:
        """Nothing: what was stored stays."""

    def _reach(self, where: str) -> None:
        self.process.pause(where)
        if self.store is not self.world.store:
            raise StoreError("simulated: the store was replaced by an older copy")


class Heard(Log):
    """A log whose answers are heard."""

    def __init__(self, process: Process, store: MemoryStore) -> None:
        world = process.world
        super().__init__(PLACE, Engine(lambda: Disk(process, store)), log_signer=world.founded.log_key)
        self.process, self.store = process, store
        self._memory.governance = world.founded.governance  # folded once: every process would find the same

    def append_many(self, envelopes: Sequence[Envelope]) -> list[Answer]:
        answers = super().append_many(envelopes)
        world = self.process.world
        if self.store is world.store:  # else it spoke of a store that is gone
            world.heard(envelopes, answers)
        return answers


class World:
    """Everything that a run consists of."""

    def __init__(self, seed: int, founded: Founded) -> None:
        self.rng = random.Random(seed)
        self.store, self.founded = copied(founded.store), founded
        self.provider = Provider(self.rng)
        self.boot_ms = 0
        self.restores = 0
        self.wall_ms = T0 + 1_000  # what the wall clock shows at boot
        self.leapt = False
        """Whether the wall clock ever went faster than time."""
        self.faulty = True
        self.over = False
        self.failure: BaseException | None = None
        self.back = threading.Lock()
        self.back.acquire()
        self.current: Process | None = None
        self.processes: list[Process] = []
        self.tools: dict[str, Tool] = {}
        """By name, under the contract in force."""
        self.called: tuple[str, ...] = ()
        """The tools that this run's agents call."""
        self.adopt: Callable[[Contract], None] = lambda contract: None
        self.notes: list[tuple[int, bytes]] = []
        """Every checkpoint that was signed, and how many restores had been."""
        self.authors: dict[int, tuple[Process, int]] = {}
        self.attachments: dict[bytes, bytes] = {}
        self.backups: list[MemoryStore] = []
        self.heard: Callable[[Sequence[Envelope], list[Answer]], None] = lambda envelopes, answers: None
        self.watch: Callable[[], None] = lambda: None
        self.restored: Callable[[], None] = lambda: None
        self.steps = 0
        self.trace: deque[str] = deque(maxlen=TRACE_LINES_MAX)
        self.story = hashlib.sha256()

    @property
    def log(self) -> Log:
        """The log as somebody opens it who stands outside of everything."""
        return Log(PLACE, Engine(lambda: self.store), log_signer=self.founded.log_key)

    def now_ms(self) -> int:
        """What the wall clock shows."""
        return self.wall_ms + self.boot_ms

    def chance(self) -> float:
        """A number from 0 to 1 that decides about a fault; 1 while there are none."""
        return self.rng.random() if self.faulty else 1.0

    def give_back(self, process: Process, where: str) -> None:
        self.note(f"{process.name} {where}")
        self.back.release()
        process.go.acquire()
        if self.over:
            raise EndedError

    def note(self, words: str) -> None:
        line = f"{self.steps} {self.boot_ms} {words}"
        self.trace.append(line)
        self.story.update(line.encode())

    def fail(self, error: BaseException) -> None:
        self.failure = self.failure or error

    def run(self, process: Process) -> None:
        """Let a process run to its next pause."""
        self.steps += 1
        self.current = process
        process.go.release()
        self.back.acquire()
        if self.failure is not None:
            raise self.failure
        self.watch()

    def step(self, among: Sequence[Process]) -> None:
        """Let some time pass, and somebody do something or something happen to somebody."""
        self.pass_time(self.rng.choice((0, 0, 1, 3, 10, 40)))
        awake = [process for process in among if process.wakes_ms <= self.boot_ms]
        if not awake:
            self.pass_time(max(1, min(process.wakes_ms for process in among) - self.boot_ms))
            return
        process = self.rng.choice(awake)
        fate = self.chance()
        if fate < 0.012 and not process.idle:
            process.doomed = True
            self.note(f"{process.name} dies")
            process.wakes_ms = self.boot_ms + self.rng.choice((0, 1_000, D_MS))
        elif fate < 0.03 and not process.idle:
            process.wakes_ms = self.boot_ms + self.rng.choice((500, D_MS, D_MS + 1, SETTLE_MS, TTL_MS))
            self.note(f"{process.name} sleeps")
            return
        elif fate < 0.034:
            self.jump()
        elif fate < 0.042:
            self.backups = [*self.backups[-1:], copied(self.store)]
        elif fate < 0.045 and self.backups:
            self.restore()
            return
        was_idle = process.idle
        self.run(process)
        if process.idle and not was_idle:
            process.wakes_ms = self.boot_ms + self.rng.choice((1, 50, 400, 1_500))

    def pass_time(self, ms: int) -> None:
        self.boot_ms += ms
        self.provider.pass_time(self.boot_ms)
        self.watch()

    def jump(self) -> None:
        """Somebody sets the wall clock; the clock that counts since boot is not his to set."""
        by_ms = self.rng.choice((-60_000, -Q_MS, -500, 500, Q_MS, 60_000))
        self.wall_ms += by_ms
        self.leapt |= by_ms > 0
        self.note(f"the wall clock jumps {by_ms} ms")

    def restore(self) -> None:
        """Somebody puts an older copy of the store in place, and says so on the log before anybody else can.

        Who has the log open finds it gone; what was about to be sent is sent all the same.
        """
        self.store = copied(self.rng.choice(self.backups))
        self.restores += 1
        recover(Live(self.log, Clock(), self.founded.log_key, self.founded.admin, self.founded.admin))
        self.note(f"the store is restored as of {self.store._frontier.size - 1} leaves")
        self.restored()

    def end(self) -> None:
        """Let every process come to its end."""
        self.over = True
        for process in self.processes:
            if not process.ended:
                process.go.release()
                self.back.acquire()
            process.thread.join()

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """What the product asks of its machine comes from this world."""
        clock = SimpleNamespace(
            clock_gettime=lambda _: self.boot_ms / 1000,
            time_ns=lambda: self.now_ms() * 1_000_000,
            time=lambda: self.now_ms() / 1000,
        )
        draw = SimpleNamespace(token_bytes=self.rng.randbytes)
        asks = [(name, module) for name, module in sys.modules.items() if name.startswith("invoke_log.guard.")]
        with ExitStack() as stack:
            stack.callback(logging.disable, logging.NOTSET)
            for where, what in {
                "invoke_log.ledger.log._now_ms": self.now_ms,
                **{f"{name}.time": clock for name, module in asks if hasattr(module, "time")},
                **{f"{name}.secrets": draw for name, module in asks if hasattr(module, "secrets")},
                "invoke_log.guard.driver.read_attachment": lambda _, key: self.attachments.get(key),
                "invoke_log.log.home.keep_attachment": self._keep,
                "invoke_log.log.home.read_attachment": lambda _, key: self.attachments.get(key),
            }.items():
                stack.enter_context(patch(where, what))
            logging.disable(logging.WARNING)
            yield

    def _keep(self, _: Path, raw: bytes) -> digest.Digest:
        key = digest.attachment_digest(raw)
        self.attachments[key] = raw
        return key
