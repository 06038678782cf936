"""Governance that may not stand, and what replay finds though it stands: one broken rule each."""

from invoke_log.format import cbor, digest
from invoke_log.format.cbor import Value
from invoke_log.rules.kind import (
    COMMITTED,
    PRESENT,
    Attestation,
    Denial,
    Evidence,
    Freeze,
    Oath,
    Resolution,
    Revoke,
    Scope,
    Unfreeze,
)
from tests.interop.agreements import (
    ASKING,
    CHARGE,
    CHARGE_2,
    CLIENT_2,
    CLIENT_3,
    FOREIGN,
    NOTIFY,
    READ,
    SEEING,
    TRANSFER,
    call,
    snapshot,
)
from tests.interop.cases import (
    SMALL_ORDER,
    absent,
    breaks,
    claimed,
    committed,
    recover,
    resolve,
    settled_wait,
    started,
    unknown,
)
from tests.interop.log_writer import EVERYTHING, KEYS, LogWriter

# Governance.


@breaks("key-invalid")
def _(log: LogWriter) -> None:
    log.grant("stranger", "agent", key=SMALL_ORDER)


@breaks("grant-unknown")
def _(log: LogWriter) -> None:
    log.say(Revoke(key=KEYS["stranger"].public_key, grant=None, suspect_from=None), "admin")


@breaks("grant-unknown twice")
def _(log: LogWriter) -> None:
    grant = digest.event_id(log.envelopes[2].body)
    for _ in range(2):
        log.say(Revoke(key=None, grant=grant, suspect_from=None), "admin")


@breaks("last-admin")
def _(log: LogWriter) -> None:
    log.say(Revoke(key=KEYS["admin"].public_key, grant=None, suspect_from=None), "admin")


@breaks("class-retired contract of a retired class")
def _(log: LogWriter) -> None:
    log.say(CHARGE_2, "admin")
    log.say(CHARGE, "admin", change={"version": 2})


@breaks("class-retired twice")
def _(log: LogWriter) -> None:
    log.say(CHARGE_2, "admin")
    log.say(CHARGE_2, "admin", change={"name": "charge-three", "effect_class": "money.charge/3"})


@breaks("contract-version")
def _(log: LogWriter) -> None:
    log.say(CHARGE, "admin", change={"timeout_ms": 1})


@breaks("key-rule-differs")
def _(log: LogWriter) -> None:
    log.say(CHARGE, "admin", change={"name": "other", "resource": "other:{account}/{customer}"})


@breaks("key-rule-differs the retired key is made of other arguments")
def _(log: LogWriter) -> None:
    retires = CHARGE_2.data["retires"]
    assert isinstance(retires, dict)
    log.say(CHARGE_2, "admin", change={"retires": {**retires, "identity": []}})


@breaks("key-rule-differs a key retired long ago cannot be made any more")
def _(log: LogWriter) -> None:
    log.say(CLIENT_2, "admin")
    log.say(CLIENT_3, "admin")


@breaks("key-rule-differs not all reads have the key that is retired")
def _(log: LogWriter) -> None:
    log.say(READ, "admin", change={"name": "other", "resource": "other:{account}/{customer}"})
    retires: Value = {
        "effect_class": "none",
        "resource": READ.resource,
        "purpose": READ.purpose,
        "identity": [*READ.identity],
    }
    log.say(READ, "admin", change={"name": "act", "effect_class": "act/1", "retires": retires})


@breaks("key-rule-differs another version is in force")
def _(log: LogWriter) -> None:
    log.say(CHARGE_2, "admin", change={"retires": None})


@breaks("freeze-unknown")
def _(log: LogWriter) -> None:
    log.say(Freeze(scope=EVERYTHING, reason=""), "admin")
    log.say(Unfreeze(scope=Scope(effect_class="*", prefix="charge:/"), reason=""), "admin")


@breaks("recovery-invalid size")
def _(log: LogWriter) -> None:
    recover(log, size=log.index - 1)
    log.log_key = KEYS["log"]


@breaks("recovery-invalid root")
def _(log: LogWriter) -> None:
    recover(log, root=bytes(32))
    log.log_key = KEYS["log"]


@breaks("recovery-invalid origin")
def _(log: LogWriter) -> None:
    recover(log, origin=log.origin)
    log.log_key = KEYS["log"]


@breaks("recovery-invalid key")
def _(log: LogWriter) -> None:
    recover(log, log_key=SMALL_ORDER)
    log.log_key = KEYS["log"]


@breaks("recovery-invalid planned without a checkpoint")
def _(log: LogWriter) -> None:
    recover(log, amnesia=False)
    log.log_key = KEYS["log"]


@breaks("recovery-invalid planned with an older checkpoint")
def _(log: LogWriter) -> None:
    note = log.note()
    log.tick(1)
    recover(log, amnesia=False, checkpoint=note)
    log.log_key = KEYS["log"]


