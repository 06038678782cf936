"""vectors/event through the library and the auditor: every step of a valid one, and the step that refuses a bad one."""

import io
from pathlib import Path

import pytest

from invoke_log.audit.replay import replay
from invoke_log.errors import InvokeLogError
from invoke_log.format import bundle, cbor, digest, envelope, merkle
from invoke_log.format.bundle import BundleReader
from invoke_log.log.signer import FileSigner
from invoke_log.rules.event import build_body, parse_event
from tests.harness import forge
from tests.vectors.cases import Case, load, mapping, names

STEPS = ("malformed", "signature-invalid", "form-invalid")


def refused_at(case: Case) -> str:
    """Return the step at which the library refuses the case's bytes, or ok."""
    step = "malformed"
    try:
        opened = envelope.decode_body(bytes.fromhex(case["body"]))
        envelope.open_envelope(bytes.fromhex(case["body"]), bytes.fromhex(case["signature"]))
        step = "form-invalid"
        parse_event(opened, digest.EventId(bytes(32)))
    except InvokeLogError as error:
        return "signature-invalid" if error.code == "signature-invalid" else step
    return "ok"


@pytest.mark.parametrize("name", names("event"))
def test_the_library_refuses_at_the_step_that_the_vector_names(name: str) -> None:
    case = load("event", name)
    assert refused_at(case) == case["expect"]


@pytest.mark.parametrize("name", [name for name in names("event") if name.startswith("ok-")])
def test_every_step_from_fields_to_leaf_is_the_vectors(name: str) -> None:
    case = load("event", name)
    body, signature = bytes.fromhex(case["body"]), bytes.fromhex(case["signature"])
    opened = envelope.open_envelope(body, signature)
    assert digest.event_id(body).hex() == case["event_id"]
    assert merkle.leaf_hash(opened.entry).hex() == case["leaf_hash"]
    event = parse_event(opened.fields, digest.event_id(body))
    parts = {name: getattr(event, name) for name in ("log", "by", "at_ms", "prev", "effect", "resource", "state")}
    assert cbor.encode(build_body(event.data, **parts)) == body
    if "fields" not in case:  # the largest
        assert len(opened.entry) == case["entry_bytes"]
        return
    fields = mapping(case["fields"])
    assert envelope.seal(fields, FileSigner(bytes.fromhex(case["seed"]))).signature == signature
    assert cbor.encode(fields) == body
    assert envelope.protected_header(fields).hex() == case["header"]
    assert envelope.signed_bytes(fields, body).hex() == case["signed"]
    assert opened.entry.hex() == case["entry"]


def with_one_more(case: Case) -> bytes:
    """Return a bundle of the two leaves that begin a log, and behind them what a case holds."""
    beginning = BundleReader(io.BytesIO(bytes.fromhex(load("replay", "ok-smallest")["bundle"])))
    pairs = [*beginning.entries(), (bytes.fromhex(case["body"]), bytes.fromhex(case["signature"]))]
    header = bundle.Header(origin=beginning.header.origin, first=0, size=3, left_edge=())
    items = (bundle.encode_entry(body, signature) for body, signature in pairs)
    return bundle.encode_header(header) + b"".join(items) + forge.trailer(b"no note", ())


@pytest.mark.parametrize("name", names("event"))
def test_the_auditor_finds_the_fault_at_its_leaf(name: str, tmp_path: Path) -> None:
    case = load("event", name)
    path = tmp_path / "a.bundle"
    path.write_bytes(with_one_more(case))
    found = {finding.code for finding in replay(path).findings if finding.index == 2}
    assert (found & set(STEPS)) == ({case["expect"]} - {"ok"})
