"""The fields that structured answers promise: those of the command line's `--json`. More may follow, none goes."""

from typing import Any, Literal, NotRequired, TypedDict


class Answered(TypedDict):
    """What every answer has."""

    v: Literal[1]


class Effect(Answered):
    """An effect. next: wait, poll, reconcile, attest, receipt or decide_again; not_before_ms: when absence can show."""

    effect_key: str
    resource: str
    effect_class: str
    purpose: str | None
    status: Literal["free", "claimed", "started", "committed", "not_committed", "unknown"]
    generation: int
    attempts: int
    next: NotRequired[str]
    not_before_ms: NotRequired[int | None]
    events: NotRequired[list[str]]


class Effects(Answered):
    """Effects by key. after: give it to see those that follow; null: that was all."""

    effects: list[dict[str, Any]]
    after: str | None


class Contracts(Answered):
    """Every contract that was registered."""

    contracts: list[dict[str, Any]]


class Approvals(Answered):
    """Every intent that waits for approval."""

    approvals: list[dict[str, Any]]


class Verdict(Answered):
    """What the policy in force says of a call."""

    verdict: Literal["allow", "deny", "ask"]
    rule: str | None
    approvals: int
    policy: str | None
    effect_key: str
    resource: str
    status: str


class Receipt(Answered):
    """What a receipt proves, and what was not checked."""

    ok: bool
    trusted: bool
    effect_key: str
    status: str
    grade: str | None
    checked: list[str]
    not_checked: list[str]
    receipt: NotRequired[dict[str, str]]


class Replayed(Answered):
    """What a replay of the whole log found."""

    ok: bool
    trusted: bool
    size: int
    root: str | None
    state_root: str | None
    findings: list[dict[str, Any]]


class Proposal(Answered):
    """The log's answer to an intent, and how its effect stands."""

    answer: Literal["accepted", "duplicate", "collision", "conflict", "blocked", "stale", "refused", "unavailable"]
    id: str | None
    index: int | None
    of: str | None
    reason: str | None
    effect_key: str
    status: str
    verdict: Literal["allow", "deny", "ask"]
    next: str
