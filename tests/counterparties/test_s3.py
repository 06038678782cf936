"""S3, transactional: an object is created once, by a conditional PUT, and its versions say whose it is. [PRF-1],
[PRF-3], S2, S3
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from moto.server import ThreadedMotoServer

from invoke_log.adapter import s3
from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.guard.outcome import Blocked, Committed, NotCommitted, OutcomeUnknown
from invoke_log.guard.reconcile import NONE, ONE, UNCLEAR
from invoke_log.guard.tool_call import Call
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN
from invoke_log.surfaces.demo.proxy import HttpWire
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.counterparties.desk import Desk
from tests.counterparties.postgres_server import free_port
from tests.counterparties.wire import RunningProxy, landed, patience_s, running_proxy, treated

BUCKET = "invoices"
KEY = "2026/789.pdf"
PUT = f"/{BUCKET}/{KEY}"


def client(port: int, *, timeout_s: float = 5, **retries: Any) -> Any:
    config = Config(
        retries=retries or {"total_max_attempts": 1},
        read_timeout=timeout_s,
        connect_timeout=5,
        proxies={},
        s3={"addressing_style": "path"},
    )
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=config,
    )


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


@pytest.fixture(scope="module")
def proxy(server_port: int) -> Iterator[RunningProxy]:
    with running_proxy(lambda: HttpWire(server_port)) as running:
        yield running


@dataclass
class Archive:
    """One bucket with versions, a tool that writes into it through the proxy, and a client past it."""

    desk: Desk
    proxy: RunningProxy
    sender: Any
    direct: Any
    contract: Any

    def put(self, body: bytes = b"%PDF") -> Any:
        return self.desk.call("create_object", key=KEY, body=body)

    def expect(self, behaviour: Behaviour) -> None:
        self.proxy.control.next_posts(treated(behaviour, PUT))

    def bodies(self) -> list[bytes]:
        """The provider's own ledger: every version of the object."""
        listed = self.direct.list_object_versions(Bucket=BUCKET, Prefix=KEY).get("Versions", [])
        return [
            self.direct.get_object(Bucket=BUCKET, Key=KEY, VersionId=one["VersionId"])["Body"].read() for one in listed
        ]

    def requests(self) -> int:
        return len(self.proxy.control.report().posts)


@pytest.fixture
def archive(desk: Desk, proxy: RunningProxy, server_port: int) -> Iterator[Archive]:
    proxy.control.clear()
    direct = client(server_port)
    direct.create_bucket(Bucket=BUCKET)
    direct.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    contract = desk.ready("s3-create-object", {"account": "123456789012", "bucket": BUCKET})
    opened = Archive(desk, proxy, s3.once(client(proxy.port)), direct, contract)

    def find(call: Call) -> list[str]:
        return s3.object_under(direct, call.tag, bucket=BUCKET, key=str(call.identity["key"]))

    @desk.guard.tool(contract, read_back=find)
    def create_object(key: str, body: bytes, *, invoke: Call) -> str:
        with s3.proofs():
            made = opened.sender.put_object(
                Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*", Metadata={s3.TAG_FIELD: invoke.tag}
            )
            return str(made["ETag"])

    yield opened
    for version in direct.list_object_versions(Bucket=BUCKET).get("Versions", []):
        direct.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    for marker in direct.list_object_versions(Bucket=BUCKET).get("DeleteMarkers", []):
        direct.delete_object(Bucket=BUCKET, Key=marker["Key"], VersionId=marker["VersionId"])
    direct.delete_bucket(Bucket=BUCKET)


def test_an_answered_put_is_committed_by_one_request(archive: Archive) -> None:
    assert isinstance(archive.put(), Committed)
    assert (archive.requests(), archive.bodies(), archive.desk.statuses()) == (1, [b"%PDF"], {"": COMMITTED})


@pytest.mark.parametrize(
    "behaviour", [Behaviour.DROP_RESPONSE, Behaviour.UNAVAILABLE, Behaviour.HANG, Behaviour.SLOW], ids=str
)
def test_a_put_that_landed_without_its_answer_is_found(archive: Archive, behaviour: Behaviour) -> None:
    archive.expect(behaviour)
    archive.sender = s3.once(client(archive.proxy.port, timeout_s=patience_s(behaviour)))
    assert isinstance(archive.put(), OutcomeUnknown)
    assert isinstance(archive.put(), Blocked)
    landed(archive.bodies)
    look = archive.desk.look()
    assert (look.probe, look.status) == (ONE, COMMITTED)
    assert (archive.requests(), archive.bodies(), archive.desk.statuses()) == (1, [b"%PDF"], {"": COMMITTED})


def test_a_put_that_a_proxy_doubled_says_precondition_failed_and_landed_once(archive: Archive) -> None:
    archive.expect(Behaviour.DUPLICATE)
    ending = archive.put()
    assert isinstance(ending, OutcomeUnknown)  # as a definite failure it would have been created a second time
    assert isinstance(ending.__cause__, ClientError)
    assert ending.__cause__.response["Error"]["Code"] == s3.PRECONDITION_FAILED
    assert archive.desk.look().status == COMMITTED
    assert (archive.bodies(), archive.desk.statuses()) == ([b"%PDF"], {"": COMMITTED})


