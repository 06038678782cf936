"""What budgets count: intents of the whole log, from their own leaf until it is known that they do nothing. SPEC §8.2
[POL-5] to [POL-7].

`Spending` is a projection like the fold, and is kept beside it: by the auditor from its leaves, by the live path from
the rows of one chain. Both ask it the same two questions: what does a budget say of this call, and does what a verdict
recorded still hold.
"""

import io
import marshal
from array import array
from bisect import insort
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, cast

from invoke_log.format import limits
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import OPEN
from invoke_log.rules.event import Event
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import Intent, Resolution
from invoke_log.rules.policy import EACH_RESOURCE, Budget
from invoke_log.rules.world import EffectState

NEVER: Final = (-1, None, -1)
"""No leaf has changed a budget."""


class Counted(NamedTuple):
    """An intent, or a presence that no intent explains. at_ms: lo of its leaf. amounts: its integer arguments."""

    id: bytes
    at_ms: int
    effect_class: str
    resource: str
    amounts: Mapping[str, int]

    def amount(self, budget: Budget) -> int | None:
        """What it adds to a budget that covers it; None: the argument is not there, or is no amount [POL-6]."""
        if budget.sums is None:
            return 1
        found = self.amounts.get(budget.sums, -1)
        return found if found >= 0 else None


class Change(NamedTuple):
    """The event that begins to count by the event at a leaf, or ceases to."""

    id: bytes
    counts: bool


def counted(event_id: bytes, contract: Contract, meant: Bound | Intent | None, *, resource: str, at_ms: int) -> Counted:
    """Return what an intent counts as, or, where `meant` is None, a presence that commits what nobody decided."""
    arguments = {**meant.identity, **meant.content} if meant is not None else {}
    amounts = {name: value for name, value in arguments.items() if type(value) is int}
    return Counted(id=event_id, at_ms=at_ms, effect_class=contract.effect_class, resource=resource, amounts=amounts)


def counted_event(event: Event, contract: Contract, *, at_ms: int) -> Counted:
    """Return what an event on an effect's chain counts as: an intent, or a resolution present."""
    assert isinstance(event.data, Intent | Resolution) and event.resource is not None
    meant = event.data if isinstance(event.data, Intent) else None
    return counted(event.id, contract, meant, resource=event.resource, at_ms=at_ms)


def change_of(before: EffectState, after: EffectState, event_id: bytes) -> Change | None:
    """Return what an accepted event changes for budgets, at most one thing [POL-5]."""
    if after.attempt > before.attempt:
        return Change(id=event_id, counts=True)
    if after.committed_max > before.committed_max:
        if before.status in OPEN and before.generation == after.generation:
            return None  # it counts since it was claimed
        return Change(id=after.claim.id if after.claim is not None else event_id, counts=True)
    if before.status in OPEN and after.status not in OPEN:
        assert before.claim is not None
        return Change(id=before.claim.id, counts=False)
    return None


class Spending:
    """Everything that budgets can count, in leaf order. Mutable; the tallies of budgets that nobody reads cost
    nothing.
    """

    def __init__(self) -> None:
        # What no budget has read yet is kept packed: a third of the memory of what it is read into.
        self._unread = bytearray()
        self._known: dict[bytes, Counted] = {}
        # The changes, one column each: as tuples they would take six times as much.
        self._leaves = array("Q")
        self._ids: list[bytes] = []
        self._counts = bytearray()
        self._tallies: dict[Budget, _Tally] = {}
        self._passed_ms = 0

    def pass_to(self, log_ms: int) -> None:
        """Say what time the log itself has: what is too old by then for a window is never walked again.

        A question does not say it: it may be of a later time, a machine's own or that of a tick that is no leaf yet.
        """
        self._passed_ms = max(self._passed_ms, log_ms)

    def note(self, index: int, change: Change, new: Counted | None) -> None:
        """Keep what the event at a leaf changed; `new` is the event itself, where that is what begins to count."""
        amounts = [part for amount in new.amounts.items() for part in amount] if new is not None else []
        begins = [new.at_ms, new.effect_class, new.resource, *amounts] if new is not None else []
        self._unread += marshal.dumps((index, change.id, change.counts, *begins))

    def follow(
        self,
        event: Event,
        before: EffectState,
        after: EffectState,
        *,
        contracts: Mapping[bytes, Contract],
        index: int,
        at_ms: int,
    ) -> None:
        """Keep what an accepted event on an effect's chain changes. at_ms: lo of its leaf."""
        assert event.effect is not None and event.resource is not None
        self.pass_to(at_ms)
        change = change_of(before, after, event.id)
        if change is None:
            return
        new = None
        if change.id == event.id:
            assert isinstance(event.data, Intent | Resolution)
            new = counted_event(event, contracts[event.data.contract_id], at_ms=at_ms)
        self.note(index, change, new)

    def inputs(
        self, budgets: Mapping[str, Budget], own: Counted, *, claim: bytes | None, now_ms: int, as_of: int
    ) -> dict[str, Value]:
        """Return a verdict's `budgets`: for each its value with the judged call, where it has one [POL-6], [POL-7].

        Args:
            own: the judged intent. claim: its event id where it stands on the log already.
            as_of: the leaf before which everything was counted.
        """
        found: dict[str, Value] = {}
        for name, budget in budgets.items():
            value = self._tally(budget).value(own, claim=claim, now_ms=now_ms)
            if value is not None:
                found[name] = {"value": value, "as_of": as_of}
        return found

    def holds(
        self,
        budgets: Mapping[str, Budget],
        recorded: Value,
        own: Counted,
        *,
        claim: bytes | None,
        now_ms: int,
        index: int,
    ) -> bool:
        """Return whether a verdict's `budgets` are what is counted before a leaf, and nothing has changed since their
        `as_of` [POL-7].
        """
        said = cast("dict[str, dict[str, int]]", recorded)
        values = {name: each["value"] for name, each in said.items()}
        wanted = self.inputs(budgets, own, claim=claim, now_ms=now_ms, as_of=0)
        if values != {name: cast("dict[str, int]", each)["value"] for name, each in wanted.items()}:
            return False
        return all(
            self._tally(budgets[name]).moved(own, claim=claim) < each["as_of"] <= index for name, each in said.items()
        )

    def _tally(self, budget: Budget) -> "_Tally":
        self._read()
        tally = self._tallies.get(budget)
        if tally is None:
            tally = self._tallies[budget] = _Tally(budget)
        for at in range(tally.applied, len(self._ids)):
            change = Change(id=self._ids[at], counts=bool(self._counts[at]))
            tally.apply(self._leaves[at], change, self._known[change.id])
        tally.applied = len(self._ids)
        tally.pass_to(self._passed_ms)
        return tally

    def _read(self) -> None:
        """Read what is packed into the columns."""
        size, rows, self._unread = len(self._unread), io.BytesIO(self._unread), bytearray()
        while rows.tell() < size:
            index, counted_id, counts, *begins = marshal.load(rows)
            if begins:
                at_ms, effect_class, resource, *amounts = begins
                self._known[counted_id] = Counted(
                    id=counted_id,
                    at_ms=at_ms,
                    effect_class=effect_class,
                    resource=resource,
                    amounts=dict(zip(amounts[::2], amounts[1::2], strict=True)),
                )
            self._leaves.append(index)
            self._ids.append(counted_id)
            self._counts.append(counts)


