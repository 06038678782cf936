"""vectors/merkle: roots and proofs of the tree, from the recursive definitions of RFC 9162 §2.1 alone.

Entry N of every tree is the text "entry N". `all-sizes.json` covers each proof in trees of up to 100 leaves through one
hash a size; every other file is one case.
"""

import json
from collections.abc import Iterator
from functools import cache
from hashlib import sha256

AREAS = ("merkle",)
SIZE_MAX = 100
EMPTY_ROOT = sha256(b"").digest()

Case = dict[str, object]


@cache
def root(start: int, stop: int) -> bytes:
    """MTH(D[start:stop])."""
    if start == stop:
        return EMPTY_ROOT
    if stop - start == 1:
        return sha256(b"\x00" + b"entry %d" % start).digest()
    return join(root(start, split(start, stop)), root(split(start, stop), stop))


def join(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(start: int, stop: int) -> int:
    width = 1
    while width * 2 < stop - start:
        width *= 2
    return start + width


def path(index: int, start: int, stop: int) -> list[bytes]:
    """PATH(index, D[start:stop]), its index counted from the whole tree's first leaf."""
    if stop - start == 1:
        return []
    middle = split(start, stop)
    if index < middle:
        return [*path(index, start, middle), root(middle, stop)]
    return [*path(index, middle, stop), root(start, middle)]


def subproof(old: int, start: int, stop: int) -> list[bytes]:
    """SUBPROOF(old, D[start:stop], b), where b is: nothing was split off to the left, so start is 0."""
    if old == stop:
        return [] if start == 0 else [root(start, stop)]
    middle = split(start, stop)
    if old <= middle:
        return [*subproof(old, start, middle), root(middle, stop)]
    return [*subproof(old, middle, stop), root(start, middle)]


def generate() -> dict[str, bytes]:
    cases = {"all-sizes": all_sizes(), **dict(good_cases()), **dict(bad_inclusion()), **dict(bad_consistency())}
    return {f"merkle/{name}.json": f"{json.dumps(case, indent=2)}\n".encode() for name, case in cases.items()}


def all_sizes() -> Case:
    trees = []
    for size in range(1, SIZE_MAX + 1):
        inclusion = b"".join(node for index in range(size) for node in path(index, 0, size))
        consistency = b"".join(node for old in range(1, size + 1) for node in subproof(old, 0, size))
        trees.append(
            {
                "size": size,
                "root": root(0, size).hex(),
                "inclusion_sha256": sha256(inclusion).hexdigest(),
                "consistency_sha256": sha256(consistency).hexdigest(),
            }
        )
    return {
        "comment": 'leaf hash N is SHA-256(00 and the text "entry N"): the root of each size, and SHA-256 '
        "over the hashes of all its inclusion proofs (index 0 up) and of all its consistency proofs (old size 1 up), "
        "joined [TREE-1] [TREE-2]",
        "expect": "ok",
        "flags": ["all-sizes"],
        "empty_root": EMPTY_ROOT.hex(),
        "trees": trees,
    }


def inclusion(comment: str, index: int, size: int, /, **changed: object) -> Case:
    """A true inclusion case with some fields changed; it is good if none is."""
    good = index < size
    case: Case = {
        "comment": comment,
        "expect": "proof-invalid" if changed or not good else "ok",
        "flags": ["inclusion"],
        "leaf_hash": root(index, index + 1),
        "index": index,
        "size": size,
        "proof": path(index, 0, size) if good else [],
        "root": root(0, size),
    }
    return hexed(case | changed)


def consistency(comment: str, old: int, new: int, /, **changed: object) -> Case:
    """A true consistency case with some fields changed; it is good if none is."""
    good = 1 <= old <= new
    case: Case = {
        "comment": comment,
        "expect": "proof-invalid" if changed or not good else "ok",
        "flags": ["consistency"],
        "old_size": old,
        "new_size": new,
        "old_root": root(0, old),
        "new_root": root(0, new),
        "proof": subproof(old, 0, new) if good else [],
    }
    return hexed(case | changed)


def hexed(case: Case) -> Case:
    return {name: to_hex(value) for name, value in case.items()}


def to_hex(value: object) -> object:
    if isinstance(value, list):
        return [to_hex(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def flip(node: bytes, bit: int = 0) -> bytes:
    return bytes([*node[: bit // 8], node[bit // 8] ^ 1 << bit % 8, *node[bit // 8 + 1 :]])


def good_cases() -> Iterator[tuple[str, Case]]:
    for index, size in [(0, 1), (0, 2), (1, 2), (2, 3), (3, 8), (6, 7), (0, 7), (64, 65), (99, 100), (63, 100)]:
        comment = f"leaf {index} of {size} [TREE-4]"
        yield f"inclusion-ok-{index}-of-{size}", inclusion(comment, index, size)
    for old, new in [(1, 1), (7, 7), (1, 2), (1, 8), (2, 3), (3, 4), (3, 7), (4, 8), (6, 8), (50, 100), (64, 100)]:
        comment = f"size {old} is the beginning of size {new} [TREE-5]"
        yield f"consistency-ok-{old}-to-{new}", consistency(comment, old, new)
    comment = "a proof binds no size: 7 and 8 have one shape beside leaf 5, and only a checkpoint says which it is"
    yield "inclusion-size-not-bound", inclusion(comment, 5, 8, size=7, expect="ok")
    yield "consistency-size-not-bound", consistency(comment.replace("leaf 5", "size 6"), 6, 8, new_size=7, expect="ok")


def bad_inclusion() -> Iterator[tuple[str, Case]]:
    proof = path(5, 0, 7)
    nothing: list[bytes] = []
    yield "inclusion-size-0", inclusion("no leaf is in an empty tree", 0, 0)
    yield "inclusion-size-0-leaf-is-root", inclusion("nor is its root a leaf of it", 0, 0, leaf_hash=EMPTY_ROOT)
    yield "inclusion-size-1-other-leaf", inclusion("the root of one leaf is its hash", 0, 1, leaf_hash=root(1, 2))
    yield "inclusion-size-1-proof", inclusion("one leaf has an empty proof", 0, 1, proof=[root(1, 2)])
    yield "inclusion-index-is-size", inclusion("indices end below the size", 7, 7)
    yield "inclusion-index-off", inclusion("the proof of leaf 5, said of leaf 4", 5, 7, index=4)
    yield "inclusion-index-far", inclusion("the proof of leaf 5, said of leaf 13", 5, 7, index=13)
    yield "inclusion-size-off", inclusion("the proof for size 7, said of size 6", 5, 7, size=6)
    yield "inclusion-size-too-large", inclusion("a size past 2**53 - 1 [TREE-3]", 0, 1, size=2**53)
    yield "inclusion-order", inclusion("root first", 5, 7, proof=proof[::-1])
    yield "inclusion-cut", inclusion("the last hash is missing", 5, 7, proof=proof[:-1])
    yield "inclusion-headless", inclusion("the first hash is missing", 5, 7, proof=proof[1:])
    yield "inclusion-empty", inclusion("all hashes are missing", 5, 7, proof=nothing)
    yield "inclusion-extra", inclusion("one hash too many", 5, 7, proof=[*proof, root(0, 7)])
    yield "inclusion-extra-front", inclusion("one hash too many in front", 5, 7, proof=[root(5, 6), *proof])
    yield (
        "inclusion-shifted",
        inclusion(
            "a byte moved from the first hash to the leaf hash before it: joined, the bytes are true [TREE-6]",
            4,
            7,
            leaf_hash=root(4, 5) + root(5, 6)[:1],
            proof=[root(5, 6)[1:], *path(4, 0, 7)[1:]],
        ),
    )
    short = {"leaf_hash": root(0, 1)[:31], "root": root(0, 1)[:31]}
    yield "inclusion-short", inclusion("a leaf hash of 31 bytes equal to the root [TREE-6]", 0, 1, **short)
    yield "inclusion-flip-leaf", inclusion("a flipped bit in the leaf hash", 5, 7, leaf_hash=flip(root(5, 6), 255))
    yield "inclusion-flip-root", inclusion("a flipped bit in the root", 5, 7, root=flip(root(0, 7), 9))
    for at, node in enumerate(proof):
        flipped = [*proof[:at], flip(node, 80 * at), *proof[at + 1 :]]
        yield f"inclusion-flip-{at}", inclusion(f"a flipped bit in hash {at} of the proof", 5, 7, proof=flipped)


def bad_consistency() -> Iterator[tuple[str, Case]]:
    proof = subproof(6, 0, 8)
    empty: list[bytes] = []
    yield "consistency-0-to-0", consistency("an empty tree proves nothing, not even itself", 0, 0)
    yield "consistency-0-to-1", consistency("every tree extends the empty one, so this would say nothing", 0, 1)
    yield "consistency-0-to-8", consistency("nor with the new root as a proof", 0, 8, proof=[root(0, 8)])
    yield "consistency-shrinks", consistency("a tree does not shrink", 8, 6)
    yield "consistency-size-too-large", consistency("a size past 2**53 - 1 [TREE-3]", 6, 8, new_size=2**53)
    yield "consistency-1-to-1-other", consistency("one size, two roots", 1, 1, new_root=root(1, 2))
    yield "consistency-7-to-7-other", consistency("one size, two roots", 7, 7, old_root=root(1, 8))
    yield "consistency-7-to-7-proof", consistency("equal sizes have an empty proof", 7, 7, proof=[root(0, 7)])
    yield "consistency-order", consistency("root first", 6, 8, proof=proof[::-1])
    yield "consistency-cut", consistency("the last hash is missing", 6, 8, proof=proof[:-1])
    yield "consistency-seedless", consistency("the hash that both roots start from is missing", 6, 8, proof=proof[1:])
    yield "consistency-empty", consistency("all hashes are missing", 6, 8, proof=empty)
    yield "consistency-empty-4-to-8", consistency("all hashes are missing", 4, 8, proof=empty)
    yield "consistency-extra", consistency("one hash too many", 6, 8, proof=[*proof, root(0, 8)])
    seeded = [root(0, 4), *subproof(4, 0, 8)]
    yield "consistency-seeded", consistency("an old tree that is a whole subtree is left out", 4, 8, proof=seeded)
    yield "consistency-old-size-off", consistency("the proof from 6, said of 5", 6, 8, old_size=5)
    yield "consistency-new-size-off", consistency("the proof to 8, said of 9", 6, 8, new_size=9)
    yield "consistency-swapped", consistency("the roots swapped", 6, 8, old_root=root(0, 8), new_root=root(0, 6))
    yield "consistency-flip-old-root", consistency("a flipped bit in the old root", 6, 8, old_root=flip(root(0, 6)))
    yield "consistency-flip-new-root", consistency("a flipped bit in the new root", 6, 8, new_root=flip(root(0, 8)))
    yield "consistency-flip-4-to-8", consistency("likewise, where it is the start", 4, 8, old_root=flip(root(0, 4)))
    short = {"old_root": root(0, 7)[:31], "new_root": root(0, 7)[:31]}
    yield "consistency-short", consistency("two equal roots of 31 bytes [TREE-6]", 7, 7, **short)
    shifted = {"old_root": root(0, 4) + root(4, 8)[:1], "proof": [root(4, 8)[1:]]}
    yield "consistency-shifted", consistency("a byte moved from the hash to the old root [TREE-6]", 4, 8, **shifted)
    for at, node in enumerate(proof):
        flipped = [*proof[:at], flip(node, 100 * at), *proof[at + 1 :]]
        yield f"consistency-flip-{at}", consistency(f"a flipped bit in hash {at} of the proof", 6, 8, proof=flipped)
