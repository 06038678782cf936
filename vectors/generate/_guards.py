"""Logs with a void event on an effect's chain: one for each guard of the transition table."""

from collections.abc import Callable

from vectors.generate import _wire as wire
from vectors.generate._effect import Effect
from vectors.generate._intents import claimed
from vectors.generate._lives import ATTESTED, REPEATED, charge, settle, started, unknown
from vectors.generate._sample import ALLOW, ASK, CHARGE, EVERYTHING, evidence, policy, rule
from vectors.generate._story import APPROVAL_TTL, CHARGES, RETENTION, TTL, Cases, D, Q, Story
from vectors.generate._wire import (
    AGENT,
    APPROVER,
    ATTESTOR,
    EXECUTOR,
    RECONCILER,
    SECOND_AGENT,
    SECOND_APPROVER,
    STRANGER,
    Given,
    Map,
)

Act = Callable[[Story, Effect], object]
APPROVERS = (("approver", APPROVER), ("approver", SECOND_APPROVER))


def cases() -> Cases:
    yield from chains()
    yield from authority()
    yield from named()
    yield from starts()
    yield from approvals()
    yield from approved_starts()
    yield from outcomes()
    yield from evidences()
    yield from suspects_and_releases()
    yield from redrives()
    yield from attestations()


def chains() -> Cases:
    story, effect = claimed()
    story.start(effect, prev=wire.plain(b"x"), void="chain-broken")
    yield "chain-prev", story.case("prev is not the head [EFF-1]", "chain")
    story, effect = claimed()
    story.start(effect, prev=None, void="chain-broken")
    yield "chain-prev-null", story.case("prev null where there is a head", "chain")
    story, effect = started()
    late = effect.intent
    story.outcome(effect, prev=late, void="chain-broken")
    yield "chain-prev-earlier", story.case("prev is an event before the head", "chain")
    story, effect = claimed()
    story.start(effect)
    story.start(effect, void="transition-invalid")
    yield "chain-start-twice", story.case("a second START of one claim (S6) [CALL-3]", "chain")
    story, effect = claimed()
    story.start(effect, SECOND_AGENT, resource="stripe:acct_1/test/customer/other", void="resource-differs")
    yield "chain-resource", story.case("another resource than the effect's", "chain")
    story, effect = claimed()
    story.start(effect, log=wire.plain(b"x"), void="log-mismatch")
    yield "chain-log", story.case("another log [GOV-3]", "chain")
    story = Story(also=(("approver", APPROVER),))
    effect = story.effect()
    effect.intent = wire.plain(b"x")
    story.approve(effect, void="transition-invalid")
    yield "chain-nothing", story.case("an approval where there is no effect [GOV-4]", "chain")
    yield from wrong_statuses()


def wrong_statuses() -> Cases:
    """From each status, an event that has no row there."""
    everybody = (*APPROVERS, *ATTESTED)
    story, effect = claimed(Story(also=everybody))
    effect.start = wire.plain(b"x")
    story.outcome(effect, void="transition-invalid")
    story.suspect(effect, void="transition-invalid")
    story.redrive(effect, void="transition-invalid")
    story.resolution(effect, "absence", void="transition-invalid")
    story.attest(effect, void="transition-invalid")
    yield "status-claimed", story.case("claimed: neither outcome, suspect, redrive, absence nor attestation", "status")
    story, effect = started(Story(also=everybody))
    story.approve(effect, void="transition-invalid")
    story.deny(effect, void="transition-invalid")
    story.release(effect, void="transition-invalid")
    story.redrive(effect, void="transition-invalid")
    story.resolution(effect, "absence", void="transition-invalid")
    story.attest(effect, void="transition-invalid")
    yield (
        "status-started",
        story.case("started: no approval, denial, release, redrive, absence or attestation", "status"),
    )
    story, effect = unknown(Story(also=everybody))
    story.approve(effect, void="transition-invalid")
    story.release(effect, void="transition-invalid")
    story.start(effect, void="transition-invalid")
    effect.nonce = b"n" * 16
    story.suspect(effect, void="transition-invalid")
    yield "status-unknown", story.case("unknown: no approval, release, START or suspect", "status")
    story, effect = started(Story(also=everybody))
    story.outcome(effect)
    story.outcome(effect, "not_committed", void="transition-invalid")
    story.start(effect, void="transition-invalid")
    story.release(effect, void="transition-invalid")
    settle(story)
    story.attest(effect, "not_committed", void="transition-invalid")
    yield "status-committed", story.case("committed is final (S5) [EFF-9]", "status")
    story, effect = started(Story(also=everybody))
    story.outcome(effect, "not_committed")
    story.outcome(effect, void="transition-invalid")
    story.start(effect, void="transition-invalid")
    story.attest(effect, void="transition-invalid")
    yield "status-not-committed", story.case("not_committed: only a presence or a new intent", "status")
    story, effect = claimed()
    story.release(effect)
    story.start(effect, void="transition-invalid")
    yield "status-free-again", story.case("a START of a claim that was given back (S6)", "status")


