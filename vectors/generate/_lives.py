"""Logs in which everything stands: each way that an effect can go, from its claim to its end."""

from vectors.generate._effect import Effect
from vectors.generate._sample import ALLOW, ASK, CHARGE, policy, rule
from vectors.generate._story import APPROVAL_TTL, CHARGES, RETENTION, Cases, D, Q, Story
from vectors.generate._wire import (
    AGENT,
    APPROVER,
    ATTESTOR,
    EXECUTOR,
    RECONCILER,
    SECOND_AGENT,
    SECOND_APPROVER,
    SECOND_RECONCILER,
    TIME_MS_MAX,
    Given,
    Map,
    Value,
)

ATTESTED = (("attestor", ATTESTOR),)
REPEATED = (("repeat", AGENT),)
WEBHOOK: Map = {"scheme": "hmac-sha256", "key_id": "whsec_1", "positive": ["charged"], "negative": ["charge.voided"]}


def charge(**changed: Value) -> Map:
    """Return the contract of most stories, changed."""
    return CHARGE | changed


def started(story: Story | None = None) -> tuple[Story, Effect]:
    """Return a story in which an effect has been started."""
    story = story or Story()
    effect = story.effect()
    story.intent(effect)
    story.start(effect)
    return story, effect


def unknown(story: Story | None = None) -> tuple[Story, Effect]:
    """Return a story in which the answer was lost."""
    story, effect = started(story)
    story.outcome(effect, "unknown")
    return story, effect


def call(story: Story, effect: Effect, status: str = "committed", kind: str = "") -> None:
    """Decide it, again where it has committed; send it, and hear an answer."""
    story.intent(effect, again=effect.head if effect.status == "committed" else None)
    story.start(effect)
    story.outcome(effect, status, kind)


def settle(story: Story) -> bytes:
    """Wait until what was sent last must have shown, and return the tick that says so."""
    story.wait(1)
    return story.wait(D + Q)


def absent(story: Story, effect: Effect, kind: str = "absence", **given: object) -> None:
    """Wait, and resolve an effect as absent by a read."""
    more: Given = given
    story.resolution(effect, kind, tick=settle(story), **more)


def cases() -> Cases:
    yield from beginnings()
    yield from ends()
    yield from attempts()
    yield from approvals()
    yield from others()


def beginnings() -> Cases:
    yield "ok-smallest", Story(policy=None, contract=None).case("genesis and a tick [TIME-2] [GOV-1]", "life")
    yield "ok-no-effect", Story().case("everything is in place, and nothing has happened [RPL-9]", "life")
    story = Story()
    effect = story.effect()
    story.intent(effect)
    yield "life-claimed", story.case("an open claim [EFF-2]", "life")
    yield "life-started", started()[0].case("a send that may be under way [CALL-2] [EFF-10]", "life")


def ends() -> Cases:
    story, effect = started()
    story.outcome(effect)
    yield "life-committed", story.case("intent, START, outcome [EFF-1] [EFF-9] [PRF-8] [PRF-9]", "life")
    for kind in ("never_sent", "definite_failure", "stored_failure"):
        story, effect = started()
        story.outcome(effect, "not_committed", kind)
        yield (
            f"life-not-committed-{kind.replace('_', '-')}",
            story.case("proof that nothing was done [PRF-2] [PRF-3]", "life"),
        )
    story, effect = started(Story(contract=charge(observability="transactional")))
    story.outcome(effect, "not_committed", "abort")
    yield "life-aborted", story.case("an aborted transaction, under a transactional contract [PRF-3]", "life")
    story, effect = unknown()
    yield "life-unknown", story.case("the answer was lost, and nobody has asked yet [PRF-2]", "life")
    story, effect = started()
    story.outcome(effect, "unknown", "unclear_answer", nonce=None)
    yield (
        "life-unknown-no-nonce",
        story.case("after a restart the nonce is gone, and unknown is all there is to say", "life"),
    )
    story, effect = unknown()
    story.outcome(effect)
    yield "life-late-answer", story.case("the answer came after all, to the process that holds the nonce", "life")
    story, effect = unknown()
    story.resolution(effect)
    yield "life-present", story.case("our tag was seen [PRF-1]", "life")
    story, effect = unknown()
    absent(story, effect)
    yield "life-absent", story.case("a complete read, begun when D + Q had passed [PRF-4] [PRF-5]", "life")
    story, effect = started()
    story.wait(1)
    story.wait(D)
    story.suspect(effect)
    absent(story, effect)
    yield "life-suspect", story.case("nothing was heard within D, then an absence [TIME-4]", "life")
    yield from other_proofs()


