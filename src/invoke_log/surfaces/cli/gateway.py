"""`gateway`: an MCP server's tools under contracts."""

import asyncio
from pathlib import Path

import click

from invoke_log.guard.guard import Guard
from invoke_log.guard.registry import load_contract, register
from invoke_log.surfaces.cli.mcp import missing
from invoke_log.surfaces.cli.reach import Behind, Reached, behind, reached
from invoke_log.surfaces.cli.session import Session, Verb


@click.command("gateway", cls=Verb)
@click.option(
    "--contracts",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Contract files to register first, where the admin key lies beside the log.",
)
@click.option(
    "--default",
    type=click.Choice(("deny", "observe")),
    default="deny",
    show_default=True,
    help="Tools without a contract: refused, or called and noted.",
)
@behind
@reached
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def gateway(
    session: Session, folder: Path | None, default: str, upstream: Behind, at: Reached, command: tuple[str, ...]
) -> None:
    """Run an MCP server, and put its tools under contracts, for any MCP client.

    COMMAND is what the client ran so far. A tool is under the contract of its name: each call passes contract, policy,
    approval, START and outcome. A call that is issued again is told what became of the first, and is not sent. What
    got no answer is unknown, and blocked until it is settled. The agent key beside the log signs, or --key. Everything
    else of the server passes as it is.

    \b
    Example: invoke-log gateway --log payments -- python bank_server.py
    """
    try:
        from invoke_log.surfaces.mcp_server.serving import serve_gateway

        source = upstream.source(command)
    except ModuleNotFoundError as error:
        raise missing(error) from error
    with at.listening() as door, session.open() as log:
        for file in sorted(folder.iterdir()) if folder is not None else []:
            if file.suffix in (".toml", ".json"):
                register(log, load_contract(file), renew=False)
        guard = Guard(log, key=session.signer("agent"))
        asyncio.run(serve_gateway(guard, source, observes=default == "observe", at=door))
