"""Every worked example in SPEC.md is what the code makes: seeds are 32 equal bytes, so anybody can make them again.

A block that opens with ```text NAME holds exactly what `EXAMPLES[NAME]` returns.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from invoke_log.format import bundle, cbor, checkpoint, digest, envelope, keys, merkle, prefix_tree
from invoke_log.format.cbor import Value
from invoke_log.format.checkpoint import Checkpoint
from invoke_log.format.digest import LeafIndex, TreeSize
from invoke_log.format.envelope import Envelope
from invoke_log.rules.event import parse_event
from invoke_log.rules.fold import Fold
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.policy import ALLOW_COVERED
from invoke_log.rules.render import render_intent, rendering_digest
from tests.harness import forge
from tests.harness.worked_log import ADMIN, AGENT, ARGUMENTS, CONTRACT, LOG, NONCE, ORIGIN, RECONCILER, worked

SPEC: Final = Path(__file__).parents[2] / "SPEC.md"
BLOCK: Final = re.compile(r"^```text (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COLUMNS: Final = 100
VALUE: Final[Value] = {"to": "acct_2", "cents": 1200, "ok": True, "at": None, "é": [b"\x01", -1]}


@cache
def bound() -> Bound:
    return bind(CONTRACT, ARGUMENTS)


def wrapped(raw: bytes) -> str:
    """Hex, 32 bytes a line."""
    return "".join(f"{raw[at : at + 32].hex()}\n" for at in range(0, len(raw), 32))


def diagnostic(value: Value, indent: int = 0) -> str:
    """CBOR diagnostic notation (RFC 8949 §8), on one line where it fits."""
    line = _compact(value)
    if len(line) + indent <= COLUMNS or not isinstance(value, dict | list) or not value:
        return line
    room = "  " * (indent // 2 + 1)
    if isinstance(value, dict):
        inner = [f"{_compact(key)}: {diagnostic(item, len(room))}" for key, item in value.items()]
        return "{\n" + "".join(f"{room}{item},\n" for item in inner)[:-2] + f"\n{room[2:]}}}"
    return "[\n" + "".join(f"{room}{diagnostic(item, len(room))},\n" for item in value)[:-2] + f"\n{room[2:]}]"


def _compact(value: Value) -> str:
    match value:
        case None | True | False:
            return {None: "null", True: "true", False: "false"}[value]
        case bytes():
            return f"h'{value.hex()}'"
        case list():
            return f"[{', '.join(map(_compact, value))}]"
        case dict():
            return "{" + ", ".join(f"{_compact(key)}: {_compact(item)}" for key, item in value.items()) + "}"
        case str():
            assert re.fullmatch(r"[ !#-\[\]-~]*", value), value
            return f'"{value}"'
        case _:
            return str(value)


def in_order(sealed: Envelope) -> Value:
    return cbor.decode(sealed.body)


def rows(**named: bytes | str) -> str:
    width = max(map(len, named))
    lines = ((name, value if isinstance(value, str) else value.hex()) for name, value in named.items())
    return "".join(f"{name.ljust(width)}  {value}\n" for name, value in lines)


def smallest_log() -> bytes:
    """Genesis and its tick, as a bundle."""
    first = worked().envelopes[:2]
    frontier = merkle.EMPTY_FRONTIER
    for sealed in first:
        frontier, _ = frontier.append(merkle.leaf_hash(sealed.entry))
    note = checkpoint.sign_checkpoint(Checkpoint(origin=ORIGIN, size=TreeSize(2), root=frontier.root()), LOG)
    header = bundle.Header(origin=ORIGIN, first=0, size=2, left_edge=())
    parts = [bundle.encode_header(header), *(bundle.encode_entry(e.body, e.signature) for e in first)]
    return b"".join([*parts, forge.trailer(note, [])])


def state_root_of(count: int) -> bytes:
    fold = Fold()
    for index, sealed in enumerate(worked().envelopes[:count]):
        fold.apply(parse_event(sealed.fields, digest.event_id(sealed.body)), index=index, root=None)
    return fold.state_root(count)


def last_note() -> bytes:
    log = worked()
    return checkpoint.sign_checkpoint(Checkpoint(origin=ORIGIN, size=TreeSize(12), root=log.frontier.root()), LOG)


def names_example() -> str:
    names, log_id = bound(), worked().log_id
    zero = digest.state_zero(log_id, names.resource)
    intent = digest.event_id(worked().envelopes[7].body)
    decision = digest.decision_key(
        contract=CONTRACT.id, effect=names.effect, generation=1, request=names.request, snapshot=None, state=zero
    )
    return rows(
        contract_id=CONTRACT.id,
        policy_id=digest.policy_id(ALLOW_COVERED),
        effect_key=names.effect,
        request=names.request,
        S_0=zero,
        intent=intent,
        S_1=digest.state_next(zero, intent),
        decision_key=decision,
        tag=digest.tag(names.effect, 1),
        provider_key=digest.provider_key(names.effect, 1, 0),
        nonce_hash=digest.nonce_hash(NONCE),
        attachment=digest.attachment_digest(b""),
    )


def keys_example() -> str:
    log_key = keys.VerifierKey(name=ORIGIN, key_type=keys.LOG_KEY, public_key=LOG.public_key)
    return rows(
        admin=ADMIN.public_key,
        log=LOG.public_key,
        agent=AGENT.public_key,
        reconciler=RECONCILER.public_key,
        admin_kid=keys.thumbprint(ADMIN.public_key),
        log_vkey=keys.format_verifier_key(log_key),
    )


def map_example() -> str:
    names, last = bound(), digest.event_id(worked().envelopes[11].body)
    value = digest.derive_item("map value", ["committed", 1, [1], last, 11])
    other = bytes([names.effect[0] ^ 0x80]) + names.effect[1:]
    two = prefix_tree.EMPTY_TREE.put(names.effect, value).put(other, bytes(32))
    return rows(
        key=names.effect,
        value=value,
        root_of_one=prefix_tree.EMPTY_TREE.put(names.effect, value).root(),
        other_key=other,
        other_value=bytes(32),
        root_of_two=two.root(),
    )


def leaves_example() -> str:
    log = worked()
    lines = [
        f"{index:2}  {str(sealed.fields['kind']).ljust(10)}  {digest.event_id(sealed.body).hex()}\n"
        f"{' ' * 16}{merkle.leaf_hash(sealed.entry).hex()}\n"
        for index, sealed in enumerate(log.envelopes)
    ]
    return "".join(lines)


def body_example(index: int) -> str:
    return f"/ leaf {index} /\n{diagnostic(in_order(worked().envelopes[index]))}\n"


def proof_example() -> str:
    hashes = [merkle.leaf_hash(sealed.entry) for sealed in worked().envelopes]
    nodes: dict[tuple[int, int], bytes] = {}
    frontier = merkle.EMPTY_FRONTIER
    for leaf in hashes:
        frontier, made = frontier.append(leaf)
        nodes.update({(level, index): node for level, index, node in made})
    proof = merkle.prove_inclusion(LeafIndex(11), TreeSize(12), lambda level, index: nodes[level, index])
    return "".join(f"{each.hex()}\n" for each in proof)


def rendering_example() -> str:
    sealed = worked().envelopes[7]
    event = parse_event(sealed.fields, digest.event_id(sealed.body))
    return f"{render_intent(event, CONTRACT)}\nshown: {rendering_digest(event, CONTRACT).hex()}\n"


def genesis() -> Envelope:
    return worked().envelopes[0]


EXAMPLES: Final[dict[str, Callable[[], str]]] = {
    "first-event": lambda: diagnostic(in_order(worked().envelopes[1])) + "\n",
    "first-event-body": lambda: wrapped(worked().envelopes[1].body),
    "first-event-id": lambda: digest.format_id("evt", digest.event_id(worked().envelopes[1].body)) + "\n",
    "il1-value": lambda: wrapped(
        cbor.encode({"to": "acct_2", "cents": 1200, "ok": True, "at": None, "é": [b"\x01", -1]})
    ),
    "names": names_example,
    "keys": keys_example,
    "genesis": lambda: diagnostic(in_order(genesis())) + "\n",
    "genesis-body": lambda: wrapped(genesis().body),
    "genesis-header": lambda: wrapped(envelope.protected_header(genesis().fields)),
    "genesis-signed": lambda: wrapped(envelope.signed_bytes(genesis().fields, genesis().body)),
    "genesis-signature": lambda: wrapped(genesis().signature),
    "genesis-entry": lambda: wrapped(genesis().entry),
    "genesis-names": lambda: rows(
        event_id=digest.event_id(genesis().body),
        leaf_hash=merkle.leaf_hash(genesis().entry),
        kid=keys.thumbprint(ADMIN.public_key),
    ),
    "rendering": rendering_example,
    "state-roots": lambda: rows(after_leaf_1=state_root_of(2), after_leaf_11=state_root_of(12)),
    "inclusion": proof_example,
    "note": lambda: last_note().decode("utf-8"),
    "map": map_example,
    "bundle": lambda: wrapped(smallest_log()),
    "leaves": leaves_example,
    "bodies": lambda: "".join(map(body_example, range(2, 12))),
}


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(SPEC.read_text(encoding="utf-8"))


def test_each_block_of_the_spec_is_an_example_and_stands_there_once() -> None:
    assert sorted(name for name, _ in blocks()) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_what_the_code_makes(name: str) -> None:
    """il1-value [IL1-1] · names [ID-2] [ID-3] [ID-4] [ID-5] [ID-6] [ID-7] [ID-8] [ID-9] [ID-10] [ID-11] [ID-12]
    · keys [KEY-2] [KEY-3] · genesis [ENV-1] [ENV-3] [ENV-4] [ENV-5] [ENV-6] [ENV-7] · rendering [RND-1] [RND-2]
    · state-roots [ID-14] [RPL-7] · inclusion [TREE-4] · note [CKPT-1] [CKPT-5] · map [MAP-2] [MAP-3] [MAP-7]
    · bundle [BDL-1] [BDL-2] [BDL-3] [BDL-4]
    """
    assert dict(blocks())[name] == EXAMPLES[name]()
