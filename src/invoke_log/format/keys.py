"""Ed25519 public keys: which ones count, which signatures verify, and what a key is called. SPEC [KEY-1] to [SIG-2].

RFC 8032 leaves room, and deployed verifiers use it: at the edges they disagree about most signatures. These two rules
are what OpenSSL, Go, Node and libsodium agree on. KEY: canonical, on the curve, not of small order, in the subgroup of
prime order. SIG: S < L, R not the identity, R equal as bytes to [S]B - [k]A (cofactorless). libsodium computes, and
`self_test` asks whether it is the libsodium that this was written for. No private key ever comes here.

>>> key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
>>> format_verifier_key(VerifierKey(name="example.com/log", key_type=LOG_KEY, public_key=key))
'example.com/log+cc714670+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea'
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import nacl.exceptions
from nacl.bindings import crypto_core_ed25519_add, crypto_core_ed25519_is_valid_point, crypto_sign_open

from invoke_log.errors import KeyInvalidError, MalformedError, SignatureInvalidError
from invoke_log.format import limits

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

LOG_KEY: Final = 0x01
"""C2SP signed-note type of a log's key: Ed25519 over the note's text."""
WITNESS_KEY: Final = 0x04
"""C2SP signed-note type of a witness's key: a timestamped Ed25519 cosignature."""

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_IDENTITY: Final = b"\x01" + bytes(31)

# {1: 1 (OKP), -1: 6 (Ed25519), -2: the key} in deterministic order, up to the key's 32 bytes.
_COSE_KEY: Final = bytes.fromhex("a301012006215820")

# Controls, Unicode's White_Space, plus, lone surrogates. Spelled out: what \s matches depends on Python's version.
_NAME_REFUSED: Final = re.compile(
    r"[\x00-\x20+\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ud800-\udfff]"
)


