"""A provider's messages: early, late, twice, forged, about others. [CALL-7], [PRF-1], [PRF-4], [EFF-12], S2"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from invoke_log.errors import KeyInvalidError, KeyLockedError, StoreFullError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed
from invoke_log.guard.resolution import Brought, Case
from invoke_log.guard.tool_call import Call
from invoke_log.guard.webhook import HTTP_STATUSES, Heard, Notice
from invoke_log.log.signer import FileSigner
from invoke_log.rules.kind import ABSENT, COMMITTED, NOT_COMMITTED, UNKNOWN, Evidence, Observation, Resolution
from invoke_log.rules.world import EffectState
from tests.harness.live import Q_MS
from tests.harness.player import recover
from tests.harness.shop import UNHURRIED_MS, Shop, open_shop

SECRET: Final = b"0123456789abcdef0123456789abcdef"
SETTLE_MS: Final = UNHURRIED_MS + Q_MS
PROMISE: Final[dict[str, Any]] = {
    "observability": "webhook-confirmable",
    "read_back": None,
    "webhook": {"scheme": "hmac-sha256", "key_id": "whsec_1", "positive": ["paid"], "negative": ["failed"]},
}


class ForgedError(Exception):
    pass


def verify(body: bytes, headers: Mapping[str, str]) -> Notice:
    """As providers do it: an HMAC over the raw body."""
    wanted = base64.b64encode(hmac.digest(SECRET, body, hashlib.sha256)).decode()
    if not hmac.compare_digest(headers.get("signature", ""), wanted):
        raise ForgedError
    said = json.loads(body)
    metadata = said.get("metadata", {})
    return Notice(
        key_id=said.get("key", "whsec_1"),
        event=said["event"],
        tag=metadata.get("tag"),
        reference=said.get("id"),
    )


def sealed(event: str, tag: str | None = None, **more: Any) -> tuple[bytes, dict[str, str]]:
    body = json.dumps({"event": event, "id": "pay_1", "metadata": {"tag": tag}, **more}).encode()
    return body, {"signature": base64.b64encode(hmac.digest(SECRET, body, hashlib.sha256)).decode()}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, **PROMISE) as opened:
        opened.open(read_back=None)
        yield opened


def tag(shop: Shop, generation: int = 1) -> str:
    return digest.tag(shop.live.bound().effect, generation).hex()


def told(shop: Shop, event: str, generation: int = 1, **more: Any) -> Heard:
    return shop.guard.webhook(*sealed(event, tag(shop, generation), **more), verify)


def begin(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    shop.live.wait(1)


def lose(shop: Shop) -> None:
    begin(shop)
    shop.live.append(shop.live.outcome(UNKNOWN))


def repeat(shop: Shop) -> None:
    """A second generation, whose call is out."""
    intent = shop.live.intent(by=shop.live.admin, again=True)
    shop.live.put(intent, shop.live.start(intent))
    shop.live.wait(1)


def on_record(shop: Shop) -> list[tuple[str, str, str | None, str | None]]:
    found = [event.data for event in shop.chain() if isinstance(event.data, Resolution)]
    return [(d.presence, d.evidence.kind, d.evidence.reference, d.evidence.failure) for d in found]


def size(shop: Shop) -> int:
    with shop.live.log.world() as world:
        return int(world.reader.size)


# --- positive


def test_a_message_settles_what_is_unknown_and_its_body_is_kept_as_evidence(shop: Shop) -> None:
    lose(shop)
    listener = Guard(shop.live.log, key=shop.live.grant(9, "reconciler"))
    heard = listener.webhook(*sealed("paid", tag(shop)), verify)
    assert (heard.answer, heard.status, heard.http_status) == ("recorded", COMMITTED, 200)
    assert heard.effect_key == digest.format_id("eff", shop.live.bound().effect)
    assert on_record(shop) == [("present", "webhook", "pay_1", None)]
    report = shop.live.audit()
    assert report.findings == ()
    assert [(effect.grade, "webhook-sender" in effect.relies_on) for effect in report.effects] == [("E1", True)]
    kept = [path.read_bytes() for path in (shop.live.log.path / "attachments").iterdir()]
    assert kept == [sealed("paid", tag(shop))[0]]


def test_a_message_that_comes_twice_is_one_event(shop: Shop) -> None:
    lose(shop)
    told(shop, "paid")
    before = size(shop)
    again = told(shop, "paid")
    assert (again.answer, again.status, again.http_status) == ("known", COMMITTED, 200)
    assert size(shop) == before


def test_a_message_that_comes_before_the_answer_commits_and_the_answer_finds_that(shop: Shop) -> None:
    heard: list[Heard] = []

    def send(call: Call) -> str:
        heard.append(told(shop, "paid"))
        return "pay_1"

    shop.send = send
    ending = shop.call()
    assert [(each.answer, each.status) for each in heard] == [("recorded", COMMITTED)]
    assert isinstance(ending, Committed)
    assert shop.kinds() == ["intent", "start", "resolution"]
    assert shop.live.audit().findings == ()


def test_a_message_that_comes_after_the_answer_is_put_on_record_beside_it(shop: Shop) -> None:
    begin(shop)
    shop.live.append(shop.live.outcome(COMMITTED))
    assert [told(shop, "paid").answer for _ in range(2)] == ["recorded", "known"]
    assert shop.kinds() == ["intent", "start", "outcome", "resolution"]


def test_a_late_message_about_what_was_settled_as_absent_is_a_contradiction(shop: Shop) -> None:
    lose(shop)
    shop.live.wait(SETTLE_MS)
    shop.live.put(shop.live.attestation(NOT_COMMITTED))
    heard = told(shop, "paid")
    assert (heard.answer, heard.status) == ("recorded", COMMITTED)
    assert heard.incident is not None
    assert heard.incident.startswith("contradiction")


def test_what_was_settled_as_absent_and_happened_is_a_contradiction_while_the_next_attempt_is_claimed(
    shop: Shop,
) -> None:
    begin(shop)
    shop.live.append(shop.live.outcome(NOT_COMMITTED))
    shop.live.put(shop.live.intent())
    heard = told(shop, "paid")
    assert (heard.status, str(heard.incident).partition(":")[0]) == (COMMITTED, "contradiction")


def test_what_happens_while_a_first_attempt_or_a_repeat_is_claimed_contradicts_nothing(shop: Shop) -> None:
    shop.live.put(shop.live.intent())
    first = told(shop, "paid")
    shop.live.put(shop.live.intent(by=shop.live.admin, again=True))
    assert (first.incident, told(shop, "paid", 2).incident) == (None, None)


def test_a_message_about_a_second_object_is_an_incident(shop: Shop) -> None:
    lose(shop)
    told(shop, "paid")
    second = told(shop, "paid", id="pay_2")
    assert second.answer == "recorded"
    assert second.incident is not None
    assert second.incident.startswith("duplicate")


def test_a_second_object_of_a_generation_that_nobody_decided_is_an_incident(shop: Shop) -> None:
    begin(shop)
    shop.live.put(shop.live.outcome(COMMITTED))
    shop.live.put(shop.live.present(generation=2, reference="pay_1"))
    assert shop.live.state().claim is None
    second = told(shop, "paid", 2, id="pay_2")
    assert second.answer == "recorded"
    assert second.incident is not None
    assert second.incident.startswith("duplicate")
    assert told(shop, "paid", 1, id="pay_0").answer == "recorded"


def test_a_negative_message_of_a_generation_that_nobody_decided_is_observed(shop: Shop) -> None:
    shop.live.put(shop.live.present(generation=1, reference="pay_1"))
    heard = told(shop, "failed")
    assert (heard.answer, heard.status) == ("recorded", COMMITTED)


def test_a_message_is_found_by_its_tag_without_a_search(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(shop)
    monkeypatch.setattr(type(shop.live.log), "effects", None)
    assert told(shop, "paid").answer == "recorded"


def test_a_message_names_the_generation_by_its_tag(shop: Shop) -> None:
    begin(shop)
    shop.live.append(shop.live.outcome(COMMITTED))
    repeat(shop)
    heard = told(shop, "paid", 2)
    assert (heard.answer, shop.live.state().committed_max) == ("recorded", 2)


def test_a_message_about_an_effect_that_only_a_presence_has_named_is_found_by_the_generation_that_it_named(
    shop: Shop,
) -> None:
    """Generations in between were never on this log, however many: they are not gone through."""
    last, effect = limits.INTEGER_MAX, shop.live.bound().effect
    shop.live.put(shop.live.present(generation=last))
    assert told(shop, "paid").effect_key is None
    named = told(shop, "paid", last)
    assert named.effect_key == digest.format_id("eff", effect)


# --- negative


def test_a_negative_message_settles_what_is_unknown(shop: Shop) -> None:
    lose(shop)
    heard = told(shop, "failed")
    assert (heard.answer, heard.status, on_record(shop)) == (
        "recorded",
        NOT_COMMITTED,
        [("absent", "webhook", "pay_1", "failed")],
    )
    assert told(shop, "failed").answer == "known"
    assert shop.live.audit().findings == ()


def test_a_negative_message_that_comes_before_the_answer_is_kept_and_settles_afterwards(shop: Shop) -> None:
    begin(shop)
    early = told(shop, "failed")
    assert (early.answer, early.status, on_record(shop)) == ("recorded", "started", [])
    assert told(shop, "failed").answer == "known"
    shop.live.append(shop.live.outcome(UNKNOWN))
    assert shop.reconcile().status == NOT_COMMITTED
    assert on_record(shop) == [("absent", "webhook", "pay_1", "failed")]


@pytest.mark.parametrize("when", ["on time", "kept from before"])
def test_a_negative_message_that_may_be_about_an_earlier_attempt_settles_no_later_one(shop: Shop, when: str) -> None:
    """Attempts of one generation share their tag. What is said of the first must not free the second (S2)."""
    live = shop.live
    begin(shop)
    if when == "kept from before":
        told(shop, "failed")
    live.append(live.outcome(NOT_COMMITTED, "never_sent"))
    lose(shop)
    if when == "on time":
        heard = told(shop, "failed")
        assert (heard.answer, heard.status) == ("recorded", UNKNOWN)
        assert "settles nothing now" in heard.note
    for look in shop.guard.reconcile():
        assert look.status == UNKNOWN
    observed = [e.event.data for e in live.log.entries() if isinstance(e.event.data, Observation)]
    assert [(data.presence, data.evidence.failure) for data in observed] == [(ABSENT, "failed")]
    assert told(shop, "failed").answer == "known"


@pytest.mark.parametrize("when", ["on time", "kept from before"])
def test_a_negative_message_about_an_earlier_generation_settles_no_later_one(shop: Shop, when: str) -> None:
    """A first attempt was declined, a second one made it, and the repeat of it is out: the decline comes late (S2)."""
    live = shop.live
    begin(shop)
    live.append(live.outcome(COMMITTED))
    if when == "kept from before":
        assert told(shop, "failed").answer == "recorded"
    repeat(shop)
    live.put(live.outcome(UNKNOWN))
    if when == "on time":
        assert "settles nothing now" in told(shop, "failed").note
    assert [look.status for look in shop.guard.reconcile()] == [UNKNOWN]
    assert told(shop, "failed", 2).status == NOT_COMMITTED
    assert live.audit().findings == ()


def test_a_negative_message_about_an_earlier_generation_that_was_heard_while_a_later_one_was_out_is_about_the_earlier(
    shop: Shop,
) -> None:
    begin(shop)
    shop.live.append(shop.live.outcome(COMMITTED))
    repeat(shop)
    told(shop, "failed")
    shop.live.put(shop.live.outcome(UNKNOWN))
    assert shop.reconcile().status == UNKNOWN


def test_a_negative_message_that_may_be_about_two_attempts_is_about_none_of_another_generation(shop: Shop) -> None:
    """Two attempts of the first generation carried its tag, and the repeat's START is the head as the message comes."""
    live = shop.live
    begin(shop)
    live.append(live.outcome(NOT_COMMITTED, "never_sent"))
    begin(shop)
    live.append(live.outcome(COMMITTED))
    repeat(shop)
    assert "settles nothing now" in told(shop, "failed").note
    live.put(live.outcome(UNKNOWN))
    assert shop.reconcile().status == UNKNOWN


