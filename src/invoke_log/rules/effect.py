"""One effect's life as a transition table. SPEC §9.4 [EFF-1] to [EFF-14].

    free -> claimed -> started -> committed | not_committed | unknown          unknown -> committed | not_committed

`step` is the table: one function per kind, each the row's guard and what it leaves behind. It is told everything else
(who governs, what time it is, what other chains hold) by a `World`, and the live path and the auditor bring each their
own.
"""

from typing import Final

from invoke_log.format import digest
from invoke_log.rules import evidence
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import Event
from invoke_log.rules.governance import Recovered, Refused
from invoke_log.rules.kind import (
    CLAIMED,
    COMMITTED,
    FREE,
    NOT_COMMITTED,
    PRESENT,
    STARTED,
    UNKNOWN,
    Approval,
    Attestation,
    Denial,
    Outcome,
    Redrive,
    Release,
    Resolution,
    Start,
    Suspect,
)
from invoke_log.rules.world import PENDING, EffectState, Send, World

OPEN: Final = frozenset((CLAIMED, STARTED, UNKNOWN))
ROTATES: Final = frozenset(("stored_failure", "key_burnt"))
"""Evidence after which the provider's key can only repeat its answer, so that the next attempt takes the next turn."""

NEXT: Final = {
    "wait": "another holder may START it or release it",
    "poll": "its call is out: wait for the outcome or for its deadline",
    "reconcile": "ask the provider: the outcome is unknown",
    "attest": "a person has to say: nobody can observe the outcome",
    "receipt": "it is done: read the receipt",
}
"""What a blocked caller can do next, and why. None of them is: try again."""
DECIDE_AGAIN: Final = "decide_again"
"""The word for a call that changed nothing and may be decided anew, on the world as it is now."""


def next_step(status: str, contract: Contract) -> str:
    """Return the word of `NEXT` for an effect that is open or committed [ADM-5], else `DECIDE_AGAIN`."""
    if status in (FREE, NOT_COMMITTED):
        return DECIDE_AGAIN
    if status == UNKNOWN:
        return "attest" if contract.observability == "fire-and-forget" else "reconcile"
    return {CLAIMED: "wait", STARTED: "poll"}.get(status, "receipt")


def absorb(state: EffectState, recoveries: tuple[Recovered, ...]) -> EffectState:
    """Return the state as recoveries leave it: what was claimed, started or unknown is unknown [REC-3].

    Every other status stays; the first intent accepted later pays for it (`claimed_or_unknown`).
    """
    if state.status not in OPEN or state.absorbed == len(recoveries):
        return state
    return state._replace(status=UNKNOWN, tainted=recoveries[-1].index, absorbed=len(recoveries))


def claimed_or_unknown(
    state: EffectState, effect_class: str, recoveries: tuple[Recovered, ...], *, repeats: bool
) -> tuple[str, int | None]:
    """Return the status that an accepted intent leads to, and the recovery that taints it [REC-4], [REC-5].

    Args: repeats: it begins a generation, of which no intent has accounted for any recovery.
    """
    unsettled = recoveries if repeats else recoveries[state.absorbed :]
    unsworn = [recovery for recovery in unsettled if recovery.forgot(effect_class, state.resource)]
    return (UNKNOWN, unsworn[-1].index) if unsworn else (CLAIMED, None)


def may_be_lost(state: EffectState, effect_class: str, recoveries: tuple[Recovered, ...]) -> bool:
    """Return whether a lost tail may hold what became of an effect of a class that is retired now [REC-7].

    Its key takes no intent any more, so none can account for a recovery before which it still took some.
    """
    return any(
        effect_class not in recovery.retired and recovery.forgot(effect_class, state.resource)
        for recovery in recoveries[state.absorbed :]
    )


