"""`list`, `show`, `status`: what the log says, of every effect, of one, or of one event, contract, policy or key."""

import click

from invoke_log.errors import NotFoundError
from invoke_log.format import digest
from invoke_log.ledger.log import Entry, Log
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.call import DECIDE_AGAIN
from invoke_log.rules.effect import OPEN, absence_bound, next_step
from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN, Intent
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.cli.argument import EFFECT, NAMED
from invoke_log.surfaces.cli.contract import find_contract
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.render import View, contract_view, effect_view, entry_view, key_view, policy_view, status_view

STATUSES = (FREE, CLAIMED, STARTED, COMMITTED, NOT_COMMITTED, UNKNOWN)


@click.command("list", cls=Verb)
@click.option("--status", type=click.Choice(STATUSES), help="Only effects of this status.")
@click.pass_obj
def listing(session: Session, status: str | None) -> None:
    """List effects with their status, by key.

    \b
    Example: invoke-log list --status unknown
    """
    with session.open_to_read() as log:
        for state in log.effects():
            if status in (None, state.status):
                with log.world() as world:  # as late as the state at least, so that its intent is there
                    purpose = _purpose(world, state)
                session.say(effect_view(state, purpose=purpose))


@click.command("status", cls=Verb)
@click.argument("effect", callback=EFFECT)
@click.pass_obj
def status(session: Session, effect: bytes) -> None:
    """Print the status of an effect, and what to do next.

    The status is data: the exit code is 0 whatever it is.

    \b
    Example: invoke-log status eff_4dbb…
    """
    with session.open_to_read() as log:
        session.say(_status(log, effect))


@click.command("show", cls=Verb)
@click.argument("named", metavar="ID", callback=NAMED)
@click.pass_obj
def show(session: Session, named: tuple[str, bytes]) -> None:
    """Print what an id names.

    evt_ names an event, eff_ an effect, ctr_ a contract, pol_ a policy, key_ a key and its grants. A number is a leaf
    index. An event is looked for from the first leaf on.

    \b
    Example: invoke-log show evt_a998…
    """
    with session.open_to_read() as log:
        session.say(_shown(log, *named))


def _shown(log: Log, prefix: str, raw: bytes) -> View:
    match prefix:
        case "leaf":
            return entry_view(_entry(log, int(raw)))
        case "eff":
            return _status(log, raw)
        case "key":
            return key_view(log.governance, raw)
        case "ctr":
            governance = log.governance
            return contract_view(find_contract(governance, f"ctr_{raw.hex()}"), governance, full=True)
        case "pol":
            governance = log.governance
            if raw not in governance.policies:
                raise NotFoundError(f"policy pol_{raw.hex()} was never in force in this log")
            in_force = governance.policy is not None and governance.policy.id == raw
            return policy_view(governance.policies[raw], in_force=in_force)
        case _:
            return entry_view(_find(log, raw))


def _find(log: Log, event_id: bytes) -> Entry:
    with log.world() as world:
        for index, (body, _) in enumerate(world.reader.entries(0, world.reader.size)):
            if digest.event_id(body) == event_id:
                return _entry(log, index)
    raise NotFoundError(f"event evt_{event_id.hex()}: it is not in this log")


def _entry(log: Log, index: int) -> Entry:
    found = next(log.entries(index), None)
    if found is None:
        raise NotFoundError(f"leaf {index}: the log does not reach so far")
    return found


def _status(log: Log, effect: bytes) -> View:
    view = log.effect(effect)
    state = view.state
    with log.world() as world:
        contract = world.governance.contracts.get(state.claim.contract_id) if state.claim is not None else None
        not_before = absence_bound(state, contract, world) if contract is not None and state.status == UNKNOWN else None
        purpose = _purpose(world, state)
    if state.status in OPEN and contract is not None:
        next_word = next_step(state.status, contract)
    else:
        next_word = "receipt" if state.status == COMMITTED else DECIDE_AGAIN
    return status_view(state, purpose=purpose, next_step=next_word, not_before=not_before, entries=view.entries)


def _purpose(world: LiveWorld, state: EffectState) -> str | None:
    """What the latest intent of an effect is for; None where no intent was seen."""
    data = world.event(state.claim.index).data if state.claim is not None else None
    return data.purpose if isinstance(data, Intent) else None
