"""The outside world for tests: a Stripe-compatible provider, the proxy before it, and somebody to charge.

`from tests.harness.world import stage, world` in a conftest gives its tests a `world` of their own; the two processes
behind it start once a session. Both are real, so a test that lacks their packages skips and says which.
"""

import contextlib
import importlib.util
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from invoke_log.guard.outcome import DefiniteFailure, NeverSent
from invoke_log.surfaces.demo.proxy_control import ProxyControl, Rule
from invoke_log.surfaces.demo.stage import Stage, open_stage

if TYPE_CHECKING:
    from invoke_log.surfaces.demo.account import Charge

TOOLS = ("localstripe", "stripe")
AMOUNT = 5000


def require_tools() -> None:
    """Skip where a package of the demo is not installed."""
    for tool in TOOLS:
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"tool missing: {tool}")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Yield the provider and the proxy that all tests share."""
    require_tools()
    with open_stage() as opened:
        yield opened


@pytest.fixture
def world(stage: Stage) -> "World":
    """Return the shared stage with an empty provider, a proxy that passes everything, and a new customer."""
    return emptied(stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one charge looked like to the agent: an id, or what was raised once the adapter had said what is proved."""

    payment_intent: str = ""
    raised: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One test's view of the stage. `charges` and `find` ask the provider itself, past the proxy."""

    stage: Stage
    customer: str

    @property
    def proxy(self) -> ProxyControl:
        return self.stage.proxy

    def expect(self, *rules: Rule) -> None:
        """Have the proxy treat the next POSTs by these rules."""
        self.stage.proxy.next_posts(*rules)

    def charge(
        self, order_id: str = "789", *, key: str = "", tag: str = "", card: str = "pm_card_visa", timeout_s: float = 3.0
    ) -> Answer:
        """Charge the order through the proxy, once, as an agent's tool does."""
        import stripe

        from invoke_log.adapter.stripe import proofs
        from invoke_log.surfaces.demo import account

        client = account.connect(self.stage.proxy_url, timeout_s=timeout_s)
        order = account.Order(order_id=order_id, customer=self.customer, amount=AMOUNT)
        try:
            with proofs():
                given = {"idempotency_key": key or str(uuid.uuid4()), "tag": tag, "payment_method": card}
                return Answer(payment_intent=account.charge(client, order, **given))
        except (stripe.StripeError, NeverSent, DefiniteFailure) as error:
            return Answer(raised=type(error).__name__)

    def charges(self) -> list["Charge"]:
        """Return what the provider lists."""
        from invoke_log.surfaces.demo import account

        return account.charges(self.stage.provider_url)

    def find(self, tag: str) -> list[str]:
        """Return what a reconciler sees of that tag."""
        from invoke_log.adapter.stripe import payment_intents_under
        from invoke_log.surfaces.demo import account

        return payment_intents_under(account.connect(self.stage.provider_url), tag)

    def charges_by(self, timeout_s: float, *, count: int) -> list["Charge"]:
        """Return what the provider lists as soon as it lists that many, or at the end of the time."""
        deadline_s = time.monotonic() + timeout_s
        while len(listed := self.charges()) < count and time.monotonic() < deadline_s:
            time.sleep(0.02)
        return listed


def emptied(stage: Stage) -> World:
    """Return a world in which nothing has happened yet."""
    from invoke_log.surfaces.demo import account

    stage.proxy.clear()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{stage.provider_url}/_config/data", method="DELETE")
    with contextlib.closing(opener.open(request, timeout=5)):
        pass
    return World(stage=stage, customer=account.open_customer(stage.provider_url, "somebody"))
