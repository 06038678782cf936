"""Where an audit reads a log from: a bundle file, or a store on this machine. Neither is believed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from invoke_log.errors import MalformedError, NotFoundError
from invoke_log.format.bundle import BundleReader
from invoke_log.format.checkpoint import parse_body
from invoke_log.format.note import parse_note
from invoke_log.log.home import attachment_bytes, open_store
from invoke_log.log.publish import CHECKPOINT_META
from invoke_log.store.protocol import Reader

_BUFFER_BYTES: Final = 1 << 14
"""Bytes of a bundle that are read together: of many leaves only the last one is read twice, as it is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The checkpoint as a note, None where none was ever signed, and the attachments, read as they are asked for."""

    note: bytes | None
    attachments: Iterable[bytes]


class Source(Protocol):
    """A log's leaves from the first, and what is said about them."""

    @property
    def origin(self) -> str | None:
        """The origin that the source claims; None where it claims none."""
        ...

    @property
    def covers(self) -> int | None:
        """The tree size that its checkpoint should be of; None where there is no checkpoint."""
        ...

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Body and signature of each leaf, in order. Raises MalformedError, CutError at the leaf that is not there."""
        ...

    def closing(self, named: Iterable[bytes]) -> Closing:
        """What comes after the entries.

        Args: named: the digests that entries name, for a source that keeps more than belongs to its log.
        Raises: MalformedError, CutError; so does reading the attachments.
        """
        ...


class BundleSource:
    """A bundle as a source. Replay derives every status from the beginning, so its first leaf has to be 0."""

    def __init__(self, reader: BundleReader) -> None:
        if reader.header.first != 0:
            raise MalformedError(f"bundle: begins at leaf {reader.header.first}, want leaf 0 to replay")
        self._reader = reader

    @property
    def origin(self) -> str | None:
        return self._reader.header.origin

    @property
    def covers(self) -> int | None:
        return self._reader.header.size

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        return self._reader.entries()

    def closing(self, named: Iterable[bytes]) -> Closing:
        trailer = self._reader.trailer()
        return Closing(note=trailer.note, attachments=trailer.attachments)


class StoreSource:
    """A snapshot of a store as a source: what it held at one moment, while others may append."""

    def __init__(self, reader: Reader, *, note: bytes | None, place: Path) -> None:
        self._reader = reader
        self._note = note
        self._place = place

    @property
    def origin(self) -> str | None:
        return None

    @property
    def covers(self) -> int | None:
        return parse_body(parse_note(self._note).text).size if self._note is not None else None

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        return self._reader.entries(0, self._reader.size)

    def closing(self, named: Iterable[bytes]) -> Closing:
        # Beside a live log also lies what a call saw that was then refused: no entry names it, and none has to.
        kept = (attachment_bytes(self._place, key) for key in named)
        return Closing(note=self._note, attachments=(raw for raw in kept if raw is not None))


@contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """Open a log's directory or a bundle file for an audit.

    Raises: NotFoundError: nothing is there. MalformedError, CutError: not a bundle from leaf 0. StoreError.
    """
    where = Path(path)
    if where.is_dir():
        store = open_store(where, read_only=True)
        try:
            store.check_pages()
            note = store.get_meta(CHECKPOINT_META)
            with store.snapshot() as reader:
                yield StoreSource(reader, note=note, place=where)
        finally:
            store.close()
    elif where.exists():
        with where.open("rb", buffering=_BUFFER_BYTES) as stream:
            yield BundleSource(BundleReader(stream))
    else:
        raise NotFoundError(
            f"{where}: nothing is there", hint="give the directory of a log, or a bundle made by export"
        )
