"""A log that goes on from an older copy has lost a tail: what it says about absence counts no more. SPEC §9.6."""

import pytest

from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import absorb
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN, Scope
from tests.harness.story import BOUND, D, Leaf, Story, contract, done, lost, reach, started, undone

CHARGES = "stripe:acct_1/test/"


def successor(old: Contract) -> Contract:
    """Return a contract whose class replaces another one, with the same key."""
    retires: dict[str, Value] = {
        "effect_class": old.effect_class,
        "resource": old.resource,
        "purpose": old.purpose,
        "identity": list(old.identity),
    }
    return contract(name="charge-2", effect_class="money.charge/2", retires=retires)


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.mark.parametrize("status", [CLAIMED, STARTED, UNKNOWN])
def test_an_open_effect_becomes_unknown_at_the_recovery_and_keeps_its_head(story: Story, status: str) -> None:
    """[REC-3]"""
    leaf = reach(story, status)
    before, moved = story.state(leaf), story.state_hash(leaf)
    recovery = story.recover()
    assert recovery.code == "accepted"
    after = story.state(leaf)
    assert (after.status, after.last, after.attempt, after.tainted) == (
        UNKNOWN,
        before.last,
        before.attempt,
        recovery.index,
    )
    assert story.fold.effects[after.effect].status == UNKNOWN
    assert story.state_hash(leaf) == moved


@pytest.mark.parametrize("status", [FREE, COMMITTED, NOT_COMMITTED])
def test_every_other_status_stays_until_the_next_intent_which_is_unknown_and_not_claimed(
    story: Story, status: str
) -> None:
    """[REC-3], [REC-4]: committed generations stay committed, and a repeat of them is unknown too."""
    leaf = reach(story, status)
    story.recover()
    assert story.status(leaf) == status
    intent = story.again(leaf) if status == COMMITTED else story.intent()
    assert intent.code == "accepted"
    assert story.status(leaf) == UNKNOWN
    assert story.start(intent).code == "transition-invalid"
    assert story.release(intent).code == "transition-invalid"
    assert story.state(leaf).committed_max == (1 if status == COMMITTED else 0)


def test_the_first_intent_on_a_key_that_the_log_never_saw_is_unknown(story: Story) -> None:
    """[REC-4]: the lost tail may have sent it."""
    story.recover()
    intent = story.intent()
    assert (story.status(intent), story.state(intent).attempt) == (UNKNOWN, 1)
    assert story.start(intent).code == "transition-invalid"


def test_only_the_first_intent_pays_for_a_recovery(story: Story) -> None:
    """[REC-4]"""
    story.recover()
    intent = story.intent()
    assert story.absent(intent, story.wait(BOUND)).code == "accepted"
    assert story.state(intent).tainted is None
    second = story.intent()
    assert story.status(second) == CLAIMED
    assert story.start(second).code == "accepted"


def test_a_second_recovery_is_paid_for_again(story: Story) -> None:
    """[REC-4]: several recoveries are accounted for together, by the last of them."""
    story.recover()
    settled = story.intent(order="1")
    story.absent(settled, story.wait(BOUND))
    last = story.recover(data={"origin": "example.com/payments.e2"})
    for order in ("1", "2"):
        intent = story.intent(order=order)
        assert (story.status(intent), story.state(intent).tainted) == (UNKNOWN, last.index)


@pytest.mark.parametrize("status", [CLAIMED, STARTED, UNKNOWN])
def test_an_open_effect_is_tainted_by_the_last_recovery(story: Story, status: str) -> None:
    """[REC-3]: a bound counts from it, and what settles the effect accounts for all of them."""
    leaf = reach(story, status)
    story.recover()
    between = story.wait(BOUND)
    last = story.recover(data={"origin": "example.com/payments.e2"})
    assert (story.status(leaf), story.state(leaf).tainted) == (UNKNOWN, last.index)
    assert story.absent(leaf, between).code != "accepted"
    assert story.absent(leaf, story.wait(BOUND)).code == "accepted"
    assert story.state(leaf).absorbed == 2


def test_what_a_recovery_made_unknown_is_told_until_the_next_governance_event(story: Story) -> None:
    """[REC-3]: a planned change, which may come later, made nothing unknown."""
    leaf, _ = started(story), lost(story, order="other")
    story.recover()
    assert list(story.fold.recovered) == [story.state(leaf)]
    story.grant("newcomer", "attestor")
    assert list(story.fold.recovered) == []


