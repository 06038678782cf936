"""`snapshot diff`: why two decisions did not collide."""

from pathlib import Path
from typing import Final

import click

from invoke_log.errors import MalformedError
from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.format.limits import ITEM_BYTES_MAX
from invoke_log.log.file import read_file
from invoke_log.rules.snapshot import difference
from invoke_log.surfaces.cli.session import Session, Verbs
from invoke_log.surfaces.render import View, shown
from invoke_log.surfaces.spelling import parse_object

JSON_BYTES_MAX: Final = 8 * ITEM_BYTES_MAX
"""Bytes of a snapshot as JSON, which may write each character of a text as \\u and four digits."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("snapshot", cls=Verbs)
def snapshot() -> None:
    """Compare what was seen when decisions were made."""


@snapshot.command("diff")
@click.argument("one", metavar="A", type=_FILE)
@click.argument("other", metavar="B", type=_FILE)
@click.pass_obj
def diff(session: Session, one: Path, other: Path) -> None:
    """Print the first field that two snapshots differ in.

    A and B are IL1 bytes or JSON. The log keeps snapshots under attachments, each named by its digest. The exit code
    is 0 either way; with --json, same says it.

    \b
    Example: invoke-log snapshot diff payments/attachments/4f… payments/attachments/9a…
    """
    found = difference(_read(one), _read(other))
    text = "same" if found is None else shown(found)
    session.say(View(fields={"same": found is None, "difference": found}, text=text))


def _read(path: Path) -> Value:
    raw = read_file(path, "snapshot", bytes_max=JSON_BYTES_MAX, wrong=MalformedError)
    # No IL1 map begins with a brace: as a first byte it would be text.
    return parse_object(raw) if raw.lstrip()[:1] == b"{" else cbor.decode(raw)
