"""What an HTTP status can prove, by its code name. SPEC §10 [PRF-3]."""

from typing import Final

DOUBTFUL: Final = frozenset((408, 409, 425, 429))
"""Timed out, in conflict, too early, too many: the request, or the one that had its key before, may have landed."""


def failure_of(status: int) -> str | None:
    """Return the code `http_404` of an answer that says "not done", or None: the status proves nothing.

    Whether it counts is for the contract to say, which lists it as a definite failure or does not.
    """
    return f"http_{status}" if 400 <= status < 500 and status not in DOUBTFUL else None
