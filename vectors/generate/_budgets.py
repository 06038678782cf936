"""Logs whose policies have budgets: what counts, in which window, and what a verdict may say of it."""

from vectors.generate._guards import asked
from vectors.generate._intents import claimed
from vectors.generate._lives import REPEATED, absent, charge, started
from vectors.generate._sample import CHARGE, condition, policy, rule
from vectors.generate._story import Cases, Story
from vectors.generate._wire import APPROVER, Given, Map, Value

ALL: Map = {"effect_class": "*", "prefix": "", "each": "log", "sum": None, "window_ms": None}
WINDOW = 60_000


def limited(most: int, **changed: Value) -> Map:
    """Return a policy that allows while the budget `b` is at most so much."""
    within = rule("allow", condition(["budgets", "b", "value"], "at_most", most))
    return policy() | {"source": {"budgets": {"b": ALL | changed}, "rules": [within]}}


def says(story: Story, value: int | None, *, as_of: int | None = None, deny: bool = False) -> Given:
    """Return a verdict that records this value of `b`, None for no value, as of the leaf that comes next."""
    leaf = story.next if as_of is None else as_of
    budgets: Map = {} if value is None else {"b": {"value": value, "as_of": leaf}}
    inputs: Map = {"now_ms": story.now, "snapshot": {}, "budgets": budgets}
    return {"verdict": story.verdict("deny" if deny else "allow", inputs=inputs)}


def cases() -> Cases:
    yield from counting()
    yield from ends()
    yield from given_back()
    yield from covering()
    yield from windows()
    yield from too_old()
    yield from records()


def counting() -> Cases:
    story = Story(policy=limited(3))
    for value, order in enumerate("abc", 1):
        effect = story.effect(order=order)
        story.intent(effect, **says(story, value))
        story.start(effect, **says(story, value))
        story.outcome(effect, ("committed", "unknown", "not_committed")[value - 1])
    last = story.effect(order="d")
    story.intent(last, **says(story, 3))
    story.intent(story.effect(order="e"), **says(story, 4, deny=True), void="verdict-deny")
    yield "budget-counts", story.case("committed and open count, and what did not happen ceases to [POL-5]", "verdict")
    story = Story(policy=limited(3))
    story.intent(story.effect(order="a"), **says(story, 1))
    story.intent(story.effect(order="b"), **says(story, 1, as_of=story.next - 1), finds=("budgets-differ",))
    yield "budget-once", story.case("two that were judged on one count [POL-7]", "verdict")
    story, effect = asked()
    story.policy(limited(1))
    story.start(effect, **says(story, 1), approvals=[story.approve(effect)])
    yield "budget-earlier", story.case("what was claimed under another policy counts; a call counts once", "verdict")


def ends() -> Cases:
    for name in ("release", "deny"):
        story, effect = claimed(Story(also=(("approver", APPROVER),)))
        story.policy(limited(3))
        story.release(effect) if name == "release" else story.deny(effect)
        story.intent(story.effect(order="b"), **says(story, 1))
        yield f"budget-{name}", story.case("a claim that returns ceases to count [POL-5]", "verdict")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.policy(limited(3))
    story.intent(effect, again=effect.head, **says(story, 2))
    story.intent(story.effect(order="b"), **says(story, 3))
    story.release(effect)
    story.intent(story.effect(order="c"), **says(story, 3))
    yield "budget-again", story.case("a repeat counts beside what it repeats [POL-5] [EFF-4]", "verdict")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.policy(limited(9_999_999, sum="amount"))
    story.intent(story.effect(order="b", amount=1), **says(story, 1))
    story.resolution(effect)
    story.findings.append(("contradiction", story.next - 1))
    story.intent(story.effect(order="c", amount=2), **says(story, 5003))
    yield "budget-after-all", story.case("what happened after all counts again, as what it was [POL-5]", "verdict")
    story = Story()
    unseen = story.effect(order="unseen")
    story.resolution(unseen)
    story.policy(limited(3))
    story.intent(story.effect(order="b"), **says(story, 2))
    story.policy(limited(9_999_999, sum="amount"))
    story.intent(story.effect(order="c"), **says(story, None), finds=("verdict-differs",))
    yield (
        "budget-unseen",
        story.case("a presence of what nobody decided counts, and has no amount [POL-5] [POL-6]", "verdict"),
    )
    story, effect = started()
    story.resolution(effect, generation=3)
    story.policy(limited(9))
    story.intent(story.effect(order="b"), **says(story, 3))
    yield "budget-above", story.case("a presence above an open claim counts beside it [POL-5] [EFF-12]", "verdict")
    story, effect = started()
    story.outcome(effect, "unknown")
    absent(story, effect)
    story.policy(limited(9))
    story.intent(story.effect(order="b"), **says(story, 1))
    story.intent(effect, **says(story, 2))
    yield "budget-absent", story.case("proved absent, it ceases to count; decided again, it counts again", "verdict")
    story, effect = claimed()
    story.recover()
    story.policy(limited(9))
    story.intent(story.effect(order="b"), status="unknown", **says(story, 2))
    yield "budget-recovery", story.case("a recovery takes nothing out [POL-5] [REC-3]", "verdict")


