"""One event as it is signed, stored and hashed into the tree. SPEC §5.3 [ENV-1] to [ENV-7].

A store keeps `body` and a 64-byte signature. The entry is composed from them: byte for byte a tagged COSE_Sign1 (RFC
9052) with an empty unprotected header, whose protected header is a pure function of the body. There is no choice of
algorithm.
"""

import base64
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from invoke_log.errors import MalformedError, SignatureInvalidError
from invoke_log.format import cbor, keys, limits

SIGNATURE_BYTES: Final = 64
GENESIS_LOG: Final = bytes(32)
CONTENT_TYPE: Final = "application/vnd.invoke-log.event+cbor"
ISSUER_URN: Final = "urn:ietf:params:oauth:ckt:sha-256:"

# {1: -8, 3: content type, 4: kid, 15: {1: issuer, 2: subject}} in deterministic order. Every part has one fixed length,
# so the header is a constant with three holes; integer keys are COSE's, which IL1 does not have.
_HEADER_ALG_AND_TYPE: Final = b"\xa4\x01\x27\x03\x78\x25" + CONTENT_TYPE.encode()
_HEADER_KID: Final = b"\x04\x58\x20"
_HEADER_CLAIMS_ISSUER: Final = b"\x0f\xa2\x01\x78\x4d"
_HEADER_SUBJECT: Final = b"\x02\x78\x44"

_SIG_STRUCTURE: Final = b"\x84\x6aSignature1"
_NO_EXTERNAL_DATA: Final = b"\x40"
_SIGN1: Final = b"\xd2\x84"
_HEADER_HEAD: Final = b"\x58\xe7"
_NO_UNPROTECTED_HEADER: Final = b"\xa0"
_SIGNATURE_HEAD: Final = b"\x58\x40"


class SignsMessages(Protocol):
    """Whoever holds a private key: `sign` returns 64 bytes that verify under `public_key` [SIG-1]."""

    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


class Envelope(NamedTuple):
    """A decoded body and the signature that came with it; `open_envelope` makes the only verified ones.

    body: canonical bytes, at most 64,000. signature: 64 bytes. fields: the body decoded, at least `by`, `log` and, for
    an event of an effect, `effect`, each 32 bytes.
    """

    body: bytes
    signature: bytes
    fields: dict[str, cbor.Value]

    @property
    def entry(self) -> bytes:
        """The COSE_Sign1 bytes that the tree hashes [ENV-7]."""
        return compose_entry(self.fields, self.body, self.signature)


def decode_body(body: bytes) -> dict[str, cbor.Value]:
    """Return a body's fields, with what the header needs checked [ENV-1].

    Raises: MalformedError: more than 64,000 bytes, not IL1, not a map, or `by`, `log`, `effect` not 32 bytes.
    """
    fields = cbor.decode(body, bytes_max=limits.BODY_BYTES_MAX)
    if type(fields) is not dict:
        raise MalformedError(f"body: found {type(fields).__name__}, want a map")
    for name in ("by", "log", "effect"):
        value = fields.get(name, GENESIS_LOG if name == "effect" else None)
        if type(value) is not bytes or len(value) != 32:
            raise MalformedError(f"body: $.{name} is not a 32-byte string")
    return fields


def protected_header(fields: dict[str, cbor.Value]) -> bytes:
    """Return the COSE protected header of a body: a pure function of `by` and of `effect`, else `log` [ENV-5].

    Always 231 bytes. The subject of genesis is `log_` and 64 zeros.
    """
    by, log, effect = fields["by"], fields["log"], fields.get("effect")
    assert isinstance(by, bytes)
    assert isinstance(log, bytes)
    return _header(by, "eff_", effect) if isinstance(effect, bytes) else _header(by, "log_", log)


def signed_bytes(fields: dict[str, cbor.Value], body: bytes) -> bytes:
    """Return the COSE Sig_structure that the issuer signs (RFC 9052 §4.4) [ENV-6]."""
    return b"".join(
        (_SIG_STRUCTURE, _HEADER_HEAD, protected_header(fields), _NO_EXTERNAL_DATA, cbor.byte_string(body)),
    )


def compose_entry(fields: dict[str, cbor.Value], body: bytes, signature: bytes) -> bytes:
    """Return the entry: a tagged COSE_Sign1 with an empty unprotected header [ENV-7]."""
    return b"".join(
        (
            _SIGN1,
            _HEADER_HEAD,
            protected_header(fields),
            _NO_UNPROTECTED_HEADER,
            cbor.byte_string(body),
            _SIGNATURE_HEAD,
            signature,
        )
    )


def compose_envelope(body: bytes, signature: bytes) -> Envelope:
    """Return the envelope of stored bytes, its signature not verified. Raises MalformedError: there is none [ENV-2]."""
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedError(f"signature has {len(signature)} bytes, want {SIGNATURE_BYTES}")
    return Envelope(body=body, signature=signature, fields=decode_body(body))


def entry_of(body: bytes, signature: bytes) -> bytes:
    """Return the entry of stored bytes. Raises MalformedError where they cannot be composed into one [ENV-2]."""
    return compose_envelope(body, signature).entry


def seal(fields: dict[str, cbor.Value], signer: SignsMessages) -> Envelope:
    """Return a body encoded and signed by the key that it names.

    Raises: MalformedError: not IL1, or over 64,000 bytes.
    """
    assert fields["by"] == signer.public_key, "a body is signed by the key that it names"
    body = cbor.encode(fields, bytes_max=limits.BODY_BYTES_MAX)
    return Envelope(body=body, signature=signer.sign(signed_bytes(fields, body)), fields=fields)


def open_envelope(body: bytes, signature: bytes) -> Envelope:
    """Return an envelope whose bytes are canonical and whose signature verifies [ENV-1], [SIG-1].

    Raises: MalformedError: the body or the signature's length. SignatureInvalidError: it does not verify under `by`.
    """
    envelope = compose_envelope(body, signature)
    verify_envelope(envelope)
    return envelope


def verify_envelope(envelope: Envelope) -> None:
    """Raise SignatureInvalidError unless the signature verifies under the body's `by` [SIG-1]."""
    by = envelope.fields["by"]
    assert isinstance(by, bytes)
    if not keys.verify(by, signed_bytes(envelope.fields, envelope.body), envelope.signature):
        raise SignatureInvalidError(f"signature does not verify under key_{by.hex()}")


@lru_cache(maxsize=256)
def _header(by: bytes, prefix: str, subject: bytes) -> bytes:
    # Asked for twice an event, to verify and to hash it, and an effect's events follow one another.
    return _header_of_issuer(by) + f"{prefix}{subject.hex()}".encode()


@lru_cache(maxsize=1024)
def _header_of_issuer(by: bytes) -> bytes:
    kid = keys.thumbprint(by)
    issuer = ISSUER_URN.encode() + base64.urlsafe_b64encode(kid).rstrip(b"=")
    return b"".join((_HEADER_ALG_AND_TYPE, _HEADER_KID, kid, _HEADER_CLAIMS_ISSUER, issuer, _HEADER_SUBJECT))
