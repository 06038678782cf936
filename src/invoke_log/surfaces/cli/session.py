"""What every verb is told: which log, which key, which view. These options stand before a verb's name or after it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from invoke_log.errors import ConfigInvalidError
from invoke_log.ledger.log import Log
from invoke_log.log.home import key_path
from invoke_log.log.signer import FileSigner, load_key
from invoke_log.surfaces.render import View


@dataclass(slots=True)
class Session:
    """The options that all verbs share, as they were given; the environment stands in for what was not.

    signed_with: the key file that was taken, for what is said when the log refuses it.
    """

    log: str | None = None
    key: str | None = None
    json: bool = False
    debug: bool = False
    signed_with: Path | None = None

    @property
    def log_path(self) -> Path:
        """Where the log is. Raises ConfigInvalidError: nobody has said."""
        found = self.log or os.environ.get("INVOKE_LOG")
        if not found:
            raise ConfigInvalidError("no log is named", hint="give --log PATH, or set INVOKE_LOG")
        return Path(found)

    @property
    def key_file(self) -> Path | None:
        """The key file that was named, if one was."""
        found = self.key or os.environ.get("INVOKE_LOG_KEY")
        return Path(found) if found else None

    def open(self) -> Log:
        """Return the log, open for appends. Raises NotFoundError, KeyInvalidError (the log key's file), StoreError."""
        return Log.open(self.log_path)

    def open_to_read(self) -> Log:
        """Return the log, open for reading."""
        return Log.open(self.log_path, read_only=True)

    def signer(self, name: str) -> FileSigner:
        """Return who signs: the key that was named, else the one of that name which lies beside the log.

        Raises: ConfigInvalidError: there is none. NotFoundError, KeyInvalidError: its file.
        """
        found = self.key_file or key_path(self.log_path, name)
        if found is None:
            raise ConfigInvalidError(
                f"log {self.log_path}: no {name} key that can be read lies beside it", hint="give --key FILE"
            )
        self.signed_with = found
        return load_key(found)

    def say(self, view: View) -> None:
        """Write one value to stdout, in the view that was asked for."""
        text = view.json if self.json else view.text
        if text:
            click.echo(text)


def warn(message: str) -> None:
    """Write a warning to stderr."""
    click.echo(f"warning: {message}", err=True)


def hint(message: str) -> None:
    """Write a hint to stderr."""
    click.echo(f"hint: {message}", err=True)


def _kept(context: click.Context, parameter: click.Parameter, value: str | bool | None) -> None:
    """Keep a shared option in the session that all parts of the command line share; the one after the verb counts."""
    if value:
        setattr(context.ensure_object(Session), str(parameter.name), value)


PIPE_CLOSED: Final = 141
"""The exit code that shells expect where the reader of stdout went away."""
_OPTIONS: Final = (
    ("--log", "PATH", "The log's directory.  [env: INVOKE_LOG]"),
    ("--key", "FILE", "The key that signs.  [env: INVOKE_LOG_KEY]"),
    ("--json", None, "Print one JSON object; for lists, one a line."),
    ("--debug", None, "Show where an error came from.  [env: INVOKE_LOG_DEBUG]"),
)
SHARED: Final = tuple(
    click.Option([name], expose_value=False, callback=_kept, metavar=metavar, is_flag=metavar is None, help=words)
    for name, metavar, words in _OPTIONS
)
"""The options that every verb takes."""


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

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Python flushes stdout once more at exit, and would complain then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(PIPE_CLOSED) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)
