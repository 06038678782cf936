"""What a tool is given of its call, and what its run proves. SPEC §10 [PRF-2], [PRF-3]."""

import inspect
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Aborted, DefiniteFailure, NeverSent
from invoke_log.rules.contract import Contract
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Evidence
from invoke_log.rules.step import Reply

_RESULT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Runs while the machine sleeps: a laptop that was closed for an hour has missed its send deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The names that a tool hands to its provider. All lower-case hex, but `effect_key`, which prints as `eff_…`.

    provider_key: the idempotency key. tag: what the provider's own object must carry, to be found again by.
    timeout_s: how long the contract lets the tool wait for its answer. identity: the identity arguments, the purpose
    too. handles: for a read-back, what the attempt noted about itself, in order.
    """

    effect_key: str
    resource: str
    generation: int
    provider_key: str
    tag: str
    timeout_s: float
    identity: Mapping[str, Value] = field(default_factory=dict)
    handles: tuple[str, ...] = ()
    send_by: float | None = field(default=None, repr=False, compare=False)
    append_handle: Callable[[str], None] | None = field(default=None, repr=False, compare=False)
    _left: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def left(self) -> bool:
        """Whether the request may have left: from then on a failure of whatever else the tool tries proves nothing."""
        return bool(self._left)

    def leave(self) -> None:
        """Remember that from here on the request may have left."""
        self._left.append(True)

    def may_send(self) -> bool:
        """Return whether the send deadline D has not passed. Asked once more by a tool that takes a while to get ready,
        such as to connect: after D others may count on nothing being sent any more.
        """
        return self.send_by is not None and time.clock_gettime(CLOCK) < self.send_by

    def note_handle(self, handle: str) -> None:
        """Put the name by which this attempt can be asked about on the log, durably, before it matters.

        Args: handle: what the provider calls the attempt, such as a transaction id; at most 512 bytes.
        Raises: ConfigInvalidError: no tool is running, or this one has noted one already. StoreError, MalformedError:
            it is not on the log: do not go on.
        """
        if self.append_handle is None:
            raise ConfigInvalidError("call: only a running tool notes a handle")
        self.append_handle(handle)


def call_of(contract: Contract, bound: Bound, *, generation: int, provider_key: bytes, tag: bytes, **more: Any) -> Call:
    """Return the names of a call; `more` are the fields that only some of them have."""
    return Call(
        effect_key=digest.format_id("eff", bound.effect),
        resource=bound.resource,
        generation=generation,
        provider_key=provider_key.hex(),
        tag=tag.hex(),
        timeout_s=contract.timeout_ms / 1000,
        identity={name: bound.arguments[name] for name, one in contract.arguments.items() if one.role == "identity"},
        **more,
    )


def reply_of_value(value: Any) -> Reply:
    """Return what a tool's return says: the executor's word that it happened; its value is kept where JSON can say
    it.

    Raises: TypeError: it is a coroutine, a generator or a thread's future. Nobody waits for it, so that nothing is
        known to have happened. Or it is an exception, such as another guarded call's ending, which is no result.
    """
    if isinstance(value, BaseException):
        raise TypeError(f"the tool returned {type(value).__name__}, which is no result: raise it") from value
    # A decorator can hide that a function is one of these from whoever registers it.
    if inspect.isawaitable(value) or isinstance(value, Generator | AsyncGenerator | Future):
        raise TypeError(f"the tool returned a {type(value).__name__}, which nobody waits for: return what it comes to")
    try:
        result = _RESULT.encode(value).encode()
    except Exception:  # noqa: BLE001 -- whatever a value does when it is written down: the effect happened
        result = None
    if result is not None and len(result) > limits.RAW_INLINE_BYTES_MAX:
        result = None
    return Reply(status=COMMITTED, evidence=Evidence(kind="response"), result=result)


def reply_of_exception(contract: Contract, error: BaseException) -> Reply:
    """Return what a tool's exception proves: nothing, unless it is one of the three that a tool raises to say so.

    A timeout, a reset, any 5xx, a cancellation, our own bug: UNKNOWN, never failed.
    """
    failure = getattr(error, "failure", None)  # which a subclass may never set, or to what a provider's body holds
    match error:
        case NeverSent():
            return _proof("never_sent")
        case Aborted() if contract.observability == "transactional":
            return _proof("abort")
        case DefiniteFailure() if isinstance(failure, str) and failure in contract.definite_failures:
            key = contract.provider_key
            stored = key is not None and key.stores == "all"
            return _proof("stored_failure" if stored else "definite_failure", failure)
        case DefiniteFailure() | ReadUnclearError():
            kind = "unclear_answer"
        case _:
            kind = "no_answer"
    return Reply(status=UNKNOWN, evidence=Evidence(kind=kind), result=None)


def _proof(kind: str, failure: str | None = None) -> Reply:
    return Reply(status=NOT_COMMITTED, evidence=Evidence(kind=kind, failure=failure), result=None)
