"""`tail`: the last entries, and those that come."""

import time
from itertools import islice
from typing import Final

import click

from invoke_log.ledger.log import Log
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.query import names_in
from invoke_log.surfaces.story import entry_line_view

POLL_S: Final = 0.25
"""Seconds between two looks at a log that is followed: people read no faster."""
ROUND_ENTRIES_MAX: Final = 10_000
"""Entries printed from one snapshot: an old snapshot keeps the store from reusing pages."""


@click.command("tail", cls=Verb)
@click.option("-n", "--lines", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the last.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended, until interrupted.")
@click.pass_obj
def tail(session: Session, lines: int, follow: bool) -> None:
    """Print the last entries, one a line, oldest first: who says what, in words.

    \b
    Example: invoke-log tail --follow --json
    """
    with session.open_to_read() as log:
        with log.world() as world:
            at = max(0, int(world.reader.size) - lines)
        try:
            _print(session, log, at, follow=follow)
        except KeyboardInterrupt:
            return  # the way to end it


def _print(session: Session, log: Log, at: int, *, follow: bool) -> None:
    while True:
        before = at
        with log.world() as world:
            names = names_in(world) if world.reader.size > at else {}
        for entry in islice(log.entries(at), ROUND_ENTRIES_MAX):
            session.say(entry_line_view(entry, names))
            at = entry.index + 1
        if at == before:
            if not follow:
                return
            time.sleep(POLL_S)
