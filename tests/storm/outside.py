"""The outside of the storm: six real providers, a proxy before each, the weather, and the providers' own ledgers."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from functools import partial
from typing import Any, Final

import stripe
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session
from moto.server import ThreadedMotoServer

from invoke_log.surfaces.demo import account
from invoke_log.surfaces.demo.proxy import HttpWire, Wire
from invoke_log.surfaces.demo.proxy_control import Behaviour, ProxyControl, Rule
from invoke_log.surfaces.demo.stage import open_stage
from tests.counterparties.keyed import SECRET, Inbox, Keyed, keyed_provider, open_inbox
from tests.counterparties.postgres_server import connect, free_port, postgres_server
from tests.counterparties.wire import PostgresWire, SmtpWire, running_proxy
from tests.storm.tools import BUCKET, CLAIM_FIELD, HOST, LATE_MS_MAX, Ports, s3_client

HANGING: Final = (Behaviour.HANG, Behaviour.SLOW)
LOST: Final = (Behaviour.DROP_RESPONSE, Behaviour.DROP_REQUEST, Behaviour.UNAVAILABLE)
CALM: Final = (Behaviour.PASS,) * 3
MESSAGE_DELAY_MS: Final = 100
AT_STRIPE: Final = ("charge_customer", "refund_payment")
CREATED: Final = "transfer.created"
SILENCE: Final = 0.3
"""The share of the transfers that nobody is told of."""

# A copy that is made on the way can be told from its original only where the provider keeps keys, conditions or
# transactions: a charge and a refund here (this provider ignores keys) and a mail are sent on once. psycopg waits
# without an end.
WEATHER: Final[dict[str, tuple[tuple[str, tuple[Behaviour, ...]], ...]]] = {
    "post_entry": (
        ("/COMMIT", (*CALM, *LOST, Behaviour.SLOW, Behaviour.DUPLICATE)),
        ("/INSERT", (*CALM, *CALM, Behaviour.DROP_REQUEST, Behaviour.DROP_RESPONSE, Behaviour.SLOW)),
    ),
    "create_object": ((f"/{BUCKET}", (*CALM, *LOST, *HANGING, Behaviour.DUPLICATE)),),
    "charge_customer": (("/v1/payment_intents", (*CALM, *LOST, *HANGING)),),
    "refund_payment": (("/v1/refunds", (*CALM, *LOST, *HANGING)),),
    "pay": (("/transfers", (*CALM, *LOST, *HANGING, Behaviour.DUPLICATE)),),
    "transfer": (("/transfers", (*CALM, *LOST, *HANGING, Behaviour.DUPLICATE)),),
    "send_mail": (
        ("/CONTENT", (*CALM, *LOST, *HANGING)),
        ("/RCPT", (*CALM, *CALM, Behaviour.DROP_REQUEST, Behaviour.SLOW)),
    ),
}
"""How the requests of each tool are treated, one drawn for each request."""


@dataclass
class Mailbox:
    """A relay's own ledger: the subjects of what it took."""

    subjects: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.subjects.append(message_from_bytes(envelope.content or b"")["Subject"])  # type: ignore[arg-type]
        return "250 OK"


