"""A log that runs, its keys, and events drawn up for it where it stands: what tests of the live path play on.

`open_live(tmp_path)` is a log on disk, `memory_live(tmp_path)` one in memory. Time is `live.clock`, which stands still
until a test moves it. Each drawing method returns a signed envelope; `live.answer` appends it and says what the answer
is called.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

from invoke_log.audit.replay import replay
from invoke_log.audit.report import Report
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope, seal
from invoke_log.format.keys import VerifierKey
from invoke_log.ledger import chain
from invoke_log.ledger.admit import founding_entries
from invoke_log.ledger.engines import engines
from invoke_log.ledger.log import Log, founding_events, sign_event
from invoke_log.log.engine import Engine
from invoke_log.log.home import open_store
from invoke_log.log.signer import FileSigner, load_key
from invoke_log.rules.answer import NAMES, Accepted, Answer
from invoke_log.rules.contract import Contract, complete_contract, parse_contract
from invoke_log.rules.decision import facts_of
from invoke_log.rules.event import parse_event
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    Approval,
    Attestation,
    Data,
    Denial,
    Evidence,
    Grant,
    Intent,
    Outcome,
    Redrive,
    Release,
    Resolution,
    Start,
    Suspect,
    Tick,
    Verdict,
)
from invoke_log.rules.policy import judge, parse_policy
from invoke_log.rules.render import rendering_digest
from invoke_log.rules.world import EffectState
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.memory import MemoryStore
from invoke_log.store.protocol import Store

ORIGIN: Final = "example.com/payments"
T0: Final = 1_790_000_000_000
NONCE: Final = bytes(range(16))
D_MS: Final = 2_000
Q_MS: Final = 3_000
TTL_MS: Final = 10_000
PARTIAL: Final[dict[str, Value]] = {
    "name": "charge",
    "effect_class": "money.charge/1",
    "resource": "stripe/customer/{customer}",
    "purpose": "order",
    "arguments": {
        "customer": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "order": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "amount": {"role": "content", "schema": {"type": "integer", "min": 1, "max": 99_999}},
    },
    "observability": "queryable",
    "read_back": {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0},
    "provider_key": {"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"},
    "definite_failures": ["card_declined"],
    "timeout_ms": D_MS,
    "send_deadline_ms": D_MS,
    "quiescence_ms": Q_MS,
    "claim_ttl_ms": TTL_MS,
    "approvals": {"count": 1, "ttl_ms": TTL_MS},
}
"""A contract under which every kind of event has its place."""
Drawn = Envelope | list[Envelope]


@dataclass(slots=True)
class Clock:
    """The machine's clock as the log reads it, in milliseconds."""

    ms: int = T0

    def __call__(self) -> int:
        return self.ms

    def seconds(self) -> float:
        """The same as the reconciler's own clock, which nobody sets."""
        return self.ms / 1000


