"""Which decisions are allowed: `judge(policy, facts, inputs)` gives a verdict, and the same one in every replay.

SPEC §8.1. A policy is data in the log. Rules are read in order and the first that matches answers; no match is a deny,
and so is any error while a rule is evaluated: a rule that cannot be read must not be skipped. What a budget counts is
`budget`'s; here it is a fact like others. An engine other than `rules/1` is handed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

from invoke_log.errors import MalformedError, PolicyInvalidError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules import schema
from invoke_log.rules.contract import DURATION_MS_MAX

ENGINE: Final = "rules/1"
ALLOW: Final = "allow"
DENY: Final = "deny"
ASK: Final = "ask"
EACH_RESOURCE: Final = "resource"
BUDGETS_MAX: Final = 16

SCHEMA: Final = schema.record({"name": schema.token(128), "engine": schema.token(64), "source": schema.anything()})
_CONDITION: Final = schema.record(
    {
        "field": schema.listing(schema.token(128), 4, "from the outermost name to the innermost"),
        "test": schema.enum("equals", "one_of", "at_most", "at_least", "prefix"),
        "value": schema.anything(),
    }
)
_RULE: Final = schema.record(
    {
        "name": schema.token(128),
        "then": schema.enum(ALLOW, DENY, ASK),
        "approvals": schema.integer(0, limits.APPROVALS_MAX),
        "when": schema.listing(_CONDITION, 32, "as written; all must hold"),
    }
)
_IN_ORDER: Final = schema.listing(_RULE, 256, "as written; the first that matches answers")
_BUDGET: Final = schema.record(
    {
        "effect_class": schema.text(48),
        "prefix": schema.text(512),
        "each": schema.enum("log", EACH_RESOURCE),
        "sum": schema.token(128, nullable=True),
        "window_ms": schema.integer(1, DURATION_MS_MAX, nullable=True),
    }
)
_RULES: Final = schema.record({"rules": _IN_ORDER})
_BUDGETED: Final = schema.record({"budgets": schema.mapping(_BUDGET, BUDGETS_MAX), "rules": _IN_ORDER})
_check_form: Final = schema.compile_schema(SCHEMA)
_check_rules: Final = schema.compile_schema(_RULES)
_check_budgeted: Final = schema.compile_schema(_BUDGETED)
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
        "approvals": schema.integer(0, limits.APPROVALS_MAX),
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
class Budget:
    """What is counted, how, and over which time [POL-5].

    effect_class, prefix: as of a scope. each: over the whole log, or over the judged call's own resource. sums: the
    argument that is added up, None where intents are counted. window_ms: None for ever.
    """

    effect_class: str
    prefix: str
    each: str
    sums: str | None
    window_ms: int | None

    def covers(self, effect_class: str, resource: str) -> bool:
        """Return whether it counts intents of this class on this resource."""
        return self.effect_class in ("*", effect_class) and resource.startswith(self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An ordered list of rules, and the budgets that they read. `rules` is None for every engine but `rules/1`.

    snapshot_fields: those that conditions read: they are copied into the verdict's inputs [POL-4].
    """

    id: digest.PolicyId
    data: dict[str, Value]
    name: str
    engine: str
    rules: tuple[Rule, ...] | None
    budgets: Mapping[str, Budget]
    snapshot_fields: frozenset[str]


class Judgement(NamedTuple):
    """A policy's answer, and the rule that gave it (None: no rule matched)."""

    answer: str
    rule: str | None
    approvals: int


class Engine(Protocol):
    """A policy engine that is not part of these rules: the same answer for the same policy and facts, for ever."""

    def check(self, source: Value) -> None:
        """Raise PolicyInvalidError unless the engine can judge by this source."""
        ...

    def judge(self, source: Value, facts: Mapping[str, Value]) -> Judgement:
        """Return the answer; whatever cannot be evaluated denies. facts: as rules see them [DEC-2]."""
        ...


Engines = Mapping[str, Engine]
"""By the name that a policy gives in `engine`."""


