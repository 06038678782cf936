"""vectors/digest: every named hash, made with blake3 and cbor2 alone.

A case gives the context and its input: an array as JSON and as IL1, or raw bytes. State roots come with their rows
and the two digests inside; ids with both of their spellings.
"""

from collections.abc import Iterator

from vectors.generate import _wire as wire
from vectors.generate._wire import Case, Map, Value

AREAS = ("digest",)

A, B, C, D = (bytes(range(start, start + 32)) for start in (0, 32, 64, 96))
TREE_SIZE_MAX = 2**53 - 1
RESOURCE = "stripe:acct_1/test/customer/cus_1"
IDENTITY: Map = {"customer": "cus_1"}
POLICY: Map = {"name": "none", "engine": "rules/1", "source": {"rules": []}}


def generate() -> dict[str, bytes]:
    cases = {**dict(names()), **dict(joined()), **dict(attachments()), **dict(state_roots()), **dict(ids())}
    return wire.files("digest", cases)


def names() -> Iterator[tuple[str, Case]]:
    yield "zero", named("S of a resource that nothing has moved [ID-3]", "zero", A, RESOURCE)
    yield "zero-not-ascii", named("a resource past ASCII", "zero", A, "crm:caf\xe9/\u6c34")
    yield "state", named("S after an event that moved it [ID-4]", "state", A, B)
    yield "contract", named("a map inside the array, its keys in encoded order [ID-5]", "contract", {"b": 1, "a": b"x"})
    yield "policy", named("the smallest policy [ID-5]", "policy", POLICY)
    yield "effect", named("an effect key [ID-7]", "effect", "money.charge/1", RESOURCE, "789", IDENTITY)
    yield "effect-no-purpose", named("no purpose is the empty text", "effect", "money.charge/1", RESOURCE, "", IDENTITY)
    yield "effect-no-identity", named("no identity arguments", "effect", "mail.send/2", "mail:1", "789", {})
    typed_identity: Map = {"day": 20_000, "customer": "cus_1", "aa": -1}
    yield "effect-integers", named("integers stay integers", "effect", "a/1", "b:1", "", typed_identity)
    yield "request", named("identity and content in one map [ID-8]", "request", {"customer": "cus_1", "amount": 5000})
    yield "request-empty", named("a call without arguments", "request", {})
    yield "request-raw", named("a short raw argument", "request", {"pdf": b"%PDF-1.7"})
    long: Map = {"pdf": {"attachment": wire.plain(b"%" * 20_000), "size": 20_000}}
    yield "request-attachment", named("a long raw argument, by its digest", "request", long)
    yield "decision", named("a decision on a snapshot [ID-9]", "decision", A, B, 1, C, D, A)
    yield "decision-no-snapshot", named("without a profile the snapshot is null", "decision", A, B, 1, C, None, A)
    yield "decision-generation-2", named("another generation, another decision", "decision", A, B, 2, C, D, A)
    yield "tag", named("planted in the provider's object [ID-10]", "tag", A, 1)
    yield "tag-generation-24", named("a generation of two bytes", "tag", A, 24)
    yield "provider", named("the provider's idempotency key [ID-11]", "provider", A, 1, 0)
    yield "provider-turn-1", named("the next turn, once a key is burnt", "provider", A, 1, 1)
    yield "nonce", named("what START publishes of its nonce [ID-12]", "nonce", bytes(range(16)))
    value: list[Value] = ["committed", 2, [1, 2], A, 41]
    yield "map-value", named("the value of an effect in the map [MAP-7]", "map value", *value)
    yield "map-value-free", named("free again: no committed generation", "map value", "free", 1, [], A, 0)


def joined() -> Iterator[tuple[str, Case]]:
    body = wire.il1({"v": 1, "kind": "tick"})
    yield "event", joined_case("an event id hashes the body's own bytes [ID-2]", "event", body)
    yield "event-empty", joined_case("no bytes at all", "event", b"")
    yield "map-leaf", joined_case("key and value joined [MAP-2]", "map leaf", A + B)
    yield "map-node", joined_case("left and right joined [MAP-3]", "map node", A + B)
    yield "event-block", joined_case("one block of BLAKE3, 64 bytes", "event", b"b" * 64)
    yield "event-chunk", joined_case("one chunk of BLAKE3, 1024 bytes", "event", b"c" * 1024)
    yield "event-chunks", joined_case("a byte more than two chunks", "event", b"d" * 2049)


