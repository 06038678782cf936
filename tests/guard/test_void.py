"""What is neither done nor undone is given up, by the provider and for good, and only then settled so. [CALL-9]"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed, OutcomeUnknown
from invoke_log.guard.patience import Patience
from invoke_log.guard.reconcile import NONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import NOT_COMMITTED, UNKNOWN, Resolution
from tests.harness.live import D_MS, Q_MS
from tests.harness.player import recover
from tests.harness.shop import Shop, open_shop, raising

PARTIAL: dict[str, Value] = {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}
COMPLETE: dict[str, Value] = {**PARTIAL, "complete": True}


def pending(call: Call) -> list[str]:
    raise ReadUnclearError("pi_0 wants its customer's bank")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose provider says of a charge that it is pending, and cannot list all."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", read_back=PARTIAL, provider_key=None) as opened:
        yield opened


KEY: dict[str, Value] = {"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"}


class Cancels:
    """A provider that gives up whatever it is asked to, or answers as it is told to."""

    def __init__(self, answer: Callable[[], object] = lambda: True) -> None:
        self.asked: list[str] = []
        self.answer = answer

    def __call__(self, call: Call) -> object:
        self.asked.append(call.tag)
        return self.answer()


@dataclass
class Keyed:
    """A provider that stores all results under its key, and whose charges are pending until they are given up."""

    stored: dict[str, str] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def send(self, call: Call) -> object:
        reference = self.stored.setdefault(call.provider_key, f"pi_{len(self.stored)}")
        if reference not in self.objects:
            self.objects[reference], self.tags[reference] = "pending", call.tag
        raise ReadUnclearError(f"{reference} is {self.objects[reference]}")

    def lose(self, call: Call) -> object:
        """The same, and its answer is lost: nothing says yet what the key answers with."""
        with suppress(ReadUnclearError):
            self.send(call)
        raise TimeoutError

    def find(self, call: Call) -> list[str]:
        if any(self.objects[each] == "pending" for each in self.under(call.tag)):
            raise ReadUnclearError("it is pending")
        return [each for each in self.under(call.tag) if self.objects[each] == "paid"]

    def cancel(self, call: Call) -> bool:
        for each in self.under(call.tag):
            self.objects[each] = "canceled"
        return True

    def under(self, tag: str) -> list[str]:
        return [reference for reference, carried in self.tags.items() if carried == tag]


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
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", provider_key=None, **silent) as shop:
        cancels = Cancels()
        unknown(shop, cancels, read_back=None)
        [one] = shop.guard.waiting()
        assert "a void" in one.words
        shop.live.wait(D_MS + Q_MS)
        look = shop.reconcile()
        assert (look.probe, look.status, len(cancels.asked)) == (None, NOT_COMMITTED, 1)


def test_what_a_partial_listing_does_not_show_is_given_up(shop: Shop) -> None:
    cancels = Cancels()
    unknown(shop, cancels, read_back=lambda call: [])
    shop.live.wait(D_MS + Q_MS)
    look = shop.reconcile()
    assert (look.probe, look.status, len(cancels.asked)) == (NONE, NOT_COMMITTED, 1)
    [effect] = shop.live.audit().effects
    assert {"log-clock", "quiescence-bound"} <= set(effect.relies_on)


def test_the_key_under_which_something_was_given_up_is_not_used_again(tmp_path: Path) -> None:
    """The provider would answer with what it has stored: that the charge is pending, and nothing comes of it."""
    with open_shop(tmp_path, void="cancel", read_back=COMPLETE, provider_key=KEY) as shop:
        provider = Keyed()
        shop.send = provider.lose
        shop.open(read_back=provider.find, void=provider.cancel)
        for count in (1, 2):
            assert isinstance(shop.call(), OutcomeUnknown)
            assert list(provider.objects.values()) == ["canceled"] * (count - 1) + ["pending"]
            shop.begin_to_watch()
            shop.live.wait(1)
            shop.live.wait(shop.live.contract.settle_ms)
            look = shop.reconcile()
            assert (look.probe, look.status) == (NONE, NOT_COMMITTED)
        settled = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
        assert [data.evidence.kind for data in settled] == ["key_burnt", "key_burnt"]
        assert shop.live.audit().findings == ()


def test_a_crash_after_the_void_leaves_a_key_that_is_known_to_be_burnt(tmp_path: Path) -> None:
    with open_shop(tmp_path, void="cancel", read_back=COMPLETE, provider_key=KEY) as shop:
        provider = Keyed()
        shop.send = provider.lose

        def dies(call: Call) -> bool:
            provider.cancel(call)
            raise KeyboardInterrupt

        shop.open(read_back=provider.find, void=dies)
        assert isinstance(shop.call(), OutcomeUnknown)
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(shop.live.contract.settle_ms)
        with pytest.raises(KeyboardInterrupt):
            shop.reconcile()
        assert shop.reconcile().status == NOT_COMMITTED
        [data] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
        assert data.evidence.kind == "key_burnt"


def test_a_key_that_has_only_an_unclear_answer_to_repeat_is_not_used_again(tmp_path: Path) -> None:
    """The bank says no, so that a read finds nothing: under the same key the provider would say `pending` for ever."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", read_back=COMPLETE, provider_key=KEY) as shop:
        provider, cancels = Keyed(), Cancels()
        shop.send = provider.send
        shop.open(read_back=provider.find, void=cancels)
        assert isinstance(shop.call(), OutcomeUnknown)
        provider.objects["pi_0"] = "declined"
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        assert (shop.reconcile().status, cancels.asked) == (NOT_COMMITTED, [])
        assert isinstance(shop.call(), OutcomeUnknown)
        assert provider.objects == {"pi_0": "declined", "pi_1": "pending"}
        assert shop.live.audit().findings == ()


