"""A second send under the provider's own key: only where it is safe. [CALL-6], [EFF-10], [EFF-11], [REC-6], S1"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.errors import ConfigInvalidError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard import redrive as redriving
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import DefiniteFailure, NeverSent
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.resolution import Case
from invoke_log.guard.tool_call import CLOCK, Call
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Freeze, Observation, Redrive, Resolution, Scope
from tests.harness.live import Q_MS
from tests.harness.player import recover
from tests.harness.shop import UNHURRIED_MS, Shop, open_shop

D_MS: Final = UNHURRIED_MS
SETTLE_MS: Final = D_MS + Q_MS
PARTIAL_READ: Final[Value] = {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}


@dataclass
class Provider:
    """It keeps the first result of each key, and answers the key with that ever after; `fails` before it answers."""

    fails: list[BaseException] = field(default_factory=list)
    declines: bool = False
    results: dict[str, Any] = field(default_factory=dict)
    heard: list[tuple[str, int, Call]] = field(default_factory=list)

    def send(self, customer: str, order: str, amount: int, *, invoke: Call) -> str:
        self.heard.append((order, amount, invoke))
        if self.fails:
            raise self.fails.pop(0)
        if self.declines:
            raise DefiniteFailure("card_declined")
        return str(self.results.setdefault(invoke.provider_key, f"pi_{len(self.results)}"))


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def shop(tmp_path: Path, provider: Provider) -> Iterator[Shop]:
    """A provider that can only be asked by sending again."""
    with open_shop(tmp_path, read_back=PARTIAL_READ) as opened:
        open_redriving(opened, provider)
        yield opened


RETENTION_MS: Final = 86_400_000
"""As the contract of the harness says."""


def open_redriving(shop: Shop, provider: Provider, guard: Guard | None = None) -> None:
    (guard or shop.guard).tool(shop.live.contract, read_back=lambda call: [], redrive=provider.send)(provider.send)


def lose(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.outcome(UNKNOWN))
    shop.live.wait(1)
    shop.begin_to_watch()


def redrives(shop: Shop) -> int:
    return sum(isinstance(event.data, Redrive) for event in shop.chain())


def test_the_exact_request_goes_again_under_its_key_and_its_answer_settles_it(shop: Shop, provider: Provider) -> None:
    lose(shop)
    assert "the last send may still be under way" in shop.reconcile().note
    shop.live.wait(D_MS)
    look = shop.reconcile()
    assert (look.status, look.note) == (
        COMMITTED,
        "not found, which proves nothing under this contract; re-driven, and answered",
    )
    effect = shop.live.bound().effect
    [(order, amount, call)] = provider.heard
    assert (order, amount) == ("789", 5000)
    assert (call.provider_key, call.tag) == (digest.provider_key(effect, 1, 0).hex(), digest.tag(effect, 1).hex())
    assert shop.kinds() == ["intent", "start", "outcome", "redrive", "resolution"]
    [settled] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
    assert settled.evidence.kind == "response"
    report = shop.live.audit()
    assert (report.findings, [effect.grade for effect in report.effects]) == ((), ["E0"])


def test_a_tool_that_asks_whether_it_may_still_send_may(shop: Shop, provider: Provider) -> None:
    """D of a re-drive runs from before its append, as that of a START does. [CALL-6]"""
    allowed: list[bool] = []

    def send(customer: str, order: str, amount: int, *, invoke: Call) -> str:
        allowed.append(invoke.may_send())
        later = time.clock_gettime(CLOCK) + D_MS / 1000
        assert invoke.send_by is not None
        assert later - 60 < invoke.send_by <= later
        return provider.send(customer, order, amount, invoke=invoke)

    shop.guard.tool(shop.live.contract, read_back=lambda call: [], redrive=send)(send)
    lose(shop)
    shop.live.wait(D_MS)
    assert (shop.reconcile().status, allowed) == (COMMITTED, [True])


class NoExceptionError(BaseException):
    """Derived as a time-out of gevent is."""


@pytest.mark.parametrize(
    "error", [TimeoutError(), NeverSent(), DefiniteFailure("odd"), KeyError(), NoExceptionError()], ids=repr
)
def test_an_answer_that_does_not_come_settles_nothing_and_is_not_asked_for_at_once(
    shop: Shop, provider: Provider, error: BaseException
) -> None:
    provider.fails = [error]
    lose(shop)
    shop.live.wait(D_MS)
    look = shop.reconcile()
    assert (look.status, redrives(shop), look.note.endswith("not answered clearly")) == (UNKNOWN, 1, True)
    shop.live.wait(SETTLE_MS)
    assert shop.reconcile().note.endswith("the last send may still be under way")  # no tick had come after it
    shop.live.wait(SETTLE_MS)
    assert (shop.reconcile().status, redrives(shop)) == (COMMITTED, 2)
    assert shop.live.audit().findings == ()


def test_a_re_drive_is_a_send_and_an_absence_counts_from_it(tmp_path: Path, provider: Provider) -> None:
    provider.fails = [TimeoutError()]
    with open_shop(tmp_path) as shop:
        open_redriving(shop, provider)
        lose(shop)
        shop.live.wait(D_MS)
        assert (shop.reconcile().status, redrives(shop)) == (UNKNOWN, 1)
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(SETTLE_MS - 1)
        assert shop.reconcile().status == UNKNOWN
        shop.live.wait(1)
        assert (shop.reconcile().status, redrives(shop)) == (NOT_COMMITTED, 1)
        assert len(provider.heard) == 1


def test_a_stored_failure_is_no_proof_and_turns_the_key_once_it_is_absent(tmp_path: Path, provider: Provider) -> None:
    provider.declines = True
    with open_shop(tmp_path) as shop:
        open_redriving(shop, provider)
        lose(shop)
        shop.live.wait(D_MS)
        look = shop.reconcile()
        assert (look.status, look.note) == (
            UNKNOWN,
            "not there yet: it may still appear; re-driven: its stored answer is card_declined",
        )
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(SETTLE_MS)
        assert shop.reconcile().status == NOT_COMMITTED
        [data] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
        assert (data.evidence.kind, shop.live.state().turn) == ("key_burnt", 1)
        [observed] = [e.event.data for e in shop.live.log.entries() if isinstance(e.event.data, Observation)]
        assert (observed.presence, observed.evidence.failure) == ("unclear", "card_declined")
        assert shop.live.audit().findings == ()


def test_after_a_recovery_a_stored_failure_counts_for_nothing_and_an_empty_read_settles_it(
    tmp_path: Path, provider: Provider
) -> None:
    """[REC-6], L2"""
    provider.declines = True
    with open_shop(tmp_path) as shop:
        open_redriving(shop, provider)
        lose(shop)
        shop.live.wait(D_MS)
        assert "its stored answer is card_declined" in shop.reconcile().note
        recover(shop.live)
        shop.live.wait(1)
        shop.begin_to_watch()
        shop.live.wait(SETTLE_MS)
        assert shop.reconcile().status == NOT_COMMITTED
        [data] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
        assert (data.evidence.kind, shop.live.state().turn) == ("absence", 0)
        assert shop.live.audit().findings == ()


def test_a_reconciler_that_looks_less_often_than_d_and_q_sends_again_once_and_settles_it(
    tmp_path: Path, provider: Provider
) -> None:
    """Each re-drive begins D + Q anew, so one at each look would put the absence off for ever. L2"""
    provider.declines = True
    with open_shop(tmp_path) as shop:
        open_redriving(shop, provider)
        lose(shop)
        looks: list[Reconciled] = []
        for wait_ms in (D_MS, SETTLE_MS, SETTLE_MS):
            shop.live.wait(wait_ms)
            shop.live.wait(1)
            looks.append(shop.reconcile())
        assert "re-driven: its stored answer is card_declined" in looks[0].note
        assert "it was re-driven, and is waited for" in looks[1].note
        assert (looks[2].status, len(provider.heard), redrives(shop)) == (NOT_COMMITTED, 1, 1)


def test_where_nobody_ticks_this_machine_says_how_old_the_providers_key_is(shop: Shop, provider: Provider) -> None:
    """[CALL-6], `redrive_clock`: the log's time stands still, and by it the provider would know its key for ever."""
    lose(shop)
    shop.live.wait(D_MS)
    shop.live.log._log_signer = None
    shop.live.clock.ms += RETENTION_MS
    look = shop.reconcile()
    assert (look.status, provider.heard, redrives(shop)) == (UNKNOWN, [], 0)
    assert "by this machine's clock" in look.note


