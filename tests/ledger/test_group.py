"""Group commit: appends of threads and tasks share commits, and each gets its own answer. SPEC [ADM-1]."""

import asyncio
import gc
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from invoke_log.errors import StoreError
from invoke_log.format.digest import EventId, LeafIndex
from invoke_log.ledger.group import GROUP_EVENTS_MAX, Group, LoopGroup, LoopGroups, Signed, _Ticket
from invoke_log.rules.answer import Accepted, Answer, Unavailable
from invoke_log.rules.governance import Refused
from tests.harness.fork import in_fork


def _event(number: int) -> Signed:
    return Refused(code=str(number), reason="stands for an event: the queue never looks inside")


class Disk:
    """A commit that waits to be let go, and answers each event with its own number."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def commit(self, signed: Sequence[Signed]) -> list[Answer]:
        self.batches.append(len(signed))
        self.entered.release()
        assert self.go.acquire(timeout=10)
        codes = [int(event.code) for event in signed if isinstance(event, Refused)]
        return [Accepted(id=EventId(bytes(32)), index=LeafIndex(code)) for code in codes]


def _indexes(answers: Sequence[Answer]) -> list[int]:
    return [answer.index for answer in answers if isinstance(answer, Accepted)]


def test_what_arrives_during_a_commit_goes_together_in_the_next_one() -> None:
    disk = Disk()
    group = Group(disk.commit)
    answers: dict[int, list[int]] = {}

    def caller(number: int) -> None:
        answers[number] = _indexes(group.append([_event(number), _event(number + 100)]))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    threads[0].start()
    assert disk.entered.acquire(timeout=10)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 8:  # no other way to see that all of them wait
        pass
    disk.go.release(2)
    for thread in threads:
        thread.join(timeout=10)
    assert disk.batches == [2, 14]
    assert answers == {number: [number, number + 100] for number in range(8)}


def test_a_commit_takes_no_more_than_its_bound() -> None:
    disk = Disk()
    group = Group(disk.commit)
    sizes = [1, GROUP_EVENTS_MAX - 1, 2, 1]
    threads = [threading.Thread(target=group.append, args=([_event(1)] * size,)) for size in sizes]
    threads[0].start()
    assert disk.entered.acquire(timeout=10)
    for waiting, thread in enumerate(threads[1:], 2):
        thread.start()
        while len(group._waiting) < waiting:
            pass
    disk.go.release(4)
    for thread in threads:
        thread.join(timeout=10)
    assert disk.batches == [1, GROUP_EVENTS_MAX - 1, 3]


def test_a_commit_that_fails_fails_for_each_of_its_callers_and_for_no_later_one() -> None:
    fail = [True]

    def commit(signed: Sequence[Signed]) -> list[Answer]:
        if fail.pop() if fail else False:
            raise StoreError("the disk is gone")
        return [Accepted(id=EventId(bytes(32)), index=LeafIndex(7)) for _ in signed]

    group = Group(commit)
    with pytest.raises(StoreError):
        group.append([_event(1)])
    assert _indexes(group.append([_event(1)])) == [7]


class Turn:
    """A lock whose second taker is interrupted in one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.release, self.locked = self._lock.release, self._lock.locked

    def acquire(self) -> bool:
        if threading.current_thread().name == "interrupted" and self.locked():
            raise KeyboardInterrupt
        return self._lock.acquire()


def test_whoever_is_interrupted_while_it_waits_leaves_the_queue_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    group = Group(disk.commit)
    standing_in = SimpleNamespace(Lock=Turn, get_ident=threading.get_ident)
    monkeypatch.setattr("invoke_log.ledger.group.threading", standing_in)
    caught: list[BaseException] = []

    def interrupted() -> None:
        try:
            group.append([_event(1)])
        except KeyboardInterrupt as error:
            caught.append(error)

    first = threading.Thread(target=group.append, args=([_event(0)],), name="first")
    first.start()
    assert disk.entered.acquire(timeout=10)
    second = threading.Thread(target=interrupted, name="interrupted")
    second.start()
    second.join(timeout=10)
    disk.go.release(10)
    first.join(timeout=10)
    assert len(caught) == 1
    assert _indexes(group.append([_event(2)])) == [2]
    assert disk.batches == [1, 1]