def test_an_answer_that_was_lost_burns_no_key(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, read_back=COMPLETE, provider_key=KEY) as shop:
        shop.send = raising(TimeoutError())
        shop.open(read_back=lambda call: [])
        shop.call()
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        assert shop.reconcile().status == NOT_COMMITTED
        [data] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
        assert data.evidence.kind == "absence"


def test_what_a_provider_was_asked_to_give_up_is_not_re_driven(tmp_path: Path) -> None:
    """Another reconciler may not have watched it for long: what it could send now would be answered as it was."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", read_back=COMPLETE, provider_key=KEY) as shop:
        provider, sent = Keyed(), list[str]()

        def charge(customer: str, order: str, amount: int, *, invoke: Call) -> object:
            sent.append(invoke.provider_key)
            return provider.send(invoke)

        def dies(call: Call) -> bool:
            provider.cancel(call)
            raise KeyboardInterrupt

        def tool(guard: Guard, void: Callable[[Call], bool]) -> Guard:
            guard.tool(shop.live.contract, read_back=provider.find, void=void, redrive=charge)(charge)
            return guard

        tool(shop.guard, dies)
        assert isinstance(shop.call(), OutcomeUnknown)
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        with pytest.raises(KeyboardInterrupt):
            shop.guard.reconcile()
        [look] = tool(shop.other(52, "reconciler"), provider.cancel).reconcile()
        assert ("no re-drive" in look.note, len(sent)) == (True, 1)


def test_nothing_is_given_up_for_a_key_that_may_not_put_it_on_record(shop: Shop) -> None:
    cancels = Cancels()
    unknown(shop, cancels)
    stranger = Guard(shop.live.log, key=shop.live.grant(71, "agent", "executor"))
    shop.open(stranger, read_back=pending, void=cancels)
    stranger._patience.follow(shop.live.log)
    shop.live.wait(D_MS + Q_MS)
    [look] = stranger.reconcile()
    assert (look.status, cancels.asked) == (UNKNOWN, [])


def test_where_a_read_could_prove_it_nothing_is_given_up_unread(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", read_back=COMPLETE, provider_key=None) as shop:
        cancels = Cancels()
        unknown(shop, cancels, read_back=None)
        shop.live.wait(D_MS + Q_MS)
        assert (shop.reconcile().status, cancels.asked) == (UNKNOWN, [])


def test_nothing_is_given_up_that_was_sent_under_a_key_which_only_a_read_could_let_change(tmp_path: Path) -> None:
    """Registered under the next version, whose provider has no key, the tool may be."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel", read_back=PARTIAL, provider_key=KEY) as shop:
        cancels, live = Cancels(), shop.live
        shop.send = raising(TimeoutError())
        shop.call()
        live.register(version=3, send_deadline_ms=D_MS, void="cancel", read_back=PARTIAL, provider_key=None)
        guard = Guard(live.log, key=live.agent)
        shop.open(guard, read_back=pending, void=cancels)
        guard._patience.follow(live.log)
        live.wait(1)
        live.wait(D_MS + Q_MS)
        [look] = guard.reconcile()
        assert (look.status, cancels.asked) == (UNKNOWN, [])


