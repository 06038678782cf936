"""Random logs: agents, executors, reconcilers and admins who mostly do what they may, at the wrong moment or not.

A log is a function of its seed. What its events are worth is for the rules to say: many are void, and many are not.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.admission import Admitted
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import data_map, parse_event
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    EVIDENCE_KINDS,
    NOT_COMMITTED,
    PRESENT,
    PROOFS_OF_FAILURE,
    UNKNOWN,
    Attestation,
    Data,
    Denial,
    Evidence,
    Freeze,
    Handle,
    Note,
    Oath,
    Observation,
    Recovery,
    Redrive,
    Refusal,
    Release,
    Resolution,
    Revoke,
    Scope,
    Suspect,
    Unfreeze,
    Withdraw,
)
from invoke_log.rules.policy import Policy
from invoke_log.rules.render import rendering_digest
from tests.interop.agreements import (
    CHARGE_2,
    CONTRACTS,
    POLICIES,
    READ,
    call,
    snapshot,
)
from tests.interop.log_writer import EVERYTHING, KEYS, NONCE, Body, LogWriter, Said

LATER_MS: Final = (0, 1, 700, 5_000, 10_000, 30_000, 30_001, 60_000, 100_001, 86_400_000, -5)
SCOPES: Final = (
    EVERYTHING,
    Scope(effect_class="money.charge/1", prefix=""),
    Scope(effect_class="*", prefix="charge:acct_1/"),
    Scope(effect_class="money.transfer/1", prefix="transfer:acct_1/"),
)
REFERENCES: Final = (None, "obj_1", "obj_2")
FAULTS: Final = 0.05
"""How often an event is not what its author meant it to be."""


class RandomLog(LogWriter):
    """A log that a random generator writes."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = Random(seed)
        self.faults = 0.0
        self.begin(self.random.sample(CONTRACTS, 4), policy=self.random.choice(POLICIES[:3]))
        for scope in SCOPES[1:]:
            self.grant("scoped", self.random.choice(("agent", "executor", "reconciler", "attestor")), scope)
        self.faults = FAULTS

    def write(self, steps: int, actions: "Actions | None" = None) -> "RandomLog":
        """Append that many random events, more or less, and return the log."""
        may_happen, weights = zip(*(actions or ACTIONS), strict=True)
        for action in self.random.choices(may_happen, weights, k=steps):
            action(self)
        return self

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def say_so(self, data: Data, by: str, *, change: Body, body: Body) -> Said:
        """Append an event, now and then with a fault in it: another key, head, log or state, or another value."""
        if self.chance(self.faults):
            match self.random.randrange(5):
                case 0:
                    by = self.random.choice(list(KEYS))
                case 1:
                    prev = self.random.choice((None, self.random.randbytes(32), self.fold.governance.head))
                    body = {**body, "prev": prev}
                case 2:
                    body = {**body, "log": self.random.choice((bytes(32), self.fold.governance.log_id))}
                case 3 if "state" in body:
                    body = {**body, "state": self.random.randbytes(32)}
                case _:
                    change = {**change, **self._other_value(data)}
        return super().say_so(data, by, change=change, body=body)

    def budgets(self, policy: Policy, contract: Contract, bound: Bound) -> Body:
        """What the budgets say, now and then something else, or of another leaf."""
        said = super().budgets(policy, contract, bound)
        for each in said.values():
            if self.chance(self.faults) and isinstance(each, dict):
                name = self.random.choice(("value", "as_of"))
                each[name] = max(0, int(str(each[name])) + self.random.choice((-3, -1, 1)))
        return said if not self.chance(self.faults) else dict(list(said.items())[1:])

    def an_effect(self) -> bytes | None:
        return self.random.choice(list(self.fold.effects)) if self.fold.effects else None

    def a_tick(self) -> bytes | None:
        ticks = [sealed.body for sealed in self.envelopes if sealed.fields.get("kind") == "tick"]
        return digest.event_id(self.random.choice(ticks[-3:])) if self.chance(0.95) else None

    def _other_value(self, data: Data) -> Body:
        fields = data_map(data)
        name = self.random.choice(list(fields))
        old = fields[name]
        if type(old) is bytes:
            others: tuple[Value, ...] = (None, self.random.randbytes(len(old)), old[:-1])
        elif type(old) is int:
            others = (old + 1, old - 1, -1, None, 2**53 - 1)
        elif type(old) is str:
            others = (old + "x", "", "naïve", 1)
        else:
            others = (None, [], {}, [bytes(32)], bytes(32))
        return {name: self.random.choice(others)}