def other_proofs() -> Cases:
    voidable = charge(void="cancel")
    story, effect = unknown(Story(contract=voidable))
    story.resolution(effect, "void")
    yield "life-voided", story.case("the provider accepted a void, which needs no waiting [PRF-4]", "life")
    webhook = charge(observability="webhook-confirmable", webhook=WEBHOOK)
    story, effect = unknown(Story(contract=webhook))
    story.resolution(effect, "webhook", presence="present")
    yield "life-webhook-present", story.case("an authenticated message says yes", "life")
    story, effect = unknown(Story(contract=webhook))
    story.resolution(effect, "webhook")
    yield "life-webhook-absent", story.case("a negative message that the contract lists [PRF-4]", "life")
    forget = charge(observability="fire-and-forget", read_back=None, provider_key=None)
    for status in ("committed", "not_committed"):
        story, effect = unknown(Story(contract=forget, also=ATTESTED))
        settle(story)
        story.attest(effect, status)
        yield (
            f"life-attested-{status.replace('_', '-')}",
            story.case("a person's word, beside the ladder [PRF-8]", "life"),
        )
    readers = (("reconciler", SECOND_RECONCILER),)
    story, effect = unknown(Story(contract=charge(reconcilers=2), also=readers))
    tick = settle(story)
    seen = [
        story.about(effect, "observation", effect.head or b"", by, evidence=_absence(tick))
        for by in (RECONCILER, SECOND_RECONCILER)
    ]
    story.resolution(effect, "absence", observations=sorted(seen), grade="E2")
    yield "life-two-readers", story.case("two readers, as the contract asks [PRF-7] [PRF-8]", "life")


def _absence(tick: bytes, kind: str = "absence") -> Map:
    return {"kind": kind, "reference": None, "failure": None, "tick": tick, "observations": [], "attachment": None}


def attempts() -> Cases:
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.release(effect)
    yield "life-released", story.case("free again: its row stays in the state root [EFF-6] [RPL-7]", "life")
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.wait(1)
    story.wait(300_000)
    story.release(effect, RECONCILER)
    story.intent(effect)
    yield "life-released-after-ttl", story.case("an abandoned claim is anybody's to release [TIME-4]", "life")
    story, effect = started()
    story.outcome(effect, "not_committed", "definite_failure")
    effect.content = {"amount": 4000}
    call(story, effect)
    yield "life-after-failure", story.case("after a definite failure the content may differ [EFF-3] [PRF-9]", "life")
    story, effect = unknown()
    absent(story, effect)
    story.intent(effect)
    story.start(effect)
    yield "life-after-absence", story.case("after an absence the same request again, same provider key [EFF-3]", "life")
    story, effect = started()
    story.outcome(effect, "not_committed", "stored_failure")
    story.intent(effect)
    story.start(effect)
    yield "life-next-turn", story.case("a stored failure burns the provider's key: turn 1 [EFF-7] [ID-11]", "life")
    story, effect = unknown()
    absent(story, effect, "key_burnt")
    story.intent(effect)
    story.start(effect)
    yield "life-key-burnt", story.case("so does a key that answers its stored error", "life")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.intent(effect)
    story.release(effect)
    yield "life-after-released", story.case("a second claim given back: not_committed, two attempts", "life")
    yield from repeats()
    yield from redrives()


