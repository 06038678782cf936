"""What every test can rely on: the same random examples in CI, no quiet skips, borrowed test data if it is there."""

import os
import re
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

IN_CI = os.environ.get("CI") == "true"
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# No deadline: a shared machine stalls for longer than any useful one. CI draws the same examples every time.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of borrowed test data, or skip: it lies beside the checkout and is not part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("shared/data is not beside this checkout")
    return SHARED_DATA


def skip_is_refused(reason: str, *, in_ci: bool) -> bool:
    """Return whether a skip has to fail: in CI a missing tool is an untested claim, only the borrowed data may lack."""
    return in_ci and re.search(r"shared[/ ]data", reason) is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests counted: a row for each `figure`, its parts added up, and each `note` below them."""
    # By their names: many processes report in any order.
    passed = sorted(terminalreporter.getreports("passed"), key=lambda report: report.nodeid)
    said = [each for report in passed for each in report.user_properties]
    if not said:
        return
    rows: dict[str, tuple[int, int]] = {}
    for what, tried, held in (value for name, value in said if name == "figure"):
        tried_before, held_before = rows.get(what, (0, 0))
        rows[what] = tried_before + tried, held_before + held
    terminalreporter.section("figures: tried, survived or refused")
    for what, (tried, held) in rows.items():
        terminalreporter.write_line(f"{tried:>9,} {held:>9,}  {what}")
    for line in (value for name, value in said if name == "note"):
        terminalreporter.write_line(f"{'':>20} {line}")


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a refused skip into a failure that says where it is and why."""
    if not (report.skipped and isinstance(report.longrepr, tuple)):
        return
    where, line, reason = report.longrepr
    if skip_is_refused(reason, in_ci=IN_CI):
        report.outcome = "failed"
        report.longrepr = f"{where}:{line}: {reason}; with CI=true nothing but shared/data may be missing"
