"""Checkpoints: a log's origin, tree size and root hash as a C2SP signed note. SPEC [CKPT-1] to [CKPT-8].

It owns the three lines of text and which signature lines may stand under them; it never asks whether two checkpoints
are consistent. There is no checkpoint of size 0: an empty log has nothing to promise. Sources: c2sp.org/signed-note and
c2sp.org/tlog-checkpoint.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from invoke_log.errors import KeyInvalidError, MalformedError, SignatureInvalidError
from invoke_log.format import cosignature, keys, limits, merkle
from invoke_log.format.cosignature import Cosignature
from invoke_log.format.digest import TreeSize
from invoke_log.format.envelope import SignsMessages
from invoke_log.format.keys import VerifierKey
from invoke_log.format.note import Note, NoteSignature, format_note, parse_note

SIZE_DIGITS_MAX: Final = len(str(limits.INTEGER_MAX))
ROOT_CHARS: Final = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log says of its tree at one size [CKPT-1].

    origin: the log's unique name, also its key's name. size: 1 to 2**53 - 1. root: 32 bytes.
    """

    origin: str
    size: TreeSize
    root: bytes

    def __post_init__(self) -> None:
        keys.check_key_name(self.origin)
        if not 1 <= self.size <= limits.INTEGER_MAX:
            raise MalformedError(f"checkpoint: tree size is {self.size}, want 1 to 2**53 - 1")
        if len(self.root) != merkle.HASH_BYTES:
            raise MalformedError(f"checkpoint: root hash is {len(self.root)} bytes, want {merkle.HASH_BYTES}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCheckpoint:
    """A checkpoint whose log signature verified; `open_checkpoint` makes the only ones.

    cosignatures: those that verified under a witness key that was given. unchecked: cosignature lines under other keys;
    they say nothing, and whoever reads under a policy and wants every flipped bit seen refuses them [CKPT-7].
    """

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    unchecked: tuple[NoteSignature, ...]


def format_body(checkpoint: Checkpoint) -> str:
    """Return the text that the log and its witnesses sign: three lines, each with its newline [CKPT-1]."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{_base64(checkpoint.root)}\n"


def parse_body(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text spells [CKPT-2].

    Raises: MalformedError: not three lines (extension lines are refused), size 0, or a second spelling of size or root.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise MalformedError(f"checkpoint: {len(lines) - 1} lines of text, want origin, tree size and root hash")
    return Checkpoint(origin=lines[0], size=parse_tree_size(lines[1]), root=parse_root(lines[2]))


def parse_tree_size(text: str) -> TreeSize:
    """Return the tree size on a checkpoint's second line [CKPT-3].

    Raises: MalformedError: empty, over 16 characters, or anything but decimal digits without a leading zero.
    """
    # int() alone reads "+5", " 5", "0_5" and digits of other scripts too: more texts for one size. Print and compare.
    if len(text) > SIZE_DIGITS_MAX or not text.isdecimal() or str(int(text)) != text:
        raise MalformedError(f"checkpoint: tree size is {text[:24]!r}, want decimal digits with no leading zero")
    return TreeSize(int(text))


def parse_root(text: str) -> bytes:
    """Return the 32-byte root hash on a checkpoint's third line [CKPT-4].

    Raises: MalformedError: not the base64 of 32 bytes, or a second spelling of it.
    """
    wanted = MalformedError(f"checkpoint: root hash is {text[:48]!r}, want the base64 of 32 bytes")
    if len(text) != ROOT_CHARS:
        raise wanted
    try:
        root = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise wanted from error
    # The last character before the padding carries two bits more than 32 bytes have; b64decode() drops them.
    if _base64(root) != text or len(root) != merkle.HASH_BYTES:
        raise wanted
    return root


def sign_checkpoint(checkpoint: Checkpoint, signer: SignsMessages) -> bytes:
    """Return the checkpoint as a note with one line, the log's [CKPT-5].

    Whether a log may sign it (stored, re-read, consistent with the last one) is the caller's to know.
    """
    text = format_body(checkpoint)
    key_id = keys.note_key_id(checkpoint.origin, keys.LOG_KEY, signer.public_key)
    line = NoteSignature(name=checkpoint.origin, key_id=key_id, payload=signer.sign(text.encode()))
    return format_note(Note(text=text, signatures=(line,)))


def open_checkpoint(raw: bytes, log_key: VerifierKey, *, witness_keys: Iterable[VerifierKey] = ()) -> OpenedCheckpoint:
    """Return the checkpoint of a note whose every line is accounted for [CKPT-5] to [CKPT-8].

    Lines: the log's, then cosignatures ascending by key id, one each. C2SP verifiers pass over lines that they do not
    know; here anything that is neither of the two is an error.

    Raises: KeyInvalidError: a key of another type. MalformedError: bytes, text, or a line that has no place here.
        SignatureInvalidError: the log's line is under another key, or a line under a known key does not verify.
    """
    note = parse_note(raw)
    checkpoint = parse_body(note.text)
    log_line, *cosignature_lines = note.signatures
    _verify_log_line(log_line, note.text, checkpoint, log_key)
    _check_order(cosignature_lines)
    known = _by_name_and_id(witness_keys)
    checked: list[Cosignature] = []
    unchecked: list[NoteSignature] = []
    for line in cosignature_lines:
        key = known.get((line.name, line.key_id))
        if key is None:
            unchecked.append(line)
        else:
            checked.append(cosignature.open_cosignature(line, note.text, key))
    return OpenedCheckpoint(checkpoint=checkpoint, cosignatures=tuple(checked), unchecked=tuple(unchecked))


def _verify_log_line(line: NoteSignature, text: str, checkpoint: Checkpoint, log_key: VerifierKey) -> None:
    if log_key.key_type != keys.LOG_KEY:
        raise KeyInvalidError(f"log key {log_key.name!r}: type is {log_key.key_type:#04x}, want {keys.LOG_KEY:#04x}")
    if line.name != checkpoint.origin or len(line.payload) != keys.SIGNATURE_BYTES:
        raise MalformedError(f"checkpoint of {checkpoint.origin!r}: the first signature line is not of the log's form")
    if (line.name, line.key_id) != (log_key.name, log_key.key_id):
        raise SignatureInvalidError(
            f"checkpoint: signed by {line.name}+{line.key_id.hex()}, want {log_key.name}+{log_key.key_id.hex()}"
        )
    if not keys.verify(log_key.public_key, text.encode(), line.payload):
        raise SignatureInvalidError(f"checkpoint: signature does not verify under {line.name}+{line.key_id.hex()}")


def _by_name_and_id(witness_keys: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known = {(key.name, key.key_id): key for key in witness_keys}
    for key in known.values():
        cosignature.check_witness_key(key)
    return known


def _check_order(lines: list[NoteSignature]) -> None:
    for line in lines:
        if len(line.payload) != cosignature.PAYLOAD_BYTES:
            raise MalformedError(f"checkpoint: the line by {line.name!r} is no cosignature")
    key_ids = [line.key_id for line in lines]
    if any(first >= second for first, second in pairwise(key_ids)):
        raise MalformedError("checkpoint: cosignatures are not ascending by key id, one each")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
