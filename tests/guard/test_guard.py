"""Tools under contracts: what a caller gets back, and what it may do next. [CALL-1], [CALL-3], [EFF-8], S9, S10"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from invoke_log.audit.receipt import verify_receipt
from invoke_log.errors import ArgumentInvalidError, ConfigInvalidError, NotFoundError, SnapshotInvalidError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Blocked, Committed, Denied, NeverSent, NotCommitted, OutcomeUnknown, Pending
from invoke_log.ledger.log import Log
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import COMMITTED, UNKNOWN, Data, Evidence, Freeze, Outcome, Revoke, Start, Withdraw
from invoke_log.rules.policy import parse_policy
from tests.harness.live import NONCE, ORIGIN, PARTIAL, TTL_MS, id_of
from tests.harness.shop import ARGUMENTS, UNHURRIED_MS, Shop, open_shop, raising

PROFILE: Value = {
    "type": "record",
    "nullable": False,
    "fields": {
        "balance": {"type": "integer", "min": 0, "max": 99_999, "nullable": False},
        "seen_s": {"type": "time", "unit": "s", "grain": 1, "nullable": False},
    },
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.fixture
def seeing(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose decisions rest on a snapshot; the time in it may drift."""
    with open_shop(tmp_path, profile=PROFILE, may_drift=["seen_s"]) as opened:
        opened.snapshot = {"balance": 10, "seen_s": 1_790_000_000}
        yield opened


# --- what a caller gets


def test_a_second_call_gets_the_recorded_result_and_a_receipt_and_sends_nothing(shop: Shop) -> None:
    first, second = shop.call(), shop.call()
    assert isinstance(first, Committed)
    assert isinstance(second, Committed)
    assert (first.fresh, second.fresh) == (True, False)
    assert (second.value, second.effect_key, len(shop.landed)) == (first.value, first.effect_key, 1)
    report = verify_receipt(second.receipt(), trust=shop.live.log.verifier_key)
    assert (report.effect.status, report.effect.grade) == (COMMITTED, "E0")


def test_another_process_with_another_key_gets_the_recorded_result_too(shop: Shop) -> None:
    first, second = shop.call(), shop.call(shop.other(9))
    assert isinstance(first, Committed)
    assert isinstance(second, Committed)
    assert (second.value, second.fresh, len(shop.landed)) == (first.value, False, 1)


def test_a_committed_effect_whose_result_is_not_kept_is_blocked_with_its_receipt(shop: Shop) -> None:
    shop.send = lambda call: object()
    shop.call()
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next, len(shop.landed)) == ("blocked", "receipt", 1)
    assert ending.receipt is not None
    assert verify_receipt(ending.receipt()).effect.status == COMMITTED


def test_the_result_is_that_of_the_generation_that_stands(shop: Shop) -> None:
    shop.send = lambda call: "first"
    shop.call()
    live = shop.live
    intent = live.intent(live.bound(amount=6000), by=live.admin, again=True)
    start = live.start(intent)
    assert live.answer([intent, start, live.outcome(start=start)]) == "accepted"
    of_the_second = shop.call(amount=6000)
    assert isinstance(of_the_second, Blocked)  # its outcome kept no result, and the first's is not its own
    assert of_the_second.next == "receipt"
    assert shop.call(amount=5000).__class__ is Blocked


def test_what_an_outcome_brought_that_committed_nothing_is_no_result(shop: Shop) -> None:
    """Its process said unknown, and kept what it had read of an answer; another saw the charge."""
    live = shop.live
    live.append(live.begun())
    send = live.state().send
    assert send is not None
    unclear = Evidence(kind="unclear_answer")
    live.put(
        live.draw(Outcome(start=send.id, nonce=NONCE, status=UNKNOWN, evidence=unclear, result=b'"half"'), live.agent)
    )
    live.put(live.present())
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.next, ending.receipt is not None) == ("receipt", True)


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [(None, "committed", "receipt"), (TimeoutError(), "unknown", "reconcile"), (NeverSent(), "not_committed", "")],
    ids=["committed", "unknown", "not_committed"],
)
def test_another_amount_for_the_same_order_is_a_conflict_that_says_what_to_do(
    shop: Shop, error: Exception | None, status: str, after: str
) -> None:
    if error is not None:
        shop.send = raising(error)
    shop.call()
    ending = shop.call(amount=6000)
    if after:
        assert isinstance(ending, Blocked)
        assert (ending.status, ending.next) == ("conflict", after)
        assert (ending.receipt is not None) == (status == COMMITTED)
        assert [(each.reason, each.count) for each in shop.refusals()] == [("conflict", 1)]
        assert len(shop.landed) == 1
    else:
        assert isinstance(ending, NotCommitted)  # nothing happened: the next decision may be another
        assert len(shop.landed) == 2


