"""vectors/receipt through the library and the command line: what a receipt proves, and that a broken one does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from invoke_log.audit.receipt import verify_receipt
from invoke_log.errors import InvokeLogError
from invoke_log.format.keys import parse_verifier_key
from invoke_log.surfaces.cli.main import main
from tests.vectors.cases import Case, load, names

STATUSES = {"claimed", "started", "committed", "not_committed", "unknown"}


def said(report: dict[str, Any]) -> Case:
    """Return what every reader has to say of a receipt."""
    effect = {name: report[name] for name in ("effect_key", "resource", "status", "generation", "grade", "relies_on")}
    found = [{name: finding[name] for name in ("code", "severity", "index")} for finding in report["findings"]]
    head = {name: report[name] for name in ("trusted", "origin", "size")}
    return {**head, "effect": {**effect, "events": report["events"]}, "findings": found}


def wanted(case: Case) -> Case:
    whole = case["report"]["effect"]
    effect = {name: whole[name] for name in whole.keys() - {"effect_class", "purpose", "attempts"}}
    return {**case["report"], "effect": effect}


@pytest.mark.parametrize("name", names("receipt", "valid"))
def test_a_receipt_proves_what_the_vector_says(name: str) -> None:
    """[RCP-4], [RCP-5], [RCP-6]"""
    case = load("receipt", name)
    raw, trust = bytes.fromhex(case["receipt"]), parse_verifier_key(case["trust"])
    assert said(verify_receipt(raw, trust=trust).as_json()) == wanted(case)
    assert said(verify_receipt(raw).as_json()) == {**wanted(case), "trusted": False}


@pytest.mark.parametrize("name", names("receipt", "broken"))
def test_a_broken_receipt_is_refused_for_its_fault(name: str) -> None:
    """[RCP-1], [RCP-2], [RCP-3]"""
    case = load("receipt", name)
    with pytest.raises(InvokeLogError) as caught:
        verify_receipt(bytes.fromhex(case["receipt"]), trust=parse_verifier_key(case["trust"]))
    assert caught.value.code == case["expect"]
    assert (case["leaf"] or "") in caught.value.message


@pytest.mark.parametrize("name", names("receipt"))
def test_the_command_line_verifies_it_or_says_3(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, path = load("receipt", name), tmp_path / "a.receipt"
    path.write_bytes(bytes.fromhex(case["receipt"]))
    code = main(["receipt", "verify", str(path), "--trust", case["trust"], "--json"])
    assert code == (0 if case["expect"] == "ok" else 3)
    assert json.loads(capsys.readouterr().out)["ok"] == (case["expect"] == "ok")


def test_there_is_a_receipt_of_every_status() -> None:
    assert {load("receipt", name)["report"]["effect"]["status"] for name in names("receipt", "valid")} == STATUSES
