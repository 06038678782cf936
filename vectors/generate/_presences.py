"""Logs in which the provider's objects are seen, whatever the log said before."""

from vectors.generate._lives import REPEATED, call, charge, started, unknown
from vectors.generate._sample import EVERYTHING, evidence
from vectors.generate._story import Cases, Story
from vectors.generate._wire import AGENT, RECONCILER


def cases() -> Cases:
    yield from presences()
    yield from contradictions()
    yield from generations()
    yield from objects()


def presences() -> Cases:
    story = Story()
    effect = story.effect()
    story.resolution(effect)
    yield "presence-never-seen", story.case("a key that this log has never seen [EFF-12] [EFF-15]", "presence")
    story, effect = unknown()
    story.resolution(effect, of=effect.parts)
    yield "presence-named-twice", story.case("an intent has said what it is, and this says so too [EFF-15]", "presence")
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.resolution(effect)
    yield "presence-claimed", story.case("over an open claim: what happened is recorded [EFF-12] [EFF-6]", "presence")
    story, effect = started()
    story.resolution(effect)
    yield "presence-started", story.case("before the outcome", "presence")
    story, effect = unknown()
    story.resolution(effect, "response", AGENT, grade="E0")
    yield (
        "presence-by-starter",
        story.case("by START's key, which is no reconciler: an executor's word [PRF-8]", "presence"),
    )
    story = Story(grants=())
    story.grant("reconciler", RECONCILER, EVERYTHING)
    for letter, resource in (("a", "b"), ("b", "aa"), ("c", "a"), ("d", "\U00010151"), ("e", "\uffe0")):
        story.contract(charge(name=letter, effect_class=f"{letter}/1", resource=resource, purpose="order"))
        story.resolution(story.effect())
    yield "presence-order", story.case("resources by their UTF-8 bytes, a shorter prefix first [RPL-7]", "presence")


def contradictions() -> Cases:
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.resolution(effect, finds=("contradiction",))
    yield "presence-contradiction", story.case("it happened after all, and the log says so [EFF-12]", "presence")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.intent(effect)
    story.resolution(effect, finds=("contradiction",))
    comment = "and the next attempt is claimed, which has sent nothing: it contradicts the one before [EFF-12]"
    yield "presence-contradiction-claimed", story.case(comment, "presence")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.intent(effect)
    story.start(effect)
    story.resolution(effect)
    yield (
        "presence-after-start",
        story.case("and the next attempt is sent: it may be either's [EFF-12]", "presence"),
    )


def generations() -> Cases:
    story, effect = started()
    story.outcome(effect)
    story.resolution(effect)
    yield "presence-again", story.case("seen once more: the head moves, and nothing else [EFF-12]", "presence")
    story, effect = started()
    story.outcome(effect)
    story.resolution(effect, generation=3)
    yield (
        "presence-above",
        story.case("a generation above the committed one commits, attempts stay [EFF-12]", "presence"),
    )
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.intent(effect, again=effect.head)
    story.resolution(effect, generation=1)
    story.start(effect)
    yield "presence-below", story.case("generation 1 seen while generation 2 is claimed: nothing moves", "presence")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    call(story, effect, "not_committed")
    story.resolution(effect, generation=1)
    yield (
        "presence-below-failed",
        story.case("generation 1 seen when generation 2 has failed: it contradicts nothing [EFF-12]", "presence"),
    )


def objects() -> Cases:
    story, effect = started()
    story.outcome(effect)
    story.resolution(effect, reference="pi_2", finds=("duplicate-effect",))
    yield "presence-second-object", story.case("a second object under one tag", "presence")
    story, effect = started()
    story.outcome(effect, evidence=evidence("response", reference=None))
    story.resolution(effect)
    story.resolution(effect, reference="pi_2")
    yield "presence-unnamed-object", story.case("what committed it named no object to be second to", "presence")
    for name, reference, other in (("same", "pi_1", "req_9"), ("second", "pi_2", None)):
        story, effect = started(Story(also=REPEATED))
        story.outcome(effect)
        story.intent(effect, again=effect.head)
        story.start(effect)
        declined = evidence("definite_failure", failure="card_declined", reference=other)
        story.outcome(effect, "not_committed", "definite_failure", evidence=declined)
        finds = ("duplicate-effect",) if name == "second" else ()
        story.resolution(effect, generation=1, reference=reference, finds=finds)
        comment = f"generation 1's {name} object, seen after a repeat that was declined"
        yield f"presence-{name}-object-later", story.case(comment, "presence")
