"""Words and names that do not belong into the tree: hosts, machine paths, catch-all modules, notes to self."""

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]

BORROWED = ("LICENSE",)  # kept unchanged

# Each pattern is written so that it does not match its own source.
FORBIDDEN_TEXT = {
    "a package registry's host": re.compile(
        r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|debian\.org|proxy\.golang"
    ),
    "a path of one machine": re.compile(r"(?<![\w.~/-])/(?:work|root|home|Users|tmp)/\w"),
    "a note to self": re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b"),
    "transaction lo[g]": re.compile(r"\btransaction lo[g]\b", re.IGNORECASE),
}
FORBIDDEN_CLASS = re.compile(r"^class \w*(?:Manager|Service|Handler|Processor|Context)\b", re.MULTILINE)
FORBIDDEN_FILES = {
    f"{name}.py" for name in ("utils", "util", "helpers", "common", "misc", "base", "core", "models", "constants")
}


def files() -> list[str]:
    """Return the paths that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(path for path in set(listed) if path and (ROOT / path).is_file())


def texts() -> dict[str, str]:
    """Return the text files of our own by path."""
    found = {}
    for path in files():
        if path.startswith(BORROWED):
            continue
        try:
            found[path] = (ROOT / path).read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
    return found


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_file_holds(what: str) -> None:
    hits = [f"{path}: {hit.group()!r}" for path, text in texts().items() for hit in FORBIDDEN_TEXT[what].finditer(text)]
    assert hits == []


def test_no_module_is_a_catch_all() -> None:
    assert [path for path in files() if PurePosixPath(path).name in FORBIDDEN_FILES] == []


def test_no_class_owns_everything() -> None:
    sources = {path: text for path, text in texts().items() if path.startswith("src/") and path.endswith(".py")}
    assert sources
    assert [f"{path}: {hit.group()}" for path, text in sources.items() for hit in FORBIDDEN_CLASS.finditer(text)] == []


def test_no_tests_folder_is_a_package() -> None:
    assert [path for path in files() if path.startswith("tests/") and path.endswith("/__init__.py")] == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a package registry's host", "https://pypi" + ".org/simple"),
        ("a path of one machine", 'cd "/' + 'work/main"'),
        ("a path of one machine", "/" + "home/someone"),
        ("a note to self", "# TO" + "DO: later"),
        ("transaction lo[g]", "a Transaction " + "Log"),
    ],
)
def test_the_pattern_finds_what_it_is_for(what: str, text: str) -> None:
    assert FORBIDDEN_TEXT[what].search(text)


@pytest.mark.parametrize("text", ["example.com/work/1", "charge/home/delivery", "~/home/x", "out/tmp/x", "../root/x"])
def test_a_relative_path_is_no_path_of_one_machine(text: str) -> None:
    assert not FORBIDDEN_TEXT["a path of one machine"].search(text)
