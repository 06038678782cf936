"""The size limits: modules, functions, parameters, nesting, public names, test files.

A limit is a question. A long, straight function whose steps must be read together says so in a line of its own:
`# tidy: long, because …`. Nothing lifts the other limits.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "vectors" / "generate").glob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MODULE_LINES_MAX = 500
TEST_FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 7
NESTING_MAX = 4
PUBLIC_NAMES_MAX = 50

LONG_BECAUSE = re.compile(r"# tidy: long, because \S+")

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_keeps_within_the_limits(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    lines = source.count("\n")
    assert lines <= MODULE_LINES_MAX
    assert oversized(source) == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_test_file_keeps_within_the_limit(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= TEST_FILE_LINES_MAX


def test_the_package_keeps_its_public_names_few() -> None:
    tree = ast.parse((ROOT / "src" / "invoke_log" / "__init__.py").read_text(encoding="utf-8"))
    [names] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert len(names) == len(set(names)) <= PUBLIC_NAMES_MAX


def oversized(source: str) -> list[str]:
    """Return one line for each limit that a function of this source breaks."""
    lines = source.splitlines()
    found = []
    for function in functions(ast.parse(source)):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        explained = any(LONG_BECAUSE.search(line) for line in lines[function.lineno - 1 : function.end_lineno])
        if length > FUNCTION_LINES_MAX and not explained:
            found.append(f"{function.name}: {length} lines, want {FUNCTION_LINES_MAX}")
        if parameters(function) > PARAMETERS_MAX:
            found.append(f"{function.name}: {parameters(function)} parameters, want {PARAMETERS_MAX}")
        if nesting(function.body) > NESTING_MAX:
            found.append(f"{function.name}: nested {nesting(function.body)} deep, want {NESTING_MAX}")
    return found


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def parameters(function: Function) -> int:
    """Return how many arguments a caller sees: all but `self` and `cls`."""
    args = function.args
    named = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    own = 1 if named[:1] in (["self"], ["cls"]) else 0
    return len(named) - own + len(args.kwonlyargs) + (args.vararg is not None) + (args.kwarg is not None)


def nesting(body: list[ast.stmt]) -> int:
    """Return the deepest block in these statements. An `elif` is no deeper than its `if`; a function begins anew."""
    return max((_depth(statement) for statement in body), default=0)


def _depth(statement: ast.stmt) -> int:
    if not isinstance(statement, BLOCKS):
        return 0
    if isinstance(statement, ast.If) and len(statement.orelse) == 1 and isinstance(statement.orelse[0], ast.If):
        return max(1 + nesting(statement.body), _depth(statement.orelse[0]))
    children = list(ast.iter_child_nodes(statement))
    inner = [child for child in children if isinstance(child, ast.stmt)]
    arms = [child for child in children if isinstance(child, ast.ExceptHandler | ast.match_case)]
    return 1 + nesting([*inner, *(line for arm in arms for line in arm.body)])


def test_a_function_of_71_lines_is_reported_unless_it_says_why() -> None:
    body = "\n".join(["    x = 1"] * 70)
    assert oversized(f"def f():\n{body}\n") == ["f: 71 lines, want 70"]
    assert oversized(f"def f():\n    # tidy: long, because order\n{body}\n") == []
    assert oversized(f"def f():\n    # tidy: long, because \n{body}\n") == ["f: 72 lines, want 70"]
    assert oversized("def f():\n" + "\n".join(["    x = 1"] * 69)) == []


def test_the_eighth_parameter_is_reported() -> None:
    assert oversized("def f(a, b, c, d, *, e, g, h): ...") == []
    assert oversized("class C:\n    def f(self, a, b, c, d, *, e, g, h): ...") == []
    assert oversized("async def f(a, /, b, c, d, *e, g, h, **i): ...") == ["f: 8 parameters, want 7"]


def test_the_fifth_nested_block_is_reported_and_elif_is_no_deeper() -> None:
    assert (
        oversized("def f():\n for a in b:\n  with a:\n   try: ...\n   except E:\n    if a: ...\n    elif b: ...\n")
        == []
    )
    assert oversized(
        "def f():\n for a in b:\n  with a:\n   try: ...\n   except E:\n    if a:\n     while b: ...\n"
    ) == ["f: nested 5 deep, want 4"]
    assert oversized("def f():\n match a:\n  case b:\n   if a:\n    if b:\n     if c:\n      if d: ...\n") == [
        "f: nested 5 deep, want 4"
    ]
    assert oversized("def f():\n if a:\n  if b:\n   if c:\n    if d:\n     def g():\n      if e: ...\n") == []