def test_as_many_read_as_the_contract_wants_and_no_void_stands_for_one(tmp_path: Path) -> None:
    contract: dict[str, Value] = {"send_deadline_ms": D_MS, "read_back": COMPLETE, "provider_key": None}
    with open_shop(tmp_path, void="cancel", reconcilers=2, **contract) as shop:
        cancels = Cancels()

        def read(call: Call) -> list[str]:
            if not cancels.asked:
                raise ReadUnclearError("pi_0 wants its customer's bank")
            return []

        unknown(shop, cancels, read_back=read)
        shop.live.wait(D_MS + Q_MS)
        one = shop.reconcile()
        assert (one.probe, one.status, len(cancels.asked)) == (NONE, UNKNOWN, 1)
        assert "readings" in one.note
        shop.open(read_back=lambda call: [], void=cancels)
        assert (shop.reconcile().status, len(cancels.asked)) == (UNKNOWN, 1)


@pytest.mark.parametrize("meanwhile", ["sent again", "re-driven", "committed"])
def test_what_was_settled_or_sent_while_it_was_read_is_not_given_up(tmp_path: Path, meanwhile: str) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, void="cancel") as shop:
        live, cancels = shop.live, Cancels()

        def read(call: Call) -> list[str]:
            if meanwhile == "sent again":
                live.put(live.attestation(NOT_COMMITTED))
                live.put(live.begun())
                live.put(live.outcome(UNKNOWN))
            elif meanwhile == "re-driven":
                live.put(live.redrive())
            else:
                live.put(live.present())
            raise ReadUnclearError("pi_0 wants its customer's bank")

        unknown(shop, cancels, read_back=read)
        live.wait(D_MS + Q_MS)
        shop.reconcile()
        assert cancels.asked == []


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


@pytest.mark.parametrize("changed", [{"void": "refund"}, {"read_back": {**PARTIAL, "tag": "y"}}], ids=["void", "read"])
def test_an_effect_is_given_up_as_the_contract_says_that_it_was_claimed_under(
    shop: Shop, changed: dict[str, Value]
) -> None:
    cancels = Cancels()
    unknown(shop, cancels)
    there = {"send_deadline_ms": D_MS, "void": "cancel", "read_back": PARTIAL, "provider_key": None}
    shop.live.register(version=3, **{**there, **changed})  # type: ignore[arg-type]
    guard = Guard(shop.live.log, key=shop.live.agent)
    shop.open(guard, read_back=pending, void=cancels)
    guard._patience.follow(shop.live.log)
    shop.live.wait(D_MS + Q_MS)
    [look] = guard.reconcile()
    assert (look.status, cancels.asked) == (UNKNOWN, [])


@pytest.mark.parametrize("contract", [{"void": None}, {"void": "cancel", "read_back": PARTIAL}], ids=["none", "keyed"])
def test_a_tool_that_voids_needs_a_contract_under_which_that_can_be_known(
    tmp_path: Path, contract: dict[str, Value]
) -> None:
    with open_shop(tmp_path, **{"provider_key": KEY, **contract}) as shop, pytest.raises(ConfigInvalidError):
        shop.open(void=Cancels())
