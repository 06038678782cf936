"""`Log`: a signed event log on this machine. It draws up events, appends them, and reads what they add up to.

The clock is read here, once an event, and the event records it. Nothing below this module knows what time it is.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from invoke_log.errors import NotFoundError, StoreReadOnlyError
from invoke_log.format import digest, keys
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.envelope import GENESIS_LOG, Envelope, decode_body, seal
from invoke_log.format.keys import VerifierKey
from invoke_log.format.note import parse_note
from invoke_log.ledger import chain
from invoke_log.ledger.admit import (
    APPEND_ATTEMPTS_MAX,
    Opened,
    append_events,
    founding_entries,
    open_event,
    open_events,
)
from invoke_log.ledger.approval import PendingIntent, not_pending, pending
from invoke_log.ledger.bundle import write_bundle
from invoke_log.ledger.group import Group, LoopGroups
from invoke_log.ledger.receipt import make_receipt
from invoke_log.ledger.refusals import Refusals
from invoke_log.ledger.state import LiveWorld, Memory
from invoke_log.log import home
from invoke_log.log.engine import APPEND_COUNT_MAX, Engine
from invoke_log.log.signer import FileSigner, Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.event import (
    CHAINED_KINDS,
    GOVERNANCE_KINDS,
    Event,
    build_body,
    kind_of,
    parse_event,
)
from invoke_log.rules.governance import EVERYTHING, Governance, Refused
from invoke_log.rules.kind import Data, Genesis, Grant, Refusal, Tick
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy
from invoke_log.rules.world import EffectState

_log = logging.getLogger(__name__)
TICK_AGE_MS_MAX: Final = 1_000
"""Whoever holds the log key adds a tick to an append when the last one is older [TIME-5]."""
SIGNER_REST: Final = 10
"""A key whose holder took long to fail is left alone for so many times as long before it is asked in passing again."""
ADMIN_ROLES: Final = ("approver", "attestor", "repeat")
AGENT_ROLES: Final = ("agent", "executor", "reconciler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One leaf: its index, the event, and the bytes that were signed."""

    index: int
    event: Event
    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectView:
    """An effect's state, and the entries on its chain in leaf order."""

    state: EffectState
    entries: tuple[Entry, ...]


