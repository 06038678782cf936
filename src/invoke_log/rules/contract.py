"""What a tool promises: its effect class and key rule, its limits, and how its outcomes settle. SPEC §7.1.

A contract is data. It is registered as an event, intents pin its id, and registration refuses what cannot work.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final, cast

from invoke_log.errors import ContractInvalidError, MalformedError
from invoke_log.format import cbor, digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.schema import Check, Schema
from invoke_log.rules.snapshot import Profile, profile_of

KEY_TYPES: Final = ("token", "enum", "integer", "decimal", "time")
OBSERVABILITIES: Final = ("transactional", "queryable", "webhook-confirmable", "fire-and-forget")
LEVELS: Final = ("durable", "anchored", "witnessed")
GRADES: Final = ("E0", "E1", "E2", "E3", "E4")
DURATION_MS_MAX: Final = 10 * 365 * 86_400_000
"""Ten years: longer than any provider keeps a key, short enough that sums of durations stay exact integers."""

EFFECT_CLASS_CHARS_MAX: Final = 48
"""Characters of an effect class: it stands in the memo beside an effect's head, which has 256 bytes in all."""

NEVER_DEFINITE: Final = frozenset(
    (
        "conflict",
        "idempotency_error",
        "idempotency_key_in_use",
        "idempotency_key_reused",
        "key_in_use",
        "key_mismatch",
        "key_used_with_other_parameters",
        "rate_limit",
        "timeout",
        "too_early",
        "too_many_requests",
        "connection_reset",
    )
)
"""Answers that say nothing about the effect: the key's first call may have landed, or the provider has not looked yet.
The numbers that say the same are refused too.
"""

