"""A log as it comes to be, told in the protocol's words: `story.intent()`, `story.start(intent)`, `story.wait(ms)`.

Each verb seals one event against the heads that stand, applies it at the next leaf of a fold, and returns the leaf with
what came of it: `code` is "accepted", or the code of the first rule that the event breaks. Keys come from fixed seeds,
time only from ticks. What a verb fills in by itself can be given instead (`data` and `body` replace fields of the two),
so that a test breaks exactly one thing.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypedDict, Unpack, cast

from invoke_log.format import digest, envelope, merkle
from invoke_log.format.cbor import Value
from invoke_log.log.signer import FileSigner
from invoke_log.rules import event as events
from invoke_log.rules import kind as say
from invoke_log.rules.admission import Judgement, admit
from invoke_log.rules.contract import Contract, complete_contract, parse_contract
from invoke_log.rules.event import Event, build_body, kind_of, parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import ABSENT, COMMITTED, NOT_COMMITTED, PRESENT, UNKNOWN, Data, Evidence, Scope
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy
from invoke_log.rules.states import States
from invoke_log.rules.world import EffectState

ORIGIN: Final = "example.com/payments"
T0: Final = 1_790_000_000_000
D, Q, TTL, RETENTION, APPROVALS_TTL = 10_000, 60_000, 300_000, 86_400_000, 3_600_000
BOUND: Final = D + Q
EVERYTHING: Final = Scope(effect_class="*", prefix="")
CAST: Final = {
    "agent": ("agent", "executor"),
    "other": ("agent", "executor"),
    "repeater": ("repeat",),
    "approver": ("approver",),
    "approver2": ("approver",),
    "executor": ("executor",),
    "reconciler": ("reconciler",),
    "reconciler2": ("reconciler",),
    "reconciler3": ("reconciler",),
    "attestor": ("attestor",),
}
"""Who holds which roles when a story begins. `admin` and `log` are genesis's, `stranger` holds nothing."""
KEYS: Final = {
    name: FileSigner(bytes([at]) * 32) for at, name in enumerate(("admin", "log", "stranger", "newcomer", *CAST), 1)
}
CHARGE: Final[dict[str, Value]] = {
    "name": "charge-customer",
    "effect_class": "money.charge/1",
    "realm": {"account": "acct_1", "mode": "test"},
    "resource": "stripe:{account}/{mode}/customer/{customer}",
    "purpose": "order",
    "arguments": {
        "customer": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "order": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "amount": {"role": "content", "schema": {"type": "integer", "min": 1, "max": 99_999_999}},
        "trace": {"role": "volatile", "schema": {"type": "text", "max": 64}, "default": [""]},
    },
    "observability": "queryable",
    "send_deadline_ms": D,
    "quiescence_ms": Q,
    "claim_ttl_ms": TTL,
    "provider_key": {"place": "header", "retention_ms": RETENTION, "mismatch": "refused", "stores": "all"},
    "definite_failures": ["card_declined"],
    "read_back": {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0},
    "void": "cancel",
    "approvals": {"count": 0, "ttl_ms": APPROVALS_TTL},
}
"""A keyed and queryable charge, before its defaults are filled in."""
_SHOWS: Final = {COMMITTED: "response", NOT_COMMITTED: "never_sent", UNKNOWN: "no_answer"}
_HEAD: Final = object()
Given = Mapping[str, Any]
AS_IS: Final[Given] = {}


def contract(**changes: Value) -> Contract:
    """Return the story's contract, changed."""
    return parse_contract(complete_contract({**CHARGE, **changes}))


class Call(TypedDict, total=False):
    """What a test may say of a call's arguments: by default, order 789 of cus_1 for 5000."""

    customer: str
    order: str
    amount: int


