"""The decision: an intent, and the world that it was decided in. SPEC §7 [DEC-1], [DEC-2].

The decision key has no issuer and no clock, so two issuers who saw the same world and decide the same collide on it. It
is derived, never recorded. Safety does not rest on it but on the effect key: a retry that looks again sees another
world.
"""

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.rules.event import Event
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import Intent


def decision_key_of(event: Event, data: Intent, bound: Bound, *, generation: int) -> digest.DecisionKey:
    """Return the decision key of an intent at a generation [DEC-1]."""
    assert event.state is not None
    return digest.decision_key(
        contract=data.contract_id,
        effect=bound.effect,
        generation=generation,
        request=bound.request,
        snapshot=data.snapshot_id,
        state=event.state,
    )


def facts_of(
    contract: Contract, meant: Bound | Intent, *, resource: str, issuer: bytes, generation: int
) -> dict[str, Value]:
    """Return what a decision itself tells the policy [DEC-2]. The purpose is among the arguments by its name too."""
    arguments: dict[str, Value] = {**meant.identity, **meant.content}
    if contract.purpose is not None:
        arguments[contract.purpose] = meant.purpose
    return {
        "effect_class": contract.effect_class,
        "resource": resource,
        "purpose": meant.purpose,
        "contract": contract.name,
        "generation": generation,
        "issuer": issuer.hex(),
        "arguments": arguments,
    }
