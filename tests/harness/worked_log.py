"""The log of SPEC.md's appendix A, in memory and with fixed keys: `worked()`.

A charge whose answer was lost, and a reconciler who finds it.
"""

from dataclasses import replace
from functools import cache
from typing import Any, Final, cast

from invoke_log.format import digest, envelope, merkle
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.log.signer import FileSigner
from invoke_log.rules.admission import Admitted
from invoke_log.rules.contract import Contract, complete_contract, parse_contract
from invoke_log.rules.event import build_body, parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import (
    Data,
    Evidence,
    Genesis,
    Grant,
    Intent,
    Outcome,
    Resolution,
    Scope,
    Start,
    Tick,
    Verdict,
)
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy

ORIGIN: Final = "example.com/payments"
T0: Final = 1_790_000_000_000
ADMIN, LOG, AGENT, RECONCILER = (FileSigner(bytes([seed]) * 32) for seed in (1, 2, 3, 4))
NONCE: Final = bytes(range(16))
PARTIAL: Final[dict[str, Value]] = {
    "name": "charge-customer",
    "effect_class": "money.charge/1",
    "realm": {"account": "acct_1", "mode": "test"},
    "resource": "stripe:{account}/{mode}/customer/{customer}",
    "purpose": "order",
    "arguments": {
        "customer": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "order": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "amount": {"role": "content", "schema": {"type": "integer", "min": 1, "max": 99_999_999}},
        "currency": {"role": "content", "schema": {"type": "enum", "of": ["eur", "usd"]}},
    },
    "observability": "queryable",
    "read_back": {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0},
}
ARGUMENTS: Final[dict[str, Value]] = {"customer": "cus_1", "order": "789", "amount": 5000, "currency": "usd"}


def contract(**changes: Value) -> Contract:
    """Return the contract of the examples, changed."""
    return parse_contract(complete_contract({**PARTIAL, **changes}))


CONTRACT: Final = contract()


def verdict(answer: str = "allow", *, approvals: int = 0, policy: dict[str, Value] = ALLOW_COVERED) -> Verdict:
    """Return a recorded verdict; nothing checks here that the policy gives it."""
    inputs: dict[str, Value] = {"now_ms": T0, "snapshot": {}, "budgets": {}}
    rule = "covered" if answer == "allow" else None
    return Verdict(policy_id=digest.policy_id(policy), inputs=inputs, answer=answer, rule=rule, approvals=approvals)


class Worked:
    """A log that is only written: every event has to be admitted."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.frontier = merkle.EMPTY_FRONTIER
        self.envelopes: list[Envelope] = []
        self.log_id = envelope.GENESIS_LOG

    def put(self, body: dict[str, Value], signer: FileSigner) -> bytes | str:
        """Append a body, void or not; return its id, or the code that makes it void."""
        sealed = envelope.seal(body, signer)
        event = parse_event(sealed.fields, digest.event_id(sealed.body))
        applied = self.fold.apply(event, index=len(self.envelopes), root=self.frontier.root)
        self.frontier, _ = self.frontier.append(merkle.leaf_hash(sealed.entry))
        self.envelopes.append(sealed)
        if isinstance(applied, Void):
            return applied.code
        assert isinstance(applied, Admitted)
        self.log_id = self.fold.governance.log_id
        return event.id

    def append(self, data: Data, signer: FileSigner, *, prev: bytes | None = None, bound: Bound | None = None) -> bytes:
        state = self.fold.state_hash(bound.resource) if bound is not None and isinstance(data, Intent) else None
        body = build_body(
            data,
            log=self.log_id,
            by=signer.public_key,
            at_ms=T0,
            prev=prev,
            effect=bound.effect if bound else None,
            resource=bound.resource if bound else None,
            state=state,
        )
        answer = self.put(body, signer)
        assert isinstance(answer, bytes), answer
        return answer


@cache
def worked() -> Worked:
    """Return the log of the appendix: a charge whose answer was lost, and a reconciler who finds it."""
    log, names = Worked(), bind(CONTRACT, ARGUMENTS)
    genesis = Genesis(format=1, origin=ORIGIN, log_key=LOG.public_key, admin_keys=(ADMIN.public_key,))
    head = log.append(genesis, ADMIN)
    log.append(Tick(time_ms=T0, covers=0, map=None), LOG)
    stripe = Scope(effect_class="money.charge/1", prefix="stripe:acct_1/test/")
    for role, key, scope in (
        ("agent", AGENT, stripe),
        ("executor", AGENT, stripe),
        ("reconciler", RECONCILER, EVERYTHING),
    ):
        head = log.append(Grant(subject=role, key=key.public_key, role=role, scope=scope), ADMIN, prev=head)
    for data in (parse_policy(ALLOW_COVERED), CONTRACT):
        head = log.append(data, ADMIN, prev=head)
    intended = log.append(an_intent(CONTRACT, names), AGENT, bound=names)
    started = log.append(a_start(intended, names), AGENT, prev=intended, bound=names)
    lost = Outcome(start=started, nonce=NONCE, status="unknown", evidence=Evidence(kind="no_answer"), result=None)
    answered = log.append(lost, AGENT, prev=started, bound=names)
    log.append(Tick(time_ms=T0 + 61_000, covers=10, map=None), LOG)
    seen = Evidence(kind="tag_seen", reference="pi_1")
    present = Resolution(presence="present", contract_id=CONTRACT.id, generation=1, evidence=seen)
    log.append(present, RECONCILER, prev=answered, bound=names)
    return log


def an_intent(under: Contract, names: Bound, **changes: object) -> Intent:
    """Return the intent of these names, changed."""
    intent = Intent(
        contract_id=under.id,
        purpose=names.purpose,
        identity=names.identity,
        content=names.content,
        snapshot_id=None,
        after=None,
        again=None,
        verdict=verdict(),
    )
    return replace(intent, **cast("dict[str, Any]", changes))


def a_start(intent: bytes, names: Bound, *, generation: int = 1, turn: int = 0, **changes: object) -> Start:
    """Return the START of an intent, changed."""
    start = Start(
        intent=intent,
        approvals=(),
        verdict=verdict(),
        snapshot_id=None,
        nonce_hash=digest.nonce_hash(NONCE),
        provider_key=digest.provider_key(names.effect, generation, turn),
        tag=digest.tag(names.effect, generation),
    )
    return replace(start, **cast("dict[str, Any]", changes))
