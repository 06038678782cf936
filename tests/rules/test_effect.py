"""One effect's life, row by row of the transition table: SPEC §9.4. Every refusal moves nothing (RPL-4)."""

import pytest

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.admission import Blocked, Stale
from invoke_log.rules.effect import NEXT, next_step
from invoke_log.rules.event import Event
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN
from invoke_log.rules.policy import ALLOW_COVERED
from tests.harness.story import (
    APPROVALS_TTL,
    BOUND,
    RETENTION,
    TTL,
    D,
    Leaf,
    Story,
    contract,
    done,
    lost,
    reach,
    started,
    undone,
)


@pytest.fixture
def story() -> Story:
    return Story()


# Approval, denial, release: a claim that is not started yet.


def test_an_approval_moves_the_head_and_neither_the_status_nor_the_resource(story: Story) -> None:
    """[EFF-1], [EFF-5]: a busy resource must not starve its own approvals (L4)."""
    intent = story.intent()
    moved = story.state_hash(intent)
    approval = story.approve(intent)
    assert approval.code == "accepted"
    assert (story.status(intent), story.state(intent).last) == (CLAIMED, approval.id)
    assert story.state_hash(intent) == moved


def test_an_approval_names_the_open_claim(story: Story) -> None:
    """[EFF-5]"""
    intent = story.intent()
    assert story.approve(intent, names=bytes(32)).code == "transition-invalid"
    assert story.start(intent).code == "accepted"
    assert story.approve(intent).code == "transition-invalid"


def test_nobody_approves_or_denies_an_intent_of_their_own(story: Story) -> None:
    """[EFF-5]: the approver is not the issuer."""
    story.grant("agent", "approver")
    intent = story.intent(by="agent")
    assert story.approve(intent, by="agent").code == "self-approved"
    assert story.deny(intent, by="agent").code == "self-approved"
    assert story.approve(intent, by="reconciler").code == "grant-missing"
    assert story.deny(intent, by="reconciler").code == "grant-missing"
    assert story.status(intent) == CLAIMED


def test_a_denial_returns_a_first_claim_to_free(story: Story) -> None:
    intent = story.intent()
    moved = story.state_hash(intent)
    assert story.deny(intent, names=bytes(32)).code == "transition-invalid"
    assert story.deny(intent).code == "accepted"
    assert (story.status(intent), story.state(intent).attempt) == (FREE, 1)
    assert story.state_hash(intent) == moved


def test_a_release_returns_a_later_claim_to_not_committed_with_its_request_still_bound(story: Story) -> None:
    """[EFF-3]: what an absence demands outlives a claim that nobody started."""
    undone(story, amount=5000)
    assert story.intent(amount=6000).code == "content-differs"
    second = story.intent(amount=5000)
    assert story.release(second).code == "accepted"
    assert (story.status(second), story.state(second).attempt) == (NOT_COMMITTED, 2)
    assert story.intent(amount=6000).code == "content-differs"
    assert story.intent(amount=5000).code == "accepted"


def test_a_denied_repeat_returns_status_generation_and_claim_and_keeps_the_attempt(story: Story) -> None:
    """[EFF-4], [EFF-6]"""
    outcome = done(story)
    first = story.state(outcome).claim
    repeat = story.again(outcome, amount=7000)
    assert (story.status(repeat), story.state(repeat).generation) == (CLAIMED, 2)
    assert story.deny(repeat).code == "accepted"
    state = story.state(repeat)
    assert (state.status, state.generation, state.attempt, state.claim) == (COMMITTED, 1, 2, first)
    assert state.base_claim is None
    assert story.intent(amount=7000).code == "conflict"


def test_a_released_claim_of_a_later_generation_returns_there(story: Story) -> None:
    """[EFF-4]"""
    twice = story.outcome(story.start(story.again(done(story))))
    story.release(story.again(twice), by="repeater")
    assert (story.status(twice), story.state(twice).generation) == (COMMITTED, 2)
    story.outcome(story.start(story.again(twice)), NOT_COMMITTED)
    story.release(story.intent(amount=9000))
    assert (story.status(twice), story.state(twice).generation) == (NOT_COMMITTED, 3)


