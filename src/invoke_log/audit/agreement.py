"""Whether two views of one log can both be true: a bundle, a store or a checkpoint against another. SPEC §17.

A log that shows different leaves to different readers, or an older copy of itself, agrees with itself every time.
Only a comparison with what somebody else has kept tells.
"""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from invoke_log.audit.replay import replay
from invoke_log.audit.report import ERROR
from invoke_log.audit.source import Source, open_source
from invoke_log.errors import InvokeLogError, MalformedError, SignatureInvalidError
from invoke_log.format import checkpoint, digest, keys
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.envelope import decode_body, entry_of
from invoke_log.format.keys import VerifierKey
from invoke_log.format.merkle import EMPTY_FRONTIER, leaf_hash
from invoke_log.format.note import NOTE_BYTES_MAX, parse_note
from invoke_log.rules.event import parse_event
from invoke_log.rules.kind import Genesis, Recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a comparison shows. agrees: None where it cannot be decided. index: the first leaf that differs, where one
    is known.
    """

    size: int
    agrees: bool | None
    index: int | None
    reason: str


def compare(where: Path, other: Path) -> Agreement:
    """Return whether a log (its directory, or a bundle) and another view of it can both be true.

    Args: other: a directory, a bundle, or a checkpoint as a signed note. What does not verify itself agrees with
    nothing.
    Raises: NotFoundError, StoreError: one of them cannot be read.
    """
    if where.is_dir() and other.is_dir() and other.samefile(where):
        reason = "they are one and the same log: it agrees with itself every time"
        return Agreement(size=0, agrees=None, index=None, reason=reason)
    try:
        note = _note_in(other)
        if note is not None:
            return _with_checkpoint(where, note)
        with open_source(where) as one, open_source(other) as two:
            found = _with_leaves(one, two, kept=where.is_dir())
    except (MalformedError, SignatureInvalidError) as error:
        return Agreement(size=0, agrees=False, index=None, reason=f"{error.code}: {error.message}")
    fault = next((f for f in replay(other).findings if f.severity == ERROR), None) if found.agrees else None
    if fault is None:
        return found
    reason = f"the other does not verify: {fault.code}: {fault.message}"
    return Agreement(size=found.size, agrees=False, index=fault.index, reason=reason)


def _note_in(path: Path) -> bytes | None:
    """The bytes of a signed note; None for a directory or a bundle, which begins with a CBOR array and so never with
    text.
    """
    if path.is_dir():
        return None
    with path.open("rb") as stream:
        raw = stream.read(NOTE_BYTES_MAX + 1)
    return None if not raw or raw[0] & 0xE0 == 0x80 else raw


def _with_leaves(one: Source, two: Source, *, kept: bool) -> Agreement:
    """Args: kept: `one` is a store, which only grows: it holds whatever was ever exported from it."""
    size = 0
    for left, right in zip_longest(one.entries(), two.entries()):
        if left is None and kept:
            reason = "the other holds leaves that this store lacks: it is an older copy, or was cut"
            return Agreement(size=size, agrees=False, index=None, reason=reason)
        if left is None or right is None:
            return Agreement(
                size=size, agrees=True, index=None, reason="the smaller one is the beginning of the larger"
            )
        if left != right:
            return Agreement(size=size, agrees=False, index=size, reason="the two hold different entries at this leaf")
        size += 1
    return Agreement(size=size, agrees=True, index=None, reason="the two hold the same entries")


def _with_checkpoint(where: Path, note: bytes) -> Agreement:
    claimed = parse_body(parse_note(note).text)
    frontier, root = EMPTY_FRONTIER, None
    naming: list[tuple[int, Genesis | Recovery]] = []
    with open_source(where) as source:
        for body, signature in source.entries():
            data = _naming(body)
            if data is not None:
                naming.append((int(frontier.size), data))
            frontier, _ = frontier.append(leaf_hash(entry_of(body, signature)))
            if frontier.size == claimed.size:
                root = frontier.root()
    size = int(claimed.size)
    if len(naming) > 1:  # anybody can write a leaf that says that the log has another name, or has lost leaves
        void = {finding.index for finding in replay(where).findings if finding.severity == ERROR}
        naming = [(index, data) for index, data in naming if index == 0 or index not in void]
    name = _names(naming).get(claimed.origin)
    if name is None:
        reason = f"the checkpoint is of {claimed.origin!r}, and this log never had that name"
        return Agreement(size=size, agrees=False, index=None, reason=reason)
    checkpoint.open_checkpoint(note, name.log_key)
    if name.lost_from is not None and size > name.lost_from:
        reason = f"the checkpoint covers {size} leaves; a recovery says that all from leaf {name.lost_from} on are lost"
        return Agreement(size=size, agrees=None, index=None, reason=reason)
    if root is None:
        reason = f"the checkpoint covers {size} leaves, and there are {frontier.size}"
        # A bundle may be old. A store that lacks leaves its log has signed is an older copy, or was cut.
        return Agreement(size=size, agrees=False if where.is_dir() else None, index=None, reason=reason)
    same = root == claimed.root
    reason = (
        "the checkpoint's root is the root of these leaves"
        if same
        else "the checkpoint has another root for as many leaves"
    )
    return Agreement(size=size, agrees=same, index=None, reason=reason)


@dataclass(slots=True)
class _Name:
    """A name that a log has had: the key that signs its checkpoints then, and the first leaf that was lost under it."""

    log_key: VerifierKey
    lost_from: int | None = None


def _naming(body: bytes) -> Genesis | Recovery | None:
    """What an event says that gives a log a name, if it is of such a kind and form."""
    fields = decode_body(body)
    if fields.get("kind") not in ("genesis", "recovery"):
        return None
    try:
        data = parse_event(fields, digest.event_id(body)).data
    except InvokeLogError:
        return None
    return data if isinstance(data, Genesis | Recovery) else None


def _names(naming: list[tuple[int, Genesis | Recovery]]) -> dict[str, _Name]:
    """Return a log's names: of genesis, and of each recovery, which may have lost leaves of the old one."""
    names: dict[str, _Name] = {}
    for index, data in naming:
        if isinstance(data, Recovery) and data.amnesia and data.old_origin in names:
            names[data.old_origin].lost_from = index
        try:
            key = VerifierKey(name=data.origin, key_type=keys.LOG_KEY, public_key=data.log_key)
        except InvokeLogError:
            continue  # an event that is void names no key
        names.setdefault(data.origin, _Name(key))
    return names