@pytest.mark.parametrize("sworn", [False, True], ids=["unsworn", "sworn"])
def test_a_negative_message_settles_nothing_where_a_recovery_may_have_lost_the_attempt_that_it_is_about(
    shop: Shop, sworn: bool
) -> None:
    """The lost tail may hold another attempt under the tag, whose decline comes now: after a person has settled that
    one, the next was sent. Unless somebody swears that nothing was lost (S2).
    """
    live = shop.live
    recover(live, sworn=sworn)
    if not sworn:
        live.put(live.intent())
        live.wait(1)
        live.wait(SETTLE_MS)
        live.put(live.attestation(NOT_COMMITTED))
    lose(shop)
    heard = told(shop, "failed")
    assert (heard.answer, heard.status) == ("recorded", NOT_COMMITTED if sworn else UNKNOWN)
    assert [look.status for look in shop.guard.reconcile()] == [] if sworn else [UNKNOWN]
    assert told(shop, "failed").answer == "known"


def test_messages_that_name_no_object_are_told_apart_by_their_generation(shop: Shop) -> None:
    begin(shop)
    assert told(shop, "failed", id=None).answer == "recorded"
    shop.live.append(shop.live.outcome(COMMITTED))
    repeat(shop)
    heard = [told(shop, "failed", 2, id=None).answer for _ in range(2)]
    assert heard == ["recorded", "known"]
    shop.live.put(shop.live.outcome(UNKNOWN))
    assert shop.reconcile().status == NOT_COMMITTED


