"""`export`: the whole log as one file."""

from pathlib import Path

import click

from invoke_log.surfaces.cli.output import output
from invoke_log.surfaces.cli.session import Session, Verb


@click.command("export", cls=Verb)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(session: Session, out: Path) -> None:
    """Write the whole log as a bundle.

    A third party replays it without this machine. OUT is a file, a pipe, or - for stdout.

    \b
    Example: invoke-log export payments.bundle
    """
    with session.open() as log, output(out) as write:
        log.export(write)
