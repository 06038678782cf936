"""Evidence put on record: once, by whoever is first, and loudly where it must not be true. [PRF-1], [PRF-7], S15, L3"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Blocked, Denied
from invoke_log.guard.reconcile import MANY, Reconciled
from invoke_log.guard.resolution import Brought, Case
from invoke_log.log.signer import FileSigner, write_key_file
from invoke_log.rules.answer import Answer
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    NOT_COMMITTED,
    UNKNOWN,
    Evidence,
    Note,
    Observation,
    Resolution,
    Revoke,
    Unfreeze,
)
from tests.harness.live import D_MS, Q_MS
from tests.harness.shop import Shop, open_shop

SEEN = Evidence(kind="tag_seen", reference="pi_1")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, send_deadline_ms=D_MS) as opened:
        yield opened


def lose(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.outcome(UNKNOWN))
    shop.live.wait(1)  # the first tick after the send: D and Q are counted from here
    shop.begin_to_watch()


def case(shop: Shop, by: FileSigner | None = None) -> Case:
    bound = shop.live.bound()
    signer = by or shop.live.agent
    return Case(shop.live.log, signer, shop.live.contract, effect=bound.effect, resource=bound.resource)


def admin_at_hand(shop: Shop) -> Path:
    """Put the admin key where it lies beside a log that was made here."""
    keys = shop.live.log.path / "keys"
    keys.mkdir()
    write_key_file(keys / "admin.key", bytes([2]) * 32)
    return keys / "admin.key"


# --- once


def test_the_same_sighting_is_one_event_however_often_and_by_whom_it_is_brought(shop: Shop) -> None:
    lose(shop)
    second = shop.live.grant(9, "reconciler")
    brought = [case(shop, by).present([SEEN, SEEN], generation=1) for by in (None, second, None)]
    assert [each.answer for each in brought] == ["recorded", "known", "known"]
    assert [each.incident for each in brought] == [None] * 3
    assert shop.kinds() == ["intent", "start", "outcome", "resolution"]


def test_an_unnamed_sighting_is_on_record_once_and_is_no_second_object(shop: Shop) -> None:
    lose(shop)
    unnamed = Evidence(kind="response")
    assert case(shop).present([unnamed], generation=1).answer == "recorded"
    assert case(shop).present([unnamed], generation=1).answer == "known"
    named = case(shop).present([SEEN], generation=1)
    assert (named.answer, named.incident) == ("recorded", None)
    assert case(shop).present([unnamed], generation=1).answer == "known"
    assert shop.live.audit().findings == ()


def test_an_unnamed_sighting_adds_nothing_to_a_named_one(shop: Shop) -> None:
    lose(shop)
    answers = [case(shop).present([each], generation=1).answer for each in (SEEN, Evidence(kind="response"))]
    assert answers == ["recorded", "known"]


def test_what_the_log_refuses_is_said_in_its_words(shop: Shop) -> None:
    lose(shop)
    stranger = FileSigner(bytes([77]) * 32)
    brought = case(shop, stranger).present([SEEN], generation=1)
    assert brought.answer == "refused"
    assert brought.note.startswith("grant-missing: ")
    assert shop.status == UNKNOWN


def test_absence_of_what_is_settled_is_known(shop: Shop) -> None:
    lose(shop)
    case(shop).present([SEEN], generation=1)
    absent = Evidence(kind="absence", tick=bytes(32))
    assert case(shop).absent(absent, of=shop.live.state()) == Brought(answer="known", note="it is committed already")


@pytest.mark.parametrize("kind", ["abort", "webhook"])
def test_absence_says_nothing_of_a_send_that_came_after_it_was_asked_for(tmp_path: Path, kind: str) -> None:
    """S2: neither names a tick, so the log could not tell which of two sends it is about."""
    webhook: Value = {"scheme": "s", "key_id": "k", "positive": [], "negative": ["declined"]}
    with open_shop(tmp_path, send_deadline_ms=D_MS, observability="transactional", webhook=webhook) as shop:
        lose(shop)
        before, evidence = shop.live.state(), Evidence(kind=kind, failure="declined")
        assert case(shop).absent(evidence, of=before).answer == "recorded"
        lose(shop)
        assert shop.status == UNKNOWN
        brought = case(shop).absent(evidence, of=before)
        assert (brought.answer, shop.status) == ("refused", UNKNOWN)
        assert "sent again meanwhile" in brought.note
        assert case(shop).absent(evidence, of=shop.live.state()).answer == "recorded"


def test_whoever_brings_the_same_bytes_at_once_is_told_that_they_are_known(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(shop)
    of = case(shop)
    append_many = of.log.append_many

    def twice(envelopes: Sequence[Envelope]) -> list[Answer]:
        append_many(envelopes)  # another thread of this key, in the same millisecond
        return append_many(envelopes)

    monkeypatch.setattr(of.log, "append_many", twice)
    assert of.present([SEEN], generation=1) == Brought(answer="known", note="on record already")


# --- incidents


def many(shop: Shop) -> Reconciled:
    shop.open(read_back=lambda call: ["pi_1", "pi_2"])
    lose(shop)
    return shop.reconcile()


def test_two_objects_under_one_tag_freeze_what_lies_beside_them(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    admin_at_hand(shop)
    with caplog.at_level(logging.WARNING):
        look = many(shop)
    assert (look.probe, look.status) == (MANY, COMMITTED)
    assert look.incident == (
        "duplicate: 2 objects under one tag (pi_1, pi_2); money.charge/1:stripe/customer/ is frozen now"
    )
    assert look.incident in caplog.text
    denied = shop.call(customer="cus_2")
    assert isinstance(denied, Denied)
    assert "frozen" in str(denied)
    assert shop.landed == []
    assert [finding.code for finding in shop.live.audit().findings] == ["duplicate-effect"]


@pytest.mark.parametrize("damaged", [False, True], ids=["no key", "a damaged key"])
def test_where_the_admin_key_is_not_at_hand_it_is_said_who_has_to_freeze(
    shop: Shop, caplog: pytest.LogCaptureFixture, damaged: bool
) -> None:
    if damaged:
        admin_at_hand(shop).write_text("x")
    with caplog.at_level(logging.WARNING):
        look = many(shop)
    words = "an admin (genesis) has to stop what is left: invoke-log freeze money.charge/1:stripe/customer/"
    assert look.incident is not None
    assert words in look.incident
    assert words in caplog.text
    notes = [entry.event for entry in shop.live.log.entries() if isinstance(entry.event.data, Note)]
    assert [(note.data.text, note.effect) for note in notes] == [(look.incident, shop.live.bound().effect)]  # type: ignore[union-attr]
    assert shop.live.log.governance.freezes == ()


def test_both_objects_the_freeze_and_the_note_survive_a_crash_together(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What dies between the freeze and the presences leaves an open effect, which the next look finds [S15]."""
    admin_at_hand(shop)

    class CrashError(BaseException):
        pass

    def crash(*args: object, **named: object) -> object:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(Case, "_append_presences", crash)
        with pytest.raises(CrashError):
            many(shop)
    assert shop.status == UNKNOWN
    assert len(shop.live.log.governance.freezes) == 1
    look = shop.reconcile()
    assert look.status == COMMITTED
    assert look.incident is not None
    assert len(shop.live.log.governance.freezes) == 1


