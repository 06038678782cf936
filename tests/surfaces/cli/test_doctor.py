"""`doctor` sees a key file that others may read, a log that is not there, and one whose time stands still.

The speed of this disk is not tested.
"""

import importlib
import json
from pathlib import Path

import pytest

from invoke_log.ledger import log as ledger
from invoke_log.log.signer import lock_key_file
from invoke_log.surfaces.cli.main import main

ALL = ["signatures", "log", "clock", "key", "flush", "space"]


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
    assert list(found) == ALL
    assert found["signatures"]
    assert found["log"]
    assert found["clock"]
    assert found["key"]
    assert code == (0 if all(found.values()) else 3)


@pytest.mark.parametrize("name", ["agent", "log"])
def test_a_key_that_others_may_read_fails_and_the_other_checks_are_made(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    (log / "keys" / f"{name}.key").chmod(0o644)
    capsys.readouterr()
    code, found = checks(log, capsys)
    assert (code, found["key"], list(found)) == (3, False, ALL)


def test_where_this_user_may_not_write_is_a_check_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*, dir: Path) -> None:  # noqa: A002 -- as the standard library names it
        raise PermissionError(13, "Permission denied", str(dir))

    log = tmp_path / "log"
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    monkeypatch.setattr(importlib.import_module("invoke_log.surfaces.cli.doctor"), "TemporaryFile", refused)
    capsys.readouterr()
    code, found = checks(log, capsys)
    assert (code, found["flush"], list(found)) == (3, False, ALL)


def test_a_key_that_is_locked_is_said_to_be_and_moves_no_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, now_ms = tmp_path / "log", ledger._now_ms()
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    lock_key_file(log / "keys" / "log.key", passphrase=b"open sesame")
    monkeypatch.setattr(ledger, "_now_ms", lambda: now_ms + 120_000)
    capsys.readouterr()
    code = main(["doctor", "--log", str(log), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [message] = [line["message"] for line in lines if "log.key" in line["message"]]
    assert "a locked key" in message
    assert (code, [line["ok"] for line in lines if line["check"] == "clock"]) == (3, [False])


def test_a_log_whose_time_stands_still_fails_where_its_key_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or where it is ahead of this machine's; with the key at hand, the next append ticks."""
    log, now_ms = tmp_path / "log", ledger._now_ms()
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    capsys.readouterr()
    for ms, here, fine in (
        (120_000, True, True),
        (-120_000, True, False),
        (120_000, False, False),
        (9_000, False, True),
    ):
        if not here:
            (log / "keys" / "log.key").unlink(missing_ok=True)
        monkeypatch.setattr(ledger, "_now_ms", lambda ms=ms: now_ms + ms)
        assert checks(log, capsys)[1]["clock"] is fine, ms


def test_a_log_that_is_not_there_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checks(tmp_path / "none", capsys)
    assert (code, found) == (3, {"signatures": True, "log": False})
    main(["doctor", "--log", str(tmp_path / "none")])
    assert 'make one with "invoke-log init' in capsys.readouterr().out


def test_a_checkpoint_moves_the_time_of_an_idle_log_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[CALL-8]: what a call is told to have done."""
    log, now_ms = tmp_path / "log", ledger._now_ms() + 7 * 86_400_000
    assert main(["init", str(log), "--origin", "example.com/log"]) == 0
    monkeypatch.setattr(ledger, "_now_ms", lambda: now_ms)
    assert main(["checkpoint", "--log", str(log)]) == 0
    (log / "keys" / "log.key").unlink()
    capsys.readouterr()
    assert checks(log, capsys)[1]["clock"]