_CONTRACT: Final = contract()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One event at its leaf: what `admit` answered, and the code under which it stands or is void."""

    event: Event
    sealed: envelope.Envelope
    index: int
    answer: Judgement | None
    code: str
    nonce: bytes

    @property
    def id(self) -> digest.EventId:
        return self.event.id


class Story:
    """A log with everybody in place: genesis, a tick, the cast's grants, one contract, one policy."""

    def __init__(self, *, policy: dict[str, Value] = ALLOW_COVERED, **changes: Value) -> None:
        self.fold = Fold()
        self.now = T0
        self.leaves: list[Leaf] = []
        self.frontier = merkle.EMPTY_FRONTIER
        self.claims: dict[bytes, Leaf] = {}
        self._begin()
        self.contract = contract(**changes) if changes else _CONTRACT
        self.register(self.contract)
        self.decree(policy)
        assert {leaf.code for leaf in self.leaves} == {"accepted"}

    def _begin(self) -> None:
        """Genesis, a tick and the grants: told once, and copied into every later story."""
        if _BEGUN:
            self.fold, self.leaves, self.frontier = copied_fold(_BEGUN[0].fold), [*_BEGUN[0].leaves], _BEGUN[0].frontier
            return
        admins, log_key = (KEYS["admin"].public_key,), KEYS["log"].public_key
        genesis = say.Genesis(format=1, origin=ORIGIN, log_key=log_key, admin_keys=admins)
        self.put(genesis, by="admin", body={"log": bytes(32)})
        self.tick()
        for name, roles in CAST.items():
            for role in roles:
                self.grant(name, role)
        _BEGUN.append(copy.copy(self))
        self._begin()

    def put(self, data: Data, *, by: str, of: Leaf | None = None, body: Given = AS_IS) -> Leaf:
        """Seal an event and apply it at the next leaf. `of` is any event of the effect that it is about."""
        kind = kind_of(data)
        if of is not None:
            body = {"effect": of.event.effect, "resource": of.event.resource, **body}
        of_effect = kind in events.EFFECT_KINDS
        effect, resource = body.get("effect", b""), body.get("resource", "")
        prev = None
        if kind in events.CHAINED_KINDS:
            prev = self.fold.effect(effect, resource).last
        elif kind in events.GOVERNANCE_KINDS and self.leaves:
            prev = self.fold.governance.head
        fields = build_body(
            data,
            log=body.get("log") or self.fold.governance.log_id,
            by=KEYS[by].public_key,
            at_ms=len(self.leaves),  # a claim that no rule reads: it keeps two like events from being one
            prev=body.get("prev", prev),
            effect=effect if of_effect else None,
            resource=resource if of_effect else None,
            state=body.get("state"),
        )
        return self.apply(envelope.seal(fields, KEYS[by]))

    def apply(self, sealed: envelope.Envelope) -> Leaf:
        """Apply sealed bytes at the next leaf, as a replay would that has nothing else."""
        event = parse_event(envelope.decode_body(sealed.body), digest.event_id(sealed.body))
        index, root = len(self.leaves), self.frontier.root
        answer = admit(event, self.fold, index=index, root=root) if self.leaves else None
        result = self.fold.apply(event, index=index, root=root)
        self.frontier, _ = self.frontier.append(merkle.leaf_hash(sealed.entry))
        code = result.code if isinstance(result, Void) else "accepted"
        leaf = Leaf(event=event, sealed=sealed, index=index, answer=answer, code=code, nonce=_nonce(index))
        self.leaves.append(leaf)
        if event.kind == "intent" and code == "accepted":
            self.claims[event.effect or b""] = leaf
        return leaf

    # Time: the only clock is the tick.

    def tick(self, after_ms: int = 0, *, by: str = "log", covers: int | None = None, root: bytes | None = None) -> Leaf:
        """One tick, so much later than the one before, by who has seen all that is there."""
        self.now += after_ms
        covers = len(self.leaves) if covers is None else covers
        return self.put(say.Tick(time_ms=self.now, covers=covers, map=root), by=by)

    def wait(self, duration_ms: int) -> Leaf:
        """Two ticks: everything before the first is then exactly so old. Returns the second, for a reader."""
        self.tick()
        return self.tick(duration_ms)

    # The life of one effect.

    def bound(self, *, under: Contract | None = None, **call: Unpack[Call]) -> Bound:
        called = cast("dict[str, Value]", {"customer": "cus_1", "order": "789", "amount": 5000, **call})
        return bind(under or self.contract, called)

    def verdict(self, answer: str = "allow", approvals: int = 0, policy_id: bytes | None = None) -> say.Verdict:
        """A recorded verdict of the policy in force; that it re-derives is replay's to check, not the rules'."""
        policy = self.fold.governance.policy
        policy_id = policy_id or (policy.id if policy else bytes(32))
        inputs: dict[str, Value] = {"now_ms": self.now, "snapshot": {}, "budgets": {}}
        return say.Verdict(policy_id=policy_id, inputs=inputs, answer=answer, rule=None, approvals=approvals)

    def intent(
        self,
        *,
        by: str = "agent",
        under: Contract | None = None,
        answer: str = "allow",
        wants: int = 0,
        again: bytes | None = None,
        snapshot_id: bytes | None = None,
        data: Given = AS_IS,
        body: Given = AS_IS,
        **call: Unpack[Call],
    ) -> Leaf:
        """A decision on the world as it stands."""
        under = under or self.contract
        bound = self.bound(under=under, **call)
        before = self.fold.effect(bound.effect, bound.resource)
        intent = say.Intent(
            contract_id=under.id,
            purpose=bound.purpose,
            identity=bound.identity,
            content=bound.content,
            snapshot_id=snapshot_id,
            after=before.last if before.status == NOT_COMMITTED else None,
            again=again,
            verdict=self.verdict(answer, wants),
        )
        names = {"effect": bound.effect, "resource": bound.resource, "state": self.fold.state_hash(bound.resource)}
        return self.put(replace(intent, **data), by=by, body={**names, **body})

    def again(self, of: Leaf, *, by: str = "repeater", answer: str = "allow", **call: Unpack[Call]) -> Leaf:
        """A repeat of a committed effect."""
        return self.intent(by=by, answer=answer, again=self.state(of).last, **call)

    def approve(self, intent: Leaf, *, by: str = "approver", names: bytes | None = None) -> Leaf:
        return self.put(say.Approval(intent=names or intent.id, shown=bytes(32)), by=by, of=intent)

    def deny(self, intent: Leaf, *, by: str = "approver", names: bytes | None = None) -> Leaf:
        return self.put(say.Denial(intent=names or intent.id, shown=bytes(32), reason="no"), by=by, of=intent)

    def release(self, intent: Leaf, *, by: str = "agent", names: bytes | None = None) -> Leaf:
        return self.put(say.Release(intent=names or intent.id, reason="drift"), by=by, of=intent)

    def start(
        self,
        intent: Leaf,
        *,
        by: str = "executor",
        approvals: Iterable[Leaf] = (),
        answer: str = "allow",
        wants: int = 0,
        data: Given = AS_IS,
        body: Given = AS_IS,
    ) -> Leaf:
        """Permission to send, for the process that holds the leaf's `nonce`."""
        state = self.state(intent)
        start = say.Start(
            intent=intent.id,
            approvals=tuple(sorted(leaf.id for leaf in approvals)),
            verdict=self.verdict(answer, wants),
            snapshot_id=None,
            nonce_hash=digest.nonce_hash(_nonce(len(self.leaves))),
            provider_key=digest.provider_key(state.effect, state.generation, state.turn),
            tag=digest.tag(state.effect, state.generation),
        )
        return self.put(replace(start, **data), by=by, of=intent, body=body)

    def outcome(
        self,
        start: Leaf,
        status: str = COMMITTED,
        *,
        by: str | None = None,
        kind: str | None = None,
        failure: str | None = None,
        nonce: object = _HEAD,
        names: bytes | None = None,
    ) -> Leaf:
        data = say.Outcome(
            start=names or start.id,
            nonce=start.nonce if nonce is _HEAD else cast("bytes | None", nonce),
            status=status,
            evidence=Evidence(kind=kind or _SHOWS[status], failure=failure),
            result=None,
        )
        return self.put(data, by=by or name_of(start.event.by), of=start)

    def suspect(self, start: Leaf, *, by: str = "agent", names: bytes | None = None) -> Leaf:
        return self.put(say.Suspect(start=names or start.id), by=by, of=start)

    def redrive(self, start: Leaf, *, by: str = "reconciler", data: Given = AS_IS) -> Leaf:
        state = self.state(start)
        key = digest.provider_key(state.effect, state.generation, state.turn)
        redrive = say.Redrive(start=start.id, nonce_hash=bytes(32), provider_key=key)
        return self.put(replace(redrive, **data), by=by, of=start)

    def present(
        self,
        of: Leaf,
        generation: int = 1,
        *,
        by: str = "reconciler",
        kind: str = "tag_seen",
        observations: Iterable[Leaf] = (),
        under: bytes | None = None,
        unseen: Bound | None = None,
        body: Given = AS_IS,
    ) -> Leaf:
        evidence = Evidence(kind=kind, observations=tuple(sorted(leaf.id for leaf in observations)))
        contract_id, parts = under or self.contract.id, unseen.parts if unseen else None
        if unseen:
            body = {"effect": unseen.effect, "resource": unseen.resource, **body}
        data = say.Resolution(
            presence=PRESENT, contract_id=contract_id, generation=generation, evidence=evidence, of=parts
        )
        return self.put(data, by=by, of=of, body=body)

    def absent(
        self,
        of: Leaf,
        tick: Leaf | None = None,
        *,
        by: str = "reconciler",
        kind: str = "absence",
        failure: str | None = None,
        observations: Iterable[Leaf] = (),
        generation: int | None = None,
        under: bytes | None = None,
    ) -> Leaf:
        """An absent resolution by a read whose reader held `tick`, or that lists observations."""
        evidence = Evidence(
            kind=kind,
            failure=failure,
            tick=tick.id if tick else None,
            observations=tuple(sorted(leaf.id for leaf in observations)),
        )
        contract_id, generation = under or self.contract.id, generation or self.state(of).generation
        data = say.Resolution(presence=ABSENT, contract_id=contract_id, generation=generation, evidence=evidence)
        return self.put(data, by=by, of=of)

    def observe(
        self,
        of: Leaf,
        tick: Leaf | None,
        *,
        by: str,
        presence: str = ABSENT,
        kind: str = "absence",
        body: Given = AS_IS,
    ) -> Leaf:
        evidence = Evidence(kind=kind, tick=tick.id if tick else None)
        return self.put(say.Observation(about=of.id, presence=presence, evidence=evidence), by=by, of=of, body=body)

    def attest(self, of: Leaf, status: str, *, by: str = "attestor") -> Leaf:
        return self.put(say.Attestation(status=status, reason="read the ledger", attachment=None), by=by, of=of)

    def note(self, of: Leaf, *, by: str = "agent", text: str = "seen", body: Given = AS_IS) -> Leaf:
        return self.put(say.Note(about=of.id, text=text), by=by, of=of, body=body)

    def handle(self, of: Leaf, *, by: str = "agent") -> Leaf:
        return self.put(say.Handle(about=of.id, handle="txn_1"), by=by, of=of)

    def refusal(self, of: Leaf, *, by: str = "agent") -> Leaf:
        issuer, effect, resource = of.event.by, of.event.effect or b"", of.event.resource or ""
        data = say.Refusal(
            issuer=issuer,
            effect=effect,
            resource=resource,
            blocker=None,
            reason="denied",
            count=1,
            first_ms=1,
            last_ms=2,
        )
        return self.put(data, by=by)

    # Governance.

    def grant(self, name: str, role: str, scope: Scope = EVERYTHING, *, by: str = "admin") -> Leaf:
        return self.put(say.Grant(subject=name, key=KEYS[name].public_key, role=role, scope=scope), by=by)

    def revoke(self, name: str = "", *, grant: bytes | None = None, suspect_from: int | None = None) -> Leaf:
        key = KEYS[name].public_key if name else None
        return self.put(say.Revoke(key=key, grant=grant, suspect_from=suspect_from), by="admin")

    def register(self, registered: Contract, *, by: str = "admin") -> Leaf:
        return self.put(registered, by=by)

    def decree(self, policy: dict[str, Value], *, by: str = "admin") -> Leaf:
        return self.put(parse_policy(policy), by=by)

    def withdraw(self, withdrawn: bytes) -> Leaf:
        return self.put(say.Withdraw(contract_id=withdrawn, reason="broken"), by="admin")

    def freeze(self, effect_class: str = "*", prefix: str = "") -> Leaf:
        return self.put(
            say.Freeze(scope=Scope(effect_class=effect_class, prefix=prefix), reason="incident"), by="admin"
        )

    def unfreeze(self, effect_class: str = "*", prefix: str = "") -> Leaf:
        return self.put(say.Unfreeze(scope=Scope(effect_class=effect_class, prefix=prefix), reason="over"), by="admin")

    def recover(self, *, amnesia: bool = True, by: str = "admin", data: Given = AS_IS) -> Leaf:
        """The log goes on from an older copy, under a new origin."""
        before = self.fold.governance
        recovery = say.Recovery(
            old_origin=before.origin,
            origin=f"{before.origin}.e1",
            size=len(self.leaves),
            root=self.frontier.root(),
            checkpoint=None,
            log_key=before.log_key,
            amnesia=amnesia,
        )
        return self.put(replace(recovery, **data), by=by)

    def swear(self, recovery: Leaf, effect_class: str = "*", prefix: str = "", *, by: str = "attestor") -> Leaf:
        scope = Scope(effect_class=effect_class, prefix=prefix)
        return self.put(say.Oath(scope=scope, recovery=recovery.id, reason="the tail was idle"), by=by)

    # What the fold says.

    def state(self, of: Leaf) -> EffectState:
        return self.fold.effect(of.event.effect or b"", of.event.resource or "")

    def status(self, of: Leaf) -> str:
        return self.state(of).status

    def state_hash(self, of: Leaf) -> bytes:
        return self.fold.state_hash(of.event.resource or "")

    def root(self) -> bytes:
        return self.fold.state_root(0)


