"""Who plays: each function is one job of one process, on the product's own verbs wherever it has one."""

import functools
import hmac
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.format.envelope import Envelope
from invoke_log.guard.outcome import DefiniteFailure, NeverSent
from invoke_log.guard.reconcile import FAILED
from invoke_log.guard.registry import Tool, make_tool
from invoke_log.guard.tool_call import Call
from invoke_log.guard.webhook import Notice
from invoke_log.log.signer import FileSigner
from invoke_log.rules.answer import Accepted, Answer, Unavailable
from invoke_log.rules.contract import Contract, parse_contract
from invoke_log.rules.effect import absence_bound
from invoke_log.rules.event import Event
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import (
    CLAIMED,
    COMMITTED,
    NOT_COMMITTED,
    UNKNOWN,
    Approval,
    Attestation,
    Data,
    Denial,
    Freeze,
    Grant,
    Intent,
    Note,
    Release,
    Revoke,
    Unfreeze,
)
from invoke_log.rules.policy import parse_policy
from invoke_log.rules.render import rendering_digest
from invoke_log.rules.world import EffectState
from tests.harness.live import Q_MS, TTL_MS, Clock, Live, memory_live
from tests.harness.player import BIG
from tests.simulation.provider import DECLINED, LANDED, MESSAGES, SETTLE_MS, TOOLS, Request, signature_of
from tests.simulation.world import EXPECTED, Founded, Process, World

ROLES: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "agent a": (4, ("agent", "executor")),
    "agent b": (5, ("agent", "executor")),
    "agent c": (6, ("agent", "executor")),
    "reconciler": (7, ("reconciler",)),
    "second reconciler": (8, ("reconciler",)),
    "approver": (9, ("approver",)),
    "attestor": (10, ("attestor",)),
    "repeater": (11, ("repeat",)),
    "second approver": (12, ("approver",)),
}


BUDGETED: Final = "keyless"
"""The tool of which so much may be spent, over all customers, without anybody being asked."""
SPENT_MAX: Final = 4
IS_BUDGETED: Final[Value] = {"field": ["contract"], "test": "equals", "value": BUDGETED}
IS_WITHIN: Final[Value] = {"field": ["budgets", "spent", "value"], "test": "at_most", "value": SPENT_MAX}
IS_BIGGER: Final[Value] = {"field": ["arguments", "amount"], "test": "at_least", "value": 3}
POLICY: Final[dict[str, Value]] = {
    "budgets": {
        "spent": {"effect_class": f"{BUDGETED}/1", "prefix": "", "each": "log", "sum": "amount", "window_ms": None}
    },
    "rules": [
        {"name": "bigger", "then": "ask", "approvals": 2, "when": [IS_BIGGER]},
        {"name": "big", "then": "ask", "approvals": 1, "when": [BIG]},
        {"name": "within", "then": "allow", "approvals": 0, "when": [IS_BUDGETED, IS_WITHIN]},
        {"name": "over", "then": "ask", "approvals": 1, "when": [IS_BUDGETED]},
        {"name": "rest", "then": "allow", "approvals": 0, "when": []},
    ],
}


@functools.cache
def founded() -> Founded:
    """The log that every run begins with."""
    with tempfile.TemporaryDirectory() as place, memory_live(Path(place)) as live:
        keys = {name: live.grant(seed, *roles) for name, (seed, roles) in ROLES.items()}
        policy = parse_policy({"name": "careful", "engine": "rules/1", "source": POLICY})
        live.put(live.log.draft(policy, live.admin))
        contracts = tuple(
            live.register(name=name, effect_class=f"{name}/1", **changes) for name, changes in TOOLS.items()
        )
        store: Any = live.log._engine._store
        governance = live.log.governance
        assert live.log._memory.governance is not None
        return Founded(
            store=store,
            governance=(governance, live.log._memory.governance[1]),
            log_key=live.log_key,
            admin=live.admin,
            keys=keys,
            contracts=contracts,
        )


@dataclass(slots=True)
class Sending:
    """A permission to send, as the log gave it: by which START or re-drive, to which process, when, for what; and on
    whose consent.
    """

    id: bytes
    effect: bytes
    tag: str
    contract_id: bytes
    request: bytes
    stored_ms: int
    approvals: tuple[bytes, ...]
    approvals_ttl_ms: int
    used: bool = False


