"""The rule about skips and what workers report, tried on small suites of their own."""

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
SPREAD = """
import time
import pytest

def test_a_tool_is_missing():
    pytest.skip("node is not installed")

@pytest.mark.parametrize("part", range(4))
def test_a_figure_in_parts(part, record_property):
    record_property("figure", ("parts", 2, 1))

def test_nobody_ends():
    time.sleep(600)
"""
MODULE_SKIP = 'import pytest\npytest.skip("node is not installed", allow_module_level=True)\n'


@pytest.mark.parametrize(
    ("ci", "closing"),
    [("true", "1 failed, 1 skipped, 1 xfailed, 1 error"), ("", "3 skipped, 1 xfailed")],
    ids=["ci", "at home"],
)
def test_in_ci_a_skip_fails_unless_only_the_borrowed_data_is_missing(ci: str, closing: str, tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(MODULE_SKIP)
    said = ran(tmp_path, SUITE, "--continue-on-collection-errors", ci=ci)
    assert closing in said.splitlines()[-1], said


def test_a_worker_refuses_a_skip_passes_on_its_figures_and_is_replaced_where_a_test_has_no_end(tmp_path: Path) -> None:
    said = ran(tmp_path, SPREAD, "-n", "1", ci="true")
    assert "2 failed, 4 passed" in said.splitlines()[-1], said
    assert f"{8:>9,} {4:>9,}  parts\n" in said
    assert "crashed while running 'test_suite.py::test_nobody_ends'" in said
    assert "node is not installed; with CI=true nothing but shared/data may be missing" in said


def test_bytes_are_never_taken_for_text() -> None:
    """Python says so if it was asked to; each worker has to be asked."""
    if sys.flags.bytes_warning < 2:
        pytest.skip("not run by python -bb")
    with pytest.raises(BytesWarning):
        str(b"")


def ran(place: Path, suite: str, *switches: str, ci: str) -> str:
    """Return what a run of a suite under our conftest says."""
    shutil.copy(CONFTEST, place)
    (place / "pytest.ini").write_text("[pytest]\nfaulthandler_timeout = 3\nfaulthandler_exit_on_timeout = true\n")
    (place / "test_suite.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *switches, str(place)]
    done = subprocess.run(command, cwd=place, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False)
    return done.stdout
