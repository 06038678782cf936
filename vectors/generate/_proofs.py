"""Logs with a resolution that does not prove what it says, or with a recovery, after which less counts as proof."""

from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._intents import SECOND, claimed
from vectors.generate._lives import ATTESTED, REPEATED, WEBHOOK, absent, charge, settle, started, unknown
from vectors.generate._sample import CHARGE, EVERYTHING, evidence
from vectors.generate._story import CHARGES, Cases, D, Q, Story
from vectors.generate._wire import (
    ADMIN,
    AGENT,
    ATTESTOR,
    EXECUTOR,
    LOG,
    NEXT_LOG,
    ORIGIN,
    RECONCILER,
    SECOND_RECONCILER,
    Given,
    Key,
    Map,
)

READERS = (("reconciler", SECOND_RECONCILER),)


def cases() -> Cases:
    yield from presences()
    yield from absences()
    yield from reads()
    yield from observations()
    yield from recoveries()
    yield from after_recovery()
    yield from oaths()
    yield from retired_classes()
    yield from bad_recoveries()


def presences() -> Cases:
    for kind in ("absence", "no_answer", "void", "definite_failure"):
        story, effect = unknown()
        story.resolution(effect, kind, presence="present", void="evidence-invalid")
        yield f"present-{kind.replace('_', '-')}", story.case("this shows no presence [PRF-1]", "proof")
    for kind in ("tag_seen", "response", "never_sent", "stored_failure"):
        story, effect = unknown()
        story.resolution(effect, kind, presence="absent", void="evidence-invalid")
        yield f"absent-{kind.replace('_', '-')}", story.case("this shows no absence [PRF-4]", "proof")

    story, effect = unknown()
    story.resolution(effect, "webhook", presence="present", void="evidence-invalid")
    yield "present-webhook", story.case("a message under a contract without webhooks", "proof")
    for name, said in (("ok", "present"), ("absent", "absent")):
        story, effect = unknown(Story(also=READERS))
        by = (RECONCILER, SECOND_RECONCILER)
        seen = sorted(observe(story, effect, key, story.log_id, kind="tag_seen", presence=said) for key in by)
        if name == "ok":
            story.resolution(effect, observations=seen, grade="E2")
        else:
            story.resolution(effect, observations=seen, void="observation-invalid")
        yield f"present-observed-{name}", story.case("what two readers say they saw [PRF-8]", "proof")


def absences() -> Cases:
    story, effect = unknown()
    story.resolution(effect, "void", void="evidence-invalid")
    yield "absent-void-unknown", story.case("a void under a contract that knows none [PRF-4]", "proof")
    story, effect = unknown()
    story.resolution(effect, "abort", void="evidence-invalid")
    yield "absent-abort", story.case("an abort without transactions [PRF-4]", "proof")
    story, effect = unknown(Story(contract=charge(observability="transactional")))
    story.resolution(effect, "abort")
    yield "absent-abort-ok", story.case("an abort with them needs no waiting [PRF-4]", "life")
    story, effect = unknown()
    story.resolution(effect, "webhook", void="evidence-invalid")
    yield "absent-webhook-unknown", story.case("a message under a contract without webhooks [PRF-4]", "proof")
    listed: Map = {**WEBHOOK, "negative": ["charge.expired"]}
    webhook = charge(observability="webhook-confirmable", webhook=listed)
    story, effect = unknown(Story(contract=webhook))
    story.resolution(effect, "webhook", void="evidence-invalid")
    yield "absent-webhook-unlisted", story.case("a message that is not listed as negative [PRF-4]", "proof")
    story, effect = unknown(Story(contract=charge(provider_key=None)))
    absent(story, effect, "key_burnt", void="evidence-invalid")
    yield "absent-key-burnt-no-key", story.case("a burnt key where there is none [PRF-4]", "proof")
    partial: Map = {"operation": "search", "tag": "t", "complete": False, "lag_ms": 0}
    lagging: Map = {"operation": "search", "tag": "t", "complete": True, "lag_ms": 1}
    for name, read_back in (("partial", partial), ("lagging", lagging)):
        story, effect = unknown(Story(contract=charge(read_back=read_back)))
        absent(story, effect, void="absence-unprovable")
        yield f"absent-{name}", story.case(f"a {name} read proves presence only [PRF-6] [CTR-8]", "proof")
    story, effect = unknown()
    absent(story, effect, generation=2, void="evidence-invalid")
    yield "absent-generation", story.case("of another generation", "proof")
    story = Story()
    story.contract(charge(name="other"))
    story.contract_data = CHARGE
    story, effect = unknown(story)
    absent(story, effect, contract_id=wire.named("contract", charge(name="other")), void="evidence-invalid")
    yield "absent-contract", story.case("under another contract than the claim's", "proof")


