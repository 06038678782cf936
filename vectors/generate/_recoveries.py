"""Logs with a recovery, after which less counts as proof, and with oaths about what it lost."""

from vectors.generate import _wire as wire
from vectors.generate._intents import SECOND, claimed
from vectors.generate._lives import ATTESTED, REPEATED, absent, call, charge, settle, started, unknown
from vectors.generate._sample import EVERYTHING
from vectors.generate._story import CHARGES, Cases, D, Q, Story
from vectors.generate._wire import (
    ADMIN,
    AGENT,
    ATTESTOR,
    LOG,
    NEXT_LOG,
    ORIGIN,
    RECONCILER,
    Key,
    Map,
)


def cases() -> Cases:
    yield from recoveries()
    yield from after_recovery()
    yield from oaths()
    yield from oaths_relied_on()
    yield from retired_classes()
    yield from bad_recoveries()


def recoveries() -> Cases:
    story = Story(also=ATTESTED)
    claims = [story.effect(order=f"{at}") for at in range(4)]
    for effect in claims[:3]:
        story.intent(effect)
    for effect in claims[1:3]:
        story.start(effect)
    story.outcome(claims[2])
    story.intent(claims[3])
    story.release(claims[3])
    story.recover()
    yield (
        "recovery",
        story.case("claimed and started become unknown, committed and free stay [REC-1] [REC-3]", "recovery"),
    )
    story = Story()
    story.recover()
    effect = story.effect()
    story.intent(effect, status="unknown")
    story.start(effect, void="transition-invalid")
    yield "recovery-first-intent", story.case("of every other key the first intent goes to unknown [REC-4]", "recovery")
    story = Story()
    story.recover()
    story.wait(1)
    effect = story.effect()
    story.intent(effect, status="unknown")
    absent(story, effect)
    story.intent(effect)
    story.start(effect)
    yield "recovery-second-intent", story.case("left by an absence, it follows the normal rules [REC-4]", "recovery")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.recover()
    story.intent(effect, again=effect.head, status="unknown")
    yield "recovery-again", story.case("a repeat after it goes to unknown too [REC-4]", "recovery")
    story, effect = started()
    story.recover()
    story.wait(1)
    absent(story, effect)
    yield "recovery-absent", story.case("D + Q since the recovery, then a read [REC-6]", "recovery")
    story, effect = started()
    story.recover()
    story.resolution(effect)
    yield "recovery-present", story.case("presence is stable [REC-6]", "recovery")
    story, effect = started(Story(also=ATTESTED))
    story.recover()
    settle(story)
    story.attest(effect)
    yield "recovery-attested", story.case("a person's word [REC-6]", "recovery")
    story = Story()
    effect = story.effect()
    story.recover()
    story.recover(origin=f"{ORIGIN}.e2")
    story.intent(effect, status="unknown")
    yield "recovery-twice", story.case("two recoveries are accounted for together [REC-4]", "recovery")
    story = Story()
    story.recover(log_key=NEXT_LOG)
    story.wait(1)
    yield (
        "recovery-log-key",
        story.case("the next leaf is under another log key and origin [REC-1] [GOV-3]", "recovery"),
    )
    yield from several()
    yield from generations()
    yield from planned()
    yield from after_planned()


def several() -> Cases:
    story = Story()
    story.recover()
    tick = settle(story)
    story.recover(origin=f"{ORIGIN}.e2")
    story.wait(1)
    effect = story.effect()
    story.intent(effect, status="unknown")
    story.wait(D + Q)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    absent(story, effect)
    yield (
        "recovery-twice-read-between",
        story.case(
            "the second may have lost what the first went on with: D + Q since the last [REC-4] [PRF-5]", "proof"
        ),
    )
    story = Story()
    story.recover()
    story.wait(1)
    effect = story.effect()
    story.intent(effect, status="unknown")
    absent(story, effect)
    story.intent(effect, content={"amount": 4000}, void="content-differs")
    call(story, effect)
    yield (
        "recovery-content",
        story.case("an attempt that was never started, closed by an absence, binds the next one [EFF-3]", "recovery"),
    )


def generations() -> Cases:
    story, effect = started(Story(also=REPEATED))
    story.recover()
    story.resolution(effect)
    story.intent(effect, again=effect.head, status="unknown")
    absent(story, effect)
    call(story, effect)
    story.intent(effect, again=effect.head, status="unknown")
    yield (
        "recovery-generations",
        story.case("the lost tail may have repeated it: the first intent of each generation pays [REC-4]", "recovery"),
    )