def tool_of(world: World, contract: Contract, use: Callable[[Process, Tool, Call, dict[str, Value]], None]) -> Tool:
    """The tool of a contract. use: is told of each send, just before it leaves."""
    name = contract.name

    def charge(customer: str, order: str, amount: int, *, invoke: Call) -> Value:
        process = world.current
        assert process is not None
        if world.chance("process") < 0.04:
            world.fault("never left")
            raise NeverSent
        use(process, tool, invoke, {"customer": customer, "order": order, "amount": amount})
        return send(process, name, invoke, customer)

    def find(call: Call) -> list[str]:
        process = world.current
        assert process is not None
        process.pause(f"asks about {call.tag[:8]}")
        if world.chance("network") < 0.1:
            world.fault("question unanswered")
            raise TimeoutError
        found = world.provider.listed(name, call.tag, world.boot_ms)
        process.pause("is told")
        return found

    def cancel(call: Call) -> bool:
        process = world.current
        assert process is not None
        process.pause(f"gives up {call.tag[:8]}")
        if world.chance("network") < 0.1:
            world.fault("question unanswered")
            raise TimeoutError
        nothing = not world.provider.under(call.tag)
        process.pause("is told")
        return nothing

    def see(customer: str) -> dict[str, Value]:
        seen = sum(landing.request.customer == customer for landing in world.provider.landed)
        assert world.current is not None
        world.current.pause("looks")
        return {"charges": seen}

    def everything() -> list[tuple[str, str | None]]:
        landed = world.provider.landed
        ours = [(each.reference, each.request.tag) for each in landed if each.request.tool == name]
        return [*ours, ("another's", "00" * 32), ("nobody's", None)]

    read_back = find if contract.read_back is not None else None
    snapshot = see if contract.profile is not None else None
    again = charge if contract.provider_key is not None and contract.provider_key.stores == "all" else None
    void = cancel if contract.void is not None else None
    tool = make_tool(charge, contract, snapshot, read_back, redrive=again, void=void, sweep=everything)
    return tool


def send(process: Process, tool: str, call: Call, customer: str) -> Value:
    """Send one request and wait for its answer. That the two clocks, ours and the first byte's, are a pause apart is
    the network's delay like any other, and within Q.
    """
    world = process.world
    attempt = process.sends[bytes.fromhex(call.effect_key[4:])].id
    request = Request(tool=tool, attempt=attempt, tag=call.tag, key=call.provider_key, customer=customer)
    world.note(f"{process.name} sends {call.tag[:8]} to {tool}")
    answer = world.provider.take(request, world.boot_ms)
    if world.chance("network") < (0.4 if answer is not None and answer[0] == DECLINED else 0.15):
        world.fault("answer late")
        process.wakes_ms = world.boot_ms + world.rng.choice((Q_MS, SETTLE_MS, TTL_MS))
    process.pause("waits for the answer")
    if answer is not None and world.chance("network") < 0.12:
        world.fault("answer lost")
        answer = None
    if answer is None:
        raise TimeoutError
    if answer[0] == DECLINED:
        raise DefiniteFailure(answer[1])
    if answer[0] != LANDED:
        raise ConnectionError(answer[1])
    return {"id": answer[1]}


def call(process: Process, *, tool: str = "", order: str = "", amount: int = 0) -> None:
    """An agent calls a tool, of few, about few orders: others call the same. What is not given is drawn."""
    rng = process.world.rng
    arguments: dict[str, Value] = {
        "customer": "cus_1" if tool else rng.choice(("cus_1", "cus_1", "cus_2")),
        "order": order or rng.choice("ab"),
        "amount": amount or rng.choice((1, 1, 1, 2, 3)),
    }
    ended = process.guarded().call(tool or rng.choice(process.world.called), arguments)
    process.world.note(f"{process.name} ended {type(ended).__name__}: {getattr(ended, 'message', '')}")


def reconcile(process: Process) -> None:
    for one in process.guarded().reconciled():
        process.world.note(f"{process.name} found {one.effect_key[:12]} {one.probe} {one.status}: {one.note}")
        if one.note.startswith(FAILED) and not any(f": {error.__name__}: " in one.note for error in EXPECTED):
            process.world.fail(AssertionError(one.note))


def listen(process: Process) -> None:
    """Take in what messages there are, which their provider delivers again until it is told that they came."""
    world = process.world
    due = [message for message in world.provider.mail if message.at_ms <= world.boot_ms]
    for message in world.rng.sample(due, len(due)):
        heard = process.guarded().webhook(message.body, {"signature": message.signature}, verify)
        world.note(f"{process.name} heard {message.body!r}: {heard.answer}: {heard.note}")
        if heard.answer != "unavailable":
            world.provider.mail.remove(message)


def verify(body: bytes, headers: Mapping[str, str]) -> Notice:
    """As a provider's client does it."""
    if not hmac.compare_digest(headers["signature"], signature_of(body)):
        raise ValueError("forged")
    said = json.loads(body)
    return Notice(key_id=str(MESSAGES["key_id"]), event=said["event"], tag=said["tag"], reference=said["id"])


def sweep(process: Process) -> None:
    for one in process.guarded().sweep():
        process.world.note(f"{process.name} swept {one.tool} {one.reference}: {one.finding}: {one.note}")


