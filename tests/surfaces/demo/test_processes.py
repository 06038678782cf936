"""Children: heard in time, explained when they end badly, and gone when their parent is."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invoke_log.surfaces.demo import processes
from invoke_log.surfaces.demo.processes import Child, ChildError
from invoke_log.surfaces.demo.stage import PROXY

PARENT = """
import time
from invoke_log.surfaces.demo.processes import Child
child = Child("invoke_log.surfaces.demo.proxy", "--upstream", "1")
print(child.ready_ports()["port"], flush=True)
time.sleep(60)
"""


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules a child can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_child_that_ends_before_it_is_ready_is_explained_by_its_stderr(write_module: Path) -> None:
    (write_module / "broken.py").write_text("import no_such_package\n")
    with Child("broken") as child, pytest.raises(ChildError, match="broken: ended with exit code 1") as caught:
        child.ready_ports()
    assert "No module named 'no_such_package'" in str(caught.value.hint)


def test_a_child_that_says_nothing_is_given_up_and_stopped(write_module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S_MAX", 30)
    (write_module / "silent.py").write_text("import time\ntime.sleep(60)\n")
    started_s = time.monotonic()
    with Child("silent") as child, pytest.raises(ChildError, match="silent: wrote nothing in time"):
        child.next_line(timeout_s=0.3)
    assert time.monotonic() - started_s < 15
    assert not runs(child.pid)


def test_a_child_that_ignores_sigterm_is_killed(write_module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S_MAX", 0.2)
    (write_module / "stubborn.py").write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "from invoke_log.surfaces.demo.processes import say\n"
        "say(port=1)\n"
        "time.sleep(60)\n"
    )
    with Child("stubborn") as child:
        assert child.ready_ports() == {"port": 1}
    assert not runs(child.pid)


def test_lines_end_with_the_child_and_keep_their_order(write_module: Path) -> None:
    (write_module / "counting.py").write_text(
        "from invoke_log.surfaces.demo.processes import say\nfor number in range(3000):\n    say(number=number)\n"
    )
    with Child("counting") as child:
        assert [line["number"] for line in child.lines(timeout_s=10)] == list(range(3000))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("print('hello')", "wrote b'hello', want one JSON object a line"),
        ("print('[1]')", "want one JSON object a line"),
        ("print('{', end='')", "ended in the middle of a line"),
        ("import os, time; os.close(1); time.sleep(60)", "closed its stdout and went on running"),
    ],
)
def test_what_is_no_json_line_is_an_error(
    source: str, found: str, write_module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STOP_S_MAX", 0.5)
    (write_module / "odd.py").write_text(source)
    with Child("odd") as child, pytest.raises(ChildError, match=found):
        child.next_line(timeout_s=10)


def test_a_child_that_fills_its_stderr_is_not_stopped_by_it(write_module: Path) -> None:
    (write_module / "loud.py").write_text("import sys\nsys.stderr.write('x' * 1_000_000)\nprint('{\"done\": true}')\n")
    with Child("loud") as child:
        assert child.next_line(timeout_s=10) == {"done": True}


def test_a_module_in_the_working_directory_does_not_shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asyncio.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    with Child(PROXY, "--upstream", "1") as proxy:
        assert set(proxy.ready_ports()) == {"port", "control"}


def test_a_server_goes_when_its_parent_is_killed() -> None:
    environment = processes.child_environment()
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        parent.send_signal(signal.SIGKILL)
    assert refuses_within(5, port)


def refuses_within(timeout_s: float, port: int) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionError:
            return True
        time.sleep(0.02)
    return False


def runs(pid: int) -> bool:
    return Path("/proc", str(pid)).exists()
