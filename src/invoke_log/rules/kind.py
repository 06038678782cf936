"""What each kind of event says: one dataclass a kind, whose fields are exactly the fields of its `data`.

SPEC §6.3 [EVT-2]. The vocabulary that rules and drivers share; `event` turns it into bodies and back.
"""

from dataclasses import dataclass
from typing import Final

from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.rules.policy import Policy

ROLES: Final = ("agent", "repeat", "approver", "executor", "reconciler", "attestor", "admin", "log")
SCOPED_ROLES: Final = frozenset(("agent", "repeat", "approver", "executor", "reconciler", "attestor"))
FORMAT_VERSION: Final = 1

FREE: Final = "free"
CLAIMED: Final = "claimed"
STARTED: Final = "started"
COMMITTED: Final = "committed"
NOT_COMMITTED: Final = "not_committed"
UNKNOWN: Final = "unknown"

PRESENT: Final = "present"
ABSENT: Final = "absent"

EVIDENCE_KINDS: Final = (
    "response",  # the tool answered; the executor's word
    "never_sent",  # the connection failed before the first request byte, or the call was never made
    "definite_failure",  # an answer that the contract lists as "not done"
    "stored_failure",  # the same, and the provider will answer it again under this key
    "abort",  # the transaction was aborted
    "no_answer",  # timeout, reset, EOF, cancellation, our own crash
    "unclear_answer",  # a 5xx, a conflict, an unparsable body, an isError flag, something pending
    "tag_seen",  # one authenticated sighting of our tag
    "absence",  # a complete, authoritative read without our tag, begun after the bound
    "key_burnt",  # the same, and the provider's key can only answer what it stored, which is no success
    "void",  # the provider accepted a void
    "webhook",  # an authenticated message
)
PROOFS_OF_FAILURE: Final = frozenset(("never_sent", "definite_failure", "stored_failure", "abort"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which effects a grant, freeze or oath is about: a class or `*`, and a resource prefix ending at `/`, or empty."""

    effect_class: str
    prefix: str

    def covers(self, effect_class: str, resource: str) -> bool:
        """Return whether an effect lies in this scope [GOV-4]."""
        return self.effect_class in ("*", effect_class) and resource.startswith(self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an outcome or a resolution rests on. `reference` is the provider's object, `tick` what a read held first."""

    kind: str
    reference: str | None = None
    failure: str | None = None
    tick: bytes | None = None
    observations: tuple[bytes, ...] = ()
    attachment: dict[str, Value] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A recorded verdict with its whole input. Replay judges from `inputs` before it reads the rest."""

    policy_id: bytes
    inputs: dict[str, Value]
    answer: str
    rule: str | None
    approvals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """Leaf 0: the log's name, the key that signs its ticks and checkpoints, and who governs it."""

    format: int
    origin: str
    log_key: bytes
    admin_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role for one key, within a scope."""

    subject: str
    key: bytes
    role: str
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """The end of a key's grants, or of one grant; `suspect_from` taints what rests on them, voids nothing."""

    key: bytes | None
    grant: bytes | None
    suspect_from: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """No START under this contract any more."""

    contract_id: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """No intent, START or re-drive in this scope; evidence goes on."""

    scope: Scope
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfreeze:
    """The end of the freeze of exactly this scope."""

    scope: Scope
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The log goes on under a new origin from an older copy (`amnesia`), or under a new log key without one."""

    old_origin: str
    origin: str
    size: int
    root: bytes
    checkpoint: bytes | None
    log_key: bytes
    amnesia: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Oath:
    """A person swears that the lost tail of one recovery did not touch the keys of a scope."""

    scope: Scope
    recovery: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The log's time, by a clock that was read after its signer had seen `covers` leaves; `map` is the map root after
    those, or null.
    """

    time_ms: int
    covers: int
    map: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A decision: this request, under this contract, on this state of the resource, with this verdict."""

    contract_id: bytes
    purpose: str
    identity: dict[str, Value]
    content: dict[str, Value]
    snapshot_id: bytes | None
    after: bytes | None
    again: bytes | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Consent to one intent, and the digest of the text that was shown."""

    intent: bytes
    shown: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Refusal of one intent; the effect returns to where it came from."""

    intent: bytes
    shown: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A claim given up before any START."""

    intent: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Permission to send, once, for the process that holds the nonce."""

    intent: bytes
    approvals: tuple[bytes, ...]
    verdict: Verdict
    snapshot_id: bytes | None
    nonce_hash: bytes
    provider_key: bytes
    tag: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the process that sent says happened; without the nonce it may only say unknown."""

    start: bytes
    nonce: bytes | None
    status: str
    evidence: Evidence
    result: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """The send deadline has passed without an outcome."""

    start: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """A second send of the exact request under the same provider key."""

    start: bytes
    nonce_hash: bytes
    provider_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParts:
    """What an effect key and its resource derive from, beside a contract: as an intent records it."""

    purpose: str
    identity: dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What the outside showed about one generation of an effect: present or absent.

    of: what the effect is; a presence has it where no intent on the log says so, and may have it elsewhere.
    """

    presence: str
    contract_id: bytes
    generation: int
    evidence: Evidence
    of: KeyParts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A person's word for what nobody can observe."""

    status: str
    reason: str
    attachment: dict[str, Value] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Text about any event."""

    about: bytes
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One reconciler's reading, to be listed by a resolution."""

    about: bytes
    presence: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """The name by which an attempt can be asked about later, noted before it matters: a transaction id."""

    about: bytes
    handle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Calls that did not become intents: blocked, denied or conflicting, counted together."""

    issuer: bytes
    effect: bytes
    resource: str
    blocker: bytes | None
    reason: str
    count: int
    first_ms: int
    last_ms: int


Data = (
    Genesis | Grant | Revoke | Contract | Withdraw | Policy | Freeze | Unfreeze | Recovery | Oath | Tick
    | Intent | Approval | Denial | Release | Start | Outcome | Suspect | Redrive | Resolution | Attestation
    | Note | Observation | Handle | Refusal
)  # fmt: skip
