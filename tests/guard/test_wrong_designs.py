"""Designs that look safe and are not: each is built, asked twice, and counted at the provider after a lost answer.

Each is honest about what it has done, and charges once when it is asked in the way that it was made for. Asked in the
way that breaks it, it charges twice; the guard, asked the same, does not.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

import invoke_log as il
from invoke_log.format.cbor import Value
from invoke_log.log.home import key_path
from invoke_log.log.signer import write_key_file
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import Grant
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.harness.world import AMOUNT, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request to charge an order: by which agent, under which tool call's id, having seen what at the provider."""

    order: str = "789"
    agent: str = "a"
    call_id: str = "call_1"
    charges_seen: int = 0


class Design(Protocol):
    def charge(self, ask: Ask) -> None:
        """Charge the order, unless this design knows better."""
        ...


class KeyedBy:
    """Sends once a key, whatever becomes of it. What it folds into the key beside the order is its weakness."""

    def __init__(self, world: World, weakness: Callable[[Ask], Hashable]) -> None:
        self.world = world
        self.weakness = weakness
        self.sent: set[str] = set()

    def charge(self, ask: Ask) -> None:
        key = f"{ask.order}-{self.weakness(ask)}"
        if key not in self.sent:
            self.sent.add(key)
            self.world.charge(ask.order, key=key)


class TimeoutIsFailure:
    """The right key and the wrong ending: what got no answer is noted as failed, and what failed may be tried again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.status = "failed"

    def charge(self, ask: Ask) -> None:
        if self.status == "failed":
            answer = self.world.charge(ask.order, key=ask.order)
            self.status = "failed" if answer.raised else "done"


class DuplicateIsPermission:
    """The right key and an idempotent log: an entry that is there already is answered like a new one, and both mean go.

    An entry says who wants what and has no nonce, so that an agent writes the same one each time. Another agent's would
    need another place on the chain, and is refused.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.head: str | None = None

    def append(self, entry: str) -> bool:
        if self.head is None:
            self.head = entry
        return self.head == entry

    def charge(self, ask: Ask) -> None:
        if self.append(f"{ask.agent} charges {ask.order}"):
            self.world.charge(ask.order, key=ask.order)


class Guarded:
    """The guard, one for each agent and key. What an agent saw at the provider is the snapshot of its decision."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.charges_seen = 0
        log = il.Log.create(path / "log", origin="example.com/payments")
        admin = key_path(log.path, "admin")
        assert admin is not None
        other = write_key_file(path / "b.key", bytes(range(32)))
        for role in ("agent", "executor"):
            grant = Grant(subject="b", key=other.public_key, role=role, scope=EVERYTHING)
            assert isinstance(log.append(log.draft(grant, il.load_key(admin))), Accepted)
        self.guards = {"a": il.Guard(log), "b": il.Guard(log, key=other)}
        for guard in self.guards.values():
            self.give_tool(guard)

    def give_tool(self, guard: il.Guard) -> None:
        @guard.tool(
            "money.charge/1",
            resource="stripe/customer/{customer}",
            purpose="order",
            profile={"type": "record", "fields": {"charges_seen": {"type": "integer", "min": 0, "max": 99}}},
            snapshot=lambda: {"charges_seen": self.charges_seen},
            read_back=lambda call: self.world.find(call.tag),
        )
        def charge(customer: str, amount: int, order: str, *, invoke: il.Call) -> str:
            answer = self.world.charge(order, key=invoke.provider_key, tag=invoke.tag)
            if answer.raised:
                raise TimeoutError(answer.raised)
            return answer.payment_intent

    def charge(self, ask: Ask) -> None:
        self.charges_seen = ask.charges_seen
        arguments: dict[str, Value] = {"customer": self.world.customer, "amount": AMOUNT, "order": ask.order}
        self.guards[ask.agent].call("charge", arguments)


FIRST = Ask()
RETRY = Ask()
LOOKS_AGAIN = Ask(charges_seen=1)  # a call whose answer is lost has changed the world that the next decision sees
FRESH_CALL = Ask(call_id="call_2")
OTHER_AGENT = Ask(agent="b")
LOST, ANSWERED = Behaviour.DROP_RESPONSE, Behaviour.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A wrong design; the second request that breaks it after a lost answer; one that does not, after which answer."""

    design: Callable[[World], Design]
    breaks: Ask
    holds: Ask
    holds_after: Behaviour = LOST


CASES = {
    "the decision key alone, and the world is observed again": Case(
        design=lambda world: KeyedBy(world, lambda ask: ask.charges_seen), breaks=LOOKS_AGAIN, holds=OTHER_AGENT
    ),
    "a key from the call id, and the retry has a fresh one": Case(
        design=lambda world: KeyedBy(world, lambda ask: ask.call_id), breaks=FRESH_CALL, holds=RETRY
    ),
    "the issuer in the key, and another agent decides the same": Case(
        design=lambda world: KeyedBy(world, lambda ask: ask.agent), breaks=OTHER_AGENT, holds=FRESH_CALL
    ),
    "a timeout taken for failure": Case(design=TimeoutIsFailure, breaks=RETRY, holds=RETRY, holds_after=ANSWERED),
    "a duplicate answer taken for permission": Case(design=DuplicateIsPermission, breaks=RETRY, holds=OTHER_AGENT),
}
each_design = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def charges_after(design: Design, world: World, second: Ask, *, first_answer: Behaviour) -> int:
    """Return how many charges the provider lists after two requests, the first of which is answered so."""
    world.expect(Rule(behaviour=first_answer))
    for ask in (FIRST, second):
        design.charge(ask)
    return len(world.charges())


@each_design
def test_the_wrong_design_charges_twice(case: Case, world: World) -> None:
    assert charges_after(case.design(world), world, case.breaks, first_answer=LOST) == 2


@each_design
def test_the_guard_asked_the_same_charges_once(case: Case, world: World, tmp_path: Path) -> None:
    assert charges_after(Guarded(world, tmp_path), world, case.breaks, first_answer=LOST) == 1


@each_design
def test_the_wrong_design_holds_where_it_was_made_for(case: Case, world: World) -> None:
    assert charges_after(case.design(world), world, case.holds, first_answer=case.holds_after) == 1


@each_design
def test_a_key_with_a_weakness_is_none_that_the_provider_could_dedup_by(case: Case, world: World) -> None:
    """This provider ignores idempotency keys. One that honours them would see two of these designs' two charges."""
    design = case.design(world)
    charges_after(design, world, case.breaks, first_answer=LOST)
    keys = {post.idempotency_key for post in world.proxy.report().posts}
    assert len(keys) == (2 if isinstance(design, KeyedBy) else 1)


@pytest.mark.parametrize("answer", [LOST, ANSWERED])
def test_the_guard_does_charge_another_order(answer: Behaviour, world: World, tmp_path: Path) -> None:
    """Once is not for want of trying."""
    assert charges_after(Guarded(world, tmp_path), world, Ask(order="790"), first_answer=answer) == 2
