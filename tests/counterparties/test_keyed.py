"""A provider that honours our key and confirms by signed messages, webhook-confirmable. [PRF-2] to [PRF-4], [CTR-8],
[CALL-6], [CALL-9], S1, S2, S3
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth

from invoke_log.adapter import httpx as adapter
from invoke_log.adapter import requests as requests_adapter
from invoke_log.adapter import urllib3 as urllib3_adapter
from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Blocked, Committed, DefiniteFailure, NeverSent, NotCommitted, OutcomeUnknown
from invoke_log.guard.reconcile import ONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.counterparties.desk import Desk
from tests.counterparties.keyed import Keyed
from tests.counterparties.postgres_server import free_port
from tests.counterparties.wire import landed, patience_s, treated

PATH = "/transfers"
fault = partial(Rule, path=PATH)


@dataclass
class Bank:
    """A tool that pays invoices there."""

    desk: Desk
    keyed: Keyed
    contract: Any
    port: int
    behave: str = "ok"
    timeout_s: float = 5

    def pay(self, invoice: str = "i1") -> Any:
        return self.desk.call("transfer", beneficiary="b1", invoice=invoice, amount=500)

    def send(self, beneficiary: str, invoice: str, amount: int, *, invoke: Call) -> str:
        """The tool: one request under the provider's key."""
        body = {"beneficiary": beneficiary, "invoice": invoice, "amount": amount, "tag": invoke.tag}
        with client(self.timeout_s) as sender, adapter.proofs():
            answer = sender.post(
                f"http://127.0.0.1:{self.port}{PATH}",
                json={**body, "behave": self.behave},
                headers={"Idempotency-Key": invoke.provider_key},
            )
            made = answer.raise_for_status().json()
        if made["status"] != "paid":
            raise ReadUnclearError(f"{made['id']} is {made['status']}")
        return str(made["id"])

    def find(self, call: Call) -> list[str]:
        """The read-back, of a provider that lists what it did."""
        ours = [made for made in self.keyed.transfers() if made["tag"] == call.tag]
        if any(made["status"] == "held" for made in ours):
            raise ReadUnclearError("one is held: it may happen yet")
        return [made["id"] for made in ours if made["status"] == "paid"]

    def lose(self, behaviour: Behaviour = Behaviour.DROP_RESPONSE) -> None:
        """Let the answer of the next request be lost."""
        self.keyed.proxy.control.next_posts(treated(behaviour, PATH))

    def paid(self) -> list[str]:
        """The provider's own ledger."""
        return [made["invoice"] for made in self.keyed.transfers() if made["status"] == "paid"]

    def count(self, kind: str) -> int:
        """How many events of a kind are on the log."""
        return sum(entry.event.kind == kind for entry in self.desk.log.entries())


def client(timeout_s: float = 5) -> httpx.Client:
    return adapter.once(httpx.Client(timeout=timeout_s, trust_env=False))


@pytest.fixture
def bank(desk: Desk, keyed: Keyed) -> Bank:
    opened = open_bank(desk, keyed)
    desk.guard.tool(opened.contract)(opened.send)
    return opened


def open_bank(desk: Desk, keyed: Keyed, **changes: Value) -> Bank:
    """Return a bank whose tool is not under the guard yet."""
    return Bank(desk, keyed, desk.ready("webhook-transfer", {"account": "DE02"}, **changes), keyed.proxy.port)


def test_an_answered_transfer_is_committed_by_one_request(bank: Bank) -> None:
    assert isinstance(bank.pay(), Committed)
    assert (bank.keyed.requests(), bank.paid(), bank.desk.statuses()) == (1, ["i1"], {"i1": COMMITTED})


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour.DROP_RESPONSE, Behaviour.DROP_REQUEST, Behaviour.UNAVAILABLE, Behaviour.HANG, Behaviour.SLOW],
    ids=str,
)
def test_without_an_answer_it_stays_unknown_however_long_nobody_says_anything(bank: Bank, behaviour: Behaviour) -> None:
    bank.lose(behaviour)
    bank.timeout_s = patience_s(behaviour)
    assert isinstance(bank.pay(), OutcomeUnknown)
    if behaviour is Behaviour.SLOW:
        landed(bank.paid)
    bank.desk.later(bank.contract)
    assert bank.desk.look().status == UNKNOWN
    assert isinstance(bank.pay(), Blocked)
    arrives = behaviour is not Behaviour.DROP_REQUEST
    assert (bank.keyed.requests(), bank.paid()) == ((1, ["i1"]) if arrives else (0, []))
    assert (len(bank.keyed.proxy.control.report().posts), bank.desk.statuses()) == (1, {"i1": UNKNOWN})