def reads() -> Cases:
    story, effect = unknown()
    settle(story)
    story.resolution(effect, "absence", void="tick-unknown")
    yield "read-no-tick", story.case("a read that names no tick [PRF-5]", "proof")
    story, effect = unknown()
    settle(story)
    story.resolution(effect, "absence", tick=effect.start, void="tick-unknown")
    yield "read-other-event", story.case("it names a START as its tick [PRF-5]", "proof")
    story, effect = unknown()
    settle(story)
    story.resolution(effect, "absence", tick=wire.plain(b"x"), void="tick-unknown")
    yield "read-unknown-tick", story.case("a tick that is not here [PRF-5]", "proof")
    story, effect = unknown()
    story.wait(1)
    forged = story.put(
        story.body("tick", {"time_ms": story.now + D + Q, "covers": 0, "map": None}, AGENT), AGENT, void="grant-missing"
    )
    story.resolution(effect, "absence", tick=forged, void="tick-unknown")
    yield "read-void-tick", story.case("a tick that is void [PRF-5] [RPL-4] [TIME-1]", "proof", "resting")
    story, effect = unknown()
    story.wait(1)
    tick = story.wait(D + Q - 1)
    story.wait(D + Q)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "read-early", story.case("begun a millisecond before D + Q had passed [PRF-5]", "proof")
    story, effect = unknown()
    tick = story.wait(D + Q)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "read-from-lo", story.case("D + Q after the tick before START: believed too early [TIME-3]", "proof")
    story, effect = unknown()
    tick = settle(story)
    story.redrive(effect)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "read-before-redrive", story.case("begun before the last send [EFF-10] [PRF-5]", "proof")
    story, effect = unknown()
    story.wait(1)
    story.redrive(effect)
    tick = story.wait(D + Q)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "read-redriven-no-tick", story.case("D + Q counts from the first tick after the re-drive [PRF-5]", "proof")
    story, effect = unknown()
    story.wait(1)
    late = story.wait(D + Q)
    back = story.tick(story.now - 1000, finds=("tick-backwards",))
    story.resolution(effect, "absence", tick=back)
    assert late != back
    yield (
        "read-tick-backwards",
        story.case("a tick that goes back counts as the one before it [TIME-2]", "proof", "life"),
    )


def reading() -> tuple[Story, Effect, bytes]:
    """Return a story in which two readers are asked for, and the tick that they may begin after."""
    story, effect = unknown(Story(contract=charge(reconcilers=2), also=READERS))
    return story, effect, settle(story)


def observe(
    story: Story, effect: Effect, by: Key, tick: bytes, *, kind: str = "absence", presence: str = "absent"
) -> bytes:
    read = evidence(kind, tick=tick)
    return story.about(effect, "observation", effect.start or story.log_id, by, evidence=read, presence=presence)


def observations() -> Cases:
    story, effect, tick = reading()
    story.resolution(effect, "absence", tick=tick, void="observations-missing")
    yield "observed-none", story.case("two are asked for, none is listed [PRF-7]", "proof")
    story, effect, tick = reading()
    listed = sorted(observe(story, effect, RECONCILER, tick) for _ in range(2))
    story.resolution(effect, "absence", observations=listed, void="observations-missing")
    yield "observed-same-key", story.case("two by one key count as one [PRF-7]", "proof")
    faults: dict[str, tuple[str, Given]] = {
        "present": ("one of them saw it", {"presence": "present"}),
        "unclear": ("one of them could not say", {"presence": "unclear"}),
        "no-read": ("one of them is no read", {"kind": "no_answer"}),
    }
    for name, (comment, changed) in faults.items():
        story, effect, tick = reading()
        first = observe(story, effect, RECONCILER, tick)
        listed = sorted((first, observe(story, effect, SECOND_RECONCILER, tick, **changed)))
        story.resolution(effect, "absence", observations=listed, void="observation-invalid")
        yield f"observed-{name}", story.case(f"{comment} [PRF-7]", "proof")
    story, effect, tick = reading()
    listed = sorted((observe(story, effect, RECONCILER, tick), observe(story, effect, AGENT, tick)))
    story.resolution(effect, "absence", observations=listed, void="observation-invalid")
    yield "observed-by-executor", story.case("the executor's own [PRF-7]", "proof")
    executor = (*READERS, ("executor", EXECUTOR))
    story, effect = unknown(Story(contract=charge(reconcilers=2), also=executor))
    tick = settle(story)
    listed = sorted((observe(story, effect, RECONCILER, tick), observe(story, effect, EXECUTOR, tick)))
    story.resolution(effect, "absence", observations=listed, void="observation-invalid")
    yield "observed-by-no-reconciler", story.case("by a key that is no reconciler [PRF-7]", "proof")
    story, effect, tick = reading()
    other = story.effect(order="790")
    listed = sorted((observe(story, effect, RECONCILER, tick), observe(story, other, SECOND_RECONCILER, tick)))
    story.resolution(effect, "absence", observations=listed, void="observation-invalid")
    yield "observed-other-effect", story.case("of another effect [PRF-7]", "proof")
    story, effect, tick = reading()
    listed = sorted((observe(story, effect, RECONCILER, tick), story.about(effect, "note", tick)))
    story.resolution(effect, "absence", observations=listed, void="observation-invalid")
    yield "observed-note", story.case("a note is no observation [PRF-7]", "proof")
    yield from late_observations()