class _Tally:
    """One budget, counted so far. Groups are the resources where it counts each by itself, else there is one."""

    def __init__(self, budget: Budget) -> None:
        self.applied = 0
        self._budget = budget
        self._counting: dict[bytes, Counted] = {}
        self._sums: defaultdict[str, int] = defaultdict(int)
        self._unknown: defaultdict[str, int] = defaultdict(int)
        self._by_time: deque[tuple[int, bytes]] = deque()
        self._moved: dict[str, tuple[int, bytes | None, int]] = {}

    def apply(self, index: int, change: Change, what: Counted) -> None:
        """Count what begins to count, and no longer what ceases to."""
        if not self._budget.covers(what.effect_class, what.resource):
            return
        before = self._moved.get(self._group(what), NEVER)
        self._moved[self._group(what)] = (index, what.id if change.counts else None, before[0])
        if not change.counts:
            self._take_out(what.id)
            return
        self._counting[what.id] = what
        self._add(what, 1)
        if self._budget.window_ms is not None:
            self._queue(what)

    def value(self, own: Counted, *, claim: bytes | None, now_ms: int) -> int | None:
        """What it counts, the judged call itself once and whatever its age; None where that cannot be said."""
        group = self._group(own)
        total, unknown = self._sums[group], self._unknown[group]
        aside = {*self._out_of_window(now_ms), *([claim] if claim is not None else [])}
        signed = [(-1, self._counting[each]) for each in aside if each in self._counting]
        signed = [(sign, what) for sign, what in signed if self._group(what) == group]
        if self._budget.covers(own.effect_class, own.resource):
            signed.append((1, own))
        for sign, what in signed:
            amount = what.amount(self._budget)
            total += sign * (amount or 0)
            unknown += sign * (amount is None)
        return total if not unknown and total <= limits.INTEGER_MAX else None

    def pass_to(self, log_ms: int) -> None:
        """Let go of what the log's time has left behind."""
        for old in list(self._out_of_window(log_ms)):
            self._by_time.popleft()
            self._take_out(old)

    def moved(self, own: Counted, *, claim: bytes | None) -> int:
        """The leaf that changed it last for the judged call, other than by its own claim; -1: none did."""
        index, began, before = self._moved.get(self._group(own), NEVER)
        return before if claim is not None and began == claim else index

    def _group(self, what: Counted) -> str:
        return what.resource if self._budget.each == EACH_RESOURCE else ""

    def _add(self, what: Counted, sign: int) -> None:
        amount = what.amount(self._budget)
        self._sums[self._group(what)] += sign * (amount or 0)
        self._unknown[self._group(what)] += sign * (amount is None)

    def _take_out(self, counted_id: bytes) -> None:
        what = self._counting.pop(counted_id, None)
        if what is not None:
            self._add(what, -1)

    def _queue(self, what: Counted) -> None:
        """Keep it by its time."""
        item = (what.at_ms, what.id)
        if self._by_time and item < self._by_time[-1]:
            insort(self._by_time, item)  # an older one that counts again
        else:
            self._by_time.append(item)

    def _out_of_window(self, now_ms: int) -> Iterator[bytes]:
        window_ms = self._budget.window_ms
        for at_ms, counted_id in self._by_time:
            if window_ms is None or now_ms <= at_ms + window_ms:
                return
            yield counted_id
