"""What the provider has, compared with the log: nothing that is there stays unseen. [PRF-1], S3, S15"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.sweep import FOREIGN, FOUND, UNCLEAR, UNTAGGED, Swept
from invoke_log.log.signer import FileSigner
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Resolution
from tests.harness.live import D_MS, Q_MS
from tests.harness.shop import Shop, open_shop

Objects = list[tuple[str, str | None]]


@pytest.fixture
def there() -> Objects:
    """What the provider has."""
    return []


@pytest.fixture
def shop(tmp_path: Path, there: Objects) -> Iterator[Shop]:
    with open_shop(tmp_path, send_deadline_ms=D_MS) as opened:
        opened.open(sweep=lambda: there)
        yield opened


def tag(shop: Shop, generation: int = 1) -> str:
    return digest.tag(shop.live.bound().effect, generation).hex()


def begin(shop: Shop, outcome: str | None) -> None:
    shop.live.append(shop.live.begun())
    if outcome is not None:
        shop.live.append(shop.live.outcome(outcome))
    shop.live.wait(1)


def size(shop: Shop) -> int:
    with shop.live.log.world() as world:
        return int(world.reader.size)


def found(swept: list[Swept]) -> list[tuple[str, str | None]]:
    return [(one.finding, one.reference) for one in swept]


def test_what_no_log_has_asked_for_is_listed_and_appends_nothing(shop: Shop, there: Objects) -> None:
    begin(shop, COMMITTED)
    there += [("pi_a", None), ("pi_b", "00" * 32), ("pi_c", "order 5"), ("pi_d", ""), ("pi_1", tag(shop))]
    before = size(shop)
    assert found(shop.guard.sweep()) == [
        (UNTAGGED, "pi_a"),
        (FOREIGN, "pi_b"),
        (FOREIGN, "pi_c"),
        (UNTAGGED, "pi_d"),
    ]
    assert size(shop) == before


@pytest.mark.parametrize("outcome", [UNKNOWN, NOT_COMMITTED, None], ids=["unknown", "not committed", "still out"])
def test_what_carries_our_tag_and_is_not_committed_is_put_on_record(
    shop: Shop, there: Objects, outcome: str | None
) -> None:
    begin(shop, outcome)
    there.append(("pi_1", tag(shop)))
    [one] = shop.guard.sweep()
    assert (one.finding, one.reference, one.tag, one.effect_key) == (
        FOUND,
        "pi_1",
        tag(shop),
        digest.format_id("eff", shop.live.bound().effect),
    )
    assert shop.status == COMMITTED
    assert (one.incident is not None) == (outcome == NOT_COMMITTED)
    assert shop.guard.sweep() == []


def test_an_object_of_a_later_generation_is_that_generations(shop: Shop, there: Objects) -> None:
    begin(shop, COMMITTED)
    intent = shop.live.intent(by=shop.live.admin, again=True)
    shop.live.put(intent, shop.live.start(intent))
    there += [("pi_1", tag(shop)), ("pi_2", tag(shop, 2))]
    assert found(shop.guard.sweep()) == [(FOUND, "pi_2")]
    assert (shop.live.state().committed_max, shop.live.audit().findings) == (2, ())


@pytest.mark.parametrize("outcome", [COMMITTED, UNKNOWN])
def test_a_second_object_under_one_tag_is_an_incident(shop: Shop, there: Objects, outcome: str) -> None:
    begin(shop, outcome)
    there += [("pi_1", tag(shop)), ("pi_2", tag(shop))]
    [one] = shop.guard.sweep()
    assert one.incident is not None
    assert one.incident.startswith("duplicate: 2 objects under one tag (pi_1, pi_2)")
    references = [event.data.evidence.reference for event in shop.chain() if isinstance(event.data, Resolution)]
    assert references == ["pi_1", "pi_2"]
    assert shop.guard.sweep() == []


def test_a_second_object_of_an_earlier_generation_of_a_class_that_is_retired_is_an_incident(
    shop: Shop, there: Objects
) -> None:
    """The tool's contract is of the class that retires it, under which the effect has another key [S15]."""
    begin(shop, COMMITTED)
    intent, first = shop.live.intent(by=shop.live.admin, again=True), tag(shop)
    shop.live.put(intent, shop.live.start(intent))
    retires: dict[str, Value] = {
        "effect_class": "money.charge/1",
        "resource": "stripe/customer/{customer}",
        "purpose": "order",
        "identity": ["customer"],
    }
    shop.live.register(version=3, send_deadline_ms=D_MS, effect_class="money.charge/2", retires=retires)
    shop.open(sweep=lambda: there)
    there += [("pi_1", first), ("pi_2", first)]
    [one] = shop.guard.sweep()
    assert (one.finding, str(one.incident).partition(":")[0]) == (FOUND, "duplicate")
    assert shop.guard.sweep() == []