@pytest.mark.parametrize("status", [STARTED, UNKNOWN])
def test_after_a_recovery_an_executors_word_settles_nothing(story: Story, status: str) -> None:
    """[REC-6]: not its answer, not its failure; what it saw is recorded as presence (S15)."""
    start = reach(story, status)
    story.recover()
    for said, kind, failure in (
        (COMMITTED, "response", None),
        (NOT_COMMITTED, "never_sent", None),
        (NOT_COMMITTED, "stored_failure", "card_declined"),
    ):
        assert story.outcome(start, said, kind=kind, failure=failure).code == "recovery-open"
    assert story.outcome(start, UNKNOWN).code == "accepted"
    assert story.present(start, by="executor", kind="response").code == "accepted"


def test_after_a_recovery_nothing_is_redriven_and_age_settles_nothing(story: Story) -> None:
    """[REC-6]"""
    start = lost(story)
    story.recover()
    assert story.redrive(start).code == "redrive-unsafe"
    story.wait(365 * 86_400_000)
    assert story.status(start) == UNKNOWN
    assert story.suspect(start).code == "transition-invalid"


@pytest.mark.parametrize("kind", ["void", "key_burnt"])
def test_after_a_recovery_only_an_absence_read_counts(story: Story, kind: str) -> None:
    """[REC-6]"""
    start = lost(story)
    story.recover()
    tick = story.wait(BOUND)
    assert story.absent(start, tick, kind=kind).code == "recovery-open"
    assert story.absent(start, tick).code == "accepted"


def test_the_bound_is_counted_from_the_first_tick_after_the_recovery(story: Story) -> None:
    """[REC-6], [PRF-5]: however long ago the send was."""
    start = lost(story)
    early = story.wait(BOUND)
    story.recover()
    assert story.absent(start, early).code == "too-early"
    late = story.tick(BOUND)
    assert story.absent(start, late).code == "too-early"
    assert story.attest(start, NOT_COMMITTED).code == "too-early"
    almost = story.tick(BOUND - 1)
    assert story.absent(start, almost).code == "too-early"
    assert story.attest(start, NOT_COMMITTED).code == "too-early"
    assert story.absent(start, story.tick(1)).code == "accepted"


def test_the_bound_of_a_later_send_is_kept_too(story: Story) -> None:
    """[REC-6]: D and Q have passed since the last send and since the recovery."""
    story.tick()
    start = started(story)
    story.recover()
    assert story.absent(start, story.tick(BOUND - 1)).code == "too-early"
    assert story.absent(start, story.tick(1)).code == "too-early"
    assert story.absent(start, story.wait(BOUND)).code == "accepted"


def test_an_unknown_that_nobody_sent_is_settled_by_attestation_too(story: Story) -> None:
    """[REC-6], L1"""
    story.recover()
    intent = story.intent()
    assert story.attest(intent, NOT_COMMITTED).code == "too-early"
    story.wait(BOUND)
    assert story.attest(intent, COMMITTED).code == "accepted"
    assert story.status(intent) == COMMITTED


def test_an_unknown_that_nobody_sent_is_found_absent_by_several_too() -> None:
    """[REC-6], [PRF-7]: there is no executor whose word would not count."""
    story = Story(reconcilers=2)
    story.recover()
    intent = story.intent()
    tick = story.wait(BOUND)
    seen = [story.observe(intent, tick, by=name) for name in ("reconciler", "reconciler2")]
    assert story.absent(intent, observations=seen).code == "accepted"


def test_presence_ends_the_taint(story: Story) -> None:
    """[REC-6]: of this generation, and of no later one."""
    start = lost(story)
    story.recover()
    assert story.present(start).code == "accepted"
    assert story.state(start).tainted is None
    assert story.status(story.again(start)) == UNKNOWN


def test_each_generation_pays_for_a_recovery_once(story: Story) -> None:
    """S1, [REC-4]: the lost tail may have repeated the effect, and then it happens twice."""
    start = lost(story)
    recovery = story.recover()
    story.present(start)
    for _ in range(2):
        intent = story.again(start)
        assert (story.status(intent), story.state(intent).tainted) == (UNKNOWN, recovery.index)
        assert story.start(intent).code == "transition-invalid"
        assert story.absent(intent, story.wait(BOUND)).code == "accepted"
        after = story.intent()
        assert story.status(after) == CLAIMED
        assert story.outcome(story.start(after)).code == "accepted"


def test_a_class_retired_after_a_recovery_may_have_been_at_work_in_the_lost_tail(story: Story) -> None:
    """S1, [REC-7]: its key takes no intent that could pay, so an oath is wanted."""
    recovery = story.recover()
    later = successor(story.contract)
    story.register(later)
    assert story.intent(under=later).code == "predecessor-open"
    assert story.swear(recovery, "money.charge/1", CHARGES).code == "accepted"
    intent = story.intent(under=later)
    assert (intent.code, story.status(intent)) == ("accepted", UNKNOWN)


