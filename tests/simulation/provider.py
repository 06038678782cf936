"""Providers of every behaviour: keyed or not, listing or not, late, silent, declining; and what they promise.

A request lands within Q of its send or never: that is the promise of every contract, and the only one. What a provider
really did is in `landed`; a reader is shown as much of it as the provider's listing shows.
"""

import heapq
import random
from dataclasses import dataclass, field
from typing import Final

from invoke_log.format.cbor import Value
from tests.harness.live import D_MS, Q_MS

DECLINED: Final = "declined"
FAILED: Final = "failed"
LANDED: Final = "landed"

KEYED: Final[dict[str, Value]] = {"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"}
LISTING: Final[dict[str, Value]] = {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}
BALANCE: Final[Value] = {"type": "record", "fields": {"charges": {"type": "integer", "min": 0, "max": 9_999}}}
TOOLS: Final[dict[str, dict[str, Value]]] = {
    "keyed": {"provider_key": KEYED, "read_back": LISTING},
    "forgetful": {"provider_key": {**KEYED, "stores": "success"}, "read_back": LISTING},
    "keyless": {"provider_key": None, "read_back": LISTING},
    "twice": {"provider_key": None, "read_back": LISTING, "reconcilers": 2},
    "seen": {"provider_key": None, "read_back": LISTING, "profile": BALANCE},
    "lagging": {"provider_key": None, "read_back": {**LISTING, "complete": False, "lag_ms": 2_000}},
    "blind": {"provider_key": None, "read_back": None, "observability": "fire-and-forget"},
}
"""What the contract of each tool says beside what all of them say; a tool's effect class bears its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that has left. attempt: the START or re-drive that it was sent under."""

    tool: str
    attempt: bytes
    tag: str
    key: str
    customer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """One thing that happened."""

    request: Request
    reference: str
    at_ms: int


@dataclass(slots=True)
class Provider:
    """All of the outside. `landed` is what really happened; `silent` are the requests on their way, by arrival."""

    rng: random.Random
    landed: list[Landing] = field(default_factory=list)
    silent: list[tuple[int, int, Request]] = field(default_factory=list)
    kept: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    sent: int = 0

    def take(self, request: Request, now_ms: int, *, faulty: bool) -> tuple[str, str] | None:
        """Send a request. Returns the provider's answer; None: whatever became of it, none comes."""
        stores = self._stores(request)
        fate = self.rng.random() if faulty else 1.0
        if fate < 0.12:
            return None  # lost on its way
        if fate < 0.27:
            self._send_on(request, now_ms)
            return None
        if fate < 0.33 and stores == "all":
            self._send_on(request, now_ms)  # the network repeats it
        return self._arrive(request, now_ms, faulty=faulty)

    def pass_time(self, now_ms: int) -> None:
        """Let arrive what had to arrive by now."""
        while self.silent and self.silent[0][0] <= now_ms:
            at_ms, _, request = heapq.heappop(self.silent)
            self._arrive(request, at_ms, faulty=True)

    def under(self, tag: str) -> list[Landing]:
        """What really happened under a tag."""
        return [landing for landing in self.landed if landing.request.tag == tag]

    def listed(self, tool: str, tag: str, now_ms: int) -> list[str]:
        """What the provider's listing shows of a tag."""
        found = self.under(tag)
        if tool == "lagging":
            found = [landing for landing in found if now_ms - landing.at_ms > 2_000 or self.rng.random() < 0.5]
        return [landing.reference for landing in found]

    def _send_on(self, request: Request, now_ms: int) -> None:
        self.sent += 1
        heapq.heappush(self.silent, (now_ms + self.rng.choice((1, 500, Q_MS - 1, Q_MS)), self.sent, request))

    def _arrive(self, request: Request, at_ms: int, *, faulty: bool) -> tuple[str, str]:
        stores = self._stores(request)
        place = (request.tool, request.key)
        if stores is not None and place in self.kept:
            return self.kept[place]
        fate = self.rng.random() if faulty else 1.0
        if fate < 0.12:
            answer = (DECLINED, "card_declined")
        elif fate < 0.18:
            answer = (FAILED, "500")  # and nothing happened
        else:
            reference = f"ch_{len(self.landed)}"
            self.landed.append(Landing(request=request, reference=reference, at_ms=at_ms))
            answer = (LANDED, reference)
            if fate < 0.26 and stores != "success":
                answer = (FAILED, "500")  # and it happened all the same
        if stores == "all" or (stores == "success" and answer[0] == LANDED):
            self.kept[place] = answer
        return answer

    @staticmethod
    def _stores(request: Request) -> str | None:
        key = TOOLS[request.tool]["provider_key"]
        return str(key["stores"]) if isinstance(key, dict) else None


SETTLE_MS: Final = D_MS + Q_MS
"""After this long a send has had its effect or never will."""
