"""A policy that is not in force yet, over every decision that the log holds: what would have come of each.

The facts and the world are those that each intent recorded; budgets are counted as the log went, which is not as it
would have gone. A snapshot field that the intent did not copy is read from the snapshot itself where that is kept.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

from invoke_log.format import cbor
from invoke_log.format.cbor import Value
from invoke_log.ledger.log import Entry
from invoke_log.rules.admission import Admitted
from invoke_log.rules.budget import Spending, counted_event
from invoke_log.rules.decision import facts_of
from invoke_log.rules.event import Event
from invoke_log.rules.fold import Fold
from invoke_log.rules.kind import Intent, Refusal
from invoke_log.rules.policy import NO_ENGINES, Engines, Judgement, Policy, judge
from invoke_log.rules.world import EffectState

DENIED: Final = "denied"
"""The reason of a refusal where the policy in force denied the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One intent, with what its policy said and what the other policy would have."""

    index: int
    event: Event
    was: Judgement
    would: Judgement

    @property
    def differs(self) -> bool:
        """Whether another answer would have come, or another number of approvals been wanted."""
        return (self.was.answer, self.was.approvals) != (self.would.answer, self.would.approvals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a policy would have said. unseen: decisions judged without a snapshot field that the policy reads.

    denied_calls: calls that became no intent because a policy denied them; the log does not hold their arguments, so
    nobody can say what another policy would have made of them.
    """

    policy: Policy
    decisions: tuple[Decision, ...]
    unseen: int
    denied_calls: int


def backtest(
    entries: Iterable[Entry],
    policy: Policy,
    *,
    attachment: Callable[[bytes], bytes | None],
    engines: Engines = NO_ENGINES,
) -> Backtest:
    """Return what a policy would have said of every accepted intent.

    Args: entries: of a whole log, from leaf 0 on. attachment: the bytes of one that is kept, else None.
    """
    run = _Run(policy, attachment, engines)
    for entry in entries:
        run.apply(entry.event, entry.index)
    return Backtest(policy=policy, decisions=tuple(run.decisions), unseen=run.unseen, denied_calls=run.denied_calls)


class _Run:
    """One pass. It judges each intent on what stands before it."""

    def __init__(self, policy: Policy, attachment: Callable[[bytes], bytes | None], engines: Engines) -> None:
        self.decisions: list[Decision] = []
        self.unseen = 0
        self.denied_calls = 0
        self._policy = policy
        self._attachment = attachment
        self._engines = engines
        self._fold = Fold()
        self._spending = Spending()

    def apply(self, event: Event, index: int) -> None:
        now_ms = self._fold.now_ms()
        admitted = self._fold.apply(event, index=index, root=None)
        if not isinstance(admitted, Admitted):
            return
        if isinstance(event.data, Refusal) and event.data.reason == DENIED:
            self.denied_calls += event.data.count
        if admitted.effect is None or admitted.before is None:
            return
        if isinstance(event.data, Intent):
            self._judge(event, event.data, admitted.effect, index, now_ms)
        before, after, contracts = admitted.before, admitted.effect, self._fold.governance.contracts
        self._spending.follow(event, before, after, contracts=contracts, index=index, at_ms=now_ms)

    def _judge(self, event: Event, data: Intent, after: EffectState, index: int, now_ms: int) -> None:
        contract = self._fold.governance.contracts[data.contract_id]
        own = counted_event(event, contract, at_ms=now_ms)
        seen = self._seen(data)
        self.unseen += not self._policy.snapshot_fields <= seen.keys() and data.snapshot_id is not None
        inputs: dict[str, Value] = {
            "now_ms": now_ms,
            "snapshot": {name: value for name, value in seen.items() if name in self._policy.snapshot_fields},
            "budgets": self._spending.inputs(self._policy.budgets, own, claim=None, now_ms=now_ms, as_of=index),
        }
        facts = facts_of(contract, data, resource=after.resource, issuer=event.by, generation=after.generation)
        would = judge(self._policy, facts, inputs, engines=self._engines)
        assert would is not None, "whoever asks has looked for the engine"
        recorded = data.verdict
        was = Judgement(answer=recorded.answer, rule=recorded.rule, approvals=recorded.approvals)
        self.decisions.append(Decision(index=index, event=event, was=was, would=would))

    def _seen(self, data: Intent) -> dict[str, Value]:
        copied = cast("dict[str, Value]", data.verdict.inputs["snapshot"])
        if data.snapshot_id is None or self._policy.snapshot_fields <= copied.keys():
            return copied
        raw = self._attachment(data.snapshot_id)
        found = cbor.decode(raw) if raw is not None else None
        return {**found, **copied} if isinstance(found, dict) else copied
