"""The contracts, policies and calls of the corpus: one tool for each way in which an outcome can settle."""

from typing import Final

from invoke_log.format import cbor, digest
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract, complete_contract, parse_contract
from invoke_log.rules.policy import ALLOW_COVERED, ENGINE, Policy, parse_policy

_TOKEN: Final[dict[str, Value]] = {"type": "token", "max": 64}
_IDENTITY: Final[dict[str, Value]] = {
    "customer": {"role": "identity", "schema": _TOKEN},
    "order": {"role": "identity", "schema": _TOKEN},
}
_READ_BACK: Final[dict[str, Value]] = {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}


def _contract(name: str, effect_class: str, **fields: Value) -> Contract:
    arguments: dict[str, Value] = {
        **_IDENTITY,
        "amount": {"role": "content", "schema": {"type": "integer", "min": 1, "max": 99_999}},
        "memo": {"role": "content", "schema": {"type": "text", "max": 200}, "default": [""]},
        "trace": {"role": "volatile", "schema": {"type": "text", "max": 64}, "default": [""]},
    }
    defaults: dict[str, Value] = {
        "name": name,
        "effect_class": effect_class,
        "realm": {"account": "acct_1"},
        "resource": f"{name}:{{account}}/{{customer}}",
        "purpose": "order",
        "arguments": arguments,
        "send_deadline_ms": 10_000,
        "quiescence_ms": 20_000,
        "claim_ttl_ms": 60_000,
        "approvals": {"count": 0, "ttl_ms": 100_000},
    }
    return parse_contract(complete_contract({**defaults, **fields}))


