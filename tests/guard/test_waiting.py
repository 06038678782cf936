"""What is left for people: what each open effect waits for, until when, and who has to act. [EFF-6], [TIME-4], L1"""

from pathlib import Path

import pytest

from invoke_log.format.cbor import Value
from invoke_log.guard.waiting import Waiting
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN
from tests.harness.live import D_MS, Q_MS, T0, TTL_MS
from tests.harness.player import recover
from tests.harness.shop import Shop, open_shop

SETTLED_MS = T0 + 1 + D_MS + Q_MS
MESSAGES: dict[str, Value] = {"scheme": "x", "key_id": "whsec_1", "positive": ["paid"], "negative": ["failed"]}
MUTE: dict[str, Value] = {"observability": "fire-and-forget", "read_back": None}


def only(shop: Shop) -> Waiting:
    [one] = shop.guard.waiting()
    return one


def told(one: Waiting) -> tuple[str, str, int | None, str]:
    return one.status, one.next, one.until, one.words


def lose(shop: Shop) -> None:
    shop.live.append(shop.live.begun())
    shop.live.append(shop.live.outcome(UNKNOWN))
    shop.live.wait(1)


def test_each_status_says_what_it_waits_for_and_until_when(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS) as shop:
        live = shop.live
        intent = live.intent()
        live.append(intent)
        assert only(shop).until is None  # no tick has come since: nothing has passed
        live.wait(1)
        claimed = "its START, an approval or its release; after its time anyone may release it"
        assert told(only(shop)) == ("claimed", "wait", T0 + 1 + TTL_MS, claimed)
        live.put(live.start(intent))
        live.wait(1)
        started = "its outcome; after its send deadline it is unknown"
        assert told(only(shop)) == ("started", "poll", T0 + 2 + D_MS, started)
        live.put(live.outcome(UNKNOWN))
        unknown = "a sighting, or a reading without it by a reconciler that has watched it for D + Q itself"
        assert told(only(shop)) == (UNKNOWN, "reconcile", T0 + 2 + D_MS + Q_MS, unknown)
        live.put(live.present())
        assert shop.guard.waiting() == []


def test_what_nobody_can_observe_waits_for_a_person_who_neither_asked_nor_sent(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, **MUTE) as shop:
        shop.open(read_back=None)
        lose(shop)
        assert told(only(shop)) == (UNKNOWN, "attest", SETTLED_MS, "a person to attest: admin")
        shop.live.put(shop.live.tick(D_MS + Q_MS))
        shop.live.put(shop.live.attestation(COMMITTED))
        assert shop.guard.waiting() == []


def test_an_attestor_who_sent_it_is_not_asked(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, **MUTE) as shop:
        both = shop.live.grant(9, "agent", "executor", "attestor")
        shop.open(read_back=None)
        begun = shop.live.begun(by=both)
        shop.live.append(begun)
        shop.live.append(shop.live.tick(1))
        shop.live.put(shop.live.tick(D_MS), shop.live.suspect())
        assert only(shop).words == "a person to attest: admin"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"read_back": {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}},
            "a sighting; or a person to attest: admin",
        ),
        (
            {"read_back": {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}, "void": "cancel"},
            "a sighting; or a person to attest: admin",
        ),
        (
            {"read_back": {"operation": "list", "tag": "x", "complete": False, "lag_ms": 0}, "void": "cancel"}
            | {"provider_key": None},
            "a sighting, a void; or a person to attest: admin",
        ),
        ({"reconcilers": 3}, "a sighting, or 3 readings without it (0 so far)"),
    ],
    ids=["proves presence only", "gives nothing up under a key", "gives up", "three of them"],
)
def test_the_contract_says_what_can_settle_it(tmp_path: Path, changes: dict[str, Value], words: str) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS, **changes) as shop:
        lose(shop)
        assert (only(shop).next, only(shop).words) == ("reconcile", words)


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        (
            {"read_back": None, "observability": "webhook-confirmable", "webhook": MESSAGES},
            "a message that says paid or failed; or a person to attest: admin",
            "a message that says paid; or a person to attest: admin",
        ),
        (
            {"observability": "transactional", "handle": "xid"},
            "a sighting, or a reading without it by a reconciler that has watched it for D + Q itself",
            "a sighting; or a person to attest: admin",
        ),
    ],
    ids=["messages", "handles"],
)
def test_after_a_recovery_nothing_is_waited_for_that_settles_no_more(
    tmp_path: Path, changes: dict[str, Value], before: str, after: str
) -> None:
    """[REC-6], [CALL-7]: what an attempt of the lost tail may have left is not taken for this one's."""
    with open_shop(tmp_path, send_deadline_ms=D_MS, **changes) as shop:
        lose(shop)
        assert only(shop).words == before
        recover(shop.live)
        assert only(shop).words == after


def test_a_negative_message_is_not_waited_for_where_it_may_be_about_an_earlier_attempt(tmp_path: Path) -> None:
    contract: dict[str, Value] = {"read_back": None, "observability": "webhook-confirmable", "webhook": MESSAGES}
    with open_shop(tmp_path, send_deadline_ms=D_MS, **contract) as shop:
        shop.live.append(shop.live.begun())
        shop.live.append(shop.live.outcome(NOT_COMMITTED))
        lose(shop)
        assert only(shop).words == "a message that says paid; or a person to attest: admin"


def test_an_effect_of_another_program_is_named_with_what_it_needs(tmp_path: Path) -> None:
    with open_shop(tmp_path, send_deadline_ms=D_MS) as shop:
        shop.guard._tools.clear()
        lose(shop)
        assert only(shop).words == "a reconciler that has a tool with contract 'charge'; or a person to attest: admin"
