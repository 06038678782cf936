"""What an audit found: findings with a code and a leaf, and the status of every effect. SPEC §11.2, §12.4."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from invoke_log.format import digest

ERROR: Final = "error"
WARNING: Final = "warning"

WARNINGS: Final = frozenset(
    (
        "attachment-missing",
        "key-suspect",
        "contradiction",
        "duplicate-effect",
        "not-covered",
        "partly-covered",
        "policy-unchecked",
        "suspect",
    )
)
"""The codes that say less than "this log lies"; every other code is an error [RPL-8]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement: a stable code, the leaf it is about (None: no leaf is meant), and the evidence in words."""

    code: str
    index: int | None
    message: str

    @property
    def severity(self) -> str:
        return WARNING if self.code in WARNINGS else ERROR

    def as_json(self) -> dict[str, object]:
        """Return the object that stands for it in `--json`."""
        return {"code": self.code, "severity": self.severity, "index": self.index, "message": self.message}


Find = Callable[[str, int | None, str], None]
"""Says a finding: its code, the leaf or None, and the words for it."""


def into(findings: list[Finding]) -> Find:
    """Return what adds a finding to a list. It holds the list alone: a method would hold its object, which holds the
    method, and the memory of both would wait for the garbage collector.
    """

    def find(code: str, index: int | None, message: str) -> None:
        findings.append(Finding(code=code, index=index, message=message))

    return find


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectReport:
    """What replay derived of one effect. grade: E0 to E4, `attested`, or None while nothing has settled it.

    event_ids: those of `events`, 32 bytes each, joined: half the memory, where a report names millions.
    """

    effect: bytes
    resource: str
    effect_class: str
    purpose: str
    status: str
    generation: int
    attempts: int
    grade: str | None
    relies_on: tuple[str, ...]
    event_ids: bytes

    @property
    def events(self) -> tuple[bytes, ...]:
        """The ids of the events on its chain, in leaf order."""
        return tuple(self.event_ids[at : at + 32] for at in range(0, len(self.event_ids), 32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of an audit. state_root is None where the bytes could not be replayed at all.

    covered: the size of the checkpoint that covers the leaves, None without one. cosignatures: those of its lines that
    were checked. unchecked: those under keys that the reader was not given, of which nothing is known.
    trusted_size: how many leaves a checkpoint under the reader's own verifier key covers, 0 where it has none.
    """

    trusted_size: int
    origin: str | None
    size: int
    root: bytes | None
    state_root: bytes | None
    covered: int | None
    cosignatures: int
    unchecked: int = 0
    effects: tuple[EffectReport, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def trusted(self) -> bool:
        """Whether a checkpoint under the verifier key that the reader brought covers every leaf [RPL-10]."""
        return 0 < self.trusted_size == self.size

    @property
    def ok(self) -> bool:
        """Whether no finding is an error. An empty or cut log is never ok."""
        return not any(finding.severity == ERROR for finding in self.findings)

    def as_json(self, *, effects: bool = True) -> dict[str, object]:
        """Return the object that `replay --json` prints (`verify --json` without effects)."""
        head: dict[str, object] = {
            "v": 1,
            "ok": self.ok,
            "trusted": self.trusted,
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex() if self.root else None,
            "state_root": self.state_root.hex() if self.state_root else None,
            "covered": {
                "size": self.covered,
                "cosignatures": self.cosignatures,
                "cosignatures_not_checked": self.unchecked,
            },
        }
        if effects:
            head["effects"] = [_effect_json(effect) for effect in self.effects]
        head["findings"] = [finding.as_json() for finding in self.findings]
        return head


def _effect_json(effect: EffectReport) -> dict[str, object]:
    return {
        "effect_key": digest.format_id("eff", effect.effect),
        "resource": effect.resource,
        "effect_class": effect.effect_class,
        "purpose": effect.purpose,
        "status": effect.status,
        "generation": effect.generation,
        "attempts": effect.attempts,
        "grade": effect.grade,
        "relies_on": list(effect.relies_on),
        "events": [digest.format_id("evt", event) for event in effect.events],
    }
