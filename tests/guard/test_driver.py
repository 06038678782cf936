"""One call from its intent to its outcome: what is sent, once, and what its end proves. [CALL-2], [CALL-4], S4, S15"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from invoke_log.errors import CommitUncertainError, StoreError, StoreFullError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard import tool_call
from invoke_log.guard.outcome import (
    Aborted,
    Blocked,
    Committed,
    DefiniteFailure,
    NeverSent,
    NotCommitted,
    OutcomeUnknown,
)
from invoke_log.guard.tool_call import Call
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Answer
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Evidence, Intent, Outcome, Start
from invoke_log.store.protocol import Answer as Stored
from invoke_log.store.protocol import Pending
from tests.harness.between import fail, on_disk
from tests.harness.live import NONCE, Q_MS
from tests.harness.player import recover
from tests.harness.shop import UNHURRIED_MS, Shop, open_shop, raising, shop_over


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def outcome(shop: Shop) -> Outcome:
    [data] = [event.data for event in shop.chain() if isinstance(event.data, Outcome)]
    return data


# --- what an end proves


def test_a_tool_that_returns_is_committed_in_two_commits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    store = shop.live.log._engine._store
    append = store.append

    def counted(pendings: Sequence[Pending]) -> Sequence[Stored]:
        commits.append(len(pendings))
        return append(pendings)

    monkeypatch.setattr(store, "append", counted)
    ending = shop.call()
    assert isinstance(ending, Committed)
    assert (ending.value, ending.fresh) == ({"id": f"pi_{shop.landed[0][:8]}"}, True)
    assert ending.effect_key == digest.format_id("eff", shop.live.bound().effect)
    assert (shop.kinds(), commits) == (["intent", "start", "outcome"], [2, 1])
    assert (outcome(shop).evidence.kind, outcome(shop).status) == ("response", COMMITTED)
    assert shop.live.audit().findings == ()


def test_a_call_after_a_pause_is_judged_at_a_tick_that_comes_before_its_intent(shop: Shop) -> None:
    """[TIME-5]: a policy that reads the time reads that of the call."""
    shop.live.clock.ms += 60_000
    size = len(list(shop.live.log.entries()))
    assert isinstance(shop.call(), Committed)
    added = [entry.event for entry in shop.live.log.entries(size)]
    assert [event.kind for event in added][:3] == ["tick", "intent", "start"]
    for event in added[1:3]:
        assert isinstance(event.data, Intent | Start)
        assert event.data.verdict.inputs["now_ms"] == shop.live.clock.ms
    assert shop.live.audit().findings == ()


def test_a_start_that_is_refused_beside_its_accepted_intent_permits_no_send(shop: Shop) -> None:
    """[CALL-2]"""
    ending = shop.call(shop.other(60, "agent"))
    assert isinstance(ending, Blocked)
    assert "grant-missing" in ending.message
    assert (ending.next, ending.by) == ("wait", digest.format_id("evt", shop.chain()[0].id))
    assert (shop.landed, shop.kinds()) == ([], ["intent"])


def test_a_start_that_is_refused_on_a_claim_that_stands_permits_no_send(shop: Shop) -> None:
    """[CALL-2], [CALL-3]"""
    shop.live.put(shop.live.intent())
    ending = shop.call(shop.other(61, "agent"))
    assert isinstance(ending, Blocked)
    assert "grant-missing" in ending.message
    assert (ending.next, ending.by) == ("wait", digest.format_id("evt", shop.chain()[0].id))
    assert (shop.landed, shop.kinds()) == ([], ["intent"])


class ServerError(Exception):
    """A provider's 500."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("read timed out"), "no_answer"),
        (ConnectionResetError(104, "reset"), "no_answer"),
        (ConnectionRefusedError(111, "refused"), "no_answer"),
        (EOFError(), "no_answer"),
        (ServerError(500), "no_answer"),
        (ValueError("unparsable body"), "no_answer"),
        (TypeError("our own bug"), "no_answer"),
        (AssertionError(), "no_answer"),
        (RecursionError(), "no_answer"),
        (MemoryError(), "no_answer"),
        (StopIteration(), "no_answer"),
        (StoreError("the tool's own store"), "no_answer"),
        (DefiniteFailure("insufficient_funds"), "unclear_answer"),
        (DefiniteFailure("CARD_DECLINED"), "unclear_answer"),
        (Aborted(), "no_answer"),
    ],
    ids=lambda value: f"{type(value).__name__} {value}" if isinstance(value, Exception) else value,
)
def test_whatever_is_no_proof_leaves_the_outcome_unknown(shop: Shop, error: Exception, kind: str) -> None:
    shop.send = raising(error)
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert ending.__cause__ is error
    assert (ending.next, ending.status) == ("reconcile", UNKNOWN)
    assert (shop.status, outcome(shop).evidence.kind) == (UNKNOWN, kind)
    assert isinstance(shop.call(), Blocked)
    assert len(shop.landed) == 1


