"""`init`: a new log."""

from pathlib import Path

import click

from invoke_log.format.keys import format_verifier_key
from invoke_log.ledger.log import Log
from invoke_log.surfaces.cli.argument import ORIGIN
from invoke_log.surfaces.cli.session import Session, Verb, hint
from invoke_log.surfaces.render import View


@click.command("init", cls=Verb)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--origin", required=True, callback=ORIGIN, metavar="NAME", help="The log's unique name: a URL without its scheme."
)
@click.option("--strict", is_flag=True, help="Make no agent key: grant agents keys of their own.")
@click.pass_obj
def init(session: Session, directory: Path, origin: str, strict: bool) -> None:
    """Make a log, and print its verifier key.

    Keys, genesis, grants and a default policy, in one commit. DIR/keys then holds log.key, admin.key and agent.key,
    readable by you alone. What is printed is what third parties trust.

    \b
    Example: invoke-log init payments --origin example.com/payments
    """
    with Log.create(directory, origin=origin, strict=strict) as log:
        key = format_verifier_key(log.verifier_key)
    session.say(View(fields={"log": str(directory), "origin": origin, "trust": key}, text=key))
    if strict:
        hint('no agent may do anything yet: "invoke-log key new FILE", then "invoke-log grant PUBKEY --role agent"')
