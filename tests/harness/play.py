"""A log to play on, for the clauses of SPEC.md: it fills in heads, state hashes and keys.

Each event is answered with its id, or with the code of the rule that makes it void. The functions below `Play` lead a
log into the situations that the clauses speak of.
"""

from dataclasses import replace
from typing import Any, Final, cast

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.log.signer import FileSigner
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import ABOUT_KINDS, CHAINED_KINDS, GOVERNANCE_KINDS, build_body, kind_of
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import (
    Approval,
    Data,
    Evidence,
    Freeze,
    Genesis,
    Grant,
    Observation,
    Outcome,
    Recovery,
    Redrive,
    Resolution,
    Revoke,
    Scope,
    Tick,
    Withdraw,
)
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy
from invoke_log.rules.world import EffectState
from tests.harness.worked_log import (
    ADMIN,
    AGENT,
    ARGUMENTS,
    CONTRACT,
    LOG,
    NONCE,
    ORIGIN,
    RECONCILER,
    T0,
    Worked,
    a_start,
    an_intent,
    contract,
)

EXECUTOR, APPROVER, SECOND, ATTESTOR, STRANGER = (FileSigner(bytes([seed]) * 32) for seed in (5, 6, 7, 8, 9))
"""SECOND is an approver and a reconciler beside the first ones. STRANGER holds nothing."""
SETTLE_MS: Final = CONTRACT.settle_ms
OTHER_POLICY: Final[dict[str, Value]] = {**ALLOW_COVERED, "name": "another"}


def must(answer: bytes | str) -> bytes:
    """Return the id of an event that had to be admitted."""
    assert isinstance(answer, bytes), answer
    return answer


class Play(Worked):
    """A log with every role granted, the default policy, and contracts; the first one is the one that is played on."""

    def __init__(self, *contracts: Contract) -> None:
        super().__init__()
        self.contract = contracts[0] if contracts else CONTRACT
        self.bound = bind(self.contract, ARGUMENTS)
        genesis = Genesis(format=1, origin=ORIGIN, log_key=LOG.public_key, admin_keys=(ADMIN.public_key,))
        self.append(genesis, ADMIN)
        self.tick(0)
        for role, signers in {
            "agent": (AGENT,),
            "repeat": (AGENT,),
            "executor": (EXECUTOR,),
            "approver": (APPROVER, SECOND, EXECUTOR, AGENT),
            "reconciler": (RECONCILER, SECOND, EXECUTOR),
            "attestor": (ATTESTOR, EXECUTOR, AGENT),
        }.items():
            for signer in signers:
                self.say(Grant(subject=role, key=signer.public_key, role=role, scope=EVERYTHING), ADMIN)
        must(self.say(parse_policy(ALLOW_COVERED), ADMIN))
        for registered in contracts or (CONTRACT,):
            must(self.say(registered, ADMIN))

    @property
    def state(self) -> EffectState:
        return self.fold.effect(self.bound.effect, self.bound.resource)

    def say(self, data: Data, signer: FileSigner, **fields: Value) -> bytes | str:
        """Append an event in its place; `fields` replace what stands in the body."""
        kind = kind_of(data)
        of_effect = kind in CHAINED_KINDS | ABOUT_KINDS
        prev: bytes | None = None
        if kind in GOVERNANCE_KINDS:
            prev = self.fold.governance.head
        elif kind in CHAINED_KINDS:
            prev = self.state.last
        body = build_body(
            data,
            log=self.log_id,
            by=signer.public_key,
            at_ms=T0,
            prev=prev,
            effect=self.bound.effect if of_effect else None,
            resource=self.bound.resource if of_effect else None,
            state=self.fold.state_hash(self.bound.resource) if kind == "intent" else None,
        )
        return self.put({**body, **fields}, signer)

    def tick(
        self, after_ms: int, *, by: FileSigner = LOG, covers: int | None = None, root: bytes | None = None
    ) -> bytes | str:
        """Append the log's time: so long after T0, by who has seen all that is there."""
        covers = len(self.envelopes) if covers is None else covers
        return self.say(Tick(time_ms=T0 + after_ms, covers=covers, map=root), by)

    def intend(self, by: FileSigner = AGENT, **changes: object) -> bytes | str:
        """Append an intent of the effect that is played on."""
        return self.say(an_intent(self.contract, self.bound, **changes), by)

    def start(self, by: FileSigner = EXECUTOR, **changes: object) -> bytes | str:
        """Append a START of the latest claim."""
        claim = self.state.claim
        intent = claim.id if claim is not None else bytes(32)
        turn, generation = self.state.turn, self.state.generation
        return self.say(a_start(intent, self.bound, turn=turn, generation=generation, **changes), by)

    def answer(self, status: str, kind: str, by: FileSigner = EXECUTOR, **changes: object) -> bytes | str:
        """Append an outcome of the open send."""
        send = self.state.send
        start = send.id if send is not None else bytes(32)
        outcome = Outcome(start=start, nonce=NONCE, status=status, evidence=Evidence(kind=kind), result=None)
        return self.say(replace(outcome, **cast("dict[str, Any]", changes)), by)

    def resolve(self, presence: str, evidence: Evidence, by: FileSigner = RECONCILER, **changes: object) -> bytes | str:
        """Append a resolution under the contract and generation that are played on."""
        resolution = Resolution(
            presence=presence,
            contract_id=self.contract.id,
            generation=self.state.generation,
            evidence=evidence,
            of=None if presence == "absent" or self.state.attempt else self.bound.parts,
        )
        return self.say(replace(resolution, **cast("dict[str, Any]", changes)), by)


