"""The list of removals: whole, in step with the code, and true: a part of it is tried here, all by `make removals`."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.removals import run

REMOVALS = run.load()
CLAUSE = re.compile(r"\[([A-Z][A-Z0-9]*-\d+)\]")
SECTION = re.compile(r"^#+ (\d+\.\d+) ", re.MULTILINE)  # what stands in a section's table and in no clause

SAMPLE = 6


def test_each_clause_of_the_spec_is_taken_out_or_is_said_to_be_no_code() -> None:
    spec = (run.ROOT / "SPEC.md").read_text(encoding="utf-8")
    clauses, not_code = set(CLAUSE.findall(spec)), run.not_code()
    taken_out = {removal.clause for removal in REMOVALS} - set(SECTION.findall(spec))
    assert sorted(taken_out ^ (clauses - not_code.keys())) == []
    assert sorted(not_code.keys() - clauses) == []
    assert all(not_code.values())


def test_no_removal_is_listed_twice_and_each_one_changes_something() -> None:
    edits = [(removal.clause, removal.file, removal.old, removal.new) for removal in REMOVALS]
    assert sorted({edit for edit in edits if edits.count(edit) > 1}) == []
    assert [removal for removal in REMOVALS if removal.old == removal.new] == []


def test_what_is_taken_out_stands_there_once_and_leaves_python() -> None:
    faults = []
    for removal in REMOVALS:
        try:
            ast.parse(removal.apply((run.ROOT / run.PACKAGE / removal.file).read_text(encoding="utf-8")))
        except (OSError, ValueError, SyntaxError) as error:
            faults.append(f"{removal}: {error}")
    assert faults == []


def test_each_named_test_is_there() -> None:
    named = {tuple(test.partition("[")[0].split("::")[:2]) for removal in REMOVALS for test in removal.tests}
    there = {path: definitions(run.ROOT / path) for path in {path for path, _ in named}}
    assert sorted((path, name) for path, name in named if name not in there[path]) == []
    assert [str(removal) for removal in REMOVALS if not removal.tests] == []


def definitions(path: Path) -> set[str]:
    """Return the functions and classes of a test module; a class may have its tests from elsewhere."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def test_a_part_of_the_list_is_caught() -> None:
    said = subprocess.run(
        [sys.executable, "-bb", run.__file__, "--sample", str(SAMPLE)], capture_output=True, text=True, check=False
    )
    assert said.stdout.endswith(f"{SAMPLE} tried, {SAMPLE} caught, 0 survived, 0 hung, 0 broken\n"), said


DOOR = """
def enter(age: int, name: str) -> str:
    if age < 18:
        raise ValueError(age)
    if not name:
        raise ValueError(name)
    for _ in range(age):
        pass
    return name
"""
TESTS = """
import pytest
from invoke_log.door import enter

def test_a_child_stays_outside():
    with pytest.raises(ValueError):
        enter(17, "x")

def test_whoever_is_of_age_enters():
    assert enter(18, "x") == "x"
"""
CHILD = "tests/test_door.py::test_a_child_stays_outside"
ADULT = "tests/test_door.py::test_whoever_is_of_age_enters"
TRIED = (
    ("if age < 18:", "if False:", CHILD, "caught"),
    ("if age < 18:", "if False:", ADULT, "survived"),
    ("if not name:", "if False:", CHILD, "survived"),
    ("if age < 18:", "if years < 18:", CHILD, "broken"),
    ("if age < 18:", "if age < 18", CHILD, "broken"),
    ("for _ in range(age):", "while True:", ADULT, "hung"),
)


def test_only_a_test_that_fails_has_caught_it(tmp_path: Path) -> None:
    done = tried(tmp_path, [(old, new, test) for old, new, test, _ in TRIED])
    lines = [line for line in done.stdout.splitlines() if re.match(r" *\d+/6 ", line)]
    words = {line.split()[4]: line.split()[1] for line in lines}
    assert words == {f"A-{at}": word for at, (*_, word) in enumerate(TRIED, 1)}, done
    assert done.stdout.endswith("6 tried, 1 caught, 2 survived, 1 hung, 2 broken\n")
    assert done.returncode == 1


def test_where_all_are_caught_all_is_well(tmp_path: Path) -> None:
    done = tried(tmp_path, [TRIED[0][:3]])
    assert done.stdout.endswith("1 tried, 1 caught, 0 survived, 0 hung, 0 broken\n"), done
    assert done.returncode == 0


def test_a_test_that_fails_on_the_tree_as_it_is_proves_nothing(tmp_path: Path) -> None:
    done = tried(tmp_path, [("18", "0", "tests/test_door.py::test_that_is_not_there")])
    assert done.returncode == 1
    assert done.stderr.endswith("error: a named test does not pass on the tree as it is\n")


def test_an_edit_that_fits_nowhere_or_twice_is_an_error() -> None:
    removal = run.Removal(clause="A-1", file="door.py", old="raise", new="return", tests=(CHILD,))
    with pytest.raises(ValueError, match="2 times, want once"):
        removal.apply(DOOR)
    with pytest.raises(ValueError, match="0 times, want once"):
        removal.apply("")


def tried(root: Path, removals: Sequence[tuple[str, str, str]]) -> "subprocess.CompletedProcess[str]":
    """Run a list of (old, new, test) on a small tree, with a runner of its own."""
    package, folder = root / "src" / "invoke_log", root / "tests" / "removals"
    for directory in (package, folder):
        directory.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "door.py").write_text(DOOR)
    (root / "tests" / "test_door.py").write_text(TESTS)
    listed = (
        f"[[removal]]\nclause = 'A-{at}'\nfile = 'door.py'\nold = '{old}'\nnew = '{new}'\ntests = ['{test}']\n"
        for at, (old, new, test) in enumerate(removals, 1)
    )
    (folder / "01.toml").write_text("\n".join(listed))
    script = shutil.copy(run.__file__, folder)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-bb", script, "--jobs", "1", "--limit", "5"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
