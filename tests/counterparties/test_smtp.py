"""E-mail, fire-and-forget: what is unknown stays so until a person attests. [PRF-2], [PRF-3], S2, S3"""

import smtplib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from invoke_log.adapter import smtp
from invoke_log.guard.outcome import Blocked, Committed, NotCommitted, OutcomeUnknown
from invoke_log.guard.tool_call import Call
from invoke_log.log.home import key_path
from invoke_log.log.signer import FileSigner, load_key
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Attestation, Grant
from invoke_log.surfaces.demo.proxy_control import Behaviour
from tests.counterparties.desk import Desk
from tests.counterparties.postgres_server import free_port
from tests.counterparties.wire import RunningProxy, SmtpWire, landed, patience_s, running_proxy, treated

HOST = "127.0.0.1"


@dataclass
class Mailbox:
    """A relay's own ledger: what it took. It refuses the recipient nobody@ and the sender spam@."""

    messages: list[Any] = field(default_factory=list)

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("spam@"):
            return "550 5.7.1 not from you"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.messages.append(message_from_bytes(envelope.content or b"", policy=default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname=HOST, port=free_port())
    controller.start()
    try:
        yield mailbox, controller.port
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def proxy(relay: tuple[Mailbox, int]) -> Iterator[RunningProxy]:
    with running_proxy(lambda: SmtpWire(relay[1])) as running:
        yield running


@dataclass
class Post:
    """A tool that mails, through the proxy."""

    desk: Desk
    proxy: RunningProxy
    mailbox: Mailbox
    contract: Any
    port: int
    sender: str = "shop@example.com"
    timeout_s: float = 5
    also_to: str | None = None

    def send(self, recipient: str = "buyer@example.org", text: str = "Shipped.") -> Any:
        given = {"recipient": recipient, "occasion": "o1", "subject": "Your order", "text": text}
        return self.desk.guard.call("send_mail", {**given})

    def expect(self, behaviour: Behaviour, path: str = "/CONTENT") -> None:
        self.proxy.control.next_posts(treated(behaviour, path))

    def requests(self, path: str = "/CONTENT") -> int:
        return sum(post.path == path for post in self.proxy.control.report().posts)


@pytest.fixture
def post(desk: Desk, relay: tuple[Mailbox, int], proxy: RunningProxy) -> Post:
    mailbox, _ = relay
    mailbox.messages.clear()
    proxy.control.clear()
    contract = desk.ready("smtp-mail", {"sender": "shop@example.com"})
    opened = Post(desk, proxy, mailbox, contract, proxy.port)

    @desk.guard.tool(contract)
    def send_mail(recipient: str, occasion: str, subject: str, text: str, *, invoke: Call) -> str:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = opened.sender, recipient, subject
        if opened.also_to is not None:
            message["Cc"] = opened.also_to
        message.set_content(text)
        return smtp.deliver(message, invoke, connect=lambda: smtplib.SMTP(HOST, opened.port, timeout=opened.timeout_s))

    return opened


def test_a_message_that_the_relay_took_is_committed_under_an_id_that_carries_the_tag(post: Post) -> None:
    ending = post.send(text="Grüße")
    assert isinstance(ending, Committed)
    [message] = post.mailbox.messages
    assert (message["Message-ID"], message.get_content()) == (ending.value, "Grüße\n")
    assert ending.value.endswith("@example.com>")
    assert (post.requests(), post.desk.statuses()) == (1, {"o1": COMMITTED})


@pytest.mark.parametrize(
    ("behaviour", "taken"),
    [
        (Behaviour.DROP_RESPONSE, 1),
        (Behaviour.DROP_REQUEST, 0),
        (Behaviour.HANG, 1),
        (Behaviour.SLOW, 1),
        (Behaviour.UNAVAILABLE, 1),
    ],
    ids=str,
)
def test_a_250_that_is_lost_stays_unknown_until_a_person_attests(post: Post, behaviour: Behaviour, taken: int) -> None:
    post.expect(behaviour)
    post.timeout_s = patience_s(behaviour)
    ending = post.send()
    assert isinstance(ending, OutcomeUnknown)
    if taken:
        landed(lambda: post.mailbox.messages)
    assert (ending.next, ending.not_before) == ("attest", None)
    post.desk.later(post.contract)
    look = post.desk.look()
    assert (look.probe, look.status) == (None, UNKNOWN)
    assert isinstance(post.send(), Blocked)
    assert (post.requests(), len(post.mailbox.messages), post.desk.statuses()) == (1, taken, {"o1": UNKNOWN})
    attest(post, COMMITTED if taken else NOT_COMMITTED)
    report = post.desk.replayed()
    [effect] = report.effects
    assert (effect.status == COMMITTED, effect.grade) == (bool(taken), "attested")


def test_a_connection_that_is_lost_before_data_has_sent_no_message(post: Post) -> None:
    post.expect(Behaviour.DROP_RESPONSE, "/RCPT")
    assert isinstance(post.send(), NotCommitted)
    assert (post.requests(), post.mailbox.messages, post.desk.kinds()) == (0, [], ["never_sent"])


def test_a_relay_that_cannot_be_reached_was_sent_nothing(post: Post) -> None:
    post.port = free_port()
    assert isinstance(post.send(), NotCommitted)
    assert (post.requests("/EHLO"), post.desk.kinds()) == (0, ["never_sent"])


def test_after_the_send_deadline_no_message_is_handed_over(post: Post) -> None:
    with patch.object(Call, "may_send", lambda _: False):
        assert isinstance(post.send(), NotCommitted)
    assert (post.requests("/RCPT"), post.requests("/DATA"), post.desk.kinds()) == (1, 0, ["never_sent"])


@pytest.mark.parametrize("reached", [True, False])
def test_a_call_hands_over_one_message_however_often_its_tool_tries(post: Post, reached: bool) -> None:
    ports = iter([post.port, post.port if reached else free_port()])

    @post.desk.guard.tool(post.contract)
    def send_mail(recipient: str, occasion: str, subject: str, text: str, *, invoke: Call) -> str:
        for port in ports:
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = post.sender, recipient, subject
            message.set_content(text)
            with suppress(smtplib.SMTPException):
                return smtp.deliver(message, invoke, connect=partial(smtplib.SMTP, HOST, port, timeout=5))
        raise AssertionError("it stopped before")

    post.expect(Behaviour.DROP_RESPONSE)
    assert isinstance(post.send(), OutcomeUnknown)
    assert (len(post.mailbox.messages), post.desk.kinds()) == (1, ["no_answer"])


def test_a_recipient_or_a_sender_that_is_refused_is_proof(post: Post) -> None:
    assert isinstance(post.send("nobody@example.org"), NotCommitted)
    post.sender = "spam@example.com"
    assert isinstance(post.send("another@example.org"), NotCommitted)
    assert post.desk.kinds() == ["definite_failure", "definite_failure"]
    failures: list[Any] = [entry.event.data for entry in post.desk.log.entries() if entry.event.kind == "outcome"]
    assert [data.evidence.failure for data in failures] == ["recipient_refused", "sender_refused"]
    assert (post.mailbox.messages, post.requests()) == ([], 0)


def test_a_message_to_several_could_half_happen_and_is_not_sent(post: Post) -> None:
    post.also_to = "second@example.org"
    assert isinstance(post.send(), NotCommitted)
    assert (post.requests("/EHLO"), post.mailbox.messages) == (0, [])


def attest(post: Post, status: str) -> None:
    """A person who looked says so, with a key of their own."""
    log, person = post.desk.log, FileSigner(bytes(range(32)))
    admin = key_path(log.path, "admin")
    assert admin is not None
    grant = Grant(subject="person", key=person.public_key, role="attestor", scope=EVERYTHING)
    assert isinstance(log.append(log.draft(grant, load_key(admin))), Accepted)
    [state] = log.effects()
    said = Attestation(status=status, reason="asked the recipient", attachment=None)
    answer = log.append(log.draft(said, person, effect=state.effect, resource=state.resource))
    assert isinstance(answer, Accepted), answer
