"""What only a process of its own shows: entry points, pipes, signals, modules of the user's."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invoke_log.format.keys import format_verifier_key
from invoke_log.ledger.log import Log
from invoke_log.surfaces.cli.main import main

SOURCE = Path(__file__).parents[3] / "src"
FILES = Path(__file__).parent / "files"
TIMEOUT_S = 60.0
COMMAND = (sys.executable, "-m", "invoke_log")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a log and a program in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("INVOKE_LOG", "payments")
    for name in ("charge.toml", "shop.py"):
        shutil.copy(FILES / name, tmp_path)
    assert main(["init", "payments", "--origin", "example.com/payments"]) == 0
    assert main(["contract", "add", "charge.toml"]) == 0
    return tmp_path


def run(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@contextmanager
def running(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    command = [*COMMAND, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def note(text: str) -> str:
    about = {"$bytes": "00" * 32}
    return json.dumps({"kind": "note", "resource": "crm/1", "data": {"about": about, "text": text}}) + "\n"


def test_python_m_is_the_command_line() -> None:
    found = subprocess.run(
        [*COMMAND, "--help"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert found.returncode == 0
    assert found.stdout.startswith("Usage: invoke-log ")


@pytest.mark.usefixtures("place")
def test_who_writes_a_line_and_waits_is_answered_before_the_next() -> None:
    with running("append", "-", "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("first", "second"):
            process.stdin.write(note(text))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["answer"] == "accepted"
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.usefixtures("place")
def test_what_is_followed_comes_as_it_is_appended_and_ctrl_c_ends_it() -> None:
    with running("tail", "--follow", "-n", "1", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["index"] == 9
        assert run("append", "-", stdin=note("seen")).returncode == 0
        kinds = {json.loads(process.stdout.readline())["kind"]}
        while "note" not in kinds:
            kinds.add(json.loads(process.stdout.readline())["kind"])
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
        assert process.stderr.read() == ""


@pytest.mark.usefixtures("place")
def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    with running("tail", "--follow", "-n", "1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert run("append", "-", stdin=note("unread")).returncode == 0
        assert process.wait(TIMEOUT_S) == 141
        assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "code"), [(("freeze", "x/1:"), 0), (("list", "--log", "none"), 2), (("nope",), 2), (("contract",), 2)]
)
def test_words_that_nobody_takes_change_no_exit_code(arguments: tuple[str, ...], code: int) -> None:
    """A freeze of a class that no contract has is accepted, and warned of."""
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stderr=full, timeout=TIMEOUT_S, check=False
        )
    assert ran.returncode == code


@pytest.mark.usefixtures("place")
def test_the_bytes_of_a_bundle_go_down_a_pipe() -> None:
    with Path("piped.bundle").open("wb") as target:
        subprocess.run([*COMMAND, "export", "-"], stdout=target, timeout=TIMEOUT_S, check=True)
    assert run("verify", "piped.bundle").returncode == 0


@pytest.mark.usefixtures("place")
def test_a_bundle_in_a_pipe_is_read_as_often_as_need_be(capsys: pytest.CaptureFixture[str]) -> None:
    with Log.open("payments", read_only=True) as log:
        trust = format_verifier_key(log.verifier_key)
    assert main(["export", "log.bundle"]) == 0
    verbs = (
        ["replay", "PIPE", "--trust", trust],
        ["verify", "PIPE", "--against", "log.bundle"],
        ["verify", "payments", "--against", "PIPE"],
        ["recover", "PIPE", "--log", "next", "--key", "payments/keys/admin.key"],
    )
    for verb in verbs:
        reader, writer = os.pipe()
        os.write(writer, Path("log.bundle").read_bytes())  # a pipe holds more than it has
        os.close(writer)
        capsys.readouterr()
        code = main([f"/dev/fd/{reader}" if each == "PIPE" else each for each in verb])
        os.close(reader)
        assert code == 0, capsys.readouterr().err
    with Log.open("next", read_only=True) as log:
        assert log.governance.recoveries


def test_reconcile_exits_7_while_it_is_open_and_0_once_it_is_settled(place: Path) -> None:
    arguments = {"order": "1", "customer": "c", "amount": 50}
    call = f"import shop; print(type(shop.guard.call('charge_customer', {arguments})).__name__)"
    called = subprocess.run(
        [sys.executable, "-c", call], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert called.stdout == "OutcomeUnknown\n", called.stderr
    hidden = (place / "provider.txt").rename(place / "hidden.txt")
    first = run("reconcile", "--app", "shop:guard", "--json")
    assert first.returncode == 7, first.stderr
    looked, summary = map(json.loads, first.stdout.splitlines())
    assert (looked["probe"], looked["status"]) == ("NONE", "unknown")
    [waits] = summary["open"]
    assert (summary["summary"]["unknown"], waits["effect_key"]) == (1, looked["effect_key"])
    hidden.rename(place / "provider.txt")
    second = run("reconcile", "--app", "shop:guard", "--once")
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("committed ")
    assert second.stdout.endswith("\nsummary: 1 committed\n")
    assert run("reconcile", "--app", "shop:guard").stdout == ""


@pytest.mark.usefixtures("place")
def test_reconcile_says_what_is_wrong_with_an_app() -> None:
    Path("broken.py").write_text("raise KeyError('x')\n")
    for app, words in (("shop:gaurd", "it has no gaurd"), ("broken:guard", "KeyError: 'x'")):
        found = run("reconcile", "--app", app)
        assert (found.returncode, found.stdout) == (2, "")
        assert words in found.stderr
    other = run("reconcile", "--app", "shop:guard", "--log", "elsewhere")
    assert other.returncode == 2
    assert "log elsewhere is named" in other.stderr


@pytest.mark.usefixtures("place")
def test_a_bug_is_one_line_and_a_traceback_only_where_it_is_asked_for() -> None:
    bug = "import invoke_log.ledger.state as state\nstate.LiveWorld.effects = lambda *_: [][0]\n"
    Path("sitecustomize.py").write_text(bug)
    search = os.pathsep.join([str(SOURCE), "."])
    for debug in ((), ("--debug",)):
        found = subprocess.run(
            [*COMMAND, "list", *debug],
            env={**os.environ, "PYTHONPATH": search},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert found.returncode == 1
        assert ("Traceback" in found.stderr) == bool(debug)
        assert found.stderr.endswith(
            "error: bug: IndexError: list index out of range\nhint: run it again with --debug\n"
        )