def given_back() -> Cases:
    """A claim that was given back is the latest of its generation: a presence lets it count again."""
    story, effect = claimed()
    story.release(effect)
    story.resolution(effect)
    story.policy(limited(9_999_999, sum="amount"))
    story.intent(story.effect(order="b", amount=1), **says(story, 5_001))
    yield (
        "budget-release-present",
        story.case("a claim given back that happened counts again [POL-5] [EFF-4]", "verdict"),
    )
    story, effect = started()
    story.outcome(effect, "not_committed", "definite_failure")
    effect.content = {"amount": 700}
    story.intent(effect)
    story.release(effect)
    story.resolution(effect, finds=("contradiction",))
    story.policy(limited(9_999_999, sum="amount"))
    story.intent(story.effect(order="b", amount=1), **says(story, 701))
    yield "budget-release-later", story.case("of two attempts it is the later one [POL-5] [EFF-4]", "verdict")


def covering() -> Cases:
    budgets: dict[str, tuple[Map, int]] = {
        "all": ({}, 3),
        "class": ({"effect_class": "money.charge/1"}, 3),
        "other-class": ({"effect_class": "money.refund/1"}, 0),
        "prefix": ({"prefix": "stripe:acct_1/test/"}, 3),
        "other-prefix": ({"prefix": "stripe:acct_2/"}, 0),
        "each-resource": ({"each": "resource"}, 2),
        "sum": ({"sum": "amount"}, 9_000),
        "sum-each": ({"sum": "amount", "each": "resource"}, 6_000),
        "sum-text": ({"sum": "customer"}, -1),
        "sum-missing": ({"sum": "fee"}, -1),
    }
    for name, (changed, value) in budgets.items():
        story = Story(policy=None, contract=CHARGE)
        story.policy(policy(rule("allow")))
        for order, customer in (("a", "cus_1"), ("b", "cus_2")):
            story.intent(story.effect(order=order, customer=customer, amount=3_000))
        story.policy(limited(10_000, **changed))
        last = story.effect(order="c", customer="cus_1", amount=3_000)
        if value < 0:
            story.intent(last, **says(story, None), finds=("verdict-differs",))
        else:
            story.intent(last, **says(story, value))
        yield f"budget-of-{name}", story.case("which intents it covers, and what each adds [POL-6]", "verdict")
    contract = charge(arguments={**_arguments(), "amount": _integer(-5, 2**53 - 1)})
    sums: tuple[tuple[str, tuple[int, int], int | None], ...] = (
        ("largest", (2**53 - 2, 1), 2**53 - 1),
        ("too-large", (2**53 - 1, 1), None),
        ("negative", (-1, 5), None),
    )
    for name, amounts, total in sums:
        story = Story(policy=policy(rule("allow")), contract=contract)
        story.intent(story.effect(order="a", amount=amounts[0]))
        story.policy(limited(2**53 - 1, sum="amount"))
        finds = () if total is not None else ("verdict-differs",)
        story.intent(story.effect(order="b", amount=amounts[1]), **says(story, total), finds=finds)
        yield f"budget-sum-{name}", story.case("amounts of at least 0, to a total of 2^53 - 1 [POL-6]", "verdict")