def test_somebody_elses_object_under_the_key_is_not_ours(archive: Archive) -> None:
    archive.direct.put_object(Bucket=BUCKET, Key=KEY, Body=b"theirs")
    assert isinstance(archive.put(), OutcomeUnknown)
    assert archive.desk.look().probe == NONE
    archive.desk.later(archive.contract)
    assert archive.desk.look().status == NOT_COMMITTED
    assert (archive.bodies(), archive.desk.statuses()) == ([b"theirs"], {"": NOT_COMMITTED})


def test_a_put_that_never_arrived_is_unknown_until_it_can_no_longer_appear(archive: Archive) -> None:
    archive.expect(Behaviour.DROP_REQUEST)
    assert isinstance(archive.put(), OutcomeUnknown)
    assert (archive.desk.look().probe, archive.desk.look().status) == (NONE, UNKNOWN)
    archive.desk.later(archive.contract)
    assert archive.desk.look().status == NOT_COMMITTED
    assert (archive.requests(), archive.bodies(), archive.desk.statuses()) == (1, [], {"": NOT_COMMITTED})


def test_an_object_that_was_deleted_since_is_found_among_the_versions(archive: Archive) -> None:
    archive.expect(Behaviour.DROP_RESPONSE)
    archive.put()
    archive.direct.delete_object(Bucket=BUCKET, Key=KEY)
    archive.desk.later(archive.contract)
    assert archive.desk.look().status == COMMITTED


def test_without_versions_nothing_found_is_no_absence(archive: Archive) -> None:
    archive.direct.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    archive.expect(Behaviour.DROP_REQUEST)
    archive.put()
    archive.desk.later(archive.contract)
    look = archive.desk.look()
    assert (look.probe, look.status) == (UNCLEAR, UNKNOWN)
    with pytest.raises(ReadUnclearError, match="no versions"):
        s3.object_under(archive.direct, "tag", bucket=BUCKET, key=KEY)


@pytest.mark.parametrize("status", ["Disabled", "Enabled"])
def test_where_a_rule_removes_versions_nothing_found_is_no_absence(archive: Archive, status: str) -> None:
    rule: dict[str, object] = {"ID": "tidy", "Status": status, "Filter": {"Prefix": ""}}
    rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
    archive.direct.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    try:
        if status == "Disabled":
            assert s3.object_under(archive.direct, "tag", bucket=BUCKET, key=KEY) == []
            return
        with pytest.raises(ReadUnclearError, match="removes versions"):
            s3.object_under(archive.direct, "tag", bucket=BUCKET, key=KEY)
    finally:
        archive.direct.delete_bucket_lifecycle(Bucket=BUCKET)


def test_a_server_that_cannot_be_reached_was_sent_nothing(archive: Archive) -> None:
    archive.sender = s3.once(client(free_port()))
    assert isinstance(archive.put(), NotCommitted)
    assert (archive.requests(), archive.desk.kinds()) == (0, ["never_sent"])


def test_a_refusal_that_the_contract_lists_is_proof(archive: Archive) -> None:
    put = archive.sender.put_object
    archive.sender.put_object = lambda **given: put(**{**given, "Bucket": "nobodys"})
    assert isinstance(archive.put(), NotCommitted)
    assert archive.desk.kinds() == ["definite_failure"]


# --- nothing below retries


@pytest.mark.parametrize(
    "retries",
    [{"total_max_attempts": 3}, {"max_attempts": 1}, {"mode": "standard"}, {"mode": "legacy"}],
    ids=lambda one: next(iter(one)) + str(next(iter(one.values()))),
)
def test_a_client_that_may_retry_is_refused_and_would_have_sent_several(archive: Archive, retries: Any) -> None:
    retrying = client(archive.proxy.port, timeout_s=0.2, **retries)
    with pytest.raises(ConfigInvalidError) as raised:
        s3.once(retrying)
    assert "total_max_attempts" in str(raised.value.hint)


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_client_that_is_passed_makes_one_attempt_in_every_mode(archive: Archive, mode: str) -> None:
    archive.proxy.control.next_posts(Rule(behaviour=Behaviour.DROP_RESPONSE, count=9, path="/"))
    once = s3.once(client(archive.proxy.port, total_max_attempts=1, mode=mode))
    with pytest.raises(HTTPClientError):
        once.put_object(Bucket=BUCKET, Key=KEY, Body=b"")
    assert archive.requests() == 1


def test_botocore_itself_sends_several_times_where_nobody_says_otherwise(archive: Archive) -> None:
    archive.proxy.control.next_posts(Rule(behaviour=Behaviour.DROP_RESPONSE, count=9, path="/"))
    with pytest.raises(HTTPClientError):
        client(archive.proxy.port, max_attempts=1, mode="standard").put_object(Bucket=BUCKET, Key=KEY, Body=b"")
    assert archive.requests() == 2


def test_botocore_that_was_told_of_another_region_does_not_send_there_and_nothing_is_proved(archive: Archive) -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            said = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
            self.send_response(400)
            self.send_header("x-amz-bucket-region", "eu-west-1")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        archive.sender = s3.once(client(server.server_port))
        ending = archive.put()
        server.shutdown()
    assert isinstance(ending, OutcomeUnknown)
    assert "the request again" in str(ending.__cause__)
    assert asked == [PUT]
