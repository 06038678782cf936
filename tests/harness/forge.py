"""Bundles taken apart, changed, and put together again, with or without the help of the log key."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from invoke_log.format import bundle, cbor, digest, merkle
from invoke_log.format.bundle import BundleReader, Header
from invoke_log.format.checkpoint import Checkpoint, sign_checkpoint
from invoke_log.format.envelope import decode_body, entry_of, seal
from invoke_log.log.signer import FileSigner
from tests.harness.live import ORIGIN

Leaf = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a bundle holds."""

    header: Header
    leaves: list[Leaf]
    note: bytes
    attachments: tuple[bytes, ...]

    def kinds(self) -> list[str]:
        return [str(decode_body(body)["kind"]) for body, _ in self.leaves]

    def where(self, kind: str, nth: int = 0) -> int:
        """The leaf of the nth event of a kind."""
        return [at for at, found in enumerate(self.kinds()) if found == kind][nth]

    def join(self) -> bytes:
        """The bundle as it stands: a change of a leaf shows in the tree."""
        leaves = [bundle.encode_entry(*leaf) for leaf in self.leaves]
        return b"".join([bundle.encode_header(self.header), *leaves, trailer(self.note, self.attachments)])

    def signed(self, log_key: FileSigner) -> bytes:
        """The bundle of a log whose key holder signs whatever the leaves are."""
        frontier = merkle.EMPTY_FRONTIER
        for leaf in self.leaves:
            frontier, _ = frontier.append(merkle.leaf_hash(entry_of(*leaf)))
        note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=frontier.size, root=frontier.root()), log_key)
        return replace(self, header=replace(self.header, size=len(self.leaves)), note=note).join()

    def with_leaves(self, leaves: list[Leaf]) -> "Parts":
        return replace(self, leaves=leaves)

    def with_leaf(self, at: int, leaf: Leaf) -> "Parts":
        return self.with_leaves([*self.leaves[:at], leaf, *self.leaves[at + 1 :]])


def take_apart(raw: bytes) -> Parts:
    reader = BundleReader(io.BytesIO(raw))
    leaves = list(reader.entries())
    closing = reader.trailer()
    return Parts(header=reader.header, leaves=leaves, note=closing.note, attachments=tuple(closing.attachments))


def trailer(note: bytes, attachments: Iterable[bytes]) -> bytes:
    """A whole trailer: each attachment once, in order."""
    by_digest = {digest.attachment_digest(raw): raw for raw in attachments}
    parts = [bundle.encode_attachment(by_digest[key]) for key in sorted(by_digest)]
    return b"".join([bundle.encode_trailer_head(note, len(parts)), *parts])


def resealed(leaf: Leaf, signer: FileSigner, change: Callable[[dict[str, Any]], object]) -> Leaf:
    """The leaf with its body changed, signed by the key that the body then names."""
    body = cbor.decode(leaf[0])
    assert isinstance(body, dict)
    body["by"] = signer.public_key
    change(body)
    envelope = seal(body, signer)
    return envelope.body, envelope.signature


def leaf_at(raw: bytes) -> list[int | None]:
    """For each byte of a bundle the leaf that it belongs to, None in header and trailer."""
    parts = take_apart(raw)
    places: list[int | None] = [None] * len(bundle.encode_header(parts.header))
    for at, leaf in enumerate(parts.leaves):
        places += [at] * len(bundle.encode_entry(*leaf))
    return places + [None] * (len(raw) - len(places))
