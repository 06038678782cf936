"""Policies of the engine `cedar/4`: Cedar policies and the schema that they are held to. SPEC §8.4 [POL-8].

A policy's source is {`policies`, `schema`}, both Cedar text. The call is Cedar's request: principal `Agent::"issuer"`,
action `Action::"contract"`, resource `Resource::"resource"`, and as context the facts of SPEC §7.3 [DEC-2] with
`now_ms`. Names with null are left out, and bytes are hex. Every policy has an `@id`. A `permit` with `@advice("ask")`
asks, for `@approvals("2")` approvals where that stands there.

Cedar passes over a `forbid` that errs. Here an error anywhere denies, and a policy that the schema does not bear out is
refused before it is in force. This module is the one door to cedarpy.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, cast

import cedarpy

from invoke_log.errors import MalformedError, PolicyInvalidError
from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.policy import ALLOW, ASK, DENY, Judgement

NAME: Final = "cedar/4"
SOURCE_BYTES_MAX: Final = 48_000
RULE_CHARS_MAX: Final = 128
DENIED: Final = Judgement(answer=DENY, rule=None, approvals=0)
FACTS: Final = ("effect_class", "purpose", "contract", "generation", "issuer", "arguments", "now_ms")
ANNOTATIONS: Final = frozenset(("id", "advice", "approvals"))
NESTED_MAX: Final = 32
CHAINED_MAX: Final = 200
"""Cedar reads what is nested and what is chained by recursion, and some hundred levels would end the process."""
_APPROVALS: Final = re.compile(r"[0-9]|1[0-6]")
_SKIPPED: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n\r]*')
_CHAINING: Final = re.compile(r"&&|\|\||[-+*.\[]|\bif\b")
_BRACKETS: Final = re.compile(r"([(\[{])|[)\]}]")
_SCHEMA_BRACKETS: Final = re.compile(r"([(\[{<])|[)\]}>]")
_check_source: Final = schema.compile_schema(
    schema.record({"policies": schema.text(SOURCE_BYTES_MAX), "schema": schema.text(SOURCE_BYTES_MAX)})
)
_check_name: Final = schema.compile_schema(schema.token(RULE_CHARS_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Permit:
    """What a policy's annotations say: its name, and whether it asks, for how many approvals."""

    name: str
    asks: bool
    approvals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A source that Cedar has read. permits: by Cedar's own id of each policy, forbids too."""

    policies: cedarpy.PolicySet
    schema: cedarpy.Schema
    permits: Mapping[str, _Permit]


class Cedar:
    """The engine: pure functions of a source and a call, with the sources that were read last kept."""

    def check(self, source: Value) -> None:
        """Raise PolicyInvalidError: another form, text that Cedar or the schema refuses, or other annotations."""
        _load(cbor.encode(source))

    def judge(self, source: Value, facts: Mapping[str, Value]) -> Judgement:
        """Return Cedar's answer, and the ids of the policies that determined it; whatever errs denies [POL-3]."""
        try:
            loaded = _load(cbor.encode(source))
            context = {name: _plain(facts[name]) for name in FACTS if facts[name] is not None}
        except (PolicyInvalidError, MalformedError):
            return DENIED
        request = {
            "principal": {"type": "Agent", "id": facts["issuer"]},
            "action": {"type": "Action", "id": facts["contract"]},
            "resource": {"type": "Resource", "id": facts["resource"]},
            "context": context,
        }
        result = cedarpy.is_authorized(request, loaded.policies, [], schema=loaded.schema)
        decision, diagnostics = result.decision, result.diagnostics
        if diagnostics.errors or decision not in (cedarpy.Decision.Allow, cedarpy.Decision.Deny):
            return DENIED
        determining = [loaded.permits[each] for each in diagnostics.reasons]
        if decision == cedarpy.Decision.Deny:
            return Judgement(answer=DENY, rule=_names(determining), approvals=0)
        asking = [permit for permit in determining if permit.asks]
        if asking:
            return Judgement(answer=ASK, rule=_names(asking), approvals=max(permit.approvals for permit in asking))
        return Judgement(answer=ALLOW, rule=_names(determining), approvals=0)


