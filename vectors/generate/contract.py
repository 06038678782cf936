"""vectors/contract: contracts that are accepted, with what follows from them, and contracts with one broken promise
each.

In a log a refused contract is an event of another form: form-invalid. What depends on the contracts before it
(class-retired, contract-version, key-rule-differs) is in vectors/replay.
"""

from collections.abc import Iterator
from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._sample import CHARGE
from vectors.generate._wire import Case, Map, Value

AREAS = ("contract",)

TOKEN: Map = {"type": "token", "max": 64, "nullable": False}
PROFILE: Map = {
    "type": "record",
    "fields": {"balance": {"type": "integer", "min": 0, "max": 10**9, "nullable": False}, "plan": TOKEN},
    "nullable": False,
}
RETIRES: Map = {"effect_class": "money.charge/1", "resource": "stripe:{customer}", "purpose": "order", "identity": []}
WEBHOOK: Map = {"scheme": "hmac-sha256", "key_id": "whsec_1", "positive": ["charge.succeeded"], "negative": []}
READ_BACK: Map = {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}
KEY: Map = {"place": "header Idempotency-Key", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"}
YEARS_10 = 10 * 365 * 86_400_000


def generate() -> dict[str, bytes]:
    cases = {
        **{f"ok-{name}": accepted(comment, data) for name, comment, data in good()},
        **{name: refused(comment, data) for name, comment, data in bad()},
    }
    return wire.files("contract", cases)


def accepted(comment: str, data: Map) -> Case:
    """A contract and what follows: its id, the identity without the purpose, and what its provider's answers are good
    for.
    """
    arguments = cast("dict[str, Map]", data["arguments"])
    key, read_back = cast("Map | None", data["provider_key"]), cast("Map | None", data["read_back"])
    settle_ms = cast("int", data["send_deadline_ms"]) + cast("int", data["quiescence_ms"])
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["contract"],
        "contract": wire.typed(data),
        "il1": wire.il1(data).hex(),
        "contract_id": wire.named("contract", data).hex(),
        "identity": sorted(n for n, a in arguments.items() if a["role"] == "identity" and n != data["purpose"]),
        "key_protects": key is not None and key["stores"] != "none" and cast("int", key["retention_ms"]) >= settle_ms,
        "proves_absence": read_back is not None and read_back["complete"] is True and read_back["lag_ms"] == 0,
    }


def refused(comment: str, data: Value) -> Case:
    return {
        "comment": comment,
        "expect": "contract-invalid",
        "flags": ["contract"],
        "contract": wire.typed(data),
        "il1": wire.il1(data).hex(),
    }


def contract(**changed: Value) -> Map:
    return CHARGE | changed


def argument(role: str, schema: Value = None, **changed: Value) -> Map:
    return {"role": role, "schema": schema or TOKEN, "raw": False, "private": False, "default": None} | changed


def arguments(**more: Value) -> Map:
    """Return the charge contract with more arguments, or others under the same names."""
    return CHARGE | {"arguments": {**cast("Map", CHARGE["arguments"]), **more}}


def schema(kind: str, **fields: Value) -> Map:
    return {"type": kind, **fields, "nullable": False}


