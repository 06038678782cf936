"""A claim that stands: who goes on with it, who gives it back, and what is said of it. [CALL-3], [EFF-6], L5"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Blocked, Committed, Denied, Pending
from invoke_log.ledger import consent
from invoke_log.rules.answer import Answer
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, STARTED, UNKNOWN
from invoke_log.rules.policy import parse_policy
from tests.harness.live import TTL_MS
from tests.harness.player import recover
from tests.harness.shop import UNHURRIED_MS, Shop, open_shop, raising

BALANCE: Final[Value] = {
    "type": "record",
    "nullable": False,
    "fields": {"balance": {"type": "integer", "nullable": False, "min": 0, "max": 10**9}},
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.fixture
def seeing(tmp_path: Path) -> Iterator[Shop]:
    """Its call saw a balance of 5, waits for approval, and has it."""
    with open_shop(tmp_path, profile=BALANCE) as opened:
        opened.live.ask()
        opened.snapshot = {"balance": 5}
        assert isinstance(opened.call(), Pending)
        approve(opened)
        yield opened


def approve(shop: Shop) -> None:
    [waits] = shop.live.log.approvals()
    consent.approve(shop.live.log, waits, shop.live.admin)


def before_append(shop: Shop, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Any]) -> None:
    """Have something happen before the next append, once."""
    append = shop.live.log.append_many

    def late(envelopes: list[Envelope]) -> list[Answer]:
        monkeypatch.setattr(shop.live.log, "append_many", append)
        meanwhile()
        return append(envelopes)

    monkeypatch.setattr(shop.live.log, "append_many", late)


def abandon(shop: Shop) -> Envelope:
    """A claim whose TTL has passed; nobody has started it."""
    intent = shop.live.intent()
    shop.live.put(intent)
    shop.live.wait(1)
    shop.live.wait(TTL_MS)
    return intent


# --- gone on with


def test_one_more_approval_between_look_and_start_stops_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.live.ask()
    assert isinstance(shop.call(), Pending)
    approve(shop)
    [waits] = shop.live.log.approvals()
    second = shop.live.grant(7, "approver")
    before_append(shop, monkeypatch, lambda: consent.approve(shop.live.log, waits, second))
    assert isinstance(shop.call(), Committed)
    assert (shop.kinds(), len(shop.landed)) == (["intent", "approval", "approval", "start", "outcome"], 1)


def test_whoever_loses_its_start_to_another_is_told_how_the_effect_stands(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = shop.live.intent()
    shop.live.put(intent)
    before_append(shop, monkeypatch, lambda: shop.live.put(shop.live.start(intent)))
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.next, ending.by) == ("poll", digest.format_id("evt", digest.event_id(intent.body)))
    assert (shop.landed, shop.status) == ([], STARTED)


def test_a_claim_that_a_budget_comes_to_ask_about_is_listed_for_approval(shop: Shop) -> None:
    """[EFF-8]: its intent was allowed; what others spent since makes the same policy ask at its START."""

    def rule(name: str, then: str, when: list[Value]) -> Value:
        return {"name": name, "then": then, "approvals": int(then == "ask"), "when": when}

    budget: Value = {"effect_class": "*", "prefix": "", "each": "log", "sum": "amount", "window_ms": None}
    small: Value = {"field": ["budgets", "spent", "value"], "test": "at_most", "value": 6_000}
    source: Value = {"budgets": {"spent": budget}, "rules": [rule("small", "allow", [small]), rule("more", "ask", [])]}
    policy = parse_policy({"name": "spent", "engine": "rules/1", "source": source})
    shop.live.put(shop.live.log.draft(policy, shop.live.admin))
    shop.live.put(shop.live.intent())
    assert shop.live.log.approvals() == []
    shop.live.put(shop.live.intent(shop.live.bound(order="790", amount=2_000)))
    ending = shop.call()
    assert isinstance(ending, Pending)
    waiting = {digest.format_id("evt", each.intent): each for each in shop.live.log.approvals()}
    assert len(waiting) == 2
    consent.approve(shop.live.log, waiting[str(ending.by)], shop.live.admin)
    assert isinstance(shop.call(), Committed)
    assert shop.live.audit().findings == ()


# --- given back


def test_an_abandoned_claim_is_released_by_the_next_call_and_decided_anew(shop: Shop) -> None:
    abandon(shop)
    stranger = shop.other(9)
    assert isinstance(shop.call(stranger, amount=1), Committed)
    assert shop.kinds() == ["intent", "release", "intent", "start", "outcome"]
    assert len(shop.landed) == 1
    assert shop.live.audit().findings == ()


def test_a_claim_under_an_older_version_of_the_contract_is_free_after_its_ttl(shop: Shop) -> None:
    shop.live.ask()
    assert isinstance(shop.call(), Pending)
    shop.live.register(version=3, send_deadline_ms=UNHURRIED_MS)
    shop.open()
    shop.live.wait(1)
    shop.live.wait(TTL_MS - 1)
    early = shop.call()
    assert isinstance(early, Blocked)
    assert (early.next, shop.kinds()) == ("wait", ["intent"])
    shop.live.wait(1)
    assert isinstance(shop.call(), Pending)
    assert shop.kinds() == ["intent", "release", "intent"]
    [waits] = shop.live.log.approvals()
    assert waits.intent == shop.chain()[-1].id


@pytest.mark.parametrize("amount", [5_000, 1])
def test_before_its_ttl_nobody_releases_a_claim_not_even_its_issuer(shop: Shop, amount: int) -> None:
    """It may be about to be started by somebody else, or be approved."""
    shop.live.ask()
    assert isinstance(shop.call(amount=2), Pending)
    shop.live.wait(1)
    shop.live.wait(TTL_MS - 1)
    ending = shop.call(amount=amount)
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next, shop.kinds()) == ("conflict", "wait", ["intent"])


def test_a_claim_whose_request_is_made_again_is_gone_on_with_however_old(shop: Shop) -> None:
    abandon(shop)
    assert isinstance(shop.call(), Committed)
    assert shop.kinds() == ["intent", "start", "outcome"]


def test_what_the_policy_denies_releases_nothing(shop: Shop) -> None:
    abandon(shop)
    nothing: Value = {"rules": []}
    policy = parse_policy({"name": "none", "engine": "rules/1", "source": nothing})
    shop.live.put(shop.live.log.draft(policy, shop.live.admin))
    assert isinstance(shop.call(amount=1), Denied)
    assert (shop.kinds(), shop.status) == (["intent"], CLAIMED)


def test_a_start_that_comes_before_the_release_wins(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    intent = abandon(shop)
    before_append(shop, monkeypatch, lambda: shop.live.put(shop.live.start(intent)))
    ending = shop.call(amount=1)
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == ("conflict", "poll")
    assert (shop.kinds(), shop.landed) == (["intent", "start"], [])


def test_a_start_that_comes_after_the_release_is_never_sent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1: the claim's own caller is about to START it when another releases it and sends."""
    abandon(shop)
    stranger = shop.other(9)
    before_append(shop, monkeypatch, lambda: shop.call(stranger, amount=1))
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert ending.next == "receipt"
    assert (len(shop.landed), shop.status) == (1, COMMITTED)
    assert shop.kinds() == ["intent", "release", "intent", "start", "outcome"]


