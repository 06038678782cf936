"""`Guard`: tools under contracts, over one log, with one key."""

import functools
import inspect
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from invoke_log.errors import ConfigInvalidError, NotFoundError, StoreError
from invoke_log.format.cbor import Value
from invoke_log.guard import aio, reconcile
from invoke_log.guard.driver import Driver
from invoke_log.guard.first_sight import FirstSights
from invoke_log.guard.outcome import (
    HINTS,
    Blocked,
    Committed,
    Denied,
    Ending,
    NotCommitted,
    OutcomeUnknown,
    Pending,
)
from invoke_log.guard.patience import EVERY_S_DEFAULT, Patience
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.registry import Tool, contract_of, make_tool, register
from invoke_log.guard.sweep import Swept, sweep
from invoke_log.guard.waiting import Waiting, waiting
from invoke_log.guard.webhook import Heard, Verify, hear
from invoke_log.ledger.log import EffectView, Log
from invoke_log.log.home import signer_beside
from invoke_log.log.signer import Signer
from invoke_log.rules.contract import Contract, parse_contract
from invoke_log.rules.intent import Bound, bind, rederive
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Denial, Intent, Outcome, Start
from invoke_log.rules.step import Ended

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])
REASON_SHOWN: Final = 120
"""Characters of a denial's reason that a later call is told."""
OCCUPIED = frozenset(("blocked", "collision", "conflict", COMMITTED))