def planned() -> Cases:
    story, effect = started()
    note = story.note()
    story.recover(log_key=NEXT_LOG, amnesia=False, checkpoint=note)
    story.outcome(effect)
    yield "recovery-planned", story.case("another log key without amnesia: nothing is forgotten [REC-1]", "recovery")
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.release(effect)
    zero = story.state(effect.resource)
    other = story.effect(customer="cus_2")
    story.recover(amnesia=False, checkpoint=story.note())
    assert story.state(effect.resource) == zero
    story.intent(effect)
    story.intent(other)
    yield "recovery-states", story.case("S goes on; S_0 is of the log id in force [ID-3]", "recovery")


def after_planned() -> Cases:
    """What a recovery stands in the way of is so after one with amnesia alone."""

    def planned_after(story: Story) -> None:
        story.recover(amnesia=False, checkpoint=story.note())

    story, effect = unknown()
    planned_after(story)
    story.redrive(effect)
    yield "recovery-planned-redrive", story.case("what was sent is known: it is re-driven [EFF-10] [REC-6]", "recovery")
    story, effect = unknown()
    planned_after(story)
    absent(story, effect, "key_burnt")
    yield "recovery-planned-key-burnt", story.case("a burnt key proves what it did before [PRF-4] [REC-6]", "recovery")
    story = Story(grants=())
    story.grant("agent", AGENT, EVERYTHING)
    planned_after(story)
    story.contract(SECOND)
    story.intent(story.effect())
    yield "recovery-planned-retired", story.case("there is no lost tail to hold the retired key [REC-7]", "recovery")


def after_recovery() -> Cases:
    story, effect = started()
    story.recover()
    story.outcome(effect, void="recovery-open")
    story.outcome(effect, "not_committed", void="recovery-open")
    story.outcome(effect, "unknown")
    yield "recovery-outcome", story.case("an executor's word settles nothing [REC-6]", "recovery")
    story, effect = unknown(Story(contract=charge(void="cancel")))
    story.recover()
    story.resolution(effect, "void", void="recovery-open")
    absent(story, effect, "key_burnt", void="recovery-open")
    yield "recovery-void", story.case("nor does a void or a burnt key [REC-6]", "recovery")
    partial: Map = {"operation": "search", "tag": "t", "complete": False, "lag_ms": 0}
    story, effect = unknown(Story(contract=charge(provider_key=None, read_back=partial)))
    absent(story, effect, "key_burnt", void="absence-unprovable")
    story.recover()
    story.resolution(effect, "no_answer", void="evidence-invalid")
    story.resolution(effect, "void", void="recovery-open")
    absent(story, effect, "key_burnt", void="recovery-open")
    absent(story, effect, void="absence-unprovable")
    yield (
        "recovery-order",
        story.case("the kind, the recovery, then the read [PRF-4] [REC-6]", "recovery"),
    )
    story, effect = unknown()
    story.recover()
    story.redrive(effect, void="redrive-unsafe")
    yield "recovery-redrive", story.case("nobody knows what was sent: no re-drive [REC-6]", "recovery")
    story, effect = unknown()
    tick = settle(story)
    story.recover()
    story.wait(1)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "recovery-read-before", story.case("a read begun before it [REC-6]", "recovery")
    story, effect = unknown()
    story.recover()
    story.wait(1)
    tick = story.wait(D + Q - 1)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "recovery-read-early", story.case("a millisecond before D + Q has passed since it [REC-6]", "recovery")
    story, effect = claimed()
    story.recover()
    story.start(effect, void="transition-invalid")
    story.release(effect, void="transition-invalid")
    yield "recovery-claimed", story.case("a claim of before is no claim any more [REC-3]", "recovery")
    story = Story()
    old = story.log_id
    effect = story.effect()
    story.recover()
    story.intent(effect, log=old, void="log-mismatch")
    story.tick(story.now + 1)
    yield "recovery-old-log", story.case("an event of the log before it [GOV-3]", "recovery")
    story = Story()
    story.recover(log_key=NEXT_LOG)
    story.put(story.body("tick", {"time_ms": story.now, "covers": 0, "map": None}, LOG), LOG, void="grant-missing")
    yield "recovery-old-log-key", story.case("a tick by the log key before it [TIME-1]", "recovery")


