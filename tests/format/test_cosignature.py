"""format/cosignature.py: what a witness signs, and each way in which a line is not its cosignature."""

from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from invoke_log.errors import InvokeLogError, KeyInvalidError, MalformedError, SignatureInvalidError
from invoke_log.format import cosignature, keys
from invoke_log.format.keys import VerifierKey
from invoke_log.format.note import NoteSignature

TEXT = "log.example/1\n41\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n"
TIME = 1_700_000_000
SIGNING_KEY = SigningKey(bytes(31) + b"\x01")
WITNESS = VerifierKey(name="witness.example", key_type=keys.WITNESS_KEY, public_key=bytes(SIGNING_KEY.verify_key))


def line(
    *,
    text: str = TEXT,
    time_s: int = TIME,
    signing_key: SigningKey = SIGNING_KEY,
    name: str = WITNESS.name,
    key_id: bytes = WITNESS.key_id,
) -> NoteSignature:
    """Return the line that a witness would write."""
    signature = signing_key.sign(cosignature.cosigned_bytes(text, time_s)).signature
    return NoteSignature(name=name, key_id=key_id, payload=time_s.to_bytes(8, "big") + signature)


def test_a_witness_signs_the_header_the_time_and_the_whole_text() -> None:
    """[COSIG-1]"""
    assert cosignature.cosigned_bytes(TEXT, TIME) == b"cosignature/v1\ntime 1700000000\n" + TEXT.encode()


def test_a_cosignature_opens_to_its_witness_and_its_time() -> None:
    """[COSIG-2]"""
    opened = cosignature.open_cosignature(line(), TEXT, WITNESS)
    assert (opened.name, opened.key_id, opened.time_s) == (WITNESS.name, WITNESS.key_id, TIME)


@pytest.mark.parametrize("time_s", [0, 2**63 - 1])
def test_the_whole_range_of_times_is_taken(time_s: int) -> None:
    assert cosignature.open_cosignature(line(time_s=time_s), TEXT, WITNESS).time_s == time_s


def test_a_time_past_the_range_is_malformed() -> None:
    with pytest.raises(MalformedError):
        cosignature.open_cosignature(line(time_s=2**63), TEXT, WITNESS)


@pytest.mark.parametrize(
    "wrong",
    [
        line(text=TEXT.replace("41", "42")),
        line(signing_key=SigningKey(bytes(31) + b"\x02")),
        line(name="other.example"),
        line(key_id=bytes(4)),
    ],
    ids=["text", "key", "name", "key id"],
)
def test_a_line_by_another_key_or_over_another_text_does_not_verify(wrong: NoteSignature) -> None:
    with pytest.raises(SignatureInvalidError):
        cosignature.open_cosignature(wrong, TEXT, WITNESS)


def test_a_signature_over_the_bare_text_is_no_cosignature() -> None:
    bare = replace(line(), payload=TIME.to_bytes(8, "big") + SIGNING_KEY.sign(TEXT.encode()).signature)
    with pytest.raises(SignatureInvalidError):
        cosignature.open_cosignature(bare, TEXT, WITNESS)


@pytest.mark.parametrize("length", [64, 71, 73, 2428])
def test_a_line_of_another_length_is_malformed(length: int) -> None:
    other = replace(line(), payload=bytes(length))
    with pytest.raises(MalformedError):
        cosignature.open_cosignature(other, TEXT, WITNESS)


def test_a_key_of_another_type_cosigns_nothing() -> None:
    """[COSIG-3]"""
    log_key = VerifierKey(name=WITNESS.name, key_type=keys.LOG_KEY, public_key=WITNESS.public_key)
    with pytest.raises(KeyInvalidError):
        cosignature.open_cosignature(line(key_id=log_key.key_id), TEXT, log_key)


def test_no_flipped_bit_of_a_cosignature_verifies() -> None:
    good = line()
    for bit in range(8 * len(good.payload)):
        payload = bytearray(good.payload)
        payload[bit // 8] ^= 1 << bit % 8
        flipped = replace(good, payload=bytes(payload))
        with pytest.raises(InvokeLogError):
            cosignature.open_cosignature(flipped, TEXT, WITNESS)
