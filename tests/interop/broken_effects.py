"""Events on the chain of an effect that its life does not allow: one broken rule each."""

from dataclasses import replace

from invoke_log.format import digest
from invoke_log.rules.kind import (
    ABSENT,
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    UNKNOWN,
    Attestation,
    Denial,
    Evidence,
    Observation,
    Release,
    Revoke,
    Suspect,
)
from tests.interop.agreements import ASKING, HOOKED, LAGGING, SEEING, TRANSFER, call, snapshot
from tests.interop.cases import (
    ABSENCE,
    breaks,
    claimed,
    conclude,
    observe,
    recover,
    redrive,
    resolve,
    settled_wait,
    started,
    unknown,
    watched,
)
from tests.interop.log_writer import KEYS, LogWriter

# One effect's life.


@breaks("transition-invalid start without a claim")
def _(log: LogWriter) -> None:
    effect = started(log)
    log.start(effect)


@breaks("transition-invalid approval of a started effect")
def _(log: LogWriter) -> None:
    effect = started(log)
    log.approve(effect)


@breaks("transition-invalid denial of another intent")
def _(log: LogWriter) -> None:
    log.on(claimed(log), Denial(intent=bytes(32), shown=bytes(32), reason=""), "approver")


@breaks("transition-invalid release of another intent")
def _(log: LogWriter) -> None:
    log.on(claimed(log), Release(intent=bytes(32), reason=""), "agent")


@breaks("transition-invalid release of a started effect")
def _(log: LogWriter) -> None:
    effect = started(log)
    log.on(effect, Release(intent=log.intent_id(effect), reason=""), "agent")


@breaks("transition-invalid suspect of an unknown effect")
def _(log: LogWriter) -> None:
    effect = started(log)
    sent = log.state(effect).last or b""
    log.outcome(effect, UNKNOWN, "no_answer")
    settled_wait(log)
    log.on(effect, Suspect(start=sent), "agent")


@breaks("transition-invalid redrive of a started effect")
def _(log: LogWriter) -> None:
    redrive(log, started(log))


@breaks("transition-invalid attestation of a started effect")
def _(log: LogWriter) -> None:
    effect = started(log)
    settled_wait(log)
    log.on(effect, Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None), "attestor")


@breaks("transition-invalid on a free effect")
def _(log: LogWriter) -> None:
    said = Suspect(start=bytes(32))
    log.say(said, "agent", effect=bytes(32), resource="charge:acct_1/cus_1")


@breaks("transition-invalid outcome of another start")
def _(log: LogWriter) -> None:
    log.outcome(started(log), COMMITTED, "response", change={"start": bytes(32)})


@breaks("transition-invalid absence of a started effect")
def _(log: LogWriter) -> None:
    effect = started(log)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=settled_wait(log)))


@breaks("transition-invalid second genesis")
def _(log: LogWriter) -> None:
    genesis = log.envelopes[0].fields
    governance = log.fold.governance
    log.seal({**genesis, "log": governance.log_id, "prev": governance.head}, KEYS["admin"])


@breaks("self-approved approval by the issuer")
def _(log: LogWriter) -> None:
    log.approve(claimed(log), by="agent")


@breaks("self-approved denial by the issuer")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Denial(intent=log.state(effect).last or b"", shown=bytes(32), reason=""), "agent")


@breaks("self-approved start by the approver")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.start(effect, approvals=[log.approve(effect, by="executor")])


@breaks("claim-held")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.tick(1)
    log.tick(59_999)
    log.on(effect, Release(intent=log.intent_id(effect), reason=""), "executor")


@breaks("claim-held while no tick came")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Release(intent=log.intent_id(effect), reason=""), "executor")


@breaks("tag-differs")
def _(log: LogWriter) -> None:
    log.start(claimed(log), change={"tag": bytes(32)})


@breaks("provider-key-differs start")
def _(log: LogWriter) -> None:
    log.start(claimed(log), change={"provider_key": bytes(32)})


@breaks("provider-key-differs after a stored failure")
def _(log: LogWriter) -> None:
    effect = started(log)
    log.outcome(effect, NOT_COMMITTED, "stored_failure", failure="card_declined")
    claimed(log)
    log.start(effect, change={"provider_key": digest.provider_key(effect, 1, 0)})


@breaks("provider-key-differs redrive")
def _(log: LogWriter) -> None:
    redrive(log, unknown(log), provider_key=bytes(32))


