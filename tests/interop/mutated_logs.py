"""True logs with a few changes in their structure, and everything behind a change put in order again.

A leaf is swapped, dropped, repeated, taken from another log, or one value in its body is another; then every body is
signed again by its own key, and names the new ids of what it named. So a change is judged for what it says, and what
rests on it still stands as far as the rules let it. A log is a function of its seed.
"""

import io
from functools import cache
from random import Random
from typing import Final, cast

from invoke_log.errors import InvokeLogError
from invoke_log.format import bundle, cbor, digest, envelope
from invoke_log.format.bundle import BundleReader
from invoke_log.format.cbor import Value
from invoke_log.log.signer import FileSigner
from invoke_log.rules.event import CHAINED_KINDS, GOVERNANCE_KINDS
from invoke_log.rules.fold import Fold
from tests.harness import forge
from tests.interop.log_writer import Body, LogWriter
from tests.vectors.cases import load, names

ORIGIN: Final = "example.com/payments"
SIGNERS: Final = {signer.public_key: signer for signer in (FileSigner(bytes([seed]) * 32) for seed in range(1, 15))}
LOG: Final = FileSigner(bytes([2]) * 32).public_key
WORDS: Final = (
    "present", "absent", "unclear", "committed", "not_committed", "unknown", "allow", "ask", "deny", "tag_seen",
    "absence", "key_burnt", "void", "abort", "webhook", "response", "never_sent", "no_answer", "stored_failure",
    "definite_failure", "*", "", "reconciler", "executor", "agent", "admin", "log", "none", "é", "789",
)  # fmt: skip
VALUES: Final[tuple[Value, ...]] = (
    None, True, False, 0, 1, -1, 2, 2**53 - 1, 1 - 2**53, "", "x", b"", bytes(16), bytes(32), [], {}, [None], {"x": 0},
)  # fmt: skip
EDGE: Final = 0.04
"""How often a log's bytes are changed too, after everything was put in order."""


@cache
def sources() -> list[tuple[list[Body], tuple[bytes, ...], str]]:
    """The bodies and attachments of every vector that can be replayed to its end, and the key to trust."""
    found = []
    for name in names("replay"):
        case = load("replay", name)
        if case["report"]["covered"]["size"] is not None:
            reader = BundleReader(io.BytesIO(bytes.fromhex(case["bundle"])))
            bodies = [cast("Body", cbor.decode(body)) for body, _ in reader.entries()]
            found.append((bodies, tuple(reader.trailer().attachments), case["trust"]))
    return found


def mutated(seed: int) -> tuple[bytes, str]:
    """Return a bundle, and the verifier key that its reader trusts."""
    random = Random(seed)
    bodies, attachments, trust = random.choice(sources())
    changed: list[Value] = [*bodies]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        change_leaf(random, changed)
    raw = sealed(random, changed, [each for each in attachments if random.random() < 0.95])
    if random.random() < EDGE:
        at = random.randrange(len(raw))
        raw = raw[:at] + random.randbytes(1) + raw[at + random.choice((0, 1, 1, 3)) :]
    return raw, trust


def change_leaf(random: Random, leaves: list[Value]) -> None:
    first = random.choice((0, 1, *(6 if len(leaves) > 6 else 1,) * 20))
    at = random.randrange(first, len(leaves)) if first < len(leaves) else 0
    match random.randrange(12):
        case 0:
            other = random.randrange(len(leaves))
            leaves[at], leaves[other] = leaves[other], leaves[at]
        case 1 if len(leaves) > 2:
            del leaves[at]
        case 2:
            leaves.insert(random.randrange(len(leaves) + 1), leaves[at])
        case 3:
            leaves.insert(random.randrange(len(leaves) + 1), random.choice(random.choice(sources())[0]))
        case 4:
            leaf = leaves[at]
            leaves[at] = {**leaf, "by": random.choice(list(SIGNERS))} if isinstance(leaf, dict) else None
        case _:
            leaves[at] = elsewhere(random, leaves[at])


