"""vectors/intent: what an intent's maps bind to under its contract: resource, effect key, request; and maps that are
refused.

`rederive` is anybody's reading of a recorded intent; `bind` is how a call's arguments become one; `expand` is the
template alone.
"""

from collections.abc import Iterator
from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._sample import CHARGE
from vectors.generate._wire import Case, Map, Value

AREAS = ("intent",)

RAW = bytes(range(256)) * 65  # 16,640 bytes, more than stands inline


def generate() -> dict[str, bytes]:
    cases = {
        **dict(rederived()),
        **dict(predecessors()),
        **dict(refused()),
        **dict(bound()),
        **dict(unbound()),
        **dict(expanded()),
    }
    return wire.files("intent", cases)


def argument(
    role: str, kind: str = "token", *, default: list[Value] | None = None, raw: bool = False, **schema: Value
) -> Map:
    bounds: Map = schema or {"max": 64}
    return {
        "role": role,
        "schema": {"type": kind, "nullable": False, **bounds},
        "raw": raw,
        "private": False,
        "default": list(default) if default is not None else None,
    }


def contract(**changed: Value) -> Map:
    return CHARGE | changed


def with_arguments(**more: Value) -> Map:
    return CHARGE | {"arguments": {**cast("Map", CHARGE["arguments"]), **more}}


TYPED = with_arguments(
    order=argument("identity", "integer", min=-9, max=10**6),
    day=argument("identity", "time", unit="s", grain=86_400),
    share=argument("identity", "decimal", scale=2),
)
PDF = with_arguments(pdf=argument("content", "bytes", min=0, max=60_000, raw=True))


def named(contract_data: Map, purpose: str, identity: Map, content: Map, values: Map) -> Map:
    """Return the names that follow, as hex."""
    resource = wire.expand(str(contract_data["resource"]), {**cast("Map", contract_data["realm"]), **values})
    effect = wire.named("effect", contract_data["effect_class"], resource, purpose, identity)
    return {
        "resource": resource,
        "effect": effect.hex(),
        "request": wire.named("request", {**identity, **content}).hex(),
    }


def rederive(comment: str, expect: str, contract_data: Map, purpose: str, identity: Map, content: Map) -> Case:
    return {
        "comment": comment,
        "expect": expect,
        "flags": ["rederive"],
        "contract": wire.typed(contract_data),
        "purpose": purpose,
        "identity": wire.typed(identity),
        "content": wire.typed(content),
    }


def good(comment: str, contract_data: Map, purpose: str, identity: Map, content: Map) -> Case:
    case = rederive(comment, "ok", contract_data, purpose, identity, content)
    purpose_name = contract_data["purpose"]
    values = identity if purpose_name is None else {**identity, str(purpose_name): purpose}
    return case | named(contract_data, purpose, identity, content, values) | {"predecessor": None}


def rederived() -> Iterator[tuple[str, Case]]:
    customer: Map = {"customer": "cus_1"}
    amount: Map = {"amount": 5000}
    yield "ok-charge", good("the intent of most vectors [INT-1] [INT-4]", CHARGE, "789", customer, amount)
    yield "ok-other-amount", good("content is not in the effect key [INT-5]", CHARGE, "789", customer, {"amount": 5001})
    yield "ok-other-order", good("another purpose, another effect", CHARGE, "790", customer, amount)
    escaped: Map = {"customer": "a/b:c+d@e=f"}
    yield (
        "ok-escaped",
        good("characters of a token that a resource does not keep [CTR-4]", CHARGE, "789", escaped, amount),
    )
    no_purpose = contract(purpose=None)
    both: Map = {"customer": "cus_1", "order": "789"}
    yield "ok-no-purpose", good("no purpose: the order is identity [INT-3]", no_purpose, "", both, amount)
    typed: Map = {"customer": "cus_1", "day": 1_789_948_800, "share": "0.50"}
    yield "ok-integer-purpose", good("an integer purpose is its digits", TYPED, "-9", typed, amount)
    yield "ok-purpose-0", good("zero", TYPED, "0", typed, amount)
    short: Map = {**amount, "pdf": RAW[:16_384]}
    yield "ok-raw-inline", good("raw bytes, 16,384 of them [INT-6]", PDF, "789", customer, short)
    long: Map = {**amount, "pdf": {"attachment": wire.plain(RAW), "size": len(RAW)}}
    yield "ok-raw-attachment", good("more of them, by their digest [INT-6]", PDF, "789", customer, long)
    placed = contract(resource="shop:{account}/{order}")
    yield "ok-purpose-in-resource", good("the purpose in the resource", placed, "789", customer, amount)