@dataclass
class Live:
    """A log, the signers of its roles, and the contract that events are drawn up under."""

    log: Log
    clock: Clock
    log_key: FileSigner
    admin: FileSigner
    agent: FileSigner
    contract: Contract = field(init=False)

    def register(self, **changes: Value) -> Contract:
        """Register the contract, changed, and draw up events under it from now on."""
        self.contract = parse_contract(complete_contract({**PARTIAL, **changes}))
        assert self.answer(self.log.draft(self.contract, self.admin)) == "accepted"
        return self.contract

    def grant(self, seed: int, *roles: str) -> FileSigner:
        """Return a signer who holds these roles over everything."""
        signer = FileSigner(bytes([seed]) * 32)
        for role in roles:
            data = Grant(subject=f"{role} {seed}", key=signer.public_key, role=role, scope=EVERYTHING)
            assert self.answer(self.log.draft(data, self.admin)) == "accepted"
        return signer

    def wait(self, ms: int) -> None:
        """Let time pass, and put it on the log."""
        self.clock.ms += ms
        assert self.log.tick() is not None

    def append(self, *drawn: Drawn) -> list[Answer]:
        """Append in one commit."""
        return self.log.append_many([e for each in drawn for e in (each if isinstance(each, list) else [each])])

    def put(self, *drawn: Drawn) -> None:
        """Append in one commit what has to be accepted."""
        answers = self.append(*drawn)
        assert all(isinstance(answer, Accepted) for answer in answers), answers

    def answer(self, *drawn: Drawn) -> str:
        """Append in one commit, and return the last answer's name, and its code where it has one: "refused frozen"."""
        last = self.append(*drawn)[-1]
        code = getattr(last, "code", "")
        return f"{NAMES[type(last)]} {code}".strip()

    def bound(self, *, order: str = "789", customer: str = "cus_1", amount: int = 5000) -> Bound:
        return bind(self.contract, {"customer": customer, "order": order, "amount": amount})

    def state(self, bound: Bound | None = None) -> EffectState:
        bound = bound or self.bound()
        with self.log.world() as world:
            return world.effect(bound.effect, bound.resource)

    def draw(self, data: Data, by: FileSigner, bound: Bound | None = None, **body: Value) -> Envelope:
        """Draw up an event of an effect at the head that stands; `body` replaces fields of the body."""
        bound = bound or self.bound()
        envelope = self.log.draft(data, by, effect=bound.effect, resource=bound.resource)
        return seal({**envelope.fields, **body}, by) if body else envelope

    def ask(self, approvals: int = 1) -> None:
        """Put a policy in force that asks for approval of everything."""
        rule: Value = {"name": "all", "then": "ask", "approvals": approvals, "when": []}
        policy = parse_policy({"name": "ask", "engine": "rules/1", "source": {"rules": [rule]}})
        assert self.answer(self.log.draft(policy, self.admin)) == "accepted"

    def verdict(self, meant: Bound | Intent, state: EffectState, *, issuer: bytes, generation: int) -> Verdict:
        """The verdict of the policy in force, now, on a call of an effect that stands so."""
        with self.log.world() as world:
            policy, now_ms = world.governance.policy, world.now_ms()
            budgets: Value = world.budgets(self.contract, meant, state, now_ms=now_ms)
        assert policy is not None
        inputs: dict[str, Value] = {"now_ms": now_ms, "snapshot": {}, "budgets": budgets}
        facts = facts_of(self.contract, meant, resource=state.resource, issuer=issuer, generation=generation)
        judged = judge(policy, facts, inputs, engines=engines())
        assert judged is not None
        return Verdict(
            policy_id=policy.id, inputs=inputs, answer=judged.answer, rule=judged.rule, approvals=judged.approvals
        )

    def intent(
        self, bound: Bound | None = None, *, by: FileSigner | None = None, asks: bool = False, again: bool = False
    ) -> Envelope:
        """A decision on the effect as it stands. asks: record that approval is wanted, whatever the policy says."""
        bound, by = bound or self.bound(), by or self.agent
        with self.log.world() as world:
            state, standing = world.effect(bound.effect, bound.resource), world.state_hash(bound.resource)
        generation = state.generation + again
        verdict = self.verdict(bound, state, issuer=by.public_key, generation=generation)
        data = Intent(
            contract_id=self.contract.id,
            purpose=bound.purpose,
            identity=bound.identity,
            content=bound.content,
            snapshot_id=None,
            after=state.last if state.status == NOT_COMMITTED else None,
            again=state.last if again else None,
            verdict=replace(verdict, answer="ask", rule=None, approvals=1) if asks else verdict,
        )
        return self.draw(data, by, bound, state=standing)

    def start(
        self, intent: Envelope, *, by: FileSigner | None = None, nonce: bytes = NONCE, approvals: tuple[bytes, ...] = ()
    ) -> Envelope:
        """A START of an intent, which may be on the log already or go before it in one append."""
        event = parse_event(intent.fields, id_of(intent))
        assert isinstance(event.data, Intent)
        assert event.effect is not None
        assert event.resource is not None
        with self.log.world() as world:
            state = world.effect(event.effect, event.resource)
        claimed = state.claim is not None and state.claim.id == event.id
        again = not claimed and event.data.again is not None
        generation, turn = state.generation + again, 0 if again else state.turn
        start = Start(
            intent=event.id,
            approvals=tuple(sorted(approvals)),
            verdict=self.verdict(event.data, state, issuer=event.by, generation=generation),
            snapshot_id=None,
            nonce_hash=digest.nonce_hash(nonce),
            provider_key=digest.provider_key(event.effect, generation, turn),
            tag=digest.tag(event.effect, generation),
        )
        return sign_event(
            start,
            by or self.agent,
            log=event.log,
            prev=state.last if claimed else event.id,
            of=(event.effect, event.resource),
        )

    def begun(self, bound: Bound | None = None, *, by: FileSigner | None = None) -> list[Envelope]:
        """An intent and its START, as a guard appends them."""
        intent = self.intent(bound, by=by)
        return [intent, self.start(intent, by=by)]

    def outcome(
        self, status: str = COMMITTED, kind: str = "", bound: Bound | None = None, *, start: Envelope | None = None
    ) -> Envelope:
        """The outcome of the open START, or of one that goes before it in the same append."""
        bound = bound or self.bound()
        send = self.state(bound).send
        kinds = {COMMITTED: "response", NOT_COMMITTED: "never_sent"}
        kind = kind or kinds.get(status, "no_answer")
        failure = "card_declined" if kind.endswith("_failure") else None
        named = id_of(start) if start is not None else send.id if send is not None else bytes(32)
        evidence = Evidence(kind=kind, failure=failure)
        data = Outcome(start=named, nonce=NONCE, status=status, evidence=evidence, result=None)
        return self.draw(data, self.agent, bound, **({"prev": named} if start is not None else {}))

    def approval(self, intent: Envelope, bound: Bound | None = None, *, by: FileSigner | None = None) -> Envelope:
        event = parse_event(intent.fields, id_of(intent))
        return self.draw(
            Approval(intent=event.id, shown=rendering_digest(event, self.contract)), by or self.admin, bound
        )

    def denial(self, intent: Envelope, bound: Bound | None = None, *, by: FileSigner | None = None) -> Envelope:
        event = parse_event(intent.fields, id_of(intent))
        shown = rendering_digest(event, self.contract)
        return self.draw(Denial(intent=event.id, shown=shown, reason="no"), by or self.admin, bound)

    def release(self, bound: Bound | None = None, *, by: FileSigner | None = None) -> Envelope:
        claim = self.state(bound).claim
        return self.draw(Release(intent=claim.id if claim else bytes(32), reason="given up"), by or self.agent, bound)

    def suspect(self, bound: Bound | None = None) -> Envelope:
        return self.draw(Suspect(start=self._send_id(bound)), self.agent, bound)

    def redrive(self, bound: Bound | None = None) -> Envelope:
        bound = bound or self.bound()
        state = self.state(bound)
        key = digest.provider_key(bound.effect, state.generation, state.turn)
        nonce_hash = digest.nonce_hash(bytes(16))
        return self.draw(
            Redrive(start=self._send_id(bound), nonce_hash=nonce_hash, provider_key=key), self.agent, bound
        )

    def present(
        self, bound: Bound | None = None, *, generation: int = 1, reference: str = "pi_1", by: FileSigner | None = None
    ) -> Envelope:
        evidence = Evidence(kind="tag_seen", reference=reference)
        present = replace(self.resolution(PRESENT, generation, evidence), of=(bound or self.bound()).parts)
        return self.draw(present, by or self.agent, bound)

    def absent(self, bound: Bound | None = None, *, kind: str = "absence", tick: bytes | None = None) -> Envelope:
        """Absence, by a read that began now or when `tick` was the last one."""
        with self.log.world() as world:
            held = tick or world.head(chain.TICKS)
        evidence = Evidence(kind=kind, tick=held)
        return self.draw(self.resolution(ABSENT, self.state(bound).generation, evidence), self.agent, bound)

    def attestation(self, status: str, bound: Bound | None = None) -> Envelope:
        return self.draw(Attestation(status=status, reason="called them", attachment=None), self.admin, bound)

    def tick(self, ms: int) -> Envelope:
        """A tick that many milliseconds after the log's time."""
        with self.log.world() as world:
            data = Tick(time_ms=world.now_ms() + ms, covers=int(world.reader.size), map=None)
        return self.log.draft(data, self.log_key)

    def bundle(self) -> bytes:
        items: list[bytes] = []
        self.log.export(items.append)
        return b"".join(items)

    def audit(self) -> Report:
        """Replay the log as a third party does, who has the bundle and the log's key."""
        return audit(self.bundle(), self.log.verifier_key)

    def _send_id(self, bound: Bound | None) -> bytes:
        send = self.state(bound).send
        return send.id if send is not None else bytes(32)

    def resolution(self, presence: str, generation: int = 1, evidence: Evidence | None = None) -> Resolution:
        return Resolution(
            presence=presence,
            contract_id=self.contract.id,
            generation=generation,
            evidence=evidence or Evidence(kind="tag_seen", reference="pi_1"),
        )


