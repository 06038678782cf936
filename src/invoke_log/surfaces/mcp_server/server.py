"""`invoke-log mcp`: a log as an MCP server, for clients of either protocol era."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import ToolAnnotations

from invoke_log.errors import InvokeLogError, NotFoundError
from invoke_log.format import digest
from invoke_log.ledger.log import Log
from invoke_log.surfaces import query
from invoke_log.surfaces.mcp_server.tools import Tools
from invoke_log.surfaces.render import View, contract_view, pending_view

READS: Final = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
PROPOSES: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
INSTRUCTIONS: Final = """\
The record of what agents meant to do, were allowed to do and did. Before you call a tool again, ask effect_status: an \
effect that is started or unknown may have happened, and must not be sent again. `next` says what to do: wait, poll, \
reconcile, attest (a person has to), receipt (it is done) or decide_again. Nothing here approves, attests or grants."""


def make_server(tools: Tools) -> MCPServer:
    """Return the server of a log."""
    server = MCPServer("invoke-log", instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in tools.reading():
        server.add_tool(tool, annotations=READS)
    if tools.proposes:
        server.add_tool(tools.propose, annotations=PROPOSES)
    _add_resources(server, tools.log)
    return server


def _add_resources(server: MCPServer, log: Log) -> None:
    @server.resource("invoke://effects/{key}", mime_type="application/json")
    def effect(key: str) -> str:
        """An effect: how it stands, its events, and what to do next."""
        with _asked():
            return query.status_of(log, digest.parse_id(key, "eff")).json

    @server.resource("invoke://receipts/{key}", mime_type="application/cbor")
    def receipt(key: str) -> bytes:
        """The receipt of an effect as it stands, to be checked offline."""
        with _asked():
            return log.receipt(key)

    @server.resource("invoke://contracts/{name}", mime_type="application/json")
    def contract(name: str) -> str:
        """A contract in full, by its name or ctr_ id."""
        with _asked():
            governance = log.governance
            return contract_view(query.find_contract(governance, name), governance, full=True).json

    @server.resource("invoke://approvals", mime_type="application/json")
    def approvals() -> str:
        """The intents that wait for a person's approval."""
        with _asked():
            found = [dict(pending_view(each).fields) for each in log.approvals()]
            return View(fields={"approvals": found}, text="").json


@contextmanager
def _asked() -> Iterator[None]:
    """Let what goes wrong reach the client with its code; the protocol tells what is not there apart."""
    try:
        yield
    except NotFoundError as error:
        raise ResourceNotFoundError(f"{error.code}: {error.message}") from error
    except InvokeLogError as error:
        raise ResourceError(f"{error.code}: {error.message}") from error
