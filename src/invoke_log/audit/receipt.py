"""Check a receipt offline, and say what was checked and what was not. SPEC §15 [RCP-4] to [RCP-6]."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from invoke_log.audit.comparison import Comparison
from invoke_log.audit.report import EffectReport, Finding, into
from invoke_log.errors import InvokeLogError, ReceiptInvalidError
from invoke_log.format import checkpoint, digest, keys
from invoke_log.format.checkpoint import OpenedCheckpoint
from invoke_log.format.envelope import open_envelope
from invoke_log.format.keys import VerifierKey
from invoke_log.format.merkle import leaf_hash, verify_inclusion
from invoke_log.format.receipt import ReceiptReader, Shown
from invoke_log.ledger.engines import engines
from invoke_log.rules.event import Event, parse_event
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.governance import Governance
from invoke_log.rules.kind import Genesis, Recovery

CHECKED: Final = (
    "every event shown: canonical bytes, signature, inclusion under the checkpoint",
    "the checkpoint's signature",
    "the effect's chain from its first event, without a gap",
    "grants, contract and policy as the governance events shown give them",
    "every transition and guard, and the verdict again",
)
NOT_CHECKED: Final = (
    "that nothing happened to this effect after the last event that is shown",
    "the resource's other decisions: its state hash is taken from the intents",
    "the same call's effects under classes that are retired: they are other effects, with receipts of their own",
    "that no tick and no governance event stands between those that are shown",
    "what the budgets of a policy count: they rest on other effects",
    "the map of a tick and the root of a recovery: they rest on leaves that are not shown",
    "witnesses: the receipt carries the log's own signature",
)

_READ_BYTES: Final = 1 << 14
"""Bytes of a receipt that are shown together, which most are not longer than."""
_OPENED_MAX: Final = 128
"""Leaves that are remembered once they are opened, at most 16 MB: governance stands in every receipt of a log, and to
open it is more than half of what a receipt takes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReport:
    """What a receipt proves. trusted: the log's key was pinned by the reader; findings: empty, or why it proves
    nothing.
    """

    trusted: bool
    origin: str
    size: int
    effect: EffectReport
    findings: tuple[Finding, ...]
    checked: tuple[str, ...] = CHECKED
    not_checked: tuple[str, ...] = NOT_CHECKED

    def as_json(self) -> dict[str, object]:
        """Return the object that `receipt verify --json` prints."""
        effect = self.effect
        return {
            "v": 1,
            "ok": True,
            "trusted": self.trusted,
            "origin": self.origin,
            "size": self.size,
            "effect_key": digest.format_id("eff", effect.effect),
            "resource": effect.resource,
            "status": effect.status,
            "generation": effect.generation,
            "grade": effect.grade,
            "relies_on": list(effect.relies_on),
            "events": [digest.format_id("evt", event) for event in effect.events],
            "findings": [finding.as_json() for finding in self.findings],
            "checked": list(self.checked),
            "not_checked": list(self.not_checked),
        }


def verify_receipt(raw: bytes, *, trust: VerifierKey | None = None) -> ReceiptReport:
    """Return what a receipt proves.

    Args: trust: the log's verifier key as the reader got it from elsewhere; without it, the key is the receipt's own
        word.
    Raises: ReceiptInvalidError, or another InvokeLogError: it does not verify, and proves nothing.
    """
    return verify_read(ReceiptReader(io.BufferedReader(io.BytesIO(raw), _READ_BYTES)), trust=trust)