def attachments() -> Iterator[tuple[str, Case]]:
    for name, raw in (("empty", b""), ("text", b"abc"), ("chunk", b"c" * 1024), ("chunks", b"d" * 1025)):
        yield (
            f"attachment-{name}",
            {
                "comment": "plain BLAKE3, as b3sum prints it [ID-6]",
                "expect": "ok",
                "flags": ["attachment"],
                "raw": raw.hex(),
                "digest": wire.plain(raw).hex(),
            },
        )


def state_roots() -> Iterator[tuple[str, Case]]:
    one: list[Value] = [A, "committed", 1, 1, B]
    yield "state-root-empty", state_root("a log without an effect [ID-14]", 2, [], [])
    yield "state-root-one", state_root("one effect, one resource [ID-14] [RPL-7]", 12, [one], [[RESOURCE, C]])
    statuses = ("free", "claimed", "started", "committed", "not_committed", "unknown")
    rows: list[Value] = [[bytes([at]) * 32, status, 1 + at, at, B] for at, status in enumerate(statuses)]
    yield "state-root-statuses", state_root("every status, ascending by key", 40, rows, [])
    resources: list[Value] = [[name, C] for name in ("a", "a/", "a/b", "aa", "b", "caf\xe9", "\uffe0", "\U00010151")]
    yield "state-root-order", state_root("resources by UTF-8 bytes, a shorter prefix first", 40, [], resources)
    many: list[Value] = [[f"r:{at:02}", C] for at in range(24)]
    yield "state-root-24", state_root("an array head of two bytes", 40, [], many)
    more: list[Value] = [[f"r:{at:03}", bytes([at]) * 32] for at in range(256)]
    yield "state-root-256", state_root("an array head of three bytes", 300, [], more)
    yield "state-root-large", state_root("the largest size", TREE_SIZE_MAX, [one], [])


def ids() -> Iterator[tuple[str, Case]]:
    for prefix in ("evt", "eff", "dec", "ctr", "pol", "snp", "key"):
        case = id_case("how it prints [ID-13]", prefix, f"{prefix}_{A.hex()}")
        yield f"id-{prefix}", case | {"raw": A.hex()}
    digits = A.hex()
    faults = {
        "upper-case": ("upper-case hex", f"evt_{digits.upper()}"),
        "short": ("63 digits", f"evt_{digits[:-1]}"),
        "long": ("66 digits", f"evt_{digits}00"),
        "other-prefix": ("another prefix", f"eff_{digits}"),
        "no-hex": ("a letter that is no digit", f"evt_{digits[:-1]}g"),
        "spaced": ("a space", f"evt_ {digits[1:]}"),
        "other-digits": ("digits of another script", f"evt_{digits[:-1]}\u0663"),
        "prefix-twice": ("the prefix twice", f"evt_evt_{digits}"),
        "empty": ("nothing", ""),
    }
    for name, (comment, text) in faults.items():
        yield f"id-{name}", id_case(comment, "evt", text, expect="malformed")


def named(comment: str, context: str, *items: Value) -> Case:
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["array"],
        "context": context,
        "input": wire.typed(list(items)),
        "il1": wire.il1(list(items)).hex(),
        "digest": wire.named(context, *items).hex(),
    }


def joined_case(comment: str, context: str, raw: bytes) -> Case:
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["raw"],
        "context": context,
        "raw": raw.hex(),
        "digest": wire.h(context, raw).hex(),
    }


def state_root(comment: str, size: int, effects: list[Value], resources: list[Value]) -> Case:
    digests = wire.h("effects", wire.il1(effects)), wire.h("resources", wire.il1(resources))
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["state-root"],
        "size": size,
        "governance_head": D.hex(),
        "effects": wire.typed(effects),
        "resources": wire.typed(resources),
        "effects_digest": digests[0].hex(),
        "resources_digest": digests[1].hex(),
        "digest": wire.named("root", size, D, *digests).hex(),
    }


def id_case(comment: str, prefix: str, text: str, *, expect: str = "ok") -> Case:
    return {"comment": comment, "expect": expect, "flags": ["id"], "prefix": prefix, "text": text}
