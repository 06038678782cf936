"""What is found out later: presence from any status, absence and attestation from unknown. SPEC §9.4, §10."""

from typing import Any

import pytest

from invoke_log.format.cbor import Value
from invoke_log.rules.admission import Admitted
from invoke_log.rules.kind import ABSENT, CLAIMED, COMMITTED, FREE, NOT_COMMITTED, PRESENT, STARTED, UNKNOWN, Scope
from tests.harness.story import BOUND, D, Leaf, Q, Story, contract, done, lost, reach, started, undone

EVERY_STATUS = [FREE, CLAIMED, STARTED, UNKNOWN, COMMITTED, NOT_COMMITTED]


@pytest.fixture
def story() -> Story:
    return Story()


# Presence.


@pytest.mark.parametrize("status", EVERY_STATUS)
def test_presence_commits_from_every_status_and_keeps_the_attempt(story: Story, status: str) -> None:
    """[EFF-12], [PRF-1], S15: an inconvenient truth is never refused for status."""
    leaf = reach(story, status)
    before, moved = story.state(leaf), story.state_hash(leaf)
    present = story.present(leaf)
    state = story.state(leaf)
    assert present.code == "accepted"
    assert (state.status, state.generation, state.attempt, state.committed_max) == (COMMITTED, 1, before.attempt, 1)
    assert state.last == present.id
    assert (story.state_hash(leaf) == moved) is (status == COMMITTED)


def test_presence_of_an_effect_that_the_log_never_saw_commits_it_at_attempt_0(story: Story) -> None:
    """[EFF-12]: it moves S, and the key is spent."""
    bound = story.bound()
    moved = story.fold.state_hash(bound.resource)
    present = story.present(story.leaves[0], 3, unseen=bound)
    state = story.state(present)
    assert (state.status, state.generation, state.attempt, state.effect_class) == (
        COMMITTED,
        3,
        0,
        "money.charge/1",
    )
    assert story.state_hash(present) != moved
    assert story.intent().code == "blocked"
    assert story.again(present).code == "accepted"
    assert story.state(present).generation == 4


@pytest.mark.parametrize("generation", [1, 2])
def test_presence_at_or_below_a_committed_generation_moves_the_head_and_nothing_more(
    story: Story, generation: int
) -> None:
    """[EFF-12], S5: an open later generation stays open."""
    first = done(story)
    done_twice = story.outcome(story.start(story.again(first)))
    start = story.start(story.again(done_twice))
    before, moved = story.state(start), story.state_hash(start)
    present = story.present(start, generation)
    after = story.state(start)
    assert (after.status, after.generation, after.send, after.claim) == (STARTED, 3, before.send, before.claim)
    assert (after.last, after.committed_max) == (present.id, 2)
    assert story.state_hash(start) == moved
    assert story.outcome(start).code == "accepted"


def test_presence_of_a_later_generation_ends_the_open_attempt(story: Story) -> None:
    """[EFF-12]: no START of the old claim after it (S6)."""
    intent = story.intent()
    assert story.present(intent, 2).code == "accepted"
    state = story.state(intent)
    assert (state.status, state.generation, state.claim, state.send) == (COMMITTED, 2, None, None)
    assert story.start(intent).code == "transition-invalid"
    assert story.intent().code == "blocked"


def test_late_presence_is_compared_with_the_intent_that_was_thought_absent(story: Story) -> None:
    """[ADM-4]: the latest intent of the generation, also after its attempt was settled."""
    absent = undone(story, amount=5000)
    assert story.present(absent).code == "accepted"
    assert story.intent(amount=6000).code == "conflict"
    assert story.intent(amount=5000).code == "blocked"


def test_late_presence_is_compared_with_a_released_intent_too(story: Story) -> None:
    """[ADM-4]"""
    intent = story.intent(amount=5000)
    story.release(intent)
    story.present(intent)
    assert story.intent(amount=6000).code == "conflict"


@pytest.mark.parametrize("kind", ["response", "tag_seen"])
def test_presence_rests_on_something_seen(story: Story, kind: str) -> None:
    """[PRF-1]"""
    assert story.present(lost(story), kind=kind).code == "accepted"


@pytest.mark.parametrize(("positive", "code"), [(["charge.paid"], "accepted"), ([], "evidence-invalid")])
def test_a_message_shows_presence_where_the_contract_knows_such_messages(positive: list[Value], code: str) -> None:
    """[PRF-1]"""
    webhook: Value = {"scheme": "hmac", "key_id": "k", "positive": positive, "negative": ["charge.canceled"]}
    story = Story(webhook=webhook)
    assert story.present(lost(story), kind="webhook").code == code
    bare = Story()
    assert bare.present(lost(bare), kind="webhook").code == "evidence-invalid"


