"""Unknown outcomes to resolutions: yes is stable, no is not. [PRF-4] to [PRF-7], [TIME-4], S2, S3, S15, L2"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from invoke_log.errors import StoreFullError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Aborted, Blocked, NeverSent, OutcomeUnknown
from invoke_log.guard.reconcile import MANY, NONE, ONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.answer import Answer
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, STARTED, UNKNOWN, Freeze, Resolution, Revoke, Scope, Tick
from tests.harness.live import D_MS, Q_MS, T0
from tests.harness.shop import Shop, open_shop, raising

LOST = raising(TimeoutError())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with one effect whose call was lost on its way: it did not land."""
    with open_shop(tmp_path, send_deadline_ms=D_MS) as opened:
        yield opened


def lose(shop: Shop, *, landed: bool) -> None:
    """A call of unknown outcome, drawn up by hand: while the log's clock stands still, no deadline can be missed."""
    live = shop.live
    live.append(live.begun())
    if landed:
        shop.landed.append(digest.tag(live.bound().effect, 1).hex())
    live.append(live.outcome(UNKNOWN))
    shop.begin_to_watch()


def started(shop: Shop) -> None:
    """A call whose process died after its START."""
    shop.live.append(shop.live.begun())
    shop.begin_to_watch()


def evidence(shop: Shop) -> list[tuple[str, str, str | None]]:
    resolutions = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
    return [(data.presence, data.evidence.kind, data.evidence.reference) for data in resolutions]


# --- seen


def test_one_sighting_of_our_tag_commits_at_any_time(shop: Shop) -> None:
    lose(shop, landed=True)
    one = shop.reconcile()
    assert (one.probe, one.status, one.not_before) == (ONE, COMMITTED, None)
    assert (one.effect_key, one.resource) == (
        digest.format_id("eff", shop.live.bound().effect),
        shop.live.bound().resource,
    )
    assert evidence(shop) == [("present", "tag_seen", "pi_0")]
    [effect] = shop.live.audit().effects
    assert (effect.grade, "executor" in effect.relies_on) == ("E0", True)  # one key sends and reads
    assert list(shop.guard.reconcile()) == []


def test_after_a_sighting_the_caller_gets_the_receipt_and_nothing_is_sent(shop: Shop) -> None:
    lose(shop, landed=True)
    shop.reconcile()
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert ending.receipt is not None
    assert len(shop.landed) == 1


@pytest.mark.parametrize("found", ["pi_9", ["pi_9"], ("pi_9",), {"pi_9"}, iter(["pi_9"])], ids=range(5))
def test_a_read_back_may_name_one_object_in_several_ways(shop: Shop, found: object) -> None:
    shop.open(read_back=lambda call: found)
    lose(shop, landed=True)
    assert (shop.reconcile().probe, evidence(shop)) == (ONE, [("present", "tag_seen", "pi_9")])


def test_many_objects_under_one_tag_are_all_on_record_and_found_by_replay(shop: Shop) -> None:
    shop.open(read_back=lambda call: ["pi_1", "pi_2", "pi_3"])
    lose(shop, landed=True)
    many = shop.reconcile()
    assert (many.probe, many.status) == (MANY, COMMITTED)
    assert [reference for _, _, reference in evidence(shop)] == ["pi_1", "pi_2", "pi_3"]
    report = shop.live.audit()
    assert [(finding.code, finding.severity) for finding in report.findings] == [("duplicate-effect", "warning")] * 2
    assert report.ok


def test_what_is_seen_is_on_record_though_somebody_else_moved_the_chain(shop: Shop) -> None:
    """The loser of a race reads again, and says what it saw where the chain stands then [S15]."""
    lose(shop, landed=True)
    draft, moves = shop.live.log.draft, [True]

    def moved(*args: object, **named: object) -> object:
        envelope = draft(*args, **named)  # type: ignore[arg-type]
        if moves and envelope.fields["kind"] == "resolution":
            moves.pop()
            shop.live.log.draft = draft  # type: ignore[method-assign]
            shop.live.append(shop.live.present(reference="pi_7"))
        return envelope

    shop.live.log.draft = moved  # type: ignore[method-assign, assignment]
    look = shop.reconcile()
    assert (look.status, [reference for _, _, reference in evidence(shop)]) == (COMMITTED, ["pi_7", "pi_0"])
    assert look.incident is not None


