"""One valid `data` of every kind of event, and the contract and policies that vectors share."""

from typing import Final

from vectors.generate import _wire as wire
from vectors.generate._wire import ADMIN, AGENT, LOG, ORIGIN, T0, Map, Value

CHARGE: Final[Map] = {
    "name": "charge-customer",
    "version": 1,
    "effect_class": "money.charge/1",
    "retires": None,
    "realm": {"account": "acct_1", "mode": "test"},
    "resource": "stripe:{account}/{mode}/customer/{customer}",
    "purpose": "order",
    "arguments": {
        "customer": {
            "role": "identity",
            "schema": {"type": "token", "max": 64, "nullable": False},
            "raw": False,
            "private": False,
            "default": None,
        },
        "order": {
            "role": "identity",
            "schema": {"type": "token", "max": 64, "nullable": False},
            "raw": False,
            "private": False,
            "default": None,
        },
        "amount": {
            "role": "content",
            "schema": {"type": "integer", "min": 1, "max": 99_999_999, "nullable": False},
            "raw": False,
            "private": False,
            "default": None,
        },
    },
    "observability": "queryable",
    "timeout_ms": 30_000,
    "send_deadline_ms": 10_000,
    "quiescence_ms": 60_000,
    "claim_ttl_ms": 300_000,
    "provider_key": {
        "place": "header Idempotency-Key",
        "retention_ms": 86_400_000,
        "mismatch": "refused",
        "stores": "all",
    },
    "definite_failures": ["card_declined"],
    "read_back": {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0},
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


def policy(*rules: Map, name: str = "policy", engine: str = "rules/1") -> Map:
    return {"name": name, "engine": engine, "source": {"rules": list(rules)}}


def rule(then: str, *when: Map, name: str = "covered", approvals: int = 0) -> Map:
    return {"name": name, "then": then, "approvals": approvals, "when": list(when)}


def condition(field: list[Value], test: str, value: Value) -> Map:
    return {"field": field, "test": test, "value": value}


ALLOW: Final = policy(rule("allow"))
ASK: Final = policy(rule("ask", approvals=1))
EVERYTHING: Final[Map] = {"effect_class": "*", "prefix": ""}

LOG_ID: Final = wire.plain(b"the log")
ID: Final = wire.plain(b"an event")
OTHER_ID: Final = wire.plain(b"another event")
IDENTITY: Final[Map] = {"customer": "cus_1"}
RESOURCE: Final = "stripe:acct_1/test/customer/cus_1"
EFFECT: Final = wire.named("effect", "money.charge/1", RESOURCE, "789", IDENTITY)
CONTRACT_ID: Final = wire.named("contract", CHARGE)
VERDICT: Final[Map] = {
    "policy_id": wire.named("policy", ALLOW),
    "inputs": {"now_ms": T0, "snapshot": {}, "budgets": {}},
    "answer": "allow",
    "rule": "covered",
    "approvals": 0,
}


def evidence(kind: str, **changed: Value) -> Map:
    return {
        "kind": kind,
        "reference": None,
        "failure": None,
        "tick": None,
        "observations": [],
        "attachment": None,
    } | changed


DATA: Final[dict[str, Map]] = {
    "genesis": {"format": 1, "origin": ORIGIN, "log_key": LOG.public, "admin_keys": [ADMIN.public]},
    "grant": {"subject": "agent", "key": AGENT.public, "role": "agent", "scope": EVERYTHING},
    "revoke": {"key": AGENT.public, "grant": None, "suspect_from": None},
    "contract": CHARGE,
    "withdraw": {"contract_id": CONTRACT_ID, "reason": "the account is closed"},
    "policy": ALLOW,
    "freeze": {"scope": {"effect_class": "money.charge/1", "prefix": "stripe:acct_1/"}, "reason": "an audit"},
    "unfreeze": {"scope": {"effect_class": "money.charge/1", "prefix": "stripe:acct_1/"}, "reason": "it is over"},
    "recovery": {
        "old_origin": ORIGIN,
        "origin": f"{ORIGIN}.e1",
        "size": 41,
        "root": ID,
        "checkpoint": None,
        "log_key": LOG.public,
        "amnesia": True,
    },
    "oath": {"scope": EVERYTHING, "recovery": ID, "reason": "nothing was sent that day"},
    "tick": {"time_ms": T0, "covers": 0, "map": None},
    "intent": {
        "contract_id": CONTRACT_ID,
        "purpose": "789",
        "identity": IDENTITY,
        "content": {"amount": 5000},
        "snapshot_id": None,
        "after": None,
        "again": None,
        "verdict": VERDICT,
    },
    "approval": {"intent": ID, "shown": OTHER_ID},
    "denial": {"intent": ID, "shown": OTHER_ID, "reason": "too much"},
    "release": {"intent": ID, "reason": "not needed any more"},
    "start": {
        "intent": ID,
        "approvals": [],
        "verdict": VERDICT,
        "snapshot_id": None,
        "nonce_hash": wire.named("nonce", bytes(range(16))),
        "provider_key": wire.named("provider", EFFECT, 1, 0),
        "tag": wire.named("tag", EFFECT, 1),
    },
    "outcome": {
        "start": ID,
        "nonce": bytes(range(16)),
        "status": "committed",
        "evidence": evidence("response", reference="pi_1"),
        "result": wire.il1({"id": "pi_1"}),
    },
    "suspect": {"start": ID},
    "redrive": {
        "start": ID,
        "nonce_hash": wire.named("nonce", bytes(range(16))),
        "provider_key": wire.named("provider", EFFECT, 1, 0),
    },
    "resolution": {
        "presence": "present",
        "contract_id": CONTRACT_ID,
        "generation": 1,
        "evidence": evidence("tag_seen", reference="pi_1", tick=OTHER_ID),
        "of": {"purpose": "789", "identity": IDENTITY},
    },
    "attestation": {"status": "committed", "reason": "the bank has confirmed it by phone", "attachment": None},
    "note": {"about": ID, "text": "the customer called"},
    "observation": {"about": ID, "presence": "absent", "evidence": evidence("absence", tick=OTHER_ID)},
    "handle": {"about": ID, "handle": "tx 4711"},
    "refusal": {
        "issuer": AGENT.public,
        "effect": EFFECT,
        "resource": RESOURCE,
        "blocker": ID,
        "reason": "blocked",
        "count": 3,
        "first_ms": T0,
        "last_ms": T0 + 2000,
    },
}
CHAINED: Final = frozenset(
    ("intent", "approval", "denial", "release", "start", "outcome", "suspect", "redrive", "resolution", "attestation")
)
OF_EFFECT: Final = CHAINED | {"note", "observation", "handle"}
GOVERNING: Final = frozenset(
    ("genesis", "grant", "revoke", "contract", "withdraw", "policy", "freeze", "unfreeze", "recovery", "oath")
)