def test_observations_that_a_presence_lists_are_of_it_and_by_reconcilers(story: Story) -> None:
    """[PRF-7]: they raise its grade, so they have to count."""
    start = lost(story)
    story.grant("executor", "reconciler")

    def observe(of: Leaf, by: str, *, presence: str = PRESENT, kind: str = "tag_seen") -> Leaf:
        return story.observe(of, None, by=by, presence=presence, kind=kind)

    seen = [observe(start, name) for name in ("reconciler", "reconciler2")]
    for other in (
        observe(start, "reconciler3", presence=ABSENT),
        observe(start, "reconciler3", kind="absence"),
        observe(start, "reconciler3", kind="webhook"),
        observe(start, "agent"),
        observe(start, "executor"),
        observe(story.intent(order="other"), "reconciler3"),
        start,
    ):
        assert story.present(start, observations=[*seen, other]).code == "observation-invalid"
    assert story.present(start, observations=seen).code == "accepted"


@pytest.mark.parametrize("kind", ["never_sent", "no_answer", "unclear_answer", "absence", "void", "definite_failure"])
def test_presence_does_not_rest_on_anything_else(story: Story, kind: str) -> None:
    """[PRF-1]"""
    assert story.present(lost(story), kind=kind).code == "evidence-invalid"


def test_a_reconciler_or_the_key_of_any_start_of_it_may_say_present(story: Story) -> None:
    """S15: the process that sent needs no grant, not even one that was taken away."""
    start = started(story)
    assert story.present(start, by="stranger").code == "grant-missing"
    assert story.present(start, by="agent").code == "grant-missing"
    story.outcome(start, NOT_COMMITTED)
    story.revoke("executor")
    assert story.present(start, by="executor", kind="response").code == "accepted"
    assert story.present(story.intent(order="other"), by="executor").code == "grant-missing"


def test_a_reconcilers_scope_is_that_of_the_effect_and_not_of_the_contract_that_it_names(story: Story) -> None:
    """[GOV-4]: naming another tool's contract does not widen a grant."""
    refund = contract(name="refund-customer", effect_class="money.refund/1")
    story.register(refund)
    story.grant("newcomer", "reconciler", Scope(effect_class="money.refund/1", prefix=""))
    start = lost(story)
    assert story.present(start, by="newcomer", under=refund.id).code == "grant-missing"
    assert story.present(start, by="newcomer").code == "grant-missing"
    assert story.present(start, by="reconciler", under=refund.id).code == "effect-differs"
    assert story.state(start).effect_class == "money.charge/1"


def test_a_resolution_names_a_registered_contract_and_the_resource_of_its_effect(story: Story) -> None:
    start = lost(story)
    assert story.present(start, under=bytes(32)).code == "contract-unknown"
    assert story.present(start, body={"resource": "stripe:acct_1/test/customer/cus_2"}).code == "resource-differs"
    assert story.status(start) == UNKNOWN


# Absence.


def test_absence_leaves_only_unknown(story: Story) -> None:
    """Claimed is released, and started is not yet unknown."""
    intent = story.intent()
    tick = story.wait(BOUND)
    assert story.absent(intent, tick).code == "transition-invalid"
    start = story.start(intent)
    tick = story.wait(BOUND)
    assert story.absent(start, tick).code == "transition-invalid"
    story.suspect(start)
    assert story.absent(start, tick, by="executor").code == "grant-missing"
    assert story.absent(start, tick).code == "accepted"
    assert story.absent(start, tick).code == "transition-invalid"


def test_absence_is_of_the_claims_contract_and_generation(story: Story) -> None:
    """S10"""
    later = contract(version=2)
    start = lost(story)
    tick = story.wait(BOUND)
    story.register(later)
    assert story.absent(start, tick, under=later.id).code == "evidence-invalid"
    assert story.absent(start, tick, generation=2).code == "evidence-invalid"
    assert story.absent(start, tick).code == "accepted"


@pytest.mark.parametrize(
    ("kind", "free"), [("absence", False), ("key_burnt", False), ("void", True), ("webhook", False)]
)
def test_after_absence_the_next_request_is_the_same_and_after_a_void_it_may_differ(kind: str, free: bool) -> None:
    """[EFF-3]"""
    webhook: Any = {"scheme": "hmac", "key_id": "k", "positive": [], "negative": ["charge.canceled"]}
    story = Story(webhook=webhook)
    start = lost(story, amount=5000)
    failure = "charge.canceled" if kind == "webhook" else None
    assert story.absent(start, story.wait(BOUND), kind=kind, failure=failure).code == "accepted"
    assert story.status(start) == NOT_COMMITTED
    other = story.intent(amount=6000)
    assert other.code == ("accepted" if free else "content-differs")
    if not free:
        assert story.intent(amount=5000).code == "accepted"


