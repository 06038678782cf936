"""`attest`: a person's word for what nobody can observe."""

import click

from invoke_log.format.digest import format_id
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Attestation
from invoke_log.surfaces.cli.argument import EFFECT
from invoke_log.surfaces.cli.session import Session, Verb, hint
from invoke_log.surfaces.cli.submit import submit
from invoke_log.surfaces.outcomes import DONE


@click.command("attest", cls=Verb)
@click.argument("effect", callback=EFFECT)
@click.option("--status", required=True, type=click.Choice((COMMITTED, NOT_COMMITTED)), help="What happened.")
@click.option("--reason", required=True, metavar="TEXT", help="What you know, and how: it stays in the log for ever.")
@click.pass_obj
def attest(session: Session, effect: bytes, status: str, reason: str) -> int:
    """Say what became of an unknown effect.

    It is for what no machine can ask about. The admin key signs, or another attestor's with --key.

    The log takes it only once the effect could no longer appear by itself, and not from whoever decided or ran the
    call. Receipts show it as a person's word, beside the grades of evidence.

    \b
    Example: invoke-log attest eff_4dbb… --status committed --reason "seen in the provider's dashboard"
    """
    with session.open() as log:
        signer = session.signer("admin")
        state = log.effect(effect).state
        log.tick()
        data = Attestation(status=status, reason=reason, attachment=None)
        code = submit(session, log, data, signer, effect=effect, resource=state.resource)
    if code != DONE and state.status != UNKNOWN:
        hint(f'it is {state.status}: "invoke-log show {format_id("eff", effect)}" tells how, and what is next')
    return code
