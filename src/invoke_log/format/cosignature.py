"""Witness cosignatures over a checkpoint, C2SP cosignature/v1 with Ed25519. SPEC [COSIG-1] to [COSIG-3].

A cosignature says: at that time, this was the largest consistent tree of this log that the witness had seen. It does
not sign the witness's name, so one public key belongs to one witness. Source: c2sp.org/tlog-cosignature.
"""

from dataclasses import dataclass
from typing import Final

from invoke_log.errors import KeyInvalidError, MalformedError, SignatureInvalidError
from invoke_log.format import keys
from invoke_log.format.keys import VerifierKey
from invoke_log.format.note import NoteSignature

PAYLOAD_BYTES: Final = 8 + keys.SIGNATURE_BYTES
"""Of a cosignature's line after the key id: the time, then the Ed25519 signature."""
TIME_S_MAX: Final = 2**63 - 1
"""The largest POSIX time that tlog-cosignature allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """A cosignature that verified; `open_cosignature` makes the only ones.

    name: the witness's. key_id: 4 bytes. time_s: POSIX seconds, the witness's claim, on no clock of ours.
    """

    name: str
    key_id: bytes
    time_s: int


def check_witness_key(key: VerifierKey) -> None:
    """Return for a key that cosigns. Raises KeyInvalidError for one of another type, which no cosignature can be by."""
    if key.key_type != keys.WITNESS_KEY:
        raise KeyInvalidError(f"witness key {key.name!r}: type is {key.key_type:#04x}, want {keys.WITNESS_KEY:#04x}")


def cosigned_bytes(text: str, time_s: int) -> bytes:
    """Return the message that a witness signs: two lines, then the whole text of the checkpoint [COSIG-1]."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def open_cosignature(signature: NoteSignature, text: str, key: VerifierKey) -> Cosignature:
    """Return the cosignature of a line under a checkpoint's text, checked under the key that it names [COSIG-2].

    Raises: KeyInvalidError: the key is no cosignature/v1 key. MalformedError: the line has another length, or a time
        past 2**63 - 1. SignatureInvalidError: it names another key, or does not verify.
    """
    check_witness_key(key)
    if len(signature.payload) != PAYLOAD_BYTES:
        raise MalformedError(f"cosignature by {signature.name!r}: {len(signature.payload)} bytes, want {PAYLOAD_BYTES}")
    time_s = int.from_bytes(signature.payload[:8], "big")
    if time_s > TIME_S_MAX:
        raise MalformedError(f"cosignature by {signature.name!r}: time is {time_s}, want at most 2**63 - 1")
    named = (signature.name, signature.key_id) == (key.name, key.key_id)
    if not (named and keys.verify(key.public_key, cosigned_bytes(text, time_s), signature.payload[8:])):
        raise SignatureInvalidError(f"cosignature by {signature.name!r}: does not verify under witness {key.name!r}")
    return Cosignature(name=key.name, key_id=key.key_id, time_s=time_s)
