"""A log as an author tells it: events sealed with `_wire`, and beside each what has to come of it.

A story judges nothing. Whether an event is accepted, void or remarked on is said by whoever writes it (`void=`,
`finds=`); the story only keeps what the next event has to name, and counts what a report has to say. So an expected
report comes from the text of SPEC and never from the code that the vectors test.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, cast

from vectors.generate import _sample as sample
from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._sample import ALLOW, CHARGE, EVERYTHING, evidence
from vectors.generate._wire import (
    ADMIN,
    AGENT,
    APPROVER,
    ATTESTOR,
    LOG,
    ORIGIN,
    RECONCILER,
    T0,
    Case,
    Key,
    Map,
    Value,
)

D, Q, TTL, APPROVAL_TTL, RETENTION = 10_000, 60_000, 300_000, 3_600_000, 86_400_000
CHARGES: Final[Map] = {"effect_class": "money.charge/1", "prefix": "stripe:acct_1/test/"}
CAST: Final = (("agent", AGENT), ("executor", AGENT), ("reconciler", RECONCILER))
WARNINGS: Final = {"attachment-missing", "contradiction", "duplicate-effect", "key-suspect", "not-covered"} | {
    "policy-unchecked",
    "suspect",
}
OPEN: Final = ("claimed", "started", "unknown")
SHOWS: Final = {"committed": "response", "not_committed": "never_sent", "unknown": "no_answer"}

Find = tuple[str, int | None]


@dataclass(frozen=True)
class Leaf:
    """One leaf: what stands there, its id, the code under which it is void, and the state root behind it."""

    kind: str
    body: bytes
    signature: bytes
    id: bytes
    entry: bytes
    void: str | None
    state_root: bytes | None


class Story:
    """A log that begins with genesis and a tick, and, unless told otherwise, grants, a policy and a contract."""

    def __init__(
        self,
        *,
        grants: Iterable[tuple[str, Key]] = CAST,
        also: Iterable[tuple[str, Key]] = (),
        policy: Map | None = ALLOW,
        contract: Map | None = CHARGE,
        admins: Iterable[Key] = (ADMIN,),
    ) -> None:
        self.origin, self.log_key, self.log_id = ORIGIN, LOG, bytes(32)
        self.governance: bytes | None = None
        self.policy_data: Map = {}
        self.contract_data: Map = {}
        self.now = self.forgotten = 0
        self.leaves: list[Leaf] = []
        self.effects: dict[bytes, Effect] = {}
        self.states: dict[str, bytes] = {}
        self.findings: list[Find] = []
        self.attachments: list[bytes] = []
        self.trust = wire.vkey(ORIGIN, LOG)
        self.genesis(admins)
        self.tick(T0)
        for role, key in (*grants, *also) if contract is not None else ():
            self.grant(role, key)
        if policy is not None:
            self.policy(policy)
        if contract is not None:
            self.contract(contract)

    # Leaves

    @property
    def next(self) -> int:
        """The leaf that the next event takes."""
        return len(self.leaves)

    @property
    def root(self) -> bytes:
        return wire.root([wire.leaf_hash(leaf.entry) for leaf in self.leaves])

    def body(self, kind: str, data: Map, by: Key, effect: Effect | None = None, /, **changed: Value) -> Map:
        """Return a body that names the heads which stand; `changed` replaces fields of it."""
        prev = self.governance if kind in sample.GOVERNING else None
        if effect is not None and kind in sample.CHAINED:
            prev = effect.head
        fields: Map = {
            "v": 1,
            "log": self.log_id,
            "kind": kind,
            "by": by.public,
            "at_ms": T0 + self.next,
            "prev": prev,
            "data": data,
        }
        if effect is not None:
            fields |= {"effect": effect.key, "resource": effect.resource}
        if effect is not None and kind == "intent":
            fields["state"] = self.state(effect.resource)
        return fields | changed

    def put(self, fields: Map, by: Key, *, void: str | None = None, finds: Iterable[str] = ()) -> bytes:
        """Seal a body as the next leaf and return its id."""
        body, header = wire.il1(fields), wire.protected_header(fields)
        return self.put_raw(body, by.sign(wire.signed_bytes(header, body)), fields, void=void, finds=finds)

    def put_raw(
        self, body: bytes, signature: bytes, fields: Map, *, void: str | None = None, finds: Iterable[str] = ()
    ) -> bytes:
        entry = wire.entry(wire.protected_header(fields), body, signature)
        event_id = wire.h("event", body)
        self.findings += [(code, self.next) for code in (*([void] if void else []), *finds)]
        self.leaves.append(Leaf(str(fields.get("kind")), body, signature, event_id, entry, void, None))
        self._settle_leaf()
        return event_id

    def repeat(self, index: int, *, void: str, finds: Iterable[str] = ()) -> None:
        """Put the very event of an earlier leaf once more."""
        self.adopt(self.leaves[index], void=void, finds=finds)

    def adopt(self, leaf: Leaf, *, void: str, finds: Iterable[str] = ()) -> None:
        """Put an event that was sealed elsewhere, and moves nothing here."""
        self.findings += [(code, self.next) for code in (void, *finds)]
        self.leaves.append(replace(leaf, void=void))
        self._settle_leaf()

    def _settle_leaf(self) -> None:
        """Give the last leaf the state root behind it, as far as the log has begun."""
        if self.governance is not None:
            self.leaves[-1] = replace(self.leaves[-1], state_root=self.state_root())

    def state_root(self) -> bytes:
        rows: list[Value] = [effect.row for _, effect in sorted(self.effects.items())]
        resources: list[Value] = [[n, s] for n, s in sorted(self.states.items(), key=lambda row: row[0].encode())]
        digests = wire.h("effects", wire.il1(rows)), wire.h("resources", wire.il1(resources))
        return wire.named("root", self.next, self.governance, *digests)

    def find(self, code: str, index: int | None = None) -> None:
        """Say what the report finds beside what was said of each leaf."""
        self.findings.append((code, index))

    # Governance and time

    def govern(
        self,
        kind: str,
        data: Map,
        by: Key = ADMIN,
        *,
        void: str | None = None,
        finds: Iterable[str] = (),
        **body: Value,
    ) -> bytes:
        event_id = self.put(self.body(kind, data, by, None, **body), by, void=void, finds=finds)
        if void is None:
            self.governance = event_id
            self._settle_leaf()
        return event_id

    def genesis(self, admins: Iterable[Key]) -> None:
        keys: list[Value] = [*sorted(admin.public for admin in admins)]
        self.log_id = self.govern("genesis", {"format": 1, "origin": ORIGIN, "log_key": LOG.public, "admin_keys": keys})

    def tick(self, time_ms: int, *, void: str | None = None, finds: Iterable[str] = (), **data: Value) -> bytes:
        values: Map = {"time_ms": time_ms, "covers": self.next, "map": None, **data}
        event_id = self.put(self.body("tick", values, self.log_key), self.log_key, void=void, finds=finds)
        if void is None:
            self.now = max(self.now, time_ms)
        return event_id

    def wait(self, duration_ms: int) -> bytes:
        """Add the tick that comes so long after the last one."""
        return self.tick(self.now + duration_ms)

    def grant(
        self, role: str, key: Key, scope: Map | None = None, *, by: Key = ADMIN, void: str | None = None
    ) -> bytes:
        scoped = EVERYTHING if role in ("admin", "log") else CHARGES
        data: Map = {"subject": role, "key": key.public, "role": role, "scope": scope or scoped}
        return self.govern("grant", data, by, void=void)

    def revoke(self, **data: Value) -> bytes:
        values: Map = {"key": None, "grant": None, "suspect_from": None, **data}
        return self.govern("revoke", values, finds=("suspect",) if "suspect_from" in data else ())

    def policy(self, data: Map, *, by: Key = ADMIN, void: str | None = None) -> bytes:
        event_id = self.govern("policy", data, by, void=void)
        if void is None:
            self.policy_data = data
        return event_id

    def contract(self, data: Map, *, void: str | None = None) -> bytes:
        event_id = self.govern("contract", data, void=void)
        if void is None:
            self.contract_data = data
        return event_id

    def freeze(self, scope: Map = CHARGES, kind: str = "freeze", *, void: str | None = None) -> bytes:
        return self.govern(kind, {"scope": scope, "reason": "an audit"}, void=void)

    def withdraw(self, contract: Map = CHARGE, *, void: str | None = None) -> bytes:
        data: Map = {"contract_id": wire.named("contract", contract), "reason": "the account is closed"}
        return self.govern("withdraw", data, void=void)

    def recovery(self, **changed: Value) -> Map:
        """Return the data of a recovery with amnesia at the next leaf, under the same log key."""
        data: Map = {
            "old_origin": self.origin,
            "origin": f"{ORIGIN}.e1",
            "size": self.next,
            "root": self.root,
            "checkpoint": None,
            "log_key": self.log_key.public,
            "amnesia": True,
        }
        return data | changed

    def recover(self, log_key: Key | None = None, **changed: Value) -> bytes:
        """Go on under a new origin; with amnesia, what is open becomes unknown."""
        key = log_key or self.log_key
        data = self.recovery(log_key=key.public, **changed)
        self.log_id = event_id = self.govern("recovery", data)
        self.origin, self.log_key = str(data["origin"]), key
        self.trust = wire.vkey(self.origin, key)
        self.forgotten += bool(data["amnesia"])
        for effect in [effect for effect in self.effects.values() if data["amnesia"] and effect.status in OPEN]:
            effect.status, effect.accounted = "unknown", self.forgotten
        self._settle_leaf()
        return event_id

    # Effects

    def effect(self, order: str = "789", customer: str = "cus_1", amount: int = 5000, **content: Value) -> Effect:
        """Name an effect under the contract that was registered last; the log does not know it yet."""
        contract, identity = self.contract_data, cast("Map", {"customer": customer})
        values: Map = {**cast("Map", contract["realm"]), **identity, "order": order, "amount": amount}
        resource = wire.expand(str(contract["resource"]), values)
        purpose = "" if contract["purpose"] is None else order
        if contract["purpose"] is None:
            identity = {**identity, "order": order}
        key = wire.named("effect", contract["effect_class"], resource, purpose, identity)
        return Effect(contract, purpose, identity, {"amount": amount, **content}, resource, key)

    def state(self, resource: str) -> bytes:
        return self.states.get(resource) or self.zero(resource)

    def zero(self, resource: str) -> bytes:
        return wire.named("zero", self.log_id, resource)

    def verdict(self, answer: str = "allow", approvals: int = 0, **changed: Value) -> Map:
        """Return a verdict of the policy in force, by its rule `covered`."""
        inputs: Map = {"now_ms": self.now, "snapshot": {}, "budgets": {}}
        verdict: Map = {
            "policy_id": wire.named("policy", self.policy_data),
            "inputs": inputs,
            "answer": answer,
            "rule": "covered",
            "approvals": approvals,
        }
        return verdict | changed

    def of(self, effect: Effect, kind: str, data: Map, by: Key, /, **given: object) -> bytes:
        """Put an event on an effect's chain. `given`: void and finds, and fields of the body or of data to replace."""
        void, finds = cast("str | None", given.pop("void", None)), cast("Iterable[str]", given.pop("finds", ()))
        changed = cast("Map", given)
        data = data | {name: value for name, value in changed.items() if name in data}
        body = {name: value for name, value in changed.items() if name not in data}
        event_id = self.put(self.body(kind, data, by, effect, **body), by, void=void, finds=finds)
        if void is None:
            effect.head = event_id
            effect.events.append(event_id)
            self.effects[effect.key] = effect
        self._settle_leaf()
        return event_id

    def moved(self, effect: Effect, event_id: bytes) -> None:
        self.states[effect.resource] = wire.named("state", self.state(effect.resource), event_id)

    def intent(self, effect: Effect, /, by: Key = AGENT, *, status: str = "claimed", **given: object) -> bytes:
        """Claim an effect, free, not_committed (`after`) or committed (`again=effect.head`)."""
        data: Map = {
            "contract_id": wire.named("contract", effect.contract),
            "purpose": effect.purpose,
            "identity": effect.identity,
            "content": effect.content,
            "snapshot_id": None,
            "after": effect.head if effect.status == "not_committed" else None,
            "again": None,
            "verdict": self.verdict(),
        }
        event_id = self.of(effect, "intent", data, by, **given)
        if effect.head == event_id:
            effect.came_from, effect.intent = (effect.status, effect.generation), event_id
            effect.issuer, effect.repeats = by.public, given.get("again") is not None
            if effect.repeats:
                effect.generation, effect.turn = effect.generation + 1, 0
            spared = self.forgotten > (0 if effect.repeats else effect.accounted) and status == "claimed"
            effect.sworn, effect.accounted = effect.sworn or spared, self.forgotten
            effect.status, effect.attempt = status, effect.attempt + 1
            self.moved(effect, event_id)
        self._settle_leaf()
        return event_id

    def start(self, effect: Effect, /, by: Key = AGENT, approvals: Iterable[bytes] = (), **given: object) -> bytes:
        effect.nonce = nonce = sha256(f"nonce {self.next}".encode()).digest()[:16]
        listed: list[Value] = [*sorted(approvals)]
        data: Map = {
            "intent": effect.intent,
            "approvals": listed,
            "verdict": self.verdict(),
            "snapshot_id": None,
            "nonce_hash": wire.named("nonce", nonce),
            "provider_key": wire.named("provider", effect.key, effect.generation, effect.turn),
            "tag": wire.named("tag", effect.key, effect.generation),
        }
        event_id = self.of(effect, "start", data, by, **given)
        if effect.head == event_id:
            effect.status, effect.start = "started", event_id
        self._settle_leaf()
        return event_id

    def outcome(
        self, effect: Effect, /, status: str = "committed", kind: str = "", by: Key = AGENT, **given: object
    ) -> bytes:
        kind = kind or SHOWS[status]
        data: Map = {
            "start": effect.start,
            "nonce": effect.nonce,
            "status": status,
            "evidence": evidence(kind, reference="pi_1" if status == "committed" else None),
            "result": None,
        }
        if kind.endswith("_failure"):
            data["evidence"] = evidence(kind, failure="card_declined")
        event_id = self.of(effect, "outcome", data, by, **given)
        words = ("executor", *(["contract-failures"] if kind.endswith("_failure") else []))
        return self._ended(effect, event_id, status, kind, ("E0", words))

    def resolution(
        self, effect: Effect, /, kind: str = "tag_seen", by: Key = RECONCILER, *, grade: str = "E1", **given: object
    ) -> bytes:
        """Resolve an effect: absent where a `tick` is given or the kind says so, present by default."""
        presence = str(given.pop("presence", "present" if kind in ("tag_seen", "response") else "absent"))
        tick, observations = cast("Value", given.pop("tick", None)), cast("Value", given.pop("observations", []))
        reference = cast("Value", given.pop("reference", "pi_1" if presence == "present" else None))
        failure = "charge.voided" if (kind, presence) == ("webhook", "absent") else None
        read: Map = {"tick": tick, "observations": observations, "reference": reference, "failure": failure}
        data: Map = {
            "presence": presence,
            "contract_id": wire.named("contract", effect.contract),
            "generation": effect.generation,
            "evidence": evidence(kind, **read),
            "of": effect.parts if presence == "present" and not effect.attempt else None,
        }
        event_id = self.of(effect, "resolution", data, by, **given)
        words = ["executor" if grade == "E0" else "reconciler"]
        words += ["log-clock", "quiescence-bound"] if kind in ("absence", "key_burnt", "void") else []
        words += ["webhook-sender"] if kind == "webhook" else []
        if presence == "absent":
            return self._ended(effect, event_id, "not_committed", kind, (grade, words))
        generation = cast("int", given.get("generation", effect.generation))
        if effect.head == event_id and generation > max(effect.committed, default=0):
            effect.generation = generation
            return self._ended(effect, event_id, "committed", kind, (grade, words))
        return event_id

    def _ended(
        self, effect: Effect, event_id: bytes, status: str, kind: str, ground: tuple[str, Iterable[str]]
    ) -> bytes:
        if effect.head == event_id:
            if status != "unknown":
                effect.settle([*ground[1]])
                effect.grade = ground[0]
                effect.turn += kind in ("stored_failure", "key_burnt")
                self.moved(effect, event_id)
            effect.status = status
            effect.committed += [effect.generation] if status == "committed" else []
        self._settle_leaf()
        return event_id

    def returned(self, effect: Effect, event_id: bytes) -> bytes:
        """Say that a denial or release gave a claim back."""
        if effect.head == event_id:
            effect.status, effect.generation = effect.came_from
        self._settle_leaf()
        return event_id

    def approve(self, effect: Effect, /, by: Key = APPROVER, **given: object) -> bytes:
        return self.of(effect, "approval", {"intent": effect.intent, "shown": effect.shown()}, by, **given)

    def deny(self, effect: Effect, /, by: Key = APPROVER, **given: object) -> bytes:
        data: Map = {"intent": effect.intent, "shown": effect.shown(), "reason": "too much"}
        return self.returned(effect, self.of(effect, "denial", data, by, **given))

    def release(self, effect: Effect, /, by: Key = AGENT, **given: object) -> bytes:
        data: Map = {"intent": effect.intent, "reason": "not needed any more"}
        return self.returned(effect, self.of(effect, "release", data, by, **given))

    def suspect(self, effect: Effect, /, by: Key = RECONCILER, **given: object) -> bytes:
        event_id = self.of(effect, "suspect", {"start": effect.start}, by, **given)
        return self._ended(effect, event_id, "unknown", "", ("", ()))

    def redrive(self, effect: Effect, /, by: Key = RECONCILER, **given: object) -> bytes:
        data: Map = {
            "start": effect.start,
            "nonce_hash": wire.named("nonce", b"r" * 16),
            "provider_key": wire.named("provider", effect.key, effect.generation, effect.turn),
        }
        return self.of(effect, "redrive", data, by, **given)

    def attest(self, effect: Effect, /, status: str = "committed", by: Key = ATTESTOR, **given: object) -> bytes:
        data: Map = {"status": status, "reason": "the bank has confirmed it by phone", "attachment": None}
        event_id = self.of(effect, "attestation", data, by, **given)
        words = ("attestor", "log-clock", "quiescence-bound")
        return self._ended(effect, event_id, status, "attestation", ("attested", words))

    def about(
        self, effect: Effect, kind: str, about: bytes, by: Key = AGENT, *, void: str | None = None, **given: Value
    ) -> bytes:
        """Put a note, observation or handle: it stands on no chain."""
        data = {**sample.DATA[kind], "about": about}
        data |= {name: value for name, value in given.items() if name in data}
        body = {name: value for name, value in given.items() if name not in data}
        return self.put(self.body(kind, data, by, effect, **body), by, void=void)

    # The case

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        return [(leaf.body, leaf.signature) for leaf in self.leaves]

    def note(self, *, cosigner: Key | None = None) -> bytes:
        return wire.note(self.origin, self.next, self.root, self.log_key, cosigner=cosigner)

    def bundle(self) -> bytes:
        return wire.bundle(self.origin, self.pairs, wire.trailer_item(self.note(), self.attachments))

    def case(self, comment: str, *flags: str, raw: bytes | None = None, **report: object) -> Case:
        """Return the case; `raw` stands in for the bundle, `report` for fields of the report."""
        findings = [self._finding(*found) for found in sorted(self.findings, key=_in_order)]
        faults = [str(found["code"]) for found in findings if found["severity"] == "error"]
        says: Case = {
            "ok": not faults,
            "trusted": True,
            "origin": self.origin,
            "size": self.next,
            "root": self.root.hex(),
            "state_root": self.state_root().hex() if self.governance else None,
            "covered": {"size": self.next, "cosignatures": 0, "cosignatures_not_checked": 0},
            "effects": [effect.report() for _, effect in sorted(self.effects.items())],
            "findings": findings,
        }
        return {
            "comment": comment,
            "expect": faults[0] if faults else "ok",
            "flags": list(dict.fromkeys((*flags, *(str(found["code"]) for found in findings)))),
            "trust": self.trust,
            "bundle": (raw if raw is not None else self.bundle()).hex(),
            "report": says | report,
            "leaves": [
                {
                    "index": index,
                    "kind": leaf.kind,
                    "id": leaf.id.hex(),
                    "void": leaf.void,
                    "state_root": leaf.state_root.hex() if leaf.state_root else None,
                }
                for index, leaf in enumerate(self.leaves)
            ],
        }

    def _finding(self, code: str, index: int | None) -> Case:
        return {"code": code, "severity": "warning" if code in WARNINGS else "error", "index": index}


Cases = Iterator[tuple[str, Case]]


def _in_order(found: Find) -> tuple[bool, int, str]:
    code, index = found
    return index is None, index or 0, code