def repeats() -> Cases:
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    effect.content = {"amount": 6000}
    story.intent(effect, again=effect.head)
    story.start(effect)
    story.outcome(effect)
    yield "life-again", story.case("a repeat that was asked for: generation 2 [EFF-4] [ID-9]", "life")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.intent(effect, again=effect.head)
    story.release(effect)
    yield "life-again-released", story.case("released: committed, generation 1, two attempts [EFF-4]", "life")
    story.intent(effect, content={"amount": 6000}, void="conflict")
    yield "life-again-released-conflict", story.case("and generation 1's intent is the latest again [ADM-4]", "life")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.intent(effect, again=effect.head)
    story.release(effect)
    story.intent(effect, again=effect.head)
    yield "life-again-twice", story.case("released and claimed again: generation 2, three attempts [EFF-4]", "life")
    story, effect = started(Story(also=(*REPEATED, ("approver", APPROVER))))
    story.outcome(effect)
    story.intent(effect, again=effect.head)
    story.deny(effect)
    yield "life-again-denied", story.case("denied: it returns where it came from [EFF-4]", "life")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect, "not_committed", "stored_failure")
    call(story, effect)
    story.intent(effect, again=effect.head)
    story.start(effect)
    yield "life-again-turn-0", story.case("a generation begins at turn 0 [EFF-4] [EFF-7]", "life")


def redrives() -> Cases:
    story, effect = unknown()
    story.redrive(effect)
    story.resolution(effect)
    yield "life-redriven-present", story.case("sent a second time under one key, then seen [EFF-10]", "life")
    story, effect = unknown()
    story.wait(1)
    story.redrive(effect)
    absent(story, effect)
    yield "life-redriven-absent", story.case("D + Q counts from the re-drive [EFF-10] [PRF-5]", "life")
    story, effect = unknown()
    story.redrive(effect)
    story.redrive(effect)
    story.outcome(effect)
    yield "life-redriven-twice", story.case("an outcome may still say committed [EFF-11]", "life")


def approvals() -> Cases:
    asked = Story(policy=ASK, also=(("approver", APPROVER),))
    effect = asked.effect()
    asked.intent(effect, verdict=asked.verdict("ask", 1))
    approval = asked.approve(effect)
    asked.start(effect, approvals=[approval], verdict=asked.verdict("ask", 1))
    yield "approval-one", asked.case("asked, approved, started [EFF-5] [EFF-8] [RND-2]", "approval")
    two = policy(rule("ask", approvals=2))
    approvers = (("approver", APPROVER), ("approver", SECOND_APPROVER))
    story = Story(policy=two, also=approvers)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 2))
    given = [story.approve(effect, by) for by in (APPROVER, SECOND_APPROVER)]
    story.start(effect, approvals=given, verdict=story.verdict("ask", 2))
    yield "approval-two", story.case("two, as the policy asks", "approval")
    counting = charge(approvals={"count": 2, "ttl_ms": APPROVAL_TTL})
    story = Story(policy=ASK, contract=counting, also=approvers)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 1))
    given = [story.approve(effect, by) for by in (APPROVER, SECOND_APPROVER)]
    story.start(effect, approvals=given, verdict=story.verdict("ask", 1))
    yield "approval-contract-count", story.case("two, as the contract asks", "approval")
    story = Story(policy=ASK, also=approvers)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 1))
    approval = story.approve(effect)
    story.wait(APPROVAL_TTL)
    story.start(effect, approvals=[approval], verdict=story.verdict("ask", 1))
    yield "approval-at-ttl", story.case("not older than the TTL, to the millisecond [TIME-4]", "approval")
    story = Story(policy=ASK, also=approvers)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 1))
    story.deny(effect)
    story.intent(effect, verdict=story.verdict("ask", 1))
    yield "approval-denied", story.case("denied, and decided once more", "approval")
    story = Story(also=approvers)
    effect = story.effect()
    story.intent(effect)
    approval = story.approve(effect)
    story.start(effect, approvals=[approval])
    yield "approval-unasked", story.case("an approval that nobody asked for is checked all the same", "approval")


