"""What an append answers: exactly one of eight, each a value. SPEC §9.2 [ADM-2].

Only START's ACCEPTED permits a send. None of the others ever reads as permission, DUPLICATE least of all.
"""

from dataclasses import dataclass
from typing import Final

from invoke_log.format.digest import EventId, LeafIndex
from invoke_log.rules.admission import Blocked, Collision, Conflict, Stale
from invoke_log.rules.governance import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The event is durable at this leaf."""

    id: EventId
    index: LeafIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """This very event is on its chain already, at this leaf."""

    of: EventId
    index: LeafIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The event may or may not be appended. Append the same bytes again: the answer will then be definite."""

    reason: str


Answer = Accepted | Duplicate | Collision | Conflict | Blocked | Stale | Refused | Unavailable

NAMES: Final[dict[type, str]] = {
    Accepted: "accepted",
    Duplicate: "duplicate",
    Collision: "collision",
    Conflict: "conflict",
    Blocked: "blocked",
    Stale: "stale",
    Refused: "refused",
    Unavailable: "unavailable",
}
"""The word for each answer on every surface."""
