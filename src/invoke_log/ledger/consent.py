"""Consent given and withheld: signed by a key with the role of approver. SPEC §9.4 [EFF-5].

No surface that an agent can reach imports this module but the MCP gateway's approver, which is there only where it was
given a key for it. The log takes no consent from who decided or who sends.
"""

from invoke_log.ledger.approval import PendingIntent
from invoke_log.ledger.log import Log
from invoke_log.ledger.submit import append_drawn
from invoke_log.log.signer import Signer
from invoke_log.rules.answer import Answer
from invoke_log.rules.kind import Approval, Denial


def approve(log: Log, intent: bytes | str | PendingIntent, key: Signer) -> Answer:
    """Return the log's answer to an approval of the intent, and of the text that render/1 makes of it.

    Args: intent: its event id, 32 bytes or as it prints; or what an approver was shown of it.
    Raises: NotFoundError: it does not wait for approval. MalformedError: no event id. StoreError.
    """
    found = _found(log, intent)
    return _append(log, found, Approval(intent=found.intent, shown=found.shown), key)


def deny(log: Log, intent: bytes | str | PendingIntent, key: Signer, *, reason: str) -> Answer:
    """Return the log's answer to a denial: accepted, the claim returns to where it came from. Raises as `approve`."""
    found = _found(log, intent)
    return _append(log, found, Denial(intent=found.intent, shown=found.shown, reason=reason), key)


def _found(log: Log, intent: bytes | str | PendingIntent) -> PendingIntent:
    return intent if isinstance(intent, PendingIntent) else log.approval(intent)


def _append(log: Log, found: PendingIntent, data: Approval | Denial, key: Signer) -> Answer:
    log.tick()  # so that an approval's age is counted from now
    return append_drawn(log, data, key, effect=found.effect, resource=found.resource)[1]
