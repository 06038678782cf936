"""`approvals`, `approve`, `deny`: what waits for a person, and what the person says."""

import click

from invoke_log.rules.kind import Approval, Denial
from invoke_log.surfaces.cli.argument import INTENT
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.cli.submit import submit
from invoke_log.surfaces.render import pending_view


@click.command("approvals", cls=Verb)
@click.pass_obj
def approvals(session: Session) -> None:
    """List the intents that wait for approval, each with the text that an approver consents to.

    What stands in quotes was written by an agent, or by those whose text it read. Read it as that.

    \b
    Example: invoke-log approvals
    """
    with session.open_to_read() as log:
        for found in log.approvals():
            session.say(pending_view(found))


@click.command("approve", cls=Verb)
@click.argument("intent", metavar="ID", callback=INTENT)
@click.pass_obj
def approve(session: Session, intent: bytes) -> int:
    """Approve one intent, and the text that "approvals" shows of it.

    The admin key signs, or another approver's with --key; neither who decided nor who will send may. Where several
    approvals are wanted, each comes from another key. Approved, the same call made again goes on.

    \b
    Example: invoke-log approve evt_a998… --key approver.key
    """
    with session.open() as log:
        signer = session.signer("admin")
        log.tick()
        found = log.approval(intent)
        data = Approval(intent=found.intent, shown=found.shown)
        return submit(session, log, data, signer, effect=found.effect, resource=found.resource)


@click.command("deny", cls=Verb)
@click.argument("intent", metavar="ID", callback=INTENT)
@click.option("--reason", required=True, metavar="TEXT", help="Why: it stays in the log for ever.")
@click.pass_obj
def deny(session: Session, intent: bytes, reason: str) -> int:
    """Deny one intent: nothing was sent, and its effect returns to where it came from.

    Signed as an approval is.

    \b
    Example: invoke-log deny evt_a998… --reason "the customer has cancelled"
    """
    with session.open() as log:
        signer = session.signer("admin")
        found = log.approval(intent)
        data = Denial(intent=found.intent, shown=found.shown, reason=reason)
        return submit(session, log, data, signer, effect=found.effect, resource=found.resource)
