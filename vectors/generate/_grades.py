"""Logs whose point is how good the proof is: who says it, and which observations are listed and count."""

from vectors.generate._effect import Effect
from vectors.generate._lives import ATTESTED, REPEATED, WEBHOOK, absent, call, charge, settle, started, unknown
from vectors.generate._proofs import READERS, observe
from vectors.generate._story import Cases, Story
from vectors.generate._wire import AGENT, RECONCILER, SECOND_RECONCILER, Given, Key, Map

BOTH = (RECONCILER, SECOND_RECONCILER)
OWN = (*READERS, ("reconciler", AGENT))
VOIDABLE: Map = {"void": "cancel"}
CONFIRMABLE: Map = {"observability": "webhook-confirmable", "webhook": WEBHOOK}
UNKEYED: Map = {"provider_key": None}


def cases() -> Cases:
    yield from own_words()
    yield from sightings()
    yield from absences()
    yield from listed_in_vain()
    yield from earlier_attempts()
    yield from earlier_generations()
    yield from by_what_stood()


def own_words() -> Cases:
    """What the key of a START says of its own send is the executor's word, whatever it calls it."""
    story, effect = unknown()
    story.resolution(effect, "tag_seen", AGENT, grade="E0")
    yield "grade-seen-by-starter", story.case("our tag, seen by START's key [PRF-8] [PRF-9]", "grade")
    story, effect = unknown(Story(also=OWN))
    story.resolution(effect, "absence", AGENT, tick=settle(story), grade="E0")
    yield "grade-absent-by-starter", story.case("an absence, read by START's key [PRF-8] [PRF-9]", "grade")
    story, effect = started()
    story.outcome(effect, "not_committed", "never_sent")
    story.intent(effect)
    story.resolution(effect, "tag_seen", AGENT, grade="E0", finds=("contradiction",))
    yield "grade-seen-by-earlier-starter", story.case("by the key of an earlier START [PRF-8]", "grade")
    story, effect = unknown(Story(also=READERS))
    story.resolution(effect, "tag_seen", AGENT, observations=seen(story, effect, *BOTH), grade="E2")
    yield "grade-starter-lists", story.case("START's key lists what two readers saw [PRF-8]", "grade")
    story, effect = unknown(Story(also=READERS))
    story.resolution(effect, "tag_seen", AGENT, observations=seen(story, effect, RECONCILER), grade="E0")
    yield "grade-starter-lists-one", story.case("START's key lists what one reader saw [PRF-8]", "grade")


def seen(story: Story, effect: Effect, *readers: Key, **said: str) -> list[bytes]:
    told: Given = {"kind": "tag_seen", "presence": "present", **said}
    return sorted(observe(story, effect, by, story.log_id, **told) for by in readers)


def sightings() -> Cases:
    story, effect = unknown(Story(also=READERS))
    story.resolution(effect, observations=seen(story, effect, RECONCILER))
    yield "grade-one-sighting", story.case("one reader's is one reader's [PRF-8]", "grade")
    story, effect = unknown(Story(also=READERS, contract=charge(reconcilers=3)))
    story.resolution(effect, observations=seen(story, effect, *BOTH))
    yield "grade-two-of-three", story.case("two readers where three are asked for [PRF-8]", "grade")
    void: Given = {"void": "observation-invalid"}
    story, effect = unknown(Story(also=OWN))
    story.resolution(effect, observations=seen(story, effect, RECONCILER, AGENT), **void)
    yield "grade-lists-executor", story.case("a sighting by START's key is listed [PRF-7]", "proof")
    for kind in ("webhook", "no_answer", "response"):
        story, effect = unknown(Story(also=READERS))
        story.resolution(effect, observations=seen(story, effect, *BOTH, kind=kind), **void)
        yield f"grade-lists-{kind.replace('_', '-')}", story.case("no sighting of our tag is listed [PRF-7]", "proof")


def absences() -> Cases:
    """One reader is asked for, and more are listed: each is checked all the same."""
    story, effect = unknown(Story(also=READERS))
    tick = settle(story)
    listed = sorted(observe(story, effect, by, tick) for by in BOTH)
    story.resolution(effect, "absence", tick=tick, observations=listed, grade="E2")
    yield "grade-absent-listed", story.case("two where one is asked for [PRF-7] [PRF-8]", "grade")
    story, effect = unknown(Story(also=READERS))
    tick = settle(story)
    listed = [observe(story, effect, SECOND_RECONCILER, story.leaves[1].id)]
    story.resolution(effect, "absence", tick=tick, observations=listed, void="too-early")
    yield "grade-absent-early", story.case("a read that began too early is listed beside a good one [PRF-7]", "proof")
    story, effect = unknown(Story(also=READERS))
    tick = settle(story)
    listed = [observe(story, effect, SECOND_RECONCILER, tick)]
    story.resolution(effect, "absence", observations=listed, void="tick-unknown")
    yield "grade-absent-no-own", story.case("of one reader the resolution is the read [PRF-7]", "proof")
    story, effect = unknown(Story(also=OWN))
    tick = settle(story)
    listed = [observe(story, effect, AGENT, tick)]
    story.resolution(effect, "absence", tick=tick, observations=listed, void="observation-invalid")
    yield "grade-absent-executor", story.case("a read by START's key is listed [PRF-7]", "proof")
    story, effect = unknown(Story(also=READERS))
    tick = settle(story)
    listed = [story.about(effect, "note", tick)]
    story.resolution(effect, "absence", tick=tick, observations=listed, void="observation-invalid")
    yield "grade-absent-note", story.case("a note is listed where one reader is asked for [PRF-7]", "proof")


