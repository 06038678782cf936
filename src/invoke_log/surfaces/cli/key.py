"""`key new`, `key show`: key files."""

import secrets
from pathlib import Path

import click

from invoke_log.format.digest import format_id
from invoke_log.log.signer import SEED_BYTES, FileSigner, load_key, write_key_file
from invoke_log.surfaces.cli.session import Session, Verbs
from invoke_log.surfaces.render import View

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group("key", cls=Verbs)
def key() -> None:
    """Make and show key files.

    Each holds one Ed25519 seed, and is readable by its owner alone.
    """


@key.command("new")
@_FILE
@click.pass_obj
def new(session: Session, file: Path) -> None:
    """Make a key file and print its public key.

    \b
    Example: invoke-log key new agent-b.key
    """
    _say(session, file, write_key_file(file, secrets.token_bytes(SEED_BYTES)))


@key.command("show")
@_FILE
@click.pass_obj
def show(session: Session, file: Path) -> None:
    """Print the public key of a key file.

    \b
    Example: invoke-log key show payments/keys/agent.key
    """
    _say(session, file, load_key(file))


def _say(session: Session, file: Path, signer: FileSigner) -> None:
    public = format_id("key", signer.public_key)
    session.say(View(fields={"file": str(file), "key": public}, text=public))
