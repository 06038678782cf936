"""The live path's state, loaded from memos, is the auditor's after every event of random histories. [EFF-1], S13"""

import random
from pathlib import Path

import pytest

from invoke_log.errors import MalformedError
from invoke_log.format import limits, merkle
from invoke_log.format.digest import EventId
from invoke_log.format.envelope import entry_of
from invoke_log.ledger.memo import decode_memo, encode_memo
from invoke_log.ledger.state import LiveWorld, Memory
from invoke_log.rules.contract import EFFECT_CLASS_CHARS_MAX
from invoke_log.rules.event import CHAINED_KINDS
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.kind import COMMITTED, UNKNOWN
from invoke_log.rules.world import Claim, EffectState, Send
from tests.harness.live import Live, memory_live
from tests.harness.player import Player

STEPS = 70
HISTORIES = 10


class Auditor:
    """Folds the log's leaves as they come, and is the auditor's opinion of what the live path has to know."""

    def __init__(self, live: Live) -> None:
        self.live, self.fold, self.frontier = live, Fold(), merkle.EMPTY_FRONTIER

    def catch_up(self) -> None:
        for entry in self.live.log.entries(int(self.frontier.size)):
            folded = self.fold.apply(entry.event, index=entry.index, root=self.frontier.root)
            assert not isinstance(folded, Void), (entry.event.kind, folded)
            leaf = merkle.leaf_hash(entry_of(entry.body, entry.signature))
            self.frontier, _ = self.frontier.append(leaf)

    def compare(self) -> None:
        with self.live.log._engine.snapshot() as reader:
            for memory in (Memory(), self.live.log._memory):
                world = LiveWorld(reader, memory)
                for key, state in self.fold.effects.items():
                    assert world.effect(key, state.resource) == self.fold.effect(key, state.resource)
                for bound in (self.live.bound(order=order) for order in "ab"):
                    assert world.state_hash(bound.resource) == self.fold.state_hash(bound.resource)
                assert world.governance == self.fold.governance
                assert world.now_ms() == self.fold.now_ms()
                leaves = range(max(0, reader.size - 12), reader.size)
                assert [(world.lo(i), world.hi(i)) for i in leaves] == [
                    (self.fold.lo(i), self.fold.hi(i)) for i in leaves
                ]


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_live_state_is_the_auditors_after_every_event_of_a_random_history(seed: int, tmp_path: Path) -> None:
    with memory_live(tmp_path) as live:
        player, auditor = Player(live, random.Random(seed)), Auditor(live)
        for _ in range(STEPS):
            player.step()
            auditor.catch_up()
            auditor.compare()


def test_the_random_histories_have_every_kind_of_event_on_an_effects_chain(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in range(HISTORIES):
        with memory_live(tmp_path) as live:
            player = Player(live, random.Random(seed))
            for _ in range(STEPS):
                player.step()
            seen |= player.seen
        if CHAINED_KINDS | {"recovery"} <= seen:
            break
    assert CHAINED_KINDS | {"recovery"} <= seen


def test_a_memo_of_everything_at_its_largest_fits() -> None:
    largest = limits.INTEGER_MAX
    claim = Claim(
        id=EventId(b"c" * 32),
        index=0,
        issuer=b"",
        contract_id=b"",
        request=b"",
        decision_key=b"",
        asks=True,
        approvals=16,
    )
    send = Send(id=b"s" * 32, index=0, by=b"", nonce_hash=b"", last_index=1, redriven=True)
    state = EffectState(
        effect=b"",
        resource="",
        effect_class="c" * EFFECT_CLASS_CHARS_MAX,
        status=UNKNOWN,
        generation=largest,
        attempt=largest,
        turn=largest,
        committed_max=largest - 1,
        base_status=COMMITTED,
        base_generation=largest - 1,
        base_claim=claim,
        claim=claim,
        send=send,
        tainted=largest,
        absorbed=largest,
    )
    raw = encode_memo(state, last_send=b"r" * 32)
    assert len(raw) <= limits.MEMO_BYTES_MAX
    memo = decode_memo(raw)
    assert (memo.claim, memo.send, memo.last_send) == (claim.id, send.id, b"r" * 32)
    assert (memo.generation, memo.turn, memo.base_status) == (largest, largest, COMMITTED)


def test_a_memo_that_is_cut_is_malformed() -> None:
    raw = encode_memo(EffectState(effect=b"", resource=""), last_send=None)
    with pytest.raises(MalformedError):
        decode_memo(raw[:-1])
