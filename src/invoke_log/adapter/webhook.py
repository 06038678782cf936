"""A message from a provider whose signature was checked."""

import json
from dataclasses import dataclass
from typing import Any, Self

from invoke_log.errors import MessageInvalidError


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a provider said, authentically.

    id: the same for each delivery of one message. event: what it says happened, such as `payment_intent.succeeded`.
    body: the whole message, a JSON object; where our tag stands in it, its provider says.
    """

    id: str
    event: str
    body: dict[str, Any]

    @classmethod
    def parse(cls, text: str, *, id_field: str | None = None, message_id: str = "") -> Self:
        """Return the message in a JSON text, its id from a field or given. Raises MessageInvalidError."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MessageInvalidError(f"message: {error}") from error
        named = body.get("type") if isinstance(body, dict) else None
        found = body.get(id_field) if isinstance(body, dict) and id_field is not None else message_id
        if not isinstance(named, str) or not isinstance(found, str) or not found:
            raise MessageInvalidError("message: want a JSON object with a type, and an id")
        return cls(id=found, event=named, body=body)