def test_a_request_that_a_proxy_doubled_is_paid_once_where_the_key_is_kept(bank: Bank) -> None:
    bank.keyed.proxy.control.next_posts(fault(behaviour=Behaviour.DUPLICATE))
    assert isinstance(bank.pay(), Committed)
    assert (bank.keyed.requests(), bank.paid(), bank.desk.statuses()) == (2, ["i1"], {"i1": COMMITTED})


def test_an_error_after_the_payment_is_unknown(bank: Bank) -> None:
    bank.behave = "break"
    assert isinstance(bank.pay(), OutcomeUnknown)
    assert (bank.paid(), bank.desk.statuses()) == (["i1"], {"i1": UNKNOWN})


def test_a_decline_that_the_contract_lists_is_proof(bank: Bank) -> None:
    bank.behave = "decline"
    assert isinstance(bank.pay(), NotCommitted)
    assert (bank.desk.kinds(), bank.paid(), bank.desk.statuses()) == (["definite_failure"], [], {"i1": NOT_COMMITTED})


def test_a_provider_that_cannot_be_reached_was_sent_nothing(bank: Bank) -> None:
    bank.port = free_port()
    assert isinstance(bank.pay(), NotCommitted)
    assert (bank.desk.kinds(), bank.keyed.requests()) == (["never_sent"], 0)


@pytest.mark.parametrize(
    ("reachable", "ending", "requests_seen"), [(True, OutcomeUnknown, 1), (False, NotCommitted, 0)]
)
def test_a_coroutine_sends_once_and_is_told_the_same(
    desk: Desk, keyed: Keyed, reachable: bool, ending: type, requests_seen: int
) -> None:
    @desk.guard.tool(desk.ready("webhook-transfer", {"account": "DE02"}))
    async def transfer(beneficiary: str, invoice: str, amount: int, *, invoke: Call) -> None:
        invoke.note_handle("one of a coroutine")
        port = keyed.proxy.port if reachable else free_port()
        async with adapter.once(httpx.AsyncClient(trust_env=False)) as sender:
            with adapter.proofs():
                headers = {"Idempotency-Key": invoke.provider_key}
                await sender.post(f"http://127.0.0.1:{port}{PATH}", json={}, headers=headers)

    keyed.proxy.control.next_posts(fault(behaviour=Behaviour.DROP_RESPONSE))
    ended = asyncio.run(desk.guard.acall("transfer", {"beneficiary": "b1", "invoice": "i1", "amount": 5}))
    assert isinstance(ended, ending)
    assert len(keyed.proxy.control.report().posts) == requests_seen
    kinds = [entry.event.kind for entry in desk.log.entries() if entry.event.kind != "tick"]
    assert kinds[-2:] == ["handle", "outcome"]


# --- what the provider keeps under a key


@pytest.mark.parametrize(
    ("stores", "behave", "answers", "paid"),
    [
        ("all", "ok", [200, 200], 1),
        ("success", "ok", [200, 200], 1),
        ("none", "ok", [200, 200], 2),
        ("all", "break", [500, 500], 1),
        ("success", "break", [500, 500], 2),
        ("all", "decline", [402, 402], 0),
    ],
)
def test_a_second_send_under_one_key_is_safe_only_where_the_result_was_kept(
    keyed: Keyed, stores: str, behave: str, answers: list[int], paid: int
) -> None:
    keyed.configure(stores=stores)
    body = {"invoice": "i1", "behave": behave}
    with client() as sender:
        url = f"http://127.0.0.1:{keyed.proxy.port}{PATH}"
        found = [sender.post(url, json=body, headers={"Idempotency-Key": "k1"}).status_code for _ in range(2)]
        other = sender.post(url, json={**body, "invoice": "i2"}, headers={"Idempotency-Key": "k1"})
    assert (found, len([made for made in keyed.transfers() if made["invoice"] == "i1"])) == (answers, paid)
    assert (other.status_code == 422) == (stores == "all" or (stores == "success" and behave == "ok"))


KEEPS_ALL: Final[dict[str, Value]] = {
    "place": "Idempotency-Key",
    "retention_ms": 86_400_000,
    "mismatch": "refused",
    "stores": "all",
}
LISTS: Final[dict[str, Value]] = {
    "observability": "queryable",
    "read_back": {"operation": "transfers.list", "tag": "tag", "complete": True, "lag_ms": 0},
    "webhook": None,
}


