"""Receipts offline: what they show holds, and what was touched proves nothing. S14, [RCP-4], [RCP-5], [RCP-6]"""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invoke_log.audit.receipt import CHECKED, NOT_CHECKED, verify_receipt
from invoke_log.errors import CutError, InvokeLogError, ReceiptInvalidError
from invoke_log.format import digest, merkle, receipt
from invoke_log.format.checkpoint import Checkpoint, parse_body, sign_checkpoint
from invoke_log.format.envelope import entry_of
from invoke_log.format.keys import LOG_KEY, VerifierKey
from invoke_log.format.note import parse_note
from invoke_log.format.receipt import Header, ReceiptReader, Shown
from invoke_log.log.signer import FileSigner
from invoke_log.rules.kind import COMMITTED, UNKNOWN, Freeze, Scope
from tests.harness.forge import Leaf, resealed, take_apart
from tests.harness.live import ORIGIN, Live, memory_live

STRANGER = FileSigner(bytes([77]) * 32)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with memory_live(tmp_path) as opened:
        opened.put(opened.begun())
        opened.put(opened.outcome(UNKNOWN))
        opened.put(opened.present())
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, VerifierKey]:
    with memory_live(tmp_path_factory.mktemp("made")) as live:
        live.put(live.begun())
        live.put(live.outcome())
        live.wait(5)
        return live.log.receipt(live.bound().effect), live.log.verifier_key


def parts(raw: bytes) -> tuple[Header, list[Shown], bytes]:
    reader = ReceiptReader(io.BytesIO(raw))
    shown = list(reader.leaves())
    assert reader.note is not None
    return reader.header, shown, reader.note


def joined(header: Header, shown: list[Shown], note: bytes) -> bytes:
    return b"".join([receipt.encode_header(header), *map(receipt.encode_shown, shown), receipt.encode_trailer(note)])


def over(leaves: list[Leaf], live: Live, *, effect: bytes, show: Callable[[int], bool] = lambda at: True) -> bytes:
    """A receipt over leaves that the holder of the log key signed, whatever they are."""
    hashes = [merkle.leaf_hash(entry_of(*leaf)) for leaf in leaves]
    frontier = merkle.EMPTY_FRONTIER
    for leaf_hash in hashes:
        frontier, _ = frontier.append(leaf_hash)
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=frontier.size, root=frontier.root()), live.log_key)

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return hashes[index]
        return merkle.node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    shown = []
    for at, (body, signature) in enumerate(leaves):
        proof = merkle.prove_inclusion(digest.LeafIndex(at), frontier.size, node)
        shown.append(Shown(index=at, body=body, signature=signature, proof=tuple(proof)))
    header = Header(origin=ORIGIN, effect=effect, size=len(leaves))
    return joined(header, [each for each in shown if show(each.index)], note)


def test_a_receipt_says_what_it_proves_and_what_was_checked_and_what_was_not(live: Live) -> None:
    raw, trust = live.log.receipt(live.bound().effect), live.log.verifier_key
    report = verify_receipt(raw, trust=trust)
    assert (report.trusted, report.origin, report.size) == (True, ORIGIN, 14)
    assert (report.effect.status, report.effect.grade, report.effect.attempts) == (COMMITTED, "E0", 1)
    assert "executor" in report.effect.relies_on
    assert (report.checked, report.not_checked) == (CHECKED, NOT_CHECKED)
    said = report.as_json()
    assert (said["v"], said["ok"], said["trusted"], said["status"], said["grade"]) == (1, True, True, COMMITTED, "E0")
    assert said["effect_key"] == digest.format_id("eff", live.bound().effect)
    assert said["events"] == [digest.format_id("evt", event) for event in report.effect.events]
    assert len(report.effect.events) == 4
    assert said["relies_on"] == list(report.effect.relies_on)
    assert said["checked"]
    assert said["not_checked"]


def test_without_the_logs_key_a_receipt_is_its_own_word(made: tuple[bytes, VerifierKey]) -> None:
    raw, trust = made
    assert verify_receipt(raw).trusted is False
    assert verify_receipt(raw).effect == verify_receipt(raw, trust=trust).effect
    for wrong in (replace(trust, public_key=STRANGER.public_key), replace(trust, name="example.com/other")):
        with pytest.raises(InvokeLogError):
            verify_receipt(raw, trust=wrong)


def test_any_flipped_bit_and_any_cut_proves_nothing(made: tuple[bytes, VerifierKey]) -> None:
    raw, trust = made
    choose = random.Random(3)
    for bit in choose.sample(range(8 * len(raw)), 250):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvokeLogError):
            verify_receipt(bytes(changed), trust=trust)
    for length in choose.sample(range(len(raw)), 80):
        with pytest.raises(InvokeLogError):
            verify_receipt(raw[:length], trust=trust)


def test_a_receipt_that_shows_nothing_proves_nothing(made: tuple[bytes, VerifierKey]) -> None:
    raw, trust = made
    header, shown, note = parts(raw)
    for key in (trust, None):
        with pytest.raises(ReceiptInvalidError, match="genesis"):
            verify_receipt(joined(header, [], note), trust=key)
        with pytest.raises(ReceiptInvalidError, match="genesis"):
            verify_receipt(joined(header, shown[1:], note), trust=key)
    with pytest.raises(ReceiptInvalidError, match="no event of its effect"):
        verify_receipt(joined(replace(header, effect=bytes(32)), shown, note), trust=trust)
    with pytest.raises(CutError):
        verify_receipt(b"", trust=trust)


