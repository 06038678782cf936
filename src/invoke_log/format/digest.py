"""Domain-separated hashes, and the 32-byte names made with them. SPEC §3 [ID-1] to [ID-14].

Every name is `BLAKE3-derive_key("invoke-log 2026 v1 <name>", bytes)`: two uses of one hash can never meet. Event ids
hash the body's own bytes; every other name hashes one IL1 array. Attachments alone use plain BLAKE3, so that `b3sum
FILE` checks them.

>>> attachment_digest(b"").hex()[:16]
'af1349b9f5f9a1a6'
"""

from collections.abc import Iterable, Sequence
from typing import Final, NewType

from blake3 import blake3

from invoke_log.errors import MalformedError
from invoke_log.format import cbor

EventId = NewType("EventId", bytes)
EffectKey = NewType("EffectKey", bytes)
DecisionKey = NewType("DecisionKey", bytes)
ContractId = NewType("ContractId", bytes)
PolicyId = NewType("PolicyId", bytes)
StateHash = NewType("StateHash", bytes)
Digest = NewType("Digest", bytes)
"""Plain BLAKE3 of an attachment; a snapshot id is the digest of the snapshot's IL1 bytes."""

LeafIndex = NewType("LeafIndex", int)
TreeSize = NewType("TreeSize", int)
UnixMs = NewType("UnixMs", int)

Rows = tuple[int, Iterable[cbor.Value]]
"""How many there are, and they: nobody needs to hold them all."""

CONTEXT_NAMES: Final = (
    "event",
    "zero",
    "state",
    "contract",
    "policy",
    "effect",
    "request",
    "decision",
    "tag",
    "provider",
    "nonce",
    "root",
    "effects",
    "resources",
    "map leaf",
    "map node",
    "map value",
)
_HASHERS: Final = {name: blake3(derive_key_context=f"invoke-log 2026 v1 {name}") for name in CONTEXT_NAMES}

PREFIXES: Final = ("evt", "eff", "dec", "ctr", "pol", "snp", "key")


def derive(context: str, raw: bytes) -> bytes:
    """Return the 32-byte BLAKE3 `derive_key` hash of `raw` under one of `CONTEXT_NAMES` [ID-1]."""
    hasher = _HASHERS[context].copy()
    hasher.update(raw)
    return hasher.digest()


def _derive_list(context: str, count: int, rows: Iterable[cbor.Value]) -> bytes:
    """The hash of an IL1 array that may be larger than any item: its head, then its rows, fed one by one."""
    hasher = _HASHERS[context].copy()
    hasher.update(cbor.array_head(count))
    for row in rows:
        hasher.update(cbor.encode(row))
    return hasher.digest()


def derive_item(context: str, item: list[cbor.Value]) -> bytes:
    """Return the hash of one IL1 array under a context [ID-1]. Raises MalformedError where the array is not IL1."""
    return derive(context, cbor.encode(item))


def _derive_flat(context: str, item: list[bytes | int | None]) -> bytes:
    """The same of an array without text, which takes half the time: a call on the log derives ten of them [ID-1]."""
    return derive(context, cbor.encode_flat(item))


def event_id(body: bytes) -> EventId:
    """Return the id of an event: the hash of its canonical body, never of its signature [ID-2]."""
    return EventId(derive("event", body))


def state_zero(log_id: bytes, resource: str) -> StateHash:
    """Return S_0, the state hash of a resource that no event has moved yet [ID-3]."""
    return StateHash(derive_item("zero", [log_id, resource]))


def state_next(state: bytes, moved_by: EventId) -> StateHash:
    """Return the state hash after an event that advances it [ID-4]."""
    return StateHash(_derive_flat("state", [state, moved_by]))


def contract_id(contract: dict[str, cbor.Value]) -> ContractId:
    """Return the name of a contract: the hash of its data, so that two logs give one contract one name [ID-5]."""
    return ContractId(derive_item("contract", [contract]))


def policy_id(policy: dict[str, cbor.Value]) -> PolicyId:
    """Return the name of a policy, likewise [ID-5]."""
    return PolicyId(derive_item("policy", [policy]))


def effect_key(effect_class: str, resource: str, purpose: str, identity: dict[str, cbor.Value]) -> EffectKey:
    """Return the name of one intended effect: no issuer, no clock, no call id, no snapshot, no prose [ID-7]."""
    return EffectKey(derive_item("effect", [effect_class, resource, purpose, identity]))


def request_digest(arguments: dict[str, cbor.Value]) -> bytes:
    """Return the hash of the identity and content arguments as they will be sent [ID-8]."""
    return derive_item("request", [arguments])


def decision_key(
    *,
    contract: bytes,
    effect: bytes,
    generation: int,
    request: bytes,
    snapshot: bytes | None,
    state: bytes,
) -> DecisionKey:
    """Return the name of a decision: two issuers who saw the same world and decide the same collide on it [ID-9]."""
    return DecisionKey(_derive_flat("decision", [contract, effect, generation, request, snapshot, state]))


def tag(effect: bytes, generation: int) -> bytes:
    """Return the 32 bytes planted in the provider's own object and read back; they never rotate [ID-10]."""
    return _derive_flat("tag", [effect, generation])


def provider_key(effect: bytes, generation: int, turn: int) -> bytes:
    """Return the provider's idempotency key, 32 bytes; `turn` counts the keys that were burnt before it [ID-11]."""
    return _derive_flat("provider", [effect, generation, turn])


def nonce_hash(nonce: bytes) -> bytes:
    """Return what START publishes of the 16-byte nonce that its process keeps in memory [ID-12]."""
    return _derive_flat("nonce", [nonce])


def state_root(size: int, governance_head: bytes, effects: Rows, resources: Rows) -> bytes:
    """Return the hash of what a replay derived from `size` leaves, void ones included [ID-14].

    Args: effects, resources: the rows of SPEC §12, already in order. They are hashed as one IL1 array each, of any
    length.
    """
    return derive_item(
        "root", [size, governance_head, _derive_list("effects", *effects), _derive_list("resources", *resources)]
    )


def map_value(status: str, generation: int, committed: Sequence[int], last: bytes, index: int) -> bytes:
    """Return what the map holds for an effect: its status, its committed generations ascending, its head and that
    leaf [ID-15].
    """
    return derive_item("map value", [status, generation, list[cbor.Value](committed), last, index])


def attachment_digest(raw: bytes) -> Digest:
    """Return plain BLAKE3 of an attachment or of a snapshot's IL1 bytes, as `b3sum` prints it [ID-6]."""
    return Digest(blake3(raw).digest())


def format_id(prefix: str, raw: bytes) -> str:
    """Return an id as people read it: `evt_` and 64 lower-case hex digits [ID-13]."""
    return f"{prefix}_{raw.hex()}"


def parse_id(text: str, prefix: str) -> bytes:
    """Return the 32 bytes of a printed id; the prefix may be left out [ID-13].

    Raises: MalformedError: another prefix, another length, or anything but lower-case hex.
    """
    digits = text.removeprefix(f"{prefix}_")
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise MalformedError(f"id is {text[:80]!r}, want {prefix}_ and 64 lower-case hex digits")
    return bytes.fromhex(digits)
