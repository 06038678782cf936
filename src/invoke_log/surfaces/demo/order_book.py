"""Order books: one world as two systems write it down, and how an agent reads its own.

The two books of the demo differ in everything that JSON leaves open: order of keys and of items, `50.00` as text and
`50.0` as a number, one letter as one or two code points, the time zone of one moment.
"""

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from invoke_log.errors import MalformedError, NotFoundError

BUYER = "Zoë Müller"
TOTAL = Decimal("50.00")
PLACED_AT = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
ONE_HOUR_EAST = timezone(timedelta(hours=1))


def write_books(shop: Path, bank: Path, *, customer: str, orders: Sequence[str]) -> None:
    """Write the same orders twice: as the shop's system spells them, and as the bank's."""
    as_shop: dict[str, dict[str, object]] = {}
    as_bank: dict[str, dict[str, object]] = {}
    for order in orders:
        as_shop[order] = {
            "order": order,
            "customer": customer,
            "buyer": unicodedata.normalize("NFC", BUYER),
            "total": str(TOTAL),
            "currency": "usd",
            "items": ["tea", "kettle"],
            "placed_at": PLACED_AT.isoformat(),
        }
        as_bank[order] = {
            "placed_at": PLACED_AT.astimezone(ONE_HOUR_EAST).isoformat(),
            "items": ["kettle", "tea"],
            "currency": "usd",
            "total": float(TOTAL),
            "buyer": unicodedata.normalize("NFD", BUYER),
            "customer": customer,
            "order": order,
        }
    for path, book in ((shop, as_shop), (bank, as_bank)):
        path.write_text(json.dumps(book, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_order(book: Path, order: str) -> dict[str, Any]:
    """Return an order as its book has it, money as `Decimal` and the moment as an aware `datetime`.

    Raises: NotFoundError: it is not in the book.
    """
    # Read as Decimal, the number 50.0 never was a float: nothing is rounded.
    orders = json.loads(book.read_text(encoding="utf-8"), parse_float=Decimal)
    if order not in orders:
        raise NotFoundError(f"order book {book}: has no order {order!r}")
    seen = orders[order]
    return {**seen, "total": Decimal(seen["total"]), "placed_at": datetime.fromisoformat(seen["placed_at"])}


def minor_units(total: Decimal) -> int:
    """Return an amount in cents. Raises MalformedError: it has fractions of one."""
    cents = total.scaleb(2)
    if cents != cents.to_integral_value():
        raise MalformedError(f"total: found {total}, want at most two digits after the point")
    return int(cents)