def good() -> Iterator[tuple[str, str, Map]]:
    yield from least()
    alone: Map = {"read_back": None, "provider_key": None}
    yield "charge", "the contract of most vectors [CTR-1]", CHARGE
    yield "fire-and-forget", "nobody can be asked", contract(observability="fire-and-forget", **alone)
    yield (
        "webhook",
        "a message confirms",
        contract(observability="webhook-confirmable", webhook=WEBHOOK, read_back=None),
    )
    yield "transactional-handle", "a handle", contract(observability="transactional", handle="txid", read_back=None)
    yield "transactional-read-back", "a read-back", contract(observability="transactional")
    yield "read", "a read claims nothing [CTR-2]", contract(effect_class="none")
    yield "class-longest", "48 characters", contract(effect_class="c" * 46 + "/1")
    yield "class-words", "words joined by . _ and -", contract(effect_class="a.b_c-d0/123456789")
    yield "no-purpose", "no purpose [CTR-5]", contract(purpose=None)
    yield "resource-plain", "a template without a place", contract(resource="caf\xe9:all")
    yield "resource-brace", "a brace that opens no place stands for itself [CTR-4]", contract(resource="a{/{customer}}")
    yield (
        "retention-short",
        "a provider key shorter than D + Q protects nothing [CTR-8]",
        contract(provider_key={**KEY, "retention_ms": 69_999}),
    )
    yield "retention-exact", "as long as D + Q", contract(provider_key={**KEY, "retention_ms": 70_000})
    yield "key-stores-none", "a key that nothing is stored under", contract(provider_key={**KEY, "stores": "none"})
    yield "read-lags", "a lagging read proves presence only", contract(read_back={**READ_BACK, "lag_ms": 1})
    yield "read-partial", "so does a partial one", contract(read_back={**READ_BACK, "complete": False})
    yield "profile", "a profile, and a field that may drift [CTR-7]", contract(profile=PROFILE, may_drift=["balance"])
    yield "reconcilers", "two reconcilers", contract(reconcilers=2)
    yield (
        "retires",
        "how the retired class's key derives [CTR-11]",
        contract(effect_class="money.charge/2", retires=RETIRES),
    )
    content: Map = {**RETIRES, "resource": "stripe:{account}/{amount}", "identity": ["amount"]}
    yield (
        "retires-content",
        "a retired key of a content argument",
        contract(effect_class="money.charge/2", retires=content),
    )
    yield (
        "failures-near",
        "words that look like refused ones",
        contract(definite_failures=["428", "50x", "http", "http4xx"]),
    )
    for name, kind in (
        ("enum", schema("enum", of=["eur", "usd"])),
        ("integer", schema("integer", min=0, max=9)),
        ("decimal", schema("decimal", scale=2)),
        ("time", schema("time", unit="s", grain=86_400)),
    ):
        yield (
            f"identity-{name}",
            "an identity argument of this type [CTR-3]",
            arguments(more=argument("identity", kind)),
        )
    raw = argument("content", schema("bytes", min=0, max=60_000), raw=True)
    yield "raw", "raw bytes", arguments(pdf=raw)
    yield "default", "a default", arguments(currency=argument("content", default=["usd"]))
    nullable: Map = {"type": "text", "max": 100, "nullable": True}
    yield "default-null", "null as a default", arguments(memo=argument("content", nullable, default=[None]))
    yield "volatile", "free text in neither key", arguments(trace=argument("volatile", schema("text", max=99)))
    listed = schema("list", of=schema("record", fields={"sku": TOKEN}), max=9, order="as listed")
    yield "content-nested", "records in a list", arguments(items=argument("content", listed, private=True))
    durations: Map = dict.fromkeys(("timeout_ms", "send_deadline_ms", "quiescence_ms", "claim_ttl_ms"), YEARS_10)
    yield "durations-longest", "ten years", contract(**durations)
    yield "timeout-longest", "an answer is waited for as long as D + Q", contract(timeout_ms=70_000)
    yield "durations-0", "none", contract(**dict.fromkeys(durations, 0))
    yield "failures-many", "set order is that of encodings", contract(definite_failures=["z", "aa", "card_declined"])


