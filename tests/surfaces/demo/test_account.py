"""What the client's exceptions prove, and that the client sends once and to one place."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest

import invoke_log as il
from invoke_log.guard.tool_call import reply_of_exception
from invoke_log.rules.kind import NOT_COMMITTED, PROOFS_OF_FAILURE
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.harness.world import World, require_tools


@pytest.fixture
def account() -> ModuleType:
    require_tools()
    from invoke_log.surfaces.demo import account

    return account


def proves(account: ModuleType, base_url: str, *, timeout_s: float = 1.0) -> str:
    """Return what one charge against that address proves: the kind of evidence under Stripe's ready contract."""
    from invoke_log.adapter.stripe import proofs

    contract = il.Contract.ready("stripe-payment-intent", realm={"account": "acct_1", "mode": "test"})
    order = account.Order(order_id="1", customer="cus_1", amount=1)
    with pytest.raises(Exception) as caught, proofs():  # noqa: PT011 -- whichever: the kind is what is asked
        account.charge(account.connect(base_url, timeout_s=timeout_s), order, idempotency_key="k")
    reply = reply_of_exception(contract, caught.value)
    assert (reply.status == NOT_COMMITTED) == (reply.evidence.kind in PROOFS_OF_FAILURE)
    return reply.evidence.kind


@contextlib.contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Yield the address of a server that reads one request, sends these bytes and closes."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(2)
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        return int(closed_soon.getsockname()[1])


def http_answer(status: str, body: str, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


def test_a_refused_connection_proves_never_sent(account: ModuleType) -> None:
    assert proves(account, f"http://127.0.0.1:{closed_port()}") == "never_sent"


def test_a_name_that_does_not_resolve_proves_never_sent(account: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve_nothing(*args: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve_nothing)
    assert proves(account, "http://stripe.example") == "never_sent"


def test_a_connection_that_is_not_accepted_in_time_proves_never_sent(account: ModuleType) -> None:
    # A backlog of 0 that is full: the kernel drops further handshakes, and the client never gets to write.
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(64):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        assert proves(account, f"http://127.0.0.1:{address[1]}", timeout_s=0.5) == "never_sent"


def test_an_end_before_the_first_response_byte_proves_nothing(account: ModuleType) -> None:
    with server(b"") as base_url:
        assert proves(account, base_url) == "no_answer"


def test_half_a_response_proves_nothing(account: ModuleType) -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{") as base_url:
        assert proves(account, base_url) == "no_answer"


def test_a_redirect_to_a_closed_port_is_not_followed_and_proves_nothing(account: ModuleType) -> None:
    """The first hop had the whole request, so the connection refused at the second says nothing about it."""
    location = f"Location: http://127.0.0.1:{closed_port()}/v1/payment_intents"
    with server(http_answer("307 Temporary Redirect", "", location)) as base_url:
        assert proves(account, base_url) == "no_answer"


@pytest.mark.parametrize(
    ("status", "error", "proven"),
    [
        ("402 Payment Required", '{"code": "card_declined"}', "stored_failure"),
        ("402 Payment Required", '{"code": "processing_error"}', "unclear_answer"),
        ("402 Payment Required", "{}", "no_answer"),
        ("400 Bad Request", '{"code": "parameter_missing"}', "stored_failure"),
        ("400 Bad Request", '{"code": "rate_limit"}', "no_answer"),
        ("400 Bad Request", '{"code": "lock_timeout"}', "unclear_answer"),
        ("400 Bad Request", '{"type": "idempotency_error", "code": "parameter_missing"}', "no_answer"),
        ("400 Bad Request", "{}", "no_answer"),
        ("401 Unauthorized", "{}", "stored_failure"),
        ("403 Forbidden", '{"code": "card_declined"}', "no_answer"),
        ("409 Conflict", '{"code": "idempotency_key_in_use"}', "no_answer"),
        ("429 Too Many Requests", '{"code": "rate_limit"}', "no_answer"),
        ("500 Internal Server Error", '{"code": "card_declined"}', "no_answer"),
    ],
)
def test_only_listed_answers_prove_that_nothing_was_done(
    status: str, error: str, proven: str, account: ModuleType
) -> None:
    with server(http_answer(status, f'{{"error": {error}}}')) as base_url:
        assert proves(account, base_url) == proven


def test_an_intent_that_still_waits_is_no_answer(account: ModuleType) -> None:
    body = '{"id": "pi_1", "object": "payment_intent", "status": "processing"}'
    with server(http_answer("200 OK", body)) as base_url:
        assert proves(account, base_url) == "no_answer"


def test_an_answer_that_is_no_json_proves_nothing(account: ModuleType) -> None:
    with server(http_answer("402 Payment Required", "<html>")) as base_url:
        assert proves(account, base_url) == "no_answer"


def test_a_proxy_of_the_environment_is_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert world.charge().payment_intent


def test_one_charge_is_one_request_even_where_it_is_lost(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.DROP_REQUEST, count=9))
    assert world.charge().raised == "APIConnectionError"
    assert world.proxy.report().count(Behaviour.DROP_REQUEST) == 1
