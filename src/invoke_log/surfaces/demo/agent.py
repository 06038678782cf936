"""An agent: it reads an order, decides to charge it, and calls `charge_customer` under the guard with a key of its own.

Run as `python -m invoke_log.surfaces.demo.agent --log DIR --key FILE --provider-proxy URL --provider URL --book FILE
--name NAME --order ID …`. It says how each call ended, one JSON line an order, and remembers nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import invoke_log as il
from invoke_log.surfaces.demo.charging import TOOL, Options, open_guard, option_parser
from invoke_log.surfaces.demo.order_book import minor_units, read_order
from invoke_log.surfaces.demo.processes import say


class AgentOptions(Options):
    """The orders to see to, and where receipts go: None where none are wanted."""

    orders: list[str]
    receipts: Path | None


def see_to(guard: il.Guard, order: str, options: AgentOptions) -> dict[str, object]:
    """Return how one call for the order ended, as the fields of a line; a receipt goes to a file of its own."""
    seen = read_order(options.book, order)
    amount, currency = minor_units(seen["total"]), seen["currency"]
    ending = guard.call(
        TOOL, {"customer": seen["customer"], "amount": amount, "currency": currency, "order": seen["order"]}
    )
    line: dict[str, object] = {"name": options.name, "order": order, "effect_key": ending.effect_key, "receipt": None}
    match ending:
        case il.Committed():
            return {**line, "ending": "committed", "fresh": ending.fresh, "payment_intent": ending.value}
        case il.OutcomeUnknown():
            return {**line, "ending": "unknown", "next": ending.next, "not_before": ending.not_before}
        case il.Blocked():
            receipt = _keep(ending.receipt, options.receipts, order)
            return {**line, "ending": ending.status, "next": ending.next, "by": ending.by, "receipt": receipt}
        case il.NotCommitted():
            return {**line, "ending": "not_committed", "next": ending.next, "why": repr(ending.__cause__)}
        case il.Pending() | il.Denied():
            return {**line, "ending": ending.status, "why": ending.message}
        case unexpected:
            assert_never(unexpected)


def _keep(receipt: Callable[[], bytes] | None, receipts: Path | None, order: str) -> str | None:
    """Return where the receipt of a committed effect was written, or None where there is none or none is wanted."""
    if receipt is None or receipts is None:
        return None
    path = receipts / f"{order}.receipt"
    path.write_bytes(receipt())
    return str(path)


def main() -> None:
    parser = option_parser("an agent that charges orders under a guard")
    parser.add_argument("--order", required=True, metavar="ID", nargs="+", dest="orders")
    parser.add_argument("--receipts", type=Path, metavar="DIR", help="where receipts go")
    options = parser.parse_args(namespace=AgentOptions())
    with open_guard(options) as guard:
        for order in options.orders:
            say(**see_to(guard, order, options))


if __name__ == "__main__":
    main()
