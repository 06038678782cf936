"""Every guard of SPEC.md's sections 6 to 10: a small log, one event that breaks the rule, and the code in SPEC."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from invoke_log.format.cbor import Value
from invoke_log.log.signer import FileSigner
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import (
    Approval,
    Attestation,
    Denial,
    Evidence,
    Genesis,
    Grant,
    KeyParts,
    Note,
    Oath,
    Recovery,
    Release,
    Revoke,
    Suspect,
    Tick,
    Unfreeze,
    Withdraw,
)
from tests.harness.play import (
    APPROVER,
    ATTESTOR,
    EXECUTOR,
    SECOND,
    STRANGER,
    Play,
    absent,
    absent_by,
    another_policy,
    approve,
    claim_of,
    claimed,
    committed,
    frozen,
    governed,
    must,
    not_committed,
    recovered,
    redrive,
    revoked,
    send_of,
    settled_tick,
    started,
    successor,
    under,
    unknown,
    withdrawn,
)
from tests.harness.worked_log import (
    ADMIN,
    AGENT,
    CONTRACT,
    LOG,
    ORIGIN,
    RECONCILER,
    T0,
    an_intent,
    contract,
    verdict,
)

ID: Final = bytes(32)
"""The id of no event."""
STORES_ALL: Final[Value] = {"place": "header", "retention_ms": 86_400_000, "mismatch": "refused", "stores": "all"}
KEYED: Final = contract(provider_key=STORES_ALL, definite_failures=["card_declined"])
ASKS: Final = contract(approvals={"count": 2, "ttl_ms": 60_000})
TWO_READERS: Final = contract(reconcilers=2)
LAGGING: Final = contract(read_back={"operation": "s", "tag": "t", "complete": True, "lag_ms": 1})
PROFILED: Final = contract(profile={"type": "record", "fields": {"vip": {"type": "boolean"}}})
OTHER_CONTENT: Final[dict[str, Value]] = {"amount": 1, "currency": "usd"}
GRANT: Final = Grant(subject="s", key=STRANGER.public_key, role="agent", scope=EVERYTHING)
GENESIS: Final = Genesis(format=1, origin="o", log_key=LOG.public_key, admin_keys=(ADMIN.public_key,))
RECOVERY: Final = Recovery(
    old_origin=ORIGIN, origin="o", size=1, root=ID, checkpoint=None, log_key=LOG.public_key, amnesia=True
)
ATTESTATION: Final = Attestation(status="committed", reason="r", attachment=None)
READ: Final = Evidence(kind="absence")
SEEN: Final = Evidence(kind="tag_seen")

CASES: Final[list[tuple[str, str, Callable[[], bytes | str]]]] = []


def breaks(rule: str, code: str) -> Callable[[Callable[[], bytes | str]], None]:
    """Enter a scenario: the clause, the code, and a function that returns what the last event was answered with."""
    return lambda scenario: CASES.append((f"{len(CASES)} {rule} {code}", code, scenario))


def asked() -> Play:
    """A claim whose verdict asks, under a contract that wants two approvals."""
    play = Play(ASKS)
    must(play.intend(verdict=verdict("ask")))
    return play


def revoke(key: FileSigner) -> Revoke:
    return Revoke(key=key.public_key, grant=None, suspect_from=None)


def oath(play: Play, recovery: bytes, by: FileSigner) -> bytes | str:
    return play.say(Oath(scope=EVERYTHING, recovery=recovery, reason="r"), by)


# Governance


breaks("[GOV-2]", "grant-missing")(lambda: Play().say(GRANT, AGENT))
breaks("[GOV-2]", "chain-broken")(lambda: Play().say(GRANT, ADMIN, prev=ID))
breaks("[GOV-3]", "log-mismatch")(lambda: Play().say(GRANT, ADMIN, log=ID))
breaks("[GOV-4]", "grant-missing")(lambda: Play().intend(STRANGER))
breaks("[GOV-4]", "grant-missing")(lambda: claimed().start(AGENT))
breaks("[GOV-5]", "grant-missing")(lambda: Play().say(Note(about=ID, text=""), STRANGER))
breaks("[GOV-6]", "key-invalid")(lambda: Play().say(replace(GRANT, key=ID), ADMIN))
breaks("[GOV-6]", "grant-unknown")(lambda: Play().say(revoke(STRANGER), ADMIN))
breaks("[GOV-6]", "last-admin")(lambda: Play().say(revoke(ADMIN), ADMIN))
breaks("[GOV-7]", "contract-superseded")(lambda: governed(Play(), contract(version=2)).intend())
breaks("[GOV-8]", "contract-version")(lambda: Play().say(contract(level="anchored"), ADMIN))
breaks("[GOV-8]", "class-retired")(lambda: governed(Play(), successor()).say(contract(version=2), ADMIN))
breaks("[GOV-8]", "class-retired")(
    lambda: governed(Play(), successor()).say(successor("money.refund/1", name="refund"), ADMIN)
)
breaks("[GOV-9]", "freeze-unknown")(lambda: Play().say(Unfreeze(scope=EVERYTHING, reason=""), ADMIN))
breaks("[GOV-9]", "frozen")(lambda: frozen(Play()).intend())
breaks("[GOV-9]", "frozen")(lambda: frozen(claimed()).start())
breaks("[GOV-9]", "frozen")(lambda: redrive(frozen(unknown(KEYED))))
breaks("[GOV-10]", "policy-superseded")(lambda: another_policy(Play()).intend())
breaks("[GOV-10]", "policy-superseded")(lambda: another_policy(claimed()).start())
breaks("[GOV-11]", "contract-unknown")(lambda: Play().say(Withdraw(contract_id=ID, reason=""), ADMIN))
breaks("[GOV-11]", "contract-withdrawn")(lambda: withdrawn(Play()).intend())
breaks("[GOV-11]", "contract-withdrawn")(lambda: withdrawn(claimed()).start())
breaks("[GOV-12]", "transition-invalid")(lambda: Play().say(GENESIS, ADMIN))
breaks("[CTR-10]", "key-rule-differs")(lambda: Play().say(contract(name="b", resource="x/{customer}"), ADMIN))
breaks("[CTR-10]", "key-rule-differs")(lambda: Play().say(contract(name="b", effect_class="money.charge/2"), ADMIN))
breaks("[CTR-11]", "key-rule-differs")(lambda: Play().say(successor(identity=()), ADMIN))
breaks("[REC-1]", "recovery-invalid")(lambda: Play().say(RECOVERY, ADMIN))
breaks("[REC-2]", "recovery-unknown")(lambda: oath(Play(), ID, ATTESTOR))


@breaks("[GOV-2]", "grant-missing")
def _() -> bytes | str:
    play = recovered(Play())
    return oath(play, play.log_id, RECONCILER)


@breaks("[GOV-3]", "log-mismatch")
def _() -> bytes | str:
    play = Play()
    log = play.log_id
    return recovered(play).say(GRANT, ADMIN, log=log)


# Ticks, and what stands on no chain


breaks("[TIME-1]", "grant-missing")(lambda: Play().tick(1, by=ADMIN))
breaks("[TIME-1]", "tick-invalid")(lambda: Play().tick(1, covers=10_000, root=ID))
breaks("[TIME-1]", "tick-overtaken")(lambda: Play().tick(1, covers=1))
breaks("[EVT-1]", "chain-broken")(lambda: Play().say(Tick(time_ms=T0, covers=0, map=None), LOG, prev=ID))


@breaks("[ADM-6]", "duplicate")
def _() -> bytes | str:
    play = Play()
    covers = len(play.envelopes)
    must(play.tick(1, covers=covers))
    return play.tick(1, covers=covers)


# Intents, in the order of [EFF-2]


breaks("[EFF-2]", "contract-unknown")(lambda: Play().intend(contract_id=ID))
breaks("[INT-2]", "arguments-invalid")(lambda: Play().intend(content={"amount": 5000}))
breaks("[INT-2]", "arguments-invalid")(lambda: Play().intend(content={"amount": 0, "currency": "usd"}))
breaks("[INT-3]", "arguments-invalid")(lambda: Play().intend(purpose="the order"))
breaks("[INT-4]", "effect-differs")(lambda: Play().intend(identity={"customer": "cus_2"}))
breaks("[ADM-4]", "conflict")(lambda: claimed().intend(content=OTHER_CONTENT))
breaks("[ADM-4]", "blocked")(lambda: claimed().intend())
breaks("[ADM-4]", "blocked")(lambda: unknown().intend())
breaks("[ADM-4]", "blocked")(lambda: committed().intend())
breaks("[CTR-2]", "effect-none")(lambda: Play(contract(effect_class="none")).intend())
breaks("[EFF-4]", "again-invalid")(lambda: Play().intend(again=ID))
breaks("[EFF-3]", "after-invalid")(lambda: not_committed().intend())
breaks("[EFF-3]", "chain-broken")(lambda: not_committed().intend(after=ID))
breaks("[EFF-14]", "predecessor-open")(lambda: under(governed(claimed(), successor()), successor()).intend())
breaks("[SNP-1]", "snapshot-differs")(lambda: Play(PROFILED).intend())
breaks("[SNP-1]", "snapshot-differs")(lambda: Play().intend(snapshot_id=ID))
breaks("[EFF-2]", "verdict-deny")(lambda: Play().intend(verdict=verdict("deny")))


breaks("[EFF-15]", "effect-differs")(lambda: Play().resolve("present", SEEN, of=None))
breaks("[EFF-15]", "effect-differs")(
    lambda: Play().resolve("present", SEEN, of=KeyParts(purpose="0", identity={"customer": "cus_1"}))
)
breaks("[EFF-15]", "arguments-invalid")(
    lambda: Play().resolve("present", SEEN, of=KeyParts(purpose="789", identity={}))
)
breaks("[EFF-15]", "effect-none")(lambda: Play(contract(effect_class="none")).resolve("present", SEEN))


@breaks("[EFF-2]", "state-stale")
def _() -> bytes | str:
    play = Play()
    return play.say(an_intent(CONTRACT, play.bound), AGENT, state=ID)


@breaks("[EFF-1]", "chain-broken")
def _() -> bytes | str:
    play = Play()
    return play.say(an_intent(CONTRACT, play.bound), AGENT, prev=ID)


@breaks("[ADM-4]", "collision")
def _() -> bytes | str:
    play = Play()
    state = play.fold.state_hash(play.bound.resource)
    must(play.intend())
    return play.say(an_intent(CONTRACT, play.bound), AGENT, state=state, prev=None, at_ms=1)


@breaks("[EFF-4]", "grant-missing")
def _() -> bytes | str:
    play = committed()
    return play.intend(RECONCILER, again=play.state.last)


@breaks("[EFF-3]", "content-differs")
def _() -> bytes | str:
    play = not_committed()
    return play.intend(after=play.state.last, content=OTHER_CONTENT)


# Approvals, releases, STARTs


breaks("[EFF-5]", "transition-invalid")(lambda: claimed().say(Approval(intent=ID, shown=ID), APPROVER))
breaks("[EFF-13]", "transition-invalid")(lambda: started().start())
breaks("[EFF-2]", "verdict-deny")(lambda: claimed().start(verdict=verdict("deny")))
breaks("[SNP-1]", "snapshot-differs")(lambda: claimed().start(snapshot_id=ID))
breaks("[EFF-7]", "tag-differs")(lambda: claimed().start(tag=ID))
breaks("[EFF-7]", "provider-key-differs")(lambda: claimed().start(provider_key=ID))
breaks("[EFF-8]", "approvals-missing")(lambda: asked().start())
breaks("[EFF-8]", "approval-invalid")(lambda: claimed().start(approvals=(ID,)))


@breaks("[EFF-5]", "self-approved")
def _() -> bytes | str:
    play = claimed()
    return play.say(Approval(intent=claim_of(play), shown=ID), AGENT)


@breaks("[EFF-5]", "self-approved")
def _() -> bytes | str:
    play = claimed()
    return play.say(Denial(intent=claim_of(play), shown=ID, reason=""), AGENT)


@breaks("[EFF-1]", "chain-broken")
def _() -> bytes | str:
    play = claimed()
    return play.say(Denial(intent=claim_of(play), shown=ID, reason=""), APPROVER, prev=None)


@breaks("[EFF-6]", "claim-held")
def _() -> bytes | str:
    play = claimed()
    must(play.tick(1))
    must(play.tick(CONTRACT.claim_ttl_ms))
    return play.say(Release(intent=claim_of(play), reason=""), EXECUTOR)


@breaks("[EFF-8]", "approvals-missing")
def _() -> bytes | str:
    play = asked()
    return play.start(approvals=(approve(play),))


@breaks("[EFF-8]", "approvals-missing")
def _() -> bytes | str:
    play = asked()
    return play.start(approvals=tuple(sorted((approve(play), approve(play)))))


@breaks("[EFF-8]", "self-approved")
def _() -> bytes | str:
    play = claimed()
    return play.start(approvals=(approve(play, EXECUTOR),))


@breaks("[EFF-8]", "approval-invalid")
def _() -> bytes | str:
    play = claimed()
    approval = approve(play)
    return revoked(play, APPROVER).start(approvals=(approval,))


@breaks("[TIME-4]", "approval-expired")
def _() -> bytes | str:
    play = asked()
    approvals = tuple(sorted((approve(play), approve(play, SECOND))))
    must(play.tick(60_001))
    return play.start(approvals=approvals)


# Outcomes, suspicion, re-drives


breaks("[EFF-9]", "start-key-differs")(lambda: started().answer("committed", "response", AGENT))
breaks("[EFF-9]", "nonce-missing")(lambda: started().answer("committed", "response", nonce=None))
breaks("[EFF-9]", "nonce-differs")(lambda: started().answer("committed", "response", nonce=bytes(16)))
breaks("[EFF-9]", "transition-invalid")(lambda: committed().answer("unknown", "no_answer"))
breaks("[PRF-2]", "evidence-invalid")(lambda: started().answer("committed", "no_answer"))
breaks("[PRF-2]", "evidence-invalid")(lambda: started().answer("not_committed", "unclear_answer"))
breaks("[PRF-2]", "evidence-invalid")(lambda: started().answer("unknown", "response"))
breaks("[PRF-3]", "evidence-invalid")(lambda: started().answer("not_committed", "abort"))
breaks("[PRF-3]", "evidence-invalid")(lambda: started(KEYED).answer("not_committed", "definite_failure"))
breaks("[EFF-11]", "redrive-unsafe")(lambda: redrive(unknown()))


@breaks("[EFF-10]", "too-early")
def _() -> bytes | str:
    play = started()
    must(play.tick(1))
    must(play.tick(CONTRACT.send_deadline_ms))
    return play.say(Suspect(start=send_of(play)), AGENT)


@breaks("[EFF-11]", "redriven")
def _() -> bytes | str:
    play = unknown(KEYED)
    must(redrive(play))
    return play.answer("not_committed", "never_sent")


@breaks("[EFF-11]", "redrive-unsafe")
def _() -> bytes | str:
    play = unknown(KEYED)
    must(play.tick(86_400_000 - KEYED.settle_ms))
    return redrive(play)


# Resolutions and attestations


breaks("[PRF-1]", "evidence-invalid")(lambda: unknown().resolve("present", Evidence(kind="no_answer")))
breaks("[EFF-12]", "contract-unknown")(lambda: unknown().resolve("present", READ, contract_id=ID))
breaks("[EFF-12]", "evidence-invalid")(lambda: unknown().resolve("absent", READ, generation=2))
breaks("[EFF-9]", "transition-invalid")(lambda: absent(started()))
breaks("[PRF-4]", "evidence-invalid")(lambda: unknown().resolve("absent", Evidence(kind="tag_seen")))
breaks("[PRF-4]", "evidence-invalid")(lambda: unknown().resolve("absent", Evidence(kind="void")))
breaks("[PRF-4]", "evidence-invalid")(lambda: unknown().resolve("absent", Evidence(kind="webhook")))
breaks("[PRF-4]", "evidence-invalid")(lambda: unknown().resolve("absent", Evidence(kind="abort")))
breaks("[PRF-4]", "evidence-invalid")(lambda: unknown().resolve("absent", Evidence(kind="key_burnt")))
breaks("[PRF-5]", "tick-unknown")(lambda: unknown().resolve("absent", READ))
breaks("[PRF-6]", "absence-unprovable")(lambda: absent(unknown(LAGGING)))
breaks("[PRF-7]", "observations-missing")(lambda: absent_by(unknown(TWO_READERS), RECONCILER))
breaks("[PRF-7]", "observation-invalid")(lambda: absent_by(unknown(TWO_READERS), RECONCILER, EXECUTOR))
breaks("[PRF-7]", "observation-invalid")(lambda: absent_by(unknown(TWO_READERS), RECONCILER, AGENT))
breaks("[PRF-7]", "observation-invalid")(lambda: absent_by(unknown(TWO_READERS), SECOND, kind="no_answer"))
breaks("[PRF-7]", "observation-invalid")(lambda: absent_by(unknown(TWO_READERS), SECOND, presence="present"))
breaks("[TIME-4]", "too-early")(lambda: unknown().say(ATTESTATION, ATTESTOR))
breaks("[REC-6]", "recovery-open")(lambda: recovered(unknown()).answer("committed", "response"))
breaks("[REC-6]", "redrive-unsafe")(lambda: redrive(recovered(unknown(KEYED))))


@breaks("[PRF-5]", "too-early")
def _() -> bytes | str:
    play = unknown()
    return play.resolve("absent", replace(READ, tick=settled_tick(play, early_ms=1)))


@breaks("[PRF-5]", "tick-unknown")
def _() -> bytes | str:
    play = unknown()
    settled_tick(play)
    return play.resolve("absent", replace(READ, tick=play.fold.governance.head))


@breaks("[EFF-9]", "self-attested")
def _() -> bytes | str:
    play = unknown()
    settled_tick(play)
    return play.say(ATTESTATION, EXECUTOR)


@breaks("[REC-6]", "recovery-open")
def _() -> bytes | str:
    play = recovered(unknown(contract(void="cancel")))
    return play.resolve("absent", Evidence(kind="void"))


@breaks("[REC-6]", "too-early")
def _() -> bytes | str:
    play = unknown()
    tick = settled_tick(play)
    return recovered(play).resolve("absent", replace(READ, tick=tick))


@pytest.mark.parametrize(("code", "scenario"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_an_event_that_breaks_the_rule_is_void_with_its_code(code: str, scenario: Callable[[], bytes | str]) -> None:
    assert scenario() == code
