"""The tools of the storm: one for each way in which an effect can be observed, through real clients.

`Sender` sends; the guard's tools, the reconcilers' reads and the agents without a guard all send and read by it.
"""

import random
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
import httpx
from botocore.config import Config

import invoke_log as il
from invoke_log.adapter import httpx as http
from invoke_log.adapter import postgresql, s3, smtp, stripe
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.surfaces.demo import account
from tests.counterparties.postgres_server import connect

D_MS: Final = 2_000
Q_MS: Final = 6_000
LATE_MS_MAX: Final = 1_000
"""The longest that a proxy holds a request: what left by D has landed long before D + Q, on a busy machine too."""
TIMEOUT_S: Final = 0.6
HOST: Final = "127.0.0.1"
BUCKET: Final = "invoices"
CLAIM_FIELD: Final = "claim"
DECLINED: Final = 0.1
"""The share of transfers that their provider declines."""
OBSERVABILITY: Final = {
    "post_entry": "transactional",
    "create_object": "transactional",
    "charge_customer": "queryable",
    "refund_payment": "queryable",
    "pay": "re-drivable",
    "transfer": "webhook-confirmable",
    "send_mail": "fire-and-forget",
}
"""What can be known of a tool's effects. Nobody can ask about `pay`, but its provider keeps all results under a key."""
SURE: Final = frozenset(("transactional", "queryable", "re-drivable"))
"""Where somebody can always find out."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One effect that is wanted: the tool, the name by which the provider's ledger shows it, and what it is for."""

    tool: str
    name: str
    of: str
    """A customer, or the payment that is refunded."""

    @property
    def arguments(self) -> dict[str, Value]:
        match self.tool:
            case "post_entry":
                return {"account": self.of, "document": self.name, "amount": "5.00"}
            case "create_object":
                return {"key": self.name, "body": self.name.encode()}
            case "charge_customer":
                return {"customer": self.of, "order": self.name, "amount": 500, "currency": "usd"}
            case "refund_payment":
                return {"payment_intent": self.of, "claim": self.name, "amount": 100}
            case "send_mail":
                return {"recipient": "b@example.org", "occasion": self.name, "subject": self.name, "text": "Shipped."}
            case _:
                return {"beneficiary": self.of, "invoice": self.name, "amount": 500}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where each provider is reached: by tools through its proxy, by readers past it."""

    proxied: dict[str, int]
    direct: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the processes of one storm are told."""

    place: str
    seed: int
    ports: Ports
    orders: list[Order]

    @property
    def log(self) -> Path:
        return Path(self.place) / "log"


