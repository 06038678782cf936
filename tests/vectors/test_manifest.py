"""vectors/manifest.json: it names every vector, with its digest and its count, and nothing else."""

import json
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from tests.vectors.cases import VECTORS, files
from vectors.generate import run

MANIFEST: Final[dict[str, Any]] = json.loads((VECTORS / "manifest.json").read_bytes())
VECTOR_FILES: Final = {
    path.relative_to(VECTORS).as_posix(): path for path in files() if path != VECTORS / "schema.json"
}


def test_the_manifest_names_every_vector_and_no_other_file() -> None:
    assert MANIFEST["files"].keys() == VECTOR_FILES.keys()


def test_every_digest_is_that_of_its_file() -> None:
    wrong = [
        name
        for name, path in VECTOR_FILES.items()
        if MANIFEST["files"][name]["blake3"] != blake3(path.read_bytes()).hexdigest()
    ]
    assert wrong == []


def test_every_count_is_that_of_its_file_and_of_its_area() -> None:
    areas: dict[str, int] = {}
    for name, path in VECTOR_FILES.items():
        held = json.loads(path.read_bytes())
        cases = len(held) if isinstance(held, list) and isinstance(held[0], dict) else 1
        assert MANIFEST["files"][name]["cases"] == cases, name
        areas[path.parent.name] = areas.get(path.parent.name, 0) + cases
    assert MANIFEST["areas"] == areas


def test_there_is_nothing_in_an_area_but_vectors() -> None:
    areas = (VECTORS / area for area in MANIFEST["areas"])
    assert [path for area in areas for path in area.rglob("*") if path.suffix != ".json"] == []


def test_the_readme_says_what_a_case_of_each_area_asks() -> None:
    readme = (VECTORS / "README.md").read_text(encoding="utf-8")
    assert [area for area in MANIFEST["areas"] if f"| `{area}` |" not in readme] == []


def test_what_no_generator_makes_is_named_too_and_its_generators_are_not(tmp_path: Path) -> None:
    for folder in ("external", "generate", "letters"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.json").write_bytes(b'[{"id": 1}, {"id": 2}]')
    (tmp_path / "README.md").write_bytes(b"")
    manifest = json.loads(run.manifest(tmp_path, {"letters"}, {"letters/a.json": b"{}"}))
    assert manifest["areas"] == {"external": 2, "letters": 1}
    assert list(manifest["files"]) == ["external/old.json", "letters/a.json"]