class Log:
    """A log that this process has open; other processes may have it open too, and threads may share it. No handler of
    a signal may: what it interrupts may be an append of its own thread.

    Every method raises StoreError where the store cannot answer.
    """

    def __init__(self, path: Path, engine: Engine, *, log_signer: Signer | None) -> None:
        self.path: Final = path
        self._engine = engine
        self._log_signer = log_signer
        self._memory = Memory()
        self._group = Group(self._commit)
        self._loops = LoopGroups[Envelope]()
        self.turn: Final = threading.RLock()
        """Held by a call whose verdict rests on a budget, from its last look to its append: the calls of this process
        would only lose to each other. Nothing rests on it: what holds is the append. It knows whose it is, so that
        whoever was interrupted gives it back if it has it.
        """
        self._refusals = Refusals()
        self._ask_again_s: dict[bytes, float] = {}
        """By public key, on the clock that is never set."""

    @classmethod
    def create(cls, path: str | Path, *, origin: str, strict: bool = False) -> Self:
        """Create a log and open it: genesis, its first tick, keys, grants and a default policy in one commit.

        Args:
            origin: the log's unique name, also the name of its key: a URL without scheme.
            strict: make the log and admin keys only; grant agents yourself.
        Raises: MalformedError: the origin. StoreExistsError: something is there already. StoreError.
        """
        where = Path(path)
        keys.check_key_name(origin)
        names = ("log", "admin") if strict else ("log", "admin", "agent")
        seeds = {name: secrets.token_bytes(32) for name in names}
        signers = {name: FileSigner(seed) for name, seed in seeds.items()}
        founding = founding_events(signers, origin=origin, now_ms=_now_ms())

        def fill(_: Path, engine: Engine) -> None:
            with engine.snapshot() as empty:
                entries = founding_entries(empty, founding)
            engine.append(entries)

        home.create_home(where, key_seeds=seeds, fill=fill)
        return cls.open(where)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False, log_key: Signer | None = None) -> Self:
        """Open a log that exists. The log key signs ticks and checkpoints where it is at hand.

        Args: log_key: holds it; where left out, the file beside the log, if it may be read and is not locked.
        Raises: NotFoundError: nothing is there. StoreBusyError: this process has it open. StoreFormatError, StoreError.
        """
        where = Path(path)
        keys.self_test()
        if log_key is None and not read_only:
            log_key = home.signer_beside(where, "log")
        return cls(where, Engine(lambda: home.open_store(where, read_only=read_only)), log_signer=log_key)

    def append(self, envelope: Envelope) -> Answer:
        """Return the answer to one signed event; ACCEPTED means durable (S11)."""
        return self.append_many([envelope])[0]

    def append_many(self, envelopes: Sequence[Envelope]) -> list[Answer]:
        """Return one answer for each event, in order, from one durable commit: each sees the earlier accepted ones.

        Appends of other threads may go into the same commit. A tick goes before them when the last one is old, and
        refusals that wait after them, where their keys are at hand.
        """
        return self._group.append(open_events(envelopes))

    async def aappend(self, envelope: Envelope) -> Answer:
        """Return the answer to one signed event, from a task of an event loop, which goes on meanwhile."""
        return (await self.aappend_many([envelope]))[0]

    async def aappend_many(self, envelopes: Sequence[Envelope]) -> list[Answer]:
        """The same for several events in one durable commit. A task that is cancelled decides nothing."""
        return await self._loops.here(self.append_many).append(envelopes)

    @property
    def loop_turn(self) -> asyncio.Lock:
        """The same as `turn` among the tasks of the running event loop, which share a thread."""
        return self._loops.here(self.append_many).turn

    def tick(self) -> Answer | None:
        """Append the log's time and the refusals that wait, or return None: this process does not hold the log key.

        Two ticks of one millisecond by who has seen the same are one: accepted, at its leaf.
        """
        signer = self._signer_of_log(self.governance)
        if signer is None:
            return None
        for _ in range(APPEND_ATTEMPTS_MAX):
            with self.world() as world:
                # Never behind the log's own time, as when this machine's clock was set back: replay would report it.
                data = Tick(time_ms=max(_now_ms(), world.now_ms()), covers=int(world.reader.size), map=None)
            answer = self.append(self.draft(data, signer))
            if not isinstance(answer, Stale):  # another's came first, and may not cover what stood before this call
                break
        if not isinstance(answer, Duplicate):
            return answer
        self.flush()
        return Accepted(id=answer.of, index=answer.index)

    def flush(self) -> None:
        """Append what waits for an append to ride on: the refusals, and a tick where one is due."""
        if self._refusals.unsure:  # while there are many of these, those that came later are not signed
            self.append_many([])
        self.append_many([])

    def draft(
        self,
        data: Data,
        signer: Signer,
        *,
        effect: bytes | None = None,
        resource: str | None = None,
        prev: bytes | None = None,
        state: bytes | None = None,
    ) -> Envelope:
        """Return a signed event that is not appended yet; `prev`, where left out, is the head that stands now."""
        with self.world() as world:
            if prev is None and kind_of(data) in CHAINED_KINDS:
                assert effect is not None and resource is not None
                prev = world.head(chain.of_effect(effect, resource))
            elif prev is None and kind_of(data) in GOVERNANCE_KINDS:
                prev = world.head(chain.GOVERNANCE)
            log_id = world.governance.log_id
        of = (effect, resource) if effect is not None and resource is not None else None
        return sign_event(data, signer, log=log_id, prev=prev, of=of, state=state)

    def refuse(self, refusal: Refusal, signer: Signer) -> None:
        """Have a call that became no intent put on record with the next append; equal ones are counted together.

        Raises: StoreError: too many wait already, and the store does not take them; this one is not kept.
        """
        if not self._refusals.keep(refusal, signer):
            self.flush()
            if not self._refusals.keep(refusal, signer):  # a log that is halted, or keys that do not sign
                _log.warning("refusal.dropped", extra={"reason": refusal.reason})

    @contextmanager
    def world(self) -> Iterator[LiveWorld]:
        """The log at one moment, as the rules see it."""
        with self._engine.snapshot() as reader:
            yield LiveWorld(reader, self._memory)

    @staticmethod
    def clock_ms() -> int:
        """Return this machine's own time in milliseconds, which no rule reads: for whoever distrusts the log's."""
        return _now_ms()

    def own_ms(self, now_ms: int) -> int:
        """Return this machine's own time where it is ahead of the log's `now_ms` by more than a tick's age, else
        `now_ms`: what lapses with time has to hold by that too where nobody ticks [CALL-8].
        """
        own_ms = self.clock_ms()
        return own_ms if own_ms - now_ms > TICK_AGE_MS_MAX else now_ms

    @property
    def governance(self) -> Governance:
        """Who may do what, under which contracts and policy, now."""
        with self.world() as world:
            return world.governance

    @property
    def verifier_key(self) -> VerifierKey:
        """The key that a third party trusts: the origin and the log key, one C2SP line."""
        return self.governance.verifier_key

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Return the entries from a leaf on, as the log stood when the first was asked for."""
        with self._engine.snapshot() as reader:
            for index, (body, signature) in enumerate(reader.entries(start, reader.size), start):
                yield _entry(index, body, signature)

    def effect(self, key: bytes | str) -> EffectView:
        """Return an effect's state and its chain, by its key: 32 bytes, or as it prints.

        Raises: NotFoundError: no event of this log is on its chain. MalformedError: no effect key.
        """
        effect = digest.parse_id(key, "eff") if isinstance(key, str) else key
        with self._engine.snapshot() as reader:
            world = LiveWorld(reader, self._memory)
            resource = _resource_of(world, effect)
            state = world.effect(effect, resource)
            entries = tuple(_entry(i, *reader.entry(i)) for i, _ in world.chain_of(effect, resource))
            return EffectView(state=state, entries=entries)

    def effects(self) -> Iterator[EffectState]:
        """Return the state of every effect, by key, at one moment."""
        with self.world() as world:
            yield from world.effects()

    def open_effects(self) -> Iterator[EffectState]:
        """Return the state of every effect that is claimed, started or unknown, by key, at one moment."""
        with self.world() as world:
            yield from world.open_effects()

    def approvals(self) -> list[PendingIntent]:
        """Return the claims that wait for approval, by effect key, as a person is shown them."""
        with self.world() as world:
            at_ms = self.own_ms(world.now_ms())
            claims = (pending(world, state, at_ms=at_ms) for state in world.open_effects())
            return [claim for claim in claims if claim is not None]

    def approval(self, intent: bytes | str) -> PendingIntent:
        """Return one of them by its intent's event id: 32 bytes, or as it prints.

        Raises: NotFoundError: it does not wait for approval. MalformedError: no event id.
        """
        event_id = digest.parse_id(intent, "evt") if isinstance(intent, str) else intent
        with self.world() as world:
            state = world.claimed_by(event_id)
            found = pending(world, state, at_ms=self.own_ms(world.now_ms())) if state is not None else None
        if found is None:
            raise not_pending(event_id)
        return found

    def checkpoint(self) -> bytes:
        """Return a signed checkpoint of everything that is durable now, as a C2SP note; the last one where it is that.

        Raises: StoreReadOnlyError: a new one is wanted, and this process does not hold the log key.
        """
        governance = self.governance
        signer = self._signer_of_log(governance)
        if signer is None:
            note = self._engine.published()
            with self._engine.snapshot() as reader:
                if note is not None and _covered(note) == reader.size:
                    return note
            raise StoreReadOnlyError(
                f"log {self.path}: its log key is not here, or is locked", hint="sign checkpoints where log.key is"
            )
        return self._engine.publish(governance.origin, signer)

    def receipt(self, key: bytes | str) -> bytes:
        """Return the receipt of an effect as it stands, under a checkpoint that covers all of it.

        Raises: NotFoundError: no such effect. StoreReadOnlyError: a new checkpoint is wanted, and the log key is not
            here.
        """
        effect = digest.parse_id(key, "eff") if isinstance(key, str) else key
        with self.world() as world:
            resource = _resource_of(world, effect)
            *_, (last, _) = world.chain_of(effect, resource)
            signer = self._signer_of_log(world.governance)
        note = self._engine.published() if signer is None else None
        if note is None or _covered(note) <= last:
            note = self.checkpoint()
        with self.world() as world:
            return make_receipt(world, effect, resource, note)

    def close(self) -> None:
        """Append the refusals that wait, and give the store back, in any case. Closing twice does nothing; in a fork
        those that wait are the parent's.
        """
        try:
            if self._refusals and not self._group.forked:
                self.flush()
        except StoreReadOnlyError:
            pass  # nobody can put them on record through a log that was opened for reading
        finally:
            self._refusals = Refusals()
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def export(self, write: Callable[[bytes], object]) -> None:
        """Write the whole log as a bundle, under a checkpoint that is made where there is none for this size.

        Raises: StoreReadOnlyError: a checkpoint is wanted, and the log key is not here. NotFoundError: an attachment
            was erased meanwhile. StoreError.
        """
        note = self.checkpoint()
        write_bundle(write, self._engine, origin=self.governance.origin, note=note, place=self.path)

    def keep_attachment(self, raw: bytes) -> digest.Digest:
        """Keep an attachment durably beside the log, before the entry that names it is appended."""
        return home.keep_attachment(self.path, raw)

    def due_tick(self, world: LiveWorld) -> tuple[Envelope, int] | None:
        """Return a sealed tick and its time in milliseconds where one is due and this process holds the log key.

        Whoever is about to judge by the log's time puts it before its own events, in the same append. Where the key
        does not sign now, that time stands still.
        """
        now_ms = _now_ms()
        if self._log_signer is None or now_ms - world.now_ms() < TICK_AGE_MS_MAX:
            return None
        signer = self._signer_of_log(world.governance)
        if signer is None:
            return None
        data = Tick(time_ms=now_ms, covers=int(world.reader.size), map=None)
        tick = self._seal_in_passing(data, signer, log=world.governance.log_id)
        return (tick, now_ms) if tick is not None else None

    def _signer_of_log(self, governance: Governance) -> Signer | None:
        """The signer that this process was given for the log key; None: none, or of another key than is in force."""
        signer = self._log_signer
        return signer if signer is not None and signer.public_key == governance.log_key else None

    def _commit(self, signed: Sequence[Opened | Refused]) -> list[Answer]:
        """What the front of the queue does with everything that waits.

        A tick of its own goes after the others' events: before them it would make the verdicts in them stale. Refusals
        ride where something else is appended; with no events at all they are what is. Both only where the store takes
        so many at once: no event fails for what rides on it.
        """
        room = max(APPEND_COUNT_MAX - len(signed), 0)
        ticking = any(isinstance(opened, Opened) and isinstance(opened.event.data, Tick) for opened in signed)
        riding: list[Opened | Refused] = []

        def ride(world: LiveWorld) -> list[Opened | Refused]:
            due = self.due_tick(world) if room and not ticking else None
            if due or world.ahead.events or not signed:
                seal = partial(self._seal_in_passing, log=world.governance.log_id)
                riding.extend(self._refusals.sealed(seal)[: room - bool(due)])
            return [*([open_event(due[0])] if due else []), *riding]

        answers = append_events(self._engine, self._memory, signed, riders=ride)
        if not any(isinstance(answer, Unavailable) for answer in answers):
            del self._refusals.unsure[: len(riding)]
        return answers[: len(signed)]

    def _seal_in_passing(self, data: Data, signer: Signer, *, log: bytes) -> Envelope | None:
        """Return a sealed event that nobody waits for, or None: its key does not sign now.

        Outcomes wait meanwhile (S15), for a minute where an SSH agent does not answer: so it is not asked each time.
        """
        began_s = time.monotonic()
        if began_s < self._ask_again_s.get(signer.public_key, began_s):
            return None
        try:
            return sign_event(data, signer, log=log)
        except Exception as error:  # noqa: BLE001 -- whatever the signer raises
            ended_s = time.monotonic()
            self._ask_again_s[signer.public_key] = ended_s + SIGNER_REST * (ended_s - began_s)
            _log.warning("event.unsigned", extra={"kind": kind_of(data), "error": type(error).__name__})
            return None


def founding_events(signers: dict[str, FileSigner], *, origin: str, now_ms: int) -> list[Envelope]:
    """Return the events of a new log's first commit: genesis, its tick, grants for the keys, the default policy."""
    admin = signers["admin"]
    genesis = Genesis(format=1, origin=origin, log_key=signers["log"].public_key, admin_keys=(admin.public_key,))
    events = [sign_event(genesis, admin, log=GENESIS_LOG)]
    log_id = digest.event_id(events[0].body)
    events.append(sign_event(Tick(time_ms=now_ms, covers=0, map=None), signers["log"], log=log_id))
    grants = [("admin", role) for role in ADMIN_ROLES]
    grants += [(name, role) for name in signers if name == "agent" for role in AGENT_ROLES]
    governing: list[Data] = [
        Grant(subject=name, key=signers[name].public_key, role=role, scope=EVERYTHING) for name, role in grants
    ]
    prev: bytes = log_id
    for data in (*governing, parse_policy(ALLOW_COVERED)):
        events.append(sign_event(data, admin, log=log_id, prev=prev))
        prev = digest.event_id(events[-1].body)
    return events


