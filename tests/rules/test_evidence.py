"""What proves that an effect did, or did not, happen: SPEC §10. Yes is stable, no is not."""

from typing import Any

import pytest

from invoke_log.format.cbor import Value
from invoke_log.rules import evidence
from invoke_log.rules.event import Event
from invoke_log.rules.kind import ABSENT, COMMITTED, EVIDENCE_KINDS, NOT_COMMITTED, PRESENT, UNKNOWN, Scope
from tests.harness.story import BOUND, RETENTION, Leaf, Story, contract, done, lost, started, undone

WEBHOOK: Any = {"scheme": "hmac", "key_id": "k", "positive": ["charge.paid"], "negative": ["charge.canceled"]}
READ_BACK: Any = {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.mark.parametrize("kind", EVIDENCE_KINDS)
@pytest.mark.parametrize(
    ("status", "proofs"),
    [
        (COMMITTED, {"response"}),
        (NOT_COMMITTED, {"never_sent", "definite_failure", "stored_failure", "abort"}),
        (UNKNOWN, {"no_answer", "unclear_answer"}),
    ],
)
def test_an_outcome_says_no_more_than_its_evidence_shows(kind: str, status: str, proofs: set[str]) -> None:
    """S2, [PRF-2]: a reset, a 5xx, a conflict or an error flag is never "not committed"."""
    story = Story(observability="transactional")
    outcome = story.outcome(started(story), status, kind=kind, failure="card_declined")
    assert outcome.code == ("accepted" if kind in proofs else "evidence-invalid")


@pytest.mark.parametrize("kind", ["definite_failure", "stored_failure"])
@pytest.mark.parametrize("failure", ["rate_limited", None])
def test_a_definite_failure_is_one_that_the_contract_lists(story: Story, kind: str, failure: str | None) -> None:
    """[PRF-3]"""
    start = started(story)
    assert story.outcome(start, NOT_COMMITTED, kind=kind, failure=failure).code == "evidence-invalid"
    assert story.outcome(start, NOT_COMMITTED, kind=kind, failure="card_declined").code == "accepted"


@pytest.mark.parametrize("stores", ["success", "none", None])
def test_a_stored_failure_needs_a_provider_that_stores_all_results(stores: str | None) -> None:
    """[PRF-3]: otherwise another copy of the request may still land."""
    key: Any = {"place": "header", "retention_ms": RETENTION, "mismatch": "refused", "stores": stores}
    story = Story(provider_key=key if stores else None)
    start = started(story)
    for kind, code in (("stored_failure", "evidence-invalid"), ("definite_failure", "accepted")):
        assert story.outcome(start, NOT_COMMITTED, kind=kind, failure="card_declined").code == code


def test_an_abort_proves_something_only_under_a_transactional_contract(story: Story) -> None:
    """[PRF-3], [PRF-4]"""
    assert story.outcome(started(story), NOT_COMMITTED, kind="abort").code == "evidence-invalid"
    start = lost(story, order="other")
    assert story.absent(start, story.wait(BOUND), kind="abort").code == "evidence-invalid"
    transactional = Story(observability="transactional")
    assert transactional.outcome(started(transactional), NOT_COMMITTED, kind="abort").code == "accepted"
    start = lost(transactional, order="other")
    assert transactional.absent(start, kind="abort").code == "accepted"


@pytest.mark.parametrize("kind", EVIDENCE_KINDS)
def test_absence_does_not_rest_on_what_merely_failed(story: Story, kind: str) -> None:
    """S2, [PRF-4]"""
    start = lost(story)
    absent = story.absent(start, story.wait(BOUND), kind=kind, failure="card_declined")
    assert absent.code == ("accepted" if kind in ("absence", "key_burnt", "void") else "evidence-invalid")


def test_a_void_or_a_burnt_key_needs_a_contract_that_has_one() -> None:
    """[PRF-4]"""
    story = Story(void=None, provider_key=None)
    start = lost(story)
    tick = story.wait(BOUND)
    assert story.absent(start, tick, kind="void").code == "evidence-invalid"
    assert story.absent(start, tick, kind="key_burnt").code == "evidence-invalid"
    assert story.absent(start, tick).code == "accepted"


def test_a_void_needs_no_waiting(story: Story) -> None:
    """[PRF-4]: the provider has said that it will not happen."""
    assert story.absent(lost(story), kind="void").code == "accepted"


def test_silence_proves_nothing_and_a_negative_message_is_one_that_the_contract_names() -> None:
    """[PRF-4]: webhook-confirmable proves absence by a negative message alone."""
    story = Story(observability="webhook-confirmable", webhook=WEBHOOK, read_back=None)
    start = lost(story)
    tick = story.wait(BOUND)
    for failure in (None, "charge.paid", "charge.updated"):
        assert story.absent(start, kind="webhook", failure=failure).code == "evidence-invalid"
    assert story.absent(start, tick).code == "absence-unprovable"
    assert story.absent(start, kind="webhook", failure="charge.canceled").code == "accepted"


@pytest.mark.parametrize(
    "read_back", [{**READ_BACK, "complete": False}, {**READ_BACK, "lag_ms": 1}, None], ids=["partial", "lags", "none"]
)
@pytest.mark.parametrize("kind", ["absence", "key_burnt"])
def test_a_partial_or_lagging_read_proves_presence_only(read_back: Value, kind: str) -> None:
    """[PRF-6], [CTR-8]"""
    story = Story(observability="transactional", handle="txn", read_back=read_back)
    start = lost(story)
    assert story.absent(start, story.wait(BOUND), kind=kind).code == "absence-unprovable"
    assert story.present(start).code == "accepted"


# Reads: begun after the bound, by the first tick after the last send.


@pytest.mark.parametrize("kind", ["absence", "key_burnt"])
def test_a_read_names_an_accepted_tick_that_its_reader_held(story: Story, kind: str) -> None:
    """[PRF-5]"""
    start = lost(story)
    story.wait(BOUND)
    forged = story.tick(BOUND, by="admin")
    assert forged.code == "grant-missing"
    for tick in (None, forged, start, story.note(start), story.observe(start, None, by="reconciler")):
        assert story.absent(start, tick, kind=kind).code == "tick-unknown"


def test_a_read_begins_no_earlier_than_d_and_q_after_the_tick_behind_the_last_send(story: Story) -> None:
    """S2, [PRF-5], [TIME-4]: the tick before START would believe absence too early."""
    held = story.tick(BOUND)
    start = lost(story)
    assert story.absent(start, held).code == "too-early"
    assert story.absent(start, story.tick(BOUND)).code == "too-early"
    assert story.absent(start, story.tick(BOUND - 1)).code == "too-early"
    assert story.absent(start, story.tick(1)).code == "accepted"


def test_while_no_tick_came_after_the_send_no_read_is_late_enough(story: Story) -> None:
    """[TIME-3]"""
    start = lost(story)
    assert story.absent(start, story.leaves[1]).code == "too-early"


def test_a_tick_that_goes_back_counts_by_its_effective_time(story: Story) -> None:
    """[PRF-5], [TIME-2]"""
    start = lost(story)
    story.wait(BOUND)
    back = story.tick(-BOUND)
    assert back.code == "accepted"
    assert story.absent(start, back).code == "accepted"


def test_when_the_resolution_is_written_does_not_matter_only_when_the_read_began(story: Story) -> None:
    """[PRF-5]"""
    start = lost(story)
    early = story.tick()
    story.tick(10 * BOUND)
    assert story.absent(start, early).code == "too-early"


# k of n.


@pytest.fixture
def pair() -> tuple[Story, Leaf, Leaf]:
    """Return a story whose contract wants two reconcilers, an unknown START, and a tick after the bound."""
    story = Story(reconcilers=2)
    start = lost(story)
    return story, start, story.wait(BOUND)


def test_two_reconcilers_observe_and_the_resolution_lists_them(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7]"""
    story, start, tick = pair
    one, two = (story.observe(start, tick, by=name) for name in ("reconciler", "reconciler2"))
    assert story.absent(start, tick).code == "observations-missing"
    assert story.absent(start, observations=[one]).code == "observations-missing"
    assert story.absent(start, observations=[one, two]).code == "accepted"


def test_evidence_that_no_observation_can_carry_lists_none(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7]: what is listed is checked, and a void is not."""
    story, start, tick = pair
    one = story.observe(start, tick, by="reconciler")
    assert story.absent(start, kind="void", observations=[one]).code == "observation-invalid"
    assert story.absent(start, kind="void").code == "accepted"


def test_one_reconciler_does_not_count_twice(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7]"""
    story, start, tick = pair
    twice = [story.observe(start, tick, by="reconciler"), story.observe(start, story.tick(1), by="reconciler")]
    assert story.absent(start, observations=twice).code == "observations-missing"


def test_the_executors_own_observation_does_not_count(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7]"""
    story, start, tick = pair
    story.grant("executor", "reconciler")
    listed = [story.observe(start, tick, by=name) for name in ("executor", "reconciler", "reconciler2")]
    assert story.absent(start, observations=listed).code == "observation-invalid"
    assert story.absent(start, observations=listed[1:]).code == "accepted"


@pytest.mark.parametrize(
    ("presence", "kind"), [(PRESENT, "absence"), ("unclear", "absence"), (ABSENT, "no_answer"), (ABSENT, "tag_seen")]
)
def test_an_observation_counts_if_it_is_a_read_that_found_nothing(
    pair: tuple[Story, Leaf, Leaf], presence: str, kind: str
) -> None:
    """[PRF-7]: that something failed is no reading."""
    story, start, tick = pair
    one = story.observe(start, tick, by="reconciler")
    other = story.observe(start, tick, by="reconciler2", presence=presence, kind=kind)
    assert other.code == "accepted"
    assert story.absent(start, observations=[one, other]).code == "observation-invalid"


def test_each_observation_is_a_read_begun_after_the_bound(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7], [PRF-5]"""
    story, start, tick = pair
    one = story.observe(start, tick, by="reconciler")
    early = story.observe(start, story.leaves[1], by="reconciler2")
    blank = story.observe(start, None, by="reconciler2")
    assert story.absent(start, observations=[one, early]).code == "too-early"
    assert story.absent(start, observations=[one, blank]).code == "tick-unknown"
    story.redrive(start)
    late = story.observe(start, story.wait(BOUND), by="reconciler2")
    assert story.absent(start, observations=[one, late]).code == "too-early"


def test_an_observation_is_of_this_effect_and_accepted(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7]: what is void, another effect's or no observation at all does not count."""
    story, start, tick = pair
    one = story.observe(start, tick, by="reconciler")
    neighbour = story.observe(story.intent(order="other"), tick, by="reconciler2")
    elsewhere = story.observe(story.intent(customer="cus_2"), tick, by="reconciler2")
    void = story.observe(start, tick, by="stranger")
    assert void.code == "grant-missing"
    for other in (neighbour, elsewhere, void, tick, story.note(start, by="reconciler2")):
        assert story.absent(start, observations=[one, other]).code == "observation-invalid"


def test_a_world_that_finds_every_event_on_no_chain_judges_reads_alike(
    pair: tuple[Story, Leaf, Leaf], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[PRF-5], [PRF-7]: a store finds notes and handles too."""
    story, start, tick = pair

    def unchained(event_id: bytes, resource: str) -> tuple[int, Event] | None:
        found = [leaf for leaf in story.leaves if leaf.id == event_id and leaf.code == "accepted"]
        return next(((leaf.index, leaf.event) for leaf in found if leaf.event.prev is None), None)

    monkeypatch.setattr(story.fold, "unchained", unchained)
    one, two = (story.observe(start, tick, by=name) for name in ("reconciler", "reconciler2"))
    for other in (story.note(start, by="reconciler2"), story.handle(start, by="reconciler2"), tick):
        assert story.absent(start, observations=[one, other]).code == "observation-invalid"
        if other is not tick:
            blank = story.observe(start, other, by="reconciler2")
            assert story.absent(start, observations=[one, blank]).code == "tick-unknown"
    assert story.absent(start, observations=[one, two]).code == "accepted"


def test_an_observers_grant_as_reconciler_is_in_force_when_it_is_listed(pair: tuple[Story, Leaf, Leaf]) -> None:
    """[PRF-7], S8: any granted key may write one, and it counts for nothing."""
    story, start, tick = pair
    one, own = story.observe(start, tick, by="reconciler"), story.observe(start, tick, by="agent")
    assert own.code == "accepted"
    assert story.absent(start, observations=[one, own]).code == "observation-invalid"
    story.grant("newcomer", "reconciler", Scope(effect_class="money.refund/1", prefix=""))
    scoped = story.observe(start, tick, by="newcomer")
    assert story.absent(start, observations=[one, scoped]).code == "observation-invalid"
    other = story.observe(start, tick, by="reconciler2")
    story.revoke("reconciler2")
    assert story.absent(start, observations=[one, other]).code == "observation-invalid"


# Grades and reliance.


def test_the_grade_is_that_of_the_event_that_settled(story: Story) -> None:
    """S14, [PRF-8]"""
    outcome = done(story, order="1").event
    seen = story.present(lost(story, order="2")).event
    said = story.present(lost(story, order="3"), kind="response").event
    start = lost(story, order="4")
    story.wait(BOUND)
    attested = story.attest(start, COMMITTED).event
    absent = undone(story, order="5").event

    def grade(event: Event, *observers: bytes, k: int = 1, own: bool = False) -> str:
        return evidence.grade_of(event, contract(reconcilers=k), observers=observers, by_executor=own)

    assert grade(outcome, own=True) == grade(said) == grade(said, own=True) == "E0"
    assert grade(seen) == grade(absent) == "E1"
    assert grade(seen, own=True) == grade(absent, own=True) == grade(seen, b"a", own=True) == "E0"
    assert grade(absent, b"a", b"a", k=2) == "E1"
    assert grade(absent, b"a", b"b", k=2) == grade(seen, b"a", b"b", own=True) == "E2"
    assert grade(absent, b"a", b"b", k=3) == "E1"
    assert grade(attested, own=True) == evidence.ATTESTED


def test_a_settled_effect_says_what_it_relies_on(story: Story) -> None:
    """S14, [PRF-9]: one green tick for everything would be a lie."""
    unkeyed = contract(provider_key=None)
    outcome = done(story, order="1").event
    declined = story.outcome(
        started(story, order="2"), NOT_COMMITTED, kind="definite_failure", failure="card_declined"
    ).event
    unsent = story.outcome(started(story, order="5"), NOT_COMMITTED).event
    voided = story.absent(lost(story, order="6"), kind="void").event
    absent = undone(story, order="3").event
    start = lost(story, order="4")
    story.wait(BOUND)
    attested = story.attest(start, COMMITTED).event
    said = story.present(start, kind="response").event
    hooked = story.present(start, kind="webhook").event
    words = {
        outcome: {"executor"},
        declined: {"executor", "contract-failures"},
        unsent: {"executor"},
        voided: {"reconciler", "log-clock", "quiescence-bound"},
        absent: {"reconciler", "log-clock", "quiescence-bound"},
        attested: {"attestor", "log-clock", "quiescence-bound"},
        said: {"executor"},
        hooked: {"reconciler", "webhook-sender"},
    }
    for event, own in words.items():
        grade = "E0" if event is said else "E1"
        assert evidence.reliance_of(event, unkeyed, grade=grade) == tuple(sorted({*own, "store-not-rolled-back"}))
    own_read = {"executor", "log-clock", "quiescence-bound", "store-not-rolled-back"}
    assert set(evidence.reliance_of(absent, unkeyed, grade="E0")) == own_read
    assert "oath" in evidence.reliance_of(outcome, unkeyed, grade="E0", sworn=True)
    before = evidence.reliance_of(attested, unkeyed, grade="attested")
    after = evidence.reliance_of(declined, unkeyed, grade="E0", earlier=before)
    assert after == tuple(sorted({*before, "executor", "contract-failures"}))
    assert "provider-key" in evidence.reliance_of(outcome, contract(), grade="E0")
    assert "provider-key" not in evidence.reliance_of(outcome, None, grade="E0")


@pytest.mark.parametrize(("since", "now", "has"), [(None, 100, False), (0, 9, False), (0, 10, True), (5, 15, True)])
def test_a_duration_has_passed_once_lo_reaches_hi_and_the_duration(since: int | None, now: int, has: bool) -> None:
    """[TIME-4]"""
    assert evidence.passed(since, 10, now) is has
