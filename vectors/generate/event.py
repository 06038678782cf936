"""vectors/event: one valid event of every kind, and events with one fault in bytes, signature or form.

A valid case gives every step from the fields to the leaf hash. In a refused one, everything but the fault is right:
an event of another form is signed over that form. `expect` names the step that refuses it: malformed (no entry can be
composed), signature-invalid, or form-invalid. While a log is live, form-invalid too is answered `malformed`.
"""

from collections.abc import Iterator
from hashlib import sha512

import cbor2

from vectors.generate import _sample as sample
from vectors.generate import _wire as wire
from vectors.generate._sample import EFFECT, EVERYTHING, ID, LOG_ID, OTHER_ID, RESOURCE, evidence
from vectors.generate._wire import (
    ADMIN,
    AGENT,
    APPROVER,
    ATTESTOR,
    LOG,
    RECONCILER,
    STRANGER,
    T0,
    TIME_MS_MAX,
    Case,
    Key,
    Map,
    Value,
)

AREAS = ("event",)

ISSUERS = {
    **dict.fromkeys(sample.GOVERNING, ADMIN),
    "oath": ATTESTOR,
    "tick": LOG,
    **dict.fromkeys(("approval", "denial"), APPROVER),
    **dict.fromkeys(("redrive", "resolution", "observation"), RECONCILER),
    "attestation": ATTESTOR,
}
SIGNERS = {key.public: key for key in (ADMIN, AGENT, APPROVER, ATTESTOR, LOG, RECONCILER)}
L = 2**252 + 27742317777372353535851937790883648493
LARGEST = 64_000


def generate() -> dict[str, bytes]:
    cases = {
        **{f"ok-{kind}": valid(f"a {kind} [EVT-1] [EVT-2]", body_of(kind)) for kind in sample.DATA},
        **dict(good_edges()),
        **dict(bad_bytes()),
        **dict(bad_signatures()),
        **dict(bad_common_fields()),
        **dict(bad_data_fields()),
        **dict(bad_values()),
        **dict(bad_relations()),
    }
    return wire.files("event", cases)


def body_of(kind: str, **data: Value) -> Map:
    """Return a valid body, some fields of its data changed."""
    fields: Map = {
        "v": 1,
        "log": bytes(32) if kind == "genesis" else LOG_ID,
        "kind": kind,
        "by": issuer(kind).public,
        "at_ms": T0,
        "prev": OTHER_ID if kind in sample.CHAINED | sample.GOVERNING and kind not in ("genesis", "intent") else None,
        "data": {**sample.DATA[kind], **data},
    }
    if kind in sample.OF_EFFECT:
        fields |= {"effect": EFFECT, "resource": RESOURCE}
    if kind == "intent":
        fields["state"] = wire.named("zero", LOG_ID, RESOURCE)
    return fields


def issuer(kind: str) -> Key:
    return ISSUERS.get(kind, AGENT)


def valid(comment: str, fields: Map) -> Case:
    key = issuer(str(fields["kind"]))
    body, header = wire.il1(fields), wire.protected_header(fields)
    signed = wire.signed_bytes(header, body)
    signature = key.sign(signed)
    entry = wire.entry(header, body, signature)
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["event", str(fields["kind"])],
        "seed": (bytes([key.seed]) * 32).hex(),
        "fields": wire.typed(fields),
        "body": body.hex(),
        "header": header.hex(),
        "signed": signed.hex(),
        "signature": signature.hex(),
        "entry": entry.hex(),
        "event_id": wire.h("event", body).hex(),
        "leaf_hash": wire.leaf_hash(entry).hex(),
    }


def refused(comment: str, expect: str, fields: Map, **changed: bytes) -> Case:
    """A body signed as it stands by the key that it names; `body` and `signature` put something else in their place."""
    body = wire.il1(fields)
    key = SIGNERS.get(by, AGENT) if isinstance(by := fields.get("by"), bytes) else AGENT
    try:
        signature = key.sign(wire.signed_bytes(wire.protected_header(fields), body))
    except (AssertionError, KeyError):  # no header can be composed, so nothing can be signed
        signature = bytes(64)
    return {
        "comment": comment,
        "expect": expect,
        "flags": ["event", str(fields.get("kind"))],
        "body": changed.get("body", body).hex(),
        "signature": changed.get("signature", signature).hex(),
    }


