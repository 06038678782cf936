"""Which claims wait for approval, the text that a person is shown, and which approvals count. SPEC §8.2 [RND-2], §9.4
[EFF-8].
"""

from collections.abc import Iterator
from dataclasses import dataclass

from invoke_log.errors import NotFoundError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.ledger.engines import engines
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import facts_of
from invoke_log.rules.event import Event
from invoke_log.rules.kind import CLAIMED, Approval, Intent
from invoke_log.rules.policy import ASK, judge
from invoke_log.rules.render import render_intent
from invoke_log.rules.world import EffectState


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An approval that a START may list: its id, whose it is, and the log's time in milliseconds until which it may."""

    id: bytes
    by: bytes
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingIntent:
    """A claim that waits for approval.

    text: what an approver is shown, render/1; shown: its digest. wanted: how many approvals by distinct keys, by the
    intent's verdict, its contract, and the policy in force on the world that the intent recorded. release_from_ms: the
    log's time from which anybody may release the claim; None while no tick has come since.
    """

    intent: bytes
    effect: bytes
    resource: str
    issuer: bytes
    text: str
    shown: bytes
    wanted: int
    given: tuple[Given, ...]
    release_from_ms: int | None


def pending(world: LiveWorld, state: EffectState, *, at_ms: int) -> PendingIntent | None:
    """Return an effect's open claim as an approver sees it at a time; None: it is not claimed, or waits for nobody."""
    claim = state.claim
    if claim is None or state.status != CLAIMED:
        return None
    contract, intent = world.governance.contracts[claim.contract_id], world.event(claim.index)
    asked = _asked_now(world, state, intent, contract)
    if not claim.asks and asked is None:
        return None
    text = render_intent(intent, contract)
    return PendingIntent(
        intent=claim.id,
        effect=state.effect,
        resource=state.resource,
        issuer=claim.issuer,
        text=text,
        shown=digest.attachment_digest(text.encode()),
        wanted=max(1, contract.approvals_count, claim.approvals, asked or 0),
        given=tuple(each for each in given(world, state, contract) if at_ms <= each.until_ms),
        release_from_ms=release_from_ms(world, state),
    )


def release_from_ms(world: LiveWorld, state: EffectState) -> int | None:
    """Return the log's time from which anybody may release an effect's open claim; None: there is none, or no tick has
    come since it.
    """
    claimed_ms = world.hi(state.claim.index) if state.claim is not None and state.status == CLAIMED else None
    if state.claim is None or claimed_ms is None:
        return None
    return claimed_ms + world.governance.contracts[state.claim.contract_id].claim_ttl_ms


def _asked_now(world: LiveWorld, state: EffectState, intent: Event, contract: Contract) -> int | None:
    """How many approvals the policy in force asks for, on the world that the intent recorded; None: it does not ask."""
    policy, data = world.governance.policy, intent.data
    assert isinstance(data, Intent)
    if policy is None:
        return None
    now_ms = world.now_ms()
    budgets: Value = world.budgets(contract, data, state, now_ms=now_ms)
    inputs = {**data.verdict.inputs, "now_ms": now_ms, "budgets": budgets}
    facts = facts_of(contract, data, resource=state.resource, issuer=intent.by, generation=state.generation)
    judged = judge(policy, facts, inputs, engines=engines())
    return judged.approvals if judged is not None and judged.answer == ASK else None


def given(world: LiveWorld, state: EffectState, contract: Contract) -> Iterator[Given]:
    """Return an open claim's approvals, however old, by who may give them still, the latest of each key [EFF-8]."""
    if state.claim is None or state.status != CLAIMED:
        return
    latest: dict[bytes, Given] = {}
    for index, event in world.events_of(state.effect, state.resource):
        if not isinstance(event.data, Approval) or event.data.intent != state.claim.id:
            continue
        if world.governance.holds(event.by, "approver", contract.effect_class, state.resource):
            until_ms = world.lo(index) + contract.approvals_ttl_ms
            latest[event.by] = Given(id=event.id, by=event.by, until_ms=until_ms)
    yield from latest.values()


def not_pending(intent: bytes) -> NotFoundError:
    """The error for an intent that nobody has to approve, or not any more."""
    return NotFoundError(
        f"intent {digest.format_id('evt', intent)} does not wait for approval",
        hint='"invoke-log approvals" lists those that do',
    )
