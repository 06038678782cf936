"""The guarded call as a state machine without I/O: what to ask of log, world and tool, in which order. SPEC §9.5
[CALL-1].

`guarded_call` is a generator. It yields a step, is sent what came of it, and returns how the call ended. A driver
carries the steps out, one after the other, in a thread or on an event loop; it decides nothing.

    Look -> Observe -> Seal, Seal -> Append -> Send -> Seal -> Append

A claim of the same request that stands already is gone on with; any other is released after its TTL, and decided anew:

    Look -> Observe -> Seal -> Append -> Send -> Seal -> Append
    Look -> Observe -> Seal -> Append -> Look -> Observe -> Seal, Seal -> Append -> Send -> Seal -> Append
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.admission import Blocked, Collision, Conflict, Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import facts_of
from invoke_log.rules.effect import DECIDE_AGAIN, next_step
from invoke_log.rules.governance import Refused
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import (
    CLAIMED,
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    STARTED,
    UNKNOWN,
    Intent,
    Outcome,
    Refusal,
    Release,
    Resolution,
    Start,
    Verdict,
)
from invoke_log.rules.policy import ASK, DENY, NO_ENGINES, Engines, judge
from invoke_log.rules.snapshot import Snapshot, difference, drifted
from invoke_log.rules.step import Append, Ended, Look, Observe, Refuse, Reply, Seal, Sealed, Seen, Send, Step
from invoke_log.rules.world import Claim, EffectState

DECISIONS_MAX: Final = 64
"""Times that a call looks at the world again because the resource or a budget moved under it, before it is blocked as
stale. Calls of several processes under one budget go in one a commit, so each may lose as often as there are others.
"""
APPENDS_MAX: Final = 5
"""Times that the same bytes are appended again after UNAVAILABLE."""

Machine = Generator[Step, Any, Ended]


def guarded_call(contract: Contract, bound: Bound, *, issuer: bytes, engines: Engines = NO_ENGINES) -> Machine:
    """Run one call under its contract [CALL-1]. Only an ACCEPTED START of this very run leads to a `Send` [CALL-2]."""
    seen_before: Snapshot | None = None
    for _ in range(DECISIONS_MAX):
        seen: Seen = yield Look()
        if _may_go_on(seen, contract, bound):
            ended = yield from _go_on(contract, bound, seen, engines)
            if ended is not None:
                return ended
            continue
        # S was read before the snapshot: a world that moves between the two shows as STALE.
        snapshot: Snapshot | None = (yield Observe()) if contract.profile is not None else None
        if seen_before is not None and snapshot is not None and snapshot.id != seen_before.id:
            changed = difference(seen_before.fields, snapshot.fields)
            return (yield from _refused(None, "stale", f"the world changed while deciding: {changed}", DECIDE_AGAIN))
        seen_before = snapshot
        judged = partial(judge_now, contract, bound, snapshot=snapshot, issuer=issuer, engines=engines)
        verdict = judged(seen)
        if not _answers_alike(verdict, seen, judged):
            return _stands_still("the policy answers otherwise")
        if verdict is None or verdict.answer == DENY:
            rule = verdict.rule if verdict is not None else None
            yield Refuse(blocker=None, reason="denied")
            return _ended("denied", reason=f"policy denies: {rule or 'no rule allows it'}")
        if (yield from _freed(seen)):
            continue
        ended = yield from _decide(contract, bound, seen, snapshot, verdict)
        if ended is not None:
            return ended
    return (yield from _refused(None, "stale", "the resource kept moving while deciding", DECIDE_AGAIN))


def judge_now(
    contract: Contract,
    bound: Bound,
    seen: Seen,
    snapshot: Snapshot | None,
    *,
    issuer: bytes,
    engines: Engines = NO_ENGINES,
) -> Verdict | None:
    """Return the verdict of the policy in force, with its whole input; None where no policy is in force or its engine
    is missing.
    """
    policy = seen.governance.policy
    if policy is None:
        return None
    fields = snapshot.fields if snapshot is not None else {}
    inputs: dict[str, Value] = {
        "now_ms": seen.now_ms,
        "snapshot": {name: fields[name] for name in sorted(policy.snapshot_fields) if name in fields},
        "budgets": seen.budgets,
    }
    generation = seen.state.generation
    facts = facts_of(contract, bound, resource=bound.resource, issuer=issuer, generation=generation)
    judged = judge(policy, facts, inputs, engines=engines)
    if judged is None:
        return None
    return Verdict(
        policy_id=policy.id, inputs=inputs, answer=judged.answer, rule=judged.rule, approvals=judged.approvals
    )


def intent_of(
    contract: Contract, bound: Bound, state: EffectState, snapshot: Snapshot | None, verdict: Verdict
) -> Intent:
    """Return what a call decides where its effect is free, or not committed."""
    return Intent(
        contract_id=contract.id,
        purpose=bound.purpose,
        identity=bound.identity,
        content=bound.content,
        snapshot_id=snapshot.id if snapshot is not None else None,
        after=state.last if state.status == NOT_COMMITTED else None,
        again=None,
        verdict=verdict,
    )


def refusal_of(step: Refuse, bound: Bound, *, issuer: bytes, now_ms: int) -> Refusal:
    """Return the record of one call that became no intent, made at a time of the caller's own clock."""
    return Refusal(
        issuer=issuer,
        effect=bound.effect,
        resource=bound.resource,
        blocker=step.blocker,
        reason=step.reason,
        count=1,
        first_ms=now_ms,
        last_ms=now_ms,
    )


