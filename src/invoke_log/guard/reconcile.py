"""Unknown outcomes to resolutions: ask the outside whether an effect happened, and append what it shows. Reads only.

A probe answers ONE, NONE, MANY or UNCLEAR. One sighting of our tag settles it; none settles it only if the read began
after the effect of the last send had to be visible, and says which tick of the log its reader held before it began.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from invoke_log.format import cbor, digest
from invoke_log.guard.outcome import Aborted
from invoke_log.guard.registry import Tool
from invoke_log.guard.tool_call import Call, identity_of
from invoke_log.ledger import chain
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted, Answer
from invoke_log.rules.call import APPENDS_MAX
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import OPEN, absence_bound
from invoke_log.rules.governance import Refused
from invoke_log.rules.intent import Bound, rederive
from invoke_log.rules.kind import ABSENT, CLAIMED, PRESENT, STARTED, UNKNOWN, Evidence, Intent, Resolution, Suspect
from invoke_log.rules.world import EffectState

ONE: Final = "ONE"
NONE: Final = "NONE"
MANY: Final = "MANY"
UNCLEAR: Final = "UNCLEAR"
REFERENCE_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What a look at one open effect came to.

    probe: ONE, NONE, MANY, UNCLEAR, or None where nothing was asked. status: the effect's, afterwards. not_before: Unix
    milliseconds from which a read can prove absence. note: what happened, or what is waited for, in words.
    """

    effect_key: str
    resource: str
    probe: str | None
    status: str
    not_before: int | None
    note: str


def reconcile(log: Log, tools: Iterable[Tool], signer: Signer) -> Iterator[Reconciled]:
    """Look at every open effect whose contract one of the tools has, and yield what came of each."""
    by_contract = {tool.contract.id: tool for tool in tools}
    by_name = {tool.contract.name: tool for tool in tools}
    log.tick()
    for state in list(log.effects()):  # a snapshot held across appends would keep the store from using its pages again
        if state.status not in OPEN or state.status == CLAIMED or state.claim is None:
            continue
        contract = log.governance.contracts[state.claim.contract_id]
        tool = by_contract.get(contract.id) or by_name.get(contract.name)
        if tool is not None:
            yield _Look(log, tool, contract, signer).settle(state)


def not_before(log: Log, bound: Bound, contract: Contract) -> int | None:
    """Return from when on a read can prove that an unknown effect is absent; None where none ever can, or not known
    yet.
    """
    if not contract.proves_absence:
        return None
    with log.world() as world:
        state = world.effect(bound.effect, bound.resource)
        return absence_bound(state, contract, world) or int(time.time() * 1000) + contract.settle_ms


class _Look:
    """One look at one effect."""

    def __init__(self, log: Log, tool: Tool, contract: Contract, signer: Signer) -> None:
        self._log = log
        self._tool = tool
        self._contract = contract
        self._signer = signer

    def settle(self, state: EffectState) -> Reconciled:
        if state.status == STARTED and state.send is not None:
            answer = self._append(state, Suspect(start=state.send.id))
            if not isinstance(answer, Accepted):
                return self._report(state, None, "its call is out, and its send deadline has not passed")
        if self._tool.read_back is None:
            return self._report(state, None, "nothing can be asked: it stays unknown until a person attests")
        tick = self._tick()
        try:
            found = self._tool.read_back(self._call(state))
            references = _references(found)
        except Aborted:
            return self._settle(state, Evidence(kind="abort"), "aborted, and it can no longer appear")
        except Exception as error:  # noqa: BLE001 -- whatever the provider's client raises, it has shown nothing
            return self._report(state, UNCLEAR, f"the read-back said nothing: {type(error).__name__}")
        if references:
            for reference in references:
                self._append(state, self._resolution(state, PRESENT, Evidence(kind="tag_seen", reference=reference)))
            probe = ONE if len(references) == 1 else MANY
            return self._report(state, probe, f"found {', '.join(references[:3])}")
        if not self._contract.proves_absence or tick is None:
            return self._report(state, NONE, "not found, which proves nothing under this contract")
        return self._settle(state, Evidence(kind="absence", tick=tick), "not there, and it can no longer appear")

    def _settle(self, state: EffectState, evidence: Evidence, settled: str) -> Reconciled:
        """Append that the effect is absent, where that is so: what was lost with a log's tail had handles too."""
        if state.tainted is not None and self._contract.handle is not None:
            return self._report(state, UNCLEAR, "a recovery lost the handles of later attempts: a person has to attest")
        answer = self._append(state, self._resolution(state, ABSENT, evidence))
        if isinstance(answer, Accepted):
            words = settled
        elif isinstance(answer, Refused) and answer.code != "too-early":
            words = f"not there, and not settled: {answer.reason}"
        else:
            words = "not there yet: it may still appear"
        return self._report(state, NONE, words)

    def _resolution(self, state: EffectState, presence: str, evidence: Evidence) -> Resolution:
        return Resolution(
            presence=presence, contract_id=self._contract.id, generation=state.generation, evidence=evidence
        )

    def _append(self, state: EffectState, data: Resolution | Suspect) -> Answer:
        """Append where the effect's chain stands now; what moved it meanwhile does not make what was seen untrue
        (S15).
        """
        self._log.tick()
        for _ in range(APPENDS_MAX):
            envelope = self._log.draft(data, self._signer, effect=state.effect, resource=state.resource)
            answer = self._log.append(envelope)
            if not isinstance(answer, Stale):
                break
        return answer

    def _tick(self) -> bytes | None:
        """The tick that this reader holds before its read begins."""
        self._log.tick()
        with self._log.world() as world:
            return world.head(chain.TICKS)

    def _call(self, state: EffectState) -> Call:
        assert state.claim is not None
        with self._log.world() as world:
            intent = world.event(state.claim.index).data
            handles = world.handles(state.send, state.resource) if state.send is not None else ()
        assert isinstance(intent, Intent)
        return Call(
            effect_key=digest.format_id("eff", state.effect),
            resource=state.resource,
            generation=state.generation,
            provider_key=digest.provider_key(state.effect, state.generation, state.turn).hex(),
            tag=digest.tag(state.effect, state.generation).hex(),
            timeout_s=self._contract.timeout_ms / 1000,
            identity=identity_of(self._contract, rederive(self._contract, intent)),
            handles=handles,
        )

    def _report(self, before: EffectState, probe: str | None, note: str) -> Reconciled:
        with self._log.world() as world:
            state = world.effect(before.effect, before.resource)
            bound = absence_bound(state, self._contract, world) if state.status == UNKNOWN else None
        return Reconciled(
            effect_key=digest.format_id("eff", before.effect),
            resource=before.resource,
            probe=probe,
            status=state.status,
            not_before=bound,
            note=note,
        )


def _references(found: object) -> list[str]:
    """The provider's references that a read-back returned: none, one, or a list of them."""
    if found is None:
        return []
    if isinstance(found, str):
        return [_reference(found)]
    if isinstance(found, bytes | Mapping) or not isinstance(found, Iterable):
        raise TypeError(f"a read-back returned {type(found).__name__}, want a reference, a list of them, or None")
    return [_reference(reference) for reference in found]


def _reference(found: object) -> str:
    """What names one of the provider's objects, in a spelling that the log can keep. Raises TypeError,
    MalformedError.
    """
    if not isinstance(found, str) or not 0 < len(found.encode()) <= REFERENCE_BYTES_MAX:
        raise TypeError(f"a read-back named {str(found)[:40]!r}, want text of 1 to {REFERENCE_BYTES_MAX} bytes")
    cbor.encode(found)
    return found
