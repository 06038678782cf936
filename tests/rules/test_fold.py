"""Events in leaf order to the state of the whole log: time, duplicates, void leaves, the state root. SPEC §9.3, §12."""

from typing import cast

import pytest

from invoke_log.format import cbor, digest, envelope, limits
from invoke_log.format.cbor import Value
from invoke_log.rules.event import parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.kind import COMMITTED, FREE, STARTED, Approval
from tests.harness.story import BOUND, KEYS, T0, TTL, Leaf, Story, done, lost, started, undone


@pytest.fixture
def story() -> Story:
    return Story()


# Time: lo before a leaf, hi after it.


def test_lo_is_the_last_tick_before_a_leaf_and_hi_the_first_one_after_it(story: Story) -> None:
    """[TIME-3]"""
    first = story.tick(100)
    between = story.intent()
    second = story.tick(200)
    fold = story.fold
    assert (fold.lo(first.index), fold.hi(first.index)) == (T0, T0 + 300)
    assert (fold.lo(between.index), fold.hi(between.index)) == (T0 + 100, T0 + 300)
    assert (fold.lo(second.index), fold.hi(second.index)) == (T0 + 100, None)
    assert (fold.lo(0), fold.hi(0), fold.lo(1)) == (0, T0, 0)
    assert fold.now_ms() == T0 + 300


def test_a_tick_bounds_what_its_signer_had_seen_and_nothing_else(story: Story) -> None:
    """[TIME-3]: the second tick after a leaf covers it at the latest."""
    seen, unseen = story.intent(), story.intent(order="790")
    held_up = story.tick(100, covers=unseen.index)
    fold = story.fold
    assert (fold.hi(seen.index), fold.hi(unseen.index)) == (T0 + 100, None)
    assert fold.now_ms() == T0 + 100
    story.tick(100, covers=held_up.index + 1)
    assert (fold.hi(unseen.index), fold.hi(held_up.index)) == (T0 + 200, T0 + 200)


def test_a_tick_that_goes_back_stands_at_the_time_of_the_one_before(story: Story) -> None:
    """[TIME-2]: its leaf is not void, and the clock does not turn."""
    story.tick(1000)
    between = story.intent()
    back = story.tick(-500)
    assert back.code == "accepted"
    assert (story.fold.now_ms(), story.fold.hi(between.index)) == (T0 + 1000, T0 + 1000)


def test_a_void_tick_is_no_time(story: Story) -> None:
    """[RPL-4], [TIME-1]"""
    intent = story.intent()
    assert story.tick(TTL, by="admin").code == "grant-missing"
    assert story.fold.now_ms() == T0
    assert story.fold.hi(intent.index) is None
    assert story.release(intent, by="other").code == "claim-held"


def test_a_log_without_a_tick_stands_at_0() -> None:
    """[TIME-3]"""
    assert (Fold().now_ms(), Fold().lo(5), Fold().hi(0)) == (0, 0, None)


# Duplicates and void leaves.


def repeated(story: Story, leaf: Leaf) -> str:
    result = story.fold.apply(leaf.event, index=len(story.leaves), root=None)
    assert isinstance(result, Void)
    return result.code


def test_an_event_on_no_chain_that_is_appended_again_is_a_duplicate(story: Story) -> None:
    """[ADM-6]: by its id, at whatever leaf."""
    start = lost(story)
    tick = story.tick(100)
    for leaf in (
        tick,
        story.note(start),
        story.handle(start),
        story.refusal(start),
        story.observe(start, tick, by="reconciler"),
    ):
        assert leaf.code == "accepted"
        assert repeated(story, leaf) == "duplicate"
    story.tick(100)
    assert repeated(story, tick) == "duplicate"
    assert story.fold.now_ms() == T0 + 200


def test_an_event_on_a_chain_that_is_appended_again_finds_its_head_moved(story: Story) -> None:
    """S7, [EFF-1]"""
    intent = story.intent()
    start = story.start(intent)
    grant = story.grant("newcomer", "agent")
    root = story.root()
    assert [repeated(story, leaf) for leaf in (intent, start, grant)] == ["collision", "chain-broken", "chain-broken"]
    assert story.root() == root


def test_what_rests_on_a_void_event_is_void(story: Story) -> None:
    """[RPL-4]: prev, a claim, an approval, a START, a tick."""
    void = story.intent(by="stranger")
    assert story.start(void, body={"prev": void.id}).code == "chain-broken"
    intent = story.intent(answer="ask")
    consent = story.approve(intent, by="stranger")
    assert story.start(intent, approvals=[consent]).code == "approval-invalid"
    given = Approval(intent=intent.id, shown=bytes(32))
    behind = story.put(given, by="approver", of=intent, body={"prev": bytes(32)})
    assert behind.code == "chain-broken"
    assert story.start(intent, approvals=[behind]).code == "approval-invalid"
    sent = story.start(intent, by="stranger", approvals=[story.approve(intent)])
    assert sent.code == "grant-missing"
    assert story.outcome(sent).code == "transition-invalid"


def test_about_and_blocker_may_name_anything(story: Story) -> None:
    """[RPL-4]"""
    void = story.intent(by="stranger")
    assert story.note(void).code == "accepted"