def test_what_another_put_on_record_meanwhile_is_not_said_twice(shop: Shop) -> None:
    def find(call: Call) -> list[str]:
        shop.live.append(shop.live.present(reference="pi_0"))
        return ["pi_0"]

    shop.open(read_back=find)
    lose(shop, landed=True)
    assert (shop.reconcile().status, evidence(shop)) == (COMMITTED, [("present", "tag_seen", "pi_0")])


# --- not seen


def test_an_empty_read_settles_nothing_before_the_last_send_must_be_visible(shop: Shop) -> None:
    lose(shop, landed=False)
    shop.live.wait(1)  # the first tick after the send: D and Q are counted from here
    for passed_ms in (0, D_MS, Q_MS - 1):
        shop.live.wait(passed_ms)
        look = shop.reconcile()
        assert (look.probe, look.status, look.note) == (NONE, UNKNOWN, "not there yet: it may still appear")
        assert look.not_before == T0 + 1 + D_MS + Q_MS
    shop.live.wait(1)
    last = shop.reconcile()
    assert (last.probe, last.status) == (NONE, NOT_COMMITTED)
    assert evidence(shop) == [("absent", "absence", None)]
    assert shop.live.audit().findings == ()


def test_absence_rests_on_the_tick_that_was_held_before_the_read_began(shop: Shop) -> None:
    """A read that took so long that the bound passed while it ran has not seen what came in the meantime."""

    def slow(call: Call) -> list[str]:
        shop.live.wait(D_MS + Q_MS)
        return []

    shop.open(read_back=slow)
    lose(shop, landed=False)
    shop.live.wait(1)
    assert shop.reconcile().status == UNKNOWN
    assert shop.reconcile().status == NOT_COMMITTED
    [data] = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
    ticks = {
        entry.event.id: entry.event.data for entry in shop.live.log.entries() if isinstance(entry.event.data, Tick)
    }
    held = ticks[data.evidence.tick or b""]  # type: ignore[index]
    assert held.time_ms == T0 + 1 + D_MS + Q_MS


def test_a_started_call_is_suspect_after_its_deadline_and_absent_after_its_quiescence(shop: Shop) -> None:
    started(shop)
    shop.live.wait(1)
    early = shop.reconcile()
    assert (early.probe, early.status) == (None, "started")
    shop.live.wait(D_MS - 1)
    assert shop.reconcile().status == "started"
    shop.live.wait(1)
    assert (shop.reconcile().status, shop.kinds()[-1]) == (UNKNOWN, "suspect")
    shop.live.wait(Q_MS)
    assert shop.reconcile().status == NOT_COMMITTED
    assert shop.kinds() == ["intent", "start", "suspect", "resolution"]


def test_after_absence_the_same_request_may_go_and_another_may_not(shop: Shop) -> None:
    lose(shop, landed=False)
    shop.live.wait(1)
    shop.live.wait(D_MS + Q_MS)
    assert shop.reconcile().status == NOT_COMMITTED
    other = shop.live.intent(shop.live.bound(amount=6000))
    assert shop.live.answer(other) == "refused content-differs"
    assert shop.live.answer(shop.live.intent()) == "accepted"


@pytest.mark.parametrize(
    ("field", "value"),
    [("complete", False), ("lag_ms", 1)],
    ids=["partial", "late"],
)
def test_a_read_that_is_late_or_partial_never_proves_absence(tmp_path: Path, field: str, value: Value) -> None:
    read_back: dict[str, Value] = {"operation": "list", "tag": "x", "complete": True, "lag_ms": 0, field: value}
    with open_shop(tmp_path, send_deadline_ms=D_MS, read_back=read_back) as shop:
        lose(shop, landed=False)
        shop.live.wait(1)
        shop.live.wait(100 * (D_MS + Q_MS))
        look = shop.reconcile()
        assert (look.probe, look.status) == (NONE, UNKNOWN)
        assert shop.kinds() == ["intent", "start", "outcome"]


def test_one_reader_of_two_that_are_wanted_settles_nothing(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, reconcilers=2) as shop:
        lose(shop, landed=False)
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        look = shop.reconcile()
        assert (look.probe, look.status) == (NONE, UNKNOWN)
        assert "2" in look.note


