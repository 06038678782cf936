"""The story comes out as told on real processes, and what is left behind convinces somebody who was not there."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import invoke_log as il
from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.demo.processes import Child
from invoke_log.surfaces.demo.stage import Stage
from tests.harness.world import World, require_tools

STORY = "invoke_log.surfaces.demo.story"
FIELDS = ("v", "charges_with_invoke", "charges_without_invoke", "log", "bundle", "receipt", "trust")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the object that one telling printed."""
    require_tools()
    out = tmp_path_factory.mktemp("story") / "invoke-demo"
    with Child(STORY, "--charges", "1", "--out", str(out), "--json") as story:
        [printed] = story.lines(timeout_s=120)
    return printed


def on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the story told on a stage that the test can look at afterwards."""

    @contextlib.contextmanager
    def given() -> Iterator[Stage]:
        yield stage

    monkeypatch.setattr(f"{STORY}.open_stage", given)


def test_one_order_is_charged_once_with_invoke_and_twice_without(told: dict[str, Any]) -> None:
    assert tuple(told) == FIELDS
    assert (told["v"], told["charges_with_invoke"], told["charges_without_invoke"]) == (1, 1, 2)


@pytest.mark.parametrize("where", ["log", "bundle"])
def test_what_is_left_replays_as_one_committed_effect(told: dict[str, Any], where: str) -> None:
    report = il.replay(told[where], trust=il.parse_verifier_key(told["trust"]))
    assert (report.ok, report.trusted, report.findings, report.covered) == (True, True, (), report.size)
    [effect] = report.effects
    assert (effect.status, effect.attempts, effect.generation, effect.purpose) == ("committed", 1, 1, "order-1")
    assert (effect.grade, effect.relies_on) == ("E1", ("reconciler", "store-not-rolled-back"))


def test_the_receipt_is_of_that_effect_and_verifies(told: dict[str, Any]) -> None:
    trust = il.parse_verifier_key(told["trust"])
    verified = il.verify_receipt(Path(told["receipt"]).read_bytes(), trust=trust)
    [effect] = il.replay(told["bundle"], trust=trust).effects
    assert (verified.trusted, verified.effect.effect, verified.effect.status) == (True, effect.effect, "committed")


def test_under_another_key_nothing_of_it_is_trusted(told: dict[str, Any], tmp_path: Path) -> None:
    origin = il.parse_verifier_key(told["trust"]).name
    with il.Log.create(tmp_path / "other", origin=origin) as other:
        stranger = other.verifier_key
    report = il.replay(told["bundle"], trust=stranger)
    assert (report.ok, report.trusted) == (False, False)
    with pytest.raises(il.InvokeLogError):
        il.verify_receipt(Path(told["receipt"]).read_bytes(), trust=stranger)


def test_one_bit_flipped_in_the_bundle_is_found(told: dict[str, Any], tmp_path: Path) -> None:
    raw = bytearray(Path(told["bundle"]).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "flipped").write_bytes(raw)
    assert not il.replay(tmp_path / "flipped", trust=il.parse_verifier_key(told["trust"])).ok


def test_three_orders_are_three_charges_and_six_at_the_provider(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invoke_log.surfaces.demo.story import tell

    on(world.stage, monkeypatch)
    said: list[str] = []
    result = tell(3, tmp_path / "demo", said.append)
    assert (result.charges_with_invoke, result.charges_without_invoke) == (3, 6)
    orders = ("order-1", "order-2", "order-3")
    listed = Counter((bool(charge.tag), charge.order_id) for charge in world.charges())
    assert listed == {(tagged, order): 1 if tagged else 2 for tagged in (True, False) for order in orders}
    effects = il.replay(result.bundle, trust=il.parse_verifier_key(result.trust)).effects
    assert sorted((effect.purpose, effect.status) for effect in effects) == [(order, "committed") for order in orders]
    assert sorted(path.name for path in result.receipt.parent.iterdir()) == [f"{order}.receipt" for order in orders]
    counts = [line.strip() for line in said if line.startswith("  Counted")]
    assert counts == ["Counted at the provider: 3 charges.", "Counted at the provider: 6 charges."]


def test_a_charge_more_at_the_provider_ends_the_story(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invoke_log.surfaces.demo.cast import StoryError
    from invoke_log.surfaces.demo.story import tell

    on(world.stage, monkeypatch)
    world.charge("order-1")
    with pytest.raises(StoryError, match="provider: lists 2 charges, want one for each of 1 orders"):
        tell(1, tmp_path / "demo", lambda line: None)


def test_a_second_telling_gets_a_place_of_its_own(tmp_path: Path) -> None:
    require_tools()
    from invoke_log.surfaces.demo.story import new_place

    out = tmp_path / "deep" / "invoke-demo"
    assert new_place(out) == out
    (out / "log").mkdir()
    assert [new_place(out), new_place(out)] == [out / "run-2", out / "run-3"]
    assert sorted(path.name for path in out.iterdir()) == ["log", "run-2", "run-3"]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_something_else_is_left_alone(kind: str, tmp_path: Path) -> None:
    require_tools()
    from invoke_log.surfaces.demo.story import new_place

    out = tmp_path / "mine"
    if kind == "directory":
        out.mkdir()
        (out / "thesis.txt").write_text("text")
    else:
        out.write_text("text")
    with pytest.raises(ConfigInvalidError):
        new_place(out)
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["text"]


@pytest.mark.parametrize("charges", [0, -1, 5001])
def test_a_story_of_no_orders_or_too_many_is_refused(charges: int, tmp_path: Path) -> None:
    require_tools()
    from invoke_log.surfaces.demo.story import tell

    with pytest.raises(ConfigInvalidError, match="want 1 to 5000 orders"):
        tell(charges, tmp_path / "demo", lambda line: None)
    assert list(tmp_path.iterdir()) == []