def id_of(envelope: Envelope) -> digest.EventId:
    return digest.event_id(envelope.body)


def audit(bundle: bytes, trust: VerifierKey | None = None) -> Report:
    with tempfile.NamedTemporaryFile() as file:
        file.write(bundle)
        file.flush()
        return replay(file.name, trust=trust)


@contextmanager
def open_live(place: Path, *, store: Callable[[LmdbStore], Store] = lambda store: store) -> Iterator[Live]:
    """A log on disk. `store` may put itself between the engine and the store."""
    clock, path = Clock(), place / "log"
    with patch("invoke_log.ledger.log._now_ms", clock), patch("invoke_log.guard.patience._clock", clock.seconds):
        Log.create(path, origin=ORIGIN).close()
        log_key, admin, agent = (load_key(path / "keys" / f"{name}.key") for name in ("log", "admin", "agent"))
        engine = Engine(lambda: store(open_store(path)))
        with Log(path, engine, log_signer=log_key) as log:
            live = Live(log, clock, log_key, admin, agent)
            live.register()
            yield live


@contextmanager
def memory_live(place: Path, *, began_ms: int = T0) -> Iterator[Live]:
    """The same in memory: fast, and gone with the test; two that began at one time are the same log."""
    clock, store = Clock(began_ms), MemoryStore()
    (place / "attachments").mkdir(exist_ok=True)
    log_key, admin, agent = (FileSigner(bytes([seed]) * 32) for seed in (1, 2, 3))
    signers = {"log": log_key, "admin": admin, "agent": agent}
    with store.snapshot() as empty:
        founding = founding_entries(empty, founding_events(signers, origin=ORIGIN, now_ms=clock.ms))
    store.append(founding)
    with (
        patch("invoke_log.ledger.log._now_ms", clock),
        patch("invoke_log.guard.patience._clock", clock.seconds),
        Log(place, Engine(lambda: store), log_signer=log_key) as log,
    ):
        live = Live(log, clock, log_key, admin, agent)
        live.register()
        yield live