def test_of_two_releases_one_is_taken_and_one_of_the_two_sends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    abandon(shop)
    stranger = shop.other(9)
    before_append(shop, monkeypatch, lambda: shop.call(stranger, amount=1))
    ending = shop.call(amount=2)
    assert isinstance(ending, Blocked)
    assert (ending.status, len(shop.landed)) == ("conflict", 1)
    assert shop.kinds() == ["intent", "release", "intent", "start", "outcome"]


def test_whoever_holds_no_grant_releases_nothing(shop: Shop) -> None:
    abandon(shop)
    outsider = Guard(shop.live.log, key=shop.live.grant(9))
    shop.open(outsider)
    ending = shop.call(outsider, amount=1)
    assert isinstance(ending, Denied)
    assert ending.message.startswith("charge: grant-missing")
    assert shop.kinds() == ["intent"]


# --- another world


def test_a_snapshot_that_is_gone_is_no_drift_where_the_world_is_the_same(seeing: Shop) -> None:
    for kept in (seeing.live.log.path / "attachments").iterdir():
        kept.unlink()
    assert isinstance(seeing.call(), Committed)


def test_where_the_snapshot_is_gone_and_the_world_is_another_the_claim_stands(seeing: Shop) -> None:
    """[SNP-3]: whether what differs may drift cannot be said: neither drift nor the same world."""
    for kept in (seeing.live.log.path / "attachments").iterdir():
        kept.unlink()
    seeing.snapshot = {"balance": 6}
    ending = seeing.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next, seeing.status) == ("blocked", "wait", CLAIMED)
    assert "not kept here" in ending.message
    seeing.live.wait(1)
    seeing.live.wait(TTL_MS)
    assert isinstance(seeing.call(), Pending)
    assert seeing.kinds() == ["intent", "approval", "release", "intent"]


