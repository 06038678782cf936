"""SPEC.md and its proof: each clause is cited by a test or a vector, and each citation names a clause."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAUSE = re.compile(r"\[([A-Z][A-Z0-9]*)-(\d+)\]")

TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path.parent != Path(__file__).parent]
VECTORS = sorted(path for path in (ROOT / "vectors").rglob("*.json"))
SOURCES = sorted(
    [*(ROOT / "src").rglob("*.py"), *(ROOT / "vectors" / "generate").glob("*.py"), *(ROOT / "docs").rglob("*.md")]
)


def clauses(*texts: str) -> set[str]:
    return {f"{area}-{number}" for text in texts for area, number in CLAUSE.findall(text)}


def read(paths: list[Path]) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in paths]


def spec() -> set[str]:
    return clauses((ROOT / "SPEC.md").read_text(encoding="utf-8"))


def test_the_spec_has_clauses() -> None:
    assert spec()


def test_each_clause_is_cited_by_a_test_or_a_vector() -> None:
    assert sorted(spec() - clauses(*read(TESTS), *read(VECTORS))) == []


def test_each_citation_names_a_clause_of_the_spec() -> None:
    areas = {clause.partition("-")[0] for clause in spec()}
    cited = clauses(*read(TESTS), *read(VECTORS), *read(SOURCES))
    assert sorted(clause for clause in cited - spec() if clause.partition("-")[0] in areas) == []


def test_a_clause_id_is_capitals_a_hyphen_and_a_number_in_brackets() -> None:
    assert clauses("[EXAMPLE-3] but not [example-3], EXAMPLE-4, [EXAMPLE3] or [X-]; [E2E-12].") == {
        "EXAMPLE-3",
        "E2E-12",
    }
