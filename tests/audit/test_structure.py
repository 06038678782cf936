"""Leaves come in order, each with its own signature's fault, whoever formed it. [RPL-1], [RPL-2]"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from invoke_log.audit import structure
from invoke_log.audit.serve import packed
from invoke_log.audit.structure import (
    CHUNK_BYTES,
    CHUNK_LEAVES,
    CHUNKS_ALONE,
    Fault,
    Leaf,
    UnreadableError,
    read_leaves,
)
from invoke_log.audit.worker import Worker, start_workers
from invoke_log.errors import CutError
from invoke_log.format import digest
from invoke_log.format.envelope import Envelope, entry_of, seal
from invoke_log.format.limits import BODY_BYTES_MAX
from invoke_log.format.merkle import leaf_hash
from invoke_log.log.signer import FileSigner
from invoke_log.rules.event import Event, build_body, parse_event
from invoke_log.rules.kind import Intent, Note
from tests.harness.worked_log import verdict

SIGNER = FileSigner(bytes([5]) * 32)
ID = bytes(32)
ALONE = CHUNKS_ALONE * CHUNK_LEAVES
COUNT = ALONE + 12 * CHUNK_LEAVES + 3
EDGES = {0, CHUNK_LEAVES - 1, CHUNK_LEAVES, ALONE - 1, ALONE, ALONE + CHUNK_LEAVES, COUNT - 1}


def note(text: str) -> Envelope:
    """A signed note."""
    said = Note(about=ID, text=text)
    body = build_body(said, log=ID, by=SIGNER.public_key, at_ms=0, prev=None, effect=ID, resource="r")
    return seal(body, SIGNER)


@pytest.fixture(scope="module")
def given() -> list[tuple[bytes, bytes]]:
    """Signed bodies, whose signatures at the edges of chunks are those of the leaf before."""
    pairs: list[tuple[bytes, bytes]] = []
    before = bytes(64)
    for at in range(COUNT):
        sealed = note(str(at))
        pairs.append((sealed.body, before if at in EDGES else sealed.signature))
        before = sealed.signature
    return pairs


@pytest.fixture(params=["none", "one", "three", "dying"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    """The workers that help, each ready before it is asked."""
    started = [Worker() for _ in range({"none": 0, "one": 1, "three": 3, "dying": 2}[request.param])]

    @contextmanager
    def help_at_hand() -> Iterator[list[Worker]]:
        for worker in started:
            while not worker.answered:
                pass
        yield started

    monkeypatch.setattr(structure, "start_workers", help_at_hand)
    yield [*started]
    for worker in started:
        worker.close()


def test_each_fault_is_its_own_leafs_at_every_edge_of_chunks(
    given: list[tuple[bytes, bytes]], workers: list[Worker], request: pytest.FixtureRequest
) -> None:
    leaves: list[Leaf] = []
    for leaf in read_leaves(given):
        leaves.append(leaf)
        if "dying" in request.node.name and leaf.index in (ALONE + CHUNK_LEAVES, ALONE + 5 * CHUNK_LEAVES):
            os.kill(workers.pop()._process.pid, signal.SIGKILL)
    wanted = [(at, leaf_hash(entry_of(*pair))) for at, pair in enumerate(given)]
    assert [(leaf.index, leaf.hash) for leaf in leaves] == wanted
    assert {leaf.index for leaf in leaves if isinstance(leaf.said, Fault)} == EDGES
    assert leaves[3].said == parse_event(note("3").fields, digest.event_id(given[3][0]))


@pytest.mark.parametrize("at", sorted(EDGES))
def test_the_leaves_before_one_that_is_no_entry_are_read(
    given: list[tuple[bytes, bytes]], workers: list[Worker], at: int
) -> None:
    broken = [*given[:at], (b"\xff", bytes(64)), *given[at + 1 :]]
    read: list[int] = []

    def read_all() -> None:
        for leaf in read_leaves(broken):
            read.append(leaf.index)

    with pytest.raises(UnreadableError) as caught:
        read_all()
    assert (caught.value.index, read) == (at, list(range(at)))


@pytest.mark.parametrize("at", [0, CHUNK_LEAVES, ALONE, COUNT])
def test_what_stops_the_source_comes_after_the_leaves_before_it(
    given: list[tuple[bytes, bytes]], workers: list[Worker], at: int
) -> None:
    def cut() -> Iterator[tuple[bytes, bytes]]:
        yield from given[:at]
        raise CutError("ends here")

    read: list[int] = []
    with pytest.raises(UnreadableError) as caught:
        read.extend(leaf.index for leaf in read_leaves(cut()))
    assert (caught.value.index, caught.value.reason_code, caught.value.message) == (at, "cut", "ends here")


def test_the_longest_bodies_are_handed_over_and_come_back(workers: list[Worker]) -> None:
    longest = longest_chunk() * (CHUNKS_ALONE + 12)
    leaves = list(read_leaves(longest))
    ids = [leaf.said.id for leaf in leaves if isinstance(leaf.said, Event)]
    assert ids == [digest.event_id(body) for body, _ in longest]


@pytest.mark.parametrize("workers", ["one", "three"], indirect=True)
def test_a_small_chunk_does_not_go_ahead_of_a_large_one_for_which_a_worker_has_no_room(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come in the order in which chunks are handed over, and are taken in the order of the leaves."""
    monkeypatch.setattr(Worker, "answered", True)  # it is waited for: nothing is formed here in the meantime
    small, large = [note(str(at)) for at in range(CHUNK_LEAVES)], note("x" * (CHUNK_BYTES - 1))
    few, much = (len(packed([(each.body, each.signature) for each in chunk])) for chunk in (small, [large]))
    assert few < much
    for worker in workers:
        worker._room_bytes = 2 * few + much - 1
    pairs = [(each.body, each.signature) for each in [*small, *small, large, *small] * 10]
    assert [leaf.hash for leaf in read_leaves(pairs)] == [leaf_hash(entry_of(*pair)) for pair in pairs]


