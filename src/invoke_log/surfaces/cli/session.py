"""What every verb is told: which log, which key, which view. These options stand before a verb's name or after it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TextIO

import click

from invoke_log.errors import ConfigInvalidError, KeyLockedError, MalformedError, NotFoundError
from invoke_log.ledger.log import Log
from invoke_log.log.home import key_path
from invoke_log.log.signer import PASSPHRASE_BYTES_MAX, FileSigner, Signer, load_key
from invoke_log.log.ssh_agent import AgentSigner
from invoke_log.surfaces.cli.argument import read_public_key
from invoke_log.surfaces.render import View, shown


def _from_environment(name: str) -> str | None:
    return os.environ.get(name) or None


@dataclass(slots=True)
class Session:
    """The options that all verbs share, as they were given; the environment stands in for what was not.

    signed_with: the key that was taken, for what is said when the log refuses it. passphrase: as it was given once.
    """

    log: str | None = field(default_factory=partial(_from_environment, "INVOKE_LOG"))
    key: str | None = field(default_factory=partial(_from_environment, "INVOKE_LOG_KEY"))
    json: bool = False
    debug: bool = field(default_factory=lambda: bool(_from_environment("INVOKE_LOG_DEBUG")))
    signed_with: str | None = None
    passphrase: bytes | None = None

    @property
    def log_path(self) -> Path:
        """Where the log is. Raises ConfigInvalidError: nobody has said."""
        if self.log is None:
            raise ConfigInvalidError("no log is named", hint="give --log PATH, or set INVOKE_LOG")
        return Path(self.log)

    def open(self) -> Log:
        """Return the log, open for appends. A log key that is locked is not at hand where nobody can be asked.

        Raises: NotFoundError, KeyInvalidError (the log key's file), StoreError.
        """
        beside = key_path(self.log_path, "log")
        try:
            return Log.open(self.log_path, log_key=self.load(beside) if beside is not None else None)
        except KeyLockedError:
            return Log.open(self.log_path)

    def open_to_read(self) -> Log:
        """Return the log, open for reading."""
        return Log.open(self.log_path, read_only=True)

    def signer(self, name: str, *, beside: Path | None = None) -> Signer:
        """Return who signs: the key that was named, else the one of that name which lies beside the log.

        Args: beside: another log's directory, or where there is none.

        Raises: ConfigInvalidError: there is none. NotFoundError, KeyInvalidError, KeyLockedError: its file.
        """
        self.signed_with = self.key or str(self._beside(name, beside or self.log_path))
        return self.signer_of(self.signed_with)

    def _beside(self, name: str, where: Path) -> Path:
        found = key_path(where, name)
        if found is None:
            raise ConfigInvalidError(
                f"log {where}: no {name} key that can be read lies beside it", hint="give --key FILE"
            )
        return found

    def signer_of(self, named: str) -> Signer:
        """Return the signer of a key by its file, or as ssh-agent:PUBKEY. Raises as `signer`."""
        return agent_signer(named.removeprefix(AGENT)) if named.startswith(AGENT) else self.load(Path(named))

    def load(self, file: Path) -> FileSigner:
        """Return the signer of a key file, its passphrase asked for where it is locked, and only once.

        Raises: NotFoundError, KeyInvalidError, KeyLockedError.
        """
        try:
            return load_key(file, passphrase=self.passphrase)
        except KeyLockedError:
            self.passphrase = read_passphrase(f"passphrase of {file}") or self.passphrase
            return load_key(file, passphrase=self.passphrase)

    def say(self, view: View) -> None:
        """Write one value to stdout, in the view that was asked for."""
        text = view.json if self.json else view.text
        if text:
            click.echo(text)


def read_passphrase(words: str, *, twice: str | None = None) -> bytes | None:
    """Return the passphrase in the file that INVOKE_LOG_PASSPHRASE_FILE names, else what a person types, else None:
    there is no terminal.

    Args: words: what it is for. twice: what the second asking says, where a new one is chosen.
    Raises: NotFoundError: the file.
    """
    named = os.environ.get("INVOKE_LOG_PASSPHRASE_FILE")
    if named:
        return passphrase_in(Path(named))
    return ask(words, twice=twice) if sys.stdin.isatty() else None


def passphrase_in(file: Path) -> bytes:
    """Return the passphrase in a file, without the line end. Raises NotFoundError: it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(PASSPHRASE_BYTES_MAX + 2).removesuffix(b"\n")
    except OSError as error:
        raise NotFoundError(f"passphrase file {file}: {error.strerror}") from error


def ask(words: str, *, twice: str | None = None) -> bytes:
    """Return what a person types on the terminal; it is not shown."""
    typed: str = click.prompt(words, hide_input=True, confirmation_prompt=twice or False, err=True)
    return typed.encode()


def agent_signer(text: str) -> AgentSigner:
    """Return the signer of a key that the SSH agent holds. Raises ConfigInvalidError: no agent, or no public key."""
    agent = os.environ.get("SSH_AUTH_SOCK")
    if not agent:
        raise ConfigInvalidError("no ssh agent is named", hint="start one, and set SSH_AUTH_SOCK to its socket")
    try:
        return AgentSigner(read_public_key(text), agent)
    except MalformedError as error:
        raise ConfigInvalidError(f"{AGENT}{text[:80]}: {error.message}") from error


def aside(message: str) -> None:
    """Write a line to stderr. Where it takes none, such as a file on a full disk, what was done stays as it is."""
    try:
        click.echo(message, err=True)
    except OSError:
        _let_go_of(sys.stderr)


def warn(message: str) -> None:
    """Write a warning to stderr."""
    aside(f"warning: {message}")


def complain(message: str, advice: str | None) -> None:
    """Write an error to stderr, and what to do about it on the next line."""
    aside(f"error: {shown(message)}")
    if advice is not None:
        hint(shown(advice))


def hint(message: str) -> None:
    """Write a hint to stderr."""
    aside(f"hint: {message}")


def _kept(context: click.Context, parameter: click.Parameter, value: str | bool | None) -> None:
    """Keep a shared option in the session that all parts of the command line share; the one after the verb counts."""
    if value == "":  # as of a variable in a script that is not set: another log, or another key, is not what was meant
        raise click.BadParameter("it is empty", ctx=context, param=parameter)
    if value:
        setattr(context.ensure_object(Session), str(parameter.name), value)


AGENT: Final = "ssh-agent:"
"""What stands before a public key whose private half an SSH agent holds."""
PIPE_CLOSED: Final = 141
"""The exit code that shells expect where the reader of stdout went away."""
_OPTIONS: Final = (
    ("--log", "PATH", "The log's directory.  [env: INVOKE_LOG]"),
    ("--key", "FILE", "The key that signs, or ssh-agent:PUBKEY.  [env: INVOKE_LOG_KEY]"),
    ("--json", None, "Print one JSON object; for lists, one a line."),
    ("--debug", None, "Show where an error came from.  [env: INVOKE_LOG_DEBUG]"),
)
SHARED: Final = tuple(
    click.Option([name], expose_value=False, callback=_kept, metavar=metavar, is_flag=metavar is None, help=words)
    for name, metavar, words in _OPTIONS
)
"""The options that every verb takes."""


def let_go_of_stdout() -> None:
    """Drop what stdout does not take: Python flushes it once more at exit, and would complain then."""
    try:
        sys.stdout.flush()
    except OSError:
        _let_go_of(sys.stdout)


def _let_go_of(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _read_by_somebody() -> Iterator[None]:
    """End as shells expect where the reader of stdout goes away. Here, since click has an exit code of its own."""
    try:
        yield
    except BrokenPipeError:
        let_go_of_stdout()
        raise click.exceptions.Exit(PIPE_CLOSED) from None


class Verb(click.Command):
    """A command that also takes the shared options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *SHARED]


class Verbs(click.Group):
    """A group of verbs, which takes the shared options too, and lists its verbs in the order they were added."""

    command_class = Verb
    group_class = type

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *SHARED]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _read_by_somebody():  # --help and --version answer here
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _read_by_somebody():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)
