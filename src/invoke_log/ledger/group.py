"""Group commit: appends that arrive while one is being committed go together in the next commit.

No timer and no thread of its own. Whoever stands at the front of the queue takes everything that waits behind it,
commits once, hands out the answers and gives the front to the next; the batch grows by itself while the disk is busy.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from invoke_log.errors import InvokeLogError, StoreError
from invoke_log.ledger.admit import Opened
from invoke_log.rules.answer import Answer, Unavailable
from invoke_log.rules.governance import Refused

Signed = Opened | Refused
Commit = Callable[[Sequence[Signed]], list[Answer]]
_Event = TypeVar("_Event")

GROUP_EVENTS_MAX: Final = 1_000
"""Events in one commit, the front's own aside: other processes wait for the write lock while they are judged again."""


class _Ticket:
    """One caller's events, and what came of them."""

    __slots__ = ("answers", "error", "signed", "thread", "turn")

    def __init__(self, signed: Sequence[Signed]) -> None:
        self.signed = signed
        self.answers: list[Answer] | None = None
        self.error: BaseException | None = None
        self.thread = threading.get_ident()
        self.turn: threading.Lock | None = None
        """Held until it is served, or stands at the front; None where it did from the beginning. No `Event`: an
        interrupt in there would leave its lock behind, held by nobody.
        """

    @property
    def served(self) -> bool:
        return self.answers is not None or self.error is not None

    def call(self) -> None:
        """Let its caller go on; twice does no harm."""
        if self.turn is not None and self.turn.locked():
            with suppress(RuntimeError):
                self.turn.release()


class Group:
    """The queue of one log's appends in this process, for threads and for tasks of event loops alike.

    Who stands in it stays until it is served: so whoever comes or leaves can go on with what an interrupt broke off.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._process = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this is a fork's copy: whoever stands in its queue, or holds its lock, is not in this process."""
        return os.getpid() != self._process

    def append(self, signed: Sequence[Signed]) -> list[Answer]:
        """Return the answers to one caller's events, once they are durable.

        Raises: what the commit raised. StoreError: in a fork.
        """
        if self.forked:
            raise StoreError(
                f"log: opened by process {self._process}, used in its fork {os.getpid()}",
                hint="open the log again in the new process",
            )
        ticket = _Ticket(signed)
        try:
            with self._lock:
                # A thread has one append at a time: what stands here of it was interrupted, by Ctrl-C, as it left.
                for dead in [each for each in self._waiting if each.thread == ticket.thread]:
                    self._waiting.remove(dead)
                self._call()
                if self._waiting:
                    ticket.turn = threading.Lock()
                    ticket.turn.acquire()
                self._waiting.append(ticket)
            if ticket.turn is not None:
                ticket.turn.acquire()
            if not ticket.served:
                self._lead(ticket)
        finally:
            try:
                self._leave(ticket)
            except BaseException:  # an interrupt: nobody else would do what it broke off
                self._leave(ticket)
                raise
        if ticket.error is not None:
            raise ticket.error
        assert ticket.answers is not None
        return ticket.answers

    def _lead(self, own: _Ticket) -> None:
        with self._lock:
            batch = self._batch(own)
        try:
            answers = iter(self._commit([event for ticket in batch for event in ticket.signed]))
            for ticket in batch:
                ticket.answers = list(islice(answers, len(ticket.signed)))
        except InvokeLogError as error:  # each caller of the batch is owed the same answer
            for ticket in batch:
                ticket.answers, ticket.error = None, error
        except BaseException:
            # Ctrl-C in this thread, or a job's time limit, is this thread's alone; what it broke off may be stored or
            # not.
            for ticket in batch[1:]:
                ticket.answers = [Unavailable(reason="the commit was interrupted") for _ in ticket.signed]
            raise

    def _batch(self, own: _Ticket) -> list[_Ticket]:
        """Those of the queue that go into one commit with its front."""
        batch, count = [own], len(own.signed)
        for ticket in islice(self._waiting, 1, None):
            count += len(ticket.signed)
            # Whoever brings nothing wants what rides on a commit of its own: others may all be refused.
            if not own.signed or not ticket.signed or count > GROUP_EVENTS_MAX:
                break
            batch.append(ticket)
        return batch

    def _leave(self, ticket: _Ticket) -> None:
        """Let those go on that were served with it, and give the front to the next."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            self._call()

    def _call(self) -> None:
        """Call whoever is served, and the front; some of them were called before."""
        while self._waiting and self._waiting[0].served:
            self._waiting[0].call()
            self._waiting.popleft()
        if self._waiting:
            self._waiting[0].call()


class LoopGroup(Generic[_Event]):
    """The same for the tasks of one event loop: a batch is appended in a worker thread while the next one gathers.

    A task that is cancelled decides nothing: its events are appended all the same.
    """

    def __init__(self, append: Callable[[Sequence[_Event]], list[Answer]]) -> None:
        self._append = append
        self.turn: Final = asyncio.Lock()
        """As `Log.turn`, for the calls of these tasks."""
        self._waiting: deque[tuple[Sequence[_Event], asyncio.Future[list[Answer]]]] = deque()
        self._draining: asyncio.Task[None] | None = None

    async def append(self, events: Sequence[_Event]) -> list[Answer]:
        """Return the answers to one task's events, once they are durable. Raises what the commit raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Answer]] = loop.create_future()
        self._waiting.append((events, future))
        if self._draining is None:
            self._draining = loop.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self._drain_once(loop)
        finally:
            self._draining = None
            while self._waiting:  # this very task was cancelled, as by whoever cancels all: nobody else would answer
                _interrupted(*self._waiting.popleft())

    async def _drain_once(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = [self._waiting.popleft()]
        count = len(batch[0][0])
        while self._waiting and (count := count + len(self._waiting[0][0])) <= GROUP_EVENTS_MAX:
            batch.append(self._waiting.popleft())
        everything = [event for events, _ in batch for event in events]
        try:
            try:
                appending = loop.run_in_executor(None, self._append, everything)
            except RuntimeError:  # the program has come to its end, and takes on no thread: what was sent is told still
                answers = iter(self._append(everything))
            else:
                answers = iter(await appending)
        except Exception as error:  # noqa: BLE001 -- each task of the batch is owed the same answer
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        except asyncio.CancelledError:  # the thread goes on: they may be stored or not
            for events, future in batch:
                _interrupted(events, future)
            raise
        for events, future in batch:
            own = list(islice(answers, len(events)))
            if not future.done():
                future.set_result(own)


class LoopGroups(Generic[_Event]):
    """The `LoopGroup` of each event loop that runs."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopGroup[_Event]] = WeakKeyDictionary()

    def here(self, append: Callable[[Sequence[_Event]], list[Answer]]) -> LoopGroup[_Event]:
        """Return that of the running loop, which appends so if it is new."""
        loop = asyncio.get_running_loop()
        group = self._of.get(loop)
        if group is None:
            # A lock that was waited for, and a drain that was never ended, hold their loop.
            for known in [each() for each in self._of.keyrefs()]:
                if known is not None and known.is_closed():
                    self._of.pop(known, None)
            group = self._of[loop] = LoopGroup(append)
        return group


def _interrupted(events: Sequence[object], future: "asyncio.Future[list[Answer]]") -> None:
    if not future.done():
        future.set_result([Unavailable(reason="the append was cancelled") for _ in events])
