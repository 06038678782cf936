"""Leaves come in order, each with its own signature's fault, however the work was shared out. [RPL-1], [RPL-2]"""

from collections.abc import Iterator

import pytest

from invoke_log.audit.structure import CHUNK_LEAVES, SHARE_LEAVES, UnreadableError, read_leaves
from invoke_log.format import digest
from invoke_log.format.envelope import seal
from invoke_log.log.signer import FileSigner

SIGNER = FileSigner(bytes([5]) * 32)
COUNT = CHUNK_LEAVES + SHARE_LEAVES + 3
EDGES = {0, SHARE_LEAVES - 1, SHARE_LEAVES, CHUNK_LEAVES - 1, CHUNK_LEAVES, CHUNK_LEAVES + SHARE_LEAVES, COUNT - 1}


def pairs() -> Iterator[tuple[bytes, bytes]]:
    """Signed bodies, whose signatures at the edges of chunks and shares are those of the leaf before."""
    before = bytes(64)
    for at in range(COUNT):
        sealed = seal({"by": SIGNER.public_key, "log": bytes(32), "at": at}, SIGNER)
        yield sealed.body, before if at in EDGES else sealed.signature
        before = sealed.signature


def test_each_fault_is_its_own_leafs_at_every_edge_of_chunks_and_shares() -> None:
    given = list(pairs())
    leaves = list(read_leaves(given))
    assert [(leaf.index, leaf.id) for leaf in leaves] == [(at, digest.event_id(b)) for at, (b, _) in enumerate(given)]
    assert {leaf.index for leaf in leaves if leaf.fault is not None} == EDGES


@pytest.mark.parametrize("at", sorted(EDGES))
def test_the_leaves_before_one_that_is_no_entry_are_read(at: int) -> None:
    given = list(pairs())
    given[at] = (b"\xff", bytes(64))
    read: list[int] = []

    def read_all() -> None:
        for leaf in read_leaves(given):
            read.append(leaf.index)

    with pytest.raises(UnreadableError) as caught:
        read_all()
    assert (caught.value.index, read) == (at, list(range(at)))