def least() -> Iterator[tuple[str, str, Map]]:
    """Schemas with room for one value, and classes that are retired by their name alone."""
    empty: Map = {
        "text": schema("text", max=0),
        "bytes": schema("bytes", min=0, max=0),
        "list": schema("list", of=TOKEN, max=0, order="as listed"),
        "set": schema("set", of=TOKEN, max=0),
        "record": schema("record", fields={}),
        "integer": schema("integer", min=1, max=1),
    }
    for name, kind in empty.items():
        content = argument("content", cast("Map", kind))
        yield f"least-{name}", "room for one value [VAL-1]", arguments(more=content)
    yield (
        "retires-none",
        "reads, retired [CTR-2]",
        contract(effect_class="money.charge/2", retires={**RETIRES, "effect_class": "none"}),
    )
    yield (
        "retires-any-class",
        "a retired class of any token [CTR-2]",
        contract(effect_class="money.charge/2", retires={**RETIRES, "effect_class": "Charge"}),
    )


def bad() -> Iterator[tuple[str, str, Value]]:
    yield from bad_forms()
    yield from bad_arguments()
    yield from bad_promises()
    yield from bad_profiles()


def bad_forms() -> Iterator[tuple[str, str, Value]]:
    yield "form-list", "not a map [CTR-1]", list(CHARGE)
    for name in CHARGE:
        field = name.replace("_", "-")
        yield f"form-no-{field}", f"no {name}", {key: value for key, value in CHARGE.items() if key != name}
    yield "form-extra", "a field more", contract(note="x")
    yield "form-name-prose", "a name that is no token", contract(name="charge customer")
    yield "form-name-129", "129 characters", contract(name="n" * 129)
    yield "form-version-0", "from 1 on", contract(version=0)
    yield "form-duration-negative", "below 0", contract(quiescence_ms=-1)
    yield "form-duration-long", "above ten years", contract(quiescence_ms=YEARS_10 + 1)
    yield "form-failures-order", "a set out of order", contract(definite_failures=["aa", "z"])
    yield "form-failures-twice", "a word twice", contract(definite_failures=["z", "z"])
    yield "form-reconcilers-0", "at least one", contract(reconcilers=0)
    yield "form-approvals-17", "at most sixteen", contract(approvals={"count": 17, "ttl_ms": 1})
    yield "form-level", "no such level", contract(level="best-effort")
    yield "form-grade", "no such grade", contract(minimum_grade="E5")
    yield "form-observability", "no such observability", contract(observability="sometimes")
    yield "form-stores", "no such choice", contract(provider_key={**KEY, "stores": "failures"})
    yield (
        "form-read-back-tag",
        "a read-back without the place of our tag",
        contract(read_back={key: value for key, value in READ_BACK.items() if key != "tag"}),
    )


