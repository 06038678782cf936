"""Lines become one commit, each seeing the ones before it; what lost a race that it did not cause is drawn up again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from invoke_log.format import digest
from invoke_log.format.envelope import Envelope
from invoke_log.guard.registry import load_contract
from invoke_log.ledger import chain
from invoke_log.ledger import log as ledger_log
from invoke_log.ledger.log import Log
from invoke_log.log.engine import Appended, ChainRow, Moved, Pending
from invoke_log.log.home import key_path
from invoke_log.log.signer import FileSigner, load_key
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer, Duplicate, Unavailable
from invoke_log.rules.governance import Refused
from invoke_log.store.lmdb.reader import LmdbReader
from invoke_log.surfaces.cli.append import append_lines

CHARGE = load_contract(Path(__file__).parent / "files" / "charge.toml")
RESOURCE = "stripe:acct_1/test/customer/cus_1"
NONCE = bytes(range(16))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.create(tmp_path / "log", origin="example.com/log") as opened:
        opened.append(opened.draft(CHARGE, key(opened, "admin")))
        yield opened


def key(log: Log, name: str) -> FileSigner:
    found = key_path(log.path, name)
    assert found is not None
    return load_key(found)


def as_bytes(raw: bytes) -> dict[str, str]:
    return {"$bytes": raw.hex()}


def line(kind: str, data: Mapping[str, object], *, resource: str | None = RESOURCE, **more: object) -> bytes:
    return json.dumps({"kind": kind, "resource": resource, "data": data, **more}).encode()


def intent(order: str = "789", **data: object) -> bytes:
    named = {"contract_id": as_bytes(CHARGE.id), "purpose": order, "identity": {"customer": "cus_1"}}
    return line("intent", {**named, "content": {"amount": 5000}, **data})


def start(*, effect: str | None = None) -> bytes:
    return line("start", {"nonce_hash": as_bytes(digest.nonce_hash(NONCE))}, effect=effect)


def outcome(status: str, kind: str) -> bytes:
    return line("outcome", {"nonce": as_bytes(NONCE), "status": status, "evidence": {"kind": kind}})


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock on by an hour."""
    now_ms = ledger_log._now_ms() + 3_600_000
    monkeypatch.setattr(ledger_log, "_now_ms", lambda: now_ms)


def answers(log: Log, *lines: bytes) -> list[Answer]:
    return [answer for answer, _ in append_lines(log, key(log, "agent"), lines)]