def test_where_no_key_is_kept_a_lost_answer_is_found_by_reading_and_nothing_is_sent_twice(
    desk: Desk, keyed: Keyed
) -> None:
    keyed.configure(stores="none")
    bank = open_bank(desk, keyed, **LISTS, provider_key={**KEEPS_ALL, "stores": "none"})
    with pytest.raises(ConfigInvalidError, match="stores all results"):
        desk.guard.tool(bank.contract, redrive=bank.send)(bank.send)
    desk.guard.tool(bank.contract, read_back=bank.find)(bank.send)
    bank.lose()
    assert isinstance(bank.pay(), OutcomeUnknown)
    assert isinstance(bank.pay(), Blocked)
    look = desk.look()
    assert (look.probe, look.status) == (ONE, COMMITTED)
    assert isinstance(bank.pay(), Blocked)
    assert (keyed.requests(), bank.paid(), desk.statuses()) == (1, ["i1"], {"i1": COMMITTED})


@pytest.mark.parametrize(
    ("behaviour", "requests_seen"),
    [(Behaviour.DROP_RESPONSE, 2), (Behaviour.DROP_REQUEST, 1), (Behaviour.UNAVAILABLE, 2)],
    ids=str,
)
def test_where_all_results_are_kept_and_nobody_can_ask_one_redrive_finds_out(
    desk: Desk, keyed: Keyed, behaviour: Behaviour, requests_seen: int
) -> None:
    bank = open_bank(desk, keyed, observability="fire-and-forget", webhook=None, provider_key=KEEPS_ALL)
    desk.guard.tool(bank.contract, redrive=bank.send)(bank.send)
    bank.lose(behaviour)
    assert isinstance(bank.pay(), OutcomeUnknown)
    assert (desk.look().status, bank.count("redrive")) == (UNKNOWN, 0)  # the last send may still be under way
    desk.later(bank.contract)
    assert (desk.look().status, desk.guard.reconcile()) == (COMMITTED, [])
    assert (bank.count("start"), bank.count("redrive")) == (1, 1)
    assert (keyed.requests(), bank.paid(), desk.statuses()) == (requests_seen, ["i1"], {"i1": COMMITTED})
    assert len({post.idempotency_key for post in keyed.proxy.control.report().posts}) == 1


def test_what_was_held_and_given_up_is_made_again_under_a_key_that_the_provider_has_not_seen(
    desk: Desk, keyed: Keyed
) -> None:
    bank = open_bank(desk, keyed, **LISTS, provider_key=KEEPS_ALL, void="transfers.cancel")
    desk.guard.tool(bank.contract, read_back=bank.find, void=keyed.cancel)(bank.send)
    bank.behave = "hold"
    assert isinstance(bank.pay(), OutcomeUnknown)
    look = desk.look()
    assert (look.probe, look.status, keyed.transfers()[0]["status"]) == (UNCLEAR, UNKNOWN, "held")
    desk.later(bank.contract)
    assert (desk.look().status, desk.kinds()[-2:]) == (NOT_COMMITTED, ["void", "key_burnt"])
    bank.behave = "ok"
    assert isinstance(bank.pay(), Committed)
    assert [made["status"] for made in keyed.transfers()] == ["canceled", "paid"]
    assert (keyed.requests(), bank.paid(), desk.statuses()) == (2, ["i1"], {"i1": COMMITTED})


# --- nothing below retries


class Resending(httpx.HTTPTransport):
    """Sends what it is given once more, as it likes."""


def mounted(transport: httpx.BaseTransport) -> httpx.Client:
    return httpx.Client(mounts={"http://": transport}, trust_env=False)


@pytest.mark.parametrize(
    "made",
    [
        lambda: httpx.Client(transport=httpx.HTTPTransport(retries=1)),
        lambda: httpx.Client(follow_redirects=True),
        lambda: mounted(httpx.HTTPTransport(retries=2)),
        lambda: httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))),
        lambda: httpx.Client(auth=httpx.DigestAuth("user", "password")),
        lambda: httpx.Client(auth=httpx.Auth()),
        lambda: httpx.Client(transport=httpx.HTTPTransport(http2=True)),
        lambda: httpx.Client(transport=Resending()),
        lambda: httpx.Client(event_hooks={"response": [httpx.Response.raise_for_status]}),
    ],
    ids=[
        "retries",
        "redirects",
        "a mount retries",
        "somebody's transport",
        "asks again",
        "somebody's auth",
        "HTTP/2",
        "a subclass",
        "a hook",
    ],
)
def test_an_httpx_client_that_may_send_again_is_refused(made: Callable[[], httpx.Client]) -> None:
    with made() as refused, pytest.raises(ConfigInvalidError):
        adapter.once(refused)
    with httpx.Client(auth=("user", "password"), trust_env=False) as passed:
        assert adapter.once(passed) is passed


