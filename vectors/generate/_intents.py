"""Logs with a void intent: one for each rule that an intent can break, in the order in which the rules are read."""

from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._lives import REPEATED, absent, charge, started, unknown
from vectors.generate._sample import ALLOW, CHARGE, EVERYTHING, policy, rule
from vectors.generate._story import CHARGES, Cases, Story
from vectors.generate._wire import AGENT, EXECUTOR, RECONCILER, SECOND_AGENT, STRANGER, Given, Map

AGENTS = (("agent", SECOND_AGENT),)
PROFILE: Map = {
    "type": "record",
    "fields": {"balance": {"type": "integer", "min": 0, "max": 9999, "nullable": False}},
    "nullable": False,
}


def claimed(story: Story | None = None) -> tuple[Story, Effect]:
    """Return a story in which an effect has been claimed."""
    story = story or Story()
    effect = story.effect()
    story.intent(effect)
    return story, effect


def cases() -> Cases:
    yield from grants()
    yield from forms()
    yield from occupied()
    yield from stale()
    yield from guards()
    yield from predecessors()
    yield from resting()


def void_intent(code: str, comment: str, story: Story | None = None, /, **given: object) -> tuple[str, Story]:
    """Return a story whose next intent is void, and says so."""
    story, more = story or Story(), Given(given)
    story.intent(story.effect(), void=code, **more)
    return comment, story


def grants() -> Cases:
    comment, story = void_intent("grant-missing", "by a key that holds nothing [ADM-3]", by=STRANGER)
    yield "intent-stranger", story.case(comment, "intent")
    comment, story = void_intent("grant-missing", "by a key that holds other roles [GOV-4]", by=RECONCILER)
    yield "intent-other-role", story.case(comment, "intent")
    story = Story(grants=())
    story.grant("agent", AGENT, {"effect_class": "mail.send/1", "prefix": ""})
    comment, story = void_intent("grant-missing", "a grant over another class [GOV-4]", story)
    yield "intent-other-class", story.case(comment, "intent")
    story = Story(grants=())
    story.grant("agent", AGENT, {"effect_class": "*", "prefix": "stripe:acct_2/"})
    comment, story = void_intent("grant-missing", "a grant over other resources [GOV-4]", story)
    yield "intent-other-prefix", story.case(comment, "intent")
    story = Story(grants=())
    story.grant("agent", AGENT, EVERYTHING)
    effect = story.effect()
    story.intent(effect)
    yield "intent-everything", story.case("a grant over everything [GOV-4]", "intent", "life")
    story = Story()
    grant = story.leaves[2].id
    story.revoke(grant=grant)
    comment, story = void_intent("grant-missing", "the grant was revoked, by its event id [GOV-6]", story)
    yield "intent-revoked-grant", story.case(comment, "intent")
    story = Story()
    story.revoke(key=AGENT.public)
    comment, story = void_intent("grant-missing", "all grants of the key were revoked [GOV-6]", story)
    yield "intent-revoked-key", story.case(comment, "intent")
    story = Story(grants=())
    effect = story.effect()
    story.intent(effect, void="grant-missing")
    story.grant("agent", AGENT)
    story.intent(effect)
    yield "intent-before-grant", story.case("a grant is in force from the leaf after its own [GOV-2]", "intent")
    comment, story = void_intent("log-mismatch", "another log's id [GOV-3]", log=wire.plain(b"another log"))
    yield "intent-log", story.case(comment, "intent")
    comment, story = void_intent("log-mismatch", "genesis's empty log id", log=bytes(32))
    yield "intent-log-empty", story.case(comment, "intent")


