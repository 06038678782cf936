"""The order of answers, and the intent's own row: SPEC §9.2, EFF-2 to EFF-4, EFF-13 and EFF-14."""

from typing import Any, cast

import pytest

from invoke_log.format import limits
from invoke_log.format.cbor import Value
from invoke_log.rules.admission import Admitted, Blocked, Collision, Conflict, Stale, admit
from invoke_log.rules.contract import Contract
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN, Scope
from invoke_log.rules.policy import ALLOW_COVERED
from invoke_log.rules.world import PENDING
from tests.harness.story import BOUND, CHARGE, KEYS, Leaf, Story, contract, done, lost, reach, started, undone

OTHER_POLICY: Any = {**ALLOW_COVERED, "name": "another"}


@pytest.fixture
def story() -> Story:
    return Story()


# Authority comes first.


def test_an_event_of_another_log_is_refused_before_anything_else(story: Story) -> None:
    """[GOV-3], [ADM-3]"""
    for body in ({"log": bytes(32)}, {"log": bytes(31) + b"\x01", "prev": bytes(32), "state": bytes(32)}):
        assert story.intent(by="stranger", body=body).code == "log-mismatch"
    assert story.tick().code == "accepted"


def test_an_intent_needs_a_registered_contract_and_the_grant_of_an_agent_over_its_effect(story: Story) -> None:
    """S8, [ADM-3], [GOV-4]: a scope binds the class and the resource."""
    foreign = contract(name="foreign")
    assert story.intent(under=foreign).code == "contract-unknown"
    assert story.intent(by="repeater", body={"prev": bytes(32)}).code == "grant-missing"
    story.grant("newcomer", "agent", Scope(effect_class="money.charge/1", prefix="stripe:acct_1/live/"))
    story.grant("newcomer", "agent", Scope(effect_class="money.refund/1", prefix=""))
    assert story.intent(by="newcomer").code == "grant-missing"
    story.grant("newcomer", "agent", Scope(effect_class="money.charge/1", prefix="stripe:acct_1/test/"))
    assert story.intent(by="newcomer").code == "accepted"


def test_a_repeat_needs_the_grant_to_repeat(story: Story) -> None:
    """[EFF-4]: deliberate, and separately authorised."""
    outcome = done(story)
    assert story.again(outcome, by="agent").code == "grant-missing"
    assert story.again(outcome, by="repeater").code == "accepted"


def test_a_presence_of_an_effect_that_nobody_saw_needs_a_reconciler_of_its_contracts_class(story: Story) -> None:
    """S8, [GOV-4], [EFF-12]"""
    unseen = story.bound()
    story.grant("newcomer", "reconciler", Scope(effect_class="money.refund/1", prefix=""))
    for by in ("agent", "newcomer"):
        assert story.present(story.leaves[0], by=by, unseen=unseen).code == "grant-missing"
    story.grant("newcomer", "reconciler", Scope(effect_class="money.charge/1", prefix=""))
    assert story.present(story.leaves[0], by="newcomer", unseen=unseen).code == "accepted"


def test_names_re_derive_from_what_the_intent_records(story: Story) -> None:
    """[INT-2], [INT-4]"""
    bound = story.bound()
    assert story.intent(data={"content": {"amount": "5000"}}).code == "arguments-invalid"
    assert story.intent(body={"effect": bytes(32)}).code == "effect-differs"
    assert story.intent(body={"resource": f"{bound.resource}/x"}).code == "effect-differs"
    assert story.intent(body={"effect": story.bound(order="790").effect}).code == "effect-differs"


def test_a_presence_that_nobody_intended_says_which_effect_it_is_about(story: Story) -> None:
    """[EFF-15]: or whoever may reconcile one class could spend another class's keys, or bind them elsewhere."""
    bound, other = story.bound(), story.bound(order="790")
    first, names = story.leaves[0], {"effect": bound.effect, "resource": bound.resource}
    assert story.present(first, body=names).code == "effect-differs"
    assert story.present(first, unseen=other, body=names).code == "effect-differs"
    elsewhere = {"resource": "stripe:acct_1/test/customer/cus_2"}
    assert story.present(first, unseen=bound, body=elsewhere).code == "effect-differs"
    refund = contract(name="refund-customer", effect_class="money.refund/1")
    story.register(refund)
    assert story.present(first, unseen=bound, under=refund.id).code == "effect-differs"
    assert story.intent().code == "accepted"


