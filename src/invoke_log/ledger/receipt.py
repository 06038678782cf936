"""Receipts from an open log: which leaves one effect's story needs, and their proofs. SPEC §15 [RCP-3]."""

from invoke_log.format.checkpoint import parse_body
from invoke_log.format.note import parse_note
from invoke_log.format.receipt import Header, Shown, encode_header, encode_shown, encode_trailer
from invoke_log.ledger import chain
from invoke_log.ledger.state import LiveWorld
from invoke_log.log.prove import inclusion
from invoke_log.rules.kind import Observation, Resolution


def make_receipt(world: LiveWorld, effect: bytes, resource: str, note: bytes) -> bytes:
    """Return the receipt of an effect as it stood at a checkpoint.

    Args: note: a signed checkpoint of the log that `world` reads.
    """
    checkpoint = parse_body(parse_note(note).text)
    items = [encode_header(Header(origin=checkpoint.origin, effect=effect, size=checkpoint.size))]
    for index in _leaves(world, effect, resource):
        if index < checkpoint.size:
            body, signature = world.reader.entry(index)
            proof = tuple(inclusion(world.reader, index, checkpoint.size))
            items.append(encode_shown(Shown(index=index, body=body, signature=signature, proof=proof)))
    return b"".join((*items, encode_trailer(note)))


def _leaves(world: LiveWorld, effect: bytes, resource: str) -> list[int]:
    """The effect's chain, the governance that it was judged under, the ticks around each event of both, and what
    evidence names.
    """
    leaves: set[int] = set()
    for index, _ in world.governance_chain():
        leaves |= {index} | _ticks_around(world, index)
    for index, _ in world.chain_of(effect, resource):
        leaves |= {index} | _ticks_around(world, index)
        data = world.event(index).data
        if isinstance(data, Resolution):
            named = [*data.evidence.observations, data.evidence.tick]
            leaves |= _named(world, resource, [key for key in named if key is not None])
    return sorted(leaves)


def _named(world: LiveWorld, resource: str, event_ids: list[bytes]) -> set[int]:
    leaves: set[int] = set()
    for event_id in event_ids:
        found = world.unchained(event_id, resource)
        if found is None:
            continue
        index, event = found
        leaves |= {index} | _ticks_around(world, index)
        if isinstance(event.data, Observation) and event.data.evidence.tick is not None:
            leaves |= _named(world, resource, [event.data.evidence.tick])
    return leaves


def _ticks_around(world: LiveWorld, index: int) -> set[int]:
    rows = (world.reader.row_at_or_before(chain.TICKS, index - 1), world.reader.row_after(chain.TICKS, index))
    return {int(row.index) for row in rows if row is not None}