def forms() -> Cases:
    unknown_contract = wire.named("contract", charge(version=9))
    comment, story = void_intent("contract-unknown", "a contract that is not registered", contract_id=unknown_contract)
    yield "intent-contract-unknown", story.case(comment, "intent")
    faults: dict[str, tuple[str, Map]] = {
        "extra": ("an argument that the contract does not have [INT-2]", {"content": {"amount": 5000, "tip": 1}}),
        "missing": ("no amount", {"content": {}}),
        "bound": ("an amount out of bounds", {"content": {"amount": 0}}),
        "prose": ("a purpose of free text [INT-3]", {"purpose": "the order of monday"}),
    }
    for name, (what, changed) in faults.items():
        comment, story = void_intent("arguments-invalid", what, **changed)
        yield f"intent-arguments-{name}", story.case(comment, "intent")
    story = Story(grants=(), contract=charge(resource="r" * 500 + "{customer}"))
    story.grant("agent", AGENT, EVERYTHING)
    effect = story.effect(customer="c" * 13)
    story.intent(effect, resource=effect.resource[:-1], void="arguments-invalid")
    yield "intent-arguments-resource", story.case("a resource of 513 bytes [EFF-2] [CTR-4]", "intent")
    story = Story(grants=(), contract=charge(resource="{customer}\u0301"))
    story.grant("agent", AGENT, EVERYTHING)
    story.intent(story.effect(), identity={"customer": "joe"}, void="arguments-invalid")
    yield "intent-arguments-not-nfc", story.case("a resource that is not in NFC [EFF-2] [CTR-4] [IL1-3]", "intent")
    comment, story = void_intent("effect-differs", "an effect of another order [INT-4]", purpose="790")
    yield "intent-effect-purpose", story.case(comment, "intent")
    comment, story = void_intent("effect-differs", "an effect key out of the air", effect=bytes(32))
    yield "intent-effect-key", story.case(comment, "intent")
    story = Story(grants=())
    story.grant("agent", AGENT, EVERYTHING)
    comment, story = void_intent("effect-differs", "another resource [INT-4]", story, resource="stripe:acct_2/x")
    yield "intent-resource", story.case(comment, "intent")
    story = Story()
    effect = story.effect()
    story.resolution(effect, resource="stripe:acct_1/test/customer/other", void="effect-differs")
    story.intent(effect)
    yield "intent-not-bound-elsewhere", story.case("no presence binds the key to another resource [EFF-15]", "intent")


def occupied() -> Cases:
    story, effect = claimed()
    first = story.leaves[-1]
    story.intent(effect, state=story.zero(effect.resource), prev=None, by=AGENT, void="collision")
    assert first.id != story.leaves[-1].id
    yield "intent-collision", story.case("the same decision, written twice [ADM-4] [EFF-13] [DEC-1]", "intent")
    story, effect = claimed(Story(also=AGENTS))
    story.intent(effect, SECOND_AGENT, state=story.zero(effect.resource), prev=None, void="collision")
    yield "intent-collision-other", story.case("the same decision, whoever wrote it [ADM-4]", "intent")
    story, effect = claimed(Story(also=AGENTS))
    story.intent(effect, SECOND_AGENT, content={"amount": 6000}, void="conflict")
    yield "intent-conflict", story.case("the same effect with another request [ADM-4]", "intent")
    story, effect = claimed(Story(also=AGENTS))
    story.intent(effect, SECOND_AGENT, void="blocked")
    yield "intent-blocked-claimed", story.case("the same request on a later state: wait [ADM-4] [ADM-5]", "intent")
    story, effect = started()
    story.intent(effect, void="blocked")
    yield "intent-blocked-started", story.case("its call is out: poll [ADM-5]", "intent")
    story, effect = unknown()
    story.intent(effect, void="blocked")
    yield "intent-blocked-unknown", story.case("its outcome is unknown: reconcile [ADM-5]", "intent")
    story, effect = started()
    story.outcome(effect)
    story.intent(effect, void="blocked")
    yield "intent-blocked-committed", story.case("it is done: read the receipt [ADM-5]", "intent")
    story, effect = started()
    story.outcome(effect)
    story.intent(effect, content={"amount": 6000}, void="conflict")
    yield "intent-conflict-committed", story.case("it is done, with another amount", "intent")
    story = Story()
    effect = story.effect()
    story.resolution(effect)
    story.intent(effect, void="blocked")
    yield (
        "intent-blocked-never-seen",
        story.case("seen outside, under no intent of this log: blocked [ADM-4]", "intent"),
    )
    story, effect = started(Story(also=REPEATED))
    earlier = effect.head
    story.outcome(effect)
    story.intent(effect, again=earlier, void="blocked")
    yield "intent-again-stale", story.case("again, and not of its head: blocked [ADM-4] [EFF-4]", "intent")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.intent(effect, again=effect.head)
    story.intent(effect, again=effect.head, void="blocked")
    yield "intent-again-claimed", story.case("one repeat at a time", "intent")
    yield from repeated()
    yield from released()


