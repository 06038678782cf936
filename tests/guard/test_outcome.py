"""The endings of a call: values and exceptions at once, and none that a retry library takes for "try again"."""

from typing import Any

import pytest

from invoke_log.errors import InvokeLogError
from invoke_log.format import digest
from invoke_log.guard import outcome
from invoke_log.guard.outcome import (
    HINTS,
    Aborted,
    Blocked,
    CallEndedError,
    DefiniteFailure,
    Denied,
    NeverSent,
    NotCommitted,
    OutcomeUnknown,
    Pending,
)
from invoke_log.rules.effect import NEXT

EFFECT = bytes(range(32))
FACTS: dict[str, Any] = {"effect_key": EFFECT, "by": EFFECT, "next": "reconcile", "status": "unknown"}
ENDINGS: tuple[CallEndedError, ...] = (
    OutcomeUnknown("u", not_before=5, **FACTS),
    NotCommitted("n", **FACTS),
    Blocked("b", receipt=None, **FACTS),
    Pending("p", **FACTS),
    Denied("d", **FACTS),
)
# What retry libraries and clients retry on by default.
TRANSIENT = (TimeoutError, ConnectionError, OSError, EOFError, InterruptedError, BlockingIOError)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
def test_no_ending_is_of_a_kind_that_is_retried(ending: CallEndedError) -> None:
    assert isinstance(ending, InvokeLogError)
    assert not isinstance(ending, TRANSIENT)
    assert "retry" not in f"{ending} {ending.hint}".lower()
    assert "again" not in ending.message


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
def test_the_text_of_an_ending_says_which_effect_and_what_to_do(ending: CallEndedError) -> None:
    assert str(ending) == f"{ending.message} ({ending.effect_key}); {ending.hint}"
    assert str(Denied("d", **{**FACTS, "next": ""})) == f"d ({ending.effect_key})"


def test_what_committed_shows_is_the_same_in_every_run() -> None:
    committed = outcome.Committed(value=7, effect_key="eff_1", fresh=True, receipt=lambda: b"")
    assert repr(committed) == "Committed(value=7, effect_key='eff_1', fresh=True)"


def test_each_ending_has_a_code_of_its_own() -> None:
    codes = {type(ending).__name__: ending.code for ending in ENDINGS}
    assert codes == {
        "OutcomeUnknown": "outcome-unknown",
        "NotCommitted": "not-committed",
        "Blocked": "blocked",
        "Pending": "approval-pending",
        "Denied": "denied",
    }


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
def test_an_ending_names_its_effect_and_what_stands_in_the_way(ending: CallEndedError) -> None:
    assert ending.effect_key == digest.format_id("eff", EFFECT)
    assert ending.by == digest.format_id("evt", EFFECT)
    assert (ending.next, ending.status) == ("reconcile", "unknown")
    if not isinstance(ending, Pending):
        assert ending.hint == 'do not call again: run "invoke-log reconcile"'


def test_a_call_that_waits_for_approval_says_who_has_to_act_and_what_follows() -> None:
    [pending] = [ending for ending in ENDINGS if isinstance(ending, Pending)]
    assert pending.hint == (
        'nothing was sent: once a person has approved it ("invoke-log approvals"), make the same call again'
    )


def test_an_ending_that_nothing_stands_in_the_way_of_names_nothing() -> None:
    assert Denied("d", **{**FACTS, "by": None, "next": ""}).by is None
    assert Denied("d", **{**FACTS, "by": None, "next": ""}).hint is None


def test_unknown_says_from_when_on_absence_can_be_proved() -> None:
    [unknown] = [ending for ending in ENDINGS if isinstance(ending, OutcomeUnknown)]
    assert unknown.not_before == 5
    assert outcome.Unknown is OutcomeUnknown


def test_every_next_step_of_the_rules_has_a_hint_and_none_of_an_open_effect_says_call() -> None:
    assert set(HINTS) == {*NEXT, "decide_again", "tick"}
    assert all(HINTS[word].startswith("do not call again") for word in ("reconcile", "attest"))


def test_what_tools_raise_to_prove_that_nothing_happened_is_of_no_provider_error_kind() -> None:
    for proof in (NeverSent(), DefiniteFailure("card_declined"), Aborted()):
        assert not isinstance(proof, (InvokeLogError, *TRANSIENT))
    assert DefiniteFailure("card_declined").failure == "card_declined"
