"""When a reconciler looks: at deadlines, else less and less often; and never on the log's word alone. [CALL-5], L2"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from invoke_log.errors import StoreFullError
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard import first_sight
from invoke_log.guard.first_sight import FirstSights
from invoke_log.guard.guard import Guard
from invoke_log.guard.patience import DELAY_S_MAX, Patience
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.tool_call import Call
from invoke_log.rules.answer import Answer
from invoke_log.rules.kind import ABSENT, COMMITTED, NOT_COMMITTED, UNKNOWN, Evidence, Note, Observation
from tests.harness.live import D_MS, Q_MS
from tests.harness.player import recover
from tests.harness.shop import Shop, open_shop

LONG_S = 14_400
PARTIAL_READ: Value = {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, send_deadline_ms=D_MS) as opened:
        yield opened


class TooLongError(Exception):
    """The watch was still going when the test's time was up."""


def watch(shop: Shop, monkeypatch: pytest.MonkeyPatch, *, for_s: float) -> list[tuple[float, Reconciled]]:
    """Watch for that long on the test's clock; return each look with its time in seconds since the beginning."""
    clock, looks = shop.live.clock, []
    began = clock.ms

    def sleep(seconds: float) -> None:
        assert seconds > 0, "a busy loop"
        if clock.ms - began > for_s * 1000:
            raise TooLongError
        clock.ms += max(1, round(seconds * 1000))

    monkeypatch.setattr("invoke_log.guard.reconcile.time.sleep", sleep)
    with suppress(TooLongError):  # a watch never ends by itself
        for look in shop.guard.watch(every_s=5.0):
            looks.append(((clock.ms - began) / 1000, look))
    return looks


def test_what_does_not_settle_is_looked_at_less_and_less_often_up_to_a_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, read_back=PARTIAL_READ) as shop:
        shop.live.append(shop.live.begun())
        shop.live.append(shop.live.tick(1))
        shop.live.append(shop.live.outcome(UNKNOWN))
        looks = watch(shop, monkeypatch, for_s=LONG_S)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(looks)]
    assert gaps[:5] == pytest.approx([5, 10, 20, 40, 80], rel=0.05)
    assert set(map(round, gaps[10:])) == {round(DELAY_S_MAX)}
    assert {look.status for _, look in looks} == {UNKNOWN}


def test_each_deadline_is_kept_to_the_moment_and_not_before(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.tick(1))
    looks = watch(shop, monkeypatch, for_s=60)
    assert [(look.status, at) for at, look in looks] == [
        ("started", 0.0),
        (UNKNOWN, pytest.approx(D_MS / 1000, abs=0.1)),
        (NOT_COMMITTED, pytest.approx((D_MS + Q_MS) / 1000, abs=0.1)),
    ]
    assert shop.live.audit().findings == ()


