"""C2SP signed notes: a text, a blank line, and one line for each signature. SPEC [NOTE-1] to [NOTE-3].

It owns the text's spelling; it never checks a signature and does not know what the text says. One note has one
spelling: what `parse_note` accepts, `format_note` gives back byte for byte. Source: c2sp.org/signed-note.

>>> signature = NoteSignature(name="example.com/log", key_id=bytes(4), payload=bytes(64))
>>> parse_note(format_note(Note(text="hello\\n", signatures=(signature,)))).text
'hello\\n'
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from invoke_log.errors import MalformedError
from invoke_log.format import keys

NOTE_BYTES_MAX: Final = 65_536
"""Bytes of a note: C2SP asks for 16 signatures or more, and a post-quantum one is near 5 kB."""
KEY_ID_BYTES: Final = 4

_DASH: Final = "\u2014"
_TEXT_CONTROLS: Final = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line, not checked [NOTE-3].

    name: as `check_key_name` wants it. key_id: 4 bytes. payload: what follows the key id, in the form of the key's
    type; at least 1 byte.
    """

    name: str
    key_id: bytes
    payload: bytes

    def __post_init__(self) -> None:
        keys.check_key_name(self.name)
        if len(self.key_id) != KEY_ID_BYTES or not self.payload:
            raise MalformedError(
                f"note: signature by {self.name!r} is short, want a key id of 4 bytes and what follows"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text and the signatures under it, none of them checked [NOTE-1].

    text: ends with a newline and holds no other control character. signatures: at least one.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n") or _TEXT_CONTROLS.search(self.text):
            raise MalformedError("note: the text has a control character, or does not end with a newline")
        if not self.signatures:
            raise MalformedError("note: no signature, want one or more")


def format_note(note: Note) -> bytes:
    """Return the note as UTF-8 [NOTE-1]. Raises MalformedError where that is over 65,536 bytes."""
    raw = f"{note.text}\n{''.join(map(format_signature, note.signatures))}".encode()
    _check_length(raw)
    return raw


def parse_note(raw: bytes) -> Note:
    """Return the note that these bytes spell, its signatures not checked [NOTE-2].

    Raises: MalformedError: over 65,536 bytes, not UTF-8, no blank line or signature, or not the one spelling.
    """
    _check_length(raw)
    try:
        text, blank, lines = raw.decode("utf-8").rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise MalformedError(f"note: byte {error.start} is not UTF-8") from error
    if not blank or not lines.endswith("\n"):
        raise MalformedError("note: no blank line before the signatures, or no newline after them")
    signatures = tuple(parse_signature(f"{line}\n") for line in lines[:-1].split("\n"))
    return Note(text=f"{text}\n", signatures=signatures)


def format_signature(signature: NoteSignature) -> str:
    """Return a signature's line with its newline [NOTE-3]."""
    payload = base64.b64encode(signature.key_id + signature.payload).decode("ascii")
    return f"{_DASH} {signature.name} {payload}\n"


def parse_signature(line: str) -> NoteSignature:
    """Return the signature that one line spells, its newline included; a witness answers with such lines [NOTE-3].

    Raises: MalformedError: other parts than dash, name and base64, or a base64 that is not the one for its bytes.
    """
    if len(line) > NOTE_BYTES_MAX:
        raise MalformedError(f"note: signature line of {len(line)} characters, want at most {NOTE_BYTES_MAX}")
    _, _, rest = line.removesuffix("\n").partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: a character that is not ASCII
        raise MalformedError(f"note: signature line is {line[:80]!r}, want a dash, a name and base64") from error
    signature = NoteSignature(name=name, key_id=decoded[:KEY_ID_BYTES], payload=decoded[KEY_ID_BYTES:])
    # b64decode() also reads "aGl=" for "aGk=": a second spelling of one signature. Write it again and compare.
    if format_signature(signature) != line:
        raise MalformedError(f"note: signature line is {line[:80]!r}, want its one spelling")
    return signature


def _check_length(raw: bytes) -> None:
    if len(raw) > NOTE_BYTES_MAX:
        raise MalformedError(f"note: {len(raw)} bytes, want at most {NOTE_BYTES_MAX}")
