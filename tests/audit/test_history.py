"""Map roots in ticks are recomputed by replay, for the size that the tick names. [MAP-7], [MAP-8]"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import invoke_log as il
from invoke_log.audit.history import History
from invoke_log.audit.source import Closing
from invoke_log.format import digest
from invoke_log.format.prefix_tree import EMPTY_TREE, PrefixTree
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import COMMITTED, Tick
from invoke_log.rules.states import Kept, States
from invoke_log.rules.world import EffectState
from tests.harness.live import audit, memory_live
from tests.harness.play import Play, claimed, committed, must, recovered
from tests.harness.player import recover

PREFIX_TREE_PUT = PrefixTree.put


@pytest.fixture
def log(tmp_path: Path) -> il.Log:
    log = il.Log.create(tmp_path / "log", origin="example.com/payments")
    guard = il.Guard(log)

    @guard.tool("money.charge/1", resource="stripe/customer/{customer}", purpose="order")
    def charge(customer: str, order: str) -> str:
        return order

    charge(customer="cus_1", order="1")
    charge(customer="cus_1", order="2")
    return log


def _map_root(log: il.Log, size: int) -> bytes:
    """The root from the definition: the last event of each effect below `size`, and the status that it left."""
    tree = EMPTY_TREE
    statuses = {"intent": "claimed", "start": "started", "outcome": "committed"}
    for entry in log.entries():
        if entry.index < size and entry.event.effect is not None:
            status = statuses[entry.event.kind]
            committed = [1] if status == "committed" else []
            value = digest.derive_item("map value", [status, 1, list(committed), entry.event.id, entry.index])
            tree = tree.put(entry.event.effect, value)
    return tree.root()


def _append_tick(log: il.Log, covers: int, root: bytes) -> int:
    last_ms = max(entry.event.data.time_ms for entry in log.entries() if isinstance(entry.event.data, Tick))
    tick = Tick(time_ms=last_ms + 1, covers=covers, map=root)
    answer = log.append(log.draft(tick, il.load_key(log.path / "keys" / "log.key")))
    assert isinstance(answer, Accepted)
    return answer.index


def _codes(log: il.Log) -> list[tuple[str, int | None]]:
    log.checkpoint()
    path = log.path
    log.close()
    return [(finding.code, finding.index) for finding in il.replay(path).findings]


@pytest.mark.parametrize("fewer", [0, 1, 2, 4])
def test_a_tick_with_the_root_of_an_earlier_size_is_confirmed(log: il.Log, fewer: int) -> None:
    size = sum(1 for _ in log.entries())
    _append_tick(log, size - fewer, _map_root(log, size - fewer))
    assert _codes(log) == []


def test_a_tick_with_the_root_of_another_size_is_found(log: il.Log) -> None:
    size = sum(1 for _ in log.entries())
    at = _append_tick(log, size, _map_root(log, size - 1))
    assert _codes(log) == [("map-differs", at)]


def test_a_tick_that_covers_leaves_after_its_own_is_refused(log: il.Log) -> None:
    size = sum(1 for _ in log.entries())
    tick = Tick(time_ms=1, covers=size + 1, map=_map_root(log, size))
    answer = log.append(log.draft(tick, il.load_key(log.path / "keys" / "log.key")))
    assert isinstance(answer, Refused)
    assert answer.code == "tick-invalid"
    assert isinstance(_append_tick(log, size, _map_root(log, size)), int)


class Played:
    """The leaves of a play, as a source that says nothing else."""

    origin = covers = None

    def __init__(self, play: Play) -> None:
        self._play = play

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        return ((each.body, each.signature) for each in self._play.envelopes)

    def closing(self, named: Iterable[bytes]) -> Closing:
        return Closing(note=None, attachments=())


def _confirmed(play: Play, status: str, generation: int, committed: list[int], *, index: int) -> bool:
    """Return whether replay finds this value for the effect that is played on, as of all leaves so far."""
    assert play.state.last is not None
    value = digest.map_value(status, generation, committed, play.state.last, index)
    play.tick(3_000, covers=len(play.envelopes), root=EMPTY_TREE.put(play.bound.effect, value).root())
    return "map-differs" not in [finding.code for finding in il.replay(Played(play)).findings]


def test_a_recovery_changes_the_status_and_neither_head_nor_leaf() -> None:
    """[MAP-7]"""
    play = claimed()
    head = len(play.envelopes) - 1
    recovered(play)
    assert _confirmed(play, "unknown", 1, [], index=head)
    assert not _confirmed(play, "claimed", 1, [], index=head)


def test_a_recovery_touches_only_what_it_makes_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[REC-3], [MAP-7]: what is at rest is unpacked for its report alone, and what was unknown keeps its value."""
    with memory_live(tmp_path) as live:
        for order in "abc":
            live.put(live.begun(live.bound(order=order)))
            live.put(live.outcome(COMMITTED, "", live.bound(order=order)))
        live.put(live.intent(live.bound(order="open")))
        for _ in range(3):
            recover(live)
        raw = live.bundle()
    unpacked: list[bytes] = []
    noted: list[int] = []
    unpack, note = States._unpacked, History.note_recovered

    def unpacking(states: States, effect: bytes, packed: bytes) -> Kept:
        unpacked.append(effect)
        return unpack(states, effect, packed)

    def noting(history: History, index: int, state: EffectState) -> None:
        noted.append(index)
        note(history, index, state)

    monkeypatch.setattr(States, "_unpacked", unpacking)
    monkeypatch.setattr(History, "note_recovered", noting)
    report = audit(raw)
    assert [effect.status for effect in report.effects].count("unknown") == len(noted) == 1
    assert unpacked == [effect.effect for effect in report.effects if effect.status == COMMITTED]


def test_every_committed_generation_is_in_the_value() -> None:
    """[MAP-7]"""
    play = committed()
    must(play.intend(again=play.state.last))
    must(play.start())
    must(play.answer("committed", "response"))
    head = len(play.envelopes) - 1
    assert _confirmed(play, "committed", 2, [1, 2], index=head)
    assert not _confirmed(play, "committed", 2, [2], index=head)


def test_the_history_has_the_root_of_each_size() -> None:
    history = History()
    for index in range(10):
        state = EffectState(effect=bytes(31) + bytes([index % 3]), resource="r", last=bytes([index] * 32))
        history.note(index, state._replace(generation=index))
    roots = list(history.roots(range(11)))
    assert roots[0] == bytes(32)
    assert len(set(roots)) == 11
    assert list(history.roots([3, 3, 7, 20])) == [roots[3], roots[3], roots[7], roots[10]]


def test_ticks_that_carry_roots_build_one_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    puts = 0

    def put(tree: PrefixTree, key: bytes, value: bytes) -> PrefixTree:
        nonlocal puts
        puts += 1
        return PREFIX_TREE_PUT(tree, key, value)

    monkeypatch.setattr(PrefixTree, "put", put)
    play = committed()
    for at in range(20):
        play.tick(3_000 + at, root=bytes(32))
    findings = il.replay(Played(play)).findings
    assert len([finding for finding in findings if finding.code == "map-differs"]) == 20
    assert puts == 3  # events of an effect
