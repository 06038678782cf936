"""Providers of every behaviour: keyed or not, listing or not, late, silent, declining; and what they promise.

A request lands within Q of its send or never: that is the promise of every contract, and the only one. What a provider
really did is in `landed`; a reader is shown as much of it as the provider's listing shows.
"""

import base64
import hashlib
import heapq
import hmac
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from invoke_log.format.cbor import Value
from tests.harness.live import D_MS, Q_MS

DECLINED: Final = "declined"
FAILED: Final = "failed"
LANDED: Final = "landed"

KEYED: Final[dict[str, Value]] = {"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"}
LISTING: Final[dict[str, Value]] = {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}
BALANCE: Final[Value] = {"type": "record", "fields": {"charges": {"type": "integer", "min": 0, "max": 9_999}}}
MESSAGES: Final[dict[str, Value]] = {
    "scheme": "hmac-sha256",
    "key_id": "whsec_1",
    "positive": ["paid"],
    "negative": ["failed"],
}
SECRET: Final = bytes(range(32))
TOOLS: Final[dict[str, dict[str, Value]]] = {
    "keyed": {"provider_key": KEYED, "read_back": LISTING, "webhook": MESSAGES},
    "forgetful": {"provider_key": {**KEYED, "stores": "success"}, "read_back": LISTING},
    "keyless": {"provider_key": None, "read_back": LISTING},
    "twice": {"provider_key": None, "read_back": LISTING, "reconcilers": 2},
    "seen": {"provider_key": None, "read_back": LISTING, "profile": BALANCE},
    "lagging": {
        "provider_key": None,
        "read_back": {**LISTING, "complete": False, "lag_ms": 2_000},
        "webhook": MESSAGES,
    },
    "blind": {"provider_key": None, "read_back": None, "observability": "fire-and-forget"},
    "telling": {
        "provider_key": None,
        "read_back": None,
        "observability": "webhook-confirmable",
        "webhook": MESSAGES,
        "void": "cancel",
    },
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


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Message:
    """What a provider says by itself, or somebody in its name. at_ms: from when on it is delivered."""

    at_ms: int
    body: bytes
    signature: str


@dataclass(slots=True)
class Provider:
    """All of the outside. `landed` is what really happened; `silent` are the requests on their way, by arrival;
    `mail` are the messages that nobody has acknowledged. chance: decides about a fault; fault: is told of it.
    """

    rng: random.Random
    chance: Callable[[str], float]
    fault: Callable[[str], None]
    landed: list[Landing] = field(default_factory=list)
    silent: list[tuple[int, int, Request]] = field(default_factory=list)
    mail: list[Message] = field(default_factory=list)
    kept: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    said: list[Message] = field(default_factory=list)
    """Every message that was ever sent, as it was first."""
    sent: int = 0

    def take(self, request: Request, now_ms: int) -> tuple[str, str] | None:
        """Send a request. Returns the provider's answer; None: whatever became of it, none comes."""
        stores = self._stores(request)
        fate = self.chance("network")
        if fate < 0.12:
            self.fault("request lost")
            return None
        if fate < 0.27:
            self.fault("request late")
            self._send_on(request, now_ms)
            return None
        if fate < 0.45 and stores == "all":
            self.fault("request repeated")
            self._send_on(request, now_ms)
        return self._arrive(request, now_ms)

    def pass_time(self, now_ms: int) -> None:
        """Let arrive what had to arrive by now."""
        while self.silent and self.silent[0][0] <= now_ms:
            at_ms, _, request = heapq.heappop(self.silent)
            self._arrive(request, at_ms)

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

    def _arrive(self, request: Request, at_ms: int) -> tuple[str, str]:
        stores = self._stores(request)
        place = (request.tool, request.key)
        if stores is not None and place in self.kept:
            return self.kept[place]
        fate = self.chance("provider")
        if fate < 0.12:
            self.fault("declined")
            answer = (DECLINED, "card_declined")
            self._tell("failed", request, f"no_{self.sent}_{at_ms}", at_ms)
        elif fate < 0.18:
            self.fault("500, and it did not happen")
            answer = (FAILED, "500")
        else:
            reference = f"ch_{len(self.landed)}"
            self.landed.append(Landing(request=request, reference=reference, at_ms=at_ms))
            answer = (LANDED, reference)
            self._tell("paid", request, reference, at_ms)
            if fate < 0.26 and stores != "success":
                self.fault("500, and it happened")
                answer = (FAILED, "500")
        if request.tool == "telling" and answer[0] != FAILED and self.chance("provider") < 0.15:
            self.fault("answered before it was known")
            answer = (FAILED, "202")
        if stores == "all" or (stores == "success" and answer[0] == LANDED):
            self.kept[place] = answer
        return answer

    def _tell(self, event: str, request: Request, reference: str, at_ms: int) -> None:
        """Say so by a message, where this provider does: it may be lost, late, repeated, or another's."""
        if "webhook" not in TOOLS[request.tool]:
            return
        body = json.dumps({"event": event, "id": reference, "tag": request.tag}).encode()
        fate, said = self.chance("message"), Message(at_ms=at_ms, body=body, signature=signature_of(body))
        self.said.append(said)
        if fate < 0.1:
            self.fault("message lost")
            return
        if fate < 0.4:
            self.fault("message late")
            said = replace(said, at_ms=at_ms + self.rng.choice((500, D_MS, Q_MS, 15_000)))
        elif fate < 0.6:
            self.fault("message repeated")
            self.mail.append(replace(said, at_ms=at_ms + self.rng.choice((1, 500, 15_000))))
        elif fate < 0.8:
            self.fault("message forged")
            lie = body.replace(event.encode(), b"failed" if event == "paid" else b"paid")
            self.mail.append(replace(said, body=lie))
        self.mail.append(said)

    def tell_again(self, now_ms: int) -> None:
        """Deliver all messages of long ago once more, as after an outage: of the provider, or of who hears it."""
        old = [each for each in self.said if each.at_ms + Q_MS < now_ms]
        if old and self.chance("message") < 0.04:
            self.fault("messages of long ago")
            self.mail += [each for each in old if each not in self.mail]

    @staticmethod
    def _stores(request: Request) -> str | None:
        key = TOOLS[request.tool]["provider_key"]
        return str(key["stores"]) if isinstance(key, dict) else None


def signature_of(body: bytes) -> str:
    """What the provider signs a message with."""
    return base64.b64encode(hmac.digest(SECRET, body, hashlib.sha256)).decode()


SETTLE_MS: Final = D_MS + Q_MS
"""After this long a send has had its effect or never will."""
