"""What an agent may ask a log over MCP. All of it reads, but `propose`, which is there only with a key that may.

Nothing here approves, attests or grants: those are for people, elsewhere. Each tool runs in a worker thread.
"""

import io
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Final

from mcp.types import CallToolResult
from pydantic import Field

from invoke_log.audit.replay import replay
from invoke_log.audit.report import Report
from invoke_log.errors import MalformedError, StoreDamagedError
from invoke_log.format import digest
from invoke_log.format.keys import parse_verifier_key
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.surfaces import query
from invoke_log.surfaces.mcp_server import fields
from invoke_log.surfaces.mcp_server.result import answering, result_of
from invoke_log.surfaces.proposal import propose
from invoke_log.surfaces.render import BYTES, Json, View, contract_view, pending_view, report_view
from invoke_log.surfaces.simulation import simulated
from invoke_log.surfaces.spelling import parse_object

EFFECTS_DEFAULT: Final = 50
EFFECTS_MAX: Final = 500
"""Effects in one answer: some 150 KB."""

EffectKey = Annotated[str, Field(description="eff_ and 64 hex digits")]
Arguments = Annotated[dict[str, Any], Field(description='the call\'s arguments; bytes are {"$bytes": hex}')]
Seen = Annotated[dict[str, Any] | None, Field(description="what was seen, where the contract has a profile")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The tools over one open log. signer: who proposes, and who simulated calls are judged as where nobody is named.

    proposes: whether that key was given for proposing.
    """

    log: Log
    signer: Signer | None
    proposes: bool

    def reading(self) -> tuple[Callable[..., CallToolResult], ...]:
        """The tools that change nothing."""
        return (
            self.effect_status,
            self.list_effects,
            self.show,
            self.list_contracts,
            self.show_contract,
            self.list_approvals,
            self.simulate,
            self.read_receipt,
            self.verify_receipt,
            self.replay,
        )

    @answering
    def effect_status(self, effect_key: EffectKey) -> Annotated[CallToolResult, fields.Effect]:
        """How an effect stands, each event of its life, and what to do next. Ask this before calling a tool again."""
        return result_of(query.status_of(self.log, digest.parse_id(effect_key, "eff")))

    @answering
    def list_effects(
        self,
        status: Annotated[str | None, Field(description=f"one of {', '.join(query.STATUSES)}")] = None,
        after: Annotated[str | None, Field(description="the effect key that the last answer ended with")] = None,
        limit: Annotated[int, Field(ge=1, le=EFFECTS_MAX)] = EFFECTS_DEFAULT,
    ) -> Annotated[CallToolResult, fields.Effects]:
        """The effects of a status, or all, by key, each with resource and purpose."""
        if status is not None and status not in query.STATUSES:
            raise MalformedError(f"status is {status[:40]!r}, want one of {', '.join(query.STATUSES)}")
        behind = digest.parse_id(after, "eff") if after is not None else b""
        found = list(islice(query.listed(self.log, status, behind), limit + 1))
        more = len(found) > limit
        found = found[:limit]
        answer: Json = {
            "effects": [dict(view.fields) for view in found],
            "after": found[-1].fields["effect_key"] if more else None,
        }
        return result_of(View(fields=answer, text=_lines(found, "no effect")))

    @answering
    def show(
        self,
        id: Annotated[str, Field(description="evt_, eff_, ctr_, pol_ or key_ and hex digits")],  # noqa: A002 -- what callers write
    ) -> Annotated[CallToolResult, fields.Answered]:
        """What an id names: an event, an effect, a contract, a policy, or a key and its grants."""
        prefix = id.partition("_")[0]
        if prefix not in ("evt", "eff", "ctr", "pol", "key"):
            raise MalformedError(f"id is {id[:40]!r}, want evt_, eff_, ctr_, pol_ or key_ and 64 hex digits")
        return result_of(query.named(self.log, prefix, digest.parse_id(id, prefix)))

    @answering
    def list_contracts(self) -> Annotated[CallToolResult, fields.Contracts]:
        """Every contract that was registered, and whether it is in force."""
        found = list(query.contracts(self.log.governance))
        answer: Json = {"contracts": [dict(view.fields) for view in found]}
        return result_of(View(fields=answer, text=_lines(found, "no contract")))

    @answering
    def show_contract(
        self, name: Annotated[str, Field(description="its name, for the last version, or its ctr_ id")]
    ) -> Annotated[CallToolResult, fields.Answered]:
        """A contract in full: what makes two calls the same effect, how long to wait, what proves that it failed."""
        governance = self.log.governance
        return result_of(contract_view(query.find_contract(governance, name), governance, full=True))

    @answering
    def list_approvals(self) -> Annotated[CallToolResult, fields.Approvals]:
        """The intents that wait for a person's approval, each with the text that is consented to. Nobody can approve
        here.
        """
        found = [pending_view(each) for each in self.log.approvals()]
        answer: Json = {"approvals": [dict(view.fields) for view in found]}
        return result_of(View(fields=answer, text=_lines(found, "nothing waits for approval")))

    @answering
    def simulate(
        self,
        contract: str,
        arguments: Arguments,
        snapshot: Seen = None,
        issuer: Annotated[str | None, Field(description="key_ and hex digits, where it is another's call")] = None,
    ) -> Annotated[CallToolResult, fields.Verdict]:
        """What the policy in force would say of a call, and the effect that it would be. Nothing is appended."""
        said = {"contract": contract, "arguments": arguments, "snapshot": snapshot, "issuer": issuer}
        line = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
        with self.log.world() as world:
            return result_of(simulated(world, line, self._caller)[1])

    @answering
    def read_receipt(self, effect_key: EffectKey) -> Annotated[CallToolResult, fields.Receipt]:
        """The receipt of an effect as it stands, what it proves, and what was not checked."""
        raw = self.log.receipt(effect_key)
        view = query.verified(_stream(raw), (self.log.verifier_key,))
        return result_of(View(fields={**view.fields, "receipt": {BYTES: raw.hex()}}, text=view.text))

    @answering
    def verify_receipt(
        self,
        receipt: Annotated[dict[str, str], Field(description='the receipt as {"$bytes": hex}')],
        trust: Annotated[str | None, Field(description="its log's verifier key, where that is another log")] = None,
    ) -> Annotated[CallToolResult, fields.Receipt]:
        """What a receipt proves under this log's key, or another's. What does not verify proves nothing."""
        raw = parse_object(json.dumps({"receipt": receipt}).encode())["receipt"]
        if not isinstance(raw, bytes):
            raise MalformedError(f'receipt: found no bytes, want {{"{BYTES}": hex}}')
        key = parse_verifier_key(trust) if trust is not None else self.log.verifier_key
        return result_of(query.verified(_stream(raw), (key,)))

    @answering
    def replay(self) -> Annotated[CallToolResult, fields.Replayed]:
        """Judge every event of the log again, from its bytes, and say what was found. A long log takes a while."""
        return result_of(report_view(_replayed(self.log.path), effects=False))

    @answering
    def propose(
        self, contract: str, arguments: Arguments, snapshot: Seen = None
    ) -> Annotated[CallToolResult, fields.Proposal]:
        """Say what is meant to be done, durably, before it is done: nothing is sent. The answer says whether it stands,
        waits for approval, is denied, or is done or open already, and what to do next.
        """
        assert self.signer is not None
        found = parse_object(json.dumps({"arguments": arguments, "snapshot": snapshot}).encode())
        bound = found["arguments"]
        if not isinstance(bound, dict):
            raise MalformedError("arguments: found bytes, want an object")
        return result_of(propose(self.log, self.signer, contract, bound, found["snapshot"]))

    def _caller(self) -> bytes:
        if self.signer is None:
            raise MalformedError("issuer: nobody is named, and no agent key lies beside the log")
        return self.signer.public_key


def _lines(views: list[View], none: str) -> str:
    return "\n".join(view.text for view in views) or none


def _replayed(path: Path) -> Report:
    """Replay in a process of its own: this one has the store open, and damage that LMDB dies of ends only that one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(replay, path).result()
        except BrokenProcessPool as error:
            raise StoreDamagedError(f"log {path}: the replay died", hint='run "invoke-log replay" on it') from error


def _stream(raw: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(raw))
