"""The closed set of event kinds: what each says, in which fields. SPEC §6 [EVT-1] to [EVT-4] and its CDDL.

`parse_event` is the only way from a body to an `Event`; `build_body` the only way back. Each kind is one dataclass
whose fields are exactly the fields of `data`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypedDict, Unpack, cast

from invoke_log.errors import ContractInvalidError, MalformedError, PolicyInvalidError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.contract import Contract, parse_contract
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    EVIDENCE_KINDS,
    FORMAT_VERSION,
    NOT_COMMITTED,
    PRESENT,
    ROLES,
    SCOPED_ROLES,
    UNKNOWN,
    Approval,
    Attestation,
    Data,
    Denial,
    Evidence,
    Freeze,
    Genesis,
    Grant,
    Handle,
    Intent,
    KeyParts,
    Note,
    Oath,
    Observation,
    Outcome,
    Recovery,
    Redrive,
    Refusal,
    Release,
    Resolution,
    Revoke,
    Scope,
    Start,
    Suspect,
    Tick,
    Unfreeze,
    Verdict,
    Withdraw,
)
from invoke_log.rules.policy import VERDICT_SCHEMA, Policy, parse_policy

_ID: Final = schema.blob(32, 32)
_ID_OR_NULL: Final = schema.blob(32, 32, nullable=True)
_REASON: Final = schema.text(4096)
_IDS: Final = schema.unique(_ID, limits.APPROVALS_MAX)
_REFERENCE: Final = schema.record({"attachment": _ID, "size": schema.integer(0)}, nullable=True)
_SCOPE: Final = schema.record({"effect_class": schema.text(48), "prefix": schema.text(limits.RESOURCE_BYTES_MAX)})
_STATUS: Final = schema.enum(COMMITTED, NOT_COMMITTED, UNKNOWN)
_EVIDENCE: Final = schema.record(
    {
        "kind": schema.enum(*EVIDENCE_KINDS),
        "reference": schema.text(512, nullable=True),
        "failure": schema.token(128, nullable=True),
        "tick": _ID_OR_NULL,
        "observations": _IDS,
        "attachment": _REFERENCE,
    }
)
_KEY_SET: Final = schema.unique(_ID, 64)


_TIME: Final = schema.integer(0, limits.TIME_MS_MAX)
_VERDICT: Final = VERDICT_SCHEMA
_DATA: Final[dict[str, tuple[type, dict[str, schema.Schema]]]] = {
    "genesis": (
        Genesis,
        {
            "format": schema.integer(FORMAT_VERSION, FORMAT_VERSION),
            "origin": schema.text(256),
            "log_key": _ID,
            "admin_keys": _KEY_SET,
        },
    ),
    "grant": (Grant, {"subject": schema.text(256), "key": _ID, "role": schema.enum(*ROLES), "scope": _SCOPE}),
    "revoke": (Revoke, {"key": _ID_OR_NULL, "grant": _ID_OR_NULL, "suspect_from": schema.integer(0, nullable=True)}),
    "withdraw": (Withdraw, {"contract_id": _ID, "reason": _REASON}),
    "freeze": (Freeze, {"scope": _SCOPE, "reason": _REASON}),
    "unfreeze": (Unfreeze, {"scope": _SCOPE, "reason": _REASON}),
    "recovery": (
        Recovery,
        {
            "old_origin": schema.text(256),
            "origin": schema.text(256),
            "size": schema.integer(1),
            "root": _ID,
            "checkpoint": schema.blob(1, limits.RECOVERY_CHECKPOINT_BYTES_MAX, nullable=True),
            "log_key": _ID,
            "amnesia": schema.boolean(),
        },
    ),
    "oath": (Oath, {"scope": _SCOPE, "recovery": _ID, "reason": _REASON}),
    "tick": (Tick, {"time_ms": _TIME, "covers": schema.integer(0), "map": _ID_OR_NULL}),
    "intent": (
        Intent,
        {
            "contract_id": _ID,
            "purpose": schema.text(512),
            "identity": schema.mapping(schema.anything(), 64),
            "content": schema.mapping(schema.anything(), 64),
            "snapshot_id": _ID_OR_NULL,
            "after": _ID_OR_NULL,
            "again": _ID_OR_NULL,
            "verdict": _VERDICT,
        },
    ),
    "approval": (Approval, {"intent": _ID, "shown": _ID}),
    "denial": (Denial, {"intent": _ID, "shown": _ID, "reason": _REASON}),
    "release": (Release, {"intent": _ID, "reason": _REASON}),
    "start": (
        Start,
        {
            "intent": _ID,
            "approvals": _IDS,
            "verdict": _VERDICT,
            "snapshot_id": _ID_OR_NULL,
            "nonce_hash": _ID,
            "provider_key": _ID,
            "tag": _ID,
        },
    ),
    "outcome": (
        Outcome,
        {
            "start": _ID,
            "nonce": schema.blob(16, 16, nullable=True),
            "status": _STATUS,
            "evidence": _EVIDENCE,
            "result": schema.blob(0, limits.RAW_INLINE_BYTES_MAX, nullable=True),
        },
    ),
    "suspect": (Suspect, {"start": _ID}),
    "redrive": (Redrive, {"start": _ID, "nonce_hash": _ID, "provider_key": _ID}),
    "resolution": (
        Resolution,
        {
            "presence": schema.enum(PRESENT, ABSENT),
            "contract_id": _ID,
            "generation": schema.integer(1),
            "evidence": _EVIDENCE,
            "of": schema.record(
                {"purpose": schema.text(512), "identity": schema.mapping(schema.anything(), 64)}, nullable=True
            ),
        },
    ),
    "attestation": (
        Attestation,
        {"status": schema.enum(COMMITTED, NOT_COMMITTED), "reason": _REASON, "attachment": _REFERENCE},
    ),
    "note": (Note, {"about": _ID, "text": schema.text(16_384)}),
    "observation": (
        Observation,
        {"about": _ID, "presence": schema.enum(PRESENT, ABSENT, "unclear"), "evidence": _EVIDENCE},
    ),
    "handle": (Handle, {"about": _ID, "handle": schema.text(512)}),
    "refusal": (
        Refusal,
        {
            "issuer": _ID,
            "effect": _ID,
            "resource": schema.text(limits.RESOURCE_BYTES_MAX),
            "blocker": _ID_OR_NULL,
            "reason": schema.token(64),
            "count": schema.integer(1),
            "first_ms": _TIME,
            "last_ms": _TIME,
        },
    ),
}
CHAINED_KINDS: Final = frozenset(
    ("intent", "approval", "denial", "release", "start", "outcome", "suspect", "redrive", "resolution", "attestation")
)
ABOUT_KINDS: Final = frozenset(("note", "observation", "handle"))
EFFECT_KINDS: Final = CHAINED_KINDS | ABOUT_KINDS
GOVERNANCE_KINDS: Final = frozenset(
    ("genesis", "grant", "revoke", "contract", "withdraw", "policy", "freeze", "unfreeze", "recovery", "oath")
)
KINDS: Final = frozenset((*_DATA, "contract", "policy"))

_DATA_CHECKS: Final = {kind: schema.compile_schema(schema.record(spec)) for kind, (_, spec) in _DATA.items()}
_COMMON: Final[dict[str, schema.Schema]] = {
    "v": schema.integer(FORMAT_VERSION, FORMAT_VERSION),
    "log": _ID,
    "kind": schema.enum(*sorted(KINDS)),
    "by": _ID,
    "at_ms": _TIME,
    "prev": _ID_OR_NULL,
    "data": schema.anything(),
}
_OF_EFFECT: Final[dict[str, schema.Schema]] = {"effect": _ID, "resource": schema.text(limits.RESOURCE_BYTES_MAX)}
_SHAPES: Final = {
    "other": schema.compile_schema(schema.record(_COMMON)),
    "effect": schema.compile_schema(schema.record({**_COMMON, **_OF_EFFECT})),
    "intent": schema.compile_schema(schema.record({**_COMMON, **_OF_EFFECT, "state": _ID})),
}
_BODY_CHECKS: Final = {
    kind: _SHAPES["intent" if kind == "intent" else "effect" if kind in EFFECT_KINDS else "other"] for kind in KINDS
}
_NESTED: Final[dict[str, type]] = {"scope": Scope, "evidence": Evidence, "verdict": Verdict, "of": KeyParts}


class Event(NamedTuple):
    """What an issuer says, once. `effect` and `resource` are None outside an effect, `state` outside an intent.

    at_ms is a claim that no rule reads. id is the hash of the body, never of the signature.
    """

    id: digest.EventId
    kind: str
    log: bytes
    by: bytes
    at_ms: int
    prev: bytes | None
    effect: bytes | None
    resource: str | None
    state: bytes | None
    data: Data


class OfEffect(TypedDict, total=False):
    """The fields of a body that an event of an effect adds, `state` an intent alone; None stands for not there."""

    effect: bytes | None
    resource: str | None
    state: bytes | None


def parse_event(body_fields: dict[str, Value], event_id: digest.EventId) -> Event:
    """Return the event that a decoded body says.

    Raises: MalformedError: a field missing, unknown, of another type or out of bounds; it names the path.
    Source: SPEC §6 [EVT-1], [EVT-2].
    """
    kind = body_fields.get("kind")
    if type(kind) is not str or kind not in KINDS:
        raise MalformedError(f"body: $.kind is {repr(kind)[:40]}, want one of {', '.join(sorted(KINDS))}")
    _BODY_CHECKS[kind](body_fields, "$")
    known: dict[str, Any] = body_fields
    return Event(
        id=event_id,
        kind=kind,
        log=known["log"],
        by=known["by"],
        at_ms=known["at_ms"],
        prev=known["prev"],
        effect=known.get("effect"),
        resource=known.get("resource"),
        state=known.get("state"),
        data=parse_data(kind, known["data"]),
    )


def parse_data(kind: str, data: Value) -> Data:
    """Return the `data` of an event of this kind. Raises MalformedError."""
    try:
        if kind == "contract":
            return parse_contract(data)
        if kind == "policy":
            return parse_policy(data)
    except (ContractInvalidError, PolicyInvalidError) as error:
        raise MalformedError(f"$.data: {error.message}") from error
    _DATA_CHECKS[kind](data, "$.data")
    parsed: Data = _construct(_MAKINGS[kind], data)
    _check_shape(parsed)
    return parsed


def data_map(data: Data) -> dict[str, Value]:
    """Return the map that stands in a body's `data`."""
    if isinstance(data, Contract | Policy):
        return data.data
    return _to_map(data)


