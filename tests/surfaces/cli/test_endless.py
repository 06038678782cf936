"""What has no end, as a device, is read as far as a file of its kind may go, by each verb that takes a file."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from invoke_log.surfaces.cli.main import main

MEMORY_KB: Final = 1_000_000
FILE_KB: Final = 100_000
VERBS: Final = [
    (["contract", "add", "{}"], 4, "contract {}: more than 1048576 bytes"),
    (["policy", "set", "{}"], 4, "policy {}: more than 1048576 bytes"),
    (["policy", "backtest", "{}"], 4, "policy {}: more than 1048576 bytes"),
    (["policy", "simulate", "{}"], 3, "a line of more than 1048576 bytes"),
    (["append", "{}"], 3, "a line of more than 1048576 bytes"),
    (["verify", "{}"], 3, "the first item is not"),
    (["verify", "log", "--against", "{}"], 3, ""),
    (["replay", "{}"], 3, "the first item is not"),
    (["receipt", "verify", "{}", "--trust", "vkey"], 3, "receipt: the first item is not"),
    (["replay", "log", "--trust", "{}"], 2, "verifier keys {}: more than 65536 bytes"),
    (["recover", "{}", "--log", "new"], 3, "the first item is not"),
    (["snapshot", "diff", "{}", "{}"], 3, "snapshot {}: more than 8388608 bytes"),
    (["key", "show", "zero.pub"], 2, "key file zero.pub: more than 16384 bytes"),
    (["gateway", "install", "--file", "{}"], 2, "config {}: more than 67108864 bytes"),
]


@pytest.mark.parametrize(("words", "code", "said"), VERBS, ids=[" ".join(words) for words, _, _ in VERBS])
def test_a_device_without_an_end_is_no_file_of_any_kind(
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVOKE_LOG", "log")
    assert main(["init", "log", "--origin", "example.com/log"]) == 0
    Path("vkey").write_text(capfd.readouterr().out)
    Path("zero.pub").symlink_to("/dev/zero")
    ended = subprocess.run(
        [
            *("bash", "-c", f'ulimit -d {MEMORY_KB}; ulimit -f {FILE_KB}; exec "$@"', "bash"),
            *(sys.executable, "-m", "invoke_log", *(word.format("/dev/zero") for word in words)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr.count("bug")) == (code, 0), ended.stderr
    assert said.format("/dev/zero") in ended.stdout + ended.stderr


def test_what_came_by_a_pipe_is_called_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVOKE_LOG", "log")
    assert main(["init", "log", "--origin", "example.com/log"]) == 0
    assert main(["checkpoint"]) == 0
    note = capfd.readouterr().out.partition("\n")[2]
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_text, args=(note,))
    writer.start()
    assert main(["verify", "pipe"]) == 3
    writer.join()
    assert '"invoke-log verify PATH --against pipe"' in capfd.readouterr().err
