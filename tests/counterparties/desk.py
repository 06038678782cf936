"""A guard over a log on disk, whose clock a test can put forward, and what a third party makes of the log."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from invoke_log.audit.report import Report
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Ending
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.registry import ContractFile
from invoke_log.ledger.log import Log
from invoke_log.rules.contract import Contract
from tests.harness.live import ORIGIN, audit


@dataclass
class Desk:
    """One log, one guard; `statuses` is what replay says of each effect, by purpose."""

    log: Log
    guard: Guard
    ahead_ms: int = 0
    sent: list[str] = field(default_factory=list)

    def ready(self, name: str, realm: Mapping[str, Value], **changes: Value) -> Contract:
        """Return a ready contract for this log; its deadlines are those that users get."""
        return ContractFile.ready(name, realm=dict(realm), **changes)

    def call(self, name: str, **arguments: Value) -> Ending:
        return self.guard.call(name, arguments)

    def look(self) -> Reconciled:
        """Reconcile, with one open effect."""
        [one] = self.guard.reconcile()
        return one

    def later(self, contract: Contract) -> None:
        """Let D + Q pass, by the log's clock and the reconciler's own, and let the log say so before and after."""
        self.log.tick()
        self.guard._patience.follow(self.log)
        self.ahead_ms += contract.settle_ms + 1
        self.log.tick()

    def replayed(self) -> Report:
        """Replay the log as a third party does; it must have nothing to find fault with."""
        pieces: list[bytes] = []
        self.log.export(lambda piece: pieces.append(piece))
        report = audit(b"".join(pieces), self.log.verifier_key)
        assert [finding for finding in report.findings if finding.severity == "error"] == []
        return report

    def statuses(self) -> dict[str, str]:
        return {effect.purpose: effect.status for effect in self.replayed().effects}

    def kinds(self) -> list[str]:
        """Kinds of evidence of every outcome and resolution, in leaf order."""
        datas: list[Any] = [entry.event.data for entry in self.log.entries()]
        return [data.evidence.kind for data in datas if hasattr(data, "evidence")]


@contextmanager
def open_desk(place: Path) -> Iterator[Desk]:
    """Yield a desk over a new log."""
    desk: Desk

    def now_ms() -> int:
        return time.time_ns() // 1_000_000 + desk.ahead_ms

    with Log.create(place / "log", origin=ORIGIN) as log:
        desk = Desk(log, Guard(log))
        with (
            patch("invoke_log.ledger.log._now_ms", now_ms),
            patch("invoke_log.guard.patience._clock", lambda: now_ms() / 1000),
        ):
            yield desk