def test_whoever_is_interrupted_as_it_joins_leaves_no_place_behind_that_the_others_wait_for() -> None:
    class Interrupting(deque[_Ticket]):
        """The signal comes right behind the append."""

        def append(self, ticket: _Ticket) -> None:
            super().append(ticket)
            raise KeyboardInterrupt

    disk = Disk()
    disk.go.release(10)
    group = Group(disk.commit)
    group._waiting = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        group.append([_event(1)])
    assert list(group._waiting) == []


def interrupted_in(monkeypatch: pytest.MonkeyPatch, *methods: str) -> Group:
    """A group on a disk that is ready, in which an append of this thread was interrupted as it began each of these."""
    disk = Disk()
    disk.go.release(10)
    group = Group(disk.commit)

    def interrupted(_: Group, ticket: _Ticket) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        for method in methods:
            patched.setattr(Group, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            group.append([_event(1)])
    return group


def test_whoever_is_interrupted_as_it_leaves_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    group = interrupted_in(monkeypatch, "_leave")
    behind = threading.Thread(target=group.append, args=([_event(2)],), daemon=True)
    behind.start()
    behind.join(timeout=10)
    assert not behind.is_alive()
    assert _indexes(group.append([_event(3)])) == [3]


def test_whoever_is_interrupted_before_it_has_led_is_cleared_away_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = interrupted_in(monkeypatch, "_lead", "_leave")
    behind = threading.Thread(target=group.append, args=([_event(2)],), daemon=True)
    behind.start()
    while len(group._waiting) < 2:
        pass
    assert _indexes(group.append([_event(3)])) == [3]
    behind.join(timeout=10)
    assert not behind.is_alive()


def test_whoever_is_interrupted_as_it_calls_the_others_has_called_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the signal comes as the first of those that its commit served is called."""
    disk, interrupts = Disk(), [KeyboardInterrupt()]
    group = Group(disk.commit)
    call = _Ticket.call

    def interrupted(ticket: _Ticket) -> None:
        if threading.current_thread().name == "leads" and ticket.answers is not None and interrupts:
            raise interrupts.pop()
        call(ticket)

    monkeypatch.setattr(_Ticket, "call", interrupted)

    def leads() -> None:
        with pytest.raises(KeyboardInterrupt):
            group.append([_event(1)])

    threads = [threading.Thread(target=group.append, args=([_event(0)],), daemon=True)]
    threads.append(threading.Thread(target=leads, name="leads", daemon=True))
    threads += [threading.Thread(target=group.append, args=([_event(at)],), daemon=True) for at in (2, 3, 4)]
    for waiting, thread in enumerate(threads, 1):
        thread.start()
        while len(group._waiting) < waiting:
            pass
    disk.go.release(10)
    for thread in threads:
        thread.join(timeout=10)
    assert disk.batches == [1, 4]
    assert [thread.is_alive() for thread in threads] == [False] * 5


def test_ctrl_c_in_the_thread_that_commits_is_no_exception_in_the_others() -> None:
    entered, go, heard = threading.Event(), threading.Event(), list[object]()

    def commit(signed: Sequence[Signed]) -> list[Answer]:
        if len(signed) == 2:
            raise KeyboardInterrupt
        entered.set()
        assert go.wait(timeout=10)
        return [Accepted(id=EventId(bytes(32)), index=LeafIndex(7)) for _ in signed]

    group = Group(commit)

    def caller() -> None:
        try:
            heard.append(group.append([_event(1)])[0])
        except KeyboardInterrupt as error:
            heard.append(error)

    first = threading.Thread(target=caller)
    first.start()
    assert entered.wait(timeout=10)
    others = [threading.Thread(target=caller) for _ in range(2)]
    for other in others:
        other.start()
    while len(group._waiting) < 3:
        pass
    go.set()
    for thread in (first, *others):
        thread.join(timeout=10)
    assert sorted(type(answer).__name__ for answer in heard) == ["Accepted", "KeyboardInterrupt", "Unavailable"]
    assert _indexes(group.append([_event(1)])) == [7]


def test_a_fork_is_refused_before_it_waits_for_a_thread_that_is_not_in_it() -> None:
    group = Group(Disk().commit)
    with group._lock:
        assert in_fork(lambda: group.append([_event(1)])) == ["StoreError"]


def test_tasks_of_a_loop_share_commits() -> None:
    disk = Disk()
    disk.go.release(100)

    async def story() -> list[list[Answer]]:
        group = LoopGroup(Group(disk.commit).append)
        return list(await asyncio.gather(*(group.append([_event(number)]) for number in range(50))))

    answers = asyncio.run(story())
    assert [_indexes(own) for own in answers] == [[number] for number in range(50)]
    assert len(disk.batches) < 10


def test_a_loop_that_was_closed_is_kept_no_longer_than_until_the_next_comes() -> None:
    groups, loops = LoopGroups[Signed](), list["weakref.ref[asyncio.AbstractEventLoop]"]()

    async def story() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        turn = groups.here(Group(Disk().commit).append).turn
        await asyncio.gather(_in_turn(turn), _in_turn(turn))  # a lock that was waited for knows its loop

    for _ in range(5):
        asyncio.run(story())
    gc.collect()
    assert [loop() is None for loop in loops] == [True, True, True, True, False]


async def _in_turn(turn: asyncio.Lock) -> None:
    async with turn:
        await asyncio.sleep(0)


def test_a_cancelled_task_takes_no_answer_from_the_others() -> None:
    disk = Disk()

    async def story() -> list[Answer]:
        group = LoopGroup(Group(disk.commit).append)
        first = asyncio.ensure_future(group.append([_event(1)]))
        second = asyncio.ensure_future(group.append([_event(2)]))
        await asyncio.sleep(0)
        first.cancel()
        disk.go.release(10)
        return await second

    assert _indexes(asyncio.run(story())) == [2]


def test_a_task_is_answered_where_all_tasks_but_its_own_are_cancelled() -> None:
    """Those that are being committed, and those that wait: they may be stored or not."""
    disk = Disk()

    async def story() -> list[list[Answer]]:
        group = LoopGroup(Group(disk.commit).append)
        own = [asyncio.ensure_future(group.append([_event(1)]))]
        await asyncio.to_thread(disk.entered.acquire, timeout=10)
        own.append(asyncio.ensure_future(group.append([_event(2)])))
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task(), *own}:
            task.cancel()
        disk.go.release(10)
        return list(await asyncio.wait_for(asyncio.gather(*own), timeout=10))

    assert [type(answer) for [answer] in asyncio.run(story())] == [Unavailable, Unavailable]


def test_tasks_share_a_commit_up_to_its_bound() -> None:
    """Else appends that the store takes one by one would be refused together, and with them every other task's."""
    disk = Disk()
    disk.go.release(100)

    async def story() -> list[list[Answer]]:
        group = LoopGroup(Group(disk.commit).append)
        return list(await asyncio.gather(*(group.append([_event(1)] * GROUP_EVENTS_MAX) for _ in range(3))))

    assert [len(own) for own in asyncio.run(story())] == [GROUP_EVENTS_MAX] * 3
    assert disk.batches == [GROUP_EVENTS_MAX] * 3


class TimeLimitError(Exception):
    """What the handler of a signal raises in the main thread, wherever that is."""


def test_what_breaks_off_a_commit_and_is_no_answer_of_the_logs_is_its_own_threads_alone() -> None:
    entered, go = threading.Event(), threading.Event()
    fail: list[Exception] = []

    def commit(signed: Sequence[Signed]) -> list[Answer]:
        entered.set()
        go.wait(10)
        if len(signed) > 1:
            raise fail.pop()
        return [Accepted(id=EventId(bytes(32)), index=LeafIndex(7)) for _ in signed]

    group, ended = Group(commit), list[object]()

    def call() -> None:
        try:
            ended.extend(group.append([_event(1)]))
        except TimeLimitError as error:
            ended.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    threads[0].start()
    assert entered.wait(10)
    for waiting, thread in enumerate(threads[1:], 2):
        thread.start()
        while len(group._waiting) < waiting:
            pass
    fail.append(TimeLimitError())
    go.set()
    for thread in threads:
        thread.join(10)
    assert sorted(type(each).__name__ for each in ended) == ["Accepted", "TimeLimitError", "Unavailable"]