def test_a_retry_of_an_unknown_call_is_blocked_however_often_and_counted(shop: Shop) -> None:
    shop.send = raising(TimeoutError())
    unknown = shop.call()
    assert isinstance(unknown, OutcomeUnknown)
    assert unknown.not_before is not None
    for _ in range(3):
        ending = shop.call()
        assert isinstance(ending, Blocked)
        assert (ending.status, ending.next, ending.by) == ("blocked", "reconcile", unknown.by)
    assert [(each.reason, each.count) for each in shop.refusals()] == [("blocked", 3)]
    assert len(shop.landed) == 1


def test_orders_of_one_customer_do_not_block_each_other(shop: Shop) -> None:
    shop.send = raising(TimeoutError())
    shop.call()
    shop.send = lambda call: None
    assert isinstance(shop.call(order="790"), Committed)


def test_a_decorated_tool_returns_or_raises(shop: Shop) -> None:
    @shop.guard.tool(shop.live.contract, read_back=shop.find)
    def charge(customer: str, order: str, amount: int = 7) -> Any:
        """Charge somebody."""
        return shop.send(amount)  # type: ignore[arg-type]

    shop.send = lambda amount: {"charged": amount}
    assert charge("cus_1", order="1", amount=5) == {"charged": 5}
    assert charge.__doc__ == "Charge somebody."
    with pytest.raises(ArgumentInvalidError, match="amount is missing"):
        charge("cus_1", order="2")
    with pytest.raises(ArgumentInvalidError, match="unknown to contract"):
        shop.guard.call("charge", {**ARGUMENTS, "colour": "red"})
    shop.send = raising(TimeoutError())
    with pytest.raises(OutcomeUnknown) as caught:
        charge("cus_1", "3", 5)
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_tool_is_known_by_its_contracts_name_and_runs_as_it_was_written(shop: Shop) -> None:
    with pytest.raises(NotFoundError, match="charge"):
        shop.guard.call("refund", ARGUMENTS)
    with pytest.raises(ConfigInvalidError, match="no coroutine"):
        asyncio.run(shop.guard.acall("charge", ARGUMENTS))


def test_a_long_argument_is_kept_beside_the_log_that_names_it(shop: Shop) -> None:
    """[EVT-4], [INT-6]"""
    scan: Value = {"role": "content", "raw": True, "schema": {"type": "bytes", "min": 0, "max": 20_000}}
    shop.live.register(version=3, arguments={**cast("dict[str, Value]", PARTIAL["arguments"]), "scan": scan})
    shop.guard.tool(shop.live.contract, read_back=shop.find)(lambda customer, order, amount, scan: len(scan))
    ending = shop.call(scan=bytes(16_385))
    assert isinstance(ending, Committed)
    assert ending.value == 16_385
    assert shop.live.audit().findings == ()


def test_a_guard_wants_a_key(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalidError, match="no agent key"):
        Guard(shop.live.log)
    with Log.create(tmp_path / "log", origin=ORIGIN) as log:
        assert Guard(log).key.public_key in {grant.key for grant in log.governance.grants}


# --- what the policy and the guards of the log say


def test_what_the_policy_denies_is_no_intent_and_is_on_record(shop: Shop) -> None:
    deny = parse_policy({"name": "deny", "engine": "rules/1", "source": {"rules": []}})
    shop.live.append(shop.live.log.draft(deny, shop.live.admin))
    ending = shop.call()
    assert isinstance(ending, Denied)
    assert shop.landed == []
    assert [each.reason for each in shop.refusals()] == ["denied"]
    with pytest.raises(NotFoundError):
        shop.chain()


@pytest.mark.parametrize("what", ["frozen", "contract-withdrawn", "grant-missing"])
def test_what_a_guard_of_the_log_refuses_is_denied_by_name(shop: Shop, what: str) -> None:
    live = shop.live
    data: dict[str, Data] = {
        "frozen": Freeze(scope=EVERYTHING, reason="stop"),
        "contract-withdrawn": Withdraw(contract_id=live.contract.id, reason="stop"),
        "grant-missing": Revoke(key=live.agent.public_key, grant=None, suspect_from=None),
    }
    live.append(live.log.draft(data[what], live.admin))
    ending = shop.call()
    assert isinstance(ending, Denied)
    assert what in ending.message
    assert shop.landed == []


def test_a_tool_whose_contract_has_a_later_version_is_told_at_once(shop: Shop) -> None:
    shop.live.register(version=3)
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == ("stale", "decide_again")
    assert "later version" in ending.message
    assert shop.landed == []


# --- approvals


