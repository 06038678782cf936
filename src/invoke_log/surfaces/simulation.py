"""A call that is not made: what the policy in force says of it, by the same function that judges the real one."""

from collections.abc import Callable

from invoke_log.errors import ArgumentInvalidError, MalformedError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard.intake import fold
from invoke_log.ledger.engines import engines
from invoke_log.ledger.state import LiveWorld
from invoke_log.rules.call import judge_now
from invoke_log.rules.contract import Contract
from invoke_log.rules.governance import Governance
from invoke_log.rules.intent import Bound, bind
from invoke_log.rules.kind import Verdict
from invoke_log.rules.policy import ASK, DENY
from invoke_log.rules.snapshot import Snapshot, freeze
from invoke_log.rules.step import Seen
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.query import find_contract
from invoke_log.surfaces.render import View, shown
from invoke_log.surfaces.spelling import parse_object


def simulated(world: LiveWorld, line: bytes, caller: Callable[[], bytes]) -> tuple[str, View]:
    """Return the verdict on a call that one JSON line describes, and its view.

    Args: caller: gives the public key that calls, where the line names none.
    Raises: MalformedError, NotFoundError (the contract), ArgumentInvalidError, SnapshotInvalidError.
    """
    call = parse_object(line)
    unknown = sorted(call.keys() - {"contract", "arguments", "snapshot", "issuer"})
    name, arguments, issuer = call.get("contract"), call.get("arguments"), call.get("issuer")
    if unknown or type(name) is not str or type(arguments) is not dict:
        raise MalformedError(
            f"line: found {sorted(call)}, want contract (text), arguments (an object) and at most snapshot, issuer"
        )
    contract = find_contract(world.governance, name)
    try:
        bound = bind(contract, arguments)
    except ArgumentInvalidError as error:
        error.hint = f'nothing was judged: "invoke-log contract show {contract.name}" lists the arguments'
        raise
    snapshot = freeze_seen(contract, call.get("snapshot"))
    by = digest.parse_id(str(issuer), "key") if issuer is not None else caller()
    state = world.effect(bound.effect, bound.resource)
    verdict = judge(world, contract, bound, snapshot, state, issuer=by)
    answer, rule, approvals = (verdict.answer, verdict.rule, verdict.approvals) if verdict else (DENY, None, 0)
    policy = world.governance.policy
    effect_key = digest.format_id("eff", bound.effect)
    fields: dict[str, object] = {
        "verdict": answer,
        "rule": rule,
        "approvals": max(1, contract.approvals_count, approvals) if answer == ASK else 0,
        "policy": digest.format_id("pol", policy.id) if policy is not None else None,
        "effect_key": effect_key,
        "resource": bound.resource,
        "status": state.status,
        "budgets": verdict.inputs["budgets"] if verdict else {},
        "refused": _refused(world.governance, contract, bound),
    }
    text = f"{answer} by {shown(rule) if rule else 'no rule'}; the effect {effect_key} is {state.status}"
    if fields["refused"] is not None:
        text += f"; whatever the policy says, its intent would be refused: {fields['refused']}"
    return answer, View(fields=fields, text=text)


def _refused(governance: Governance, contract: Contract, bound: Bound) -> str | None:
    """Why no intent of a call would be accepted now, as a code [GOV-7], [GOV-9]; None: the policy decides."""
    if contract.id in governance.withdrawn:
        return "contract-withdrawn"
    if governance.frozen(contract.effect_class, bound.resource):
        return "frozen"
    return None if governance.in_force(contract) else "contract-superseded"


def freeze_seen(contract: Contract, seen: Value) -> Snapshot | None:
    """Return the snapshot of a contract's profile. Raises SnapshotInvalidError, MalformedError: there is no profile."""
    if contract.profile is None:
        if seen is not None:
            raise MalformedError(f"line: found a snapshot, and contract {contract.name!r} has no profile")
        return None
    return freeze(contract.profile, fold(contract.profile, seen))


def judge(
    world: LiveWorld, contract: Contract, bound: Bound, snapshot: Snapshot | None, state: EffectState, *, issuer: bytes
) -> Verdict | None:
    """Return the verdict of the policy in force on a call at this moment; None where there is none to give it."""
    now_ms = world.now_ms()
    seen = Seen(
        state=state,
        state_hash=world.state_hash(bound.resource),
        governance=world.governance,
        now_ms=now_ms,
        nonce=b"",
        clock=0.0,
        approvals=(),
        release_from_ms=None,
        decided_id=None,
        decided_on=None,
        budgets=world.budgets(contract, bound, state, now_ms=now_ms),
        own_ms=now_ms,
        own_budgets={},
    )
    return judge_now(contract, bound, seen, snapshot, issuer=issuer, engines=engines())