@breaks("recovery-unknown")
def _(log: LogWriter) -> None:
    recover(log)
    log.say(Oath(scope=EVERYTHING, recovery=bytes(32), reason=""), "attestor")


# What is found and voids nothing.


@breaks("tick-backwards")
def _(log: LogWriter) -> None:
    log.tick(-1)


@breaks("map-differs")
def _(log: LogWriter) -> None:
    started(log)
    older = log.map_root(log.index)
    committed(log, order=2)
    log.tick(1, covers=log.index, map_root=older)


@breaks("map-differs covers fewer leaves")
def _(log: LogWriter) -> None:
    committed(log)
    log.tick(1, covers=log.index - 1, map_root=log.map_root(log.index))


@breaks("verdict-differs intent")
def _(log: LogWriter) -> None:
    log.say(ASKING, "admin")
    verdict = log.intents[claimed(log, amount=10)][0].verdict
    lie: Value = {
        "policy_id": verdict.policy_id, "inputs": verdict.inputs, "answer": "allow", "rule": "rest", "approvals": 0,
    }  # fmt: skip
    log.intent(CHARGE, call(CHARGE, order=2, amount=2000), change={"verdict": lie})


@breaks("verdict-differs rule")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    verdict = log.intents[effect][0].verdict
    lie: Value = {
        "policy_id": verdict.policy_id, "inputs": verdict.inputs, "answer": "allow", "rule": None, "approvals": 0,
    }  # fmt: skip
    log.start(effect, change={"verdict": lie})


@breaks("now-differs")
def _(log: LogWriter) -> None:
    verdict = log.intents[claimed(log)][0].verdict
    later: Value = {
        "policy_id": verdict.policy_id, "inputs": {**verdict.inputs, "now_ms": log.now_ms + 1}, "answer": "allow",
        "rule": "covered", "approvals": 0,
    }  # fmt: skip
    log.intent(CHARGE, call(CHARGE, order=2), change={"verdict": later})


@breaks("inputs-differ fields that the policy does not read")
def _(log: LogWriter) -> None:
    verdict = log.intents[claimed(log)][0].verdict
    more: Value = {
        "policy_id": verdict.policy_id, "inputs": {**verdict.inputs, "snapshot": {"open": True}}, "answer": "allow",
        "rule": "covered", "approvals": 0,
    }  # fmt: skip
    log.intent(CHARGE, call(CHARGE, order=2), change={"verdict": more})


@breaks("inputs-differ from the snapshot")
def _(log: LogWriter) -> None:
    fields, raw, snapshot_id = snapshot()
    log.attachments.append(raw)
    log.say(SEEING, "admin")
    log.intent(TRANSFER, call(TRANSFER), snapshot=snapshot_id, seen={**fields, "balance": 999})


@breaks("rendering-differs approval")
def _(log: LogWriter) -> None:
    log.approve(claimed(log), change={"shown": bytes(32)})


@breaks("rendering-differs denial")
def _(log: LogWriter) -> None:
    effect = claimed(log)
    log.on(effect, Denial(intent=log.intent_id(effect), shown=bytes(32), reason=""), "approver")


@breaks("snapshot-invalid")
def _(log: LogWriter) -> None:
    raw = cbor.encode({"balance": 1, "etag": "e", "open": 1})
    log.attachments.append(raw)
    log.intent(TRANSFER, call(TRANSFER), snapshot=digest.attachment_digest(raw))


@breaks("attachment-differs")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    settled_wait(log)
    log.attachments.append(b"a letter")
    named: Value = {"attachment": digest.attachment_digest(b"a letter"), "size": 7}
    log.on(
        effect,
        Attestation(status=COMMITTED, reason="seen in the dashboard", attachment=None),
        "attestor",
        change={"attachment": named},
    )


@breaks("attachment-unnamed", at=None)
def _(log: LogWriter) -> None:
    log.attachments.append(b"nobody's")


@breaks("attachment-missing")
def _(log: LogWriter) -> None:
    effect = log.intent(NOTIFY, call(NOTIFY, amount=19_000))
    assert type(log.intents[effect][0].content["file"]) is dict


@breaks("contradiction")
def _(log: LogWriter) -> None:
    effect = unknown(log)
    absent(log, effect)
    said = Resolution(presence=PRESENT, contract_id=CHARGE.id, generation=1, evidence=Evidence(kind="tag_seen"))
    log.on(effect, said, "reconciler")


@breaks("duplicate-effect")
def _(log: LogWriter) -> None:
    resolve(log, committed(log), PRESENT, Evidence(kind="tag_seen", reference="ch_2"))


@breaks("suspect")
def _(log: LogWriter) -> None:
    log.grant("stranger", "agent")
    log.say(Revoke(key=KEYS["stranger"].public_key, grant=None, suspect_from=5), "admin")


@breaks("policy-unchecked")
def _(log: LogWriter) -> None:
    log.say(FOREIGN, "admin")
    claimed(log)
