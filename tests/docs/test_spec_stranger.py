"""A stranger's reader, written from SPEC.md alone, gets the values in SPEC.md: nothing of ours is imported here."""

import base64
import hashlib
import json
import re
import struct
from functools import reduce
from pathlib import Path
from typing import Any, Final

from blake3 import blake3
from nacl.signing import SigningKey, VerifyKey

SPEC: Final = (Path(__file__).parents[2] / "SPEC.md").read_text(encoding="utf-8")
BLOCKS: Final[dict[str, str]] = dict(re.findall(r"^```text (\S+)\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL))
SIGNERS: Final = [SigningKey(bytes([seed]) * 32) for seed in (1, 2, 3, 4)]


def named(block: str) -> dict[str, bytes]:
    rows = (line.split() for line in BLOCKS[block].splitlines())
    return {name: bytes.fromhex(value) for name, value in rows}


def il1(value: object) -> bytes:
    """Section 2."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list():
            return _head(4, len(value)) + b"".join(map(il1, value))
        case dict():
            keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return _head(5, len(value)) + b"".join(il1(key) + il1(value[key]) for key in keys)
        case _:
            raise TypeError(value)


def _head(major: int, count: int) -> bytes:
    if count < 24:
        return bytes([major << 5 | count])
    size = next(at for at in range(4) if count < 1 << (8 << at))
    return bytes([major << 5 | 24 + size]) + struct.pack((">B", ">H", ">I", ">Q")[size], count)


def name(context: str, *inputs: object) -> bytes:
    """Section 3: H(context, [inputs])."""
    return derive(context, il1(list(inputs)))


def derive(context: str, raw: bytes) -> bytes:
    return blake3(raw, derive_key_context=f"invoke-log 2026 v1 {context}").digest()


def parse(text: str) -> dict[str, Any]:
    """A body in the diagnostic notation of the examples, which is JSON but for byte strings."""

    def restored(value: object) -> object:
        match value:
            case str() if value.startswith("\0"):
                return bytes.fromhex(value[1:])
            case list():
                return [restored(item) for item in value]
            case dict():
                return {key: restored(item) for key, item in value.items()}
            case _:
                return value

    found = restored(json.loads(re.sub(r"h'([0-9a-f]*)'", r'"\\u0000\1"', text)))
    assert isinstance(found, dict)
    return found


def entry(body: dict[str, Any]) -> bytes:
    """Section 5.3."""
    raw = il1(body)
    kid = hashlib.sha256(bytes.fromhex("a301012006215820") + body["by"]).digest()
    issuer = "urn:ietf:params:oauth:ckt:sha-256:" + base64.urlsafe_b64encode(kid).rstrip(b"=").decode()
    subject = f"eff_{body['effect'].hex()}" if "effect" in body else f"log_{body['log'].hex()}"
    claims = b"\xa2\x01" + il1(issuer) + b"\x02" + il1(subject)
    header = b"\xa4\x01\x27\x03" + il1("application/vnd.invoke-log.event+cbor") + b"\x04" + il1(kid) + b"\x0f" + claims
    signed = b"\x84" + il1("Signature1") + il1(header) + b"\x40" + il1(raw)
    [signer] = [signer for signer in SIGNERS if bytes(signer.verify_key) == body["by"]]
    return b"\xd2\x84" + il1(header) + b"\xa0" + il1(raw) + b"\x58\x40" + signer.sign(signed).signature


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: list[bytes]) -> bytes:
    """Section 13.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:split]), root(leaves[split:]))


TEXTS: Final = [BLOCKS["genesis"], BLOCKS["first-event"], *re.split(r"/ leaf \d+ /\n", BLOCKS["bodies"])[1:]]
BODIES: Final = [parse(text) for text in TEXTS]
IDS: Final = [derive("event", il1(body)) for body in BODIES]
LEAVES: Final = [hashlib.sha256(b"\x00" + entry(body)).digest() for body in BODIES]
INTENT: Final = BODIES[7]


def test_the_bytes_of_genesis_are_those_in_hex() -> None:
    def spelled(block: str) -> bytes:
        return bytes.fromhex(BLOCKS[block].replace("\n", ""))

    assert (il1(BODIES[0]), entry(BODIES[0])) == (spelled("genesis-body"), spelled("genesis-entry"))
    assert il1(BODIES[1]) == spelled("first-event-body")
    assert BLOCKS["first-event-id"] == f"evt_{IDS[1].hex()}\n"
    assert spelled("bundle").startswith(il1(["invoke-log bundle 1", BODIES[0]["data"]["origin"], 0, 2, []]))


def test_every_event_id_and_leaf_hash_of_the_appendix_comes_out() -> None:
    listed = [bytes.fromhex(found) for found in re.findall(r"[0-9a-f]{64}", BLOCKS["leaves"])]
    assert listed == [each for pair in zip(IDS, LEAVES, strict=True) for each in pair]


def test_every_name_comes_out() -> None:
    data, effect, state = INTENT["data"], INTENT["effect"], INTENT["state"]
    contract, resource = name("contract", BODIES[6]["data"]), INTENT["resource"]
    request = name("request", {**data["identity"], **data["content"]})
    assert named("names") == {
        "contract_id": contract,
        "policy_id": name("policy", BODIES[5]["data"]),
        "effect_key": name("effect", "money.charge/1", resource, data["purpose"], data["identity"]),
        "request": request,
        "S_0": name("zero", IDS[0], resource),
        "intent": IDS[7],
        "S_1": name("state", state, IDS[7]),
        "decision_key": name("decision", contract, effect, 1, request, None, state),
        "tag": name("tag", effect, 1),
        "provider_key": name("provider", effect, 1, 0),
        "nonce_hash": name("nonce", bytes(range(16))),
        "attachment": blake3(b"").digest(),
    }
    assert (named("names")["effect_key"], named("names")["S_0"]) == (effect, state)


def test_both_state_roots_come_out() -> None:
    moved = name("state", named("names")["S_1"], IDS[11])
    effects = derive("effects", il1([[INTENT["effect"], "committed", 1, 1, IDS[11]]]))
    resources = derive("resources", il1([[INTENT["resource"], moved]]))
    nothing = (derive("effects", il1([])), derive("resources", il1([])))
    assert named("state-roots") == {
        "after_leaf_1": name("root", 2, IDS[0], *nothing),
        "after_leaf_11": name("root", 12, IDS[6], effects, resources),
    }


def test_the_checkpoint_and_the_proof_hold() -> None:
    origin, size, encoded, _, line, _ = BLOCKS["note"].split("\n")
    payload = base64.b64decode(line.split(" ")[2])
    VerifyKey(BODIES[0]["data"]["log_key"]).verify(f"{origin}\n{size}\n{encoded}\n".encode(), payload[4:])
    proof = [bytes.fromhex(each) for each in BLOCKS["inclusion"].split()]
    # Leaf 11 of 12 is a right child all the way up, so each sibling stands on its left.
    assert reduce(lambda below, left: node(left, below), proof, LEAVES[11]) == root(LEAVES) == base64.b64decode(encoded)


def test_the_map_and_the_rendering_come_out() -> None:
    found = named("map")
    value = name("map value", "committed", 1, [1], IDS[11], 11)
    leaf = derive("map leaf", found["key"] + value)
    other = derive("map leaf", found["other_key"] + found["other_value"])
    assert (found["value"], found["root_of_one"]) == (value, leaf)
    assert found["root_of_two"] == derive("map node", other + leaf)
    text, shown = BLOCKS["rendering"].split("\nshown: ")
    assert blake3(text.encode()).hexdigest() == shown.strip()