def test_leaf_0_that_is_no_genesis_begins_no_log(story: Story) -> None:
    """[GOV-1], [RPL-3]"""
    result = Fold().apply(story.leaves[1].event, index=0, root=None)
    assert isinstance(result, Void)
    assert result.code == "genesis-invalid"


def test_a_second_genesis_is_void(story: Story) -> None:
    """[GOV-12]"""
    assert repeated(story, story.leaves[0]) == "log-mismatch"
    again = story.put(story.leaves[0].event.data, by="admin")
    assert again.code == "transition-invalid"


def test_what_may_be_asked_of_an_effect_is_scoped_to_its_resource_and_chain(story: Story) -> None:
    """Observations are found under their own resource, approvals on their own chain, STARTs by their own key."""
    start = lost(story)
    seen = story.observe(start, None, by="reconciler")
    other = story.intent(order="other", customer="cus_2", answer="ask")
    consent = story.approve(other)
    fold, effect, resource = story.fold, start.event.effect or b"", start.event.resource or ""
    assert fold.unchained(seen.id, resource) == (seen.index, seen.event)
    assert fold.unchained(seen.id, other.event.resource or "") is None
    assert fold.unchained(start.id, resource) is None
    assert fold.chained(other.event.effect or b"", other.event.resource or "", consent.id) == (
        consent.index,
        consent.event,
    )
    assert fold.chained(effect, resource, consent.id) is None
    executor, agent = KEYS["executor"].public_key, KEYS["agent"].public_key
    assert fold.started_by(effect, resource, executor)
    assert not fold.started_by(effect, resource, agent)
    assert not fold.started_by(other.event.effect or b"", resource, executor)


# The state root.


def test_the_state_root_is_over_governance_effects_and_moved_resources_in_order(story: Story) -> None:
    """[RPL-7], S13: rows by key bytes and by UTF-8 bytes; what is free again has a row, what never moved has none."""
    leaves = [done(story, customer="b"), story.release(story.intent(customer="a")), started(story, customer="ab")]
    effects = sorted(
        [story.state(leaf).effect, status, 1, 1, leaf.id]
        for leaf, status in zip(leaves, (COMMITTED, FREE, STARTED), strict=True)
    )
    prefix = "stripe:acct_1/test/customer/"
    resources = [[f"{prefix}{name}", story.fold.state_hash(f"{prefix}{name}")] for name in ("a", "ab", "b")]
    head = story.fold.governance.head
    assert head == next(leaf for leaf in reversed(story.leaves) if leaf.event.kind == "policy").id
    wanted = digest.state_root(7, head, (3, cast("list[Value]", effects)), (3, cast("list[Value]", resources)))
    assert story.fold.state_root(7) == wanted
    assert story.fold.state_root(8) != wanted


def test_approvals_notes_and_time_are_not_in_the_state_root(story: Story) -> None:
    """[RPL-7]"""
    start = lost(story)
    root = story.root()
    story.note(start)
    story.tick(BOUND)
    story.observe(start, None, by="reconciler")
    assert story.root() == root


def test_a_fold_takes_a_state_hash_on_trust_only_where_it_is_told_to(story: Story) -> None:
    """A receipt shows one effect, and not the other decisions on its resource."""
    intent = story.intent()
    bare = Story()
    assert intent.event.state is not None
    bare.fold.assume(intent.event.resource or "", bytes(32))
    assert bare.intent(body={"state": intent.event.state}).code == "state-stale"
    assert bare.intent(body={"state": bytes(32)}).code == "accepted"


def test_a_fold_keeps_the_approvals_of_open_claims_only(story: Story) -> None:
    intent = story.intent(answer="ask")
    consent = story.approve(intent)
    names = (intent.event.effect or b"", intent.event.resource or "", consent.id)
    assert story.fold.chained(*names) is not None
    story.release(intent)
    assert story.fold.chained(*names) is None


def test_the_same_bytes_give_the_same_state_whoever_folds_them(story: Story) -> None:
    """S13: with void leaves and a recovery in between."""
    undone(story)
    story.intent(by="stranger")
    lost(story, order="other")
    recovery = story.recover()
    assert recovery.code == "accepted"
    story.intent(order="third")
    fresh = Fold()
    for leaf in story.leaves:
        fields = envelope.decode_body(leaf.sealed.body)
        fresh.apply(parse_event(fields, digest.event_id(leaf.sealed.body)), index=leaf.index, root=None)
    assert fresh.state_root(0) == story.root()
    assert fresh.effects == story.fold.effects


def test_the_state_root_is_over_more_effects_than_an_item_can_hold() -> None:
    """[RPL-7]"""
    count = limits.ITEM_BYTES_MAX // 79 + 1
    rows: list[Value] = [[index.to_bytes(32, "big"), "claimed", 1, 1, bytes(32)] for index in range(count)]
    encoded = cbor.array_head(count) + b"".join(map(cbor.encode, rows))
    assert len(encoded) > limits.ITEM_BYTES_MAX
    hashed = [digest.derive("effects", encoded), digest.derive("resources", cbor.encode([]))]
    assert digest.state_root(1, bytes(32), (count, rows), (0, [])) == digest.derive_item(
        "root", [1, bytes(32), *hashed]
    )
