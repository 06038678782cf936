"""S1, S2 and S3 against a provider: nobody lies, and everything else goes wrong. SPEC §9, §10.

Requests are late by up to D + Q or never arrive, answers get lost, processes stop anywhere, and the log is once
restored from an older copy. The rules alone have to keep the story true: whatever is admitted, an effect lands at most
once a generation, and the log never says of one what is not so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, STARTED, UNKNOWN, Redrive, Start, Tick
from invoke_log.rules.world import EffectState
from tests.harness.story import BOUND, TTL, D, Leaf, Story

LANDS, REFUSED, LOST, UNSENT = range(4)
EVER: Final = 1 << 60


@dataclass(slots=True)
class Sent:
    """One request on its way: what will become of it, and how long after the next tick. `key` is the provider's."""

    effect: bytes
    generation: int
    key: bytes
    start: Leaf
    fate: int
    delay_ms: int
    at_ms: int = EVER


@dataclass(slots=True)
class World:
    """A provider, keyed or not, and the log beside it. Time moves by ticks; a request leaves as late as rules allow."""

    keyed: bool
    story: Story
    sent: list[Sent] = field(default_factory=list)
    voided: set[bytes] = field(default_factory=set)
    recovered: bool = False

    def tick(self, after_ms: int) -> Leaf:
        tick = self.story.tick(after_ms)
        for sent in self.sent:
            if sent.at_ms == EVER and sent.fate in (LANDS, REFUSED):
                sent.at_ms = self.story.now + sent.delay_ms
        return tick

    def send(self, start: Leaf, fate: int, delay_ms: int) -> None:
        state = self.story.state(start)
        assert isinstance(start.event.data, Start | Redrive)
        key = start.event.data.provider_key
        self.sent.append(Sent(state.effect, state.generation, key, start, fate, delay_ms))

    def answers(self, effect: bytes, generation: int, by_ms: int) -> Iterator[Sent]:
        """What the provider did for a generation: each request, or, where it is keyed, the first under each key."""
        done: set[bytes] = set()
        for sent in sorted(self.sent, key=lambda sent: sent.at_ms):
            mine = (sent.effect, sent.generation) == (effect, generation) and sent.fate in (LANDS, REFUSED)
            if mine and sent.at_ms <= by_ms and sent.key not in (*done, *self.voided):
                yield sent
                if self.keyed:
                    done.add(sent.key)

    def landings(self, effect: bytes, generation: int, by_ms: int) -> int:
        return sum(sent.fate == LANDS for sent in self.answers(effect, generation, by_ms))


Move = Callable[[World, EffectState, Leaf, int], object]


