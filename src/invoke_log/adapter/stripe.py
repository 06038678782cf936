"""Tools at Stripe, with its official client. SPEC §10 [PRF-1], [PRF-3]."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Final, TypeVar

import stripe

from invoke_log.adapter import requests
from invoke_log.adapter.webhook import Message
from invoke_log.errors import ConfigInvalidError, MessageInvalidError, ReadUnclearError
from invoke_log.guard.outcome import DefiniteFailure, NeverSent

TAG_FIELD: Final = "invoke"
PAGE_OBJECTS: Final = 100  # the most that Stripe gives
OBJECTS_MAX: Final = 100_000  # a provider that pages in circles must end in an error, not in an answer
UNAUTHORIZED: Final = "unauthorized"  # Stripe gives a 401 no code of its own
MESSAGE_AGE_S_MAX: Final = 300
CANCELED: Final = "canceled"
INTENT_DONE: Final = frozenset(("succeeded",))
INTENT_NEVER: Final = frozenset(("requires_payment_method", CANCELED))  # declined or given up: somebody begins again
REFUND_DONE: Final = frozenset(("succeeded",))
REFUND_NEVER: Final = frozenset(("failed", CANCELED))
Listed = TypeVar("Listed", stripe.PaymentIntent, stripe.Refund)


def once(client: stripe.StripeClient) -> stripe.StripeClient:
    """Return a client that sends each request once, with a `requests` session of yours.

    The functions of the module `stripe` itself retry twice unasked: use a client. A `max_network_retries` in the
    options of a request goes past this: give none.
    Raises: ConfigInvalidError: it retries, or sends with something that may; it says what to set.
    """
    # Private, and nowhere else: the client does not show what it was made with.
    options, sender = client._requestor._options, client._requestor._client
    if options.max_network_retries not in (None, 0):
        raise ConfigInvalidError(
            f"stripe: the client retries {options.max_network_retries} times",
            hint="StripeClient(…, max_network_retries=0)",
        )
    session = sender._session if isinstance(sender, stripe.RequestsClient) else None
    if session is None:
        raise ConfigInvalidError(
            "stripe: the client has no session of yours to look at",
            hint="StripeClient(…, http_client=stripe.RequestsClient(session=SESSION)), SESSION.max_redirects = 0",
        )
    requests.once(session)
    return client


@contextmanager
def proofs() -> Iterator[None]:
    """In this block, of one request, a failure to connect is `NeverSent`, and a decline or a refusal a
    `DefiniteFailure` with Stripe's code.

    A timeout, a lost connection, any 5xx, 409, 429 and a key that was used before prove nothing, and stay as they are.
    """
    try:
        yield
    except stripe.APIConnectionError as error:
        if requests.never_left(error.__cause__):
            raise NeverSent(str(error)) from error
        raise
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        if error.code is None or error.http_status not in (400, 402, 404):
            raise
        raise DefiniteFailure(error.code) from error
    except stripe.AuthenticationError as error:
        raise DefiniteFailure(UNAUTHORIZED) from error


def done(made: stripe.PaymentIntent | stripe.Refund) -> str:
    """Return the id of what an answer says was made, if money has moved by it: 200 alone does not say that.

    Raises: ReadUnclearError: it has not, and may yet.
    """
    if made.status not in INTENT_DONE | REFUND_DONE:
        raise ReadUnclearError(f"stripe: {made.id} is {made.status!r}, want 'succeeded'")
    return made.id


def payment_intents_under(client: stripe.StripeClient, tag: str, *, customer: str | None = None) -> list[str]:
    """Return the payment intents under a tag on which money has moved, from one complete list that is read now.

    Args: customer: lists this customer's alone, where the tool makes them for a customer; else the whole account's.
    Raises: ReadUnclearError: one is neither done nor given up, or the list has no end. stripe.StripeError: no answer.
    """
    listed = client.v1.payment_intents.list(_intents_of(customer))
    return _done(listed, tag, done=INTENT_DONE, never=INTENT_NEVER)


def cancel_payment_intents_under(client: stripe.StripeClient, tag: str, *, customer: str | None = None) -> bool:
    """Cancel the payment intents under a tag, and return whether there are some and all of them are canceled: for good.

    Args: customer: as in `payment_intents_under`. Raises: stripe.StripeError: no answer, or one cannot be canceled.
    """
    ours = _under(client.v1.payment_intents.list(_intents_of(customer)), tag)
    for one in ours:
        if one.status != CANCELED and client.v1.payment_intents.cancel(one.id).status != CANCELED:
            return False
    return bool(ours)


def refunds_under(client: stripe.StripeClient, tag: str, *, payment_intent: str) -> list[str]:
    """Return the refunds of a payment intent under a tag that were made. As `payment_intents_under`."""
    page = client.v1.refunds.list({"limit": PAGE_OBJECTS, "payment_intent": payment_intent})
    return _done(page, tag, done=REFUND_DONE, never=REFUND_NEVER)


def verify(raw_body: bytes, headers: Mapping[str, str], secret: str) -> Message:
    """Return a message that Stripe signed, not older than five minutes.

    Args: raw_body: as it came, not one byte changed. headers: of the request, in any case. secret: `whsec_…`.
    Raises: MessageInvalidError: forged, changed, too old, or not a message.
    """
    signature = {name.lower(): value for name, value in headers.items()}.get("stripe-signature", "")
    try:
        text = raw_body.decode()
        stripe.WebhookSignature.verify_header(text, signature, secret, MESSAGE_AGE_S_MAX)
    except (stripe.SignatureVerificationError, ValueError, TypeError) as error:  # a signature is ASCII, or none
        raise MessageInvalidError(f"stripe message: {error}") from error
    return Message.parse(text, id_field="id")


def _intents_of(customer: str | None) -> stripe.params.PaymentIntentListParams:
    return {"limit": PAGE_OBJECTS} if customer is None else {"limit": PAGE_OBJECTS, "customer": customer}


def _done(page: stripe.ListObject[Listed], tag: str, *, done: frozenset[str], never: frozenset[str]) -> list[str]:
    ours = _under(page, tag)
    for one in ours:
        if one.status not in done | never:
            raise ReadUnclearError(f"stripe: {one.id} is {one.status!r}: it may happen yet")
    return [one.id for one in ours if one.status in done]


def _under(page: stripe.ListObject[Listed], tag: str) -> list[Listed]:
    listed = list(islice(page.auto_paging_iter(), OBJECTS_MAX + 1))
    if len(listed) > OBJECTS_MAX:
        raise ReadUnclearError(f"stripe: more than {OBJECTS_MAX} objects, want a list with an end")
    return [one for one in listed if _tag_of(one) == tag]


def _tag_of(one: stripe.PaymentIntent | stripe.Refund) -> str | None:
    metadata: stripe.StripeObject | None = one.metadata
    return metadata.to_dict().get(TAG_FIELD) if metadata is not None else None
