"""Map roots in ticks are recomputed by replay, for the size that the tick names. [MAP-7], [MAP-8]"""

from pathlib import Path

import pytest

import invoke_log as il
from invoke_log.audit.map_history import MapHistory
from invoke_log.format import digest
from invoke_log.format.prefix_tree import EMPTY_TREE
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import Refused
from invoke_log.rules.kind import Tick


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


def test_a_tick_with_the_root_of_any_earlier_size_is_confirmed(log: il.Log) -> None:
    size = sum(1 for _ in log.entries())
    for covers in (size, size - 1, size - 4, 3, size - 2):
        _append_tick(log, covers, _map_root(log, covers))
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


def test_the_history_goes_back_and_forth() -> None:
    history = MapHistory()
    for index in range(10):
        history.note(index, bytes(31) + bytes([index % 3]), ("committed", index, (), bytes(32), index))
    roots = [history.root_at(size) for size in range(11)]
    assert roots[0] == bytes(32)
    assert len(set(roots)) == 11
    assert [history.root_at(size) for size in reversed(range(11))] == list(reversed(roots))
