"""vectors/checkpoint: signed and cosigned checkpoints, written out from C2SP's texts with fixed keys.

A case gives the note in hex, the log's verifier key and the witnesses' that are known. A good one also says what a
reader finds in it: `unchecked` counts the cosignatures under keys that are not known.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from nacl.signing import SigningKey

AREAS = ("checkpoint",)
ORIGIN = "log.example/payments"
ROOT = sha256(b"root").digest()
TIME = 1_700_000_000

Case = dict[str, object]


@dataclass(frozen=True)
class Key:
    """A key under one name and one C2SP type; its seed is `seed` 32 times."""

    name: str
    key_type: int
    seed: int

    @property
    def signing_key(self) -> SigningKey:
        return SigningKey(bytes([self.seed]) * 32)

    @property
    def public(self) -> bytes:
        return bytes([self.key_type]) + bytes(self.signing_key.verify_key)

    @property
    def key_id(self) -> bytes:
        return sha256(f"{self.name}\n".encode() + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(self.public)}"

    def sign(self, message: bytes) -> bytes:
        return self.signing_key.sign(message).signature


LOG = Key(ORIGIN, 1, 1)
OTHER_LOG = Key(ORIGIN, 1, 2)
WITNESSES = sorted((Key(f"witness.example/{seed}", 4, seed) for seed in (11, 12, 13)), key=lambda key: key.key_id)
FIRST, SECOND, THIRD = WITNESSES


def b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def text(origin: str = ORIGIN, size: object = 41, root: str = b64(ROOT)) -> str:
    return f"{origin}\n{size}\n{root}\n"


def line(name: str, payload: bytes) -> str:
    return f"— {name} {b64(payload)}\n"


def signed(body: str, key: Key = LOG) -> str:
    return line(key.name, key.key_id + key.sign(body.encode()))


def cosigned(body: str, key: Key, time: int = TIME) -> str:
    message = f"cosignature/v1\ntime {time}\n{body}".encode()
    return line(key.name, key.key_id + time.to_bytes(8, "big") + key.sign(message))


def note(body: str, *lines: str) -> str:
    return f"{body}\n{''.join(lines)}"


BODY = text()
LINE = signed(BODY)
GOOD = note(BODY, LINE, cosigned(BODY, FIRST), cosigned(BODY, SECOND))
STRAY_BIT = {"A": "B", "Q": "R", "g": "h", "w": "x", "E": "F", "I": "J", "M": "N", "U": "V", "Y": "Z", "c": "d"}


def generate() -> dict[str, bytes]:
    cases = {
        **dict(good_cases()),
        **dict(bad_texts()),
        **dict(bad_spellings()),
        **dict(bad_lines()),
        **dict(bad_signatures()),
        **dict(bad_keys()),
    }
    return {f"checkpoint/{name}.json": f"{json.dumps(case, indent=2)}\n".encode() for name, case in cases.items()}


def case(comment: str, expect: str, raw: str | bytes, log: Key = LOG, witnesses: tuple[Key, ...] = ()) -> Case:
    return {
        "comment": comment,
        "expect": expect,
        "flags": ["checkpoint"],
        "note": (raw.encode() if isinstance(raw, str) else raw).hex(),
        "log_key": log.vkey,
        "witness_keys": [key.vkey for key in witnesses],
    }


def good(comment: str, body: str, cosigners: tuple[Key, ...] = (), known: tuple[Key, ...] = (), log: Key = LOG) -> Case:
    origin, size, _ = body.split("\n", 2)
    raw = note(body, signed(body, log), *(cosigned(body, key) for key in cosigners))
    return case(comment, "ok", raw, log, known) | {
        "origin": origin,
        "size": int(size),
        "root": ROOT.hex(),
        "cosignatures": [
            {"name": key.name, "key_id": key.key_id.hex(), "time_s": TIME} for key in cosigners if key in known
        ],
        "unchecked": sum(key not in known for key in cosigners),
    }


def good_cases() -> Iterator[tuple[str, Case]]:
    namesake = Key(FIRST.name, 4, 14)
    both = sorted((FIRST, namesake), key=lambda key: key.key_id)
    yield "ok", good("the log's line alone [CKPT-1] [CKPT-5]", BODY)
    yield "ok-size-1", good("the smallest size", text(size=1))
    yield "ok-size-largest", good("the largest size, 2**53 - 1 [CKPT-3]", text(size=2**53 - 1))
    yield "ok-origin", good("an origin past ASCII", text("café.example/1"), log=Key("café.example/1", 1, 1))
    yield "ok-cosigned", good("a cosignature that is checked [CKPT-6] [COSIG-1]", BODY, (FIRST,), (FIRST,))
    yield "ok-cosigned-twice", good("two, ascending by key id", BODY, (FIRST, SECOND), (SECOND, FIRST))
    yield "ok-unchecked", good("without known keys cosignatures are not checked [CKPT-7]", BODY, (FIRST, SECOND))
    yield "ok-one-unchecked", good("one known key of three", BODY, (FIRST, SECOND, THIRD), (SECOND,))
    yield "ok-key-unused", good("a known witness that did not sign", BODY, (), (FIRST,))
    borrowed = line("other.example", FIRST.key_id + bytes(72))
    unknown = good("a known key's id under another name is another key", BODY, (), (FIRST,))
    yield "ok-id-alone", unknown | {"note": note(BODY, LINE, borrowed).encode().hex(), "unchecked": 1}
    yield "ok-namesake", good("two keys of one name are two keys", BODY, tuple(both), (FIRST,))


def bad_texts() -> Iterator[tuple[str, Case]]:
    bodies = {
        "size-0": ("an empty log has no checkpoint", text(size=0)),
        "size-too-large": ("2**53", text(size=2**53)),
        "size-zero-padded": ("a leading zero", text(size="041")),
        "size-signed": ("a sign", text(size="+41")),
        "size-spaced": ("a space", text(size=" 41")),
        "size-underscored": ("an underscore", text(size="4_1")),
        "size-other-digits": ("digits of another script", text(size="٤١")),
        "size-empty": ("no digits", text(size="")),
        "size-long": ("a number of 5,000 digits", text(size="4" * 5000)),
        "origin-empty": ("no origin", text("")),
        "origin-with-space": ("a space in the origin", text("log.example payments")),
        "root-31-bytes": ("31 bytes", text(root=b64(ROOT[:31]))),
        "root-33-bytes": ("33 bytes, in 44 characters like 32", text(root=b64(ROOT + b"\0"))),
        "root-unpadded": ("no padding", text(root=b64(ROOT).rstrip("="))),
        "root-url-safe": ("the other alphabet", text(root=b64(b"\xfb" * 32).replace("+", "-"))),
        "root-stray-bits": ("bits after the last byte [CKPT-4]", text(root=stray(b64(ROOT)))),
        "root-in-hex": ("hex", text(root=ROOT.hex())),
        "extension-line": ("a fourth line [CKPT-2]", f"{BODY}extension\n"),
        "two-lines": ("no root", "log.example/payments\n41\n"),
        "blank-line-inside": ("a blank line between", BODY.replace("\n41", "\n\n41")),
    }
    for name, (comment, body) in bodies.items():
        yield f"text-{name}", case(f"{comment}; signed as it stands", "malformed", note(body, signed(body)))


def stray(encoded: str) -> str:
    """Set a bit that the base64 has and its bytes do not: the lowest one before the padding."""
    head, pad = encoded.rstrip("="), encoded.count("=")
    return head[:-1] + STRAY_BIT[head[-1]] + "=" * pad


def bad_spellings() -> Iterator[tuple[str, Case]]:
    encoded = b64(LOG.key_id + LOG.sign(BODY.encode()))
    spellings: dict[str, tuple[str, str | bytes]] = {
        "empty": ("no byte at all", b""),
        "no-signature": ("a text and a blank line", note(BODY)),
        "no-blank-line": ("the signature right under the text", BODY + LINE),
        "two-blank-lines": ("one blank line too many", note(f"{BODY}\n", LINE)),
        "no-last-newline": ("cut by one byte", note(BODY, LINE)[:-1]),
        "newline-after": ("a blank line after the signatures", note(BODY, LINE) + "\n"),
        "carriage-returns": ("CRLF", note(BODY, LINE).replace("\n", "\r\n")),
        "byte-order-mark": ("a mark before the origin", f"\ufeff{note(BODY, LINE)}"),
        "not-utf-8": ("a lone continuation byte", note(BODY, LINE).encode().replace(b"payments", b"payment\x80")),
        "hyphen": ("a hyphen for the dash", note(BODY, LINE.replace("—", "-"))),
        "en-dash": ("a shorter dash", note(BODY, LINE.replace("—", "–"))),
        "two-spaces": ("two spaces", note(BODY, LINE.replace(" ", "  ", 1))),
        "trailing-space": ("a space at the end", note(BODY, LINE.replace("\n", " \n"))),
        "no-name": ("no name", note(BODY, f"— {encoded}\n")),
        "name-with-plus": ("a plus sign in the name", note(BODY, LINE.replace(ORIGIN, "log+1"))),
        "unpadded": ("no padding", note(BODY, LINE.replace("=", ""))),
        "stray-bits": ("bits after the last byte", note(BODY, line_of(stray(encoded)))),
        "url-safe": ("the other alphabet", note(BODY, line_of(encoded.replace("+", "-").replace("/", "_")))),
    }
    for name, (comment, raw) in spellings.items():
        yield f"spelling-{name}", case(f"{comment} [NOTE-2]", "malformed", raw, LOG, (FIRST, SECOND))


def line_of(encoded: str) -> str:
    return f"— {ORIGIN} {encoded}\n"


def bad_lines() -> Iterator[tuple[str, Case]]:
    one, two = cosigned(BODY, FIRST), cosigned(BODY, SECOND)
    post_quantum = line("witness.example/pq", bytes.fromhex("ffffffff") + bytes(8 + 2420))
    lines = {
        "order": ("cosignatures descend by key id", [LINE, two, one]),
        "twice": ("one witness twice", [LINE, one, one]),
        "twice-two-times": ("one witness at two times", [LINE, one, cosigned(BODY, FIRST, TIME + 1)]),
        "log-last": ("the log's line comes first", [one, LINE]),
        "log-missing": ("cosignatures alone", [one, two]),
        "log-twice": ("the log's line twice", [LINE, LINE]),
        "second-log-key": ("a second key of the log [CKPT-8]", [LINE, signed(BODY, OTHER_LOG)]),
        "unknown-type": ("a line of the length of another type [CKPT-8]", [LINE, post_quantum]),
        "short": ("a key id and nothing", [LINE, line(FIRST.name, FIRST.key_id)]),
        "shorter": ("three bytes", [LINE, line(FIRST.name, b"abc")]),
        "log-line-long": ("a log signature of 65 bytes", [line(ORIGIN, LOG.key_id + LOG.sign(BODY.encode()) + b"\0")]),
        "time-too-large": ("a time of 2**63 [COSIG-2]", [LINE, cosigned(BODY, FIRST, 2**63)]),
        "origin-is-not-the-name": ("the log's line under another name", [signed(BODY, Key("log.example/2", 1, 1))]),
    }
    for name, (comment, under) in lines.items():
        yield f"lines-{name}", case(comment, "malformed", note(BODY, *under), LOG, (FIRST, SECOND))


def bad_signatures() -> Iterator[tuple[str, Case]]:
    other = text(size=42)
    forged = line(FIRST.name, FIRST.key_id + TIME.to_bytes(8, "big") + SECOND.sign(b"forged"))
    plain = line(FIRST.name, FIRST.key_id + TIME.to_bytes(8, "big") + FIRST.sign(BODY.encode()))
    message = f"cosignature/v1\ntime {TIME}\n{BODY}".encode()
    moved = line(FIRST.name, FIRST.key_id + (TIME + 1).to_bytes(8, "big") + FIRST.sign(message))
    borrowed = line(ORIGIN, LOG.key_id + OTHER_LOG.sign(BODY.encode()))
    as_witness = Key(ORIGIN, 4, 1)
    notes = {
        "log-other-text": ("the log signed another size", note(other, LINE)),
        "log-other-key": ("signed by another key of that name", note(BODY, signed(BODY, OTHER_LOG))),
        "log-borrowed-id": ("another key's signature under the log's key id", note(BODY, borrowed)),
        "log-key-as-witness": ("the key id of the log key's other type", note(BODY, signed(BODY, as_witness))),
        "witness-other-text": ("a cosignature over another size", note(BODY, LINE, cosigned(other, FIRST))),
        "witness-forged": ("another key's signature under a known key id", note(BODY, LINE, forged)),
        "witness-other-time": ("a cosignature at another time", note(BODY, LINE, moved)),
        "witness-plain": ("a known witness signed the bare text", note(BODY, LINE, plain)),
    }
    for name, (comment, raw) in notes.items():
        yield f"signature-{name}", case(comment, "signature-invalid", raw, LOG, (FIRST, SECOND))


def bad_keys() -> Iterator[tuple[str, Case]]:
    witness = Key(ORIGIN, 4, 1)
    yield "key-log", case("a witness key given as the log's", "key-invalid", note(BODY, signed(BODY, witness)), witness)
    yield "key-witness", case("a log key given as a witness's", "key-invalid", GOOD, LOG, (FIRST, OTHER_LOG))
