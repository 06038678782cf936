"""`gateway -- COMMAND | draft | install | uninstall`: an MCP server's tools under contracts."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from invoke_log.guard.guard import Guard
from invoke_log.guard.registry import load_contract, register
from invoke_log.surfaces.cli.install import install, uninstall
from invoke_log.surfaces.cli.mcp import missing
from invoke_log.surfaces.cli.reach import Behind, Reached, behind, reached
from invoke_log.surfaces.cli.session import Session, Verbs

if TYPE_CHECKING:
    from invoke_log.surfaces.mcp_server.gateway import Default

DASHES: Final = "--"
WRITTEN: Final = ("folder", "default", "approver")
"""The options that mean something where a client starts the gateway: `install` takes them, and writes them down."""


class Gateway(Verbs):
    """A group that is a verb too: what stands behind `--`, and behind none of its verbs, is a COMMAND."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index(DASHES) if DASHES in args else len(args)
        if self.make_parser(ctx).parse_args(args[:at])[1]:
            return super().parse_args(ctx, args)
        super().parse_args(ctx, args[:at])
        ctx.args = args[at + 1 :]
        return ctx.args


@click.group("gateway", cls=Gateway, invoke_without_command=True, subcommand_metavar="-- COMMAND...")
@click.option(
    "--contracts",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Contract files to register first, where the admin key lies beside the log.",
)
@click.option(
    "--default",
    type=click.Choice(("deny", "observe", "ask")),
    default="deny",
    show_default=True,
    help="Tools without a contract: refused, called and noted, or called once the client's person said yes.",
)
@click.option(
    "--approver",
    metavar="FILE",
    help="A key that does nothing but approve: it signs what the client says that its person said.",
)
@behind
@reached
@click.pass_context
def gateway(
    context: click.Context,
    folder: Path | None,
    default: "Default",
    approver: str | None,
    upstream: Behind,
    at: Reached,
) -> None:
    """Run an MCP server, and put its tools under contracts, for any MCP client.

    COMMAND is what the client ran so far. A tool is under the contract of its name: each call passes contract, policy,
    approval, START and outcome. A call that is issued again is told what became of the first, and is not sent. What
    got no answer is unknown, and blocked until it is settled. The agent key beside the log signs, or --key. Everything
    else of the server passes as it is.

    Where the policy asks, "invoke-log approve" answers; with --approver the client's person is asked too, by
    elicitation. That is to trust the client: one that lies approves itself.

    \b
    Example: invoke-log gateway --log payments -- python bank_server.py
    """
    session = context.ensure_object(Session)
    if context.invoked_subcommand is not None:
        _refuse_early(context)
        return
    try:
        from invoke_log.surfaces.mcp_server.approver import Approver
        from invoke_log.surfaces.mcp_server.serving import serve_gateway

        source = upstream.source(tuple(context.args))
    except ModuleNotFoundError as error:
        raise missing(error) from error
    with at.listening() as door, session.open() as log:
        for file in sorted(folder.iterdir()) if folder is not None else []:
            if file.suffix in (".toml", ".json"):
                register(log, load_contract(file), renew=False)
        guard = Guard(log, key=session.signer("agent"))
        issuer = guard.key.public_key
        consents = Approver(log, session.signer_of(approver), issuer=issuer) if approver is not None else None
        asyncio.run(serve_gateway(guard, source, default=default, approver=consents, at=door))


def _refuse_early(context: click.Context) -> None:
    """Refuse an option of the gateway's own that stands before a verb: it would mean nothing there."""
    for option in gateway.params:
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} stands before {context.invoked_subcommand}", ctx=context)


@gateway.command("draft")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="contracts",
    show_default=True,
    metavar="DIR",
    help="Where the drafts go.",
)
@behind
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def draft(session: Session, folder: Path, upstream: Behind, command: tuple[str, ...]) -> None:
    """Draft a contract for each tool of an MCP server.

    COMMAND is started and asked for its tools; none is called. A person reviews what is written: what a server says of
    its own tools is a hint, and where only somebody who knows a tool can say what is true, its draft has REVIEW, which
    "contract add" refuses. A file that is there already stays as it is.

    \b
    Example: invoke-log gateway draft -o contracts -- python bank_server.py
    """
    try:
        from invoke_log.surfaces.mcp_server.contract_draft import list_tools, write_draft

        source = upstream.source(command)
    except ModuleNotFoundError as error:
        raise missing(error) from error
    server, tools = asyncio.run(list_tools(source))
    for tool in tools:
        session.say(write_draft(folder, tool, server))


gateway.add_command(install)
gateway.add_command(uninstall)
install.params.extend(option for option in gateway.params if option.name in WRITTEN)
