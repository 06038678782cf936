"""Races for a log, and commits that fail: one wins, and whoever is not told asks again. [ADM-1], [ADM-2], S11, L3"""

import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from invoke_log.errors import CommitUncertainError, LogHaltedError, StoreError, StoreFullError, StoreReadOnlyError
from invoke_log.format.envelope import Envelope, seal
from invoke_log.ledger.log import Log
from invoke_log.log.signer import FileSigner
from invoke_log.rules.admission import Collision, Stale
from invoke_log.rules.answer import Accepted, Duplicate, Unavailable
from invoke_log.rules.answer import Answer as LogAnswer
from invoke_log.rules.contract import complete_contract, parse_contract
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import Freeze, Note, Refusal, Revoke, Scope
from tests.guard.test_budgets import limit
from tests.harness.between import fail, on_disk, raced
from tests.harness.live import PARTIAL, Live, id_of, open_live

RACER = Path(__file__).parents[1] / "harness" / "racer.py"


# --- races: what was judged on a log that moved is judged again


def test_an_intent_overtaken_by_its_twin_collides_with_it(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        theirs, ours = live.intent(by=live.grant(9, "agent")), live.intent()
        between.before.append(lambda: other.append(theirs))
        assert live.append(ours) == [Collision(of=id_of(theirs))]


def test_of_an_append_that_was_overtaken_every_later_event_is_judged_again(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        theirs, (intent, start) = live.intent(by=live.grant(9, "agent")), live.begun()
        aside = live.intent(live.bound(customer="cus_2"))
        between.before.append(lambda: other.append(theirs))
        answers = live.append([aside, intent, start])
        assert [type(answer) for answer in answers] == [Accepted, Collision, Stale]
        assert live.state().claim is not None
        assert live.state().send is None


def test_what_was_answered_because_of_an_overtaken_event_is_answered_anew(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        freeze = live.log.draft(Freeze(scope=EVERYTHING, reason="ours"), live.admin)
        contract = parse_contract(complete_contract({**PARTIAL, "name": "theirs"}))
        theirs = live.log.draft(contract, live.admin)
        between.before.append(lambda: other.append(theirs))
        assert [type(answer) for answer in live.append([freeze, live.intent()])] == [Stale, Accepted]


def test_what_was_accepted_beside_an_overtaken_event_stays_so(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        note, theirs, ours = live.draw(Note(about=bytes(32), text="seen"), live.agent), live.tick(1), live.tick(2)
        between.before.append(lambda: other.append(theirs))
        assert [type(answer) for answer in live.append([ours, note])] == [Stale, Accepted]


def test_a_refusal_that_rides_with_an_overtaken_event_is_on_record_all_the_same(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        second = live.grant(9, "agent")
        live.log.refuse(refused(live, second), second)
        revoke = live.log.draft(Revoke(key=second.public_key, grant=None, suspect_from=None), live.admin)
        theirs = live.log.draft(Freeze(scope=EVERYTHING, reason="theirs"), live.admin)
        between.before.append(lambda: other.append(theirs))
        assert live.answer(revoke) == "stale chain-broken"
        assert [entry.event.kind for entry in live.log.entries()][-1] == "refusal"


def refused(live: Live, by: FileSigner) -> Refusal:
    bound = live.bound()
    return Refusal(
        issuer=by.public_key,
        effect=bound.effect,
        resource=bound.resource,
        blocker=None,
        reason="blocked",
        count=1,
        first_ms=0,
        last_ms=0,
    )


def test_a_refusal_is_on_record_once_flushed_though_what_waited_before_it_is_stale(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, _):
        entered, go = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            go.wait(10)

        between.before.append(hold)
        first, late = live.draw(Note(about=bytes(32), text="seen"), live.agent), live.tick(-1)
        threads = [threading.Thread(target=work) for work in (partial(live.append, first), partial(live.append, late))]
        threads.append(threading.Thread(target=live.log.flush))
        for waiting, thread in enumerate(threads, 1):
            thread.start()
            assert entered.wait(10)
            while len(live.log._group._waiting) < waiting:
                pass
        live.log.refuse(refused(live, live.agent), live.agent)
        go.set()
        for thread in threads:
            thread.join(10)
        assert [entry.event.kind for entry in live.log.entries()][-2:] == ["note", "refusal"]


def test_a_governance_event_that_comes_first_is_the_one_that_an_intent_is_judged_under(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        freeze, intent = live.log.draft(Freeze(scope=EVERYTHING, reason="stop"), live.admin), live.intent()
        between.before.append(lambda: other.append(freeze))
        assert live.answer(intent) == "refused frozen"


def test_a_tick_that_comes_first_makes_the_verdict_stale(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        tick, intent = live.tick(1), live.intent()
        between.before.append(lambda: other.append(tick))
        assert live.answer(intent) == "stale now-stale"
        assert live.answer(live.intent()) == "accepted"


def test_what_a_budget_counted_is_of_no_leaf_that_those_ahead_have_yet_to_reach(tmp_path: Path) -> None:
    """[POL-7]: both are overtaken by one event, and what follows them takes the leaf of the second."""
    with raced(tmp_path) as (live, between, other):
        live.ask()
        asked, approvers = live.intent(), [live.grant(seed, "approver") for seed in (9, 10)]
        live.put(asked)
        theirs, ours = (live.approval(asked, by=approver) for approver in approvers)
        next_ours = live.approval(asked)
        next_ours = seal({**next_ours.fields, "prev": id_of(ours)}, live.admin)
        limit(live, 5)
        drawn = live.intent(live.bound(customer="cus_2"))
        data: Any = drawn.fields["data"]
        with live.log.world() as world:
            data["verdict"]["inputs"]["budgets"]["b"]["as_of"] = int(world.reader.size) + 2
        between.before.append(lambda: other.append(theirs))
        answers = live.append(ours, next_ours, seal(drawn.fields, live.agent))
        assert [getattr(answer, "code", "") for answer in answers] == ["chain-broken", "chain-broken", "budgets-stale"]
        live.log.checkpoint()
        assert live.audit().findings == ()


def test_of_two_ticks_at_once_one_counts(tmp_path: Path) -> None:
    """[TIME-1]: none was sealed after the other, so neither says what time had passed since."""
    with raced(tmp_path) as (live, between, other):
        for mine, theirs in ((2, 1), (1, 2)):
            ours, first = live.tick(mine), live.tick(theirs)
            between.before.append(partial(other.append, first))
            assert live.answer(ours) == "stale tick-overtaken"


def test_whoever_tells_the_time_and_is_overtaken_tells_it_again(tmp_path: Path) -> None:
    """The other's tick need not cover what stood before this call [TIME-3]."""
    with raced(tmp_path) as (live, between, other):
        theirs, start = live.tick(1), live.begun()
        live.append(start)
        between.before.append(lambda: other.append(theirs))
        leaf = live.state().send
        assert leaf is not None
        assert isinstance(live.log.tick(), Accepted)
        with live.log.world() as world:
            assert world.hi(leaf.index) is not None


def elsewhere(live: Live) -> Envelope:
    """A governance event that no intent here is judged by, and that each has to be judged again for."""
    return live.log.draft(Freeze(scope=Scope(effect_class="other/1", prefix=""), reason="theirs"), live.admin)


def test_whoever_always_loses_is_told_to_ask_again(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        losing = live.intent()

        def lose() -> None:
            between.before.append(lose)
            assert isinstance(other.append(elsewhere(live)), Accepted)

        between.before.append(lose)
        assert isinstance(live.append(losing)[0], Unavailable)
        between.before.clear()
        assert live.answer(losing) == "accepted"


def test_threads_that_race_for_one_effect_get_one_acceptance(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        keys = [live.grant(seed, "agent", "executor") for seed in range(10, 16)]
        drawn = [live.begun(by=key) for key in keys]
        answers: list[list[LogAnswer]] = []
        threads = [threading.Thread(target=lambda one=one: answers.append(live.append(one))) for one in drawn]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = sorted("+".join(type(answer).__name__ for answer in both) for both in answers)
        assert names == ["Accepted+Accepted"] + ["Collision+Stale"] * 5
        assert live.audit().findings == ()


def test_processes_that_race_for_each_effect_get_one_acceptance_each(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        path = live.log.path
        keys = [live.grant(seed, "agent", "executor") for seed in (10, 11, 12)]
        assert len(keys) == 3
    go = tmp_path / "go"
    command = [sys.executable, str(RACER), str(path), str(go)]
    racers = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in (10, 11, 12)]
    go.touch()
    heard = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    for order, answers in enumerate(zip(*heard, strict=True)):
        sends = [both for both in answers if both == ["Accepted", "Accepted"]]
        assert len(sends) == 1, (order, answers)
        assert all("Accepted" not in both[1] for both in answers if both not in sends)


# --- commits that fail


def test_after_unavailable_the_same_bytes_are_duplicate_where_they_were_stored(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        begun, uncertain = live.begun(), CommitUncertainError("the disk did not answer")
        opened[-1].after.append(fail(uncertain))
        assert [type(answer) for answer in live.append(begun)] == [Unavailable, Unavailable]
        assert [type(answer) for answer in live.append(begun)] == [Duplicate, Duplicate]
        assert len(opened) == 2
        assert live.state().status == "started"


def test_after_unavailable_the_same_bytes_are_accepted_where_they_were_not_stored(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        begun, uncertain = live.begun(), CommitUncertainError("the disk did not answer")
        opened[-1].before.append(fail(uncertain))
        assert [type(answer) for answer in live.append(begun)] == [Unavailable, Unavailable]
        assert [type(answer) for answer in live.append(begun)] == [Accepted, Accepted]


@pytest.mark.parametrize("stored", [False, True])
def test_refusals_whose_commit_was_uncertain_are_on_record_once(tmp_path: Path, stored: bool) -> None:
    with on_disk(tmp_path) as (live, opened):
        refusal = refused(live, live.agent)
        live.log.refuse(refusal, live.agent)
        lost = fail(CommitUncertainError("the disk did not answer"))
        (opened[-1].after if stored else opened[-1].before).append(lost)
        intent = live.intent()
        assert isinstance(live.append(intent)[0], Unavailable)
        live.clock.ms += 1
        live.append(intent, live.tick(1))
        live.wait(1)
        assert [entry.event.kind for entry in live.log.entries()].count("refusal") == 1


def test_a_log_that_cannot_verify_itself_answers_unavailable_and_never_raises_it(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        begun = live.begun()
        opened[-1].before.append(fail(CommitUncertainError("the disk did not answer")))
        live.append(begun)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(live.log._engine, "_opener", fail(StoreError("gone")))
            assert [type(answer) for answer in live.append(begun)] == [Unavailable, Unavailable]
            with pytest.raises(LogHaltedError):
                live.log.effect(live.bound().effect)
        assert live.answer(begun) == "accepted"


def test_a_full_disk_stores_nothing_and_is_raised(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        begun = live.begun()
        opened[-1].before.append(fail(StoreFullError("no space")))
        with pytest.raises(StoreFullError):
            live.append(begun)
        assert live.answer(begun) == "accepted"


def test_a_disk_that_is_full_at_the_second_try_takes_back_no_acceptance(tmp_path: Path) -> None:
    with raced(tmp_path) as (live, between, other):
        aside = live.bound(order="2")
        live.append(live.begun())
        live.append(live.begun(aside))
        note = live.draw(Note(about=bytes(32), text="seen"), live.agent)
        theirs, ours = live.outcome(bound=aside), live.outcome()
        between.before = [lambda: other.append(theirs), fail(StoreFullError("no space"))]
        assert [type(answer) for answer in live.append([note, ours])] == [Accepted, Unavailable]
        assert live.answer(ours) == "accepted"


def test_a_log_opened_for_reading_takes_nothing(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        path, intent = live.log.path, live.intent()
    with Log.open(path, read_only=True) as log:
        with pytest.raises(StoreReadOnlyError):
            log.append(intent)
        assert log.tick() is None
