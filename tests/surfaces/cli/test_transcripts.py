"""Each transcript answers as it is written: stdout, stderr and exit code."""

from pathlib import Path

import pytest

from tests.harness.transcript import stage, steps_of

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_command_line_answers_as_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage(tmp_path, monkeypatch) as player:
        for step in steps_of(path.read_text(encoding="utf-8")):
            player.play(step)
