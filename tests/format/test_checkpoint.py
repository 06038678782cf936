"""format/checkpoint.py: which notes are checkpoints, and that every line of one is accounted for."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from invoke_log.errors import InvokeLogError, MalformedError
from invoke_log.format import checkpoint, keys, limits, note
from invoke_log.format.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.format.keys import VerifierKey, parse_verifier_key

VECTORS = Path(__file__).parents[2] / "vectors" / "checkpoint"
CHECKPOINT = Checkpoint(origin="log.example/1", size=TreeSize(41), root=b"\xaa" * 32)


class SeedSigner:
    """A signer over a fixed seed."""

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public_key = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


SIGNER = SeedSigner(bytes(32))
LOG_KEY = VerifierKey(name=CHECKPOINT.origin, key_type=keys.LOG_KEY, public_key=SIGNER.public_key)


def load(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return case


def read(case: dict[str, Any]) -> checkpoint.OpenedCheckpoint:
    witnesses = [parse_verifier_key(text) for text in case["witness_keys"]]
    return open_checkpoint(bytes.fromhex(case["note"]), parse_verifier_key(case["log_key"]), witness_keys=witnesses)


NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("ok")])
def test_the_good_vector_opens_to_what_it_says(name: str) -> None:
    """[CKPT-5], [CKPT-6], [CKPT-7]"""
    case = load(name)
    assert case["expect"] == "ok"
    opened = read(case)
    assert opened.checkpoint == Checkpoint(
        origin=case["origin"], size=TreeSize(case["size"]), root=bytes.fromhex(case["root"])
    )
    assert [
        {"name": each.name, "key_id": each.key_id.hex(), "time_s": each.time_s} for each in opened.cosignatures
    ] == case["cosignatures"]
    assert len(opened.unchecked) == case["unchecked"]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("ok")])
def test_the_bad_vector_is_refused_for_its_reason(name: str) -> None:
    """[CKPT-2], [CKPT-3], [CKPT-4], [CKPT-8]"""
    case = load(name)
    with pytest.raises(InvokeLogError) as refused:
        read(case)
    assert refused.value.code == case["expect"]


def test_a_signed_checkpoint_is_one_line_under_the_text_and_opens() -> None:
    """[CKPT-1]"""
    raw = sign_checkpoint(CHECKPOINT, SIGNER)
    text = "log.example/1\n41\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n"
    assert note.parse_note(raw).text == text
    opened = open_checkpoint(raw, LOG_KEY)
    assert opened == checkpoint.OpenedCheckpoint(checkpoint=CHECKPOINT, cosignatures=(), unchecked=())


@given(st.integers(1, limits.INTEGER_MAX), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back_from_its_text(size: int, root: bytes) -> None:
    made = Checkpoint(origin="log.example/1", size=TreeSize(size), root=root)
    assert checkpoint.parse_body(checkpoint.format_body(made)) == made


@given(st.text(max_size=20) | st.from_regex(r"\s?[+-]?[0-9_]{0,18}\s?", fullmatch=True))
def test_a_tree_size_is_read_from_one_spelling_alone(text: str) -> None:
    """[CKPT-3]"""
    try:
        size = checkpoint.parse_tree_size(text)
    except MalformedError:
        assert not text.isascii() or not text.isdigit() or len(text) > 16 or text.startswith("0")
    else:
        assert str(size) == text


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_root_is_read_from_32_bytes_alone(length: int) -> None:
    """[CKPT-4]: 31 and 33 bytes take 44 characters of base64 too."""
    with pytest.raises(MalformedError):
        checkpoint.parse_root(base64.b64encode(bytes(length)).decode())


def test_nothing_follows_the_last_newline_of_the_text() -> None:
    """[CKPT-2]"""
    with pytest.raises(MalformedError):
        checkpoint.parse_body(f"{checkpoint.format_body(CHECKPOINT)}more")


@pytest.mark.parametrize("size", [0, -1, limits.INTEGER_MAX + 1])
def test_no_checkpoint_of_such_a_size_can_be_made(size: int) -> None:
    with pytest.raises(MalformedError):
        Checkpoint(origin="log.example/1", size=TreeSize(size), root=bytes(32))


@pytest.mark.parametrize(("origin", "root"), [("", bytes(32)), ("a\nb", bytes(32)), ("log", bytes(31))])
def test_no_checkpoint_of_such_parts_can_be_made(origin: str, root: bytes) -> None:
    with pytest.raises(MalformedError):
        Checkpoint(origin=origin, size=TreeSize(1), root=root)


def test_each_flipped_bit_of_a_cosigned_checkpoint_is_an_error_or_leaves_a_line_unchecked() -> None:
    """[CKPT-7], [CKPT-8]: a name or key id that nobody knows is all that a flip may come to."""
    case = load("ok-cosigned-twice")
    raw = bytes.fromhex(case["note"])
    survived = 0
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            opened = read(case | {"note": flipped.hex()})
        except InvokeLogError:
            continue
        assert opened.unchecked
        survived += 1
    assert 0 < survived < 8 * len(raw) // 10
