"""A program as users write one: it opens its log, and puts a tool under a guard."""

from pathlib import Path

import invoke_log as il

PROVIDER = Path("provider.txt")

log = il.Log.open("payments")
guard = il.Guard(log)


def find_charge(invoke: il.Call) -> list[str]:
    """Return the charges that the provider has under a tag."""
    lines = PROVIDER.read_text().split() if PROVIDER.exists() else []
    return [charge for charge, _, tag in (line.partition("=") for line in lines) if tag == invoke.tag]


@guard.tool(il.Contract.load("charge.toml"), read_back=find_charge)
def charge_customer(order: str, customer: str, amount: int, *, invoke: il.Call) -> str:
    """Charge, and lose the answer."""
    PROVIDER.write_text(f"pi_1={invoke.tag}\n")
    raise TimeoutError
