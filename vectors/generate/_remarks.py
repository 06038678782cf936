"""Logs whose events stand and say something untrue of themselves: findings that void nothing."""

from typing import cast

from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._guards import asked
from vectors.generate._intents import PROFILE, claimed
from vectors.generate._lives import charge, started, unknown
from vectors.generate._sample import ALLOW, CHARGE, condition, evidence, policy, rule
from vectors.generate._story import Cases, Story
from vectors.generate._wire import AGENT, APPROVER, LOG, STRANGER, Given, Map, Value

RICH = policy(rule("allow", condition(["snapshot", "balance"], "at_least", 100)))
SEEN: Map = {"balance": 100}
PDF: Map = {
    "role": "content",
    "schema": {"type": "bytes", "min": 0, "max": 60_000, "nullable": False},
    "raw": True,
    "private": False,
    "default": None,
}


def cases() -> Cases:
    yield from verdicts()
    yield from inputs()
    yield from start_inputs()
    yield from drifts()
    yield from renderings()
    yield from snapshots()
    yield from attachments()
    yield from firsts()
    yield from suspects()


def verdicts() -> Cases:
    faults: dict[str, tuple[str, Map]] = {
        "answer": ("it asks, where the policy allows", {"answer": "ask"}),
        "rule": ("by another rule", {"rule": "other"}),
        "no-rule": ("by no rule", {"rule": None}),
        "approvals": ("with more approvals than the rule has", {"approvals": 1}),
    }
    for name, (comment, changed) in faults.items():
        story = Story()
        story.intent(story.effect(), verdict={**story.verdict(), **changed}, finds=("verdict-differs",))
        yield f"verdict-{name}", story.case(f"{comment} [RPL-5]", "verdict")
    denying = Story(policy=policy(rule("deny")))
    denying.intent(denying.effect(), finds=("verdict-differs",))
    yield "verdict-denied", denying.case("recorded as allowed, and the policy denies [RPL-5]", "verdict")
    erring = Story(policy=policy(rule("allow", condition(["missing"], "equals", 1))))
    erring.intent(erring.effect(), finds=("verdict-differs",))
    yield "verdict-error", erring.case("recorded as allowed, and a condition errs [POL-3] [RPL-5]", "verdict")
    story, effect = claimed()
    story.start(effect, verdict=story.verdict("ask", 1), approvals=[], void="approvals-missing")
    story.start(effect, verdict=story.verdict(rule="other"), finds=("verdict-differs",))
    yield "verdict-start", story.case("a START's verdict, by another rule [RPL-5]", "verdict")
    story, effect = claimed()
    story.policy(policy(rule("deny")))
    story.start(effect, finds=("verdict-differs",))
    yield (
        "verdict-start-denied",
        story.case("a START recorded as allowed under a policy that denies [RPL-5]", "verdict"),
    )
    amount = Story(policy=policy(rule("allow", condition(["arguments", "amount"], "at_most", 5000))))
    amount.intent(amount.effect())
    amount.intent(amount.effect(order="790", amount=5001), finds=("verdict-differs",))
    yield (
        "verdict-amount",
        amount.case("the policy is judged over the intent's own arguments [DEC-2] [RPL-5]", "verdict"),
    )
    opa: Map = {"name": "opa", "engine": "opa/1", "source": "package invoke"}
    story = Story(policy=opa)
    story.intent(story.effect(), finds=("policy-unchecked",))
    yield "policy-unchecked", story.case("a reader without the engine says so [POL-1] [RPL-5]", "verdict")
    generation = policy(rule("allow", condition(["generation"], "at_most", 1)))
    story, effect = started(Story(policy=generation, also=(("repeat", AGENT),)))
    story.outcome(effect)
    story.intent(effect, again=effect.head, finds=("verdict-differs",))
    yield "verdict-generation", story.case("the generation that it claims is a fact [DEC-2] [RPL-5]", "verdict")