CHARGE: Final = _contract(
    "charge",
    "money.charge/1",
    observability="queryable",
    read_back=_READ_BACK,
    provider_key={"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"},
    definite_failures=["card_declined", "http_402"],
)
CHARGE_2: Final = _contract(
    "charge-two",
    "money.charge/2",
    resource="charge:{account}/{customer}",
    retires={
        "effect_class": "money.charge/1",
        "resource": "charge:{account}/{customer}",
        "purpose": "order",
        "identity": ["customer"],
    },
    observability="queryable",
    read_back=_READ_BACK,
)
_BY_CLIENT: Final[dict[str, Value]] = {
    "client": {"role": "identity", "schema": _TOKEN},
    "order": {"role": "identity", "schema": _TOKEN},
}
CLIENT_2: Final = _contract(
    "client-two",
    "money.charge/2",
    resource="client:{account}/{client}",
    arguments={**_BY_CLIENT, "customer": {"role": "content", "schema": _TOKEN}},
    retires=CHARGE_2.data["retires"],
)
CLIENT_3: Final = _contract(
    "client-three",
    "money.charge/3",
    resource="client:{account}/{client}",
    arguments=_BY_CLIENT,
    retires={
        "effect_class": "money.charge/2",
        "resource": "client:{account}/{client}",
        "purpose": "order",
        "identity": ["client"],
    },
)
"""Of its arguments, the key of a class 2 call can be made, and that of a class 1 call cannot."""
TRANSFER: Final = _contract(
    "transfer",
    "money.transfer/1",
    observability="transactional",
    read_back=_READ_BACK,
    handle="txid",
    void="cancel",
    approvals={"count": 2, "ttl_ms": 100_000},
    profile={
        "type": "record",
        "fields": {
            "balance": {"type": "integer", "min": 0, "max": 10**9},
            "etag": {"type": "token", "max": 64},
            "open": {"type": "boolean"},
        },
    },
    may_drift=["etag"],
)
NOTIFY: Final = _contract(
    "notify",
    "mail.send/1",
    purpose=None,
    arguments={
        "customer": {"role": "identity", "schema": _TOKEN},
        "order": {"role": "identity", "schema": {"type": "integer", "min": -9, "max": 10**6}},
        "text": {"role": "content", "schema": {"type": "text", "max": 4000}},
        "file": {"role": "content", "schema": {"type": "bytes", "min": 0, "max": 64_000}, "raw": True},
    },
)
AUDITED: Final = _contract(
    "audited", "record.write/1", observability="queryable", read_back=_READ_BACK, reconcilers=2,
    arguments={
        "customer": {"role": "identity", "schema": _TOKEN},
        "order": {"role": "identity", "schema": {"type": "integer", "min": 0, "max": 10**9}},
        "amount": {"role": "content", "schema": {"type": "decimal", "scale": 2}},
    },
)  # fmt: skip
HOOKED: Final = _contract(
    "hooked",
    "job.run/1",
    observability="webhook-confirmable",
    webhook={"scheme": "hmac", "key_id": "k1", "positive": ["done"], "negative": ["gone"]},
    provider_key={"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "success"},
    definite_failures=["refused"],
)
LAGGING: Final = _contract(
    "lagging", "slow.write/1", observability="queryable", read_back={**_READ_BACK, "lag_ms": 5000}, void="undo",
)  # fmt: skip
BRIEF: Final = _contract(
    "brief",
    "money.brief/1",
    observability="queryable",
    read_back=_READ_BACK,
    provider_key={"place": "header", "retention_ms": 30_001, "mismatch": "refused", "stores": "all"},
)
"""Its provider keeps a key for one millisecond more than D + Q."""
READ: Final = _contract("look", "none")
CONTRACTS: Final = (CHARGE, TRANSFER, NOTIFY, AUDITED, HOOKED, LAGGING, READ)


def _policy(name: str, *rules: Value) -> Policy:
    return parse_policy({"name": name, "engine": ENGINE, "source": {"rules": list(rules)}})


def _rule(name: str, then: str, *when: Value, approvals: int = 0) -> Value:
    return {"name": name, "then": then, "approvals": approvals, "when": list(when)}


def _budget(**changes: Value) -> Value:
    return {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None, **changes}


def _when(field: str, test: str, value: Value) -> Value:
    path: list[Value] = [*field.split("/")]
    return {"field": path, "test": test, "value": value}


POLICY: Final = parse_policy(ALLOW_COVERED)
ASKING: Final = _policy(
    "ask-for-much",
    _rule("much", "ask", _when("arguments/amount", "at_least", 1000), approvals=1),
    _rule("rest", "allow"),
)
SEEING: Final = _policy(
    "look-first",
    _rule("closed", "deny", _when("snapshot/open", "equals", value=False)),
    _rule("poor", "ask", _when("snapshot/balance", "at_most", 100), approvals=2),
    _rule("known", "allow", _when("effect_class", "one_of", ["money.transfer/1", "money.charge/1"])),
)
STRICT: Final = _policy(
    "strict",
    _rule("home", "allow", _when("resource", "prefix", "charge:acct_1/"), _when("generation", "at_most", 2)),
    _rule("odd", "ask", _when("arguments/memo", "equals", "odd"), _when("now_ms", "at_least", 0), approvals=3),
)
FOREIGN: Final = parse_policy({"name": "foreign", "engine": "opa/1", "source": "package invoke"})
LIMITED: Final = parse_policy(
    {
        "name": "limited",
        "engine": "rules/1",
        "source": {
            "budgets": {
                "calls": _budget(window_ms=60_000),
                "each": _budget(each="resource"),
                "spent": _budget(effect_class="money.charge/1", sum="amount", window_ms=30_000),
                "charged": _budget(prefix="charge:acct_1/", each="resource", sum="amount"),
            },
            "rules": [
                _rule("many", "deny", _when("budgets/calls/value", "at_least", 9)),
                _rule("much", "ask", _when("budgets/each/value", "at_least", 5), approvals=1),
                _rule("spent", "allow", _when("budgets/spent/value", "at_most", 30_000)),
            ],
        },
    }
)
BY_ORDER: Final = _policy("by-order", _rule("first", "allow", _when("arguments/order", "equals", "ord_1")))
POLICIES: Final = (POLICY, ASKING, LIMITED, SEEING, STRICT, FOREIGN)


def call(
    contract: Contract, *, customer: int = 1, order: int = 1, amount: int = 500, memo: str = ""
) -> dict[str, Value]:
    """Return arguments for a call under any contract of the corpus."""
    if contract.name == NOTIFY.name:
        return {
            "customer": f"cus_{customer}",
            "order": order,
            "text": f"{memo} ñ 数 \x7f",
            "file": bytes(amount % 20_000),
        }
    if contract.name == AUDITED.name:
        return {"customer": f"cus_{customer}", "order": order, "amount": f"{amount}.00"}
    return {"customer": f"cus_{customer}", "order": f"ord_{order}", "amount": amount, "memo": memo}


def snapshot(*, balance: int = 1000, etag: str = "e1", is_open: bool = True) -> tuple[dict[str, Value], bytes, bytes]:
    """Return a snapshot under TRANSFER's profile: its fields, its bytes and its id."""
    fields: dict[str, Value] = {"balance": balance, "etag": etag, "open": is_open}
    raw = cbor.encode(fields)
    return fields, raw, digest.attachment_digest(raw)