def test_a_deadline_that_comes_no_nearer_is_not_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the log key has stopped to tick, a moment before the bound."""
    asked: list[int] = []
    shop.open(read_back=lambda call: asked.append(shop.live.clock.ms))
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.tick(1))
    shop.live.append(shop.live.outcome(UNKNOWN))
    shop.live.wait(D_MS + Q_MS - 100)
    with monkeypatch.context() as patch:
        patch.setattr(shop.live.log, "_log_signer", None)
        looks = watch(shop, monkeypatch, for_s=300)
    assert {look.status for _, look in looks} == {UNKNOWN}
    assert 5 < len(asked) < 10


def test_a_watch_goes_on_where_looks_fail_and_less_and_less_often(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    append, began = shop.live.log.append_many, shop.live.clock.ms

    def full(envelopes: Sequence[Envelope]) -> list[Answer]:
        if shop.live.clock.ms - began < 100_000:
            raise StoreFullError("no space left")
        return append(envelopes)

    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.tick(1))
    monkeypatch.setattr(shop.live.log, "append_many", full)
    looks = watch(shop, monkeypatch, for_s=1000)
    failed = [at for at, look in looks if look.note == "this look came to nothing: StoreFullError: no space left"]
    assert failed == pytest.approx([0, 5, 15, 35, 75], abs=0.1)
    assert looks[-1][1].status == NOT_COMMITTED


def test_what_another_moves_is_looked_at_without_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that sent comes back with its outcome, long after the watch has begun to doze."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, read_back=PARTIAL_READ) as shop:
        shop.live.append(shop.live.begun())
        shop.live.append(shop.live.tick(1))
        asked: list[int] = []
        began = shop.live.clock.ms

        def find(call: Call) -> list[str]:
            asked.append(shop.live.clock.ms - began)
            if len(asked) == 8:
                shop.live.append(shop.live.outcome(UNKNOWN))
            return []

        shop.open(read_back=find)
        watch(shop, monkeypatch, for_s=3600)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[6] > 200_000
    assert gaps[7] == pytest.approx(5_000, abs=200)


def test_what_another_observed_is_looked_at_without_delay(shop: Shop) -> None:
    """Its reading may be the one that was missing, and moves no head."""
    live, patience = shop.live, Patience(FirstSights(shop.live.log.path / "sights"))
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    patience.follow(live.log)
    patience.looked(live.bound().effect, every_s=100, known_s=None)
    patience.follow(live.log)
    assert list(patience.due()) == []
    send = live.state().send
    assert send is not None
    reading = Observation(about=send.id, presence=ABSENT, evidence=Evidence(kind="absence"))
    live.put(live.draw(reading, live.grant(9, "reconciler")))
    patience.follow(live.log)
    assert [effect for effect, _ in patience.due()] == [live.bound().effect]


def test_a_note_that_names_another_resource_hides_no_effect(shop: Shop) -> None:
    live, patience = shop.live, Patience(FirstSights(shop.live.log.path / "sights"))
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    patience.follow(live.log)
    watched = patience.out()
    reading = Observation(about=bytes(32), presence=ABSENT, evidence=Evidence(kind="absence"))
    for data in (Note(about=bytes(32), text=""), reading):
        live.put(live.draw(data, live.agent, resource="stripe/customer/elsewhere"))
    patience.follow(live.log)
    assert patience.out() == watched != []


def test_nothing_open_costs_no_event(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.outcome(COMMITTED))
    with shop.live.log.world() as world:
        size = world.reader.size
    assert watch(shop, monkeypatch, for_s=600) == []
    with shop.live.log.world() as world:
        assert world.reader.size == size


def test_an_effect_that_no_tool_is_at_hand_for_makes_no_busy_loop(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    contract, shop.live.contract = shop.live.contract, shop.live.register(name="other", effect_class="other/1")
    shop.live.append(shop.live.begun())
    shop.live.contract = contract
    assert watch(shop, monkeypatch, for_s=600) == []


def test_the_logs_clock_alone_proves_no_absence(shop: Shop) -> None:
    """Somebody set the log's clock: D + Q has passed by the log, and not for this process."""
    live = shop.live
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    assert shop.reconcile().note == "not there yet: it may still appear"
    live.append(live.tick(D_MS + Q_MS))
    look = shop.reconcile()
    assert (look.status, look.probe) == (UNKNOWN, "NONE")
    assert "watch it for 5 s more" in look.note
    live.clock.ms += D_MS + Q_MS - 1
    assert shop.reconcile().status == UNKNOWN
    live.clock.ms += 1
    assert shop.reconcile().status == NOT_COMMITTED


def test_a_tick_that_was_sealed_before_a_send_and_came_after_it_brings_no_absence_forward(shop: Shop) -> None:
    """[TIME-3]: nobody knows how long before. Whoever attests has no clock but the log's."""
    live, held_up = shop.live, shop.live.tick(1)
    live.clock.ms += 900
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN), held_up)
    for wait_ms in (D_MS + Q_MS, D_MS + Q_MS - 1):
        live.wait(wait_ms)
        assert live.answer(live.attestation(NOT_COMMITTED)) == "refused too-early"
    live.wait(1)
    assert live.answer(live.attestation(NOT_COMMITTED)) == "accepted"
    assert live.audit().findings == ()


def test_a_read_is_as_old_as_its_beginning_however_late_its_answer_is_judged(shop: Shop) -> None:
    """[CALL-5]: the log's clock has leapt, and D + Q pass on this machine's own while the answer is on its way."""
    live, guard = shop.live, Guard(shop.live.log, key=shop.live.agent)

    def slow(call: Call) -> object:
        found = shop.find(call)
        live.clock.ms += D_MS + Q_MS
        return found

    shop.open(guard, read_back=slow)
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN), live.tick(D_MS + Q_MS))
    [look] = guard.reconcile()
    assert (look.status, look.probe) == (UNKNOWN, "NONE")
    assert "watch it for 5 s more" in look.note
    [look] = guard.reconcile()
    assert look.status == NOT_COMMITTED


def test_a_reconciler_that_is_new_waits_by_itself_however_old_the_send_is(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.tick(1))
    shop.live.append(shop.live.outcome(UNKNOWN))
    shop.live.wait(100 * (D_MS + Q_MS))
    assert shop.reconcile().status == UNKNOWN
    shop.live.wait(D_MS + Q_MS)
    assert shop.reconcile().status == NOT_COMMITTED


def new_process(shop: Shop, seed: int = 3) -> Guard:
    guard = Guard(shop.live.log, key=shop.live.agent if seed == 3 else shop.live.grant(seed, "reconciler"))
    shop.open(guard)
    return guard