def test_a_call_that_needs_approval_waits_for_it_and_then_goes_on(shop: Shop) -> None:
    shop.live.ask()
    pending = shop.call()
    assert isinstance(pending, Pending)
    assert (pending.by, pending.next) == (digest.format_id("evt", id_of(shop.intent())), "wait")
    assert isinstance(shop.call(), Pending)
    assert shop.landed == []
    assert shop.live.answer(shop.live.approval(shop.intent())) == "accepted"
    assert isinstance(shop.call(), Committed)
    assert shop.kinds() == ["intent", "approval", "start", "outcome"]
    assert isinstance(shop.call(), Committed)
    assert len(shop.landed) == 1
    assert shop.live.audit().findings == ()


def test_another_holder_of_the_request_goes_on_with_an_approved_claim(shop: Shop) -> None:
    other = shop.other(9)
    shop.live.ask()
    shop.call()
    shop.live.append(shop.live.approval(shop.intent()))
    assert isinstance(shop.call(other), Committed)
    assert shop.chain()[2].by == other.key.public_key
    assert shop.live.audit().findings == ()


def test_a_call_with_another_request_is_a_conflict_with_a_claim_that_waits(shop: Shop) -> None:
    shop.live.ask()
    shop.call()
    ending = shop.call(amount=6000)
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == ("conflict", "wait")


def test_nobody_approves_their_own_call(shop: Shop) -> None:
    live = shop.live
    both = shop.other(9, "agent", "executor", "approver")
    live.ask()
    shop.call()
    assert live.answer(live.approval(shop.intent(), by=live.agent)) == "refused grant-missing"
    assert live.answer(live.approval(shop.intent(), by=both.key)) == "accepted"  # type: ignore[arg-type]
    assert isinstance(shop.call(both), Pending)  # the executor is the approver
    assert isinstance(shop.call(), Committed)


def test_a_denied_call_returns_where_it_came_from(shop: Shop) -> None:
    shop.live.ask()
    shop.call()
    shop.live.append(shop.live.denial(shop.intent()))
    assert shop.status == "free"
    pending = shop.call()
    assert isinstance(pending, Pending)
    assert pending.message.endswith("; an earlier intent of this very call was denied: 'no'")
    assert shop.kinds() == ["intent", "denial", "intent"]


def test_a_denial_of_another_request_is_not_said_of_this_one(shop: Shop) -> None:
    shop.live.ask()
    assert isinstance(shop.call(), Pending)
    shop.live.append(shop.live.denial(shop.intent()))
    other = shop.call(amount=6000)
    assert isinstance(other, Pending)
    assert "denied" not in other.message


def test_as_many_approvals_as_the_strictest_wants_and_by_distinct_keys(tmp_path: Path) -> None:
    with open_shop(tmp_path, approvals={"count": 2, "ttl_ms": TTL_MS}) as shop:
        live = shop.live
        second, third = live.grant(11, "approver"), live.grant(12, "approver")
        live.ask()
        shop.call()
        for _ in range(2):
            live.clock.ms += 1
            assert live.answer(live.approval(shop.intent())) == "accepted"
        assert isinstance(shop.call(), Pending)
        live.append(live.approval(shop.intent(), by=second))
        live.append(live.approval(shop.intent(), by=third))
        assert isinstance(shop.call(), Committed)
        [start] = [event.data for event in shop.chain() if isinstance(event.data, Start)]
        assert len(start.approvals) == 2
        assert live.audit().findings == ()


def test_an_approval_that_is_too_old_or_whose_grant_ended_does_not_count_and_hinders_no_other(shop: Shop) -> None:
    live = shop.live
    revoked, fresh = live.grant(11, "approver"), live.grant(12, "approver")
    live.ask()
    shop.call()
    live.append(live.approval(shop.intent()))
    live.wait(TTL_MS)
    live.append(live.approval(shop.intent(), by=revoked))
    live.append(live.log.draft(Revoke(key=revoked.public_key, grant=None, suspect_from=None), live.admin))
    live.wait(1)
    assert isinstance(shop.call(), Pending)
    live.append(live.approval(shop.intent(), by=fresh))
    assert isinstance(shop.call(), Committed)


def test_a_policy_that_asks_only_later_is_asked_at_the_start(seeing: Shop) -> None:
    live = seeing.live
    live.ask()
    seeing.call()
    live.ask(approvals=2)
    live.append(live.approval(seeing.intent()))
    assert isinstance(seeing.call(), Pending)
    live.append(live.approval(seeing.intent(), by=live.grant(11, "approver")))
    assert isinstance(seeing.call(), Committed)


