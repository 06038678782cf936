"""KEY and SIG: one verdict on every key [KEY-1] and signature [SIG-1] [SIG-2], and names [KEY-2] [KEY-3] [KEY-4]."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import nacl.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import KeyInvalidError, MalformedError, SignatureInvalidError
from invoke_log.format import keys, limits
from invoke_log.format.keys import VerifierKey
from vectors.generate import ed25519 as ours

VECTORS = Path(__file__).parents[2] / "vectors" / "ed25519"
KEY = ours.KEYS[0]
GO_EXAMPLE = (
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"  # known to readers of Go's note package
)

Case = dict[str, Any]


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in json.loads((VECTORS / f"{name}.json").read_text())]


def passes_key(key: bytes) -> bool:
    try:
        keys.check_public_key(key)
    except KeyInvalidError:
        return False
    return True


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Ask libsodium anew within the test, and again after it."""
    keys._passes_key_rule.cache_clear()
    yield
    keys._passes_key_rule.cache_clear()


# KEY

REASONS = {
    "length": "bytes, want",
    "not-on-curve": "not a point on the curve",
    "small-order": "of small order",
    "not-canonical-y": "not the canonical encoding",
    "not-canonical-sign": "not the canonical encoding",
    "mixed-order-2": "outside the subgroup of prime order",
    "mixed-order-4": "outside the subgroup of prime order",
    "mixed-order-8": "outside the subgroup of prime order",
}


@pytest.mark.parametrize("case", cases("keys"))
def test_a_key_passes_or_the_error_names_its_fault(case: Case) -> None:
    key = bytes.fromhex(case["key"])
    if case["valid"]:
        keys.check_public_key(key)
    else:
        with pytest.raises(KeyInvalidError, match=REASONS[case["class"]]):
            keys.check_public_key(key)


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_judged_as_the_arithmetic_judges_them(key: bytes) -> None:
    assert passes_key(key) == ours.key_passes(key)


# SIG


@pytest.mark.parametrize("case", cases("verify"))
def test_a_signature_verifies_only_where_the_rule_says_so(case: Case) -> None:
    key, message, signature = (bytes.fromhex(case[field]) for field in ("key", "msg", "sig"))
    assert keys.verify(key, message, signature) is case["valid"]


@given(st.binary(max_size=100), st.integers(1, ours.L - 1), st.integers(0, 511))
def test_a_signature_verifies_and_one_flipped_bit_of_it_does_not(message: bytes, r: int, bit: int) -> None:
    signature = ours.sign(ours.SECRETS[0], KEY, message, r=r)
    assert keys.verify(KEY, message, signature)
    assert not keys.verify(KEY, message, (int.from_bytes(signature) ^ 1 << bit).to_bytes(64))


@pytest.mark.usefixtures("forgetful")
def test_what_libsodium_might_forget_is_refused_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "crypto_sign_open", lambda signed, key: signed[64:])
    half = (1).to_bytes(32, "little")
    base = ours.encode(ours.BASE)
    assert keys.verify(KEY, b"", base + half)
    assert not keys.verify(KEY, b"", base + ours.L.to_bytes(32, "little"))
    assert keys.verify(KEY, b"", base + (ours.L - 1).to_bytes(32, "little"))
    assert not keys.verify(KEY, b"", ours.encode(ours.IDENTITY) + half)
    assert not keys.verify(KEY, b"", ours.P.to_bytes(32, "little") + half)
    assert not keys.verify(KEY, b"", (2**256 - 1).to_bytes(32, "little") + half)
    assert keys.verify(KEY, b"", (ours.P - 1).to_bytes(32, "little") + half)
    assert not keys.verify(ours.encode(ours.IDENTITY), b"", base + half)
    assert not keys.verify(KEY[:31], b"", base + half)
    assert not keys.verify(KEY, b"", base + half + b"\0")


# Self-test