def test_a_freeze_stops_no_evidence(shop: Shop) -> None:
    lose(shop, landed=True)
    scope = Scope(effect_class="*", prefix="")
    shop.live.append(shop.live.log.draft(Freeze(scope=scope, reason="stop"), shop.live.admin))
    assert shop.reconcile().status == COMMITTED


# --- nothing learnt


@pytest.mark.parametrize(("granted", "words"), [(True, "has not passed"), (False, "holds no grant")])
def test_a_suspicion_that_the_log_refuses_is_reported_with_its_reason(shop: Shop, granted: bool, words: str) -> None:
    """A key that was revoked waits for no deadline."""
    started(shop)
    key = shop.live.grant(5, "reconciler")
    guard = Guard(shop.live.log, key=key)
    shop.open(guard)
    if not granted:
        revoke = Revoke(key=key.public_key, grant=None, suspect_from=None)
        shop.live.put(shop.live.log.draft(revoke, shop.live.admin))
        shop.live.wait(1)
        shop.live.wait(D_MS)
    [look] = guard.reconcile()
    assert (look.status, words in look.note) == (STARTED, True)


def boom(_: Call) -> object:
    raise ConnectionError


@pytest.mark.parametrize(
    "read_back",
    [
        boom,
        lambda call: "",
        lambda call: [""],
        lambda call: True,
        lambda call: False,
        lambda call: 0,
        lambda call: b"pi_1",
        lambda call: {"id": "pi_1"},
        lambda call: [{"id": "pi_1"}],
        lambda call: ["x" * 513],
        lambda call: ["e\u0301"],
        lambda call: ["\ud800"],
    ],
    ids=range(12),
)
def test_what_is_no_answer_settles_nothing_however_late(shop: Shop, read_back: Callable[[Call], object]) -> None:
    shop.open(read_back=read_back)
    lose(shop, landed=False)
    shop.live.wait(1)
    shop.live.wait(D_MS + Q_MS)
    look = shop.reconcile()
    assert (look.probe, look.status) == (UNCLEAR, UNKNOWN)
    assert shop.kinds() == ["intent", "start", "outcome"]


@pytest.mark.parametrize("nothing", [None, [], (), iter(())], ids=range(4))
def test_nothing_found_is_said_by_an_empty_list_or_none(shop: Shop, nothing: object) -> None:
    shop.open(read_back=lambda call: nothing)
    lose(shop, landed=False)
    shop.live.wait(1)
    shop.live.wait(D_MS + Q_MS)
    assert (shop.reconcile().probe, shop.status) == (NONE, NOT_COMMITTED)


def test_a_tool_that_cannot_be_asked_stays_unknown_until_a_person_says(tmp_path: Path) -> None:
    with open_shop(tmp_path, observability="fire-and-forget", read_back=None) as shop:
        shop.open(read_back=None)
        shop.send = LOST
        unknown = shop.call()
        assert isinstance(unknown, OutcomeUnknown)
        assert (unknown.not_before, unknown.next) == (None, "attest")
        shop.live.wait(1)
        shop.live.wait(10**9)
        look = shop.reconcile()
        assert (look.probe, look.status) == (None, UNKNOWN)
        assert shop.live.answer(shop.live.attestation(COMMITTED)) == "accepted"
        assert list(shop.guard.reconcile()) == []


# --- which effects, and with what


def test_only_open_effects_of_its_own_tools_are_looked_at(shop: Shop) -> None:
    live = shop.live
    live.append(live.intent(live.bound(order="claimed", customer="cus_2")))
    live.append(live.begun(live.bound(order="done", customer="cus_3")))
    live.append(live.outcome(COMMITTED, "", live.bound(order="done", customer="cus_3")))
    contract, live.contract = live.contract, live.register(name="other", effect_class="other/1")
    live.append(live.begun(live.bound(order="of_another_tool")))
    live.contract = contract
    lose(shop, landed=True)
    assert [look.effect_key for look in shop.guard.reconcile()] == [digest.format_id("eff", live.bound().effect)]


def test_a_later_version_of_the_tool_settles_what_an_earlier_one_left(shop: Shop) -> None:
    lose(shop, landed=True)
    shop.live.register(version=3)
    shop.open()
    assert shop.reconcile().status == COMMITTED