def decide(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    """Anybody decides it (again), at times with another amount; somebody may repeat what is done."""
    by, amount = ("agent", "other")[n % 2], 5000 if n % 5 else 6000
    # A generation that only the lost tail knew leaves no trace: after a recovery a repeat is at its author's own risk.
    if state.status == COMMITTED and n % 3 == 0 and not (world.recovered and state.absorbed):
        world.story.again(claim, amount=amount)
    else:
        world.story.intent(by=by, amount=amount)


def send(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    start = world.story.start(claim, by=("executor", "other")[n % 2])
    if start.code == "accepted":
        world.send(start, (LANDS, LANDS, REFUSED, LOST, UNSENT)[n % 5], (0, D, BOUND)[n % 3])


def redrive(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    for start in [sent.start for sent in world.sent if sent.start.id == _open_start(state)]:
        again = world.story.redrive(start)
        if again.code == "accepted":
            world.send(again, (LANDS, REFUSED, LOST)[n % 3], (0, D, BOUND)[n % 3])


def hear(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    """A process that still holds a nonce says what it saw, be it late."""
    mine = world.sent[-1 - n % min(3, len(world.sent))] if world.sent else None
    if mine is None or mine.start.event.kind == "redrive":
        return
    story = world.story
    answers = world.answers(mine.effect, mine.generation, story.now)
    answer = next((sent for sent in answers if sent is mine or (world.keyed and sent.key == mine.key)), None)
    if mine.fate == UNSENT:
        story.outcome(mine.start, NOT_COMMITTED, kind="never_sent")
    elif answer is None or n % 4 == 0:
        story.outcome(mine.start, UNKNOWN)
    elif answer.fate == LANDS:
        story.outcome(mine.start, COMMITTED)
    else:
        kind = "stored_failure" if world.keyed else "definite_failure"
        story.outcome(mine.start, NOT_COMMITTED, kind=kind, failure="card_declined")


def read(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    """A reconciler that began to read when it held one of the last ticks."""
    ticks = [leaf for leaf in world.story.leaves if leaf.event.kind == "tick" and leaf.code == "accepted"]
    tick = ticks[-1 - n % min(2, len(ticks))]
    assert isinstance(tick.event.data, Tick)
    if world.landings(state.effect, state.generation, tick.event.data.time_ms):
        world.story.present(claim, state.generation)
    else:
        world.story.absent(claim, tick)


def void(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    """A keyed provider takes a void for a request that it has not seen yet, and then never carries it out."""
    mine = next((sent for sent in world.sent if sent.start.id == _open_start(state)), None)
    if not world.keyed or mine is None:
        return
    if not any(sent.key == mine.key and sent.at_ms <= world.story.now for sent in world.sent):
        world.voided.add(mine.key)
        world.story.absent(claim, kind="void")


def attest(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    """A person who looks at the provider's ledger now."""
    landed = world.landings(state.effect, state.generation, world.story.now)
    world.story.attest(claim, COMMITTED if landed else NOT_COMMITTED)


def abandon(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    (world.story.release if n % 2 else world.story.deny)(claim, by=("approver", "agent", "other")[n % 3])


def suspect(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    for start in [sent.start for sent in world.sent if sent.start.id == _open_start(state)]:
        world.story.suspect(start)


def lose_the_tail(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    """Restore an older copy, once, and go on from it; what was sent is sent."""
    if world.recovered:
        return
    told, now = world.story.leaves, world.story.now
    restored = begin(keyed=world.keyed)
    for leaf in told[len(restored.leaves) : max(len(restored.leaves), len(told) - n % 8)]:
        restored.apply(leaf.sealed)
    restored.now, world.story, world.recovered = now, restored, True
    assert restored.recover().code == "accepted"


def wait(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    world.tick(0)
    world.tick((D, BOUND, BOUND, TTL)[n % 4])


def tick(world: World, state: EffectState, claim: Leaf, n: int) -> None:
    world.tick((0, 1, D, BOUND)[n % 4])


LIKELY: Final[dict[str, Sequence[Move]]] = {
    FREE: (decide, decide, tick),
    CLAIMED: (send, send, send, abandon, decide, tick),
    STARTED: (hear, hear, suspect, wait, decide, tick),
    UNKNOWN: (read, read, read, redrive, hear, void, attest, wait, wait, decide, tick),
    NOT_COMMITTED: (decide, decide, decide, hear, read, tick),
    COMMITTED: (decide, decide, hear, read, tick),
}
"""What people try in each status; one time in twelve, the log is lost."""


def begin(*, keyed: bool) -> Story:
    return Story() if keyed else Story(provider_key=None)


def _open_start(state: EffectState) -> bytes | None:
    return state.send.id if state.send is not None else None


@given(keyed=st.booleans(), steps=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 59)), min_size=10, max_size=40))
@settings(max_examples=100)
def test_with_honest_people_an_effect_lands_once_a_generation_and_the_log_tells_the_truth(
    keyed: bool, steps: list[tuple[int, int]]
) -> None:
    """S1, S2, S3, [PRF-5], [REC-4], [REC-6]"""
    world = World(keyed, begin(keyed=keyed))
    for at, n in steps:
        claim = world.story.claims.get(world.story.bound().effect) or world.story.intent()
        state = world.story.state(claim)
        moves = LIKELY[state.status]
        (lose_the_tail if at == 11 else moves[at % len(moves)])(world, state, claim, n)
        for after in world.story.fold.effects.values():
            now, ever = (world.landings(after.effect, after.generation, by) for by in (world.story.now, EVER))
            assert ever <= 1, "S1: at most one landing per generation"
            assert now == 1 or after.status != COMMITTED, "S3: committed landed"
            # After a recovery nothing that the older copy says about absence counts, until an intent has paid for it.
            told = after.absorbed or not world.recovered
            assert ever == 0 or not told or after.status not in (CLAIMED, NOT_COMMITTED), "S2: it did not, nor will it"
