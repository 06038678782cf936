"""Logs in which two rules meet: which of them answers, and what a rule does not ask."""

from vectors.generate import _wire as wire
from vectors.generate._guards import APPROVERS, asked
from vectors.generate._intents import claimed
from vectors.generate._lives import ATTESTED, absent, call, charge, settle, started, unknown
from vectors.generate._recoveries import swear
from vectors.generate._remarks import SEEN, saw, seeing
from vectors.generate._sample import CHARGE
from vectors.generate._story import CHARGES, TTL, Cases, D, Q, Story
from vectors.generate._wire import AGENT, APPROVER, EXECUTOR, LOG, ORIGIN, STRANGER, Map, Value

ORDER: Map = {"type": "token", "max": 64, "nullable": False}
NUMBER: Map = {"type": "integer", "min": 0, "max": 999, "nullable": False}
RETIRES: Map = {
    "effect_class": "money.charge/1",
    "resource": CHARGE["resource"],
    "purpose": "order",
    "identity": ["customer"],
}
OPA: Map = {"name": "opa", "engine": "opa/1", "source": "package invoke"}


def cases() -> Cases:
    yield from attestations()
    yield from authority()
    yield from orders()
    yield from since()
    yield from sightings()
    yield from retired()
    yield from unchecked()
    yield from times()


def attestations() -> Cases:
    story, effect = unknown(Story(also=ATTESTED))
    settle(story)
    story.recover()
    story.attest(effect, void="too-early")
    story.wait(1)
    story.attest(effect, "not_committed", void="too-early")
    story.wait(D + Q - 1)
    story.attest(effect, void="too-early")
    story.wait(1)
    story.attest(effect)
    yield "attest-recovery", story.case("D + Q counts from the recovery too [REC-6] [TIME-4]", "attestation")
    story = Story(also=(("executor", EXECUTOR), ("attestor", EXECUTOR)))
    effect = story.effect()
    story.intent(effect)
    story.start(effect, EXECUTOR)
    story.outcome(effect, "not_committed", by=EXECUTOR)
    story.intent(effect)
    story.start(effect)
    story.outcome(effect, "unknown")
    settle(story)
    story.attest(effect, by=EXECUTOR)
    yield "attest-earlier-executor", story.case("the key of an earlier attempt's START attests", "attestation", "life")


def authority() -> Cases:
    story, effect = claimed()
    story.wait(1)
    story.wait(TTL)
    story.release(effect, LOG)
    story.intent(effect)
    story.start(effect)
    story.about(effect, "note", effect.head or b"", LOG)
    story.wait(1)
    story.wait(D)
    story.suspect(effect, LOG)
    yield "govern-log-key", story.case("the log key releases, suspects and notes [GOV-5]", "governance", "life")
    story, effect = asked()
    approval = story.approve(effect)
    story.revoke(key=APPROVER.public)
    story.grant("approver", APPROVER, {**CHARGES, "prefix": "stripe:acct_2/"})
    story.start(effect, approvals=[approval], verdict=story.verdict("ask", 1), void="approval-invalid")
    story.grant("approver", APPROVER)
    story.start(effect, approvals=[approval], verdict=story.verdict("ask", 1))
    yield "approval-narrowed", story.case("its key holds approver over other resources now [EFF-8]", "approval")
    story = Story(also=(*APPROVERS, *ATTESTED))
    effect = story.effect()
    effect.intent = effect.start = wire.plain(b"x")
    story.approve(effect, LOG, void="transition-invalid")
    story.start(effect, STRANGER, void="grant-missing")
    yield "govern-no-class", story.case("of no class yet, any grant or the log key is heard [GOV-4]", "governance")


def orders() -> Cases:
    """Two rules are broken, and the first in order answers."""
    story, effect = unknown()
    story.redrive(effect)
    story.recover()
    story.outcome(effect, "not_committed", void="recovery-open")
    yield "outcome-recovered-redriven", story.case("a re-drive, then a recovery: recovery-open first", "outcome")
    story, effect = unknown()
    story.resolution(effect, of={**effect.parts, "purpose": "790"}, prev=wire.plain(b"x"), void="effect-differs")
    yield "presence-of-before-chain", story.case("another effect's, and no head [EFF-15]", "presence")
    story, effect = claimed(Story(also=(("approver", AGENT),)))
    story.approve(effect, AGENT, intent=wire.plain(b"x"), void="transition-invalid")
    story.start(effect, intent=wire.plain(b"x"), tag=bytes(32), void="transition-invalid")
    yield "chain-status-first", story.case("another claim, and a guard: transition-invalid first", "chain")


def since() -> Cases:
    """What governance has said since the intent, and does not stand in the way."""
    story, effect = claimed()
    story.contract(charge(version=2))
    story.start(effect)
    yield "start-superseded", story.case("a later version of its contract since the intent [GOV-7]", "start", "life")
    story, effect = unknown()
    story.withdraw()
    absent(story, effect)
    story.resolution(effect, finds=("contradiction",))
    yield "resolution-withdrawn", story.case("a withdrawn contract still says what was done [GOV-11]", "proof", "life")
    story, effect = started()
    story.revoke(key=AGENT.public, suspect_from=story.next - 1)
    story.find("key-suspect", story.next - 2)
    story.intent(story.effect(order="790"), void="grant-missing")
    yield "suspect-void", story.case("a void event is not key-suspect besides [RPL-11]", "revoke")


