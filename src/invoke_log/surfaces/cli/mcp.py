"""`mcp`: the log as an MCP server."""

import click

from invoke_log.errors import ConfigInvalidError
from invoke_log.log.home import signer_beside
from invoke_log.surfaces.cli.reach import Reached, reached
from invoke_log.surfaces.cli.session import Session, Verb


@click.command("mcp", cls=Verb)
@reached
@click.pass_obj
def mcp(session: Session, at: Reached) -> None:
    """Serve the log to agents over MCP, on stdin and stdout, or by HTTP.

    Tools and resources that read: effects, receipts, contracts, what waits for approval, policy simulation, replay.
    With --key, or INVOKE_LOG_KEY, of a key that is granted agent there is also a tool that proposes: it appends
    intents and sends nothing. None approves, attests or grants.

    \b
    Example: invoke-log mcp --log payments
    """
    try:
        from invoke_log.surfaces.mcp_server.serving import serve
        from invoke_log.surfaces.mcp_server.tools import Tools
    except ModuleNotFoundError as error:
        raise missing(error) from error
    with at.listening() as door, session.open() as log:
        if session.key is not None:
            serve(Tools(log=log, signer=session.signer("agent"), proposes=True), at=door)
        else:
            serve(Tools(log=log, signer=signer_beside(log.path, "agent"), proposes=False), at=door)


def missing(error: ModuleNotFoundError) -> ConfigInvalidError:
    """Return what is said where the MCP SDK is not installed."""
    return ConfigInvalidError(f"MCP wants a package that is not here: {error}", hint='pip install "invoke-log[mcp]"')
