"""Whether an event may stand at a position of the log: `admit(event, world)`. SPEC §9 [ADM-1] to [ADM-6].

Called by the live path and by the auditor. It answers with the first of protocol order that fits: refused for
authority, collision, conflict or blocked, stale, refused by a guard, else admitted. Whether the very same event is
there already is the caller's question: only it knows every id.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from invoke_log.errors import MalformedError
from invoke_log.format import digest, limits
from invoke_log.rules import effect as effects
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import decision_key_of
from invoke_log.rules.event import CHAINED_KINDS, GOVERNANCE_KINDS, Event
from invoke_log.rules.governance import Governance, ReadRoot, Refused, govern
from invoke_log.rules.intent import Bound, rederive, rederive_key, retired_effect
from invoke_log.rules.kind import (
    COMMITTED,
    FREE,
    NOT_COMMITTED,
    PRESENT,
    Intent,
    Outcome,
    Release,
    Resolution,
    Start,
    Suspect,
    Tick,
)
from invoke_log.rules.world import PENDING, Claim, EffectState, World

ROLE_OF: Final = {
    "approval": "approver",
    "denial": "approver",
    "start": "executor",
    "redrive": "reconciler",
    "resolution": "reconciler",
    "attestation": "attestor",
}
"""Kinds whose issuer needs a role over the effect. An intent needs agent or repeat, others any grant or START's key."""

AUTHORITY: Final = frozenset(("log-mismatch", "grant-missing", "contract-unknown"))
"""Refusals that come before DUPLICATE in the order of answers; all others come after it [ADM-3], [ADM-6]."""


class Admitted(NamedTuple):
    """What the event leaves behind: effect, governance, and the state hash of its resource, where it moves them.
    before: the effect as it was judged.
    """

    effect: EffectState | None = None
    before: EffectState | None = None
    governance: Governance | None = None
    state_hash: digest.StateHash | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """The same decision is open already, whoever wrote it."""

    of: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The effect is open or committed with another request."""

    of: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The effect is open or committed. `by` is its head; `next` is what to do about it, one word of `effect.NEXT`."""

    by: bytes
    status: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """What the event names is not what stands: `head` is. `code` says which (SPEC §11)."""

    code: str
    head: bytes | None
    reason: str


Judgement = Admitted | Collision | Conflict | Blocked | Stale | Refused


def admit(event: Event, world: World, *, index: int = PENDING, root: ReadRoot | None = None) -> Judgement:
    """Return whether the event may stand here, and what it leaves behind.

    Args:
        index, root: its own leaf and the tree's root before it, where known; only a recovery is judged by the root. An
            index below zero stands for the leaf that it will have.
    The caller has checked form and signature, and handles genesis (`governance.found`) and duplicates.
    """
    governance = world.governance
    if event.log != governance.log_id:
        return Refused(
            code="log-mismatch", reason=f"body names log {event.log.hex()[:16]}…, want {governance.log_id.hex()[:16]}…"
        )
    if event.kind in GOVERNANCE_KINDS:
        return _admit_governance(event, governance, index=index, root=root)
    if event.kind in CHAINED_KINDS:
        return (
            _admit_intent(event, event.data, world, index=index)
            if isinstance(event.data, Intent)
            else _admit_chained(event, world, index=index)
        )
    return _admit_unchained(event, world, index=index)


def _admit_governance(event: Event, governance: Governance, *, index: int, root: ReadRoot | None) -> Judgement:
    after = govern(governance, event, index=index, root=root)
    if isinstance(after, Refused) and after.code == "grant-missing":
        return after
    if event.prev != governance.head:
        return Stale(code="chain-broken", head=governance.head, reason="prev is not the head of the governance chain")
    return after if isinstance(after, Refused) else Admitted(governance=after)


def _admit_unchained(event: Event, world: World, *, index: int) -> Judgement:
    governance = world.governance
    if event.prev is not None:
        return Refused(code="chain-broken", reason=f"a {event.kind} stands on no chain, want prev null")
    if isinstance(event.data, Tick):
        if event.by != governance.log_key:
            return Refused(code="grant-missing", reason="a tick is signed by the log key in force")
        if index != PENDING and event.data.covers > index:
            return Refused(code="tick-invalid", reason=f"covers {event.data.covers} entries at leaf {index}")
        last = world.last_tick()
        if last is not None and event.data.covers <= last[0]:
            # Its clock may have been read before that tick's: what it says of the time is out of date.
            reason = f"its signer had not seen the tick at leaf {last[0]}"
            return Stale(code="tick-overtaken", head=last[1], reason=reason)
        return Admitted()
    if not governance.granted(event.by):
        return Refused(code="grant-missing", reason=f"key_{event.by.hex()} holds no grant at this position")
    return Admitted()


