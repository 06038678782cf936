"""Stripe, queryable: payment intents and refunds at a real server, with the official client. [PRF-1] to [PRF-3], S1,
S2, S3
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe
from requests.adapters import HTTPAdapter

from invoke_log.adapter import stripe as adapter
from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.guard.outcome import Blocked, Committed, NotCommitted, OutcomeUnknown
from invoke_log.guard.reconcile import NONE, ONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Start
from invoke_log.surfaces.demo.processes import Child
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.counterparties.desk import Desk
from tests.counterparties.postgres_server import free_port
from tests.counterparties.wire import landed, patience_s, treated
from tests.harness.world import World

REALM = {"account": "acct_1", "mode": "test"}
KEY = "sk_test_x12345"


def session(*, redirects: int = 0, retries: int = 0) -> requests.Session:
    made = requests.Session()
    made.trust_env = False  # no proxy of this machine between us and loopback
    made.max_redirects = redirects
    made.mount("http://", HTTPAdapter(max_retries=retries))
    return made


def client(url: str, *, timeout_s: float = 5) -> stripe.StripeClient:
    sender = stripe.RequestsClient(timeout=timeout_s, session=session())
    made = stripe.StripeClient(KEY, base_addresses={"api": url}, max_network_retries=0, http_client=sender)
    return adapter.once(made)


@dataclass
class Till:
    """Charges and refunds of one customer, through the proxy; read back past it."""

    desk: Desk
    world: World
    sender: stripe.StripeClient
    reader: stripe.StripeClient
    paid: str
    card: str = "pm_card_visa"
    confirm: bool = True

    def charge(self, order: str = "789") -> Any:
        return self.desk.call("charge_customer", customer=self.world.customer, order=order, amount=5000, currency="usd")

    def refund(self, claim: str = "c1") -> Any:
        return self.desk.call("refund_payment", payment_intent=self.paid, claim=claim, amount=100)

    def ledger(self, what: str) -> list[str]:
        """What the provider itself has, by our purpose; all of it, whoever made it."""
        if what == "refund":
            listed: Any = self.reader.v1.refunds.list({"payment_intent": self.paid}).auto_paging_iter()
        else:
            listed = self.reader.v1.payment_intents.list({"limit": 100}).auto_paging_iter()
        return sorted(
            one.metadata.to_dict()["purpose"]
            for one in listed
            if one.status == "succeeded" and one.id != self.paid and "purpose" in one.metadata.to_dict()
        )

    def requests(self, path: str) -> int:
        return sum(post.path == path for post in self.world.proxy.report().posts)


@pytest.fixture
def till(desk: Desk, world: World) -> Till:
    charging, refunding = (desk.ready(f"stripe-{name}", REALM) for name in ("payment-intent", "refund"))
    direct = client(world.stage.provider_url)
    paid = direct.v1.payment_intents.create(charge_params(world.customer, "before", 9000, "", "pm_card_visa"))
    opened = Till(desk, world, client(world.stage.proxy_url), direct, paid.id)

    @desk.guard.tool(
        charging,
        read_back=lambda call: adapter.payment_intents_under(direct, call.tag),
        void=lambda call: adapter.cancel_payment_intents_under(direct, call.tag),
    )
    def charge_customer(customer: str, order: str, amount: int, currency: str, *, invoke: Call) -> str:
        with adapter.proofs():
            params = charge_params(customer, order, amount, invoke.tag, opened.card, confirm=opened.confirm)
            made = opened.sender.v1.payment_intents.create(params, {"idempotency_key": invoke.provider_key})
            return adapter.done(made)

    def find_refund(call: Call) -> list[str]:
        return adapter.refunds_under(direct, call.tag, payment_intent=str(call.identity["payment_intent"]))

    @desk.guard.tool(refunding, read_back=find_refund)
    def refund_payment(payment_intent: str, claim: str, amount: int, *, invoke: Call) -> str:
        with adapter.proofs():
            made = opened.sender.v1.refunds.create(
                {
                    "payment_intent": payment_intent,
                    "amount": amount,
                    "metadata": {adapter.TAG_FIELD: invoke.tag, "purpose": claim},
                },
                {"idempotency_key": invoke.provider_key},
            )
            return adapter.done(made)

    return opened


def charge_params(customer: str, order: str, amount: int, tag: str, card: str, *, confirm: bool = True) -> Any:
    return {
        "amount": amount,
        "currency": "usd",
        "customer": customer,
        "metadata": {adapter.TAG_FIELD: tag, "purpose": order},
        "payment_method": card,
        **({"confirm": True, "off_session": True} if confirm else {}),
    }


@dataclass(frozen=True)
class Effect:
    """One of the two effects: how it is caused, where it is sent, and its purpose."""

    name: str
    path: str
    purpose: str

    def cause(self, till: Till) -> Any:
        return till.charge() if self.name == "charge" else till.refund()


CHARGE = Effect("charge", "/v1/payment_intents", "789")
REFUND = Effect("refund", "/v1/refunds", "c1")
both = pytest.mark.parametrize("effect", [CHARGE, REFUND], ids=lambda one: one.name)


@both
def test_what_is_answered_is_committed_by_one_request(till: Till, effect: Effect) -> None:
    assert isinstance(effect.cause(till), Committed)
    assert isinstance(effect.cause(till), Committed)  # the recorded result; nothing is sent
    assert (till.requests(effect.path), till.ledger(effect.name)) == (1, [effect.purpose])
    assert till.desk.statuses() == {effect.purpose: COMMITTED}


@both
@pytest.mark.parametrize(
    "behaviour", [Behaviour.DROP_RESPONSE, Behaviour.UNAVAILABLE, Behaviour.HANG, Behaviour.SLOW], ids=str
)
def test_what_landed_without_its_answer_is_unknown_blocked_and_then_found(
    till: Till, effect: Effect, behaviour: Behaviour
) -> None:
    till.world.expect(treated(behaviour, effect.path))
    till.sender = client(till.world.stage.proxy_url, timeout_s=patience_s(behaviour))
    assert isinstance(effect.cause(till), OutcomeUnknown)
    assert isinstance(effect.cause(till), Blocked)
    landed(partial(till.ledger, effect.name))
    look = till.desk.look()
    assert (look.probe, look.status) == (ONE, COMMITTED)
    assert (till.requests(effect.path), till.ledger(effect.name)) == (1, [effect.purpose])
    assert till.desk.statuses() == {effect.purpose: COMMITTED}
    assert till.desk.kinds()[-1] == "tag_seen"


@both
def test_what_never_arrived_is_unknown_until_it_can_no_longer_appear(till: Till, effect: Effect) -> None:
    till.world.expect(Rule(behaviour=Behaviour.DROP_REQUEST, path=effect.path))
    assert isinstance(effect.cause(till), OutcomeUnknown)
    look = till.desk.look()
    assert (look.probe, look.status) == (NONE, UNKNOWN)
    contract = next(iter(till.desk.log.governance.contracts.values()))
    till.desk.later(contract)
    assert till.desk.look().status == NOT_COMMITTED
    assert (till.ledger(effect.name), till.desk.statuses()) == ([], {effect.purpose: NOT_COMMITTED})
    assert isinstance(effect.cause(till), Committed)
    assert (till.requests(effect.path), till.ledger(effect.name)) == (2, [effect.purpose])


def test_what_is_still_on_its_way_is_not_taken_for_absent(till: Till) -> None:
    till.world.expect(Rule(behaviour=Behaviour.HANG, delay_ms=1500))
    till.sender = client(till.world.stage.proxy_url, timeout_s=0.3)
    assert isinstance(till.charge(), OutcomeUnknown)
    assert (till.desk.look().probe, till.ledger("charge")) == (NONE, [])
    till.world.charges_by(10, count=2)
    look = till.desk.look()
    assert (look.probe, look.status, till.ledger("charge")) == (ONE, COMMITTED, ["789"])


def test_a_request_that_a_proxy_doubled_is_two_objects_under_one_tag(till: Till) -> None:
    till.world.expect(Rule(behaviour=Behaviour.DUPLICATE))
    assert isinstance(till.charge(), Committed)
    assert (till.requests(CHARGE.path), till.ledger("charge")) == (1, ["789", "789"])
    tags = {one.metadata.to_dict()["invoke"] for one in till.reader.v1.payment_intents.list().data} - {""}
    [tag] = tags
    assert len(adapter.payment_intents_under(till.reader, tag)) == 2


@both
def test_a_provider_that_cannot_be_reached_was_sent_nothing(till: Till, effect: Effect) -> None:
    till.sender = client(f"http://127.0.0.1:{free_port()}")
    assert isinstance(effect.cause(till), NotCommitted)
    assert (till.requests(effect.path), till.desk.kinds()) == (0, ["never_sent"])
    assert till.desk.statuses() == {effect.purpose: NOT_COMMITTED}


def test_a_decline_is_proof_and_a_new_decision_has_a_new_key(till: Till) -> None:
    till.card = "pm_card_chargeCustomerFail"
    assert isinstance(till.charge(), NotCommitted)
    assert till.desk.kinds() == ["stored_failure"]
    till.card = "pm_card_visa"
    assert isinstance(till.charge(), Committed)
    keys = [post.idempotency_key for post in till.world.proxy.report().posts]
    assert len(set(keys)) == len(keys) == 2
    assert (till.ledger("charge"), till.desk.statuses()) == (["789"], {"789": COMMITTED})


def test_an_answer_without_the_money_is_no_commitment(till: Till) -> None:
    till.confirm = False
    ending = till.charge()
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, ReadUnclearError)
    assert (till.desk.look().probe, till.desk.statuses()) == (UNCLEAR, {"789": UNKNOWN})


def test_a_refusal_without_a_code_is_unknown(till: Till) -> None:
    till.paid = "pi_" + "0" * 24
    ending = till.refund()
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, stripe.InvalidRequestError)
    assert till.desk.kinds() == ["no_answer"]


def test_a_read_back_that_gets_no_answer_settles_nothing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.world.expect(Rule(behaviour=Behaviour.DROP_REQUEST))
    till.charge()
    till.desk.later(till.desk.ready("stripe-payment-intent", REALM))
    monkeypatch.setattr(adapter, "OBJECTS_MAX", 0)
    look = till.desk.look()
    assert (look.probe, look.status) == (UNCLEAR, UNKNOWN)


def test_an_object_that_may_still_come_true_is_unclear(till: Till) -> None:
    waiting = till.reader.v1.payment_intents.create(
        {
            "amount": 5000,
            "currency": "usd",
            "customer": till.world.customer,
            "metadata": {"invoke": "t1"},
            "payment_method": "pm_card_visa",
        }
    )
    assert waiting.status == "requires_confirmation"
    with pytest.raises(ReadUnclearError, match="requires_confirmation"):
        adapter.payment_intents_under(till.reader, "t1")
    till.reader.v1.payment_intents.cancel(waiting.id)
    assert adapter.payment_intents_under(till.reader, "t1") == []


def test_an_intent_that_is_pending_is_canceled_and_then_paid_once(till: Till) -> None:
    till.confirm = False
    assert isinstance(till.charge(), OutcomeUnknown)
    assert till.desk.look().probe == UNCLEAR
    till.desk.later(next(iter(till.desk.log.governance.contracts.values())))
    assert till.desk.look().status == NOT_COMMITTED
    assert till.desk.kinds()[-2:] == ["void", "key_burnt"]  # it asked, and found nothing there any more
    till.confirm = True
    assert isinstance(till.charge(), Committed)
    assert (till.ledger("charge"), till.desk.statuses()) == (["789"], {"789": COMMITTED})
    starts = [entry.event.data for entry in till.desk.log.entries() if isinstance(entry.event.data, Start)]
    assert len({start.provider_key for start in starts}) == 2  # the first one can only answer with what is canceled


def test_an_intent_that_was_paid_meanwhile_is_not_given_up(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.confirm = False
    assert isinstance(till.charge(), OutcomeUnknown)
    till.desk.later(next(iter(till.desk.log.governance.contracts.values())))
    [intent] = [one for one in till.reader.v1.payment_intents.list() if one.status == "requires_confirmation"]
    listed = till.reader.v1.payment_intents.list

    def pays_then_lists(params: Any) -> Any:
        found = listed(params)
        till.reader.v1.payment_intents.confirm(intent.id)
        return found

    monkeypatch.setattr(till.reader.v1.payment_intents, "list", pays_then_lists)
    assert till.desk.look().status == UNKNOWN
    monkeypatch.undo()
    assert till.desk.look().status == COMMITTED
    assert adapter.cancel_payment_intents_under(till.reader, "of nobody") is False


def test_a_list_of_one_customer_is_that_customers_whatever_page_an_object_is_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "PAGE_OBJECTS", 2)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with Child("stripe_by_customer") as provider:
        direct = client(f"http://127.0.0.1:{provider.ready_ports()['port']}")
        ours, theirs = (direct.v1.customers.create({"name": name}).id for name in ("ours", "theirs"))
        made = {
            direct.v1.payment_intents.create(charge_params(customer, str(at), 100, tag, "pm_card_visa")).id: customer
            for at, (customer, tag) in enumerate([*[(ours, "t2")] * 4, (theirs, "t1"), (ours, "t1"), (ours, "t1")])
        }
        found = adapter.payment_intents_under(direct, "t1", customer=ours)
        assert found == list(made)[-2:]
        assert adapter.payment_intents_under(direct, "t1", customer=theirs) == [list(made)[4]]
        assert adapter.payment_intents_under(direct, "t1") == list(made)[4:]
        with pytest.raises(stripe.InvalidRequestError):
            adapter.payment_intents_under(direct, "t1", customer="cus_nobody")


def test_a_provider_that_cannot_list_one_customer_gives_no_answer(till: Till) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unexpected customer"):
        adapter.payment_intents_under(till.reader, "t1", customer=till.world.customer)


# --- nothing below retries


def sent(till: Till, made: stripe.StripeClient) -> int:
    """How many requests reach the proxy where each one's answer is lost."""
    till.world.expect(Rule(behaviour=Behaviour.DROP_RESPONSE, count=9))
    with pytest.raises(stripe.APIConnectionError):
        made.v1.payment_intents.create(charge_params(till.world.customer, "1", 100, "t", "pm_card_visa"))
    return till.requests(CHARGE.path)


def test_a_client_that_is_passed_sends_once(till: Till) -> None:
    assert sent(till, client(till.world.stage.proxy_url)) == 1


def test_a_client_that_retries_is_refused_and_would_have_sent_three(till: Till) -> None:
    make = partial(stripe.StripeClient, KEY, base_addresses={"api": till.world.stage.proxy_url})
    retrying = make(max_network_retries=2, http_client=stripe.RequestsClient(timeout=5, session=session()))
    with pytest.raises(ConfigInvalidError, match="2 times") as raised:
        adapter.once(retrying)
    assert "max_network_retries=0" in str(raised.value.hint)
    assert sent(till, retrying) == 3


@pytest.mark.parametrize(
    "sender",
    [
        stripe.RequestsClient(session=session(retries=2)),
        stripe.RequestsClient(session=session(redirects=30)),
        stripe.RequestsClient(),
        stripe.UrllibClient(),
    ],
    ids=["adapter retries", "redirects", "no session", "another library"],
)
def test_a_client_that_may_send_again_below_is_refused(sender: Any) -> None:
    with pytest.raises(ConfigInvalidError) as raised:
        adapter.once(stripe.StripeClient(KEY, http_client=sender))
    assert raised.value.hint
