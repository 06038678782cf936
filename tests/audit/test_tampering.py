"""Whatever a stranger, a revoked key or the log key's holder does to a bundle is refused, by name. [RPL-1] to [RPL-11]

Every row says how many were tried and refused. INVOKE_LOG_TORTURE=1 (`make torture`) tries every bit, every pair and
every move. Each class has its names: a test that only asked whether something was wrong would pass on any mistake.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, permutations
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest

from invoke_log.audit.agreement import compare
from invoke_log.audit.replay import replay
from invoke_log.audit.report import Report
from invoke_log.errors import MalformedError
from invoke_log.format import bundle, keys
from invoke_log.format.envelope import decode_body
from invoke_log.log.signer import FileSigner
from tests.harness.forge import Leaf, Parts, leaf_at, resealed, take_apart
from tests.harness.forty import EVENTS, WITNESS_NAME, Forty, forty
from tests.harness.live import T0

TORTURE: Final = os.environ.get("INVOKE_LOG_TORTURE") == "1"
SEED: Final = int(os.environ.get("INVOKE_LOG_SEED", "1"))
BITS: Final = None if TORTURE else 5_000
PARTS: Final = 10
"""Of the bits of a log, so that no test takes minutes."""
SAMPLE: Final = None if TORTURE else 60
CUTS: Final = 2_000 if TORTURE else 60
STRANGER: Final = FileSigner(bytes([77]) * 32)
Record = Callable[[str, object], None]

UNREADABLE: Final = {"malformed", "cut"}
NO_GRANT: Final = {"grant-missing", "start-key-differs", "genesis-invalid"}
"""An outcome needs the key of its START, genesis an admin key that it names itself; everything else, a grant."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forty]:
    with forty(tmp_path_factory.mktemp("told")) as found:
        yield found


@pytest.fixture
def verified_once() -> Iterator[None]:
    """Thousands of bundles share all but one of their signatures: each is verified once."""
    with patch("invoke_log.format.keys.verify", lru_cache(maxsize=None)(keys.verify)):
        yield


@dataclass
class Auditor:
    """Replays bundles as a third party who has the log's verifier key."""

    told: Forty
    file: Path

    def report(self, raw: bytes) -> Report:
        self.file.write_bytes(raw)
        return replay(self.file, trust=self.told.live.log.verifier_key)

    def codes(self, raw: bytes) -> list[tuple[str, int | None]]:
        """The findings that are errors, in order."""
        findings = [finding for finding in self.report(raw).findings if finding.severity == "error"]
        return [(finding.code, finding.index) for finding in findings]


@pytest.fixture
def auditor(told: Forty, tmp_path: Path) -> Auditor:
    found = Auditor(told, tmp_path / "bundle")
    assert found.codes(told.parts.join()) == []
    return found