def test_a_class_retired_before_a_recovery_was_at_work_in_no_tail(story: Story) -> None:
    """[REC-7], L1: the log that was kept says so."""
    later = successor(story.contract)
    story.register(later)
    story.recover()
    intent = story.intent(under=later)
    assert (intent.code, story.status(intent)) == ("accepted", UNKNOWN)


def test_a_retired_key_that_was_settled_since_the_recovery_blocks_nothing(story: Story) -> None:
    """[REC-7], L1"""
    start = lost(story)
    story.recover()
    assert story.absent(start, story.wait(BOUND)).code == "accepted"
    later = successor(story.contract)
    story.register(later)
    assert story.intent(under=later).code == "accepted"


def test_an_oath_lets_its_keys_follow_the_normal_rules(story: Story) -> None:
    """[REC-2], [REC-5]: only of its class, under its prefix, about its recovery."""
    recovery = story.recover()
    assert story.swear(recovery, "money.charge/1", CHARGES).code == "accepted"
    assert story.status(story.intent()) == CLAIMED
    refund = contract(name="refund-customer", effect_class="money.refund/1")
    story.register(refund)
    assert story.status(story.intent(under=refund)) == UNKNOWN
    live = contract(name="charge-live", realm={"account": "acct_1", "mode": "live"})
    story.register(live)
    assert story.status(story.intent(under=live)) == UNKNOWN


def test_an_oath_comes_too_late_for_a_status_that_is_unknown_already(story: Story) -> None:
    start, recovery = lost(story), story.recover()
    intent = story.intent(order="other")
    story.swear(recovery)
    assert story.status(start) == story.status(intent) == UNKNOWN
    assert story.outcome(start, COMMITTED).code == "recovery-open"
    assert story.redrive(start).code == "redrive-unsafe"


def test_an_oath_about_one_recovery_says_nothing_about_another(story: Story) -> None:
    """[REC-2], [REC-4], [REC-5]"""
    first = story.recover()
    second = story.recover(data={"origin": "example.com/payments.e2"})
    story.swear(second)
    assert story.status(story.intent(order="1")) == UNKNOWN
    assert story.state(story.intent(order="2")).tainted == first.index
    story.swear(first)
    assert story.status(story.intent(order="3")) == CLAIMED


def test_an_attestor_swears_about_a_recovery_of_this_log_within_its_own_scope(story: Story) -> None:
    """[REC-2], [GOV-2], [GOV-4]: contained by class and by prefix."""
    tick = story.tick()
    recovery = story.recover()
    assert story.swear(tick).code == "recovery-unknown"
    assert story.swear(recovery, by="admin").code == "grant-missing"
    story.grant("newcomer", "attestor", Scope(effect_class="money.charge/1", prefix=CHARGES))
    for effect_class, prefix in (("*", CHARGES), ("money.charge/1", ""), ("money.refund/1", CHARGES)):
        assert story.swear(recovery, effect_class, prefix, by="newcomer").code == "grant-missing"
    assert story.swear(recovery, "money.charge/1", f"{CHARGES}customer/", by="newcomer").code == "accepted"


def test_a_recovery_is_accounted_for_once() -> None:
    """[REC-3]: what was claimed after it stays claimed, however often the state is read."""
    story = Story()
    recovery = story.recover()
    story.swear(recovery)
    state = story.state(story.intent())
    assert absorb(state, story.fold.governance.recoveries) is state


def test_a_planned_change_of_the_log_key_is_no_recovery(story: Story) -> None:
    """[REC-3]: nothing was lost, so nothing becomes unknown; without the old key's checkpoint it is refused."""
    leaf: Leaf = lost(story)
    assert story.recover(amnesia=False).code == "recovery-invalid"
    assert story.state(leaf).tainted is None


def test_what_was_moved_keeps_its_state_hash_and_what_was_not_begins_under_the_new_log_id(story: Story) -> None:
    """[ID-3], S7"""
    done(story)
    untouched = "stripe:acct_1/test/customer/cus_2"
    moved, before = story.fold.state_hash("stripe:acct_1/test/customer/cus_1"), story.fold.state_hash(untouched)
    story.recover()
    assert story.fold.state_hash("stripe:acct_1/test/customer/cus_1") == moved
    assert story.fold.state_hash(untouched) != before


def test_undone_before_a_recovery_the_request_stays_bound_behind_it(story: Story) -> None:
    """[EFF-3]"""
    undone(story, amount=5000)
    story.recover()
    assert story.intent(amount=6000).code == "content-differs"
    assert story.intent(amount=5000).code == "accepted"


def test_time_goes_on_over_a_recovery(story: Story) -> None:
    """[TIME-2]: ticks before it count, and so does what they timed."""
    start = started(story)
    story.tick()
    story.recover()
    story.wait(D)
    assert story.suspect(start).code == "transition-invalid"
    assert story.fold.now_ms() == story.now
