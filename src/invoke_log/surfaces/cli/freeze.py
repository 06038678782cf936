"""`contract freeze`, `contract unfreeze`, and the same without the first word: stop what could still be stopped."""

import click

from invoke_log.rules.kind import Freeze, Scope, Unfreeze
from invoke_log.surfaces.cli.argument import SCOPE
from invoke_log.surfaces.cli.session import Session, Verb, hint, warn
from invoke_log.surfaces.cli.submit import submit
from invoke_log.surfaces.outcomes import DONE
from invoke_log.surfaces.render import shown

_REASON = click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads the log.")


@click.command("freeze", cls=Verb)
@click.argument("scope", callback=SCOPE)
@_REASON
@click.pass_obj
def freeze(session: Session, scope: Scope, reason: str) -> int:
    """Stop what has not started in a scope.

    SCOPE is CLASS:PREFIX. No intent, START or re-drive is accepted in it; evidence is. The admin key signs. The same is
    "invoke-log freeze".

    \b
    Example: invoke-log contract freeze money.charge/1:stripe:acct_1/live/ --reason "incident"
    """
    with session.open() as log:
        code = submit(session, log, Freeze(scope=scope, reason=reason), session.signer("admin"))
        classes = {contract.effect_class for contract in log.governance.contracts.values()}
    if code == DONE and scope.effect_class not in {*classes, "*"}:
        warn(f"it stops nothing so far: no registered contract is of class {shown(scope.effect_class)}")
        hint(f"their classes are {', '.join(sorted(classes)) or 'none'}; the version after the / belongs to it")
    return code


@click.command("unfreeze", cls=Verb)
@click.argument("scope", callback=SCOPE)
@_REASON
@click.pass_obj
def unfreeze(session: Session, scope: Scope, reason: str) -> int:
    """End the freeze of exactly this scope. The admin key signs.

    The same is "invoke-log unfreeze".

    \b
    Example: invoke-log contract unfreeze money.charge/1:stripe:acct_1/live/
    """
    with session.open() as log:
        return submit(session, log, Unfreeze(scope=scope, reason=reason), session.signer("admin"))
