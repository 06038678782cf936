"""Tools that send mail by SMTP: fire and forget. SPEC §10 [PRF-3].

Before DATA nothing of the message has left, and a failure is proof. From DATA on nothing is: a relay that took the
message and whose 250 was lost looks like one that is gone.
"""

import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses

from invoke_log.errors import ConfigInvalidError
from invoke_log.guard.outcome import DefiniteFailure, NeverSent
from invoke_log.guard.tool_call import Call


def deliver(message: EmailMessage, call: Call, *, connect: Callable[[], smtplib.SMTP]) -> str:
    """Hand a message to a relay, once, and return its Message-ID, which carries the call's tag: the one thing by which
    a recipient can tell a copy.

    Args: message: with one sender and one recipient: a message to several could half-happen. connect: returns a client
        that is connected, and logged in where that is wanted.
    Raises: NeverSent: no connection, or lost before DATA. DefiniteFailure: the relay refused the sender or the
        recipient (`sender_refused`, `recipient_refused`). ConfigInvalidError: this call has handed one over before, and
        what came of that nobody knows. Any other exception: nobody knows.
    """
    if call.left:
        raise ConfigInvalidError("mail: this call has handed a message over already; one call is one attempt")
    senders, recipients = _addresses(message, "From"), _addresses(message, "To", "Cc", "Bcc")
    if len(senders) != 1 or len(recipients) != 1:
        raise NeverSent(f"mail: {len(senders)} senders and {len(recipients)} recipients, want one of each")
    del message["Message-ID"]
    message["Message-ID"] = f"<{call.tag}@{senders[0].rpartition('@')[2]}>"
    raw = message.as_bytes(policy=SMTP.clone(cte_type="7bit"))
    try:
        relay = connect()
    except Exception as error:
        raise NeverSent(str(error)) from error
    try:
        _hand_over(relay, raw, call, sender=senders[0], recipient=recipients[0])
    finally:
        relay.close()  # without QUIT: how the parting goes says nothing about the message
    return str(message["Message-ID"])


def _hand_over(relay: smtplib.SMTP, raw: bytes, call: Call, *, sender: str, recipient: str) -> None:
    try:
        relay.ehlo_or_helo_if_needed()
        refused = _refused(relay, sender, recipient)
    except Exception as error:
        raise NeverSent(str(error)) from error
    if refused is not None:
        raise DefiniteFailure(refused)
    if not call.may_send():
        raise NeverSent("the send deadline has passed")
    # Crash here: the relay has no message. From the next line on it may have.
    call.leave()
    code, text = relay.data(raw)
    if code != 250:
        raise smtplib.SMTPDataError(code, text)


def _refused(relay: smtplib.SMTP, sender: str, recipient: str) -> str | None:
    if relay.mail(sender)[0] != 250:
        return "sender_refused"
    return "recipient_refused" if relay.rcpt(recipient)[0] not in (250, 251) else None


def _addresses(message: EmailMessage, *fields: str) -> list[str]:
    values = [str(value) for field in fields for value in message.get_all(field, [])]
    return [address for _, address in getaddresses(values) if address]
