"""vectors/generate/run.py: it writes what the generators make, and its check sees each way to differ."""

from pathlib import Path

import pytest

from vectors.generate import run

GENERATOR = 'AREAS = ("letters",)\ndef generate():\n    return {"letters/a.json": b"a", "letters/b.json": b"b"}\n'


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "generate").mkdir()
    (tmp_path / "generate" / "letters.py").write_text(GENERATOR)
    monkeypatch.setattr(run, "HERE", tmp_path / "generate")
    return tmp_path


def test_what_was_written_passes_the_check(tree: Path) -> None:
    assert run.main([]) == 0
    assert (tree / "letters" / "b.json").read_bytes() == b"b"
    assert run.main(["--check"]) == 0


def test_the_check_names_what_is_missing_stale_or_different_and_writes_nothing(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "letters").mkdir()
    (tree / "letters" / "a.json").write_bytes(b"A")
    (tree / "letters" / "old.json").write_bytes(b"")
    assert run.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines()[:3] == [
        "error: vectors/letters/a.json: differs from what is generated",
        "error: vectors/letters/b.json: missing",
        "error: vectors/letters/old.json: stale, no generator makes it",
    ]
    assert sorted(path.name for path in (tree / "letters").iterdir()) == ["a.json", "old.json"]


def test_a_rewrite_removes_the_stale_and_leaves_other_folders_alone(tree: Path) -> None:
    for folder in ("letters", "external"):
        (tree / folder).mkdir()
        (tree / folder / "old.json").write_bytes(b"")
    assert run.main([]) == 0
    assert not (tree / "letters" / "old.json").exists()
    assert (tree / "external" / "old.json").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('AREAS = ("letters",)\ndef generate(): return {}\n', "belongs to another generator too"),
        ('AREAS = ("x",)\ndef generate(): return {"letters/c.json": b""}\n', "lies outside of"),
        ('AREAS = ("x",)\ndef generate(): return {"x/../c.json": b""}\n', "lies outside of"),
        ('AREAS = ("x",)\n', "no generate"),
    ],
)
def test_a_generator_that_breaks_the_convention_is_refused(tree: Path, source: str, message: str) -> None:
    (tree / "generate" / "other.py").write_text(source)
    with pytest.raises(SystemExit, match=message):
        run.main(["--check"])


def test_an_unknown_name_is_refused(tree: Path) -> None:
    with pytest.raises(SystemExit, match="no generator named numbers; there are letters"):
        run.main(["numbers"])
