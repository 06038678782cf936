"""Logs with a resolution that does not prove what it says."""

from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._lives import WEBHOOK, absent, charge, settle, unknown
from vectors.generate._sample import CHARGE, evidence
from vectors.generate._story import Cases, D, Q, Story
from vectors.generate._wire import (
    AGENT,
    EXECUTOR,
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
    story: Story, effect: Effect, by: Key, tick: bytes | None, *, kind: str = "absence", presence: str = "absent"
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
    yield from in_order()


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


def in_order() -> Cases:
    """Each one's key, kind and presence, then each one's read, then how many there are."""
    story, effect, tick = reading()
    own = observe(story, effect, AGENT, tick)
    story.resolution(effect, "absence", observations=[own], void="observation-invalid")
    yield "observed-one-bad", story.case("one where two are asked for, and the executor's own [PRF-7]", "proof")
    story, effect, _ = reading()
    unread = observe(story, effect, RECONCILER, None)
    story.resolution(effect, "absence", observations=[unread], void="tick-unknown")
    yield "observed-one-unread", story.case("one where two are asked for, and no read [PRF-5] [PRF-7]", "proof")
    story, effect, tick = reading()
    unread = observe(story, effect, RECONCILER, None)
    while (own := observe(story, effect, AGENT, tick)) < unread:
        pass
    story.resolution(effect, "absence", observations=[unread, own], void="observation-invalid")
    yield "observed-read-last", story.case("the first is no read, the second the executor's own [PRF-7]", "proof")