class Guard:
    """Runs tools so that each effect happens once. Two guards over one log are as good as one: all that a guard keeps
    for itself is since when it has watched what is open.

    Args:
        log: an open log.
        key: who calls; where it is left out, the agent key that was made with the log.
    Raises: ConfigInvalidError: no key, and none lies beside the log.
    """

    def __init__(self, log: Log, *, key: Signer | None = None) -> None:
        found = key or signer_beside(log.path, "agent")
        if found is None:
            raise ConfigInvalidError(
                f"log {log.path}: no agent key lies beside it, or it is locked", hint="give key=il.load_key(FILE)"
            )
        self.log = log
        self.key: Signer = found
        self._tools: dict[str, Tool] = {}

    @functools.cached_property
    def _patience(self) -> Patience:
        return Patience(FirstSights(self.log.path / "watched" / self.key.public_key.hex()))

    def tool(
        self,
        contract: Contract | str,
        *,
        snapshot: Callable[..., object] | None = None,
        read_back: Callable[..., object] | None = None,
        redrive: Callable[..., object] | None = None,
        void: Callable[..., object] | None = None,
        sweep: Callable[[], Iterable[tuple[str, str | None]]] | None = None,
        **fields: Any,
    ) -> Callable[[_Function], _Function]:
        """Return a decorator that puts a function under a contract: `Contract.load(FILE)`, or an effect class and
        fields.

        A decorated call returns the tool's value, or the recorded one where the effect committed before. Otherwise it
        raises `OutcomeUnknown`, `NotCommitted`, `Blocked`, `Pending` or `Denied`.

        Args:
            snapshot: reads the world that the decision rests on; it is given the arguments that it names.
            read_back: given the `Call`, returns the references of all the provider's objects under its tag, or raises.
                A reference is the provider's own id, the one that sweep and messages give too: under another name it
                is another object, and two under one tag freeze the scope.
                Of an effect that was claimed under another version of the contract it is asked where realm, resource
                template and handle are the same, and the effect class or one that it retires; its finding nothing
                counts where `read_back` is the same too.
            redrive: called as the tool is, sends the exact request again under the provider's key; a reconciler uses it
                where the contract says that the provider stores all results.
            void: given the `Call`, has the provider give up for good what is under its tag, and returns True once it
                has; for a contract with `void`. A reconciler asks for it D + Q after the last send, where nothing was
                found and that proves nothing, or the read-back raised `ReadUnclearError`.
            sweep: returns all the provider's objects of this kind that happened, as `read_back` counts them: none that
                was given up. Each is its reference, the one that `read_back` gives it, and the tag that it carries or
                None.
            fields: contract fields, where the first argument is an effect class.
        Raises: ContractInvalidError: a contract that cannot work, or is not registered and cannot be here.
        """

        def decorate(function: _Function) -> _Function:
            asked = {
                "snapshot": snapshot,
                "read_back": read_back,
                "redrive": redrive,
                "void": void,
                "sweep": sweep,
            }
            tool = self._add(function, contract, asked, fields)
            signature = inspect.signature(function)

            @functools.wraps(function)
            def guarded(*positional: Any, **named: Any) -> Any:
                given = signature.bind_partial(*positional, **named).arguments
                return _value_of(self._call(tool, given))

            @functools.wraps(function)
            async def guarded_async(*positional: Any, **named: Any) -> Any:
                given = signature.bind_partial(*positional, **named).arguments
                return _value_of(await self._acall(tool, given))

            return cast("_Function", guarded_async if tool.awaited else guarded)

        return decorate

    def call(self, name: str, arguments: Mapping[str, Value]) -> Ending:
        """Return how a call of a tool ended, as a value.

        Raises: NotFoundError: no tool of this name. ArgumentInvalidError, SnapshotInvalidError: nothing was appended.
            StoreError: the log cannot answer, and nothing was sent.
        """
        tool = self._named(name)
        if tool.awaited:
            raise ConfigInvalidError(f"tool {name} is a coroutine function", hint="await guard.acall(…)")
        return self._call(tool, arguments)

    def _call(self, tool: Tool, arguments: Mapping[str, Value]) -> Ending:
        bound = bind(tool.contract, dict(arguments))
        driver = Driver(self.log, tool, bound, self.key)
        return self._ending(driver.run(), bound, tool, driver)

    async def acall(self, name: str, arguments: Mapping[str, Value]) -> Ending:
        """Return how a call of a coroutine function ended, as a value. Raises as `call`."""
        tool = self._named(name)
        if not tool.awaited:
            raise ConfigInvalidError(
                f"tool {name} is no coroutine function", hint="guard.call(…) runs it in this thread"
            )
        return await self._acall(tool, arguments)

    async def _acall(self, tool: Tool, arguments: Mapping[str, Value]) -> Ending:
        bound = bind(tool.contract, dict(arguments))
        driver = Driver(self.log, tool, bound, self.key)
        return self._ending(await aio.run(driver, self.log, tool), bound, tool, driver)

    def reconcile(self) -> list[Reconciled]:
        """Ask the outside about every open effect of this guard's tools, once, and append what it shows.

        It reads; it sends nothing but the re-drives and voids of tools that were registered with one. That something is
        absent it says only where D + Q has passed by the log and on this machine's own clock, since this key first
        looked for the send. Raises: StoreError.
        """
        return list(self.reconciled())

    def reconciled(self) -> Iterator[Reconciled]:
        """The same, one effect at a time."""
        return reconcile.reconcile(self.log, self._tools.values(), self.key, self._patience)

    def watch(self, *, every_s: float = EVERY_S_DEFAULT) -> Iterator[Reconciled]:
        """The same again and again: each effect when a deadline passes, else less and less often. It never ends,
        but for a log that cannot be read any more. What goes wrong with one look is said of its effect.

        Args: every_s: seconds until an effect is looked at again, at first, and until the log is read for new ones.
        """
        return reconcile.watch(self.log, self._tools.values(), self.key, self._patience, every_s=every_s)

    def waiting(self) -> list[Waiting]:
        """Return what each open effect of the log waits for, until when, and who has to act."""
        return list(waiting(self.log, self._tools.values()))

    def sweep(self) -> list[Swept]:
        """Compare what the provider has with the log, for tools that were registered with a sweep.

        What carries our tag and is not committed is put on record; what carries none, or a tag that this log never
        made, is returned. Raises: StoreError.
        """
        return list(sweep(self.log, self._tools.values(), self.key))

    def webhook(self, body: bytes, headers: Mapping[str, str], verify: Verify) -> Heard:
        """Put what a provider's message says on record, and return what an HTTP handler answers with.

        Args: verify: given the raw body and headers, authenticates the message and returns what it says, or raises.
        Raises: nothing but what is a bug: where store or key cannot answer it is `unavailable`, and comes again.
        """
        return hear(self.log, self.key, body, headers, verify)

    def _add(
        self,
        function: Callable[..., Any],
        contract: Contract | str,
        asked: Mapping[str, Any],
        fields: Mapping[str, Any],
    ) -> Tool:
        renew = isinstance(contract, str)
        if isinstance(contract, str):
            if asked.get("read_back") is not None:
                fields = {"observability": "queryable", "read_back": READ_BACK, **fields}
            contract = parse_contract(contract_of(function, contract, fields))
        tool = make_tool(function, contract, **asked)
        tool = replace(tool, contract=register(self.log, contract, renew=renew))
        self._tools[tool.contract.name] = tool
        return tool

    def _named(self, name: str) -> Tool:
        tool = self._tools.get(name)
        if tool is None:
            raise NotFoundError(f"no tool {name!r} under this guard, it has {', '.join(sorted(self._tools)) or 'none'}")
        return tool

    def _ending(self, ended: Ended, bound: Bound, tool: Tool, driver: Driver) -> Ending:
        for stop in (driver.stopped, driver.raised):
            # The outcome is on the log; whoever interrupted this call still means it.
            if stop is not None and not isinstance(stop, Exception):
                raise stop
        if driver.stopped is not None and ended.status != UNKNOWN:
            raise driver.stopped

        def receipt() -> bytes:
            return self.log.receipt(bound.effect)

        if ended.status == COMMITTED and ended.fresh and driver.raised is None:
            key = f"eff_{bound.effect.hex()}"
            return Committed(value=driver.value, effect_key=key, fresh=True, receipt=receipt)
        facts: dict[str, Any] = {"effect_key": bound.effect, "by": ended.by, "next": ended.next, "status": ended.status}
        name = tool.contract.name
        if ended.status == "unavailable":
            hint = HINTS.get(ended.next, "call again: nothing was sent")
            raise StoreError(f"{name}: nothing was sent: {ended.reason}", hint=hint)
        if ended.status == UNKNOWN:
            not_before = _not_before(self.log, bound, tool.contract)
            unknown = OutcomeUnknown(f"{name}: sent, and the outcome is unknown", not_before=not_before, **facts)
            unknown.__cause__ = driver.raised or driver.stopped
            return unknown
        if ended.status == NOT_COMMITTED:
            failed = NotCommitted(f"{name}: it did not happen, and that is proved", **facts)
            failed.__cause__ = driver.raised
            return failed
        if ended.status == "pending":
            return Pending(f"{name}: {ended.reason}{_denied_before(self.log, bound, tool.contract)}", **facts)
        if ended.status == "denied":
            return Denied(f"{name}: {ended.reason}", **facts)
        return self._blocked(ended, bound, name, receipt, facts)

    def _blocked(
        self, ended: Ended, bound: Bound, name: str, receipt: Callable[[], bytes], facts: Mapping[str, Any]
    ) -> Ending:
        """A call whose effect others hold or settled. Where its request committed, the recorded result stands for the
        value.
        """
        view = self.log.effect(bound.effect) if ended.by is not None and ended.status in OCCUPIED else None
        committed = view is not None and view.state.status == COMMITTED
        if (
            view is not None
            and committed
            and view.state.claim is not None
            and view.state.claim.request == bound.request
        ):
            kept = _kept_result(view, view.state.claim.id)
            if kept is not None:
                with suppress(ValueError, RecursionError):  # what another program recorded may be no JSON
                    value = json.loads(kept)
                    return Committed(value=value, effect_key=f"eff_{bound.effect.hex()}", fresh=False, receipt=receipt)
        return Blocked(f"{name}: {ended.reason}", receipt=receipt if committed else None, **facts)


