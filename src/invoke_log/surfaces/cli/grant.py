"""`grant`, `revoke`: which key may do what."""

import click

from invoke_log.format.digest import format_id
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import ROLES, Grant, Revoke, Scope
from invoke_log.surfaces.cli.argument import KEY_OR_GRANT, PUBLIC_KEY, SCOPE
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.cli.submit import submit


@click.command("grant", cls=Verb)
@click.argument("public_key", metavar="PUBKEY", callback=PUBLIC_KEY)
@click.option("--role", required=True, type=click.Choice(ROLES), help="One role; grant again for another.")
@click.option(
    "--scope", callback=SCOPE, default=None, metavar="CLASS:PREFIX", help="Effect class or *, and a resource prefix."
)
@click.option("--subject", metavar="NAME", help="Whose key it is, for people; the key itself where left out.")
@click.pass_obj
def grant(session: Session, public_key: bytes, role: str, scope: Scope | None, subject: str | None) -> int:
    """Give a key one role. The admin key signs.

    Without --scope the role is for everything. A prefix ends at a slash: the grant is for resources that begin with it.

    \b
    Example: invoke-log grant key_5d1b… --role agent --scope money.charge/1:stripe:acct_1/live/
    """
    named = subject or format_id("key", public_key)
    data = Grant(subject=named, key=public_key, role=role, scope=scope or EVERYTHING)
    with session.open() as log:
        return submit(session, log, data, session.signer("admin"))


@click.command("revoke", cls=Verb)
@click.argument("named", metavar="PUBKEY", callback=KEY_OR_GRANT)
@click.option("--suspect-from", type=click.IntRange(min=0), metavar="LEAF", help="Since when the key is not trusted.")
@click.pass_obj
def revoke(session: Session, named: tuple[str, bytes], suspect_from: int | None) -> int:
    """End all grants of a key, or one grant, named by its event id. The admin key signs.

    Nothing that the key did becomes void. With --suspect-from, audits warn of what rests on it from that leaf on.

    \b
    Example: invoke-log revoke key_5d1b… --suspect-from 120
    """
    what, raw = named
    data = Revoke(key=raw if what == "key" else None, grant=raw if what == "grant" else None, suspect_from=suspect_from)
    with session.open() as log:
        return submit(session, log, data, session.signer("admin"))
