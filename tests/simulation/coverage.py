"""Where histories can go: the table of SPEC §9.4, way by way, and which of them this world cannot reach, and why."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from tests.simulation.world import FAULTS

WAYS: Final = frozenset(
    f"{before}>{after} by {kind}"
    for kind, changes in {
        "intent": "free>claimed not_committed>claimed committed>claimed free>unknown not_committed>unknown "
        "committed>unknown",
        "approval": "claimed>claimed",
        "denial": "claimed>free claimed>not_committed claimed>committed",
        "release": "claimed>free claimed>not_committed claimed>committed",
        "start": "claimed>started",
        "outcome": "started>committed started>not_committed started>unknown unknown>committed unknown>not_committed "
        "unknown>unknown",
        "suspect": "started>unknown",
        "redrive": "unknown>unknown",
        "resolution": "free>committed claimed>committed started>committed unknown>committed not_committed>committed "
        "committed>committed claimed>claimed started>started unknown>unknown not_committed>not_committed "
        "unknown>not_committed",
        "attestation": "unknown>committed unknown>not_committed",
        "recovery": "claimed>unknown started>unknown unknown>unknown",
    }.items()
    for before, _, after in (change.partition(">") for change in changes.split())
)
"""From which status to which, by which kind of event: the rows of the table, and [REC-3], [REC-4], [EFF-12]."""
BESIDE: Final = frozenset(
    ("contract", "freeze", "grant", "note", "observation", "recovery", "refusal", "revoke", "tick", "unfreeze")
)
"""Kinds of events that are on no effect's chain, and come all the same."""
_EARLIER: Final = "it takes a message about an earlier generation that comes while a repeat stands so, and is news"
SELDOM: Final = {
    "claimed>committed by resolution": "what is claimed was never sent, or was proved absent: it takes a person who "
    "attested under a clock that leapt, and a reader who comes between the next intent and its START",
    "started>started by resolution": _EARLIER,
    "not_committed>not_committed by resolution": _EARLIER,
    "unknown>unknown by resolution": _EARLIER,
}
"""Ways that a run may go, and of which a thousand runs need not have one: why."""


def missing(happened: Counter[str], faults: Counter[str]) -> list[str]:
    """Return what some run has to come through, and none has."""
    wanted: Iterable[str] = (*sorted(WAYS - SELDOM.keys()), *sorted(BESIDE))
    return [way for way in wanted if not happened[way]] + [fault for fault in FAULTS if not faults[fault]]


def unlisted(happened: Counter[str]) -> list[str]:
    """Return ways that were gone and that the table does not have."""
    return sorted(way for way in happened if ">" in way and way not in WAYS)


def table(happened: Counter[str], faults: Counter[str]) -> str:
    """Return how often each way was gone and each fault came, as lines."""
    rows = [(happened[way], way) for way in (*sorted(WAYS), *sorted(BESIDE))]
    rows += [(faults[fault], f"fault: {fault}") for fault in FAULTS]
    return "\n".join(f"{number:>9,}  {what}" for number, what in rows)