def form(comment: str, fields: Map) -> Case:
    return refused(comment, "form-invalid", fields)


def without(fields: Map, name: str) -> Map:
    return {key: value for key, value in fields.items() if key != name}


def padded(size: int) -> Map:
    """Return a policy event whose body has this many bytes."""
    empty = body_of("policy", engine="other/1", source=b"")
    room = size - len(wire.il1(empty)) - 2  # the length of so many bytes takes two bytes more than that of none
    return body_of("policy", engine="other/1", source=b"p" * room)


def good_edges() -> Iterator[tuple[str, Case]]:
    largest = padded(LARGEST)
    case = valid("the largest body, 64,000 bytes [ENV-1]", largest)
    entry = bytes.fromhex(str(case["entry"]))
    kept = ("comment", "expect", "flags", "body", "signature", "event_id", "leaf_hash")
    yield "ok-body-largest", {name: case[name] for name in kept} | {"entry_bytes": len(entry)}
    yield "ok-at-largest", valid("the latest time [TIME-6]", body_of("note") | {"at_ms": TIME_MS_MAX})
    yield "ok-tick-largest", valid("the latest tick [TIME-6]", body_of("tick", time_ms=TIME_MS_MAX))
    yield "ok-at-0", valid("a time of 0", body_of("note") | {"at_ms": 0})
    yield "ok-resource-largest", valid("a resource of 512 bytes", body_of("note") | {"resource": "\xe9" * 256})
    yield "ok-resource-empty", valid("an empty resource is of the form", body_of("note") | {"resource": ""})
    yield "ok-reason-largest", valid("4,096 bytes", body_of("release", reason="\xe9" * 2048))
    yield "ok-subject-empty", valid("an empty subject", body_of("grant", subject=""))
    sixteen: list[Value] = [bytes([at]) * 32 for at in range(16)]
    yield "ok-approvals-16", valid("sixteen approvals", body_of("start", approvals=sixteen))
    yield "ok-purpose-empty", valid("no purpose", body_of("intent", purpose=""))
    yield (
        "ok-content-any",
        valid("any value in content", body_of("intent", content={"a": [None, {"b": b""}], "c": True})),
    )
    reference: Map = {"attachment": ID, "size": 20_000}
    yield "ok-attachment", valid("a named attachment [EVT-4]", body_of("attestation", attachment=reference))
    yield "ok-no-nonce", valid("an outcome without its nonce", body_of("outcome", nonce=None, status="unknown"))
    yield "ok-revoke-grant", valid("one grant by its event id", body_of("revoke", key=None, grant=ID, suspect_from=7))
    yield "ok-tick-covers", valid("a tick whose signer had seen 41 leaves [TIME-1]", body_of("tick", covers=41))
    yield "ok-tick-map", valid("a tick that carries a map root", body_of("tick", covers=41, map=ID))


