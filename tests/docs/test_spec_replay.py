"""SPEC.md's sections 12 and 14: bundles that are wrong in one thing, and what replay finds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from invoke_log.audit.replay import replay
from invoke_log.audit.report import Report
from invoke_log.audit.source import Closing
from invoke_log.errors import SnapshotInvalidError
from invoke_log.format import bundle, digest, envelope, merkle
from invoke_log.format.cbor import Value
from invoke_log.format.checkpoint import Checkpoint, sign_checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.format.keys import LOG_KEY, VerifierKey
from invoke_log.rules.decision import facts_of
from invoke_log.rules.event import build_body
from invoke_log.rules.kind import Approval, Attestation, Evidence, Genesis, Intent, Note
from invoke_log.rules.policy import parse_policy
from invoke_log.rules.snapshot import difference, drifted, freeze, profile_of
from tests.harness import forge
from tests.harness.play import (
    APPROVER,
    ATTESTOR,
    EXECUTOR,
    SECOND,
    Play,
    absent_by,
    claim_of,
    claimed,
    committed,
    governed,
    must,
    recovered,
    settled_tick,
    unknown,
)
from tests.harness.worked_log import ADMIN, AGENT, CONTRACT, LOG, ORIGIN, RECONCILER, T0, Worked, contract, verdict

TRUST: Final = VerifierKey(name=ORIGIN, key_type=LOG_KEY, public_key=LOG.public_key)
OTHER: Final = VerifierKey(name=ORIGIN, key_type=LOG_KEY, public_key=ADMIN.public_key)
PROFILE: Final[dict[str, Value]] = {
    "type": "record",
    "nullable": False,
    "fields": {
        "vip": {"type": "boolean", "nullable": False},
        "seen_ms": {"type": "time", "unit": "ms", "grain": 1000, "nullable": False},
    },
}
READS_VIP: Final[dict[str, Value]] = {
    "name": "vip",
    "engine": "rules/1",
    "source": {
        "rules": [
            {
                "name": "covered",
                "then": "allow",
                "approvals": 0,
                "when": [{"field": ["snapshot", "vip"], "test": "equals", "value": True}],
            }
        ]
    },
}
SEEN: Final[dict[str, Value]] = {"vip": True, "seen_ms": T0}


def note_of(log: Worked, *, size: int | None = None, root: bytes | None = None, origin: str = ORIGIN) -> bytes:
    size = len(log.envelopes) if size is None else size
    root = log.frontier.root() if root is None else root
    return sign_checkpoint(Checkpoint(origin=origin, size=TreeSize(size), root=root), LOG)


def leaves_of(log: Worked) -> bytes:
    header = bundle.Header(origin=ORIGIN, first=0, size=len(log.envelopes), left_edge=())
    return b"".join(
        (bundle.encode_header(header), *(bundle.encode_entry(each.body, each.signature) for each in log.envelopes))
    )


def bundle_of(log: Worked, *attachments: bytes, note: bytes | None = None) -> bytes:
    return leaves_of(log) + forge.trailer(note_of(log) if note is None else note, attachments)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Report]:
    """Return how to replay the bytes of a bundle."""

    def replay_bytes(raw: bytes) -> Report:
        path = tmp_path / "bundle"
        path.write_bytes(raw)
        return replay(path)

    return replay_bytes


Read = Callable[[bytes], Report]


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def test_an_honest_log_has_no_findings_and_the_state_root_of_its_fold(read: Read) -> None:
    """[RPL-1], [RPL-7], [RPL-9]"""
    play = committed()
    report = read(bundle_of(play))
    assert (report.findings, report.ok, report.trusted) == ((), True, False)
    assert report.state_root == play.fold.state_root(len(play.envelopes))
    assert (report.root, report.covered) == (play.frontier.root(), len(play.envelopes))


# Leaf by leaf


@pytest.mark.parametrize("fault", ["log", "prev", "origin", "key", "signer", "signature", "form"])
def test_what_is_no_genesis_begins_no_log(fault: str, read: Read) -> None:
    """[GOV-1], [RPL-3]"""
    data = Genesis(format=1, origin=ORIGIN, log_key=LOG.public_key, admin_keys=(ADMIN.public_key,))
    signer = LOG if fault == "signer" else ADMIN
    data = replace(data, origin="a b") if fault == "origin" else data
    data = replace(data, log_key=bytes(32)) if fault == "key" else data
    body = build_body(data, log=envelope.GENESIS_LOG, by=signer.public_key, at_ms=T0, prev=None)
    body |= {"log": b"\x01" * 32} if fault == "log" else {"prev": bytes(32)} if fault == "prev" else {}
    body |= {"extra": 1} if fault == "form" else {}
    sealed = envelope.seal(body, signer)
    log = Worked()
    log.envelopes.append(sealed._replace(signature=bytes(64)) if fault == "signature" else sealed)
    report = read(bundle_of(log, note=b"-"))
    assert (codes(report), report.state_root, report.ok) == (["genesis-invalid"], None, False)


def test_a_void_leaf_keeps_its_place_and_moves_nothing(read: Read) -> None:
    """[RPL-1], [RPL-4]"""
    play = claimed()
    head = play.state.last
    assert play.start(AGENT) == "grant-missing"
    must(play.start())
    report = read(bundle_of(play))
    assert [(f.code, f.index) for f in report.findings] == [("grant-missing", len(play.envelopes) - 2)]
    assert report.effects[0].status == "started"
    assert head in report.effects[0].events
    assert len(report.effects[0].events) == 2


@pytest.mark.parametrize(
    ("body", "signature"), [(b"\xa0", bytes(64)), (b"\xff", bytes(64)), (b"", bytes(64)), (None, bytes(63))]
)
def test_bytes_that_compose_no_entry_end_the_reading(body: bytes | None, signature: bytes, read: Read) -> None:
    """[ENV-2], [RPL-2]"""
    play = Play()
    good = play.envelopes[3]
    play.envelopes[3] = good._replace(body=good.body if body is None else body, signature=signature)
    report = read(bundle_of(play))
    assert [(f.code, f.index) for f in report.findings] == [("malformed", 3)]
    assert (report.size, report.state_root, report.covered) == (3, None, None)


def test_a_bad_signature_and_a_bad_form_make_a_leaf_void(read: Read) -> None:
    """[RPL-3]"""
    play = claimed()
    last = len(play.envelopes)
    body = build_body(
        Note(about=bytes(32), text=""),
        log=play.log_id,
        by=AGENT.public_key,
        at_ms=T0,
        prev=None,
        effect=play.bound.effect,
        resource=play.bound.resource,
    )
    play.envelopes += [
        envelope.seal({**body, "extra": 1}, AGENT),
        envelope.seal(body, AGENT)._replace(signature=bytes(64)),
    ]
    found = [(f.code, f.index) for f in read(bundle_of(play)).findings]
    assert found == [("form-invalid", last), ("signature-invalid", last + 1), ("root-mismatch", None)]


def test_a_leaf_that_is_wrong_in_both_is_void_by_its_signature(read: Read) -> None:
    """[RPL-3]: what nobody signed says nothing, whatever its form."""
    play = Play()
    last = play.envelopes[-1]
    play.envelopes.append(envelope.seal({**last.fields, "extra": 1}, ADMIN)._replace(signature=bytes(64)))
    assert codes(read(bundle_of(play)))[0] == "signature-invalid"


def test_a_leaf_whose_signature_does_not_verify_counts_in_the_tree(read: Read) -> None:
    """[RPL-1]"""
    play = claimed()
    play.envelopes.append(play.envelopes[-1]._replace(signature=bytes(64)))
    root = play.frontier.append(merkle.leaf_hash(play.envelopes[-1].entry))[0].root()
    report = read(bundle_of(play, note=note_of(play, root=root)))
    assert codes(report) == ["signature-invalid"]
    assert (report.size, report.root, report.covered) == (len(play.envelopes), root, len(play.envelopes))


# Comparisons that void nothing


def said(answer: str = "allow", rule: str | None = "covered", **inputs: Value) -> Play:
    """A log whose last event is an intent with another verdict than the policy gives, or with other inputs."""
    play = Play()
    honest = verdict()
    recorded = replace(honest, answer=answer, rule=rule, inputs={**honest.inputs, **inputs})
    must(play.intend(verdict=recorded))
    return play


RECORDED: Final[dict[str, tuple[Callable[[], Play], str]]] = {
    "another answer": (lambda: said(answer="ask"), "verdict-differs"),
    "another rule": (lambda: said(rule=None), "verdict-differs"),
    "another time": (lambda: said(now_ms=T0 + 1), "now-differs"),
    "a budget": (lambda: said(budgets={"day": {"value": 1, "as_of": 1}}), "budgets-differ"),
    "a field that no rule reads": (lambda: said(snapshot={"vip": True}), "inputs-differ"),
}


@pytest.mark.parametrize("what", RECORDED)
def test_a_verdict_that_does_not_rederive_is_found_and_stands(what: str, read: Read) -> None:
    """[POL-4], [RPL-5]"""
    play, code = RECORDED[what]
    report = read(bundle_of(play()))
    assert set(codes(report)) == {code}
    assert report.effects[0].status == "claimed"


def test_a_snapshots_fields_come_from_a_snapshot(read: Read) -> None:
    """[RPL-5]"""
    play = governed(Play(), parse_policy(READS_VIP))
    honest = verdict(policy=READS_VIP)
    must(play.intend(verdict=replace(honest, inputs={**honest.inputs, "snapshot": {"vip": True}})))
    assert codes(read(bundle_of(play))) == ["inputs-differ"]


def test_what_was_shown_is_compared(read: Read) -> None:
    """[RND-2], [RPL-5]"""
    play = claimed()
    must(play.say(Approval(intent=claim_of(play), shown=bytes(32)), APPROVER))
    assert codes(read(bundle_of(play))) == ["rendering-differs"]


def test_an_engine_that_the_reader_lacks_is_said_and_changes_no_state(read: Read) -> None:
    """[POL-1], [RPL-5]"""
    other: dict[str, Value] = {"name": "opa", "engine": "opa/1", "source": "package invoke"}
    play = governed(Play(), parse_policy(other))
    must(play.intend(verdict=verdict(policy=other)))
    report = read(bundle_of(play))
    assert (codes(report), report.ok) == (["policy-unchecked"], True)


def profiled(snapshot: bytes | None, **inline: Value) -> Play:
    play = governed(Play(contract(profile=PROFILE)), parse_policy(READS_VIP))
    honest = verdict(policy=READS_VIP)
    recorded = replace(honest, inputs={**honest.inputs, "snapshot": inline})
    snapshot_id = None if snapshot is None else digest.attachment_digest(snapshot)
    must(play.intend(verdict=recorded, snapshot_id=snapshot_id))
    return play


def test_attachments_and_snapshots_are_compared(read: Read) -> None:
    """[EVT-4], [POL-4], [RPL-5], [RPL-6]"""
    raw = freeze(profile_of(PROFILE), SEEN).raw
    play = profiled(raw, vip=True)
    assert codes(read(bundle_of(play, raw))) == []
    assert (codes(read(bundle_of(play))), read(bundle_of(play)).ok) == (["attachment-missing"], True)
    assert codes(read(bundle_of(play, raw, b"more"))) == ["attachment-unnamed"]
    assert codes(read(bundle_of(profiled(raw, vip=True, seen_ms=T0), raw))) == ["inputs-differ"]
    assert codes(read(bundle_of(profiled(b"\xa0", vip=True), b"\xa0"))) == ["snapshot-invalid"]


def test_an_attachment_has_the_size_that_is_named(read: Read) -> None:
    """[EVT-4], [RPL-6]"""
    assert codes(read(bundle_of(misnamed(), b"page"))) == ["attachment-differs"]


def misnamed() -> Play:
    """A log that says of `page` that it has five bytes."""
    play = unknown()
    reference: dict[str, Value] = {"attachment": digest.attachment_digest(b"page"), "size": 5}
    must(play.resolve("present", Evidence(kind="tag_seen", attachment=reference)))
    return play


# The result


def test_trust_is_a_matter_of_name_and_key(tmp_path: Path) -> None:
    """[RPL-10]: and who was given no key trusts nothing."""
    path = tmp_path / "bundle"
    path.write_bytes(bundle_of(committed()))
    assert replay(path, trust=TRUST).trusted
    assert not replay(path, trust=None).trusted
    report = replay(path, trust=OTHER)
    assert (codes(report), report.trusted) == (["trust-mismatch"], False)


def grades() -> list[tuple[str, Play]]:
    seen = unknown()
    must(seen.resolve("present", Evidence(kind="tag_seen")))
    asked = unknown()
    settled_tick(asked)
    must(asked.say(Attestation(status="committed", reason="r", attachment=None), ATTESTOR))
    two = unknown(contract(reconcilers=2))
    must(absent_by(two, RECONCILER, SECOND))
    own = unknown()
    must(own.resolve("present", Evidence(kind="response"), EXECUTOR))
    return [("E0", committed()), ("E0", own), ("E1", seen), ("E2", two), ("attested", asked)]


def test_the_grade_is_that_of_the_event_that_settled(read: Read) -> None:
    """[PRF-8], [PRF-9]"""
    for grade, play in grades():
        report = read(bundle_of(play))
        assert codes(report) == []
        assert report.effects[0].grade == grade
        assert "store-not-rolled-back" in report.effects[0].relies_on


# Bundles


def test_a_checkpoint_is_of_the_bundle_it_closes(read: Read) -> None:
    """[BDL-5], [RPL-8], [RPL-9]"""
    play = committed()
    size = len(play.envelopes)
    notes = {
        "size-mismatch": note_of(play, size=size - 1),
        "root-mismatch": note_of(play, root=bytes(32)),
        "checkpoint-invalid": note_of(play, origin="example.com/other"),
    }
    for code, note in notes.items():
        report = read(bundle_of(play, note=note))
        assert (codes(report), report.covered, report.ok) == ([code], None, False)


def test_a_bundle_that_ends_early_is_cut_wherever_it_ends(read: Read) -> None:
    """[BDL-6]"""
    play = Play()
    whole = bundle_of(play)
    for end in (0, 1, 20, 300, len(leaves_of(play)), len(whole) - 1):
        report = read(whole[:end])
        assert (codes(report), report.covered, report.ok) == (["cut"], None, False), end
    assert codes(read(leaves_of(play) + b"\x80")) == ["cut"]


def test_what_follows_the_trailer_is_refused(read: Read) -> None:
    """[BDL-1], [BDL-6]"""
    report = read(bundle_of(Play()) + b"\x00")
    assert (codes(report), report.covered) == (["malformed"], None)


def test_of_a_trailer_that_breaks_off_nothing_counts(read: Read) -> None:
    """[BDL-6]"""
    whole = bundle_of(misnamed(), b"page")
    assert codes(read(whole)) == ["attachment-differs"]
    report = read(whole + b"\x00")
    assert (codes(report), report.covered) == (["malformed"], None)


def test_header_and_leaves_do_not_depend_on_the_trailer() -> None:
    """[BDL-7]"""
    play = Play()
    one, other = bundle_of(play), bundle_of(play, b"an attachment")
    assert one != other
    assert one.startswith(leaves_of(play))
    assert other.startswith(leaves_of(play))


# What has no bytes of its own


def test_lo_and_hi_are_the_ticks_around_a_leaf() -> None:
    """[TIME-2], [TIME-3]"""
    play = claimed()
    leaf = len(play.envelopes) - 1
    assert (play.fold.lo(leaf), play.fold.hi(leaf), play.fold.lo(0)) == (T0, None, 0)
    for after_ms in (5_000, 7_000, 6_000):
        must(play.tick(after_ms))
    assert [play.fold.lo(leaf + at) - T0 for at in (0, 1, 2, 3)] == [0, 0, 5_000, 7_000]
    assert [play.fold.hi(leaf + at) for at in (0, 1, 2, 3)] == [T0 + 5_000, T0 + 7_000, T0 + 7_000, None]
    assert play.fold.now_ms() == T0 + 7_000


def test_the_first_answer_that_fits_is_given() -> None:
    """[ADM-3]: authority, then collision, conflict or blocked, then stale, then the guards."""
    play = claimed()
    contents: Value = {"amount": 1, "currency": "usd"}
    assert play.intend(SECOND, content=contents) == "grant-missing"
    assert play.intend(content=contents, verdict=verdict("deny")) == "conflict"
    assert Play().intend(again=bytes(32), verdict=replace(verdict("deny"), policy_id=bytes(32))) == "policy-superseded"


def test_a_decision_tells_the_policy_these_facts() -> None:
    """[DEC-2]"""
    play = claimed()
    intent = Intent(
        contract_id=CONTRACT.id,
        purpose="789",
        identity={"customer": "cus_1"},
        content={"amount": 5000, "currency": "usd"},
        snapshot_id=None,
        after=None,
        again=None,
        verdict=verdict(),
    )
    facts = facts_of(CONTRACT, intent, resource=play.bound.resource, issuer=AGENT.public_key, generation=1)
    assert facts == {
        "effect_class": "money.charge/1",
        "resource": "stripe:acct_1/test/customer/cus_1",
        "purpose": "789",
        "contract": "charge-customer",
        "generation": 1,
        "issuer": AGENT.public_key.hex(),
        "arguments": {"customer": "cus_1", "order": "789", "amount": 5000, "currency": "usd"},
    }


def test_a_snapshot_has_one_form_and_differences_are_named() -> None:
    """[SNP-2], [SNP-3], [SNP-4]"""
    wrongs: list[dict[str, Value]] = [
        {**SEEN, "seen_ms": T0 + 1},
        {**SEEN, "vip": None},
        {"vip": True},
        {**SEEN, "more": 1},
    ]
    for wrong in wrongs:
        with pytest.raises(SnapshotInvalidError):
            freeze(profile_of(PROFILE), wrong)
    later: dict[str, Value] = {"vip": False, "seen_ms": T0 + 1000}
    assert drifted(SEEN, {**SEEN, "seen_ms": T0 + 1000}, frozenset(("seen_ms",))) is None
    assert drifted(SEEN, later, frozenset(("seen_ms",))) == "$.vip: True against False"
    assert difference({"b": 1, "aa": [1]}, {"b": 1, "aa": [1, None]}) == "$.aa[1]: nothing against None"
    assert difference({"aa": 1, "b": None}, {"aa": 2}) == "$.b: None against nothing"


def test_the_map_holds_the_hash_of_what_is_known_of_an_effect() -> None:
    """[ID-15], [MAP-7]"""
    made = digest.map_value("committed", 2, [1, 2], bytes(32), 11)
    assert made == digest.derive_item("map value", ["committed", 2, [1, 2], bytes(32), 11])


class Directory:
    """A log that was not published since a checkpoint over its first leaves."""

    origin = None

    def __init__(self, play: Play, note: bytes, covers: int) -> None:
        self._play, self._note, self.covers = play, note, covers

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        return ((sealed.body, sealed.signature) for sealed in self._play.envelopes)

    def closing(self, named: Iterable[bytes]) -> Closing:
        return Closing(note=self._note, attachments=())


def test_a_checkpoint_from_before_a_recovery_still_covers_the_leaves_before_it() -> None:
    """[RPL-9], [RPL-10]: it is the old name's; the new one has signed nothing yet."""
    play = committed()
    note, covers = note_of(play), len(play.envelopes)
    report = replay(Directory(recovered(play), note, covers), trust=TRUST)
    assert [finding.code for finding in report.findings] == ["partly-covered"]
    assert (report.ok, report.trusted, report.trusted_size, report.covered) == (True, False, covers, covers)
    assert report.size == covers + 2
    renamed = replace(TRUST, name=f"{ORIGIN}.e1")
    later = replay(Directory(play, note, covers), trust=renamed)
    assert [finding.code for finding in later.findings] == ["partly-covered", "trust-mismatch"]