def test_only_its_issuer_releases_a_claim_before_the_ttl_and_anybody_after_it(story: Story) -> None:
    """[EFF-6], [TIME-4]: no lease expires into permission, and an abandoned claim is free after its TTL (L5)."""
    intent = story.intent()
    story.wait(TTL - 1)
    assert story.release(intent, by="other").code == "claim-held"
    assert story.release(intent, by="stranger").code == "grant-missing"
    story.tick(1)
    assert story.release(intent, by="other").code == "accepted"
    assert story.status(intent) == FREE


def test_the_ttl_is_counted_from_the_first_tick_after_the_claim(story: Story) -> None:
    """[TIME-4]: before that tick nobody can tell how old the claim is."""
    intent = story.intent()
    story.tick(TTL)
    assert story.release(intent, by="other").code == "claim-held"
    story.tick(TTL)
    assert story.release(intent, by="other").code == "accepted"


def test_a_started_claim_is_never_released(story: Story) -> None:
    """[EFF-6]"""
    intent = story.intent()
    assert story.release(intent, names=bytes(32)).code == "transition-invalid"
    assert story.start(intent).code == "accepted"
    story.wait(TTL)
    assert story.release(intent).code == "transition-invalid"
    assert story.status(intent) == STARTED


# START: the only permission to send.


def test_start_is_refused_but_from_a_fresh_claim(story: Story) -> None:
    """S6, S4: one START for one claim, and none without."""
    intent = story.intent()
    assert story.start(intent, data={"intent": bytes(32)}).code == "transition-invalid"
    assert story.start(intent).code == "accepted"
    assert story.start(intent, by="other").code == "transition-invalid"
    outcome = story.outcome(story.leaves[-2])
    assert outcome.code == "accepted"
    assert story.start(intent).code == "transition-invalid"


def test_start_is_refused_on_what_was_released_or_never_claimed(story: Story) -> None:
    """S6"""
    intent = story.intent()
    story.release(intent)
    assert story.start(intent).code == "transition-invalid"
    again = story.intent()
    assert story.start(intent).code == "transition-invalid"
    assert story.start(again).code == "accepted"


def test_any_executor_starts_a_claim_and_nobody_without_the_grant(story: Story) -> None:
    """[EFF-6]: claimed is not owned."""
    intent = story.intent(by="agent")
    assert story.start(intent, by="reconciler").code == "grant-missing"
    assert story.start(intent, by="other").code == "accepted"


@pytest.mark.parametrize("field", ["tag", "provider_key"])
def test_start_writes_the_tag_and_the_provider_key_that_re_derive(story: Story, field: str) -> None:
    """[EFF-7]"""
    intent = story.intent()
    code = {"tag": "tag-differs", "provider_key": "provider-key-differs"}[field]
    assert story.start(intent, data={field: bytes(32)}).code == code
    other = {"tag": digest.tag(story.state(intent).effect, 2)}
    other["provider_key"] = digest.provider_key(story.state(intent).effect, 1, 1)
    assert story.start(intent, data={field: other[field]}).code == code
    assert story.start(intent).code == "accepted"


def test_start_carries_its_own_verdict_under_the_policy_in_force(story: Story) -> None:
    intent = story.intent()
    assert story.start(intent, answer="deny").code == "verdict-deny"
    old = story.verdict()
    story.decree({**ALLOW_COVERED, "name": "another"})
    stale = story.start(intent, data={"verdict": old}).answer
    assert isinstance(stale, Stale)
    assert (stale.code, stale.head) == ("policy-superseded", story.verdict().policy_id)
    assert story.start(intent).code == "accepted"


def test_start_runs_under_the_intents_contract_unless_it_was_withdrawn(story: Story) -> None:
    """S10, [GOV-11]: a later version does not change what was decided; a withdrawal stops it."""
    first, second = story.intent(order="1"), story.intent(order="2")
    story.register(contract(version=2, approvals={"count": 9, "ttl_ms": 1}))
    assert story.start(first).code == "accepted"
    assert story.withdraw(story.contract.id).code == "accepted"
    assert story.start(second).code == "contract-withdrawn"