READ: dict[str, Value] = {"operation": "list", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"realm": {"mode": "live"}}, {"realm": {"mode": "test"}}),
        ({"handle": "request_id"}, {"handle": "transaction_id"}),
        (
            {},
            {
                "effect_class": "money.charge/2",
                "resource": "stripe/acct_1/customer/{customer}",
                "retires": {
                    "effect_class": "money.charge/1",
                    "resource": "stripe/customer/{customer}",
                    "purpose": "order",
                    "identity": ["customer"],
                },
            },
        ),
    ],
    ids=["realm", "handle", "resource"],
)
def test_a_tool_that_looks_elsewhere_is_not_asked(tmp_path: Path, was: dict[str, Value], now: dict[str, Value]) -> None:
    """It would find nothing there, or what a handle of somebody else's names."""
    asked: list[Call] = []
    with open_shop(tmp_path, send_deadline_ms=D_MS, **was) as shop:
        lose(shop, landed=True)
        shop.live.register(version=3, **{**was, **now})
        shop.open(read_back=lambda call: asked.append(call))
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        [look] = shop.guard.reconcile()
        assert (look.probe, look.status, asked) == (None, UNKNOWN, [])
        assert look.note == "not asked: version 3 of its contract looks elsewhere than version 2"
        assert look.waiting is not None
        assert [look.waiting] == shop.guard.waiting()
        assert "a reconciler that has a tool with contract" in look.waiting.words


@pytest.mark.parametrize("field", [{"lag_ms": 1}, {"complete": False}, {"operation": "search"}, {"tag": "x"}], ids=repr)
def test_a_tool_that_reads_otherwise_proves_a_presence_and_no_absence(tmp_path: Path, field: dict[str, Value]) -> None:
    """What its contract says of a read that finds nothing is not what the effect's contract says. [PRF-6]"""
    with open_shop(tmp_path, send_deadline_ms=D_MS, read_back=READ) as shop:
        lose(shop, landed=False)
        shop.live.register(version=3, read_back={**READ, **field})
        shop.open()
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        look = shop.reconcile()
        assert (look.probe, look.status) == (UNCLEAR, UNKNOWN)
        assert "reads otherwise than version 2" in look.note
        shop.landed.append(digest.tag(shop.live.bound().effect, 1).hex())
        assert shop.reconcile().status == COMMITTED


def test_a_tool_that_reads_otherwise_proves_no_abort(tmp_path: Path) -> None:
    transactional: dict[str, Value] = {"observability": "transactional", "handle": "xid", "read_back": READ}

    def aborted(_: Call) -> object:
        raise Aborted

    with open_shop(tmp_path, send_deadline_ms=D_MS, **transactional) as shop:
        lose(shop, landed=False)
        contract = shop.live.contract
        shop.live.register(version=3, **{**transactional, "read_back": {**READ, "operation": "search"}})
        shop.open(read_back=aborted)
        assert (shop.reconcile().probe, shop.status) == (UNCLEAR, UNKNOWN)
        shop.live.contract = contract
        shop.live.register(version=4, **transactional)
        shop.open(read_back=aborted)
        assert (shop.reconcile().probe, shop.status) == (NONE, NOT_COMMITTED)


def test_a_probe_asks_for_the_tag_and_key_of_the_attempt(shop: Shop) -> None:
    asked: list[Call] = []
    live, bound = shop.live, shop.live.bound()
    shop.open(read_back=lambda call: asked.append(call))
    shop.send = raising(NeverSent())
    live.append(live.begun())
    live.append(live.outcome(NOT_COMMITTED, "stored_failure"))
    live.append(live.begun())
    live.append(live.outcome(UNKNOWN))
    shop.reconcile()
    [call] = asked
    assert (call.tag, call.generation) == (digest.tag(bound.effect, 1).hex(), 1)
    assert call.provider_key == digest.provider_key(bound.effect, 1, 1).hex()
    assert (call.effect_key, call.resource) == (digest.format_id("eff", bound.effect), bound.resource)


def test_one_read_that_fails_keeps_no_other_effect_from_being_settled(shop: Shop) -> None:
    live = shop.live
    bounds = [live.bound(order=order, customer=f"cus_{order}") for order in "abc"]
    for bound in bounds:
        live.append(live.begun(bound))
        live.append(live.outcome(UNKNOWN, "", bound))
    broken = digest.tag(bounds[1].effect, 1).hex()

    def find(call: Call) -> list[str]:
        if call.tag == broken:
            raise ConnectionError
        return ["pi_1"]

    shop.open(read_back=find)
    assert sorted((look.probe or "", look.status) for look in shop.guard.reconcile()) == [
        (ONE, COMMITTED),
        (ONE, COMMITTED),
        (UNCLEAR, UNKNOWN),
    ]


