"""Arguments that are more than text: ids, public keys, scopes, verifier keys. What cannot be read is a usage error."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from invoke_log.errors import InvokeLogError, MalformedError, NotFoundError
from invoke_log.format import digest, keys
from invoke_log.format.keys import LOG_KEY, VerifierKey, parse_verifier_key
from invoke_log.format.limits import INTEGER_MAX
from invoke_log.log.file import read_file
from invoke_log.rules.kind import Scope

TRUST_FILE_BYTES_MAX: Final = 65_536
"""Bytes of a file of verifier keys: some 200 lines."""

LEAF_DIGITS_MAX: Final = len(str(INTEGER_MAX))
SHOWN: Final = ("evt", "eff", "ctr", "pol", "key")
"""The prefixes of ids that name something that a log holds."""

_Read = TypeVar("_Read")
Callback = Callable[[click.Context, click.Parameter, str | None], _Read | None]


def reading(read: Callable[[str], _Read]) -> Callback[_Read]:
    """Return the callback of a parameter whose text `read` reads; None stays None."""

    def callback(context: click.Context, parameter: click.Parameter, text: str | None) -> _Read | None:
        try:
            return read(text) if text is not None else None
        except InvokeLogError as error:
            raise click.BadParameter(error.message, ctx=context, param=parameter) from error

    return callback


def read_origin(text: str) -> str:
    """Return a name that a log may have. Raises MalformedError."""
    keys.check_key_name(text)
    return text


def read_effect(text: str) -> bytes:
    """Return the effect key of `eff_` and 64 hex digits; the prefix may be left out. Raises MalformedError."""
    return digest.parse_id(text, "eff")


def read_intent(text: str) -> bytes:
    """Return the event id of `evt_` and 64 hex digits; the prefix may be left out. Raises MalformedError."""
    return digest.parse_id(text, "evt")


def read_named(text: str) -> tuple[str, bytes]:
    """Return prefix and bytes of an id of what a log holds; for a leaf index, "leaf" and its digits.

    Raises: MalformedError: neither.
    """
    if text.isdecimal() and text.isascii() and len(text) <= LEAF_DIGITS_MAX:
        return "leaf", text.encode()
    prefix = text.partition("_")[0]
    prefix = prefix if prefix in SHOWN else "evt"
    return prefix, digest.parse_id(text, prefix)


def read_public_key(text: str) -> bytes:
    """Return the public key of `key_` and 64 hex digits. Raises MalformedError, KeyInvalidError."""
    key = digest.parse_id(text, "key")
    keys.check_public_key(key)
    return key


def read_key_or_grant(text: str) -> tuple[str, bytes]:
    """Return "grant" and the event id of `evt_…`, or "key" and a public key. Raises MalformedError."""
    if text.startswith("evt_"):
        return "grant", digest.parse_id(text, "evt")
    return "key", digest.parse_id(text, "key")


def read_scope(text: str) -> Scope:
    """Return the scope of `CLASS:PREFIX`: an effect class or `*`, and a prefix ending at `/`, or empty for everything.

    Raises: MalformedError: another form.
    """
    effect_class, colon, prefix = text.partition(":")
    if not colon or not effect_class or (prefix and not prefix.endswith("/")):
        raise MalformedError(f"scope is {text[:80]!r}, want CLASS:PREFIX, the prefix empty or ending with /")
    return Scope(effect_class=effect_class, prefix=prefix)


def read_trust(text: str) -> tuple[VerifierKey, ...]:
    """Return the log keys of one C2SP verifier key line, or of a file of such lines; at least one.

    Raises: MalformedError, KeyInvalidError: neither.
    """
    try:
        found = [parse_verifier_key(text)]
    except InvokeLogError:
        lines = _lines_of(Path(text))
        if lines is None:
            raise
        found = [parse_verifier_key(line) for line in lines]
    trusted = tuple(key for key in found if key.key_type == LOG_KEY)
    if not trusted:
        raise MalformedError(f"{text[:80]!r} holds no log's verifier key, want name+hash+base64 of type 1")
    return trusted


def _lines_of(path: Path) -> list[str] | None:
    """The lines of a file that say something; None where there is no such file, or no text in it.

    Raises: MalformedError: a longer file: a key that is left out unread would be missed in another place.
    """
    try:
        raw = read_file(path, "verifier keys", bytes_max=TRUST_FILE_BYTES_MAX, wrong=MalformedError)
        text = raw.decode()
    except (NotFoundError, ValueError):
        return None
    return [line.strip() for line in text.split("\n") if line.strip()]


ORIGIN: Final = reading(read_origin)
EFFECT: Final = reading(read_effect)
INTENT: Final = reading(read_intent)
NAMED: Final = reading(read_named)
PUBLIC_KEY: Final = reading(read_public_key)
KEY_OR_GRANT: Final = reading(read_key_or_grant)
SCOPE: Final = reading(read_scope)
TRUST: Final = reading(read_trust)
