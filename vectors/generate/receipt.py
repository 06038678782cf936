"""vectors/receipt: what a third party is handed about one effect, and what it proves.

A receipt shows governance, leaf 1, the effect's chain, what its evidence names, and the ticks between; `leaf` is the
code of the finding that refuses it, where it is one leaf's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._grades import attested as first_attested
from vectors.generate._intents import SECOND
from vectors.generate._lives import ATTESTED, absent, call, settle, started, unknown
from vectors.generate._proofs import observe, reading
from vectors.generate._recoveries import swear
from vectors.generate._sample import ALLOW, CHARGE, EVERYTHING, GOVERNING, evidence
from vectors.generate._story import CHARGES, Story
from vectors.generate._wire import AGENT, LOG, ORIGIN, RECONCILER, SECOND_RECONCILER, STRANGER, Case, Map, Value

AREAS = ("receipt",)
ALWAYS = (*GOVERNING, "tick", "observation")

Told = tuple[Story, Effect]


@dataclass(frozen=True)
class Shown:
    """One item of a receipt, before it is written."""

    index: int
    body: bytes
    signature: bytes
    proof: list[Value]

    def item(self) -> bytes:
        return wire.il1([self.index, self.body, self.signature, self.proof])


def generate() -> dict[str, bytes]:
    return wire.files("receipt", {**dict(valid()), **dict(broken())})


def path(index: int, hashes: list[bytes]) -> list[Value]:
    """Return the inclusion proof of a leaf (RFC 9162 §2.1.3.1)."""
    if len(hashes) == 1:
        return []
    left = 1 << (len(hashes) - 1).bit_length() - 1
    if index < left:
        return [*path(index, hashes[:left]), wire.root(hashes[left:])]
    return [*path(index - left, hashes[left:]), wire.root(hashes[:left])]


def shown(story: Story, effect: Effect, *, everything: bool = False) -> list[Shown]:
    hashes = [wire.leaf_hash(leaf.entry) for leaf in story.leaves]
    return [
        Shown(index, leaf.body, leaf.signature, path(index, hashes))
        for index, leaf in enumerate(story.leaves)
        if everything or leaf.kind in ALWAYS or leaf.id in effect.events or leaf.void is not None
    ]


def receipt(story: Story, effect: Effect, leaves: list[Shown], note: bytes | None = None) -> bytes:
    head = wire.il1(["invoke-log receipt 1", story.origin, effect.key, story.next])
    return head + b"".join(leaf.item() for leaf in leaves) + wire.il1([note or story.note()])


def valid() -> Iterator[tuple[str, Case]]:
    tellers: dict[str, tuple[str, Callable[[], Told]]] = {
        "claimed": ("a claim [RCP-6]", lambda: claimed()),
        "started": ("a call that is out", lambda: started()),
        "committed": ("the executor's word [PRF-8]", committed),
        "not-committed": ("two readers saw nothing [RCP-3] [PRF-7]", twice_read),
        "unknown": ("no answer", lambda: unknown()),
        "seen": ("a sighting [PRF-8]", seen),
        "attested": ("a person's word", attested),
        "attempts": ("a person's word of the first attempt, an answer to the second [PRF-9]", attempts),
        "generations": ("two generations, the first of two attempts [PRF-9]", generations),
        "sworn": ("a call that an oath let through after a recovery [PRF-9]", sworn),
        "retired": ("what a retired class's effect came to after a recovery is not shown [RCP-5] [REC-7]", retired),
        "mapped": ("a tick that carries a map root, which rests on what is not shown [RCP-5] [MAP-8]", mapped),
        "attached": ("evidence that names an attachment, which no receipt carries [RCP-5]", attached),
        "among-others": ("between another effect's leaves, on the same resource [RCP-5]", among_others),
    }
    for name, (comment, tell) in tellers.items():
        story, effect = tell()
        yield name, case(comment, story, effect, receipt(story, effect, shown(story, effect)))
    story, effect = among_others()
    everything = receipt(story, effect, shown(story, effect, everything=True))
    yield "more", case("another effect's leaves besides [RCP-5]", story, effect, everything)


def claimed(story: Story | None = None) -> Told:
    story = story or Story()
    effect = story.effect()
    story.intent(effect)
    return story, effect


def committed() -> Told:
    story, effect = started()
    story.outcome(effect)
    return story, effect


def seen() -> Told:
    story, effect = unknown()
    story.resolution(effect)
    return story, effect


def twice_read() -> Told:
    story, effect, tick = reading()
    listed: Value = [*sorted(observe(story, effect, by, tick) for by in (RECONCILER, SECOND_RECONCILER))]
    story.resolution(effect, "absence", tick=tick, observations=listed, grade="E2")
    return story, effect


def attested() -> Told:
    story, effect = unknown(Story(also=ATTESTED))
    settle(story)
    story.attest(effect)
    return story, effect


def attempts() -> Told:
    story, effect = first_attested()
    call(story, effect, "not_committed", "definite_failure")
    return story, effect


def generations() -> Told:
    story, effect = first_attested()
    call(story, effect)
    call(story, effect)
    return story, effect


def sworn() -> Told:
    story = Story(also=ATTESTED)
    story.recover()
    swear(story, CHARGES)
    story, effect = started(story)
    story.outcome(effect)
    return story, effect


def retired() -> Told:
    story = Story(grants=())
    story.grant("agent", AGENT, EVERYTHING)
    story.grant("reconciler", RECONCILER, EVERYTHING)
    before = story.effect()
    story.recover()
    story.intent(before, status="unknown")
    absent(story, before)
    story.contract(SECOND)
    effect = story.effect()
    story.intent(effect, status="unknown")
    return story, effect


def mapped() -> Told:
    story = Story()
    other = story.effect(order="790")
    story.intent(other)
    one = wire.h("map leaf", other.key + other.map_value(story.next - 1))
    story.tick(story.now, covers=story.next, map=one)
    return claimed(story)


def attached() -> Told:
    story, effect = started()
    named: Map = {"attachment": wire.plain(b"page"), "size": 4}
    story.outcome(effect, evidence=evidence("response", attachment=named))
    return story, effect


def among_others() -> Told:
    story, effect = started()
    other = story.effect(order="790")
    story.intent(other)
    story.outcome(effect)
    story.start(other)
    story.outcome(other)
    return story, other


def case(
    comment: str, story: Story, effect: Effect, raw: bytes, *, expect: str = "ok", leaf: str | None = None
) -> Case:
    report: Case = {
        "trusted": True,
        "origin": story.origin,
        "size": story.next,
        "effect": effect.report(),
        "findings": [],
    }
    return {
        "comment": comment,
        "expect": expect,
        "flags": ["valid" if expect == "ok" else "broken"],
        "trust": wire.vkey(story.origin, story.log_key),
        "receipt": raw.hex(),
        "report": report if expect == "ok" else None,
        "leaf": leaf,
    }


def broken() -> Iterator[tuple[str, Case]]:
    story, effect = committed()
    leaves = shown(story, effect)
    whole, last = receipt(story, effect, leaves), leaves[-1]

    def of(comment: str, raw: bytes, expect: str = "receipt-invalid", leaf: str | None = None) -> Case:
        return case(comment, story, effect, raw, expect=expect, leaf=leaf)

    def ends(changed: Shown) -> bytes:
        return receipt(story, effect, [*leaves[:-1], changed])

    def headed(*head: Value) -> bytes:
        return wire.il1(list(head)) + whole[len(wire.il1(["invoke-log receipt 1", ORIGIN, effect.key, story.next])) :]

    trailer = wire.il1([story.note()])
    yield "empty", of("no bytes [RCP-1]", b"", "cut")
    yield "cut", of("it ends before its checkpoint [RCP-1]", whole[: -len(trailer)], "cut")
    yield "cut-inside", of("it ends inside its last leaf", whole[: -len(trailer) - 1], "cut")
    yield "after", of("an item after the trailer [RCP-2]", whole + trailer, "malformed")
    yield "magic", of("a bundle's magic", headed("invoke-log bundle 1", ORIGIN, effect.key, story.next), "malformed")
    yield "order", of("leaves out of order [RCP-2]", receipt(story, effect, [*leaves[::-1]]), "malformed")
    yield "twice", of("one leaf twice [RCP-2]", receipt(story, effect, [*leaves, last]), "malformed")
    yield "beyond", of("a leaf beyond the tree [RCP-2]", ends(replace(last, index=story.next)), "malformed")
    yield "proof-short", of("a hash less in a proof [TREE-6]", ends(replace(last, proof=last.proof[:-1])))
    yield "proof-other", of("another leaf's proof [TREE-4]", ends(replace(last, proof=leaves[-2].proof)))
    elsewhere = replace(last, index=last.index - 1)
    yield "index", of("under another index [RCP-4]", receipt(story, effect, [*leaves[:-2], elsewhere]))
    flipped = bytes([last.signature[0] ^ 1]) + last.signature[1:]
    yield "signature", of("a leaf's signature is another [RCP-4]", ends(replace(last, signature=flipped)))
    yield "genesis", of("genesis is not shown [RCP-3]", receipt(story, effect, leaves[1:]))
    yield "nothing", of("no leaf is shown [RCP-3]", receipt(story, effect, []))
    yield "gap", of("the effect's first event is not shown", receipt(story, effect, _without(story, leaves, "intent")),
                    leaf="chain-broken")  # fmt: skip
    grant = next(at for at, leaf in enumerate(story.leaves) if leaf.kind == "grant")
    hidden = [leaf for leaf in leaves if leaf.index != grant]
    yield "governance", of("a grant is not shown [RCP-3]", receipt(story, effect, hidden), leaf="chain-broken")
    late = [leaf for leaf in leaves if leaf.index != 1]
    yield "no-tick", of("the first tick is not shown [RCP-3] [RCP-5]", receipt(story, effect, late))
    yield (
        "effect",
        of("of an effect that it does not show", headed("invoke-log receipt 1", ORIGIN, bytes(32), story.next)),
    )
    yield "size", of("another size than the checkpoint's [RCP-2]",
                     headed("invoke-log receipt 1", ORIGIN, effect.key, story.next + 1))  # fmt: skip
    yield "origin", of("another origin than the checkpoint's [RCP-5]",
                       headed("invoke-log receipt 1", "example.com/other", effect.key, story.next))  # fmt: skip
    stranger = wire.note(ORIGIN, story.next, story.root, STRANGER)
    yield "key", of("a checkpoint under a key that is not trusted [RCP-4]",
                    receipt(story, effect, leaves, stranger), "signature-invalid")  # fmt: skip
    yield from lying()


def _without(story: Story, leaves: list[Shown], kind: str) -> list[Shown]:
    return [leaf for leaf in leaves if story.leaves[leaf.index].kind != kind]


def lying() -> Iterator[tuple[str, Case]]:
    """Logs that are signed and in their tree, and do not stand."""
    story, effect = started()
    story.outcome(effect, nonce=bytes(16), void="nonce-differs")
    raw = receipt(story, effect, shown(story, effect))
    yield "void", case("a void leaf [RCP-5]", story, effect, raw, expect="receipt-invalid", leaf="nonce-differs")
    outcome = committed()[0].leaves[-1]
    story, effect = started()
    story.adopt(
        replace(outcome, signature=bytes([outcome.signature[0] ^ 1]) + outcome.signature[1:]), void="signature-invalid"
    )
    raw = receipt(story, effect, shown(story, effect))
    comment = "a leaf of the tree whose signature is false [RCP-4]"
    yield "leaf-signature", case(comment, story, effect, raw, expect="receipt-invalid")
    story = Story()
    effect = story.effect()
    story.intent(effect, verdict=story.verdict(rule="other"), finds=("verdict-differs",))
    raw = receipt(story, effect, shown(story, effect))
    comment = "a verdict that does not re-derive [RCP-5]"
    yield "verdict", case(comment, story, effect, raw, expect="receipt-invalid", leaf="verdict-differs")
    story = Story(policy=None, contract=None)
    story.leaves, story.now = story.leaves[:1], 0
    story.policy(ALLOW)
    story.tick(1000)
    story.contract(CHARGE)
    for role, key in (("agent", AGENT), ("executor", AGENT)):
        story.grant(role, key)
    effect = story.effect()
    story.intent(effect)
    raw = receipt(story, effect, shown(story, effect))
    yield "late-tick", case("leaf 1 is no tick [TIME-2] [RCP-5]", story, effect, raw, expect="receipt-invalid")
    story, effect = committed()
    story.recover(log_key=STRANGER)
    story.origin, story.log_key = ORIGIN, LOG
    raw = receipt(story, effect, shown(story, effect))
    yield "recovered", case("the log goes on under another key than the checkpoint's [RCP-5]", story, effect, raw,
                            expect="receipt-invalid")  # fmt: skip
