"""Stands between a log and its store, and makes happen what seldom does: others who come first, commits that fail."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from invoke_log.ledger.log import Log
from invoke_log.log.engine import Engine
from invoke_log.store.protocol import Answer, Pending, Store
from tests.harness.live import Live, memory_live, open_live


class Between:
    """Passes everything on, and runs what it is told before and after the store's own append, once each."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def append(self, pendings: Sequence[Pending]) -> list[Answer]:
        if self.before:
            self.before.pop(0)()
        answers = self.store.append(pendings)
        if self.after:
            self.after.pop(0)()
        return answers


@contextmanager
def raced(place: Path) -> Iterator[tuple[Live, Between, Log]]:
    """A log in memory, what stands before its store, and the same log as another process has it open."""
    with memory_live(place) as live:
        engine = live.log._engine
        between = Between(engine._store)
        other = Log(place, Engine(lambda: between.store), log_signer=None)
        engine._store = between  # type: ignore[assignment]  # it passes everything on
        yield live, between, other


@contextmanager
def on_disk(place: Path) -> Iterator[tuple[Live, list[Between]]]:
    """A log on disk, and what stands before its store, one for each time that it was opened."""
    opened: list[Between] = []

    def between(store: Store) -> Store:
        opened.append(Between(store))
        return opened[-1]  # type: ignore[return-value]

    with open_live(place, store=between) as live:
        yield live, opened


def fail(error: BaseException) -> Callable[[], object]:
    """Something that fails when it is its turn."""

    def raises() -> object:
        raise error

    return raises
