"""vectors/prefix_tree: roots and proofs of the map, from its recursive definition alone.

Key N is SHA-256("key N"), its value SHA-256("value N"). `all-sizes.json` covers each proof in maps of up to 100 keys
through one hash a size; every other file is one case.
"""

import json
from collections.abc import Iterator
from functools import cache
from hashlib import sha256

from blake3 import blake3

AREAS = ("prefix_tree",)
SIZE_MAX = 100
EMPTY = bytes(32)

Case = dict[str, object]
Pairs = tuple[tuple[bytes, bytes], ...]


def key(number: int) -> bytes:
    return sha256(b"key %d" % number).digest()


def value(number: int) -> bytes:
    return sha256(b"value %d" % number).digest()


def pairs(size: int) -> Pairs:
    return tuple((key(number), value(number)) for number in range(size))


def derive(name: str, raw: bytes) -> bytes:
    return blake3(raw, derive_key_context=f"invoke-log 2026 v1 {name}").digest()


def node(left: bytes, right: bytes) -> bytes:
    return derive("map node", left + right)


def side(of: bytes, depth: int) -> int:
    return int.from_bytes(of, "big") >> (255 - depth) & 1


def half(held: Pairs, depth: int, bit: int) -> Pairs:
    return tuple(pair for pair in held if side(pair[0], depth) == bit)


@cache
def root(held: Pairs, depth: int = 0) -> bytes:
    if not held:
        return EMPTY
    if len(held) == 1:
        return derive("map leaf", held[0][0] + held[0][1])
    return node(root(half(held, depth, 0), depth + 1), root(half(held, depth, 1), depth + 1))


def walk(held: Pairs, asked: bytes) -> tuple[list[bytes], Pairs]:
    """Return the siblings of the asked key's path, the root's child first, and what stands at its end."""
    siblings: list[bytes] = []
    while len(held) > 1:
        depth = len(siblings)
        bit = side(asked, depth)
        siblings.append(root(half(held, depth, 1 - bit), depth + 1))
        held = half(held, depth, bit)
    return siblings, held


def generate() -> dict[str, bytes]:
    cases = {"all-sizes": all_sizes(), **dict(good_cases()), **dict(bad_present()), **dict(bad_absent())}
    return {f"prefix_tree/{name}.json": f"{json.dumps(case, indent=2)}\n".encode() for name, case in cases.items()}


def all_sizes() -> Case:
    maps = []
    for size in range(SIZE_MAX + 1):
        held = pairs(size)
        proofs = b""
        for number in range(SIZE_MAX):
            siblings, leaf = walk(held, key(number))
            proofs += b"".join(siblings) + b"".join(part for pair in leaf for part in pair)
        maps.append({"size": size, "root": root(held).hex(), "proofs_sha256": sha256(proofs).hexdigest()})
    return {
        "comment": 'key N is SHA-256 of the text "key N", its value of "value N": the root of keys 0 up '
        "to each size, and SHA-256 over the proofs of keys 0 to 99, there or not, joined: the siblings, then the key "
        "and value of the leaf if there is one [MAP-1] [MAP-4]",
        "expect": "ok",
        "flags": ["all-sizes"],
        "maps": maps,
    }


def proof_case(comment: str, flag: str, asked: bytes, held: Pairs, **changed: object) -> Case:
    """A true proof case with some fields changed; it is good if none is."""
    siblings, leaf = walk(held, asked)
    case: Case = {
        "comment": comment,
        "expect": "proof-invalid" if changed else "ok",
        "flags": [flag],
        "key": asked,
        **({"value": dict(held).get(asked, EMPTY)} if flag == "present" else {}),
        "siblings": siblings,
        "leaf": list(leaf[0]) if leaf else None,
        "root": root(held),
    }
    return {name: to_hex(part) for name, part in (case | changed).items()}


def present(comment: str, asked: bytes, held: Pairs, **changed: object) -> Case:
    return proof_case(comment, "present", asked, held, **changed)


def absent(comment: str, asked: bytes, held: Pairs, **changed: object) -> Case:
    return proof_case(comment, "absent", asked, held, **changed)


def to_hex(part: object) -> object:
    if isinstance(part, list):
        return [to_hex(each) for each in part]
    return part.hex() if isinstance(part, bytes) else part


def flip(raw: bytes, bit: int = 0) -> bytes:
    return (int.from_bytes(raw, "big") ^ 1 << bit).to_bytes(len(raw), "big")


NINE = pairs(9)
TWINS: Pairs = ((bytes(32), value(0)), (flip(bytes(32)), value(1)))
EMPTY_ENDED = next(number for number in range(9, 100) if not walk(NINE, key(number))[1])
LEAF_ENDED = next(number for number in range(9, 100) if walk(NINE, key(number))[1])


