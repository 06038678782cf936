"""Logs whose point is how good the proof is: who says it, and which observations are listed and count."""

from vectors.generate._effect import Effect
from vectors.generate._lives import WEBHOOK, charge, settle, started, unknown
from vectors.generate._proofs import READERS, observe
from vectors.generate._story import Cases, Story
from vectors.generate._wire import AGENT, RECONCILER, SECOND_RECONCILER, Given, Key, Map

BOTH = (RECONCILER, SECOND_RECONCILER)
OWN = (*READERS, ("reconciler", AGENT))
VOIDABLE: Map = {"void": "cancel"}
CONFIRMABLE: Map = {"observability": "webhook-confirmable", "webhook": WEBHOOK}


def cases() -> Cases:
    yield from own_words()
    yield from sightings()
    yield from absences()
    yield from listed_in_vain()


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
    story.resolution(effect, "tag_seen", AGENT, grade="E0", finds=())
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