def step(state: EffectState, event: Event, world: World, *, index: int = PENDING) -> EffectState | Refused:
    """Return the effect's state after an event that names its head, or the rule that it breaks [EFF-1].

    Args: index: the event's own leaf; below zero where it has none yet, and stands for it until it has.
    The caller has checked form, signature, grant and chain. Intents are claims and are made in `admission`.
    """
    contract = world.governance.contracts.get(state.claim.contract_id) if state.claim else None
    match event.data:
        case Approval() as data:
            after = _approve(state, event, data.intent)
        case Denial() as data:
            consent = _approve(state, event, data.intent)
            after = consent if isinstance(consent, Refused) else _return(state)
        case Release() as data:
            after = _release(state, event, data, contract, world)
        case Start() as data:
            after = _start(state, event, data, contract, world, index)
        case Outcome() as data:
            after = _outcome(state, event, data, contract)
        case Suspect() as data:
            after = _suspect(state, event, data, contract, world)
        case Redrive() as data:
            after = _redrive(state, event, data, contract, world, index)
        case Resolution() as data:
            after = _resolve(state, event, data, world)
        case Attestation() as data:
            after = _attest(state, event, data, contract, world)
        case _:
            after = _no_transition(state, event)
    return after if isinstance(after, Refused) else after._replace(last=event.id)


def settles(before: EffectState, after: EffectState) -> bool:
    """Return whether a step advances S [ID-4]: an attempt ended, or a later generation than any before committed."""
    ended = before.status in (STARTED, UNKNOWN) and after.status in (COMMITTED, NOT_COMMITTED)
    return ended or after.committed_max > before.committed_max


def contradicts(state: EffectState, generation: int) -> bool:
    """Return whether a presence of this generation shows that the last closing, as not committed, was wrong [EFF-12].

    A claim without a START has sent nothing, so that what was there before it is contradicted.
    """
    claimed = state.status == CLAIMED
    status, closed = (state.base_status, state.base_generation) if claimed else (state.status, state.generation)
    return status == NOT_COMMITTED and closed == generation


def commit(state: EffectState, generation: int) -> EffectState:
    """Return the state with a generation committed, which is final (S5)."""
    return state._replace(
        status=COMMITTED,
        generation=generation,
        committed_max=generation,
        claim=state.claim if generation == state.generation else None,
        send=None,
        tainted=None,
        sealed_request=None,
    )


def _no_transition(state: EffectState, event: Event) -> Refused:
    return Refused(code="transition-invalid", reason=f"{event.kind} on an effect that is {state.status}")


def _not_committed(state: EffectState, *, evidence_kind: str, free_content: bool) -> EffectState:
    assert state.claim is not None
    return state._replace(
        status=NOT_COMMITTED,
        turn=state.turn + (evidence_kind in ROTATES),
        sealed_request=None if free_content else state.claim.request,
        send=None,
        tainted=None,
    )


def _return(state: EffectState) -> EffectState:
    return state._replace(
        status=state.base_status,
        generation=state.base_generation,
        claim=state.claim if state.base_generation == state.generation else state.base_claim,
        base_claim=None,
        send=None,
    )


def _approve(state: EffectState, event: Event, intent: bytes) -> EffectState | Refused:
    if state.status != CLAIMED or state.claim is None or intent != state.claim.id:
        return Refused(code="transition-invalid", reason=f"{event.kind} of an intent that holds no claim")
    if event.by == state.claim.issuer:
        return Refused(code="self-approved", reason="the approver is the intent's own issuer")
    return state


def _release(
    state: EffectState, event: Event, data: Release, contract: Contract | None, world: World
) -> EffectState | Refused:
    if state.status != CLAIMED or state.claim is None or contract is None or data.intent != state.claim.id:
        return _no_transition(state, event)
    if event.by != state.claim.issuer and not evidence.passed(
        world.hi(state.claim.index), contract.claim_ttl_ms, world.now_ms()
    ):
        return Refused(
            code="claim-held", reason="only its issuer may release a claim before the contract's TTL has passed"
        )
    return _return(state)


