"""The account at the provider, over HTTP with the official client: charge an order, list charges, find one by its tag.

The only module of the demo that knows Stripe's objects. It hides no retry: one call of `charge` sends at most one
request. What it counts is what the provider lists, never what an agent believes.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeVar

import requests
import stripe
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError

API_KEY = "sk_test_x12345"
TIMEOUT_S = 3.0
READ_TIMEOUT_S = 60.0  # the server needs a second for each page of a long list, and a busy machine several
PAGE_OBJECTS = 100  # the most that Stripe gives
VISA = "pm_card_visa"
OBJECTS_MAX = 100_000  # a provider that pages in circles must end in an error, not in a count
Listed = TypeVar("Listed", stripe.Charge, stripe.PaymentIntent)
TAG_FIELD = "invoke"
ORDER_FIELD = "order"

# Refused before anything was carried out.
REJECTED_CODES = frozenset({
    "amount_too_large", "amount_too_small", "parameter_invalid_empty", "parameter_invalid_integer",
    "parameter_missing", "parameter_unknown", "resource_missing",
})  # fmt: skip
# Carried out and declined by the bank or its checks. "processing_error" is left out: it says that nobody knows.
DECLINED_CODES = frozenset({"card_declined", "expired_card", "incorrect_cvc", "incorrect_number"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is owed: `amount` in minor units of `currency`."""

    order_id: str
    customer: str
    amount: int
    currency: str = "usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One movement of money at the provider; `order_id` and `tag` are of its payment intent, "" where it has none."""

    charge_id: str
    payment_intent: str
    customer: str
    amount: int
    currency: str
    order_id: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One payment intent that carries a tag. A declined charge leaves one too: the status says whether money moved."""

    payment_intent: str
    status: str
    customer: str
    amount: int
    currency: str
    order_id: str


class Failure(StrEnum):
    """What an exception of the client proves about one call of `charge`."""

    NEVER_SENT = "never-sent"  # no connection, so no byte of the request left
    REJECTED = "rejected"  # not done, and not kept under the idempotency key
    DECLINED = "declined"  # not done, and Stripe repeats this answer to the same idempotency key for a day
    UNKNOWN = "unknown"  # everything else: it may have happened, or happen yet


def connect(base_url: str, *, timeout_s: float = TIMEOUT_S) -> stripe.StripeClient:
    """Return a client that sends each request once, to `base_url` and nowhere else."""
    session = requests.Session()
    session.trust_env = False  # no HTTP_PROXY and no ~/.netrc between us and loopback
    session.max_redirects = 0  # a followed redirect is a second send
    return stripe.StripeClient(
        API_KEY,
        base_addresses={"api": base_url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout_s, session=session),
    )


def open_customer(base_url: str, name: str) -> str:
    """Return the id of a new customer: the provider picks it."""
    return connect(base_url).v1.customers.create({"name": name}).id


def charge(
    client: stripe.StripeClient, order: Order, *, idempotency_key: str, tag: str = "", payment_method: str = VISA
) -> str:
    """Charge the order and return the id of its payment intent, on which the money has moved.

    Raises: stripe.StripeError: `read_failure` says what it proves.
    """
    metadata = {ORDER_FIELD: order.order_id} | ({TAG_FIELD: tag} if tag else {})
    intent = client.v1.payment_intents.create(
        {
            "amount": order.amount,
            "currency": order.currency,
            "customer": order.customer,
            "payment_method": payment_method,
            "confirm": True,
            "off_session": True,
            "metadata": metadata,
        },
        {"idempotency_key": idempotency_key},
    )
    if intent.status != "succeeded":
        # Without an error and without the money: it may move yet, so this is no answer either.
        raise stripe.APIError(f"payment intent {intent.id} is {intent.status!r}, want 'succeeded'")
    return intent.id


def read_failure(error: stripe.StripeError) -> Failure:
    """Return what the exception proves.

    A timeout, a lost connection, any 5xx, 409, 429 and a key that was used before prove nothing.
    """
    code = error.code or ""
    match error:
        case stripe.APIConnectionError() if _no_connection(error.__cause__):
            return Failure.NEVER_SENT
        case stripe.CardError() if code in DECLINED_CODES:
            return Failure.DECLINED
        case stripe.InvalidRequestError() if code in REJECTED_CODES:
            return Failure.REJECTED
        case stripe.AuthenticationError():
            return Failure.REJECTED
        case _:
            return Failure.UNKNOWN


def charges(base_url: str) -> list[Charge]:
    """Return every charge that moved money, as listed by the provider; declined ones did not.

    Raises: stripe.StripeError: nothing was learned.
    """
    client = connect(base_url, timeout_s=READ_TIMEOUT_S)
    # Charges first: whatever payment intent they name is in the list that is read after them.
    listed = _all_of(client.v1.charges.list({"limit": PAGE_OBJECTS}))
    metadata = {intent.id: _metadata(intent) for intent in _intents(client)}
    return [
        Charge(
            charge_id=one.id,
            payment_intent=_id_of(one.payment_intent),
            customer=_id_of(one.customer),
            amount=one.amount,
            currency=one.currency,
            order_id=metadata.get(_id_of(one.payment_intent), {}).get(ORDER_FIELD, ""),
            tag=metadata.get(_id_of(one.payment_intent), {}).get(TAG_FIELD, ""),
        )
        for one in listed
        if one.status == "succeeded"
    ]


def find_by_tag(base_url: str, tag: str) -> list[Sighting]:
    """Return every payment intent with that tag, after reading the whole list; none is an answer, half a list never is.

    Raises: stripe.StripeError: nothing was learned.
    """
    return [
        Sighting(
            payment_intent=intent.id,
            status=intent.status,
            customer=_id_of(intent.customer),
            amount=intent.amount,
            currency=intent.currency,
            order_id=_metadata(intent).get(ORDER_FIELD, ""),
        )
        for intent in _intents(connect(base_url, timeout_s=READ_TIMEOUT_S))
        if _metadata(intent).get(TAG_FIELD) == tag
    ]


def _intents(client: stripe.StripeClient) -> list[stripe.PaymentIntent]:
    return _all_of(client.v1.payment_intents.list({"limit": PAGE_OBJECTS}))


def _all_of(first_page: stripe.ListObject[Listed]) -> list[Listed]:
    objects = list(islice(first_page.auto_paging_iter(), OBJECTS_MAX + 1))
    if len(objects) > OBJECTS_MAX:
        raise stripe.APIError(f"list: more than {OBJECTS_MAX} objects, want a list with an end")
    return objects


def _metadata(intent: stripe.PaymentIntent) -> dict[str, str]:
    return {name: str(value) for name, value in intent.metadata.to_dict().items()}


def _id_of(field: str | stripe.Customer | stripe.PaymentIntent | None) -> str:
    """Return the id of a field that the provider gives as an id or, expanded, as the object itself; "" for none."""
    if field is None:
        return ""
    return field if isinstance(field, str) else field.id


def _no_connection(cause: BaseException | None) -> bool:
    """Return whether the request ended while there was no connection to write it to."""
    # One attempt, no redirects, no proxy: the connection that could not be made is the only one there was.
    # A reset, an EOF or a timeout of a *made* connection is another class, and says nothing.
    # Refused, unresolved and timed out are all kinds of ConnectTimeoutError.
    reason = cause.args[0] if isinstance(cause, requests.ConnectionError) and cause.args else None
    return isinstance(reason, MaxRetryError) and isinstance(reason.reason, ConnectTimeoutError)
