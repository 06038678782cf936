"""localstripe that lists one customer's payment intents alone, as Stripe does and as it does with charges itself.

All else is the demo's provider.
"""

import asyncio
from typing import Any

from localstripe.resources import Customer, PaymentIntent

from invoke_log.surfaces.demo.provider import serve

list_all = PaymentIntent._api_list_all


def list_of_customer(url: str, customer: str | None = None, **paging: Any) -> Any:
    listed = list_all(url, **paging)
    if customer is not None:
        Customer._api_retrieve(customer)  # 404 for one that is not there
        listed._list = [one for one in listed._list if one.customer == customer]
    return listed


if __name__ == "__main__":
    PaymentIntent._api_list_all = list_of_customer
    asyncio.run(serve())
