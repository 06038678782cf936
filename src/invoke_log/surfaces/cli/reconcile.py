"""`reconcile`: ask the outside about what is unknown."""

import importlib
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from invoke_log.errors import ConfigInvalidError, InvokeLogError
from invoke_log.guard.guard import Guard
from invoke_log.guard.reconcile import Reconciled
from invoke_log.rules.effect import OPEN
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.outcomes import DONE, UNKNOWN
from invoke_log.surfaces.render import reconciled_view


@click.command("reconcile", cls=Verb)
@click.option(
    "--app",
    required=True,
    metavar="PKG.MOD:GUARD",
    help="Where your program's guard is, from the directory you are in.",
)
@click.option("--once/--watch", default=True, help="Look once (the default), or again and again until interrupted.")
@click.option(
    "--every", type=click.FloatRange(min=0.1), default=5.0, show_default=True, metavar="SECONDS", help="With --watch."
)
@click.pass_obj
def reconcile(session: Session, app: str, once: bool, every: float) -> int:
    """Ask the provider about open effects.

    What it shows is appended. It reads; it never sends. Your module opens the log and holds the tools with their
    read-backs. The exit code is 7 while what it looked at is still open.

    \b
    Example: invoke-log reconcile --app shop.tools:guard
    """
    guard = _guard_of(app)
    _agree(session, guard)
    with guard.log:
        if once:
            return UNKNOWN if _look(session, guard.reconciled()) else DONE
        try:
            while True:
                _look(session, guard.reconciled())
                time.sleep(every)
        except KeyboardInterrupt:
            return DONE  # the way to end it


def _look(session: Session, found: Iterable[Reconciled]) -> bool:
    """Print what came of each look, and return whether any effect is still open."""
    still_open = False
    for one in found:
        session.say(reconciled_view(one))
        still_open |= one.status in OPEN
    return still_open


def _guard_of(app: str) -> Guard:
    """Return the guard that a module of the user's has under a name. Raises ConfigInvalidError: there is none."""
    module_name, colon, name = app.partition(":")
    if not colon or not module_name or not name:
        raise ConfigInvalidError(f"app is {app!r}, want PKG.MOD:GUARD", hint="for example shop.tools:guard")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except InvokeLogError:
        raise
    except ModuleNotFoundError as error:
        hint = "run this where the module is, or set PYTHONPATH"
        raise ConfigInvalidError(f"app {app}: {error}", hint=hint) from error
    except Exception as error:
        raise ConfigInvalidError(f"app {app}: {type(error).__name__}: {error}", hint="run it with --debug") from error
    finally:
        sys.path.pop(0)
    if not isinstance(found, Guard):
        raise ConfigInvalidError(f"app {app}: {name} is {type(found).__name__}, want an il.Guard")
    return found


def _agree(session: Session, guard: Guard) -> None:
    """Take the key that was named. Raises ConfigInvalidError: the log that was named is not the guard's."""
    if session.log is not None and Path(session.log).resolve() != guard.log.path.resolve():
        raise ConfigInvalidError(f"--log names {session.log}, and the app's guard has {guard.log.path} open")
    if session.key is not None:
        guard.key = session.signer("agent")
