"""The rule about skips, tried on a small suite of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SUITE = """
import pytest

def test_a_tool_is_missing():
    pytest.skip("node is not installed")

def test_borrowed_data_is_missing():
    pytest.skip("shared/data is not beside this checkout")

@pytest.mark.xfail(reason="known", strict=True)
def test_an_expected_failure():
    raise ValueError
"""
MODULE_SKIP = 'import pytest\npytest.skip("node is not installed", allow_module_level=True)\n'


@pytest.mark.parametrize(
    ("ci", "suite", "closing"),
    [
        ("true", SUITE, "1 failed, 1 skipped, 1 xfailed"),
        ("", SUITE, "2 skipped, 1 xfailed"),
        ("true", MODULE_SKIP, "1 error"),
        ("", MODULE_SKIP, "1 skipped"),
    ],
    ids=["ci", "at home", "ci, a whole module", "at home, a whole module"],
)
def test_in_ci_a_skip_fails_unless_only_the_borrowed_data_is_missing(
    ci: str, suite: str, closing: str, tmp_path: Path
) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_suite.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False
    )
    assert closing in done.stdout.splitlines()[-1], done.stdout