@dataclass(frozen=True, kw_only=True)
class Outside:
    """The providers, while they run."""

    ports: Ports
    proxies: dict[str, ProxyControl]
    mailbox: Mailbox
    banks: dict[str, Keyed]
    inbox: Inbox
    paid: set[str] = field(default_factory=set)
    """The payments that were there before anything was asked for."""

    def rage(self, choose: random.Random, *, requests: int) -> None:
        """Draw how the next so many requests of each kind are treated; what comes after them passes."""
        for tool, control in self.proxies.items():
            for path, behaviours in WEATHER[tool]:
                drawn = [choose.choice(behaviours) for _ in range(requests)]
                delays = [choose.randrange(LATE_MS_MAX) for _ in drawn]
                together = zip(drawn, delays, strict=True)
                control.next_posts(*(Rule(behaviour=one, path=path, delay_ms=delay) for one, delay in together))

    def calm(self) -> None:
        """Let everything pass from now on. What hangs still lands."""
        for control in self.proxies.values():
            control.clear()

    def ledgers(self) -> dict[str, Counter[str]]:
        """Ask each provider what it did: how often by each order's name."""
        direct = self.ports.direct
        refunds: Any = self._stripe().v1.refunds.list({"limit": account.PAGE_OBJECTS}).auto_paging_iter()
        versions = s3_client(direct["create_object"], timeout_s=60).get_paginator("list_object_versions")
        pages = versions.paginate(Bucket=BUCKET)
        with connect(direct["post_entry"]) as connection:
            entries = connection.execute("SELECT document FROM entries").fetchall()
        return {
            "post_entry": Counter(document for (document,) in entries),
            "create_object": Counter(one["Key"] for page in pages for one in page.get("Versions", [])),
            "charge_customer": Counter(
                one.order_id for one in account.charges(self._stripe_url()) if one.payment_intent not in self.paid
            ),
            "refund_payment": Counter(one.metadata.to_dict()[CLAIM_FIELD] for one in refunds),
            "pay": Counter(made["invoice"] for made in self.banks["pay"].transfers()),
            "transfer": Counter(made["invoice"] for made in self.banks["transfer"].transfers()),
            "send_mail": Counter(self.mailbox.subjects),
        }

    def open_customers(self, count: int) -> list[str]:
        return [account.open_customer(self._stripe_url(), f"customer {number}") for number in range(count)]

    def payment_of(self, customer: str) -> str:
        """Return the id of a new payment, which can be refunded in parts."""
        order = account.Order(order_id="paid", customer=customer, amount=10_000)
        paid = account.charge(self._stripe(), order, idempotency_key=customer)
        self.paid.add(paid)
        return paid

    def _stripe(self) -> stripe.StripeClient:
        return account.connect(self._stripe_url(), timeout_s=account.READ_TIMEOUT_S)

    def _stripe_url(self) -> str:
        return f"http://{HOST}:{self.ports.direct['charge_customer']}"


@contextmanager
def open_outside() -> Iterator[Outside]:
    """Yield the providers with empty ledgers, and proxies that pass everything."""
    with ExitStack() as running:
        banks = {name: running.enter_context(keyed_provider()) for name in ("pay", "transfer")}
        inbox = running.enter_context(open_inbox())
        banks["pay"].configure(stores="all")
        twice = {"paid": [CREATED] * 2, "declined": ["transfer.rejected"] * 2}
        told = {"url": inbox.url, "secret": SECRET, **twice, "early": False, "delay_ms": MESSAGE_DELAY_MS}
        banks["transfer"].configure(stores="success", webhook=told)
        stage = running.enter_context(open_stage())
        mailbox = Mailbox()
        relay = Controller(mailbox, hostname=HOST, port=free_port())
        relay.start()
        running.callback(relay.stop)
        store = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
        store.start()
        running.callback(store.stop)
        direct = {
            "post_entry": running.enter_context(postgres_server()),
            "create_object": store.get_host_and_port()[1],
            "send_mail": relay.port,
        }
        _open_books(direct)
        wires: dict[str, Callable[[int], Wire]] = {
            "post_entry": PostgresWire,
            "create_object": HttpWire,
            "send_mail": SmtpWire,
        }
        proxies = {tool: running.enter_context(running_proxy(partial(wires[tool], direct[tool]))) for tool in direct}
        proxies |= {name: bank.proxy for name, bank in banks.items()}
        direct |= {name: bank.port for name, bank in banks.items()}
        direct |= dict.fromkeys(AT_STRIPE, int(stage.provider_url.rpartition(":")[2]))
        proxied = {tool: proxy.port for tool, proxy in proxies.items()}
        proxied |= dict.fromkeys(AT_STRIPE, int(stage.proxy_url.rpartition(":")[2]))
        controls = {tool: proxy.control for tool, proxy in proxies.items()}
        yield Outside(
            ports=Ports(proxied=proxied, direct=direct),
            proxies={**controls, **dict.fromkeys(AT_STRIPE, stage.proxy)},
            mailbox=mailbox,
            banks=banks,
            inbox=inbox,
        )


def _open_books(direct: dict[str, int]) -> None:
    with connect(direct["post_entry"]) as connection:
        # Nothing here is unique: a second row has to be seen, not refused.
        connection.execute("CREATE TABLE entries (document text, amount numeric)")
    client = s3_client(direct["create_object"], timeout_s=60)
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
