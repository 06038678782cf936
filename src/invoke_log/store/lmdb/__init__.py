"""A store for one machine, in a directory: LMDB, two flushes for each commit. The one place that imports lmdb.

All rows are in one tree, because what a durable commit costs is the pages that it touches:

    "c", chain name, leaf index            -> head, memo
    "m", name                              -> meta value
    "n", last leaf index below it, level   -> node hash, for the tree levels 4, 8, 12 …
    "t", leaf index                        -> leaf hash, signature, body

Integers in keys are 8 bytes, most significant first; a level is one byte. Entries come last and in ascending order, so
their pages are full. A body past about 1,900 bytes goes to pages of its own, which LMDB does by itself. Tree size,
frontier and root are not stored beside the leaf hashes and nodes that they follow from. Behind the last page the file
has some room, zeros that nobody reads: few commits then have to make it longer, which is what costs them most.

A killed writer leaves nothing behind: its commit is there or it is not, and the next writer takes the lock over.
"""

from invoke_log.store.lmdb.store import LmdbStore

__all__ = ["LmdbStore"]
