"""Agents and a reconciler: however a call ends, and whoever dies, there is one charge or a proof of none."""

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import invoke_log as il
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.harness.world import World

if TYPE_CHECKING:
    from invoke_log.surfaces.demo.cast import Cast

ORDER = "order-1"
SETTLED_S_MAX = 30  # D + Q is 3 s


@pytest.fixture
def cast(world: World, tmp_path: Path) -> "Cast":
    """Return a cast over the shared stage, under the demo's contract with a D and a Q that a test can wait for."""
    from invoke_log.surfaces.demo.cast import Cast
    from invoke_log.surfaces.demo.charging import CONTRACT_FILE

    text = CONTRACT_FILE.read_text(encoding="utf-8")
    for slow, fast in (("send_deadline_ms = 5_000", "send_deadline_ms = 2_000"), ("= 10_000", "= 1_000")):
        assert text.count(slow) == 1
        text = text.replace(slow, fast)
    contract = tmp_path / "fast.toml"
    contract.write_text(text, encoding="utf-8")
    place = tmp_path / "telling"
    place.mkdir()
    made = Cast(place=place, stage=world.stage, customer=world.customer, orders=[ORDER], contract=contract)
    made.found_log().close()
    return made


def ending(cast: "Cast", name: str) -> dict[str, Any]:
    """Return how one agent's call for the order ends, in this process."""
    from invoke_log.surfaces.demo.agent import AgentOptions, see_to
    from invoke_log.surfaces.demo.charging import open_guard

    options = AgentOptions(**cast.options(name), receipts=cast.receipts)
    with open_guard(options) as guard:
        return see_to(guard, ORDER, options)


def settled(cast: "Cast") -> tuple[str | None, str]:
    """Return what a reconciler's look at the one effect came to, as soon as one settles it."""
    from invoke_log.surfaces.demo.charging import Options, open_guard

    deadline_s = time.monotonic() + SETTLED_S_MAX
    while time.monotonic() < deadline_s:
        with open_guard(Options(**cast.options("reconciler"))) as guard:
            [look] = guard.reconcile()
        if look.status in ("committed", "not_committed"):
            return look.probe, look.status
        time.sleep(0.1)
    raise AssertionError(f"not settled after {SETTLED_S_MAX} s: {look}")


def replayed(cast: "Cast") -> tuple[str, int]:
    """Return the effect's status and attempts, after a replay that finds nothing wrong."""
    with il.Log.open(cast.log) as log:
        log.checkpoint()
        trust = log.verifier_key
    report = il.replay(cast.log, trust=trust)
    assert (report.ok, report.trusted, report.findings) == (True, True, ())
    [effect] = report.effects
    return effect.status, effect.attempts


def test_an_answered_charge_is_handed_to_whoever_asks_again(cast: "Cast") -> None:
    first, second = ending(cast, "agent-a"), ending(cast, "agent-b")
    [made] = cast.charges()
    assert (first["ending"], first["fresh"], first["payment_intent"]) == ("committed", True, made.payment_intent)
    assert (second["ending"], second["fresh"], second["payment_intent"]) == ("committed", False, made.payment_intent)
    assert first["effect_key"] == second["effect_key"]
    assert replayed(cast) == ("committed", 1)


def test_another_amount_for_the_same_order_is_a_conflict(cast: "Cast") -> None:
    ending(cast, "agent-a")
    book = cast.book("agent-b")
    book.write_text(book.read_text(encoding="utf-8").replace("50.0", "60.0"), encoding="utf-8")
    assert ending(cast, "agent-b")["ending"] == "conflict"
    assert [charge.amount for charge in cast.charges()] == [5000]


def test_a_charge_that_never_left_may_be_decided_again(cast: "Cast") -> None:
    nowhere = replace(cast, stage=replace(cast.stage, proxy_url="http://127.0.0.1:1"))
    assert ending(nowhere, "agent-a")["ending"] == "not_committed"
    assert ending(cast, "agent-b")["ending"] == "committed"
    assert len(cast.charges()) == 1
    assert replayed(cast) == ("committed", 2)


def test_a_charge_that_got_lost_on_the_way_is_settled_as_absent_and_may_be_decided_again(cast: "Cast") -> None:
    cast.stage.proxy.next_posts(Rule(behaviour=Behaviour.DROP_REQUEST))
    assert ending(cast, "agent-a")["ending"] == "unknown"
    assert ending(cast, "agent-b")["ending"] == "blocked"
    assert (settled(cast), cast.charges()) == (("NONE", "not_committed"), [])
    assert ending(cast, "agent-b")["ending"] == "committed"
    assert len(cast.charges()) == 1
    assert replayed(cast) == ("committed", 2)


def test_an_agent_killed_while_its_call_is_out_is_not_repeated_by_anybody(cast: "Cast", world: World) -> None:
    """START is durable, the request has landed, and nobody ever hears of it: only the provider can say so."""
    cast.stage.proxy.next_posts(Rule(behaviour=Behaviour.HANG))
    with cast.start_agent("agent-a") as agent:
        assert len(world.charges_by(20, count=1)) == 1
        agent.send(signal.SIGKILL)
    blocked = [ending(cast, name) for name in ("agent-b", "agent-a")]
    assert [(line["ending"], line["next"]) for line in blocked] == [("blocked", "poll")] * 2
    assert settled(cast) == ("ONE", "committed")
    receipt = ending(cast, "agent-a")["receipt"]
    assert il.verify_receipt(Path(receipt).read_bytes()).effect.status == "committed"
    assert len(cast.charges()) == 1
    assert replayed(cast) == ("committed", 1)
