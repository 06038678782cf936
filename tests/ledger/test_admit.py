"""What an append answers, on a log that runs: exactly one of eight, the first that fits. [ADM-1] to [ADM-6]"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope, seal
from invoke_log.ledger.state import FIRST_PLACE, AheadTick
from invoke_log.log.signer import FileSigner
from invoke_log.rules.admission import Blocked, Collision, Conflict, Stale
from invoke_log.rules.answer import NAMES, Accepted, Duplicate
from invoke_log.rules.governance import EVERYTHING, Refused
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Freeze, Note, Revoke, Suspect
from invoke_log.store.lmdb import LmdbStore
from invoke_log.store.protocol import Answer, Pending
from tests.harness.live import D_MS, Q_MS, T0, TTL_MS, Live, id_of, open_live


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with open_live(tmp_path) as opened:
        yield opened


def size_of(live: Live) -> int:
    return sum(1 for _ in live.log.entries())


# --- each answer, by name and with what it names


def test_accepted_says_the_id_and_the_leaf(live: Live) -> None:
    intent, before = live.intent(), size_of(live)
    assert live.append(intent) == [Accepted(id=id_of(intent), index=digest.LeafIndex(before))]
    assert [entry.event.id for entry in live.log.entries()][before] == id_of(intent)


def test_the_very_same_event_is_duplicate_at_its_leaf_however_often_it_is_asked(live: Live) -> None:
    intent, start = begun = live.begun()
    index = size_of(live)
    live.append(begun)
    live.append(live.outcome())
    for _ in range(2):
        assert live.append(intent) == [Duplicate(of=id_of(intent), index=digest.LeafIndex(index))]
        assert live.append(start) == [Duplicate(of=id_of(start), index=digest.LeafIndex(index + 1))]


def test_events_off_every_chain_and_of_governance_are_duplicates_too(live: Live) -> None:
    bound = live.bound()
    live.append(live.begun())
    note = live.draw(Note(about=bytes(32), text="seen"), live.agent)
    tick = live.tick(5)
    freeze = live.log.draft(Freeze(scope=EVERYTHING, reason="stop"), live.admin)
    for event in (note, tick, freeze):
        assert live.answer(event) == "accepted"
        assert live.answer(event) == "duplicate"
    assert live.state(bound).status == "started"


def test_the_same_words_again_are_another_event(live: Live) -> None:
    live.append(live.begun())
    one = live.draw(Note(about=bytes(32), text="seen"), live.agent)
    live.clock.ms += 1
    assert live.answer(one) == live.answer(live.draw(Note(about=bytes(32), text="seen"), live.agent)) == "accepted"


def test_the_same_decision_collides_whoever_wrote_it(live: Live) -> None:
    other = live.grant(9, "agent")
    first, second = live.intent(), live.intent(by=other)
    assert id_of(first) != id_of(second)
    live.append(first)
    assert live.append(second) == [Collision(of=id_of(first))]


def test_another_request_for_the_effect_conflicts_with_the_open_intent(live: Live) -> None:
    first = live.intent()
    second = live.intent(live.bound(amount=6000))
    live.append(first)
    assert live.append(second) == [Conflict(of=id_of(first))]
    assert live.append(live.intent(live.bound(amount=6000))) == [Conflict(of=id_of(first))]


@pytest.mark.parametrize(
    ("reach", "status", "after"),
    [
        (lambda live: live.append(live.intent()), "claimed", "wait"),
        (lambda live: live.append(live.begun()), "started", "poll"),
        (lambda live: (live.append(live.begun()), live.append(live.outcome(UNKNOWN))), "unknown", "reconcile"),
        (lambda live: (live.append(live.begun()), live.append(live.outcome(COMMITTED))), "committed", "receipt"),
    ],
)
def test_a_later_decision_on_an_open_or_committed_effect_is_blocked_by_its_head(
    live: Live, reach: Callable[[Live], object], status: str, after: str
) -> None:
    reach(live)
    head = live.state().last
    assert head is not None
    assert live.append(live.intent()) == [Blocked(by=head, status=status, next=after)]


def test_an_unknown_that_nobody_can_observe_is_for_a_person(live: Live) -> None:
    live.register(name="mail", effect_class="mail.send/1", observability="fire-and-forget", read_back=None)
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN))
    [answer] = live.append(live.intent())
    assert isinstance(answer, Blocked)
    assert answer.next == "attest"


def test_a_decision_on_a_resource_that_moved_is_stale_and_says_where_it_stands(live: Live) -> None:
    late = live.intent(live.bound(order="2"))
    live.append(live.intent(live.bound(order="1")))
    with live.log.world() as world:
        standing = world.state_hash(live.bound().resource)
    [answer] = live.append(late)
    assert isinstance(answer, Stale)
    assert (answer.code, answer.head) == ("state-stale", standing)


def test_an_event_that_names_an_old_head_is_stale(live: Live) -> None:
    intent = live.intent(asks=True)
    live.append(intent)
    release, approval = live.release(), live.approval(intent)
    live.append(approval)
    [answer] = live.append(release)
    assert isinstance(answer, Stale)
    assert (answer.code, answer.head) == ("chain-broken", id_of(approval))


def test_of_two_drawn_up_governance_events_the_second_is_stale(live: Live) -> None:
    one, two = (live.log.draft(Freeze(scope=EVERYTHING, reason=reason), live.admin) for reason in ("one", "two"))
    assert (live.answer(one), live.answer(two)) == ("accepted", "stale chain-broken")


def test_a_verdict_under_an_older_policy_contract_or_time_is_stale(live: Live) -> None:
    intent = live.intent()
    live.wait(1)
    assert live.answer(intent) == "stale now-stale"
    intent = live.intent()
    live.register(version=2)
    assert live.answer(intent) == "stale contract-superseded"


def test_a_guard_of_the_status_refuses_by_name(live: Live) -> None:
    live.append(live.intent())
    assert live.answer(live.outcome()) == "refused transition-invalid"
    assert live.answer(live.suspect()) == "refused transition-invalid"
    assert live.answer(live.absent()) == "refused transition-invalid"
    assert live.answer(live.release(by=live.admin)) == "refused claim-held"


def test_who_started_an_effect_may_say_that_it_happened_without_being_a_reconciler(live: Live) -> None:
    sender, other = (live.grant(seed, "agent", "executor") for seed in (61, 62))
    live.put(live.begun(by=sender))
    live.put(live.begun(live.bound(order="another"), by=other))
    assert live.answer(live.present(by=other)) == "refused grant-missing"
    assert live.answer(live.present(by=sender)) == "accepted"


def test_bad_bytes_a_flipped_signature_and_a_stranger_are_refused_before_all_else(live: Live) -> None:
    intent = live.intent()
    live.append(intent)
    flipped = bytes([intent.signature[0] ^ 1]) + intent.signature[1:]
    forged = Envelope(body=intent.body, signature=flipped, fields=intent.fields)
    unformed = seal({**intent.fields, "extra": 1}, live.agent)
    stranger = live.intent(by=FileSigner(bytes(32)))
    elsewhere = seal({**intent.fields, "log": bytes(32)}, live.agent)
    assert [live.answer(event) for event in (forged, unformed, stranger, elsewhere)] == [
        "refused signature-invalid",
        "refused malformed",
        "refused grant-missing",
        "refused log-mismatch",
    ]


def test_an_effect_belongs_to_the_resource_that_its_first_event_names(live: Live) -> None:
    """A presence may be about a key that the log has never seen, but not about any resource [EFF-15]."""
    said = live.resolution("present")
    assert live.answer(live.draw(said, live.agent, resource="elsewhere/1")) == "refused effect-differs"
    assert live.answer(live.present()) == "accepted"
    assert live.answer(live.draw(said, live.agent, resource="elsewhere/1")) == "refused resource-differs"
    assert live.audit().findings == ()


# --- the order: the first that fits


def test_a_lost_grant_is_refused_before_duplicate(live: Live) -> None:
    other = live.grant(9, "agent")
    intent = live.intent(by=other)
    live.append(intent)
    assert live.answer(intent) == "duplicate"
    live.append(live.log.draft(Revoke(key=other.public_key, grant=None, suspect_from=None), live.admin))
    assert live.answer(intent) == "refused grant-missing"


def test_duplicate_comes_before_collision_conflict_comes_before_stale(live: Live) -> None:
    first = live.intent()
    conflicting = live.intent(live.bound(amount=6000))
    live.append(first)
    assert live.answer(first) == "duplicate"
    live.register(version=2)
    assert live.answer(conflicting) == "conflict"  # its state, head and contract are old as well


def test_stale_comes_before_a_guard(live: Live) -> None:
    late = live.intent(live.bound(order="2"))
    live.append(live.intent(live.bound(order="1")))
    live.append(live.log.draft(Freeze(scope=EVERYTHING, reason="stop"), live.admin))
    assert live.answer(late) == "stale state-stale"
    assert live.answer(live.intent(live.bound(order="2"))) == "refused frozen"


def test_a_second_attempt_without_after_is_refused_and_with_other_content_it_may_go(live: Live) -> None:
    live.append(live.begun())
    live.append(live.outcome(NOT_COMMITTED))
    intent = live.intent()
    data = intent.fields["data"]
    assert isinstance(data, dict)
    bare = seal({**intent.fields, "data": {**data, "after": None}}, live.agent)
    assert live.answer(bare) == "refused after-invalid"
    assert live.answer(live.intent(live.bound(amount=6000))) == "accepted"


# --- several events in one append


def commits_of(monkeypatch: pytest.MonkeyPatch, store: type[LmdbStore] = LmdbStore) -> list[int]:
    """Have every append of a store note how many entries it was given."""
    commits: list[int] = []
    real = store.append

    def counted(self: LmdbStore, pendings: Sequence[Pending]) -> list[Answer]:
        commits.append(len(pendings))
        return real(self, pendings)

    monkeypatch.setattr(store, "append", counted)
    return commits


def test_intent_and_start_are_two_leaves_of_one_commit(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    commits, size = commits_of(monkeypatch), size_of(live)
    first, second = live.append(live.begun())
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert ((first.index, second.index), commits) == ((size, size + 1), [2])
    assert live.answer(live.outcome()) == "accepted"
    assert commits == [2, 1]


def test_events_of_one_append_see_the_accepted_ones_before_them(live: Live) -> None:
    intent, start = live.begun()
    twin = live.intent(by=live.grant(9, "agent"))
    live.clock.ms += 1
    outcome = live.outcome(start=start)
    names = [type(answer).__name__ for answer in live.append([intent, twin, start, outcome, outcome])]
    assert names == ["Accepted", "Collision", "Accepted", "Accepted", "Duplicate"]
    assert live.state().status == COMMITTED


def test_one_event_twice_in_an_append_is_accepted_once_and_a_duplicate_once(live: Live) -> None:
    for event in (live.intent(), live.tick(3), live.log.draft(Freeze(scope=EVERYTHING, reason="stop"), live.admin)):
        size = size_of(live)
        first, second = live.append([event, event])
        assert first == Accepted(id=id_of(event), index=digest.LeafIndex(size))
        assert second == Duplicate(of=id_of(event), index=digest.LeafIndex(size))


def test_the_start_of_an_intent_that_is_not_accepted_is_stale(live: Live) -> None:
    live.append(live.intent(live.bound(amount=1)))
    intent = live.intent(live.bound(amount=2))
    conflict, start = live.append([intent, live.start(intent)])
    assert isinstance(conflict, Conflict)
    assert isinstance(start, Stale)


def test_a_refused_event_does_not_stop_those_after_it(live: Live) -> None:
    stranger = live.intent(live.bound(order="1"), by=FileSigner(bytes(32)))
    refused, accepted = live.append([stranger, live.intent(live.bound(order="2"))])
    assert (type(refused), type(accepted)) == (Refused, Accepted)


def test_governance_is_in_force_from_the_next_event_of_the_same_append(live: Live) -> None:
    freeze = live.log.draft(Freeze(scope=EVERYTHING, reason="stop"), live.admin)
    one, two = (live.intent(live.bound(customer=customer)) for customer in ("cus_1", "cus_2"))
    before, _, after = live.append([one, freeze, two])
    assert isinstance(before, Accepted)
    assert getattr(after, "code", "") == "frozen"


def test_what_an_append_holds_is_judged_at_its_own_place_in_time(live: Live) -> None:
    """A tick between an approval and a START makes the approval older than its TTL, in one append as in three."""
    intent = live.intent(asks=True)
    live.append(intent)
    approval = live.approval(intent)
    tick = live.tick(TTL_MS + 1)
    live.clock.ms += TTL_MS + 1
    start = live.start(intent, approvals=(id_of(approval),))
    late = late_by(start, TTL_MS + 1, prev=id_of(approval), by=live.agent)
    assert live.answer(approval, tick, late) == "refused approval-expired"
    assert [finding.code for finding in live.audit().findings] == ["verdict-differs"]  # the policy asks for nothing


def late_by(start: Envelope, ms: int, *, prev: bytes, by: FileSigner) -> Envelope:
    """The same START with a verdict that was reached later, after another event."""
    data = start.fields["data"]
    assert isinstance(data, dict)
    verdict = data["verdict"]
    assert isinstance(verdict, dict)
    inputs: Value = {"now_ms": T0 + ms, "snapshot": {}, "budgets": {}}
    changed: dict[str, Value] = {**data, "verdict": {**verdict, "inputs": inputs}}
    return seal({**start.fields, "prev": prev, "data": changed}, by)


# --- time


def test_suspect_and_absence_wait_for_ticks_of_the_log(live: Live) -> None:
    live.append(live.begun())
    live.clock.ms += 10 * (D_MS + Q_MS)
    assert live.answer(live.suspect()) == "refused too-early"  # no tick has come after START
    live.log.tick()
    live.wait(D_MS - 1)
    assert live.answer(live.suspect()) == "refused too-early"
    live.wait(1)
    assert live.answer(live.suspect()) == "accepted"
    live.wait(Q_MS - 1)
    assert live.answer(live.absent()) == "refused too-early"
    live.wait(1)
    assert live.answer(live.absent()) == "accepted"


def test_a_tick_bounds_what_stands_before_its_own_append(live: Live) -> None:
    live.append(live.begun())
    assert live.answer(live.tick(1), live.suspect()) == "refused too-early"
    assert live.answer(live.tick(D_MS), live.suspect()) == "accepted"
    assert live.audit().findings == ()


def test_a_tick_that_was_held_up_bounds_nothing_that_came_meanwhile(live: Live) -> None:
    """[TIME-3]: it was sealed before the START, and nobody knows how long before."""
    held_up = live.tick(1)
    intent, start = live.begun()
    live.append(intent, start)
    assert live.answer(held_up) == "accepted"
    live.wait(D_MS)
    assert live.answer(live.suspect()) == "refused too-early"
    live.wait(D_MS)
    assert live.answer(live.suspect()) == "accepted"
    assert live.audit().findings == ()


def test_a_tick_bounds_nothing_of_its_own_append(live: Live) -> None:
    """[TIME-3]: what goes with it into one commit, its signer has not seen on the log."""
    intent, start = live.begun()
    suspect = live.draw(Suspect(start=id_of(start)), live.agent, prev=id_of(start))
    answers = live.append(intent, start, live.tick(D_MS), suspect)
    assert [NAMES[type(answer)] for answer in answers] == ["accepted", "accepted", "accepted", "refused"]
    assert live.answer(live.tick(1), live.suspect()) == "refused too-early"
    assert live.answer(live.tick(D_MS), live.suspect()) == "accepted"
    assert live.audit().findings == ()


def test_a_tick_that_is_ahead_bounds_what_its_signer_saw_on_the_log(live: Live) -> None:
    """[TIME-3]: not what goes before it in its own append."""
    with live.log.world() as world:
        size = int(world.reader.size)
        world.ahead.ticks.append(AheadTick(place=FIRST_PLACE - 1, time_ms=T0 + 5, covers=size))
        assert (world.hi(size - 1), world.hi(FIRST_PLACE)) == (T0 + 5, None)


def test_a_tick_that_another_overtook_is_stale_and_moves_nothing(live: Live) -> None:
    """[TIME-1]: also where its time is the later one, as of a clock that has been set back since."""
    slow, fast = live.tick(10), live.tick(20)
    live.wait(15)
    for late in (slow, fast):
        assert live.answer(late) == "stale tick-overtaken"
    assert live.answer(live.tick(0), live.tick(5)) == "stale tick-overtaken"
    assert live.answer(live.tick(-1)) == "stale tick-backwards"
    assert live.audit().findings == ()


def test_a_machine_whose_clock_was_set_back_goes_on_at_the_logs_time(live: Live) -> None:
    live.wait(5_000)
    live.clock.ms -= 3_600_000
    assert isinstance(live.log.tick(), Accepted)
    with live.log.world() as world:
        assert world.now_ms() == T0 + 5_000
    assert live.answer(live.begun()) == "accepted"
    assert live.audit().findings == ()


def test_whoever_holds_the_log_key_puts_a_tick_to_an_append_a_second_later(live: Live) -> None:
    size = size_of(live)
    live.clock.ms += 999
    live.append(live.intent(live.bound(order="1")))
    assert size_of(live) == size + 1
    live.clock.ms += 1
    live.append(live.intent(live.bound(order="2")))
    kinds = [entry.event.kind for entry in live.log.entries(size + 1)]
    assert sorted(kinds) == ["intent", "tick"]