def repeated() -> Cases:
    """Whatever an intent says of `again`, its decision key is that of the generation that the effect is in."""
    story, effect = claimed(Story(also=REPEATED))
    first = effect.head
    story.start(effect)
    story.outcome(effect)
    story.intent(effect, again=first, state=story.zero(effect.resource), void="collision")
    yield (
        "intent-again-stale-collision",
        story.case("again, not of its head, of the decision that committed [ADM-4] [DEC-1]", "intent"),
    )
    story, effect = started(Story(also=(*REPEATED, ("repeat", SECOND_AGENT))))
    story.outcome(effect)
    committed, state = effect.head, story.state(effect.resource)
    story.intent(effect, again=committed)
    story.intent(effect, SECOND_AGENT, again=committed, prev=committed, state=state, void="collision")
    yield (
        "intent-again-collision",
        story.case("the same repeat of the same commit, decided twice [ADM-4] [DEC-1]", "intent"),
    )


def released() -> Cases:
    story, effect = claimed()
    story.release(effect)
    story.resolution(effect)
    story.intent(effect, content={"amount": 6000}, void="conflict")
    story.intent(effect, void="blocked")
    yield (
        "intent-conflict-released",
        story.case("a claim that was given back is the latest of its generation still [EFF-4] [ADM-4]", "intent"),
    )


def stale() -> Cases:
    comment, story = void_intent("chain-broken", "a head where the effect has none [ADM-1]", prev=wire.plain(b"x"))
    yield "intent-prev", story.case(comment, "intent")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.intent(effect, prev=effect.start, void="chain-broken")
    yield "intent-prev-earlier", story.case("an earlier event than the head [EFF-1]", "intent")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.intent(effect, after=effect.start, void="chain-broken")
    yield "intent-after-earlier", story.case("after names an earlier event [EFF-3]", "intent")
    comment, story = void_intent("state-stale", "a state out of the air [ID-3]", state=wire.plain(b"x"))
    yield "intent-state", story.case(comment, "intent")
    story, effect = claimed()
    other = story.effect(order="790")
    story.intent(other, state=story.zero(effect.resource), void="state-stale")
    yield "intent-state-earlier", story.case("another decision on the resource came between [ID-4]", "intent")
    story = Story()
    effect = story.effect()
    story.contract(charge(version=2))
    story.intent(effect, void="contract-superseded")
    yield "intent-contract-version", story.case("a contract with a later version [GOV-7]", "intent")
    story = Story()
    verdict = story.verdict()
    story.policy({**ALLOW, "name": "later"})
    comment, story = void_intent(
        "policy-superseded", "the verdict of a policy that was [GOV-10]", story, verdict=verdict
    )
    yield "intent-policy", story.case(comment, "intent")
    comment, story = void_intent("policy-superseded", "there is no policy", Story(policy=None))
    yield "intent-no-policy", story.case(comment, "intent")


