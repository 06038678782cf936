"""docs/guides/mcp.md: its first minute is lived through, and the tools that it lists are those there are."""

import json
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp import StdioServerParameters

from invoke_log.guard.registry import read_map
from invoke_log.rules.contract import complete_contract, parse_contract
from invoke_log.surfaces.cli.main import main
from invoke_log.surfaces.mcp_server.tools import Tools
from tests.harness.mcp_shop import SOURCE, connected, order, told

GUIDE = Path("docs/guides/mcp.md").read_text(encoding="utf-8")
MINUTE = GUIDE.partition("## An agent's server under contracts, in a minute")[2].partition("\n## ")[0]
BANK = Path("tests/harness/bank_server.py").resolve()


def lines(console: str) -> list[list[str]]:
    """The arguments of each command line of a console block; each is ours."""
    found = [shlex.split(line.removeprefix("$ ")) for line in console.splitlines()]
    assert all(name == "invoke-log" for name, *_ in found)
    return [arguments for _, *arguments in found]


def test_the_first_minute_wires_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, settled, after = re.findall(r"```(?:console|toml)\n(.*?)```", MINUTE, re.DOTALL)
    config, installed = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", MINUTE, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["pytest"])
    Path("bank_server.py").write_text(
        f"import runpy, sys\nsys.argv = [{str(BANK)!r}, 'ledger']\nrunpy.run_path({str(BANK)!r}, run_name='__main__')\n"
    )
    Path(".mcp.json").write_text(json.dumps(config))
    assert [main(arguments) for arguments in lines(before)] == [0, 0]
    drafts = {name: tomllib.loads(Path(f"contracts/{name}.toml").read_text()) for name in ("pay", "balance")}
    assert [main(arguments) for arguments in lines(after)[:2]] == [4, 4], "nobody has settled them"
    settle("pay", drafts["pay"], tomllib.loads(settled), settled)
    reads = 'name = "balance"\neffect_class = "none"\nresource = "bank"\n'
    settle("balance", drafts["balance"], tomllib.loads(reads), reads)
    assert [main(arguments) for arguments in lines(after)] == [0, 0, 0]
    bank = json.loads(Path(".mcp.json").read_text())["mcpServers"]["bank"]
    args = [str(tmp_path / word) if word == "payments" else word for word in installed["args"]]
    assert bank == {"command": sys.executable, "args": ["-m", "invoke_log", *args]}
    runs = StdioServerParameters(
        command=bank["command"], args=bank["args"], env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    with connected(runs) as ask:
        paid, again, read = told(
            ask, ("pay", order("ok-1", 100)), ("pay", order("ok-1", 100)), ("balance", {"account": "acct_1"})
        )
    assert [(each.meta or {})["invoke-log/fresh"] for each in (paid, again)] == [True, False]
    assert read.structured_content == {"result": 100}
    assert len(Path("ledger").read_text().splitlines()) == 1


def settle(name: str, draft: dict[str, Any], contract: dict[str, Any], text: str) -> None:
    """Write what the guide says into a draft's place; it says nothing of a tool that the draft does not ask about."""
    assert contract["name"] == draft["name"]
    for argument, of in contract.get("arguments", {}).items():
        assert (of["role"], of["schema"]["type"]) == (
            draft["arguments"][argument]["role"],
            draft["arguments"][argument]["schema"]["type"],
        )
    Path(f"contracts/{name}.toml").write_text(text)


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
