"""Approvals across processes: one asks and goes away, people consent, another goes on with the START. [CALL-3], [EFF-8]

Agents are processes with keys of their own, and people use the command line.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from invoke_log.audit.replay import replay
from invoke_log.guard.guard import Guard
from invoke_log.ledger.log import Log
from invoke_log.log.signer import load_key
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import Grant, Start
from invoke_log.rules.policy import parse_policy
from invoke_log.surfaces.cli.main import main
from tests.harness import requester
from tests.harness.live import ORIGIN

REQUESTER = Path(requester.__file__)


def agent(place: Path, key: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(REQUESTER), str(place / "log"), str(place / key), str(place / "provider")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def found(place: Path) -> Path:
    """A log that asks for two approvals, with keys for two agents and two approvers beside it."""
    path = place / "log"
    Log.create(path, origin=ORIGIN).close()
    (place / "one.key").symlink_to(path / "keys" / "agent.key")
    with Log.open(path) as log:
        requester.charging(Guard(log), place / "provider")
        admin = load_key(path / "keys" / "admin.key")
        for name, roles in (("two", ("agent", "executor")), ("ann", ("approver",)), ("bob", ("approver",))):
            assert main(["key", "new", str(place / f"{name}.key")]) == 0
            key = load_key(place / f"{name}.key").public_key
            for role in roles:
                log.append(log.draft(Grant(subject=name, key=key, role=role, scope=EVERYTHING), admin))
        ask = {"rules": [{"name": "all", "then": "ask", "approvals": 2, "when": []}]}
        policy = parse_policy({"name": "ask", "engine": "rules/1", "source": ask})  # type: ignore[dict-item]
        log.append(log.draft(policy, admin))
    return path


def test_one_process_asks_people_consent_and_another_process_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = found(tmp_path)
    assert ended(agent(tmp_path, "one.key")) == "Pending"
    assert not (tmp_path / "provider").exists()
    capsys.readouterr()
    assert main(["approvals", "--log", str(path), "--json"]) == 0
    waiting = json.loads(capsys.readouterr().out)
    assert (waiting["wanted"], waiting["given"]) == (2, [])
    for name in ("ann", "bob"):
        said = ["approve", waiting["intent"], "--log", str(path), "--key", str(tmp_path / f"{name}.key")]
        assert main(said) == 0
        if name == "ann":
            assert ended(agent(tmp_path, "two.key")) == "Pending"

    # Whoever asked comes back at the same moment as somebody else with the same request: one of them sends.
    endings = [ended(process) for process in [agent(tmp_path, key) for key in ("two.key", "one.key")]]
    assert set(endings) <= {"Committed", "Blocked"}
    assert "Committed" in endings
    assert len((tmp_path / "provider").read_text().splitlines()) == 1
    with Log.open(path) as log:
        assert log.approvals() == []
        starts = [entry.event.data for entry in log.entries() if isinstance(entry.event.data, Start)]
        assert [len(start.approvals) for start in starts] == [2]
        log.checkpoint()
    assert replay(path).findings == ()