def test_an_incident_that_is_on_record_freezes_nothing_again(shop: Shop) -> None:
    admin_at_hand(shop)
    many(shop)
    [scope] = shop.live.log.governance.freezes
    shop.live.put(shop.live.log.draft(Unfreeze(scope=scope, reason="looked into"), shop.live.admin))
    again = [SEEN, Evidence(kind="tag_seen", reference="pi_2")]
    assert case(shop).present(again, generation=1).answer == "known"
    assert shop.live.log.governance.freezes == ()


def test_presence_after_not_committed_is_recorded_and_reported(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    lose(shop)
    shop.live.wait(D_MS + Q_MS)
    assert shop.reconcile().status == NOT_COMMITTED
    with caplog.at_level(logging.WARNING):
        brought = case(shop).present([SEEN], generation=1)
    assert brought.incident == "contradiction: it was settled as not_committed, and happened after all"
    assert brought.incident in caplog.text
    assert shop.status == COMMITTED
    assert [finding.code for finding in shop.live.audit().findings] == ["contradiction"]
    assert isinstance(shop.call(), Blocked)


@pytest.mark.parametrize("started", [False, True])
def test_presence_after_not_committed_is_an_incident_until_the_next_start(shop: Shop, started: bool) -> None:
    """Once another attempt may have been sent, the object may be its own."""
    live = shop.live
    live.put(live.begun())
    live.put(live.outcome(NOT_COMMITTED))
    intent = live.intent()
    live.put(intent, *([live.start(intent)] if started else []))
    brought = case(shop).present([SEEN], generation=1)
    assert (brought.incident is None) == started
    assert shop.status == COMMITTED


# --- several reconcilers


@pytest.fixture
def of_two(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, send_deadline_ms=D_MS, reconcilers=2) as opened:
        yield opened


def reconciler(shop: Shop, seed: int) -> Guard:
    guard = Guard(shop.live.log, key=shop.live.grant(seed, "reconciler"))
    shop.open(guard)
    guard._patience.follow(shop.live.log)
    return guard


def look(guard: Guard) -> Reconciled:
    [one] = guard.reconcile()
    return one


def observations(shop: Shop) -> list[Observation]:
    return [entry.event.data for entry in shop.live.log.entries() if isinstance(entry.event.data, Observation)]


def test_two_of_two_settle_by_themselves_and_one_does_not(of_two: Shop) -> None:
    lose(of_two)
    guards = [reconciler(of_two, 11), reconciler(of_two, 12)]
    assert look(guards[0]).note == "not there yet: it may still appear"
    assert observations(of_two) == []  # before the bound a reading shows nothing, and is not put on record
    of_two.live.wait(D_MS + Q_MS)
    for _ in range(3):
        of_two.live.wait(1)
        one = look(guards[0])
        assert (one.status, one.note) == (UNKNOWN, "not there by 1 of 2 readings")
    assert [data.presence for data in observations(of_two)] == [ABSENT]
    assert look(guards[1]).status == NOT_COMMITTED
    [data] = [event.data for event in of_two.chain() if isinstance(event.data, Resolution)]
    assert len(data.evidence.observations) == 2
    report = of_two.live.audit()
    assert ([effect.grade for effect in report.effects], report.findings) == (["E2"], ())


def test_the_executors_own_reading_does_not_count(of_two: Shop) -> None:
    lose(of_two)
    other = reconciler(of_two, 11)
    of_two.live.wait(D_MS + Q_MS)
    assert look(other).status == UNKNOWN
    mine = of_two.reconcile()
    assert (mine.status, mine.note) == (
        UNKNOWN,
        "not there by 1 of 2 readings; this key sent it, and its own reading does not count",
    )
    assert len(observations(of_two)) == 1
    third = reconciler(of_two, 12)
    of_two.live.wait(D_MS + Q_MS)
    assert look(third).status == NOT_COMMITTED


def test_whoever_sees_enough_readings_settles_it_the_executor_too(of_two: Shop) -> None:
    lose(of_two)
    guards = [reconciler(of_two, 11), reconciler(of_two, 12)]
    of_two.live.wait(D_MS + Q_MS)
    assert look(guards[0]).status == UNKNOWN
    append = Case.absent
    with pytest.MonkeyPatch.context() as patch:  # the second dies before it has brought the resolution
        patch.setattr(Case, "absent", lambda *_, **__: Brought(answer="unavailable", note="died"))
        assert look(guards[1]).status == UNKNOWN
    assert Case.absent is append
    assert of_two.reconcile().status == NOT_COMMITTED
    assert of_two.live.audit().findings == ()


def test_a_reading_from_before_a_later_send_is_taken_again(of_two: Shop) -> None:
    lose(of_two)
    guards = [reconciler(of_two, 11), reconciler(of_two, 12)]
    of_two.live.wait(D_MS + Q_MS)
    assert look(guards[0]).status == UNKNOWN
    of_two.live.put(of_two.live.redrive())
    for guard in guards:
        guard._patience.follow(of_two.live.log)
    of_two.live.wait(1)
    of_two.live.wait(D_MS + Q_MS)
    assert look(guards[1]).note == "not there by 1 of 2 readings"
    assert look(guards[0]).status == NOT_COMMITTED
    assert len(observations(of_two)) == 3


def test_a_reading_by_a_key_that_may_not_resolve_does_not_count(of_two: Shop) -> None:
    lose(of_two)
    guards = [reconciler(of_two, 11), reconciler(of_two, 12)]
    of_two.live.wait(D_MS + Q_MS)
    assert look(guards[0]).status == UNKNOWN
    ended = Revoke(key=guards[0].key.public_key, grant=None, suspect_from=None)
    of_two.live.put(of_two.live.log.draft(ended, of_two.live.admin))
    assert look(guards[1]).note == "not there by 1 of 2 readings"
    [waits] = of_two.guard.waiting()
    assert waits.words == "a sighting, or 2 readings without it (1 so far)"


def test_one_sighting_settles_it_whatever_the_others_have_not_seen(of_two: Shop) -> None:
    lose(of_two)
    guards = [reconciler(of_two, 11), reconciler(of_two, 12)]
    of_two.live.wait(D_MS + Q_MS)
    assert look(guards[0]).status == UNKNOWN
    of_two.landed.append(digest.tag(of_two.live.bound().effect, 1).hex())
    assert look(guards[1]).status == COMMITTED
