"""One value, two views: text for people, and one JSON object for programs.

The JSON views are what other programs rely on: ids print with their prefix, bytes as `{"$bytes": hex}`, times and
sizes as integers with the unit in the name. Text from the log goes to a terminal only through `shown`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, assert_never

from invoke_log.audit.backtest import Backtest, Decision
from invoke_log.audit.receipt import ReceiptReport
from invoke_log.audit.report import EffectReport, Finding, Report
from invoke_log.format.cbor import Value
from invoke_log.format.digest import format_id
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.sweep import Swept
from invoke_log.guard.waiting import Waiting
from invoke_log.ledger.approval import PendingIntent
from invoke_log.rules.admission import Blocked, Collision, Conflict, Stale
from invoke_log.rules.answer import NAMES, Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import NEXT
from invoke_log.rules.governance import Governance, Refused
from invoke_log.rules.kind import CLAIMED, COMMITTED, NOT_COMMITTED, STARTED, UNKNOWN
from invoke_log.rules.policy import Policy
from invoke_log.rules.world import EffectState

Json = dict[str, object]
DECISIONS_SHOWN: Final = 10
"""Decisions of one kind that are listed for people; JSON has them all."""
BYTES: Final = "$bytes"
"""The one key of a JSON object that stands for a byte string, its value lower-case hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One value: the fields of its JSON object after `v`, and its text without the last newline."""

    fields: Mapping[str, object]
    text: str

    @property
    def json(self) -> str:
        """The JSON object on one line, in ASCII: no terminal and no encoding can break it."""
        return json.dumps({"v": 1, **self.fields})


def shown(text: str) -> str:
    """Return text with everything that a terminal could obey escaped: others wrote it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def json_of(value: Value) -> object:
    """Return a value as JSON has it."""
    if isinstance(value, bytes):
        return {BYTES: value.hex()}
    if isinstance(value, list):
        return [json_of(item) for item in value]
    if isinstance(value, dict):
        return {name: json_of(item) for name, item in value.items()}
    return value


def id_of(prefix: str, raw: bytes | None) -> str | None:
    """Return an id as it prints, None for none."""
    return format_id(prefix, raw) if raw is not None else None


def answer_view(answer: Answer, event_id: bytes | None) -> View:
    """Return the view of an append's answer to the event of this id; None: its line made no event."""
    fields: Json = {
        "answer": NAMES[type(answer)],
        "id": id_of("evt", event_id),
        "index": None,
        "of": None,
        "reason": None,
    }
    match answer:
        case Accepted():
            fields |= {"index": answer.index}
        case Duplicate():
            fields |= {"index": answer.index, "of": id_of("evt", answer.of), "reason": "this very event is on the log"}
        case Collision():
            fields |= {"of": id_of("evt", answer.of), "reason": "the same decision is open or committed"}
        case Conflict():
            fields |= {
                "of": id_of("evt", answer.of),
                "reason": "the effect is open or committed with another request",
            }
        case Blocked():
            reason = f"the effect is {answer.status}; {NEXT[answer.next]}"
            fields |= {"of": id_of("evt", answer.by), "reason": reason, "status": answer.status, "next": answer.next}
        case Stale():
            head = answer.head.hex() if answer.head is not None else None
            fields |= {"reason": f"{answer.code}: {answer.reason}", "code": answer.code, "head": head}
        case Refused():
            fields |= {"reason": f"{answer.code}: {answer.reason}", "code": answer.code}
        case Unavailable():
            fields |= {"reason": answer.reason}
        case unexpected:
            assert_never(unexpected)
    return View(fields=fields, text=_answer_text(fields))


def _answer_text(fields: Json) -> str:
    parts = [str(fields["answer"])]
    if fields["of"] is not None:
        parts.append(f"by {fields['of']}" if fields["answer"] == "blocked" else f"of {fields['of']}")
    elif fields["id"] is not None:
        parts.append(str(fields["id"]))
    if fields["index"] is not None:
        parts.append(f"leaf {fields['index']}")
    text = " ".join(parts)
    return f"{text}: {shown(str(fields['reason']))}" if fields["reason"] is not None else text


