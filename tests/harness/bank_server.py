"""An MCP server with one tool, `pay`, which does what the order's name says; `refund` and `tip`, where nothing goes
wrong; and `balance`, which reads.

Each payment is a line in the ledger file, flushed to disk before anything is answered.

    python bank_server.py LEDGER
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, TextContent

LEDGER = Path(sys.argv[1])
HANG_S = 30.0
WIRE = Path("/proc/self/fd/1").readlink()
server = MCPServer("bank", log_level="ERROR")


def land(account: str, order: str, amount: int, key: str) -> None:
    with LEDGER.open("a") as stream:
        stream.write(f"{account} {order} {amount} {key}\n")
        stream.flush()
        os.fsync(stream.fileno())


@server.tool()
def pay(account: str, order: str, amount: int, context: Context[Any, Any]) -> Any:
    """Pay. The order's name says what goes wrong."""
    how = order.partition("-")[0]
    if how == "declined":
        return CallToolResult(
            content=[TextContent(type="text", text="declined")], structured_content={"code": "declined"}, is_error=True
        )
    if how == "exit":
        os._exit(1)
    meta = dict(context.request_context.meta or {})
    land(account, order, amount, str(meta.get("invoke-log/effect")))
    if how == "slow":
        time.sleep(0.7)
    if how == "errs":
        raise ToolError("internal error")
    if how == "declares":
        return CallToolResult(
            content=[TextContent(type="text", text="odd")], structured_content={"code": "odd"}, is_error=True
        )
    if how == "typed":
        return CallToolResult(content=[], result_type=order.partition("-")[2])
    if how == "asks":
        return InputRequiredResult(request_state="and then?")
    if how == "dies":
        os._exit(1)
    if how == "kills":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(HANG_S)
    if how == "hangs":
        time.sleep(HANG_S)
    if how == "twice":
        twice()
    return f"paid {amount} for {order}"


def twice() -> None:
    """Write answers that nobody asked for, and another one to the request that is answered now, on the wire itself."""
    line = '{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"again"}],"resultType":"complete"}}\n'
    wire = max(int(each.name) for each in Path("/proc/self/fd").iterdir() if is_wire(each))
    for number in range(2, 60):
        os.write(wire, (line % number).encode())


def is_wire(descriptor: Path) -> bool:
    """Whether it leads to where answers go: the SDK has moved it off descriptor 1."""
    try:
        return descriptor.readlink() == WIRE
    except OSError:
        return False


@server.tool()
def refund(account: str, order: str, amount: int) -> Any:
    """Pay back, or ask for more before anything is done."""
    if order.startswith("asks"):
        return InputRequiredResult(request_state="and then?")
    if order.startswith("typed"):
        return CallToolResult(content=[], result_type=order.partition("-")[2])
    land(account, order, amount, "refund")
    return f"refunded {amount} for {order}"


@server.tool()
def tip(account: str, order: str, amount: int) -> str:
    """Pay more."""
    land(account, order, amount, "tip")
    return f"tipped {amount} for {order}"


@server.tool()
def balance(account: str) -> int:
    """What was paid from an account."""
    lines = LEDGER.read_text().splitlines() if LEDGER.exists() else []
    return sum(int(line.split()[2]) for line in lines if line.split()[0] == account)


if __name__ == "__main__":
    server.run("stdio")