def swear(
    story: Story, scope: Map, by: Key = ATTESTOR, *, void: str | None = None, recovery: bytes | None = None
) -> None:
    data: Map = {"scope": scope, "recovery": recovery or story.log_id, "reason": "the queue was empty that day"}
    story.govern("oath", data, by, void=void)


def oaths() -> Cases:
    story = Story(also=ATTESTED)
    story.recover()
    swear(story, CHARGES)
    effect = story.effect()
    call(story, effect)
    yield (
        "oath",
        story.case("the lost tail did not touch these keys: the normal rules hold [REC-2] [REC-4]", "recovery"),
    )
    story, effect = started(Story(also=ATTESTED))
    story.recover()
    swear(story, CHARGES)
    story.outcome(effect, void="recovery-open")
    yield "oath-open", story.case("a status that is unknown already stays [REC-2]", "recovery")
    story = Story(also=ATTESTED)
    story.recover()
    effect, other = story.effect(), story.effect(customer="cus_2")
    story.intent(effect, status="unknown")
    swear(story, CHARGES)
    story.intent(other)
    yield "oath-from-next-leaf", story.case("from the next leaf on [REC-2]", "recovery")
    story = Story(grants=(("agent", AGENT),))
    story.grant("attestor", ATTESTOR, EVERYTHING)
    story.recover()
    swear(story, {**CHARGES, "prefix": "stripe:acct_2/"})
    effect = story.effect()
    story.intent(effect, status="unknown")
    yield "oath-elsewhere", story.case("an oath about other resources [REC-4]", "recovery")
    story = Story(grants=(("agent", AGENT), ("attestor", ATTESTOR)))
    story.recover()
    first = story.log_id
    story.recover(origin=f"{ORIGIN}.e2")
    swear(story, CHARGES, recovery=first)
    effect = story.effect()
    story.intent(effect, status="unknown")
    yield "oath-first-of-two", story.case("an oath about one of two recoveries [REC-4]", "recovery")
    story = Story(also=ATTESTED)
    story.recover()
    swear(story, CHARGES, ADMIN, void="grant-missing")
    swear(story, EVERYTHING, void="grant-missing")
    swear(story, {**CHARGES, "prefix": "stripe:"}, void="form-invalid")
    yield "oath-scope", story.case("by an admin, or about more than its key may attest [GOV-2]", "recovery")
    story = Story(also=(*ATTESTED, *REPEATED))
    story.recover()
    swear(story, CHARGES)
    effect = story.effect()
    for again in (False, True, True):
        story.intent(effect, again=effect.head if again else None)
        story.start(effect)
        story.outcome(effect)
    yield "oath-generations", story.case("it covers every generation [REC-4] [REC-5]", "recovery")
    story = Story(also=ATTESTED)
    swear(story, CHARGES, void="recovery-unknown")
    yield "oath-no-recovery", story.case("about what is no recovery [REC-2]", "recovery")
    story = Story(also=ATTESTED)
    story.recover(amnesia=False, checkpoint=story.note())
    swear(story, CHARGES, void="recovery-unknown")
    yield "oath-planned", story.case("about a recovery that forgot nothing [REC-2]", "recovery")


def oaths_relied_on() -> Cases:
    story, effect = unknown(Story(also=ATTESTED))
    absent(story, effect)
    story.recover()
    swear(story, CHARGES)
    call(story, effect)
    yield "oath-relied", story.case("a second attempt that it lets through relies on it [PRF-9]", "recovery")
    story = Story(also=(*ATTESTED, *REPEATED))
    effect, other = story.effect(), story.effect(order="790")
    call(story, effect)
    story.recover()
    story.wait(1)
    story.intent(other, status="unknown")
    swear(story, CHARGES)
    absent(story, other)
    call(story, other)
    yield (
        "oath-not-relied",
        story.case("settled before, or looked at since: neither relies on it [PRF-9]", "recovery"),
    )
    story.intent(effect, again=effect.head)
    story.release(effect)
    yield "oath-given-back", story.case("nor what settled before a claim that was given back [PRF-9]", "recovery")
    story = Story(also=(*ATTESTED, *REPEATED))
    story.recover()
    effect = story.effect()
    story.intent(effect, status="unknown")
    story.resolution(effect)
    swear(story, CHARGES)
    call(story, effect)
    yield "oath-again", story.case("a repeat that it lets through relies on it [PRF-9] [REC-4]", "recovery")