def _may_go_on(seen: Seen, contract: Contract, bound: Bound) -> bool:
    """Claimed is not owned: a call with the same effect and request goes on with that START, under its contract (S10)
    [CALL-3].
    """
    claim = seen.state.claim
    if seen.state.status != CLAIMED or claim is None:
        return False
    return (claim.contract_id, claim.request) == (contract.id, bound.request)


def _freed(seen: Seen) -> Generator[Step, Any, bool]:
    """Release the claim in this call's way once its TTL has passed by the log's time, when anybody may (L5) [EFF-6]."""
    if seen.release_from_ms is None or seen.now_ms < seen.release_from_ms:
        return False
    return _accepted((yield from _release(seen, "abandoned")))


def _release(seen: Seen, reason: str) -> Generator[Step, Any, Answer]:
    """Give a claim back. Of this and a START of it, both after one head, the log takes one: what is released is never
    sent.
    """
    # Crash here: the claim is released, or stands as it did; nothing was sent.
    assert seen.state.claim is not None
    release: Sealed = yield Seal(data=Release(intent=seen.state.claim.id, reason=reason), prev=seen.state.last)
    return (yield from _append(release))[0]


def _decide(
    contract: Contract, bound: Bound, seen: Seen, snapshot: Snapshot | None, verdict: Verdict
) -> Generator[Step, Any, Ended | None]:
    """Append the intent, and the START with it where nothing has to be waited for; None: decide again."""
    state = seen.state
    intent = intent_of(contract, bound, state, snapshot, verdict)
    sealed: Sealed = yield Seal(data=intent, prev=state.last, state=seen.state_hash)
    if verdict.answer == ASK:
        answers = yield from _append(sealed)
        if _accepted(answers[0]):
            return _ended("pending", by=sealed.id, after="wait", reason="the policy asks for approval")
        return (yield from _not_claimed(answers[0], contract))
    start, send = yield from _seal_start(seen, sealed.id, verdict, prev=sealed.id, snapshot_id=intent.snapshot_id)
    answers = yield from _append(sealed, start)
    if not _accepted(answers[0]):
        return (yield from _not_claimed(answers[0], contract))
    if not _accepted(answers[1]):
        return (yield from _not_started(answers[1], sealed.id, contract))
    return (yield from _send(contract, send, nonce=seen.nonce))


