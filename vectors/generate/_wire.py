"""The bytes of the formats, written from SPEC with cbor2, hashlib, blake3 and PyNaCl and nothing of invoke_log.

What generators of signed things share: a vector made by the code that it tests would prove nothing.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import cbor2
from blake3 import blake3
from nacl.signing import SigningKey

Value: TypeAlias = "bool | int | bytes | str | list[Value] | dict[str, Value] | None"
Map: TypeAlias = dict[str, Value]
Case: TypeAlias = dict[str, object]
Given: TypeAlias = dict[str, Any]
"""What a call is given by name."""

ORIGIN: Final = "example.com/payments"
T0: Final = 1_790_000_000_000
TIME_MS_MAX: Final = 9_000_000_000_000_000
CONTENT_TYPE: Final = "application/vnd.invoke-log.event+cbor"
ISSUER: Final = "urn:ietf:params:oauth:ckt:sha-256:"


def files(area: str, cases: Mapping[str, Case]) -> dict[str, bytes]:
    """Return one file a case."""
    return {
        f"{area}/{name}.json": (json.dumps(case, indent=2, ensure_ascii=True) + "\n").encode("ascii")
        for name, case in cases.items()
    }


def typed(value: Value) -> object:
    """Return a value as JSON: a map is an object, a byte string is {"$bytes": hex}."""
    match value:
        case bytes():
            return {"$bytes": value.hex()}
        case list():
            return [typed(item) for item in value]
        case dict():
            return {key: typed(item) for key, item in value.items()}
        case _:
            return value


def il1(value: Value) -> bytes:
    """Return the encoding of a value that has one: with text keys cbor2's canonical order is IL1's."""
    return cbor2.dumps(value, canonical=True)


def h(context: str, raw: bytes) -> bytes:
    """Return BLAKE3 in derive_key mode under a context of SPEC's."""
    return blake3(raw, derive_key_context=f"invoke-log 2026 v1 {context}").digest()


def named(context: str, *items: Value) -> bytes:
    """Return the name that an IL1 array gives under a context."""
    return h(context, il1(list(items)))


def plain(raw: bytes) -> bytes:
    """Return the digest of an attachment."""
    return blake3(raw).digest()


def unhex(*texts: str) -> bytes:
    return bytes.fromhex("".join(texts))


@dataclass(frozen=True)
class Key:
    """An Ed25519 key whose seed is one byte repeated."""

    seed: int

    @cached_property
    def signing(self) -> SigningKey:
        return SigningKey(bytes([self.seed]) * 32)

    @cached_property
    def public(self) -> bytes:
        return bytes(self.signing.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self.signing.sign(message).signature


ADMIN, LOG, AGENT, RECONCILER, APPROVER, ATTESTOR, SECOND_AGENT, SECOND_RECONCILER, EXECUTOR, SECOND_APPROVER = (
    Key(seed) for seed in range(1, 11)
)
SECOND_ADMIN, NEXT_LOG, STRANGER = (Key(seed) for seed in range(11, 14))


def thumbprint(public: bytes) -> bytes:
    return sha256(cbor2.dumps({1: 1, -1: 6, -2: public}, canonical=True)).digest()


def protected_header(fields: Map, *, algorithm: int = -8) -> bytes:
    """Return the COSE protected header of a body."""
    by, log, effect = fields["by"], fields["log"], fields.get("effect")
    assert isinstance(by, bytes)
    assert isinstance(log, bytes)
    kid = thumbprint(by)
    subject = f"eff_{effect.hex()}" if isinstance(effect, bytes) else f"log_{log.hex()}"
    issuer = ISSUER + urlsafe_b64encode(kid).decode().rstrip("=")
    return cbor2.dumps({1: algorithm, 3: CONTENT_TYPE, 4: kid, 15: {1: issuer, 2: subject}}, canonical=True)


def signed_bytes(header: bytes, body: bytes, *, external: bytes = b"") -> bytes:
    """Return the COSE Sig_structure."""
    return cbor2.dumps(["Signature1", header, external, body])


def entry(header: bytes, body: bytes, signature: bytes) -> bytes:
    """Return the tagged COSE_Sign1."""
    return cbor2.dumps(cbor2.CBORTag(18, [header, {}, body, signature]))


def leaf_hash(raw: bytes) -> bytes:
    return sha256(b"\0" + raw).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes (RFC 9162 §2.1.1)."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root(leaves[:left]) + root(leaves[left:])).digest()


def consistency(old: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """Return the proof from the first `old` leaves to all of them (RFC 9162 §2.1.4)."""
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= left:
        return [*consistency(old, leaves[:left], whole=whole), root(leaves[left:])]
    return [*consistency(old - left, leaves[left:], whole=False), root(leaves[:left])]


def vkey(name: str, key: Key, key_type: int = 1) -> str:
    """Return a verifier key as one line."""
    return f"{name}+{key_id(name, key, key_type).hex()}+{_b64(bytes([key_type]) + key.public)}"


def key_id(name: str, key: Key, key_type: int = 1) -> bytes:
    return sha256(f"{name}\n".encode() + bytes([key_type]) + key.public).digest()[:4]


def note(origin: str, size: int, tree_root: bytes, key: Key, *, cosigner: Key | None = None) -> bytes:
    """Return a signed checkpoint."""
    text = f"{origin}\n{size}\n{_b64(tree_root)}\n"
    lines = [f"— {origin} {_b64(key_id(origin, key) + key.sign(text.encode()))}\n"]
    if cosigner is not None:
        name, time_s = "witness.example/1", T0 // 1000
        signature = cosigner.sign(f"cosignature/v1\ntime {time_s}\n{text}".encode())
        lines.append(f"— {name} {_b64(key_id(name, cosigner, 4) + time_s.to_bytes(8, 'big') + signature)}\n")
    return f"{text}\n{''.join(lines)}".encode()


def bundle(
    origin: str, leaves: Sequence[tuple[bytes, bytes]], trailer: bytes, *, size: int | None = None, first: int = 0
) -> bytes:
    """Return a bundle from its header on; `trailer` as `trailer_item` makes it, or whatever stands there instead."""
    edge: list[Value] = [b"e" * 32] * first.bit_count()
    header = il1(["invoke-log bundle 1", origin, first, len(leaves) if size is None else size, edge])
    return header + b"".join(il1([body, signature]) for body, signature in leaves) + trailer


def trailer_item(signed_note: bytes, attachments: Iterable[bytes] = ()) -> bytes:
    in_order: list[Value] = [*sorted(attachments, key=plain)]
    return il1([signed_note, in_order])


def expand(template: str, values: Map) -> str:
    """Return a resource: each {name} replaced by its value, percent-encoded."""
    return re.sub(r"\{([^{}]*)\}", lambda match: quote(str(values[match[1]]), safe="-._~"), template)


def _b64(raw: bytes) -> str:
    return b64encode(raw).decode()