@pytest.mark.parametrize("settled", [False, True], ids=["observed", "settled"])
def test_a_negative_message_that_its_provider_wrote_anew_is_on_record_once(shop: Shop, settled: bool) -> None:
    """As many do for each delivery. Of another object, or of none, or of a send that may be another, it is another."""
    (lose if settled else begin)(shop)
    assert told(shop, "failed", sent_at=1).answer == "recorded"
    assert told(shop, "failed", sent_at=2).answer == "known"
    assert told(shop, "failed", sent_at=2, id="pay_2").answer == "recorded"
    assert [told(shop, "failed", sent_at=at, id=None).answer for at in (1, 1, 2)] == ["recorded", "known", "recorded"]
    if not settled:
        shop.live.append(shop.live.outcome(NOT_COMMITTED, "never_sent"))
    begin(shop)
    assert told(shop, "failed", sent_at=3).answer == "recorded"


def test_what_a_key_that_may_not_resolve_hears_or_says_stands_in_nobodys_way(shop: Shop) -> None:
    """Any key with a grant can put an observation on record; a reading counts by a reconciler's alone."""
    begin(shop)
    stranger = shop.live.grant(71, "agent", "executor")
    heard = Guard(shop.live.log, key=stranger).webhook(*sealed("failed", tag(shop)), verify)
    assert (heard.answer, heard.note.startswith("grant-missing")) == ("refused", True)
    body, _ = sealed("failed", tag(shop))
    kept: dict[str, Value] = {"attachment": shop.live.log.keep_attachment(body), "size": len(body)}
    said = Evidence(kind="webhook", reference="pay_1", failure="failed", attachment=kept)
    start = shop.live.state().send
    assert start is not None
    shop.live.put(shop.live.draw(Observation(about=start.id, presence=ABSENT, evidence=said), stranger))
    assert told(shop, "failed").answer == "recorded"
    shop.live.append(shop.live.outcome(UNKNOWN))
    assert shop.reconcile().status == NOT_COMMITTED


