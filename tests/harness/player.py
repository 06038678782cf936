"""Random histories of a log that runs: events that mostly fit where each effect stands, alone or in one commit."""

import random
from collections.abc import Callable

from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope, open_envelope
from invoke_log.ledger.recovery import go_on
from invoke_log.rules.answer import Accepted
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN, Oath, Scope
from invoke_log.rules.policy import parse_policy
from tests.harness.live import D_MS, Q_MS, TTL_MS, Drawn, Live

BIG: Value = {"field": ["arguments", "amount"], "test": "at_least", "value": 2}


class Player:
    """Draws events at random and appends them. `seen` are the kinds that were accepted; amounts of 2 need approval."""

    def __init__(self, live: Live, choose: random.Random, *, recovers: float = 0.02) -> None:
        self.live, self.choose, self.recovers = live, choose, recovers
        self.seen: set[str] = set()
        big: Value = {"name": "big", "then": "ask", "approvals": 1, "when": [BIG]}
        rest: Value = {"name": "rest", "then": "allow", "approvals": 0, "when": []}
        policy = parse_policy({"name": "big", "engine": "rules/1", "source": {"rules": [big, rest]}})
        assert live.answer(live.log.draft(policy, live.admin)) == "accepted"

    def step(self) -> None:
        if self.choose.random() < self.recovers:
            recover(self.live, sworn=self.choose.random() < 0.5)
            self.seen.add("recovery")
        bound = self.live.bound(order=self.choose.choice("ab"), amount=self.choose.choice((1, 1, 1, 2)))
        status = self.live.state(bound).status
        draw = self.choose.choice(self.draws(bound, status))
        drawn = draw()
        events = drawn if isinstance(drawn, list) else [drawn]
        for envelope, answer in zip(events, self.live.append(events), strict=True):
            if isinstance(answer, Accepted):
                self.seen.add(str(envelope.fields["kind"]))
        if self.choose.random() < 0.4:
            self.live.wait(self.choose.choice((10, D_MS, D_MS + Q_MS, TTL_MS)))

    def draws(self, bound: Bound, status: str) -> list[Callable[[], Drawn]]:
        live = self.live
        open_draws: dict[str, list[Callable[[], Drawn]]] = {
            "free": [lambda: live.intent(bound), lambda: self.asked(bound), lambda: self.at_once(bound)],
            "claimed": [lambda: self.started(bound), lambda: live.release(bound), lambda: self.denied(bound)],
            "started": [
                lambda: live.outcome(COMMITTED, "", bound),
                lambda: live.outcome(NOT_COMMITTED, "never_sent", bound),
                lambda: live.outcome(NOT_COMMITTED, "stored_failure", bound),
                lambda: live.outcome(UNKNOWN, "", bound),
                lambda: live.suspect(bound),
            ],
            "unknown": [
                lambda: live.redrive(bound),
                lambda: live.redrive(bound),
                lambda: live.absent(bound),
                lambda: live.absent(bound, kind="key_burnt"),
                lambda: live.present(bound, generation=live.state(bound).generation),
                lambda: live.attestation(self.choose.choice((COMMITTED, NOT_COMMITTED)), bound),
                lambda: live.outcome(COMMITTED, "", bound),
                lambda: live.outcome(UNKNOWN, "", bound),
            ],
        }
        again: list[Callable[[], Drawn]] = [
            lambda: live.intent(bound, by=live.admin, again=True),
            lambda: self.at_once(bound, again=True),
            lambda: live.present(bound, generation=live.state(bound).generation + self.choose.randint(0, 1)),
        ]
        after: list[Callable[[], Drawn]] = [
            lambda: live.intent(bound),
            lambda: self.at_once(bound),
            lambda: live.present(bound, generation=1),
        ]
        return {**open_draws, COMMITTED: again, NOT_COMMITTED: after}[status]

    def asked(self, bound: Bound) -> Drawn:
        """An intent whose verdict asks, on the log at once; the approval is what is left to append."""
        bound = self.live.bound(order=bound.purpose, amount=2)
        intent = self.live.intent(bound)
        self.live.append(intent)
        return self.live.approval(intent, bound)

    def started(self, bound: Bound) -> Drawn:
        """The START of the open claim, with the approvals that came since."""
        intent, approvals = self.claim_of(bound)
        return self.live.start(intent, approvals=approvals)

    def denied(self, bound: Bound) -> Drawn:
        return self.live.denial(self.claim_of(bound)[0], bound)

    def claim_of(self, bound: Bound) -> tuple[Envelope, tuple[bytes, ...]]:
        entries = list(self.live.log.effect(bound.effect).entries)
        at = max(place for place, entry in enumerate(entries) if entry.event.kind == "intent")
        intent = open_envelope(entries[at].body, entries[at].signature)
        return intent, tuple(entry.event.id for entry in entries[at:] if entry.event.kind == "approval")

    def at_once(self, bound: Bound, *, again: bool = False) -> Drawn:
        """An intent, its START, and at times its outcome and what comes then, all in one commit."""
        intent = self.live.intent(bound, by=self.live.admin if again else None, again=again)
        start = self.live.start(intent)
        outcome = self.live.outcome(COMMITTED, "", bound, start=start)
        return [intent, start, outcome][: self.choose.randint(2, 3)]


def recover(live: Live, *, sworn: bool = False) -> None:
    """Put a recovery on the log, as a verb that has the log to itself does; sworn: with an oath about all of it."""
    log = live.log
    recovery = go_on(log._engine, admin=live.admin, log_key=live.log_key, origin=None, known=None)
    if sworn:
        scope = Scope(effect_class="*", prefix="")
        live.put(log.draft(Oath(scope=scope, recovery=recovery, reason="nothing was lost"), live.admin))
