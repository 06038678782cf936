"""What a judgement may know beside the event: one effect's state, and the rest of the log behind `World`.

SPEC §9.4. The live path reads a store, the auditor its own fold; both hand the rules the same view.
"""

from typing import Final, NamedTuple, Protocol

from invoke_log.rules.event import Event
from invoke_log.rules.governance import Governance
from invoke_log.rules.kind import FREE

PENDING: Final = -1
"""Stands for the leaf of an event that is judged and not yet appended. Nothing has passed since it."""


class Claim(NamedTuple):
    """The latest intent of a generation. `index` is its leaf; `approvals` how many its verdict wants, 0 for allow."""

    id: bytes
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks for
    issuer: bytes
    contract_id: bytes
    request: bytes
    decision_key: bytes
    asks: bool
    approvals: int


class Send(NamedTuple):
    """The START of the current attempt; `last_index` is the leaf of its last send: itself, or a later re-drive."""

    id: bytes
    index: int  # type: ignore[assignment]  # as above
    by: bytes
    nonce_hash: bytes
    last_index: int
    redriven: bool


class EffectState(NamedTuple):
    """What the log says of one effect. `last` is its chain's head, None before the first event.

    attempt counts accepted intents over all generations; turn the provider keys burnt in this one. claim is the latest
    intent of the generation, whatever became of it; base_status, base_generation and base_claim are what a released
    claim returns to, base_claim for an `again` alone. send is the open START. sealed_request is the request that an
    `after` must repeat, None where it need not. tainted is the leaf of the recovery that made the status unknown;
    absorbed how many recoveries have been accounted for.

    A named tuple: each event makes two or three of them from the one before, and a tuple is copied in a quarter of the
    time that a frozen dataclass takes (2.4 for 9.4 us).
    """

    effect: bytes
    resource: str
    effect_class: str = ""
    status: str = FREE
    generation: int = 1
    attempt: int = 0
    turn: int = 0
    last: bytes | None = None
    committed_max: int = 0
    base_status: str = FREE
    base_generation: int = 1
    base_claim: Claim | None = None
    claim: Claim | None = None
    send: Send | None = None
    sealed_request: bytes | None = None
    tainted: int | None = None
    absorbed: int = 0


class World(Protocol):
    """What a judgement may know beside the event: the log as it stands just before the event's leaf."""

    @property
    def governance(self) -> Governance:
        """The governance in force."""
        ...

    def now_ms(self) -> int:
        """lo here: the time of the last tick, 0 where there is none [TIME-3]."""
        ...

    def lo(self, index: int) -> int:
        """The time of the last tick before a leaf, 0 where there is none [TIME-3]."""
        ...

    def hi(self, index: int) -> int | None:
        """The time of the first tick that covers a leaf; None while none came: nothing has passed since [TIME-3]."""
        ...

    def last_tick(self) -> tuple[int, bytes] | None:
        """The leaf and the id of the last tick; None: none has come."""
        ...

    def effect(self, effect: bytes, resource: str) -> EffectState:
        """The effect's state, recoveries accounted for; its resource is the one it is bound to."""
        ...

    def state_hash(self, resource: str) -> bytes:
        """S of a resource [ID-3], [ID-4]."""
        ...

    def chained(self, effect: bytes, resource: str, event_id: bytes) -> tuple[int, Event] | None:
        """An accepted event on the effect's chain, with its leaf."""
        ...

    def unchained(self, event_id: bytes, resource: str) -> tuple[int, Event] | None:
        """An accepted note, observation or handle of a resource, or a tick, with its leaf."""
        ...

    def started_by(self, effect: bytes, resource: str, key: bytes) -> bool:
        """Whether any accepted START on the effect's chain is by this key."""
        ...
