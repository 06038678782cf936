"""Order books: two spellings of one world, read without losing any of it."""

from decimal import Decimal
from pathlib import Path

import pytest

from invoke_log.errors import MalformedError, NotFoundError
from invoke_log.surfaces.demo.order_book import minor_units, read_order, write_books


@pytest.fixture
def books(tmp_path: Path) -> tuple[Path, Path]:
    shop, bank = tmp_path / "shop.json", tmp_path / "bank.json"
    write_books(shop, bank, customer="cus_1", orders=["order-1", "order-2"])
    return shop, bank


def test_no_two_fields_that_json_leaves_open_are_spelt_alike(books: tuple[Path, Path]) -> None:
    shop, bank = (read_order(book, "order-1") for book in books)
    assert list(shop) == list(reversed(bank))
    assert shop["items"] == list(reversed(bank["items"]))
    assert shop["buyer"] != bank["buyer"]
    assert str(shop["total"]) != str(bank["total"])
    assert shop["placed_at"].isoformat() != bank["placed_at"].isoformat()


def test_both_books_mean_one_amount_and_one_moment(books: tuple[Path, Path]) -> None:
    shop, bank = (read_order(book, "order-1") for book in books)
    assert minor_units(shop["total"]) == minor_units(bank["total"]) == 5000
    assert shop["placed_at"] == bank["placed_at"]


def test_a_number_is_read_as_it_was_written_and_never_as_a_float(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text('{"1": {"total": 0.30000000000000000001, "placed_at": "2026-03-01T09:15:00Z"}}')
    assert read_order(book, "1")["total"] == Decimal("0.30000000000000000001")


def test_an_order_that_is_not_in_the_book_is_an_error(books: tuple[Path, Path]) -> None:
    with pytest.raises(NotFoundError, match="has no order 'order-3'"):
        read_order(books[0], "order-3")


def test_fractions_of_a_cent_are_an_error() -> None:
    with pytest.raises(MalformedError, match=r"found 50\.001"):
        minor_units(Decimal("50.001"))