def guards() -> Cases:
    story = Story(contract=None)
    story.grant("agent", AGENT, EVERYTHING)
    story.contract(charge(effect_class="none"))
    comment, story = void_intent("effect-none", "a read claims nothing [CTR-2]", story)
    yield "intent-read", story.case(comment, "intent")
    story = Story()
    story.withdraw()
    comment, story = void_intent("contract-withdrawn", "a withdrawn contract [GOV-11]", story)
    yield "intent-withdrawn", story.case(comment, "intent")
    story = Story()
    story.freeze()
    comment, story = void_intent("frozen", "a freeze covers it [GOV-9]", story)
    yield "intent-frozen", story.case(comment, "intent")
    story = Story(grants=(("repeat", AGENT), ("agent", AGENT)))
    comment, story = void_intent("again-invalid", "a repeat of nothing [EFF-4]", story, again=wire.plain(b"x"))
    yield "intent-again-free", story.case(comment, "intent")
    story = Story(also=REPEATED)
    effect = story.effect()
    story.resolution(effect, generation=2**53 - 1)
    story.intent(effect, again=effect.head, void="again-invalid")
    yield "intent-again-last", story.case("there is no generation after the largest integer", "intent")
    story, effect = started()
    story.outcome(effect)
    story.intent(effect, again=effect.head, void="grant-missing")
    yield "intent-again-no-grant", story.case("a repeat takes the role repeat", "intent")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.intent(effect, after=None, void="after-invalid")
    yield "intent-after-missing", story.case("no after on an effect that is not_committed [EFF-3]", "intent")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.intent(effect, again=effect.head, after=effect.head, void="after-invalid")
    yield "intent-after-committed", story.case("after and again [EFF-3]", "intent")
    comment, story = void_intent("chain-broken", "after on an effect that is free", after=wire.plain(b"x"))
    yield "intent-after-free", story.case(comment, "intent")
    story, effect = unknown()
    absent(story, effect)
    story.intent(effect, content={"amount": 6000}, void="content-differs")
    yield "intent-content", story.case("after an absence the request has to be the same [EFF-3]", "intent")
    story, effect = unknown()
    absent(story, effect)
    story.intent(effect)
    story.release(effect)
    story.intent(effect, content={"amount": 6000}, void="content-differs")
    yield "intent-content-released", story.case("also after an attempt that was never started [EFF-3]", "intent")
    comment, story = void_intent("snapshot-differs", "a snapshot without a profile", snapshot_id=wire.plain(b"s"))
    yield "intent-snapshot", story.case(comment, "intent")
    comment, story = void_intent(
        "snapshot-differs", "a profile without a snapshot", Story(contract=charge(profile=PROFILE))
    )
    yield "intent-no-snapshot", story.case(comment, "intent")
    deny = Story(policy=policy(rule("deny")))
    comment, story = void_intent("verdict-deny", "a denied call is no intent", deny, verdict=deny.verdict("deny"))
    yield "intent-denied", story.case(comment, "intent")


RETIRES: Map = {
    "effect_class": "money.charge/1",
    "resource": CHARGE["resource"],
    "purpose": "order",
    "identity": ["customer"],
}
SECOND = charge(name="charge", effect_class="money.charge/2", retires=RETIRES)


