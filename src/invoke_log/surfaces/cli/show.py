"""`list`, `show`, `status`: what the log says, of every effect, of one, or of one event, contract, policy or key."""

import click

from invoke_log.surfaces.cli.argument import EFFECT, NAMED
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.query import STATUSES, listed, named, status_of


@click.command("list", cls=Verb)
@click.option("--status", type=click.Choice(STATUSES), help="Only effects of this status.")
@click.pass_obj
def listing(session: Session, status: str | None) -> None:
    """List effects with their status, by key.

    \b
    Example: invoke-log list --status unknown
    """
    with session.open_to_read() as log:
        for view in listed(log, status):
            session.say(view)


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
        session.say(status_of(log, effect))


@click.command("show", cls=Verb)
@click.argument("what", metavar="ID", callback=NAMED)
@click.pass_obj
def show(session: Session, what: tuple[str, bytes]) -> None:
    """Print what an id names.

    evt_ names an event, eff_ an effect, ctr_ a contract, pol_ a policy, key_ a key and its grants. A number is a leaf
    index.

    Of an effect it tells the whole life, in words: each event with who says it, and the refusals, handles, observations
    and notes about it; the grade of what settled it, what that relies on, and what replay would remark. Events, and
    what is about an effect, are looked for from the first leaf on; "status" reads no more than the effect's own events.

    \b
    Example: invoke-log show eff_4dbb…
    """
    with session.open_to_read() as log:
        session.say(named(log, *what))