def test_a_presence_of_what_was_intended_need_not_say_it_and_may(story: Story) -> None:
    """[EFF-15], S15: whoever draws it up may not have seen the intent, or have seen nothing else."""
    start, bound = lost(story), story.bound()
    assert story.present(start).code == "accepted"
    assert story.present(start, unseen=bound).code == "accepted"
    assert story.present(start, unseen=story.bound(order="790"), body={"effect": bound.effect}).code == "effect-differs"


def test_a_presence_says_what_its_contract_accepts(story: Story) -> None:
    """[EFF-15], [INT-2], [INT-3]"""
    bound = story.bound()
    more, other = {**bound.identity, "more": 1}, {**bound.identity, "customer": "two words"}
    for unseen in (bound._replace(identity=more), bound._replace(identity=other), bound._replace(purpose="two words")):
        assert story.present(story.leaves[0], unseen=unseen).code == "arguments-invalid"


def test_a_presence_without_of_is_about_an_intent_of_its_contracts_class(story: Story) -> None:
    """[EFF-15]: an earlier presence is no intent, though it has named the class."""
    seen = story.present(story.leaves[0], unseen=story.bound(order="790"))
    assert seen.code == "accepted"
    assert story.present(seen).code == "effect-differs"
    refund = contract(name="refund-customer", effect_class="money.refund/1")
    story.register(refund)
    start = lost(story)
    assert story.present(start, under=refund.id).code == "effect-differs"
    assert story.present(start).code == "accepted"


def test_a_read_is_never_present(story: Story) -> None:
    """[EFF-15]: it claims nothing, so there is nothing to commit."""
    read = contract(name="look-up", effect_class="none")
    story.register(read)
    unseen = story.bound(under=read)
    assert story.present(story.leaves[0], unseen=unseen, under=read.id).code == "effect-none"


# Collision, conflict, blocked: compared with the latest intent of the generation.


@pytest.mark.parametrize("status", [CLAIMED, STARTED, UNKNOWN, COMMITTED])
def test_the_same_decision_collides_whoever_took_it(story: Story, status: str) -> None:
    """[ADM-4], [DEC-1]: no issuer, no clock."""
    seen = story.fold.state_hash(story.bound().resource)
    leaf = reach(story, status)
    claim = story.claims[story.state(leaf).effect]
    same = story.intent(by="other", body={"state": seen})
    assert same.answer == Collision(of=claim.id)
    assert same.code == "collision"


@pytest.mark.parametrize("status", [CLAIMED, STARTED, UNKNOWN, COMMITTED])
def test_another_request_on_an_occupied_effect_conflicts(story: Story, status: str) -> None:
    """[ADM-4]: never a replay, never a second run."""
    leaf = reach(story, status)
    claim = story.claims[story.state(leaf).effect]
    assert story.intent(by="other", amount=6000).answer == Conflict(of=claim.id)
    assert story.status(leaf) == status


@pytest.mark.parametrize("status", [CLAIMED, STARTED, UNKNOWN, COMMITTED])
def test_the_same_request_on_another_state_of_the_world_is_blocked(story: Story, status: str) -> None:
    """S1, [ADM-4], [ADM-5]: the lost call changed the world, and the retry must not walk past."""
    leaf = reach(story, status)
    answer = story.intent(by="other").answer
    assert isinstance(answer, Blocked)
    assert (answer.by, answer.status) == (story.state(leaf).last, status)


def test_what_is_occupied_is_answered_before_what_is_stale(story: Story) -> None:
    """[ADM-3]"""
    intent = story.intent()
    story.register(contract(version=2))
    story.decree(OTHER_POLICY)
    old = {"verdict": story.verdict(policy_id=bytes(32))}
    assert story.intent(data=old, body={"prev": bytes(32), "state": bytes(32)}).code == "blocked"
    story.release(intent)
    assert story.intent(data=old, body={"prev": bytes(32), "state": bytes(32)}).code == "chain-broken"


def test_two_repeats_of_one_effect_collide_like_two_first_decisions(story: Story) -> None:
    """[ADM-4], [EFF-13]"""
    outcome = done(story)
    head, seen = story.state(outcome).last, story.state_hash(outcome)
    first = story.again(outcome)
    second = story.intent(by="repeater", again=head, body={"state": seen})
    assert second.answer == Collision(of=first.id)


