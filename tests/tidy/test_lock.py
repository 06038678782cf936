"""requirements/ holds what pyproject.toml asks for: every package pinned and hashed, no index named."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN = PROJECT["project"]["dependencies"]
ALL = [*RUN, *(name for extra in PROJECT["project"]["optional-dependencies"].values() for name in extra)]
BUILD = PROJECT["build-system"]["requires"]

PIN = re.compile(
    r"^([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(text: str) -> dict[str, str]:
    """Return the pinned version of each package. Raises: ValueError: a line is neither a hashed pin nor a comment."""
    rest = [line for line in PIN.sub("", text).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if rest:
        raise ValueError(f"lock: found {rest[0]!r}, want hashed pins and comments only")
    return {name: version for name, version, _ in PIN.findall(text)}


@pytest.mark.parametrize(("lock", "wanted"), [("run.txt", RUN), ("dev.txt", [*ALL, *BUILD])])
def test_the_lock_pins_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    pinned = pins((ROOT / "requirements" / lock).read_text(encoding="utf-8"))
    asked = [Requirement(text) for text in wanted]
    assert asked
    assert [str(item) for item in asked if not item.specifier.contains(pinned.get(item.name, "0"))] == []


def test_both_locks_agree() -> None:
    run, dev = (pins((ROOT / "requirements" / name).read_text(encoding="utf-8")) for name in ("run.txt", "dev.txt"))
    assert run.items() <= dev.items()


@pytest.mark.parametrize(
    "line", ["--index-url https://example.com\n", "six\n", "six==1.17.0\n", "six @ file:six.whl\n"]
)
def test_anything_but_a_hashed_pin_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="want hashed pins"):
        pins(line)
