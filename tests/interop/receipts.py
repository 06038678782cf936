"""Receipts of any log: ones that show what they have to, less, more, or something else. SPEC §15 [RCP-3]."""

from functools import partial
from random import Random
from typing import Final

from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.envelope import decode_body, entry_of
from invoke_log.format.merkle import leaf_hash, prove_inclusions, tile_node
from invoke_log.format.receipt import Header, Shown, encode_header, encode_shown, encode_trailer
from invoke_log.rules.event import GOVERNANCE_KINDS
from tests.harness.forge import take_apart

WAYS: Final = ("true", "true", "true", "void", "whole", "less", "flipped", "cut")
"""true: it shows what it has to. void: also what the log does not admit. whole: every leaf. less: what it has to, less
one. flipped: one bit is another. cut: it ends early.
"""
_ALWAYS: Final = (*GOVERNANCE_KINDS, "tick", "observation")
_TREE_HEIGHT: Final = 64
"""Levels in a tile that holds any tree: every node is read from the leaves."""


def receipt_of(raw: bytes, effect: bytes, *, void: set[int], how: str, random: Random) -> bytes:
    """Return a receipt of an effect, made of its log's bundle in one of these ways; `void`: the leaves that are."""
    parts = take_apart(raw)
    bodies = [decode_body(body) for body, _ in parts.leaves]
    about = [at for at, body in enumerate(bodies) if body.get("kind") in _ALWAYS or body.get("effect") == effect]
    leaves = {"void": about, "whole": [*range(len(bodies))]}.get(how, [at for at in about if at not in void])
    if how == "less":
        leaves.remove(random.choice(leaves))
    hashes = [leaf_hash(entry_of(*leaf)) for leaf in parts.leaves]
    read_node = partial(tile_node, read_hashes=lambda _, start, stop: hashes[start:stop], height=_TREE_HEIGHT)
    proofs = prove_inclusions(map(LeafIndex, leaves), TreeSize(parts.header.size), read_node)
    items = [encode_header(Header(origin=parts.header.origin, effect=effect, size=parts.header.size))]
    for at, proof in zip(leaves, proofs, strict=True):
        body, signature = parts.leaves[at]
        items.append(encode_shown(Shown(index=at, body=body, signature=signature, proof=tuple(proof))))
    made = b"".join((*items, encode_trailer(parts.note)))
    at = random.randrange(len(items[0]), len(made))
    flipped = made[:at] + bytes((made[at] ^ 1 << random.randrange(8),)) + made[at + 1 :]
    return {"flipped": flipped, "cut": made[:at]}.get(how, made)
