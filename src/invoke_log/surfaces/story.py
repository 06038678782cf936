"""Entries in plain words: who says what, each in one line, and the life of an effect as the lines that are about it.

Nothing here decides: a phrase repeats what an event says. What others wrote stands in quotes, and is cut.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from invoke_log.audit.report import EffectReport, Finding
from invoke_log.format.digest import format_id
from invoke_log.ledger.log import Entry
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import Event, data_map
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import (
    Approval,
    Attestation,
    Denial,
    Evidence,
    Freeze,
    Genesis,
    Grant,
    Handle,
    Intent,
    Note,
    Oath,
    Observation,
    Outcome,
    Recovery,
    Redrive,
    Refusal,
    Release,
    Resolution,
    Revoke,
    Scope,
    Start,
    Suspect,
    Tick,
    Unfreeze,
    Withdraw,
)
from invoke_log.rules.policy import ALLOW, ASK, Policy
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.render import Json, View, effect_view, finding_lines, id_of, json_of, shown, time_of

QUOTED_MAX: Final = 120
"""Characters that a line shows of a text of somebody else's: `show` of the event has all of it."""
EVIDENCE: Final = {
    "response": "the tool answered",
    "never_sent": "nothing was sent",
    "definite_failure": "the provider answered that it did not do it",
    "stored_failure": "the provider answered that it did not do it, and will answer so again under this key",
    "abort": "its transaction was aborted",
    "no_answer": "no answer",
    "unclear_answer": "an answer that says neither",
    "tag_seen": "our tag was seen",
    "absence": "a complete read without our tag",
    "key_burnt": "a complete read without our tag, and the provider's key can only repeat its answer",
    "void": "the provider has given it up for good",
    "webhook": "the provider's own message",
}
"""What each kind of evidence shows."""

Names = Mapping[bytes, str]
"""What people call a key, a grant or a contract, by its 32 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What `show` tells of an effect beside its status.

    entries: those on its chain and those about it, in leaf order. findings: what replay would remark of it.
    """

    report: EffectReport
    findings: Sequence[Finding]
    entries: Sequence[Entry]


def names_of(governing: Iterable[Event]) -> Names:
    """Return what the governance events of a log name: keys by their last grant, of those that were revoked too.

    Of keys that have one name, each has the first digits of the key behind it.
    """
    keys: dict[bytes, str] = {}
    others: dict[bytes, str] = {}
    for event in governing:
        match event.data:
            case Genesis() as data:
                keys |= {**dict.fromkeys(data.admin_keys, "genesis"), data.log_key: "log"}
            case Recovery() as data:
                keys[data.log_key] = "log"
            case Grant() as data:
                keys[data.key] = data.subject
                others[event.id] = f"{data.role} of {data.subject}"
            case Contract() as data:
                others[data.id] = data.name
            case _:
                pass
    shared = {name for name, count in Counter(keys.values()).items() if count > 1}
    return others | {key: f"{name}+{key.hex()[:8]}" if name in shared else name for key, name in keys.items()}


def line_of(entry: Entry, names: Names) -> str:
    """Return an entry as one line: leaf, time that its issuer claims, kind, who says what, id."""
    return _line(entry, f"{_who(entry.event.by, names)}: {phrase_of(entry.event, names)}")


def entry_line_view(entry: Entry, names: Names) -> View:
    """Return the view of an entry among those of other effects: one line of text, the whole of it in JSON."""
    event = entry.event
    resource = event.data.resource if isinstance(event.data, Refusal) else event.resource
    where = f", on {resource}" if resource is not None else ""
    said = f"{_who(event.by, names)}: {phrase_of(event, names)}{where}"
    return View(fields=_entry_fields(entry), text=_line(entry, said))


def entry_view(entry: Entry, names: Names) -> View:
    """Return the view of an entry in full, below what it says in words."""
    view = entry_line_view(entry, names)
    return View(
        fields=view.fields, text=f"{view.text.lstrip()}\n{json.dumps(view.fields, indent=2, ensure_ascii=True)}"
    )


def _entry_fields(entry: Entry) -> Json:
    event = entry.event
    return {
        "id": format_id("evt", event.id),
        "index": entry.index,
        "kind": event.kind,
        "by": format_id("key", event.by),
        "at_ms": event.at_ms,
        "prev": id_of("evt", event.prev),
        "effect": id_of("eff", event.effect),
        "resource": event.resource,
        "state": event.state.hex() if event.state is not None else None,
        "data": json_of(data_map(event.data)),
    }


def status_view(
    state: EffectState,
    *,
    purpose: str | None,
    next_step: str,
    not_before: int | None,
    entries: Sequence[Entry],
    names: Names,
    told: Told | None = None,
) -> View:
    """Return the view of one effect: its state, what to do next, and its events.

    Args: not_before: Unix milliseconds from which a read can prove that an unknown effect is absent. entries: those on
        its chain. told: the rest of its life, where that was asked for.
    """
    events = [format_id("evt", entry.event.id) for entry in entries]
    more: Json = {"next": next_step, "not_before_ms": not_before, "events": events}
    if told is not None:
        more |= _told_fields(told, entries)
    view = effect_view(state, purpose=purpose, more=more)
    lines = [
        str(view.fields["effect_key"]),
        f"status      {state.status}",
        *([f"grade       {_grade(told.report)}"] if told is not None and told.report.grade is not None else []),
        f"class       {state.effect_class}",
        f"resource    {shown(state.resource)}",
        f"purpose     {shown(purpose or '-')}",
        f"generation  {state.generation}, attempt {state.attempt}",
        f"next        {next_step}",
        *([f"not before  {time_of(not_before)}"] if not_before is not None else []),
        *(line_of(entry, names) for entry in (told.entries if told is not None else entries)),
        *(finding_lines(told.findings) if told is not None else []),
    ]
    return View(fields=view.fields, text="\n".join(lines))


