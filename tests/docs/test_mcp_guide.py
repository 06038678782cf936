"""docs/guides/mcp.md: its contract is one, and the tools that it lists are those that there are."""

import re
from pathlib import Path

from invoke_log.guard.registry import read_map
from invoke_log.rules.contract import complete_contract, parse_contract
from invoke_log.surfaces.mcp_server.tools import Tools

GUIDE = Path("docs/guides/mcp.md").read_text(encoding="utf-8")


def test_the_contract_is_one() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    contract = parse_contract(complete_contract(read_map(text.encode(), ".toml", "guide")))
    assert contract.name == "pay"
    assert contract.definite_failures == {"declined"}


def test_every_tool_that_reads_is_listed_and_no_other() -> None:
    rows = GUIDE.partition("## Asking the log")[2].split("\n\n")
    [table] = [part for part in rows if part.startswith("| tool |")]
    there = {name for name, value in vars(Tools).items() if callable(value) and not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", table)) == there - {"reading", "propose"}