def bad_bytes() -> Iterator[tuple[str, Case]]:
    tick = body_of("tick")
    good = wire.il1(tick)
    yield "bytes-too-large", refused("64,001 bytes [ENV-1] [IL1-6]", "malformed", padded(LARGEST + 1))
    faults = {
        "empty": ("no bytes", b""),
        "cut": ("the last byte is missing", good[:-1]),
        "trailing": ("a byte after the body", good + b"\0"),
        "not-canonical": ("1 in two bytes", good.replace(b"\x61v\x01", b"\x61v\x18\x01")),
        "key-order": ("keys in the order of writing", cbor2.dumps(tick)),
        "float": ("v is 1.0", good.replace(b"\x61v\x01", b"\x61v\xf9\x3c\x00")),
        "array": ("an array", wire.il1(list(tick.values()))),
        "null": ("null", wire.il1(None)),
    }
    for name, (comment, raw) in faults.items():
        yield f"bytes-{name}", refused(f"{comment} [IL1-1]", "malformed", tick, body=raw)
    for name in ("by", "log"):
        yield f"bytes-{name}-missing", refused(f"no {name}: no header [ENV-2]", "malformed", without(tick, name))
        yield f"bytes-{name}-31", refused(f"{name} of 31 bytes", "malformed", tick | {name: bytes(31)})
        yield f"bytes-{name}-text", refused(f"{name} as text", "malformed", tick | {name: "0" * 32})
        yield f"bytes-{name}-null", refused(f"{name} null", "malformed", tick | {name: None})
    note = body_of("note")
    yield "bytes-effect-33", refused("effect of 33 bytes [ENV-2]", "malformed", note | {"effect": bytes(33)})
    yield "bytes-effect-null", refused("effect null", "malformed", note | {"effect": None})
    for size in (0, 63, 65):
        signature = bytes(size)
        yield f"bytes-signature-{size}", refused(f"{size} bytes of signature", "malformed", tick, signature=signature)


def bad_signatures() -> Iterator[tuple[str, Case]]:
    fields = body_of("note")
    body, header = wire.il1(fields), wire.protected_header(fields)
    message = wire.signed_bytes(header, body)
    good = AGENT.sign(message)

    def case(comment: str, signature: bytes, changed: Map | None = None) -> Case:
        return refused(comment, "signature-invalid", changed or fields, signature=signature)

    yield "signature-flip-r", case("a flipped bit in R [SIG-1]", bytes([good[0] ^ 1]) + good[1:])
    yield "signature-flip-s", case("a flipped bit in S", good[:40] + bytes([good[40] ^ 1]) + good[41:])
    yield "signature-flip-body", case("a flipped bit in the body", good, fields | {"at_ms": T0 ^ 1})
    yield "signature-zero", case("64 zero bytes", bytes(64))
    yield "signature-other-key", case("by a key that the body does not name", STRANGER.sign(message))
    yield "signature-body-alone", case("over the body, not over the Sig_structure [ENV-6]", AGENT.sign(body))
    yield "signature-of-entry", case("over the entry", AGENT.sign(wire.entry(header, body, bytes(64))))
    named = wire.protected_header(fields, algorithm=-19)
    yield "signature-algorithm", case("over a header that says -19 [ENV-3]", signed(named, body))
    yield "signature-no-header", case("over an empty header", signed(b"", body))
    other_kid = wire.protected_header(fields | {"by": STRANGER.public})
    yield "signature-kid", case("over another key's header [ENV-4]", signed(other_kid, body))
    of_log = wire.protected_header(without(fields, "effect"))
    yield "signature-subject", case("over a header whose subject is the log [ENV-5]", signed(of_log, body))
    external = AGENT.sign(wire.signed_bytes(header, body, external=b"x"))
    yield "signature-external", case("over external data", external)
    s = (int.from_bytes(good[32:], "little") + L).to_bytes(32, "little")
    yield "signature-s-above-l", case("S + L", good[:32] + s)
    yield "signature-of-other-event", case("another event's", signature_of(body_of("handle")))
    yield "signature-r-identity", case("R the identity, S as if", identity_signature(message))
    small = fields | {"by": b"\1" + bytes(31)}
    yield "signature-small-order", case("by a key of small order [KEY-1]", b"\1" + bytes(63), small)
    comment = "by a key of small order, R the base point and S one: the equation holds [KEY-1] [SIG-1]"
    yield "signature-small-order-alone", case(comment, b"\x58" + b"\x66" * 31 + b"\1" + bytes(31), small)
    yield "signature-no-point", case("by a key that is no point", bytes(64), fields | {"by": b"\2" + bytes(31)})


def signed(header: bytes, body: bytes) -> bytes:
    return AGENT.sign(wire.signed_bytes(header, body))


def signature_of(fields: Map) -> bytes:
    return signed(wire.protected_header(fields), wire.il1(fields))


