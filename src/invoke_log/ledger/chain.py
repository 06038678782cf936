"""The names of chains: which rows of the store belong together. Not on the wire: another store may name them otherwise.

Each name begins with 16 bytes of the resource's hash, so that everything an append touches lies on neighbouring
pages. The
rest of the hash, or the key, follows: no two resources and no two effects can share a chain.
"""

from functools import lru_cache
from typing import Final

from invoke_log.format.digest import attachment_digest

_NO_RESOURCE: Final = bytes(16)
GOVERNANCE: Final = _NO_RESOURCE + b"g"
TICKS: Final = _NO_RESOURCE + b"t"
"""Every tick in order; the memo is its effective time and what it covers, 8 bytes each."""
COUNTS: Final = _NO_RESOURCE + b"c"
"""Every event that changes what budgets count. The memo is one byte, 1 where something begins to count and 0 where it
ceases, and the id of the event that does: 32 bytes.
"""
BINDINGS: Final = _NO_RESOURCE + b"x"
BINDING_BYTES: Final = len(BINDINGS) + 32


@lru_cache(maxsize=1024)
def resource_hash(resource: str) -> bytes:
    """Return the 32 bytes that stand for a resource in chain names."""
    return attachment_digest(resource.encode())


def of_effect(effect: bytes, resource: str) -> bytes:
    """The effect's events; the memo is its folded state."""
    return of_bound_effect(effect, resource_hash(resource))


def of_bound_effect(effect: bytes, hashed: bytes) -> bytes:
    """The same, by what the effect's binding says of its resource."""
    return hashed[:16] + b"e" + effect


def of_binding(effect: bytes) -> bytes:
    """One row at the effect's first event: the resource that it belongs to. Finds an effect by its key alone."""
    return BINDINGS + effect


def of_tag(tag: bytes) -> bytes:
    """Each event that began a generation under this tag. The memo is the generation, 8 bytes. Finds an effect by what
    its provider's objects carry.
    """
    return _NO_RESOURCE + b"y" + tag


def of_state(resource: str) -> bytes:
    """The resource's state hashes."""
    hashed = resource_hash(resource)
    return hashed[:16] + b"s" + hashed[16:]


def of_unchained(event_id: bytes, resource: str | None) -> bytes:
    """One row: an event that stands on no chain, so that appending it twice is seen."""
    prefix = _NO_RESOURCE if resource is None else resource_hash(resource)[:16]
    return prefix + b"n" + event_id


def of_observations(effect: bytes, resource: str) -> bytes:
    """What reconcilers observed of an effect. No judgement reads it: it only finds them again."""
    return resource_hash(resource)[:16] + b"o" + effect


def of_handles(about: bytes, resource: str) -> bytes:
    """The handles that were noted about an event. No judgement reads it: it only finds them again."""
    return resource_hash(resource)[:16] + b"h" + about
