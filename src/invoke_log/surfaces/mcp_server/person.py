"""What the gateway asks the person behind its client, and what comes back: by elicitation, in either protocol era.

Before 2026-07-28 the question is a request to the client, which waits for it. Since then the question is the answer to
the call, and the client makes the call again, with what its person said and a state that it got from us. That state is
nothing that a client can make, change, use for another call or use twice; under a key that dies with this process.

Whether a person was asked at all, and said so, is the client's word.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.request_state import InvalidRequestState, RequestStateSecurity, authenticated_principal
from mcp.types import (
    CallToolRequestParams,
    ClientCapabilities,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    Result,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from invoke_log.errors import MessageInvalidError
from invoke_log.format.digest import attachment_digest
from invoke_log.guard.tool_call import CLOCK

ASK_S_MAX: Final = 600.0
"""Seconds that a question stands: as long as a person may take over a form, and a state may be kept for."""
PERSON: Final = "person"
"""Our name for the question among the inputs that a client is asked for."""
REASON_CHARS_MAX: Final = 1_000
FORM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve"},
        "reason": {
            "type": "string",
            "title": "Why not",
            "description": "Stays on the log with a no.",
            "maxLength": REASON_CHARS_MAX,
        },
    },
    "required": ["approve"],
}
Request = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """text: what the person is shown. about: what an answer is bound to, beside tool and arguments. stands_s: seconds
    that it stands, at most `ASK_S_MAX`.
    """

    text: str
    about: Mapping[str, str]
    stands_s: float = ASK_S_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the client says that its person said. yes: None where they said neither yes nor no."""

    yes: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The answer to a question of ours. used: it came before, and was taken then."""

    about: Mapping[str, str]
    said: Said
    used: bool = False


class Asking:
    """Asks, and takes each answer once. Used by the tasks of one event loop."""

    def __init__(self) -> None:
        self._codec = RequestStateSecurity.ephemeral().codec
        self._used: dict[str, float] = {}

    async def ask(
        self, request: Request, params: CallToolRequestParams, question: Question
    ) -> Said | InputRequiredResult | None:
        """Return what was said, or the result with which the client is asked; None: it cannot ask anybody."""
        if not _asks(request.session.client_capabilities):
            return None
        stands_s = min(question.stands_s, ASK_S_MAX)
        if request.protocol_version in MODERN_PROTOCOL_VERSIONS:
            form = ElicitRequestFormParams(message=question.text, requested_schema=FORM)
            state = self._seal(request, params, question.about, until=_now() + stands_s)
            return InputRequiredResult(input_requests={PERSON: ElicitRequest(params=form)}, request_state=state)
        try:
            async with asyncio.timeout(stands_s):
                return _said(await request.session.elicit_form(question.text, FORM, request.request_id))
        except (MCPError, TimeoutError, ValueError):  # it refused, it went away, nobody answered, or with no answer
            return Said(yes=None)

    def heard(self, request: Request, params: CallToolRequestParams) -> Heard | None:
        """Return the answer that a call brings to a question of ours; None: it brings none.

        From then on it counts as used. Raises MessageInvalidError: the state is none of ours, is for another call or
        another client, or is too old.
        """
        if params.request_state is None:
            return None
        claims = self._open(params.request_state)
        if claims["for"] != _names(request, params):
            raise _invalid("is for another call", "an edited call is another decision")
        if _now() >= claims["until"]:
            raise _invalid("is too old", "nobody answered in time")
        response = (params.input_responses or {}).get(PERSON)
        if response is None:
            return None
        self._used = {nonce: until for nonce, until in self._used.items() if until > _now()}
        used = claims["nonce"] in self._used
        self._used[claims["nonce"]] = claims["until"]
        return Heard(about=claims["about"], said=_said(response), used=used)

    def _seal(self, request: Request, params: CallToolRequestParams, about: Mapping[str, str], *, until: float) -> str:
        names = _names(request, params)
        claims = {"for": names, "about": dict(about), "until": until, "nonce": secrets.token_hex(16)}
        return self._codec.seal(json.dumps(claims).encode())

    def _open(self, state: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = json.loads(self._codec.unseal(state))
        except InvalidRequestState as error:
            raise _invalid(
                "is none that this gateway made", "it was changed, or the gateway was started anew"
            ) from error
        return claims


def digest_of(params: CallToolRequestParams) -> str:
    """Return the digest of a call's arguments, as lower-case hex."""
    return attachment_digest(json.dumps(params.arguments or {}, sort_keys=True).encode()).hex()


def _names(request: Request, params: CallToolRequestParams) -> list[str | None]:
    """The one call that a state is for: the tool, its arguments, and who calls where the transport knows."""
    return [params.name, digest_of(params), authenticated_principal(request)]


def _asks(capabilities: ClientCapabilities | None) -> bool:
    """Whether a client shows forms. One that names no mode is of a time when there was no other."""
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _said(response: Result) -> Said:
    if not isinstance(response, ElicitResult):
        return Said(yes=None)
    if response.action == "decline":
        return Said(yes=False)
    content = response.content or {}
    approve, reason = content.get("approve"), content.get("reason")
    if response.action != "accept" or not isinstance(approve, bool):
        return Said(yes=None)
    return Said(yes=approve, reason=reason if isinstance(reason, str) else "")


def _invalid(what: str, why: str) -> MessageInvalidError:
    return MessageInvalidError(
        f"request state: it {what}; nothing was approved or sent",
        hint=f"{why}: make the call again without a state, and the person is asked again",
    )


def _now() -> float:
    """Seconds on a clock that nobody sets."""
    return time.clock_gettime(CLOCK)
