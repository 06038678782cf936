"""docs/adapters.md names the adapters that are there, and of each what it has."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from invoke_log import adapter

TEXT = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `adapter\.(\w+)` \|(.*)\|$", re.MULTILINE)
ROWS = {name: re.findall(r"`(\w+)`", cells.rpartition("|")[0]) for name, cells in ROW.findall(TEXT)}
SHARED = {"http", "webhook"}


def test_every_adapter_has_a_row() -> None:
    modules = {module.name for module in pkgutil.iter_modules(adapter.__path__)}
    assert ROWS.keys() == modules - SHARED


@pytest.mark.parametrize("name", ROWS)
def test_what_a_row_names_is_there(name: str) -> None:
    module = importlib.import_module(f"invoke_log.adapter.{name}")
    assert ROWS[name]
    assert [function for function in ROWS[name] if not callable(getattr(module, function, None))] == []


def test_the_examples_are_python_and_import_what_is_there() -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 3  # tests/counterparties/test_stripe_messages.py runs the one that hears messages
    imports = [node for text in examples for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    missing = [
        alias.name
        for node in imports
        for alias in node.names
        if not hasattr(importlib.import_module(str(node.module)), alias.name)
    ]
    assert missing == []