def _admit_chained(event: Event, world: World, *, index: int) -> Judgement:
    assert event.effect is not None
    assert event.resource is not None
    state = world.effect(event.effect, event.resource)
    if state.resource != event.resource:
        return Refused(code="resource-differs", reason=f"the effect belongs to resource {state.resource[:80]!r}")
    refusal = _authorise(event, state, world) or _check_named(event, state, world)
    if refusal is not None:
        return refusal
    if event.prev != state.last:
        return Stale(code="chain-broken", head=state.last, reason="prev is not the head of the effect's chain")
    if isinstance(event.data, Start):
        policy = world.governance.policy
        if policy is None or event.data.verdict.policy_id != policy.id:
            return Stale(
                code="policy-superseded",
                head=policy.id if policy else None,
                reason="the verdict names a policy that is not in force",
            )
    after = effects.step(state, event, world, index=index)
    if isinstance(after, Refused):
        return after
    moved = digest.state_next(world.state_hash(event.resource), event.id) if effects.settles(state, after) else None
    return Admitted(effect=after, before=state, state_hash=moved)


def _authorise(event: Event, state: EffectState, world: World) -> Refused | None:
    governance = world.governance
    assert event.effect is not None
    assert event.resource is not None
    if isinstance(event.data, Outcome):
        return None  # START's key and nonce, which the transition checks: a revoked key may still bring evidence
    effect_class = state.effect_class
    if isinstance(event.data, Resolution):
        contract = governance.contracts.get(event.data.contract_id)
        if contract is None:
            return Refused(
                code="contract-unknown", reason=f"no contract ctr_{event.data.contract_id.hex()} is registered"
            )
        effect_class = effect_class or contract.effect_class
        if event.data.presence == PRESENT and world.started_by(event.effect, event.resource, event.by):
            return None
    # Of an effect that no event has named the class is not known: its chain answers, not its scope.
    if isinstance(event.data, Release | Suspect) or not effect_class:
        allowed = governance.granted(event.by)
    else:
        allowed = governance.holds(event.by, ROLE_OF[event.kind], effect_class, event.resource)
    if allowed:
        return None
    role = ROLE_OF.get(event.kind, "any role")
    return Refused(
        code="grant-missing", reason=f"key_{event.by.hex()} holds no grant as {role} over this effect at this position"
    )


def _check_named(event: Event, state: EffectState, world: World) -> Refused | None:
    """Return why a presence does not show which effect it is about, or None [EFF-15].

    An intent has derived the key already; without one, nobody else says that the key belongs to class and resource.
    """
    data = event.data
    if not isinstance(data, Resolution) or data.presence != PRESENT:
        return None
    contract = world.governance.contracts[data.contract_id]
    if data.of is not None:
        try:
            derived = rederive_key(contract, data.of)
        except MalformedError as error:
            return Refused(code="arguments-invalid", reason=error.message)
        named = derived == (event.effect, event.resource)
    else:
        named = state.attempt > 0 and state.effect_class == contract.effect_class
    if not named:
        return Refused(
            code="effect-differs",
            reason="nothing shows that effect and resource are the contract's: `of` has to derive them",
        )
    if contract.effect_class == "none":
        return Refused(code="effect-none", reason="the contract declares a read: nothing is present by it")
    return None


def _admit_intent(event: Event, data: Intent, world: World, *, index: int) -> Judgement:
    governance = world.governance
    assert event.effect is not None
    assert event.resource is not None
    assert event.state is not None
    contract = governance.contracts.get(data.contract_id)
    if contract is None:
        return Refused(code="contract-unknown", reason=f"no contract ctr_{data.contract_id.hex()} is registered")
    role = "agent" if data.again is None else "repeat"
    if not governance.holds(event.by, role, contract.effect_class, event.resource):
        return Refused(
            code="grant-missing",
            reason=f"key_{event.by.hex()} holds no grant as {role} over this effect at this position",
        )
    try:
        bound = rederive(contract, data)
    except MalformedError as error:
        return Refused(code="arguments-invalid", reason=error.message)
    if (event.effect, event.resource) != (bound.effect, bound.resource):
        return Refused(
            code="effect-differs", reason="effect and resource do not re-derive from contract, purpose and identity"
        )
    state = world.effect(event.effect, event.resource)
    occupied = _occupied(event, data, bound, contract, state)
    if occupied is not None:
        return occupied
    stale = _stale(event, data, contract, state, world)
    if stale is not None:
        return stale
    refusal = _check_intent(event, data, bound, contract, state, world)
    if refusal is not None:
        return refusal
    return Admitted(
        effect=_claim(event, data, bound, contract, state, world, index=index),
        before=state,
        state_hash=digest.state_next(event.state, event.id),
    )


