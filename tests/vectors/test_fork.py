"""vectors/fork through the library and the command line: two views of one log, and whether both can be true."""

import json
from pathlib import Path

import pytest

from invoke_log.audit.agreement import compare
from invoke_log.audit.replay import replay
from invoke_log.surfaces.cli.main import main
from tests.vectors.cases import load, names

NAMES = names("fork")


def written(name: str, folder: Path) -> tuple[Path, Path]:
    case = load("fork", name)
    paths = folder / "a.bundle", folder / "kept"
    for path, field in zip(paths, ("bundle", "against"), strict=True):
        path.write_bytes(bytes.fromhex(case[field]))
    return paths


@pytest.mark.parametrize("name", NAMES)
def test_two_views_agree_as_the_vector_says(name: str, tmp_path: Path) -> None:
    case = load("fork", name)
    found = compare(*written(name, tmp_path))
    assert (found.agrees, found.index) == (case["agrees"], case["index"])


@pytest.mark.parametrize("name", NAMES)
def test_each_view_is_true_by_itself(name: str, tmp_path: Path) -> None:
    bundle, against = written(name, tmp_path)
    assert replay(bundle).ok
    assert "checkpoint" in name or replay(against).ok


@pytest.mark.parametrize("name", NAMES)
def test_verify_against_says_3_where_both_cannot_be_true(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = load("fork", name)
    bundle, against = written(name, tmp_path)
    code = main(["verify", str(bundle), "--against", str(against), "--json"])
    codes = [finding["code"] for finding in json.loads(capsys.readouterr().out)["findings"]]
    assert (code, codes) == ((0, []) if case["expect"] == "ok" else (3, [case["expect"]]))