def test_a_whole_life_goes_into_one_commit(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    append = log._engine.append

    def counted(pendings: Sequence[Pending]) -> list[Appended | Moved]:
        commits.append(len(pendings))
        return append(pendings)

    monkeypatch.setattr(log._engine, "append", counted)
    later(monkeypatch)  # so that a tick is due, and the verdicts rest on it
    found = answers(log, intent(), start(), outcome("committed", "response"))
    assert [type(answer) for answer in found] == [Accepted] * 3
    assert len(commits) == 1
    assert [state.status for state in log.effects()] == ["committed"]


def test_after_proof_of_failure_the_next_intent_names_the_head_by_itself(log: Log) -> None:
    found = answers(log, intent(), start(), outcome("not_committed", "never_sent"), intent(), start())
    assert [type(answer) for answer in found] == [Accepted] * 5
    [state] = log.effects()
    assert (state.status, state.attempt) == ("started", 2)


def test_a_repeat_is_judged_as_the_next_generation(log: Log) -> None:
    answers(log, intent(), start(), outcome("committed", "response"))
    second = {"field": ["generation"], "test": "equals", "value": 2}
    rules = [{"name": "second", "then": "allow", "approvals": 0, "when": [second]}]
    policy = {"name": "repeats", "engine": "rules/1", "source": {"rules": rules}}
    append_lines(log, key(log, "admin"), [line("policy", policy, resource=None)])
    [state] = log.effects()
    assert state.last is not None
    again = intent(again=as_bytes(state.last))
    found = [answer for answer, _ in append_lines(log, key(log, "admin"), [again])]
    assert [type(answer) for answer in found] == [Accepted]


def test_two_effects_of_one_resource_are_told_apart_only_by_name(log: Log) -> None:
    answers(log, intent("789"), intent("790"))
    [ambiguous] = answers(log, start())
    assert isinstance(ambiguous, Refused)
    assert "2 such effects" in ambiguous.reason
    one = next(iter(log.effects()))
    [named] = answers(log, start(effect=digest.format_id("eff", one.effect)))
    assert isinstance(named, Accepted)
    assert {state.status for state in log.effects()} == {"claimed", "started"}


def test_an_event_that_is_named_finds_its_effect(log: Log) -> None:
    first, second = answers(log, intent("789"), intent("790"))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    [answer] = answers(log, line("start", {"intent": as_bytes(second.id), "nonce_hash": as_bytes(bytes(32))}))
    assert isinstance(answer, Accepted)
    started = [state for state in log.effects() if state.status == "started"]
    assert [state.claim.id for state in started if state.claim is not None] == [second.id]


def test_lines_that_name_no_effect_walk_the_chains_of_their_resource_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents = answers(log, *(intent(str(order)) for order in range(8)))
    about = [as_bytes(answer.id) for answer in intents if isinstance(answer, Accepted)]
    walks: list[bytes] = []
    rows = LmdbReader.rows

    def counted(reader: LmdbReader, name: bytes, start: int = 0) -> Iterator[ChainRow]:
        if name.startswith(chain.of_effect(b"", RESOURCE)):
            walks.append(name)
        return rows(reader, name, start)

    monkeypatch.setattr(LmdbReader, "rows", counted)
    found = answers(log, *(line("note", {"about": each, "text": "seen"}) for each in about))
    assert [type(answer) for answer in found] == [Accepted] * 8
    assert len(walks) == 8


@pytest.mark.parametrize("broken", [{"snapshot_id": "evt_1"}, {"intent": ["evt_1"]}, {"intent": as_bytes(b"short")}])
def test_a_start_that_names_what_is_no_id_is_refused_and_the_other_lines_are_not(
    log: Log, broken: dict[str, object]
) -> None:
    answers(log, intent())
    [state] = log.effects()
    named = digest.format_id("eff", state.effect)
    nonce = {"nonce_hash": as_bytes(digest.nonce_hash(NONCE))}
    [wrong, right] = answers(log, line("start", {**nonce, **broken}, effect=named), line("start", nonce, effect=named))
    assert isinstance(wrong, Refused)
    assert wrong.code == "malformed"
    assert next(iter(broken)) in wrong.reason
    assert isinstance(right, Accepted)


def test_an_effect_alone_finds_its_resource(log: Log) -> None:
    answers(log, intent())
    [state] = log.effects()
    named = digest.format_id("eff", state.effect)
    [answer] = answers(log, line("start", {"nonce_hash": as_bytes(bytes(32))}, resource=None, effect=named))
    assert isinstance(answer, Accepted)


def test_an_approval_names_its_intent_itself(log: Log) -> None:
    answers(log, intent())
    [answer] = answers(log, line("approval", {"shown": as_bytes(bytes(32))}))
    assert isinstance(answer, Refused)
    assert answer.code == "malformed"


def test_a_note_may_be_about_an_event_of_no_effect(log: Log) -> None:
    with log.world() as world:
        genesis = world.governance.log_id
    [answer] = answers(log, line("note", {"about": as_bytes(genesis), "text": "ours"}, resource="crm/42"))
    assert isinstance(answer, Accepted)


def test_what_the_contract_does_not_know_is_refused_by_the_log_in_its_words(log: Log) -> None:
    found = answers(log, intent(contract_id=as_bytes(bytes(32))), intent(content={"amount": 1}))
    assert [answer.code for answer in found if isinstance(answer, Refused)] == ["contract-unknown", "arguments-invalid"]


class Rival:
    """Moves the log under an append, as another process does: just before the first `count` of them."""

    def __init__(self, log: Log, count: int) -> None:
        self._log = log
        self._append = log.append_many
        self._left = count
        self.appends = 0

    def append_many(self, envelopes: Sequence[Envelope]) -> list[Answer]:
        self.appends += 1
        if self._left:
            self._left -= 1
            rival = append_lines_of(self._log, self._append, intent(f"rival-{self._left}"))
            assert isinstance(rival, Accepted)
        return self._append(envelopes)


def append_lines_of(log: Log, append: object, text: bytes) -> Answer:
    """Append a line by the log's own method, whatever stands in its place meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "append_many", append)
        return answers(log, text)[0]


def test_a_line_that_lost_a_race_is_drawn_up_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "append_many", Rival(log, 3).append_many)
    found = answers(log, intent("790"), line("note", {"about": as_bytes(bytes(32)), "text": "kept"}, resource="crm/1"))
    assert [type(answer) for answer in found] == [Accepted, Accepted]


def test_a_line_that_names_its_state_is_stale_and_stays_so(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with log.world() as world:
        state = world.state_hash(RESOURCE)
    rival = Rival(log, 1)
    monkeypatch.setattr(log, "append_many", rival.append_many)
    named = json.loads(intent("790")) | {"state": as_bytes(state)}
    [answer] = answers(log, json.dumps(named).encode())
    assert isinstance(answer, Stale)
    assert answer.code == "state-stale"
    assert rival.appends == 1


def test_a_verdict_that_a_line_brings_rests_on_the_tick_that_it_saw(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with log.world() as world:
        policy, now_ms = world.governance.policy, world.now_ms()
    assert policy is not None
    inputs = {"now_ms": now_ms, "snapshot": {}, "budgets": {}}
    verdict = {"policy_id": as_bytes(policy.id), "inputs": inputs, "answer": "allow", "rule": "covered", "approvals": 0}
    later(monkeypatch)
    [answer] = answers(log, intent(verdict=verdict))
    assert isinstance(answer, Accepted)


def test_after_unavailable_the_same_bytes_are_appended_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with log.world() as world:
        about = world.governance.log_id
    signer = key(log, "agent")
    asked: list[Sequence[Envelope]] = []
    append = log.append_many

    def uncertain(envelopes: Sequence[Envelope]) -> list[Answer]:
        asked.append(envelopes)
        found = append(envelopes)
        return found if len(asked) > 1 else [Unavailable(reason="the disk did not say") for _ in found]

    monkeypatch.setattr(log, "append_many", uncertain)
    note = json.loads(line("note", {"about": as_bytes(about), "text": "once"}, resource="crm/1"))
    [(answer, event_id)] = append_lines(log, signer, [json.dumps(note).encode()])
    assert isinstance(answer, Accepted)
    assert answer.id == event_id
    assert asked[0][-1].body == asked[1][-1].body


def test_a_duplicate_that_was_not_ours_stays_a_duplicate(log: Log) -> None:
    with log.world() as world:
        about = world.governance.log_id
    text = line("note", {"about": as_bytes(about), "text": "once"}, resource="crm/1", at_ms=7)
    assert [type(answer) for answer in answers(log, text)] == [Accepted]
    assert [type(answer) for answer in answers(log, text)] == [Duplicate]
    [again, other] = answers(log, text, text.replace(b"7}", b"8}"))
    assert isinstance(again, Duplicate)
    assert isinstance(other, Accepted)