def elsewhere(random: Random, value: Value, depth: int = 0) -> Value:
    """Return a value with one value somewhere in it changed, or a field more or less."""
    if isinstance(value, dict) and value and random.random() < 0.93:
        name = "data" if depth == 0 and "data" in value and random.random() < 0.8 else random.choice(list(value))
        if random.random() < 0.04:
            return {key: item for key, item in value.items() if key != name}
        if random.random() < 0.03:
            return {**value, random.choice(("x", *WORDS[:3])): random.choice(VALUES)}
        return {**value, name: elsewhere(random, value[name], depth + 1)}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = random.randrange(len(value))
        kinds = ([*value, value[at]], [*value[:at], *value[at + 1 :]], value[::-1])
        inner = [*value[:at], elsewhere(random, value[at], depth + 1), *value[at + 1 :]]
        return random.choice((*kinds, inner, inner))
    if type(value) is int and random.random() < 0.6:
        return max(1 - 2**53, min(2**53 - 1, value + random.choice((1, -1, 1000, 60_000, 10**6, -(10**6)))))
    if type(value) is str and random.random() < 0.7:
        return random.choice((*WORDS, value + "x", value[:-1]))
    if type(value) is bytes and value and random.random() < 0.4:
        return random.choice((value[:-1], value + b"\0", bytes(len(value)), random.choice(list(SIGNERS))))
    return random.choice(VALUES)


def sealed(random: Random, changed: list[Value], attachments: list[bytes]) -> bytes:
    """Sign every body again, and let it name what it named by its new id, and mostly the heads that stand."""
    log, renamed, follows = LogWriter(origin=ORIGIN), dict[bytes, bytes](), random.random() < 0.8
    leaves: list[tuple[bytes, bytes]] = []
    for fields in changed:
        old, body = digest.event_id(cbor.encode(fields)), replaced(fields, renamed)
        if follows and leaves and isinstance(body, dict):
            body |= standing(log.fold, body)
        signer = signer_of(body)
        if not isinstance(body, dict) or signer is None:
            leaves.append((cbor.encode(body), bytes(64)))  # nobody can sign it, and nothing is told behind it
            break
        try:
            leaf = envelope.seal(body, signer)
        except (InvokeLogError, AssertionError, KeyError):
            leaves.append((cbor.encode(body), bytes(64)))  # no entry can be composed of it
            break
        leaves.append((leaf.body, leaf.signature))
        renamed[old] = digest.event_id(leaf.body)
        for name in ("contract", "policy"):  # these are named by what they say
            if isinstance(fields, dict) and fields.get("kind") == name == leaf.fields.get("kind"):
                then, now = (digest.derive_item(name, [each.get("data")]) for each in (fields, leaf.fields))
                renamed[then] = now
        log.put(leaf, signed=True)
        if len(leaves) == 1 and not founded(log.fold):
            break
    if founded(log.fold):
        log.log_key = SIGNERS.get(log.fold.governance.log_key, SIGNERS[LOG])
        log.origin = log.fold.governance.origin
    header = bundle.Header(origin=log.origin, first=0, size=len(leaves), left_edge=())
    items = [bundle.encode_entry(*leaf) for leaf in leaves]
    note = log.note(origin=log.origin) if log.index else b""
    return b"".join([bundle.encode_header(header), *items, forge.trailer(note, attachments)])


def signer_of(body: Value) -> FileSigner | None:
    by = body.get("by") if isinstance(body, dict) else None
    return SIGNERS.get(by) if isinstance(by, bytes) else None


def founded(fold: Fold) -> bool:
    try:
        return fold.governance is not None
    except AssertionError:
        return False


def standing(fold: Fold, body: Body) -> Body:
    """The heads that an event has to name, where it names any."""
    kind, effect, resource = body.get("kind"), body.get("effect"), body.get("resource")
    if isinstance(kind, str) and kind in GOVERNANCE_KINDS:
        return {"prev": fold.governance.head}
    stands: Body = {}
    if isinstance(kind, str) and kind in CHAINED_KINDS and isinstance(effect, bytes) and effect in fold.effects:
        stands["prev"] = fold.effects[effect].last
    if "state" in body and isinstance(resource, str):
        stands["state"] = fold.state_hash(resource)
    return stands


def replaced(value: Value, renamed: dict[bytes, bytes]) -> Value:
    if isinstance(value, dict):
        return {name: replaced(item, renamed) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, renamed) for item in value]
    return renamed.get(value, value) if isinstance(value, bytes) else value