def bad_arguments() -> Iterator[tuple[str, str, Value]]:
    for name, text in {
        "no-version": "money.charge",
        "version-0": "money.charge/0",
        "version-padded": "money.charge/01",
        "version-long": "money.charge/1234567890",
        "upper": "Money.charge/1",
        "empty-word": "money..charge/1",
        "none-version": "none/0",
    }.items():
        yield f"class-{name}", "another spelling [CTR-2]", contract(effect_class=text)
    yield "class-49", "49 characters", contract(effect_class="c" * 47 + "/1")
    identity = {
        "text": (schema("text", max=99), "free text has no one spelling [CTR-3]"),
        "boolean": (schema("boolean"), "a boolean"),
        "bytes": (schema("bytes", min=0, max=9), "bytes"),
        "list": (schema("list", of=TOKEN, max=2, order="as listed"), "a list"),
        "set": (schema("set", of=TOKEN, max=2), "a set"),
        "record": (schema("record", fields={}), "a record"),
        "nullable": ({**TOKEN, "nullable": True}, "it may be null"),
    }
    for name, (kind, comment) in identity.items():
        yield f"identity-{name}", comment, arguments(more=argument("identity", kind))
    yield "purpose-text", "a purpose of free text", arguments(order=argument("identity", schema("text", max=99)))
    yield "purpose-unknown", "a purpose that is no argument [CTR-5]", contract(purpose="invoice")
    yield "purpose-content", "a purpose that is content", contract(purpose="amount")
    yield "raw-token", "raw text", arguments(pdf=argument("content", raw=True))
    yield "role-unknown", "no such role", arguments(pdf=argument("secret"))
    yield "default-type", "a default of another type", arguments(more=argument("content", default=[1]))
    yield "default-null", "null where it may not be", arguments(more=argument("content", default=[None]))
    yield "default-two", "two defaults", arguments(more=argument("content", default=["a", "b"]))
    yield "default-none", "a list of no default", arguments(more=argument("content", default=[]))
    faults: dict[str, tuple[str, Value]] = {
        "no-type": ("no type", {"nullable": False}),
        "type": ("no such type", schema("float")),
        "extra": ("a field that the type does not have", {**TOKEN, "pattern": ".*"}),
        "no-nullable": ("nullable is not said", {"type": "token", "max": 9}),
        "nullable-null": ("nullable null", {"type": "token", "max": 9, "nullable": None}),
        "bounds": ("min above max", schema("integer", min=2, max=1)),
        "bytes-bounds": ("min above max", schema("bytes", min=2, max=1)),
        "bytes-negative": ("below no bytes", schema("bytes", min=-1, max=1)),
        "text-negative": ("below no text", schema("text", max=-1)),
        "list-negative": ("below no item", schema("list", of=TOKEN, max=-1, order="as listed")),
        "set-negative": ("below no item", schema("set", of=TOKEN, max=-1)),
        "token-513": ("a token of 513", schema("token", max=513)),
        "token-0": ("a token of none", schema("token", max=0)),
        "scale-19": ("a scale of 19", schema("decimal", scale=19)),
        "unit": ("microseconds", schema("time", unit="us", grain=1)),
        "grain-0": ("a grain of 0", schema("time", unit="s", grain=0)),
        "enum-empty": ("no member", schema("enum", of=[])),
        "enum-twice": ("one member twice", schema("enum", of=["a", "a"])),
        "order-empty": ("a list that does not say its order", schema("list", of=TOKEN, max=9, order="")),
        "mapping": ("a mapping names no field [VAL-1]", schema("mapping", of=TOKEN, max=9)),
        "anything": ("anything at all", {"type": "anything", "nullable": True}),
        "mapping-deep": ("a mapping inside", schema("record", fields={"a": schema("mapping", of=TOKEN, max=9)})),
        "anything-in-list": (
            "anything, listed",
            schema("list", of={"type": "anything", "nullable": True}, max=9, order="x"),
        ),
        "list": ("no map", [TOKEN]),
    }
    for name, (comment, wrong) in faults.items():
        yield f"schema-{name}", comment, arguments(more=argument("content", wrong))
    yield "place-unknown", "a place of no value [CTR-6]", contract(resource="stripe:{customer}/{shop}")
    yield "place-content", "a place of a content argument", contract(resource="stripe:{amount}")
    volatile = arguments(trace=argument("volatile"))
    yield "place-volatile", "a place of a volatile argument", volatile | {"resource": "stripe:{trace}"}
    yield "place-empty", "a place without a name", contract(resource="stripe:{}")
    yield "place-words", "what is between two braces is a name, whatever it is [CTR-4]", contract(resource="s:{a b}")
    yield "realm-and-argument", "one name twice", contract(realm={"account": "a", "mode": "b", "customer": "c"})


