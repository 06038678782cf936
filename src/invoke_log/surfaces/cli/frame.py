"""The outermost frame of every verb: where what happened becomes an exit code, and what went wrong a line on stderr."""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click

from invoke_log.errors import InvokeLogError
from invoke_log.surfaces import outcomes
from invoke_log.surfaces.cli.session import Session, aside, complain, hint, let_go_of_stdout
from invoke_log.surfaces.render import shown

PROGRAM: Final = "invoke-log"
INTERRUPTED: Final = 130
"""What shells expect after Ctrl-C; no outcome of ours."""


def run(program: click.Command, arguments: Sequence[str]) -> int:
    """Return the exit code of a command line."""
    session = Session()
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    if closed:
        # The next file that is opened, a log's store, would stand in its place, and be read and written as that.
        _complain(f"{' and '.join(closed)} is closed", "redirect it, to /dev/null where it is not wanted", session)
        return outcomes.USAGE
    with _warnings_to_stderr():
        try:
            code = program.main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=session)
            return code if isinstance(code, int) else outcomes.DONE
        except click.Abort:
            return INTERRUPTED
        except click.ClickException as error:
            return _usage(error)
        except InvokeLogError as error:
            _complain(error.message, error.hint, session)
            return outcomes.EXIT_CODES.get(error.code, outcomes.BUG)
        except OSError as error:
            # What a verb opens it names itself. Where no file is named, it is stdout or stdin.
            _complain(f"{error.filename or 'stdout or stdin'}: {error.strerror or error}", None, session)
            let_go_of_stdout()
            return outcomes.USAGE
        except Exception as error:  # noqa: BLE001 -- the outermost frame: nothing of ours is above it
            _complain(f"bug: {type(error).__name__}: {error}", "run it again with --debug", session)
            return outcomes.BUG


def _usage(error: click.ClickException) -> int:
    """Say a usage error as our errors are said; a group of verbs without one of them is answered with its help."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        aside(message)
        return outcomes.USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = message.rstrip(".")
    complain(message[:1].lower() + message[1:], None)
    hint(f'run "{context.command_path if context is not None else PROGRAM} --help"')
    return outcomes.USAGE


def _complain(message: str, advice: str | None, session: Session) -> None:
    """Say an error and what to do about it, and where it came from if that was asked for."""
    if session.debug:
        traceback.print_exc()
    complain(message, advice)


class _Warning(logging.Formatter):
    """A warning as ours are said: a provider may have written part of it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- the standard library's name
        return f"warning: {shown(record.message)}"


@contextmanager
def _warnings_to_stderr() -> Iterator[None]:
    """Let the library's warnings go where ours go, in the same words."""
    logger, handler = logging.getLogger("invoke_log"), logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Warning())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