def effect_view(state: EffectState, *, purpose: str | None, more: Mapping[str, object] | None = None) -> View:
    """Return the view of an effect in a list: one line. more: fields that follow in JSON."""
    fields: Json = {
        "effect_key": format_id("eff", state.effect),
        "resource": state.resource,
        "effect_class": state.effect_class,
        "purpose": purpose,
        "status": state.status,
        "generation": state.generation,
        "attempts": state.attempt,
        **(more or {}),
    }
    words = [f"{state.status:<13}", state.effect_class, shown(state.resource), shown(purpose or "-")]
    return View(fields=fields, text=" ".join([*words, str(fields["effect_key"])]))


def pending_view(found: PendingIntent) -> View:
    """Return the view of an intent that waits for approval: who has given it, and the text that is consented to."""
    fields: Json = {
        "intent": format_id("evt", found.intent),
        "effect_key": format_id("eff", found.effect),
        "resource": found.resource,
        "issuer": format_id("key", found.issuer),
        "wanted": found.wanted,
        "given": [{"by": format_id("key", each.by), "until_ms": each.until_ms} for each in found.given],
        "release_from_ms": found.release_from_ms,
        "shown": found.shown.hex(),
        "text": found.text,
    }
    given = [f"  by {format_id('key', each.by)}, until {time_of(each.until_ms)}" for each in found.given]
    lines = [
        f"{fields['intent']} has {len(found.given)} of {found.wanted} approvals",
        *given,
        *(f"  {line}" for line in found.text.splitlines()),
        f"  shown: {found.shown.hex()}",
    ]
    if found.release_from_ms is not None:
        lines.append(f"  the claim may be released from {time_of(found.release_from_ms)} on")
    return View(fields=fields, text="\n".join(lines))


def contract_view(contract: Contract, governance: Governance, *, full: bool = False) -> View:
    """Return the view of a registered contract: a line of a list, or in full."""
    standing = (
        "withdrawn"
        if contract.id in governance.withdrawn
        else "in force"
        if governance.in_force(contract)
        else "superseded"
    )
    fields: Json = {
        "id": format_id("ctr", contract.id),
        "name": contract.name,
        "version": contract.version,
        "effect_class": contract.effect_class,
        "standing": standing,
        **({"data": json_of(contract.data)} if full else {}),
    }
    line = f"{contract.name} version {contract.version} {contract.effect_class} {standing} {fields['id']}"
    return View(fields=fields, text=json.dumps(fields, indent=2) if full else line)


def ready_view(name: str, text: str, partial: Mapping[str, Value], *, full: bool) -> View:
    """Return the view of a contract that comes with this package: a line of a list, or its text to copy."""
    fields: Json = {
        "name": name,
        "effect_class": partial["effect_class"],
        "observability": partial["observability"],
        **({"toml": text} if full else {}),
    }
    line = f"{name} {partial['effect_class']!s} {partial['observability']!s}"
    return View(fields=fields, text=text.removesuffix("\n") if full else line)


def policy_view(policy: Policy, *, in_force: bool) -> View:
    """Return the view of a policy in full."""
    fields: Json = {
        "id": format_id("pol", policy.id),
        "name": policy.name,
        "in_force": in_force,
        "data": json_of(policy.data),
    }
    return View(fields=fields, text=json.dumps(fields, indent=2))