def test_a_freeze_stops_start_until_it_is_lifted_and_only_in_its_scope(story: Story) -> None:
    """[GOV-9]"""
    intent = story.intent()
    story.freeze("money.refund/1")
    story.freeze("money.charge/1", "stripe:acct_2/")
    assert story.start(intent, answer="deny").code == "verdict-deny"
    story.freeze("money.charge/1", "stripe:acct_1/")
    assert story.start(intent).code == "frozen"
    assert story.unfreeze("money.charge/1", "stripe:acct_1/").code == "accepted"
    assert story.start(intent).code == "accepted"


def test_start_names_no_snapshot_where_the_contract_has_no_profile(story: Story) -> None:
    intent = story.intent()
    assert story.start(intent, data={"snapshot_id": bytes(32)}).code == "snapshot-differs"
    seeing = Story(profile={"type": "record", "fields": {"open": {"type": "boolean"}}})
    seen = seeing.intent(snapshot_id=bytes(32))
    assert seeing.start(seen, data={"snapshot_id": bytes(32)}).code == "accepted"


@pytest.mark.parametrize(
    ("asked", "count", "intent_wants", "start_wants", "wanted"),
    [
        (("ask", "allow"), 0, 0, 0, 1),
        (("allow", "ask"), 0, 0, 0, 1),
        (("ask", "ask"), 2, 1, 1, 2),
        (("ask", "ask"), 1, 2, 1, 2),
        (("ask", "ask"), 1, 1, 2, 2),
        (("allow", "allow"), 2, 0, 0, 0),
    ],
)
def test_start_lists_as_many_approvals_by_distinct_keys_as_contract_and_verdicts_want(
    asked: tuple[str, str], count: int, intent_wants: int, start_wants: int, wanted: int
) -> None:
    """[EFF-8]: the largest of one, the contract's count and both verdicts', where a verdict is ask."""
    story = Story(approvals={"count": count, "ttl_ms": APPROVALS_TTL})
    intent = story.intent(answer=asked[0], wants=intent_wants)
    twice = [story.approve(intent), story.approve(intent)]
    listed = [twice[0], story.approve(intent, by="approver2")]
    if wanted:
        fewer = [] if wanted == 1 else twice
        few = story.start(intent, answer=asked[1], wants=start_wants, approvals=fewer)
        assert few.code == "approvals-missing"
    enough = story.start(intent, answer=asked[1], wants=start_wants, approvals=listed[:wanted])
    assert enough.code == "accepted"


def test_an_approval_is_of_this_intent_and_on_its_chain(story: Story) -> None:
    """S9, [EFF-8]: consent to one intent is no consent to the next."""
    first = story.intent(answer="ask")
    approval = story.approve(first)
    elsewhere = story.approve(story.intent(order="other", answer="ask"))
    story.release(first)
    second = story.intent(answer="ask")
    for listed in (approval, elsewhere, first):
        assert story.start(second, approvals=[listed]).code == "approval-invalid"
    assert story.start(second, approvals=[story.approve(second)]).code == "accepted"


def test_an_approval_of_an_earlier_attempt_does_not_count_again(story: Story) -> None:
    """S9: one approval, one START."""
    first = story.intent(answer="ask")
    approval = story.approve(first)
    start = story.start(first, approvals=[approval])
    assert story.outcome(start, NOT_COMMITTED).code == "accepted"
    second = story.intent(answer="ask")
    assert story.start(second, approvals=[approval]).code == "approval-invalid"


