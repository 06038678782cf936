"""vectors/contract and vectors/policy through the library, and as events at a leaf of a log through the auditor."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoke_log.audit.replay import replay
from invoke_log.errors import ContractInvalidError, PolicyInvalidError
from invoke_log.format import bundle, cbor, digest
from invoke_log.format.bundle import BundleReader
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import seal
from invoke_log.log.signer import FileSigner
from invoke_log.rules.contract import parse_contract
from invoke_log.rules.policy import judge, parse_policy
from tests.vectors.cases import Case, load, mapping, names, untyped

ADMIN = FileSigner(b"\1" * 32)


def registered(kind: str, data: Value) -> bytes:
    """Return a bundle of genesis, a tick, and an admin's event that carries this data."""
    beginning = list(BundleReader(io.BytesIO(bytes.fromhex(load("replay", "ok-smallest")["bundle"]))).entries())
    genesis = digest.event_id(beginning[0][0])
    body: dict[str, Value] = {
        "v": 1,
        "log": genesis,
        "kind": kind,
        "by": ADMIN.public_key,
        "at_ms": 0,
        "prev": genesis,
        "data": data,
    }
    envelope = seal(body, ADMIN)
    header = bundle.Header(origin="example.com/payments", first=0, size=3, left_edge=())
    pairs = [*beginning, (envelope.body, envelope.signature)]
    return b"".join([bundle.encode_header(header), *(bundle.encode_entry(*pair) for pair in pairs)])


def at_leaf_2(raw: bytes, folder: Path) -> list[str]:
    path = folder / "a.bundle"
    path.write_bytes(raw)
    return [finding.code for finding in replay(path).findings if finding.index == 2]


@pytest.mark.parametrize("name", names("contract"))
def test_a_contract_is_parsed_or_refused(name: str) -> None:
    case = load("contract", name)
    data = untyped(case["contract"])
    assert cbor.encode(data).hex() == case["il1"]
    if case["expect"] != "ok":
        with pytest.raises(ContractInvalidError) as refused:
            parse_contract(data)
        assert refused.value.code == case["expect"]
        return
    contract = parse_contract(data)
    assert contract.id.hex() == case["contract_id"]
    assert list(contract.identity) == case["identity"]
    assert (contract.keyed, contract.proves_absence) == (case["key_protects"], case["proves_absence"])


@pytest.mark.parametrize(
    ("area", "name"), [(area, name) for area in ("contract", "policy") for name in names(area)], ids=str
)
def test_a_refused_contract_or_policy_is_an_event_of_another_form(area: str, name: str, tmp_path: Path) -> None:
    case = load(area, name)
    found = at_leaf_2(registered(area, untyped(case[area])), tmp_path)
    assert found == ([] if case["expect"] == "ok" else ["form-invalid"])


def judged() -> Iterator[tuple[str, Case]]:
    return ((name, load("policy", name)) for name in names("policy") if load("policy", name)["expect"] == "ok")


@pytest.mark.parametrize(("name", "case"), list(judged()), ids=lambda each: each if isinstance(each, str) else "")
def test_a_policy_answers_as_the_vector_says(name: str, case: Case) -> None:
    policy = parse_policy(untyped(case["policy"]))
    assert policy.id.hex() == case["policy_id"]
    found = judge(policy, mapping(case["facts"]), mapping(case["inputs"]))
    if case["answer"] is None:
        assert found is None
        return
    assert found is not None
    assert (found.answer, found.rule, found.approvals) == (case["answer"], case["rule"], case["approvals"])


@pytest.mark.parametrize("name", names("policy", "refused"))
def test_a_policy_of_another_form_is_refused(name: str) -> None:
    case = load("policy", name)
    with pytest.raises(PolicyInvalidError) as refused:
        parse_policy(untyped(case["policy"]))
    assert refused.value.code == case["expect"]
