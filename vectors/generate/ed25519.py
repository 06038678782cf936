"""vectors/ed25519: which public keys count, which signatures verify, at every edge where verifiers are known to differ.

The arithmetic below is slow, branches on secrets and shares nothing with any library: it makes and judges vectors.
Points are extended coordinates (X, Y, Z, T) of RFC 8032, section 5.1.4.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import TypeAlias

AREAS = ("ed25519",)

Point: TypeAlias = tuple[int, int, int, int]

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
IDENTITY: Point = (0, 1, 1, 0)
SIGN_BIT = 1 << 255


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points, equal or not."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2)
    c, d = 2 * D * t1 * t2, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar: int, point: Point) -> Point:
    """Return the point added `scalar` times; never reduced modulo L, which would hide the torsion."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negate(point: Point) -> Point:
    x, y, z, t = point
    return -x % P, y, z, -t % P


def same(one: Point, other: Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 == (one[1] * other[2] - other[1] * one[2]) % P


def encode(point: Point) -> bytes:
    """Return the 32 canonical bytes of a point."""
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(raw: bytes) -> Point | None:
    """Return the point that 32 bytes spell, canonically or not, or None if they spell none."""
    bits = int.from_bytes(raw, "little")
    y = bits % SIGN_BIT % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square:
        return None
    if x & 1 != bits >> 255:
        x = -x % P
    return x, y, 1, x * y % P


def key_passes(key: bytes) -> bool:
    """Return the KEY rule: 32 bytes, on the curve, canonical, not of small order, in the subgroup of prime order."""
    point = decode(key) if len(key) == 32 else None
    if point is None or encode(point) != key:
        return False
    return not same(times(8, point), IDENTITY) and same(times(L, point), IDENTITY)


def signature_passes(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return KEY and SIG: 64 bytes, S < L, R not the identity, R equal as bytes to [S]B - [k]A."""
    if len(signature) != 64 or not key_passes(key):
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L or r == encode(IDENTITY):
        return False
    point = decode(key)
    assert point is not None
    return encode(add(times(s, BASE), negate(times(challenge(r, key, message), point)))) == r


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def _base() -> Point:
    point = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


def _torsion() -> list[Point]:
    """Return the eight points of small order, as multiples of one of order eight."""
    for y in range(2, 100):
        point = decode(y.to_bytes(32, "little"))
        if point is not None and not same(times(4 * L, point), IDENTITY):
            return [times(n, times(L, point)) for n in range(8)]
    raise AssertionError("no point of full order below 100")


BASE = _base()
TORSION = _torsion()
ORDERS = (1, 8, 4, 8, 2, 8, 4, 8)


def scalar(label: str) -> int:
    """Return a secret that depends on the label alone."""
    return int.from_bytes(hashlib.sha512(label.encode()).digest(), "little") % L


def sign(secret: int, key: bytes, message: bytes, *, r: int, torsion: Point = IDENTITY) -> bytes:
    """Return R and S, with `torsion` added to R; `key` need not be what `secret` makes."""
    encoded = encode(add(times(r, BASE), torsion))
    return encoded + ((r + challenge(encoded, key, message) * secret) % L).to_bytes(32, "little")


SECRETS = [scalar(f"vector key {n}") for n in range(4)]
KEYS = [encode(times(secret, BASE)) for secret in SECRETS]

KeyCase: TypeAlias = tuple[str, bytes, bool]
SignatureCase: TypeAlias = tuple[str, bytes, bytes, bytes, bool]


def key_cases() -> Iterator[KeyCase]:
    """Yield (class, key, passes)."""
    for key in KEYS:
        yield "valid", key, True
    for y in range(3, 100):  # nobody knows the secret; the rule does not ask
        if key_passes(y.to_bytes(32, "little")):
            yield "valid-small-y", y.to_bytes(32, "little"), True
    for size in (0, 1, 31, 33, 64):
        yield "length", (KEYS[0] + KEYS[1])[:size], False
    for y in (2, 7, P - 2, 2**254):
        if decode(y.to_bytes(32, "little")) is None:
            yield "not-on-curve", y.to_bytes(32, "little"), False
            yield "not-on-curve", (y | SIGN_BIT).to_bytes(32, "little"), False
    for point in TORSION:
        yield "small-order", encode(point), False
    for y in range(2**255 - P):
        for bits in (y + P, y + P | SIGN_BIT):
            if decode(bits.to_bytes(32, "little")) is not None:
                yield "not-canonical-y", bits.to_bytes(32, "little"), False
    for y in (1, P - 1):
        yield "not-canonical-sign", (y | SIGN_BIT).to_bytes(32, "little"), False
    for secret in SECRETS[:2]:
        for point, order in zip(TORSION[1:], ORDERS[1:], strict=True):
            yield f"mixed-order-{order}", encode(add(times(secret, BASE), point)), False


def signature_cases() -> Iterator[SignatureCase]:
    """Yield (class, key, message, signature, verifies)."""
    yield from _honest()
    yield from _damaged()
    yield from _other_scalars()
    yield from _other_points()
    yield from _bad_keys()


def _honest() -> Iterator[SignatureCase]:
    for n, size in enumerate((0, 1, 2, 31, 32, 63, 64, 65, 111, 112, 128, 355, 1000)):
        message = hashlib.shake_128(f"message {n}".encode()).digest(size)
        secret, key = SECRETS[n % 4], KEYS[n % 4]
        yield "valid", key, message, sign(secret, key, message, r=scalar(f"nonce {n}")), True
    # A signer can always make a second signature: an event's id is for that reason never taken over its signature.
    for n in range(2):
        yield "valid-other-nonce", KEYS[0], b"twice", sign(SECRETS[0], KEYS[0], b"twice", r=scalar(f"twice {n}")), True


def _damaged() -> Iterator[SignatureCase]:
    key, other = KEYS[0], KEYS[1]
    message = b"invoke-log: one bit away"
    good = sign(SECRETS[0], key, message, r=scalar("damaged"))
    for bit in (0, 7, 100, 254, 255, 256, 300, 507, 508, 509, 510, 511):
        yield "bit-flip-signature", key, message, _flip(good, bit), False
    for bit in (0, 77, 254, 255):
        yield "bit-flip-key", _flip(key, bit), message, good, False
    for bit in (0, 8 * len(message) - 1):
        yield "bit-flip-message", key, _flip(message, bit), good, False
    for size in (0, 1, 32, 63):
        yield "length", key, message, good[:size], False
    yield "length", key, message, good + b"\0", False
    yield "length", key, message, good + good, False
    yield "zero", key, message, bytes(64), False
    yield "ones", key, message, b"\xff" * 64, False
    yield "halves-swapped", key, message, good[32:] + good[:32], False
    yield "other-key", other, message, good, False
    yield "other-message", key, b"", good, False
    yield "message-extended", key, message + b"\0", good, False
    prehashed = b"SigEd25519 no Ed25519 collisions\x01\x00" + hashlib.sha512(message).digest()
    yield "ed25519ph", key, message, sign(SECRETS[0], key, prehashed, r=scalar("ph")), False


def _other_scalars() -> Iterator[SignatureCase]:
    """S that is the same modulo L, or its negative."""
    key = KEYS[1]
    for n in range(3):
        message = f"scalar {n}".encode()
        good = sign(SECRETS[1], key, message, r=scalar(f"scalar {n}"))
        s = int.from_bytes(good[32:], "little")
        for multiple in (1, 2, 7, 8, 14):
            yield "s-not-reduced", key, message, good[:32] + (s + multiple * L).to_bytes(32, "little"), False
        yield "s-negated", key, message, good[:32] + (L - s).to_bytes(32, "little"), False
    for s in (0, 1, L - 1, L, L + 1, 2**252, 2**253, 2**256 - 1):
        yield "s-boundary", key, b"scalar 0", good[:32] + s.to_bytes(32, "little"), False


def _other_points() -> Iterator[SignatureCase]:
    """R that is the identity, of small order, or off by torsion, under a key that passes KEY."""
    secret, key = SECRETS[2], KEYS[2]
    for n in range(3):
        # [S]B = [k]A, as every rule but ours asks: R is the identity.
        yield "r-identity", key, b"identity %d" % n, sign(secret, key, b"identity %d" % n, r=0), False
    for bits in (P + 1, 1 | SIGN_BIT, P + 1 | SIGN_BIT):
        r = bits.to_bytes(32, "little")
        for hashed in (r, encode(IDENTITY)):  # some verifiers hash R as given, some as they would write it
            s = challenge(hashed, key, b"r") * secret % L
            yield "r-identity-not-canonical", key, b"r", r + s.to_bytes(32, "little"), False
    for y in range(2, 19):
        r = (y + P).to_bytes(32, "little")
        if decode(r) is not None:
            s = challenge(r, key, b"r") * secret % L
            yield "r-not-canonical", key, b"r", r + s.to_bytes(32, "little"), False
    for point, order in zip(TORSION[1:], ORDERS[1:], strict=True):
        yield f"r-small-order-{order}", key, b"torsion", sign(secret, key, b"torsion", r=0, torsion=point), False
        mixed = sign(secret, key, b"torsion", r=scalar("torsion"), torsion=point)
        yield f"r-cofactored-only-{order}", key, b"torsion", mixed, False
    good = sign(secret, key, b"negated", r=scalar("negated"))
    yield "r-negated", key, b"negated", _flip(good, 255), False


def _bad_keys() -> Iterator[SignatureCase]:
    """Signatures that fulfil the equation under a key that fails KEY: the key alone must refuse them."""
    for point, order in zip(TORSION, ORDERS, strict=True):
        key = encode(point)
        yield f"key-small-order-{order}", key, b"", encode(IDENTITY) + bytes(32), False
        yield f"key-small-order-{order}", key, *_found(key, 0, point, order, IDENTITY), False
        yield f"key-small-order-{order}", key, *_found(key, 0, point, order, negate(point)), False
    for bits in (P, P + 1, 1 | SIGN_BIT, P - 1 | SIGN_BIT):
        key = bits.to_bytes(32, "little")
        yield "key-not-canonical", key, b"", encode(IDENTITY) + bytes(32), False
        yield "key-not-canonical", key, b"r", sign(0, key, b"r", r=scalar("small")), False
    secret = SECRETS[3]
    for point, order in zip(TORSION[1:], ORDERS[1:], strict=True):
        key = encode(add(times(secret, BASE), point))
        yield f"key-mixed-order-{order}", key, *_found(key, secret, point, order, IDENTITY), False
        yield f"key-mixed-order-{order}", key, *_found(key, secret, point, order, negate(point)), False
        yield f"key-mixed-order-{order}-cofactored-only", key, *_not_found(key, secret, order), False


def _found(key: bytes, secret: int, point: Point, order: int, torsion: Point) -> tuple[bytes, bytes]:
    """Return a message and a signature that fulfil the cofactorless equation under a key that carries `point`."""
    for message, signature, k in _tries(key, secret, torsion):
        if same(add(torsion, times(k % order, point)), IDENTITY):
            return message, signature
    raise AssertionError("no message cancels the torsion")


def _not_found(key: bytes, secret: int, order: int) -> tuple[bytes, bytes]:
    """Return a message and a signature that fulfil the equation under such a key only after times eight."""
    return next((message, signature) for message, signature, k in _tries(key, secret, IDENTITY) if k % order)


def _tries(key: bytes, secret: int, torsion: Point) -> Iterator[tuple[bytes, bytes, int]]:
    for n in range(100):
        message = b"try %d" % n
        signature = sign(secret, key, message, r=scalar("try"), torsion=torsion)
        yield message, signature, challenge(signature[:32], key, message)


def _flip(raw: bytes, bit: int) -> bytes:
    return (int.from_bytes(raw, "little") ^ 1 << bit).to_bytes(len(raw), "little")


def generate() -> dict[str, bytes]:
    """Return both files; the intended verdict of each case must be the one that the arithmetic finds."""
    count: dict[str, int] = {}
    keys: list[dict[str, str | bool]] = []
    for class_, key, valid in key_cases():
        assert key_passes(key) == valid, (class_, key.hex())
        keys.append({"id": _id(class_, count), "class": class_, "key": key.hex(), "valid": valid})
    signatures: list[dict[str, str | bool]] = []
    for class_, key, message, signature, valid in signature_cases():
        assert signature_passes(key, message, signature) == valid, (class_, key.hex(), message)
        signatures.append(
            {
                "id": _id(class_, count),
                "class": class_,
                "key": key.hex(),
                "msg": message.hex(),
                "sig": signature.hex(),
                "valid": valid,
            }
        )
    return {"ed25519/keys.json": _lines(keys), "ed25519/verify.json": _lines(signatures)}


def _id(class_: str, count: dict[str, int]) -> str:
    count[class_] = count.get(class_, 0) + 1
    return f"{class_}-{count[class_]}"


def _lines(cases: list[dict[str, str | bool]]) -> bytes:
    """Return a JSON list, one case a line, so that a diff shows cases."""
    return ("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n").encode()
