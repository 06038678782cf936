"""The table of exit codes is total: every answer, verdict, ending and error code has one, and nothing else does."""

import importlib
import pkgutil
import warnings
from typing import get_args

import pytest

import invoke_log
from invoke_log.errors import InvokeLogError
from invoke_log.format.digest import EventId, LeafIndex
from invoke_log.guard.outcome import CallEndedError, Ending
from invoke_log.rules.admission import Blocked, Collision, Conflict, Stale
from invoke_log.rules.answer import NAMES, Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.governance import Refused
from invoke_log.rules.policy import ALLOW, ASK, DENY
from invoke_log.surfaces import outcomes

ID = EventId(bytes(32))
ANSWERS: list[tuple[Answer, int]] = [
    (Accepted(id=ID, index=LeafIndex(0)), 0),
    (Duplicate(of=ID, index=LeafIndex(0)), 0),
    (Collision(of=ID), 6),
    (Conflict(of=ID), 6),
    (Blocked(by=ID, status="unknown", next="reconcile"), 6),
    (Stale(code="state-stale", head=None, reason="moved"), 6),
    (Refused(code="frozen", reason="a freeze"), 4),
    (Unavailable(reason="no disk"), 8),
]


def errors(kind: type[InvokeLogError]) -> set[type[InvokeLogError]]:
    return {kind}.union(*(errors(child) for child in kind.__subclasses__()))


def error_codes() -> set[str]:
    """The code of every exception class of the package, the demo's included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the demo's vendors warn when they are imported
        for module in pkgutil.walk_packages(invoke_log.__path__, "invoke_log."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return {kind.code for kind in errors(InvokeLogError) if kind.__module__.startswith("invoke_log.")}


def test_every_answer_has_its_promised_exit_code() -> None:
    assert {type(answer) for answer, _ in ANSWERS} == set(get_args(Answer))
    assert [outcomes.exit_code_of(answer) for answer, _ in ANSWERS] == [code for _, code in ANSWERS]


def test_every_ending_has_an_exit_code() -> None:
    endings = [kind for kind in get_args(Ending) if issubclass(kind, CallEndedError)]
    assert len(endings) == len(get_args(Ending)) - 1  # all but Committed
    found = {kind.code: outcomes.EXIT_CODES[kind.code] for kind in endings}
    assert found == {"outcome-unknown": 7, "not-committed": 4, "blocked": 6, "approval-pending": 5, "denied": 4}


def test_the_table_holds_every_word_and_code_and_no_other() -> None:
    words = {*NAMES.values(), ALLOW, DENY, ASK, "committed", *error_codes()}
    assert sorted(outcomes.EXIT_CODES) == sorted(words)


def test_every_exit_code_has_a_meaning_and_is_one_of_nine() -> None:
    assert set(outcomes.EXIT_CODES.values()) | {outcomes.USAGE} == set(range(9))
    assert list(outcomes.MEANINGS) == list(range(9))


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("signature-invalid", 3),
        ("receipt-invalid", 3),
        ("cut", 3),
        ("config-invalid", 2),
        ("not-found", 2),
        ("contract-invalid", 4),
        ("store-full", 8),
        ("store-busy", 8),
        ("commit-uncertain", 8),
        ("log-halted", 8),
        ("store-damaged", 3),
    ],
)
def test_what_lies_is_3_what_is_misused_2_what_cannot_work_4_and_what_may_be_asked_again_8(
    code: str, exit_code: int
) -> None:
    assert outcomes.EXIT_CODES[code] == exit_code


def test_a_batch_ends_like_its_worst_line() -> None:
    assert outcomes.worst([]) == 0
    assert outcomes.worst([0, 6, 4, 0]) == 6
    assert outcomes.worst([6, 8, 0]) == 8
