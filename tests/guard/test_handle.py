"""A handle: the name by which an attempt can be asked about, on the log before it matters. [PRF-2], [PRF-4], S2, S3"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from invoke_log.errors import ConfigInvalidError, StoreFullError
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Aborted, Committed, NotCommitted, OutcomeUnknown
from invoke_log.guard.reconcile import NONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Handle, Resolution
from tests.harness.live import T0
from tests.harness.player import recover
from tests.harness.shop import UNHURRIED_MS, Shop, open_shop

TRANSACTIONAL: Any = {"observability": "transactional", "handle": "xid"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, **TRANSACTIONAL) as opened:
        yield opened


def noting(*handles: str, then: Callable[[], Any] = lambda: None) -> Callable[[Call], Any]:
    def send(call: Call) -> Any:
        for handle in handles:
            call.note_handle(handle)
        return then()

    return send


def lost() -> None:
    raise TimeoutError


def aborted(_: Call | None = None) -> list[str]:
    raise Aborted


def remembering(asked: list[Call], found: list[str]) -> Callable[[Call], list[str]]:
    """A read-back that finds these, and notes what it was told."""

    def read_back(call: Call) -> list[str]:
        asked.append(call)
        return found

    return read_back


def unknown(shop: Shop, *handles: str, **tool: Any) -> None:
    """A call that noted these handles, and whose answer was lost; its read-back is `tool`'s."""
    shop.open(**tool)
    shop.send = noting(*handles, then=lost)
    assert isinstance(shop.call(), OutcomeUnknown)


def test_a_handle_names_its_start_and_is_on_the_log_while_the_tool_still_runs(shop: Shop) -> None:
    seen: list[str] = []
    shop.send = noting("xid 7", then=lambda: seen.extend(e.event.kind for e in shop.live.log.entries()))
    assert isinstance(shop.call(), Committed)
    assert seen[-2:] == ["start", "handle"]
    [start] = [event.id for event in shop.chain() if event.kind == "start"]
    handles = [entry.event for entry in shop.live.log.entries() if isinstance(entry.event.data, Handle)]
    assert [(event.data.about, event.data.handle) for event in handles if isinstance(event.data, Handle)] == [
        (start, "xid 7")
    ]
    assert shop.live.audit().findings == ()


def test_one_call_notes_one_handle(shop: Shop) -> None:
    shop.send = noting("xid 7", "xid 8")
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, ConfigInvalidError)


def test_a_call_outside_a_tool_notes_nothing() -> None:
    call = Call(effect_key="eff_", resource="r", generation=1, provider_key="k", tag="t", timeout_s=1)
    with pytest.raises(ConfigInvalidError):
        call.note_handle("xid 7")


def test_a_handle_that_could_not_be_stored_stops_the_tool(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    went_on: list[bool] = []

    def send(call: Call) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(shop.live.log._engine._store, "append", full)
            call.note_handle("xid 7")
        went_on.append(True)

    def full(_: object) -> None:
        raise StoreFullError("no space")

    shop.send = send
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert (type(ending.__cause__), went_on) == (StoreFullError, [])


def test_a_read_back_is_told_the_handle_and_the_identity_arguments(shop: Shop) -> None:
    asked: list[Call] = []
    unknown(shop, "xid 7", read_back=remembering(asked, ["xid 7"]))
    assert shop.reconcile().status == COMMITTED
    [call] = asked
    assert (call.handles, call.identity) == (("xid 7",), {"customer": "cus_1", "order": "789"})


def test_the_tool_is_told_its_identity_arguments_too(shop: Shop) -> None:
    told: list[Call] = []
    shop.send = told.append
    shop.call()
    assert [call.identity for call in told] == [{"customer": "cus_1", "order": "789"}]


def test_a_tool_may_send_until_the_deadline_that_counts_from_before_its_start(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    real = time.clock_gettime

    def send(call: Call) -> None:
        found.append(call.may_send())
        monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) + UNHURRIED_MS / 1000)
        found.append(call.may_send())

    shop.send = send
    shop.call()
    assert found == [True, False]


def test_what_another_key_noted_about_a_start_is_no_handle_of_it(shop: Shop) -> None:
    asked: list[Call] = []
    unknown(shop, "xid 7", read_back=remembering(asked, ["xid 7"]))
    [start] = [event.id for event in shop.chain() if event.kind == "start"]
    bound, log = shop.live.bound(), shop.live.log
    forged = Handle(about=start, handle="xid of an aborted one")
    log.append(log.draft(forged, shop.live.grant(9, "agent"), effect=bound.effect, resource=bound.resource))
    assert len([entry for entry in log.entries() if entry.event.kind == "handle"]) == 2
    shop.reconcile()
    assert [call.handles for call in asked] == [("xid 7",)]


def test_a_transaction_that_is_seen_to_be_aborted_settles_at_once_and_for_good(shop: Shop) -> None:
    unknown(shop, "xid 7", read_back=aborted)
    look = shop.reconcile()
    assert (look.probe, look.status) == (NONE, NOT_COMMITTED)
    [kind] = [event.data.evidence.kind for event in shop.chain() if isinstance(event.data, Resolution)]
    assert kind == "abort"
    assert shop.live.audit().findings == ()


def test_a_read_back_that_says_aborted_settles_nothing_where_the_contract_is_not_transactional(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        unknown(shop, read_back=aborted)
        assert shop.reconcile().status == UNKNOWN


def test_an_aborted_call_is_not_committed_and_its_retry_has_handles_of_its_own(shop: Shop) -> None:
    asked: list[Call] = []
    shop.open(read_back=remembering(asked, ["xid 8"]))
    shop.send = noting("xid 7", then=aborted)
    assert isinstance(shop.call(), NotCommitted)
    shop.send = noting("xid 8", then=lost)
    shop.call()
    shop.reconcile()
    assert [call.handles for call in asked] == [("xid 8",)]


def test_after_a_recovery_no_handle_proves_that_nothing_happened(shop: Shop) -> None:
    unknown(shop, "xid 7", read_back=aborted)
    recover(shop.live)
    shop.open(guard := Guard(shop.live.log, key=shop.live.agent), read_back=aborted)
    [look] = guard.reconcile()
    assert (look.probe, look.status) == (UNCLEAR, UNKNOWN)
    assert "attest" in look.note
    shop.live.clock.ms = T0 + 10**9
    [look] = guard.reconcile()
    assert look.status == UNKNOWN
