"""An intent proposed through a surface: judged, appended alone, and answered with what to do next. Nothing is sent."""

import time
from dataclasses import dataclass
from functools import partial

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.ledger import chain
from invoke_log.ledger.log import Log, sign_event
from invoke_log.ledger.submit import DRAFTS_MAX, append_surely
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Blocked, Collision, Conflict, Stale
from invoke_log.rules.answer import NAMES, Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.call import intent_of, refusal_of
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import DECIDE_AGAIN, NEXT, next_step
from invoke_log.rules.governance import Refused
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.policy import DENY
from invoke_log.rules.snapshot import Snapshot
from invoke_log.rules.step import Refuse
from invoke_log.surfaces.query import find_contract
from invoke_log.surfaces.render import Json, View, answer_view, shown
from invoke_log.surfaces.simulation import freeze_seen, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """An intent that was drawn up, and what the log answered; rule: which one of the policy said so."""

    bound: Bound
    contract: Contract
    answer: Answer
    event_id: bytes | None
    verdict: str
    rule: str | None


def propose(log: Log, signer: Signer, name: str, arguments: dict[str, Value], seen: Value) -> View:
    """Append an intent alone, and return the log's answer with what to do next. Nothing is sent.

    Whoever calls the tool with the same request goes on with it [CALL-3]. What the policy denies is a refusal on
    record, and no intent.

    Args: seen: the snapshot that the decision rests on, where the contract has a profile; else None.
    Raises: NotFoundError (the contract), ArgumentInvalidError, SnapshotInvalidError, MalformedError, StoreError.
    """
    contract = find_contract(log.governance, name)
    bound = bind(contract, arguments)
    snapshot = freeze_seen(contract, seen)
    for raw in (*bound.attachments, *([snapshot.raw] if snapshot is not None else [])):
        log.keep_attachment(raw)
    for _ in range(DRAFTS_MAX):
        proposed = _propose_once(log, signer, contract, bound, snapshot)
        if not isinstance(proposed.answer, Stale) or proposed.answer.code == "contract-superseded":
            break
    _keep_refusal(log, signer, proposed)
    return _proposed_view(log, proposed)


def _propose_once(log: Log, signer: Signer, contract: Contract, bound: Bound, snapshot: Snapshot | None) -> Proposed:
    with log.world() as world:
        due = log.due_tick(world)
    if due is not None:  # so that the verdict is reached at this time; without the log key, at the last tick's
        log.append(due[0])
    with log.world() as world:
        state = world.effect(bound.effect, bound.resource)
        verdict = judge(world, contract, bound, snapshot, state, issuer=signer.public_key)
        as_proposed = partial(Proposed, bound=bound, contract=contract)
        if verdict is None or verdict.answer == DENY:
            rule = verdict.rule if verdict is not None else None
            denied = Refused(code="denied", reason=f"policy denies: {rule or 'no rule allows it'}")
            return as_proposed(answer=denied, event_id=None, verdict=DENY, rule=rule)
        envelope = sign_event(
            intent_of(contract, bound, state, snapshot, verdict),
            signer,
            log=world.governance.log_id,
            prev=world.head(chain.of_effect(bound.effect, bound.resource)),
            of=(bound.effect, bound.resource),
            state=world.state_hash(bound.resource),
        )
    [answer] = append_surely(log, [envelope])
    event_id = digest.event_id(envelope.body)
    return as_proposed(answer=answer, event_id=event_id, verdict=verdict.answer, rule=verdict.rule)


def _keep_refusal(log: Log, signer: Signer, proposed: Proposed) -> None:
    """Have a call that became no intent put on record, as the guard does."""
    answer, now_ms = proposed.answer, time.time_ns() // 1_000_000
    if isinstance(answer, Accepted | Duplicate | Unavailable):
        return
    blocker = (
        answer.by if isinstance(answer, Blocked) else answer.of if isinstance(answer, Collision | Conflict) else None
    )
    refuse = Refuse(blocker=blocker, reason=answer.code if isinstance(answer, Refused) else NAMES[type(answer)])
    log.refuse(refusal_of(refuse, proposed.bound, issuer=signer.public_key, now_ms=now_ms), signer)


def _proposed_view(log: Log, proposed: Proposed) -> View:
    """The view of an append's answer, and: the effect, how it stands, the verdict, what to do next."""
    bound, view = proposed.bound, answer_view(proposed.answer, proposed.event_id)
    with log.world() as world:
        status = world.effect(bound.effect, bound.resource).status
    after = DECIDE_AGAIN if isinstance(proposed.answer, Stale) else next_step(status, proposed.contract)
    if isinstance(proposed.answer, Refused):
        after = proposed.answer.next or after
    fields: Json = {
        **view.fields,
        "effect_key": digest.format_id("eff", bound.effect),
        "resource": bound.resource,
        "status": status,
        "verdict": proposed.verdict,
        "rule": proposed.rule,
        "next": after,
    }
    words = NEXT.get(after, "look at the world again and decide again")
    text = f"{view.text}\nthe effect {fields['effect_key']} is {shown(status)}; next: {after}: {words}"
    return View(fields=fields, text=text)
