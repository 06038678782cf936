"""vectors/decision: what makes two decisions the same decision, and what a decision tells a policy.

Each case has two intents. `same` says whether their decision keys are equal: no issuer and no clock is in them, and
everything else is.
"""

from collections.abc import Iterator
from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._sample import ALLOW, CHARGE, DATA, LOG_ID, OTHER_ID, RESOURCE
from vectors.generate._wire import AGENT, SECOND_AGENT, T0, Case, Key, Map, Value

AREAS = ("decision",)

S_0 = wire.named("zero", LOG_ID, RESOURCE)
S_1 = wire.named("state", S_0, OTHER_ID)
PROFILE: Map = {
    "type": "record",
    "fields": {"balance": {"type": "integer", "min": 0, "max": 9999, "nullable": False}},
    "nullable": False,
}
SEEING = CHARGE | {"profile": PROFILE}
SNAPSHOT, OTHER_SNAPSHOT = (wire.plain(wire.il1({"balance": balance})) for balance in (100, 101))

Intent = tuple[Map, Map, int]


def generate() -> dict[str, bytes]:
    cases = {name: case(comment, one, other) for name, comment, one, other in pairs()}
    return wire.files("decision", cases)


def intent(
    contract: Map = CHARGE, by: Key = AGENT, *, generation: int = 1, at_ms: int = T0, state: bytes = S_0, **data: Value
) -> Intent:
    """Return a contract, an intent's body under it, and the generation that it claims."""
    values: Map = {**DATA["intent"], "contract_id": wire.named("contract", contract), **data}
    identity = cast("Map", values["identity"])
    resource = wire.expand(str(contract["resource"]), {**cast("Map", contract["realm"]), **identity})
    body: Map = {
        "v": 1,
        "log": LOG_ID,
        "kind": "intent",
        "by": by.public,
        "at_ms": at_ms,
        "prev": values["again"],
        "data": values,
        "effect": wire.named("effect", contract["effect_class"], resource, values["purpose"], identity),
        "resource": resource,
        "state": state,
    }
    return contract, body, generation


def pairs() -> Iterator[tuple[str, str, Intent, Intent]]:
    one = intent()
    verdict: Map = {
        **cast("Map", DATA["intent"]["verdict"]),
        "policy_id": wire.named("policy", {**ALLOW, "name": "other"}),
    }
    yield "same-issuer", "who decides is not in it [DEC-1]", one, intent(by=SECOND_AGENT)
    yield "same-time", "nor when", one, intent(at_ms=T0 + 1)
    yield "same-verdict", "nor what the policy said", one, intent(verdict=verdict)
    yield "same-snapshot", "one snapshot", intent(SEEING, snapshot_id=SNAPSHOT), intent(SEEING, snapshot_id=SNAPSHOT)
    again = intent(generation=2, again=OTHER_ID)
    yield "differ-generation", "a repeat is another decision", one, again
    yield "differ-content", "other content", one, intent(content={"amount": 5001})
    yield "differ-purpose", "another purpose", one, intent(purpose="790")
    yield "differ-identity", "another customer", one, intent(identity={"customer": "cus_2"})
    yield "differ-state", "another state of the resource", one, intent(state=S_1)
    seen = intent(SEEING, snapshot_id=SNAPSHOT)
    yield "differ-snapshot", "another snapshot", seen, intent(SEEING, snapshot_id=OTHER_SNAPSHOT)
    yield "differ-contract", "another version of the contract", one, intent(CHARGE | {"version": 2})


def case(comment: str, one: Intent, other: Intent) -> Case:
    decisions = [decision(*one), decision(*other)]
    return {
        "comment": comment,
        "expect": "ok",
        "flags": ["decision"],
        "same": decisions[0]["decision_key"] == decisions[1]["decision_key"],
        "decisions": decisions,
    }


def decision(contract: Map, body: Map, generation: int) -> Case:
    data = cast("dict[str, Map]", body["data"])
    key = wire.named(
        "decision",
        data["contract_id"],
        body["effect"],
        generation,
        wire.named("request", {**data["identity"], **data["content"]}),
        data["snapshot_id"],
        body["state"],
    )
    facts: Map = {
        "effect_class": contract["effect_class"],
        "resource": body["resource"],
        "purpose": data["purpose"],
        "contract": contract["name"],
        "generation": generation,
        "issuer": cast("bytes", body["by"]).hex(),
        "arguments": {**data["identity"], **data["content"], str(contract["purpose"]): data["purpose"]},
    }
    return {
        "contract": wire.typed(contract),
        "fields": wire.typed(body),
        "generation": generation,
        "decision_key": key.hex(),
        "facts": wire.typed(facts),
    }