def test_a_world_that_remembers_every_event_of_a_chain_judges_approvals_alike(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S9, [EFF-8]: a store does; a fold forgets what no START can list any more."""

    def chained(effect: bytes, resource: str, event_id: bytes) -> tuple[int, Event] | None:
        found = [leaf for leaf in story.leaves if leaf.id == event_id and leaf.event.effect == effect]
        return next(((leaf.index, leaf.event) for leaf in found if leaf.code == "accepted"), None)

    monkeypatch.setattr(story.fold, "chained", chained)
    first = story.intent(answer="ask")
    approval = story.approve(first)
    story.release(first)
    second = story.intent(answer="ask")
    for listed in (approval, first, second):
        assert story.start(second, approvals=[listed]).code == "approval-invalid"
    assert story.start(second, approvals=[story.approve(second)]).code == "accepted"


def test_the_executor_of_a_start_is_none_of_its_approvers(story: Story) -> None:
    """[EFF-8]"""
    story.grant("executor", "approver")
    intent = story.intent(answer="ask")
    own, other = story.approve(intent, by="executor"), story.approve(intent)
    assert story.start(intent, by="executor", approvals=[own, other]).code == "self-approved"
    assert story.start(intent, by="agent", approvals=[own]).code == "accepted"


def test_an_approval_is_not_older_than_the_contracts_ttl(story: Story) -> None:
    """[EFF-8], [TIME-4]: its age is counted from the last tick before it."""
    intent = story.intent(answer="ask")
    story.tick()
    approval = story.approve(intent)
    story.tick(APPROVALS_TTL + 1)
    assert story.start(intent, approvals=[approval]).code == "approval-expired"
    younger = story.approve(intent)
    story.tick(APPROVALS_TTL)
    assert story.start(intent, approvals=[younger]).code == "accepted"


def test_an_approval_whose_key_lost_its_grant_no_longer_lives(story: Story) -> None:
    """[EFF-8], S8"""
    intent = story.intent(answer="ask")
    approval = story.approve(intent)
    story.revoke("approver")
    assert story.start(intent, approvals=[approval]).code == "approval-invalid"


# Outcome: what the process that sent says.


@pytest.mark.parametrize("status", [COMMITTED, NOT_COMMITTED, UNKNOWN])
def test_an_outcome_settles_a_started_effect_by_starts_key_and_nonce(story: Story, status: str) -> None:
    """[EFF-9]: a revoked key may still bring evidence (S15)."""
    start = started(story, order=status)
    story.revoke("executor")
    assert story.outcome(start, status).code == "accepted"
    assert story.status(start) == status
    assert (story.state(start).send is None) is (status != UNKNOWN)


def test_only_starts_own_key_signs_its_outcome(story: Story) -> None:
    """[EFF-9]"""
    start = started(story)
    assert story.outcome(start, by="other").code == "start-key-differs"
    assert story.outcome(start, UNKNOWN, by="other", nonce=None).code == "start-key-differs"
    assert story.outcome(start, names=bytes(32)).code == "transition-invalid"


@pytest.mark.parametrize("status", [COMMITTED, NOT_COMMITTED])
def test_without_the_nonce_an_outcome_may_only_say_unknown(story: Story, status: str) -> None:
    """[EFF-9]: a restarted process holds the key and not the nonce."""
    start = started(story)
    assert story.outcome(start, status, nonce=None).code == "nonce-missing"
    assert story.outcome(start, status, nonce=bytes(16)).code == "nonce-differs"
    assert story.outcome(start, UNKNOWN, nonce=bytes(16)).code == "nonce-differs"
    assert story.outcome(start, UNKNOWN, nonce=None).code == "accepted"
    assert story.outcome(start, status).code == "accepted"


def test_committed_is_final(story: Story) -> None:
    """S5, [EFF-9]: nothing but an authorised repeat leaves it, and that keeps the generation."""
    start = started(story)
    story.outcome(start)
    tick = story.wait(BOUND)
    for event in (
        story.outcome(start, NOT_COMMITTED),
        story.outcome(start, UNKNOWN),
        story.suspect(start),
        story.redrive(start),
        story.absent(start, tick),
        story.attest(start, NOT_COMMITTED),
        story.release(story.claims[story.state(start).effect]),
        story.deny(story.claims[story.state(start).effect]),
    ):
        assert event.code == "transition-invalid"
    assert story.status(start) == COMMITTED
    assert story.state(start).committed_max == 1


def test_the_state_hash_moves_with_intents_and_settlements_and_nothing_else(story: Story) -> None:
    """[ID-4], S7"""
    moved = []
    before = b""

    def after(leaf: Leaf) -> None:
        nonlocal before
        assert leaf.code == "accepted"
        if story.fold.state_hash("stripe:acct_1/test/customer/cus_1") != before:
            moved.append(leaf.event.kind)
        before = story.fold.state_hash("stripe:acct_1/test/customer/cus_1")

    intent = story.intent()
    after(intent)
    after(story.approve(intent))
    start = story.start(intent)
    after(start)
    after(story.note(start))
    story.wait(D)
    after(story.suspect(start))
    after(story.redrive(start))
    after(story.outcome(start, UNKNOWN))
    after(story.absent(start, story.wait(BOUND)))
    after(story.intent())
    after(story.release(story.leaves[-1]))
    after(story.present(start))
    after(story.present(start))
    assert moved == ["intent", "resolution", "intent", "resolution"]


# Suspect and re-drive: a call without an answer.


def test_suspect_waits_for_the_send_deadline_after_the_first_tick_behind_start(story: Story) -> None:
    """[TIME-4], [EFF-10]: only "died after START" is unknown."""
    start = started(story)
    story.tick(D)
    assert story.suspect(start).code == "too-early"
    story.tick(D - 1)
    assert story.suspect(start).code == "too-early"
    story.tick(1)
    assert story.suspect(start, by="stranger").code == "grant-missing"
    assert story.suspect(start, names=bytes(32)).code == "transition-invalid"
    assert story.suspect(start).code == "accepted"
    assert story.status(start) == UNKNOWN
    assert story.suspect(start).code == "transition-invalid"


def test_a_redrive_keeps_unknown_and_begins_the_waiting_anew(story: Story) -> None:
    """[EFF-10]: a re-drive is a send, and absence counts only for reads begun after its D and Q."""
    start = lost(story)
    read = story.wait(BOUND)
    redrive = story.redrive(start)
    assert redrive.code == "accepted"
    assert story.status(start) == UNKNOWN
    assert story.absent(start, read).code == "too-early"
    assert story.absent(start, story.tick(BOUND)).code == "too-early"
    assert story.attest(start, NOT_COMMITTED).code == "too-early"
    assert story.absent(start, story.tick(BOUND)).code == "accepted"


def test_after_a_redrive_not_committed_is_a_reconcilers_to_find(story: Story) -> None:
    """[EFF-11]"""
    start = lost(story)
    story.redrive(start)
    assert story.outcome(start, NOT_COMMITTED).code == "redriven"
    assert story.outcome(start, COMMITTED).code == "accepted"


@pytest.mark.parametrize("stores", ["success", "none", None])
def test_a_redrive_needs_a_provider_that_stores_all_results(stores: str | None) -> None:
    key: Value = {"place": "header", "retention_ms": RETENTION, "mismatch": "refused", "stores": stores or "all"}
    story = Story(provider_key=key if stores else None)
    assert story.redrive(lost(story)).code == "redrive-unsafe"


def test_a_redrive_lands_before_the_provider_forgets_its_key(story: Story) -> None:
    """Counted from the last tick before START: the provider may hold the key since then."""
    start = lost(story)
    story.tick(RETENTION - BOUND)
    assert story.redrive(start).code == "redrive-unsafe"
    younger = lost(story, order="other")
    story.tick(RETENTION - BOUND - 1)
    assert story.redrive(younger).code == "accepted"


def test_a_redrive_is_a_reconcilers_on_an_unknown_effect_with_the_same_provider_key(story: Story) -> None:
    start = started(story)
    assert story.redrive(start).code == "transition-invalid"
    story.outcome(start, UNKNOWN)
    assert story.redrive(start, by="executor").code == "grant-missing"
    assert story.redrive(start, data={"start": bytes(32)}).code == "transition-invalid"
    assert story.redrive(start, data={"provider_key": bytes(32)}).code == "provider-key-differs"
    story.freeze()
    assert story.redrive(start).code == "frozen"
    story.unfreeze()
    assert story.redrive(start).code == "accepted"


# What is blocked, and what to do about it.


@pytest.mark.parametrize(
    ("status", "observability", "word"),
    [
        (CLAIMED, "queryable", "wait"),
        (STARTED, "queryable", "poll"),
        (UNKNOWN, "queryable", "reconcile"),
        (UNKNOWN, "fire-and-forget", "attest"),
        (COMMITTED, "queryable", "receipt"),
    ],
)
def test_a_blocked_caller_is_told_what_to_do_and_never_to_try_again(status: str, observability: str, word: str) -> None:
    """[ADM-5]"""
    blind = observability == "fire-and-forget"
    story = Story(observability=observability, read_back=None, void=None) if blind else Story()
    assert next_step(status, story.contract) == word
    assert word in NEXT
    leaf = reach(story, status)
    assert story.intent().answer == Blocked(by=story.state(leaf).last or b"", status=status, next=word)