def identity_signature(message: bytes) -> bytes:
    """Return (identity, k a): the equation holds, and the rule refuses R."""
    expanded = bytearray(sha512(bytes([AGENT.seed]) * 32).digest()[:32])
    expanded[0] &= 248
    expanded[31] = expanded[31] & 63 | 64
    r = b"\1" + bytes(31)
    k = int.from_bytes(sha512(r + AGENT.public + message).digest(), "little") % L
    return r + (k * int.from_bytes(expanded, "little") % L).to_bytes(32, "little")


def bad_common_fields() -> Iterator[tuple[str, Case]]:
    tick, start, intent = body_of("tick"), body_of("start"), body_of("intent")
    for name in ("v", "kind", "at_ms", "prev", "data"):
        yield f"common-{name}-missing", form(f"no {name} [EVT-1]", without(tick, name))
    faults: dict[str, tuple[str, Map]] = {
        "v-0": ("v is 0", tick | {"v": 0}),
        "v-2": ("v is 2", tick | {"v": 2}),
        "v-true": ("v is true", tick | {"v": True}),
        "kind-unknown": ("no such kind", tick | {"kind": "tock"}),
        "kind-case": ("an upper-case kind", tick | {"kind": "Tick"}),
        "kind-null": ("kind null", tick | {"kind": None}),
        "at-negative": ("a negative time", tick | {"at_ms": -1}),
        "at-late": ("a millisecond too late [TIME-6]", tick | {"at_ms": TIME_MS_MAX + 1}),
        "at-text": ("a time as text", tick | {"at_ms": str(T0)}),
        "at-null": ("no time", tick | {"at_ms": None}),
        "prev-31": ("prev of 31 bytes", start | {"prev": bytes(31)}),
        "prev-text": ("prev as text", start | {"prev": ID.hex()}),
        "data-null": ("data null", tick | {"data": None}),
        "data-list": ("data as a list", tick | {"data": [T0, 0, None]}),
        "extra": ("a field that no event has", tick | {"note": "hello"}),
        "effect-on-tick": ("an effect on a tick", tick | {"effect": EFFECT, "resource": RESOURCE}),
        "effect-on-refusal": ("a refusal names its effect in data", body_of("refusal") | {"effect": EFFECT}),
        "effect-missing": ("no effect on a START", without(start, "effect")),
        "resource-missing": ("no resource", without(start, "resource")),
        "resource-null": ("resource null", start | {"resource": None}),
        "resource-bytes": ("resource as bytes", start | {"resource": RESOURCE.encode()}),
        "resource-513": ("a resource of 513 bytes", start | {"resource": "\xe9" * 256 + "r"}),
        "state-missing": ("an intent without state", without(intent, "state")),
        "state-null": ("state null", intent | {"state": None}),
        "state-31": ("state of 31 bytes", intent | {"state": bytes(31)}),
        "state-on-start": ("state on a START", start | {"state": ID}),
    }
    for name, (comment, fields) in faults.items():
        yield f"common-{name}", form(comment, fields)


def bad_data_fields() -> Iterator[tuple[str, Case]]:
    """Of every kind: a field more, and each field less in turn of the kinds."""
    for kind, data in sample.DATA.items():
        fields = body_of(kind)
        yield (
            f"{kind}-extra",
            form("a field that its data does not have [EVT-2]", fields | {"data": {**data, "x": None}}),
        )
        for name in data if kind not in ("contract", "policy") else ():
            yield f"{kind}-no-{name.replace('_', '-')}", form(f"no {name}", fields | {"data": without(data, name)})


def bad_values() -> Iterator[tuple[str, Case]]:
    for name, (comment, kind, changed) in {**bad_governance(), **bad_intents(), **bad_effects()}.items():
        yield name, form(comment, body_of(kind, **changed))


Faults = dict[str, tuple[str, str, Map]]