def _go_on(contract: Contract, bound: Bound, seen: Seen, engines: Engines) -> Generator[Step, Any, Ended | None]:
    """START an intent that is claimed already: re-issued by this caller, or approved meanwhile; None: look again
    [CALL-3].
    """
    claim, head = seen.state.claim, seen.state.last
    assert claim is not None and head is not None
    snapshot: Snapshot | None = (yield Observe()) if contract.profile is not None else None
    if snapshot is not None and snapshot.id != seen.decided_id:
        if seen.decided_on is None and (yield from _freed(seen)):
            return None
        ended = yield from _compare(contract, seen, claim, snapshot)
        if ended is not None:
            return ended
    judged = partial(judge_now, contract, bound, snapshot=snapshot, issuer=claim.issuer, engines=engines)
    verdict = judged(seen)
    if not _answers_alike(verdict, seen, judged):
        return _stands_still("the policy answers otherwise", by=claim.id)
    if verdict is None or verdict.answer == DENY:
        yield Refuse(blocker=claim.id, reason="denied")
        return _ended("denied", by=claim.id, reason="the policy in force denies the START of this intent")
    asked = claim.asks or verdict.answer == ASK
    wanted = max(1, contract.approvals_count, claim.approvals, verdict.approvals) if asked else 0
    young = tuple(approval for approval, until_ms in seen.approvals if seen.own_ms <= until_ms)
    if len(young) < wanted:
        return _awaited(contract, seen, claim.id, f"{len(young)} of {wanted} approvals by keys other than its own")
    listed, snapshot_id = young[:wanted], snapshot.id if snapshot else None
    start, send = yield from _seal_start(seen, claim.id, verdict, prev=head, approvals=listed, snapshot_id=snapshot_id)
    answers = yield from _append(start)
    if not _accepted(answers[0]):
        return (yield from _not_started(answers[0], claim.id, contract))
    return (yield from _send(contract, send, nonce=seen.nonce))


def _compare(contract: Contract, seen: Seen, claim: Claim, snapshot: Snapshot) -> Generator[Step, Any, Ended | None]:
    """Compare the world with the one that a claim was decided on; None: nothing changed but what may drift [SNP-3]."""
    if seen.decided_on is None:
        words = "the snapshot that it was decided on is not kept here, and nothing shows that the world is the same"
        return (yield from _refused(claim.id, "blocked", words, "wait"))
    changed = drifted(seen.decided_on, snapshot.fields, contract.may_drift)
    if changed is None:
        return None
    words = f"the world changed since the decision: {changed}"
    if isinstance((yield from _release(seen, "drift")), Refused):
        # Another one's claim, and its TTL has not passed: it stands, and may not be started on another world.
        return (yield from _refused(claim.id, "blocked", words, "wait"))
    return (yield from _refused(claim.id, "stale", words, DECIDE_AGAIN))


def _answers_alike(verdict: Verdict | None, seen: Seen, judged: Callable[[Seen], Verdict | None]) -> bool:
    """Whether the policy says the same at this machine's own time, where the log's stands still [CALL-8]."""
    if seen.own_ms == seen.now_ms:
        return True
    own = judged(seen._replace(now_ms=seen.own_ms, budgets=seen.own_budgets))
    return (own and (own.answer, own.approvals)) == (verdict and (verdict.answer, verdict.approvals))


def _awaited(contract: Contract, seen: Seen, intent: bytes, words: str) -> Ended:
    """Too few approvals: people are waited for, or a tick where one is too old and even the next would be [CALL-8]."""
    too_old = any(seen.own_ms > until_ms for _, until_ms in seen.approvals)
    if too_old and seen.own_ms > seen.now_ms + contract.approvals_ttl_ms:
        return _stands_still("approval-expired: every approval is too old", by=intent)
    return _ended("pending", by=intent, after="wait", reason=f"approval-expired: {words}" if too_old else words)


