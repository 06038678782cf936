"""vectors/fork: two views of one log, and whether both can be true.

`bundle` is a log, `against` another bundle of it or a checkpoint that somebody kept. Each verifies by itself.
`agrees` null: it cannot be decided. `index` is the first leaf that differs, where there is one to point at.
"""

from vectors.generate import _wire as wire
from vectors.generate._files import whole
from vectors.generate._lives import started, unknown
from vectors.generate._story import Story
from vectors.generate._wire import LOG, ORIGIN, STRANGER, Case

AREAS = ("fork",)
WITNESS = wire.Key(14)


def generate() -> dict[str, bytes]:
    return wire.files("fork", {**bundles(), **checkpoints()})


def case(comment: str, story: Story, against: bytes, *, agrees: bool | None, index: int | None = None) -> Case:
    return {
        "comment": comment,
        "expect": "equivocation" if agrees is False else "ok",
        "flags": ["fork"],
        "trust": story.trust,
        "bundle": story.bundle().hex(),
        "against": against.hex(),
        "agrees": agrees,
        "index": index,
    }


def bundles() -> dict[str, Case]:
    story, shorter = whole(), started()[0]
    last, other_last = story.next - 1, unknown()[0]
    other_first = Story(policy=None, contract=None)
    other_first.grant("agent", STRANGER)
    cosigned = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(story.note(cosigner=WITNESS)))
    longer_fork = unknown()[0]
    longer_fork.wait(1)
    recovered = whole()
    recovered.recover()
    return {
        "same": case("the very same", story, story.bundle(), agrees=True),
        "cosigned": case("the same leaves under a cosigned checkpoint [BDL-7]", story, cosigned, agrees=True),
        "earlier": case("an earlier copy is its beginning", story, shorter.bundle(), agrees=True),
        "later": case("a later copy begins with it", shorter, story.bundle(), agrees=True),
        "recovered": case(
            "a log that goes on from it under another key [REC-1]", story, recovered.bundle(), agrees=True
        ),
        "last-leaf": case("two outcomes at one leaf [FORK-1]", story, other_last.bundle(), agrees=False, index=last),
        "longer": case(
            "a longer log that parts from it before its end", story, longer_fork.bundle(), agrees=False, index=last
        ),
        "early": case(
            "two histories that part behind the first tick", story, other_first.bundle(), agrees=False, index=2
        ),
    }


def checkpoints() -> dict[str, Case]:
    story, shorter = whole(), started()[0]
    other = unknown()[0]
    longer = whole()
    longer.wait(1)
    recovered = whole()
    recovered.recover()
    recovered.wait(1)
    renamed = wire.note(f"{ORIGIN}.e1", story.next, story.root, LOG)
    forged = wire.note(ORIGIN, story.next, story.root, STRANGER)
    return {
        "checkpoint-same": case("its own checkpoint", story, story.note(), agrees=True),
        "checkpoint-earlier": case("an earlier one of its own", story, shorter.note(), agrees=True),
        "checkpoint-fork": case("another root for as many leaves [FORK-2]", story, other.note(), agrees=False),
        "checkpoint-name": case("of a name that the log never had [FORK-2]", story, renamed, agrees=False),
        "checkpoint-key": case("under another key than the name's [FORK-2]", story, forged, agrees=False),
        "checkpoint-recovered": case("from before a recovery [FORK-2]", recovered, story.note(), agrees=True),
        "checkpoint-lost": case("of leaves that a recovery has lost [FORK-2]", recovered, longer.note(), agrees=None),
        "checkpoint-later": case("of more leaves than there are here", story, longer.note(), agrees=None),
    }