def test_this_libsodium_passes_the_self_test() -> None:
    keys.self_test()


def test_each_case_of_the_self_test_is_what_it_says() -> None:
    verdicts = [verifies for *_, verifies in keys._SELF_TEST]
    assert verdicts == [True] + [False] * 6
    for what, key, r, s, verifies in keys._SELF_TEST:
        signature = bytes.fromhex(r + s)
        assert ours.signature_passes(bytes.fromhex(key), keys._SELF_TEST_MESSAGE, signature) == verifies, what


def accepts_all(signed: bytes, key: bytes) -> bytes:
    return signed[64:]


def refuses_all(signed: bytes, key: bytes) -> bytes:
    raise nacl.exceptions.BadSignatureError


def is_cofactored(signed: bytes, key: bytes) -> bytes:
    point, commitment = ours.decode(key), ours.decode(signed[:32])
    assert point is not None
    assert commitment is not None
    k, s = ours.challenge(signed[:32], key, signed[64:]), int.from_bytes(signed[32:64], "little")
    residue = ours.add(ours.times(s, ours.BASE), ours.negate(ours.add(commitment, ours.times(k, point))))
    if not ours.same(ours.times(8, residue), ours.IDENTITY):
        raise nacl.exceptions.BadSignatureError
    return signed[64:]


def takes_mixed_order(key: bytes) -> bool:
    point = ours.decode(key)
    return point is not None and not ours.same(ours.times(8, point), ours.IDENTITY)


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    ("name", "weaker", "told"),
    [
        ("crypto_sign_open", accepts_all, "accepts one flipped bit"),
        ("crypto_sign_open", refuses_all, "refuses an honest signature"),
        ("crypto_sign_open", is_cofactored, "accepts an equation that needs the cofactor"),
        ("crypto_core_ed25519_is_valid_point", takes_mixed_order, "accepts a key of mixed order"),
    ],
)
def test_the_self_test_notices_another_libsodium(
    monkeypatch: pytest.MonkeyPatch, name: str, weaker: object, told: str
) -> None:
    monkeypatch.setattr(keys, name, weaker)
    with pytest.raises(SignatureInvalidError, match=told) as caught:
        keys.self_test()
    assert caught.value.hint is not None


# Names


def test_a_thumbprint_is_the_hash_of_the_deterministic_cose_key() -> None:
    cose_key = cbor2.dumps({-2: KEY, -1: 6, 1: 1}, canonical=True)
    assert keys.thumbprint(KEY) == hashlib.sha256(cose_key).digest()


def test_another_implementations_key_is_read_and_written_back() -> None:
    key = keys.parse_verifier_key(GO_EXAMPLE)
    assert (key.name, key.key_type, key.key_id.hex()) == ("PeterNeumann", keys.LOG_KEY, "c74f20a3")
    assert keys.format_verifier_key(key) == GO_EXAMPLE


NAMES = (
    st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="+"), min_size=1, max_size=60
    )
    .filter(lambda name: len(name.encode()) <= limits.KEY_NAME_BYTES_MAX)
    .filter(lambda name: not any(character.isspace() for character in name))
)


@given(NAMES, st.sampled_from([keys.LOG_KEY, keys.WITNESS_KEY]), st.sampled_from(ours.KEYS))
def test_a_verifier_key_has_one_line_that_gives_it_back(name: str, key_type: int, public_key: bytes) -> None:
    key = VerifierKey(name=name, key_type=key_type, public_key=public_key)
    hashed = hashlib.sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()
    assert key.key_id == keys.note_key_id(name, key_type, public_key) == hashed[:4]
    assert keys.parse_verifier_key(keys.format_verifier_key(key)) == key


def line(name: str = "example.com/log", *, key_type: int = 1, key: bytes = KEY) -> str:
    """Return a line with the key id that belongs to its parts, whatever they are."""
    return f"{name}+{keys.note_key_id(name, key_type, key).hex()}+{base64.b64encode(bytes([key_type]) + key).decode()}"


