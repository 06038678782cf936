"""Calls that became no intent, on their way to the record: equal ones are counted together, and ride on an append.

They are nobody's outcome: none of them costs a commit of its own, or holds up what does.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from invoke_log.format.envelope import Envelope
from invoke_log.ledger.admit import Opened, open_event
from invoke_log.log.signer import Signer
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import Refusal

REFUSALS_WAITING_MAX: Final = 1_000
"""Refusals that wait for the next append; before one more waits, they are appended."""


class Refusals:
    """Those of one log in this process that are not on record yet.

    Threads may share `keep`. The rest belongs to whoever stands at the front of the queue of appends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[bytes, bytes, bytes | None, str], tuple[Signer, Refusal]] = {}
        self.unsure: list[Opened | Refused] = []
        """Signed, and not yet answered by the log; fewer than twice `REFUSALS_WAITING_MAX`."""

    def __bool__(self) -> bool:
        return bool(self._waiting or self.unsure)

    def keep(self, refusal: Refusal, signer: Signer) -> bool:
        """Return whether the refusal waits for the next append now, by itself or in an equal one; else too many do."""
        key = (refusal.issuer, refusal.effect, refusal.blocker, refusal.reason)
        with self._lock:
            _, earlier = self._waiting.get(key, (signer, None))
            if earlier is not None:
                refusal = _together(earlier, refusal)
            elif len(self._waiting) >= REFUSALS_WAITING_MAX:
                return False
            self._waiting[key] = (signer, refusal)
            return True

    def sealed(self, seal: Callable[[Refusal, Signer], Envelope | None]) -> list[Opened | Refused]:
        """Return `unsure`, with those that wait signed behind it. They are appended again, as the same bytes, until the
        log has answered; while it does not, later ones wait unsigned, where equal ones are still counted together.

        Args: seal: returns None where the key does not sign now; that one waits, and nobody else does.
        """
        for key in list(self._waiting) if len(self.unsure) < REFUSALS_WAITING_MAX else ():
            with self._lock:
                signer, refusal = self._waiting[key]
                envelope = seal(refusal, signer)
                if envelope is not None:
                    self.unsure.append(open_event(envelope))
                    del self._waiting[key]
        return self.unsure


def _together(earlier: Refusal, later: Refusal) -> Refusal:
    return replace(earlier, count=earlier.count + later.count, last_ms=max(earlier.last_ms, later.last_ms))
