"""`invoke-log gateway`: an MCP server's tools under the guard, for any client, of either protocol era.

A client that loses its answer issues the call again under another request id, as the protocol tells it to. Here the
effect key comes from the arguments: the call that is issued again is told what became of the first, and is not sent.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, cast

from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, InputRequiredResult, TextContent
from pydantic import ValidationError

from invoke_log.errors import (
    ArgumentInvalidError,
    ConfigInvalidError,
    InvokeLogError,
    MessageInvalidError,
    ReadUnclearError,
    StoreError,
)
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed, DefiniteFailure, Ending, NotCommitted, OutcomeUnknown
from invoke_log.guard.tool_call import Call
from invoke_log.rules.answer import Accepted, Duplicate
from invoke_log.rules.contract import Contract
from invoke_log.rules.kind import Note
from invoke_log.surfaces.mcp_server.approver import Approver
from invoke_log.surfaces.mcp_server.person import Asking, Heard, Question, Request, Said, digest_of
from invoke_log.surfaces.mcp_server.relay import Relay
from invoke_log.surfaces.mcp_server.result import error_view, result_of
from invoke_log.surfaces.mcp_server.upstream import CALLED
from invoke_log.surfaces.render import Json, View, json_of, shown, time_of
from invoke_log.surfaces.spelling import parse_object

META: Final = "invoke-log/"
"""How the names of our fields in `_meta` begin, in calls and in results."""
NO_EVENT: Final = bytes(32)
READ: Final = "none"
"""The effect class of a contract for a tool that changes nothing: its calls claim nothing."""
Default = Literal["deny", "observe", "ask"]


class Gateway:
    """The calls of tools; everything else passes in `relay.py`.

    Args:
        default: tools without a contract are refused, called and noted, or called once the person said yes.
        approver: signs what the client's person says where the policy asks; None: nobody is asked there.
    """

    def __init__(self, guard: Guard, relay: Relay, *, default: Default, approver: Approver | None) -> None:
        self._guard = guard
        self._relay = relay
        self._default = default
        self._approver = approver
        self._asking = Asking()
        self._known: dict[str, bytes] = {}
        self._calls: set[asyncio.Task[Ending]] = set()

    async def call_tool(self, request: Request, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        """What became of a call; an error of ours is a result too."""
        governance = self._guard.log.governance
        contract = governance.contracts.get(governance.latest.get(params.name, b""))
        try:
            if contract is None:
                return await self._without_contract(request, params)
            if contract.effect_class == READ:
                if contract.id in governance.withdrawn:  # as where what was taken for a read turned out to write
                    raise _no_contract(params.name, "its contract was withdrawn")
                return await self._pass_on(params)
            return await self._guarded(request, params, contract)
        except InvokeLogError as error:
            return result_of(error_view(error), is_error=True)

    async def settled(self) -> None:
        """Wait until the calls that are out now have ended. Each ends within its contract's timeout."""
        if self._calls:
            await asyncio.wait(set(self._calls))

    async def _guarded(
        self, request: Request, params: CallToolRequestParams, contract: Contract
    ) -> CallToolResult | InputRequiredResult:
        arguments, approver = _arguments_of(params.arguments or {}), self._approver

        async def call() -> Ending:
            if self._known.get(contract.name) != contract.id:
                self._guard.tool(contract)(self._sender(contract.name))
                self._known[contract.name] = contract.id
            return await self._guard.acall(contract.name, arguments)

        if approver is None:
            return result_of_ending(await self._out(call()))
        heard = self._asking.heard(request, params)
        if heard is not None:
            return result_of_ending(await self._out(approver.take(heard, call)))
        ending = await self._out(call())
        question = approver.question(ending)
        if question is None:
            return result_of_ending(ending)
        # The claim waits, and nothing is sent: whoever leaves now, or says nothing, leaves it as it is.
        said = await self._asking.ask(request, params, question)
        if isinstance(said, InputRequiredResult):
            return said
        if said is not None:
            ending = await self._out(approver.take(Heard(about=question.about, said=said), call))
        return result_of_ending(ending)

    async def _out(self, call: Coroutine[Any, Any, Ending]) -> Ending:
        """Run a call as a task of its own: the request may be cancelled, or its client go away, and it goes on to its
        outcome.
        """
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: "asyncio.Task[Ending]") -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # where its client has gone away, nobody else asks for it

    def _sender(self, name: str) -> Callable[..., Any]:
        """Return the coroutine function that the guard calls as the tool: it sends once, and never again."""

        async def send(*, invoke: Call, **arguments: Value) -> Json:
            names = {"effect": invoke.effect_key, "provider-key": invoke.provider_key, "tag": invoke.tag}
            meta = {f"{META}{name}": value for name, value in names.items()}
            sent = {key: json_of(value) for key, value in arguments.items()}
            result = await self._relay.upstream.call(invoke, name, sent, meta)
            if isinstance(result, InputRequiredResult) or result.result_type == "input_required":
                raise DefiniteFailure("input_required")
            if result.result_type != "complete":  # such as "task", of work that goes on
                raise ReadUnclearError(f"the answer is of the type {result.result_type[:40]!r}, want 'complete'")
            if result.is_error:
                raise DefiniteFailure(_failure_of(result))
            return cast("Json", result.model_dump(mode="json", by_alias=True, exclude_unset=True))

        return send

    async def _without_contract(
        self, request: Request, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        name = params.name
        if self._default == "deny":
            raise _no_contract(name)
        if self._default == "observe":
            await self._note(f"a tool without a contract is called through the gateway: {name[:200]}")
            return await self._pass_on(params)
        said = await self._asked(request, params)
        if isinstance(said, InputRequiredResult):
            return said
        if said.yes is not True:
            return _not_called(name, said)
        yes = f"a tool without a contract is called through the gateway, after its person said yes: {name[:200]}"
        # Crash here, or after the note: whether it was called is not known, and nothing stops the next call.
        await self._note(f"{yes}, arguments {digest_of(params)}, call {secrets.token_hex(8)}")
        result = await self._pass_on(params.model_copy(update={"input_responses": None, "request_state": None}))
        if isinstance(result, InputRequiredResult):
            raise ConfigInvalidError(
                f"tool {name!r} was called, and asks for input of its own: what it has done is not known",
                hint="that is passed on with --default observe, or under a contract for reads",
            )
        return result

    async def _asked(self, request: Request, params: CallToolRequestParams) -> Said | InputRequiredResult:
        """What the person says of a call that nothing will stop from happening twice; each yes is for one call."""
        heard = self._asking.heard(request, params)
        if heard is not None and (heard.used or heard.about):
            raise MessageInvalidError(
                "request state: its answer is used, or for another question; nothing was sent",
                hint="make the call again without a state, and the person is asked again",
            )
        if heard is not None:
            return heard.said
        said = await self._asking.ask(request, params, Question(text=_words(params), about={}))
        if said is None:
            raise _no_contract(params.name, "this client cannot ask its person")
        return said

    async def _pass_on(self, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        sent = params.model_copy(update={"meta": _without_ours(params.meta)})
        result = await self._relay.ask(CallToolRequest(params=sent), CALLED)
        return result.model_copy(update={"meta": _without_ours(result.meta) or None})

    async def _note(self, text: str) -> None:
        """Put on record that a tool is called without a contract. Raises StoreError: it is not, and not called."""
        log = self._guard.log
        note = Note(about=NO_EVENT, text=text)
        answer = await log.aappend(log.draft(note, self._guard.key, effect=NO_EVENT, resource="mcp"))
        # Two calls in one millisecond are one note.
        if not isinstance(answer, Accepted | Duplicate):
            raise StoreError(f"its note is not on the log, and it was not called: {answer}")


def result_of_ending(ending: Ending) -> CallToolResult:
    """Return what a client is told of a call's end: the tool's own result, or an error that says what to do next."""
    if isinstance(ending, Committed):
        result = _tool_result(ending.value)
        ours = {
            f"{META}effect": ending.effect_key,
            f"{META}fresh": ending.fresh,
            f"{META}receipt": f"invoke://receipts/{ending.effect_key}",
        }
        return result.model_copy(update={"meta": {**_without_ours(result.meta), **ours}})
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
        after = f"; next: {ending.next}" if ending.next else ""
        nothing = "Nothing happened" if isinstance(ending, NotCommitted) else "Nothing was sent"
        text += f"\n{nothing} by this call{after}. {ending.effect_key}"
    return result_of(View(fields=fields, text=text), is_error=True)


def _without_ours(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """`_meta` without our fields: nobody but the gateway says what they say."""
    return {name: value for name, value in (meta or {}).items() if not name.startswith(META)}


def _tool_result(value: object) -> CallToolResult:
    """A recorded value as a result. A tool that was called without a gateway recorded what it returned, which may look
    like one and be none, or say of what is committed that it failed.
    """
    if isinstance(value, dict) and isinstance(value.get("content"), list):
        with suppress(ValidationError):
            result = CallToolResult.model_validate(value)
            if result.result_type == "complete" and not result.is_error:
                return result
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


def _no_contract(name: str, why: str = "") -> ConfigInvalidError:
    return ConfigInvalidError(
        f"tool {name!r} has no contract, and was not called{f': {why}' if why else ''}",
        hint=f'an admin writes one named {name!r} and runs "invoke-log contract add FILE"; effect_class "none" for a '
        "tool that only reads; or the gateway is started with --default observe",
    )


def _words(params: CallToolRequestParams) -> str:
    """What a person is shown of a call without a contract. JSON in ASCII: no text breaks out of its quotes or line."""
    lines = [
        "invoke-log gateway",
        f"tool: {json.dumps(params.name)}",
        "has no contract: nothing will stop it from happening twice",
        "arguments (text in quotes was written by the agent or its sources, and is not to be trusted):",
        *(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted((params.arguments or {}).items())),
    ]
    return "\n".join(lines) + "\n"


def _not_called(name: str, said: Said) -> CallToolResult:
    code, why = ("approval-pending", "nobody answered") if said.yes is None else ("denied", "the person said no")
    reason = f": {said.reason}" if said.reason else ""
    message = f"tool {name!r} has no contract, and was not called: {why}{reason}"
    fields: Json = {"code": code, "message": message, "hint": None}
    return result_of(View(fields=fields, text=f"error: {shown(message)}"), is_error=True)