def good_cases() -> Iterator[tuple[str, Case]]:
    yield "present-one-key", present("with one key the root is its leaf [MAP-2]", key(0), pairs(1))
    yield "present-two-keys", present("a node over two leaves or more [MAP-3]", key(1), pairs(2))
    yield "present-nine-keys", present("a key of nine [MAP-5]", key(4), NINE)
    yield "present-twins", present("keys that part at the last bit: 256 siblings, all but one empty", bytes(32), TWINS)
    yield "absent-no-keys", absent("nothing is in the empty map [MAP-1]", key(0), ())
    yield "absent-one-key", absent("another key is the whole map", key(1), pairs(1))
    yield "absent-empty", absent("the place is empty [MAP-6]", key(EMPTY_ENDED), NINE)
    yield "absent-leaf", absent("another key stands in the place [MAP-6]", key(LEAF_ENDED), NINE)
    yield "absent-twins", absent("the path leaves the twins' after 200 bits", flip(bytes(32), 55), TWINS)


def bad_present() -> Iterator[tuple[str, Case]]:
    siblings, [leaf] = walk(NINE, key(4))
    other_siblings, [other_leaf] = walk(NINE, key(5))
    yield "present-other-value", present("another value than the leaf's", key(4), NINE, value=value(5))
    changed = {"value": value(5), "leaf": [key(4), value(5)]}
    yield "present-other-leaf-value", present("another value, in the leaf too", key(4), NINE, **changed)
    yield "present-other-key", present("the proof of key 5, asked for 4", key(4), NINE, siblings=other_siblings)
    foreign = {"value": value(5), "siblings": other_siblings, "leaf": list(other_leaf)}
    yield "present-other-proof", present("the whole proof of key 5, asked for 4", key(4), NINE, **foreign)
    yield "present-no-leaf", present("a proof that ends in an empty place", key(4), NINE, leaf=None)
    absent_as_zero = {"value": EMPTY, "leaf": [key(EMPTY_ENDED), EMPTY]}
    yield "present-as-zero", present("an absent key with a value of zeros", key(EMPTY_ENDED), NINE, **absent_as_zero)
    yield "present-cut", present("the deepest sibling is missing", key(4), NINE, siblings=siblings[:-1])
    yield "present-headless", present("the root's child is missing", key(4), NINE, siblings=siblings[1:])
    yield "present-extra", present("an empty sibling below", key(4), NINE, siblings=[*siblings, EMPTY])
    yield "present-order", present("the deepest sibling first", key(4), NINE, siblings=siblings[::-1])
    yield "present-too-deep", present("257 siblings", bytes(32), TWINS, siblings=[*walk(TWINS, bytes(32))[0], EMPTY])
    yield "present-flip-root", present("a flipped bit in the root", key(4), NINE, root=flip(root(NINE), 3))
    longer = {"key": key(4) + value(4)[:1], "value": value(4)[1:], "leaf": [key(4) + value(4)[:1], value(4)[1:]]}
    yield (
        "present-shifted",
        present("a byte moved from value to key: joined, the bytes are true", key(4), NINE, **longer),
    )
    for at, sibling in enumerate(siblings):
        flipped = [*siblings[:at], flip(sibling, 50 * at), *siblings[at + 1 :]]
        yield f"present-flip-{at}", present(f"a flipped bit in sibling {at}", key(4), NINE, siblings=flipped)
    assert leaf == (key(4), value(4))


def bad_absent() -> Iterator[tuple[str, Case]]:
    siblings, [leaf] = walk(NINE, key(4))
    there = {"siblings": siblings}
    yield "absent-though-there", absent("the key's own leaf", key(4), NINE, leaf=list(leaf))
    yield "absent-as-empty", absent("a key that is there, its place said to be empty", key(4), NINE, leaf=None)
    another = {**there, "leaf": [key(5), value(5)]}
    yield "absent-other-leaf", absent("a key that is there, another's leaf in its place", key(4), NINE, **another)
    yield "absent-no-keys-in-nine", absent("the empty map's proof", key(20), NINE, siblings=[], leaf=None)
    leaf_path, [stands] = walk(NINE, key(LEAF_ENDED))
    yield "absent-leaf-as-empty", absent("another's leaf, said to be empty", key(LEAF_ENDED), NINE, leaf=None)
    other_value = [stands[0], value(77)]
    yield "absent-leaf-value", absent("another's leaf with a wrong value", key(LEAF_ENDED), NINE, leaf=other_value)
    zeros: Case = {"siblings": [], "leaf": None, "root": node(EMPTY, EMPTY)}
    yield "absent-node-of-nothing", absent("a node over two empty subtrees is no map", key(0), NINE, **zeros)
    yield "absent-cut", absent("the deepest sibling is missing", key(LEAF_ENDED), NINE, siblings=leaf_path[:-1])
    # A map whose maker put the leaves of two keys on each other's side: no key's leaf stands on its own path.
    left, right = (bytes(32), value(0)), (flip(bytes(32), 255), value(1))
    swapped = {
        "siblings": [root((left,))],
        "leaf": list(right),
        "root": node(root((right,)), root((left,))),
    }
    yield "absent-leaf-off-path", absent("a leaf that is not on the key's path", left[0], (left, right), **swapped)
