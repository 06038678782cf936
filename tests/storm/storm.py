"""The storm: many effects, four executors that ask for each three times, providers that answer as they like, kill -9.

Afterwards the providers' own ledgers are held against what a third party replays. `python -m tests.storm` runs it.
"""

import json
import multiprocessing
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

import invoke_log as il
from invoke_log.adapter import standard_webhooks
from invoke_log.log.home import key_path
from invoke_log.rules.answer import Accepted
from invoke_log.rules.effect import OPEN
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import ABSENT, COMMITTED, UNKNOWN, Grant, Observation, Redrive, Resolution
from tests.counterparties.keyed import SECRET
from tests.storm import player
from tests.storm.outside import CREATED, SILENCE, Outside, open_outside
from tests.storm.player import TIMES, key_of
from tests.storm.tools import D_MS, OBSERVABILITY, Q_MS, SURE, Order, Plan, Sender, contracts, put_under

ORIGIN: Final = "example.com/storm"
EXECUTORS: Final = (11, 12, 13, 14)
RECONCILERS: Final = (21, 22)
ROLES: Final = {**dict.fromkeys(EXECUTORS, ("agent", "executor")), **dict.fromkeys(RECONCILERS, ("reconciler",))}
ORDERS_OF_ONE_CUSTOMER: Final = 4
ASKS_BETWEEN_KILLS: Final = (1, 50)
REST_S_MAX: Final = 120.0
STORM_S_MAX: Final = 1_200.0
LOOK_EVERY_S: Final = 0.1
FREE: Final = "free"
PROCESSES: Final = multiprocessing.get_context("forkserver")
"""Each player is forked from a process that has done nothing but import: a new one costs no second of imports."""
PROCESSES.set_forkserver_preload([player.__name__])


@dataclass
class Tally:
    """What came of the effects of one observability. wrong: the log and the ledger contradict each other."""

    tried: int = 0
    landed: int = 0
    committed: int = 0
    unknown: int = 0
    twice: int = 0
    wrong: int = 0


