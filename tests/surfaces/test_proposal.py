"""A proposal: an intent alone, judged and answered as the call would be."""

from pathlib import Path

import invoke_log as il
from invoke_log.log.signer import FileSigner
from invoke_log.surfaces.proposal import propose
from tests.harness.mcp_shop import contract, make_log, order


def test_whoever_calls_with_the_same_request_goes_on_with_a_proposal(tmp_path: Path) -> None:
    with make_log(tmp_path / "payments") as log:
        guard = il.Guard(log)

        @guard.tool(contract())
        def pay(account: str, order: str, amount: int) -> str:
            return "paid"

        proposed = propose(log, guard.key, "pay", order("new", 100), None)
        ending = guard.call("pay", order("new", 100))
        assert isinstance(ending, il.Committed)
        assert ending.effect_key == proposed.fields["effect_key"]
        assert log.effect(ending.effect_key).state.attempt == 1
    assert il.replay(tmp_path / "payments").ok


def test_what_became_no_intent_is_on_record_with_what_blocked_it(tmp_path: Path) -> None:
    with make_log(tmp_path / "payments") as log:
        key = il.Guard(log).key
        first = propose(log, key, "pay", order("new", 100), None)
        answers = [propose(log, key, "pay", order("new", amount), None).fields["answer"] for amount in (200, 100)]
        answers.append(propose(log, key, "pay", order("huge", 500_000), None).fields["answer"])
        log.tick()
        refusals = [entry.event.data for entry in log.entries() if entry.event.kind == "refusal"]
        assert answers == ["conflict", "blocked", "refused"]
        assert [(each.reason, each.blocker is not None) for each in refusals] == [  # type: ignore[union-attr]
            ("conflict", True),
            ("blocked", True),
            ("denied", False),
        ]
        assert {f"evt_{each.blocker.hex()}" for each in refusals[:2]} == {first.fields["id"]}  # type: ignore[union-attr]


def test_a_key_without_a_grant_proposes_nothing(tmp_path: Path) -> None:
    with make_log(tmp_path / "payments") as log:
        answer = propose(log, FileSigner(b"\x07" * 32), "pay", order("new", 100), None).fields
        assert answer["answer"] == "refused"
        assert "grant-missing" in str(answer["reason"])
        assert answer["status"] == "free"