@pytest.mark.parametrize("kind", ["never_sent", "definite_failure", "stored_failure"])
def test_after_a_proven_failure_the_next_request_may_differ(story: Story, kind: str) -> None:
    """[EFF-3]"""
    start = started(story, amount=5000)
    failure = "card_declined" if kind != "never_sent" else None
    assert story.outcome(start, NOT_COMMITTED, kind=kind, failure=failure).code == "accepted"
    assert story.intent(amount=6000).code == "accepted"


def test_the_last_started_attempt_decides_whether_the_request_is_bound(story: Story) -> None:
    """[EFF-3]: a definite failure of the second attempt ends what the absence of the first one demanded."""
    undone(story, amount=5000)
    story.outcome(story.start(story.intent(amount=5000)), NOT_COMMITTED)
    assert story.intent(amount=6000).code == "accepted"


def test_the_provider_key_turns_only_when_it_is_burnt(story: Story) -> None:
    """[EFF-7]: turn counts stored failures and burnt keys of this generation, and nothing else."""
    assert story.state(undone(story)).turn == 0
    start = started(story)
    story.outcome(start, NOT_COMMITTED, kind="definite_failure", failure="card_declined")
    assert story.state(start).turn == 0
    start = started(story)
    story.outcome(start, NOT_COMMITTED, kind="stored_failure", failure="card_declined")
    assert story.state(start).turn == 1
    start = lost(story)
    assert story.absent(start, story.wait(BOUND), kind="key_burnt").code == "accepted"
    assert story.state(start).turn == 2
    outcome = done(story)
    assert story.state(story.again(outcome)).turn == 0


def test_what_an_absence_demanded_does_not_bind_a_repeat(story: Story) -> None:
    """[EFF-4]: its content may differ, and so may what follows a failure of it."""
    absent = undone(story, amount=5000)
    assert story.state(absent).sealed_request is not None
    story.present(absent)
    assert story.state(absent).sealed_request is None
    repeat = story.again(absent, amount=7000)
    assert repeat.code == "accepted"
    story.outcome(story.start(repeat), NOT_COMMITTED)
    assert story.intent(amount=8000).code == "accepted"


def test_the_bound_is_counted_from_the_send_and_not_from_what_was_said_of_it_since(story: Story) -> None:
    """[EFF-10]"""
    start = started(story)
    story.wait(D)
    story.suspect(start)
    story.tick(Q)
    story.outcome(start, UNKNOWN, nonce=None)
    assert story.absent(start, story.leaves[-2]).code == "accepted"


# Attestation.


@pytest.mark.parametrize("status", [COMMITTED, NOT_COMMITTED])
def test_an_attestation_settles_an_unknown_effect_after_d_and_q(story: Story, status: str) -> None:
    """L1: what nobody can observe, a person settles; the request stays bound (EFF-3)."""
    start = lost(story, amount=5000)
    moved = story.state_hash(start)
    assert story.attest(start, status).code == "too-early"
    story.tick(BOUND)
    assert story.attest(start, status).code == "too-early"
    story.tick(BOUND - 1)
    assert story.attest(start, status).code == "too-early"
    story.tick(1)
    assert story.attest(start, status, by="reconciler").code == "grant-missing"
    assert story.attest(start, status).code == "accepted"
    assert story.status(start) == status
    assert story.state_hash(start) != moved
    if status == NOT_COMMITTED:
        assert story.intent(amount=6000).code == "content-differs"


def test_an_attestor_is_neither_the_issuer_nor_the_executor(story: Story) -> None:
    story.grant("agent", "attestor")
    story.grant("executor", "attestor")
    start = lost(story)
    story.wait(BOUND)
    assert story.attest(start, COMMITTED, by="agent").code == "self-attested"
    assert story.attest(start, COMMITTED, by="executor").code == "self-attested"
    assert story.attest(start, COMMITTED, by="attestor").code == "accepted"


@pytest.mark.parametrize("status", [FREE, CLAIMED, STARTED, COMMITTED, NOT_COMMITTED])
def test_an_attestation_leaves_only_unknown(story: Story, status: str) -> None:
    leaf = reach(story, status)
    story.wait(BOUND)
    assert story.attest(leaf, COMMITTED).code == "transition-invalid"


@pytest.mark.parametrize("observability", ["queryable", "fire-and-forget"])
def test_every_open_effect_can_be_settled(observability: str) -> None:
    """L1: from every status that is open, by somebody, under every contract."""
    blind = observability == "fire-and-forget"
    story = Story(observability=observability, read_back=None, void=None) if blind else Story()
    claimed = story.intent(order="1")
    assert story.release(claimed).code == "accepted"
    start = started(story, order="2")
    story.wait(D)
    assert story.suspect(start).code == "accepted"
    story.wait(BOUND)
    assert isinstance(story.attest(start, NOT_COMMITTED).answer, Admitted)
