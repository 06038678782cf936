"""Writes logs that no log would accept: every event is filled in from what stands, and anything in it can be changed.

Keys are seeds of one repeated byte, so that a reader which remembers what it asked of a key asks it once for the
whole corpus.
"""

from collections.abc import Iterable
from typing import Final

from invoke_log.errors import MalformedError
from invoke_log.format import bundle, digest, envelope, merkle
from invoke_log.format.cbor import Value
from invoke_log.format.checkpoint import Checkpoint, sign_checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.format.envelope import Envelope
from invoke_log.format.keys import LOG_KEY, VerifierKey, format_verifier_key
from invoke_log.format.prefix_tree import EMPTY_TREE, PrefixTree
from invoke_log.log.signer import FileSigner
from invoke_log.rules.admission import Admitted
from invoke_log.rules.budget import Spending, counted
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import facts_of
from invoke_log.rules.effect import OPEN
from invoke_log.rules.event import CHAINED_KINDS, GOVERNANCE_KINDS, build_body, kind_of, parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.governance import ReadRoot
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import (
    COMMITTED,
    NOT_COMMITTED,
    Approval,
    Data,
    Evidence,
    Genesis,
    Grant,
    Intent,
    Outcome,
    Scope,
    Start,
    Tick,
    Verdict,
)
from invoke_log.rules.policy import Policy, judge
from invoke_log.rules.render import rendering_digest
from invoke_log.rules.world import EffectState
from tests.harness import forge
from tests.interop.agreements import POLICY

EVERYTHING: Final = Scope(effect_class="*", prefix="")
T0: Final = 1_790_000_000_000
ORIGIN: Final = "example.com/second"
NONCE: Final = bytes(range(16))
KEYS: Final = {
    name: FileSigner(bytes([seed]) * 32)
    for seed, name in enumerate(
        ("admin", "log", "agent", "executor", "approver", "approver2", "reconciler", "reconciler2", "reconciler3",
         "attestor", "repeater", "stranger", "log2", "scoped"),
        start=1,
    )
}  # fmt: skip
GRANTS: Final = (
    ("agent", "agent"), ("executor", "executor"), ("approver", "approver"), ("approver2", "approver"),
    ("executor", "approver"), ("agent", "approver"), ("reconciler", "reconciler"), ("reconciler2", "reconciler"),
    ("reconciler3", "reconciler"), ("executor", "reconciler"), ("attestor", "attestor"), ("agent", "attestor"),
    ("executor", "attestor"), ("repeater", "repeat"), ("repeater", "agent"),
)  # fmt: skip


Body = dict[str, Value]
Said = Admitted | Void | None
"""What the rules make of an event; None where the bytes are none."""