def sightings() -> Cases:
    story, effect = started()
    story.outcome(effect)
    for reference in ("pi_2", "pi_1", "pi_2"):
        story.resolution(effect, reference=reference, finds=("duplicate-effect",) if reference == "pi_2" else ())
    comment = "each sighting is held against the object of the event that committed it"
    yield "presence-third-object", story.case(comment, "presence")
    story, effect = started()
    story.outcome(effect, "not_committed")
    story.resolution(effect, finds=("contradiction",))
    story.resolution(effect)
    yield "presence-contradiction-once", story.case("what is committed contradicts nothing", "presence")
    story = Story(also=ATTESTED)
    story.recover()
    first = story.log_id
    story.recover(origin=f"{ORIGIN}.e2")
    swear(story, CHARGES, recovery=first)
    story.wait(1)
    effect = story.effect()
    story.intent(effect, status="unknown")
    absent(story, effect)
    call(story, effect)
    yield "oath-one-of-two-relied", story.case("it went to unknown: no oath let it through [PRF-9]", "recovery")


def retiring(retires: Map, **arguments: Value) -> Map:
    values: Map = {**_arguments(), **arguments}
    return charge(name="second", effect_class="money.charge/2", retires={**RETIRES, **retires}, arguments=values)


def _arguments() -> Map:
    arguments = CHARGE["arguments"]
    assert isinstance(arguments, dict)
    return arguments


def _identity(schema: Map) -> Map:
    return {"role": "identity", "schema": schema, "raw": False, "private": False, "default": None}


def retired() -> Cases:
    """[CTR-11]: what a class says of the one that it retires, and what is compared."""
    faults: dict[str, tuple[str, Map]] = {
        "resource": ("another template, of the same places", retiring({"resource": "s:{account}/{mode}/{customer}"})),
        "purpose": ("no purpose, where the retired class has one", retiring({"purpose": None})),
        "identity": ("its purpose listed besides", retiring({"identity": ["order", "customer"]})),
        "type": ("an integer that was text", retiring({}, customer=_identity(NUMBER))),
    }
    for name, (comment, contract) in faults.items():
        story = Story()
        story.contract(contract, void="key-rule-differs")
        yield f"contract-retired-{name}", story.case(f"{comment} [CTR-11]", "governance")
    purposes = {
        "integer": retiring({}, order=_identity(NUMBER)),
        "name": retiring({"purpose": "bill"}, bill=_identity(ORDER)),
    }
    for name, contract in purposes.items():
        story = Story()
        story.contract(contract)
        yield f"contract-retired-purpose-{name}", story.case("it is not compared [CTR-11]", "governance", "life")
    story = Story(contract=charge(effect_class="none"))
    story.contract(charge(name="second", retires={**RETIRES, "effect_class": "none"}))
    story.contract(charge(version=2, effect_class="none"), void="class-retired")
    yield "contract-retires-none", story.case("reads are a class that can be retired [CTR-2]", "governance")
    bill = {name: value for name, value in _arguments().items() if name != "order"} | {"bill": _identity(ORDER)}
    story = Story()
    story.contract(charge(name="other", purpose="bill", arguments=bill))
    yield "contract-rule-purpose-name", story.case("the purpose's name is its own [CTR-10]", "governance", "life")


def unchecked() -> Cases:
    """What is compared without the policy's engine [RPL-5]."""
    faults: dict[str, tuple[str, Map]] = {
        "now": ("now-differs", {"now_ms": 1}),
        "budgets": ("budgets-differ", {"budgets": {"day": {"value": 1, "as_of": 0}}}),
        "snapshot": ("inputs-differ", {"snapshot": {"balance": 100}}),
    }
    for name, (code, changed) in faults.items():
        story = Story(policy=OPA)
        inputs: Map = {"now_ms": story.now, "snapshot": {}, "budgets": {}, **changed}
        story.intent(story.effect(), verdict=story.verdict(inputs=inputs), finds=("policy-unchecked", code))
        yield f"policy-unchecked-{name}", story.case("without the engine, the rest is compared [RPL-5]", "verdict")
    copied: dict[str, Map] = {"fields": SEEN, "none": {}, "untrue": {"balance": 1}}
    for name, inline in copied.items():
        story, effect = seeing(OPA)
        finds = ("policy-unchecked", *(("inputs-differ",) if name == "untrue" else ()))
        story.intent(effect, **saw(story, SEEN, inline=inline), finds=finds)
        yield f"policy-unchecked-{name}", story.case("its fields are the snapshot's own [RPL-6]", "verdict")


def times() -> Cases:
    story = Story()
    story.wait(100)
    story.tick(story.now - 50, finds=("tick-backwards",))
    story.tick(story.now - 40, finds=("tick-backwards",))
    yield "tick-below-latest", story.case("after the last tick, and before the latest time [TIME-2]", "time")
    named: Map = {"attachment": wire.plain(b"page"), "size": 4}
    fields: Map = {"attachment": {"type": "bytes", "min": 32, "max": 32, "nullable": False}, "size": NUMBER}
    page: Map = {**_identity({"type": "record", "fields": fields, "nullable": False}), "role": "content"}
    story = Story(contract=charge(arguments={**_arguments(), "page": page}))
    story.intent(story.effect(page=named))
    story.find("attachment-missing", story.next - 1)
    comment = "a value of that shape names an attachment, whatever its argument [EVT-4]"
    yield "attachment-record", story.case(comment, "attachment")
