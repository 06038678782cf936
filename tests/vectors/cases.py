"""The vectors as tests read them: cases by area, and typed JSON back to values."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

from invoke_log.format.cbor import Value

VECTORS = Path(__file__).resolve().parents[2] / "vectors"

Case = dict[str, Any]


def names(area: str, flag: str | None = None) -> list[str]:
    """Return the names of an area's cases, or of those that carry a flag."""
    found = [path.stem for path in sorted((VECTORS / area).glob("*.json"))]
    assert found, f"vectors/{area} is empty"
    if flag is None:
        return found
    carrying = [name for name in found if flag in load(area, name)["flags"]]
    assert carrying, f"no case of vectors/{area} has the flag {flag}"
    return carrying


@cache
def load(area: str, name: str) -> Case:
    """Return a case, read once; no test changes it."""
    return cast("Case", json.loads((VECTORS / area / f"{name}.json").read_bytes()))


def untyped(typed: object) -> Value:
    """Return the value that typed JSON spells: {"$bytes": hex} is a byte string."""
    if isinstance(typed, dict):
        if typed.keys() == {"$bytes"}:
            return bytes.fromhex(typed["$bytes"])
        return {key: untyped(value) for key, value in typed.items()}
    if isinstance(typed, list):
        return [untyped(item) for item in typed]
    return cast("Value", typed)


def mapping(typed: object) -> dict[str, Value]:
    value = untyped(typed)
    assert isinstance(value, dict)
    return value


def files() -> Iterator[Path]:
    """Return every vector: all files below vectors/ that the manifest has to name."""
    return (path for path in sorted(VECTORS.rglob("*.json")) if path.name != "manifest.json")
