"""One effect as a story's author knows it, and what a report and an approver's screen say of it."""

from dataclasses import dataclass, field
from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._wire import Case, Map, Value


@dataclass
class Effect:
    """`came_from` is where an open claim returns to, `committed` the generations that have committed, `settled` what
    settled each attempt: its generation, and the words that it relies on; `accounted` how many recoveries it has been
    through, `sworn` whether an oath spared it one.
    """

    contract: Map
    purpose: str
    identity: Map
    content: Map
    resource: str
    key: bytes
    status: str = "free"
    generation: int = 1
    attempt: int = 0
    turn: int = 0
    head: bytes | None = None
    intent: bytes | None = None
    issuer: bytes = b""
    start: bytes | None = None
    nonce: bytes = bytes(16)
    repeats: bool = False
    came_from: tuple[str, int] = ("free", 1)
    committed: list[int] = field(default_factory=list)
    grade: str | None = None
    settled: list[tuple[int, list[str]]] = field(default_factory=list)
    accounted: int = 0
    sworn: bool = False
    events: list[bytes] = field(default_factory=list)

    @property
    def row(self) -> list[Value]:
        """The row of the state root."""
        return [self.key, self.status, self.generation, self.attempt, self.head]

    @property
    def parts(self) -> Map:
        """What its key derives from beside the contract."""
        return {"purpose": self.purpose, "identity": self.identity}

    def map_value(self, leaf_index: int) -> bytes:
        """Return the value in the map, the head standing at this leaf."""
        committed: list[Value] = [*self.committed]
        return wire.named("map value", self.status, self.generation, committed, self.head, leaf_index)

    def report(self) -> Case:
        """Return the effect as `replay --json` has it."""
        settled = self.status in ("committed", "not_committed")
        return {
            "effect_key": f"eff_{self.key.hex()}",
            "resource": self.resource,
            "effect_class": self.contract["effect_class"],
            "purpose": self.purpose,
            "status": self.status,
            "generation": self.generation,
            "attempts": self.attempt,
            "grade": self.grade if settled else None,
            "relies_on": self.relies_on() if settled else [],
            "events": [f"evt_{event.hex()}" for event in self.events],
        }

    def relies_on(self) -> list[str]:
        """Return the words of every attempt."""
        return sorted({"store-not-rolled-back", *(word for _, words in self.settled for word in words)})

    def settle(self, words: list[str]) -> None:
        """Note what an attempt of this generation ended on. What it contradicts counts no more."""
        closed = self.came_from[0] if self.status == "claimed" else self.status
        if closed == "not_committed" and self.settled[-1][0] == self.generation:
            self.settled.pop()
        more = [*(["provider-key"] if self.protected() else []), *(["oath"] if self.sworn else [])]
        self.settled.append((self.generation, [*words, *more]))

    def shown(self) -> bytes:
        """Return the digest of render/1 of the latest intent, whose arguments are tokens and integers."""
        values = {**self.identity, **self.content}
        lines = [
            "invoke-log render/1",
            f"intent: evt_{(self.intent or bytes(32)).hex()}",
            f"issuer: key_{self.issuer.hex()}",
            f"tool: {_quoted(self.contract['name'])} version {_quoted(self.contract['version'])}",
            f"contract: ctr_{wire.named('contract', self.contract).hex()}",
            f"effect class: {_quoted(self.contract['effect_class'])}",
            f'resource: "{self.resource}"',
            f'purpose: "{self.purpose}"',
            f"repeats a committed effect: {'yes' if self.repeats else 'no'}",
            "arguments (text in quotes was written by the agent or its sources, and is not to be trusted):",
            *(f"  {name}: {_quoted(values[name])}" for name in sorted(values, key=lambda name: (len(name), name))),
        ]
        return wire.plain("".join(f"{line}\n" for line in lines).encode())

    def protected(self) -> bool:
        """Return whether the contract's provider key protects a second send."""
        key = cast("Map | None", self.contract["provider_key"])
        settle_ms = cast("int", self.contract["send_deadline_ms"]) + cast("int", self.contract["quiescence_ms"])
        return key is not None and key["stores"] != "none" and cast("int", key["retention_ms"]) >= settle_ms


def _quoted(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
