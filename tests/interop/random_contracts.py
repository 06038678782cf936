"""Random contracts: arguments and profiles of every schema, policies that ask of them, versions, and retired classes.

The contracts of `agreements` are written by hand; these are made up, and calls under them are random too. What is no
contract, policy or call is not written: that they are refused is for the vectors to say.
"""

from collections.abc import Sequence
from random import Random
from typing import Final, cast

from invoke_log.errors import InvokeLogError
from invoke_log.format import cbor, digest
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import KEY_TYPES, OBSERVABILITIES, Contract, complete_contract, parse_contract
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import COMMITTED
from invoke_log.rules.policy import ENGINE, parse_policy
from invoke_log.rules.schema import Schema
from tests.interop import random_logs
from tests.interop.log_writer import Body
from tests.interop.random_logs import Action, Actions, RandomLog

TEXTS: Final = (
    "", "a", "Z", "aa", "é", "数", "😀", "\U00010000", "\uffee", "\ufffd", "\x7f", "\x00", "\n", '"\\', "\u202e",
    "\u2028", "\u1e63x", "\ufeff",
)  # fmt: skip
TOKENS: Final = ("a", "b", "A", "-", "_", "0", "10", "__proto__", "constructor", "x.y", "=")
INTEGERS: Final = (0, 1, -1, 5, 1000, 2**31, 2**32, 2**52, 2**53 - 2, 2**53 - 1, -(2**53 - 1))
IDENTITY: Final = "identity"
TYPES: Final = (*KEY_TYPES, "boolean", "text", "text", "bytes", "list", "set", "record")
NESTED: Final = ("list", "set", "record")
TESTS: Final = ("equals", "one_of", "at_most", "at_least", "prefix")
LISTS: Final[tuple[list[Value], ...]] = ([], [1, 2**53 - 1], ["a", "b", "é"], [1, "a"], [True])
OPERANDS: Final[tuple[Value, ...]] = (*INTEGERS, *TEXTS, *LISTS, True, False, None, b"", b"\0", {})
FACTS: Final = ("purpose", "resource", "generation", "now_ms", "issuer", "contract", "effect_class", "arguments")


def invented(seed: int, steps: int) -> RandomLog:
    """A log of calls under contracts that are made up."""
    return InventiveLog(seed).write(steps, ACTIONS)