def test_a_negative_message_that_another_outran_is_on_record_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(shop)
    real = Case.absent

    def late(case: Case, evidence: Evidence, *, of: EffectState) -> Brought:
        shop.live.append(shop.live.outcome(COMMITTED))
        return real(case, evidence, of=of)

    monkeypatch.setattr(Case, "absent", late)
    heard = told(shop, "failed")
    assert (heard.answer, heard.status) == ("recorded", COMMITTED)
    observed = [e.event.data for e in shop.live.log.entries() if isinstance(e.event.data, Observation)]
    assert [data.evidence.failure for data in observed] == ["failed"]


def test_a_negative_message_takes_nothing_back(shop: Shop) -> None:
    lose(shop)
    told(shop, "paid")
    heard = told(shop, "failed")
    assert (heard.answer, heard.status) == ("recorded", COMMITTED)
    assert shop.live.audit().findings == ()


def test_silence_is_no_message(shop: Shop) -> None:
    lose(shop)
    shop.live.wait(1000 * SETTLE_MS)
    look = shop.reconcile()
    assert (look.probe, look.status) == (None, UNKNOWN)
    assert look.waiting is not None
    assert look.waiting.words == "a message that says paid or failed; or a person to attest: admin"


# --- not taken


Attack = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]


def _forged(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {"signature": base64.b64encode(bytes(32)).decode()}


def _altered(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body.replace(b"pay_1", b"pay_2"), headers


def _unsigned(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {}


@pytest.mark.parametrize("attack", [_forged, _altered, _unsigned], ids=["forged", "altered", "unsigned"])
def test_what_is_not_verified_appends_nothing_and_says_so(shop: Shop, attack: Attack) -> None:
    lose(shop)
    before = size(shop)
    body, headers = attack(*sealed("paid", tag(shop)))
    heard = shop.guard.webhook(body, headers, verify)
    assert (heard.answer, heard.http_status) == ("refused", 400)
    assert heard.note == "not verified: ForgedError: nothing was appended"
    assert (size(shop), list((shop.live.log.path / "attachments").iterdir())) == (before, [])


@pytest.mark.parametrize(
    ("event", "more", "answer"),
    [
        ("refunded", {}, "ignored"),
        ("paid", {"metadata": {}}, "ignored"),
        ("paid", {"metadata": {"tag": "00" * 32}}, "ignored"),
        ("paid", {"metadata": {"tag": "x"}}, "ignored"),
        ("paid", {"metadata": {"tag": "00" * 32, "effect": "eff_" + "00" * 32}}, "ignored"),
        ("paid", {"metadata": {"tag": "00" * 32, "effect": "x"}}, "ignored"),
        ("paid", {"key": "whsec_2"}, "refused"),
        ("paid", {"id": "x" * 513}, "refused"),
        ("paid", {"id": 5}, "refused"),
        ("paid", {"id": "\ud800"}, "refused"),
    ],
)
def test_what_does_not_concern_this_log_or_cannot_be_kept_appends_nothing(
    shop: Shop, event: str, more: dict[str, Any], answer: str
) -> None:
    lose(shop)
    before = size(shop)
    heard = told(shop, event, **more)
    assert (heard.answer, size(shop)) == (answer, before)


def test_a_verifier_that_returns_no_notice_has_verified_nothing(shop: Shop) -> None:
    lose(shop)
    heard = shop.guard.webhook(b"", {}, lambda body, headers: True)  # type: ignore[arg-type, return-value]
    assert (heard.answer, "want il.Notice" in heard.note) == ("refused", True)


def test_a_key_that_may_not_resolve_is_refused_by_the_log(shop: Shop) -> None:
    lose(shop)
    stranger = Guard(shop.live.log, key=FileSigner(bytes([77]) * 32))
    heard = stranger.webhook(*sealed("paid", tag(shop)), verify)
    assert (heard.answer, heard.status) == ("refused", UNKNOWN)
    assert heard.note.startswith("grant-missing")


def test_where_the_log_cannot_answer_the_provider_is_asked_to_come_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(shop)

    def full(*_: object) -> object:
        raise StoreFullError("store: no space")

    with monkeypatch.context() as patch:
        patch.setattr(shop.live.log._engine._store, "append", full)
        heard = told(shop, "paid")
        assert (heard.answer, heard.http_status) == ("unavailable", 503)
    assert told(shop, "paid").answer == "recorded"


@pytest.mark.parametrize("error", [KeyInvalidError("agent: locked"), KeyLockedError("agent: locked")])
def test_a_message_is_asked_for_again_where_our_own_key_cannot_sign_now(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    lose(shop)

    def locked(*_: object) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FileSigner, "sign", locked)
        assert told(shop, "paid").http_status == 503
    assert told(shop, "paid").answer == "recorded"


def test_a_later_version_of_the_contract_may_take_more_messages_as_presence_and_none_more_as_absence(
    shop: Shop,
) -> None:
    lose(shop)
    wider = {**PROMISE["webhook"], "positive": ["paid", "settled"], "negative": ["expired", "failed"]}
    shop.live.register(version=3, **{**PROMISE, "webhook": wider})
    assert told(shop, "expired").answer == "ignored"
    assert told(shop, "settled").answer == "recorded"
    assert shop.live.audit().findings == ()


def test_a_later_version_of_the_contract_may_take_another_key_for_presence_and_the_earlier_one_counts_still(
    shop: Shop,
) -> None:
    """A message that was signed before the key was rotated may come after, and what is unknown has not moved."""
    lose(shop)
    rotated = {**PROMISE["webhook"], "key_id": "whsec_2", "positive": ["paid", "settled"]}
    shop.live.register(version=3, **{**PROMISE, "webhook": rotated})
    assert told(shop, "paid", key="whsec_3").note == "verified with key 'whsec_3', and the contract wants 'whsec_2'"
    assert told(shop, "settled", key="whsec_1").answer == "refused"
    assert told(shop, "failed", key="whsec_2").answer == "refused"
    assert [told(shop, "paid", key=key).answer for key in ("whsec_2", "whsec_1")] == ["recorded", "known"]
    assert shop.live.audit().findings == ()


def test_a_contract_without_messages_hears_none(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        lose(shop)
        assert told(shop, "paid").answer == "ignored"


def test_every_answer_has_its_http_status() -> None:
    assert {answer: Heard(answer=answer, note="").http_status for answer in HTTP_STATUSES} == {
        "recorded": 200,
        "known": 200,
        "ignored": 202,
        "refused": 400,
        "unavailable": 503,
    }


def test_a_message_about_a_class_that_is_retired_is_taken_under_the_key_that_is_in_force(shop: Shop) -> None:
    """[EFF-15]: of an effect under the retired class the new contract says nothing; its webhook is the one there is."""
    lose(shop)
    named = tag(shop)
    retires: dict[str, Value] = {
        "effect_class": "money.charge/1",
        "resource": "stripe/customer/{customer}",
        "purpose": "order",
        "identity": ["customer"],
    }
    rotated = {**PROMISE["webhook"], "key_id": "whsec_2"}
    shop.live.register(version=3, effect_class="money.charge/2", retires=retires, **{**PROMISE, "webhook": rotated})
    heard = shop.guard.webhook(*sealed("paid", named, key="whsec_2"), verify)
    assert (heard.answer, heard.status) == ("recorded", COMMITTED)
    assert shop.live.audit().findings == ()


def test_another_tool_of_the_same_name_takes_no_message_about_this_ones_effects(shop: Shop) -> None:
    lose(shop)
    named = tag(shop)
    rotated = {**PROMISE["webhook"], "key_id": "whsec_2"}
    shop.live.register(version=3, effect_class="sms.send/1", **{**PROMISE, "webhook": rotated})
    assert shop.guard.webhook(*sealed("paid", named, key="whsec_2"), verify).answer == "refused"
    assert shop.guard.webhook(*sealed("paid", named, key="whsec_1"), verify).answer == "recorded"
