"""Receipts from a log that runs: which leaves an effect's story needs, and that they are enough. [RCP-3], S14"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invoke_log.audit.receipt import verify_receipt
from invoke_log.errors import NotFoundError
from invoke_log.format.receipt import ReceiptReader
from invoke_log.rules.kind import ABSENT, COMMITTED, NOT_COMMITTED, UNKNOWN, Evidence, Observation, Resolution
from tests.harness.live import D_MS, Q_MS, TTL_MS, Live, id_of, memory_live
from tests.harness.player import recover


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with memory_live(tmp_path) as opened:
        yield opened


def committed(live: Live) -> None:
    live.append(live.begun())
    live.append(live.outcome())


def approved(live: Live) -> None:
    live.ask()
    intent = live.intent()
    live.append(intent)
    live.wait(TTL_MS // 2)
    approval = live.approval(intent)
    live.append(approval)
    live.wait(TTL_MS)
    live.append(live.start(intent, approvals=(id_of(approval),)))
    live.append(live.outcome())


def absent(live: Live) -> None:
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN))
    live.wait(1)
    live.wait(D_MS + Q_MS)
    live.append(live.absent())


def redriven(live: Live) -> None:
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN))
    live.wait(100)
    live.append(live.redrive())
    live.wait(1)
    live.wait(D_MS + Q_MS)
    live.append(live.absent())


def released(live: Live) -> None:
    live.append(live.intent())
    live.wait(1)
    live.wait(TTL_MS)
    live.append(live.release(by=live.admin))
    live.append(live.begun())
    live.append(live.outcome())


def repeated(live: Live) -> None:
    committed(live)
    again = live.intent(by=live.admin, again=True)
    live.append(again)
    live.append(live.denial(again, by=live.grant(9, "approver")))


def seen(live: Live) -> None:
    live.append(live.present(generation=3))


def attested(live: Live) -> None:
    live.append(live.begun())
    live.wait(1)
    live.wait(D_MS)
    live.append(live.suspect())
    live.wait(D_MS + Q_MS)
    live.append(live.attestation(COMMITTED))


def recovered(live: Live) -> None:
    """Claimed, perhaps sent by a tail that was lost, and absent: by a bound that counts from the recovery."""
    live.append(live.intent())
    live.wait(1)
    recover(live)
    for ms in (1, D_MS + Q_MS, 5):
        live.wait(ms)
    assert live.answer(live.absent()) == "accepted"


def held_up(live: Live) -> None:
    """Absent, by a bound that counts from the second tick after the START: the first was sealed before it."""
    sealed = live.tick(1)
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN), sealed)
    for ms in (5, 5, D_MS + Q_MS - 5, 5):
        live.wait(ms)
    assert live.answer(live.absent()) == "accepted"


STORIES: dict[str, tuple[Callable[[Live], None], str, str]] = {
    "committed": (committed, COMMITTED, "E0"),
    "approved": (approved, COMMITTED, "E0"),
    "absent": (absent, NOT_COMMITTED, "E0"),
    "redriven": (redriven, NOT_COMMITTED, "E0"),
    "released": (released, COMMITTED, "E0"),
    "repeated": (repeated, COMMITTED, "E0"),
    "seen": (seen, COMMITTED, "E1"),
    "attested": (attested, COMMITTED, "attested"),
    "held up": (held_up, NOT_COMMITTED, "E0"),
    "recovered": (recovered, NOT_COMMITTED, "E1"),
}


@pytest.mark.parametrize("name", STORIES)
def test_the_receipt_of_any_story_proves_what_replay_of_the_whole_log_proves(live: Live, name: str) -> None:
    tell, status, grade = STORIES[name]
    live.append(live.begun(live.bound(order="before")))  # the resource's other decisions are not in the receipt
    live.wait(3)
    tell(live)
    live.append(live.intent(live.bound(order="after")))
    live.wait(2_000)
    bound = live.bound()
    report = verify_receipt(live.log.receipt(bound.effect), trust=live.log.verifier_key)
    assert (report.trusted, report.effect.status, report.effect.grade) == (True, status, grade)
    [replayed] = [effect for effect in live.audit().effects if effect.effect == bound.effect]
    assert report.effect == replayed


def test_a_receipt_shows_no_leaf_that_its_effect_does_not_need(live: Live) -> None:
    live.append(live.begun(live.bound(order="before")))
    committed(live)
    for _ in range(3):
        live.wait(5)
    reader = ReceiptReader(io.BytesIO(live.log.receipt(live.bound().effect)))
    shown = [leaf.index for leaf in reader.leaves()]
    entries = {entry.index: entry.event for entry in live.log.entries()}
    assert [entries[index].kind for index in shown if index > 9] == ["intent", "start", "outcome", "tick"]
    assert all(entries[index].effect in (None, live.bound().effect) for index in shown)


def test_a_receipt_shows_leaf_1_though_no_event_of_its_effect_has_it_beside_it(live: Live) -> None:
    """[RCP-3]"""
    live.wait(5)
    committed(live)
    reader = ReceiptReader(io.BytesIO(live.log.receipt(live.bound().effect)))
    assert [leaf.index for leaf in reader.leaves()][:2] == [0, 1]


def test_a_receipt_of_k_readers_shows_their_observations_and_the_ticks_that_these_name(live: Live) -> None:
    live.register(name="charge-2", reconcilers=2)
    readers = [live.grant(seed, "reconciler") for seed in (11, 12)]
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN))
    live.wait(1)
    live.wait(D_MS + Q_MS)
    named = []
    for reader in readers:
        live.wait(7)
        tick = [entry.event.id for entry in live.log.entries() if entry.event.kind == "tick"][-1]
        live.wait(7)  # so that no event that is shown has the tick beside it
        evidence = Evidence(kind="absence", tick=tick)
        observation = live.draw(Observation(about=bytes(32), presence=ABSENT, evidence=evidence), reader)
        assert live.answer(observation) == "accepted"
        named.append(id_of(observation))
    live.wait(7)
    evidence = Evidence(kind="absence", observations=tuple(sorted(named)))
    data = Resolution(presence=ABSENT, contract_id=live.contract.id, generation=1, evidence=evidence)
    assert live.answer(live.draw(data, live.agent)) == "accepted"
    report = verify_receipt(live.log.receipt(live.bound().effect), trust=live.log.verifier_key)
    assert (report.effect.status, report.effect.grade) == (NOT_COMMITTED, "E2")


def test_there_is_no_receipt_of_what_the_log_never_saw(live: Live) -> None:
    with pytest.raises(NotFoundError):
        live.log.receipt(bytes(32))


def test_a_receipt_made_before_the_outcome_says_that_the_effect_is_started(live: Live) -> None:
    live.append(live.begun())
    early = live.log.receipt(live.bound().effect)
    live.append(live.outcome())
    report = verify_receipt(early, trust=live.log.verifier_key)
    assert (report.effect.status, report.effect.grade, report.effect.relies_on) == ("started", None, ())
