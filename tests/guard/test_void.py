"""What is neither done nor undone is given up, by the provider and for good, and only then settled so. [CALL-9]"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed
from invoke_log.guard.patience import Patience
from invoke_log.guard.reconcile import NONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import NOT_COMMITTED, UNKNOWN, Resolution
from tests.harness.live import D_MS, Q_MS
from tests.harness.player import recover
from tests.harness.shop import Shop, open_shop


def pending(call: Call) -> list[str]:
    raise ReadUnclearError("pi_0 wants its customer's bank")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose charge is pending at the provider, and of which `voided` are the tags that were given up."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel") as opened:
        yield opened


class Cancels:
    """A provider that gives up whatever it is asked to, or answers as it is told to."""

    def __init__(self, answer: Callable[[], object] = lambda: True) -> None:
        self.asked: list[str] = []
        self.answer = answer

    def __call__(self, call: Call) -> object:
        self.asked.append(call.tag)
        return self.answer()


def unknown(shop: Shop, cancels: Cancels, *, read_back: Callable[[Call], object] | None = pending) -> None:
    """A call of unknown outcome, whose tool can give it up."""
    shop.open(read_back=read_back, void=cancels)
    live = shop.live
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN))
    shop.begin_to_watch()
    live.wait(1)


def test_what_is_pending_is_given_up_once_nothing_can_be_on_its_way_any_more(shop: Shop) -> None:
    cancels = Cancels()
    unknown(shop, cancels)
    shop.live.wait(D_MS + Q_MS - 1)
    early = shop.reconcile()
    assert (early.probe, early.status, cancels.asked) == (UNCLEAR, UNKNOWN, [])
    shop.live.wait(1)
    look = shop.reconcile()
    assert (look.probe, look.status) == (UNCLEAR, NOT_COMMITTED)
    assert cancels.asked == [digest.tag(shop.live.bound().effect, 1).hex()]
    [data] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
    assert data.evidence.kind == "void"
    assert shop.live.audit().findings == ()
    assert isinstance(shop.call(amount=6000), Committed)  # other content too: what was asked for is given up


def test_the_logs_time_alone_gives_nothing_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    cancels = Cancels()
    unknown(shop, cancels)
    shop.live.wait(D_MS + Q_MS)
    monkeypatch.setattr(Patience, "to_wait_s", lambda *_: 0.1)
    assert (shop.reconcile().status, cancels.asked) == (UNKNOWN, [])


def test_where_nothing_can_be_read_a_void_settles(tmp_path: Path) -> None:
    webhook: dict[str, Value] = {"scheme": "stripe", "key_id": "k", "positive": ["paid"], "negative": []}
    silent: dict[str, Value] = {"observability": "webhook-confirmable", "read_back": None, "webhook": webhook}
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", **silent) as shop:
        cancels = Cancels()
        unknown(shop, cancels, read_back=None)
        [one] = shop.guard.waiting()
        assert "a void" in one.words
        shop.live.wait(D_MS + Q_MS)
        look = shop.reconcile()
        assert (look.probe, look.status, len(cancels.asked)) == (None, NOT_COMMITTED, 1)


def test_what_a_reading_settles_is_not_given_up(shop: Shop) -> None:
    cancels = Cancels()
    unknown(shop, cancels, read_back=lambda call: [])
    shop.live.wait(D_MS + Q_MS)
    look = shop.reconcile()
    assert (look.probe, look.status, cancels.asked) == (NONE, NOT_COMMITTED, [])


def test_what_a_partial_listing_does_not_show_is_given_up(tmp_path: Path) -> None:
    partial: dict[str, Value] = {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", read_back=partial) as shop:
        cancels = Cancels()
        unknown(shop, cancels, read_back=lambda call: [])
        shop.live.wait(D_MS + Q_MS)
        look = shop.reconcile()
        assert (look.probe, look.status, len(cancels.asked)) == (NONE, NOT_COMMITTED, 1)


def test_a_provider_that_gave_no_answer_is_asked_to_give_up_nothing(shop: Shop) -> None:
    cancels = Cancels()

    def lost(call: Call) -> list[str]:
        raise TimeoutError

    unknown(shop, cancels, read_back=lost)
    shop.live.wait(D_MS + Q_MS)
    assert (shop.reconcile().status, cancels.asked) == (UNKNOWN, [])


@pytest.mark.parametrize("answer", [False, None, "canceled", 1, TimeoutError()], ids=repr)
def test_only_true_is_a_void(shop: Shop, answer: object) -> None:
    def answered() -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    cancels = Cancels(answered)
    unknown(shop, cancels)
    shop.live.wait(D_MS + Q_MS)
    look = shop.reconcile()
    assert (look.status, len(cancels.asked)) == (UNKNOWN, 1)
    assert "void said nothing" in look.note or "not given it up" in look.note


def test_an_interrupt_in_a_void_ends_the_reconciler(shop: Shop) -> None:
    def interrupted() -> object:
        raise KeyboardInterrupt

    unknown(shop, Cancels(interrupted))
    shop.live.wait(D_MS + Q_MS)
    with pytest.raises(KeyboardInterrupt):
        shop.reconcile()


def test_after_a_recovery_nothing_is_given_up(shop: Shop) -> None:
    """The lost tail may have sent it again under another contract: no log takes a void then [PRF-4]."""
    cancels = Cancels()
    unknown(shop, cancels)
    recover(shop.live)
    shop.begin_to_watch()
    shop.live.wait(1)
    shop.live.wait(10 * (D_MS + Q_MS))
    assert (shop.reconcile().status, cancels.asked) == (UNKNOWN, [])


def test_an_effect_is_given_up_as_the_contract_says_that_it_was_claimed_under(shop: Shop) -> None:
    cancels = Cancels()
    unknown(shop, cancels)
    shop.live.register(version=3, send_deadline_ms=D_MS, void="refund")
    guard = Guard(shop.live.log, key=shop.live.agent)
    shop.open(guard, read_back=pending, void=cancels)
    guard._patience.follow(shop.live.log)
    shop.live.wait(D_MS + Q_MS)
    [look] = guard.reconcile()
    assert (look.status, cancels.asked) == (UNKNOWN, [])


def test_a_tool_that_voids_needs_a_contract_that_says_so(tmp_path: Path) -> None:
    with open_shop(tmp_path, void=None) as shop, pytest.raises(ConfigInvalidError, match="void"):
        shop.open(void=Cancels())