def predecessors() -> Iterator[tuple[str, Case]]:
    old: Map = {
        "effect_class": "money.charge/1",
        "resource": "stripe:{account}/{mode}/customer/{customer}",
        "purpose": None,
        "identity": ["amount", "customer"],
    }
    new = contract(effect_class="money.charge/2", resource="stripe:{account}/customer/{customer}", retires=old)
    identity: Map = {"customer": "cus_1"}
    case = good(
        "the key that the retired class gave the same call [CTR-11] [EFF-14]", new, "789", identity, {"amount": 5000}
    )
    resource = "stripe:acct_1/test/customer/cus_1"
    key = wire.named("effect", "money.charge/1", resource, "", {"amount": 5000, "customer": "cus_1"})
    yield "ok-predecessor", case | {"predecessor": {"effect": key.hex(), "resource": resource}}
    accent = contract(effect_class="money.charge/2", retires={**old, "resource": "{customer}\u0301"})
    comment = "the retired class gave such a call no resource that is text [EFF-14] [CTR-4]"
    yield "ok-predecessor-not-nfc", good(comment, accent, "789", {"customer": "joe"}, {"amount": 5000})


def refused() -> Iterator[tuple[str, Case]]:
    customer: Map = {"customer": "cus_1"}
    amount: Map = {"amount": 5000}
    typed: Map = {"customer": "cus_1", "day": 1_789_948_800, "share": "0.50"}
    inline: Map = {**amount, "pdf": RAW}
    reference: Map = {"attachment": wire.plain(RAW), "size": len(RAW)}
    faults: dict[str, tuple[str, Map, str, Map, Map]] = {
        "identity-missing": ("no customer [INT-2]", CHARGE, "789", {}, amount),
        "identity-extra": ("an argument that the contract does not have", CHARGE, "789", {**customer, "x": 1}, amount),
        "identity-purpose": ("the purpose among the identity", CHARGE, "789", {**customer, "order": "789"}, amount),
        "identity-type": ("an integer for a token", CHARGE, "789", {"customer": 1}, amount),
        "identity-prose": ("a space in a token", CHARGE, "789", {"customer": "cus 1"}, amount),
        "identity-long": ("65 characters", CHARGE, "789", {"customer": "c" * 65}, amount),
        "content-missing": ("no amount", CHARGE, "789", customer, {}),
        "content-extra": ("content that the contract does not have", CHARGE, "789", customer, {**amount, "tip": 1}),
        "content-bound": ("above its bound", CHARGE, "789", customer, {"amount": 10**8}),
        "content-boolean": ("true is not 1", CHARGE, "789", customer, {"amount": True}),
        "content-null": ("null where it may not be", CHARGE, "789", customer, {"amount": None}),
        "swapped": ("content for identity", CHARGE, "789", amount, customer),
        "purpose-empty": ("no purpose where the contract has one [INT-3]", CHARGE, "", customer, amount),
        "purpose-prose": ("a purpose of free text", CHARGE, "the order of monday", customer, amount),
        "purpose-unwanted": (
            "a purpose where the contract has none",
            contract(purpose=None),
            "789",
            {**customer, "order": "789"},
            amount,
        ),
        "purpose-padded": ("an integer with a leading zero", TYPED, "07", typed, amount),
        "purpose-plus": ("an integer with a sign", TYPED, "+7", typed, amount),
        "purpose-minus-0": ("minus zero", TYPED, "-0", typed, amount),
        "purpose-bound": ("an integer out of bounds", TYPED, "-10", typed, amount),
        "purpose-other-digits": ("digits of another script", TYPED, "\u0667", typed, amount),
        "time-grain": ("a time off its grain [VAL-3]", TYPED, "7", {**typed, "day": 1_789_948_801}, amount),
        "decimal-scale": ("a decimal of another scale [VAL-4]", TYPED, "7", {**typed, "share": "0.5"}, amount),
        "decimal-minus-0": ("negative zero", TYPED, "7", {**typed, "share": "-0.00"}, amount),
        "raw-inline-long": ("16,385 bytes inline [INT-6]", PDF, "789", customer, {**amount, "pdf": RAW[:16_385]}),
        "raw-inline-longer": ("more of them", PDF, "789", customer, inline),
        "raw-attachment-short": (
            "16,384 bytes as an attachment",
            PDF,
            "789",
            customer,
            {**amount, "pdf": {**reference, "size": 16_384}},
        ),
        "raw-attachment-long": (
            "an attachment over the argument's bound",
            PDF,
            "789",
            customer,
            {**amount, "pdf": {**reference, "size": 60_001}},
        ),
        "raw-attachment-extra": (
            "a reference with a field more",
            PDF,
            "789",
            customer,
            {**amount, "pdf": {**reference, "name": "x"}},
        ),
        "attachment-not-raw": ("an attachment where bytes are not raw", CHARGE, "789", customer, {"amount": reference}),
        "resource-long": (
            "a resource of 513 bytes [CTR-4]",
            contract(resource="r" * 449 + "{customer}"),
            "789",
            {"customer": "c" * 64},
            amount,
        ),
    }
    for name, (comment, contract_data, purpose, identity, content) in faults.items():
        yield name, rederive(comment, "arguments-invalid", contract_data, purpose, identity, content)


