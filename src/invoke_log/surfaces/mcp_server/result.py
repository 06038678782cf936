"""From views and errors to what the protocol carries."""

import functools
from collections.abc import Callable
from typing import ParamSpec

from mcp.types import CallToolResult, TextContent

from invoke_log.errors import InvokeLogError
from invoke_log.surfaces.render import Json, View, shown

_Parameters = ParamSpec("_Parameters")


def result_of(view: View, *, is_error: bool = False) -> CallToolResult:
    """Return a view as a tool's result: its text for whoever reads, its object for programs."""
    content = [TextContent(type="text", text=view.text)]
    return CallToolResult(content=list(content), structured_content={"v": 1, **view.fields}, is_error=is_error)


def error_view(error: InvokeLogError) -> View:
    """Return an error: its stable code, where and what, and what to do about it."""
    fields: Json = {"code": error.code, "message": error.message, "hint": error.hint}
    advice = f"\nhint: {shown(error.hint)}" if error.hint is not None else ""
    return View(fields=fields, text=f"error: {shown(error.message)}{advice}")


def answering(tool: "Callable[_Parameters, CallToolResult]") -> "Callable[_Parameters, CallToolResult]":
    """Return a tool whose errors are results too: with their code, and what to do about it."""

    @functools.wraps(tool)
    def answer(*positional: _Parameters.args, **named: _Parameters.kwargs) -> CallToolResult:
        try:
            return tool(*positional, **named)
        except InvokeLogError as error:
            return result_of(error_view(error), is_error=True)

    return answer
