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
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from invoke_log.errors import CommitUncertainError, LogHaltedError, StoreError, StoreFullError
from invoke_log.format import digest
from invoke_log.format.digest import TreeSize
from invoke_log.format.envelope import Envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.registry import Tool
from invoke_log.ledger import log as ledger
from invoke_log.ledger.log import Log
from invoke_log.ledger.state import LiveWorld
from invoke_log.log import home
from invoke_log.log.engine import Engine
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Answer
from invoke_log.rules.contract import Contract
from invoke_log.rules.governance import Governance
from invoke_log.store.memory import MemoryStore, _MemoryReader
from invoke_log.store.protocol import Answer as StoreAnswer
from invoke_log.store.protocol import Appended, ChainRow, Pending
from tests.harness.live import D_MS, Q_MS, T0, TTL_MS, Clock, Live
from tests.harness.player import recover
from tests.simulation.provider import SETTLE_MS, Provider

PLACE: Final = Path("/dev/null/log")
"""Nothing can be kept beside this log: files are not of this world."""
GUARDS: Final = [module for name, module in sys.modules.items() if name.startswith("invoke_log.guard.")]
"""Who asks the machine for its clock and for randomness."""
EXPECTED: Final = frozenset((StoreError, StoreFullError, CommitUncertainError, LogHaltedError))
"""What a store in trouble raises. StoreDamagedError is none of them: no fault of this disk damages what was stored."""
FAULTS: Final = (
    "request lost",
    "request late",
    "request repeated",
    "answer lost",
    "answer late",
    "declined",
    "500, and it did not happen",
    "500, and it happened",
    "answered before it was known",
    "never left",
    "question unanswered",
    "process dies",
    "process sleeps",
    "clock set forwards",
    "clock set backwards",
    "nobody ticks",
    "store does not open",
    "store full",
    "commit fails, and was not stored",
    "commit fails, and was stored",
    "store put back",
    "message lost",
    "message late",
    "message repeated",
    "message forged",
    "messages of long ago",
)
"""Everything that goes wrong in a world."""
WEATHER: Final = ("process", "clock", "disk", "store", "network", "provider", "message")
ODDS: Final = (0, 1, 1, 3)
"""How often each goes wrong in a run, of so many times its usual: what hides in a storm is seen in a breeze."""
PASSES_MS: Final = (0, 0, 1, 3, 10, 40, 100)
"""How much time passes from one step to the next."""
CALM: Final = 0.05
"""How often, while no agent calls, nothing happens until every deadline has passed."""
AGENT_RESTS_MS: Final = (1, 50, 400, 1_500)
RESTS_MS: Final = (50, 400, 1_500, 4_000)
"""How long others rest from one job to the next: agents are who keeps them busy."""
TRACE_LINES_MAX: Final = 4_000
"""Of what happened, the last of which a seed that fails is printed with."""


Turns = Iterator["Process"]
"""A script: whose turn it is, one after the other."""


class CrashError(SystemExit):
    """The process died here."""


class EndedError(SystemExit):
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
        self.agent = name.startswith("agent")
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
            self.world.note(f"{self.name} {where}")
            self.world.hand_on(self)
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
        if self.world.chance("disk") < 0.02:
            self.world.fault("store does not open")
            raise StoreError("simulated: the store does not open")

    def append(self, pendings: Sequence[Pending]) -> list[StoreAnswer]:
        self._reach("append")
        fate = self.world.chance("disk")
        if fate < 0.01:
            self.world.fault("store full")
            raise StoreFullError("simulated: no space")
        if fate < 0.03:
            self.world.fault("commit fails, and was not stored")
            raise CommitUncertainError("simulated: the commit reported an error, and was not stored")
        answers = self.store.append(pendings)
        for answer in answers:
            if isinstance(answer, Appended):
                self.world.authors[answer.index] = (self.process, self.world.boot_ms)
        if fate < 0.06:
            self.world.fault("commit fails, and was stored")
            raise CommitUncertainError("simulated: the commit reported an error, and was stored")
        self._reach("appended")
        return answers

    def snapshot(self) -> "Glance":
        return Glance(self)

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