def bad_promises() -> Iterator[tuple[str, str, Value]]:
    webhook = contract(observability="webhook-confirmable", webhook=None)
    yield "promise-queryable", "queryable, and nothing to read [CTR-9]", contract(read_back=None)
    yield (
        "promise-transactional",
        "neither read-back nor handle",
        contract(observability="transactional", read_back=None),
    )
    yield "promise-webhook", "webhook-confirmable, and no webhook", webhook
    silent: Map = {**WEBHOOK, "positive": []}
    confirmed = contract(observability="webhook-confirmable", webhook=silent)
    yield "promise-webhook-silent", "webhook-confirmable, and no message listed", confirmed
    torn: Map = {**WEBHOOK, "negative": ["charge.failed", "charge.succeeded"]}
    yield "promise-webhook-both", "a message that says yes and no", contract(webhook=torn)
    yield "promise-timeout", "D + Q a millisecond below the timeout", contract(timeout_ms=70_001)
    forget: Map = {"observability": "fire-and-forget", "read_back": None}
    yield "promise-forget-read-back", "fire-and-forget, and it can be asked", contract(observability="fire-and-forget")
    yield "promise-forget-webhook", "fire-and-forget, and it calls back", contract(**forget, webhook=WEBHOOK)
    yield "promise-forget-void", "fire-and-forget, and it can be voided", contract(**forget, void="cancel")
    alone: Map = {"observability": "webhook-confirmable", "webhook": WEBHOOK, "read_back": None}
    yield "promise-reconcilers", "two reconcilers and nothing to read", contract(**alone, reconcilers=2)
    never = ("conflict", "idempotency_error", "idempotency_key_in_use", "key_in_use", "key_mismatch", "timeout")
    reused = (
        "idempotency_key_reused",
        "key_used_with_other_parameters",
        "rate_limit",
        "too_early",
        "too_many_requests",
    )
    status = ("408", "409", "425", "429", "http_429", "5xx", "599", "http500", "HTTP_503", "http5xx")
    for failure in (*never, *reused, "connection_reset", *status):
        comment = "an answer that proves nothing, listed as a definite failure"
        yield f"promise-failure-{failure.lower().replace('_', '-')}", comment, contract(definite_failures=[failure])
    yield "promise-failure-capitals", "in capitals or not", contract(definite_failures=["Timeout"])


def bad_profiles() -> Iterator[tuple[str, str, Value]]:
    yield (
        "profile-list",
        "a profile that is no record [SNP-1]",
        contract(profile=schema("list", of=TOKEN, max=1, order="x")),
    )
    yield "profile-nullable", "a profile that may be null", contract(profile={**PROFILE, "nullable": True})
    yield "profile-text", "a profile that is no schema", contract(profile="record")
    yield (
        "profile-mapping",
        "a profile with a mapping",
        contract(profile=schema("record", fields={"a": schema("mapping", of=TOKEN, max=9)})),
    )
    yield "drift-no-profile", "fields that may drift in no profile [CTR-7]", contract(may_drift=["balance"])
    yield "drift-unknown", "a field that the profile does not have", contract(profile=PROFILE, may_drift=["country"])
    yield (
        "retires-unknown",
        "a retired key of arguments that are not there",
        contract(effect_class="money.charge/2", retires={**RETIRES, "identity": ["shop"]}),
    )
    yield (
        "retires-purpose-unknown",
        "a retired purpose that is no argument",
        contract(effect_class="money.charge/2", retires={**RETIRES, "purpose": "invoice"}),
    )
    yield (
        "retires-place",
        "a retired template with a place of no value",
        contract(effect_class="money.charge/2", retires={**RETIRES, "resource": "stripe:{shop}"}),
    )
    memo = arguments(memo=argument("content", schema("text", max=99)))
    yield (
        "retires-text",
        "a retired key of free text",
        memo
        | {
            "effect_class": "money.charge/2",
            "retires": {**RETIRES, "identity": ["memo"]},
        },
    )
    loose = arguments(memo=argument("content", {**TOKEN, "nullable": True}))
    yield (
        "retires-nullable",
        "a retired key of what may be null [CTR-11]",
        loose | {"effect_class": "money.charge/2", "retires": {**RETIRES, "identity": ["memo"]}},
    )
    yield (
        "retires-volatile",
        "a retired key of a volatile argument",
        arguments(trace=argument("volatile"))
        | {
            "effect_class": "money.charge/2",
            "retires": {**RETIRES, "identity": ["trace"]},
        },
    )
