"""Processes that are stopped between START and send, and wake when everything is settled. [CALL-2], [EFF-12], S1, S2"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import invoke_log as il
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED
from invoke_log.surfaces.demo.processes import child_environment
from tests.harness import live

D_MS, Q_MS = 1_500, 500
ARGUMENTS: dict[str, Any] = {"customer": "cus_1", "order": "789", "amount": 5000}
WAIT_S_MAX = 60.0
BEFORE, BEHIND = "before its deadline is asked", "behind it"
ZOMBIE = """
import os, signal, sys
from pathlib import Path
import invoke_log as il
from invoke_log.guard.driver import Driver

path, provider, contract, where = sys.argv[1:]
may_send = Driver.may_send

def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)

def stopped_before(self, step):
    stopped()
    return may_send(self, step)

if where == "before its deadline is asked":
    Driver.may_send = stopped_before

with il.Log.open(path) as log:
    guard = il.Guard(log)

    @guard.tool(il.Contract.load(contract), read_back=lambda call: [])
    def charge(customer, order, amount, *, invoke):
        if where == "behind it":
            stopped()
        with Path(provider).open("a") as ledger:
            print(invoke.tag, file=ledger)
        return "pi_0"

    print(type(guard.call("charge", {"customer": "cus_1", "order": "789", "amount": 5000})).__name__)
"""


@dataclass
class Scene:
    """A log, a provider that is a file with a tag for each charge, and a guard in this process."""

    place: Path
    log: il.Log
    guard: il.Guard

    def landed(self) -> list[str]:
        ledger = self.place / "provider"
        return ledger.read_text().split() if ledger.exists() else []

    def reconcile(self) -> str:
        """Look until the one open effect is settled, and return how."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline_s:
            for found in self.guard.reconcile():
                if found.status not in ("started", "unknown"):
                    return found.status
            time.sleep(0.1)
        raise AssertionError("nothing was settled")

    def findings(self) -> list[tuple[str, str]]:
        bundle = self.place / "bundle"
        with bundle.open("wb") as stream:
            self.log.export(stream.write)
        report = il.replay(bundle, trust=self.log.verifier_key)
        assert report.trusted
        return [(found.code, found.severity) for found in report.findings]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    partial = {**live.PARTIAL, "send_deadline_ms": D_MS, "quiescence_ms": Q_MS, "timeout_ms": 400}
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(partial))
    with il.Log.create(tmp_path / "log", origin=live.ORIGIN) as log:
        opened = Scene(tmp_path, log, il.Guard(log))

        def charge(customer: str, order: str, amount: int, *, invoke: il.Call) -> str:
            with (tmp_path / "provider").open("a") as ledger:
                print(invoke.tag, file=ledger)
            return "pi_1"

        found: Callable[[il.Call], list[str]] = lambda call: [f"pi_{tag}" for tag in opened.landed() if tag == call.tag]
        opened.guard.tool(il.Contract.load(contract), read_back=found)(charge)
        yield opened


@pytest.fixture
def stop(scene: Scene) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Begin a call in a process of its own, which stops itself there, and return it when it has."""
    begun: list[subprocess.Popen[str]] = []

    def begin(where: str) -> "subprocess.Popen[str]":
        paths = [str(scene.place / name) for name in ("log", "provider", "contract.json")]
        command = [sys.executable, "-P", "-c", ZOMBIE, *paths, where]
        zombie = subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE, text=True)
        begun.append(zombie)
        seen = os.waitid(os.P_PID, zombie.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert seen is not None
        assert seen.si_status == signal.SIGSTOP
        return zombie

    yield begin
    for zombie in begun:
        zombie.kill()
        zombie.wait()
        assert zombie.stdout is not None
        zombie.stdout.close()


def woken(zombie: "subprocess.Popen[str]") -> str:
    zombie.send_signal(signal.SIGCONT)
    assert zombie.stdout is not None
    said = zombie.stdout.readline().strip()
    assert zombie.wait(WAIT_S_MAX) == 0
    return said


def test_a_process_that_wakes_after_its_deadline_sends_nothing(
    scene: Scene, stop: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    zombie = stop(BEFORE)
    assert isinstance(scene.guard.call("charge", ARGUMENTS), il.Blocked)
    assert scene.reconcile() == NOT_COMMITTED
    assert isinstance(scene.guard.call("charge", ARGUMENTS), il.Committed)
    assert len(scene.landed()) == 1
    woken(zombie)
    assert (len(scene.landed()), scene.findings()) == (1, [])
    [state] = scene.log.effects()
    assert state.status == COMMITTED


def test_an_effect_that_comes_later_than_its_contract_says_is_on_record_as_a_contradiction(
    scene: Scene, stop: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    """No code can hold a request back that has left: that it has landed by D + Q is the contract's own promise."""
    zombie = stop(BEHIND)
    assert scene.reconcile() == NOT_COMMITTED
    assert (woken(zombie), len(scene.landed())) == ("Committed", 1)
    assert scene.findings() == [("contradiction", "warning")]
    [state] = scene.log.effects()
    assert state.status == COMMITTED
    assert isinstance(scene.guard.call("charge", ARGUMENTS), il.Blocked)
    assert len(scene.landed()) == 1
