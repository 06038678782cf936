"""Messages signed as Standard Webhooks says (symmetric, v1), by the reference library."""

from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError

from invoke_log.adapter.webhook import Message
from invoke_log.errors import ConfigInvalidError, MessageInvalidError


def verify(raw_body: bytes, headers: Mapping[str, str], secret: str) -> Message:
    """Return a message whose signature checks, not older than five minutes, its id that of the header `webhook-id`.

    Args: raw_body: as it came, not one byte changed. headers: of the request, in any case. secret: `whsec_…`, base64.
    Raises: MessageInvalidError: forged, changed, too old, or not a message. ConfigInvalidError: the secret is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        webhook = Webhook(secret)
    except Exception as error:
        raise ConfigInvalidError(f"webhook secret: {type(error).__name__}, want whsec_ and base64") from error
    try:
        text = raw_body.decode()
        webhook.verify(text, given, json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise MessageInvalidError(f"message: {error}") from error
    return Message.parse(text, message_id=given.get("webhook-id", ""))