def sign_event(
    data: Data,
    signer: Signer,
    *,
    log: bytes,
    prev: bytes | None = None,
    of: tuple[bytes, str] | None = None,
    state: bytes | None = None,
    at_ms: int | None = None,
) -> Envelope:
    """Return a sealed event, `of` an effect and its resource; `at_ms`, where left out, is this machine's clock."""
    effect, resource = of if of is not None else (None, None)
    fields = build_body(
        data,
        log=log,
        by=signer.public_key,
        at_ms=_now_ms() if at_ms is None else at_ms,
        prev=prev,
        effect=effect,
        resource=resource,
        state=state,
    )
    return seal(fields, signer)


def _resource_of(world: LiveWorld, effect: bytes) -> str:
    """The resource that an effect belongs to. Raises NotFoundError."""
    resource = world.resource_of(effect)
    if resource is None:
        raise NotFoundError(
            f"effect eff_{effect.hex()}: no event of this log is on its chain",
            hint='"invoke-log list" lists every effect: is this the log?',
        )
    return resource


def _covered(note: bytes) -> int:
    """The tree size that a checkpoint is about."""
    return int(parse_body(parse_note(note).text).size)


def _entry(index: int, body: bytes, signature: bytes) -> Entry:
    event = parse_event(decode_body(body), digest.event_id(body))
    return Entry(index=index, event=event, body=body, signature=signature)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