def test_a_claim_that_asked_for_nothing_still_waits_where_the_policy_now_asks(shop: Shop) -> None:
    live = shop.live
    live.append(live.intent())
    live.ask()
    assert isinstance(shop.call(), Pending)
    live.append(live.approval(shop.intent()))
    assert isinstance(shop.call(), Committed)
    assert live.audit().findings == ()


def test_a_policy_that_denies_by_then_denies_the_start(shop: Shop) -> None:
    live = shop.live
    live.append(live.intent())
    deny = parse_policy({"name": "deny", "engine": "rules/1", "source": {"rules": []}})
    live.append(live.log.draft(deny, live.admin))
    assert isinstance(shop.call(), Denied)
    assert (shop.status, shop.landed) == ("claimed", [])


def test_a_claim_under_another_version_of_the_contract_is_not_gone_on_with(shop: Shop) -> None:
    shop.live.ask()
    shop.call()
    shop.live.register(version=3, send_deadline_ms=UNHURRIED_MS)
    shop.open()
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert ending.next == "wait"


# --- what was seen


def test_a_decision_rests_on_what_was_seen_and_the_snapshot_travels_with_it(seeing: Shop) -> None:
    assert isinstance(seeing.call(), Committed)
    report = seeing.live.audit()
    assert report.findings == ()
    [attachment] = (seeing.live.log.path / "attachments").iterdir()
    assert attachment.read_bytes() in seeing.live.bundle()


def test_a_world_that_drifted_beyond_what_may_releases_the_claim(seeing: Shop) -> None:
    seeing.live.ask()
    seeing.call()
    seeing.live.append(seeing.live.approval(seeing.intent()))
    seeing.snapshot["balance"] = 9
    ending = seeing.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == ("stale", "decide_again")
    assert "$.balance: 10 against 9" in ending.message
    assert (seeing.status, seeing.landed) == ("free", [])
    assert isinstance(seeing.call(), Pending)
    assert seeing.live.audit().findings == ()


def test_a_world_that_drifted_where_it_may_goes_on(seeing: Shop) -> None:
    seeing.live.ask()
    seeing.call()
    seeing.live.append(seeing.live.approval(seeing.intent()))
    seeing.snapshot["seen_s"] += 60
    assert isinstance(seeing.call(), Committed)
    assert seeing.live.audit().findings == ()


def test_a_call_that_looks_again_after_its_effect_committed_is_told_so(seeing: Shop) -> None:
    first = seeing.call()
    seeing.snapshot["balance"] = 9
    second = seeing.call()
    assert isinstance(first, Committed)
    assert isinstance(second, Committed)
    assert (second.fresh, second.value, len(seeing.landed)) == (False, first.value, 1)


def test_a_world_that_moves_while_it_is_read_ends_in_stale(seeing: Shop) -> None:
    live = seeing.live

    def moving() -> dict[str, int]:
        seeing.snapshot["balance"] += 1
        live.append(live.intent(live.bound(order=str(seeing.snapshot["balance"]))))
        return dict(seeing.snapshot)

    contract, live.contract = live.contract, live.register(name="other", profile=None, may_drift=[])
    seeing.guard.tool(contract, snapshot=moving, read_back=seeing.find)(lambda customer, order, amount: None)
    ending = seeing.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == ("stale", "decide_again")


def test_a_busy_resource_is_decided_on_again_while_it_looks_the_same(seeing: Shop) -> None:
    live, left = seeing.live, [1, 2, 3]

    def busy() -> dict[str, int]:
        if left:
            live.append(live.intent(live.bound(order=f"other-{left.pop()}")))
        return dict(seeing.snapshot)

    contract, live.contract = live.contract, live.register(name="other", profile=None, may_drift=[])
    landed: list[str] = []
    seeing.guard.tool(contract, snapshot=busy, read_back=seeing.find)(
        lambda customer, order, amount: landed.append(order)
    )
    assert isinstance(seeing.call(), Committed)
    assert (landed, left) == (["789"], [])
    assert [each.reason for each in seeing.refusals()] == []


def test_a_snapshot_that_is_none_appends_nothing(seeing: Shop) -> None:
    seeing.snapshot["balance"] = 1.5
    with pytest.raises(SnapshotInvalidError, match="balance"):
        seeing.call()
    assert seeing.status == "free"
    assert seeing.landed == []


def test_a_refused_calls_snapshot_beside_the_log_is_no_finding(seeing: Shop) -> None:
    seeing.send = raising(TimeoutError())
    seeing.call()
    seeing.snapshot["balance"] = 1
    assert isinstance(seeing.call(), Blocked)
    assert len(list((seeing.live.log.path / "attachments").iterdir())) == 2
    assert seeing.live.audit().findings == ()
    assert seeing.status == UNKNOWN