def backtest_view(found: Backtest) -> View:
    """Return the view of a backtest: which answers would change, from what to what, by which rule."""
    changed: dict[tuple[str, str, str | None, int], list[Decision]] = {}
    for decision in found.decisions:
        if decision.differs:
            would = decision.would
            changed.setdefault((decision.was.answer, would.answer, would.rule, would.approvals), []).append(decision)
    count = sum(map(len, changed.values()))
    fields: Json = {
        "policy": format_id("pol", found.policy.id),
        "judged": len(found.decisions),
        "changed": count,
        "unseen": found.unseen,
        "denied_calls": found.denied_calls,
        "changes": [
            {
                "from": was,
                "to": to,
                "rule": rule,
                "approvals": approvals,
                "count": len(those),
                "decisions": [_decision_fields(decision) for decision in those],
            }
            for (was, to, rule, approvals), those in changed.items()
        ],
    }
    lines = [f"{shown(found.policy.name)}: {count} of {len(found.decisions)} decisions would change"]
    for (was, to, rule, approvals), those in changed.items():
        wants = f", {approvals} approvals" if approvals > 1 else ""
        lines.append(f"{was} -> {to} by {shown(rule) if rule else 'no rule'}{wants}: {len(those)}")
        lines += [f"  {_decision_line(decision)}" for decision in those[:DECISIONS_SHOWN]]
        lines += [f"  and {len(those) - DECISIONS_SHOWN} more"] if len(those) > DECISIONS_SHOWN else []
    if found.unseen:
        lines.append(f"{found.unseen} were judged without a snapshot field that the policy reads: it is not kept here")
    if found.denied_calls:
        lines.append(f"{found.denied_calls} denied calls are on the log without their arguments, and were not judged")
    return View(fields=fields, text="\n".join(lines))


def _decision_fields(decision: Decision) -> Json:
    event = decision.event
    return {
        "index": decision.index,
        "intent": format_id("evt", event.id),
        "effect_key": id_of("eff", event.effect),
        "resource": event.resource,
        "was_rule": decision.was.rule,
    }


def _decision_line(decision: Decision) -> str:
    event = decision.event
    by = shown(decision.was.rule) if decision.was.rule else "no rule"
    return f"leaf {decision.index} {shown(event.resource or '')} {format_id('evt', event.id)}, was by {by}"


def key_view(governance: Governance, key: bytes) -> View:
    """Return the view of a public key: what it is granted."""
    grants = [grant for grant in governance.grants if grant.key == key]
    fields: Json = {
        "key": format_id("key", key),
        "log_key": key == governance.log_key,
        "grants": [
            {
                "grant": id_of("evt", grant.id or None),
                "role": grant.role,
                "effect_class": grant.scope.effect_class,
                "prefix": grant.scope.prefix,
                "subject": grant.subject,
            }
            for grant in grants
        ],
    }
    lines = [
        f"{grant.role:<11} {shown(f'{grant.scope.effect_class}:{grant.scope.prefix}')} {shown(grant.subject)}"
        for grant in grants
    ]
    words = ["log key"] if key == governance.log_key else []
    return View(fields=fields, text="\n".join([*words, *lines] or ["no grant"]))


def report_view(report: Report, *, effects: bool, ok: bool = True) -> View:
    """Return the view of an audit; what was not checked is said as plainly as what was.

    Args: ok: whether it may still be true beside what it was compared with.
    """
    ok = ok and report.ok
    covered = f"a checkpoint over {report.covered} of {report.size} leaves" if report.covered else "no checkpoint"
    lines = [
        f"{'ok' if ok else 'does not verify'}: {shown(report.origin or 'no log')}",
        f"size        {report.size}",
        f"root        {report.root.hex() if report.root else '-'}",
        f"state root  {report.state_root.hex() if report.state_root else '-'}",
        f"covered by  {covered}; cosignatures: {_cosignatures(report)}",
        f"trust       {_trust_line(report)}",
        *(_effect_line(effect) for effect in (report.effects if effects else ())),
        *finding_lines(report.findings),
    ]
    return View(fields={**report.as_json(effects=effects), "ok": ok}, text="\n".join(lines))


def _cosignatures(report: Report) -> str:
    unchecked = (
        f"not checked ({report.unchecked} under keys that were not given)" if report.unchecked else "not checked"
    )
    if not report.cosignatures:
        return unchecked
    return f"{report.cosignatures} checked" + (f", {report.unchecked} not checked" if report.unchecked else "")


def _trust_line(report: Report) -> str:
    if report.trusted:
        return "the key that you trust signed all of it"
    if report.trusted_size:
        return (
            f"the key that you trust signed the first {report.trusted_size} of {report.size} leaves, and not the rest"
        )
    return "self-consistent; origin not checked" if report.ok else "none"


