"""A client's request, for as long as it is being answered: what the server behind says meanwhile goes to its client."""

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import anyio
from mcp.server.session import ServerSession
from mcp.types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    LoggingLevel,
    LoggingMessageNotification,
    ProgressNotification,
    ProgressNotificationParams,
    ProgressToken,
    RequestId,
    RequestParamsMeta,
    ServerNotification,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

LEVELS: Final[tuple[LoggingLevel, ...]] = get_args(LoggingLevel)
"""From debug to emergency."""
OF_ONE_HOP: Final = frozenset(
    ("progress_token", PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY)
)
"""What in `_meta` speaks of the connection that it came by: the next connection says its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """token: what the client wants progress under. level: the lowest of log messages that it wants."""

    session: ServerSession
    request_id: RequestId
    token: ProgressToken | None
    level: LoggingLevel | None

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Tell the client how far the request is. It may be gone: that changes nothing."""
        if self.token is not None:
            params = ProgressNotificationParams(
                progress_token=self.token, progress=progress, total=total, message=message
            )
            await self._say(ProgressNotification(params=params))

    async def log(self, message: LoggingMessageNotification) -> None:
        """Pass a log message on, where its client asked for its level; in the handshake era, where it set no other."""
        handshake = self.session.protocol_version not in MODERN_PROTOCOL_VERSIONS
        if (handshake and self.level is None) or wants(self.level, message):
            await self._say(message)

    async def _say(self, notification: ServerNotification) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self.session.send_notification(notification, related_request_id=self.request_id)


ASKED: Final[ContextVar[Asked | None]] = ContextVar("asked", default=None)
"""The request in whose task, or on whose behalf, this code runs."""


def wants(level: LoggingLevel | None, message: LoggingMessageNotification) -> bool:
    """Return whether a message is at a level, or above it; None wants nothing."""
    return level is not None and LEVELS.index(message.params.level) >= LEVELS.index(level)


def forwarded(meta: Mapping[str, Any] | None) -> RequestParamsMeta:
    """Return `_meta` as it goes on to the server behind, with the level of log messages that the client asked for."""
    asked = ASKED.get()
    level = {LOG_LEVEL_META_KEY: asked.level} if asked is not None and asked.level is not None else {}
    kept = {name: value for name, value in (meta or {}).items() if name not in OF_ONE_HOP}
    return cast("RequestParamsMeta", {**level, **kept})