def test_a_body_that_could_not_be_fetched_on_its_way_does_not_prove_that_nothing_left(keyed: Keyed) -> None:
    def body() -> Iterator[bytes]:
        yield b"{"
        httpx.get(f"http://127.0.0.1:{free_port()}/", trust_env=False)

    with client() as sends:
        with pytest.raises(httpx.ConnectError), adapter.proofs():
            sends.post(f"http://127.0.0.1:{keyed.port}{PATH}", content=body())
        with pytest.raises(NeverSent), adapter.proofs():
            sends.post(f"http://127.0.0.1:{free_port()}{PATH}", content=body())


def test_an_asynchronous_client_is_looked_at_too() -> None:
    assert adapter.once(httpx.AsyncClient(trust_env=False)) is not None
    retrying = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=1))
    with pytest.raises(ConfigInvalidError):
        adapter.once(retrying)


@pytest.mark.parametrize("retries", [None, 3, 1, True, urllib3.Retry(3), urllib3.Retry(None)], ids=repr)
def test_a_urllib3_pool_that_may_send_again_is_refused(retries: Any) -> None:
    pool = urllib3.PoolManager(retries=retries) if retries is not None else urllib3.PoolManager()
    with pytest.raises(ConfigInvalidError) as raised:
        urllib3_adapter.once(pool)
    assert "Retry(0)" in str(raised.value.hint)


def posts(keyed: Keyed, send: Callable[[str], object]) -> int:
    """How many requests a send is whose answers are all lost."""
    keyed.proxy.control.next_posts(fault(behaviour=Behaviour.DROP_RESPONSE, count=9))
    with pytest.raises((urllib3.exceptions.HTTPError, requests.ConnectionError, httpx.HTTPError)):
        send(f"http://127.0.0.1:{keyed.proxy.port}{PATH}")
    return len(keyed.proxy.control.report().posts)


@pytest.mark.parametrize("retries", [0, False, urllib3.Retry(0), urllib3.Retry(False)], ids=repr)
def test_a_urllib3_pool_that_is_passed_sends_once(keyed: Keyed, retries: Any) -> None:
    pool = urllib3_adapter.once(urllib3.PoolManager(retries=retries))
    with urllib3_adapter.proofs():
        assert posts(keyed, lambda url: pool.request("POST", url, body=b"{}")) == 1
    with pytest.raises(NeverSent), urllib3_adapter.proofs():
        pool.request("POST", f"http://127.0.0.1:{free_port()}/")


def session(max_retries: Any = 0, *, redirects: int = 0) -> requests.Session:
    made = requests.Session()
    made.trust_env, made.max_redirects = False, redirects
    made.mount("http://", HTTPAdapter(max_retries=max_retries))
    return made


def test_a_requests_session_that_may_send_again_is_refused_and_would_have(keyed: Keyed) -> None:
    every = urllib3.Retry(2, allowed_methods=None, backoff_factor=0)
    asking, hooked, named = session(), session(), session()
    asking.auth, named.auth = HTTPDigestAuth("user", "password"), ("user", "password")
    hooked.hooks["response"].append(lambda answer, **_: answer)
    assert requests_adapter.once(named) is named
    wrapped = session()
    wrapped.mount("http://", type("Resending", (HTTPAdapter,), {})(max_retries=0))
    for refused in (session(every), session(redirects=30), asking, hooked, wrapped):
        with pytest.raises(ConfigInvalidError):
            requests_adapter.once(refused)
    assert posts(keyed, lambda url: session(every).post(url, json={})) == 3


def test_a_requests_session_that_is_passed_sends_once_and_says_what_is_proved(keyed: Keyed) -> None:
    once = requests_adapter.once(session())
    with requests_adapter.proofs():
        assert posts(keyed, lambda url: once.post(url, json={})) == 1
    keyed.configure()
    with pytest.raises(NeverSent), requests_adapter.proofs():
        once.post(f"http://127.0.0.1:{free_port()}/", json={})
    with pytest.raises(DefiniteFailure) as raised, requests_adapter.proofs():
        once.post(f"http://127.0.0.1:{keyed.port}{PATH}", json={}).raise_for_status()
    assert raised.value.failure == "http_400"


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_a_status_that_proves_nothing_stays_what_it_is(status: int) -> None:
    answer = httpx.Response(status, request=httpx.Request("POST", "http://provider"))
    with pytest.raises(httpx.HTTPStatusError), adapter.proofs():
        answer.raise_for_status()
    other = requests.Response()
    other.status_code = status
    with pytest.raises(requests.HTTPError), requests_adapter.proofs():
        other.raise_for_status()