def others() -> Cases:
    story, first = started()
    second = story.effect(order="790")
    story.intent(second)
    story.outcome(first)
    third = story.effect(customer="cus_10")
    fourth = story.effect(customer="b")
    story.intent(third)
    story.intent(fourth)
    yield (
        "life-several",
        story.case("two effects on one resource, and resources in byte order [ID-3] [ID-4] [RPL-7]", "life"),
    )
    story, effect = started()
    story.about(effect, "note", effect.intent or b"")
    story.about(effect, "note", bytes(32), text="about an event that is not here")
    story.about(effect, "observation", effect.start or b"", RECONCILER, presence="unclear")
    story.about(effect, "handle", effect.start or b"")
    data: Map = {**REFUSAL, "effect": effect.key, "resource": effect.resource, "blocker": effect.head}
    story.put(story.body("refusal", data, AGENT), AGENT)
    yield "life-about", story.case("events on no chain move no head, and may name anything [RPL-4] [GOV-5]", "life")
    story, effect = started()
    story.revoke(key=AGENT.public)
    story.outcome(effect)
    yield "life-revoked-outcome", story.case("a revoked key may still bring evidence [EFF-9] [GOV-6]", "life")
    story = Story()
    story.tick(TIME_MS_MAX - D - Q - 1)
    story, effect = unknown(story)
    absent(story, effect)
    yield "life-latest", story.case("the last second that a log can have [TIME-6] [TIME-4]", "life")
    executor = (("agent", AGENT), ("executor", EXECUTOR), ("reconciler", RECONCILER))
    story = Story(grants=executor)
    effect = story.effect()
    story.intent(effect)
    story.start(effect, EXECUTOR)
    story.outcome(effect, by=EXECUTOR)
    yield "life-two-keys", story.case("one key decides, another one sends [CALL-3]", "life")
    yield from unusual_contracts()
    yield from changes()


REFUSAL: Map = {
    "issuer": SECOND_AGENT.public,
    "effect": bytes(32),
    "resource": "",
    "blocker": None,
    "reason": "blocked",
    "count": 3,
    "first_ms": 1,
    "last_ms": 2,
}


def unusual_contracts() -> Cases:
    story, effect = started(Story(contract=charge(purpose=None)))
    story.outcome(effect)
    yield "life-no-purpose", story.case("a contract without a purpose [INT-3]", "life")
    key: Map = {"place": "header", "retention_ms": 1, "mismatch": "refused", "stores": "all"}
    short = charge(provider_key=key)
    story, effect = started(Story(contract=short))
    story.outcome(effect)
    yield (
        "life-unprotected",
        story.case("a provider key kept for less than D + Q protects nothing [CTR-8] [PRF-9]", "life"),
    )
    story, effect = started(Story(contract=short))
    story.outcome(effect, "not_committed", "stored_failure")
    story.intent(effect)
    story.start(effect)
    yield "life-unprotected-stored", story.case("it stores a failure all the same [CTR-8] [PRF-3] [EFF-7]", "life")
    for name, kept in (("unprotected", key), ("storeless", {**key, "retention_ms": RETENTION, "stores": "none"})):
        story, effect = unknown(Story(contract=charge(provider_key=kept)))
        absent(story, effect, "key_burnt")
        yield f"life-{name}-burnt", story.case("a key that protects nothing can be burnt [CTR-8] [PRF-4]", "life")


def changes() -> Cases:
    story, effect = started()
    story.contract(charge(version=2))
    story.outcome(effect)
    later = story.effect(order="790")
    story.intent(later)
    yield "change-contract", story.case("a later version: what is open goes on [GOV-7]", "change")
    story = Story()
    effect = story.effect()
    story.intent(effect)
    story.policy({**ALLOW, "name": "later"})
    story.start(effect)
    yield "change-policy", story.case("START is judged under the policy in force now [GOV-10] [RPL-5]", "change")
    story = Story()
    story.freeze()
    story.freeze(kind="unfreeze")
    effect = story.effect()
    story.intent(effect)
    yield "change-unfrozen", story.case("a freeze that is over [GOV-9]", "change")
    story, effect = unknown()
    story.freeze()
    story.resolution(effect)
    yield "change-frozen-evidence", story.case("a freeze never stops evidence [GOV-9]", "change")
    story, effect = started()
    story.withdraw()
    story.outcome(effect)
    yield "change-withdrawn", story.case("a withdrawn contract's open effect still settles [GOV-11]", "change")
    story = Story()
    story.freeze({**CHARGES, "effect_class": "mail.send/1"})
    effect = story.effect()
    story.intent(effect)
    yield "change-frozen-elsewhere", story.case("a freeze of another class [GOV-4]", "change")
    story = Story()
    story.revoke(key=RECONCILER.public, suspect_from=4)
    yield "change-suspect", story.case("a revoke that taints, and voids nothing [GOV-6]", "change")