def test_what_a_worker_may_hold_is_handed_over_without_waiting_for_it() -> None:
    """Else each could wait for the other to read."""
    longest, took = longest_chunk(), list[bool]()
    with start_workers() as started:
        worker = started[0]
        while not worker.answered:
            pass
        os.kill(worker._process.pid, signal.SIGSTOP)
        handing = Thread(target=lambda: took.extend(worker.take(longest) for _ in range(10)), daemon=True)
        handing.start()
        handing.join(20)
        assert (len(took), took[0]) == (10, True)
        os.kill(worker._process.pid, signal.SIGCONT)
        answers = [worker.answer() for _ in range(sum(took))]
    assert [answer is not None and len(answer[0]) for answer in answers] == [2] * sum(took)


def longest_chunk() -> list[tuple[bytes, bytes]]:
    """As many bytes as are ever handed over at once: a leaf that leaves room for one more, and one of the longest."""
    pairs = []
    for size in (CHUNK_BYTES - 1 - 64, BODY_BYTES_MAX):
        said = Intent(
            contract_id=ID,
            purpose="",
            identity={},
            content={"zeros": [0] * (size - 600)},  # each five bytes in an answer
            snapshot_id=None,
            after=None,
            again=None,
            verdict=verdict(),
        )
        body = build_body(said, log=ID, by=SIGNER.public_key, at_ms=0, prev=None, effect=ID, resource="r", state=ID)
        sealed = seal(body, SIGNER)
        pairs.append((sealed.body, sealed.signature))
    return pairs


def test_no_process_is_left_and_none_is_started_for_a_short_log(
    given: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_workers() as started:
        assert started
    assert all(worker._process.returncode is not None for worker in started)
    monkeypatch.setattr(structure, "start_workers", None)
    assert len(list(read_leaves(given[:ALONE]))) == ALONE


def test_a_program_that_embeds_python_is_not_run_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("/usr/sbin/uwsgi", "", None):
        monkeypatch.setattr(sys, "executable", executable)
        with start_workers() as started:
            assert started == []
