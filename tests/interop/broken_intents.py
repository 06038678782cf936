"""Events without form, signature or authority, and intents that may not stand: one broken rule each."""

from dataclasses import replace

from invoke_log.format.cbor import Value
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import (
    COMMITTED,
    NOT_COMMITTED,
    PRESENT,
    UNKNOWN,
    Attestation,
    Evidence,
    Freeze,
    KeyParts,
    Note,
    Oath,
    Release,
    Resolution,
    Revoke,
    Scope,
    Suspect,
    Withdraw,
)
from tests.interop.agreements import ASKING, CHARGE, CHARGE_2, HOOKED, NOTIFY, READ, SEEING, TRANSFER, call
from tests.interop.cases import (
    absent,
    breaks,
    claimed,
    committed,
    recover,
    redrive,
    resolve,
    settled_wait,
    started,
    unknown,
)
from tests.interop.log_writer import EVERYTHING, KEYS, LogWriter

# Form, signature, log, authority.


@breaks("signature-invalid")
def _(log: LogWriter) -> None:
    log.seal({**log.envelopes[1].fields, "at_ms": 5}, log.log_key, signature=bytes(64))


@breaks("signature-invalid of another message")
def _(log: LogWriter) -> None:
    log.seal({**log.envelopes[1].fields, "at_ms": 5}, log.log_key, signature=log.envelopes[1].signature)


@breaks("form-invalid field too many")
def _(log: LogWriter) -> None:
    log.tick(1, more=1)


@breaks("form-invalid unknown kind")
def _(log: LogWriter) -> None:
    log.tick(1, kind="tock")


@breaks("form-invalid revoke of two things")
def _(log: LogWriter) -> None:
    key = KEYS["agent"].public_key
    log.say(Revoke(key=key, grant=key, suspect_from=None), "admin")


@breaks("form-invalid scoped admin")
def _(log: LogWriter) -> None:
    log.grant("stranger", "admin", Scope(effect_class="money.charge/1", prefix=""))


@breaks("form-invalid prefix inside a segment")
def _(log: LogWriter) -> None:
    log.grant("stranger", "agent", Scope(effect_class="*", prefix="charge:acct"))


@breaks("form-invalid purpose of free text")
def _(log: LogWriter) -> None:
    arguments = CHARGE.data["arguments"]
    assert isinstance(arguments, dict)
    order: Value = {**arguments["order"], "schema": {"type": "text", "max": 64, "nullable": False}}  # type: ignore[dict-item]
    log.say(CHARGE, "admin", change={"name": "other", "arguments": {**arguments, "order": order}})


@breaks("form-invalid definite failure that proves nothing")
def _(log: LogWriter) -> None:
    log.say(CHARGE, "admin", change={"name": "other", "definite_failures": ["http_502"]})


@breaks("form-invalid set out of order")
def _(log: LogWriter) -> None:
    log.say(CHARGE, "admin", change={"name": "other", "definite_failures": ["card_declined", "http_402"]})


@breaks("form-invalid rule name twice")
def _(log: LogWriter) -> None:
    rules = ASKING.data["source"]["rules"]  # type: ignore[index,call-overload]
    log.say(ASKING, "admin", change={"source": {"rules": [*rules, *rules]}})  # type: ignore[misc]


@breaks("log-mismatch")
def _(log: LogWriter) -> None:
    log.tick(1, log=bytes(32))


@breaks("grant-missing tick")
def _(log: LogWriter) -> None:
    log.tick(1, by="admin")


@breaks("grant-missing governance")
def _(log: LogWriter) -> None:
    log.say(Freeze(scope=EVERYTHING, reason=""), "agent")


@breaks("grant-missing governance that also breaks its chain")
def _(log: LogWriter) -> None:
    log.say(Freeze(scope=EVERYTHING, reason=""), "agent", prev=bytes(32))


@breaks("grant-missing intent")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), by="executor")


