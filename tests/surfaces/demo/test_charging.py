"""The tool says "it did not happen" only where that is proved, and finds a charge only where money has moved."""

from functools import partial
from types import ModuleType

import pytest

import invoke_log as il
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.harness.world import World, require_tools

TAG = "5e" * 32


@pytest.fixture
def charging() -> ModuleType:
    require_tools()
    from invoke_log.surfaces.demo import charging

    return charging


def send(charging: ModuleType, world: World, *, url: str | None = None) -> str:
    from invoke_log.surfaces.demo.account import Order, connect

    call = il.Call(effect_key="eff_", resource="r", generation=1, provider_key="k", tag=TAG, timeout_s=3)
    order = Order(order_id="789", customer=world.customer, amount=5000)
    return str(charging.send_charge(connect(url or world.stage.proxy_url), order, call))


def test_the_contract_lists_the_failures_that_the_ready_one_lists(charging: ModuleType) -> None:
    ready = il.Contract.ready("stripe-payment-intent", realm={"account": "acct_1", "mode": "test"})
    assert il.Contract.load(charging.CONTRACT_FILE).definite_failures == ready.definite_failures


def test_the_contract_leans_on_no_key_that_the_provider_ignores(charging: ModuleType) -> None:
    assert not il.Contract.load(charging.CONTRACT_FILE).keyed


def test_a_charge_is_found_under_its_tag(charging: ModuleType, world: World) -> None:
    made = send(charging, world)
    assert charging.Provider(world.stage.provider_url).charges_under(TAG) == [made]


def test_no_connection_is_raised_as_never_sent(charging: ModuleType, world: World) -> None:
    with pytest.raises(il.NeverSent):
        send(charging, world, url="http://127.0.0.1:1")


def test_a_listed_answer_is_raised_as_a_definite_failure(
    charging: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invoke_log.surfaces.demo.account import charge

    monkeypatch.setattr(charging, "charge", partial(charge, payment_method="pm_card_chargeCustomerFail"))
    with pytest.raises(il.DefiniteFailure) as caught:
        send(charging, world)
    assert caught.value.failure == "card_declined"


@pytest.mark.parametrize("behaviour", [Behaviour.DROP_RESPONSE, Behaviour.DROP_REQUEST, Behaviour.UNAVAILABLE])
def test_whatever_proves_nothing_is_raised_as_it_is(charging: ModuleType, world: World, behaviour: Behaviour) -> None:
    import stripe

    world.expect(Rule(behaviour=behaviour))
    with pytest.raises(stripe.StripeError):
        send(charging, world)


def test_a_declined_charge_is_no_charge(charging: ModuleType, world: World) -> None:
    world.charge(tag=TAG, card="pm_card_chargeCustomerFail")
    assert charging.Provider(world.stage.provider_url).charges_under(TAG) == []


def test_absence_is_read_anew_each_time_and_a_sighting_stays(charging: ModuleType, world: World) -> None:
    from tests.harness.world import emptied

    provider = charging.Provider(world.stage.provider_url)
    assert provider.charges_under(TAG) == []
    made = send(charging, world)
    assert provider.charges_under(TAG) == [made]
    seen = charging.Provider(world.stage.provider_url)
    assert seen.charges_under(TAG) == [made]
    emptied(world.stage)
    assert (seen.charges_under(TAG), provider.charges_under(TAG)) == ([made], [])
