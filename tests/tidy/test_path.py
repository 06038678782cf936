"""The path of one call, as the package's docstring tells it: each step names a module, and each module is there."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "invoke_log"

STEP = re.compile(r"^\W*(\d+)\b", re.MULTILINE)  # a line that begins with the step's number, whatever frames it
MODULE = re.compile(r"\b[a-z_]+(?:/[a-z_]+)*/(?:[a-z_]+|\*)\.py")

MODULES_MIN = 10


def steps(docstring: str) -> dict[int, list[str]]:
    """Return the modules that each numbered step names, by number; a step goes on to the next numbered line."""
    _, *parts = STEP.split(docstring)
    return {int(number): MODULE.findall(text) for number, text in zip(parts[::2], parts[1::2], strict=True)}


def path_of_one_call() -> dict[int, list[str]]:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    return steps(ast.get_docstring(tree) or "")


def test_the_steps_are_numbered_from_one_without_a_gap() -> None:
    numbers = list(path_of_one_call())
    assert numbers
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_step_names_a_module() -> None:
    assert [number for number, modules in path_of_one_call().items() if not modules] == []


def test_the_path_is_told_in_full() -> None:
    assert len({module for modules in path_of_one_call().values() for module in modules}) >= MODULES_MIN


def test_each_module_named_is_there() -> None:
    named = {module for modules in path_of_one_call().values() for module in modules}
    assert sorted(module for module in named if not list(PACKAGE.glob(module))) == []


def test_a_step_is_read_from_a_table_and_from_plain_lines() -> None:
    table = "| 1 | freeze | `rules/snapshot.py` |\n"
    lines = " 2  say   rules/intent.py under\n          rules/contract.py\n 3. admit over store/*.py\n"
    assert steps("The path, 9 lines.\n\n" + table + lines) == {
        1: ["rules/snapshot.py"],
        2: ["rules/intent.py", "rules/contract.py"],
        3: ["store/*.py"],
    }