def _occupied(
    event: Event, data: Intent, bound: Bound, contract: Contract, state: EffectState
) -> Collision | Conflict | Blocked | None:
    """Compare with the latest intent of the current generation [ADM-4]: this is where a second decision ends."""
    if state.status not in effects.OPEN and not (state.status == COMMITTED and data.again != state.last):
        return None
    assert state.last is not None
    if state.claim is not None:
        if decision_key_of(event, data, bound, generation=state.generation) == state.claim.decision_key:
            return Collision(of=state.claim.id)
        if bound.request != state.claim.request:
            return Conflict(of=state.claim.id)
    return Blocked(by=state.last, status=state.status, next=effects.next_step(state.status, contract))


def _stale(event: Event, data: Intent, contract: Contract, state: EffectState, world: World) -> Stale | None:
    governance = world.governance
    policy = governance.policy
    if event.prev != state.last or data.after not in (None, state.last):
        return Stale(code="chain-broken", head=state.last, reason="prev or after is not the head of the effect's chain")
    standing = world.state_hash(event.resource or "")
    if event.state != standing:
        return Stale(
            code="state-stale",
            head=standing,
            reason="state is not the resource's state hash: read the world again and decide again",
        )
    if not governance.in_force(contract):
        latest = governance.latest.get(contract.name)
        return Stale(
            code="contract-superseded",
            head=latest,
            reason=f"contract {contract.name!r} has a later version, or its class is retired",
        )
    if policy is None or data.verdict.policy_id != policy.id:
        return Stale(
            code="policy-superseded",
            head=policy.id if policy else None,
            reason="the verdict names a policy that is not in force",
        )
    return None


def _check_intent(
    event: Event, data: Intent, bound: Bound, contract: Contract, state: EffectState, world: World
) -> Refused | None:
    governance = world.governance
    if contract.effect_class == "none":
        return Refused(code="effect-none", reason="the contract declares a read: it claims nothing")
    if contract.id in governance.withdrawn:
        return Refused(code="contract-withdrawn", reason=f"contract {contract.name!r} is withdrawn")
    if governance.frozen(contract.effect_class, bound.resource):
        return Refused(code="frozen", reason="a freeze covers this effect")
    if data.again is not None and state.status != COMMITTED:
        return Refused(code="again-invalid", reason=f"again repeats a committed effect, and this one is {state.status}")
    if data.again is not None and state.generation == limits.INTEGER_MAX:
        return Refused(code="again-invalid", reason="there is no generation after the last one")
    if (data.after is not None) != (state.status == NOT_COMMITTED):
        return Refused(
            code="after-invalid",
            reason=f"the effect is {state.status}: after names the head of a not_committed one, and only of one",
        )
    if data.after is not None and state.sealed_request not in (None, bound.request):
        return Refused(
            code="content-differs",
            reason="the last attempt ended by absence or attestation: the request must be the same",
        )
    for retires in governance.lineage(contract):
        old = retired_effect(contract, bound, retires)
        if old is None:
            continue
        before = world.effect(*old)
        lost = effects.may_be_lost(before, retires.effect_class, governance.recoveries)
        if lost or before.status not in (FREE, NOT_COMMITTED):
            status = "in a tail that a recovery has lost, or not" if lost else before.status
            under = governance.contracts[before.claim.contract_id] if before.claim is not None else contract
            return Refused(
                code="predecessor-open",
                reason=f"the key that {retires.effect_class} gave these arguments, eff_{old[0].hex()}, is {status}",
                # Of a lost tail's free effect, only a person's oath says that nothing became of it.
                next="attest" if before.status in (FREE, NOT_COMMITTED) else effects.next_step(before.status, under),
            )
    if (data.snapshot_id is None) != (contract.profile is None):
        return Refused(code="snapshot-differs", reason="a snapshot stands exactly where the contract has a profile")
    if data.verdict.answer == "deny":
        return Refused(code="verdict-deny", reason="a denied call is a refusal, never an intent")
    return None


def _claim(
    event: Event, data: Intent, bound: Bound, contract: Contract, state: EffectState, world: World, *, index: int
) -> EffectState:
    recoveries = world.governance.recoveries
    status, tainted = effects.claimed_or_unknown(
        state, contract.effect_class, recoveries, repeats=data.again is not None
    )
    generation = state.generation + (data.again is not None)
    claim = Claim(
        id=event.id,
        index=index,
        issuer=event.by,
        contract_id=contract.id,
        request=bound.request,
        decision_key=decision_key_of(event, data, bound, generation=generation),
        asks=data.verdict.answer == "ask",
        approvals=data.verdict.approvals,
    )
    return state._replace(
        effect_class=contract.effect_class,
        status=status,
        generation=generation,
        attempt=state.attempt + 1,
        turn=0 if data.again is not None else state.turn,
        last=event.id,
        base_status=state.status,
        base_generation=state.generation,
        base_claim=state.claim if data.again is not None else None,
        claim=claim,
        send=None,
        sealed_request=None if data.again is not None else state.sealed_request,
        tainted=tainted,
        absorbed=len(recoveries),
    )
