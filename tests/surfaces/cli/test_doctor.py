"""`doctor` sees a key file that others may read, and a log that is not there; the speed of this disk is not tested."""

import json
from pathlib import Path

import pytest

from invoke_log.surfaces.cli.main import main


def checks(log: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, bool]]:
    """Return the exit code, and of each check the worst of its lines."""
    code = main(["doctor", "--log", str(log), "--json"])
    found: dict[str, bool] = {}
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        found[line["check"]] = found.get(line["check"], True) and line["ok"]
    return code, found


def test_a_log_as_it_was_made_passes_but_for_what_its_disk_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    capsys.readouterr()
    code, found = checks(log, capsys)
    assert list(found) == ["signatures", "log", "key", "flush", "space"]
    assert found["signatures"]
    assert found["log"]
    assert found["key"]
    assert code == (0 if all(found.values()) else 3)


def test_a_key_that_others_may_read_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    (log / "keys" / "agent.key").chmod(0o644)
    capsys.readouterr()
    code, found = checks(log, capsys)
    assert (code, found["key"]) == (3, False)


def test_a_log_that_is_not_there_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checks(tmp_path / "none", capsys)
    assert (code, found) == (3, {"signatures": True, "log": False})