def listed_in_vain() -> Cases:
    """Evidence that no observation can carry lists none, so that none is counted."""
    promises: dict[str, Map] = {
        "void": VOIDABLE,
        "abort": {"observability": "transactional"},
        "webhook": CONFIRMABLE,
    }
    for kind, promise in promises.items():
        story, effect = unknown(Story(also=READERS, contract=charge(**promise)))
        tick = settle(story)
        listed = sorted(observe(story, effect, by, tick) for by in BOTH)
        story.resolution(effect, kind, observations=listed, void="observation-invalid")
        yield f"grade-{kind}-lists", story.case(f"a {kind} that lists reads [PRF-7]", "proof")
    for kind in ("response", "webhook"):
        story, effect = unknown(Story(also=READERS, contract=charge(**CONFIRMABLE)))
        listed = seen(story, effect, *BOTH)
        story.resolution(effect, kind, presence="present", observations=listed, void="observation-invalid")
        yield f"grade-present-{kind}-lists", story.case(f"a {kind} that lists sightings [PRF-7]", "proof")


def attested(status: str = "not_committed") -> tuple[Story, Effect]:
    """Return a story in which a person said what became of the first attempt."""
    story, effect = unknown(Story(also=(*ATTESTED, *REPEATED), contract=charge(**UNKEYED)))
    settle(story)
    story.attest(effect, status)
    return story, effect


def earlier_attempts() -> Cases:
    """What is said of an effect rests on how each of its attempts was closed."""
    story, effect = attested()
    call(story, effect, "not_committed", "definite_failure")
    yield "relies-attested-failed", story.case("a person's word of the first, an answer to the second [PRF-9]", "grade")
    story, effect = attested()
    call(story, effect)
    yield "relies-attested-committed", story.case("it happened once if the first did not happen [PRF-9]", "grade")
    story, effect = unknown(Story(contract=charge(**UNKEYED)))
    absent(story, effect)
    call(story, effect)
    yield "relies-absent-committed", story.case("a read of the first, the second committed [PRF-9]", "grade")
    webhook = charge(**UNKEYED, **CONFIRMABLE)
    story, effect = unknown(Story(contract=webhook, also=ATTESTED))
    story.resolution(effect, "webhook")
    call(story, effect, "unknown")
    settle(story)
    story.attest(effect, "not_committed")
    call(story, effect)
    yield "relies-three", story.case("three attempts, each with words of its own [PRF-9]", "grade")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.contract(charge(version=2, **UNKEYED))
    effect.contract = story.contract_data
    call(story, effect)
    yield "relies-keyed-once", story.case("only the first attempt's contract had a key [PRF-9] [CTR-8]", "grade")
    story, effect = attested()
    story.intent(effect)
    story.release(effect)
    yield "relies-released", story.case("a claim that was given back adds nothing [PRF-9]", "grade")
    story, effect = attested()
    story.intent(effect)
    story.start(effect)
    yield "relies-open", story.case("while an attempt is open nothing is relied on [PRF-9]", "grade")
    story, effect = unknown(Story(contract=charge(**UNKEYED)))
    absent(story, effect)
    story.intent(effect)
    story.start(effect)
    story.resolution(effect)
    yield (
        "relies-seen-while-sent",
        story.case("whichever was seen: once, if the read was right [PRF-9]", "grade"),
    )
    story, effect = attested()
    call(story, effect, "not_committed", "definite_failure")
    story.resolution(effect, finds=("contradiction",))
    yield (
        "relies-contradicted",
        story.case("a presence contradicts the last closing, and leaves the first [PRF-9] [EFF-12]", "grade"),
    )
    story, effect = attested()
    call(story, effect, "not_committed", "definite_failure")
    story.intent(effect)
    story.resolution(effect, finds=("contradiction",))
    yield (
        "relies-contradicted-claimed",
        story.case("and so where the next attempt is claimed, and nothing of it sent [PRF-9] [EFF-12]", "grade"),
    )


def earlier_generations() -> Cases:
    story, effect = attested("committed")
    call(story, effect)
    yield "relies-again", story.case("generation 1 by a person's word, 2 by the executor's [PRF-9]", "grade")
    story, effect = attested()
    call(story, effect)
    call(story, effect, "not_committed", "never_sent")
    yield "relies-again-failed", story.case("generation 2 did not happen, 1 did: three attempts [PRF-9]", "grade")
    story, effect = attested()
    story.resolution(effect, generation=2)
    yield "relies-above", story.case("a higher generation seen: what closed the lower one stays [PRF-9]", "grade")


def by_what_stood() -> Cases:
    """An event is judged by the contract that it names, and by the STARTs before it."""
    story, effect = unknown()
    story.contract(charge(version=2, **UNKEYED))
    effect.contract = story.contract_data
    story.resolution(effect)
    yield (
        "relies-present-version",
        story.case("claimed under a contract with a key, seen under one without [PRF-9] [CTR-8]", "grade"),
    )
    story = Story(also=(*ATTESTED, *REPEATED, ("executor", RECONCILER)))
    effect = story.effect()
    story.resolution(effect)
    story.intent(effect, again=effect.head)
    story.start(effect, RECONCILER)
    story.outcome(effect, "unknown", by=RECONCILER)
    settle(story)
    story.attest(effect, "not_committed")
    yield "relies-later-starter", story.case("a reader is none the less for what it sends later [PRF-8]", "grade")
