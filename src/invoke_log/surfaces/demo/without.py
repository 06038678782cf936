"""The story without Invoke: the answer of each order's first charge is lost, and each order is charged twice.

`python -m invoke_log.surfaces.demo.without --charges N` tells it alone, as JSON lines.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence

from invoke_log.surfaces.demo.account import Charge, charges, open_customer
from invoke_log.surfaces.demo.processes import Child, say
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from invoke_log.surfaces.demo.stage import Stage, open_stage

NAIVE_AGENT = "invoke_log.surfaces.demo.naive_agent"
LINE_S_MAX = 30.0  # the agent's own bound for one answer is 3 s


def tell(stage: Stage, orders: Sequence[str], *, hear: Callable[[Mapping[str, object]], None]) -> list[Charge]:
    """Return the charges that the provider lists for these orders, after one naive agent has seen to them.

    Args: hear: told each line of the agent as it comes.
    Raises: ChildError: the agent ended badly.
    """
    customer = open_customer(stage.provider_url, "customer of a naive agent")
    # Of each order's charges the first answer is lost, and the second arrives.
    one_order = (Rule(behaviour=Behaviour.DROP_RESPONSE), Rule(behaviour=Behaviour.PASS))
    stage.proxy.next_posts(*one_order * len(orders))
    with Child(NAIVE_AGENT, "--api", stage.proxy_url, "--customer", customer, "--order", *orders) as agent:
        for line in agent.lines(timeout_s=LINE_S_MAX):
            hear(line)
    return [charge for charge in charges(stage.provider_url) if charge.customer == customer]


def main() -> None:
    parser = argparse.ArgumentParser(description="each order charged twice, for want of a log")
    parser.add_argument("--charges", type=int, default=1, metavar="N", help="how many orders")
    orders = [f"order-{number}" for number in range(1, parser.parse_args().charges + 1)]
    with open_stage() as stage:
        made = tell(stage, orders, hear=lambda line: say(**line))
    for charge in made:
        say(step="listed", order=charge.order_id, amount=charge.amount, charge=charge.charge_id)
    say(story="without", orders=len(orders), charges=len(made))


if __name__ == "__main__":
    main()
