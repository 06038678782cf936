"""What counts as proof that an effect did, or did not, happen, and how good it is. SPEC §10 [PRF-1] to [PRF-9].

Yes is stable, no is not: one authenticated sighting of our tag proves committed; nothing that merely failed proves the
opposite.
"""

from collections.abc import Iterable
from typing import Final

from invoke_log.rules.contract import Contract
from invoke_log.rules.event import Event
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    PROOFS_OF_FAILURE,
    Evidence,
    Observation,
    Outcome,
    Resolution,
    Tick,
)
from invoke_log.rules.world import World

PROOFS_OF_PRESENCE: Final = frozenset(("response", "tag_seen", "webhook"))
PROOFS_OF_ABSENCE: Final = frozenset(("absence", "key_burnt", "void", "abort", "webhook"))
READS: Final = frozenset(("absence", "key_burnt"))
SEEN: Final = frozenset(("tag_seen",))
"""What an observation shows of a present effect: a sighting of its own, as `READS` are of an absent one."""
ATTESTED: Final = "attested"
"""Stands where a grade would: a person's word is beside the ladder, not on it."""


def passed(since_ms: int | None, duration_ms: int, now_ms: int) -> bool:
    """Return whether a duration has passed since an event whose hi is `since_ms`; None: no tick since [TIME-4]."""
    return since_ms is not None and now_ms >= since_ms + duration_ms


def check_outcome(data: Outcome, contract: Contract, *, redriven: bool, tainted: bool) -> Refused | None:
    """Return why an outcome's evidence does not support its status, or None [PRF-2], [PRF-3]."""
    kind = data.evidence.kind
    if data.status == COMMITTED:
        wanted = frozenset(("response",))
    elif data.status == NOT_COMMITTED:
        wanted = PROOFS_OF_FAILURE
    else:
        wanted = frozenset(("no_answer", "unclear_answer"))
    if kind not in wanted:
        return Refused(
            code="evidence-invalid",
            reason=f"{kind} does not show {data.status}, want one of {', '.join(sorted(wanted))}",
        )
    if tainted and data.status in (COMMITTED, NOT_COMMITTED):
        return Refused(code="recovery-open", reason="after a recovery an executor's word settles nothing")
    if data.status != NOT_COMMITTED:
        return None
    if redriven:
        return Refused(code="redriven", reason="after a re-drive, not_committed is a reconciler's to find")
    if kind == "abort" and contract.observability != "transactional":
        return Refused(code="evidence-invalid", reason="abort proves something only under a transactional contract")
    if kind in ("definite_failure", "stored_failure") and data.evidence.failure not in contract.definite_failures:
        return Refused(
            code="evidence-invalid", reason=f"{data.evidence.failure!r} is no definite failure of the contract"
        )
    if kind == "stored_failure" and (contract.provider_key is None or contract.provider_key.stores != "all"):
        return Refused(code="evidence-invalid", reason="the provider does not store failures under its key")
    return None


def check_absence(
    data: Resolution,
    contract: Contract,
    *,
    bound_ms: int | None,
    world: World,
    event: Event,
) -> Refused | None:
    """Return why a resolution does not prove absence, or None [PRF-4] to [PRF-7].

    Args: bound_ms: from when on a read can prove it; None while no tick has come after the last send.
    """
    kind = data.evidence.kind
    tainted = world.effect(event.effect or b"", event.resource or "").tainted is not None
    if kind not in PROOFS_OF_ABSENCE:
        return Refused(code="evidence-invalid", reason=f"{kind} does not show that an effect is absent")
    if tainted and kind != "absence":
        return Refused(code="recovery-open", reason="after a recovery only a read begun after the bound proves absence")
    if kind in READS:
        return _check_reads(data, contract, bound_ms=bound_ms, world=world, event=event)
    supported = {
        "void": contract.void is not None,
        "abort": contract.observability == "transactional",
        "webhook": contract.webhook is not None and data.evidence.failure in contract.webhook.negative,
    }
    if not supported[kind]:
        return Refused(code="evidence-invalid", reason=f"the contract knows no {kind} that proves absence")
    return _check_unlisted(data)


def _check_reads(
    data: Resolution,
    contract: Contract,
    *,
    bound_ms: int | None,
    world: World,
    event: Event,
) -> Refused | None:
    if not contract.proves_absence:
        return Refused(
            code="absence-unprovable", reason="the contract's read-back is partial or lags: it proves presence only"
        )
    if data.evidence.kind == "key_burnt" and contract.provider_key is None:
        return Refused(code="evidence-invalid", reason="the contract has no provider key that could be burnt")
    if contract.reconcilers == 1:
        refusal = _check_read(data.evidence, event.resource or "", bound_ms=bound_ms, world=world)
        if refusal is not None:
            return refusal
    observed = observations_of(data, contract, world=world, event=event)
    if isinstance(observed, Refused):
        return observed
    for observation in observed:
        assert isinstance(observation.data, Observation)
        refusal = _check_read(observation.data.evidence, event.resource or "", bound_ms=bound_ms, world=world)
        if refusal is not None:
            return refusal
    readers = {observation.by for observation in observed}
    if contract.reconcilers > 1 and len(readers) < contract.reconcilers:
        return Refused(
            code="observations-missing",
            reason=f"{len(readers)} observations by distinct keys, want {contract.reconcilers}",
        )
    return None