def _start(
    state: EffectState, event: Event, data: Start, contract: Contract | None, world: World, index: int
) -> EffectState | Refused:
    claim, governance = state.claim, world.governance
    if state.status != CLAIMED or claim is None or contract is None or data.intent != claim.id:
        return _no_transition(state, event)
    if data.verdict.answer == "deny":
        return Refused(code="verdict-deny", reason="the policy in force denies this START")
    if contract.id in governance.withdrawn:
        return Refused(code="contract-withdrawn", reason=f"contract {contract.name!r} is withdrawn")
    if governance.frozen(contract.effect_class, state.resource):
        return Refused(code="frozen", reason="a freeze covers this effect")
    if (data.snapshot_id is not None) and contract.profile is None:
        return Refused(code="snapshot-differs", reason="the contract has no snapshot profile")
    if data.tag != digest.tag(state.effect, state.generation):
        return Refused(code="tag-differs", reason="the tag does not re-derive")
    if data.provider_key != digest.provider_key(state.effect, state.generation, state.turn):
        return Refused(code="provider-key-differs", reason="the provider key does not re-derive")
    refusal = _check_approvals(state, event, data, contract, world)
    if refusal is not None:
        return refusal
    send = Send(id=event.id, index=index, by=event.by, nonce_hash=data.nonce_hash, last_index=index, redriven=False)
    return state._replace(status=STARTED, send=send)


def _check_approvals(state: EffectState, event: Event, data: Start, contract: Contract, world: World) -> Refused | None:
    claim = state.claim
    assert claim is not None
    asked = claim.asks or data.verdict.answer == "ask"
    wanted = max(1, contract.approvals_count, claim.approvals, data.verdict.approvals) if asked else 0
    approvers: set[bytes] = set()
    for approval_id in data.approvals:
        found = world.chained(state.effect, state.resource, approval_id)
        if found is None or not isinstance(found[1].data, Approval) or found[1].data.intent != claim.id:
            return Refused(code="approval-invalid", reason=f"evt_{approval_id.hex()} is no approval of this intent")
        index, approval = found
        if approval.by == event.by:
            return Refused(code="self-approved", reason="the approver is the executor")
        if world.now_ms() > world.lo(index) + contract.approvals_ttl_ms:
            return Refused(
                code="approval-expired", reason=f"approval evt_{approval_id.hex()} is older than the contract's TTL"
            )
        if not world.governance.holds(approval.by, "approver", contract.effect_class, state.resource):
            return Refused(code="approval-invalid", reason="an approver's grant is no longer in force")
        approvers.add(approval.by)
    if len(approvers) < wanted:
        return Refused(code="approvals-missing", reason=f"{len(approvers)} approvals by distinct keys, want {wanted}")
    return None


def _outcome(state: EffectState, event: Event, data: Outcome, contract: Contract | None) -> EffectState | Refused:
    send = state.send
    if state.status not in (STARTED, UNKNOWN) or send is None or contract is None or data.start != send.id:
        return _no_transition(state, event)
    if event.by != send.by:
        return Refused(code="start-key-differs", reason="an outcome is signed by the key of its START")
    if data.nonce is None and data.status != UNKNOWN:
        return Refused(code="nonce-missing", reason="without the nonce of its START an outcome may only say unknown")
    if data.nonce is not None and digest.nonce_hash(data.nonce) != send.nonce_hash:
        return Refused(code="nonce-differs", reason="the nonce is not the one that START committed to")
    refusal = evidence.check_outcome(data, contract, redriven=send.redriven, tainted=state.tainted is not None)
    if refusal is not None:
        return refusal
    if data.status == COMMITTED:
        return commit(state, state.generation)
    if data.status == NOT_COMMITTED:
        return _not_committed(state, evidence_kind=data.evidence.kind, free_content=True)
    return state._replace(status=UNKNOWN)


