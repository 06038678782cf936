"""The provider: what it counts, what it does not know, and that nothing of it stays."""

import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from invoke_log.surfaces.demo.processes import Child
from invoke_log.surfaces.demo.stage import PROVIDER
from tests.harness.world import World, require_tools

TAG, OTHER_TAG = "5e" * 32, "a1" * 32
DECLINED = "pm_card_chargeCustomerFail"


def test_each_charge_is_listed_once_with_its_order_and_tag(world: World) -> None:
    for order_id, tag in (("1", TAG), ("2", OTHER_TAG)):
        world.charge(order_id, tag=tag)
    assert [(charge.order_id, charge.tag, charge.currency) for charge in world.charges()] == [
        ("1", TAG, "usd"),
        ("2", OTHER_TAG, "usd"),
    ]


def test_the_same_idempotency_key_twice_makes_two_charges_here(world: World) -> None:
    """Stripe would answer the first one again; whatever blocks a repeat in these tests is not the provider."""
    made = {world.charge(key="one-key").payment_intent for _ in range(2)}
    assert len(made) == len(world.charges()) == 2


def test_a_declined_charge_leaves_its_tag_and_moves_no_money(world: World) -> None:
    answer = world.charge(tag=TAG, card=DECLINED)
    assert answer.raised == "DefiniteFailure"
    assert world.charges() == []
    assert world.find(TAG) == []


def test_a_tag_is_found_whatever_page_it_is_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke_log.surfaces.demo.account.PAGE_OBJECTS", 2)
    monkeypatch.setattr("invoke_log.adapter.stripe.PAGE_OBJECTS", 2)
    tags = [OTHER_TAG, OTHER_TAG, OTHER_TAG, OTHER_TAG, TAG]
    made = [world.charge(str(number), tag=tag).payment_intent for number, tag in enumerate(tags)]
    assert world.find(TAG) == [made[4]]
    assert len(world.charges()) == len(world.find(OTHER_TAG)) + 1 == 5
    assert world.find("00" * 32) == []


def test_a_list_without_an_end_is_an_error_and_no_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke_log.adapter.stripe.OBJECTS_MAX", 1)
    world.charge(tag=TAG)
    assert len(world.find(TAG)) == 1
    world.charge(tag=TAG)
    with pytest.raises(Exception, match="more than 1 objects"):
        world.find(TAG)


def test_it_writes_nothing_to_disk(world: World) -> None:
    pickled = Path("/tmp") / "localstripe.pickle"  # the one place it knows
    before = pickled.stat().st_mtime_ns if pickled.exists() else None
    world.charge()
    assert (pickled.stat().st_mtime_ns if pickled.exists() else None) == before


def test_it_listens_on_loopback_alone(world: World) -> None:
    port = urlsplit(world.stage.provider_url).port
    # 127.0.0.2 is this machine too: whoever binds every interface answers there.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2).close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(signum: signal.Signals) -> None:
    require_tools()
    with Child(PROVIDER) as provider:
        provider.ready_ports()
        provider.send(signum)
        # The end of its output with exit code 0, or ChildError.
        assert provider.next_line(timeout_s=5) is None
