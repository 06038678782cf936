"""vectors/digest through the library: every named hash."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from invoke_log.errors import MalformedError
from invoke_log.format import cbor, digest
from tests.vectors.cases import load, names, untyped

BY_NAME: Final[dict[str, Callable[..., bytes]]] = {
    "zero": digest.state_zero,
    "state": digest.state_next,
    "contract": digest.contract_id,
    "policy": digest.policy_id,
    "effect": digest.effect_key,
    "request": digest.request_digest,
    "decision": lambda contract, effect, generation, request, snapshot, state: digest.decision_key(
        contract=contract, effect=effect, generation=generation, request=request, snapshot=snapshot, state=state
    ),
    "tag": digest.tag,
    "provider": digest.provider_key,
    "nonce": digest.nonce_hash,
    "map value": digest.map_value,
}


@pytest.mark.parametrize("name", names("digest", "array"))
def test_a_name_is_the_hash_of_its_array_under_its_context(name: str) -> None:
    case = load("digest", name)
    items: Any = untyped(case["input"])
    assert cbor.encode(items).hex() == case["il1"]
    assert digest.derive_item(case["context"], items).hex() == case["digest"]
    assert BY_NAME[case["context"]](*items).hex() == case["digest"]


@pytest.mark.parametrize("name", names("digest", "raw"))
def test_a_name_of_joined_bytes_is_their_hash(name: str) -> None:
    case = load("digest", name)
    raw = bytes.fromhex(case["raw"])
    assert digest.derive(case["context"], raw).hex() == case["digest"]
    if case["context"] == "event":
        assert digest.event_id(raw).hex() == case["digest"]


@pytest.mark.parametrize("name", names("digest", "attachment"))
def test_an_attachment_is_named_by_plain_blake3(name: str) -> None:
    case = load("digest", name)
    assert digest.attachment_digest(bytes.fromhex(case["raw"])).hex() == case["digest"]


@pytest.mark.parametrize("name", names("digest", "state-root"))
def test_a_state_root_is_the_hash_of_its_rows(name: str) -> None:
    case = load("digest", name)
    effects: Any = untyped(case["effects"])
    resources: Any = untyped(case["resources"])
    head = bytes.fromhex(case["governance_head"])
    assert digest.derive_item("effects", effects).hex() == case["effects_digest"]
    assert digest.derive_item("resources", resources).hex() == case["resources_digest"]
    assert (
        digest.state_root(case["size"], head, (len(effects), effects), (len(resources), resources)).hex()
        == case["digest"]
    )


@pytest.mark.parametrize("name", names("digest", "id"))
def test_an_id_has_one_spelling(name: str) -> None:
    case = load("digest", name)
    if case["expect"] == "ok":
        assert digest.parse_id(case["text"], case["prefix"]).hex() == case["raw"]
        assert digest.format_id(case["prefix"], bytes.fromhex(case["raw"])) == case["text"]
    else:
        with pytest.raises(MalformedError):
            digest.parse_id(case["text"], case["prefix"])


def test_every_context_has_a_vector() -> None:
    covered = {load("digest", name).get("context") for name in names("digest")}
    assert set(digest.CONTEXT_NAMES) - covered == {"root", "effects", "resources"}  # state roots cover these
