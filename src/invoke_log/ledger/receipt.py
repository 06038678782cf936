"""Receipts from an open log: which leaves one effect's story needs, and their proofs. SPEC §15 [RCP-3]."""

from invoke_log.format.checkpoint import parse_body
from invoke_log.format.envelope import decode_body
from invoke_log.format.note import parse_note
from invoke_log.format.receipt import Header, Shown, encode_header, encode_shown, encode_trailer
from invoke_log.ledger import chain
from invoke_log.ledger.memo import decode_tick
from invoke_log.ledger.state import LiveWorld
from invoke_log.log.prove import inclusions
from invoke_log.rules.kind import Observation, Resolution


def make_receipt(world: LiveWorld, effect: bytes, resource: str, note: bytes) -> bytes:
    """Return the receipt of an effect as it stood at a checkpoint.

    Args: note: a signed checkpoint of the log that `world` reads.
    """
    checkpoint = parse_body(parse_note(note).text)
    items = [encode_header(Header(origin=checkpoint.origin, effect=effect, size=checkpoint.size))]
    leaves = [index for index in leaves_of(world, effect, resource) if index < checkpoint.size]
    for index, proof in zip(leaves, inclusions(world.reader, leaves, checkpoint.size), strict=True):
        body, signature = world.reader.entry(index)
        items.append(encode_shown(Shown(index=index, body=body, signature=signature, proof=tuple(proof))))
    return b"".join((*items, encode_trailer(note)))


def leaves_of(world: LiveWorld, effect: bytes, resource: str) -> list[int]:
    """Return the leaves that show an effect's story, ascending: its chain, the governance that it was judged under, the
    ticks around each event of both, and what evidence names.
    """
    leaves = [index for index, _ in world.governance_chain()]
    for index, _ in world.chain_of(effect, resource):
        leaves.append(index)
        body, _ = world.reader.entry(index)
        if decode_body(body)["kind"] == "resolution":  # no other kind's evidence names leaves
            data = world.event(index).data
            assert isinstance(data, Resolution)
            named = [*data.evidence.observations, data.evidence.tick]
            leaves += _named(world, resource, [key for key in named if key is not None])
    return sorted({*leaves, *_ticks_around(world, sorted(leaves))})


def _named(world: LiveWorld, resource: str, event_ids: list[bytes]) -> list[int]:
    leaves: list[int] = []
    for event_id in event_ids:
        found = world.unchained(event_id, resource)
        if found is None:
            continue
        index, event = found
        leaves.append(index)
        if isinstance(event.data, Observation) and event.data.evidence.tick is not None:
            leaves += _named(world, resource, [event.data.evidence.tick])
    return leaves


def _ticks_around(world: LiveWorld, leaves: list[int]) -> set[int]:
    """The tick before each leaf, and those after it up to the one that covers it; args: leaves, ascending."""
    ticks: set[int] = set()
    covered = 0
    for index in leaves:
        if index < covered:
            continue  # what is shown for the leaf before it shows this one's
        before, after = world.reader.row_at_or_before(chain.TICKS, index - 1), list(world.ticks_after(index))
        ticks |= {int(row.index) for row in (before, *after) if row is not None}
        covered = decode_tick(after[-1].memo)[1] if after else int(world.reader.size)
    return ticks
