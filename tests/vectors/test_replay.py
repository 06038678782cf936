"""vectors/replay through every entry point: the auditor, the fold leaf by leaf, the command line, the second reader."""

import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.audit.replay import replay
from invoke_log.errors import InvokeLogError
from invoke_log.format import digest, merkle
from invoke_log.format.bundle import BundleReader
from invoke_log.format.envelope import entry_of, open_envelope
from invoke_log.format.keys import parse_verifier_key
from invoke_log.rules.event import parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.governance import ReadRoot
from invoke_log.surfaces.cli.main import main
from tests.vectors.cases import VECTORS, Case, load, names

NAMES: Final = names("replay")
VERIFIER: Final = VECTORS.parent / "verifier"
NOT_IN_A_BUNDLE: Final = frozenset(("empty-log", "not-covered", "partly-covered", "now-stale", "budgets-stale"))
"""Findings about a store, and an answer of a live log: a bundle has leaves, and a checkpoint of its own size."""


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without what no other reader has to repeat: words, and the order of findings."""
    found = [{name: finding[name] for name in ("code", "severity", "index")} for finding in report["findings"]]
    in_order = sorted(found, key=lambda f: (f["index"] is None, f["index"], f["code"]))
    return {name: value for name, value in report.items() if name != "v"} | {"findings": in_order}


def written(case: Case, folder: Path) -> Path:
    path = folder / "a.bundle"
    path.write_bytes(bytes.fromhex(case["bundle"]))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_auditor_reports_what_the_vector_says(name: str, tmp_path: Path) -> None:
    case = load("replay", name)
    report = replay(written(case, tmp_path), trust=parse_verifier_key(case["trust"]))
    assert comparable(report.as_json()) == comparable(case["report"])


@pytest.mark.parametrize("name", NAMES)
def test_every_leaf_stands_or_is_void_and_leaves_the_state_root_of_the_vector(name: str) -> None:
    case = load("replay", name)
    if not case["leaves"]:
        return
    reader = BundleReader(io.BytesIO(bytes.fromhex(case["bundle"])))
    fold, frontier = Fold(), merkle.EMPTY_FRONTIER
    for leaf, (body, signature) in zip(case["leaves"], reader.entries(), strict=False):
        void = applied(fold, leaf["index"], (body, signature), frontier.root)
        frontier, _ = frontier.append(merkle.leaf_hash(entry_of(body, signature)))
        assert digest.event_id(body).hex() == leaf["id"]
        if leaf["void"] == "genesis-invalid":  # whatever is wrong with leaf 0, it begins no log
            assert void is not None
            return
        assert void == leaf["void"]
        if leaf["state_root"] is not None:
            assert fold.state_root(leaf["index"] + 1).hex() == leaf["state_root"]


def applied(fold: Fold, index: int, pair: tuple[bytes, bytes], root: ReadRoot) -> str | None:
    """Return the code under which a leaf is void, or None."""
    try:
        envelope = open_envelope(*pair)
    except InvokeLogError as error:
        return error.code
    try:
        event = parse_event(envelope.fields, digest.event_id(envelope.body))
    except InvokeLogError:
        return "form-invalid"
    folded = fold.apply(event, index=index, root=root)
    return folded.code if isinstance(folded, Void) else None


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_prints_the_report_and_says_3_where_it_is_not_ok(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = load("replay", name)
    code = main(["replay", str(written(case, tmp_path)), "--trust", case["trust"], "--json"])
    assert comparable(json.loads(capsys.readouterr().out)) == comparable(case["report"])
    assert code == (0 if case["expect"] == "ok" else 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_agrees_with_itself(name: str) -> None:
    case = load("replay", name)
    report = case["report"]
    errors = [finding["code"] for finding in report["findings"] if finding["severity"] == "error"]
    assert case["expect"] == (errors[0] if errors else "ok")
    assert report["ok"] == (not errors)
    assert report["size"] == len(case["leaves"])
    voids = [(leaf["void"], leaf["index"]) for leaf in case["leaves"] if leaf["void"] is not None]
    assert set(voids) <= {(finding["code"], finding["index"]) for finding in report["findings"]}


def test_the_second_reader_reports_the_same(tmp_path: Path) -> None:
    path = os.pathsep.join((str(VECTORS.parent / ".venv" / "bin"), os.environ.get("PATH", "")))
    node = shutil.which("node", path=path)
    if node is None or not (VERIFIER / "node_modules").is_dir():
        pytest.skip("tool missing: node, or the packages of verifier/ (npm ci there)")
    cases = [load("replay", name) for name in NAMES]
    lines = []
    for name, case in zip(NAMES, cases, strict=True):
        (tmp_path / name).write_bytes(bytes.fromhex(case["bundle"]))
        lines.append(json.dumps({"path": str(tmp_path / name), "trust": case["trust"]}))
    command = [node, str(VERIFIER / "bin" / "invoke-log-verify.js"), "--batch"]
    ran = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    reports = [comparable(json.loads(line)) for line in ran.stdout.split("\n")[:-1]]
    assert len(reports) == len(cases), ran.stderr
    differing = [
        name for name, case, report in zip(NAMES, cases, reports, strict=True) if report != comparable(case["report"])
    ]
    assert differing == []


def test_every_code_that_a_bundle_can_be_found_at_fault_for_has_a_log() -> None:
    spec = (VECTORS.parent / "SPEC.md").read_text(encoding="utf-8")
    answers = "refused|stale|duplicate|collision|conflict|blocked|error|warning"
    codes = set(re.findall(rf"^\| `([a-z-]+)` \| (?:{answers}) ", spec, re.MULTILINE))
    assert len(codes) > 70
    found = {finding["code"] for name in NAMES for finding in load("replay", name)["report"]["findings"]}
    assert codes - found == NOT_IN_A_BUNDLE
