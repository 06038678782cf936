"""The exception tree, and the stable code of each.

An exception here means one of three things: the caller broke a rule, the bytes lie, or the outside is down. Expected
answers (a duplicate, a blocked retry, an unknown outcome) are values, not exceptions. This module imports nothing of
ours.
"""

from typing import ClassVar


class InvokeLogError(Exception):
    """Base of every exception that this package raises.

    Args:
        message: where, what was found, what was wanted; lower case, no full stop, never a secret.
        hint: what to do next, or None.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class MalformedError(InvokeLogError):
    """Bytes or text that are not the one accepted spelling of a value."""

    code = "malformed"


class CutError(MalformedError):
    """A bundle that ends before its trailer: a missing or empty trailer, or an empty file."""

    code = "cut"


class KeyInvalidError(InvokeLogError):
    """A public key that fails the KEY rule, or a key file that does not hold a seed."""

    code = "key-invalid"


class KeyLockedError(InvokeLogError):
    """A key file that is locked, and no passphrase that opens it."""

    code = "key-locked"


class SignatureInvalidError(InvokeLogError):
    """A signature that does not verify under the key that it names."""

    code = "signature-invalid"


class ProofInvalidError(InvokeLogError):
    """An inclusion or consistency proof that does not lead to the root it is checked against."""

    code = "proof-invalid"


class ReceiptInvalidError(InvokeLogError):
    """A receipt whose parts do not support what it says."""

    code = "receipt-invalid"


class ContractInvalidError(InvokeLogError):
    """A tool contract that is not well formed, or that promises what cannot work."""

    code = "contract-invalid"


class PolicyInvalidError(InvokeLogError):
    """A policy that is not well formed. A policy that errs while it judges is a deny, never this."""

    code = "policy-invalid"


class ArgumentInvalidError(InvokeLogError):
    """Call arguments that the contract does not accept: missing, extra, of another type, or out of bounds."""

    code = "argument-invalid"


class SnapshotInvalidError(InvokeLogError):
    """A snapshot that is not in its profile's normal form and cannot be brought into it without loss."""

    code = "snapshot-invalid"


class MessageInvalidError(InvokeLogError):
    """A provider's message, or a client's answer, that is forged, changed, too old or none. Nothing follows from it."""

    code = "message-invalid"


class ReadUnclearError(InvokeLogError):
    """A read at a provider that shows neither that an effect happened nor that it did not."""

    code = "read-unclear"


class ConfigInvalidError(InvokeLogError):
    """A setting or an option with no usable value."""

    code = "config-invalid"


class NotFoundError(InvokeLogError):
    """No log, event, effect or contract under that name."""

    code = "not-found"


class StoreError(InvokeLogError):
    """The store cannot answer. Base of the store's faults; safe to ask again unless a subclass says otherwise."""

    code = "store-unavailable"


class StoreExistsError(StoreError):
    """`create` was asked for a place where something already is."""

    code = "store-exists"


class StoreFormatError(StoreError):
    """The directory is half-created, damaged beyond opening, or of a format that this release does not read."""

    code = "store-format"


class StoreReadOnlyError(StoreError):
    """The store can be read and cannot be written."""

    code = "store-read-only"


class StoreFullError(StoreError):
    """No space is left. Nothing of the refused append was stored."""

    code = "store-full"


class StoreBusyError(StoreError):
    """This process has the same log open already, or was forked while it was in use."""

    code = "store-busy"


class StoreDamagedError(StoreError):
    """Stored bytes that do not hash to what the tree says."""

    code = "store-damaged"


class CommitUncertainError(StoreError):
    """A commit reported an error: the entries may or may not be durable. Append the same bytes again."""

    code = "commit-uncertain"


class LogHaltedError(StoreError):
    """A commit failed and the log has not yet re-verified itself; it takes no append until it has."""

    code = "log-halted"