def test_who_may_not_release_what_drifted_waits_until_it_may(seeing: Shop) -> None:
    other = seeing.other(9)
    seeing.snapshot = {"balance": 6}
    ending = seeing.call(other)
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next, seeing.status) == ("blocked", "wait", CLAIMED)
    assert "5 against 6" in ending.message
    seeing.live.wait(1)
    seeing.live.wait(TTL_MS)
    ending = seeing.call(other)
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next, seeing.status) == ("stale", "decide_again", FREE)


# --- the same call under a class that is retired


def retire(shop: Shop) -> None:
    shop.live.register(
        version=3,
        effect_class="money.charge/2",
        send_deadline_ms=UNHURRIED_MS,
        retires={
            "effect_class": "money.charge/1",
            "resource": "stripe/customer/{customer}",
            "purpose": "order",
            "identity": ["customer"],
        },
    )
    shop.open()


FORGETTING: Final[dict[str, Value]] = {"observability": "fire-and-forget", "provider_key": None, "read_back": None}


@pytest.mark.parametrize(
    ("contract", "error", "status", "after"),
    [
        ({}, TimeoutError(), UNKNOWN, "reconcile"),
        (FORGETTING, TimeoutError(), UNKNOWN, "attest"),
        ({}, None, COMMITTED, "receipt"),
    ],
    ids=["unknown", "fire-and-forget", "committed"],
)
def test_an_open_predecessor_blocks_and_says_what_to_do_about_it(
    tmp_path: Path, contract: dict[str, Value], error: Exception | None, status: str, after: str
) -> None:
    """[EFF-14], [ADM-5]"""
    with open_shop(tmp_path, **contract) as shop:
        if error is not None:
            shop.send = raising(error)
        shop.call()
        old = shop.live.bound()
        assert shop.live.state(old).status == status
        retire(shop)
        ending = shop.call()
        assert isinstance(ending, Blocked)
        assert (ending.status, ending.next) == ("blocked", after)
        assert digest.format_id("eff", old.effect) in ending.message
        assert [refusal.reason for refusal in shop.refusals()] == ["predecessor-open"]
        assert len(shop.landed) == 1


def test_of_a_predecessor_in_a_lost_tail_a_person_has_to_say(shop: Shop) -> None:
    """[REC-7]"""
    recover(shop.live)
    retire(shop)
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.next, shop.landed) == ("attest", [])


def test_a_snapshot_that_is_damaged_is_as_one_that_is_gone(seeing: Shop) -> None:
    """Nothing that happens to a file keeps a claim for ever."""
    seeing.snapshot = {"balance": 6}
    for _ in range(2):
        for kept in (seeing.live.log.path / "attachments").iterdir():
            kept.write_bytes(b"torn")
        ending = seeing.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next, seeing.status) == ("blocked", "wait", CLAIMED)
    seeing.live.wait(1)
    seeing.live.wait(TTL_MS)
    assert isinstance(seeing.call(), Pending)
    assert seeing.kinds() == ["intent", "approval", "release", "intent"]
