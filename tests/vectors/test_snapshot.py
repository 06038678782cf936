"""vectors/snapshot through the library and, where two snapshots differ, the command line."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from invoke_log.errors import InvokeLogError, SnapshotInvalidError
from invoke_log.format import cbor
from invoke_log.guard.intake import fold
from invoke_log.rules.snapshot import Snapshot, difference, drifted, freeze, profile_of
from invoke_log.surfaces.cli.main import main
from tests.vectors.cases import load, mapping, names, untyped

SPELLED: Final[dict[str, Callable[[str], object]]] = {
    "$float": float,
    "$time": datetime.fromisoformat,
    "$bytes": bytes.fromhex,
}


def seen(spelled: object) -> object:
    """Return what a Python program would hold for a value of an intake case."""
    if isinstance(spelled, dict):
        for name, read in SPELLED.items():
            if spelled.keys() == {name}:
                return read(spelled[name])
        return {name: seen(value) for name, value in spelled.items()}
    if isinstance(spelled, list):
        return [seen(item) for item in spelled]
    return spelled


def taken(profile: object, spelled: object) -> Snapshot:
    found = profile_of(mapping(profile))
    return freeze(found, fold(found, seen(spelled)))


@pytest.mark.parametrize("name", names("snapshot", "same"))
def test_two_spellings_become_one_snapshot(name: str) -> None:
    case = load("snapshot", name)
    one, other = (taken(case["profile"], case[which]) for which in ("one", "other"))
    assert one == other
    assert (one.raw.hex(), one.id.hex()) == (case["il1"], case["snapshot_id"])
    assert one.fields == untyped(case["normal"])


@pytest.mark.parametrize("name", [name for name in names("snapshot", "intake") if name.startswith("intake-")])
def test_what_cannot_be_folded_without_loss_is_refused(name: str) -> None:
    case = load("snapshot", name)
    with pytest.raises(SnapshotInvalidError):
        taken(case["profile"], case["one"])


@pytest.mark.parametrize("name", names("snapshot", "differ"))
def test_two_snapshots_differ_first_at_the_path_of_the_vector(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = load("snapshot", name)
    profile = profile_of(mapping(case["profile"]))
    one, other = (freeze(profile, untyped(case[which])) for which in ("one", "other"))
    assert (one.id.hex(), other.id.hex()) == (case["one_id"], case["other_id"])
    found = difference(one.fields, other.fields)
    assert found is not None
    assert found.partition(":")[0] == case["path"]
    paths = (tmp_path / "one", tmp_path / "other")
    for path, snapshot in zip(paths, (one, other), strict=True):
        path.write_bytes(snapshot.raw)
    assert main(["snapshot", "diff", *map(str, paths), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"] == found


@pytest.mark.parametrize("name", names("snapshot", "normal"))
def test_bytes_are_a_snapshot_of_the_profile_or_are_refused(name: str) -> None:
    case = load("snapshot", name)
    profile, raw = profile_of(mapping(case["profile"])), bytes.fromhex(case["il1"])
    if case["expect"] != "ok":
        with pytest.raises(InvokeLogError) as refused:
            freeze(profile, cbor.decode(raw))
        assert refused.value.code == case["expect"]
        return
    assert freeze(profile, cbor.decode(raw)).id.hex() == case["snapshot_id"]


@pytest.mark.parametrize("name", names("snapshot", "drift"))
def test_what_may_drift_is_no_difference(name: str) -> None:
    case = load("snapshot", name)
    found = drifted(mapping(case["before"]), mapping(case["after"]), frozenset(case["may_drift"]))
    assert (found and found.partition(":")[0]) == case["path"]