def verify_read(reader: ReceiptReader, *, trust: VerifierKey | None = None) -> ReceiptReport:
    """Return what a receipt proves that is read as it comes; args and errors as of `verify_receipt`."""
    shown = list(reader.leaves())
    assert reader.note is not None, "leaves() ends with the note or raises"
    if not shown or shown[0].index != 0:
        raise ReceiptInvalidError("receipt: it does not show genesis at leaf 0")
    if len(shown) < 2 or shown[1].index != 1:
        raise ReceiptInvalidError("receipt: it does not show the tick at leaf 1")
    log_key = trust or _own_key(shown)
    opened = checkpoint.open_checkpoint(reader.note, log_key)
    header = reader.header
    if (opened.checkpoint.origin, opened.checkpoint.size) != (header.origin, header.size):
        raise ReceiptInvalidError("receipt: the checkpoint is of another log or size than the header says")
    leaves = ((leaf.index, _included(leaf, opened)) for leaf in shown)
    governance, reports, findings = fold_effect(header.effect, leaves)
    if (governance.origin, governance.log_key) != (log_key.name, log_key.public_key):
        raise ReceiptInvalidError("receipt: the checkpoint's key is not the log key that its own leaves name")
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise ReceiptInvalidError(f"receipt: leaf {errors[0].index}: {errors[0].code}: {errors[0].message}")
    if not reports:
        raise ReceiptInvalidError("receipt: it shows no event of its effect")
    return ReceiptReport(
        trusted=trust is not None,
        origin=header.origin,
        size=header.size,
        effect=reports[0],
        findings=tuple(findings),
    )


def fold_effect(
    effect: bytes, leaves: Iterable[tuple[int, Event]]
) -> tuple[Governance, list[EffectReport], list[Finding]]:
    """Return what the leaves that a receipt shows add up to, genesis first: the governance, the effect's report where
    it has an event, and the findings [RCP-5].

    Raises: ReceiptInvalidError: a leaf does not stand.
    """
    fold, findings = Fold(shown=effect), list[Finding]()
    comparison = Comparison(fold, into(findings), spending=None, engines=engines())
    for index, event in leaves:
        if event.state is not None and event.resource is not None:
            fold.assume(event.resource, event.state)
        own = comparison.judge(event, index)
        folded = fold.apply(event, index=index, root=None)
        if isinstance(folded, Void):
            raise ReceiptInvalidError(f"receipt: leaf {index} does not stand: {folded.code}: {folded.reason}")
        comparison.compare(event, index, own, folded)
        if index == 1 and not fold.ticked:
            raise ReceiptInvalidError("receipt: leaf 1 is not a tick that counts")
    return fold.governance, [report for report in comparison.effects() if report.effect == effect], findings


def _own_key(shown: list[Shown]) -> VerifierKey:
    """The key that the receipt's own genesis names, or the last recovery: self-consistent at best."""
    founding = [event.data for event, _ in map(_opened, shown) if isinstance(event.data, Genesis | Recovery)]
    if not founding:
        raise ReceiptInvalidError("receipt: leaf 0 is no genesis")
    return VerifierKey(name=founding[-1].origin, key_type=keys.LOG_KEY, public_key=founding[-1].log_key)


def _opened(leaf: Shown) -> tuple[Event, bytes]:
    try:
        return _open(leaf.body, leaf.signature)
    except InvokeLogError as error:
        raise ReceiptInvalidError(f"receipt: leaf {leaf.index}: {error.message}") from error


@lru_cache(_OPENED_MAX)
def _open(body: bytes, signature: bytes) -> tuple[Event, bytes]:
    """Return the event of a leaf that is signed by the key it names, and its hash in the tree."""
    envelope = open_envelope(body, signature)
    return parse_event(envelope.fields, digest.event_id(body)), leaf_hash(envelope.entry)


def _included(leaf: Shown, opened: OpenedCheckpoint) -> Event:
    """Return the event of a leaf that lies under the checkpoint."""
    event, entry_hash = _opened(leaf)
    size, root = opened.checkpoint.size, opened.checkpoint.root
    try:
        verify_inclusion(entry_hash, digest.LeafIndex(leaf.index), size, leaf.proof, root)
    except InvokeLogError as error:
        raise ReceiptInvalidError(f"receipt: leaf {leaf.index}: {error.message}") from error
    return event