def started(story: Story, **call: Unpack[Call]) -> Leaf:
    """Return the START of a new attempt."""
    start = story.start(story.intent(**call))
    assert start.code == "accepted"
    return start


def lost(story: Story, **call: Unpack[Call]) -> Leaf:
    """Return the START of an attempt that became unknown by its executor's own word."""
    start = started(story, **call)
    assert story.outcome(start, UNKNOWN).code == "accepted"
    return start


def done(story: Story, **call: Unpack[Call]) -> Leaf:
    """Return the outcome of an attempt that committed."""
    outcome = story.outcome(started(story, **call))
    assert outcome.code == "accepted"
    return outcome


def undone(story: Story, **call: Unpack[Call]) -> Leaf:
    """Return the resolution that found an attempt absent, by a read begun after the bound."""
    start = lost(story, **call)
    absent = story.absent(start, story.wait(BOUND))
    assert absent.code == "accepted"
    return absent


def reach(story: Story, status: str) -> Leaf:
    """Return an event of an effect in that status; of a free one, the release that made it free again."""
    if status in (say.FREE, say.CLAIMED):
        intent = story.intent()
        return story.release(intent) if status == say.FREE else intent
    return {say.STARTED: started, UNKNOWN: lost, COMMITTED: done, NOT_COMMITTED: undone}[status](story)


def name_of(key: bytes) -> str:
    """Return who of the cast holds a key."""
    return next(name for name, signer in KEYS.items() if signer.public_key == key)


def copied_fold(fold: Fold) -> Fold:
    """A fold that goes its own way: what it holds is immutable, so only what holds it is copied."""
    twin = Fold()
    for name, held in vars(fold).items():
        if isinstance(held, States):
            held = copy.deepcopy(held)
        setattr(twin, name, copy.copy(held) if isinstance(held, dict | list | set) else held)
    return twin


_BEGUN: Final[list[Story]] = []


def _nonce(index: int) -> bytes:
    return index.to_bytes(16, "big")