def recovered(shop: Shop) -> None:
    recover(shop.live)
    shop.live.wait(1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda shop: shop.live.put(
                shop.live.log.draft(Freeze(scope=Scope(effect_class="*", prefix=""), reason="stop"), shop.live.admin)
            ),
            "a freeze covers this effect",
        ),
        (lambda shop: shop.live.wait(RETENTION_MS), "the provider may have forgotten its key"),
        (recovered, "a recovery has come since this START"),
    ],
    ids=["frozen", "too late", "recovered"],
)
def test_what_the_log_does_not_take_is_not_sent(
    shop: Shop, provider: Provider, spoil: Callable[[Shop], object], words: str
) -> None:
    lose(shop)
    shop.live.wait(D_MS)
    spoil(shop)
    look = shop.reconcile()
    assert (look.status, provider.heard, redrives(shop)) == (UNKNOWN, [], 0)
    assert words in look.note


def test_of_two_reconcilers_one_sends(shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(shop)
    shop.live.wait(D_MS)
    other = Guard(shop.live.log, key=shop.live.grant(9, "reconciler"))
    provider.fails = [TimeoutError(), TimeoutError()]
    open_redriving(shop, provider, other)
    looks: list[Reconciled] = []
    arguments = redriving._arguments

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(redriving, "_arguments", arguments)
        looks.extend(other.reconcile())
        return arguments(*given)

    monkeypatch.setattr(redriving, "_arguments", meanwhile)
    looks.append(shop.reconcile())
    assert (len(provider.heard), redrives(shop)) == (1, 1)
    assert "no re-drive: prev is not the head" in looks[1].note


def test_a_re_drive_whose_deadline_passed_before_it_left_is_not_sent(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(shop)
    shop.live.wait(D_MS)
    times = iter([0.0, D_MS / 1000])
    monkeypatch.setattr("invoke_log.guard.redrive.time.clock_gettime", lambda clock: next(times))
    look = shop.reconcile()
    assert (look.status, provider.heard, redrives(shop)) == (UNKNOWN, [], 1)
    assert "its send deadline passed" in look.note


def test_the_deadline_of_a_re_drive_runs_from_before_its_append(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(shop)
    shop.live.wait(D_MS)
    append, passed_s = Case.append, [0.0]

    def slow(case: Case, data: Any, **at: Any) -> Any:
        passed_s[0] += D_MS / 1000
        return append(case, data, **at)

    monkeypatch.setattr(Case, "append", slow)
    monkeypatch.setattr("invoke_log.guard.redrive.time.clock_gettime", lambda clock: passed_s[0])
    look = shop.reconcile()
    assert (look.status, provider.heard, redrives(shop)) == (UNKNOWN, [], 1)
    assert "its send deadline passed" in look.note


def test_a_tool_of_another_version_sends_nothing_again(shop: Shop, provider: Provider) -> None:
    lose(shop)
    shop.live.wait(D_MS)
    shop.live.register(version=3, read_back=PARTIAL_READ)
    open_redriving(shop, provider)
    look = shop.reconcile()
    assert (provider.heard, redrives(shop)) == ([], 0)
    assert "the tool has version 3, the call 2" in look.note


def test_an_unknown_that_was_never_sent_is_not_sent_by_a_re_drive(shop: Shop, provider: Provider) -> None:
    recover(shop.live)
    shop.live.put(shop.live.intent())
    shop.live.wait(1)
    shop.live.wait(D_MS)
    look = shop.reconcile()
    assert (look.status, provider.heard) == (UNKNOWN, [])
    assert "nothing was ever sent" in look.note


def test_a_large_argument_comes_back_from_where_it_is_kept(tmp_path: Path) -> None:
    arguments: Value = {
        "customer": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "order": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "letter": {"role": "content", "raw": True, "schema": {"type": "bytes", "min": 0, "max": 64_000}},
    }
    letter, heard = b"x" * 20_000, list[bytes]()

    def send(customer: str, order: str, letter: bytes, *, invoke: Call) -> str:
        heard.append(letter)
        if len(heard) == 1:
            raise TimeoutError
        return "ok"

    with open_shop(tmp_path) as shop:
        shop.live.register(version=3, arguments=arguments, read_back=PARTIAL_READ, send_deadline_ms=D_MS)
        shop.guard.tool(shop.live.contract, read_back=lambda call: [], redrive=send)(send)
        shop.guard.call("charge", {"customer": "c", "order": "1", "letter": letter})
        shop.live.wait(1)
        shop.live.wait(D_MS)
        [kept] = (shop.live.log.path / "attachments").iterdir()
        kept.rename(tmp_path / "gone")
        assert "an argument of the request is not kept here" in shop.reconcile().note
        kept.write_bytes(b"damaged")
        assert "an argument of the request is not kept here" in shop.reconcile().note
        (tmp_path / "gone").rename(kept)
        assert shop.reconcile().status == COMMITTED
        assert heard == [letter, letter]


@pytest.mark.parametrize(
    ("changes", "redrive", "words"),
    [
        ({"provider_key": None}, Provider().send, "stores all results"),
        (
            {"provider_key": {"place": "h", "retention_ms": 10**9, "mismatch": "refused", "stores": "success"}},
            Provider().send,
            "stores all results",
        ),
        (
            {"provider_key": {"place": "h", "retention_ms": 10, "mismatch": "refused", "stores": "all"}},
            Provider().send,
            "beyond D",
        ),
        ({}, lambda customer, order, amount: None, "it is given exactly customer, order, amount, invoke"),
    ],
    ids=["no key", "stores success", "forgets", "takes no call"],
)
def test_a_re_drive_that_could_never_be_safe_is_refused_before_any_call(
    tmp_path: Path, changes: dict[str, Value], redrive: Callable[..., object], words: str
) -> None:
    with open_shop(tmp_path) as shop:
        shop.live.register(version=3, **changes)
        with pytest.raises(ConfigInvalidError, match=words):
            shop.open(redrive=redrive)


async def _later(*_: object, **__: object) -> str:
    return ""


@pytest.mark.parametrize("name", ["snapshot", "read_back", "redrive", "sweep"])
def test_what_nobody_awaits_is_refused_before_any_call(tmp_path: Path, name: str) -> None:
    profile: Value = {"type": "record", "nullable": False, "fields": {}}
    with open_shop(tmp_path, profile=profile) as shop, pytest.raises(ConfigInvalidError, match="nobody awaits"):
        shop.open(None, **{name: _later})
