"""What each behaviour of the proxy does to a charge, counted at the provider."""

import http.client
import json
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from invoke_log.surfaces.demo.processes import Child, ChildError
from invoke_log.surfaces.demo.proxy_control import Behaviour, ProxyControl, Rule
from invoke_log.surfaces.demo.stage import PROXY
from tests.harness.world import Answer, World

TAG = "5e" * 32
LOST = Answer(raised="APIConnectionError")
AUTHORIZATION = {"Authorization": "Bearer sk_test_x12345"}
JSON = {**AUTHORIZATION, "Content-Type": "application/json"}


def connection(world: World) -> http.client.HTTPConnection:
    address = urlsplit(world.stage.proxy_url)
    return http.client.HTTPConnection(str(address.hostname), address.port, timeout=5)


def test_without_a_rule_the_charge_is_made_once_and_answered(world: World) -> None:
    answer = world.charge("789", tag=TAG)
    [charge] = world.charges()
    assert (charge.payment_intent, charge.amount, charge.order_id, charge.tag, charge.customer) == (
        answer.payment_intent,
        5000,
        "789",
        TAG,
        world.customer,
    )


def test_a_dropped_response_leaves_one_charge_behind_a_connection_error(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.DROP_RESPONSE))
    assert world.charge() == LOST
    assert len(world.charges()) == 1


def test_a_dropped_request_leaves_no_charge_behind_the_same_error(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.DROP_REQUEST))
    assert world.charge() == LOST
    assert world.charges() == []
    assert world.proxy.report().answered == 0


def test_a_hanging_request_lands_after_the_client_gave_up(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.HANG, delay_ms=1500))
    assert world.charge(timeout_s=0.2) == LOST
    assert world.charges() == []
    assert len(world.charges_by(5, count=1)) == 1


def test_a_request_that_hangs_without_delay_is_a_timeout_after_the_effect(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.HANG))
    assert world.charge(timeout_s=0.2) == LOST
    assert len(world.charges_by(5, count=1)) == 1


@pytest.mark.parametrize(("delay_ms", "answered"), [(300, True), (1500, False)])
def test_a_slow_request_lands_late_and_is_answered_where_the_client_still_waits(
    world: World, delay_ms: int, answered: bool
) -> None:
    world.expect(Rule(behaviour=Behaviour.SLOW, delay_ms=delay_ms))
    began_s = time.monotonic()
    answer = world.charge(timeout_s=5 if answered else 0.2)
    assert (answer == LOST) != answered
    assert len(world.charges_by(20, count=1)) == 1
    assert time.monotonic() - began_s >= delay_ms / 1000


def test_unavailable_is_said_after_the_charge_was_made(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.UNAVAILABLE))
    assert world.charge() == Answer(raised="APIError")
    assert len(world.charges()) == 1


def test_a_duplicated_request_makes_two_charges_under_one_tag_and_one_key(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.DUPLICATE))
    answer = world.charge(tag=TAG, key="one-key")
    assert [charge.tag for charge in world.charges()] == [TAG, TAG]
    assert answer.payment_intent in set(world.find(TAG))
    assert [post.idempotency_key for post in world.proxy.report().posts] == ["one-key"]


def test_a_rule_covers_the_next_posts_it_fits_and_then_they_pass(world: World) -> None:
    world.expect(
        Rule(behaviour=Behaviour.DROP_REQUEST, count=2), Rule(behaviour=Behaviour.UNAVAILABLE, path="/v1/customers")
    )
    raised = [world.charge().raised for _ in range(3)]
    assert raised == ["APIConnectionError", "APIConnectionError", ""]
    report = world.proxy.report()
    assert (report.count(Behaviour.DROP_REQUEST), report.count(Behaviour.PASS), report.answered) == (2, 1, 1)
    assert report.rules_left == 1


def test_more_rules_than_one_control_line_holds_are_all_taken(world: World) -> None:
    world.expect(*[Rule(behaviour=Behaviour.DROP_REQUEST)] * 1001)
    assert world.proxy.report().rules_left == 1001
    world.proxy.clear()
    assert world.proxy.report().rules_left == 0


def test_what_is_no_post_passes_whatever_the_rule(world: World) -> None:
    world.expect(Rule(behaviour=Behaviour.DROP_REQUEST, path="/"))
    with closing(connection(world)) as http_connection:
        http_connection.request("GET", "/v1/charges", headers=AUTHORIZATION)
        assert json.load(http_connection.getresponse())["data"] == []
    assert world.proxy.report().posts == ()


def test_one_connection_carries_many_requests(world: World) -> None:
    with closing(connection(world)) as http_connection:
        sockets = set()
        for name in ("a", "b"):
            http_connection.request("POST", "/v1/customers", json.dumps({"name": name}), JSON)
            assert json.load(http_connection.getresponse())["name"] == name
            sockets.add(http_connection.sock)
    assert len(sockets) == 1


def test_a_chunked_request_arrives_whole(world: World) -> None:
    with closing(connection(world)) as http_connection:
        headers = {**JSON, "Transfer-Encoding": "chunked"}
        body = iter([b'{"name": "in ', b'three", "email"', b': "a@example.com"}'])
        http_connection.request("POST", "/v1/customers", body, headers, encode_chunked=True)
        customer = json.load(http_connection.getresponse())
    assert (customer["name"], customer["email"]) == ("in three", "a@example.com")


def test_a_request_that_comes_byte_by_byte_is_one_request(world: World) -> None:
    address = urlsplit(world.stage.proxy_url)
    text = "POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_x12345\r\n"
    text += "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: 6\r\n\r\nname=x"
    with socket.create_connection((str(address.hostname), address.port), timeout=5) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in text.encode():
            stream.sendall(bytes([byte]))
        answer = b"".join(iter(lambda: stream.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"name": "x"' in answer


def test_two_lengths_are_refused_and_nothing_is_forwarded(world: World) -> None:
    with closing(connection(world)) as http_connection:
        headers = {**AUTHORIZATION, "Content-Length": "3", "Transfer-Encoding": "chunked"}
        http_connection.request("POST", "/v1/customers", b"0\r\n\r\n", headers)
        assert http_connection.getresponse().status == 400
    assert world.proxy.report().posts == ()


def test_a_provider_that_is_gone_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        upstream_port = closed_soon.getsockname()[1]
    with Child(PROXY, "--upstream", str(upstream_port)) as proxy:
        ports = proxy.ready_ports()
        with closing(http.client.HTTPConnection("127.0.0.1", ports["port"], timeout=5)) as http_connection:
            http_connection.request("POST", "/v1/payment_intents", b"amount=1")
            assert http_connection.getresponse().status == 503
        assert ProxyControl(port=ports["control"]).report().answered == 0


def test_the_control_port_says_what_it_does_not_understand(world: World) -> None:
    with socket.create_connection(("127.0.0.1", world.proxy.port), timeout=5) as stream:
        stream.sendall(b'{"do": "explode"}\n')
        assert "explode" in json.loads(stream.makefile().readline())["error"]


def test_a_proxy_that_is_gone_is_a_child_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    with pytest.raises(ChildError, match="does not answer"):
        ProxyControl(port=port).report()
