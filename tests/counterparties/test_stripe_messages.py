"""Stripe's signed messages, sent by a real server: authentic or refused, and what they settle. [PRF-1], [CALL-7], S2"""

import contextlib
import hashlib
import hmac
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from invoke_log.adapter import stripe as adapter
from invoke_log.adapter.webhook import Message
from invoke_log.errors import MessageInvalidError
from invoke_log.guard.outcome import Blocked, Committed, OutcomeUnknown
from invoke_log.rules.kind import COMMITTED, UNKNOWN, Start
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from invoke_log.surfaces.demo.stage import Stage
from tests.counterparties.keyed import Inbox, open_inbox
from tests.counterparties.test_stripe import CHARGE, Till, charge_params, client
from tests.counterparties.test_stripe import till as till
from tests.counterparties.wire import landed
from tests.harness.world import emptied

SECRET = "whsec_of_stripe"
SUCCEEDED = "payment_intent.succeeded"
TAG = "5e" * 32
ADAPTERS = Path("docs/adapters.md").read_text(encoding="utf-8")
[EXAMPLE] = [text for text in re.findall(r"```python\n(.*?)```", ADAPTERS, re.DOTALL) if "il.Notice" in text]


@pytest.fixture(scope="module")
def message(stage: Stage) -> Iterator[tuple[bytes, dict[str, str]]]:
    """What the provider sends about a charge under our tag."""
    with open_inbox() as inbox, told(stage, inbox):
        world = emptied(stage)
        client(stage.provider_url).v1.payment_intents.create(
            charge_params(world.customer, "789", 5000, TAG, "pm_card_visa")
        )
        yield ours(inbox, TAG)


@contextlib.contextmanager
def told(stage: Stage, inbox: Inbox) -> Iterator[None]:
    """Have the provider send its messages about what succeeds to an inbox, until the block ends."""
    register(stage, {"url": inbox.url, "secret": SECRET, "events": [SUCCEEDED]})
    yield
    register(stage, {"url": inbox.url, "secret": SECRET, "events": []})


def ours(inbox: Inbox, tag: str) -> tuple[bytes, dict[str, str]]:
    """Return the message about the charge under a tag: what an earlier test's request leaves behind may be told too."""

    def look() -> list[tuple[bytes, dict[str, str]]]:
        return [one for one in inbox.arrived if json.loads(one[0])["data"]["object"]["metadata"].get("invoke") == tag]

    return landed(look)[0]


def register(stage: Stage, hook: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{stage.provider_url}/_config/webhooks/inbox",
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
    assert found.event == SUCCEEDED
    assert found.id.startswith("evt_")
    assert found.body["data"]["object"]["metadata"]["invoke"] == TAG
    assert adapter.verify(*message, SECRET) == found  # a second delivery is the same message


Answer = Callable[[bytes, Mapping[str, str]], int]
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
    "a signature that is not ASCII": lambda body, headers: (
        body,
        {"stripe-signature": headers["Stripe-Signature"].split("v1=")[0] + "v1=\u00e9"},
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


# --- what becomes of an effect


@pytest.fixture
def answer(till: Till, inbox: Inbox) -> Iterator[Answer]:
    """The handler in docs/adapters.md, as it stands there; the provider tells the inbox."""
    there: dict[str, Any] = {"guard": till.desk.guard, "WEBHOOK_SECRET": SECRET}
    exec(EXAMPLE, there)
    with told(till.world.stage, inbox):
        yield there["stripe_webhook"]


def tag_of(till: Till) -> str:
    [start] = [entry.event.data for entry in till.desk.log.entries() if isinstance(entry.event.data, Start)]
    return start.tag.hex()


def test_a_message_settles_a_lost_charge_once_and_a_forged_one_leaves_nothing_on_record(
    till: Till, inbox: Inbox, answer: Answer
) -> None:
    till.world.expect(Rule(behaviour=Behaviour.DROP_RESPONSE))
    assert isinstance(till.charge(), OutcomeUnknown)
    body, headers = ours(inbox, tag_of(till))
    before = list(till.desk.log.entries())
    assert answer(body.replace(b"5000", b"9000"), headers) == 400
    assert answer(body, signed(body, "whsec_other")) == 400
    assert answer(body, signed(body, at_s=time.time() - 400)) == 400
    assert (list(till.desk.log.entries()), till.desk.statuses()) == (before, {"789": UNKNOWN})
    assert [answer(body, headers) for _ in range(2)] == [200, 200]
    assert till.desk.kinds() == ["no_answer", "webhook"]
    assert isinstance(till.charge(), Blocked)
    assert (till.requests(CHARGE.path), till.ledger("charge"), till.desk.statuses()) == (1, ["789"], {"789": COMMITTED})


def test_a_message_after_a_read_names_the_object_that_the_read_has_found(
    till: Till, inbox: Inbox, answer: Answer
) -> None:
    till.world.expect(Rule(behaviour=Behaviour.DROP_RESPONSE))
    assert isinstance(till.charge(), OutcomeUnknown)
    assert till.desk.look().status == COMMITTED
    before = list(till.desk.log.entries())
    assert answer(*ours(inbox, tag_of(till))) == 200
    assert list(till.desk.log.entries()) == before  # another name would be a second object, and freeze the scope


def test_a_message_before_the_answer_commits_and_the_answer_finds_that(
    till: Till, inbox: Inbox, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, answers = adapter.done, list[int]()

    def told_first(made: Any) -> str:
        answers.append(answer(*ours(inbox, tag_of(till))))
        return done(made)

    monkeypatch.setattr(adapter, "done", told_first)
    assert isinstance(till.charge(), Committed)
    assert (answers, till.desk.kinds()) == ([200], ["webhook"])
    assert (till.requests(CHARGE.path), till.ledger("charge"), till.desk.statuses()) == (1, ["789"], {"789": COMMITTED})