def contracts() -> dict[str, Contract]:
    """The ready contracts with short deadlines, and one whose provider keeps all results and can't be asked."""
    bounds: dict[str, Value] = {"timeout_ms": 600, "send_deadline_ms": D_MS, "quiescence_ms": Q_MS}
    keeps: Value = {"place": "Idempotency-Key", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"}
    ready = il.Contract.ready
    made: list[Contract] = [
        ready("postgresql-entry", realm={"cluster": "storm", "database": "postgres"}, **bounds),
        ready("s3-create-object", realm={"account": "123456789012", "bucket": BUCKET}, **bounds),
        ready("stripe-payment-intent", realm={"account": "acct_1", "mode": "test"}, **bounds),
        ready("stripe-refund", realm={"account": "acct_1", "mode": "test"}, **bounds),
        ready("smtp-mail", realm={"sender": "shop@example.com"}, **bounds),
        ready("webhook-transfer", realm={"account": "DE02"}, **bounds),
        ready(
            "webhook-transfer",
            name="pay",
            effect_class="money.pay/1",
            realm={"account": "DE03"},
            observability="fire-and-forget",
            webhook=None,
            provider_key=keeps,
            **bounds,
        ),
    ]
    return {contract.name: contract for contract in made}


class Sender:
    """Each provider's own client, sending once."""

    def __init__(self, ports: Ports, choose: random.Random) -> None:
        self._ports = ports
        self._choose = choose
        self._http = http.once(httpx.Client(timeout=TIMEOUT_S, trust_env=False))
        self._stripe, self._stripe_reader = (
            account.connect(f"http://{HOST}:{which['charge_customer']}", timeout_s=timeout_s)
            for which, timeout_s in ((ports.proxied, TIMEOUT_S), (ports.direct, account.READ_TIMEOUT_S))
        )

    @cached_property
    def _s3(self) -> Any:
        return s3.once(s3_client(self._ports.proxied["create_object"], timeout_s=TIMEOUT_S))

    @cached_property
    def _s3_reader(self) -> Any:
        return s3_client(self._ports.direct["create_object"], timeout_s=60)

    def post_entry(self, account: str, document: str, amount: str, *, invoke: il.Call) -> str:
        with postgresql.transaction(lambda: connect(self._ports.proxied["post_entry"]), invoke) as cursor:
            cursor.execute("INSERT INTO entries VALUES (%s, %s)", (document, amount))
        return document

    def create_object(self, key: str, body: bytes, *, invoke: il.Call) -> str:
        with s3.proofs():
            tagged = {s3.TAG_FIELD: invoke.tag}
            made = self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*", Metadata=tagged)
            return str(made["ETag"])

    def charge_customer(self, customer: str, order: str, amount: int, currency: str, *, invoke: il.Call) -> str:
        with stripe.proofs():
            wanted = account.Order(order_id=order, customer=customer, amount=amount, currency=currency)
            return account.charge(self._stripe, wanted, idempotency_key=invoke.provider_key, tag=invoke.tag)

    def refund_payment(self, payment_intent: str, claim: str, amount: int, *, invoke: il.Call) -> str:
        with stripe.proofs():
            made = self._stripe.v1.refunds.create(
                {
                    "payment_intent": payment_intent,
                    "amount": amount,
                    "metadata": {stripe.TAG_FIELD: invoke.tag, CLAIM_FIELD: claim},
                },
                {"idempotency_key": invoke.provider_key},
            )
            return stripe.done(made)

    def send_mail(self, recipient: str, occasion: str, subject: str, text: str, *, invoke: il.Call) -> str:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "shop@example.com", recipient, subject
        message.set_content(text)
        port = self._ports.proxied["send_mail"]
        return smtp.deliver(message, invoke, connect=lambda: smtplib.SMTP(HOST, port, timeout=TIMEOUT_S))

    def transfer(self, beneficiary: str, invoice: str, amount: int, *, invoke: il.Call) -> str:
        behave = "decline" if self._choose.random() < DECLINED else "ok"
        return self._post("transfer", {"beneficiary": beneficiary, "invoice": invoice, "behave": behave}, invoke)

    def pay(self, beneficiary: str, invoice: str, amount: int, *, invoke: il.Call) -> str:
        return self._post("pay", {"beneficiary": beneficiary, "invoice": invoice, "behave": "ok"}, invoke)

    def _post(self, tool: str, body: dict[str, str], invoke: il.Call) -> str:
        with http.proofs():
            answer = self._http.post(
                f"http://{HOST}:{self._ports.proxied[tool]}/transfers",
                json={**body, "tag": invoke.tag},
                headers={"Idempotency-Key": invoke.provider_key},
            )
            return str(answer.raise_for_status().json()["id"])

    def entries_under(self, call: il.Call) -> list[str]:
        with connect(self._ports.direct["post_entry"]) as connection:
            return postgresql.transactions_under(connection, call)

    def objects_under(self, call: il.Call) -> list[str]:
        return s3.object_under(self._s3_reader, call.tag, bucket=BUCKET, key=str(call.identity["key"]))

    def charges_under(self, call: il.Call) -> list[str]:
        # The whole account: this provider can't list one customer's alone.
        return stripe.payment_intents_under(self._stripe_reader, call.tag)

    def refunds_under(self, call: il.Call) -> list[str]:
        payment_intent = str(call.identity["payment_intent"])
        return stripe.refunds_under(self._stripe_reader, call.tag, payment_intent=payment_intent)


def put_under(guard: il.Guard, sender: Sender) -> None:
    """Put the tools under a guard."""
    asked: dict[str, dict[str, Any]] = {
        "post_entry": {"read_back": sender.entries_under},
        "create_object": {"read_back": sender.objects_under},
        "charge_customer": {"read_back": sender.charges_under},
        "refund_payment": {"read_back": sender.refunds_under},
        "pay": {"redrive": sender.pay},
    }
    for name, contract in contracts().items():
        guard.tool(contract, **asked.get(name, {}))(getattr(sender, name))


def s3_client(port: int, *, timeout_s: float) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=timeout_s,
            connect_timeout=5,
            proxies={},
            s3={"addressing_style": "path"},
        ),
    )