def bad_governance() -> Faults:
    scope: Map = {"effect_class": "*", "prefix": ""}
    return {
        "genesis-format-2": ("a format of the future", "genesis", {"format": 2}),
        "genesis-admins-order": ("keys out of order", "genesis", {"admin_keys": [b"b" * 32, b"a" * 32]}),
        "genesis-admins-twice": ("one key twice", "genesis", {"admin_keys": [b"a" * 32, b"a" * 32]}),
        "genesis-log-key-31": ("31 bytes", "genesis", {"log_key": bytes(31)}),
        "genesis-origin-bytes": ("origin as bytes", "genesis", {"origin": b"example.com"}),
        "genesis-origin-257": ("257 bytes", "genesis", {"origin": "o" * 257}),
        "grant-role-unknown": ("no such role", "grant", {"role": "root"}),
        "grant-scope-null": ("no scope", "grant", {"scope": None}),
        "grant-scope-extra": ("a field more", "grant", {"scope": {**scope, "x": 1}}),
        "grant-class-49": ("a class of 49 bytes", "grant", {"scope": {**scope, "effect_class": "c" * 49}}),
        "grant-subject-257": ("257 bytes", "grant", {"subject": "s" * 257}),
        "revoke-suspect-negative": ("a leaf below 0", "revoke", {"suspect_from": -1}),
        "recovery-size-0": ("an empty prefix", "recovery", {"size": 0}),
        "recovery-amnesia-1": ("1 is not true", "recovery", {"amnesia": 1}),
        "recovery-checkpoint-empty": ("a checkpoint of no bytes", "recovery", {"checkpoint": b""}),
        "tick-time-negative": ("before 1970", "tick", {"time_ms": -1}),
        "tick-time-late": ("a millisecond too late [TIME-6]", "tick", {"time_ms": TIME_MS_MAX + 1}),
        "refusal-time-late": ("a millisecond too late", "refusal", {"last_ms": TIME_MS_MAX + 1}),
        "tick-time-text": ("as text", "tick", {"time_ms": str(T0)}),
        "tick-map-31": ("31 bytes", "tick", {"covers": 1, "map": bytes(31)}),
        "policy-rule-then": (
            "no such answer",
            "policy",
            {"source": {"rules": [sample.rule("perhaps")]}},
        ),
        "contract-version-0": ("from 1 on", "contract", {"version": 0}),
    }


def bad_intents() -> Faults:
    inputs: Map = {"now_ms": T0, "snapshot": {}, "budgets": {}}
    return {
        "intent-purpose-null": ("null is not empty", "intent", {"purpose": None}),
        "intent-purpose-513": ("513 bytes", "intent", {"purpose": "p" * 513}),
        "intent-identity-list": ("a list", "intent", {"identity": []}),
        "intent-identity-name": ("a name that is no token", "intent", {"identity": {"the customer": "cus_1"}}),
        "intent-content-65": ("65 arguments", "intent", {"content": {f"a{at}": at for at in range(65)}}),
        "intent-after-text": ("as text", "intent", {"after": ID.hex()}),
        "intent-verdict-null": ("no verdict", "intent", {"verdict": None}),
        "intent-answer-unknown": ("no such answer", "intent", {"verdict": {**sample.VERDICT, "answer": "maybe"}}),
        "intent-rule-empty": ("an empty rule", "intent", {"verdict": {**sample.VERDICT, "rule": ""}}),
        "intent-approvals-17": ("seventeen", "intent", {"verdict": {**sample.VERDICT, "approvals": 17}}),
        "intent-now-late": (
            "a millisecond too late [TIME-6]",
            "intent",
            {"verdict": {**sample.VERDICT, "inputs": {**inputs, "now_ms": TIME_MS_MAX + 1}}},
        ),
        "intent-inputs-extra": (
            "a field more",
            "intent",
            {"verdict": {**sample.VERDICT, "inputs": {**inputs, "x": 1}}},
        ),
        "intent-budget-number": (
            "a budget is {value, as_of}",
            "intent",
            {"verdict": {**sample.VERDICT, "inputs": {**inputs, "budgets": {"day": 1}}}},
        ),
    }


