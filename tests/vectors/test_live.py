"""vectors/replay on the live path: appended leaf by leaf, every event gets the answer that replay's finding says."""

import io
from collections.abc import Iterator
from typing import Any, Final

import pytest

from invoke_log.format import digest, merkle
from invoke_log.format.bundle import BundleReader
from invoke_log.format.envelope import Envelope, decode_body
from invoke_log.ledger.admit import append_events, founding_entries, open_event
from invoke_log.ledger.state import Memory
from invoke_log.log.engine import Engine, Pending
from invoke_log.rules.answer import NAMES as WORDS
from invoke_log.rules.answer import Answer
from invoke_log.store.memory import MemoryStore
from tests.vectors.cases import Case, load, names

FOUNDING: Final = 2
ANSWERED_OTHERWISE: Final = {"form-invalid": "malformed"}
STALE_WHILE_LIVE: Final = {
    "now-differs": "now-stale",
    "tick-backwards": "tick-backwards",
    "budgets-differ": "budgets-stale",
}
"""Findings that void nothing in replay, and that an append does not let in."""


def is_live(case: Case) -> bool:
    """Whether a log can come to be by appends: it is founded, nothing of it is unreadable, and it never recovers.

    A recovery names its own leaf, and is not appended but founds the log that goes on.
    """
    kinds = [leaf["kind"] for leaf in case["leaves"]]
    founded = len(kinds) > FOUNDING and kinds[:2] == ["genesis", "tick"]
    return founded and "recovery" not in kinds and all(leaf["void"] is None for leaf in case["leaves"][:FOUNDING])


LIVE: Final = [name for name in names("replay") if is_live(load("replay", name))]


def envelopes(case: Case) -> Iterator[Envelope]:
    reader = BundleReader(io.BytesIO(bytes.fromhex(case["bundle"])))
    for _, (body, signature) in zip(case["leaves"], reader.entries(), strict=False):
        yield Envelope(body=body, signature=signature, fields=decode_body(body))


def as_it_is(envelope: Envelope) -> Pending:
    """What a writer appends who judges nothing: so every leaf keeps its index, and a tick covers what it covered."""
    leaf_hash = merkle.leaf_hash(envelope.entry)
    return Pending(body=envelope.body, signature=envelope.signature, entry_leaf_hash=leaf_hash, expect={}, rows=[])


def code_of(answer: Answer) -> str:
    return str(getattr(answer, "code", WORDS[type(answer)]))


def wanted(leaf: dict[str, Any], findings: list[dict[str, Any]], accepted: set[bytes]) -> str:
    """Return the answer that a leaf has to get."""
    if bytes.fromhex(leaf["id"]) in accepted and leaf["void"] in ("duplicate", "collision", "chain-broken"):
        return "duplicate"
    remarks = [STALE_WHILE_LIVE.get(f["code"]) for f in findings if f["index"] == leaf["index"]]
    stale = next((code for code in remarks if code is not None), None)
    return ANSWERED_OTHERWISE.get(leaf["void"], leaf["void"]) or stale or "accepted"


@pytest.mark.parametrize("name", LIVE)
def test_an_append_answers_what_replay_finds(name: str) -> None:
    case = load("replay", name)
    store, memory = MemoryStore(), Memory()
    opened = list(envelopes(case))
    with store.snapshot() as empty:
        store.append(founding_entries(empty, opened[:FOUNDING]))
    engine = Engine(lambda: store)
    accepted: set[bytes] = {digest.event_id(envelope.body) for envelope in opened[:FOUNDING]}
    for leaf, envelope in list(zip(case["leaves"], opened, strict=True))[FOUNDING:]:
        want = wanted(leaf, case["report"]["findings"], accepted)
        [answer] = append_events(engine, memory, [open_event(envelope)])
        assert code_of(answer) == want, (leaf, answer)
        if want in STALE_WHILE_LIVE.values():
            return  # from here on the live log is another one
        if want == "accepted":
            accepted.add(digest.event_id(envelope.body))
        else:
            engine.append([as_it_is(envelope)])


def test_most_logs_can_come_to_be_by_appends() -> None:
    assert len(LIVE) > 250