@breaks("grant-missing intent outside its scope")
def _(log: LogWriter) -> None:
    log.grant("scoped", "agent", Scope(effect_class="money.charge/1", prefix="charge:acct_1/cus_1/"))
    log.intent(CHARGE, call(CHARGE, customer=2), by="scoped")


@breaks("grant-missing again by an agent")
def _(log: LogWriter) -> None:
    committed(log)
    log.intent(CHARGE, call(CHARGE), again=True)


@breaks("grant-missing start")
def _(log: LogWriter) -> None:
    log.start(claimed(log), by="agent")


@breaks("grant-missing note")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Note(about=effect, text=""), "stranger")


@breaks("grant-missing release")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Release(intent=log.state(effect).last or b"", reason=""), "stranger")


@breaks("grant-missing resolution")
def _(log: LogWriter) -> None:
    resolve(log, started(log), PRESENT, Evidence(kind="tag_seen"), by="agent")


@breaks("grant-missing attestation")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    log.on(effect, Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None), "admin")


@breaks("grant-missing oath outside its scope")
def _(log: LogWriter) -> None:
    log.grant("scoped", "attestor", Scope(effect_class="money.charge/1", prefix="charge:acct_1/"))
    recover(log)
    log.say(Oath(scope=EVERYTHING, recovery=log.fold.governance.recoveries[0].id, reason=""), "scoped")


@breaks("grant-missing after a revoke")
def _(log: LogWriter) -> None:
    log.say(Revoke(key=KEYS["agent"].public_key, grant=None, suspect_from=None), "admin")
    claimed(log)


@breaks("contract-unknown intent")
def _(log: LogWriter) -> None:
    log.intent(CHARGE_2, call(CHARGE_2))


@breaks("contract-unknown resolution")
def _(log: LogWriter) -> None:
    resolve(log, started(log), PRESENT, Evidence(kind="tag_seen"), contract_id=bytes(32))


@breaks("contract-unknown withdraw")
def _(log: LogWriter) -> None:
    log.say(Withdraw(contract_id=bytes(32), reason=""), "admin")


@breaks("duplicate note")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Note(about=effect, text="once"), "agent")
    log.put(log.envelopes[-1], signed=True)


@breaks("duplicate tick")
def _(log: LogWriter) -> None:
    log.put(log.envelopes[1], signed=True)


# Intents.


@breaks("collision")
def _(log: LogWriter) -> None:
    state = log.fold.state_hash("charge:acct_1/cus_1")
    claimed(log)
    log.intent(CHARGE, call(CHARGE), by="repeater", state=state)


@breaks("collision on a committed effect")
def _(log: LogWriter) -> None:
    state = log.fold.state_hash("charge:acct_1/cus_1")
    committed(log)
    log.intent(CHARGE, call(CHARGE), by="repeater", state=state)


@breaks("conflict")
def _(log: LogWriter) -> None:
    committed(log)
    log.intent(CHARGE, call(CHARGE, amount=501))


@breaks("blocked")
def _(log: LogWriter) -> None:
    unknown(log)
    claimed(log)


@breaks("blocked by a presence that nobody intended")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    said = Resolution(presence=PRESENT, contract_id=CHARGE.id, generation=7, evidence=Evidence(kind="tag_seen"))
    log.on(effect, said, "reconciler")
    claimed(log)


@breaks("chain-broken governance")
def _(log: LogWriter) -> None:
    log.say(Freeze(scope=EVERYTHING, reason=""), "admin", prev=bytes(32))


@breaks("chain-broken intent")
def _(log: LogWriter) -> None:
    claimed(log)
    log.intent(CHARGE, call(CHARGE, order=2), prev=bytes(32))


@breaks("chain-broken outcome")
def _(log: LogWriter) -> None:
    effect = started(log)
    head = log.state(effect).last
    log.outcome(effect, UNKNOWN, "no_answer")
    said = Suspect(start=head or b"")
    log.on(effect, said, "agent", prev=head)