def windows() -> Cases:
    for name, wait, value in (("inside", WINDOW, 2), ("outside", WINDOW + 1, 1)):
        story = Story(policy=limited(9, window_ms=WINDOW))
        story.intent(story.effect(order="a"), **says(story, 1))
        story.wait(wait)
        story.intent(story.effect(order="b"), **says(story, value))
        yield (
            f"budget-{name}",
            story.case("by the log's time, at the intent's leaf and now [POL-6] [TIME-4]", "verdict"),
        )
    story = Story(policy=limited(9, window_ms=WINDOW))
    effect = story.effect(order="a")
    story.intent(effect, **says(story, 1))
    story.wait(WINDOW + 1)
    story.start(effect, **says(story, 1))
    story.intent(story.effect(order="b"), **says(story, 1))
    yield "budget-old-start", story.case("at its START a call counts, whatever its age [POL-7]", "verdict")
    story, effect = started(Story())
    story.wait(WINDOW)
    story.policy(limited(9, window_ms=WINDOW))
    story.intent(story.effect(order="b"), **says(story, 2))
    story.outcome(effect, "not_committed")
    story.resolution(effect)
    story.findings.append(("contradiction", story.next - 1))
    story.intent(story.effect(order="c"), **says(story, 3))
    story.wait(1)
    story.intent(story.effect(order="d"), **says(story, 3))
    story.wait(WINDOW)
    story.intent(story.effect(order="e"), **says(story, 2))
    yield "budget-again-in-time", story.case("what counts again, by its own time [POL-5] [POL-6]", "verdict")


def too_old() -> Cases:
    story, effect = started(Story())
    story.outcome(effect, "not_committed")
    story.wait(WINDOW + 1)
    story.policy(limited(9, window_ms=WINDOW))
    story.intent(story.effect(order="b"), **says(story, 1))
    story.resolution(effect)
    story.findings.append(("contradiction", story.next - 1))
    story.intent(story.effect(order="c"), **says(story, 2))
    yield "budget-again-too-old", story.case("what counts again when it is too old does not [POL-6]", "verdict")


def records() -> Cases:
    faults: dict[str, tuple[int | None, int]] = {
        "value": (3, 0),
        "missing": (None, 0),
        "too-early": (2, -1),
        "too-late": (2, 1),
    }
    for name, (value, by) in faults.items():
        story = Story(policy=limited(9))
        story.intent(story.effect(order="a"), **says(story, 1))
        finds = ("budgets-differ",) if value is not None else ("budgets-differ", "verdict-differs")
        story.intent(story.effect(order="b"), **says(story, value, as_of=story.next + by), finds=finds)
        yield f"budget-says-{name}", story.case("what a verdict says of a budget [POL-7] [RPL-5]", "verdict")
    story = Story(policy=limited(9))
    story.intent(story.effect(order="a"), **says(story, 1))
    for _ in range(2):
        story.wait(1)
    story.intent(story.effect(order="b"), **says(story, 2, as_of=story.next - 2))
    yield "budget-says-earlier", story.case("as of any leaf since the last change [POL-7]", "verdict")
    story = Story(policy=limited(9))
    said: Map = {"value": 1, "as_of": story.next}
    inputs: Map = {"now_ms": story.now, "snapshot": {}, "budgets": {"b": said, "c": said}}
    story.intent(story.effect(order="a"), verdict=story.verdict(inputs=inputs), finds=("budgets-differ",))
    yield "budget-says-more", story.case("a budget that the policy does not declare [POL-7]", "verdict")


def _arguments() -> Map:
    arguments = CHARGE["arguments"]
    assert isinstance(arguments, dict)
    return arguments


def _integer(low: int, high: int) -> Map:
    amount = _arguments()["amount"]
    assert isinstance(amount, dict)
    return amount | {"schema": {"type": "integer", "min": low, "max": high, "nullable": False}}
