"""The story without Invoke: every order is charged twice, and the provider says so."""

from collections import Counter
from collections.abc import Mapping

from invoke_log.surfaces.demo.processes import Child
from invoke_log.surfaces.demo.proxy_control import Behaviour
from tests.harness.world import World, require_tools

WITHOUT = "invoke_log.surfaces.demo.without"


def test_each_order_is_charged_twice_by_one_agent_that_saw_one_answer(world: World) -> None:
    from invoke_log.surfaces.demo.without import tell

    heard: list[Mapping[str, object]] = []
    orders = ["order-1", "order-2", "order-3"]
    made = tell(world.stage, orders, hear=heard.append)
    assert Counter(charge.order_id for charge in made) == dict.fromkeys(orders, 2)
    assert made == world.charges()
    steps = ["charge", "taken-for-failure", "charge", "charged"]
    assert [(line["order"], line["step"]) for line in heard] == [(order, step) for order in orders for step in steps]


def test_each_decision_has_its_own_idempotency_key_and_half_the_answers_are_lost(world: World) -> None:
    from invoke_log.surfaces.demo.without import tell

    tell(world.stage, ["order-1", "order-2"], hear=lambda line: None)
    report = world.proxy.report()
    posts = [
        post for post in report.posts if post.behaviour is Behaviour.DROP_RESPONSE or post.path.endswith("intents")
    ]
    assert len({post.idempotency_key for post in posts}) == len(posts) == 4
    assert (report.count(Behaviour.DROP_RESPONSE), report.rules_left) == (2, 0)


def test_told_alone_it_lists_two_charges_an_order() -> None:
    require_tools()
    with Child(WITHOUT, "--charges", "2") as story:
        *_, last = story.lines(timeout_s=30)
    assert last == {"v": 1, "story": "without", "orders": 2, "charges": 4}
