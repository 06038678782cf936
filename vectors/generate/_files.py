"""Bundles that are no bundle, that were cut or tampered with, or that another checkpoint goes with."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._lives import started, unknown
from vectors.generate._sample import evidence
from vectors.generate._story import Cases, Leaf, Story
from vectors.generate._wire import AGENT, LOG, ORIGIN, STRANGER, T0, Case, Key, Map

NOWHERE: Case = {
    "trusted": False,
    "origin": None,
    "covered": {"size": None, "cosignatures": 0, "cosignatures_not_checked": 0},
}
UNCOVERED: Case = {"trusted": False, "covered": {"size": None, "cosignatures": 0, "cosignatures_not_checked": 0}}
WITNESS = Key(14)


def cases() -> Cases:
    yield from shapes()
    yield from cuts()
    yield from mistrusted()
    yield from lies()
    yield from headers()
    yield from trailers()
    yield from notes()
    yield from leaves()
    yield from tampered()


def whole() -> Story:
    """Return the log that the files below are made of: a charge, committed."""
    story, effect = started()
    story.outcome(effect)
    return story


def stopped(
    comment: str, code: str, raw: bytes, *, read: int = 0, index: int | None = None, flag: str = "shape"
) -> Case:
    """A file of which `read` leaves can be read, and nothing can be said."""
    story = whole()
    story.leaves, story.effects = story.leaves[:read], {}
    story.find(code, index)
    root = {"root": story.root.hex() if read else None}
    governance, story.governance = story.governance, None
    case = story.case(comment, flag, raw=raw, **NOWHERE, **root)
    story.governance = governance
    return case | {"trust": wire.vkey(ORIGIN, LOG)}


def shapes() -> Cases:
    raw = whole().bundle()
    yield "file-not-cbor", stopped("no CBOR at all [BDL-1]", "malformed", b"\xff" + raw)
    yield "file-text", stopped("text [BDL-1]", "malformed", b"invoke-log bundle 1\n")
    yield (
        "file-json",
        stopped("JSON: a text that says it is longer than any item [BDL-6]", "malformed", b'{"v": 1, "ok": true}'),
    )
    items = whole().next + 2
    yield "file-in-array", stopped("the items in one array [BDL-1]", "malformed", bytes([0x80 | items]) + raw)
    yield "file-header-tagged", stopped("a tagged header [IL1-2]", "malformed", b"\xd9\xd9\xf7" + raw)
    head = wire.il1(["invoke-log bundle 1", ORIGIN, 0, 2, []])
    loose = head.replace(b"\x00\x02\x80", b"\x18\x00\x02\x80")
    yield "file-header-not-shortest", stopped("0 in two bytes [IL1-1]", "malformed", loose + raw[len(head) :])
    yield "file-leaf-first", stopped("no header: a leaf comes first [BDL-2]", "malformed", raw[len(head) :])


def cuts() -> Cases:
    story = whole()
    raw = story.bundle()
    header = wire.il1(["invoke-log bundle 1", ORIGIN, 0, story.next, []])
    items = [wire.il1([body, signature]) for body, signature in story.pairs]
    yield "cut-empty", stopped("an empty file [BDL-6]", "cut", b"", flag="cut")
    yield "cut-in-header", stopped("it ends inside its header [BDL-6]", "cut", raw[:20], flag="cut")
    yield "cut-after-header", stopped("it ends after its header", "cut", header, index=0, flag="cut")
    third = header + b"".join(items[:3])
    yield "cut-between-leaves", stopped("it ends between two leaves [BDL-6]", "cut", third, read=3, index=3, flag="cut")
    inside = third + items[3][:100]
    yield "cut-in-leaf", stopped("it ends inside a leaf [BDL-6]", "cut", inside, read=3, index=3, flag="cut")
    longest = third + b"\x82\x59" + (64_128 - 4).to_bytes(2)
    yield "cut-long-leaf", stopped("a body as long as can be [BDL-6]", "cut", longest, read=3, index=3, flag="cut")
    over = third + b"\x82\x59" + (64_128 - 3).to_bytes(2)
    yield "leaf-lies", stopped("a byte longer [BDL-6] [IL1-6]", "malformed", over, read=3, index=3, flag="leaf")
    nothing = third + b"\x80" + items[3]
    yield "cut-empty-leaf", stopped("[] in the place of a leaf [BDL-6]", "cut", nothing, read=3, index=3, flag="cut")
    early = third + wire.trailer_item(story.note())
    yield (
        "cut-trailer-early",
        stopped("the trailer in the place of a leaf [BDL-6]", "cut", early, read=3, index=3, flag="cut"),
    )
    everything = header + b"".join(items)
    noted = b"\x82" + wire.il1(story.note())
    for name, comment, end in (
        ("no-trailer", "it ends after its last leaf [BDL-6]", b""),
        ("in-trailer", "it ends inside its trailer [BDL-6]", wire.trailer_item(story.note())[:50]),
        ("empty-trailer", "an empty trailer [BDL-6]", b"\x80"),
        ("long-note", "a note as long as can be [BDL-6]", b"\x82\x5a" + (65_536).to_bytes(4)),
        ("after-note", "it ends after the note [BDL-6]", noted),
        ("between-attachments", "it ends after one of two attachments [BDL-6]", noted + b"\x82\x43one"),
        ("long-attachment", "an attachment as long as can be [BDL-6]", noted + b"\x81\x5a" + (64 << 20).to_bytes(4)),
    ):
        story = whole()
        story.find("cut")
        yield f"cut-{name}", story.case(comment, "cut", raw=everything + end, **UNCOVERED)


def mistrusted() -> Cases:
    """Cut files whose reader trusts another key: behind a leaf that is remarked on, and where the trailer should be."""
    story = Story()
    story.tick(story.now - 1, finds=("tick-backwards",))
    header = wire.il1(["invoke-log bundle 1", ORIGIN, 0, story.next + 1, []])
    raw = header + b"".join(wire.il1([body, signature]) for body, signature in story.pairs)
    story.find("cut", story.next)
    story.trust = wire.vkey(ORIGIN, STRANGER)
    case = story.case("what was found before the cut is said, and nothing of trust [RPL-2]", "cut", raw=raw, **NOWHERE)
    yield "cut-found", case | {"report": cast("Case", case["report"]) | {"state_root": None}}
    story = whole()
    story.trust = wire.vkey(ORIGIN, STRANGER)
    story.find("cut")
    story.find("trust-mismatch")
    raw = wire.bundle(ORIGIN, story.pairs, b"")
    yield "trust-cut", story.case("another key than the log's, and no trailer [RPL-10]", "trust", raw=raw, **UNCOVERED)


def lies() -> Cases:
    story = whole()
    story.find("malformed")
    over = wire.bundle(ORIGIN, story.pairs, b"\x82\x5a" + (65_536 + 1).to_bytes(4))
    yield "note-lies", story.case("a note longer than any may be [BDL-6]", "trailer", raw=over, **UNCOVERED)
    story = whole()
    story.find("malformed")
    attached = b"\x82" + wire.il1(story.note()) + b"\x81\x5a" + ((64 << 20) + 1).to_bytes(4)
    over = wire.bundle(ORIGIN, story.pairs, attached)
    yield "attachment-lies", story.case("an attachment longer than any may be", "trailer", raw=over, **UNCOVERED)


def headers() -> Cases:
    story = whole()
    rest = story.bundle()[len(wire.il1(["invoke-log bundle 1", ORIGIN, 0, story.next, []])) :]

    def head(*items: wire.Value) -> bytes:
        return wire.il1(list(items)) + rest

    size = story.next
    faults: dict[str, tuple[str, bytes]] = {
        "magic": ("another magic [BDL-2]", head("invoke-log bundle 2", ORIGIN, 0, size, [])),
        "extra": ("an item more", head("invoke-log bundle 1", ORIGIN, 0, size, [], None)),
        "no-edge": ("no left edge", head("invoke-log bundle 1", ORIGIN, 0, size)),
        "edge": ("a left edge where first is 0", head("invoke-log bundle 1", ORIGIN, 0, size, [bytes(32)])),
        "origin": ("an origin as bytes", head("invoke-log bundle 1", ORIGIN.encode(), 0, size, [])),
        "size-0": ("size 0 [BDL-2]", head("invoke-log bundle 1", ORIGIN, 0, 0, [])),
        "size-negative": ("a negative size", head("invoke-log bundle 1", ORIGIN, 0, -1, [])),
        "first": (
            "it begins at leaf 1: it cannot be replayed",
            head("invoke-log bundle 1", ORIGIN, 1, size + 1, [bytes(32)]),
        ),
        "first-above": ("first above size", head("invoke-log bundle 1", ORIGIN, 64, size, [bytes(32)])),
    }
    for name, (comment, raw) in faults.items():
        yield f"header-{name}", stopped(comment, "malformed", raw, flag="header")
    story = whole()
    story.find("origin-mismatch")
    other = wire.bundle("example.com/other", story.pairs, wire.trailer_item(story.note()))
    yield "header-other-origin", story.case("the header names another log [BDL-5]", "header", raw=other)
    long = head("invoke-log bundle 1", ORIGIN, 0, size + 1, [])
    case = stopped("it promises a leaf more than there is", "cut", long, read=size, index=size, flag="header")
    yield "header-size-more", case
    story = whole()
    fewer = head("invoke-log bundle 1", ORIGIN, 0, size - 1, [])
    last = story.leaves.pop()
    assert last.kind == "outcome"
    yield "header-size-less", _without_last(story, fewer)


def _without_last(story: Story, raw: bytes) -> Case:
    """The header says one leaf less, so that a leaf stands where the trailer should."""
    [effect] = story.effects.values()
    effect.events.pop()
    effect.status, effect.head = "started", effect.start
    story.states = {effect.resource: wire.named("state", story.zero(effect.resource), effect.intent)}
    story.find("malformed")
    return story.case("it promises a leaf less: a leaf in the trailer's place", "header", raw=raw, **UNCOVERED)


def trailers() -> Cases:
    story = whole()
    note = story.note()
    one, two = sorted((b"one", b"two"), key=wire.plain)
    faults: dict[str, tuple[str, bytes]] = {
        "after": ("an item after the trailer [BDL-6]", wire.trailer_item(note) + b"\x00"),
        "twice": ("the trailer twice", wire.trailer_item(note) * 2),
        "bytes-after": ("a byte after the trailer", wire.trailer_item(note) + b"\xff"),
        "three": ("an item more in it [BDL-4]", wire.il1([note, [], None])),
        "one": ("no attachments, not even none", wire.il1([note])),
        "note-text": ("the note as text", wire.il1([note.decode(), []])),
        "attachment-text": ("an attachment as text", wire.il1([note, ["one"]])),
        "order": ("attachments out of order [BDL-4]", wire.il1([note, [two, one]])),
        "attachment-twice": ("one attachment twice [BDL-4]", wire.il1([note, [one, one]])),
        "map": ("a map", wire.il1({"note": note})),
        "head": ("its own head a byte too long [IL1-1]", b"\x98\x02" + wire.il1(note) + b"\x80"),
        "no-end": ("a list of attachments without a length [IL1-1]", b"\x82" + wire.il1(note) + b"\x9f\xff"),
        "long-heads": (
            "an attachment's head a byte too long [IL1-1]",
            b"\x82" + wire.il1(note) + b"\x81\x58\x03one",
        ),
        "unnamed": ("of what it also holds nothing is said [BDL-6]", wire.il1([note, [one, 1]])),
    }
    for name, (comment, end) in faults.items():
        story = whole()
        story.find("malformed")
        raw = wire.bundle(ORIGIN, story.pairs, end)
        yield f"trailer-{name}", story.case(comment, "trailer", raw=raw, **UNCOVERED)

    story, effect = started()
    named: wire.Map = {"attachment": wire.plain(b"page"), "size": 5}
    story.attachments.append(b"page")
    story.outcome(effect, evidence=evidence("response", attachment=named))
    story.find("malformed")
    comment = "a byte after the trailer: nothing is said of an attachment of another size than is named [BDL-6]"
    yield "trailer-differs", story.case(comment, "trailer", raw=story.bundle() + b"\x00", **UNCOVERED)


def notes() -> Cases:
    def case(comment: str, code: str, change: Callable[[Story], bytes]) -> Case:
        story = whole()
        raw = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(change(story)))
        story.find(code)
        return story.case(comment, "checkpoint", raw=raw, **UNCOVERED)

    bad = "checkpoint-invalid"
    yield (
        "note-other-key",
        case("signed by another key [CKPT-5]", bad, lambda s: wire.note(ORIGIN, s.next, s.root, STRANGER)),
    )
    yield (
        "note-other-origin",
        case("of another log [BDL-5]", bad, lambda s: wire.note("example.com/x", s.next, s.root, LOG)),
    )
    yield (
        "note-size",
        case("of another size [BDL-5]", "size-mismatch", lambda s: wire.note(ORIGIN, s.next - 1, s.root, LOG)),
    )
    yield (
        "note-root",
        case("of another root [BDL-5]", "root-mismatch", lambda s: wire.note(ORIGIN, s.next, bytes(32), LOG)),
    )
    yield "note-empty", case("no bytes [NOTE-1]", bad, lambda _: b"")
    yield "note-flip", case("a flipped bit in its signature", bad, lambda s: _flip(s.note(), -5))
    stray = "— somebody c29tZXRoaW5n\n".encode()
    yield "note-line", case("a line that is no cosignature [CKPT-8]", bad, lambda s: s.note() + stray)
    yield "note-extension", case("a fourth line [CKPT-2]", bad, lambda s: s.note().replace(b"\n\n", b"\nx\n\n"))
    yield "note-crlf", case("another line end [NOTE-2]", bad, lambda s: s.note().replace(b"\n", b"\r\n"))
    story = whole()
    raw = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(story.note(cosigner=WITNESS)))
    yield (
        "note-cosigned",
        story.case(
            "a cosignature under a key that is not known: not checked [CKPT-7]", "life", raw=raw, **cosigned(story)
        ),
    )
    story = whole()
    raw = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(_flip(story.note(cosigner=WITNESS), -9)))
    comment = "a bit of it is another: not seen, and said not to be [CKPT-7]"
    yield "note-cosigned-flip", story.case(comment, "life", raw=raw, **cosigned(story))
    story = whole()
    story.trust = wire.vkey("example.com/other", LOG)
    story.find("trust-mismatch")
    yield "trust-origin", story.case("the reader trusts another log [RPL-9]", "trust", trusted=False)
    story = whole()
    story.trust = wire.vkey(ORIGIN, STRANGER)
    story.find("trust-mismatch")
    yield "trust-key", story.case("the reader trusts another key of that name [RPL-9]", "trust", trusted=False)
    story = forged()
    story.find("cut")
    raw = wire.bundle(ORIGIN, story.pairs, b"")
    comment = "a stranger's log that names the trusted origin and key, and is cut [RPL-10]"
    yield "trust-forged-cut", story.case(comment, "trust", raw=raw, **UNCOVERED)
    story = forged()
    story.find("size-mismatch")
    raw = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(whole().note()))
    comment = "the same under a checkpoint of the true log [RPL-10]"
    yield "trust-forged", story.case(comment, "trust", raw=raw, **UNCOVERED)
    story = whole()
    story.recover()
    story.trust = wire.vkey(ORIGIN, LOG)
    story.find("trust-mismatch")
    yield "trust-before-recovery", story.case("the reader knows the name before a recovery", "trust", trusted=False)


def forged() -> Story:
    """Return a log that a stranger founded under the true origin and log key: nothing in it needs the log key."""
    story = Story(policy=None, contract=None)
    story.leaves, story.findings, story.governance = [], [], None
    data: Map = {"format": 1, "origin": ORIGIN, "log_key": LOG.public, "admin_keys": [STRANGER.public]}
    story.log_id = bytes(32)
    story.log_id = story.govern("genesis", data, STRANGER)
    return story


def cosigned(story: Story) -> Case:
    return {"covered": {"size": story.next, "cosignatures": 0, "cosignatures_not_checked": 1}}


def _flip(raw: bytes, at: int) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


def leaves() -> Cases:
    """A leaf from whose bytes no entry can be composed: nothing behind it is read."""
    story = whole()
    fields: Map = {
        "v": 1,
        "log": story.log_id,
        "kind": "note",
        "by": AGENT.public,
        "at_ms": T0,
        "prev": None,
        "data": None,
    }
    good = wire.il1(fields)
    items: dict[str, tuple[str, bytes]] = {
        "not-il1": ("a body that is not canonical [ENV-1]", wire.il1([good + b"\0", bytes(64)])),
        "array": ("a body that is no map [ENV-1]", wire.il1([wire.il1([1]), bytes(64)])),
        "no-by": ("a body without an issuer [ENV-2]", wire.il1([wire.il1({**fields, "by": None}), bytes(64)])),
        "signature": ("63 bytes of signature [ENV-2]", wire.il1([good, bytes(63)])),
        "large": ("a body of 64,001 bytes [ENV-1]", wire.il1([bytes(64_001), bytes(64)])),
        "item": ("an item that is no leaf [BDL-3]", wire.il1({"body": good})),
        "three": ("an item more", wire.il1([good, bytes(64), None])),
        "text": ("a body as text", wire.il1(["body", bytes(64)])),
    }
    header = wire.il1(["invoke-log bundle 1", ORIGIN, 0, story.next + 1, []])
    before = b"".join(wire.il1([body, signature]) for body, signature in story.pairs[:4])
    after = b"".join(wire.il1([body, signature]) for body, signature in story.pairs[4:])
    for name, (comment, item) in items.items():
        raw = header + before + item + after + wire.trailer_item(story.note())
        yield f"leaf-{name}", stopped(f"{comment} [RPL-2]", "malformed", raw, read=4, index=4, flag="leaf")
    story = whole()
    flipped = bytes([story.leaves[0].body[0] ^ 0x40]) + story.leaves[0].body[1:]
    raw = wire.bundle(ORIGIN, [(flipped, story.leaves[0].signature), *story.pairs[1:]], wire.trailer_item(story.note()))
    yield "leaf-first", stopped("the first leaf [RPL-2]", "malformed", raw, index=0, flag="leaf")


def tampered() -> Cases:
    """Somebody has changed a log behind its checkpoint. What a reader then sees, leaf by leaf."""

    def case(comment: str, story: Story) -> Case:
        raw = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(whole().note()))
        story.find("root-mismatch")
        return story.case(comment, "tampered", raw=raw, **UNCOVERED)

    honest = whole()
    outcome = honest.leaves[-1]
    story, _ = started()
    story.adopt(_with(outcome, signature=_flip(outcome.signature, 40)), void="signature-invalid")
    yield "tampered-signature", case("a flipped bit in a signature [SIG-1]", story)
    story, _ = started()
    story.adopt(_with(outcome, body=outcome.body.replace(b"pi_1", b"pi_2")), void="signature-invalid")
    yield "tampered-body", case("another object's name in an outcome", story)
    story = Story()
    effect = story.effect()
    story.intent(effect)
    start = honest.leaves[-2]
    story.adopt(_with(start, body=start.body.replace(b"covered", b"Covered")), void="signature-invalid")
    story.adopt(outcome, void="chain-broken")
    yield "tampered-middle", case("a START was changed: what rests on it is void [RPL-4]", story)
    story, effect = started()
    story.outcome(effect, evidence=_evidence("pi_2"))
    yield "tampered-resigned", case("another outcome, signed by the same key: only the root tells", story)
    story, effect = started()
    story.outcome(effect, by=STRANGER, void="start-key-differs")
    yield "tampered-stranger", case("an outcome in the place of another, by a stranger", story)
    yield from moved(case)


def _with(leaf: Leaf, *, body: bytes | None = None, signature: bytes | None = None) -> Leaf:
    """Return a leaf with other bytes, its entry and id with them. The header does not change: `by` and `effect`
    stand.
    """
    raw, sealed = body or leaf.body, signature or leaf.signature
    header = leaf.entry[4 : 4 + 231]
    assert wire.entry(header, leaf.body, leaf.signature) == leaf.entry
    return replace(leaf, body=raw, signature=sealed, id=wire.h("event", raw), entry=wire.entry(header, raw, sealed))


def _evidence(reference: str) -> Map:
    return {
        "kind": "response",
        "reference": reference,
        "failure": None,
        "tick": None,
        "observations": [],
        "attachment": None,
    }


def moved(case: Callable[[str, Story], Case]) -> Cases:
    """A leaf is dropped, swapped with its neighbour, repeated, or taken from another log."""
    honest = whole()
    start, outcome = honest.leaves[-2:]
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.adopt(outcome, void="chain-broken")
    story.find("size-mismatch")
    fewer = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(honest.note()))
    yield "tampered-dropped", story.case("the START was left out", "tampered", raw=fewer, **UNCOVERED)
    story = Story()
    effect = story.effect()
    at_ms = T0 + story.next
    story.adopt(start, void="chain-broken")
    story.intent(effect, at_ms=at_ms)
    story.adopt(outcome, void="chain-broken")
    yield "tampered-swapped", case("START and intent have changed places", story)
    story = whole()
    story.repeat(story.next - 1, void="chain-broken")
    story.find("size-mismatch")
    more = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(honest.note()))
    yield "tampered-repeated", story.case("an outcome stands twice", "tampered", raw=more, **UNCOVERED)
    other = Story(policy=None, contract=None)
    other.grant("agent", STRANGER)
    story, _ = started()
    story.adopt(other.leaves[-1], void="chain-broken")
    yield "tampered-foreign", case("a leaf of another history of this log", story)
    story, effect = started()
    elsewhere = wire.plain(b"another log")
    story.about(effect, "note", effect.head or b"", log=elsewhere, void="log-mismatch")
    yield "tampered-transplanted", case("a leaf of another log [GOV-3]", story)
    story = whole()
    note = unknown()[0].note()
    story.find("root-mismatch")
    raw = wire.bundle(ORIGIN, story.pairs, wire.trailer_item(note))
    yield "tampered-checkpoint", story.case("the checkpoint of another history", "tampered", raw=raw, **UNCOVERED)