@lru_cache(maxsize=64)
def _load(raw: bytes) -> _Loaded:
    source = cbor.decode(raw, bytes_max=2 * SOURCE_BYTES_MAX + 100)
    try:
        _check_source(source, "$.source")
    except MalformedError as error:
        raise PolicyInvalidError(f"policy {error.message}") from error
    text, bearing = cast("dict[str, str]", source)["policies"], cast("dict[str, str]", source)["schema"]
    _check_depth(text, bearing)
    checked = cedarpy.validate_policies(text, bearing)
    if not checked.validation_passed:
        raise PolicyInvalidError(f"policy $.source: {str(checked.errors[0].error)[:200]}")
    written: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(text))
    if written["templates"] or written["templateLinks"]:
        raise PolicyInvalidError("policy $.source.policies: found a template, want policies")
    permits = {key: _permit(each) for key, each in written["staticPolicies"].items()}
    names = [permit.name for permit in permits.values()]
    if len(set(names)) != len(names):
        raise PolicyInvalidError("policy $.source.policies: found one @id twice, want one of its own for every policy")
    return _Loaded(policies=cedarpy.PolicySet.from_str(text), schema=cedarpy.Schema.from_str(bearing), permits=permits)


def _check_depth(policies: str, bearing: str) -> None:
    """Raise PolicyInvalidError where text is nested or chained deeper than Cedar can read on any stack."""
    code, declared = _SKIPPED.sub(" ", policies), _SKIPPED.sub(" ", bearing)
    for name, text, brackets in (("policies", code, _BRACKETS), ("schema", declared, _SCHEMA_BRACKETS)):
        depths = accumulate(1 if found[1] else -1 for found in brackets.finditer(text))
        if max(depths, default=0) > NESTED_MAX:
            raise PolicyInvalidError(f"policy $.source.{name}: brackets in more than {NESTED_MAX} others")
    if any(len(_CHAINING.findall(policy)) > CHAINED_MAX for policy in code.split(";")):
        raise PolicyInvalidError(
            f"policy $.source.policies: a policy has more than {CHAINED_MAX} operators, dots, [ and if",
            hint="make it two",
        )


def _permit(written: Mapping[str, Any]) -> _Permit:
    """What one policy's annotations say. Raises PolicyInvalidError: they say something else, or nothing."""
    noted: dict[str, str | None] = written.get("annotations", {})
    said = {name: value or "" for name, value in noted.items()}  # one without a value says nothing
    name, advice, approvals = said.get("id", ""), said.get("advice"), said.get("approvals", "0")
    where = f"policy $.source.policies.{name[:40] or '(no @id)'}"
    try:
        _check_name(name, "@id")
    except MalformedError as error:
        raise PolicyInvalidError(f"{where}: {error.message}") from error
    if not said.keys() <= ANNOTATIONS:
        unknown = min(said.keys() - ANNOTATIONS)
        raise PolicyInvalidError(f"{where}: annotation @{unknown} says nothing here, want @id, @advice, @approvals")
    if advice not in (None, "ask") or (advice is not None and written["effect"] != "permit"):
        raise PolicyInvalidError(f'{where}: found other advice, want @advice("ask"), on a permit')
    if not _APPROVALS.fullmatch(approvals) or ("approvals" in said and advice is None):
        raise PolicyInvalidError(f"{where}: @approvals is {approvals!r}, want 0 to 16, beside @advice")
    return _Permit(name=name, asks=advice is not None, approvals=int(approvals))


def _names(determining: list[_Permit]) -> str | None:
    """The ids of the policies that determined an answer, joined by `+`, in as many characters as a rule may have."""
    return "+".join(sorted(permit.name for permit in determining))[:RULE_CHARS_MAX] or None


def _plain(value: Value) -> object:
    """A value as Cedar's JSON has it. Raises MalformedError: a name that Cedar would read as an entity or a call."""
    match value:
        case bytes():
            return value.hex()
        case list():
            return [_plain(item) for item in value]
        case dict():
            if any(name.startswith("__") for name in value):
                raise MalformedError("a name begins with __, which Cedar reads as something else")
            return {name: _plain(item) for name, item in value.items() if item is not None}
        case _:
            return value