Action = Callable[[RandomLog], object]
Actions = tuple[tuple[Action, int], ...]
"""What may happen next, and how often it does."""


def decide(log: RandomLog) -> None:
    """An intent: mostly on a free effect, sometimes after or again, sometimes where it must not be."""
    registered = tuple(log.fold.governance.contracts.values())
    contract = log.random.choice((*registered, *registered, *registered, READ, CHARGE_2))
    arguments = _arguments(log, contract)
    seen, snapshot_id = None, None
    if contract.profile is not None and log.chance(0.97):
        seen, raw, snapshot_id = snapshot(
            balance=log.random.choice((50, 1000)), etag=log.random.choice("ab"), is_open=log.chance(0.9)
        )
        if log.chance(0.9):
            log.attachments.append(raw)
    again = log.chance(0.2)
    by = "repeater" if again else log.random.choice(("agent", "agent", "agent", "repeater", "scoped"))
    log.intent(contract, arguments, by=by, snapshot=snapshot_id, seen=seen, again=again, change=_lie(log))


def _arguments(log: RandomLog, contract: Contract) -> dict[str, Value]:
    arguments = call(
        contract,
        customer=log.random.randrange(1, 3),
        order=log.random.randrange(1, 3),
        amount=log.random.choice((500, 500, 501, 1500, 19_000)),
        memo=log.random.choice(("", "", "odd")),
    )
    file = arguments.get("file")
    if type(file) is bytes and log.chance(0.8):
        log.attachments.append(file)
    return arguments


def _lie(log: RandomLog) -> dict[str, Value] | None:
    policy = log.fold.governance.policy
    assert policy is not None
    if log.chance(0.97):
        return None
    inputs: Value = {"now_ms": log.now_ms, "snapshot": log.random.choice(({}, {"open": True})), "budgets": {}}  # type: ignore[dict-item]
    answer = log.random.choice(("allow", "ask", "deny"))
    return {"verdict": {"policy_id": policy.id, "inputs": inputs, "answer": answer, "rule": "covered", "approvals": 0}}


def consent(log: RandomLog) -> None:
    """An approval or a denial of an open claim."""
    effect = log.an_effect()
    if effect is None or (claim := log.state(effect).claim) is None:
        return
    by = log.random.choice(("approver", "approver", "approver2", "approver2", "agent", "executor"))
    if log.chance(0.75):
        log.approve(effect, by, change={"shown": bytes(32)} if log.chance(0.05) else None)
        return
    sealed = log.envelopes[claim.index]
    intent = parse_event(sealed.fields, digest.event_id(sealed.body))
    shown = rendering_digest(intent, log.fold.governance.contracts[claim.contract_id])
    log.on(effect, Denial(intent=claim.id, shown=shown, reason="no"), by)


def start(log: RandomLog) -> None:
    """A START, with the approvals that there are."""
    effects = [key for key, state in log.fold.effects.items() if state.status == "claimed" or log.chance(0.1)]
    effects = [key for key in effects if key in log.intents]
    if not effects:
        return
    effect = log.random.choice(effects)
    approvals = [
        digest.event_id(sealed.body)
        for sealed in log.envelopes
        if sealed.fields.get("kind") == "approval" and sealed.fields.get("effect") == effect
    ]
    listed = approvals[-3:] if log.chance(0.9) else approvals[:1]
    log.start(
        effect,
        by=log.random.choice(("executor", "executor", "executor", "scoped")),
        approvals=set(listed),
        change=_lie(log),
    )