@breaks("chain-broken tick with a predecessor")
def _(log: LogWriter) -> None:
    log.tick(1, prev=bytes(32))


@breaks("chain-broken after names an older head")
def _(log: LogWriter) -> None:
    effect = started(log)
    log.outcome(effect, NOT_COMMITTED, "never_sent")
    log.intent(CHARGE, call(CHARGE), change={"after": log.intents[effect][0].contract_id})


@breaks("state-stale")
def _(log: LogWriter) -> None:
    state = log.fold.state_hash("charge:acct_1/cus_1")
    claimed(log)
    log.intent(CHARGE, call(CHARGE, order=2), state=state)


@breaks("contract-superseded")
def _(log: LogWriter) -> None:
    log.say(CHARGE, "admin", change={"version": 2})
    claimed(log)


@breaks("contract-superseded by a class that retires it")
def _(log: LogWriter) -> None:
    log.say(CHARGE_2, "admin")
    claimed(log)


@breaks("policy-superseded intent")
def _(log: LogWriter) -> None:
    verdict = log.intents[claimed(log)][0].verdict
    log.say(ASKING, "admin")
    old: Value = {
        "policy_id": verdict.policy_id,
        "inputs": verdict.inputs,
        "answer": "allow",
        "rule": "covered",
        "approvals": 0,
    }
    log.intent(CHARGE, call(CHARGE, order=2), change={"verdict": old})


@breaks("policy-superseded start")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    verdict = log.intents[effect][0].verdict
    log.say(ASKING, "admin")
    old: Value = {
        "policy_id": verdict.policy_id,
        "inputs": verdict.inputs,
        "answer": "allow",
        "rule": "covered",
        "approvals": 0,
    }
    log.start(effect, change={"verdict": old})


@breaks("arguments-invalid amount out of bounds")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), change={"content": {"amount": 0, "memo": ""}})


@breaks("arguments-invalid argument missing")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), change={"content": {"amount": 1}})


@breaks("arguments-invalid purpose where there is none")
def _(log: LogWriter) -> None:
    log.intent(NOTIFY, call(NOTIFY), change={"purpose": "x"})


@breaks("arguments-invalid raw value too long to stand inline")
def _(log: LogWriter) -> None:
    log.intent(NOTIFY, call(NOTIFY), change={"content": {"text": "", "file": bytes(16_385)}})


@breaks("arguments-invalid attachment over the argument's bound")
def _(log: LogWriter) -> None:
    named: Value = {"attachment": bytes(32), "size": 64_001}
    log.intent(NOTIFY, call(NOTIFY), change={"content": {"text": "", "file": named}})


@breaks("arguments-invalid attachment that could stand inline")
def _(log: LogWriter) -> None:
    named: Value = {"attachment": bytes(32), "size": 16_384}
    log.intent(NOTIFY, call(NOTIFY), change={"content": {"text": "", "file": named}})


@breaks("arguments-invalid purpose that is no token")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), change={"purpose": "two words"})


@breaks("effect-differs")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), effect=bytes(32))


@breaks("effect-differs resource")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), resource="charge:acct_1/cus_2")


@breaks("resource-differs")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Release(intent=log.state(effect).last or b"", reason=""), "agent", resource="charge:acct_1/cus_2")


@breaks("effect-differs presence on a key of another resource")
def _(log: LogWriter) -> None:
    log.say(unseen(), "reconciler", effect=bind(CHARGE, call(CHARGE)).effect, resource="charge:acct_1/cus_2")


@breaks("effect-differs presence that does not say which effect it is about")
def _(log: LogWriter) -> None:
    bound = bind(CHARGE, call(CHARGE))
    log.say(replace(unseen(), of=None), "reconciler", effect=bound.effect, resource=bound.resource)


@breaks("arguments-invalid presence")
def _(log: LogWriter) -> None:
    bound, of = bind(CHARGE, call(CHARGE)), KeyParts(purpose="", identity={})
    log.say(replace(unseen(), of=of), "reconciler", effect=bound.effect, resource=bound.resource)


