"""Two views of one log: the beginning of each other, or a lie."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoke_log.audit.agreement import compare
from invoke_log.format.checkpoint import parse_body, sign_checkpoint
from invoke_log.format.note import parse_note
from invoke_log.ledger.log import Log
from invoke_log.log.home import key_path
from invoke_log.log.signer import FileSigner, load_key
from invoke_log.rules.kind import Note
from tests.harness.forge import take_apart
from tests.interop.cases import recover
from tests.interop.log_writer import LogWriter
from tests.interop.views import note as view_note


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.create(tmp_path / "log", origin="example.com/log") as opened:
        yield opened


def note(log: Log, text: str) -> None:
    found = key_path(log.path, "agent")
    assert found is not None
    log.append(log.draft(Note(about=bytes(32), text=text), load_key(found), effect=bytes(32), resource="crm/1"))


def bundle(log: Log, name: str) -> Path:
    path = log.path.parent / name
    with path.open("wb") as stream:
        log.export(stream.write)
    return path


def checkpoint(log: Log, name: str, raw: bytes | None = None) -> Path:
    path = log.path.parent / name
    path.write_bytes(raw or log.checkpoint())
    return path


def test_the_smaller_is_the_beginning_of_the_larger_in_either_order(log: Log) -> None:
    early = bundle(log, "early")
    note(log, "later")
    late = bundle(log, "late")
    for one, two in ((early, late), (late, early), (late, late)):
        assert compare(one, two).agrees is True


def test_a_log_is_not_compared_with_itself(log: Log) -> None:
    link = log.path.parent / "link"
    link.symlink_to(log.path)
    log.close()
    found = compare(log.path, link)
    assert (found.agrees, found.reason) == (None, "they are one and the same log: it agrees with itself every time")


def test_a_store_that_lacks_leaves_of_a_bundle_that_was_kept_is_an_older_copy(log: Log) -> None:
    older = log.path.parent / "older"
    shutil.copytree(log.path, older)
    note(log, "what the copy does not have")
    kept = bundle(log, "kept")
    found = compare(older, kept)
    assert (found.agrees, "an older copy, or was cut" in found.reason) == (False, True)
    assert compare(kept, older).agrees is True  # the bundle is the larger one, and true


def test_a_checkpoint_agrees_with_every_tree_that_begins_with_its_own(log: Log) -> None:
    kept = checkpoint(log, "kept")
    assert compare(bundle(log, "same"), kept).agrees is True
    note(log, "later")
    assert compare(bundle(log, "late"), kept).agrees is True


def test_a_recovery_that_is_void_gives_no_name_and_loses_no_leaf(log: Log) -> None:
    """[FORK-2]: anybody can write such a leaf, and would hide a fork behind it."""
    shown, other = LogWriter().begin(()), LogWriter().begin(())
    recover(other, by="stranger")
    for _ in range(3):
        shown.tick(1)
        other.tick(2)
    forked = checkpoint(log, "forked", other.bundle())
    for kept in (shown.note(), view_note(other, f"{other.origin}.e1", other.index, "log2")):
        assert compare(forked, checkpoint(log, "kept", kept)).agrees is False


def test_an_old_bundle_cannot_be_judged_by_a_newer_checkpoint(log: Log) -> None:
    early = bundle(log, "early")
    note(log, "later")
    found = compare(early, checkpoint(log, "newer"))
    assert (found.agrees, found.index) == (None, None)


def test_a_checkpoint_under_another_key_agrees_with_nothing(log: Log) -> None:
    body = parse_body(parse_note(log.checkpoint()).text)
    forged = checkpoint(log, "forged", sign_checkpoint(body, FileSigner(bytes([9]) * 32)))
    found = compare(bundle(log, "whole"), forged)
    assert found.agrees is False
    assert found.reason.startswith("signature-invalid: ")


def test_a_larger_view_that_does_not_verify_agrees_with_nothing(log: Log) -> None:
    early = bundle(log, "early")
    note(log, "later")
    late = bundle(log, "late")
    raw = bytearray(late.read_bytes())
    at = raw.rindex(b"later")
    raw[at : at + 5] = b"LATER"
    late.write_bytes(raw)
    found = compare(early, late)
    assert found.agrees is False
    assert "signature-invalid" in found.reason


def test_a_leaf_that_composes_no_entry_agrees_with_no_checkpoint(log: Log) -> None:
    """[ENV-2]: not even with one that does not cover it."""
    kept = checkpoint(log, "kept")
    note(log, "later")
    late = bundle(log, "late")
    parts = take_apart(late.read_bytes())
    body, signature = parts.leaves[-1]
    for other in (b"", signature[:63], signature + b"\0"):
        late.write_bytes(parts.with_leaf(len(parts.leaves) - 1, (body, other)).join())
        found = compare(late, kept)
        assert (found.agrees, found.size) == (False, 0)
        assert found.reason.startswith("malformed: ")


def test_bytes_that_are_neither_bundle_nor_note_agree_with_nothing(log: Log) -> None:
    whole = bundle(log, "whole")
    for raw in (b"", b"\x85", b"hello", b"\xff\xfe"):
        path = log.path.parent / "noise"
        path.write_bytes(raw)
        assert compare(whole, path).agrees is False