def answer(log: RandomLog) -> None:
    """An outcome of the last START."""
    effects = [key for key, state in log.fold.effects.items() if state.send is not None]
    if not effects:
        return
    status = log.random.choice((COMMITTED, COMMITTED, NOT_COMMITTED, UNKNOWN, UNKNOWN, UNKNOWN))
    kinds = {
        COMMITTED: ("response",),
        NOT_COMMITTED: (*PROOFS_OF_FAILURE, *PROOFS_OF_FAILURE, "no_answer"),
        UNKNOWN: ("no_answer", "unclear_answer"),
    }
    kind = log.random.choice(kinds[status] if log.chance(0.95) else EVIDENCE_KINDS)
    log.outcome(
        log.random.choice(effects),
        status,
        kind,
        by=log.random.choice(("executor", "executor", "executor", "scoped")),
        failure=log.random.choice(("card_declined", "card_declined", "refused", None)),
        reference=log.random.choice(REFERENCES),
        change={"nonce": None} if log.chance(0.1) else None,
    )


def resolve(log: RandomLog) -> None:
    """A resolution, present or absent, for an effect that the log knows or does not."""
    effect = log.an_effect()
    if effect is None:
        return
    state = log.state(effect)
    contract = state.claim.contract_id if state.claim is not None else log.random.choice(CONTRACTS).id
    by = log.random.choice(("reconciler", "reconciler", "executor", "scoped", "agent"))
    if log.chance(0.05):
        _unseen(log, by)
    elif log.chance(0.4):
        kind = log.random.choice(("tag_seen", "response", "webhook", "absence"))
        proof = Evidence(kind=kind, reference=log.random.choice(REFERENCES))
        generation = max(1, state.generation + log.random.choice((0, 0, 0, 1, -1)))
        log.on(effect, Resolution(presence=PRESENT, contract_id=contract, generation=generation, evidence=proof), by)
    else:
        kind = log.random.choice(("absence", "absence", "absence", "key_burnt", "void", "abort", "webhook"))
        proof = replace(
            _read(log), kind=kind, failure=log.random.choice(("gone", None)), observations=_observations(log, effect)
        )
        log.on(
            effect, Resolution(presence=ABSENT, contract_id=contract, generation=state.generation, evidence=proof), by
        )


def _unseen(log: RandomLog, by: str) -> None:
    """A presence of an effect that has no intent, now and then without what the effect is."""
    contract = log.random.choice(CONTRACTS)
    bound = bind(contract, call(contract, order=log.random.randrange(90, 99)))
    of = log.random.choice((bound.parts, bound.parts, bound.parts, None))
    proof = Evidence(kind="tag_seen")
    said = Resolution(presence=PRESENT, contract_id=contract.id, generation=1, evidence=proof, of=of)
    log.say(said, by, effect=bound.effect, resource=bound.resource)


def _read(log: RandomLog) -> Evidence:
    return Evidence(kind=log.random.choice(("absence", "absence", "key_burnt", "tag_seen")), tick=log.a_tick())


def _observations(log: RandomLog, effect: bytes) -> tuple[bytes, ...]:
    observed = [
        digest.event_id(sealed.body)
        for sealed in log.envelopes
        if sealed.fields.get("kind") == "observation" and sealed.fields.get("effect") == effect
    ]
    return tuple(sorted(set(observed[-3:])))


def observe(log: RandomLog) -> None:
    """Something beside the chains: an observation, a note, a handle, a refusal; sometimes the same one again."""
    effect = log.an_effect()
    if effect is None:
        return
    if log.chance(0.05):
        log.put(log.random.choice(log.envelopes), signed=True)
        return
    last = log.state(effect).last or bytes(32)
    by = log.random.choice(("reconciler", "reconciler2", "reconciler3", "executor", "stranger"))
    presence = log.random.choice((ABSENT, ABSENT, ABSENT, PRESENT, "unclear"))
    refused = Refusal(
        issuer=KEYS["agent"].public_key, effect=effect, resource=log.state(effect).resource, blocker=last,
        reason="blocked", count=2, first_ms=log.now_ms, last_ms=log.now_ms,
    )  # fmt: skip
    said = log.random.choice(
        (
            Observation(about=last, presence=presence, evidence=_read(log)),
            Observation(about=last, presence=presence, evidence=_read(log)),
            Note(about=last, text="seen"),
            Handle(about=last, handle="tx_1"),
        )
    )
    if log.chance(0.1):
        log.say(refused, by)
    else:
        log.on(effect, said, by)