def kind_of(data: Data) -> str:
    """Return the kind of event that carries this data."""
    return _KIND_OF[type(data)]


def build_body(
    data: Data,
    *,
    log: bytes,
    by: bytes,
    at_ms: int,
    prev: bytes | None,
    **of_effect: Unpack[OfEffect],
) -> dict[str, Value]:
    """Return the body of an event, ready to be sealed; the caller gives what the kind has of `OfEffect`."""
    body: dict[str, Value] = {
        "v": FORMAT_VERSION,
        "log": log,
        "kind": kind_of(data),
        "by": by,
        "at_ms": at_ms,
        "prev": prev,
        "data": data_map(data),
    }
    return body | {name: cast("Value", value) for name, value in of_effect.items() if value is not None}


class _Making(NamedTuple):
    """How a checked map becomes its class: what sets each field, and what its value becomes first, unless it is null.

    Each kind has one, so that nothing is looked for in an event. To set the slots takes half of what the class's own
    `__init__` takes, which finds each by its name since it is frozen (4 of 8 us for an event).
    """

    kind: type
    fields: tuple[tuple[str, Callable[[object, Any], None], Callable[[Any], Any] | None], ...]


def _making(kind: type, spec: Mapping[str, Value]) -> _Making:
    return _Making(kind, tuple((name, vars(kind)[name].__set__, _becomes(name, of)) for name, of in spec.items()))


