"""The decision key, and what a decision tells the policy. SPEC §7.3."""

from invoke_log.format import digest
from invoke_log.rules.contract import Contract
from invoke_log.rules.decision import decision_key_of, facts_of
from invoke_log.rules.event import Event
from invoke_log.rules.kind import Intent
from tests.harness.story import CHARGE, KEYS, Leaf, Story, contract


def key(story: Story, leaf: Leaf, *, generation: int = 1, under: Contract | None = None) -> bytes:
    data, event = leaf.event.data, leaf.event
    assert isinstance(data, Intent)
    amount = data.content["amount"]
    assert type(amount) is int
    return decision_key_of(event, data, story.bound(amount=amount, under=under), generation=generation)


def test_two_issuers_who_saw_the_same_world_and_decide_the_same_collide() -> None:
    """[DEC-1]: no issuer, no clock, no verdict, no log position."""
    story, other = Story(), Story()
    other.tick(5000)
    mine, theirs = story.intent(by="agent"), other.intent(by="other", answer="ask")
    assert mine.event.id != theirs.event.id
    assert key(story, mine) == key(other, theirs)


def test_anything_else_makes_another_decision() -> None:
    """[DEC-1]: contract, effect, generation, request, snapshot and state are in it."""
    story = Story()
    first = story.intent()
    moved = story.intent(order="790")
    later = contract(version=2)
    story.register(later)
    keys = [
        key(story, first),
        key(story, first, generation=2),
        key(story, moved),
        key(story, story.intent(amount=6000)),
        key(story, story.intent(snapshot_id=bytes(32))),
        key(story, story.intent(under=later), under=later),
        key(story, Story().intent(body={"state": bytes(32)})),
    ]
    assert len(set(keys)) == len(keys)


def test_another_snapshot_alone_makes_another_decision() -> None:
    """[DEC-1]"""
    story = Story()
    one, other = (story.intent(snapshot_id=bytes([seen]) * 32) for seen in (1, 2))
    assert (one.code, one.event.state) == (other.code, other.event.state)
    assert key(story, one) != key(story, other)


def test_the_decision_key_is_over_these_six() -> None:
    """[DEC-1], [ID-9]"""
    story = Story()
    leaf = story.intent()
    bound, event = story.bound(), leaf.event
    assert event.state is not None
    assert key(story, leaf) == digest.decision_key(
        contract=story.contract.id,
        effect=bound.effect,
        generation=1,
        request=bound.request,
        snapshot=None,
        state=event.state,
    )


def test_the_policy_is_told_the_decision_and_the_purpose_by_both_its_names() -> None:
    """[DEC-2]"""
    story = Story()
    issuer = KEYS["agent"].public_key
    bound = story.bound()
    facts = facts_of(story.contract, bound, resource=bound.resource, issuer=issuer, generation=3)
    recorded = story.intent().event.data
    assert isinstance(recorded, Intent)
    assert facts_of(story.contract, recorded, resource=bound.resource, issuer=issuer, generation=3) == facts
    assert facts == {
        "effect_class": "money.charge/1",
        "resource": "stripe:acct_1/test/customer/cus_1",
        "purpose": "789",
        "contract": "charge-customer",
        "generation": 3,
        "issuer": issuer.hex(),
        "arguments": {"customer": "cus_1", "amount": 5000, "order": "789"},
    }


def test_without_a_purpose_there_is_none_among_the_arguments() -> None:
    """[DEC-2]: a volatile argument is not there either."""
    bare = contract(purpose=None, arguments=CHARGE["arguments"])
    facts = facts_of(bare, Story().bound(under=bare), resource="r", issuer=b"", generation=1)
    assert facts["purpose"] == ""
    assert facts["arguments"] == {"customer": "cus_1", "order": "789", "amount": 5000}


def test_an_event_carries_no_decision_key() -> None:
    """[ID-9]: it is derived, never recorded."""
    assert "decision" not in Event._fields
    assert "decision" not in Intent.__dataclass_fields__
