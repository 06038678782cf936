"""An agent as they are: it takes a missing answer for a failure and decides again.

Run as `python -m invoke_log.surfaces.demo.naive_agent --api URL --customer ID --order ID …`. Each decision mints an
idempotency key of its own, as agents do whose tool calls get a new id each time. At Stripe that alone makes the second
charge: the key of the first decision is never seen again. localstripe ignores the key: here even the same one would.
"""

import argparse
import uuid

import stripe

from invoke_log.surfaces.demo.account import Order, charge, connect
from invoke_log.surfaces.demo.processes import say

AMOUNT = 5000  # minor units
DECISIONS_MAX = 3  # then even this agent asks somebody


def see_to(client: stripe.StripeClient, order: Order) -> None:
    """Charge the order until an answer says so, and say each step."""
    for _ in range(DECISIONS_MAX):
        idempotency_key = str(uuid.uuid4())
        say(step="charge", order=order.order_id, amount=order.amount, idempotency_key=idempotency_key)
        try:
            payment_intent = charge(client, order, idempotency_key=idempotency_key)
        except stripe.StripeError as error:
            say(step="taken-for-failure", order=order.order_id, error=type(error).__name__)
            continue
        say(step="charged", order=order.order_id, payment_intent=payment_intent)
        return


def main() -> None:
    parser = argparse.ArgumentParser(description="an agent that takes a missing answer for a failure")
    parser.add_argument("--api", required=True, metavar="URL", help="where it finds Stripe")
    parser.add_argument("--customer", required=True, metavar="ID")
    parser.add_argument("--order", required=True, metavar="ID", nargs="+", dest="orders")
    options = parser.parse_args()
    client = connect(options.api)
    for order_id in options.orders:
        see_to(client, Order(order_id=order_id, customer=options.customer, amount=AMOUNT))


if __name__ == "__main__":
    main()