def claimed(*contracts: Contract) -> Play:
    play = Play(*contracts)
    must(play.intend())
    return play


def started(*contracts: Contract) -> Play:
    play = claimed(*contracts)
    must(play.start())
    return play


def unknown(*contracts: Contract) -> Play:
    """Unknown, with a tick after its START."""
    play = started(*contracts)
    must(play.answer("unknown", "no_answer"))
    must(play.tick(1_000))
    return play


def committed(*contracts: Contract) -> Play:
    play = started(*contracts)
    must(play.answer("committed", "response"))
    return play


def not_committed(*contracts: Contract) -> Play:
    """Not committed, by absence."""
    play = unknown(*contracts)
    must(absent(play))
    return play


def settled_tick(play: Play, *, early_ms: int = 0) -> bytes:
    """Append the tick at which D + Q have passed since the tick of `unknown`."""
    return must(play.tick(1_000 + SETTLE_MS - early_ms))


def absent(play: Play) -> bytes | str:
    return play.resolve("absent", Evidence(kind="absence", tick=settled_tick(play)))


def recovered(play: Play) -> Play:
    """The log goes on from an older copy, with a tick after that."""
    root, size = play.frontier.root(), len(play.envelopes)
    data = Recovery(
        old_origin=ORIGIN,
        origin=f"{ORIGIN}.e1",
        size=size,
        root=root,
        checkpoint=None,
        log_key=LOG.public_key,
        amnesia=True,
    )
    must(play.say(data, ADMIN))
    must(play.tick(2_000))
    return play


def frozen(play: Play) -> Play:
    must(play.say(Freeze(scope=Scope(effect_class="money.charge/1", prefix=""), reason="r"), ADMIN))
    return play


def withdrawn(play: Play) -> Play:
    must(play.say(Withdraw(contract_id=play.contract.id, reason="r"), ADMIN))
    return play


def revoked(play: Play, key: FileSigner) -> Play:
    must(play.say(Revoke(key=key.public_key, grant=None, suspect_from=None), ADMIN))
    return play


def governed(play: Play, data: Data) -> Play:
    must(play.say(data, ADMIN))
    return play


def another_policy(play: Play) -> Play:
    return governed(play, parse_policy(OTHER_POLICY))


def successor(
    effect_class: str = "money.charge/2", *, name: str = "charge-again", identity: tuple[str, ...] = ("customer",)
) -> Contract:
    """Return a contract that retires the class of the examples."""
    retires: Value = {
        "effect_class": "money.charge/1",
        "resource": CONTRACT.resource,
        "purpose": "order",
        "identity": list(identity),
    }
    return contract(name=name, effect_class=effect_class, retires=retires)


def under(play: Play, other: Contract) -> Play:
    """Play on with another contract, and the effect that it names."""
    play.contract, play.bound = other, bind(other, ARGUMENTS)
    return play


def approve(play: Play, by: FileSigner = APPROVER) -> bytes:
    return must(play.say(Approval(intent=claim_of(play), shown=bytes(32)), by))


def redrive(play: Play) -> bytes | str:
    key = digest.provider_key(play.bound.effect, play.state.generation, play.state.turn)
    return play.say(Redrive(start=send_of(play), nonce_hash=bytes(32), provider_key=key), RECONCILER)


def absent_by(play: Play, *readers: FileSigner, kind: str = "absence", presence: str = "absent") -> bytes | str:
    """Resolve by observations, one of each reader."""
    read = Evidence(kind=kind, tick=settled_tick(play))
    observation = Observation(about=bytes(32), presence=presence, evidence=read)
    seen = sorted(must(play.say(observation, by)) for by in readers)
    return play.resolve("absent", Evidence(kind="absence", observations=tuple(seen)))


def claim_of(play: Play) -> bytes:
    assert play.state.claim is not None
    return play.state.claim.id


def send_of(play: Play) -> bytes:
    assert play.state.send is not None
    return play.state.send.id
