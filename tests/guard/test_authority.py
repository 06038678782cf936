"""Authority that is none: each approval that must not count, against a log that is asked by somebody who means it.

Whoever attacks holds the executor's key and draws the START up by hand, so what is tested is the log and not the guard.
[EFF-5], [EFF-8], [RND-2], S9, S10
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from invoke_log.errors import NotFoundError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Blocked, Committed, Pending
from invoke_log.ledger import consent
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import Approval, Revoke
from invoke_log.rules.policy import parse_policy
from tests.harness.live import TTL_MS, Live, id_of
from tests.harness.shop import ARGUMENTS, UNHURRIED_MS, Shop, open_shop

APPROVER = 21


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        opened.live.ask()
        yield opened


@pytest.fixture
def approver(shop: Shop) -> FileSigner:
    return shop.live.grant(APPROVER, "approver")


def claimed(live: Live, order: str = "789", amount: int = 5000) -> Envelope:
    intent = live.intent(live.bound(order=order, amount=amount))
    live.put(intent)
    return intent


def consented(live: Live, intent: Envelope, key: FileSigner) -> bytes:
    answer = consent.approve(live.log, id_of(intent), key)
    assert isinstance(answer, Accepted)
    return answer.id


def started(live: Live, intent: Envelope, *approvals: bytes, by: FileSigner | None = None) -> str:
    return live.answer(live.start(intent, approvals=approvals, by=by))


def test_an_approval_lets_one_start_through(shop: Shop, approver: FileSigner) -> None:
    """The path that all others leave."""
    intent = claimed(shop.live)
    assert started(shop.live, intent) == "refused approvals-missing"
    assert started(shop.live, intent, consented(shop.live, intent, approver)) == "accepted"
    assert shop.live.audit().findings == ()


def test_one_that_has_expired(shop: Shop, approver: FileSigner) -> None:
    intent = claimed(shop.live)
    approval = consented(shop.live, intent, approver)
    shop.live.wait(TTL_MS + 1)
    assert shop.live.log.approvals()[0].given == ()
    assert started(shop.live, intent, approval) == "refused approval-expired"
    assert started(shop.live, intent, consented(shop.live, intent, approver)) == "accepted"


def test_one_by_a_key_that_was_revoked_since(shop: Shop, approver: FileSigner) -> None:
    intent = claimed(shop.live)
    approval = consented(shop.live, intent, approver)
    shop.live.put(shop.live.log.draft(Revoke(key=approver.public_key, grant=None, suspect_from=None), shop.live.admin))
    assert shop.live.log.approvals()[0].given == ()
    assert started(shop.live, intent, approval) == "refused approval-invalid"


def test_one_by_a_key_that_never_was_an_approvers(shop: Shop) -> None:
    intent, stranger = claimed(shop.live), shop.live.grant(22, "agent", "executor", "reconciler")
    for key in (shop.live.agent, stranger, FileSigner(bytes([23]) * 32)):
        answer = consent.approve(shop.live.log, id_of(intent), key)
        assert isinstance(answer, Refused)
        assert answer.code in ("grant-missing", "self-approved")
    assert shop.kinds() == ["intent"]


def test_one_of_another_intent(shop: Shop, approver: FileSigner) -> None:
    live = shop.live
    mine, other = claimed(live), claimed(live, order="790")
    assert started(live, mine, consented(live, other, approver)) == "refused approval-invalid"


def test_one_that_was_used_before(shop: Shop, approver: FileSigner) -> None:
    """For another attempt of the same effect: an approval names one intent, and an intent has one START."""
    live = shop.live
    first = claimed(live)
    approval = consented(live, first, approver)
    live.put(live.start(first, approvals=(approval,)))
    live.put(live.outcome("not_committed"))
    assert started(live, first, approval) == "refused transition-invalid"
    second = claimed(live)
    assert started(live, second, approval) == "refused approval-invalid"
    with pytest.raises(NotFoundError):
        consent.approve(live.log, id_of(first), approver)


def test_one_that_its_own_issuer_gave(shop: Shop) -> None:
    """And one that whoever sends gave: two people, or none."""
    live = shop.live
    both = live.grant(24, "agent", "approver", "executor")
    intent = live.intent(by=both)
    live.put(intent)
    answer = consent.approve(live.log, id_of(intent), both)
    assert isinstance(answer, Refused)
    assert answer.code == "self-approved"
    mine = claimed(live, order="790")
    assert started(live, mine, consented(live, mine, both), by=both) == "refused self-approved"
    guard = Guard(live.log, key=both)
    shop.open(guard)
    waits = shop.call(guard, order="790")
    assert isinstance(waits, Pending)
    assert "0 of 1 approvals by keys other than its own" in waits.message


def test_one_key_is_one_approver_however_often(shop: Shop, approver: FileSigner) -> None:
    live = shop.live
    live.ask(approvals=2)
    intent = claimed(live)
    twice = []
    for _ in range(2):
        twice.append(consented(live, intent, approver))
        live.wait(1)
    assert (live.log.approvals()[0].wanted, len(live.log.approvals()[0].given)) == (2, 1)
    assert started(live, intent, *twice) == "refused approvals-missing"
    assert started(live, intent, twice[0], consented(live, intent, live.admin)) == "accepted"


def test_one_for_arguments_that_were_swapped(shop: Shop, approver: FileSigner) -> None:
    """The amount that was approved is the amount that is sent: an edit is a decision of its own."""
    live, mine = shop.live, {**ARGUMENTS, "amount": 5000}
    assert isinstance(shop.guard.call("charge", mine), Pending)
    approval = consented(live, shop.intent(), approver)
    assert isinstance(shop.guard.call("charge", {**mine, "amount": 50_000}), Blocked)
    edited = live.intent(live.bound(amount=50_000))
    assert live.answer(edited).startswith("conflict")
    live.put(live.release())
    larger = claimed(live, amount=50_000)
    assert started(live, larger, approval) == "refused approval-invalid"
    assert isinstance(shop.guard.call("charge", {**mine, "amount": 50_000}), Pending)
    assert shop.landed == []


def test_one_of_another_text(shop: Shop, approver: FileSigner) -> None:
    """Replay tells, whoever was shown something else; nobody can approve what render/1 does not say."""
    live, intent = shop.live, claimed(shop.live)
    shown = digest.attachment_digest(b"charge 5 cents")
    live.put(live.draw(Approval(intent=id_of(intent), shown=shown), approver))
    assert [finding.code for finding in live.audit().findings] == ["rendering-differs"]


def test_one_under_another_version_of_the_contract(shop: Shop, approver: FileSigner) -> None:
    """The START is the claim's, under the contract that was approved; who runs another version does not go on (S10)."""
    live = shop.live
    assert isinstance(shop.call(), Pending)
    consented(live, shop.intent(), approver)
    live.register(version=3, send_deadline_ms=UNHURRIED_MS)
    newer = Guard(live.log, key=live.agent)
    shop.open(newer)
    assert isinstance(shop.call(newer), Blocked)
    assert shop.landed == []
    assert isinstance(shop.call(), Committed)