def test_a_repeat_of_another_head_is_no_repeat(story: Story) -> None:
    """[ADM-4], [EFF-4]: again names the effect's head."""
    outcome = done(story)
    stale = story.intent(by="repeater", again=outcome.event.prev)
    assert stale.code == "blocked"
    story.present(outcome)
    assert story.intent(by="repeater", again=outcome.id).code == "blocked"
    assert story.again(outcome).code == "accepted"


# Stale: what it names is not what stands.


def test_an_intent_names_the_effects_head(story: Story) -> None:
    """[EFF-2], [EFF-13]"""
    assert story.intent(body={"prev": bytes(32)}).answer == Stale(
        code="chain-broken", head=None, reason="prev or after is not the head of the effect's chain"
    )
    absent = undone(story)
    assert story.intent(body={"prev": absent.event.prev}).code == "chain-broken"
    assert story.intent(data={"after": absent.event.prev}).code == "chain-broken"
    assert story.intent().code == "accepted"


def test_an_intent_names_the_state_hash_of_its_resource(story: Story) -> None:
    """S7, [EFF-2]: a decision on stale facts is a decision to take again."""
    seen = story.fold.state_hash(story.bound().resource)
    neighbour = story.intent(order="790")
    stale = story.intent(body={"state": seen}).answer
    assert isinstance(stale, Stale)
    assert (stale.code, stale.head) == ("state-stale", story.state_hash(neighbour))
    assert story.intent(customer="cus_2", body={"state": seen}).code == "state-stale"
    assert story.intent().code == "accepted"


def test_a_superseded_contract_or_policy_is_stale(story: Story) -> None:
    """[EFF-2], [GOV-7], [GOV-10]"""
    old, later = story.contract, contract(version=2)
    story.register(later)
    answer = story.intent(under=old).answer
    assert isinstance(answer, Stale)
    assert (answer.code, answer.head) == ("contract-superseded", later.id)
    before = story.verdict()
    story.decree(OTHER_POLICY)
    policy = story.fold.governance.policy
    assert policy is not None
    answer = story.intent(under=later, data={"verdict": before}).answer
    assert isinstance(answer, Stale)
    assert (answer.code, answer.head) == ("policy-superseded", policy.id)
    assert story.intent(under=later).code == "accepted"


def test_where_no_policy_is_in_force_nothing_is_decided_and_nothing_started(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[EFF-2], [GOV-10]"""
    intent = story.intent()
    ungoverned = story.fold.governance._replace(policy=None)
    monkeypatch.setattr(story.fold, "_governance", ungoverned)
    for leaf in (story.intent(order="other"), story.start(intent)):
        assert isinstance(leaf.answer, Stale)
        assert (leaf.answer.code, leaf.answer.head) == ("policy-superseded", None)


def test_a_withdrawn_contract_is_refused_and_one_that_is_superseded_too_is_stale(story: Story) -> None:
    """[ADM-3], [GOV-11]: with a later version there is something to decide again under."""
    story.withdraw(story.contract.id)
    assert story.intent().code == "contract-withdrawn"
    later = contract(version=2)
    story.register(later)
    assert story.intent().code == "contract-superseded"
    assert story.intent(under=later).code == "accepted"


def test_the_start_of_an_intent_that_was_not_accepted_is_stale_under_any_scope(story: Story) -> None:
    """[ADM-3], [GOV-4]: nothing is known of the effect, so its chain answers and not the executor's scope."""
    story.grant("newcomer", "executor", Scope(effect_class="money.charge/1", prefix=""))
    refused = story.intent(answer="deny")
    assert story.start(refused, by="newcomer", body={"prev": refused.id}).code == "chain-broken"
    assert story.start(refused, by="newcomer").code == "transition-invalid"
    assert story.start(refused, by="stranger", body={"prev": refused.id}).code == "grant-missing"


def test_events_of_an_effect_name_its_head(story: Story) -> None:
    """[EFF-1]: the compare-and-set picks one of two STARTs (L3)."""
    intent = story.intent()
    first = story.start(intent)
    assert story.start(intent, by="other", body={"prev": intent.id}).code == "chain-broken"
    assert story.status(first) == STARTED


# Refused by a guard of the intent's own row.


def test_a_read_claims_nothing() -> None:
    read = contract(name="look-up", effect_class="none")
    story = Story()
    story.register(read)
    assert story.intent(under=read).code == "effect-none"


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (("*", ""), "frozen"),
        (("money.charge/1", "stripe:acct_1/"), "frozen"),
        (("money.refund/1", ""), "accepted"),
        (("*", "stripe:acct_2/"), "accepted"),
    ],
)
def test_a_freeze_stops_intents_in_its_scope_and_never_evidence(scope: tuple[str, str], code: str) -> None:
    """[GOV-9], S15"""
    story = Story()
    start = lost(story, order="other")
    story.freeze(*scope)
    assert story.intent().code == code
    assert story.absent(start, story.wait(BOUND)).code == "accepted"