def test_the_wait_goes_on_over_restarts_of_the_same_reconciler_and_no_other(shop: Shop) -> None:
    live = shop.live
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    for waited_ms in (0, D_MS):
        live.wait(waited_ms)
        [look] = new_process(shop).reconcile()
        assert look.status == UNKNOWN
    live.wait(Q_MS)
    [of_another] = new_process(shop, 9).reconcile()
    assert of_another.status == UNKNOWN
    live.wait(1)
    [look] = new_process(shop).reconcile()
    assert look.status == NOT_COMMITTED
    assert new_process(shop).reconcile() == []
    assert list((live.log.path / "watched" / live.agent.public_key.hex()).iterdir()) == []


def test_what_is_settled_or_was_sent_again_leaves_no_file_behind(shop: Shop) -> None:
    live, patience = shop.live, Patience(FirstSights(shop.live.log.path / "sights"))
    kept = live.log.path / "sights"

    def names() -> list[str]:
        patience.follow(live.log)
        patience.note(live.state())
        return [path.name for path in kept.iterdir()]

    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    first = names()
    live.wait(D_MS)
    live.put(live.redrive())
    again = names()
    live.append(live.present())
    assert (len(first), len(again), first == again, names()) == (1, 1, False, [])


@pytest.mark.parametrize("spoil", ["reboot", "torn", "1e300", "nan"])
def test_what_was_kept_counts_for_nothing_after_a_reboot_or_where_it_makes_no_sense(
    shop: Shop, spoil: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    live = shop.live
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    new_process(shop).reconcile()
    live.wait(D_MS + Q_MS + 1)
    [kept] = (live.log.path / "watched" / live.agent.public_key.hex()).iterdir()
    if spoil == "reboot":
        (tmp_path / "boot_id").write_text("another-boot\n")
        monkeypatch.setattr(first_sight, "BOOT_ID", tmp_path / "boot_id")
    elif spoil == "torn":
        kept.write_text(kept.read_text()[:40])
    else:
        kept.write_text(f"{kept.read_text().split()[0]} {spoil}\n")
    [look] = new_process(shop).reconcile()
    assert (look.status, "for 5 s more" in look.note) == (UNKNOWN, True)


def test_where_nothing_can_be_kept_the_wait_is_the_processs_own(shop: Shop) -> None:
    live = shop.live
    (live.log.path / "watched").write_text("no directory")
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    guard = new_process(shop)
    guard.reconcile()
    live.wait(1)
    live.wait(D_MS + Q_MS)
    [look] = guard.reconcile()
    assert look.status == NOT_COMMITTED


def test_threads_may_share_what_a_guard_has_watched(shop: Shop) -> None:
    """A thread that watches, and one that reconciles when asked."""
    patience, state = Patience(FirstSights(shop.live.log.path / "sights")), shop.live.state()
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for n in range(200):
                patience.see(state._replace(effect=bytes([n]) * 32, status=UNKNOWN))
            for n in range(200):
                patience.see(state._replace(effect=bytes([n]) * 32, status=COMMITTED))

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(3_000):
            patience.out()
            patience.pause_s(1.0)
    finally:
        stop.set()
        thread.join()


def test_a_later_send_is_waited_for_anew(shop: Shop) -> None:
    live, patience = shop.live, Patience(FirstSights(shop.live.log.path / "sights"))
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    patience.follow(live.log)
    live.wait(D_MS + Q_MS)
    assert patience.to_wait_s(live.state(), live.contract) == 0
    live.put(live.redrive())
    assert patience.to_wait_s(live.state(), live.contract) == (D_MS + Q_MS) / 1000
    patience.follow(live.log)
    live.wait(D_MS)
    assert patience.to_wait_s(live.state(), live.contract) == Q_MS / 1000


def test_a_recovery_is_waited_for_anew(shop: Shop) -> None:
    live, patience = shop.live, Patience(FirstSights(shop.live.log.path / "sights"))
    live.append(live.begun())
    live.append(live.tick(1))
    live.append(live.outcome(UNKNOWN))
    patience.follow(live.log)
    live.wait(D_MS + Q_MS)
    assert patience.to_wait_s(live.state(), live.contract) == 0
    recover(live)
    patience.follow(live.log)
    assert patience.to_wait_s(live.state(), live.contract) == (D_MS + Q_MS) / 1000


def test_a_recovery_is_followed_though_it_names_no_effect(shop: Shop) -> None:
    """What was claimed is unknown from the recovery on, and is looked at from then on."""
    live, patience = shop.live, Patience(FirstSights(shop.live.log.path / "sights"))
    live.append(live.intent())
    patience.follow(live.log)
    assert patience.out() == []
    recover(live)
    patience.follow(live.log)
    assert patience.out() == [(live.bound().effect, live.bound().resource)]