def test_one_before_the_policy_wanted_more(shop: Shop, approver: FileSigner) -> None:
    live = shop.live
    assert isinstance(shop.call(), Pending)
    consented(live, shop.intent(), approver)
    live.ask(approvals=2)
    assert live.log.approvals()[0].wanted == 2
    assert isinstance(shop.call(), Pending)
    consented(live, shop.intent(), live.admin)
    assert isinstance(shop.call(), Committed)


def test_a_claim_that_the_policy_did_not_ask_about_waits_where_it_does_now(shop: Shop, approver: FileSigner) -> None:
    live = shop.live
    allow: Value = {"name": "all", "then": "allow", "approvals": 0, "when": []}
    live.put(live.log.draft(parse_policy({"name": "a", "engine": "rules/1", "source": {"rules": [allow]}}), live.admin))
    intent = claimed(live)
    assert live.log.approvals() == []
    with pytest.raises(NotFoundError):
        consent.approve(live.log, id_of(intent), approver)
    live.ask()
    assert [each.intent for each in live.log.approvals()] == [id_of(intent)]
    consented(live, intent, approver)
    assert isinstance(shop.call(), Committed)


def test_a_denial_ends_the_claim_and_says_why(shop: Shop, approver: FileSigner) -> None:
    live, intent = shop.live, claimed(shop.live)
    assert isinstance(consent.deny(live.log, digest.format_id("evt", id_of(intent)), approver, reason="no"), Accepted)
    assert (live.log.approvals(), shop.status) == ([], "free")
    assert started(live, intent) == "refused transition-invalid"
    assert live.audit().findings == ()


def test_nothing_that_an_agent_drives_can_consent() -> None:
    """No verb of the guard, and no module below it, imports the one that signs approvals and denials. Of what agents
    reach the gateway's approver does, and wants a key for it that is no agent's.
    """
    sources = Path(consent.__file__).parents[1]
    importers = {
        path.relative_to(sources).as_posix()
        for path in sources.rglob("*.py")
        if re.search(r"import consent|ledger\.consent", path.read_text(encoding="utf-8"))
    }
    assert importers == {"__init__.py", "surfaces/mcp_server/approver.py"}
    assert not {name for name in dir(Guard) if name.startswith(("approve", "deny", "attest", "grant"))}


def test_what_is_shown_is_what_is_signed(shop: Shop, approver: FileSigner) -> None:
    """[RND-1], [RND-2]: the agent's words stand in quotes."""
    live = shop.live
    claimed(live)
    [found] = live.log.approvals()
    assert digest.attachment_digest(found.text.encode()) == found.shown
    assert f"intent: {digest.format_id('evt', found.intent)}\n" in found.text
    assert '  amount: 5000\n  customer: "cus_1"\n' in found.text
    assert replace(found, text="") != found
    consented(live, shop.intent(), approver)
    [approval] = [event.data for event in shop.chain() if isinstance(event.data, Approval)]
    assert approval.shown == found.shown