def _told_fields(told: Told, chain: Sequence[Entry]) -> Json:
    report, chained = told.report, {entry.index for entry in chain}
    return {
        "grade": report.grade,
        "relies_on": list(report.relies_on),
        "about": [format_id("evt", entry.event.id) for entry in told.entries if entry.index not in chained],
        "findings": [finding.as_json() for finding in told.findings],
    }


def _grade(report: EffectReport) -> str:
    return f"{report.grade}, relies on {', '.join(report.relies_on)}"


def _line(entry: Entry, said: str) -> str:
    event = entry.event
    return f"{entry.index:>8} {time_of(event.at_ms)} {event.kind:<12} {shown(said)} {format_id('evt', event.id)}"


def phrase_of(event: Event, names: Names) -> str:
    """Return what an event says, as its issuer would in a few words."""
    match event.data:
        case Genesis() as data:
            return f"the log {data.origin} begins"
        case Grant() as data:
            return f"grants {data.subject} the role {data.role}{_over(data.scope)}"
        case Revoke() as data:
            return _revoked(data, names)
        case Contract() as data:
            return f"contract {data.name} version {data.version} is in force, for {data.effect_class}"
        case Withdraw() as data:
            return f"contract {_named('ctr', data.contract_id, names)} is withdrawn{_why(data.reason)}"
        case Policy() as data:
            return f"policy {_quoted(data.name)} is in force"
        case Freeze() as data:
            return f"frozen{_over(data.scope, ' everywhere')}{_why(data.reason)}"
        case Unfreeze() as data:
            return f"no longer frozen{_over(data.scope, ' everywhere')}{_why(data.reason)}"
        case Recovery() as data:
            lost = ", what came after them is lost" if data.amnesia else ""
            return f"{data.old_origin} goes on as {data.origin} from {data.size} leaves{lost}"
        case Oath() as data:
            return f"what was lost touched nothing{_over(data.scope, ' at all')}{_why(data.reason)}"
        case Tick() as data:
            return f"it is {time_of(data.time_ms)}"
        case Intent() as data:
            return _decided(data, names)
        case Approval():
            return "approved"
        case Denial() as data:
            return f"denied{_why(data.reason)}"
        case Release() as data:
            return f"the claim is given back{_why(data.reason)}"
        case Start() as data:
            return "about to send" + (f", on {_count(len(data.approvals), 'approval')}" if data.approvals else "")
        case Outcome() as data:
            return f"{data.status}: {_shows(data.evidence)}"
        case Suspect():
            return "unknown: no outcome came before the send deadline"
        case Redrive():
            return "about to send the same request again, under the provider's key"
        case Resolution() as data:
            return f"{data.presence}: {_shows(data.evidence)}"
        case Attestation() as data:
            return f"{data.status}, a person's word{_why(data.reason)}"
        case Note() as data:
            return f"notes {_quoted(data.text)}"
        case Observation() as data if data.evidence.kind == "void":
            return "about to ask the provider to give it up for good"
        case Observation() as data:
            return f"{data.presence}: {_shows(data.evidence)}"
        case Handle() as data:
            return f"the provider knows it as {_quoted(data.handle)}"
        case Refusal() as data:
            return _refused(data, names)
        case unexpected:
            assert_never(unexpected)


def _revoked(data: Revoke, names: Names) -> str:
    what = f"all grants of {_who(data.key, names)} end" if data.key is not None else ""
    if data.grant is not None:
        what = f"the grant {_named('evt', data.grant, names)} ends"
    return what + (f"; suspect from leaf {data.suspect_from} on" if data.suspect_from is not None else "")


def _decided(data: Intent, names: Names) -> str:
    once_more = "once more, " if data.again is not None else "anew after it did not happen, " if data.after else ""
    verdict, purpose = data.verdict, f" for {_quoted(data.purpose)}" if data.purpose else ""
    by = f" by {_quoted(verdict.rule)}" if verdict.rule is not None else ""
    wanted = _count(max(1, verdict.approvals), "approval")
    said = {ALLOW: "allowed", ASK: f"{wanted} wanted"}.get(verdict.answer, verdict.answer)
    return f"decides {once_more}{_named('ctr', data.contract_id, names)}{purpose}; {said}{by}"


def _refused(data: Refusal, names: Names) -> str:
    calls = f"{_count(data.count, 'call')} of {_who(data.issuer, names)} sent nothing: {data.reason}"
    return calls if data.blocker is None else f"{calls} by {format_id('evt', data.blocker)}"


def _shows(evidence: Evidence) -> str:
    parts = [EVIDENCE[evidence.kind]]
    if evidence.failure is not None:
        parts.append(f"({evidence.failure})")
    if evidence.reference is not None:
        parts.append(f"({_quoted(evidence.reference)})")
    if evidence.observations:
        parts.append(f"with {_count(len(evidence.observations), 'observation')}")
    return " ".join(parts)


def _over(scope: Scope, everything: str = "") -> str:
    return everything if scope == EVERYTHING else f" over {scope.effect_class}:{scope.prefix}"


def _why(reason: str) -> str:
    return f": {_quoted(reason)}" if reason else ""


def _who(key: bytes, names: Names) -> str:
    return _named("key", key, names)


def _named(prefix: str, raw: bytes, names: Names) -> str:
    return names.get(raw) or format_id(prefix, raw)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _quoted(text: str) -> str:
    # JSON escapes quotes and controls: no text can break out of its quotes, and `shown` escapes what is left.
    return json.dumps(text if len(text) <= QUOTED_MAX else f"{text[:QUOTED_MAX]}…", ensure_ascii=False)
