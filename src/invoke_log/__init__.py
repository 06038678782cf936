"""invoke-log: an append-only, signed event log that keeps an agent's real-world actions from happening twice.

The path of one call. Read top to bottom, this is the whole program; each step hands one value to the next.

    1   freeze what was seen                       rules/snapshot.py       Snapshot
    2   say what is meant, and name the effect     rules/intent.py         Bound, effect key, under rules/contract.py
    3   decide, in the state that was seen         rules/decision.py       decision key
    4   ask the policy                             rules/policy.py         Judgement: allow, deny or ask
    5   say it as an event                         rules/event.py          Event
    6   one encoding of it                         format/cbor.py          canonical bytes
    7   name it                                    format/digest.py        EventId
    8   sign it                                    format/envelope.py      Envelope, by a key of log/signer.py
    9   admit it, by rules and compare-and-set     ledger/admit.py         Accepted, Collision, Blocked, Stale …
    10  order it and extend the tree               format/merkle.py        leaf index and root, in store/protocol.py
    11  publish the head                           log/publish.py          checkpoint
    12  prove it was logged                        ledger/receipt.py       receipt
    13  replay and compare                         audit/replay.py         Report

The tool itself runs between two turns of this path: intent and START are appended before it, the outcome after it,
and a resolution later if the outcome is unknown. That loop is one state machine, rules/call.py, and its drivers,
guard/driver.py and guard/aio.py.
"""

from invoke_log.audit.receipt import ReceiptReport, verify_receipt
from invoke_log.audit.replay import replay
from invoke_log.audit.report import EffectReport, Finding, Report
from invoke_log.errors import InvokeLogError
from invoke_log.format.keys import VerifierKey, format_verifier_key, parse_verifier_key
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import (
    Aborted,
    Blocked,
    Committed,
    DefiniteFailure,
    Denied,
    NeverSent,
    NotCommitted,
    OutcomeUnknown,
    Pending,
    Unknown,
)
from invoke_log.guard.reconcile import Reconciled
from invoke_log.guard.registry import ContractFile as Contract
from invoke_log.guard.sweep import Swept
from invoke_log.guard.tool_call import Call
from invoke_log.guard.waiting import Waiting
from invoke_log.guard.webhook import Heard, Notice
from invoke_log.ledger.approval import PendingIntent
from invoke_log.ledger.consent import approve, deny
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer, load_key
from invoke_log.log.ssh_agent import AgentSigner

__all__ = [
    "Aborted",
    "AgentSigner",
    "Blocked",
    "Call",
    "Committed",
    "Contract",
    "DefiniteFailure",
    "Denied",
    "EffectReport",
    "Finding",
    "Guard",
    "Heard",
    "InvokeLogError",
    "Log",
    "NeverSent",
    "NotCommitted",
    "Notice",
    "OutcomeUnknown",
    "Pending",
    "PendingIntent",
    "ReceiptReport",
    "Reconciled",
    "Report",
    "Signer",
    "Swept",
    "Unknown",
    "VerifierKey",
    "Waiting",
    "approve",
    "deny",
    "format_verifier_key",
    "load_key",
    "parse_verifier_key",
    "replay",
    "verify_receipt",
]
