"""Which decisions are allowed: `judge(policy, facts, inputs)` gives a verdict, and the same one in every replay.

SPEC §8.1. A policy is data in the log. Rules are read in order and the first that matches answers; no match is a deny,
and so is any error while a rule is evaluated: a rule that cannot be read must not be skipped.
"""

from dataclasses import dataclass
from typing import Final, cast

from invoke_log.errors import MalformedError, PolicyInvalidError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema

ENGINE: Final = "rules/1"
ALLOW: Final = "allow"
DENY: Final = "deny"
ASK: Final = "ask"

SCHEMA: Final = schema.record({"name": schema.token(128), "engine": schema.token(64), "source": schema.anything()})
_CONDITION: Final = schema.record(
    {
        "field": schema.listing(schema.token(128), 4, "from the outermost name to the innermost"),
        "test": schema.enum("equals", "one_of", "at_most", "at_least", "prefix"),
        "value": schema.anything(),
    }
)
_RULES: Final = schema.record(
    {
        "rules": schema.listing(
            schema.record(
                {
                    "name": schema.token(128),
                    "then": schema.enum(ALLOW, DENY, ASK),
                    "approvals": schema.integer(0, 16),
                    "when": schema.listing(_CONDITION, 32, "as written; all must hold"),
                }
            ),
            256,
            "as written; the first that matches answers",
        )
    }
)
_check_form: Final = schema.compile_schema(SCHEMA)
_check_rules: Final = schema.compile_schema(_RULES)
INPUTS_SCHEMA: Final = schema.record(
    {
        "now_ms": schema.integer(0, limits.TIME_MS_MAX),
        "snapshot": schema.mapping(schema.anything(), 64),
        "budgets": schema.mapping(schema.record({"value": schema.integer(), "as_of": schema.integer(0)}), 64),
    }
)
VERDICT_SCHEMA: Final = schema.record(
    {
        "policy_id": schema.blob(32, 32),
        "inputs": INPUTS_SCHEMA,
        "answer": schema.enum(ALLOW, DENY, ASK),
        "rule": schema.token(128, nullable=True),
        "approvals": schema.integer(0, 16),
    }
)
ALLOW_COVERED: Final[dict[str, Value]] = {
    "name": "allow-what-a-contract-covers",
    "engine": ENGINE,
    "source": {"rules": [{"name": "covered", "then": ALLOW, "approvals": 0, "when": []}]},
}
"""The default policy: every intent names a registered contract, so what is left to deny is what none covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One test of one fact: `field` is the path to it."""

    field: list[str]
    test: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to answer when every condition holds. `approvals` is how many an ask wants, besides the contract's count."""

    name: str
    then: str
    approvals: int
    when: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An ordered list of rules. `rules` is None for an engine that this program lacks: its verdicts are not checked."""

    id: digest.PolicyId
    data: dict[str, Value]
    name: str
    engine: str
    rules: tuple[Rule, ...] | None

    @property
    def snapshot_fields(self) -> frozenset[str]:
        """The snapshot fields that conditions read: they are copied into the verdict's inputs [POL-4]."""
        conditions = (condition for rule in self.rules or () for condition in rule.when)
        return frozenset(c.field[1] for c in conditions if len(c.field) > 1 and c.field[0] == "snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A policy's answer, and the rule that gave it (None: no rule matched)."""

    answer: str
    rule: str | None
    approvals: int


def parse_policy(data: Value) -> Policy:
    """Return a checked policy. Raises PolicyInvalidError: another form, or a rule name used twice. [POL-1]"""
    try:
        _check_form(data, "$")
        policy = cast("dict[str, Value]", data)
        rules = None
        if policy["engine"] == ENGINE:
            _check_rules(policy["source"], "$")
            rules = tuple(map(_rule, cast("dict[str, list[dict[str, Value]]]", policy["source"])["rules"]))
    except MalformedError as error:
        raise PolicyInvalidError(f"policy {error.message}") from error
    if rules is not None and len({rule.name for rule in rules}) != len(rules):
        raise PolicyInvalidError("policy $.source.rules: found one name twice, want a name of its own for every rule")
    return Policy(
        id=digest.policy_id(policy),
        data=policy,
        name=cast("str", policy["name"]),
        engine=cast("str", policy["engine"]),
        rules=rules,
    )


def judge(policy: Policy, facts: dict[str, Value], inputs: dict[str, Value]) -> Judgement | None:
    """Return the policy's answer for a decision; None where this program lacks its engine [POL-2], [POL-3].

    Args:
        facts: what the decision itself says: effect_class, resource, purpose, contract, generation, issuer, arguments.
        inputs: what was read elsewhere and recorded: now_ms, snapshot, budgets (INPUTS_SCHEMA).
    """
    if policy.rules is None:
        return None
    world = {**facts, **inputs}
    for rule in policy.rules:
        matched = _matches(rule, world)
        if matched is None:
            return Judgement(answer=DENY, rule=rule.name, approvals=0)
        if matched:
            return Judgement(answer=rule.then, rule=rule.name, approvals=rule.approvals if rule.then == ASK else 0)
    return Judgement(answer=DENY, rule=None, approvals=0)


def _rule(data: dict[str, Value]) -> Rule:
    conditions = cast("list[dict[str, Value]]", data["when"])
    return Rule(
        name=cast("str", data["name"]),
        then=cast("str", data["then"]),
        approvals=cast("int", data["approvals"]),
        when=tuple(
            Condition(field=cast("list[str]", c["field"]), test=cast("str", c["test"]), value=c["value"])
            for c in conditions
        ),
    )


def _matches(rule: Rule, world: dict[str, Value]) -> bool | None:
    """Whether every condition holds, read in order to the first that does not; None where one cannot be evaluated."""
    for condition in rule.when:
        held = _holds(condition, world)
        if not held:
            return held
    return True


def _holds(condition: Condition, world: dict[str, Value]) -> bool | None:
    found: Value = world
    for name in condition.field:
        if type(found) is not dict or name not in found:
            return None
        found = found[name]
    wanted = condition.value
    match condition.test:
        case "equals":
            return found == wanted if type(found) is type(wanted) and type(found) in (str, int, bool, bytes) else None
        case "one_of":
            if (
                type(wanted) is not list
                or type(found) not in (str, int)
                or any(type(w) is not type(found) for w in wanted)
            ):
                return None
            return found in wanted
        case "prefix":
            return found.startswith(wanted) if type(found) is str and type(wanted) is str else None
        case "at_most":
            return found <= wanted if type(found) is int and type(wanted) is int else None
        case _:
            return found >= wanted if type(found) is int and type(wanted) is int else None
