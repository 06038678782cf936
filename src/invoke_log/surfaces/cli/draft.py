"""From a JSON line to a signed event: what the line leaves out is filled in from the heads that stand.

The chain fields are `prev`, an intent's `state`, and the effect that an event belongs to. Of `data`, what follows
from the log by itself may be left out too: verdicts, the claim or START that an event is about, a START's provider
key and tag.
"""

from dataclasses import asdict, dataclass
from typing import Final

from invoke_log.errors import MalformedError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.ledger import chain
from invoke_log.ledger.log import sign_event
from invoke_log.ledger.state import LiveWorld
from invoke_log.log.signer import Signer
from invoke_log.rules.event import CHAINED_KINDS, EFFECT_KINDS, GOVERNANCE_KINDS, KINDS, parse_data
from invoke_log.rules.kind import Evidence
from invoke_log.surfaces.cli.meaning import Meant, Scene, meant_intent, meant_other
from invoke_log.surfaces.spelling import parse_object

FIELDS: Final = ("kind", "resource", "data", "effect", "prev", "state", "at_ms")
NULL_WHERE_LEFT_OUT: Final = {
    "intent": ("snapshot_id", "after", "again"),
    "start": ("snapshot_id",),
    "outcome": ("result",),
    "resolution": ("of",),
    "attestation": ("attachment",),
    "revoke": ("key", "grant", "suspect_from"),
    "refusal": ("blocker",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as it was given. Header fields are None where it leaves them out, or says null; `given` names those that
    it has.
    """

    kind: str
    resource: str | None
    data: dict[str, Value]
    effect: bytes | None
    prev: bytes | None
    state: bytes | None
    at_ms: int | None
    given: frozenset[str]

    @property
    def rests_on_heads(self) -> bool:
        """Whether it names a head or a verdict itself: drawn up again, it would be no less stale."""
        return bool(self.given & {"prev", "state"}) or "verdict" in self.data


def parse_line(text: bytes) -> Line:
    """Return what a line says. Raises MalformedError: no object, another field, or a field of another type."""
    found = parse_object(text)
    unknown = sorted(found.keys() - set(FIELDS))
    kind, data, resource, at_ms = (found.get(name) for name in ("kind", "data", "resource", "at_ms"))
    if unknown:
        raise MalformedError(f"line: found {', '.join(unknown)[:80]}, want at most {', '.join(FIELDS)}")
    if type(kind) is not str or kind not in KINDS:
        raise MalformedError(f"line: kind is {str(kind)[:40]!r}, want one of {', '.join(sorted(KINDS))}")
    if type(data) is not dict:
        raise MalformedError("line: data is missing, want an object")
    if not isinstance(resource, str | None) or (at_ms is not None and type(at_ms) is not int):
        raise MalformedError("line: want resource as text, at_ms as an integer")
    return Line(
        kind=kind,
        resource=resource,
        data=data,
        effect=_named(found, "effect", "eff"),
        prev=_named(found, "prev", "evt"),
        state=_named(found, "state", "state"),
        at_ms=at_ms,
        given=frozenset(found),
    )


def draft(line: Line, scene: Scene, signer: Signer) -> Envelope:
    """Return the signed event of a line on the log as it stands. Raises MalformedError: what it leaves out does not
    follow.
    """
    data = {**dict.fromkeys(NULL_WHERE_LEFT_OUT.get(line.kind, ())), **line.data}
    given = data.get("evidence")
    if type(given) is dict:
        data["evidence"] = {**asdict(Evidence(kind="")), "observations": [], **given}
    world, meant, prev = scene.world, None, line.prev
    if line.kind == "intent":
        meant = meant_intent(scene, data, effect=line.effect, resource=line.resource)
    elif line.kind in EFFECT_KINDS:
        meant = meant_other(scene, line.kind, data, effect=line.effect, resource=line.resource)
    if "prev" not in line.given:
        prev = _head(line.kind, world, meant)
    return sign_event(
        parse_data(line.kind, meant.data if meant is not None else data),
        signer,
        log=world.governance.log_id,
        prev=prev,
        of=(meant.effect, meant.resource) if meant is not None else None,
        state=line.state or world.state_hash(meant.resource) if meant is not None and line.kind == "intent" else None,
        at_ms=line.at_ms,
    )


def _head(kind: str, world: LiveWorld, meant: Meant | None) -> bytes | None:
    if kind in CHAINED_KINDS and meant is not None:
        return world.head(chain.of_effect(meant.effect, meant.resource))
    return world.head(chain.GOVERNANCE) if kind in GOVERNANCE_KINDS else None


def _named(found: dict[str, Value], field: str, prefix: str) -> bytes | None:
    """A header field that holds an id: as it prints, or as bytes."""
    value = found.get(field)
    if isinstance(value, str):
        return digest.parse_id(value, prefix)
    if value is not None and (type(value) is not bytes or len(value) != 32):
        raise MalformedError(f"line: {field} is {str(value)[:40]!r}, want an id")
    return value