def _suspect(
    state: EffectState, event: Event, data: Suspect, contract: Contract | None, world: World
) -> EffectState | Refused:
    if state.status != STARTED or state.send is None or contract is None or data.start != state.send.id:
        return _no_transition(state, event)
    if not evidence.passed(world.hi(state.send.last_index), contract.send_deadline_ms, world.now_ms()):
        return Refused(code="too-early", reason="the send deadline of this START has not passed")
    return state._replace(status=UNKNOWN)


def _redrive(
    state: EffectState, event: Event, data: Redrive, contract: Contract | None, world: World, index: int
) -> EffectState | Refused:
    send, governance = state.send, world.governance
    if state.status != UNKNOWN or send is None or contract is None or data.start != send.id:
        return _no_transition(state, event)
    key = contract.provider_key
    if key is None or key.stores != "all":
        return Refused(code="redrive-unsafe", reason="the provider does not store all results under its key")
    if state.tainted is not None:
        return Refused(code="redrive-unsafe", reason="a recovery has come since this START")
    if not world.now_ms() + contract.settle_ms < world.lo(send.index) + key.retention_ms:
        return Refused(
            code="redrive-unsafe", reason="the provider may have forgotten its key by the time a re-drive lands"
        )
    if governance.frozen(contract.effect_class, state.resource):
        return Refused(code="frozen", reason="a freeze covers this effect")
    if data.provider_key != digest.provider_key(state.effect, state.generation, state.turn):
        return Refused(code="provider-key-differs", reason="the provider key does not re-derive")
    return state._replace(send=send._replace(last_index=index, redriven=True))


def _resolve(state: EffectState, event: Event, data: Resolution, world: World) -> EffectState | Refused:
    contract = world.governance.contracts[data.contract_id]
    if data.presence == PRESENT:
        # Never refused for state: an inconvenient truth must be recordable (S15).
        unsupported = evidence.check_presence(data, contract, world=world, event=event)
        if unsupported is not None:
            return unsupported
        bound = state._replace(effect_class=state.effect_class or contract.effect_class)
        return commit(bound, data.generation) if data.generation > state.committed_max else bound
    if state.status != UNKNOWN or state.claim is None:
        return _no_transition(state, event)
    if data.contract_id != state.claim.contract_id or data.generation != state.generation:
        return Refused(
            code="evidence-invalid", reason="the resolution names another contract or generation than the open intent's"
        )
    refusal = evidence.check_absence(
        data, contract, bound_ms=absence_bound(state, contract, world), world=world, event=event
    )
    if refusal is not None:
        return refusal
    return _not_committed(state, evidence_kind=data.evidence.kind, free_content=data.evidence.kind in ("void", "abort"))


def _attest(
    state: EffectState, event: Event, data: Attestation, contract: Contract | None, world: World
) -> EffectState | Refused:
    claim, send = state.claim, state.send
    if state.status != UNKNOWN or claim is None or contract is None:
        return _no_transition(state, event)
    if event.by == claim.issuer or (send is not None and event.by == send.by):
        return Refused(code="self-attested", reason="the attestor is the issuer or the executor")
    bound_ms = absence_bound(state, contract, world)
    if bound_ms is None or world.now_ms() < bound_ms:
        return Refused(code="too-early", reason="an effect of the last send may still appear")
    if data.status == COMMITTED:
        return commit(state, state.generation)
    return _not_committed(state, evidence_kind="attestation", free_content=False)


def absence_bound(state: EffectState, contract: Contract, world: World) -> int | None:
    """Return the time from which an absent effect stays absent [PRF-4].

    D + Q after the last send and after a recovery, by the first tick that covers them; None: none has come yet.
    """
    leaves = [*([state.send.last_index] if state.send else []), *([state.tainted] if state.tainted is not None else [])]
    times = [world.hi(leaf) for leaf in leaves]
    if not times or any(time is None for time in times):
        return None
    return max(time for time in times if time is not None) + contract.settle_ms
