"""The tool of the demo, `charge_customer`, under its contract: what the agents call and the reconciler asks about.

It raises `NeverSent` and `DefiniteFailure` only where the client's exception proves it. Whatever else happens on the
way goes up as it is, and the guard calls it unknown.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stripe

import invoke_log as il
from invoke_log.adapter.stripe import payment_intents_under, proofs
from invoke_log.surfaces.demo.account import READ_TIMEOUT_S, Order, charge, charges, connect
from invoke_log.surfaces.demo.order_book import read_order

TOOL = "charge_customer"
CONTRACT_FILE = Path(__file__).with_name("stripe-charge.toml")


class Options(argparse.Namespace):
    """What an agent or a reconciler is told: what it works with, where it sends to and reads from, and its name."""

    log: Path
    key: Path
    contract: Path
    provider_proxy: str
    provider: str
    book: Path
    name: str


def option_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that takes `Options`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--log", required=True, type=Path, metavar="DIR")
    parser.add_argument("--key", required=True, type=Path, metavar="FILE", help="this process's own key")
    parser.add_argument("--contract", type=Path, default=CONTRACT_FILE, metavar="FILE")
    parser.add_argument("--provider-proxy", required=True, metavar="URL", help="where charges are sent")
    parser.add_argument("--provider", required=True, metavar="URL", help="where charges are read back")
    parser.add_argument("--book", required=True, type=Path, metavar="FILE", help="the order book it goes by")
    parser.add_argument("--name", required=True)
    return parser


@contextmanager
def open_guard(options: Options) -> Iterator[il.Guard]:
    """Yield a guard over the log with `charge_customer` in it."""
    contract = il.Contract.load(options.contract)
    provider = Provider(options.provider)
    client = connect(options.provider_proxy, timeout_s=contract.timeout_ms / 1000)
    with il.Log.open(options.log) as log:
        guard = il.Guard(log, key=il.load_key(options.key))

        def order_seen(order: str) -> dict[str, object]:
            return read_order(options.book, order)

        def find_charge(invoke: il.Call) -> list[str]:
            return provider.charges_under(invoke.tag)

        @guard.tool(contract, snapshot=order_seen, read_back=find_charge)
        def charge_customer(customer: str, amount: int, currency: str, order: str, *, invoke: il.Call) -> str:
            owed = Order(order_id=order, customer=customer, amount=amount, currency=currency)
            return send_charge(client, owed, invoke)

        yield guard


def send_charge(client: stripe.StripeClient, order: Order, invoke: il.Call) -> str:
    """Return the id of the payment intent; at most one request is sent.

    Raises: il.NeverSent, il.DefiniteFailure: proved. stripe.StripeError: nothing is known.
    """
    with proofs():
        return charge(client, order, idempotency_key=invoke.provider_key, tag=invoke.tag)


class Provider:
    """What the provider shows of our tags. A charge that was seen once stays one; that there is none is read anew."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reader = connect(url, timeout_s=READ_TIMEOUT_S)
        self._seen: dict[str, list[str]] | None = None

    def charges_under(self, tag: str) -> list[str]:
        """Return the payment intents under a tag on which money has moved; none only after reading the whole list now.

        Raises: stripe.StripeError: nothing was learned. ReadUnclearError: money may move yet.
        """
        if self._seen is None:
            self._seen = {}
            for made in charges(self._url):
                self._seen.setdefault(made.tag, []).append(made.payment_intent)
        return self._seen.get(tag) or payment_intents_under(self._reader, tag)