@pytest.mark.parametrize("status", [FREE, NOT_COMMITTED])
def test_again_repeats_only_what_is_committed(story: Story, status: str) -> None:
    """[EFF-4]"""
    leaf = reach(story, status)
    assert story.again(leaf).code == "again-invalid"
    assert story.intent(by="repeater", again=bytes(32)).code == "again-invalid"


def test_after_names_the_head_of_what_is_not_committed_and_is_named_only_then(story: Story) -> None:
    """[EFF-3]"""
    free = story.release(story.intent())
    assert story.intent(data={"after": free.id}).code == "after-invalid"
    absent = undone(story)
    assert story.intent(data={"after": None}).code == "after-invalid"
    assert story.intent(data={"after": absent.id}).code == "accepted"
    committed = done(story, order="other")
    both = {"after": committed.id}
    assert story.intent(order="other", by="repeater", again=committed.id, data=both).code == "after-invalid"


def test_a_snapshot_is_named_exactly_where_the_contract_has_a_profile(story: Story) -> None:
    assert story.intent(snapshot_id=bytes(32)).code == "snapshot-differs"
    seeing = Story(profile={"type": "record", "fields": {"open": {"type": "boolean"}}})
    assert seeing.intent().code == "snapshot-differs"
    assert seeing.intent(snapshot_id=bytes(32)).code == "accepted"


def test_a_denied_call_is_never_an_intent(story: Story) -> None:
    assert story.intent(answer="deny").code == "verdict-deny"
    assert story.intent(answer="ask").code == "accepted"


def test_an_accepted_intent_holds_the_claim(story: Story) -> None:
    """[EFF-2], [EFF-4]: attempt counts over all generations."""
    outcome = done(story)
    assert story.state(outcome).attempt == 1
    repeat = story.again(outcome, amount=7000)
    state = story.state(repeat)
    assert (state.status, state.generation, state.attempt, state.turn) == (CLAIMED, 2, 2, 0)
    assert state.claim is not None
    assert (state.claim.id, state.claim.issuer, state.claim.index) == (
        repeat.id,
        KEYS["repeater"].public_key,
        repeat.index,
    )
    assert story.outcome(story.start(repeat), NOT_COMMITTED).code == "accepted"
    third = story.intent(amount=8000)
    assert (story.state(third).generation, story.state(third).attempt) == (2, 3)


def test_there_is_no_generation_after_the_last_one(story: Story) -> None:
    """A presence of the largest generation must not make a later event unreadable."""
    start = started(story)
    assert story.present(start, limits.INTEGER_MAX).code == "accepted"
    assert story.again(start).code == "again-invalid"


# A class that replaces another: two tools that do one thing block each other over the change too.


def successor(old: Contract, number: int, **changes: Value) -> Contract:
    """Return a contract whose class replaces another one, and has the amount in its key."""
    charged = cast("dict[str, Any]", CHARGE["arguments"])
    retires: dict[str, Value] = {
        "effect_class": old.effect_class,
        "resource": old.resource,
        "purpose": old.purpose,
        "identity": list(old.identity),
    }
    data: dict[str, Value] = {
        "name": f"charge-{number}",
        "effect_class": f"money.charge/{number}",
        "retires": retires,
        "arguments": {**charged, "amount": {**charged["amount"], "role": "identity"}},
    }
    return contract(**{**data, **changes})


@pytest.mark.parametrize("status", [CLAIMED, STARTED, UNKNOWN, COMMITTED])
def test_an_effect_that_is_open_or_done_under_the_retired_class_blocks_the_new_one(story: Story, status: str) -> None:
    """S1, [EFF-14], [CTR-11]"""
    reach(story, status)
    later = successor(story.contract, 2)
    assert story.register(later).code == "accepted"
    assert story.intent(under=later).code == "predecessor-open"
    assert story.intent(under=later, order="790").code == "accepted"


