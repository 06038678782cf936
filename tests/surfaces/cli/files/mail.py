"""A program with a tool that nobody can ask about, and one whose provider can be listed."""

from collections.abc import Iterator
from pathlib import Path

import invoke_log as il

SHELF = Path("shelf.txt")

log = il.Log.open("payments")
guard = il.Guard(log)


@guard.tool(
    "mail.send/1", resource="mail/{to}", purpose="letter", timeout_ms=400, send_deadline_ms=200, quiescence_ms=200
)
def send_mail(to: str, letter: str) -> None:
    """Send, and hear nothing."""
    raise TimeoutError


def listing() -> Iterator[tuple[str, str | None]]:
    """List what stands on the shelf: a reference and a tag a line."""
    for line in SHELF.read_text().splitlines():
        reference, _, tag = line.partition("=")
        yield reference, tag or None


@guard.tool("parcel.send/1", resource="parcel/{to}", purpose="order", read_back=lambda call: [], sweep=listing)
def send_parcel(to: str, order: str, *, invoke: il.Call) -> None:
    """Send, and lose the answer."""
    with SHELF.open("a") as shelf:
        print(f"box_1={invoke.tag}", file=shelf)
    raise TimeoutError