def late_observations() -> Cases:
    story, effect, tick = reading()
    story.revoke(key=SECOND_RECONCILER.public)
    read = evidence("absence", tick=tick)
    void = story.about(effect, "observation", tick, SECOND_RECONCILER, evidence=read, void="grant-missing")
    listed = sorted((observe(story, effect, RECONCILER, tick), void))
    story.resolution(effect, "absence", observations=listed, void="observation-invalid")
    yield "observed-void", story.case("a void observation is none [RPL-4] [PRF-7]", "proof", "resting")
    story, effect, tick = reading()
    listed = sorted(observe(story, effect, by, tick) for by in (RECONCILER, SECOND_RECONCILER))
    story.revoke(key=SECOND_RECONCILER.public)
    story.resolution(effect, "absence", observations=listed, void="observation-invalid")
    yield "observed-revoked", story.case("its key's grant has ended since [PRF-7]", "proof")
    story, effect, tick = reading()
    early = story.leaves[1].id
    listed = sorted((observe(story, effect, RECONCILER, tick), observe(story, effect, SECOND_RECONCILER, early)))
    story.resolution(effect, "absence", observations=listed, void="too-early")
    yield "observed-early", story.case("one of them began too early [PRF-5] [PRF-7]", "proof")


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
    yield "recovery-second-intent", story.case("left by an absence, it follows the normal rules [REC-5]", "recovery")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.recover()
    story.intent(effect, again=effect.head, status="unknown")
    yield "recovery-again", story.case("a repeat after it goes to unknown too [REC-4]", "recovery")
    story, effect = started()
    story.recover()
    story.wait(1)
    absent(story, effect)
    yield "recovery-absent", story.case("D + Q since the recovery, then a read [REC-5]", "recovery")
    story, effect = started()
    story.recover()
    story.resolution(effect)
    yield "recovery-present", story.case("presence is stable [REC-5]", "recovery")
    story, effect = started(Story(also=ATTESTED))
    story.recover()
    settle(story)
    story.attest(effect)
    yield "recovery-attested", story.case("a person's word [REC-5]", "recovery")
    story, effect = started(Story(also=REPEATED))
    story.recover()
    story.resolution(effect)
    story.intent(effect, again=effect.head, status="unknown")
    absent(story, effect)
    story.intent(effect)
    story.start(effect)
    story.outcome(effect)
    story.intent(effect, again=effect.head, status="unknown")
    yield (
        "recovery-generations",
        story.case("the lost tail may have repeated it: the first intent of each generation pays [REC-4]", "recovery"),
    )
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
    yield from planned()


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


def after_recovery() -> Cases:
    story, effect = started()
    story.recover()
    story.outcome(effect, void="recovery-open")
    story.outcome(effect, "not_committed", void="recovery-open")
    story.outcome(effect, "unknown")
    yield "recovery-outcome", story.case("an executor's word settles nothing [REC-5]", "recovery")
    story, effect = unknown(Story(contract=charge(void="cancel")))
    story.recover()
    story.resolution(effect, "void", void="recovery-open")
    absent(story, effect, "key_burnt", void="recovery-open")
    yield "recovery-void", story.case("nor does a void or a burnt key [REC-5]", "recovery")
    story, effect = unknown()
    story.recover()
    story.redrive(effect, void="redrive-unsafe")
    yield "recovery-redrive", story.case("nobody knows what was sent: no re-drive [REC-5]", "recovery")
    story, effect = unknown()
    tick = settle(story)
    story.recover()
    story.wait(1)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "recovery-read-before", story.case("a read begun before it [REC-5]", "recovery")
    story, effect = unknown()
    story.recover()
    story.wait(1)
    tick = story.wait(D + Q - 1)
    story.resolution(effect, "absence", tick=tick, void="too-early")
    yield "recovery-read-early", story.case("a millisecond before D + Q has passed since it [REC-5]", "recovery")
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
    story.intent(effect)
    story.start(effect)
    story.outcome(effect)
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
