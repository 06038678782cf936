"""Laws of any story, legal or not: what no order of events can bring about. SPEC §9.4, §12."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from invoke_log.rules.event import CHAINED_KINDS
from invoke_log.rules.fold import Fold
from invoke_log.rules.kind import CLAIMED, COMMITTED, NOT_COMMITTED, UNKNOWN
from invoke_log.rules.world import EffectState
from tests.harness.story import BOUND, CAST, TTL, D, Leaf, Story

WHO: Final = (*CAST, "stranger")
Move = Callable[[Story, Leaf, str, int], object]
MOVES: Final[Sequence[Move]] = (
    lambda story, of, who, n: story.intent(by=who, order=str(n % 2), amount=1 + n % 2),
    lambda story, of, who, n: story.intent(order=str(n % 2), answer=("ask", "deny", "allow")[n % 3]),
    lambda story, of, who, n: story.intent(by=who, order=str(n % 2), body={"state": bytes(32)}),
    lambda story, of, who, n: story.again(of, by=("repeater", who)[n % 2], order=str(n % 2)),
    lambda story, of, who, n: story.approve(of, by=("approver", who)[n % 2]),
    lambda story, of, who, n: story.deny(of, by=("approver", who)[n % 2]),
    lambda story, of, who, n: story.release(of, by=who),
    lambda story, of, who, n: story.start(of, by=("executor", who)[n % 2]),
    lambda story, of, who, n: story.start(
        of, approvals=[leaf for leaf in story.leaves if leaf.event.kind == "approval"]
    ),
    lambda story, of, who, n: story.outcome(of, (COMMITTED, NOT_COMMITTED, UNKNOWN)[n % 3]),
    lambda story, of, who, n: story.outcome(of, (COMMITTED, UNKNOWN)[n % 2], by=who, nonce=None),
    lambda story, of, who, n: story.outcome(of, NOT_COMMITTED, kind="stored_failure", failure="card_declined"),
    lambda story, of, who, n: story.suspect(of, by=who),
    lambda story, of, who, n: story.redrive(of),
    lambda story, of, who, n: story.present(of, 1 + n % 3, by=("reconciler", who)[n % 2]),
    lambda story, of, who, n: story.absent(of, story.leaves[-1 - n % 2]),
    lambda story, of, who, n: story.absent(of, kind=("void", "key_burnt")[n % 2]),
    lambda story, of, who, n: story.attest(of, (COMMITTED, NOT_COMMITTED)[n % 2]),
    lambda story, of, who, n: story.note(of, by=who),
    lambda story, of, who, n: story.tick((0, D, BOUND, TTL)[n % 4]),
    lambda story, of, who, n: story.wait(BOUND),
    lambda story, of, who, n: story.freeze() if n % 2 else story.unfreeze(),
    lambda story, of, who, n: story.recover(data={"origin": f"example.com/payments.e{len(story.leaves)}"}),
    lambda story, of, who, n: story.grant(who, "executor", by=("admin", who)[n % 2]),
)
STEPS: Final = st.lists(
    st.tuples(st.sampled_from(MOVES), st.integers(0, 3), st.sampled_from(WHO), st.integers(0, 11)),
    min_size=8,
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=60)
def test_no_order_of_events_breaks_the_laws_of_an_effect(steps: list[tuple[Move, int, str, int]]) -> None:
    """S4, S5, S6, S7, S13, [EFF-13], [RPL-4]"""
    story = Story()
    told, starts, chains = [story.intent(order="0")], Counter[tuple[bytes, int]](), defaultdict[str, list[bytes]](list)
    for move, back, who, n in steps:
        before, root, size = dict(story.fold.effects), story.root(), len(story.leaves)
        move(story, told[-1 - back % len(told)], who, n)
        new = story.leaves[size:]
        told += [leaf for leaf in new if leaf.event.kind in CHAINED_KINDS]
        for leaf in new:
            if leaf.code == "accepted" and leaf.event.kind == "start":
                state = story.state(leaf)
                starts[state.effect, state.attempt] += 1
                assert before[state.effect].status == CLAIMED, "S6: START only from a fresh claim"
        if all(leaf.code != "accepted" for leaf in new):
            assert (story.root(), dict(story.fold.effects)) == (root, before), "a void event moves nothing"
        for state in story.fold.effects.values():
            stays_final(before.get(state.effect, state), state)
            chain, moved = chains[state.resource], story.fold.state_hash(state.resource)
            assert moved not in chain[:-1], "S7: S never repeats"
            chain += [moved] if moved not in chain else []
    assert max(starts.values(), default=1) == 1, "S4: one holder of send permission per attempt"
    fresh = Fold()
    for leaf in story.leaves:
        fresh.apply(leaf.event, index=leaf.index, root=None)
    assert fresh.state_root(0) == story.root(), "S13: replay is a pure function"


def stays_final(before: EffectState, after: EffectState) -> None:
    assert after.committed_max >= before.committed_max, "S5: committed is final"
    assert after.attempt >= before.attempt, "an attempt's number is never used again"
    if after.status == COMMITTED:
        assert after.generation == after.committed_max
    else:
        assert after.generation > after.committed_max, "S5: a committed generation is never open again"