def _stands_still(words: str, *, by: bytes | None = None) -> Ended:
    return _ended("unavailable", by=by, after="tick", reason=f"{words} by this machine's clock; the log's stands still")


def _seal_start(
    seen: Seen,
    intent: bytes,
    verdict: Verdict,
    *,
    prev: bytes,
    approvals: tuple[bytes, ...] = (),
    snapshot_id: bytes | None = None,
) -> Generator[Step, Any, tuple[Sealed, Send]]:
    """Seal a START, and say what to send once it is accepted."""
    state = seen.state
    start = Start(
        intent=intent,
        approvals=tuple(sorted(approvals)),
        verdict=verdict,
        snapshot_id=snapshot_id,
        nonce_hash=digest.nonce_hash(seen.nonce),
        provider_key=digest.provider_key(state.effect, state.generation, state.turn),
        tag=digest.tag(state.effect, state.generation),
    )
    sealed: Sealed = yield Seal(data=start, prev=prev)
    send = Send(
        began=seen.clock,
        start=sealed.id,
        provider_key=start.provider_key,
        tag=start.tag,
        generation=state.generation,
    )
    return sealed, send


def _send(contract: Contract, send: Send, *, nonce: bytes) -> Machine:
    """START is durable and ours: send once, and say what came of it."""
    # Crash here: START stored, the tool may have run: UNKNOWN. The reconciler asks and resolves.
    reply: Reply = yield send
    start = prev = send.start
    for _ in range(APPENDS_MAX):
        outcome = Outcome(start=start, nonce=nonce, status=reply.status, evidence=reply.evidence, result=reply.result)
        sealed: Sealed = yield Seal(data=outcome, prev=prev)
        answers = yield from _append(sealed)
        if _accepted(answers[0]):
            return _ended(reply.status, fresh=True, by=sealed.id, after=next_step(reply.status, contract))
        seen: Seen = yield Look()
        state = seen.state
        if isinstance(answers[0], Refused) or not _is_open(state, start):
            return (yield from _settled_otherwise(contract, reply, state, start=start, generation=send.generation))
        assert state.last is not None
        prev = state.last
    return _ended(
        UNKNOWN, fresh=True, by=start, after=next_step(UNKNOWN, contract), reason="its outcome was not appended"
    )


def _is_open(state: EffectState, start: bytes) -> bool:
    return state.status in (STARTED, UNKNOWN) and state.send is not None and state.send.id == start


def _settled_otherwise(
    contract: Contract, reply: Reply, state: EffectState, *, start: bytes, generation: int
) -> Machine:
    """This attempt was settled before its own outcome arrived, or an outcome no longer may: what is known to have
    happened is brought as evidence, which is never refused (S15).

    Args: generation: the one that this call sent for; a later one may be open meanwhile, and is not ours to commit.
    """
    for _ in range(APPENDS_MAX):
        if reply.status != COMMITTED or generation <= state.committed_max:
            break
        present = Resolution(presence=PRESENT, contract_id=contract.id, generation=generation, evidence=reply.evidence)
        sealed: Sealed = yield Seal(data=present, prev=state.last)
        answers = yield from _append(sealed)
        if _accepted(answers[0]):
            return _ended(COMMITTED, fresh=True, by=sealed.id, after="receipt")
        seen: Seen = yield Look()
        state = seen.state
    if generation <= state.committed_max:
        status = COMMITTED
    elif reply.status == COMMITTED or _is_open(state, start):
        status = UNKNOWN
    else:
        status = NOT_COMMITTED if NOT_COMMITTED in (reply.status, state.status) else UNKNOWN
    return _ended(
        status, fresh=True, by=state.last, after=next_step(status, contract), reason="it was settled meanwhile"
    )