def bind(comment: str, expect: str, contract_data: Map, arguments: Map) -> Case:
    return {
        "comment": comment,
        "expect": expect,
        "flags": ["bind"],
        "contract": wire.typed(contract_data),
        "arguments": wire.typed(arguments),
    }


def bound() -> Iterator[tuple[str, Case]]:
    identity: Map = {"customer": "cus_1"}

    def case(comment: str, contract_data: Map, arguments: Map, content: Map, attachments: list[bytes]) -> Case:
        parts: Case = {"purpose": "789", "identity": wire.typed(identity), "content": wire.typed(content)}
        names = named(contract_data, "789", identity, content, {"customer": "cus_1", "order": "789"})
        return (
            bind(comment, "ok", contract_data, arguments)
            | parts
            | names
            | {"attachments": [a.hex() for a in attachments]}
        )

    given: Map = {"customer": "cus_1", "order": "789", "amount": 5000}
    amount: Map = {"amount": 5000}
    yield "bind-ok", case("a call's arguments", CHARGE, given, amount, [])
    traced = with_arguments(trace=argument("volatile"))
    yield "bind-volatile", case("a volatile argument is in no map", traced, {**given, "trace": "t1"}, amount, [])
    defaulted = with_arguments(currency=argument("content", default=["usd"]))
    yield "bind-default", case("a default is filled in", defaulted, given, {**amount, "currency": "usd"}, [])
    set_aside = with_arguments(currency=argument("content", default=["usd"]))
    yield (
        "bind-default-given",
        case("and gives way", set_aside, {**given, "currency": "eur"}, {**amount, "currency": "eur"}, []),
    )
    reference: Map = {"attachment": wire.plain(RAW), "size": len(RAW)}
    yield (
        "bind-attachment",
        case("long raw bytes go aside", PDF, {**given, "pdf": RAW}, {**amount, "pdf": reference}, [RAW]),
    )
    inline: Map = {**amount, "pdf": RAW[:9]}
    yield "bind-inline", case("short ones do not", PDF, {**given, "pdf": RAW[:9]}, inline, [])


