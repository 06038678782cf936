"""What a file is that was given to a verb which reads something else, and which verb reads it."""

from pathlib import Path
from typing import Final

import click

from invoke_log.errors import InvokeLogError
from invoke_log.format.bundle import BundleReader
from invoke_log.format.checkpoint import parse_body
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


def advice_on(path: Path, *, wanted: str) -> str | None:
    """Return which verb reads a file that is another thing than the one wanted; None: it is that, or nothing of ours.

    Args: wanted: RECEIPT, BUNDLE or CHECKPOINT.
    """
    found = _kind_of(path) if path.is_file() else None
    return _READ_BY[found].format(path) if found not in (None, wanted) else None


def check_read_again(*paths: Path) -> None:
    """Check that what is read more than once can be. Raises click.UsageError: one is a pipe."""
    for path in paths:
        if not path.is_file() and not path.is_dir():
            raise click.UsageError(f"{path} is neither a file nor a directory, and has to be read more than once")


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
