"""`reconcile`: ask the outside about what is unknown."""

import importlib
import math
import sys
from pathlib import Path
from typing import Final

import click

from invoke_log.errors import ConfigInvalidError, InvokeLogError
from invoke_log.guard.guard import Guard
from invoke_log.guard.patience import EVERY_S_DEFAULT
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.sweep import UNCLEAR
from invoke_log.rules.effect import OPEN
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.outcomes import DONE, UNKNOWN
from invoke_log.surfaces.render import reconciled_view, summary_view, swept_view

ONCE: Final = "once"
WATCH: Final = "watch"
SWEEP: Final = "sweep"
EVERY_S_MAX: Final = 86_400.0
"""Seconds: a day. No machine waits for as long as a float can say."""


def _a_number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse NaN, which is in every range: a watch would never pause."""
    if math.isnan(value):
        raise click.BadParameter("it is no number", ctx=context, param=parameter)
    return value


@click.command("reconcile", cls=Verb)
@click.option(
    "--app",
    required=True,
    metavar="PKG.MOD:GUARD",
    help="Where your program's guard is, from the directory you are in.",
)
@click.option("--once", "modes", multiple=True, flag_value=ONCE, help="Look once at each effect. The default.")
@click.option("--watch", "modes", multiple=True, flag_value=WATCH, help="Look again and again, until interrupted.")
@click.option(
    "--sweep",
    "modes",
    multiple=True,
    flag_value=SWEEP,
    help="List what the provider has and this log did not ask for.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=EVERY_S_MAX),
    callback=_a_number,
    default=EVERY_S_DEFAULT,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: until the second look at an effect. It doubles with each, up to five minutes.",
)
@click.pass_obj
def reconcile(session: Session, app: str, modes: tuple[str, ...], every: float) -> int:
    """Ask the provider about open effects.

    What it shows is appended. It sends nothing, but for tools that have a re-drive or a void. Your module opens the log
    and holds the tools with their read-backs. It ends with what is settled, and with what each open effect waits for:
    until when, and who has to act. The exit code is 7 while what it looked at is still open.

    That something is absent it says only once D + Q has passed on this machine's own clock too, since the same key
    first looked for it; a reboot begins that anew. Any number of processes may watch one log.

    \b
    Example: invoke-log reconcile --app shop.tools:guard --watch
    """
    if len({*modes}) > 1:
        raise click.UsageError(f"{' and '.join(f'--{mode}' for mode in modes)} exclude each other: give one of them")
    mode = modes[0] if modes else ONCE
    guard = _guard_of(app)
    _agree(session, guard)
    with guard.log:
        if mode == SWEEP:
            return _sweep(session, guard)
        last: dict[str, Reconciled] = {}
        try:
            for one in guard.watch(every_s=every) if mode == WATCH else guard.reconciled():
                last[one.effect_key] = one
                session.say(reconciled_view(one))
        except KeyboardInterrupt:
            if mode != WATCH:  # there it is the way to end; here some were not looked at
                raise
        session.say(summary_view(list(last.values()), guard.waiting()))
        return UNKNOWN if mode == ONCE and any(one.status in OPEN for one in last.values()) else DONE


def _sweep(session: Session, guard: Guard) -> int:
    """Print what the provider has and nobody asked this log for, and what was put on record."""
    unclear = False
    for one in guard.sweep():
        session.say(swept_view(one))
        unclear |= one.finding == UNCLEAR
    return UNKNOWN if unclear else DONE


def _guard_of(app: str) -> Guard:
    """Return the guard that a module of the user's has under a name. Raises ConfigInvalidError: there is none."""
    module_name, colon, name = app.partition(":")
    if not colon or not module_name or not name:
        raise ConfigInvalidError(f"app is {app!r}, want PKG.MOD:GUARD", hint="for example shop.tools:guard")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except InvokeLogError:
        raise
    except ModuleNotFoundError as error:
        hint = "run this where the module is, or set PYTHONPATH"
        raise ConfigInvalidError(f"app {app}: {error}", hint=hint) from error
    except (Exception, SystemExit) as error:  # a program that runs as it is imported may end us as if all were done
        raise ConfigInvalidError(f"app {app}: {type(error).__name__}: {error}", hint="run it with --debug") from error
    finally:
        sys.path.pop(0)
    found = getattr(module, name, None)
    if isinstance(found, Guard):
        return found
    wrong = f"{name} is {type(found).__name__}, want an il.Guard" if hasattr(module, name) else f"it has no {name}"
    guards = [f"{module_name}:{other}" for other, value in vars(module).items() if isinstance(value, Guard)]
    hint = f"its guards: {', '.join(guards)}" if guards else f"it has no guard: make one, {name} = il.Guard(log)"
    raise ConfigInvalidError(f"app {app}: {wrong}", hint=hint)


def _agree(session: Session, guard: Guard) -> None:
    """Take the key that was named. Raises ConfigInvalidError: the log that was named is not the guard's."""
    if session.log is not None and Path(session.log).resolve() != guard.log.path.resolve():
        raise ConfigInvalidError(
            f"log {session.log} is named, and the app's guard has {guard.log.path} open",
            hint="leave --log and INVOKE_LOG out: the app's own log is reconciled",
        )
    if session.key is not None:
        guard.key = session.signer("agent")