def test_the_line_that_the_refused_ones_are_made_from_is_read() -> None:
    assert keys.parse_verifier_key(line()).name == "example.com/log"


GOOD = line()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "example.com/log",
        GOOD + "\n",
        " " + GOOD,
        GOOD + " ",
        GOOD.replace(GOOD.split("+")[1], GOOD.split("+")[1].upper()),
        GOOD.replace(GOOD.split("+")[1], "00000000"),
        GOOD.replace("+", "++", 1),
        GOOD.replace("example", "Example"),
        GOOD + "=",
        GOOD[:40] + "\n" + GOOD[40:],
        GOOD[:40] + "-" + GOOD[41:],
        GOOD[:40] + "\xe9" + GOOD[41:],
        line(key=KEY[:31]),
        line(key=KEY + b"\0"),
        line(key_type=0),
        line(key_type=2),
        line(key_type=6),
        line(name=""),
        line(name="a b"),
        line(name="a" * 256),
    ],
)
def test_another_spelling_of_a_verifier_key_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        keys.parse_verifier_key(text)


def test_a_verifier_key_that_fails_key_is_invalid() -> None:
    with pytest.raises(KeyInvalidError, match="of small order"):
        keys.parse_verifier_key(line(key=ours.encode(ours.IDENTITY)))


def test_the_longest_line_is_read_and_a_longer_one_is_not_looked_at() -> None:
    longest = line(name="n" * limits.KEY_NAME_BYTES_MAX)
    assert len(longest) == limits.VERIFIER_KEY_CHARS_MAX
    assert keys.parse_verifier_key(longest).key_type == keys.LOG_KEY
    with pytest.raises(MalformedError, match="310 characters, want at most 309"):
        keys.parse_verifier_key(longest + "n")


@pytest.mark.parametrize("name", ["a", "example.com/log", "example.com/log.e1", "é" * 127, "数", "a.b-c_d~e/f:8080"])
def test_a_name_may_be(name: str) -> None:
    keys.check_key_name(name)


@pytest.mark.parametrize("space", [chr(point) for point in range(0x3001) if chr(point).isspace()])
def test_a_name_has_no_space(space: str) -> None:
    with pytest.raises(MalformedError, match="key name is "):
        keys.check_key_name(f"a{space}b")


@pytest.mark.parametrize("name", ["", "a+b", "a\n", "\ta", "a\0", "a\x1b", "a\x7f", "é" * 128, "a" * 256, "a\ud800"])
def test_a_name_may_not_be(name: str) -> None:
    with pytest.raises(MalformedError, match="key name is "):
        keys.check_key_name(name)


# Other people's vectors


def test_cctv_vectors_are_judged_as_the_arithmetic_judges_them(shared_data: Path) -> None:
    """One of 914 is accepted: in all others A or R has a part of small order. libsodium without KEY accepts 43."""
    tests = json.loads((shared_data / "cctv-ed25519" / "ed25519vectors.json").read_text())
    accepted = []
    for case in tests:
        key, message, signature = bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"])
        wanted = ours.signature_passes(key, message, signature)
        assert keys.verify(key, message, signature) == wanted, case
        if wanted:
            accepted.append(case)
    assert len(tests) == 914
    assert [case["flags"] for case in accepted] == [None]


def test_wycheproof_vectors_are_judged_as_they_say(shared_data: Path) -> None:
    """No difference: their keys pass KEY, and whatever is refused there is refused here."""
    document = json.loads((shared_data / "wycheproof" / "ed25519_test.json").read_text())
    count = 0
    for group in document["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            assert keys.verify(key, message, signature) == (case["result"] == "valid"), case
            assert ours.signature_passes(key, message, signature) == (case["result"] == "valid"), case
            count += 1
    assert count == document["numberOfTests"] == 151