def authority() -> Cases:
    rows: dict[str, Act] = {
        "start": lambda story, effect: story.start(effect, EXECUTOR, void="grant-missing"),
        "approval": lambda story, effect: story.approve(effect, STRANGER, void="grant-missing"),
        "denial": lambda story, effect: story.deny(effect, AGENT, void="grant-missing"),
        "release": lambda story, effect: story.release(effect, STRANGER, void="grant-missing"),
    }
    for name, act in rows.items():
        story, effect = claimed()
        act(story, effect)
        yield f"authority-{name}", story.case(f"{name}, by a key without the grant [ADM-3]", "authority")
    later: dict[str, Act] = {
        "redrive": lambda story, effect: story.redrive(effect, AGENT, void="grant-missing"),
        "present": lambda story, effect: story.resolution(effect, by=EXECUTOR, void="grant-missing"),
        "absent": lambda story, effect: story.resolution(effect, "absence", AGENT, void="grant-missing"),
        "attestation": lambda story, effect: story.attest(effect, by=RECONCILER, void="grant-missing"),
    }
    for name, act in later.items():
        story, effect = unknown()
        act(story, effect)
        yield f"authority-{name}", story.case(f"{name}, by a key without the grant [ADM-3]", "authority")
    story, effect = started()
    story.suspect(effect, STRANGER, void="grant-missing")
    story.about(effect, "note", effect.head or b"", STRANGER, void="grant-missing")
    yield "authority-stranger", story.case("no grant at all: neither suspect nor note [GOV-5]", "authority")
    story, effect = unknown()
    story.resolution(effect, contract_id=wire.plain(b"x"), void="contract-unknown")
    yield "authority-contract", story.case("a resolution under no contract of this log", "authority")
    yield from borrowed()


def borrowed() -> Cases:
    mail = charge(name="send-mail", effect_class="mail.send/1")
    story = Story(grants=(("agent", AGENT), ("executor", AGENT)))
    story.grant("reconciler", RECONCILER, {"effect_class": "mail.send/1", "prefix": ""})
    story.contract(mail)
    story.contract_data = CHARGE
    effect = story.effect()
    story.intent(effect)
    mail_id = wire.named("contract", mail)
    story.resolution(effect, contract_id=mail_id, void="grant-missing")
    yield (
        "authority-borrowed-class",
        story.case(
            "a presence under a contract of the class that its key may reconcile: the effect's is another [GOV-4]",
            "authority",
        ),
    )


