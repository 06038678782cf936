"""Judge every event again from the bytes, and compare. SPEC §12 [RPL-1] to [RPL-11].

One pass in leaf order, a few chunks of leaves in memory. Nothing here decides what is right: `rules` does, the same
functions that admitted the event when it was live.
"""

from pathlib import Path

from invoke_log.audit.comparison import Comparison
from invoke_log.audit.report import Finding, Report, into
from invoke_log.audit.source import Source, open_source
from invoke_log.audit.structure import Fault, Leaf, UnreadableError, read_leaves
from invoke_log.errors import CutError, InvokeLogError, MalformedError
from invoke_log.format import checkpoint
from invoke_log.format.checkpoint import OpenedCheckpoint
from invoke_log.format.keys import VerifierKey
from invoke_log.format.merkle import EMPTY_FRONTIER, Frontier
from invoke_log.ledger.engines import engines
from invoke_log.rules.budget import Spending
from invoke_log.rules.fold import Fold, Void
from invoke_log.rules.governance import Governance, ReadRoot


def replay(where: "str | Path | Source", *, trust: VerifierKey | None = None) -> Report:
    """Return what a log's bytes prove: findings, and the status of every effect.

    Args:
        where: a log's directory, a bundle file, or an open source.
        trust: the log's verifier key as its reader got it from elsewhere; without it the log is at best
        self-consistent.
    Raises: NotFoundError, StoreError: nothing can be read there. What is read and is wrong is a finding, never an
        exception.
    """
    if not isinstance(where, str | Path):
        return _Audit(trust).run(where)
    try:
        with open_source(where) as source:
            return _Audit(trust).run(source)
    except MalformedError as error:
        return unreadable(error)


def unreadable(error: MalformedError) -> Report:
    """Return the report on what cannot be opened as a source, by what opening it raised."""
    return Report(
        trusted_size=0,
        origin=None,
        size=0,
        root=None,
        state_root=None,
        covered=None,
        cosignatures=0,
        findings=(Finding(code=_stop_code(error), index=None, message=error.message),),
    )


def _stop_code(error: InvokeLogError) -> str:
    return "cut" if isinstance(error, CutError) or getattr(error, "reason_code", "") == CutError.code else "malformed"


