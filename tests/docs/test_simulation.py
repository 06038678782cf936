"""What docs/simulation.md lists as found is held by tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_thing_that_was_found_names_its_test() -> None:
    text = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    found = text.partition("## What the simulator found\n")[2].partition("\n## ")[0]
    for item in found.split("\n- ")[1:]:
        files = re.findall(r"`(tests/\w+/test_\w+\.py)::", item)
        names = re.findall(r"\btest_\w+(?!\w|\.py)", item)
        assert (len(files), bool(names)) == (1, True), item
        held = (ROOT / files[0]).read_text(encoding="utf-8")
        assert [name for name in names if f"def {name}(" not in held] == [], item