class Glance(_MemoryReader):
    """A snapshot of a disk. The head of a chain is mostly the last of its rows."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def __enter__(self) -> "Glance":
        if self.disk.world.rng.random() < 0.4:
            self.disk._reach("read")
        super().__init__(self.disk.store, self.disk.store._frontier)
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing: it holds nothing."""

    def row_at_or_before(self, chain: bytes, index: int) -> ChainRow | None:
        rows = self._store._chains.get(chain)
        if rows and rows[-1].index <= index and rows[-1].index < self.size:
            return rows[-1]
        return super().row_at_or_before(chain, index)


class Heard(Log):
    """A log whose answers are heard."""

    def __init__(self, process: Process, store: MemoryStore) -> None:
        world = process.world
        super().__init__(PLACE, Engine(lambda: Disk(process, store)), log_signer=world.founded.log_key)
        self.process, self.store = process, store
        self._memory.governance = world.founded.governance  # folded once: every process would find the same

    def due_tick(self, world: LiveWorld) -> tuple[Envelope, int] | None:
        return super().due_tick(world) if self.process.world.ticking else None

    def tick(self) -> Answer | None:
        return super().tick() if self.process.world.ticking else None

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
        self.faults: Counter[str] = Counter()
        """What went wrong, of `FAULTS`, by how often."""
        self.weather = {what: self.rng.choice(ODDS) for what in WEATHER}
        self.provider = Provider(self.rng, self.chance, self.fault)
        self.boot_ms = 0
        self.restores = 0
        self.wall_ms = T0 + 1_000  # what the wall clock shows at boot
        self.leapt = False
        """Whether the wall clock ever went faster than time."""
        self.ticker = random.Random(f"ticker {seed}")
        """Decides when nobody ticks: dice of its own, so that a seed is otherwise what it was without."""
        self.silence = 0.004 * self.ticker.choice(ODDS)
        self.ticks_again_ms = 0
        self.faulty = True
        self.over = False
        self.failure: BaseException | None = None
        self.back = threading.Lock()
        self.back.acquire()
        self.script: Turns = iter(())
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
        self.restored: Callable[[int], None] = lambda leaves: None
        self.steps = 0
        self.trace: deque[str] = deque(maxlen=TRACE_LINES_MAX)
        self.story = hashlib.sha256()

    @property
    def log(self) -> Log:
        """The log as somebody opens it who stands outside of everything."""
        log = Log(PLACE, Engine(lambda: self.store), log_signer=self.founded.log_key)
        log._memory.governance = self.founded.governance
        return log

    def now_ms(self) -> int:
        """What the wall clock shows."""
        return self.wall_ms + self.boot_ms

    @property
    def ticking(self) -> bool:
        """Whether those who hold the log key tick: else the log's time stands still."""
        return self.boot_ms >= self.ticks_again_ms

    def chance(self, what: str) -> float:
        """A number that decides about a fault, which comes where it is small; 1 while there are none."""
        odds = self.weather[what]
        return self.rng.random() / odds if self.faulty and odds else 1.0

    def note(self, words: str) -> None:
        line = f"{self.steps} {self.boot_ms} {words}"
        self.trace.append(line)
        self.story.update(line.encode())

    def fault(self, name: str, more: str = "") -> None:
        """Keep that something went wrong here."""
        assert name in FAULTS, name
        self.faults[name] += 1
        self.note(f"{name} {more}")

    def fail(self, error: BaseException) -> None:
        self.failure = self.failure or error

    def play(self, script: Turns) -> None:
        """Let the processes run whose turn it is, until the script ends. Raises what went wrong."""
        self.script = script
        self.hand_on(None)
        self.back.acquire()
        if self.failure is not None:
            raise self.failure

    def hand_on(self, giver: Process | None) -> None:
        """Ask the script whose turn it is, and wait until it is the giver's again.

        Whoever has the turn asks, so that the threads switch once a step, and not at all where the giver goes on.
        """
        taker = None
        if self.failure is None:
            try:
                taker = next(self.script, None)
            except Exception as error:  # noqa: BLE001 -- raised where the script was given, not where it happened to be
                self.fail(error)
        if taker is not None and taker is giver:
            return
        (self.back if taker is None else taker.go).release()
        if giver is not None:
            giver.go.acquire()
            if self.over:
                raise EndedError

    def run(self, process: Process) -> Turns:
        """Let a process run to its next pause."""
        self.steps += 1
        self.current = process
        yield process
        self.watch()

    def step(self, among: Sequence[Process]) -> Turns:
        """Let some time pass, and somebody do something or something happen to somebody."""
        calm = self.faulty and self.rng.random() < CALM and not any(p.agent and not p.idle for p in among)
        self.pass_time(self.rng.choice((D_MS, SETTLE_MS) if calm else PASSES_MS))
        awake = [process for process in among if process.wakes_ms <= self.boot_ms]
        if not awake:
            self.pass_time(max(1, min(process.wakes_ms for process in among) - self.boot_ms))
            awake = [process for process in among if process.wakes_ms <= self.boot_ms]
        process = self.rng.choice(awake)
        fate = self.chance("process")
        if fate < 0.012 and not process.idle:
            process.doomed = True
            self.fault("process dies", process.name)
            process.wakes_ms = self.boot_ms + self.rng.choice((0, 1_000, D_MS))
        elif fate < 0.03 and not process.idle:
            process.wakes_ms = self.boot_ms + self.rng.choice((500, D_MS, D_MS + 1, SETTLE_MS, TTL_MS))
            self.fault("process sleeps", process.name)
            return
        if self.chance("clock") < (0.02 if self.provider.silent else 0.004):  # it does most harm to what is under way
            self.jump()
        self.provider.tell_again(self.boot_ms)
        if self.faulty and self.ticker.random() < self.silence:
            self.ticks_again_ms = self.boot_ms + self.ticker.choice((D_MS, TTL_MS, 3 * TTL_MS))
            self.fault("nobody ticks", f"until {self.ticks_again_ms}")
        fate = self.chance("store")
        if fate < 0.003 and self.backups:
            self.restore()
            return
        if fate < 0.011:
            self.backups = [*self.backups[-1:], copied(self.store)]
        yield from self.run(process)
        if process.idle:
            process.wakes_ms = self.boot_ms + self.rng.choice(AGENT_RESTS_MS if process.agent else RESTS_MS)

    def pass_time(self, ms: int) -> None:
        self.boot_ms += ms
        if self.provider.silent:
            self.provider.pass_time(self.boot_ms)
            self.watch()

    def jump(self) -> None:
        """Somebody sets the wall clock; the clock that counts since boot is not his to set."""
        by_ms = self.rng.choice((-60_000, -Q_MS, -500, 500, Q_MS, 60_000))
        self.wall_ms += by_ms
        self.leapt |= by_ms > 0
        self.fault(f"clock set {'forwards' if by_ms > 0 else 'backwards'}", f"{by_ms} ms")

    def restore(self) -> None:
        """Somebody puts an older copy of the store in place, and says so on the log before anybody else can.

        Who has the log open finds it gone; what was about to be sent is sent all the same.
        """
        self.store = copied(self.rng.choice(self.backups))
        leaves = len(self.store._entries)
        self.restores += 1
        recover(Live(self.log, Clock(), self.founded.log_key, self.founded.admin, self.founded.admin))
        self.fault("store put back", f"as of {leaves} leaves")
        self.restored(leaves)

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
        ours: list[tuple[Any, str, Any]] = [
            (ledger, "_now_ms", self.now_ms),
            (home, "keep_attachment", self._keep),
            (home, "read_attachment", lambda _, key: self.attachments.get(key)),
            *((module, "time", clock) for module in GUARDS if hasattr(module, "time")),
            *((module, "secrets", draw) for module in GUARDS if hasattr(module, "secrets")),
        ]
        theirs = [(module, name, getattr(module, name)) for module, name, _ in ours]
        logging.disable(logging.WARNING)
        try:
            for module, name, what in ours:
                setattr(module, name, what)
            yield
        finally:
            for module, name, what in theirs:
                setattr(module, name, what)
            logging.disable(logging.NOTSET)

    def _keep(self, _: Path, raw: bytes) -> digest.Digest:
        key = digest.attachment_digest(raw)
        self.attachments[key] = raw
        return key
