"""The story with Invoke: each order's first answer is lost, three more calls ask for the same charge, and there is one.

`python -m invoke_log.surfaces.demo.story [--charges N] [--out DIR] [--json]` tells it, and beside it the same without
Invoke. Every part is a process of its own, and charges are counted by asking the provider. What is not as told ends
the story.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import stripe

import invoke_log as il
from invoke_log.errors import ConfigInvalidError, InvokeLogError
from invoke_log.surfaces.demo import account, without
from invoke_log.surfaces.demo.cast import AGENT_A, AGENT_B, Cast, StoryError, demand
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from invoke_log.surfaces.demo.stage import Stage, open_stage
from invoke_log.surfaces.outcomes import EXIT_CODES

OUT: Final = Path("invoke-demo")
ORDERS_MAX: Final = 5_000  # their names are given to processes as arguments
RUNS_MAX: Final = 1_000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the provider counted, and what a third party needs.

    receipt: of the first order. trust: the log's verifier key as one C2SP line.
    """

    charges_with_invoke: int
    charges_without_invoke: int
    log: Path
    bundle: Path
    receipt: Path
    trust: str

    def as_json(self) -> dict[str, object]:
        """Return the object that `demo --json` prints."""
        return {
            "v": 1,
            "charges_with_invoke": self.charges_with_invoke,
            "charges_without_invoke": self.charges_without_invoke,
            "log": str(self.log),
            "bundle": str(self.bundle),
            "receipt": str(self.receipt),
            "trust": self.trust,
        }


def tell(charges: int, out: Path, say: Say) -> Result:
    """Return the counts and the paths of one telling with `charges` orders; each step is said as it happens.

    Args: out: a new directory, or one of an earlier telling, in which a fresh one is then made. Nothing is deleted.
    Raises: ConfigInvalidError: no number of orders, or no directory, that a story could be told with. ChildError: a
        process did not start or ended badly. StoryError: a count or an ending that is not as told, or none to be had.
    """
    if not 1 <= charges <= ORDERS_MAX:
        raise ConfigInvalidError(f"charges: found {charges}, want 1 to {ORDERS_MAX} orders")
    place = new_place(out)
    say("Every part is a process of its own: a Stripe-compatible server, a proxy before it that loses answers,")
    say("the agents, the reconciler, the third party. Charges are counted by asking the server.")
    orders = [f"order-{number}" for number in range(1, charges + 1)]
    try:
        with open_stage() as stage:
            customer = account.open_customer(stage.provider_url, "customer of two agents")
            cast = Cast(place=place, stage=stage, customer=customer, orders=orders)
            with cast.found_log() as log:
                trust = il.format_verifier_key(log.verifier_key)
                with_invoke = _with_invoke(cast, log, trust, say)
            without_invoke = _without_invoke(stage, orders, say)
    except stripe.StripeError as error:
        raise StoryError(f"provider: could not be asked: {type(error).__name__}") from error
    receipt = cast.receipts / f"{orders[0]}.receipt"
    say(f"\nlog      {cast.log}\nbundle   {cast.bundle}\nreceipt  {receipt}\ntrust    {trust}")
    return Result(
        charges_with_invoke=with_invoke,
        charges_without_invoke=without_invoke,
        log=cast.log,
        bundle=cast.bundle,
        receipt=receipt,
        trust=trust,
    )


def _with_invoke(cast: Cast, log: il.Log, trust: str, say: Say) -> int:
    """Return how many charges the provider lists after everybody has asked for each of them."""
    total = len(cast.orders)
    say(f"\nWith Invoke, {_many(total, 'order')}")
    cast.stage.proxy.next_posts(Rule(behaviour=Behaviour.DROP_RESPONSE, count=total))

    _all_end(cast.agent(AGENT_A), "unknown")
    say("  1. Agent A charges. It happens, and the answer is lost: the outcome is UNKNOWN, not failed.")
    say(f"     {_count(cast)}")

    _all_end(cast.agent(AGENT_B), "blocked")
    worlds = sum(not path.name.startswith(".") for path in (cast.log / "attachments").iterdir())
    demand(worlds == total, f"log: keeps {worlds} snapshots, want {total}")
    say("  2. Agent B, with another key, decides the same from an order book of its own: BLOCKED, nothing is sent.")
    say("     The books differ in key order, 50.00 and 50.0, NFC and NFD, time zone; what the agents saw is the same")
    say(f"     bytes: {_many(worlds, 'snapshot')}. {_count(cast)}")

    _all_end(cast.agent(AGENT_A), "blocked")
    say("  3. Agent A, started anew, remembers nothing and tries again: BLOCKED, nothing is sent.")
    say(f"     {_count(cast)}")

    looks = cast.reconciler()
    settled = [look for look in looks if (look["probe"], look["status"]) == ("ONE", "committed")]
    demand(len(settled) == len(looks) == total, f"reconciler: settled {len(settled)} of {len(looks)}, want {total}")
    say("  4. A reconciler asks the provider, finds what the call was tagged with, and writes it down: COMMITTED.")

    endings = cast.agent(AGENT_A)
    receipts = [ending["receipt"] for ending in endings if ending["receipt"] is not None]
    demand(len(receipts) == total, f"{AGENT_A}: was handed {len(receipts)} receipts, want {total}: {endings[0]}")
    say("  5. Agent A asks once more and is handed the receipt; nothing is sent.")
    say(f"     {_count(cast)}")

    with cast.bundle.open("xb") as stream:
        log.export(stream.write)
    _hear_third_party(cast.third_party(*receipts, trust=trust), cast.orders, say)
    made = len(cast.charges())
    say(f"  Counted at the provider: {_many(made, 'charge')}.")
    return made