class LogWriter:
    """A log in the making, whatever is wrong with it; `fold` is what the rules make of it."""

    def __init__(self, *, origin: str = ORIGIN) -> None:
        self.fold = Fold()
        self.origin = origin
        self.frontier = merkle.EMPTY_FRONTIER
        self.envelopes: list[Envelope] = []
        self.attachments: list[bytes] = []
        self.log_key = KEYS["log"]
        self.now_ms = T0
        self.intents: dict[bytes, tuple[Intent, Bound, bytes]] = {}
        self._maps = [EMPTY_TREE]
        self.spending = Spending()
        self._committed: dict[bytes, list[int]] = {}
        self._head_leaf: dict[bytes, int] = {}

    def begin(self, contracts: Iterable[Contract], *, policy: Policy = POLICY) -> "LogWriter":
        """Append genesis and its tick, grants, the policy and the contracts, and return the writer."""
        self.found()
        self.tick(0)
        for name, role in GRANTS:
            self.grant(name, role)
        self.say(policy, "admin")
        for contract in contracts:
            self.say(contract, "admin")
        return self

    def found(self, *, change: Body | None = None, **body: Value) -> Said:
        """Append genesis."""
        admins = (KEYS["admin"].public_key,)
        genesis = Genesis(format=1, origin=self.origin, log_key=self.log_key.public_key, admin_keys=admins)
        founding: Body = {"log": envelope.GENESIS_LOG, "prev": None, **body}
        return self.say_so(genesis, "admin", change=change or {}, body=founding)

    @property
    def index(self) -> int:
        """The leaf that comes next."""
        return len(self.envelopes)

    @property
    def trust(self) -> str:
        governance = self.fold.governance
        return format_verifier_key(VerifierKey(name=governance.origin, key_type=LOG_KEY, public_key=governance.log_key))

    def say(self, data: Data, by: str, *, change: Body | None = None, **body: Value) -> Said:
        """Append an event and return what the rules say of it; None where it is no event.

        Args: change: fields of `data` to replace. body: fields of the body to add or replace.
        """
        return self.say_so(data, by, change=change or {}, body=body)

    def say_so(self, data: Data, by: str, *, change: Body, body: Body) -> Said:
        """Do what `say` says; every event but those that are sealed by hand comes this way."""
        signer = self.log_key if by == "log" else KEYS[by]
        log = body.get("log", self.fold.governance.log_id if self.index else envelope.GENESIS_LOG)
        assert isinstance(log, bytes)
        written = build_body(data, log=log, by=signer.public_key, at_ms=self.now_ms, prev=None)
        written |= {"prev": self._head(data, body), **body}
        if change:
            fields = written["data"]
            assert isinstance(fields, dict)
            written["data"] = {**fields, **change}
        return self.seal(written, signer)

    def seal(self, body: Body, signer: FileSigner, *, signature: bytes | None = None) -> Said:
        """Append a body, signed by a key or with the signature that is given."""
        sealed = envelope.seal({**body, "by": signer.public_key}, signer)
        return self.put(sealed if signature is None else sealed._replace(signature=signature), signed=signature is None)

    def put(self, sealed: Envelope, *, signed: bool) -> Said:
        """Append an envelope as it is; `signed` says whether its signature verifies."""
        index, root = self.index, self.frontier.root
        self.envelopes.append(sealed)
        self.frontier, _ = self.frontier.append(merkle.leaf_hash(sealed.entry))
        before = dict(self.fold.effects)
        answer = self._apply(sealed, index, root) if signed else None
        self._maps.append(self._map_after(before, index))
        return answer

    def map_root(self, size: int) -> bytes:
        """The root of the map after the first leaves."""
        return self._maps[size].root()

    def bundle(
        self, *, note: bytes | None = None, attachments: Iterable[bytes] | None = None, origin: str | None = None
    ) -> bytes:
        """Return the whole log as a bundle, with a true checkpoint unless another note is given."""
        size = TreeSize(self.index)
        head = bundle.Header(origin=origin or self.fold.governance.origin, first=0, size=size, left_edge=())
        parts = [bundle.encode_header(head)]
        parts += [bundle.encode_entry(sealed.body, sealed.signature) for sealed in self.envelopes]
        parts.append(forge.trailer(note or self.note(), self.attachments if attachments is None else attachments))
        return b"".join(parts)

    def note(self, *, size: int | None = None, root: bytes | None = None, origin: str | None = None) -> bytes:
        """Return a checkpoint that the log key signs, true unless something else is given."""
        checkpoint = Checkpoint(
            origin=origin or self.fold.governance.origin,
            size=TreeSize(self.index if size is None else size),
            root=root or self.frontier.root(),
        )
        return sign_checkpoint(checkpoint, self.log_key)

    # The usual events. Each takes what it needs and fills in the rest from what stands.

    def tick(
        self, later_ms: int, *, covers: int | None = None, map_root: bytes | None = None, by: str = "log", **body: Value
    ) -> Said:
        self.now_ms += later_ms
        covers = self.index if covers is None else covers
        return self.say_so(Tick(time_ms=self.now_ms, covers=covers, map=map_root), by, change={}, body=body)

    def grant(self, name: str, role: str, scope: Scope = EVERYTHING, *, key: bytes | None = None) -> Said:
        return self.say(Grant(subject=name, key=key or KEYS[name].public_key, role=role, scope=scope), "admin")

    def verdict(
        self, contract: Contract, bound: Bound, *, by: str, generation: int, snapshot: Body | None = None
    ) -> Verdict:
        """Return what the policy in force says, with its inputs as they are."""
        policy = self.fold.governance.policy
        assert policy is not None
        seen = {name: value for name, value in (snapshot or {}).items() if name in policy.snapshot_fields}
        inputs: Body = {
            "now_ms": self.fold.now_ms(),
            "snapshot": seen,
            "budgets": self.budgets(policy, contract, bound),
        }
        facts = facts_of(contract, bound, resource=bound.resource, issuer=KEYS[by].public_key, generation=generation)
        own = judge(policy, facts, inputs)
        answer, rule, approvals = (own.answer, own.rule, own.approvals) if own is not None else ("allow", None, 0)
        return Verdict(policy_id=policy.id, inputs=inputs, answer=answer, rule=rule, approvals=approvals)

    def budgets(self, policy: Policy, contract: Contract, bound: Bound) -> Body:
        """Return what the budgets of a policy say of a call."""
        state, now_ms = self.fold.effect(bound.effect, bound.resource), self.fold.now_ms()
        claim = state.claim.id if state.claim is not None and state.status in OPEN else None
        own = counted(b"", contract, bound, resource=bound.resource, at_ms=now_ms)
        return self.spending.inputs(policy.budgets, own, claim=claim, now_ms=now_ms, as_of=self.index)

    def intent(
        self,
        contract: Contract,
        arguments: Body,
        *,
        by: str = "agent",
        snapshot: bytes | None = None,
        seen: Body | None = None,
        again: bool = False,
        change: Body | None = None,
        **body: Value,
    ) -> bytes:
        """Append an intent that names what stands, and return its effect key."""
        bound = bind(contract, arguments)
        state = self.fold.effect(bound.effect, bound.resource)
        data = Intent(
            contract_id=contract.id,
            purpose=bound.purpose,
            identity=bound.identity,
            content=bound.content,
            snapshot_id=snapshot,
            after=state.last if state.status == NOT_COMMITTED else None,
            again=state.last if again else None,
            verdict=self.verdict(contract, bound, by=by, generation=state.generation + again, snapshot=seen),
        )
        body = {
            "effect": bound.effect,
            "resource": bound.resource,
            "state": self.fold.state_hash(bound.resource),
            **body,
        }
        self.say_so(data, by, change=change or {}, body=body)
        self.intents[bound.effect] = (data, bound, KEYS[by].public_key)
        return bound.effect

    def approve(self, effect: bytes, by: str = "approver", *, change: Body | None = None) -> bytes:
        """Append an approval of the open claim, and return its id."""
        state = self.state(effect)
        assert state.claim is not None
        sealed = self.envelopes[state.claim.index]
        intent = parse_event(sealed.fields, digest.event_id(sealed.body))
        shown = rendering_digest(intent, self.fold.governance.contracts[state.claim.contract_id])
        self.on(effect, Approval(intent=state.claim.id, shown=shown), by, change=change)
        return digest.event_id(self.envelopes[-1].body)

    def start(
        self,
        effect: bytes,
        *,
        by: str = "executor",
        approvals: Iterable[bytes] = (),
        snapshot: bytes | None = None,
        seen: Body | None = None,
        change: Body | None = None,
    ) -> Said:
        """Append a START of the open claim."""
        state = self.state(effect)
        data, bound, issuer = self.intents[effect]
        contract = self.fold.governance.contracts[data.contract_id]
        by_issuer = next(name for name, signer in KEYS.items() if signer.public_key == issuer)
        start = Start(
            intent=state.claim.id if state.claim is not None else bytes(32),
            approvals=tuple(sorted(approvals)),
            verdict=self.verdict(contract, bound, by=by_issuer, generation=state.generation, snapshot=seen),
            snapshot_id=snapshot,
            nonce_hash=digest.nonce_hash(NONCE),
            provider_key=digest.provider_key(effect, state.generation, state.turn),
            tag=digest.tag(effect, state.generation),
        )
        return self.on(effect, start, by, change=change)

    def outcome(
        self,
        effect: bytes,
        status: str,
        kind: str,
        *,
        by: str = "executor",
        failure: str | None = None,
        reference: str | None = None,
        change: Body | None = None,
    ) -> Said:
        """Append an outcome of the last START."""
        send = self.state(effect).send
        proof = Evidence(kind=kind, failure=failure, reference=reference)
        said = Outcome(
            start=send.id if send is not None else bytes(32), nonce=NONCE, status=status, evidence=proof, result=None
        )
        return self.on(effect, said, by, change=change)

    def on(self, effect: bytes, data: Data, by: str, *, change: Body | None = None, **body: Value) -> Said:
        """Append an event about an effect that has a chain."""
        of_effect: Body = {"effect": effect, "resource": self.state(effect).resource, **body}
        return self.say_so(data, by, change=change or {}, body=of_effect)

    def state(self, effect: bytes) -> EffectState:
        return self.fold.effects[effect]

    def intent_id(self, effect: bytes) -> bytes:
        """The event id of the open claim."""
        claim = self.state(effect).claim
        assert claim is not None
        return claim.id

    def _head(self, data: Data, body: Body) -> bytes | None:
        """The head of the chain that an event stands on; a body that brings its own predecessor needs none."""
        if kind_of(data) in GOVERNANCE_KINDS:
            return self.fold.governance.head if "prev" not in body else None
        state = self.fold.effects.get(effect) if isinstance(effect := body.get("effect"), bytes) else None
        return state.last if state is not None and kind_of(data) in CHAINED_KINDS else None

    def _apply(self, sealed: Envelope, index: int, root: ReadRoot) -> Said:
        try:
            event = parse_event(sealed.fields, digest.event_id(sealed.body))
        except MalformedError:
            return None
        now_ms = self.fold.now_ms()
        answer = self.fold.apply(event, index=index, root=root)
        if isinstance(answer, Admitted) and answer.effect is not None and answer.before is not None:
            before, after, contracts = answer.before, answer.effect, self.fold.governance.contracts
            self.spending.follow(event, before, after, contracts=contracts, index=index, at_ms=now_ms)
        return answer

    def _map_after(self, before: dict[bytes, EffectState], index: int) -> PrefixTree:
        """The map with what the last leaf changed. Its values are made here, of the states' history."""
        tree = self._maps[-1]
        for key, state in self.fold.effects.items():
            if state == before.get(key):
                continue
            committed = self._committed.setdefault(key, [])
            if state.status == COMMITTED and state.generation not in committed:
                committed.append(state.generation)
            if key not in before or before[key].last != state.last:
                self._head_leaf[key] = index
            value: list[Value] = [state.status, state.generation, list(committed), state.last, self._head_leaf[key]]
            tree = tree.put(key, digest.derive_item("map value", value))
        return tree