def inputs() -> Cases:
    for name, by in (("later", 1), ("earlier", -1)):
        story = Story()
        verdict = story.verdict()
        verdict["inputs"] = {"now_ms": story.now + by, "snapshot": {}, "budgets": {}}
        story.intent(story.effect(), verdict=verdict, finds=("now-differs",))
        yield f"now-{name}", story.case("now is lo, the time of the last tick [RPL-5] [TIME-3]", "verdict")
    story, effect = claimed()
    verdict = story.verdict()
    story.wait(1)
    story.start(effect, verdict=verdict, finds=("now-differs",))
    yield "now-start", story.case("a START of a later tick [RPL-5]", "verdict")
    budget: Map = {"now_ms": 0, "snapshot": {}, "budgets": {"day": {"value": 1, "as_of": 0}}}
    story = Story()
    story.intent(
        story.effect(), verdict=story.verdict(inputs={**budget, "now_ms": story.now}), finds=("budgets-differ",)
    )
    yield "inputs-budget", story.case("the policy declares no budget [POL-4] [RPL-5]", "verdict")
    story, effect = seeing(ALLOW)
    story.intent(effect, **saw(story, SEEN, inline=SEEN), finds=("inputs-differ",))
    yield "inputs-unread", story.case("a snapshot field that the policy does not read [POL-4] [RPL-5]", "verdict")
    story, effect = seeing(RICH)
    story.intent(effect, **saw(story, {"balance": 99}, inline=SEEN), finds=("inputs-differ",))
    yield "inputs-other-value", story.case("a field that is not the snapshot's [RPL-6]", "verdict")
    story, effect = seeing(RICH)
    story.intent(effect, **saw(story, SEEN, inline=SEEN))
    yield "inputs-ok", story.case("a snapshot, and the field that the policy reads [POL-4] [SNP-1]", "verdict", "life")
    boolean = profile(paid={"type": "boolean", "nullable": False})
    story, effect = seeing(policy(rule("allow", condition(["snapshot", "paid"], "equals", 1))), profile=boolean)
    story.intent(effect, **saw(story, {"paid": True}, inline={"paid": 1}), finds=("inputs-differ",))
    yield "inputs-true-one", story.case("true is not 1 [RPL-6]", "verdict")
    story, effect = seeing(policy(rule("allow"), rule("deny", condition(["snapshot", "gone"], "equals", 1), name="x")))
    story.intent(effect, **saw(story, SEEN, inline={"gone": None}), finds=("inputs-differ",))
    yield "inputs-null-missing", story.case("null for a field that is not there [RPL-6]", "verdict")
    poor = rule("deny", condition(["snapshot", "balance"], "at_most", 99), name="poor")
    story, effect = seeing(policy(rule("allow"), poor))
    story.intent(effect, **saw(story, SEEN, inline={}), finds=("inputs-differ",))
    yield "inputs-left-out", story.case("a field that the policy reads was left out [POL-4] [RPL-6]", "verdict")
    story = Story(policy=RICH)
    invented: Map = {"now_ms": story.now, "snapshot": SEEN, "budgets": {}}
    story.intent(story.effect(), verdict=story.verdict(inputs=invented), finds=("inputs-differ",))
    yield "inputs-invented", story.case("a field of a snapshot that was never taken [POL-4] [RPL-5]", "verdict")


def profile(**fields: Map) -> Map:
    return {**PROFILE, "fields": {**fields}}


def seeing(policy_data: Map, **promised: Value) -> tuple[Story, Effect]:
    """Return a story under a contract with a profile."""
    story = Story(policy=policy_data, contract=charge(**{"profile": PROFILE, **promised}))
    return story, story.effect()


def saw(story: Story, snapshot: Map, *, inline: Map) -> Given:
    """Return what an intent or START says of a snapshot that goes with the log."""
    raw = wire.il1(snapshot)
    if raw not in story.attachments:
        story.attachments.append(raw)
    inputs: Map = {"now_ms": story.now, "snapshot": inline, "budgets": {}}
    return {"snapshot_id": wire.plain(raw), "verdict": story.verdict(inputs=inputs)}