def settle(log: RandomLog) -> None:
    """Suspect, release, re-drive or attest."""
    effect = log.an_effect()
    if effect is None:
        return
    state = log.state(effect)
    sent = state.send.id if state.send is not None else bytes(32)
    claimed = state.claim.id if state.claim is not None else bytes(32)
    match log.random.randrange(4):
        case 0:
            log.on(effect, Suspect(start=sent), log.random.choice(("agent", "stranger", "approver")))
        case 1:
            log.on(
                effect, Release(intent=claimed, reason=""), log.random.choice(("agent", "executor", "repeater", "log"))
            )
        case 2:
            key = digest.provider_key(effect, state.generation, state.turn)
            said = Redrive(start=sent, nonce_hash=digest.nonce_hash(NONCE), provider_key=key)
            log.on(effect, said, log.random.choice(("reconciler", "reconciler2", "agent")))
        case _:
            status = log.random.choice((COMMITTED, NOT_COMMITTED))
            letter = log.random.randbytes(8)
            named: dict[str, Value] | None = None
            if log.chance(0.3):
                named = {"attachment": digest.attachment_digest(letter), "size": log.random.choice((8, 8, 9))}
                log.attachments.append(letter)
            said_so = Attestation(status=status, reason="a person looked", attachment=named)
            log.on(effect, said_so, log.random.choice(("attestor", "attestor", "agent", "executor")))


def pass_time(log: RandomLog) -> None:
    """A tick, now and then one that was held up or overtaken, or with the map's root, true or not."""
    later = log.random.choice(LATER_MS)
    if log.chance(0.6):
        log.tick(later)
        return
    last = log.fold.last_tick()
    since = range(last[0] if last else 0, log.index)
    covers = log.random.choice((log.index, log.random.choice(since), log.random.choice(since), log.index + 1))
    if log.chance(0.5):
        log.tick(later, covers=covers)
        return
    root = log.map_root(min(covers, log.index)) if log.chance(0.95) else bytes(32)
    log.tick(later, covers=covers, map_root=root)


def govern(log: RandomLog) -> None:
    """What admins do."""
    scope = log.random.choice(SCOPES)
    contract = log.random.choice((*CONTRACTS, CHARGE_2))
    name = log.random.choice(
        ("agent", "executor", "approver", "reconciler", "reconciler2", "scoped", "stranger", "admin")
    )
    match log.random.randrange(9):
        case 0 | 1:
            log.say(log.random.choice(POLICIES), "admin")
        case 2:
            log.say(Freeze(scope=scope, reason=""), "admin")
        case 3 | 4:
            frozen = log.fold.governance.freezes
            log.say(Unfreeze(scope=log.random.choice(frozen or (scope,)), reason=""), "admin")
        case 5:
            log.say(contract, "admin", change={"version": log.random.randrange(1, 4)})
        case 6:
            log.say(Withdraw(contract_id=contract.id, reason=""), "admin")
        case 7:
            suspect = log.random.choice((None, 3))
            log.say(Revoke(key=KEYS[name].public_key, grant=None, suspect_from=suspect), "admin")
        case _:
            role = log.random.choice(("agent", "executor", "approver", "reconciler", "attestor", "repeat"))
            log.grant(name, role, scope)


def recover(log: RandomLog) -> None:
    """The log goes on from an older copy, or swears that nothing was lost."""
    recoveries = log.fold.governance.recoveries
    if recoveries and log.chance(0.6):
        log.say(
            Oath(scope=log.random.choice(SCOPES), recovery=log.random.choice(recoveries).id, reason="looked"),
            "attestor",
        )
        return
    governance = log.fold.governance
    amnesia = log.chance(0.7)
    planned = log.note() if log.chance(0.9) else None
    other = KEYS["log2"] if log.log_key is KEYS["log"] else KEYS["log"]
    data = Recovery(
        old_origin=governance.origin, origin=f"{governance.origin}.e", size=log.index, root=log.frontier.root(),
        checkpoint=planned, log_key=other.public_key, amnesia=amnesia,
    )  # fmt: skip
    if isinstance(log.say(data, "admin"), Admitted):
        log.log_key = other


ACTIONS: Final[Actions] = (
    (decide, 30),
    (start, 22),
    (answer, 16),
    (consent, 10),
    (resolve, 14),
    (observe, 10),
    (settle, 10),
    (pass_time, 18),
    (govern, 3),
    (recover, 1),
)