def named() -> Cases:
    mail = charge(name="send-mail", effect_class="mail.send/1")
    story = Story(grants=(("agent", AGENT), ("executor", AGENT)))
    story.grant("reconciler", RECONCILER, {"effect_class": "mail.send/1", "prefix": ""})
    story.contract(mail)
    story.contract_data = CHARGE
    effect = story.effect()
    story.resolution(effect, contract_id=wire.named("contract", mail), void="effect-differs")
    story.intent(effect)
    yield (
        "presence-other-class",
        story.case("a key of a class that this reconciler has no grant over [EFF-15] [GOV-4]", "presence"),
    )
    faults: dict[str, tuple[str, str, Map | None]] = {
        "missing": ("effect-differs", "nobody says which effect this key names", None),
        "purpose": ("effect-differs", "another order's", {"purpose": "790", "identity": {"customer": "cus_1"}}),
        "identity": ("effect-differs", "another customer's", {"purpose": "789", "identity": {"customer": "cus_2"}}),
        "prose": ("arguments-invalid", "a purpose of free text", {"purpose": "of monday", "identity": {}}),
        "names": (
            "arguments-invalid",
            "an argument too many",
            {"purpose": "789", "identity": {"customer": "c", "a": 1}},
        ),
    }
    for name, (code, comment, of) in faults.items():
        story = Story()
        story.resolution(story.effect(), of=of, void=code)
        yield f"presence-of-{name}", story.case(f"{comment} [EFF-15]", "presence")
    story = Story(grants=(), contract=charge(resource="{customer}\u0301"))
    story.grant("reconciler", RECONCILER, EVERYTHING)
    story.resolution(story.effect(), of={"purpose": "789", "identity": {"customer": "joe"}}, void="arguments-invalid")
    yield "presence-of-not-nfc", story.case("its resource is not in NFC [EFF-15] [CTR-4] [IL1-3]", "presence")
    story, effect = unknown(Story())
    story.resolution(effect, of={"purpose": "790", "identity": effect.identity}, void="effect-differs")
    yield "presence-of-known", story.case("known, and said to be another [EFF-15]", "presence")
    story = Story(also=(("reconciler", AGENT),))
    effect = story.effect()
    story.resolution(effect)
    story.resolution(effect, by=AGENT, of=None, void="effect-differs")
    story.resolution(effect, by=AGENT)
    yield "presence-of-again", story.case("a presence is no intent: the next one says it again [EFF-15]", "presence")
    story, effect = unknown()
    story.contract(charge(name="other", effect_class="money.pay/1"))
    story.resolution(effect, contract_id=wire.named("contract", story.contract_data), void="effect-differs")
    yield "presence-class-differs", story.case("under a contract of another class [EFF-15]", "presence")
    story = Story(grants=(), contract=charge(effect_class="none"))
    story.grant("reconciler", RECONCILER, EVERYTHING)
    story.resolution(story.effect(), void="effect-none")
    yield "presence-none", story.case("a read does nothing that could be present [EFF-15]", "presence")


def starts() -> Cases:
    faults: dict[str, tuple[str, str, Given]] = {
        "tag": ("tag-differs", "a tag that does not re-derive [EFF-7] [ID-10]", {"tag": bytes(32)}),
        "provider-key": ("provider-key-differs", "nor does the provider's key [EFF-7]", {"provider_key": bytes(32)}),
        "intent": ("transition-invalid", "another claim", {"intent": bytes(32)}),
        "snapshot": ("snapshot-differs", "a snapshot without a profile", {"snapshot_id": bytes(32)}),
    }
    for name, (code, comment, changed) in faults.items():
        story, effect = claimed()
        story.start(effect, **changed, void=code)
        yield f"start-{name}", story.case(comment, "start")
    story, effect = claimed()
    story.start(effect, provider_key=wire.named("provider", effect.key, 1, 1), void="provider-key-differs")
    yield "start-turn", story.case("the provider's key of the next turn [EFF-7]", "start")
    story, effect = started(Story(also=REPEATED))
    story.outcome(effect)
    story.intent(effect, again=effect.head)
    story.start(effect, tag=wire.named("tag", effect.key, 1), void="tag-differs")
    yield "start-generation", story.case("the tag of the generation before", "start")
    story, effect = claimed()
    story.withdraw()
    story.start(effect, void="contract-withdrawn")
    yield "start-withdrawn", story.case("withdrawn since the intent [GOV-11]", "start")
    story, effect = claimed()
    story.freeze()
    story.start(effect, void="frozen")
    yield "start-frozen", story.case("frozen since the intent [GOV-9]", "start")
    story, effect = claimed()
    verdict = story.verdict()
    story.policy({**ALLOW, "name": "later"})
    story.start(effect, verdict=verdict, void="policy-superseded")
    yield "start-policy", story.case("a verdict of the policy that was [RPL-5]", "start")
    story, effect = claimed()
    story.policy(policy(rule("deny")))
    story.start(effect, verdict=story.verdict("deny"), void="verdict-deny")
    yield "start-denied", story.case("the policy in force denies", "start")