def start_inputs() -> Cases:
    def decided() -> tuple[Story, Effect]:
        story, effect = seeing(RICH)
        story.intent(effect, **saw(story, SEEN, inline=SEEN))
        return story, effect

    story, effect = decided()
    story.start(effect, **saw(story, SEEN, inline=SEEN))
    yield "inputs-start-ok", story.case("read again: the same snapshot [SNP-3]", "verdict", "life")
    story, effect = decided()
    story.start(effect, **saw(story, SEEN, inline={"balance": 500}), finds=("inputs-differ",))
    yield (
        "inputs-start-other-value",
        story.case("a START's field is not that of the snapshot it names [RPL-6]", "verdict"),
    )
    story, effect = decided()
    richer: Map = {"now_ms": story.now, "snapshot": {"balance": 500}, "budgets": {}}
    story.start(effect, verdict=story.verdict(inputs=richer), finds=("inputs-differ",))
    yield "inputs-start-no-snapshot", story.case("a START without one has none, not the intent's [RPL-5]", "verdict")
    story, effect = decided()
    second = story.effect(order="790")
    story.intent(second, **saw(story, SEEN, inline={"balance": 500}), finds=("inputs-differ",))
    yield "inputs-second-other-value", story.case("one snapshot, two intents, one of them untrue [RPL-6]", "verdict")


def drifts() -> Cases:
    """The world is read again before the START: what may drift may differ."""
    whole: Map = {"type": "integer", "min": 0, "max": 9999, "nullable": False}

    def decided() -> tuple[Story, Effect]:
        story, effect = seeing(ALLOW, profile=profile(balance=whole, visits=whole), may_drift=["visits"])
        story.intent(effect, **saw(story, {"balance": 1, "visits": 1}, inline={}))
        return story, effect

    story, effect = decided()
    story.start(effect, **saw(story, {"balance": 1, "visits": 2}, inline={}))
    yield "drift-named", story.case("another in a field that may drift [SNP-3]", "life")
    story, effect = decided()
    story.start(effect, **saw(story, {"balance": 2, "visits": 1}, inline={}), finds=("snapshot-drifted",))
    yield "drift-other", story.case("another in a field that may not [SNP-3] [RPL-6]", "attachment")
    story, effect = decided()
    story.start(effect)
    yield "drift-unread", story.case("a START that read nothing again names no snapshot [SNP-3]", "life")
    story, effect = decided()
    story.start(effect, **saw(story, {"balance": 2, "visits": 1}, inline={}))
    story.attachments.pop()
    story.find("attachment-missing", story.next - 1)
    yield "drift-missing", story.case("what was read again is not here: not checked [RPL-6]", "attachment")
    story, effect = decided()
    story.start(effect, **saw(story, {"balance": -1, "visits": 1}, inline={}))
    story.find("snapshot-invalid", story.next - 1)
    yield "drift-invalid", story.case("what is in no form is not compared [RPL-6]", "attachment")
    story, effect = decided()
    story.start(effect, **saw(story, {"balance": 2}, inline={}))
    story.find("snapshot-invalid", story.next - 1)
    story.contract(charge(name="other", profile=profile(balance=whole)))
    story.intent(story.effect(order="790"), **saw(story, {"balance": 2}, inline={}))
    comment = "what is in another contract's profile alone is not compared either [RPL-6]"
    yield "drift-elsewhere", story.case(comment, "attachment")


def renderings() -> Cases:
    story, effect = asked()
    story.approve(effect, shown=wire.plain(b"pay 5 euros"), finds=("rendering-differs",))
    yield "rendering-approval", story.case("another text was shown [RND-2] [RPL-5]", "approval")
    story, effect = asked()
    story.deny(effect, shown=bytes(32), finds=("rendering-differs",))
    yield "rendering-denial", story.case("to whoever denied it [RND-2] [RPL-5]", "approval")
    story, effect = started(Story(also=(("repeat", AGENT), ("approver", APPROVER))))
    story.outcome(effect)
    story.contract(charge(version=2))
    effect.contract = story.contract_data
    story.intent(effect, again=effect.head)
    story.deny(effect)
    comment = "a repeat that is denied was shown under its own contract, which is a later version [RND-2]"
    yield "rendering-again", story.case(comment, "approval")


