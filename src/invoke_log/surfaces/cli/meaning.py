"""What an event of an effect is about, where its line does not say: its effect, its claim or START, its verdict."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final, cast

from invoke_log.errors import MalformedError
from invoke_log.format import cbor, digest, limits
from invoke_log.format.cbor import Value
from invoke_log.ledger import chain
from invoke_log.ledger.approval import given
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.event import ABOUT_KINDS, parse_data
from invoke_log.rules.intent import Bound, rederive
from invoke_log.rules.kind import NOT_COMMITTED, Intent, Start
from invoke_log.rules.snapshot import Snapshot
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.simulation import judge

Data = dict[str, Value]

NO_EFFECT: Final = bytes(32)
"""The effect of a note about an event of none; and of an event that names none, so that the log says why it refuses
it.
"""
POINTERS: Final = {"start": "intent", "release": "intent", "outcome": "start", "suspect": "start", "redrive": "start"}
"""The field of `data` that names the open claim or START. Not so for approvals: nobody consents to whatever is open."""
NAMES: Final = ("intent", "start", "about")
"""The fields of `data` that may name an event of the effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a line is filled in from: the log at one moment, who signs, and how to read an attachment that is kept."""

    world: LiveWorld
    issuer: bytes
    attachment: Callable[[bytes], bytes | None]
    _walked: dict[str, dict[bytes, bytes]] = field(default_factory=dict)

    def chained(self, resource: str) -> dict[bytes, bytes]:
        """Return the effect of each stored event on a chain of a resource's effects, by event id.

        The store finds no event by its id: what is walked is kept for the other lines, which see the same snapshot.
        """
        if resource not in self._walked:
            reader, prefix = self.world.reader, chain.of_effect(b"", resource)
            names = [name for name, _ in reader.heads(prefix, len(prefix) + 32)]
            self._walked[resource] = {row.head: name[len(prefix) :] for name in names for row in reader.rows(name)}
        return self._walked[resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """An event's effect, resource and complete data."""

    effect: bytes
    resource: str
    data: Data


def meant_intent(scene: Scene, data: Data, *, effect: bytes | None, resource: str | None) -> Meant:
    """Return an intent: its effect and resource follow from its contract and arguments, its verdict from the policy."""
    bare = cast("Intent", parse_data("intent", {"verdict": _denied(scene), **data}))
    bound = _bound(scene, bare)
    if bound is None:
        # What the contract does not accept names no effect. The log refuses it, and says why.
        return Meant(effect=effect or NO_EFFECT, resource=resource or "", data={"verdict": _denied(scene), **data})
    effect, resource = effect or bound.effect, bound.resource if resource is None else resource
    state = scene.world.effect(effect, resource)
    filled: Data = {}
    if bare.after is None and state.status == NOT_COMMITTED:
        filled["after"] = state.last
    if "verdict" not in data:
        # A repeat is judged as what it becomes: the next generation.
        judged = state._replace(generation=state.generation + 1) if bare.again is not None else state
        filled["verdict"] = _verdict(scene, bare, bare.snapshot_id, judged, issuer=scene.issuer)
    return Meant(effect=effect, resource=resource, data={**data, **filled})


def meant_other(scene: Scene, kind: str, data: Data, *, effect: bytes | None, resource: str | None) -> Meant:
    """Return any other event of an effect. Raises MalformedError: its effect or resource does not follow from it."""
    if resource is None:
        if effect is None:
            raise MalformedError(f"line: a {kind} wants its resource, or its effect")
        resource = _resource_of(scene, effect)
    if effect is None:
        effect = _effect_on(scene, kind, data, resource)
    state = scene.world.effect(effect, resource)
    pointer = POINTERS.get(kind)
    if pointer is not None and pointer not in data:
        stands = state.claim if pointer == "intent" else state.send
        data = {**data, pointer: stands.id if stands is not None else NO_EFFECT}
    if kind == "start":
        data = _complete_start(scene, data, state)
    return Meant(effect=effect, resource=resource, data=data)


