"""A log for MCP clients to ask: one effect committed, one unknown, one that waits for approval; and the client."""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.session import ElicitationFnT
from mcp.types import CallToolResult

import invoke_log as il
from invoke_log.rules.contract import Contract, complete_contract, parse_contract
from invoke_log.rules.policy import complete_policy, parse_policy

SOURCE: Final = Path(__file__).parents[2] / "src"
TIMEOUT_S: Final = 60.0
ERAS: Final = ("2026-07-28", "legacy")
PAY: Final[dict[str, Any]] = {
    "name": "pay",
    "effect_class": "money.pay/1",
    "resource": "bank/{account}",
    "purpose": "order",
    "observability": "fire-and-forget",
    "timeout_ms": 2_000,
    "definite_failures": ["-32000", "-32001", "declined"],  # the first two are what the SDK itself raises
    "arguments": {
        "account": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "order": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "amount": {"role": "content", "schema": {"type": "integer", "min": 1, "max": 1_000_000}},
    },
}
ASK_ABOVE_1000: Final[dict[str, Any]] = {
    "name": "ask",
    "source": {
        "rules": [
            {
                "name": "small",
                "then": "allow",
                "when": [{"field": ["arguments", "amount"], "test": "at_most", "value": 1_000}],
            },
            {
                "name": "large",
                "then": "ask",
                "when": [{"field": ["arguments", "amount"], "test": "at_most", "value": 100_000}],
            },
        ]
    },
}
Ask = Callable[[Callable[[Client], Awaitable[Any]]], Any]
Call = tuple[str, dict[str, Any]]


def contract(**changed: Any) -> Contract:
    """Return the contract `pay`, some fields of it changed."""
    return parse_contract(complete_contract({**PAY, **changed}))


def make_log(path: Path, **changed: Any) -> il.Log:
    """Return an open log with the contract, and the policy that asks above 1,000."""
    log = il.Log.create(path, origin="example.com/payments")
    admin = il.load_key(path / "keys" / "admin.key")
    for data in (contract(**changed), parse_policy(complete_policy(ASK_ABOVE_1000))):
        log.append(log.draft(data, admin))
    return log


def make_shop(path: Path) -> dict[str, str]:
    """Make the log, and return its effect keys by how they stand."""
    with make_log(path) as log:
        guard = il.Guard(log)

        @guard.tool(contract())
        def pay(account: str, order: str, amount: int) -> str:
            if order == "lost":
                raise TimeoutError
            return f"paid {amount}"

        endings = {
            "committed": guard.call("pay", order("done", 500)),
            "unknown": guard.call("pay", order("lost", 600)),
            "claimed": guard.call("pay", order("large", 5_000)),
        }
        return {status: ending.effect_key for status, ending in endings.items()}


def order(name: str, amount: int) -> dict[str, Any]:
    """Return the arguments of a call."""
    return {"account": "acct_1", "order": name, "amount": amount}


def parameters(*arguments: str) -> StdioServerParameters:
    """Return how a stock client starts `invoke-log` as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return StdioServerParameters(command=sys.executable, args=["-m", "invoke_log", *arguments], env=environment)


@contextmanager
def connected(
    server: StdioServerParameters, *, era: str = ERAS[0], person: ElicitationFnT | None = None
) -> Iterator[Ask]:
    """Connect a stock client over stdio in a protocol era, in a thread with an event loop, and yield how to use it.

    person: answers what the client is to ask; None: it says that it cannot.
    """
    client = Client(server, mode=era, read_timeout_seconds=TIMEOUT_S, elicitation_callback=person)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):

        def ask(question: Callable[[Client], Awaitable[Any]]) -> Any:
            return portal.call(question, client)

        yield ask


def told(ask: Ask, *calls: Call) -> list[CallToolResult]:
    """Return the results of calls, one after the other."""

    async def question(client: Client) -> list[CallToolResult]:
        return [await client.call_tool(name, arguments) for name, arguments in calls]

    results: list[CallToolResult] = ask(question)
    return results


def fields_of(result: CallToolResult) -> dict[str, Any]:
    """Return a result's structured content."""
    found = result.structured_content
    assert isinstance(found, dict), result
    return found