def _hear_third_party(lines: list[dict[str, Any]], orders: list[str], say: Say) -> None:
    replayed, *verified = lines
    sound = replayed["ok"] and replayed["trusted"] and not replayed["findings"]
    demand(sound and replayed["covered"] == replayed["size"], f"third party: does not trust the bundle: {replayed}")
    told = {effect["purpose"]: (effect["status"], effect["attempts"]) for effect in replayed["effects"]}
    demand(told == dict.fromkeys(orders, ("committed", 1)), f"third party: replays other effects: {told}")
    shown = {line["purpose"]: (line["status"], line["trusted"]) for line in verified}
    demand(shown == dict.fromkeys(orders, ("committed", True)), f"third party: verifies other receipts: {shown}")
    effects, receipts = _many(len(orders), "effect"), _many(len(orders), "receipt")
    say(f"  6. A third party that has the bundle, {receipts} and the origin's public key, and nothing else,")
    say(f"     replays {replayed['size']} entries and finds no fault: {effects} committed, one attempt each.")
    say(f"     What it takes on trust: {' and '.join(replayed['effects'][0]['relies_on'])}.")


def _without_invoke(stage: Stage, orders: list[str], say: Say) -> int:
    """Return how many charges the provider lists for one agent that takes a lost answer for a failure."""
    say(f"\nWithout Invoke, {_many(len(orders), 'order')}")
    made = len(without.tell(stage, orders, hear=lambda line: None))
    demand(made == 2 * len(orders), f"provider: lists {made} charges without Invoke, want {2 * len(orders)}")
    say("  An agent takes the lost answer for a failure and decides again, under a new idempotency key.")
    say(f"  Counted at the provider: {_many(made, 'charge')}.")
    return made


def _count(cast: Cast) -> str:
    """Return in words how many charges there are. Raises StoryError: not one sent and one listed for each order."""
    total = len(cast.orders)
    listed = sorted(charge.order_id for charge in cast.charges())
    demand(listed == sorted(cast.orders), f"provider: lists {len(listed)} charges, want one for each of {total} orders")
    report = cast.stage.proxy.report()
    sent, lost = len(report.posts), report.count(Behaviour.DROP_RESPONSE)
    demand((sent, lost) == (total, total), f"proxy: saw {sent} requests and lost {lost} answers, want {total} of each")
    return f"The provider lists {_many(total, 'charge')}."


def _all_end(endings: list[dict[str, Any]], wanted: str) -> None:
    for ending in endings:
        demand(ending["ending"] == wanted, f"{ending['name']}: {ending['order']} ended {ending}, want {wanted}")


def new_place(out: Path) -> Path:
    """Return a new directory: `out` itself where nothing is there, or the next run-N in that of an earlier telling.

    Raises: ConfigInvalidError: something else is there, or nothing can be made there.
    """
    try:
        if not out.exists() or not any(out.iterdir()):
            out.mkdir(parents=True, exist_ok=True)
            return out.absolute()
        for number in range(2, RUNS_MAX if (out / "log").is_dir() else 0):
            place = out / f"run-{number}"
            if not place.exists():
                place.mkdir()
                return place.absolute()
    except OSError as error:
        raise ConfigInvalidError(f"out {out}: {error.strerror}") from error
    raise ConfigInvalidError(f"out {out}: something else is there", hint="give a directory that does not exist yet")


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def main() -> int:
    parser = argparse.ArgumentParser(description="one charge with Invoke, two without, on real parts")
    parser.add_argument("--charges", type=int, default=1, metavar="N", help="how many orders")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where log, bundle and receipts are left")
    parser.add_argument("--json", action="store_true", help="print one object and no story")
    options = parser.parse_args()
    try:
        result = tell(options.charges, options.out, _say_nothing if options.json else _say)
    except InvokeLogError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return EXIT_CODES[error.code]
    if options.json:
        _say(json.dumps(result.as_json()))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say_nothing(line: str) -> None:
    """With --json, stdout is data and success is quiet."""


if __name__ == "__main__":
    sys.exit(main())