def snapshots() -> Cases:
    story, effect = seeing(ALLOW)
    story.intent(effect, **saw(story, {"balance": -1}, inline={}))
    story.find("snapshot-invalid", story.next - 1)
    yield "snapshot-invalid", story.case("a snapshot that is not in its profile [SNP-2] [RPL-6]", "attachment")
    story, effect = seeing(ALLOW)
    raw = b"\x18\x01"
    story.attachments.append(raw)
    story.intent(effect, snapshot_id=wire.plain(raw))
    story.find("snapshot-invalid", story.next - 1)
    yield "snapshot-not-il1", story.case("a snapshot that is not IL1 [RPL-6]", "attachment")
    story, effect = seeing(ALLOW)
    story.intent(effect, snapshot_id=wire.plain(wire.il1(SEEN)))
    story.find("attachment-missing", story.next - 1)
    yield "snapshot-missing", story.case("a snapshot that did not come along: not checked [RPL-6]", "attachment")
    twice: tuple[tuple[str, Map], ...] = (("missing", SEEN), ("invalid", {"balance": -1}))
    for name, named in twice:
        story, effect = seeing(ALLOW)
        story.intent(effect, **saw(story, named, inline={}))
        first = story.next - 1
        story.start(effect, **saw(story, named, inline={}))
        if name == "missing":
            story.attachments.clear()
            story.find("attachment-missing", first)
            comment = "named by an intent and its START: missing once, where it is named first [RPL-6]"
        else:
            for leaf in (first, story.next - 1):
                story.find("snapshot-invalid", leaf)
            comment = "named by an intent and its START: in no form at each of them [RPL-6]"
        yield f"snapshot-{name}-twice", story.case(comment, "attachment")


def attachments() -> Cases:
    raw = b"%PDF-1.7 " * 2000
    named: Map = {"attachment": wire.plain(raw), "size": len(raw)}

    def sending(content: Map) -> tuple[Story, Effect]:
        story = Story(contract=CHARGE | {"arguments": {**_arguments(), "pdf": PDF}})
        effect = story.effect(pdf=content)
        return story, effect

    story, effect = sending(named)
    story.attachments.append(raw)
    story.intent(effect)
    yield "attachment-ok", story.case("a long argument that came along [EVT-4] [INT-6]", "attachment", "life")
    story, effect = sending(named)
    story.intent(effect)
    story.find("attachment-missing", story.next - 1)
    yield "attachment-missing", story.case("one that did not: not checked, never invalid [RPL-6]", "attachment")
    story, effect = sending({**named, "size": len(raw) + 1})
    story.attachments.append(raw)
    story.intent(effect)
    story.find("attachment-differs", story.next - 1)
    yield "attachment-size", story.case("of another size than the intent says [RPL-6]", "attachment")
    story, effect = sending(named)
    story.attachments.append(raw)
    story.intent(effect)
    second = story.effect(order="790", pdf={**named, "size": len(raw) - 1})
    story.intent(second)
    story.find("attachment-differs", story.next - 1)
    yield "attachment-second-size", story.case("named twice, the second time by another size [RPL-6]", "attachment")
    story = Story(contract=CHARGE | {"arguments": {**_arguments(), "pdf": PDF, "print": PDF}})
    story.attachments.append(raw)
    story.intent(story.effect(pdf={**named, "size": len(raw) + 1}, print=named))
    story.find("attachment-differs", story.next - 1)
    comment = "named twice by one intent, once by another size: each naming counts [EVT-4] [RPL-6]"
    yield "attachment-two-sizes", story.case(comment, "attachment")
    least = {**PDF, "schema": {**cast("Map", PDF["schema"]), "min": len(raw) + 1}}
    story = Story(contract=CHARGE | {"arguments": {**_arguments(), "pdf": least}})
    story.attachments.append(raw)
    story.intent(story.effect(pdf=named))
    yield (
        "attachment-below-min",
        story.case("smaller than its argument's min, which is not asked [INT-6]", "attachment"),
    )
    story, effect = unknown()
    story.attachments.append(b"a letter")
    story.find("attachment-unnamed")
    yield "attachment-unnamed", story.case("one that no event names [RPL-6]", "attachment")
    story, effect = sending(named)
    story.attachments.append(raw)
    story.intent(effect, STRANGER, void="grant-missing")
    story.find("attachment-unnamed")
    yield "attachment-void", story.case("one that only a void event names [RPL-4] [RPL-6]", "attachment", "resting")
    story, effect = started()
    log = b"HTTP/1.1 200 OK"
    shows = evidence("response", attachment={"attachment": wire.plain(log), "size": len(log)})
    story.attachments.append(log)
    story.outcome(effect, evidence=shows)
    yield "attachment-evidence", story.case("evidence that came along [EVT-4]", "attachment", "life")