def _becomes(name: str, spec: Any) -> Callable[[Any], Any] | None:  # noqa: ANN401  # a schema, checked when compiled
    if name in _NESTED:
        return partial(_construct, _making(_NESTED[name], spec["fields"]))
    return tuple if spec["type"] in ("list", "set") else None


def _construct(making: _Making, data: Any) -> Any:  # noqa: ANN401  # the kind says which class
    made: Any = object.__new__(making.kind)
    for name, put, becomes in making.fields:
        value = data[name]
        put(made, value if becomes is None or value is None else becomes(value))
    return made


def _to_map(data: Any) -> dict[str, Value]:  # noqa: ANN401  # any kind, or what is nested in one
    result: dict[str, Value] = {}
    for name in data.__slots__:
        value = getattr(data, name)
        if name in _NESTED and value is not None:
            value = _to_map(value)
        elif isinstance(value, tuple):
            value = list(value)
        result[name] = value
    return result


def _check_shape(data: Data) -> None:
    """Check what a closed schema cannot say: relations between fields of one event [EVT-3]."""
    match data:
        case Intent() | Start() | Outcome():  # most events are one of them
            pass
        case Genesis() if not data.admin_keys:
            raise MalformedError("$.data.admin_keys: found no key, want at least one")
        case Grant() if data.role not in SCOPED_ROLES and data.scope != Scope(effect_class="*", prefix=""):
            raise MalformedError(
                f"$.data.scope: a scope does not bind the role {data.role}, want class * and an empty prefix"
            )
        case Grant() | Freeze() | Unfreeze() | Oath() if data.scope.prefix and not data.scope.prefix.endswith("/"):
            raise MalformedError(
                f"$.data.scope.prefix: found {data.scope.prefix[:60]!r}, want one that ends at / or is empty"
            )
        case Revoke() if (data.key is None) == (data.grant is None):
            raise MalformedError("$.data: want exactly one of key and grant, the other null")
        case Resolution() if data.presence == ABSENT and data.of is not None:
            raise MalformedError("$.data.of: found the parts of a key, want null where an effect is absent")
        case Attestation() if not data.reason:
            raise MalformedError("$.data.reason: found no text, want what the attestor knows and how")
        case _:
            pass