@pytest.mark.parametrize("status", [FREE, NOT_COMMITTED])
def test_an_effect_that_is_free_or_not_committed_under_the_retired_class_does_not(story: Story, status: str) -> None:
    """[EFF-14]: and the retired class takes no intent any more."""
    reach(story, status)
    later = successor(story.contract, 2)
    story.register(later)
    assert story.intent().code == "contract-superseded"
    assert story.intent(under=later).code == "accepted"


def test_a_class_two_versions_back_still_blocks(story: Story) -> None:
    """S1, [EFF-14]: an effect does not come free by being retired twice."""
    done(story)
    second = successor(story.contract, 2)
    third = successor(second, 3)
    assert story.register(second).code == story.register(third).code == "accepted"
    assert story.intent(under=third).code == "predecessor-open"
    assert story.intent(under=third, order="790").code == "accepted"


def test_every_contract_of_the_new_class_looks_at_the_retired_one(story: Story) -> None:
    """S1, [EFF-14], [GOV-8]: not only the one that retired it."""
    done(story)
    story.register(successor(story.contract, 2))
    for later in (successor(story.contract, 2, version=2), successor(story.contract, 2, name="charge-by-phone")):
        assert story.register(later).code == "accepted"
        assert story.intent(under=later).code == "predecessor-open"


@pytest.mark.parametrize(
    ("resource", "customer"), [(f"{'x' * 500}/{{customer}}", "c" * 20), ("{customer}\u0301", "joe")]
)
def test_a_call_that_the_retired_class_could_not_name_has_no_predecessor(
    story: Story, resource: str, customer: str
) -> None:
    """[CTR-11], [EFF-14]: its resource would have been too long, or no text, so nothing was ever done under it."""
    story.register(contract(name="long", effect_class="money.wire/1", resource=resource))
    wire: dict[str, Value] = {
        "effect_class": "money.wire/1",
        "resource": resource,
        "purpose": "order",
        "identity": ["customer"],
    }
    later = contract(name="wire-2", effect_class="money.wire/2", retires=wire)
    assert story.register(later).code == "accepted"
    assert story.intent(under=later, customer=customer).code == "accepted"


# On no chain.


def test_notes_observations_handles_and_refusals_are_anybodys_who_is_granted_and_move_nothing(story: Story) -> None:
    """[GOV-5], [EFF-1], L4: they name nobody's head."""
    start = lost(story)
    before = (story.state(start), story.state_hash(start))
    for by, code in (("stranger", "grant-missing"), ("approver", "accepted"), ("log", "accepted")):
        assert story.note(start, by=by).code == code
        assert story.handle(start, by=by).code == code
        assert story.observe(start, None, by=by).code == code
        assert story.refusal(start, by=by).code == code
    assert (story.state(start), story.state_hash(start)) == before
    assert story.note(start, body={"prev": start.id}).code == "chain-broken"
    assert story.note(story.leaves[0], body={"effect": bytes(32), "resource": "any"}).code == "accepted"


def test_a_tick_is_the_log_keys_and_covers_no_leaf_behind_its_own(story: Story) -> None:
    """[TIME-1]"""
    assert story.tick(by="admin").code == "grant-missing"
    story.grant("newcomer", "log")
    assert story.tick(by="newcomer").code == "grant-missing"
    assert story.tick(covers=len(story.leaves), root=bytes(32)).code == "accepted"
    assert story.tick(covers=len(story.leaves) + 1, root=bytes(32)).code == "tick-invalid"


def test_a_tick_covers_the_one_before_it(story: Story) -> None:
    """[TIME-1]: or its clock may have been read before that one's."""
    last = story.tick(1)
    story.intent()
    overtaken = story.tick(1, covers=last.index)
    assert overtaken.code == "tick-overtaken"
    assert story.fold.last_tick() == (last.index, last.id)
    assert story.tick(1, covers=last.index + 1).code == "accepted"


def test_a_tick_whose_leaf_is_not_known_yet_is_not_judged_by_it(story: Story) -> None:
    tick: Leaf = story.tick(covers=999, root=bytes(32))
    assert tick.code == "tick-invalid"
    assert admit(tick.event, story.fold, index=PENDING) == Admitted()
