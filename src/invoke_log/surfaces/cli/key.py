"""`key new`, `key lock`, `key show`: key files."""

import secrets
import sys
from pathlib import Path
from typing import Final

import click

from invoke_log.errors import ConfigInvalidError, KeyInvalidError, KeyLockedError
from invoke_log.format.digest import format_id
from invoke_log.log.file import read_file
from invoke_log.log.signer import SEED_BYTES, load_key, lock_key_file, public_key_of, write_key_file
from invoke_log.log.ssh_agent import parse_ssh_key
from invoke_log.surfaces.cli.session import Session, Verbs, ask, passphrase_in, read_passphrase
from invoke_log.surfaces.render import View

SSH_KEY_BYTES_MAX: Final = 16_384
"""Bytes of an OpenSSH .pub file: one line, some 80 and a comment."""
_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group("key", cls=Verbs)
def key() -> None:
    """Make, lock and show key files.

    Each holds one Ed25519 seed, and is readable by its owner alone. A key that an SSH agent holds needs no file: grant
    what "key show" prints of its .pub file, and sign with --key ssh-agent:PUBKEY.
    """


@key.command("new")
@_FILE
@click.option("--lock", is_flag=True, help="Put it under a passphrase.")
@click.pass_obj
def new(session: Session, file: Path, lock: bool) -> None:
    """Make a key file and print its public key.

    \b
    Example: invoke-log key new agent-b.key
    """
    passphrase = _chosen(file) if lock else None
    _say(session, file, write_key_file(file, secrets.token_bytes(SEED_BYTES), passphrase=passphrase).public_key)


@key.command("lock")
@_FILE
@click.option("--was", type=click.Path(path_type=Path), metavar="FILE", help="Holds the passphrase it is under.")
@click.pass_obj
def lock(session: Session, file: Path, was: Path | None) -> None:
    """Put a key file under a passphrase, or under another one.

    On a terminal it is asked for; elsewhere INVOKE_LOG_PASSPHRASE_FILE names a file that holds it. Argon2id stretches
    it, so that each use takes some tenths of a second, and each guess too.

    \b
    Example: invoke-log key lock payments/keys/admin.key
    """
    _say(session, file, lock_key_file(file, passphrase=_chosen(file), was=_earlier(file, was)).public_key)


@key.command("show")
@_FILE
@click.pass_obj
def show(session: Session, file: Path) -> None:
    """Print the public key of a key file, locked or not, or of an OpenSSH .pub file.

    \b
    Example: invoke-log key show payments/keys/agent.key
    """
    _say(session, file, _public_key(file))


def _public_key(file: Path) -> bytes:
    if file.suffix != ".pub":
        return public_key_of(file)
    raw = read_file(file, "key file", bytes_max=SSH_KEY_BYTES_MAX, wrong=KeyInvalidError)
    return parse_ssh_key(raw.decode("ascii", "replace"))


def _chosen(file: Path) -> bytes:
    passphrase = read_passphrase(f"new passphrase of {file}", twice="again")
    if passphrase is None:
        hint = "run this on a terminal, or have INVOKE_LOG_PASSPHRASE_FILE name a file that holds it"
        raise ConfigInvalidError(f"key file {file}: no passphrase to lock it with", hint=hint)
    return passphrase


def _earlier(file: Path, was: Path | None) -> bytes | None:
    """The passphrase that a file is under already; None where it is not locked."""
    if was is not None:
        return passphrase_in(was)
    try:
        load_key(file)
    except KeyLockedError:
        if not sys.stdin.isatty():
            raise ConfigInvalidError(f"key file {file}: it is locked already", hint="give --was FILE") from None
        return ask(f"passphrase of {file} until now")
    return None


def _say(session: Session, file: Path, public_key: bytes) -> None:
    public = format_id("key", public_key)
    session.say(View(fields={"file": str(file), "key": public}, text=public))