def test_a_leaf_that_is_left_out_breaks_what_rests_on_it(live: Live) -> None:
    raw, trust = live.log.receipt(live.bound().effect), live.log.verifier_key
    header, shown, note = parts(raw)
    kinds = {entry.index: entry.event.kind for entry in live.log.entries()}
    for leaf in shown[:-1]:
        if kinds[leaf.index] == "tick":
            continue  # a verdict says what time it was; without the tick it says so in vain
        with pytest.raises(ReceiptInvalidError):
            verify_receipt(joined(header, [each for each in shown if each != leaf], note), trust=trust)


def test_a_proof_of_another_place_or_leaf_is_none(made: tuple[bytes, VerifierKey]) -> None:
    raw, trust = made
    header, shown, note = parts(raw)
    last = shown[-1]
    for wrong in (
        replace(last, proof=last.proof[:-1]),
        replace(last, proof=(*last.proof, bytes(32))),
        replace(last, proof=(bytes(32), *last.proof[1:])),
        replace(last, proof=shown[-2].proof),
        replace(last, index=last.index - 1) if shown[-2].index < last.index - 1 else replace(last, proof=()),
    ):
        with pytest.raises(ReceiptInvalidError):
            verify_receipt(joined(header, [*shown[:-1], wrong], note), trust=trust)


def test_a_receipt_names_the_checkpoint_that_it_carries(made: tuple[bytes, VerifierKey]) -> None:
    raw, trust = made
    header, shown, note = parts(raw)
    for wrong in (replace(header, size=header.size + 1), replace(header, origin="example.com/other")):
        with pytest.raises(ReceiptInvalidError, match="another log or size"):
            verify_receipt(joined(wrong, shown, note), trust=trust)


def test_a_checkpoint_under_a_trusted_key_that_no_leaf_names_proves_nothing(
    made: tuple[bytes, VerifierKey],
) -> None:
    """[RCP-5]"""
    header, shown, note = parts(made[0])
    resigned = sign_checkpoint(parse_body(parse_note(note).text), STRANGER)
    trust = VerifierKey(name=ORIGIN, key_type=LOG_KEY, public_key=STRANGER.public_key)
    with pytest.raises(ReceiptInvalidError, match="not the log key that its own leaves name"):
        verify_receipt(joined(header, shown, resigned), trust=trust)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("last", "by", "change", "why"),
    [
        ("resolution", STRANGER, lambda body: None, "grant-missing"),
        ("resolution", "agent", lambda body: body["data"]["evidence"].update(kind="absence"), "evidence-invalid"),
        ("outcome", "agent", lambda body: body["data"].update(nonce=bytes(16)), "nonce-differs"),
        ("start", "agent", lambda body: body["data"].update(tag=bytes(32)), "tag-differs"),
        ("intent", "agent", lambda body: body["data"]["verdict"].update(rule="other"), "verdict-differs"),
        ("intent", "agent", lambda body: body["data"]["verdict"]["inputs"].update(now_ms=1), "now-differs"),
        ("intent", "agent", lambda body: body.update(prev=bytes(32)), "chain-broken"),
    ],
    ids=range(7),
)
def test_a_log_that_lies_makes_no_receipt(live: Live, last: str, by: Any, change: Change, why: str) -> None:
    found = take_apart(live.bundle())
    at = found.where(last)
    signer = getattr(live, by) if isinstance(by, str) else by
    leaves = [*found.leaves[:at], resealed(found.leaves[at], signer, change)]
    effect = live.bound().effect
    assert (
        verify_receipt(over(found.leaves, live, effect=effect), trust=live.log.verifier_key).effect.status == COMMITTED
    )
    with pytest.raises(ReceiptInvalidError, match=why):
        verify_receipt(over(leaves, live, effect=effect), trust=live.log.verifier_key)


def test_a_second_genesis_deeper_in_the_log_founds_nothing(live: Live) -> None:
    """Whoever holds the log key can put another genesis at leaf 1, and build a world on it that replay would void."""
    found = take_apart(live.bundle())
    forged = [found.leaves[0], *found.leaves]
    raw = over(forged, live, effect=live.bound().effect, show=lambda at: at > 0)
    with pytest.raises(ReceiptInvalidError, match="genesis at leaf 0"):
        verify_receipt(raw, trust=live.log.verifier_key)


def test_governance_in_between_cannot_be_hidden(live: Live) -> None:
    scope = Scope(effect_class="*", prefix="")
    live.put(live.log.draft(Freeze(scope=scope, reason="stop"), live.admin))
    live.put(live.log.draft(Freeze(scope=scope, reason="stop more"), live.admin))
    found = take_apart(live.bundle())
    effect, at = live.bound().effect, found.where("freeze")
    assert verify_receipt(over(found.leaves, live, effect=effect)).effect.status == COMMITTED
    with pytest.raises(ReceiptInvalidError, match="chain-broken"):
        verify_receipt(
            over(found.leaves, live, effect=effect, show=lambda leaf: leaf != at), trust=live.log.verifier_key
        )


def test_a_second_object_is_told_with_the_receipt(live: Live) -> None:
    live.put(live.present(reference="pi_2"))
    report = verify_receipt(live.log.receipt(live.bound().effect), trust=live.log.verifier_key)
    assert [(finding.code, finding.severity) for finding in report.findings] == [("duplicate-effect", "warning")]
    assert report.as_json()["findings"]