class _Audit:
    """One pass over one source."""

    def __init__(self, trust: VerifierKey | None) -> None:
        self._trust = trust
        self._fold = Fold()
        self._frontier: Frontier = EMPTY_FRONTIER
        self._covers: int | None = None
        self._covered_root: bytes | None = None
        self._covered_under: Governance | None = None
        self._findings: list[Finding] = []
        self._find = into(self._findings)
        self._comparison = Comparison(self._fold, self._find, spending=Spending(), engines=engines())

    def run(self, source: Source) -> Report:
        try:
            self._covers = source.covers
        except MalformedError as error:
            self._find("checkpoint-invalid", None, error.message)
            return self._report(None, replayed=False)
        whole = self._read(source)
        self._comparison.check_maps()
        if not whole:
            return self._report(None, replayed=False)
        of_leaves = len(self._findings)
        try:
            closing = source.closing(self._comparison.named)
            self._comparison.check_attachments(closing.attachments)
        except MalformedError as error:
            del self._findings[of_leaves:]  # nothing counts of a trailer that cannot be read to its end [BDL-6]
            self._find(_stop_code(error), None, error.message)
            return self._report(None, replayed=True)
        covering = self._check_checkpoint(closing.note)
        origin = self._fold.governance.origin
        if source.origin not in (None, origin):
            self._find("origin-mismatch", None, f"the header says origin {source.origin!r}, the log {origin!r}")
        return self._report(covering, replayed=True)

    def _read(self, source: Source) -> bool:
        """Apply every leaf; False where the bytes do not make a log that could be replayed."""
        try:
            for leaf in read_leaves(source.entries()):
                if not self._apply(leaf):
                    return False
        except UnreadableError as error:
            self._find(_stop_code(error), error.index, error.message)
            return False
        if self._frontier.size == 0:
            self._find("empty-log", None, "there is no leaf: nothing is proved")
            return False
        return True

    def _apply(self, leaf: Leaf) -> bool:
        before = self._frontier
        self._frontier, _ = before.append(leaf.hash)
        if self._frontier.size == self._covers:
            self._covered_root = self._frontier.root()
        code, reason = self._judge(leaf, before.root)
        if code is not None:
            self._find(code, leaf.index, reason)
        if self._frontier.size == self._covers and not (leaf.index == 0 and code is not None):
            self._covered_under = self._fold.governance
        if leaf.index == 1 and not self._fold.ticked:
            self._find("tick-missing", 1, "leaf 1 is not a tick that counts")
        return not (leaf.index == 0 and code is not None)

    def _judge(self, leaf: Leaf, root: ReadRoot) -> tuple[str | None, str]:
        """Return the code of the finding that makes a leaf void, or None, and the words for it."""
        event = leaf.said
        if isinstance(event, Fault):
            return event.code if leaf.index else "genesis-invalid", event.words
        own = self._comparison.judge(event, leaf.index)
        folded = self._fold.apply(event, index=leaf.index, root=root)
        if isinstance(folded, Void):
            return folded.code, folded.reason
        self._comparison.compare(event, leaf.index, own, folded)
        return None, ""

    def _check_checkpoint(self, note: bytes | None) -> OpenedCheckpoint | None:
        """Return the checkpoint if it is the log's own and true of these leaves.

        One from before a recovery is signed under the name and key that the log had then [RPL-9].
        """
        governance = self._covered_under or self._fold.governance
        if note is None:
            self._find("not-covered", None, "no checkpoint was ever signed over these leaves")
            if self._trust is not None:
                self._find("trust-mismatch", None, "nothing here is signed by the trusted key")
            return None
        try:
            opened = checkpoint.open_checkpoint(note, governance.verifier_key)
        except InvokeLogError as error:
            self._find("checkpoint-invalid", None, error.message)
            return None
        return opened if self._true_of_leaves(opened) else None

    def _true_of_leaves(self, opened: OpenedCheckpoint) -> bool:
        size, root = opened.checkpoint.size, opened.checkpoint.root
        if size != self._covers:
            self._find("size-mismatch", None, f"the checkpoint covers {size} leaves, want {self._covers}")
            return False
        if root != self._covered_root:
            self._find("root-mismatch", None, "the checkpoint's root is not the root of these leaves")
            return False
        if size < self._frontier.size:
            self._find("partly-covered", None, f"the checkpoint covers {size} of {self._frontier.size} leaves")
        return True

    def _trusted_size(self, governance: Governance, covering: OpenedCheckpoint | None) -> int:
        """Return how many leaves a checkpoint of the trusted key covers: what genesis says of itself covers none."""
        if self._trust is None:
            return 0
        if self._trust != governance.verifier_key:
            words = f"the log is {governance.origin!r} under another key than the trusted one"
            self._find("trust-mismatch", None, words)
            return 0
        return int(covering.checkpoint.size) if covering else 0

    def _report(self, covering: OpenedCheckpoint | None, *, replayed: bool) -> Report:
        governance = self._fold.governance if replayed else None
        size = int(self._frontier.size)
        return Report(
            trusted_size=self._trusted_size(self._covered_under or governance, covering) if governance else 0,
            origin=governance.origin if governance else None,
            size=size,
            root=self._frontier.root() if size else None,
            state_root=self._fold.state_root(size) if replayed else None,
            covered=covering.checkpoint.size if covering else None,
            cosignatures=len(covering.cosignatures) if covering else 0,
            unchecked=len(covering.unchecked) if covering else 0,
            effects=self._comparison.effects() if replayed else (),
            findings=tuple(self._findings),
        )