def _arguments() -> Map:
    arguments = CHARGE["arguments"]
    assert isinstance(arguments, dict)
    return arguments


def firsts() -> Cases:
    """Leaf 1 has to be genesis's tick."""
    story = Story(policy=None, contract=None)
    story.leaves, story.now = story.leaves[:1], 0
    story.policy(ALLOW)
    story.find("tick-missing", 1)
    story.tick(1000)
    yield "first-policy", story.case("leaf 1 is a policy [TIME-2]", "time")
    story = Story(policy=None, contract=None)
    story.leaves, story.now = story.leaves[:1], 0
    story.grant("agent", AGENT, by=AGENT, void="grant-missing")
    story.find("tick-missing", 1)
    story.tick(1000)
    yield "first-void", story.case("leaf 1 is void [TIME-2]", "time")
    story = Story(policy=None, contract=None)
    story.leaves, story.now = story.leaves[:1], 0
    fields = story.body("tick", {"time_ms": 1000, "covers": 0, "map": None}, AGENT)
    story.put(fields, AGENT, void="grant-missing", finds=("tick-missing",))
    story.tick(1000)
    yield "first-void-tick", story.case("leaf 1 is a tick by another key than the log's [TIME-2]", "time")
    story = Story(policy=None, contract=None)
    story.leaves, story.now = story.leaves[:1], 0
    fields = story.body("tick", {"time_ms": 1000, "covers": 0, "map": None}, LOG)
    story.put_raw(wire.il1(fields), bytes(64), fields, void="signature-invalid", finds=("tick-missing",))
    yield "first-unsigned", story.case("leaf 1 is a tick that nobody signed [TIME-2]", "time")


def suspects() -> Cases:
    story, effect = started(Story(also=(("repeat", AGENT),)))
    story.outcome(effect)
    intent, start, outcome = range(story.next - 3, story.next)
    story.revoke(key=AGENT.public, suspect_from=start)
    story.find("key-suspect", start)
    story.find("key-suspect", outcome)
    yield "suspect-key", story.case("what the key signed from that leaf on stands, and is suspect [RPL-11]", "revoke")
    assert intent < start
    story, effect = started()
    story.revoke(grant=story.leaves[2].id, suspect_from=story.next)
    story.outcome(effect, finds=("key-suspect",))
    yield (
        "suspect-grant",
        story.case("a grant names its key; evidence comes after the revoke [RPL-11] [EFF-9]", "revoke"),
    )
    story, effect = started(Story(also=(("repeat", AGENT),)))
    start = story.next - 1
    executor = story.leaves[3].id
    story.revoke(grant=story.leaves[2].id, suspect_from=start)
    story.find("key-suspect", start)
    story.revoke(grant=executor, suspect_from=start - 1)
    story.find("key-suspect", start - 1)
    yield "suspect-earlier", story.case("the earliest leaf counts, and each leaf is found once [RPL-11]", "revoke")
    story, effect = started()
    story.revoke(key=AGENT.public, suspect_from=story.next)
    yield "suspect-nothing", story.case("before that leaf nothing is suspect [RPL-11]", "revoke")