class InventiveLog(RandomLog):
    """A log whose generator makes its contracts up; the last of them come last."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.invented: list[Contract] = []
        while len(self.invented) < 3:
            invent(self)
        rule(self)


def invent(log: InventiveLog) -> None:
    """Register a contract that is new, or the next version of one, which now and then retires its class."""
    random, earlier = log.random, None
    if log.invented and log.chance(0.6):
        earlier = random.choice(log.invented)
    fields = _new(random, len(log.invented)) if earlier is None else {**earlier.data, **_settling(random)}
    if earlier is not None:
        fields["version"] = earlier.version + random.choice((1, 1, 1, 2, 0))
        if log.chance(0.4):
            name, _, number = earlier.effect_class.rpartition("/")
            fields["effect_class"] = f"{name}/{int(number) + 1}"
            fields["retires"] = {
                "effect_class": earlier.effect_class,
                "resource": earlier.data["resource"],
                "purpose": earlier.purpose,
                "identity": [*sorted(earlier.identity)],
            }
    try:
        contract = parse_contract(complete_contract(fields))
    except InvokeLogError:
        return
    log.say(contract, "admin")
    if contract.id in log.fold.governance.contracts:
        log.invented.append(contract)


def _new(random: Random, number: int) -> Body:
    names = random.sample(TOKENS, 5)
    arguments: Body = {}
    for at, name in enumerate(names):
        role = IDENTITY if at < 2 else random.choice(("content", "content", "volatile", IDENTITY))
        raw = role == "content" and random.random() < 0.2
        of: Schema = {"type": "bytes", "min": 0, "max": 20_000} if raw else schema(random, key=role == IDENTITY)
        arguments[name] = {"role": role, "schema": of, "raw": raw}
    purpose = random.choice((None, names[1]))
    in_resource = [name for name in names[:2] if name != purpose]
    profile: Value = None
    if random.random() < 0.5:
        profile = {**_record(random, depth=1), "nullable": False}
    return {
        "name": f"made-{number}",
        "version": 1,
        "effect_class": f"made.c{number}/1",
        "realm": {"home": "q:1"},
        "resource": random.choice(("r/{home}/", "é/", "t/")) + "/".join(f"{{{name}}}" for name in in_resource),
        "purpose": purpose,
        "arguments": arguments,
        "profile": profile,
        **_settling(random),
    }


def _settling(random: Random) -> Body:
    """How an outcome is settled, which any version may say anew."""
    choice = random.choice
    observability = choice(OBSERVABILITIES)
    webhook: Body = {"scheme": "hmac", "key_id": "k", "positive": [*choice(((), ("done",)))], "negative": ["gone"]}
    looks = observability != "fire-and-forget"
    told = looks and (observability == "webhook-confirmable" or random.random() < 0.5)
    key: Body = {
        "place": "header",
        "retention_ms": choice((0, 30_000, 30_001, 86_400_000)),
        "mismatch": "refused",
        "stores": choice(("all", "success", "none")),
    }
    read_back: Body = {"operation": "o", "tag": "t", "complete": random.random() < 0.8, "lag_ms": choice((0, 0, 5))}
    return {
        "observability": observability,
        "read_back": read_back if looks else None,
        "webhook": webhook if told else None,
        "void": choice((None, "undo")) if looks else None,
        "reconcilers": choice((1, 1, 2)) if looks else 1,
        "provider_key": choice((None, key)),
        "definite_failures": [*choice(((), ("card_declined",)))],
        "approvals": {"count": choice((0, 0, 1, 2)), "ttl_ms": choice((0, 60_000))},
        "send_deadline_ms": choice((10_000, 20_000)),
        "quiescence_ms": choice((10_000, 20_000)),
        "claim_ttl_ms": choice((0, 1, 60_000)),
    }


def schema(random: Random, *, key: bool = False, depth: int = 0) -> Schema:
    """A schema: of an identity argument, or of any type, three deep at most."""
    choice, kind = random.choice, random.choice(KEY_TYPES if key else TYPES)
    if kind in NESTED and depth > 2:
        kind = "text"
    of: Schema = {"type": kind}
    match kind:
        case "token":
            of |= {"max": choice((1, 16, 64))}
        case "enum":
            of |= {"of": [*random.sample(TEXTS, 4)]}
        case "integer":
            of |= {"min": choice((-(2**53 - 1), 0, -5)), "max": choice((2**53 - 1, 100))}
        case "decimal":
            of |= {"scale": choice((0, 2, 18))}
        case "time":
            of |= {"unit": choice(("s", "ms")), "grain": choice((1, 60, 1000))}
        case "text":
            of |= {"max": choice((0, 3, 8, 200))}
        case "bytes":
            of |= {"min": 0, "max": choice((4, 40))}
        case "list":
            of |= {"of": schema(random, depth=depth + 1), "max": 3, "order": "as seen"}
        case "set":
            of |= {"of": schema(random, depth=depth + 1), "max": 3}
        case "record":
            of = _record(random, depth=depth + 1)
        case _:  # a boolean has nothing more to say
            pass
    return of if key else {**of, "nullable": random.random() < 0.3}


def _record(random: Random, *, depth: int) -> Schema:
    fields: Schema = {name: schema(random, depth=depth) for name in random.sample(TOKENS, random.randrange(1, 4))}
    return {"type": "record", "fields": fields}


def value(random: Random, of: Schema) -> Value:
    """A value of a schema, in its normal form."""
    choice, most = random.choice, cast("int", of.get("max", 0))
    if of.get("nullable") and random.random() < 0.3:
        return None
    match of["type"]:
        case "token":
            return choice([each for each in TOKENS if len(each) <= most])
        case "enum":
            return choice(cast("Sequence[Value]", of["of"]))
        case "integer":
            return choice([each for each in INTEGERS if cast("int", of["min"]) <= each <= most])
        case "decimal":
            scale = cast("int", of["scale"])
            whole = choice(("0", "1", "-1", "12345"))
            return f"{whole}.{random.randrange(1, 10**scale):0{scale}}" if scale else whole
        case "time":
            at = (1_500_000_000 + random.randrange(5) * 60) * (1000 if of["unit"] == "ms" else 1)
            return at - at % cast("int", of["grain"])
        case "boolean":
            return random.random() < 0.5
        case "text":
            return choice([each for each in TEXTS if len(each.encode()) <= most])
        case "bytes":
            return random.randbytes(choice((0, 3, most)))
        case "list":
            return [value(random, cast("Schema", of["of"])) for _ in range(random.randrange(most + 1))]
        case "set":
            items = [value(random, cast("Schema", of["of"])) for _ in range(most)]
            return list(dict(sorted((cbor.encode(item), item) for item in items)).values())
        case _:
            fields = cast("dict[str, Schema]", of["fields"])
            return {name: value(random, field) for name, field in fields.items()}


def rule(log: InventiveLog) -> None:
    """Put a policy in force that asks about what calls under these contracts bring, and about budgets."""
    random = log.random
    arguments = [name for contract in log.invented for name in contract.arguments] + ["none"]
    seen = [name for contract in log.invented for name in _fields(contract)] + ["none"]
    budgets: Body = {}
    for name in random.sample(("calls", "__proto__", "spent"), random.randrange(3)):
        budgets[name] = {
            "effect_class": random.choice(("*", "*", log.invented[0].effect_class)),
            "prefix": random.choice(("", "", "r/q%3A1/", "t/")),
            "each": random.choice(("log", "resource")),
            "sum": random.choice((None, random.choice(arguments))),
            "window_ms": random.choice((None, 1, 30_000, 60_000)),
        }

    def condition() -> Value:
        fields: list[list[Value]] = [
            ["arguments", random.choice(arguments)],
            ["arguments", random.choice(arguments)],
            ["snapshot", random.choice(seen)],
            [random.choice(FACTS)],
        ]
        if budgets:
            fields.append(["budgets", random.choice(list(budgets)), random.choice(("value", "value", "as_of"))])
        return {"field": random.choice(fields), "test": random.choice(TESTS), "value": random.choice(OPERANDS)}

    rules: list[Value] = [
        {
            "name": f"r{number}",
            "then": random.choice(("allow", "allow", "ask", "deny")),
            "approvals": random.randrange(3),
            "when": [condition() for _ in range(random.choice((0, 1, 1, 2)))],
        }
        for number in range(random.randrange(1, 4))
    ]
    rules.append({"name": "rest", "then": random.choice(("allow", "ask")), "approvals": 0, "when": []})
    source: Body = {"rules": rules, **({"budgets": budgets} if budgets else {})}
    try:
        policy = parse_policy({"name": "made", "engine": ENGINE, "source": source})
    except InvokeLogError:
        return
    log.say(policy, "admin")


def _fields(contract: Contract) -> Sequence[str]:
    return list(cast("Body", contract.profile.schema["fields"])) if contract.profile is not None else []


def decide(log: InventiveLog) -> None:
    """An intent under a contract that was made up: of a new call, of one that there was, or under another version."""
    random = log.random
    in_force = [contract for contract in log.invented if log.fold.governance.in_force(contract)]
    contract = random.choice(in_force if in_force and log.chance(0.9) else log.invented)
    arguments = {name: value(random, argument.schema) for name, argument in contract.arguments.items()}
    earlier = [bound for _, bound, _ in log.intents.values() if bound.arguments.keys() == arguments.keys()]
    if earlier and log.chance(0.75):
        said = random.choice(earlier).arguments
        arguments = {
            name: arguments[name] if contract.arguments[name].role != IDENTITY and log.chance(0.2) else said[name]
            for name in arguments
        }
    try:
        bound = bind(contract, arguments)
    except InvokeLogError:
        return
    log.attachments += [file for file in bound.attachments if file not in log.attachments and log.chance(0.8)]
    seen, snapshot_id = _seen(log, contract)
    state = log.fold.effect(bound.effect, bound.resource)
    again = state.status == COMMITTED and log.chance(0.8)
    log.intent(
        contract,
        arguments,
        by="repeater" if again else "agent",
        snapshot=snapshot_id,
        seen=seen,
        again=again,
        change=_or_else(log, contract, bound, seen=seen, generation=state.generation + again),
    )


def _seen(log: InventiveLog, contract: Contract) -> tuple[Body | None, bytes | None]:
    """A snapshot under a contract's profile, which mostly travels with the log."""
    if contract.profile is None or log.chance(0.05):
        return None, None
    seen = cast("Body", value(log.random, contract.profile.schema))
    raw = cbor.encode(seen)
    if raw not in log.attachments and log.chance(0.9):
        log.attachments.append(raw)
    return seen, digest.attachment_digest(raw)


def _or_else(
    log: InventiveLog, contract: Contract, bound: Bound, *, seen: Body | None, generation: int
) -> dict[str, Value] | None:
    """Another answer than the policy's, mostly where that denies: a denied call would come no further."""
    own = log.verdict(contract, bound, by="agent", generation=generation, snapshot=seen)
    if not log.chance(0.8 if own.answer == "deny" else 0.03):
        return None
    answer = log.random.choice(("allow", "ask"))
    changed: Body = {"answer": answer, "rule": own.rule, "approvals": own.approvals}
    return {"verdict": {"policy_id": own.policy_id, "inputs": own.inputs, **changed}}


ACTIONS: Final[Actions] = (
    *((action, weight) for action, weight in random_logs.ACTIONS if action is not random_logs.decide),
    (cast("Action", decide), 30),
    (cast("Action", invent), 6),
    (cast("Action", rule), 3),
)