def retired_classes() -> Cases:
    covered: Map = {"effect_class": "*", "prefix": CHARGES["prefix"]}

    def recovered(*, retired_first: bool = False) -> Story:
        story = Story(grants=())
        for role, key in (("agent", AGENT), ("reconciler", RECONCILER), ("attestor", ATTESTOR)):
            story.grant(role, key, EVERYTHING)
        if retired_first:
            story.contract(SECOND)
        story.recover()
        if not retired_first:
            story.contract(SECOND)
        return story

    story = recovered()
    story.intent(story.effect(), void="predecessor-open")
    yield (
        "recovery-retired-class",
        story.case(
            "the lost tail may hold the retired class's effect, whose key takes no intent now [REC-7]", "recovery"
        ),
    )
    story = recovered()
    swear(story, covered)
    story.intent(story.effect())
    yield "recovery-retired-oath", story.case("an oath covers the retired class's key [REC-7] [REC-5]", "recovery")
    story = recovered()
    swear(story, {**covered, "effect_class": "money.charge/2"})
    story.intent(story.effect(), void="predecessor-open")
    yield "recovery-retired-oath-other", story.case("an oath about the new class alone [REC-7]", "recovery")
    story = recovered(retired_first=True)
    story.intent(story.effect(), status="unknown")
    yield "recovery-retired-before", story.case("the lost tail held no intent of the class [REC-7]", "recovery")
    story = Story(grants=())
    story.grant("agent", AGENT, EVERYTHING)
    story.grant("reconciler", RECONCILER, EVERYTHING)
    effect = story.effect()
    story.recover()
    story.intent(effect, status="unknown")
    story.wait(1)
    absent(story, effect)
    story.contract(SECOND)
    story.intent(story.effect(), status="unknown")
    yield "recovery-retired-settled", story.case("settled since the recovery, then retired [REC-7]", "recovery")


def bad_recoveries() -> Cases:
    faults: dict[str, tuple[str, Map]] = {
        "size": ("another size than its own leaf index", {"size": 6}),
        "root": ("another root than that of the leaves before it", {"root": bytes(32)}),
        "old-origin": ("it names another log", {"old_origin": "example.com/other"}),
        "log-key": ("a log key of small order [KEY-1]", {"log_key": bytes(31) + b"\x80"}),
        "no-checkpoint": ("without amnesia the old key's checkpoint is wanted", {"amnesia": False}),
    }
    for name, (comment, changed) in faults.items():
        story = Story()
        story.govern("recovery", story.recovery(**changed), void="recovery-invalid")
        yield f"recovery-bad-{name}", story.case(f"{comment} [REC-1]", "recovery")
    for name, origin in (("same-origin", ORIGIN), ("no-name", "example.com/the log")):
        story = Story()
        story.govern("recovery", story.recovery(origin=origin), void="recovery-invalid")
        yield f"recovery-bad-{name}", story.case("no new name [REC-1] [KEY-4]", "recovery")
    story = Story()
    story.recover()
    story.govern("recovery", story.recovery(origin=ORIGIN), void="recovery-invalid")
    story.recover(origin=f"{ORIGIN}.e2")
    yield "recovery-bad-old-name", story.case("a name that the log has had before [REC-1]", "recovery")
    story = Story()
    note = story.note()
    story.wait(1)
    story.govern("recovery", story.recovery(amnesia=False, checkpoint=note), void="recovery-invalid")
    yield "recovery-bad-prefix", story.case("without amnesia, and a checkpoint of fewer leaves [REC-1]", "recovery")
    story = Story()
    note = wire.note(ORIGIN, story.next, story.root, NEXT_LOG)
    story.govern("recovery", story.recovery(amnesia=False, checkpoint=note), void="recovery-invalid")
    yield "recovery-bad-signer", story.case("without amnesia, and a checkpoint by another key [REC-1]", "recovery")
    story = Story()
    story.govern("recovery", story.recovery(), RECONCILER, void="grant-missing")
    yield "recovery-bad-issuer", story.case("by no admin [GOV-2]", "recovery")