def _effect_line(effect: EffectReport) -> str:
    grade = effect.grade or "-"
    relies = f" relies on {', '.join(effect.relies_on)}" if effect.relies_on else ""
    words = [f"{effect.status:<13}", f"{grade:<8}", shown(effect.resource), shown(effect.purpose or "-")]
    return " ".join([*words, format_id("eff", effect.effect)]) + relies


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Return findings as lines."""
    return [finding_line(f.severity, f.code, index=f.index, message=f.message) for f in findings]


def finding_line(severity: str, code: str, *, index: int | None, message: str) -> str:
    """Return a finding as one line."""
    leaf = "" if index is None else f"leaf {index}: "
    return f"{severity}: {leaf}{code}: {shown(message)}"


def receipt_view(report: ReceiptReport) -> View:
    """Return the view of a receipt that verified."""
    effect = report.effect
    lines = [
        f"ok: {format_id('eff', effect.effect)}",
        f"status      {effect.status}, generation {effect.generation}, grade {effect.grade or '-'}",
        f"resource    {shown(effect.resource)}",
        f"purpose     {shown(effect.purpose or '-')}",
        f"relies on   {', '.join(effect.relies_on) or '-'}",
        f"log         {shown(report.origin)}, as of {report.size} leaves",
        f"trust       {'the log is the one you trust' if report.trusted else 'self-consistent; origin not checked'}",
        *(f"checked     {what}" for what in report.checked),
        *(f"not checked {what}" for what in report.not_checked),
        *finding_lines(report.findings),
    ]
    return View(fields=report.as_json(), text="\n".join(lines))


def reconciled_view(found: Reconciled) -> View:
    """Return the view of one look at an open effect."""
    fields: Json = {
        "effect_key": found.effect_key,
        "resource": found.resource,
        "probe": found.probe,
        "status": found.status,
        "not_before_ms": found.not_before,
        "note": found.note,
        "incident": found.incident,
    }
    waits = f" (not before {time_of(found.not_before)})" if found.not_before is not None else ""
    words = [f"{found.status:<13}", shown(found.resource), found.effect_key]
    return View(fields=fields, text=f"{' '.join(words)}: {shown(found.note)}{waits}")


def summary_view(looks: Sequence[Reconciled], waiting: Sequence[Waiting]) -> View:
    """Return the view of what a reconciler leaves behind.

    Args: looks: the last one at each effect. waiting: every effect of the log that is open still.
    """
    counts = {status: sum(look.status == status for look in looks) for status in (COMMITTED, NOT_COMMITTED)}
    still = {status: sum(one.status == status for one in waiting) for status in (CLAIMED, STARTED, UNKNOWN)}
    incidents = [look for look in looks if look.incident is not None]
    fields: Json = {
        "summary": {**counts, **still, "incidents": len(incidents)},
        "open": [
            {
                "effect_key": one.effect_key,
                "resource": one.resource,
                "status": one.status,
                "next": one.next,
                "until_ms": one.until,
                "waits_for": one.words,
            }
            for one in waiting
        ],
    }
    said = [f"{count} {status}" for status, count in {**counts, **still}.items() if count]
    lines = [
        *([f"summary: {', '.join(said)}"] if said else []),
        *(f"  incident  {look.effect_key}: {shown(str(look.incident))}" for look in incidents),
        *(f"  {one.status:<9} {shown(one.resource)} {one.effect_key} waits for {_waits(one)}" for one in waiting),
    ]
    return View(fields=fields, text="\n".join(lines))


def _waits(one: Waiting) -> str:
    until = f" (not before {time_of(one.until)})" if one.until is not None else ""
    return shown(one.words) + until


def swept_view(found: Swept) -> View:
    """Return the view of one of the provider's objects that a sweep names."""
    fields: Json = {
        "tool": found.tool,
        "finding": found.finding,
        "reference": found.reference,
        "tag": found.tag,
        "effect_key": found.effect_key,
        "note": found.note,
        "incident": found.incident,
    }
    words = [f"{found.finding:<9}", shown(found.tool), shown(found.reference or "-"), shown(found.tag or "-")]
    return View(fields=fields, text=f"{' '.join(words)}: {shown(found.note)}")


def time_of(at_ms: int) -> str:
    """Return Unix milliseconds as UTC text; a time past the year 9999 stays a number."""
    try:
        return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03}Z"
    except (OverflowError, ValueError, OSError):
        return f"{at_ms}ms"