def _value_of(ending: Ending) -> Any:
    """A decorated tool's result; every other ending is raised."""
    if isinstance(ending, Committed):
        return ending.value
    raise ending


def _kept_result(view: EffectView, intent: bytes) -> bytes | None:
    """The result that was recorded for an intent: an earlier generation may have had another."""
    events = [entry.event for entry in view.entries]
    starts = {event.id for event in events if isinstance(event.data, Start) and event.data.intent == intent}
    outcomes = (event.data for event in events if isinstance(event.data, Outcome) and event.data.start in starts)
    # What an outcome brought that did not commit is no result, whatever committed the effect afterwards.
    return next((data.result for data in outcomes if data.status == COMMITTED), None)


def _denied_before(log: Log, bound: Bound, contract: Contract) -> str:
    """What a call that waits for approval is told where somebody has denied an intent of its effect, request and
    contract before, which blocks nothing: else whoever asked finds no trace of the answer, and asks for ever.
    """
    try:
        events = [entry.event for entry in log.effect(bound.effect).entries]
    except StoreError:
        return ""  # that it waits has to be said all the same
    intents = (event for event in events if isinstance(event.data, Intent) and event.data.contract_id == contract.id)
    same = {event.id for event in intents if rederive(contract, cast("Intent", event.data)).request == bound.request}
    denials = [event.data for event in events if isinstance(event.data, Denial) and event.data.intent in same]
    return f"; an earlier intent of this very call was denied: {denials[-1].reason[:REASON_SHOWN]!r}" if denials else ""


def _not_before(log: Log, bound: Bound, contract: Contract) -> int | None:
    try:
        return reconcile.not_before(log, bound, contract)
    except StoreError:
        return None  # the log is gone too; that the outcome is unknown has to be said all the same


READ_BACK: dict[str, Value] = {"operation": "read_back", "tag": "invoke", "complete": True, "lag_ms": 0}
"""What a decorator's `read_back` promises where nothing else is said: one complete, authoritative listing."""
