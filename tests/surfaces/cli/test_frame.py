"""Whatever a verb ends with becomes an exit code and, at most, two lines on stderr."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from invoke_log.errors import CommitUncertainError, InvokeLogError, ReceiptInvalidError, StoreFullError
from invoke_log.surfaces.cli.frame import run
from invoke_log.surfaces.cli.main import main


def ending(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command("fail", callback=fail)


@pytest.mark.parametrize(
    ("error", "exit_code", "stderr"),
    [
        (StoreFullError("no room", hint="free some"), 8, "error: no room\nhint: free some\n"),
        (CommitUncertainError("the disk did not say"), 8, "error: the disk did not say\n"),
        (ReceiptInvalidError("leaf 3 \x1b[31m"), 3, "error: leaf 3 \\x1b[31m\n"),
        (InvokeLogError("by itself"), 1, "error: by itself\n"),
        (KeyError("x"), 1, "error: bug: KeyError: 'x'\nhint: run it again with --debug\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.UsageError("Missing FILE."), 2, 'error: missing FILE\nhint: run "invoke-log --help"\n'),
    ],
)
def test_an_error_becomes_its_exit_code_and_its_words(
    error: BaseException, exit_code: int, stderr: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ending(error), []) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.removeprefix("\n") == stderr  # click ends the line that Ctrl-C was typed on


def test_an_error_whose_code_nobody_has_listed_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    class UnlistedError(InvokeLogError):
        code = "unlisted"

    assert run(ending(UnlistedError("new")), []) == 1
    assert capsys.readouterr().err == "error: new\n"


def test_a_traceback_is_shown_where_the_environment_asks_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKE_LOG_DEBUG", "1")
    assert run(ending(ReceiptInvalidError("no")), []) == 3
    assert capsys.readouterr().err.startswith("Traceback ")


def test_a_warning_of_the_library_is_said_as_ours_are_and_only_while_a_verb_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("invoke_log.somewhere")

    def warn() -> int:
        logger.warning("contract %s was registered", "x\x1b[2J")
        return 4

    assert run(click.Command("warn", callback=warn), []) == 4
    assert capsys.readouterr().err == "warning: contract x\\x1b[2J was registered\n"
    assert not [handler for handler in logging.getLogger("invoke_log").handlers if handler.level == logging.WARNING]


@pytest.mark.parametrize("arguments", [[], ["contract"], ["receipt"]])
def test_a_group_without_a_verb_is_answered_with_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: invoke-log ")
    assert "Commands:" in captured.err


def test_help_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipt", "make", "--help"]) == 0
    assert "Example: invoke-log receipt make" in capsys.readouterr().out


@contextmanager
def stdout_of(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let stdout be a file descriptor, and flush it once more at the end, as Python does when it exits."""
    with monkeypatch.context() as patch, os.fdopen(descriptor, "w") as stream:
        patch.setattr(sys, "stdout", stream)
        yield


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["init", "--help"], ["init", "log", "--origin", "a"]])
def test_a_reader_that_is_gone_ends_every_verb_and_its_help_alike(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    with stdout_of(writer, monkeypatch):
        assert main(arguments) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--version"], ["doctor"], ["export", "-"]])
def test_a_stdout_that_takes_nothing_is_no_bug_of_ours(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INVOKE_LOG", str(tmp_path / "log"))
    assert main(["init", str(tmp_path / "log"), "--origin", "a"]) == 0
    (tmp_path / "full").touch()
    capsys.readouterr()
    with stdout_of(os.open(tmp_path / "full", os.O_RDONLY), monkeypatch):
        assert main(arguments) == 2
    assert capsys.readouterr().err == "error: stdout or stdin: Bad file descriptor\n"


@pytest.mark.parametrize("name", ["stdin", "stdout"])
def test_nothing_is_done_where_the_next_file_would_stand_in_place_of_a_stream(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, name, None)
        assert run(ending(AssertionError("it was run")), []) == 2
    assert capsys.readouterr().err.startswith(f"error: {name} is closed\nhint: ")