def _complete_start(scene: Scene, data: Data, state: EffectState) -> Data:
    filled: Data = {
        "approvals": _approvals(scene, state),
        "provider_key": digest.provider_key(state.effect, state.generation, state.turn),
        "tag": digest.tag(state.effect, state.generation),
    }
    if "verdict" not in data:
        bare = cast("Start", parse_data("start", {"verdict": _denied(scene), **filled, **data}))
        found = scene.world.chained(state.effect, state.resource, bare.intent)
        claimed = found[1] if found is not None else None
        if claimed is not None and isinstance(claimed.data, Intent):
            snapshot_id = bare.snapshot_id or claimed.data.snapshot_id
            filled["verdict"] = _verdict(scene, claimed.data, snapshot_id, state, issuer=claimed.by)
        else:
            filled["verdict"] = _denied(scene)
    return {**filled, **data}


def _approvals(scene: Scene, state: EffectState) -> list[Value]:
    """The ids of the approvals that count for a START of ours, as many as it may list, in order [EFF-8]."""
    if state.claim is None:
        return []
    contract, now_ms = scene.world.governance.contracts[state.claim.contract_id], scene.world.now_ms()
    found = given(scene.world, state, contract)
    counting = sorted(each.id for each in found if each.by != scene.issuer and now_ms <= each.until_ms)
    return [*counting[: limits.APPROVALS_MAX]]


def _verdict(scene: Scene, intent: Intent, snapshot_id: bytes | None, state: EffectState, *, issuer: bytes) -> Data:
    bound = _bound(scene, intent)
    if bound is None:
        return _denied(scene)
    raw = scene.attachment(snapshot_id) if snapshot_id is not None else None
    fields = cbor.decode(raw) if raw is not None else None
    snapshot = None
    if raw is not None and isinstance(fields, dict):
        snapshot = Snapshot(id=digest.attachment_digest(raw), raw=raw, fields=fields)
    contract = scene.world.governance.contracts[intent.contract_id]
    verdict = judge(scene.world, contract, bound, snapshot, state, issuer=issuer)
    return asdict(verdict) if verdict is not None else _denied(scene)


def _denied(scene: Scene) -> Data:
    """The verdict that stands where none could be reached: with it, the log admits nothing."""
    policy = scene.world.governance.policy
    inputs: Data = {"now_ms": scene.world.now_ms(), "snapshot": {}, "budgets": {}}
    policy_id = policy.id if policy is not None else bytes(32)
    return {"policy_id": policy_id, "inputs": inputs, "answer": "deny", "rule": None, "approvals": 0}


def _bound(scene: Scene, intent: Intent) -> Bound | None:
    contract = scene.world.governance.contracts.get(intent.contract_id)
    try:
        return rederive(contract, intent) if contract is not None else None
    except MalformedError:
        return None


def _resource_of(scene: Scene, effect: bytes) -> str:
    ahead = scene.world.ahead.effects.get(effect)
    if ahead is not None:
        return ahead.resource
    index = scene.world.binding(effect)
    resource = scene.world.event(index).resource if index is not None else None
    if resource is None:
        raise MalformedError(f"line: no event of this log is of effect eff_{effect.hex()}; give its resource")
    return resource


def _effect_on(scene: Scene, kind: str, data: Data, resource: str) -> bytes:
    """The one effect of a resource that an event can be about: whose chain has the event that it names, or the only
    one.
    """
    stored, ahead = scene.chained(resource), scene.world.ahead
    named = next((value for name in NAMES if type(value := data.get(name)) is bytes), None)
    if named is None:
        begun = [state.effect for state in ahead.effects.values() if state.resource == resource]
        effects = list(dict.fromkeys([*stored.values(), *begun]))
    elif named in ahead.events:
        _, event = ahead.events[named]
        effects = [event.effect] if event.effect is not None and event.resource == resource else []
    else:
        effects = [stored[named]] if named in stored else []
    if len(effects) == 1:
        return effects[0]
    if kind in ABOUT_KINDS:
        return NO_EFFECT
    raise MalformedError(f"line: resource {resource[:80]!r} has {len(effects)} such effects, name one as effect")