def bad_effects() -> Faults:
    seventeen: list[Value] = [bytes([at]) * 32 for at in range(17)]
    reference: Map = {"attachment": ID, "size": 1}
    return {
        "start-approvals-17": ("seventeen", "start", {"approvals": seventeen}),
        "start-approvals-order": ("out of order", "start", {"approvals": [b"b" * 32, b"a" * 32]}),
        "start-approvals-twice": ("one twice", "start", {"approvals": [ID, ID]}),
        "start-tag-31": ("31 bytes", "start", {"tag": bytes(31)}),
        "outcome-nonce-15": ("15 bytes", "outcome", {"nonce": bytes(15)}),
        "outcome-status-free": ("no outcome is free", "outcome", {"status": "free"}),
        "outcome-result-text": ("as text", "outcome", {"result": "pi_1"}),
        "outcome-result-16385": ("16,385 bytes", "outcome", {"result": bytes(16_385)}),
        "outcome-evidence-null": ("no evidence", "outcome", {"evidence": None}),
        "outcome-kind-unknown": ("no such evidence", "outcome", {"evidence": evidence("hope")}),
        "outcome-failure-prose": (
            "free text",
            "outcome",
            {"evidence": evidence("definite_failure", failure="it broke")},
        ),
        "outcome-reference-513": ("513 bytes", "outcome", {"evidence": evidence("response", reference="r" * 513)}),
        "outcome-observations-twice": (
            "one twice",
            "outcome",
            {"evidence": evidence("response", observations=[ID, ID])},
        ),
        "outcome-attachment-id": ("a bare digest", "outcome", {"evidence": evidence("response", attachment=ID)}),
        "resolution-presence-maybe": ("present or absent", "resolution", {"presence": "unclear"}),
        "resolution-of-purpose": ("no purpose beside the identity", "resolution", {"of": {"identity": {}}}),
        "resolution-generation-0": ("from 1 on", "resolution", {"generation": 0}),
        "attestation-unknown": ("nobody attests that", "attestation", {"status": "unknown"}),
        "attestation-size-negative": ("below 0", "attestation", {"attachment": {**reference, "size": -1}}),
        "attestation-reason-4097": ("4,097 bytes", "attestation", {"reason": "\xe9" * 2048 + "r"}),
        "note-text-16385": ("16,385 bytes", "note", {"text": "n" * 16_385}),
        "handle-513": ("513 bytes", "handle", {"handle": "h" * 513}),
        "refusal-count-0": ("from 1 on", "refusal", {"count": 0}),
        "refusal-reason-prose": ("free text", "refusal", {"reason": "the budget is spent"}),
        "refusal-resource-513": ("513 bytes", "refusal", {"resource": "r" * 513}),
    }


def bad_relations() -> Iterator[tuple[str, Case]]:
    prefix: Map = {"effect_class": "*", "prefix": "stripe:acct_1"}
    narrow: Map = {"effect_class": "money.charge/1", "prefix": ""}
    faults: dict[str, tuple[str, str, Map]] = {
        "genesis-no-admin": ("no admin key", "genesis", {"admin_keys": []}),
        "grant-admin-scoped": ("an admin governs everything", "grant", {"role": "admin", "scope": narrow}),
        "grant-log-scoped": ("so does the log", "grant", {"role": "log", "scope": {**EVERYTHING, "prefix": "a/"}}),
        "resolution-absent-of": (
            "what is absent has an intent that says what it is",
            "resolution",
            {"presence": "absent"},
        ),
        "grant-prefix-open": ("a prefix that ends inside a name", "grant", {"scope": prefix}),
        "freeze-prefix-open": ("likewise", "freeze", {"scope": prefix}),
        "unfreeze-prefix-open": ("likewise", "unfreeze", {"scope": prefix}),
        "oath-prefix-open": ("likewise", "oath", {"scope": prefix}),
        "revoke-both": ("a key and a grant", "revoke", {"grant": ID}),
        "revoke-neither": ("neither", "revoke", {"key": None}),
        "attestation-reason-empty": ("a person says why", "attestation", {"reason": ""}),
    }
    for name, (comment, kind, changed) in faults.items():
        yield name, form(f"{comment} [EVT-3]", body_of(kind, **changed))
