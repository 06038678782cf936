"""`checkpoint`: the signed head of the log."""

import click

from invoke_log.format.checkpoint import parse_body
from invoke_log.format.note import parse_note
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.render import View


@click.command("checkpoint", cls=Verb)
@click.pass_obj
def checkpoint(session: Session) -> None:
    """Sign and print a checkpoint.

    It is a C2SP signed note of everything that is durable now, and of a tick, where the last one is a second old: so a
    log's time goes on that nothing else is appended to. Keep it somewhere else: "verify --against" then shows whether
    the log was cut, restored or rewritten.

    \b
    Example: invoke-log checkpoint > payments.checkpoint
    """
    with session.open() as log:
        log.flush()
        note = log.checkpoint()
    body = parse_body(parse_note(note).text)
    fields = {"origin": body.origin, "size": body.size, "root": body.root.hex(), "note": note.decode()}
    session.say(View(fields=fields, text=note.decode().removesuffix("\n")))
