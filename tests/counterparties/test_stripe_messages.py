"""Stripe's signed messages, sent by a real server: authentic or refused. [PRF-1]"""

import contextlib
import hashlib
import hmac
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from invoke_log.adapter import stripe as adapter
from invoke_log.adapter.webhook import Message
from invoke_log.errors import MessageInvalidError
from tests.counterparties.keyed import Inbox
from tests.counterparties.test_stripe import charge_params, client
from tests.harness.world import World

SECRET = "whsec_of_stripe"
TAG = "5e" * 32


@pytest.fixture
def message(world: World, inbox: Inbox) -> Iterator[tuple[bytes, dict[str, str]]]:
    """What the provider sends about a charge under our tag."""
    register(world, {"url": inbox.url, "secret": SECRET})
    client(world.stage.provider_url).v1.payment_intents.create(
        charge_params(world.customer, "789", 5000, TAG, "pm_card_visa")
    )
    deadline_s = time.monotonic() + 20
    while not (ours := [one for one in inbox.arrived if is_ours(json.loads(one[0]))]):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    yield ours[0]
    register(world, {"url": inbox.url, "secret": SECRET, "events": []})


def is_ours(body: Any) -> bool:
    """Whether a message is of this test's charge: what an earlier one's request leaves behind may still be told."""
    object_told = body["data"]["object"]
    return bool(body["type"] == "payment_intent.succeeded" and object_told["metadata"].get("invoke") == TAG)


def register(world: World, hook: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{world.stage.provider_url}/_config/webhooks/inbox",
        json.dumps(hook).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.closing(opener.open(request, timeout=5)):
        pass


def signed(body: bytes, secret: str = SECRET, *, at_s: float | None = None) -> dict[str, str]:
    at = int(time.time() if at_s is None else at_s)
    mac = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={mac}"}


def test_a_message_that_stripe_sent_verifies_and_carries_the_tag(message: tuple[bytes, dict[str, str]]) -> None:
    found = adapter.verify(*message, SECRET)
    assert found.event == "payment_intent.succeeded"
    assert found.id.startswith("evt_")
    assert found.body["data"]["object"]["metadata"]["invoke"] == TAG
    assert adapter.verify(*message, SECRET) == found  # a second delivery is the same message


Forge = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str], str]]
FORGERIES: dict[str, Forge] = {
    "changed": lambda body, headers: (body.replace(b"5000", b"9000"), headers, SECRET),
    "another secret": lambda body, headers: (body, headers, "whsec_other"),
    "no signature": lambda body, headers: (body, {}, SECRET),
    "another scheme": lambda body, headers: (
        body,
        {"stripe-signature": headers["Stripe-Signature"].replace("v1=", "v0=")},
        SECRET,
    ),
    "too old": lambda body, _: (body, signed(body, at_s=time.time() - 400), SECRET),
    "not text": lambda body, headers: (b"\xff", headers, SECRET),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_message_is_refused(message: tuple[bytes, dict[str, str]], forge: Forge) -> None:
    with pytest.raises(MessageInvalidError):
        adapter.verify(*forge(*message))


@pytest.mark.parametrize("text", ["{", "[]", "1", "{}", '{"id": "evt_1"}', '{"id": "", "type": "paid"}', "[" * 99_999])
def test_a_signed_text_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(MessageInvalidError):
        adapter.verify(text.encode(), signed(text.encode()), SECRET)


def test_a_message_has_an_id_and_says_what_happened() -> None:
    assert Message.parse('{"id": "evt_1", "type": "paid"}', id_field="id") == Message(
        id="evt_1", event="paid", body={"id": "evt_1", "type": "paid"}
    )
    with pytest.raises(MessageInvalidError):
        Message.parse('{"type": "paid"}', message_id="")
