"""`contract add | list | show | ready | withdraw`: what tools promise."""

from pathlib import Path

import click

from invoke_log.format import digest
from invoke_log.format.digest import LeafIndex
from invoke_log.guard.registry import check_kept, load_contract, read_map, ready_contract, ready_names
from invoke_log.ledger.log import Log
from invoke_log.rules.answer import Duplicate
from invoke_log.rules.contract import Contract
from invoke_log.rules.kind import Withdraw
from invoke_log.surfaces.cli.session import Session, Verbs
from invoke_log.surfaces.cli.submit import submit
from invoke_log.surfaces.outcomes import DONE
from invoke_log.surfaces.query import contracts, find_contract
from invoke_log.surfaces.render import answer_view, contract_view, ready_view

_NAMED = click.argument("named", metavar="CONTRACT")


@click.group("contract", cls=Verbs)
def contract() -> None:
    """Register contracts, and stop what runs under them."""


@contract.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def add(session: Session, file: Path) -> int:
    """Register a contract.

    FILE is TOML or JSON; what is left out has its default. The admin key signs. The last version of a name is in
    force. Adding again what is in force is a duplicate, and changes nothing.

    \b
    Example: invoke-log contract add stripe-charge.toml
    """
    data = load_contract(file)
    check_kept(data)
    with session.open() as log:
        standing = _standing(log, data)
        if standing is not None:
            session.say(answer_view(standing, standing.of))
            return DONE
        return submit(session, log, data, session.signer("admin"))


@contract.command("list")
@click.pass_obj
def listing(session: Session) -> None:
    """List contracts by name and version."""
    with session.open_to_read() as log:
        governance = log.governance
    for view in contracts(governance):
        session.say(view)


@contract.command("show")
@_NAMED
@click.pass_obj
def show(session: Session, named: str) -> None:
    """Print a contract in full.

    CONTRACT is its ctr_ id, or its name for the last version.

    \b
    Example: invoke-log contract show charge_customer
    """
    with session.open_to_read() as log:
        governance = log.governance
    session.say(contract_view(find_contract(governance, named), governance, full=True))


@contract.command("ready")
@click.argument("named", metavar="[NAME]", required=False)
@click.pass_obj
def ready(session: Session, named: str | None) -> None:
    """List the contracts that come with this program, or print one to copy and edit.

    Its realm is left open: an account of yours, live or test.

    \b
    Example: invoke-log contract ready stripe-payment-intent > charge.toml
    """
    for name in ready_names() if named is None else [named]:
        text = ready_contract(name)
        session.say(ready_view(name, text, read_map(text.encode(), ".toml", name), full=named is not None))


@contract.command("withdraw")
@_NAMED
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads the log.")
@click.pass_obj
def withdraw(session: Session, named: str, reason: str) -> int:
    """Let no call start under a contract any more. The admin key signs.

    \b
    Example: invoke-log contract withdraw charge_customer --reason "wrong account"
    """
    with session.open() as log:
        data = Withdraw(contract_id=find_contract(log.governance, named).id, reason=reason)
        return submit(session, log, data, session.signer("admin"))


def _standing(log: Log, data: Contract) -> Duplicate | None:
    """The event by which this very contract is in force already; None: it is not."""
    with log.world() as world:
        if not world.governance.in_force(data) or data.id in world.governance.withdrawn:
            return None
        for index, event_id in world.governance_chain():
            found = world.event(index).data
            if isinstance(found, Contract) and found.id == data.id:
                return Duplicate(of=digest.EventId(event_id), index=LeafIndex(index))
    return None