_MAKINGS: Final = {kind: _making(made, spec) for kind, (made, spec) in _DATA.items()}
_KIND_OF: Final[dict[type, str]] = {
    **{kind: name for name, (kind, _) in _DATA.items()},
    Contract: "contract",
    Policy: "policy",
}


def references_of(event: Event) -> list[tuple[bytes, int]]:
    """Return what an event names as `{attachment, size}`: a digest and a size in bytes, one of each naming [EVT-4]."""
    match event.data:
        case Intent() as data:
            named = [value for value in data.content.values() if type(value) is dict]
        case Outcome() | Resolution() | Observation() as data:
            named = [data.evidence.attachment] if data.evidence.attachment is not None else []
        case Attestation() as data:
            named = [data.attachment] if data.attachment is not None else []
        case _:
            return []
    references = ((value.get("attachment"), value.get("size")) for value in named if len(value) == 2)
    return [(key, size) for key, size in references if type(key) is bytes and len(key) == 32 and type(size) is int]


def attachments_of(event: Event) -> set[bytes]:
    """Return the digests of everything that belongs with an event: what it names, and its snapshot [EVT-4]."""
    snapshot = event.data.snapshot_id if isinstance(event.data, Intent | Start) else None
    return {*(key for key, _ in references_of(event)), *([snapshot] if snapshot is not None else [])}