def asked(*, contract: Map | None = None, wanted: int = 1) -> tuple[Story, Effect]:
    """Return a story with a claim that waits for approval."""
    story = Story(policy=policy(rule("ask", approvals=wanted)), contract=contract or CHARGE, also=APPROVERS)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", wanted))
    return story, effect


def approvals() -> Cases:
    story = Story(policy=ASK, also=(*APPROVERS, ("approver", AGENT)))
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 1))
    story.approve(effect, AGENT, void="self-approved")
    story.deny(effect, AGENT, void="self-approved")
    yield "approval-self", story.case("the issuer approves its own intent, or denies it", "approval")
    story, effect = asked()
    story.approve(effect, intent=wire.plain(b"x"), void="transition-invalid")
    yield "approval-other-intent", story.case("it names another intent [EFF-5]", "approval")
    story, effect = asked()
    approval = story.approve(effect)
    story.deny(effect, SECOND_APPROVER)
    story.intent(effect, verdict=story.verdict("ask", 1))
    story.start(effect, approvals=[approval], verdict=story.verdict("ask", 1), void="approval-invalid")
    yield "approval-of-earlier-claim", story.case("an approval of a claim that was denied (S9) [EFF-8]", "approval")
    story, effect = asked()
    void = story.approve(effect, STRANGER, void="grant-missing")
    story.start(effect, approvals=[void], verdict=story.verdict("ask", 1), void="approval-invalid")
    yield "approval-void", story.case("a void approval approves nothing [RPL-4] [EFF-8]", "approval", "resting")


def approved_starts() -> Cases:
    def start(
        story: Story, effect: Effect, given: list[bytes], code: str, *, wanted: int = 1, by: wire.Key = AGENT
    ) -> None:
        story.start(effect, by, approvals=given, verdict=story.verdict("ask", wanted), void=code)

    story, effect = asked()
    start(story, effect, [], "approvals-missing")
    yield "approval-missing", story.case("asked, and started without [EFF-8]", "approval")
    story, effect = asked(wanted=2)
    start(story, effect, [story.approve(effect), story.approve(effect)], "approvals-missing", wanted=2)
    yield "approval-same-key", story.case("two by one key count as one [EFF-8]", "approval")
    story, effect = asked(contract=charge(approvals={"count": 2, "ttl_ms": APPROVAL_TTL}))
    start(story, effect, [story.approve(effect)], "approvals-missing")
    yield "approval-contract-missing", story.case("the contract asks for two [EFF-8]", "approval")
    story, effect = claimed(Story(also=APPROVERS))
    story.policy(ASK)
    start(story, effect, [], "approvals-missing")
    yield "approval-since", story.case("allowed then, asked now [EFF-8]", "approval")
    story, effect = asked()
    story.policy(ALLOW)
    story.start(effect, void="approvals-missing")
    yield "approval-then", story.case("asked then, allowed now [EFF-8]", "approval")
    story, effect = asked()
    approval = story.approve(effect)
    story.wait(APPROVAL_TTL + 1)
    start(story, effect, [approval], "approval-expired")
    yield "approval-expired", story.case("a millisecond older than the TTL [TIME-4] [EFF-8]", "approval")
    story, effect = asked()
    approval = story.approve(effect)
    story.revoke(key=APPROVER.public)
    start(story, effect, [approval], "approval-invalid")
    yield "approval-revoked", story.case("its key's grant has ended [EFF-8]", "approval")
    story, effect = asked()
    other = story.effect(order="790")
    story.intent(other, verdict=story.verdict("ask", 1))
    start(story, other, [story.approve(effect)], "approval-invalid")
    yield "approval-of-other", story.case("an approval of another effect (S9) [EFF-8]", "approval")
    story, effect = asked()
    start(story, effect, [effect.intent or b""], "approval-invalid")
    yield "approval-no-approval", story.case("an intent is no approval [EFF-8]", "approval")
    executors = (*APPROVERS, ("executor", APPROVER))
    story = Story(policy=ASK, also=executors)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 1))
    start(story, effect, [story.approve(effect)], "self-approved", by=APPROVER)
    yield "approval-executor", story.case("the executor approves what it sends [EFF-8]", "approval")
    story = Story(policy=ASK, also=executors)
    effect = story.effect()
    story.intent(effect, verdict=story.verdict("ask", 1))
    expired = story.approve(effect, SECOND_APPROVER)
    story.wait(APPROVAL_TTL + 1)
    while (own := story.approve(effect)) < expired:
        pass
    start(story, effect, [expired, own], "approval-expired", by=APPROVER)
    yield "approval-in-order", story.case("the first is too old, the second the executor's own [EFF-8]", "approval")