def reads_absent(observation: Event, contract: Contract, *, bound_ms: int | None, world: World) -> bool:
    """Return whether an observation helps to prove absence now: what a resolution may list [PRF-5], [PRF-7]."""
    data = observation.data
    return (
        isinstance(data, Observation)
        and _check_observation(observation, ABSENT, contract, world=world) is None
        and _check_read(data.evidence, observation.resource or "", bound_ms=bound_ms, world=world) is None
    )


def observations_of(data: Resolution, contract: Contract, *, world: World, event: Event) -> list[Event] | Refused:
    """Return the observations that a resolution lists, or why one does not count [PRF-7].

    Each is an accepted one of this effect, says what the resolution says by a sighting or read of its own, and its key
    still holds reconciler over it and never sent it.
    """
    observed: list[Event] = []
    for observation_id in data.evidence.observations:
        found = world.unchained(observation_id, event.resource or "")
        if found is None or not isinstance(found[1].data, Observation) or found[1].effect != event.effect:
            return Refused(
                code="observation-invalid", reason=f"evt_{observation_id.hex()} is no observation of this effect"
            )
        refusal = _check_observation(found[1], data.presence, contract, world=world)
        if refusal is not None:
            return refusal
        observed.append(found[1])
    return observed


def _check_observation(observation: Event, presence: str, contract: Contract, *, world: World) -> Refused | None:
    data, effect, resource = observation.data, observation.effect or b"", observation.resource or ""
    assert isinstance(data, Observation)
    wanted = SEEN if presence == PRESENT else READS
    if data.presence != presence:
        return Refused(code="observation-invalid", reason=f"an observation says {data.presence}, not {presence}")
    if data.evidence.kind not in wanted:
        return Refused(code="observation-invalid", reason=f"an observation is none of {', '.join(sorted(wanted))}")
    if world.started_by(effect, resource, observation.by):
        return Refused(code="observation-invalid", reason="an observation is the executor's own")
    if not world.governance.holds(observation.by, "reconciler", contract.effect_class, resource):
        return Refused(code="observation-invalid", reason="an observation's key holds no grant as reconciler")
    return None


def check_presence(data: Resolution, contract: Contract, *, world: World, event: Event) -> Refused | None:
    """Return why a resolution does not show presence, or None; it is never refused for the effect's state [PRF-1]."""
    if data.evidence.kind not in PROOFS_OF_PRESENCE:
        return Refused(code="evidence-invalid", reason=f"{data.evidence.kind} does not show that an effect is present")
    if data.evidence.kind == "webhook" and (contract.webhook is None or not contract.webhook.positive):
        return Refused(code="evidence-invalid", reason="the contract knows no webhook that shows presence")
    if data.evidence.kind not in SEEN:
        return _check_unlisted(data)
    observed = observations_of(data, contract, world=world, event=event)
    return observed if isinstance(observed, Refused) else None


def _check_unlisted(data: Resolution) -> Refused | None:
    """What is listed is checked, so evidence that observations cannot carry lists none [PRF-7]."""
    if not data.evidence.observations:
        return None
    return Refused(
        code="observation-invalid", reason=f"{data.evidence.kind} rests on no observations, want none listed"
    )


def _check_read(read: Evidence, resource: str, *, bound_ms: int | None, world: World) -> Refused | None:
    """The read names a tick that its reader held before it began, of a time that is not before the bound [PRF-5]."""
    tick = world.unchained(read.tick, resource) if read.tick is not None else None
    if tick is None or not isinstance(tick[1].data, Tick):
        return Refused(
            code="tick-unknown", reason="the read names no tick of this log that its reader held before it began"
        )
    began_ms = max(tick[1].data.time_ms, world.lo(tick[0]))
    if bound_ms is None or began_ms < bound_ms:
        return Refused(code="too-early", reason="the read began before an effect of the last send had to be visible")
    return None


def grade_of(event: Event, contract: Contract | None, *, observers: Iterable[bytes], by_executor: bool) -> str:
    """Return the grade of the event that settled an effect: E0 to E2 as replay can tell, or `attested` [PRF-8].

    Args:
        observers: the keys of the observations that an admitted resolution lists.
        by_executor: whether the event is by the key of a START of the effect.
    """
    match event.data:
        case Outcome():
            return "E0"
        case Resolution() as data:
            wanted = contract.reconcilers if contract is not None else 1
            if len(set(observers)) >= max(2, wanted):
                return "E2"
            return "E0" if by_executor or data.evidence.kind == "response" else "E1"
        case _:
            return ATTESTED


def reliance_of(
    event: Event, contract: Contract | None, *, grade: str, sworn: bool = False, earlier: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return what a settled status rests on beside the log itself, sorted: SPEC §10's words [PRF-9].

    Args:
        event: what settled it.
        sworn: whether an oath let an intent of it be claimed after a recovery.
        earlier: the words of what settled its earlier attempts and generations.
    """
    relies = {"store-not-rolled-back", *earlier}
    match event.data:
        case Outcome() as data:
            relies.add("executor")
            if data.evidence.kind in ("definite_failure", "stored_failure"):
                relies.add("contract-failures")
        case Resolution() as data:
            relies.add("executor" if grade == "E0" else "reconciler")
            if data.evidence.kind in (*READS, "void"):
                relies |= {"log-clock", "quiescence-bound"}
            if data.evidence.kind == "webhook":
                relies.add("webhook-sender")
        case _:
            relies |= {"attestor", "log-clock", "quiescence-bound"}
    if contract is not None and contract.keyed:
        relies.add("provider-key")
    if sworn:
        relies.add("oath")
    return tuple(sorted(relies))
