"""What a file is that was given to a verb which reads something else, and which verb reads it."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from invoke_log.errors import InvokeLogError, MalformedError
from invoke_log.format.bundle import BundleReader
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.limits import ITEM_BYTES_MAX
from invoke_log.format.note import NOTE_BYTES_MAX, parse_note
from invoke_log.format.receipt import ReceiptReader

RECEIPT: Final = "receipt"
BUNDLE: Final = "bundle"
CHECKPOINT: Final = "checkpoint"
_READ_BY: Final = {
    RECEIPT: 'this is a receipt: "invoke-log receipt verify {} --trust VKEY" reads it',
    BUNDLE: 'this is a bundle: "invoke-log replay {} --trust VKEY" reads it',
    CHECKPOINT: 'this is a checkpoint: "invoke-log verify PATH --against {}" compares it with a log or a bundle',
}


def advice_on(path: Path, *, wanted: str, given: Path | None = None) -> str | None:
    """Return which verb reads a file that is another thing than the one wanted; None: it is that, or nothing of ours.

    Args: wanted: RECEIPT, BUNDLE or CHECKPOINT. given: how whoever asks calls it, where it is read from a copy.
    """
    found = _kind_of(path) if path.is_file() else None
    return _READ_BY[found].format(given or path) if found not in (None, wanted) else None


@contextmanager
def read_again(path: Path) -> Iterator[Path]:
    """Yield where what was given can be read more than once: itself, or of a pipe a copy while the block lasts."""
    if path.is_file() or path.is_dir():
        yield path
        return
    with NamedTemporaryFile() as kept:
        with path.open("rb") as stream:
            head = stream.read(ITEM_BYTES_MAX + 1)
            kept.write(head)
            if _is_bundle(head):  # no note is so long, and of a device there is no end
                shutil.copyfileobj(stream, kept)
        kept.flush()
        yield Path(kept.name)


def _is_bundle(head: bytes) -> bool:
    try:
        BundleReader(io.BytesIO(head))
    except MalformedError:
        return False
    return True


def _kind_of(path: Path) -> str | None:
    for kind, reader in ((RECEIPT, ReceiptReader), (BUNDLE, BundleReader)):
        try:
            with path.open("rb") as stream:
                reader(stream)
            return kind
        except InvokeLogError:
            continue
    try:
        with path.open("rb") as stream:
            parse_body(parse_note(stream.read(NOTE_BYTES_MAX + 1)).text)
        return CHECKPOINT
    except InvokeLogError:
        return None