def _append(*events: Sealed) -> Generator[Step, Any, list[Answer]]:
    """Append; after UNAVAILABLE, the same bytes again.

    After our own UNAVAILABLE, DUPLICATE of this very event means that it was accepted, and is returned as that. At no
    other time does it mean anything but "not yours to send" [CALL-4].
    """
    asked_again = False
    answers: list[Answer] = []
    for _ in range(APPENDS_MAX):
        answers = yield Append(events=events)
        if not any(isinstance(answer, Unavailable) for answer in answers):
            break
        asked_again = True
    if not asked_again:
        return answers
    return [Accepted(id=a.of, index=a.index) if isinstance(a, Duplicate) else a for a in answers]


def _accepted(answer: Answer) -> bool:
    return isinstance(answer, Accepted)


def _not_claimed(answer: Answer, contract: Contract) -> Generator[Step, Any, Ended | None]:
    """What a call is told when its intent was not accepted; None: it was stale, decide again."""
    match answer:
        case Stale() if answer.code == "contract-superseded":
            return (yield from _refused(None, "stale", answer.reason, DECIDE_AGAIN))
        case Stale():
            return None
        case Collision() | Duplicate():
            # Calls of one key that decide alike in one millisecond sign the same bytes: another one's intent stands.
            return (yield from _occupied(answer.of, "collision", "the same decision stands already", contract))
        case Conflict():
            return (yield from _occupied(answer.of, "conflict", "it stands with another request", contract))
        case Blocked():
            return (yield from _refused(answer.by, "blocked", f"the effect is {answer.status}", answer.next))
        case Refused():
            yield Refuse(blocker=None, reason=answer.code)
            status = "blocked" if answer.next else "denied"
            return _ended(status, after=answer.next, reason=f"{answer.code}: {answer.reason}")
        case _:
            return _ended("unavailable", reason=str(getattr(answer, "reason", answer)))


def _occupied(of: bytes, reason: str, words: str, contract: Contract) -> Generator[Step, Any, Ended]:
    """A collision or conflict says with which intent; what can be done about it is a matter of how that one stands."""
    seen: Seen = yield Look()
    status = seen.state.status
    return (yield from _refused(of, reason, f"the effect is {status}: {words}", next_step(status, contract)))


def _not_started(answer: Answer, intent: bytes, contract: Contract) -> Generator[Step, Any, Ended | None]:
    """This call may not send: another START won, or a guard refused ours. None: the claim stands, and what moved was
    something else, such as one more approval: look again.
    """
    match answer:
        case Stale() if answer.code != "chain-broken":
            return None
        case Stale():
            state: EffectState = (yield Look()).state
            if state.status == CLAIMED and state.claim is not None and state.claim.id == intent:
                return None
            words = f"the effect is {state.status}: another event came before the START of this call"
            return (yield from _refused(intent, "blocked", words, next_step(state.status, contract)))
        case Refused() if answer.code == "transition-invalid":
            # The intent claims nothing: after a recovery nobody knows whether its effect happened in the lost tail.
            return (
                yield from _occupied(intent, "blocked", "its intent gives no claim that could be started", contract)
            )
        case Refused():
            yield Refuse(blocker=intent, reason=answer.code)
            # Who may decide and not START leaves it to an executor: the claim stands until then.
            status, after = ("blocked", "wait") if answer.code == "grant-missing" else ("denied", "")
            return _ended(status, by=intent, after=after, reason=f"{answer.code}: {answer.reason}")
        case _:
            # Not known whether START stands. Nothing was sent, and after this return nothing will be: the nonce is
            # gone.
            return _ended("unavailable", reason=str(getattr(answer, "reason", answer)))


def _refused(blocker: bytes | None, reason: str, words: str, after: str) -> Generator[Step, Any, Ended]:
    yield Refuse(blocker=blocker, reason=reason)
    return _ended(reason, by=blocker, after=after, reason=words)


def _ended(status: str, *, fresh: bool = False, by: bytes | None = None, after: str = "", reason: str = "") -> Ended:
    return Ended(status=status, fresh=fresh, by=by, next=after, reason=reason)