def unbound() -> Iterator[tuple[str, Case]]:
    given: Map = {"customer": "cus_1", "order": "789", "amount": 5000}
    faults: dict[str, tuple[str, Map]] = {
        "missing": ("no amount", {"customer": "cus_1", "order": "789"}),
        "unknown": ("an argument that the contract does not have", {**given, "tip": 1}),
        "type": ("an integer as text", {**given, "amount": "5000"}),
        "boolean": ("true is not 1", {**given, "amount": True}),
        "bound": ("below its bound", {**given, "amount": 0}),
        "null": ("null where it may not be", {**given, "order": None}),
        "prose": ("a space in a token", {**given, "order": "78 9"}),
    }
    for name, (comment, arguments) in faults.items():
        yield f"bind-refused-{name}", bind(comment, "argument-invalid", CHARGE, arguments)
    private = with_arguments(card={**argument("content"), "private": True})
    hidden = bind("a private argument would stand in the clear", "argument-invalid", private, {**given, "card": "4242"})
    yield "bind-refused-private", hidden


def expanded() -> Iterator[tuple[str, Case]]:
    faults: dict[str, tuple[str, str, Map, str | None]] = {
        "plain": ("no place", "crm:all", {}, "crm:all"),
        "twice": ("one place twice", "{a}/{a}", {"a": "x"}, "x/x"),
        "unreserved": ("what is kept", "{a}", {"a": "AZaz09-._~"}, "AZaz09-._~"),
        "reserved": ("what is not", "{a}", {"a": "/:@+= %"}, "%2F%3A%40%2B%3D%20%25"),
        "utf-8": ("byte by byte, in upper case", "{a}", {"a": "\xe9\u6c34\U0001f600"}, "%C3%A9%E6%B0%B4%F0%9F%98%80"),
        "braces": ("a value that looks like a place", "{a}{b}", {"a": "{b}", "b": "x"}, "%7Bb%7Dx"),
        "brace": ("a brace that opens or ends no place stays", "{{a}/}", {"a": "x"}, "{x/}"),
        "words": ("a place has any name without braces", "{a b}", {"a b": "x"}, "x"),
        "literal": ("the template's own text stays", "caf\xe9 {a}", {"a": "x"}, "caf\xe9 x"),
        "integer": ("an integer is its digits", "{a}", {"a": -12}, "-12"),
        "empty-value": ("an empty value", "a:{a}", {"a": ""}, "a:"),
        "longest": ("512 bytes", "{a}", {"a": "a" * 512}, "a" * 512),
        "too-long": ("513 bytes", "{a}", {"a": "a" * 513}, None),
        "too-long-encoded": ("171 characters that take three bytes each", "{a}", {"a": " " * 171}, None),
        "empty": ("no bytes", "{a}", {"a": ""}, None),
        "not-nfc": ("an accent that the value's last letter takes", "{a}\u0301/x", {"a": "joe"}, None),
        "accent": ("one that it does not take", "{a}\u0301/x", {"a": "joe1"}, "joe1\u0301/x"),
        "missing": ("a place without a value", "{a}", {}, None),
        "boolean": ("true is no text", "{a}", {"a": True}, None),
        "bytes": ("nor are bytes", "{a}", {"a": b"x"}, None),
    }
    for name, (comment, template, values, resource) in faults.items():
        case: Case = {
            "comment": f"{comment} [CTR-4]",
            "expect": "ok" if resource is not None else "malformed",
            "flags": ["expand"],
            "template": template,
            "values": wire.typed(values),
        }
        yield f"expand-{name}", case | ({"resource": resource} if resource is not None else {})