_ARGUMENT: Final = schema.record(
    {
        "role": schema.enum("identity", "content", "volatile"),
        "schema": schema.anything(),
        "raw": schema.boolean(),
        "private": schema.boolean(),
        "default": schema.listing(schema.anything(), 1, "one value, or no default", nullable=True),
    }
)
_DURATION: Final = schema.integer(0, DURATION_MS_MAX)
_WORDS: Final = schema.unique(schema.token(128), 64)
SCHEMA: Final = schema.record(
    {
        "name": schema.token(128),
        "version": schema.integer(1),
        "effect_class": schema.token(EFFECT_CLASS_CHARS_MAX),
        "retires": schema.record(
            {
                "effect_class": schema.token(EFFECT_CLASS_CHARS_MAX),
                "resource": schema.text(limits.RESOURCE_BYTES_MAX),
                "purpose": schema.token(128, nullable=True),
                "identity": schema.unique(schema.token(128), 64),
            },
            nullable=True,
        ),
        "realm": schema.mapping(schema.token(128), 16),
        "resource": schema.text(limits.RESOURCE_BYTES_MAX),
        "purpose": schema.token(128, nullable=True),
        "arguments": schema.mapping(_ARGUMENT, 64),
        "observability": schema.enum(*OBSERVABILITIES),
        "timeout_ms": _DURATION,
        "send_deadline_ms": _DURATION,
        "quiescence_ms": _DURATION,
        "claim_ttl_ms": _DURATION,
        "provider_key": schema.record(
            {
                "place": schema.text(256),
                "retention_ms": _DURATION,
                "mismatch": schema.enum("refused", "replayed", "ignored"),
                "stores": schema.enum("all", "success", "none"),
            },
            nullable=True,
        ),
        "definite_failures": _WORDS,
        "read_back": schema.record(
            {
                "operation": schema.token(128),
                "tag": schema.token(128),
                "complete": schema.boolean(),
                "lag_ms": _DURATION,
            },
            nullable=True,
        ),
        "webhook": schema.record(
            {"scheme": schema.token(128), "key_id": schema.token(128), "positive": _WORDS, "negative": _WORDS},
            nullable=True,
        ),
        "void": schema.token(128, nullable=True),
        "handle": schema.token(128, nullable=True),
        "profile": schema.anything(),
        "may_drift": _WORDS,
        "compensation": schema.token(128, nullable=True),
        "approvals": schema.record({"count": schema.integer(0, limits.APPROVALS_MAX), "ttl_ms": _DURATION}),
        "reconcilers": schema.integer(1, 16),
        "level": schema.enum(*LEVELS),
        "minimum_grade": schema.enum(*GRADES, nullable=True),
        "retention_ms": schema.integer(0, DURATION_MS_MAX, nullable=True),
    }
)
_check_form: Final = schema.compile_schema(SCHEMA)
DEFAULTS: Final[dict[str, Value]] = {
    "version": 1,
    "retires": None,
    "realm": {},
    "purpose": None,
    "arguments": {},
    "observability": "fire-and-forget",
    "timeout_ms": 30_000,
    "send_deadline_ms": 10_000,
    "quiescence_ms": 60_000,
    "claim_ttl_ms": 300_000,
    "provider_key": None,
    "definite_failures": [],
    "read_back": None,
    "webhook": None,
    "void": None,
    "handle": None,
    "profile": None,
    "may_drift": [],
    "compensation": None,
    "approvals": {"count": 0, "ttl_ms": 3_600_000},
    "reconcilers": 1,
    "level": "durable",
    "minimum_grade": None,
    "retention_ms": None,
}
_EFFECT_CLASS: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*/[1-9][0-9]{0,8}")
_NEVER_DEFINITE_STATUS: Final = re.compile(r"(?:http_?)?(?:408|409|425|429|5xx|5[0-9]{2})")
_RESERVED: Final = re.compile(rb"[^A-Za-z0-9\-._~]")
_PLACE: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument: its role in the keys, its schema, and what stands for it when a call leaves it out."""

    role: str
    schema: Schema
    check: Check = field(repr=False, compare=False)
    raw: bool
    private: bool
    default: list[Value] | None

    @property
    def has_one_spelling(self) -> bool:
        """Whether its value can stand in an effect key: never null, never free text, nothing with parts [CTR-3]."""
        return self.schema["type"] in KEY_TYPES and not self.schema["nullable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retires:
    """How the key of the retired effect class derives from the same arguments [CTR-11]."""

    effect_class: str
    resource: str
    purpose: str | None
    identity: list[str]

    @property
    def names(self) -> frozenset[str]:
        """The arguments that the retired key is made of, beside what its resource template names."""
        return frozenset((*self.identity, *([self.purpose] if self.purpose is not None else [])))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """Where the provider takes its idempotency key, how long it keeps it, and which results it stores under it."""

    place: str
    retention_ms: int
    mismatch: str
    stores: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """The read that finds our tag: whether it lists everything, and how far behind it may be."""

    operation: str
    tag: str
    complete: bool
    lag_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The messages that confirm or deny an effect."""

    scheme: str
    key_id: str
    positive: list[str]
    negative: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A registered promise, with its id and the canonical map that the id is the hash of. Durations in milliseconds.

    identity: the names of the identity arguments without the purpose, sorted. content: those of the content arguments.
    """

    id: digest.ContractId
    data: dict[str, Value]
    name: str
    version: int
    effect_class: str
    retires: Retires | None
    realm: dict[str, str]
    resource: str
    purpose: str | None
    arguments: dict[str, Argument]
    identity: tuple[str, ...]
    content: frozenset[str]
    observability: str
    timeout_ms: int
    send_deadline_ms: int
    quiescence_ms: int
    claim_ttl_ms: int
    provider_key: ProviderKey | None
    definite_failures: frozenset[str]
    read_back: ReadBack | None
    webhook: Webhook | None
    void: str | None
    handle: str | None
    profile: Profile | None
    may_drift: frozenset[str]
    compensation: str | None
    approvals_count: int
    approvals_ttl_ms: int
    reconcilers: int
    level: str
    minimum_grade: str | None
    retention_ms: int | None

    @property
    def settle_ms(self) -> int:
        """D + Q: how long after the last send an effect may still appear."""
        return self.send_deadline_ms + self.quiescence_ms

    @property
    def keyed(self) -> bool:
        """Whether the provider's key protects a second send for as long as one can still land [CTR-8]."""
        key = self.provider_key
        return key is not None and self.stores_results and key.retention_ms >= self.settle_ms

    @property
    def stores_results(self) -> bool:
        """Whether the provider answers a second request under its key with what it stored."""
        return self.provider_key is not None and self.provider_key.stores != "none"

    @property
    def proves_absence(self) -> bool:
        """Whether an empty read can prove absence: a complete listing without lag [CTR-8]."""
        return self.read_back is not None and self.read_back.complete and self.read_back.lag_ms == 0

    def looks_where(self, other: "Contract") -> bool:
        """Return whether tools under both look at one place, and mean the same by a handle: both find the same."""
        return (self.realm, self.resource, self.handle) == (other.realm, other.resource, other.handle)

    def derives(self, retires: Retires) -> bool:
        """Return whether the key of a retired class can be made from every call under this contract [CTR-11]: of
        arguments that are recorded, always there, and of one spelling.
        """
        places = frozenset(_PLACE.findall(retires.resource)) - self.realm.keys()
        made_of = map(self.arguments.get, places | retires.names)
        return all(a is not None and a.role != "volatile" and a.has_one_spelling for a in made_of)

    def key_parts(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return what an effect key holds of these arguments: name, and integer or text; 1 is not "1" [CTR-10]."""
        types = {name: self.arguments[name].schema["type"] for name in names}
        return tuple(sorted((name, "integer" if t in ("integer", "time") else "text") for name, t in types.items()))

    @property
    def key_rule(self) -> tuple[str, bool, tuple[tuple[str, str], ...], Retires | None]:
        """What all contracts of an effect class share, so that tools that do one thing block each other [CTR-10]."""
        return (self.resource, self.purpose is not None, self.key_parts(self.identity), self.retires)


def complete_contract(partial: dict[str, Value]) -> dict[str, Value]:
    """Return contract data with every default written out, for people who leave the usual things out.

    Schemas may leave out `nullable`, arguments `raw`, `private` and `default`; sets may come in any order.
    Raises: ContractInvalidError: a value that IL1 does not have.
    """
    data = {**DEFAULTS, **partial}
    arguments = data["arguments"]
    if type(arguments) is dict:
        data["arguments"] = {name: _complete_argument(value) for name, value in arguments.items()}
    if data.get("profile") is not None:
        data["profile"] = _complete_schema(data["profile"])
    for name in ("definite_failures", "may_drift"):
        data[name] = _sorted(data[name])
    for name in ("retires", "webhook"):
        nested = data[name]
        if type(nested) is dict:
            data[name] = {key: _sorted(value) if type(value) is list else value for key, value in nested.items()}
    return data


def parse_contract(data: Value) -> Contract:
    """Return a checked contract.

    Raises: ContractInvalidError: another form than SCHEMA, or a promise that cannot work; it says which and why.
    Source: SPEC §7 [CTR-1] to [CTR-9].
    """
    try:
        _check_form(data, "$")
        return _parse(cast("dict[str, Value]", data))
    except MalformedError as error:
        raise ContractInvalidError(f"contract {error.message}") from error


def expand(template: str, values: dict[str, Value]) -> str:
    """Return a resource: the template with each value percent-encoded (RFC 3986 §2.1, unreserved kept) [CTR-4].

    Raises: MalformedError: a place without a value, not 1 to 512 bytes, or not NFC: an accent may follow a place.
    """
    parts = _PLACE.split(template)
    for at in range(1, len(parts), 2):
        value = values.get(parts[at])
        if type(value) is not str and type(value) is not int:
            raise MalformedError(f"resource {template!r}: no text or integer for {{{parts[at]}}}")
        parts[at] = percent_encode(str(value))
    resource = "".join(parts)
    cbor.check_text(resource, "resource")
    if not 0 < len(resource.encode()) <= limits.RESOURCE_BYTES_MAX:
        raise MalformedError(f"resource has {len(resource.encode())} bytes, want 1 to {limits.RESOURCE_BYTES_MAX}")
    return resource


def percent_encode(value: str) -> str:
    """Return text with every byte but RFC 3986's unreserved ones as %XX in upper case."""
    return _RESERVED.sub(lambda byte: b"%%%02X" % ord(byte[0]), value.encode()).decode()


def _complete_argument(value: Value) -> Value:
    if type(value) is not dict:
        return value
    completed: dict[str, Value] = {"raw": False, "private": False, "default": None, **value}
    return {**completed, "schema": _complete_schema(completed.get("schema"))}


def _complete_schema(value: Value) -> Value:
    if type(value) is not dict:
        return value
    completed: dict[str, Value] = {"nullable": False, **value}
    if type(completed.get("fields")) is dict:
        inner = cast("dict[str, Value]", completed["fields"])
        completed["fields"] = {name: _complete_schema(field) for name, field in inner.items()}
    if "of" in completed:
        completed["of"] = _complete_schema(completed["of"])
    return completed


def _sorted(value: Value) -> Value:
    if type(value) is not list:
        return value
    try:
        return sorted(value, key=cbor.encode)
    except MalformedError as error:
        raise ContractInvalidError(f"contract: {error.message}") from error


def _parse(data: dict[str, Value]) -> Contract:
    nested = {
        name: kind(**cast("dict[str, object]", data[name])) if data[name] is not None else None  # type: ignore[arg-type]
        for name, kind in (
            ("retires", Retires),
            ("provider_key", ProviderKey),
            ("read_back", ReadBack),
            ("webhook", Webhook),
        )
    }
    arguments = {
        name: Argument(**value, check=schema.compile_schema(value["schema"]))  # type: ignore[arg-type]
        for name, value in cast("dict[str, dict[str, Schema]]", data["arguments"]).items()
    }
    approvals, profile = cast("dict[str, int]", data["approvals"]), cast("Schema | None", data["profile"])
    derived: dict[str, object] = {
        **nested,
        "id": digest.contract_id(data),
        "data": data,
        "arguments": arguments,
        "identity": tuple(sorted(n for n, a in arguments.items() if a.role == "identity" and n != data["purpose"])),
        "content": frozenset(name for name, argument in arguments.items() if argument.role == "content"),
        "definite_failures": frozenset(cast("list[str]", data["definite_failures"])),
        "profile": profile_of(profile) if profile is not None else None,
        "may_drift": frozenset(cast("list[str]", data["may_drift"])),
        "approvals_count": approvals["count"],
        "approvals_ttl_ms": approvals["ttl_ms"],
    }
    values = {field.name: derived.get(field.name, data.get(field.name)) for field in fields(Contract)}
    contract = Contract(**values)  # type: ignore[arg-type]
    _check_arguments(contract)
    _check_promises(contract)
    return contract


def _refuse(contract: Contract, reason: str) -> ContractInvalidError:
    return ContractInvalidError(f"contract {contract.name!r}: {reason}")


def _check_arguments(contract: Contract) -> None:
    if contract.effect_class != "none" and not _EFFECT_CLASS.fullmatch(contract.effect_class):
        raise _refuse(
            contract, f'effect class is {contract.effect_class!r}, want "none" or words and a version: "money.charge/1"'
        )
    for name, argument in contract.arguments.items():
        _check_published(argument.schema, f"argument {name}", contract)
        kind = str(argument.schema["type"])
        if argument.role == "identity" and not argument.has_one_spelling:
            raise _refuse(
                contract,
                f"identity argument {name} is {kind} or may be null, want a token, enum, integer, decimal or time that "
                "is always there: free text has no one spelling",
            )
        if argument.raw and kind != "bytes":
            raise _refuse(contract, f"raw argument {name} is {kind}, want bytes")
        if argument.default is not None:
            if len(argument.default) != 1:
                raise _refuse(contract, f"argument {name} has a default without a value, want one value or null")
            argument.check(argument.default[0], f"argument {name}.default")
    purpose = contract.purpose
    if purpose is not None and (purpose not in contract.arguments or contract.arguments[purpose].role != "identity"):
        raise _refuse(contract, f"purpose {purpose!r} is not one of its identity arguments")
    for place in _PLACE.findall(contract.resource):
        if place not in contract.realm and place not in (*contract.identity, contract.purpose):
            raise _refuse(contract, f"resource names {{{place}}}, neither of its realm nor an identity argument")
    if set(contract.realm) & set(contract.arguments):
        raise _refuse(contract, f"{sorted(set(contract.realm) & set(contract.arguments))} are both realm and argument")
    if contract.retires is not None and not contract.derives(contract.retires):
        raise _refuse(contract, "the retired class's key names what no key can be made of in this contract")
    if contract.profile is None and contract.may_drift:
        raise _refuse(contract, "may_drift names fields, and there is no profile that would have them")
    if contract.profile is not None:
        profile = contract.profile.schema
        _check_published(profile, "profile", contract)
        if profile["type"] != "record" or profile["nullable"]:
            raise _refuse(contract, "the profile is not a record that is always there")
        if not contract.may_drift <= cast("dict[str, Value]", profile["fields"]).keys():
            raise _refuse(contract, "may_drift names fields that the profile does not have")


def _check_published(value: Value, where: str, contract: Contract) -> None:
    """Refuse a published schema that leaves fields unnamed: two programs could then accept different bytes."""
    if type(value) is not dict:
        return
    if value.get("type") not in schema.PROFILE_TYPES:
        raise _refuse(
            contract, f"{where} has type {value.get('type')!r}, want one of {', '.join(sorted(schema.PROFILE_TYPES))}"
        )
    inner = value.get("fields")
    for name, each in inner.items() if type(inner) is dict else ():
        _check_published(each, f"{where}.{name}", contract)
    _check_published(value.get("of") if value["type"] != "enum" else None, f"{where}[]", contract)


def _check_promises(contract: Contract) -> None:
    """Refuse what cannot work [CTR-9]."""
    observability = contract.observability
    if observability == "queryable" and contract.read_back is None:
        raise _refuse(contract, "queryable without a read-back that names the field of our tag")
    if observability == "transactional" and contract.read_back is None and contract.handle is None:
        raise _refuse(contract, "transactional with neither a read-back nor a handle")
    webhook = contract.webhook
    if observability == "webhook-confirmable" and not (webhook and (webhook.positive or webhook.negative)):
        raise _refuse(contract, "webhook-confirmable without a webhook that lists a message")
    both = sorted(set(webhook.positive) & set(webhook.negative)) if webhook is not None else []
    if both:
        raise _refuse(contract, f"its webhook lists {both[0]!r} as positive and as negative")
    if observability == "fire-and-forget" and (contract.read_back or contract.webhook or contract.void):
        raise _refuse(contract, "fire-and-forget with a way to ask or to be told: declare that observability instead")
    if contract.settle_ms < contract.timeout_ms:
        # The tool would still wait for its answer when a read may say that nothing can come any more.
        raise _refuse(contract, f"timeout_ms is {contract.timeout_ms}, want at most D + Q, {contract.settle_ms}")
    if contract.reconcilers > 1 and contract.read_back is None:
        raise _refuse(contract, "several reconcilers and nothing to read back")
    for failure in sorted(contract.definite_failures):
        if failure.lower() in NEVER_DEFINITE or _NEVER_DEFINITE_STATUS.fullmatch(failure.lower()):
            raise _refuse(contract, f"{failure!r} is listed as a definite failure, and proves nothing about the effect")