@breaks("effect-none presence")
def _(log: LogWriter) -> None:
    bound = bind(READ, call(READ))
    said = replace(unseen(), contract_id=READ.id, of=bound.parts)
    log.say(said, "reconciler", effect=bound.effect, resource=bound.resource)


def unseen() -> Resolution:
    """A presence of an effect that the log need not know."""
    seen, of = Evidence(kind="tag_seen"), bind(CHARGE, call(CHARGE)).parts
    return Resolution(presence=PRESENT, contract_id=CHARGE.id, generation=1, evidence=seen, of=of)


@breaks("effect-none")
def _(log: LogWriter) -> None:
    log.intent(READ, call(READ))


@breaks("contract-withdrawn intent")
def _(log: LogWriter) -> None:
    log.say(Withdraw(contract_id=CHARGE.id, reason=""), "admin")
    claimed(log)


@breaks("contract-withdrawn start")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.say(Withdraw(contract_id=CHARGE.id, reason=""), "admin")
    log.start(effect)


@breaks("frozen intent")
def _(log: LogWriter) -> None:
    log.say(Freeze(scope=Scope(effect_class="money.charge/1", prefix="charge:acct_1/"), reason=""), "admin")
    claimed(log)


@breaks("frozen start")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.say(Freeze(scope=Scope(effect_class="*", prefix="charge:acct_1/"), reason=""), "admin")
    log.start(effect)


@breaks("frozen redrive")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    log.say(Freeze(scope=EVERYTHING, reason=""), "admin")
    redrive(log, effect)


@breaks("again-invalid")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), by="repeater", change={"again": bytes(32)})


@breaks("again-invalid after the last generation")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    said = Resolution(presence=PRESENT, contract_id=CHARGE.id, generation=2**53 - 1, evidence=Evidence(kind="tag_seen"))
    log.on(effect, said, "reconciler")
    log.intent(CHARGE, call(CHARGE), by="repeater", change={"again": log.state(effect).last})


@breaks("after-invalid after on a free effect")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    intent = log.state(effect).last
    log.on(effect, Release(intent=intent or b"", reason=""), "agent")
    log.intent(CHARGE, call(CHARGE), change={"after": log.state(effect).last})


@breaks("after-invalid no after on a not_committed effect")
def _(log: LogWriter) -> None:
    log.outcome(started(log), NOT_COMMITTED, "never_sent")
    log.intent(CHARGE, call(CHARGE), change={"after": None})


@breaks("content-differs after absence")
def _(log: LogWriter) -> None:
    absent(log, unknown(log))
    log.intent(CHARGE, call(CHARGE, amount=501))


@breaks("content-differs after an attestation")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    log.on(effect, Attestation(status=NOT_COMMITTED, reason="seen in the dashboard", attachment=None), "attestor")
    log.intent(CHARGE, call(CHARGE, amount=501))


@breaks("predecessor-open")
def _(log: LogWriter) -> None:
    unknown(log)
    log.say(CHARGE_2, "admin")
    log.intent(CHARGE_2, call(CHARGE_2))


@breaks("snapshot-differs none where there is a profile")
def _(log: LogWriter) -> None:
    log.intent(TRANSFER, call(TRANSFER))


@breaks("snapshot-differs one where there is no profile")
def _(log: LogWriter) -> None:
    log.intent(CHARGE, call(CHARGE), snapshot=bytes(32))


@breaks("snapshot-differs start")
def _(log: LogWriter) -> None:
    log.start(claimed(log), snapshot=bytes(32))


@breaks("verdict-deny intent")
def _(log: LogWriter) -> None:
    log.say(SEEING, "admin")
    log.intent(HOOKED, call(HOOKED))


@breaks("verdict-deny start")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.say(SEEING, "admin")
    log.start(effect)
