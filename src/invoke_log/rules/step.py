"""What a guarded call asks of log, world and tool, step by step, what it is told, and how it ends. SPEC §9.5 [CALL-1].

Nothing but the words between the machine (`rules.call`) and its drivers: they decide nothing, and do nothing.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from invoke_log.format.cbor import Value
from invoke_log.rules.governance import Governance
from invoke_log.rules.kind import Data, Evidence
from invoke_log.rules.world import EffectState


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Read the log: comes back as `Seen`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """Take the snapshot that the contract's profile describes: comes back as `Snapshot`, kept as an attachment."""


class Seal(NamedTuple):
    """Sign an event of this effect with the caller's key: comes back as `Sealed`."""

    data: Data
    prev: bytes | None
    state: bytes | None = None


class Append(NamedTuple):
    """Append sealed events in one commit: comes back as a list of ledger answers."""

    events: tuple["Sealed", ...]


class Send(NamedTuple):
    """Run the tool, unless D has passed since `began`: comes back as `Reply`. start: the START that permits it."""

    began: float
    start: bytes
    provider_key: bytes
    tag: bytes
    generation: int


class Refuse(NamedTuple):
    """Put a call that became no intent on record, with the next append."""

    blocker: bytes | None
    reason: str


Step = Look | Observe | Seal | Append | Send | Refuse


class Seen(NamedTuple):
    """The log as it stood: the effect, the resource's state hash, who governs, the time; and a fresh nonce and clock.

    clock: seconds on a clock that runs while the machine sleeps. approvals: the open intent's that a START of this
    caller may list, one a key: its id, and the time until which it may.
    release_from_ms: the log's time from which anybody may release the open claim; None: there is none, or no tick has
    come since it. decided_id, decided_on: the snapshot that the open intent was decided on, None where it had none; its
    fields, None also where they are not kept here.
    budgets: what the policy's budgets say of this call [POL-7]. own_ms, own_budgets: this machine's time, and what they
    say then, where the log's time stands still beside it; else now_ms, and nothing [CALL-8].
    """

    state: EffectState
    state_hash: bytes
    governance: Governance
    now_ms: int
    nonce: bytes
    clock: float
    approvals: tuple[tuple[bytes, int], ...]
    release_from_ms: int | None
    decided_id: bytes | None
    decided_on: dict[str, Value] | None
    budgets: dict[str, Value]
    own_ms: int
    own_budgets: dict[str, Value]


class Sealed(NamedTuple):
    """A signed event that is not appended yet. `envelope` is the driver's."""

    id: bytes
    envelope: Any


class Reply(NamedTuple):
    """What the tool's run showed: a status, the evidence for it, and the result's bytes where they are kept."""

    status: str
    evidence: Evidence
    result: bytes | None


class Ended(NamedTuple):
    """How a call ended, in the words of the log: a status of the effect, or why there was no send.

    status: committed, not_committed, unknown; or why nothing was sent: blocked, collision, conflict, stale, pending,
    denied, unavailable. fresh: this very call sent. by: the event that stands in the way or that settled it. next: a
    word of `effect.NEXT`, or decide_again, or tick.
    """

    status: str
    fresh: bool
    by: bytes | None
    next: str
    reason: str