def approve(process: Process, *, denies: float = 0.35) -> None:
    """Show each waiting intent to a person, who mostly consents."""
    for live, state in looked_at(process):
        if state.status != CLAIMED or state.claim is None or not state.claim.asks:
            continue
        contract = live.log.governance.contracts[state.claim.contract_id]
        shown = rendering_digest(intent_of(live, state), contract)
        data: Approval | Denial = Approval(intent=state.claim.id, shown=shown)
        if process.world.rng.random() < denies:
            data = Denial(intent=state.claim.id, shown=shown, reason="no")
        put(process, say(live, data, process.signer, state))


def attest(process: Process) -> None:
    """A person finds out what happened and says so: about the chain as it stood when they began to ask."""
    for live, state in looked_at(process):
        if state.status != UNKNOWN or state.claim is None:
            continue
        with live.log.world() as seen:
            bound = absence_bound(state, seen.governance.contracts[state.claim.contract_id], seen)
            if bound is None or seen.now_ms() < bound:
                continue
        process.pause("asks around")
        landed = process.world.provider.under(digest.tag(state.effect, state.generation).hex())
        process.pause("knows")
        data = Attestation(status=COMMITTED if landed else NOT_COMMITTED, reason="asked them", attachment=None)
        put(process, say(live, data, process.signer, state))


def repeat(process: Process, *, amounts: Sequence[int] = (1, 1, 2)) -> None:
    """Decide once more on what is committed: a repeat that somebody wants, with a generation of its own."""
    for live, state in looked_at(process):
        if state.status != COMMITTED or state.claim is None or process.world.rng.random() < 0.3:
            continue
        live.contract = process.world.tools[live.log.governance.contracts[state.claim.contract_id].name].contract
        intent = intent_of(live, state).data
        assert isinstance(intent, Intent)
        bound = bind(
            live.contract, {**intent.identity, "amount": process.world.rng.choice(amounts), "order": intent.purpose}
        )
        if live.contract.profile is None:
            put(process, live.intent(bound, by=process.signer, again=True))


def release(process: Process) -> None:
    """Anybody gives back a claim whose TTL has passed."""
    for live, state in looked_at(process):
        if state.status == CLAIMED and state.claim is not None:
            put(process, say(live, Release(intent=state.claim.id, reason="abandoned"), process.signer, state))


def annotate(process: Process) -> None:
    for live, state in looked_at(process):
        note = Note(about=bytes(32), text="seen")
        put(process, live.log.draft(note, process.signer, effect=state.effect, resource=state.resource))


def govern(process: Process) -> None:
    """An admin takes a key's grants away and gives them back, freezes a class for a while, renews a contract."""
    world, log = process.world, process.opened()
    name = world.rng.choice(sorted(ROLES))
    key = world.founded.keys[name].public_key
    choice = world.rng.randrange(3)
    if choice == 0:
        put(process, log.draft(Revoke(key=key, grant=None, suspect_from=None), process.signer))
        process.pause("thinks again")
        regrant(process, name)
    elif choice == 1:
        put(process, log.draft(Freeze(scope=EVERYTHING, reason="stop"), process.signer))
        process.pause("thinks again")
        put(process, log.draft(Unfreeze(scope=EVERYTHING, reason="go on"), process.signer))
    else:
        old = world.tools[world.rng.choice(world.called)].contract
        new = parse_contract({**old.data, "version": old.version + 1})
        if isinstance(put(process, log.draft(new, process.signer)), Accepted):
            world.adopt(new)


def thaw(process: Process) -> None:
    if process.opened().governance.freezes:
        put(process, process.opened().draft(Unfreeze(scope=EVERYTHING, reason="go on"), process.signer))


def regrant(process: Process, name: str) -> None:
    log, key = process.opened(), process.world.founded.keys[name].public_key
    for role in ROLES[name][1]:
        if not log.governance.holds(key, role):
            put(process, log.draft(Grant(subject=name, key=key, role=role, scope=EVERYTHING), process.signer))


def publish(process: Process) -> None:
    note = process.opened().checkpoint()
    process.world.notes.append((process.world.restores, note))


def looked_at(process: Process) -> Iterator[tuple[Live, EffectState]]:
    """The log, and each effect as it stood when this began."""
    log = process.opened()
    founded = process.world.founded
    log.flush()  # a tick, where one is due
    for state in list(log.effects()):
        yield Live(log, Clock(), founded.log_key, founded.admin, process.signer), state


def intent_of(live: Live, state: EffectState) -> Event:
    """The intent that stands."""
    assert state.claim is not None
    return next(each.event for each in live.log.effect(state.effect).entries if each.event.id == state.claim.id)


def say(live: Live, data: Data, signer: FileSigner, state: EffectState) -> Envelope:
    """An event of an effect, at the head that was seen."""
    return live.log.draft(data, signer, effect=state.effect, resource=state.resource, prev=state.last)


def put(process: Process, envelope: Envelope) -> Answer:
    """Append; where nobody knows whether it was, the same bytes again."""
    for _ in range(5):
        answer = process.opened().append(envelope)
        if not isinstance(answer, Unavailable):
            break
    return answer