def test_another_object_than_the_one_on_record_is_an_incident(shop: Shop, there: Objects) -> None:
    begin(shop, UNKNOWN)
    shop.live.put(shop.live.present(reference="pi_1"))
    there.append(("pi_2", tag(shop)))
    [one] = shop.guard.sweep()
    assert one.incident is not None


def test_a_listing_that_breaks_off_says_so_and_what_it_had_counts(shop: Shop) -> None:
    begin(shop, UNKNOWN)

    def broken() -> Iterable[tuple[str, str | None]]:
        yield "pi_1", tag(shop)
        yield "pi_2", None
        raise ConnectionError("reset")

    shop.open(sweep=broken)
    assert found(shop.guard.sweep()) == [(FOUND, "pi_1"), (UNTAGGED, "pi_2"), (UNCLEAR, None)]
    assert shop.status == COMMITTED


@pytest.mark.parametrize("listed", [[("", None)], [(5, None)], ["pi_1"], [("x" * 513, None)], None], ids=range(5))
def test_what_is_no_listing_says_so(shop: Shop, listed: object) -> None:
    shop.open(sweep=lambda: listed)
    [one] = shop.guard.sweep()
    assert (one.finding, one.reference) == (UNCLEAR, None)


def test_what_the_log_does_not_take_is_not_passed_over(shop: Shop, there: Objects) -> None:
    begin(shop, UNKNOWN)
    there.append(("pi_1", tag(shop)))
    stranger = Guard(shop.live.log, key=FileSigner(bytes([77]) * 32))
    shop.open(stranger, sweep=lambda: there)
    [one] = stranger.sweep()
    assert (one.finding, one.note.split(":")[0]) == (UNCLEAR, "grant-missing")


def test_a_late_object_after_an_absence_is_a_contradiction(shop: Shop, there: Objects) -> None:
    begin(shop, UNKNOWN)
    shop.begin_to_watch()
    shop.live.wait(D_MS + Q_MS)
    assert shop.reconcile().status == NOT_COMMITTED
    there.append(("pi_late", tag(shop)))
    [one] = shop.guard.sweep()
    assert one.incident is not None
    assert one.incident.startswith("contradiction")


def test_without_a_sweep_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_shop(tmp_path) as shop:
        monkeypatch.setattr(type(shop.live.log), "effects", None)
        assert shop.guard.sweep() == []


@pytest.mark.parametrize("odd", [("pi_x", ["a"]), ("pi_x", {"a": 1}), ("pi_x", 5), (5, None), "pi_x", None, ("", None)])
def test_an_odd_object_hides_none_behind_it(shop: Shop, odd: Any) -> None:
    """Others write metadata too, and not as text alone."""
    begin(shop, UNKNOWN)
    shop.open(sweep=lambda: [odd, ("pi_1", tag(shop))])
    swept = shop.guard.sweep()
    assert (FOUND, "pi_1") in found(swept)
    assert [one.finding for one in swept if one.reference != "pi_1"] in ([FOREIGN], [UNCLEAR])
    assert shop.status == COMMITTED


class GreenTimeout(BaseException):
    """As libraries of light threads raise."""


@pytest.mark.parametrize(("error", "ends"), [(GreenTimeout, False), (KeyboardInterrupt, True)])
def test_what_is_no_exception_of_a_listing_ends_no_sweep_but_an_interrupt_does(
    shop: Shop, error: type[BaseException], ends: bool
) -> None:
    begin(shop, UNKNOWN)

    def broken() -> Iterable[tuple[str, str | None]]:
        yield "pi_1", tag(shop)
        raise error

    shop.open(sweep=broken)
    with pytest.raises(error) if ends else nullcontext():
        assert found(shop.guard.sweep()) == [(FOUND, "pi_1"), (UNCLEAR, None)]
