"""Stock MCP servers, which others wrote and run: npm packages of tests/upstreams, by hash from its lock."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ROOT / "tests" / "upstreams" / "node_modules" / "@modelcontextprotocol"


def stock_server(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of `server-filesystem` or `server-everything`; a test that lacks it skips."""
    node = shutil.which("node", path=os.pathsep.join((str(ROOT / ".venv" / "bin"), os.environ.get("PATH", ""))))
    if node is None:
        pytest.skip("tool missing: node")
    script = PACKAGES / name / "dist" / "index.js"
    if not script.is_file():
        pytest.skip("tool missing: the packages of tests/upstreams/ (npm ci there)")
    return node, str(script), *arguments
