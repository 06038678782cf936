"""What an open effect waits for, until when, and who has to act: the reconciler's last word, for people."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from invoke_log.format import digest
from invoke_log.guard.registry import Tool, looks_for
from invoke_log.guard.resolution import holders, only_start, readings
from invoke_log.ledger.approval import release_from_ms
from invoke_log.ledger.log import Log
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import absence_bound
from invoke_log.rules.kind import CLAIMED, STARTED
from invoke_log.rules.world import EffectState


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An effect that is open. next: wait, poll, reconcile or attest. until: Unix milliseconds before which nothing can
    settle it but a sighting; None: not known, or there is nothing to wait for. words: the same in a sentence.
    """

    effect_key: str
    resource: str
    status: str
    next: str
    until: int | None
    words: str


def waiting(log: Log, tools: Iterable[Tool]) -> Iterator[Waiting]:
    """Yield what each open effect of the log waits for; tools: those that this process can ask with."""
    at_hand = {tool.contract.name: tool for tool in tools}
    with log.world() as world:
        for state in world.open_effects():
            if state.claim is not None:
                contract = world.governance.contracts[state.claim.contract_id]
                here = at_hand.get(contract.name)
                looks = here is not None and looks_for(world.governance, here, contract)
                yield waiting_for(world, state, contract, at_hand=looks)


def waiting_for(world: LiveWorld, state: EffectState, contract: Contract, *, at_hand: bool) -> Waiting:
    """Return what an open effect waits for. at_hand: whether this process has a tool that looks where its
    contract says.
    """
    if state.status == CLAIMED:
        until, following = release_from_ms(world, state), "wait"
        words = "its START, an approval or its release; after its time anyone may release it"
    elif state.status == STARTED:
        assert state.send is not None
        until, following = _after(world, state.send.last_index, contract.send_deadline_ms), "poll"
        words = "its outcome; after its send deadline it is unknown"
    else:
        until = absence_bound(state, contract, world)
        following, words = _unknown(world, state, contract, bound=until, at_hand=at_hand)
    return Waiting(
        effect_key=digest.format_id("eff", state.effect),
        resource=state.resource,
        status=state.status,
        next=following,
        until=until,
        words=words,
    )


def _unknown(
    world: LiveWorld, state: EffectState, contract: Contract, *, bound: int | None, at_hand: bool
) -> tuple[str, str]:
    person = f"a person to attest: {_attestors(world, state, contract)}"
    asks, proves = contract.read_back is not None, contract.proves_absence and not lost_handles(state, contract)
    if asks and not at_hand:
        return "reconcile", f"a reconciler that has a tool with contract {contract.name!r}; or {person}"
    if proves and contract.reconcilers > 1:
        count = len(readings(world, state, contract, bound))
        return "reconcile", f"a sighting, or {contract.reconcilers} readings without it ({count} so far)"
    if proves:
        return "reconcile", "a sighting, or a reading without it by a reconciler that has watched it for D + Q itself"
    ways = ["a sighting"] if asks else []
    if contract.webhook is not None:
        alone = state.tainted is None and only_start(world, state, state.generation) is not None
        events = [*contract.webhook.positive, *(contract.webhook.negative if alone else ())]
        ways += [f"a message that says {' or '.join(events)}"] if events else []
    gives_up = contract.void is not None and not contract.stores_results and state.tainted is None
    ways += ["a void"] if gives_up else []
    return ("reconcile", f"{', '.join(ways)}; or {person}") if ways else ("attest", person)


def lost_handles(state: EffectState, contract: Contract) -> bool:
    """Return whether an attempt may have had a handle that was lost with a tail: then none found proves nothing."""
    return state.tainted is not None and contract.handle is not None


def _attestors(world: LiveWorld, state: EffectState, contract: Contract) -> str:
    assert state.claim is not None
    involved = {state.claim.issuer, *([state.send.by] if state.send is not None else [])}
    return holders(world.governance, "attestor", contract.effect_class, state.resource, without=frozenset(involved))


def _after(world: LiveWorld, leaf: int, duration_ms: int) -> int | None:
    since = world.hi(leaf)
    return since + duration_ms if since is not None else None
