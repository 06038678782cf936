"""What the proxy can be told, and telling it from another process.

>>> str(Rule(behaviour=Behaviour.DROP_RESPONSE, count=2).behaviour)
'drop-response'
"""

import json
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from invoke_log.surfaces.demo.processes import ChildError

CONTROL_S_MAX = 5.0
RULES_PER_LINE = 100  # a line of the control port holds 64 KiB
PAYMENTS = "/v1/payment_intents"


class Behaviour(StrEnum):
    """What happens to one POST. Only `DROP_REQUEST` keeps it from the provider, and the client cannot tell."""

    PASS = "pass"
    DROP_RESPONSE = "drop-response"  # the effect happened; the client's connection ends without the answer
    DROP_REQUEST = "drop-request"  # nothing happened; the client's connection ends all the same way
    HANG = "hang"  # no answer ever; the request lands delay_ms later, whoever has given up by then
    SLOW = "slow"  # delivered delay_ms late, and answered, if the client still waits
    UNAVAILABLE = "unavailable"  # the effect happened; the client is told 503
    DUPLICATE = "duplicate"  # sent twice, as by a proxy that lost the first answer and tried again unasked


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The next `count` POSTs whose path starts with `path` are treated so; `delay_ms` matters to HANG and SLOW.

    A PUT, a DELETE and a command of another protocol count as POSTs: whatever is no mere reading.
    """

    behaviour: Behaviour
    count: int = 1
    path: str = PAYMENTS
    delay_ms: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.delay_ms < 0 or not self.path.startswith("/"):
            raise ValueError(f"rule: {self!r}, want count of 1 or more, delay of 0 or more, path that starts with /")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPost:
    """One POST that reached the proxy, and how it was treated."""

    path: str
    behaviour: Behaviour
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyReport:
    """What the proxy did since it started or was cleared; `answered` counts POSTs that the provider answered."""

    posts: tuple[SeenPost, ...]
    answered: int
    rules_left: int

    def count(self, behaviour: Behaviour) -> int:
        return sum(post.behaviour is behaviour for post in self.posts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyControl:
    """The proxy's control port. Each call returns when the proxy has obeyed.

    Raises: ChildError: the proxy is gone, or refused.
    """

    port: int

    def next_posts(self, *rules: Rule) -> None:
        """Add rules behind those that are left. A POST uses up the first one that fits it, and else passes."""
        for start in range(0, len(rules), RULES_PER_LINE):
            self._ask({"do": "add", "rules": [asdict(rule) for rule in rules[start : start + RULES_PER_LINE]]})

    def clear(self) -> None:
        """Forget all rules and counts. Requests that hang still land."""
        self._ask({"do": "clear"})

    def report(self) -> ProxyReport:
        """Return what the proxy did."""
        report = self._ask({"do": "report"})
        posts = (
            SeenPost(path=path, behaviour=Behaviour(behaviour), idempotency_key=key)
            for path, behaviour, key in report["posts"]
        )
        return ProxyReport(posts=tuple(posts), answered=report["answered"], rules_left=report["rules_left"])

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=CONTROL_S_MAX) as connection:
                connection.sendall(json.dumps(question).encode() + b"\n")
                with connection.makefile("rb") as stream:
                    line = stream.readline()
        except OSError as error:
            raise ChildError(f"proxy: control port {self.port} does not answer: {error}") from error
        answer = json.loads(line) if line else {"error": "closed without an answer"}
        if not isinstance(answer, dict) or "error" in answer:
            raise ChildError(f"proxy: control said {line[:200]!r} to {question['do']!r}")
        return answer
