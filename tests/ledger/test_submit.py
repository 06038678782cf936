"""Appending until the log answers: UNAVAILABLE and a head that moved are not the last word. [CALL-4], L3"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from invoke_log.errors import NotFoundError
from invoke_log.format.envelope import Envelope
from invoke_log.ledger import approval, log
from invoke_log.ledger.approval import PendingIntent
from invoke_log.ledger.consent import approve
from invoke_log.ledger.state import LiveWorld
from invoke_log.ledger.submit import DRAFTS_MAX, append_drawn, append_surely
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Unavailable
from invoke_log.rules.call import APPENDS_MAX
from invoke_log.rules.kind import Freeze, Scope
from invoke_log.rules.world import EffectState
from tests.harness.live import Live, id_of, memory_live

GONE = Unavailable(reason="no disk")
FREEZE = Freeze(scope=Scope(effect_class="*", prefix=""), reason="stop")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with memory_live(tmp_path) as opened:
        opened.register(version=2)
        yield opened


def answers_lost(live: Live, monkeypatch: pytest.MonkeyPatch, times: int) -> list[bytes]:
    """Have the log's first answers lost after the commit; return the bodies that are appended, as they come."""
    bodies: list[bytes] = []
    append: Callable[[Sequence[Envelope]], list[Answer]] = live.log.append_many

    def uncertain(envelopes: Sequence[Envelope]) -> list[Answer]:
        bodies.extend(envelope.body for envelope in envelopes)
        answers = append(envelopes)
        return answers if len(bodies) > times else [GONE for _ in answers]

    monkeypatch.setattr(live.log, "append_many", uncertain)
    return bodies


def test_what_stays_unavailable_is_said_so_in_the_end(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = answers_lost(live, monkeypatch, times=1_000)
    assert append_surely(live.log, [live.log.draft(FREEZE, live.admin)]) == [GONE]
    assert len(bodies) == 1 + APPENDS_MAX
    assert len(set(bodies)) == 1


def test_an_event_whose_answer_was_lost_is_on_the_log_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(list(live.log.entries()))
    answers_lost(live, monkeypatch, times=2)
    event_id, answer = append_drawn(live.log, FREEZE, live.admin)
    assert isinstance(answer, Accepted)
    assert [entry.event.id for entry in live.log.entries(size)] == [event_id]


def test_an_event_is_drawn_up_anew_where_another_came_first(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    append, drawn = live.log.append_many, 0

    def outrun(envelopes: Sequence[Envelope]) -> list[Answer]:
        nonlocal drawn
        drawn += 1
        if drawn < DRAFTS_MAX:
            live.clock.ms += 1
            append([live.log.draft(Freeze(scope=FREEZE.scope, reason=f"{drawn}"), live.admin)])
        return append(envelopes)

    monkeypatch.setattr(live.log, "append_many", outrun)
    assert isinstance(append_drawn(live.log, FREEZE, live.admin)[1], Accepted)
    monkeypatch.setattr(live.log, "append_many", lambda envelopes: [Stale(code="chain-broken", head=None, reason="")])
    assert isinstance(append_drawn(live.log, FREEZE, live.admin)[1], Stale)


def test_an_approval_whose_answer_was_lost_is_given(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.ask()
    intent = live.intent(asks=True)
    live.put(intent)
    monkeypatch.setattr(live.log, "tick", lambda: None)
    answers_lost(live, monkeypatch, times=1)
    assert isinstance(approve(live.log, id_of(intent), live.admin), Accepted)
    assert len(live.log.approval(id_of(intent)).given) == 1


def test_one_claim_that_waits_is_found_without_showing_the_others(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.ask()
    claims = [live.intent(live.bound(customer=f"cus_{n}"), asks=True) for n in range(3)]
    live.put(*claims)
    shown: list[bytes] = []

    def pending(world: LiveWorld, state: EffectState, *, at_ms: int) -> PendingIntent | None:
        shown.append(state.effect)
        return approval.pending(world, state, at_ms=at_ms)

    monkeypatch.setattr(log, "pending", pending)
    assert live.log.approval(id_of(claims[1])).effect == live.bound(customer="cus_1").effect
    assert shown == [live.bound(customer="cus_1").effect]


def test_what_is_no_claim_or_no_longer_one_waits_for_nobody(live: Live) -> None:
    live.ask()
    claim = live.intent(asks=True)
    live.put(claim)
    release = live.release()
    live.put(release)
    for event_id in (id_of(claim), id_of(release), live.contract.id):
        with pytest.raises(NotFoundError, match="does not wait for approval"):
            live.log.approval(event_id)
    again = live.intent(asks=True)
    live.put(again)
    with pytest.raises(NotFoundError, match="does not wait for approval"):
        live.log.approval(id_of(claim))
    assert live.log.approval(id_of(again)).intent == id_of(again)
