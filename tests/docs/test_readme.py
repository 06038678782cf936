"""The README's own words: its first program prints what it says, its commands run, and its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

README = Path("README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SWEPT = """
from dataclasses import replace
guard._tools["charge"] = replace(guard._tools["charge"], sweep=provider.items)
print(guard.sweep())
"""
"""Nothing to report: the provider's own list shows the one object that the read-back put on record."""


def test_the_first_program_prints_what_it_says_and_the_commands_after_it_run(tmp_path: Path) -> None:
    source = next(text for language, text in BLOCKS if language == "python")
    said = [line.split("#", 1)[1].strip() for line in source.splitlines() if line.startswith("print(")]
    program = [sys.executable, "-c", source + SWEPT]
    ran = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines() == [*said, "[]"]
    commands = next(text for language, text in BLOCKS if language == "console").splitlines()
    assert len(commands) == 3
    for line in commands:
        name, *arguments = shlex.split(line.removeprefix("$ "))
        assert name == "invoke-log"
        command = [sys.executable, "-m", "invoke_log", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def test_the_first_program_stands_within_the_first_twenty_lines() -> None:
    assert "```python" in README.splitlines()[:20]


def test_each_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not Path(target).exists()] == []