def check_public_key(key: bytes) -> None:
    """Return for a key that passes the KEY rule [KEY-1]: asked of every key that is granted.

    Raises: KeyInvalidError: which part of the rule `key` breaks.
    """
    if not _passes_key_rule(key):
        raise KeyInvalidError(f"public key {key[:32].hex()}: {_key_fault(key)}, want an Ed25519 point of prime order")


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` of `message` verifies under a key that passes the KEY rule [SIG-1]; never raises."""
    if len(signature) != SIGNATURE_BYTES or not _passes_key_rule(public_key):
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    # libsodium has changed its mind about these three before; they are ours to keep.
    if s >= _L or r == _IDENTITY or int.from_bytes(r, "little") & (2**255 - 1) >= _P:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


def self_test() -> None:
    """Return if libsodium on this machine keeps both rules [SIG-2]; asked once, when a log is opened.

    Raises: SignatureInvalidError: it does not, as PyNaCl before 1.6.2, which takes keys of mixed order.
    """
    for what, key, r, s, verifies in _SELF_TEST:
        if verify(bytes.fromhex(key), _SELF_TEST_MESSAGE, bytes.fromhex(r + s)) != verifies:
            raise SignatureInvalidError(
                f"self-test: libsodium {'refuses' if verifies else 'accepts'} {what}, want the opposite",
                hint="install PyNaCl 1.6.2 or later, built with its own libsodium",
            )


@lru_cache(limits.KEYS_CACHED_MAX)
def thumbprint(public_key: bytes) -> bytes:
    """Return the key's COSE thumbprint, 32 bytes: SHA-256 of its deterministic COSE_Key [KEY-2]. Source: RFC 9679."""
    return hashlib.sha256(_COSE_KEY + public_key).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with the name and type under which it signs notes [KEY-3].

    name: as `check_key_name` wants it. key_type: LOG_KEY or WITNESS_KEY. public_key: 32 bytes that pass the KEY rule.
    """

    name: str
    key_type: int
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if self.key_type not in (LOG_KEY, WITNESS_KEY):
            raise MalformedError(f"verifier key {self.name!r}: type is {self.key_type:#04x}, want 0x01 or 0x04")
        check_public_key(self.public_key)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand before a signature in a note."""
        return note_key_id(self.name, self.key_type, self.public_key)


def check_key_name(name: str) -> None:
    """Return for a name that a key, and so an origin, may have: 1 to 255 bytes, no space, control or plus [KEY-4].

    Raises: MalformedError: it may not. Source: c2sp.org/signed-note, "Format".
    """
    if _NAME_REFUSED.search(name) or not 1 <= len(name.encode()) <= limits.KEY_NAME_BYTES_MAX:
        raise MalformedError(f"key name is {name[:80]!r}, want 1 to 255 bytes, no space, control or plus sign")


def note_key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """Return a key's id in notes, 4 bytes [KEY-3]. Short by design: a hint for looking the key up, not a proof."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:4]


def format_verifier_key(key: VerifierKey) -> str:
    """Return the key as one line: name, key id in hex, type and key in base64 [KEY-3]."""
    encoded = base64.b64encode(bytes([key.key_type]) + key.public_key).decode("ascii")
    return f"{key.name}+{key.key_id.hex()}+{encoded}"


def parse_verifier_key(text: str) -> VerifierKey:
    """Return the key that one line spells, at most 309 characters, no newline [KEY-3].

    Raises: MalformedError: not the one spelling, a key id that is another key's included. KeyInvalidError: fails KEY.
    """
    if len(text) > limits.VERIFIER_KEY_CHARS_MAX:
        raise MalformedError(f"verifier key: {len(text)} characters, want at most {limits.VERIFIER_KEY_CHARS_MAX}")
    name, _, rest = text.partition("+")
    encoded = rest.partition("+")[2]
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise MalformedError(f"verifier key {text[:80]!r}: want name, key id in hex, base64, joined by plus") from error
    if len(raw) != 1 + PUBLIC_KEY_BYTES:
        raise MalformedError(f"verifier key {text[:80]!r}: {len(raw)} bytes in base64, want a type and a key, 33")
    key = VerifierKey(name=name, key_type=raw[0], public_key=raw[1:])
    # Upper-case hex and another key's id come this far. Write it again and compare.
    if format_verifier_key(key) != text:
        raise MalformedError(f"verifier key is {text!r}, want {format_verifier_key(key)!r}")
    return key


@lru_cache(limits.KEYS_CACHED_MAX)
def _passes_key_rule(key: bytes) -> bool:
    return len(key) == PUBLIC_KEY_BYTES and crypto_core_ed25519_is_valid_point(key)


def _key_fault(key: bytes) -> str:
    """Return what is wrong with a key that fails KEY. It only names the reason: libsodium has made the decision."""
    if len(key) != PUBLIC_KEY_BYTES:
        return f"{len(key)} bytes"
    try:
        point = crypto_core_ed25519_add(key, _IDENTITY)
    except nacl.exceptions.RuntimeError:
        return "not a point on the curve"
    if point != key:
        return "not the canonical encoding of its point"
    for _ in range(3):  # times 8, the cofactor
        point = crypto_core_ed25519_add(point, point)
    return "of small order" if point == _IDENTITY else "outside the subgroup of prime order"


_SELF_TEST_MESSAGE: Final = b"invoke-log self-test"
# What it is, key, R and S, whether it verifies. Each refused one but the second is accepted by some verifier in use.
_SELF_TEST: Final = (
    (
        "an honest signature",
        "22233a0d6d05742b6bc541f9b52f8e3b50765669cfc7dd6aa072dd70febd808d",
        "faa050786e0900cedd6f828487064ae6fb60e6c9eb0c4c0fb9074ae2b42d7212",
        "41fd68366446ef09d0a8c5d1bba9230f8775a63b9cafdfef5f2041c878bda802",
        True,
    ),
    (
        "one flipped bit",
        "22233a0d6d05742b6bc541f9b52f8e3b50765669cfc7dd6aa072dd70febd808d",
        "faa050786e0900cedd6f828487064ae6fb60e6c9eb0c4c0fb9074ae2b42d7212",
        "41fd68366456ef09d0a8c5d1bba9230f8775a63b9cafdfef5f2041c878bda802",
        False,
    ),
    (
        "S not below L",
        "22233a0d6d05742b6bc541f9b52f8e3b50765669cfc7dd6aa072dd70febd808d",
        "faa050786e0900cedd6f828487064ae6fb60e6c9eb0c4c0fb9074ae2b42d7212",
        "2ed15e937ea90162a645bd749aa302248775a63b9cafdfef5f2041c878bda812",
        False,
    ),
    (
        "the identity as R",
        "22233a0d6d05742b6bc541f9b52f8e3b50765669cfc7dd6aa072dd70febd808d",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ed87ee31c9d9023751b6714af0ae82b4a00f7314373a33d2fcf53dba9d1bee0c",
        False,
    ),
    (
        "an equation that needs the cofactor",
        "22233a0d6d05742b6bc541f9b52f8e3b50765669cfc7dd6aa072dd70febd808d",
        "ac9b4a5840481df20207e4658ced14cd5a8c219e560040151fb0dae11ea396fa",
        "28924517ad8fb5a72b681576c929bab5fb5f619d1c040df1cb0938352d2a890a",
        False,
    ),
    (
        "a key of small order",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        False,
    ),
    (
        "a key of mixed order",
        "cbdcc5f292fa8bd4943abe064ad071c4af89a996303822955f8d228f01427f72",
        "184a29bc2ec61b9e1195a3342062652adf86425ad866e89fad994f3338a99a21",
        "afb6a61cbfef5b5838bbcddd19d23a2558145d5ec19c7bcc8ad49b7ceb28f50a",
        False,
    ),
)
