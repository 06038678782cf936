"""A share of the storm: nothing happens twice, and the log says what the providers' ledgers say. S1, S2, S3, L1

Each effect is asked for twelve times by four processes that are killed; `make storm` is the whole of it. The control
lets the same weather pass over agents without a guard, and must count duplicates.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, STARTED, UNKNOWN
from tests.storm.storm import FREE, judge, lines, run
from tests.storm.tools import OBSERVABILITY, Order

SEED = int(os.environ.get("INVOKE_LOG_SEED", "1"))
EFFECTS = 30
EFFECTS_OF_CONTROL = 12


def test_after_the_storm_no_ledger_shows_an_effect_twice_and_the_log_agrees_with_all(
    record_property: Callable[[str, object], None],
) -> None:
    verdict = run(effects=EFFECTS, seed=SEED)
    assert verdict.faults == [], "\n".join(lines(verdict, SEED))
    assert verdict.kills > 0
    if SEED == 1:  # its weather loses the first request of the tool whose effects only a re-drive settles
        assert verdict.redrives > 0
    for observability, tally in verdict.tallies.items():
        assert tally.committed > 0, observability
        record_property("figure", (f"effects in a storm, {observability}", tally.tried, tally.tried - tally.twice))
    record_property("note", f"{verdict.kills} processes were killed in it, seed {SEED}")


def test_agents_without_a_guard_repeat_effects_in_the_same_weather() -> None:
    verdict = run(effects=EFFECTS_OF_CONTROL, seed=SEED, guarded=False)
    assert verdict.twice > 0, "\n".join(lines(verdict, SEED))


# --- the judge


def faults(tool: str, count: int, status: str, *, told: bool = False) -> list[str]:
    order = Order(tool=tool, name="o1", of="c1")
    ledgers = {name: Counter({"o1": count} if name == tool and count else {}) for name in OBSERVABILITY}
    return judge([order], ledgers, {"o1": status}, told=frozenset({"o1"} if told else ())).faults


@pytest.mark.parametrize("tool", OBSERVABILITY)
@pytest.mark.parametrize(
    ("count", "status"),
    [(2, COMMITTED), (2, UNKNOWN), (1, NOT_COMMITTED), (1, FREE), (0, COMMITTED), (0, STARTED), (1, STARTED)],
)
def test_the_judge_refuses_what_is_twice_what_contradicts_and_what_is_still_out(
    tool: str, count: int, status: str
) -> None:
    assert faults(tool, count, status) != []


@pytest.mark.parametrize("tool", OBSERVABILITY)
@pytest.mark.parametrize(("count", "status"), [(1, COMMITTED), (0, NOT_COMMITTED), (0, FREE)])
def test_the_judge_passes_what_agrees(tool: str, count: int, status: str) -> None:
    assert faults(tool, count, status) == []


@pytest.mark.parametrize("count", [0, 1])
def test_unknown_is_left_only_where_nobody_can_know(count: int) -> None:
    left = {tool for tool in OBSERVABILITY if faults(tool, count, UNKNOWN) == []}
    assert left == {"transfer", "send_mail"}
    assert faults("transfer", count, UNKNOWN, told=True) != []


def test_what_nobody_asked_for_is_a_fault() -> None:
    assert judge([], {tool: Counter({"o9": 1}) for tool in OBSERVABILITY}, {}).faults != []
