"""An output is whole under its name, and takes the place of nothing that is no file."""

import os
import stat
from pathlib import Path

import pytest

from invoke_log.surfaces.cli.main import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVOKE_LOG", "log")
    assert main(["init", "log", "--origin", "example.com/log"]) == 0
    assert main(["export", "whole.bundle"]) == 0
    return tmp_path


def test_a_pipe_gets_the_bytes_and_stays_one(place: Path) -> None:
    os.mkfifo(place / "pipe")
    reader = os.open(place / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # what a pipe holds is more than this bundle has
    try:
        assert main(["export", "pipe"]) == 0
        assert os.read(reader, 1 << 20) == Path("whole.bundle").read_bytes()
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


def test_a_link_stays_and_what_it_names_is_written(place: Path) -> None:
    (place / "kept").mkdir()
    for name in ("kept/old.bundle", "kept/new.bundle"):
        Path("link").unlink(missing_ok=True)
        Path("link").symlink_to(name)
        if "old" in name:
            Path(name).write_bytes(b"earlier")
        assert main(["export", "link"]) == 0
        assert Path("link").is_symlink()
        assert Path(name).read_bytes() == Path("whole.bundle").read_bytes()


def test_a_name_as_long_as_names_can_be_is_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "n" * 255
    assert main(["export", name]) == 0
    assert Path(name).read_bytes() == Path("whole.bundle").read_bytes()
    assert main(["init", "l" * 255, "--origin", "example.com/long"]) == 0
    assert main(["key", "new", "k" * 255]) == 0
    Path("passphrase").write_text("of several words")
    monkeypatch.setenv("INVOKE_LOG_PASSPHRASE_FILE", "passphrase")
    assert main(["key", "lock", "k" * 255]) == 0
    assert not [file for file in place.iterdir() if file.name.startswith(".")]