class NoExceptionError(BaseException):
    """Derived as a time-out of gevent is."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, NoExceptionError])
def test_whoever_ends_the_process_ends_a_look_and_nobody_else_does(shop: Shop, error: type[BaseException]) -> None:
    def end(_: Call) -> object:
        raise error

    shop.open(read_back=end)
    lose(shop, landed=True)
    if error is NoExceptionError:
        look = shop.reconcile()
        assert (look.probe, look.note) == (UNCLEAR, "the read-back said nothing: NoExceptionError")
    else:
        with pytest.raises(error):
            shop.reconcile()
    assert shop.status == UNKNOWN


def test_a_log_key_that_cannot_sign_keeps_nothing_that_is_there_from_being_seen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(shop, landed=True)
    shop.live.wait(1)
    shop.live.clock.ms += 10_000
    monkeypatch.setattr(shop.live.log, "_log_signer", Locked(shop.live.log_key.public_key))
    assert shop.reconcile().status == COMMITTED


@dataclass
class Locked:
    """A key that an agent holds, who asks for a touch that does not come."""

    public_key: bytes

    def sign(self, context: bytes, message: bytes) -> bytes:
        raise TimeoutError


def test_a_disk_that_is_full_for_one_effect_keeps_no_other_from_being_settled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = shop.live
    for order in "ab":
        bound = live.bound(order=order, customer=f"cus_{order}")
        live.append(live.begun(bound))
        live.append(live.outcome(UNKNOWN, "", bound))
        shop.landed.append(digest.tag(bound.effect, 1).hex())
    append, full = live.log.append_many, [StoreFullError("no space left")]

    def filled(envelopes: Sequence[Envelope]) -> list[Answer]:
        if full and any(envelope.fields["kind"] == "resolution" for envelope in envelopes):
            raise full.pop()
        return append(envelopes)

    monkeypatch.setattr(live.log, "append_many", filled)
    failed, settled = shop.guard.reconcile()
    assert (failed.probe, failed.status) == (UNCLEAR, UNKNOWN)
    assert failed.note == "this look came to nothing: StoreFullError: no space left"
    assert settled.status == COMMITTED
    assert [look.status for look in shop.guard.reconcile()] == [COMMITTED]


def test_a_process_without_the_log_key_reconciles_by_the_last_tick_there_is(shop: Shop) -> None:
    lose(shop, landed=False)
    shop.live.wait(1)
    shop.live.wait(D_MS + Q_MS - 1)
    signer, shop.live.log._log_signer = shop.live.log._log_signer, None
    shop.live.clock.ms += 10**9
    assert shop.reconcile().status == UNKNOWN
    shop.live.log._log_signer = signer
    shop.live.wait(0)
    shop.live.log._log_signer = None
    assert shop.reconcile().status == NOT_COMMITTED


def test_a_committed_tool_has_nothing_to_reconcile(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.outcome(COMMITTED))
    assert shop.guard.reconcile() == []


def test_a_reader_whose_reading_never_counts_puts_none_on_record(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, reconcilers=2) as shop:
        lose(shop, landed=False)
        guard = shop.other(9, "agent")
        guard.reconcile()
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        [look] = guard.reconcile()
        assert (look.status, "grant-missing" in look.note) == (UNKNOWN, True)
        assert "observation" not in [entry.event.kind for entry in shop.live.log.entries()]


def test_a_tool_of_another_class_under_the_same_name_finds_nothing_absent(tmp_path: Path) -> None:
    """[CALL-5]: two programs call their function alike, and their resources; each asks a provider of its own."""
    with open_shop(tmp_path, send_deadline_ms=D_MS) as shop:
        lose(shop, landed=True)
        shop.live.register(version=3, send_deadline_ms=D_MS, effect_class="sms.send/1")
        asked: list[Call] = []
        shop.open(read_back=asked.append)
        shop.begin_to_watch()
        shop.live.wait(1)
        shop.live.wait(D_MS + Q_MS)
        look = shop.reconcile()
        assert (look.probe, look.status, asked) == (None, UNKNOWN, [])
        assert look.note.startswith("not asked")
        [waits] = shop.guard.waiting()
        assert waits.words.startswith("a reconciler that has a tool")