def outcomes() -> Cases:
    faults: dict[str, tuple[str, str, Given]] = {
        "nonce": ("nonce-differs", "another nonce [ID-12]", {"nonce": b"x" * 16}),
        "no-nonce": ("nonce-missing", "committed without the nonce", {"nonce": None}),
        "start": ("transition-invalid", "another START", {"start": bytes(32)}),
    }
    for name, (code, comment, changed) in faults.items():
        story, effect = started()
        story.outcome(effect, **changed, void=code)
        yield f"outcome-{name}", story.case(comment, "outcome")
    story, effect = started()
    story.outcome(effect, "unknown", nonce=b"x" * 16, void="nonce-differs")
    yield "outcome-unknown-nonce", story.case("unknown, with another nonce", "outcome")
    story, effect = started(Story(also=(("executor", EXECUTOR),)))
    story.outcome(effect, by=EXECUTOR, void="start-key-differs")
    yield "outcome-key", story.case("another executor, with the right nonce (S4) [EFF-9]", "outcome")
    story, effect = unknown()
    story.redrive(effect)
    story.outcome(effect, "not_committed", void="redriven")
    yield "outcome-redriven", story.case("after a re-drive not_committed is a reconciler's to find [EFF-11]", "outcome")


def evidences() -> Cases:
    """What does not show what an outcome says."""
    faults = (
        ("committed", "no_answer", "silence is no success [PRF-2]"),
        ("committed", "never_sent", "nor is what was never sent"),
        ("committed", "tag_seen", "a sighting is a reconciler's"),
        ("not_committed", "no_answer", "silence is no failure [PRF-2]"),
        ("not_committed", "unclear_answer", "an error is no proof"),
        ("not_committed", "response", "an answer is no failure"),
        ("not_committed", "absence", "a read is a reconciler's"),
        ("unknown", "response", "an answer is not unknown [PRF-2]"),
        ("unknown", "never_sent", "nor is what was never sent"),
    )
    for status, kind, comment in faults:
        story, effect = started()
        story.outcome(effect, status, kind, void="evidence-invalid")
        yield f"outcome-{status.replace('_', '-')}-{kind.replace('_', '-')}", story.case(comment, "evidence")
    for failure in (None, "card_expired"):
        story, effect = started()
        shows = evidence("definite_failure", failure=failure)
        story.outcome(effect, "not_committed", evidence=shows, void="evidence-invalid")
        name = "unlisted" if failure else "unnamed"
        yield f"outcome-failure-{name}", story.case("a failure that the contract does not list [PRF-3]", "evidence")
    story, effect = started()
    story.outcome(effect, "not_committed", "abort", void="evidence-invalid")
    yield "outcome-abort", story.case("an abort, under a contract without transactions [PRF-3]", "evidence")
    key: Map = {"place": "header", "retention_ms": RETENTION, "mismatch": "refused", "stores": "success"}
    for name, provider_key in (("success", key), ("no-key", None)):
        story, effect = started(Story(contract=charge(provider_key=provider_key)))
        story.outcome(effect, "not_committed", "stored_failure", void="evidence-invalid")
        yield f"outcome-stored-{name}", story.case("a provider that stores no failures [PRF-3]", "evidence")