def sampled(found: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return found if SAMPLE is None else random.Random(SEED).sample(found, SAMPLE)


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# --- every bit


def region(told: Forty, raw: bytes) -> list[str]:
    """What each byte of the bundle belongs to: `header`, `leaf N`, `framing`, `log line`, …, `cosignature`."""
    note = told.parts.note
    log_part = note.index(f"\u2014 {WITNESS_NAME}".encode())
    note_at, places = raw.index(note), leaf_at(raw)
    names = [f"leaf {place}" if place is not None else "framing" for place in places]
    header = len(bundle.encode_header(told.parts.header))
    names[:header] = ["header"] * header
    names[note_at : note_at + len(note)] = ["checkpoint"] * log_part + ["cosignature"] * (len(note) - log_part)
    end = note_at + len(note)
    names[end:] = ["attachments"] * (len(raw) - end)
    return names


REASONS: Final = {
    "header": {*UNREADABLE, "origin-mismatch", "size-mismatch"},
    "framing": UNREADABLE,
    "checkpoint": {"checkpoint-invalid"},
    "cosignature": {"checkpoint-invalid"},
    "attachments": {*UNREADABLE, "attachment-unnamed"},
}
"""The first finding of a flip outside the leaves."""
CHECKED: Final = f"bits of a log of {EVENTS} events, seed {SEED}"
UNCHECKED: Final = "bits of the line of a witness whose key was not given"


@pytest.mark.parametrize("part", range(PARTS))
def test_a_flipped_bit_of_a_log_is_refused_for_what_it_is_in(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record, part: int
) -> None:
    """The line of a witness whose key nobody gave is not checked, so that a flip in it may go unseen: it is counted as
    no cosignature either way.
    """
    raw = told.parts.join()
    regions, every = region(told, raw), range(8 * len(raw))
    bits = every if BITS is None else random.Random(SEED).sample(every, BITS)
    tried = dict.fromkeys((CHECKED, UNCHECKED), 0)
    refused = dict.fromkeys(tried, 0)
    for bit in bits[part::PARTS]:
        where, report = regions[bit // 8], auditor.report(flipped(raw, bit))
        kind = UNCHECKED if where == "cosignature" else CHECKED
        tried[kind] += 1
        if kind == CHECKED or not report.ok:
            assert_named(report, where)
            refused[kind] += 1
        assert report.cosignatures == 0
    for kind in tried:
        record_property("figure", (kind, tried[kind], refused[kind]))


def assert_named(report: Report, where: str) -> None:
    """The first finding is about the very place, and says what is wrong there."""
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert errors, where
    first, codes = errors[0], {finding.code for finding in errors}
    if where.startswith("leaf "):
        at = int(where.removeprefix("leaf "))
        assert first.index == at, (where, errors)
        assert first.code in {*UNREADABLE, "signature-invalid" if at else "genesis-invalid"}, (where, errors)
        assert ("root-mismatch" in codes) == (first.code == "signature-invalid"), (where, errors)
    else:
        assert first.code in REASONS[where], (where, errors)


def entry_bits(told: Forty) -> Iterator[tuple[int, Parts]]:
    """A log of three leaves, once for each bit of the last leaf, its signature included."""
    parts = replace(told.parts, attachments=()).with_leaves(told.parts.leaves[:3])
    body, signature = parts.leaves[2]
    for bit in range(8 * len(body + signature)):
        changed = flipped(body + signature, bit)
        yield bit, parts.with_leaf(2, (changed[: len(body)], changed[len(body) :]))


def signed_anew(told: Forty, parts: Parts) -> bytes:
    """The bundle under a checkpoint over whatever its leaves are; as it stands where they make no tree."""
    try:
        return parts.signed(told.live.log_key)
    except MalformedError:
        return replace(parts, header=replace(parts.header, size=len(parts.leaves))).join()


def test_every_flipped_bit_of_an_entry_is_refused_even_if_the_log_key_signs_the_tree_anew(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record
) -> None:
    tried = 0
    for bit, parts in entry_bits(told):
        found = auditor.codes(signed_anew(told, parts))
        assert found[0] in (("malformed", 2), ("signature-invalid", 2)), (bit, found)
        tried += 1
    record_property("figure", ("bits of one entry, the log key signs the tree", tried, tried))


def test_the_control_that_checks_no_signature_lets_flipped_bits_through(
    told: Forty, auditor: Auditor, record_property: Record
) -> None:
    with unchecked():
        through = sum(auditor.codes(signed_anew(told, parts)) == [] for bit, parts in entry_bits(told) if bit % 4 == 0)
        raw = told.parts.join()
        outside = [at for at, where in enumerate(region(told, raw)) if where == "checkpoint"]
        through_checkpoint = sum(auditor.codes(flipped(raw, 8 * at)) == [] for at in outside)
    record_property("note", f"control: {through} bits of the entry and {through_checkpoint} of the checkpoint unseen")
    assert through > 100
    assert through_checkpoint > 10


@contextmanager
def unchecked() -> Iterator[None]:
    """Every signature is taken for good."""
    with patch("invoke_log.format.keys.verify", lambda public_key, message, signature: True):
        yield


# --- what somebody without a key can do


def test_swapped_and_moved_leaves_are_another_tree(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record
) -> None:
    leaves = told.parts.leaves
    pairs, moves = sampled(list(combinations(range(EVENTS), 2))), sampled(list(permutations(range(EVENTS), 2)))
    for one, two in pairs:
        swapped = told.parts.with_leaf(one, leaves[two]).with_leaf(two, leaves[one])
        assert_other_tree(auditor, swapped, first=min(one, two))
    for one, two in moves:
        rest = leaves[:one] + leaves[one + 1 :]
        moved = told.parts.with_leaves([*rest[:two], leaves[one], *rest[two:]])
        assert_other_tree(auditor, moved, first=min(one, two))
    record_property("figure", ("two leaves swapped", len(pairs), len(pairs)))
    record_property("figure", ("a leaf moved to another position", len(moves), len(moves)))


def assert_other_tree(auditor: Auditor, parts: Parts, *, first: int) -> None:
    found = auditor.codes(parts.join())
    assert ("genesis-invalid", 0) in found if first == 0 else ("root-mismatch", None) in found, found
    assert all(index is None or index >= first for _, index in found), found


def test_a_leaf_left_out_or_doubled_is_missed(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record
) -> None:
    leaves, header = told.parts.leaves, told.parts.header
    shorter, longer = replace(header, size=EVENTS - 1), replace(header, size=EVENTS + 1)
    for at in range(EVENTS):
        without = told.parts.with_leaves([*leaves[:at], *leaves[at + 1 :]])
        twice = told.parts.with_leaves([*leaves[:at], leaves[at], *leaves[at:]])
        for parts, wanted in (
            (without, ("cut", EVENTS - 1)),
            (replace(without, header=shorter), ("size-mismatch", None)),
            (twice, ("malformed", None)),  # where the trailer should be there is a leaf
            (replace(twice, header=longer), ("size-mismatch", None)),
        ):
            found = auditor.codes(parts.join())
            assert wanted in found or (at == 0 and ("genesis-invalid", 0) in found), (at, wanted, found)
        if at:
            assert at + 1 in {index for _, index in auditor.codes(signed_anew(told, twice))}, "its second copy is void"
    record_property("figure", ("a leaf left out", 2 * EVENTS, 2 * EVENTS))
    record_property("figure", ("a leaf doubled, thrice each", 3 * EVENTS - 1, 3 * EVENTS - 1))


def test_a_bundle_cut_anywhere_is_cut(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record
) -> None:
    raw, places = told.parts.join(), leaf_at(told.parts.join())
    ends = {0, *(at for at in range(1, len(raw)) if places[at] != places[at - 1])}
    for end in sorted(ends):
        assert {code for code, _ in auditor.codes(raw[:end])} == {"cut"}, end
    within = random.Random(SEED).sample(sorted(set(range(len(raw))) - ends), CUTS)
    for end in within:
        found = {code for code, _ in auditor.codes(raw[:end])}
        assert found <= UNREADABLE, (end, found)
        assert found, end
    record_property("figure", ("cut between two items, or in one", len(ends) + CUTS, len(ends) + CUTS))


# --- what the keys of others, and the log key, can do


def test_an_entry_of_another_log_is_of_another_log(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record, tmp_path: Path
) -> None:
    """The other log has the same keys and tells the same story, and began a second later."""
    tried = 0
    with forty(tmp_path, began_ms=T0 + 1_000) as other:
        for at in range(1, EVENTS):
            transplanted = told.parts.with_leaf(at, other.parts.leaves[at])
            for raw in (transplanted.join(), signed_anew(told, transplanted)):
                assert auditor.codes(raw)[0] == ("log-mismatch", at)
                tried += 1
    record_property("figure", ("an entry of another log, tree as it was or signed anew", tried, tried))


def by_another_key(told: Forty, signer: FileSigner, at: int) -> Parts:
    return told.parts.with_leaf(at, resealed(told.parts.leaves[at], signer, lambda body: None))


def test_an_event_signed_anew_by_a_key_that_may_not_is_refused_for_its_grant(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record
) -> None:
    for name, signer, start in (("no", STRANGER, 0), ("a revoked", told.revoked, 14)):
        tried = 0
        for at in range(start, EVENTS):
            parts = by_another_key(told, signer, at)
            as_it_was, anew = auditor.codes(parts.join()), auditor.codes(signed_anew(told, parts))
            for found in (as_it_was, anew):
                assert found[0][1] == at, (at, found)
                assert found[0][0] in NO_GRANT, (at, found)
                tried += 1
            assert ("root-mismatch", None) in as_it_was or at == 0
        record_property("figure", (f"signed anew by a key with {name} grant", tried, tried))


def test_an_event_that_still_names_its_signer_is_refused_for_its_signature(
    told: Forty, auditor: Auditor, verified_once: None, record_property: Record
) -> None:
    for at in range(EVENTS):
        body, _ = told.parts.leaves[at]
        forged = told.parts.with_leaf(at, (body, resealed((body, b""), STRANGER, lambda body: None)[1]))
        code = "signature-invalid" if at else "genesis-invalid"
        assert auditor.codes(signed_anew(told, forged))[0] == (code, at)
    record_property("figure", ("another key's signature under the same body", EVENTS, EVENTS))


def altered(told: Forty, at: int) -> Leaf:
    """A leaf as its own signer would have written it a millisecond earlier."""
    signers = {signer.public_key: signer for signer in (told.live.log_key, told.live.admin, told.live.agent)}
    by = decode_body(told.parts.leaves[at][0])["by"]
    assert isinstance(by, bytes)
    signer = signers.get(by, STRANGER)
    return resealed(told.parts.leaves[at], signer, lambda body: body.update(at_ms=body["at_ms"] - 1))


def test_two_histories_under_one_log_key_cannot_both_be_true(
    told: Forty, record_property: Record, tmp_path: Path
) -> None:
    mine, other, note = tmp_path / "mine", tmp_path / "other", tmp_path / "note"
    mine.write_bytes(told.parts.join())
    for at in range(1, EVENTS):
        fork = told.parts.with_leaf(at, altered(told, at)).signed(told.live.log_key)
        other.write_bytes(fork)
        note.write_bytes(take_apart(fork).note)
        with_leaves, with_note = compare(mine, other), compare(mine, note)
        assert (with_leaves.agrees, with_leaves.index) == (False, at)
        assert (with_note.agrees, with_note.reason) == (False, "the checkpoint has another root for as many leaves")
    record_property("figure", ("forks, against leaves and checkpoint", 2 * (EVENTS - 1), 2 * (EVENTS - 1)))


def test_time_that_goes_back_is_said(told: Forty, auditor: Auditor, record_property: Record) -> None:
    ticks = [at for at, kind in enumerate(told.parts.kinds()) if kind == "tick"][1:]
    times = [0, 1, T0 - 1, *random.Random(SEED).sample(range(T0), 100 if TORTURE else 7)]
    for at in ticks:
        for time_ms in times:
            tick = resealed(
                told.parts.leaves[at],
                told.live.log_key,
                lambda body, time_ms=time_ms: body["data"].update(time_ms=time_ms),  # type: ignore[misc]
            )
            found = auditor.codes(told.parts.with_leaf(at, tick).signed(told.live.log_key))
            assert ("tick-backwards", at) in found, (at, time_ms, found)
    record_property("figure", ("ticks backdated by the log key", len(ticks) * len(times), len(ticks) * len(times)))