@pytest.mark.parametrize(
    ("error", "contract", "kind"),
    [
        (NeverSent(), {}, "never_sent"),
        (DefiniteFailure("card_declined"), {}, "stored_failure"),
        (DefiniteFailure("card_declined"), {"provider_key": None}, "definite_failure"),
        (Aborted(), {"observability": "transactional"}, "abort"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_only_what_proves_it_is_not_committed(
    tmp_path: Path, error: Exception, contract: dict[str, Value], kind: str
) -> None:
    with open_shop(tmp_path, **contract) as shop:
        shop.send = raising(error)
        ending = shop.call()
        assert isinstance(ending, NotCommitted)
        assert ending.__cause__ is error
        assert ending.next == "decide_again"
        assert (shop.status, outcome(shop).evidence.kind) == (NOT_COMMITTED, kind)
        shop.send = lambda call: None
        assert isinstance(shop.call(), Committed)
        assert shop.kinds() == ["intent", "start", "outcome"] * 2
        assert shop.live.audit().findings == ()


def test_a_key_that_can_only_repeat_its_failure_is_not_used_again(shop: Shop) -> None:
    keys: list[tuple[str, str]] = []

    def send(call: Call) -> None:
        keys.append((call.provider_key, call.tag))
        raise DefiniteFailure("card_declined") if len(keys) == 1 else NeverSent

    shop.send = send
    for _ in range(3):
        assert isinstance(shop.call(), NotCommitted)
    assert len({tag for _, tag in keys}) == 1
    assert keys[0] != keys[1] == keys[2]


@pytest.mark.parametrize("value", [object(), b"bytes", float("nan"), {1, 2}, "\ud800", "x" * 20_000], ids=range(6))
def test_a_value_that_cannot_be_kept_is_committed_all_the_same(shop: Shop, value: object) -> None:
    shop.send = lambda call: value
    ending = shop.call()
    assert isinstance(ending, Committed)
    assert ending.value is value
    assert outcome(shop).result is None


def test_a_value_too_deep_to_be_written_down_is_committed_all_the_same(shop: Shop) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    shop.send = lambda call: deep
    assert isinstance(shop.call(), Committed)
    assert shop.status == COMMITTED


# --- permission to send


def test_the_call_that_a_tool_gets_is_that_of_its_start(shop: Shop) -> None:
    calls: list[Call] = []
    shop.send = calls.append
    shop.call()
    [start] = [event.data for event in shop.chain() if isinstance(event.data, Start)]
    [call], bound = calls, shop.live.bound()
    assert (call.provider_key, call.tag) == (start.provider_key.hex(), start.tag.hex())
    assert (call.effect_key, call.resource) == (digest.format_id("eff", bound.effect), bound.resource)
    assert (call.generation, call.timeout_s) == (1, shop.live.contract.timeout_ms / 1000)


def test_a_nonce_is_drawn_for_each_start_and_revealed_by_its_outcome_alone(shop: Shop) -> None:
    shop.send = raising(NeverSent())
    shop.call()
    shop.call()
    starts = [event.data.nonce_hash for event in shop.chain() if isinstance(event.data, Start)]
    nonces = [event.data.nonce for event in shop.chain() if isinstance(event.data, Outcome)]
    assert [digest.nonce_hash(nonce or b"") for nonce in nonces] == starts
    assert len(set(starts)) == 2


class Boot:
    """The clock that send deadlines are counted on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 1_000.0
        monkeypatch.setattr(time, "clock_gettime", self._read)

    def _read(self, which: int) -> float:
        assert which == tool_call.CLOCK
        return self.s


@pytest.mark.parametrize(("late_s", "sends"), [(-0.001, 1), (0.0, 0), (3_600.0, 0)])
def test_after_the_send_deadline_nothing_is_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, late_s: float, sends: int
) -> None:
    """D is counted from before the START was appended: the commit is what took long. [CALL-2], `send_deadline`"""
    boot, append = Boot(monkeypatch), shop.live.log.append_many

    def slow(envelopes: list[Envelope]) -> list[Answer]:
        boot.s += UNHURRIED_MS / 1_000 + late_s
        return append(envelopes)

    monkeypatch.setattr(shop.live.log, "append_many", slow)
    ending = shop.call()
    assert len(shop.landed) == sends
    assert isinstance(ending, Committed if sends else NotCommitted)
    assert outcome(shop).evidence.kind == ("response" if sends else "never_sent")


def test_only_accepted_permits_a_send(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CALL-4], `no_op_is_no`: DUPLICATE of an append that was never answered unavailable permits somebody else."""
    append = shop.live.log.append_many

    def twice(envelopes: list[Envelope]) -> list[Answer]:
        append(envelopes)
        return append(envelopes)

    monkeypatch.setattr(shop.live.log, "append_many", twice)
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == ("collision", "poll")
    assert shop.landed == []
    assert shop.status == "started"


@pytest.mark.parametrize("stored", [False, True])
def test_after_its_own_unavailable_the_same_bytes_permit_one_send(tmp_path: Path, stored: bool) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)
        lost = fail(CommitUncertainError("the disk did not answer"))
        (opened[-1].after if stored else opened[-1].before).append(lost)
        assert isinstance(shop.call(), Committed)
        assert (shop.kinds(), len(shop.landed), len(opened)) == (["intent", "start", "outcome"], 1, 2)


def test_a_log_that_cannot_take_the_start_is_an_error_and_nothing_is_sent(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)
        opened[-1].before.append(fail(StoreFullError("no space")))
        with pytest.raises(StoreFullError):
            shop.call()
        assert shop.landed == []
        assert isinstance(shop.call(), Committed)


@pytest.mark.parametrize("error", [StoreFullError("no space"), CommitUncertainError("the disk did not answer")])
def test_a_log_that_cannot_take_the_outcome_of_a_call_that_was_sent_leaves_it_unknown(
    tmp_path: Path, error: StoreError
) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)

        def send(_: Call) -> str:
            opened[-1].before.append(fail(error))
            live.log._engine._opener = fail(StoreError("gone"))  # type: ignore[assignment]  # nor opened anew
            return "pi_1"

        opener = live.log._engine._opener
        shop.send = send
        ending = shop.call()
        live.log._engine._opener = opener
        assert isinstance(ending, OutcomeUnknown)
        assert isinstance(ending.__cause__, StoreError)
        assert (len(shop.landed), shop.status) == (1, "started")


def test_an_outcome_whose_commit_is_uncertain_is_appended_again(tmp_path: Path) -> None:
    with on_disk(tmp_path) as (live, opened):
        shop = shop_over(live)

        def send(_: Call) -> str:
            opened[-1].after.append(fail(CommitUncertainError("the disk did not answer")))
            return "pi_1"

        shop.send = send
        assert isinstance(shop.call(), Committed)
        assert shop.kinds() == ["intent", "start", "outcome"]


def test_a_key_that_cannot_sign_the_outcome_leaves_it_unknown_and_raises_nothing_to_try_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A KMS that times out after the send is no time-out of the call."""

    def breaks(_: Call) -> str:
        monkeypatch.setattr(FileSigner, "sign", times_out)
        return "pi_1"

    def times_out(*_: object) -> bytes:
        raise TimeoutError("kms")

    shop.send = breaks
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, TimeoutError)
    with pytest.raises(TimeoutError):  # nothing was sent here: the caller may well try again
        shop.call(order="790")
    monkeypatch.undo()
    assert (shop.status, len(shop.landed)) == ("started", 1)


# --- an outcome that comes after somebody else's word


def settle_absent(shop: Shop) -> None:
    """What a reconciler does that waits long enough while a call is under way."""
    live = shop.live
    live.wait(1)
    live.wait(UNHURRIED_MS + Q_MS)
    assert live.answer(live.suspect()) == "accepted"
    live.wait(1)
    assert live.answer(live.absent()) == "accepted"


def test_an_outcome_after_suspicion_is_still_its_outcome(shop: Shop) -> None:
    def send(_: Call) -> str:
        shop.live.wait(1)
        shop.live.wait(UNHURRIED_MS)
        assert shop.live.answer(shop.live.suspect()) == "accepted"
        return "pi_1"

    shop.send = send
    assert isinstance(shop.call(), Committed)
    assert shop.kinds() == ["intent", "start", "suspect", "outcome"]


def test_a_zombie_that_committed_after_it_was_found_absent_brings_its_evidence(shop: Shop) -> None:
    def send(_: Call) -> str:
        settle_absent(shop)
        return "pi_1"

    shop.send = send
    ending = shop.call()
    assert isinstance(ending, Committed)
    assert ending.value == "pi_1"
    assert shop.kinds() == ["intent", "start", "suspect", "resolution", "resolution"]
    assert (shop.status, shop.chain()[-1].by) == (COMMITTED, shop.live.agent.public_key)
    assert [(finding.code, finding.severity) for finding in shop.live.audit().findings] == [
        ("contradiction", "warning")
    ]


def test_a_zombie_brings_its_evidence_though_the_next_attempt_is_open(shop: Shop) -> None:
    def send(_: Call) -> str:
        settle_absent(shop)
        shop.live.append(shop.live.intent())
        return "pi_1"

    shop.send = send
    assert isinstance(shop.call(), Committed)
    assert shop.status == COMMITTED
    assert shop.kinds()[-2:] == ["intent", "resolution"]


def test_evidence_that_is_overtaken_is_brought_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: Call) -> str:
        settle_absent(shop)
        moved = iter([lambda: shop.live.append(shop.live.intent()), lambda: shop.live.append(shop.live.release())])
        append = shop.live.log.append_many

        def late(envelopes: list[Envelope]) -> list[Answer]:
            monkeypatch.setattr(shop.live.log, "append_many", append)
            next(moved, lambda: None)()
            monkeypatch.setattr(shop.live.log, "append_many", late)
            return append(envelopes)

        monkeypatch.setattr(shop.live.log, "append_many", late)
        return "pi_1"

    shop.send = send
    assert isinstance(shop.call(), Committed)
    assert shop.status == COMMITTED
    assert shop.kinds()[-3:] == ["intent", "release", "resolution"]


def test_a_zombie_commits_no_generation_but_its_own(shop: Shop) -> None:
    """S3: while it was under way, its effect was seen, and a repetition of it was decided that nobody has sent."""

    def send(_: Call) -> str:
        live = shop.live
        live.append(live.present(reference="pi_1"))
        assert live.answer(live.intent(by=live.admin, again=True)) == "accepted"
        return "pi_1"

    shop.send = send
    ending = shop.call()
    assert isinstance(ending, Committed)
    assert (shop.status, shop.live.state().generation) == ("claimed", 2)
    assert shop.kinds() == ["intent", "start", "resolution", "intent"]


def test_a_call_that_failed_though_its_effect_was_seen_is_committed_without_a_value(shop: Shop) -> None:
    def send(_: Call) -> None:
        shop.live.append(shop.live.present(reference="pi_1"))
        raise TimeoutError

    shop.send = send
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.status, ending.next) == (COMMITTED, "receipt")
    assert ending.receipt is not None


def test_after_a_redrive_an_executors_word_that_nothing_happened_leaves_it_unknown(shop: Shop) -> None:
    def send(_: Call) -> None:
        live = shop.live
        live.wait(1)
        live.wait(UNHURRIED_MS)
        live.append(live.suspect())
        assert live.answer(live.redrive()) == "accepted"
        raise NeverSent

    shop.send = send
    ending = shop.call()
    assert isinstance(ending, OutcomeUnknown)
    assert shop.status == UNKNOWN


def test_after_a_recovery_what_an_executor_saw_happen_is_brought_as_evidence(shop: Shop) -> None:
    """[REC-6]: its outcome settles nothing any more, and presence does."""

    def send(_: Call) -> str:
        recover(shop.live)
        return "pi_1"

    shop.send = send
    assert isinstance(shop.call(), Committed)
    assert (shop.status, shop.kinds()) == (COMMITTED, ["intent", "start", "resolution"])


def test_after_a_recovery_a_first_call_is_told_to_ask_what_the_lost_tail_may_have_done(shop: Shop) -> None:
    """[REC-4]: the intent leaves it unknown, and nothing was denied."""
    recover(shop.live)
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.next, shop.status, shop.landed) == ("reconcile", UNKNOWN, [])
    shop.live.wait(1)
    shop.live.wait(UNHURRIED_MS + Q_MS)
    assert shop.live.answer(shop.live.absent()) == "accepted"
    assert isinstance(shop.call(), Committed)


def test_proof_that_nothing_happened_stands_though_a_reconciler_said_so_first(shop: Shop) -> None:
    def send(_: Call) -> None:
        settle_absent(shop)
        raise NeverSent

    shop.send = send
    assert isinstance(shop.call(), NotCommitted)
    assert shop.kinds() == ["intent", "start", "suspect", "resolution"]


@pytest.mark.parametrize("failure", [{"code": "card_declined"}, ["card_declined"], None, 402])
def test_a_failure_that_is_no_code_is_an_unclear_answer(shop: Shop, failure: Any) -> None:
    """Tools raise what their provider's body held."""
    error = DefiniteFailure(failure)
    if failure is None:
        del error.failure  # as in a subclass that never set it
    shop.send = raising(error)
    assert isinstance(shop.call(), OutcomeUnknown)
    assert (shop.status, outcome(shop).evidence.kind) == (UNKNOWN, "unclear_answer")


def test_a_result_that_another_program_recorded_and_is_no_json_is_no_value_and_no_error(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    send = shop.live.state().send
    assert send is not None
    evidence = Evidence(kind="response")
    data = Outcome(start=send.id, nonce=NONCE, status=COMMITTED, evidence=evidence, result=b"\xff\x00")
    shop.live.put(shop.live.draw(data, shop.live.agent))
    ending = shop.call()
    assert isinstance(ending, Blocked)
    assert (ending.next, shop.landed) == ("receipt", [])