def predecessors() -> Cases:
    retires, second = RETIRES, SECOND
    yield from retired(second)
    both: Map = {**CHARGES, "effect_class": "*"}

    def story_with(status: str) -> tuple[Story, Effect]:
        story = Story(grants=())
        for role in ("agent", "executor"):
            story.grant(role, AGENT, both)
        story.grant("reconciler", RECONCILER, both)
        effect = story.effect()
        story.intent(effect)
        if status != "claimed":
            story.start(effect)
        if status in ("committed", "not_committed", "unknown"):
            story.outcome(effect, status)
        story.contract(second)
        return story, story.effect()

    for status in ("claimed", "started", "unknown", "committed"):
        story, effect = story_with(status)
        story.intent(effect, void="predecessor-open")
        yield f"intent-predecessor-{status}", story.case(f"the old class's effect is {status} [EFF-14]", "intent")
    third = charge(name="third", effect_class="money.charge/3", retires={**retires, "effect_class": "money.charge/2"})
    story, _ = story_with("committed")
    story.contract(third)
    story.intent(story.effect(), void="predecessor-open")
    yield "intent-predecessor-two-back", story.case("of the class before the class before [EFF-14] [CTR-11]", "intent")
    unnamed: dict[str, tuple[str, str, str]] = {
        "none": ("r" * 500 + "{customer}", "c" * 20, "of 512 bytes"),
        "not-nfc": ("{customer}\u0301", "joe", "in NFC"),
    }
    for name, (resource, customer, what) in unnamed.items():
        unable: Map = {**retires, "resource": resource}
        story = Story(grants=(), contract=charge(resource=resource))
        story.grant("agent", AGENT, both)
        story.contract(charge(name="charge", effect_class="money.charge/2", retires=unable))
        story.intent(story.effect(customer=customer))
        yield f"intent-predecessor-{name}", story.case(f"the old class gives no resource {what} [EFF-14]", "life")
    story, effect = story_with("not_committed")
    story.intent(effect)
    yield "intent-predecessor-not-committed", story.case("the old class's effect is not_committed [EFF-14]", "life")


def retired(second: Map) -> Cases:
    both: Map = {**CHARGES, "effect_class": "*"}
    story = Story(grants=())
    story.grant("agent", AGENT, both)
    old = story.effect()
    story.contract(second)
    story.intent(old, void="contract-superseded")
    new = story.effect()
    story.intent(new)
    yield (
        "intent-class-retired",
        story.case("a retired class takes no intent, its successor does [GOV-7] [CTR-11]", "intent"),
    )
    story = Story(grants=())
    for role in ("agent", "executor"):
        story.grant(role, AGENT, both)
    old = story.effect()
    story.intent(old)
    story.contract(second)
    story.start(old)
    story.outcome(old)
    yield "life-class-retired", story.case("what is open in a retired class goes on", "life")


def resting() -> Cases:
    """What rests on a void intent finds nothing there."""
    story = Story()
    effect = story.effect()
    void = story.intent(effect, STRANGER, void="grant-missing")
    effect.intent = void
    story.start(effect, prev=void, void="chain-broken")
    story.start(effect, prev=None, void="transition-invalid")
    yield "resting-start", story.case("a START on a void intent [RPL-4]", "resting")
    story, effect = started()
    failed_outcome = story.outcome(effect, "not_committed", by=EXECUTOR, void="start-key-differs")
    story.intent(effect, prev=failed_outcome, after=failed_outcome, void="blocked")
    yield "resting-after", story.case("an after on a void outcome: the effect is open still [RPL-4]", "resting")
    story, effect = started(Story(also=REPEATED))
    outcome = story.outcome(effect, by=EXECUTOR, void="start-key-differs")
    story.intent(effect, prev=outcome, again=outcome, void="blocked")
    yield "resting-again", story.case("a repeat of what never committed [RPL-4]", "resting")
    story = Story()
    effect = story.effect()
    void = story.intent(effect, STRANGER, void="grant-missing")
    story.about(effect, "note", void)
    data: Map = {**REFUSED, "effect": effect.key, "resource": effect.resource, "blocker": void}
    story.put(story.body("refusal", data, AGENT), AGENT)
    yield "resting-about", story.case("a note and a refusal may name a void event [RPL-4]", "resting")
    story = Story()
    effect = story.effect()
    story.intent(effect, STRANGER, void="grant-missing")
    story.intent(effect)
    story.start(effect)
    story.outcome(effect)
    yield "resting-beside", story.case("a void event is in nobody's way: S has not moved [RPL-4]", "resting")


REFUSED: Map = {
    "issuer": STRANGER.public,
    "effect": bytes(32),
    "resource": "",
    "blocker": None,
    "reason": "denied",
    "count": 1,
    "first_ms": 0,
    "last_ms": 0,
}