@breaks("approval-invalid of another effect")
def _(log: LogWriter) -> None:
    other = log.approve(claimed(log))
    log.start(claimed(log, order=2), approvals=[other])


@breaks("approval-invalid after the approver was revoked")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    approval = log.approve(effect)
    log.say(Revoke(key=KEYS["approver"].public_key, grant=None, suspect_from=None), "admin")
    log.start(effect, approvals=[approval])


@breaks("approval-invalid of an earlier claim")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    approval = log.approve(effect)
    log.on(effect, Release(intent=log.intent_id(effect), reason=""), "agent")
    claimed(log)
    log.start(effect, approvals=[approval])


@breaks("approval-expired")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    approval = log.approve(effect)
    log.tick(100_001)
    log.start(effect, approvals=[approval])


@breaks("approvals-missing asked by the intent's policy")
def _(log: LogWriter) -> None:
    log.say(ASKING, "admin")
    effect = claimed(log, amount=2000)
    log.start(effect)


@breaks("approvals-missing asked only at the start")
def _(log: LogWriter) -> None:
    effect = claimed(log, amount=2000)
    log.say(ASKING, "admin")
    log.start(effect)


@breaks("approvals-missing two from one key")
def _(log: LogWriter) -> None:
    fields, raw, snapshot_id = snapshot(balance=50)
    log.attachments.append(raw)
    log.say(SEEING, "admin")
    effect = log.intent(TRANSFER, call(TRANSFER), snapshot=snapshot_id, seen=fields)
    approvals = [log.approve(effect), log.approve(effect)]
    log.start(effect, approvals=approvals, seen=fields)


@breaks("start-key-differs")
def _(log: LogWriter) -> None:
    log.outcome(started(log), COMMITTED, "response", by="agent")


@breaks("nonce-missing")
def _(log: LogWriter) -> None:
    log.outcome(started(log), COMMITTED, "response", change={"nonce": None})


@breaks("nonce-differs")
def _(log: LogWriter) -> None:
    log.outcome(started(log), COMMITTED, "response", change={"nonce": bytes(16)})


@breaks("redriven")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    redrive(log, effect)
    log.outcome(effect, NOT_COMMITTED, "never_sent")


@breaks("redrive-unsafe provider does not store all results")
def _(log: LogWriter) -> None:
    effect = log.intent(HOOKED, call(HOOKED))
    log.start(effect)
    log.outcome(effect, UNKNOWN, "no_answer")
    redrive(log, effect)


@breaks("redrive-unsafe too late")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    log.tick(86_400_000 - 30_000)
    redrive(log, effect)


@breaks("redrive-unsafe after a recovery")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    recover(log)
    redrive(log, effect)


@breaks("too-early suspect")
def _(log: LogWriter) -> None:
    effect = started(log)
    log.tick(1)
    log.tick(9_999)
    log.on(effect, Suspect(start=log.state(effect).last or b""), "agent")


@breaks("too-early absence")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    log.tick(1)
    log.tick(29_999)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=digest.event_id(log.envelopes[-1].body)))


@breaks("too-early absence after a redrive")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    log.tick(1)
    redrive(log, effect)
    log.tick(29_999)
    log.tick(1)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=digest.event_id(log.envelopes[-1].body)))


@breaks("too-early absence after a recovery")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    tick = settled_wait(log)
    recover(log)
    log.tick(1)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=tick))


@breaks("too-early attestation")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    log.tick(1)
    log.tick(29_999)
    log.on(effect, Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None), "attestor")


@breaks("too-early attestation while no tick came")
def _(log: LogWriter) -> None:
    log.tick(60_000)
    effect = unknown(log)
    log.on(effect, Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None), "attestor")


@breaks("evidence-invalid outcome committed")
def _(log: LogWriter) -> None:
    log.outcome(started(log), COMMITTED, "tag_seen")


@breaks("evidence-invalid outcome not_committed")
def _(log: LogWriter) -> None:
    log.outcome(started(log), NOT_COMMITTED, "no_answer")


@breaks("evidence-invalid outcome unknown")
def _(log: LogWriter) -> None:
    log.outcome(started(log), UNKNOWN, "response")


@breaks("evidence-invalid abort without transactions")
def _(log: LogWriter) -> None:
    log.outcome(started(log), NOT_COMMITTED, "abort")


@breaks("evidence-invalid failure that the contract does not list")
def _(log: LogWriter) -> None:
    log.outcome(started(log), NOT_COMMITTED, "definite_failure", failure="expired_card")


