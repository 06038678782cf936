"""The keyed provider's signed messages: authentic or refused, and what they settle. [PRF-1], [PRF-4], [CALL-7], S2"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import pytest

from invoke_log.adapter import standard_webhooks
from invoke_log.errors import ConfigInvalidError, MessageInvalidError
from invoke_log.guard.outcome import Blocked, Committed, OutcomeUnknown
from invoke_log.guard.webhook import Heard, Notice
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, STARTED, UNKNOWN
from invoke_log.surfaces.demo.proxy_control import Behaviour
from tests.counterparties.keyed import SECRET, Inbox
from tests.counterparties.test_keyed import Bank
from tests.counterparties.test_keyed import bank as bank

CREATED: Final = "transfer.created"
REJECTED: Final = "transfer.rejected"
Message = tuple[bytes, dict[str, str]]


def notice(body: bytes, headers: Mapping[str, str], secret: str = SECRET) -> Notice:
    """What a message of the provider says, as an application reads it."""
    message = standard_webhooks.verify(body, headers, secret)
    made = message.body["data"]
    return Notice(key_id="bank", event=message.event, tag=made["tag"], reference=made["id"])


def hear(bank: Bank, message: Message) -> Heard:
    return bank.desk.guard.webhook(*message, notice)


def hook(inbox: Inbox, *events: str, early: bool = False, delay_ms: int = 0) -> dict[str, Any]:
    told = {"paid": list(events), "declined": [REJECTED, REJECTED]}
    return {"url": inbox.url, "secret": SECRET, **told, "early": early, "delay_ms": delay_ms}


@pytest.mark.parametrize(("early", "delay_ms"), [(True, 0), (False, 300)], ids=["early", "late"])
def test_a_message_about_a_lost_call_verifies_and_carries_its_tag(
    bank: Bank, inbox: Inbox, early: bool, delay_ms: int
) -> None:
    bank.keyed.configure(webhook=hook(inbox, CREATED, early=early, delay_ms=delay_ms))
    bank.lose()
    assert isinstance(bank.pay(), OutcomeUnknown)
    assert len(inbox.arrived) == (1 if early else 0)
    [(body, headers)] = inbox.take(1)
    message = standard_webhooks.verify(body, headers, SECRET)
    [made] = bank.keyed.transfers()
    assert (message.event, message.body["data"]["tag"]) == (CREATED, made["tag"])
    assert message.event in bank.contract.webhook.positive


def test_copies_of_a_message_have_one_id_and_other_messages_another(bank: Bank, inbox: Inbox) -> None:
    bank.keyed.configure(webhook=hook(inbox, CREATED, CREATED, "transfer.seen"))
    bank.pay()
    messages = [standard_webhooks.verify(body, headers, SECRET) for body, headers in inbox.take(3)]
    assert [message.event for message in messages] == [CREATED, CREATED, "transfer.seen"]
    assert messages[0].id == messages[1].id != messages[2].id


def test_a_message_settles_a_lost_call_once_however_often_it_comes(bank: Bank, inbox: Inbox) -> None:
    bank.keyed.configure(webhook=hook(inbox, CREATED, CREATED))
    bank.lose()
    assert isinstance(bank.pay(), OutcomeUnknown)
    heard = [hear(bank, message) for message in inbox.take(2)]
    assert [(one.answer, one.status, one.incident) for one in heard] == [
        ("recorded", COMMITTED, None),
        ("known", COMMITTED, None),
    ]
    assert bank.desk.kinds() == ["no_answer", "webhook"]
    assert isinstance(bank.pay(), Blocked)
    assert (bank.keyed.requests(), bank.paid(), bank.desk.statuses()) == (1, ["i1"], {"i1": COMMITTED})
    [effect] = bank.desk.replayed().effects
    assert "webhook-sender" in effect.relies_on


def test_a_message_after_the_answer_is_put_on_record_beside_it(bank: Bank, inbox: Inbox) -> None:
    bank.keyed.configure(webhook=hook(inbox, CREATED))
    assert isinstance(bank.pay(), Committed)
    heard = hear(bank, *inbox.take(1))
    assert (heard.answer, heard.status, heard.incident) == ("recorded", COMMITTED, None)
    assert (bank.desk.kinds(), bank.count("resolution"), bank.paid()) == (["response", "webhook"], 1, ["i1"])


@pytest.mark.parametrize(("behaviour", "ending"), [(Behaviour.PASS, Committed), (Behaviour.DROP_RESPONSE, Blocked)])
def test_a_message_before_the_answer_commits_whatever_becomes_of_the_answer(
    bank: Bank, inbox: Inbox, behaviour: Behaviour, ending: type
) -> None:
    heard = listen(bank, inbox)
    bank.keyed.configure(webhook=hook(inbox, CREATED, early=True))
    bank.lose(behaviour)
    ended = bank.pay()
    assert [(one.answer, one.status) for one in heard] == [("recorded", COMMITTED)]
    assert isinstance(ended, ending)
    assert (bank.desk.kinds(), bank.paid(), bank.desk.guard.reconcile()) == (["webhook"], ["i1"], [])
    assert (bank.keyed.requests(), bank.desk.statuses()) == (1, {"i1": COMMITTED})


def test_a_decline_whose_answer_is_lost_is_settled_by_its_message_and_settles_nothing_that_came_later(
    bank: Bank, inbox: Inbox
) -> None:
    """Both attempts carry one tag: the decline that is delivered again must not free the second one. [CALL-7]"""
    bank.keyed.configure(stores="success", webhook=hook(inbox, CREATED))
    bank.behave = "decline"
    bank.lose()
    assert isinstance(bank.pay(), OutcomeUnknown)
    assert isinstance(bank.pay(), Blocked)
    [first, copy] = inbox.take(2)
    heard = hear(bank, first)
    assert (heard.answer, heard.status, heard.http_status) == ("recorded", NOT_COMMITTED, 200)
    assert (bank.desk.kinds(), bank.desk.statuses()) == (["no_answer", "webhook"], {"i1": NOT_COMMITTED})
    bank.behave = "ok"
    bank.lose()
    assert isinstance(bank.pay(), OutcomeUnknown)
    late = hear(bank, copy)
    assert (late.answer, late.status) == ("known", UNKNOWN)
    [_, _, paid] = inbox.take(3)
    assert hear(bank, paid).status == COMMITTED
    assert (bank.keyed.requests(), bank.paid(), bank.desk.statuses()) == (2, ["i1"], {"i1": COMMITTED})


def test_a_decline_that_is_told_before_its_answer_is_lost_settles_the_call_when_somebody_looks(
    bank: Bank, inbox: Inbox
) -> None:
    heard = listen(bank, inbox)
    bank.keyed.configure(webhook=hook(inbox, early=True))
    bank.behave = "decline"
    bank.lose()
    assert isinstance(bank.pay(), OutcomeUnknown)
    assert [(one.answer, one.status) for one in heard] == [("recorded", STARTED), ("known", STARTED)]
    look = bank.desk.look()
    assert (look.probe, look.status) == (None, NOT_COMMITTED)
    assert (bank.desk.kinds(), bank.paid()) == (["webhook", "no_answer", "webhook"], [])
    assert bank.desk.statuses() == {"i1": NOT_COMMITTED}


def listen(bank: Bank, inbox: Inbox) -> list[Heard]:
    """Answer each message with what the guard makes of it, as a handler of HTTP requests does; return that too."""
    heard: list[Heard] = []

    def answer(body: bytes, headers: dict[str, str]) -> int:
        heard.append(hear(bank, (body, headers)))
        return heard[-1].http_status

    inbox.answer = answer
    return heard


@pytest.fixture
def delivered(bank: Bank, inbox: Inbox) -> Message:
    """A message about a call that is unknown."""
    bank.keyed.configure(webhook=hook(inbox, CREATED))
    bank.lose()
    bank.pay()
    [one] = inbox.take(1)
    return one


Forge = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str], str]]
OTHER = "whsec_" + "A" * 32
FORGERIES: dict[str, Forge] = {
    "changed": lambda body, headers: (body.replace(b"500", b"900"), headers, SECRET),
    "another secret": lambda body, headers: (body, headers, OTHER),
    "another id": lambda body, headers: (body, {**lower(headers), "webhook-id": "msg_2"}, SECRET),
    "too old": lambda body, headers: (body, {**lower(headers), "webhook-timestamp": "1700000000"}, SECRET),
    "no signature": lambda body, headers: (body, {}, SECRET),
    "not text": lambda body, headers: (b"\xff", headers, SECRET),
}


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_message_is_refused_and_leaves_nothing_on_record(bank: Bank, delivered: Message, forge: Forge) -> None:
    body, headers, secret = forge(*delivered)
    with pytest.raises(MessageInvalidError):
        standard_webhooks.verify(body, headers, secret)
    before = list(bank.desk.log.entries())
    heard = bank.desk.guard.webhook(body, headers, partial(notice, secret=secret))
    assert (heard.answer, heard.http_status, heard.status) == ("refused", 400, None)
    assert list(bank.desk.log.entries()) == before
    assert bank.desk.statuses() == {"i1": UNKNOWN}
    assert hear(bank, delivered).status == COMMITTED


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_ü"])
def test_a_secret_that_is_none_is_said(delivered: Message, secret: str) -> None:
    with pytest.raises(ConfigInvalidError):
        standard_webhooks.verify(*delivered, secret)