def suspects_and_releases() -> Cases:
    story, effect = started()
    story.suspect(effect, void="too-early")
    yield "suspect-no-tick", story.case("no tick has come since the send [TIME-3]", "time")
    story, effect = started()
    story.wait(1)
    story.wait(D - 1)
    story.suspect(effect, void="too-early")
    yield "suspect-early", story.case("a millisecond before D [TIME-4]", "time")
    story, effect = started()
    story.wait(D)
    story.suspect(effect, void="too-early")
    yield (
        "suspect-from-lo",
        story.case("D after the tick before START, and not after the one behind it [TIME-3]", "time"),
    )
    story, effect = claimed()
    story.wait(1)
    story.wait(TTL - 1)
    story.release(effect, RECONCILER, void="claim-held")
    yield "release-early", story.case("a millisecond before the TTL [TIME-4]", "time")
    story, effect = claimed()
    story.wait(TTL)
    story.release(effect, RECONCILER, void="claim-held")
    yield "release-from-lo", story.case("the TTL after the tick before the intent [TIME-3]", "time")
    story, effect = claimed()
    story.release(effect, intent=wire.plain(b"x"), void="transition-invalid")
    yield "release-other", story.case("another claim [EFF-6]", "chain")


def redrives() -> Cases:
    def story_with(stores: str, retention_ms: int) -> tuple[Story, Effect]:
        key: Map = {"place": "header", "retention_ms": retention_ms, "mismatch": "refused", "stores": stores}
        return unknown(Story(contract=charge(provider_key=key)))

    story, effect = story_with("success", RETENTION)
    story.redrive(effect, void="redrive-unsafe")
    yield "redrive-stores-success", story.case("a failure would not be answered again", "redrive")
    story, effect = unknown(Story(contract=charge(provider_key=None)))
    story.redrive(effect, void="redrive-unsafe")
    yield "redrive-no-key", story.case("there is no key", "redrive")
    story, effect = story_with("all", D + Q)
    story.redrive(effect, void="redrive-unsafe")
    yield "redrive-retention", story.case("the key may be forgotten when it lands: D + Q is not below it", "redrive")
    story, effect = story_with("all", D + Q + 1)
    story.redrive(effect)
    yield "redrive-retention-ok", story.case("a millisecond more is enough", "redrive", "life")
    story, effect = unknown()
    story.wait(RETENTION - D - Q)
    story.redrive(effect, void="redrive-unsafe")
    yield "redrive-late", story.case("too late for the provider's memory", "redrive")
    story, effect = unknown()
    story.freeze()
    story.redrive(effect, void="frozen")
    yield "redrive-frozen", story.case("a re-drive is a send [GOV-9]", "redrive")
    story, effect = unknown()
    story.redrive(effect, provider_key=wire.named("provider", effect.key, 1, 1), void="provider-key-differs")
    yield "redrive-key", story.case("another key would be another effect", "redrive")
    story, effect = unknown()
    story.redrive(effect, start=wire.plain(b"x"), void="transition-invalid")
    yield "redrive-start", story.case("another START", "redrive")


def attestations() -> Cases:
    story, effect = unknown(Story(also=ATTESTED))
    story.attest(effect, void="too-early")
    yield "attest-no-tick", story.case("no tick has come since the send", "attestation")
    story, effect = unknown(Story(also=ATTESTED))
    story.wait(1)
    story.wait(D + Q - 1)
    story.attest(effect, void="too-early")
    yield "attest-early", story.case("a millisecond before D + Q", "attestation")
    story, effect = unknown(Story(also=ATTESTED))
    story.wait(1)
    story.redrive(effect)
    story.wait(D + Q)
    story.attest(effect, void="too-early")
    yield "attest-redriven", story.case("D + Q counts from the last send [EFF-10]", "attestation")
    for name, key in (("issuer", AGENT), ("executor", EXECUTOR)):
        grants = (("agent", AGENT), ("executor", EXECUTOR), ("attestor", key))
        story = Story(grants=grants)
        effect = story.effect()
        story.intent(effect)
        story.start(effect, EXECUTOR)
        story.outcome(effect, "unknown", by=EXECUTOR)
        settle(story)
        story.attest(effect, by=key, void="self-attested")
        yield f"attest-{name}", story.case(f"the {name} attests", "attestation")
    story = Story()
    story.grant("attestor", ATTESTOR, {**CHARGES, "effect_class": "mail.send/1"})
    story, effect = unknown(story)
    settle(story)
    story.attest(effect, void="grant-missing")
    yield "attest-scope", story.case("an attestor of another class [GOV-4]", "attestation")