def parse_policy(data: Value) -> Policy:
    """Return a checked policy [POL-1].

    Raises: PolicyInvalidError: another form, a rule name used twice, or a budget that is read and not declared.
    """
    rules, budgets = None, dict[str, Budget]()
    try:
        _check_form(data, "$")
        policy = cast("dict[str, Value]", data)
        if policy["engine"] == ENGINE:
            source = policy["source"]
            budgeted = isinstance(source, dict) and "budgets" in source
            (_check_budgeted if budgeted else _check_rules)(source, "$.source")
            read = cast("dict[str, list[dict[str, Value]]]", source)
            rules = tuple(map(_rule, read["rules"]))
            budgets = _budgets(cast("dict[str, dict[str, Value]]", read["budgets"])) if budgeted else {}
    except MalformedError as error:
        raise PolicyInvalidError(f"policy {error.message}") from error
    if rules is not None and len({rule.name for rule in rules}) != len(rules):
        raise PolicyInvalidError("policy $.source.rules: found one name twice, want a name of its own for every rule")
    undeclared = sorted(_read(rules, "budgets") - budgets.keys())
    if undeclared:
        raise PolicyInvalidError(f"policy $.source.rules: budget {undeclared[0]!r} is read and not declared in budgets")
    return Policy(
        id=digest.policy_id(policy),
        data=policy,
        name=cast("str", policy["name"]),
        engine=cast("str", policy["engine"]),
        rules=rules,
        budgets=budgets,
        snapshot_fields=_read(rules, "snapshot"),
    )


RULE_DEFAULTS: Final[dict[str, Value]] = {"approvals": 0, "when": []}
BUDGET_DEFAULTS: Final[dict[str, Value]] = {
    "effect_class": "*",
    "prefix": "",
    "each": "log",
    "sum": None,
    "window_ms": None,
}
NO_ENGINES: Final[Engines] = {}


def complete_policy(data: dict[str, Value]) -> dict[str, Value]:
    """Return a policy as it is written with what it leaves out filled in; `parse_policy` checks the rest.

    Left out may be: the engine, for `rules/1`; approvals and conditions of a rule; any field of a budget.
    """
    data = {"engine": ENGINE, **data}
    source = data.get("source")
    if data["engine"] != ENGINE or not isinstance(source, dict):
        return data
    source, rules, budgets = {**source}, source.get("rules"), source.get("budgets")
    if isinstance(rules, list):
        source["rules"] = [{**RULE_DEFAULTS, **rule} if isinstance(rule, dict) else rule for rule in rules]
    if isinstance(budgets, dict):
        source["budgets"] = {
            name: {**BUDGET_DEFAULTS, **each} if isinstance(each, dict) else each for name, each in budgets.items()
        }
    return {**data, "source": source}


def judge(
    policy: Policy, facts: dict[str, Value], inputs: dict[str, Value], *, engines: Engines = NO_ENGINES
) -> Judgement | None:
    """Return the policy's answer for a decision; None where this program lacks its engine [POL-2], [POL-3].

    Args:
        facts: what the decision itself says: effect_class, resource, purpose, contract, generation, issuer, arguments.
        inputs: what was read elsewhere and recorded: now_ms, snapshot, budgets (INPUTS_SCHEMA).
        engines: those that are at hand beside `rules/1`.
    """
    world = {**facts, **inputs}
    if policy.rules is None:
        engine = engines.get(policy.engine)
        return engine.judge(policy.data["source"], world) if engine is not None else None
    for rule in policy.rules:
        matched = _matches(rule, world)
        if matched is None:
            return Judgement(answer=DENY, rule=rule.name, approvals=0)
        if matched:
            return Judgement(answer=rule.then, rule=rule.name, approvals=rule.approvals if rule.then == ASK else 0)
    return Judgement(answer=DENY, rule=None, approvals=0)


def _budgets(data: dict[str, dict[str, Value]]) -> dict[str, Budget]:
    if not data:
        raise PolicyInvalidError("policy $.source.budgets: found none, want the field left out then")
    budgets = {name: _budget(each) for name, each in data.items()}
    for name, budget in budgets.items():
        if budget.prefix and not budget.prefix.endswith("/"):
            raise PolicyInvalidError(f"policy $.source.budgets.{name}.prefix: want one that ends at / or is empty")
    return budgets


def _budget(data: dict[str, Value]) -> Budget:
    return Budget(
        effect_class=cast("str", data["effect_class"]),
        prefix=cast("str", data["prefix"]),
        each=cast("str", data["each"]),
        sums=cast("str | None", data["sum"]),
        window_ms=cast("int | None", data["window_ms"]),
    )


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


def _read(rules: tuple[Rule, ...] | None, outermost: str) -> frozenset[str]:
    """The names that conditions read directly under an outermost name."""
    conditions = (condition for rule in rules or () for condition in rule.when)
    return frozenset(c.field[1] for c in conditions if len(c.field) > 1 and c.field[0] == outermost)


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
