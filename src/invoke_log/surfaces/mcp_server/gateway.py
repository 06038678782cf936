"""`invoke-log gateway`: an MCP server's tools under the guard, for any client, of either protocol era.

A client that loses its answer issues the call again under another request id, as the protocol tells it to. Here the
effect key comes from the arguments: the call that is issued again is told what became of the first, and is not sent.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, cast

from mcp.server.context import ServerRequestContext
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, InputRequiredResult, TextContent

from invoke_log.errors import ArgumentInvalidError, ConfigInvalidError, InvokeLogError, StoreError
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed, DefiniteFailure, Ending, OutcomeUnknown
from invoke_log.guard.tool_call import Call
from invoke_log.rules.answer import Accepted
from invoke_log.rules.contract import Contract
from invoke_log.rules.kind import Note
from invoke_log.surfaces.mcp_server.relay import Relay
from invoke_log.surfaces.mcp_server.result import error_view, result_of
from invoke_log.surfaces.mcp_server.upstream import CALLED
from invoke_log.surfaces.render import Json, View, json_of, time_of
from invoke_log.surfaces.spelling import parse_object

META: Final = "invoke-log/"
"""How the names of our fields in `_meta` begin, in calls and in results."""
NO_EVENT: Final = bytes(32)
READ: Final = "none"
"""The effect class of a contract for a tool that changes nothing: its calls claim nothing."""
Request = ServerRequestContext[Any, Any]


class Gateway:
    """The calls of tools; everything else passes in `relay.py`."""

    def __init__(self, guard: Guard, relay: Relay, *, observes: bool) -> None:
        self._guard = guard
        self._relay = relay
        self._observes = observes
        self._known: dict[str, bytes] = {}
        self._calls: set[asyncio.Task[CallToolResult]] = set()

    async def call_tool(self, request: Request, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        """What became of a call; an error of ours is a result too."""
        governance = self._guard.log.governance
        contract = governance.contracts.get(governance.latest.get(params.name, b""))
        if contract is None or contract.effect_class == READ:
            return await self._without_contract(params, declared=contract is not None)
        # A task of its own: the request may be cancelled, or its client go away, and the call goes on to its outcome.
        call = asyncio.create_task(self._guarded(contract, params.arguments or {}))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await asyncio.shield(call)

    async def settled(self) -> None:
        """Wait until the calls that are out now have ended. Each ends within its contract's timeout."""
        if self._calls:
            await asyncio.wait(set(self._calls))

    async def _guarded(self, contract: Contract, arguments: dict[str, Any]) -> CallToolResult:
        name = contract.name
        try:
            if self._known.get(name) != contract.id:
                self._guard.tool(contract)(self._sender(name))
                self._known[name] = contract.id
            return result_of_ending(await self._guard.acall(name, _arguments_of(arguments)))
        except InvokeLogError as error:
            return result_of(error_view(error), is_error=True)

    def _sender(self, name: str) -> Callable[..., Any]:
        """Return the coroutine function that the guard calls as the tool: it sends once, and never again."""

        async def send(*, invoke: Call, **arguments: Value) -> Json:
            names = {"effect": invoke.effect_key, "provider-key": invoke.provider_key, "tag": invoke.tag}
            meta = {f"{META}{name}": value for name, value in names.items()}
            sent = {key: json_of(value) for key, value in arguments.items()}
            result = await self._relay.upstream.call(invoke, name, sent, meta)
            if isinstance(result, InputRequiredResult):
                raise DefiniteFailure("input_required")
            if result.is_error:
                raise DefiniteFailure(_failure_of(result))
            return cast("Json", result.model_dump(mode="json", by_alias=True, exclude_unset=True))

        return send

    async def _without_contract(
        self, params: CallToolRequestParams, *, declared: bool
    ) -> CallToolResult | InputRequiredResult:
        if not declared and not self._observes:
            return result_of(error_view(_no_contract(params.name)), is_error=True)
        try:
            if not declared:
                await self._note(params.name)
        except InvokeLogError as error:
            return result_of(error_view(error), is_error=True)
        result: CallToolResult | InputRequiredResult = await self._relay.ask(CallToolRequest(params=params), CALLED)
        return result

    async def _note(self, name: str) -> None:
        """Put on record that a tool is called without a contract. Raises StoreError: it is not, and not called."""
        log = self._guard.log
        note = Note(about=NO_EVENT, text=f"a tool without a contract is called through the gateway: {name[:200]}")
        answer = await log.aappend(log.draft(note, self._guard.key, effect=NO_EVENT, resource="mcp"))
        if not isinstance(answer, Accepted):
            raise StoreError(f"{name}: its note is not on the log, and it was not called: {answer}")


def result_of_ending(ending: Ending) -> CallToolResult:
    """Return what a client is told of a call's end: the tool's own result, or an error that says what to do next."""
    if isinstance(ending, Committed):
        result = _tool_result(ending.value)
        ours = {
            f"{META}effect": ending.effect_key,
            f"{META}fresh": ending.fresh,
            f"{META}receipt": f"invoke://receipts/{ending.effect_key}",
        }
        return result.model_copy(update={"meta": {**(result.meta or {}), **ours}})
    not_before = ending.not_before if isinstance(ending, OutcomeUnknown) else None
    view = error_view(ending)
    fields: Json = {
        **view.fields,
        "effect_key": ending.effect_key,
        "status": ending.status,
        "by": ending.by,
        "next": ending.next,
        "not_before_ms": not_before,
    }
    text = view.text
    if isinstance(ending, OutcomeUnknown):
        until = f", not before {time_of(not_before)}" if not_before is not None else ""
        text += f"\nIt may have happened. Do not call it again; next: {ending.next}{until}. {ending.effect_key}"
    else:
        text += f"\nNothing was sent by this call; next: {ending.next}. {ending.effect_key}"
    return result_of(View(fields=fields, text=text), is_error=True)


def _tool_result(value: object) -> CallToolResult:
    """A recorded value as a result: a tool that was called without a gateway recorded what it returned."""
    if isinstance(value, dict) and isinstance(value.get("content"), list):
        return CallToolResult.model_validate(value)
    return result_of(View(fields={"result": value}, text=json.dumps(value)))


def _arguments_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as contracts have them. Raises ArgumentInvalidError: JSON that has no one spelling, as a float."""
    try:
        return dict(parse_object(json.dumps(arguments).encode()))
    except InvokeLogError as error:
        raise ArgumentInvalidError(f"arguments: {error.message}") from error


def _failure_of(result: CallToolResult) -> str:
    """The word for an error that a contract may list: `code` of the structured content, else all of its text."""
    structured = result.structured_content
    if isinstance(structured, dict) and "code" in structured:
        return str(structured["code"])
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def _no_contract(name: str) -> ConfigInvalidError:
    return ConfigInvalidError(
        f"tool {name!r} has no contract, and was not called",
        hint=f'an admin writes one named {name!r} and runs "invoke-log contract add FILE"; effect_class "none" for a '
        "tool that only reads; or the gateway is started with --default observe",
    )
