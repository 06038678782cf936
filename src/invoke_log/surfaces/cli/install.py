"""`gateway install | uninstall`: the servers of MCP clients behind the gateway, and back."""

import difflib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from invoke_log.errors import ConfigInvalidError, InvokeLogError
from invoke_log.surfaces import client_config
from invoke_log.surfaces.cli.output import output
from invoke_log.surfaces.cli.session import AGENT, Session, Verb, hint
from invoke_log.surfaces.client_config import CLIENTS, PROGRAMS, SCOPES, Place, Plan
from invoke_log.surfaces.render import View, shown

Decorated = Callable[..., None]


def _completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A client, and behind it its servers."""
    named, file = context.params["named"] or (), context.params["file"]
    words: Sequence[str] = CLIENTS
    if named or file is not None:
        try:
            place, _ = _chosen(context, named, file, context.params["scope"])
            words = client_config.server_names(place)
        except (InvokeLogError, click.UsageError):
            words = ()
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _on_a_file(function: Decorated) -> Decorated:
    """What says which servers of which file are meant, and whether it is written."""
    for decorate in (
        click.option("--dry-run", is_flag=True, help="Print what would change, and write nothing."),
        click.option(
            "--scope", type=click.Choice(SCOPES), help="Which of the client's files; the usual one if left out."
        ),
        click.option(
            "--file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="A file of another client, instead of CLIENT.",
        ),
        click.argument("named", nargs=-1, metavar="CLIENT [SERVER]...", shell_complete=_completed),
    ):
        function = decorate(function)
    return function


@click.command("install", cls=Verb)
@_on_a_file
@click.pass_context
def install(
    context: click.Context,
    /,
    named: Sequence[str],
    file: Path | None,
    scope: str | None,
    dry_run: bool,
    **options: object,
) -> None:
    """Put an MCP client's servers behind the gateway.

    CLIENT is claude-desktop, claude-code, cursor, vscode, windsurf, zed or codex. The command of each SERVER in its
    file, of all where none is named, becomes "invoke-log gateway … -- COMMAND"; all else in the file stays as it is.
    The log, the key and the options of the gateway are written as they are given here. Servers that are reached over
    HTTP are left alone.

    \b
    Example: invoke-log gateway install claude-code --log payments
    """
    session = context.ensure_object(Session)
    place, servers = _chosen(context, named, file, scope)
    with session.open_to_read():
        pass  # a client would say nothing of a log that is not there
    plan = client_config.install(place, servers, [*_program(), "gateway", *_given(context, session, options)])
    _carry_out(session, plan, dry_run=dry_run)
    if any(server.state == "installed" for server in plan.servers) and not dry_run:
        hint('start the client again; a tool without a contract is refused: "invoke-log gateway draft" writes drafts')


@click.command("uninstall", cls=Verb)
@_on_a_file
@click.pass_context
def uninstall(
    context: click.Context, named: Sequence[str], file: Path | None, scope: str | None, dry_run: bool
) -> None:
    """Give an MCP client's servers their own commands back.

    A server's command is what stands behind the -- by now, so that what was changed in it since stays.

    \b
    Example: invoke-log gateway uninstall claude-code
    """
    place, servers = _chosen(context, named, file, scope)
    _carry_out(context.ensure_object(Session), client_config.uninstall(place, servers), dry_run=dry_run)


def _chosen(
    context: click.Context, named: Sequence[str], file: Path | None, scope: str | None
) -> tuple[Place, Sequence[str]]:
    """Where the servers are, and which are meant. Raises click.UsageError: nobody has said, or not one place."""
    if file is not None:
        if scope is not None:
            raise click.UsageError("--scope says which file of a CLIENT, and --file is one", ctx=context)
        return client_config.place_of(file), named
    if not named or named[0] not in CLIENTS:
        found = f"{named[0]!r}" if named else "nothing"
        raise click.UsageError(f"found {found}, want one of {', '.join(CLIENTS)}, or --file FILE", ctx=context)
    places = client_config.places(named[0])
    if scope is not None and scope not in places:
        raise click.UsageError(f"{named[0]} has no scope {scope}, but {', '.join(places)}", ctx=context)
    return places[scope or next(iter(places))], named[1:]


def _program() -> list[str]:
    """How this very program is started, wherever the client stands. A link in a PATH folder stays one."""
    started = Path(os.path.abspath(sys.argv[0]))  # noqa: PTH100 -- Path has nothing that leaves links alone
    return [str(started)] if started.stem in PROGRAMS and started.is_file() else [sys.executable, "-m", "invoke_log"]


def _given(context: click.Context, session: Session, options: dict[str, object]) -> Iterator[str]:
    """The options that the gateway is started with, none of which rests on where the client stands."""
    yield from ("--log", str(session.log_path.absolute()))
    if session.key is not None:
        yield from ("--key", _anywhere(session.key))
    for option in context.command.params:
        name = str(option.name)
        if name in options and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value = str(options[name])
            yield from (option.opts[0], _anywhere(value) if option.metavar in ("FILE", "DIR") else value)


def _anywhere(path: str) -> str:
    """A path that means the same wherever a program stands; a key that an SSH agent holds is none."""
    return path if path.startswith(AGENT) else str(Path(path).absolute())


def _carry_out(session: Session, plan: Plan, *, dry_run: bool) -> None:
    """Write the file where it changes, and say what became of each server."""
    written = plan.before != plan.after and not dry_run
    if written:
        _write(plan)
    fields: dict[str, object] = {
        "file": str(plan.place.file),
        "written": written,
        "servers": [
            {"name": each.name, "state": each.state, "command": list(each.command), "why": each.why}
            for each in plan.servers
        ],
    }
    if dry_run:
        difference = "".join(_difference(plan))
        session.say(View(fields={**fields, "diff": difference}, text="\n".join(map(shown, difference.splitlines()))))
        return
    lines = [f"{each.state:<9}  {each.name}: {each.why or shlex.join(each.command)}" for each in plan.servers]
    session.say(View(fields=fields, text="\n".join(map(shown, lines))))


def _difference(plan: Plan) -> Iterator[str]:
    name = str(plan.place.file)
    before, after = (text.splitlines(keepends=True) for text in (plan.before, plan.after))
    for line in difflib.unified_diff(before, after, fromfile=name, tofile=name, n=0):  # what stays may be a secret
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _write(plan: Plan) -> None:
    file = plan.place.file
    with output(file, like=file.stat()) as write:
        # Clients write their files too, at any time. What one wrote since it was read is not undone.
        if file.read_bytes() != plan.before.encode():
            raise ConfigInvalidError(f"{file}: it was changed meanwhile, and nothing was written", hint="run it again")
        write(plan.after.encode())