@breaks("evidence-invalid stored failure that is not stored")
def _(log: LogWriter) -> None:
    effect = log.intent(HOOKED, call(HOOKED))
    log.start(effect)
    log.outcome(effect, NOT_COMMITTED, "stored_failure", failure="refused")


@breaks("evidence-invalid presence")
def _(log: LogWriter) -> None:
    resolve(log, unknown(log), PRESENT, ABSENCE)


@breaks("evidence-invalid absence")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    resolve(log, effect, ABSENT, Evidence(kind="no_answer", tick=settled_wait(log)))


@breaks("evidence-invalid absence of another generation")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=settled_wait(log)), generation=2)


@breaks("evidence-invalid void that the contract has not")
def _(log: LogWriter) -> None:
    resolve(log, unknown(log), ABSENT, Evidence(kind="void"))


@breaks("evidence-invalid presence by a message that the contract does not know")
def _(log: LogWriter) -> None:
    resolve(log, unknown(log), PRESENT, Evidence(kind="webhook"))


@breaks("evidence-invalid burnt key where there is no key")
def _(log: LogWriter) -> None:
    effect = watched(log)
    resolve(log, effect, ABSENT, Evidence(kind="key_burnt", tick=settled_wait(log)))


@breaks("recovery-open outcome")
def _(log: LogWriter) -> None:
    effect = started(log)
    recover(log)
    log.outcome(effect, COMMITTED, "response")


@breaks("recovery-open other evidence of absence")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    recover(log)
    resolve(log, effect, ABSENT, Evidence(kind="key_burnt", tick=settled_wait(log)))


@breaks("absence-unprovable")
def _(log: LogWriter) -> None:
    effect = log.intent(LAGGING, call(LAGGING))
    log.start(effect)
    log.outcome(effect, UNKNOWN, "no_answer")
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=settled_wait(log)))


@breaks("tick-unknown none")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    resolve(log, effect, ABSENT, ABSENCE)


@breaks("tick-unknown not a tick")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=log.state(effect).last))


@breaks("tick-unknown unheard of")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=bytes(32)))


@breaks("tick-invalid")
def _(log: LogWriter) -> None:
    log.tick(1, covers=log.index + 1, map_root=bytes(32))


@breaks("tick-overtaken")
def _(log: LogWriter) -> None:
    seen = log.index
    log.tick(1)
    log.tick(1, covers=seen)


@breaks("observation-invalid present")
def _(log: LogWriter) -> None:
    effect = watched(log)
    tick = settled_wait(log)
    conclude(log, effect, observe(log, effect, "reconciler", tick), observe(log, effect, "reconciler2", tick, PRESENT))


@breaks("observation-invalid the executor's own")
def _(log: LogWriter) -> None:
    effect = watched(log)
    tick = settled_wait(log)
    conclude(log, effect, observe(log, effect, "reconciler", tick), observe(log, effect, "executor", tick))


@breaks("observation-invalid no reconciler's")
def _(log: LogWriter) -> None:
    effect = watched(log)
    tick = settled_wait(log)
    conclude(log, effect, observe(log, effect, "reconciler", tick), observe(log, effect, "agent", tick))


@breaks("observation-invalid unknown")
def _(log: LogWriter) -> None:
    conclude(log, watched(log), bytes(32))


@breaks("observation-invalid no read")
def _(log: LogWriter) -> None:
    effect = watched(log)
    settled_wait(log)
    said = Observation(about=effect, presence=ABSENT, evidence=Evidence(kind="no_answer"))
    log.on(effect, said, "reconciler")
    conclude(log, effect, digest.event_id(log.envelopes[-1].body))


@breaks("too-early observation")
def _(log: LogWriter) -> None:
    effect = watched(log)
    log.tick(1)
    early = digest.event_id(log.envelopes[-1].body)
    log.tick(30_000)
    conclude(log, effect, observe(log, effect, "reconciler", early))


@breaks("tick-unknown observation")
def _(log: LogWriter) -> None:
    effect = watched(log)
    settled_wait(log)
    conclude(log, effect, observe(log, effect, "reconciler", None))


@breaks("observations-missing one key twice")
def _(log: LogWriter) -> None:
    effect = watched(log)
    tick = settled_wait(log)
    one = observe(log, effect, "reconciler", tick)
    log.tick(1)
    again = observe(log, effect, "reconciler", digest.event_id(log.envelopes[-1].body))
    conclude(log, effect, one, again)


@breaks("self-attested issuer")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    log.on(effect, Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None), "agent")


@breaks("self-attested executor")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    log.on(effect, Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None), "executor")