@dataclass
class Verdict:
    """What the storm left, and each fault in words."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    kills: int = 0
    redrives: int = 0
    rejections: int = 0
    """What a message said did not happen: as a resolution, or as a reading that settles nothing."""

    @property
    def twice(self) -> int:
        return sum(tally.twice for tally in self.tallies.values())


def judge(
    orders: list[Order],
    ledgers: Mapping[str, Counter[str]],
    statuses: Mapping[str, str] | None,
    *,
    told: frozenset[str] = frozenset(),
) -> Verdict:
    """Return what the providers' ledgers say of what a third party replayed.

    Args: statuses: by an order's name; None: there was no log. told: the names of which a message arrived.
    """
    verdict = Verdict(tallies={observability: Tally() for observability in OBSERVABILITY.values()})
    for order in orders:
        tally = verdict.tallies[OBSERVABILITY[order.tool]]
        count = ledgers[order.tool][order.name]
        tally.tried += 1
        tally.landed += count > 0
        tally.twice += count > 1
        if count > 1:
            verdict.faults.append(f"{order.tool} {order.name}: {count} times in the ledger")
        if statuses is None:
            continue
        status = statuses.get(order.name, FREE)
        tally.committed += status == COMMITTED
        tally.unknown += status == UNKNOWN
        fault = _fault(order, count, status, told=order.name in told)
        tally.wrong += fault is not None
        verdict.faults += [f"{order.tool} {order.name}: {fault}"] if fault is not None else []
    wanted = {(order.tool, order.name) for order in orders}
    strange = [(tool, name) for tool, ledger in ledgers.items() for name in ledger if (tool, name) not in wanted]
    verdict.faults += [f"{tool} {name}: in the ledger, and nobody asked for it" for tool, name in strange]
    return verdict


def _fault(order: Order, count: int, status: str, *, told: bool) -> str | None:
    if count and status not in (COMMITTED, UNKNOWN):
        return f"{status}, and in the ledger"
    if not count and status == COMMITTED:
        return "committed, and not in the ledger"
    if status in OPEN and status != UNKNOWN:
        return f"{status} still"
    if status == UNKNOWN and OBSERVABILITY[order.tool] in SURE:
        return "unknown, and it could have been found out"
    if status == UNKNOWN and told:
        return "unknown, and its provider said what happened"
    return None


class Storm:
    """One storm, over providers that have seen nothing yet."""

    def __init__(self, place: Path, outside: Outside, *, effects: int, seed: int) -> None:
        self._choose = random.Random(seed)
        self._outside = outside
        customers = outside.open_customers(-(-effects // (len(OBSERVABILITY) * ORDERS_OF_ONE_CUSTOMER)))
        payments = {customer: outside.payment_of(customer) for customer in customers}
        tools = list(OBSERVABILITY)
        orders = []
        for at in range(effects):
            tool, customer = tools[at % len(tools)], customers[at // len(tools) % len(customers)]
            of = payments[customer] if tool == "refund_payment" else customer
            orders.append(Order(tool=tool, name=f"o{at:04}", of=of))
        self.plan = Plan(place=str(place), seed=seed, ports=outside.ports, orders=orders)
        self.kills = 0
        self._heard = 0
        self._told: set[str] = set()
        self._players: dict[int, tuple[str, ForkServerProcess]] = {}

    def unguarded(self) -> Verdict:
        """Let it rage over agents without a guard, and count."""
        with ExitStack() as running:
            running.callback(self._end_all)
            self._rage("unguarded", lambda: None)
        verdict = judge(self.plan.orders, self._outside.ledgers(), None)
        verdict.kills = self.kills
        return verdict

    def guarded(self) -> Verdict:
        """Let it rage, let it end, reconcile to rest, and judge what a third party replays."""
        with ExitStack() as running:
            log = running.enter_context(il.Log.create(self.plan.log, origin=ORIGIN))
            _grant(log)
            guard = il.Guard(log)
            put_under(guard, Sender(self.plan.ports, random.Random(0)))
            running.callback(self._end_all)
            for number in RECONCILERS:
                self._begin(number, "reconciler")

            def look() -> None:
                self._hear(guard)
                with log.world() as world:
                    due = log.due_tick(world)
                if due is not None:
                    log.tick()

            self._rage("executor", look)
            self._rest(log, look)
            self._end_all()
            look()
            bundle = Path(self.plan.place) / "bundle"
            with bundle.open("wb") as stream:
                log.export(stream.write)
            trust = log.verifier_key
            said = [entry.event.data for entry in log.entries()]
        verdict = self._verdict(il.replay(bundle, trust=trust))
        verdict.redrives = sum(isinstance(data, Redrive) for data in said)
        verdict.rejections = sum(
            isinstance(data, Resolution | Observation) and (data.presence, data.evidence.kind) == (ABSENT, "webhook")
            for data in said
        )
        return verdict

    def _rage(self, role: str, look: Callable[[], None]) -> None:
        """Run the executors to their end in foul weather, killing one after another, and each of them anew."""
        self._outside.rage(self._choose, requests=4 * len(self.plan.orders) // len(OBSERVABILITY))
        for number in EXECUTORS:
            self._begin(number, role)
        deadline_s = time.monotonic() + STORM_S_MAX
        kill_at = self._choose.randint(*ASKS_BETWEEN_KILLS)
        while working := [number for number in EXECUTORS if self._works(number)]:
            assert time.monotonic() < deadline_s, f"executors {working} do not come to an end"
            if self._asked() >= kill_at:
                self._kill(self._choose.choice([*working, *(RECONCILERS if role == "executor" else ())]))
                kill_at = self._asked() + self._choose.randint(*ASKS_BETWEEN_KILLS)
            look()
            time.sleep(LOOK_EVERY_S)
        self._outside.calm()

    def _rest(self, log: il.Log, look: Callable[[], None]) -> None:
        """Wait until D + Q of the last send has passed, and nothing is open that somebody can find out."""
        settled_s = time.monotonic() + (D_MS + Q_MS) / 1000
        deadline_s = time.monotonic() + REST_S_MAX
        # Where it does not come to rest, the judge says what is open.
        while time.monotonic() < deadline_s and (time.monotonic() < settled_s or self._restless(log)):
            look()
            time.sleep(LOOK_EVERY_S)

    def _restless(self, log: il.Log) -> bool:
        sure = {contract.id for name, contract in contracts().items() if OBSERVABILITY[name] in SURE}
        return any(
            state.status != UNKNOWN or (state.claim is not None and state.claim.contract_id in sure)
            for state in log.effects()
            if state.status in OPEN
        )

    def _verdict(self, report: il.Report) -> Verdict:
        by_effect = {effect.effect: effect.status for effect in report.effects}
        made = contracts()
        names: dict[bytes, str] = {
            bind(made[order.tool], order.arguments).effect: order.name for order in self.plan.orders
        }
        statuses = {names.get(effect, effect.hex()): status for effect, status in by_effect.items()}
        verdict = judge(self.plan.orders, self._outside.ledgers(), statuses, told=frozenset(self._told))
        # A contradiction is a not_committed that was believed too early, and no more to be had here than an error is.
        verdict.faults += [f"leaf {found.index}: {found.code}: {found.message}" for found in report.findings]
        verdict.faults += [] if report.trusted else ["the bundle is not covered by the key of its log"]
        verdict.kills = self.kills
        return verdict

    def _hear(self, guard: il.Guard) -> None:
        """Pass on what the bank has said since, but for the transfers of which nobody is told."""
        arrived = self._outside.inbox.arrived[self._heard :]
        self._heard += len(arrived)
        for body, headers in arrived:
            told = json.loads(body)
            name = told["data"]["invoice"]
            if random.Random(f"{self.plan.seed} {name}").random() < SILENCE:
                continue
            heard = guard.webhook(body, headers, _verify)
            assert heard.http_status == 200, heard
            if told["type"] == CREATED:  # a decline may be about any attempt of several
                self._told.add(name)

    def _asked(self) -> int:
        """How often anything was asked for until now: how far the storm is, on a busy machine too."""
        return sum(path.stat().st_size for path in Path(self.plan.place).glob("reached-*"))

    def _begin(self, number: int, role: str) -> None:
        process = PROCESSES.Process(target=player.main, args=(self.plan, role, number), daemon=True)
        process.start()
        self._players[number] = role, process

    def _kill(self, number: int) -> None:
        role, process = self._players[number]
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            self.kills += 1
            self._begin(number, role)

    def _works(self, number: int) -> bool:
        """Whether a player has not ended. One that fails ends the storm: nothing may raise in an agent."""
        code = self._players[number][1].exitcode
        assert code in (None, 0), f"player {number} ended with {code}; its traceback is on stderr"
        return code is None

    def _end_all(self) -> None:
        for _, process in self._players.values():
            process.kill()
            process.join()


def _grant(log: il.Log) -> None:
    admin = key_path(log.path, "admin")
    assert admin is not None
    for number, roles in ROLES.items():
        for role in roles:
            key = key_of(number).public_key
            grant = Grant(subject=f"{role} {number}", key=key, role=role, scope=EVERYTHING)
            assert isinstance(log.append(log.draft(grant, il.load_key(admin))), Accepted)


def _verify(body: bytes, headers: Mapping[str, str]) -> il.Notice:
    message = standard_webhooks.verify(body, headers, SECRET)
    made = message.body["data"]
    return il.Notice(key_id="bank", event=message.event, tag=made["tag"], reference=made["id"])


def run(*, effects: int, seed: int, guarded: bool = True) -> Verdict:
    """Return what came of one storm over new providers."""
    with tempfile.TemporaryDirectory() as place, open_outside() as outside:
        storm = Storm(Path(place), outside, effects=effects, seed=seed)
        return storm.guarded() if guarded else storm.unguarded()


def lines(verdict: Verdict, seed: int) -> list[str]:
    """Return the verdict as a table."""
    columns = ("tried", "landed", "committed", "unknown", "twice", "wrong")
    head = f"seed {seed}: {verdict.kills} processes killed, each order asked for {len(EXECUTORS) * TIMES} times"
    head += f", {verdict.redrives} re-drives, {verdict.rejections} declines by message"
    rows = [
        "".join(f"{getattr(tally, column):>10}" for column in columns) + f"  {observability}"
        for observability, tally in verdict.tallies.items()
    ]
    return [head, "".join(f"{column:>10}" for column in columns), *rows, *verdict.faults]
