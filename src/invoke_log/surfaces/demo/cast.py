"""Who plays in the story, and on what: one directory, one log founded by an administrator, a key for each process.

Owns how the processes of the guarded story are started and what each is given. What they should say is `story`'s.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import invoke_log as il
from invoke_log.errors import InvokeLogError
from invoke_log.log import home
from invoke_log.log.signer import write_key_file
from invoke_log.rules.answer import Accepted
from invoke_log.rules.kind import Data, Grant, Scope
from invoke_log.surfaces.demo import account
from invoke_log.surfaces.demo.charging import CONTRACT_FILE
from invoke_log.surfaces.demo.order_book import write_books
from invoke_log.surfaces.demo.processes import Child
from invoke_log.surfaces.demo.stage import Stage

PACKAGE: Final = "invoke_log.surfaces.demo"
ORIGIN: Final = "invoke.example/demo"
AGENT_A: Final = "agent-a"
AGENT_B: Final = "agent-b"
RECONCILER: Final = "reconciler"
ROLES: Final = {AGENT_A: ("agent", "executor"), AGENT_B: ("agent", "executor"), RECONCILER: ("reconciler",)}
SCOPE: Final = Scope(effect_class="money.charge/1", prefix="stripe:acct_demo/test/")
LINE_S_MAX: Final = 60.0  # for one call (bound by 3 s) or one look (a list of every payment intent), on a busy machine


class StoryError(InvokeLogError):
    """Something that did not come out as it was told. What was written by then is left as evidence."""

    code: ClassVar[str] = "story"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """One telling: its directory, its stage, the customer who is charged and the orders. Making one writes nothing."""

    place: Path
    stage: Stage
    customer: str
    orders: list[str]
    contract: Path = CONTRACT_FILE

    @property
    def log(self) -> Path:
        return self.place / "log"

    @property
    def bundle(self) -> Path:
        return self.place / "payments.bundle"

    @property
    def receipts(self) -> Path:
        return self.place / "receipts"

    def book(self, name: str) -> Path:
        return self.place / f"orders-of-{name}.json"

    def key(self, name: str) -> Path:
        return self.place / "keys" / f"{name}.key"

    def found_log(self) -> il.Log:
        """Return a new log with the contract registered and each process's key granted, as an administrator does it.

        Raises: StoryError: the log refuses its administrator. InvokeLogError: nothing can be written there.
        """
        self.receipts.mkdir()
        self.key("").parent.mkdir(mode=0o700)
        write_books(self.book(AGENT_A), self.book(AGENT_B), customer=self.customer, orders=self.orders)
        log = il.Log.create(self.log, origin=ORIGIN, strict=True)
        admin_key = home.key_path(self.log, "admin")
        assert admin_key is not None, "create has just written it"
        admin = il.load_key(admin_key)
        events: list[Data] = [il.Contract.load(self.contract)]
        for name, roles in ROLES.items():
            key = write_key_file(self.key(name), secrets.token_bytes(32)).public_key
            events += [Grant(subject=name, key=key, role=role, scope=SCOPE) for role in roles]
        for data in events:
            answer = log.append(log.draft(data, admin))
            demand(isinstance(answer, Accepted), f"log: answered {answer!r} to its administrator")
        return log

    def options(self, name: str) -> dict[str, Any]:
        """Return what a process that works under the guard is told, by the names of `charging.Options`."""
        return {
            "log": self.log,
            "key": self.key(name),
            "contract": self.contract,
            "provider_proxy": self.stage.proxy_url,
            "provider": self.stage.provider_url,
            "book": self.book(AGENT_B if name == AGENT_B else AGENT_A),
            "name": name,
        }

    def start_agent(self, name: str) -> Child:
        """Return an agent's process; it says how each call ended, one for each order."""
        return self._start("agent", name, "--order", *self.orders, "--receipts", str(self.receipts))

    def agent(self, name: str) -> list[dict[str, Any]]:
        """Return how each call of one agent's process ended, in the order of `orders`."""
        with self.start_agent(name) as child:
            endings = _heard(child)
        demand([ending["order"] for ending in endings] == self.orders, f"{name}: did not see to each order once")
        return endings

    def reconciler(self) -> list[dict[str, Any]]:
        """Return what a reconciler's process says of each open effect."""
        with self._start("reconciler", RECONCILER) as child:
            return _heard(child)

    def third_party(self, *receipts: str, trust: str) -> list[dict[str, Any]]:
        """Return what a third party's process says of the bundle, and then of each receipt."""
        options = ("--bundle", str(self.bundle), "--trust", trust)
        with Child(f"{PACKAGE}.third_party", *options, *receipts) as child:
            return _heard(child)

    def charges(self) -> list[account.Charge]:
        """Return what the provider lists."""
        return account.charges(self.stage.provider_url)

    def _start(self, module: str, name: str, *more: str) -> Child:
        given = [
            text
            for option, value in self.options(name).items()
            for text in (f"--{option.replace('_', '-')}", str(value))
        ]
        return Child(f"{PACKAGE}.{module}", *given, *more)


def demand(as_told: bool, found: str) -> None:
    """Raise StoryError unless it came out as told."""
    if not as_told:
        raise StoryError(found)


def _heard(child: Child) -> list[dict[str, Any]]:
    return list(child.lines(timeout_s=LINE_S_MAX))
