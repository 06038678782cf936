"""The one table from what happened to an exit code: every answer, verdict, ending and error code. Listed in
docs/reference.

A script reads the exit code, a person the words; both come from here. The table is total, and tested so.
"""

from collections.abc import Iterable
from typing import Final

from invoke_log.rules.answer import NAMES, Answer

DONE: Final = 0
BUG: Final = 1
USAGE: Final = 2
UNVERIFIED: Final = 3
DENIED: Final = 4
PENDING: Final = 5
BLOCKED: Final = 6
UNKNOWN: Final = 7
UNAVAILABLE: Final = 8

MEANINGS: Final = {
    DONE: "done; a duplicate too",
    BUG: "a bug, or a demo that did not come out as told",
    USAGE: "usage: a word, a name or a file that cannot be worked with",
    UNVERIFIED: "it does not verify",
    DENIED: "denied or refused",
    PENDING: "an approval is pending",
    BLOCKED: "blocked, a collision, a conflict, or stale",
    UNKNOWN: "the outcome is unknown: do not ask again, reconcile",
    UNAVAILABLE: "unavailable: safe to ask again",
}

EXIT_CODES: Final = {
    # What an append answers.
    "accepted": DONE,
    "duplicate": DONE,
    "collision": BLOCKED,
    "conflict": BLOCKED,
    "blocked": BLOCKED,
    "stale": BLOCKED,
    "refused": DENIED,
    "unavailable": UNAVAILABLE,
    # What a policy answers.
    "allow": DONE,
    "deny": DENIED,
    "ask": PENDING,
    # How a guarded call ends. Proof that it did not happen is no reason to ask again: a declined card stays declined.
    "committed": DONE,
    "not-committed": DENIED,
    "outcome-unknown": UNKNOWN,
    "approval-pending": PENDING,
    "denied": DENIED,
    "call-ended": BUG,
    # What is raised.
    "error": BUG,
    "malformed": UNVERIFIED,
    "cut": UNVERIFIED,
    "key-invalid": USAGE,
    "key-locked": USAGE,
    "signature-invalid": UNVERIFIED,
    "proof-invalid": UNVERIFIED,
    "receipt-invalid": UNVERIFIED,
    "contract-invalid": DENIED,
    "policy-invalid": DENIED,
    "argument-invalid": DENIED,
    "snapshot-invalid": DENIED,
    "message-invalid": UNVERIFIED,
    "read-unclear": UNKNOWN,
    "config-invalid": USAGE,
    "not-found": USAGE,
    "store-unavailable": UNAVAILABLE,
    "store-exists": USAGE,
    "store-format": UNVERIFIED,
    "store-read-only": DENIED,
    "store-full": UNAVAILABLE,
    "store-busy": UNAVAILABLE,
    "store-damaged": UNVERIFIED,
    "commit-uncertain": UNAVAILABLE,
    "log-halted": UNAVAILABLE,
    # The demo's own.
    "story": BUG,
    "child": BUG,
}
"""By the word for an answer, verdict or ending, or the stable code of an error."""


def exit_code_of(answer: Answer) -> int:
    """Return the exit code of an append's answer."""
    return EXIT_CODES[NAMES[type(answer)]]


def worst(exit_codes: Iterable[int]) -> int:
    """Return the exit code of a batch: the largest of its lines', 0 for none. Not knowing is worse than a refusal."""
    return max(exit_codes, default=DONE)
