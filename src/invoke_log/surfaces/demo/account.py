"""The account at the provider, over HTTP with the official client: charge an order, list charges.

The only module of the demo that knows Stripe's objects. It hides no retry: one call of `charge` sends at most one
request. What it counts is what the provider lists, never what an agent believes.
"""

from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import requests
import stripe

from invoke_log.adapter.stripe import TAG_FIELD, once

API_KEY = "sk_test_x12345"
TIMEOUT_S = 3.0
READ_TIMEOUT_S = 60.0  # the server needs a second for each page of a long list, and a busy machine several
PAGE_OBJECTS = 100  # the most that Stripe gives
VISA = "pm_card_visa"
OBJECTS_MAX = 100_000  # a provider that pages in circles must end in an error, not in a count
Listed = TypeVar("Listed", stripe.Charge, stripe.PaymentIntent)
ORDER_FIELD = "order"


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


def connect(base_url: str, *, timeout_s: float = TIMEOUT_S) -> stripe.StripeClient:
    """Return a client that sends each request once, to `base_url` and nowhere else."""
    session = requests.Session()
    session.trust_env = False  # no HTTP_PROXY and no ~/.netrc between us and loopback
    session.max_redirects = 0  # a followed redirect is a second send
    return once(
        stripe.StripeClient(
            API_KEY,
            base_addresses={"api": base_url},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout_s, session=session),
        )
    )


def open_customer(base_url: str, name: str) -> str:
    """Return the id of a new customer: the provider picks it."""
    return connect(base_url).v1.customers.create({"name": name}).id


def charge(
    client: stripe.StripeClient, order: Order, *, idempotency_key: str, tag: str = "", payment_method: str = VISA
) -> str:
    """Charge the order and return the id of its payment intent, on which the money has moved.

    Raises: stripe.StripeError: `adapter.stripe.proofs` says what it proves.
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
