"""How a guarded call ends: as values from `guard.call`, as a result or an exception from a decorated tool.

Every way but COMMITTED is an exception class too, so that one object serves both. None of them is a kind of timeout
or connection
error: a retry library that does not know them lets them pass, and OUTCOME UNKNOWN never reads as "try again".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from invoke_log.errors import InvokeLogError
from invoke_log.format import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The effect happened. value: what the tool returned, now or when it ran; fresh: this very call ran it.

    effect_key prints as `eff_…`. `receipt()` makes the receipt's bytes, under a checkpoint that covers the outcome.
    """

    value: Any
    effect_key: str
    fresh: bool
    receipt: Callable[[], bytes] = field(repr=False)


class CallEndedError(InvokeLogError):
    """A guarded call that did not end as committed. Never raised itself."""

    code: ClassVar[str] = "call-ended"

    def __init__(self, message: str, *, effect_key: bytes, by: bytes | None, next: str, status: str) -> None:  # noqa: A002 -- the field is called so
        super().__init__(message, hint=HINTS.get(next))
        self.effect_key = digest.format_id("eff", effect_key)
        self.by = digest.format_id("evt", by) if by is not None else None
        self.next = next
        """A word: wait, poll, reconcile, attest, receipt or decide_again."""
        self.status = status

    def __str__(self) -> str:
        """What happened, to which effect, and what to do next: a traceback shows nothing else."""
        said = f"{self.message} ({self.effect_key})"
        return f"{said}; {self.hint}" if self.hint is not None else said


class OutcomeUnknown(CallEndedError):  # noqa: N818 -- the name says what it is, which is not an error
    """The call was sent and nobody knows yet whether it happened. Do not call again: reconcile, or ask a person.

    not_before: Unix time in milliseconds from which a reconciler may prove absence; None where only a person can
    settle it.
    """

    code: ClassVar[str] = "outcome-unknown"

    def __init__(self, message: str, *, not_before: int | None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.not_before = not_before


class NotCommitted(CallEndedError):  # noqa: N818
    """The call did not happen, and there is proof. Deciding again is safe, and is a new decision."""

    code: ClassVar[str] = "not-committed"


class Blocked(CallEndedError):  # noqa: N818
    """The effect is open or done already, or the world moved: this call sent nothing.

    status: the log's answer: blocked, collision, conflict or stale. receipt: makes the receipt where the effect is
    committed.
    """

    code: ClassVar[str] = "blocked"

    def __init__(self, message: str, *, receipt: Callable[[], bytes] | None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.receipt = receipt


class Pending(CallEndedError):  # noqa: N818
    """The call waits for approval; nothing was sent. Call again once it is approved."""

    code: ClassVar[str] = "approval-pending"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.hint = APPROVAL_HINT


class Denied(CallEndedError):  # noqa: N818
    """The policy or a guard of the log denies this call; nothing was sent."""

    code: ClassVar[str] = "denied"


class DefiniteFailure(Exception):  # noqa: N818
    """For tools to raise: the provider answered that it did not do it, with a code that the contract lists.

    A code that the contract does not list proves nothing: the outcome is then unknown.
    """

    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class NeverSent(Exception):  # noqa: N818
    """For tools to raise: the connection failed before the first byte of the request left this machine."""


class Aborted(Exception):  # noqa: N818
    """For tools and read-backs to raise under a transactional contract: the attempt's transaction was aborted."""


HINTS = {
    "wait": "somebody holds this claim: wait for its START or its release; after its TTL another call releases it",
    "poll": "the call is out: ask for its status, or reconcile after its deadline",
    "reconcile": 'do not call again: run "invoke-log reconcile"',
    "attest": 'do not call again: a person has to find out and run "invoke-log attest"',
    "receipt": 'it is settled: "invoke-log receipt make" hands out the proof',
    "decide_again": "it did not happen: look at the world again and decide again",
    "tick": 'whoever holds the log key has to tick: "invoke-log checkpoint" does; then make the same call again',
}
"""What to do next, in a sentence, by the word in `next`."""

APPROVAL_HINT = 'nothing was sent: once a person has approved it ("invoke-log approvals"), make the same call again'

Unknown = OutcomeUnknown
Ending = Committed | OutcomeUnknown | NotCommitted | Blocked | Pending | Denied
