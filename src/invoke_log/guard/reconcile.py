"""Unknown outcomes to resolutions: ask the outside whether an effect happened, and append what it shows.

A probe answers ONE, NONE, MANY or UNCLEAR. One sighting of our tag settles it; none settles it only if the read began
after the effect of the last send had to be visible, and says which tick of the log its reader held before it began.
Where a contract wants several reconcilers, each puts its reading on record, and whoever sees enough of them settles it.
It sends nothing, except for a tool that was registered with a re-drive or a void.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from invoke_log.errors import ReadUnclearError
from invoke_log.format import digest
from invoke_log.guard.outcome import Aborted
from invoke_log.guard.patience import EVERY_S_DEFAULT, OUT, Patience
from invoke_log.guard.redrive import ENDING, answered, burnt, redrive
from invoke_log.guard.redrive import UNCLEAR as UNCLEAR_READING
from invoke_log.guard.registry import Tool, looks_for
from invoke_log.guard.resolution import RECORDED, Brought, Case, check_reference, only_start, readings
from invoke_log.guard.tool_call import Call, call_of
from invoke_log.guard.waiting import Waiting, lost_handles, waiting_for
from invoke_log.ledger import chain
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.admission import Stale
from invoke_log.rules.answer import Accepted
from invoke_log.rules.contract import Contract
from invoke_log.rules.effect import OPEN, absence_bound
from invoke_log.rules.intent import Bound, rederive
from invoke_log.rules.kind import ABSENT, STARTED, UNKNOWN, Evidence, Observation, Suspect
from invoke_log.rules.world import EffectState

_log = logging.getLogger(__name__)
ONE: Final = "ONE"
NONE: Final = "NONE"
MANY: Final = "MANY"
UNCLEAR: Final = "UNCLEAR"
FAILED: Final = "this look came to nothing"
LOST_HANDLES: Final = "a recovery lost the handles of later attempts: a person has to attest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What a look at one open effect came to.

    probe: ONE, NONE, MANY, UNCLEAR, or None where nothing was asked. status: the effect's, afterwards. not_before: Unix
    milliseconds from which a read can prove absence. note: what happened, in words. incident: what must not have
    happened, and who has to act. waiting: for an effect that is open still, what it waits for.
    """

    effect_key: str
    resource: str
    probe: str | None
    status: str
    not_before: int | None
    note: str
    incident: str | None = None
    waiting: Waiting | None = None


def reconcile(log: Log, tools: Iterable[Tool], signer: Signer, patience: Patience) -> Iterator[Reconciled]:
    """Look once at every effect that is out or unknown and whose contract one of the tools has; yield what came.

    What goes wrong with a look is said of its effect, and keeps no other from being looked at.
    """
    shelf = _Shelf(log, tools, signer, patience)
    _tick(log)
    patience.follow(log)
    for effect, resource in patience.out():
        found, _ = shelf.look(effect, resource)
        if found is not None:
            yield found


def watch(
    log: Log, tools: Iterable[Tool], signer: Signer, patience: Patience, *, every_s: float = EVERY_S_DEFAULT
) -> Iterator[Reconciled]:
    """Look again and again, at each effect less and less often, and yield what came of each look.

    It never ends by itself, but for a log that cannot be read any more: it raises StoreError.

    Args: every_s: seconds until the second look at an effect, and between two readings of the log for new ones.
    """
    shelf = _Shelf(log, tools, signer, patience)
    while True:
        patience.follow(log)
        for effect, resource in patience.due():
            _tick(log)
            found, known_s = shelf.look(effect, resource)
            patience.looked(effect, every_s=every_s, known_s=known_s)
            if found is not None:
                yield found
        time.sleep(patience.pause_s(every_s))


def not_before(log: Log, bound: Bound, contract: Contract) -> int | None:
    """Return from when on a read can prove that an unknown effect is absent; None where none ever can, or not known
    yet.
    """
    if not contract.proves_absence:
        return None
    with log.world() as world:
        state = world.effect(bound.effect, bound.resource)
        return absence_bound(state, contract, world) or int(time.time() * 1000) + contract.settle_ms


def _tick(log: Log) -> None:
    """Move the log's time, where it can be: without a tick what is there is seen all the same."""
    try:
        log.tick()
    except Exception as error:  # noqa: BLE001 -- a full disk, or whatever the signer raises
        _log.warning("tick.failed", extra={"error": type(error).__name__})


class _Shelf:
    """The tools at hand, by the contract that an effect was claimed under, and who looks."""

    def __init__(self, log: Log, tools: Iterable[Tool], signer: Signer, patience: Patience) -> None:
        self._log = log
        self._signer = signer
        self._patience = patience
        self._by_contract = {tool.contract.id: tool for tool in tools}
        self._by_name = {tool.contract.name: tool for tool in self._by_contract.values()}

    def look(self, effect: bytes, resource: str) -> tuple[Reconciled | None, float | None]:
        """Look once at an effect. Return what came of it, None where no tool is at hand or it is not out any more; and
        the seconds until its next deadline, where one is known.
        """
        status, found = UNKNOWN, None
        try:
            with self._log.world() as world:
                state = world.effect(effect, resource)
                if state.status not in OUT or state.claim is None:
                    return None, None
                status, contract = state.status, world.governance.contracts[state.claim.contract_id]
            tool = self._by_contract.get(contract.id) or self._by_name.get(contract.name)
            if tool is None:
                return None, None
            case = Case(self._log, self._signer, contract, effect=effect, resource=resource)
            look = _Look(tool, case, self._patience)
            found = look.settle()
            return found, look.deadline_s()
        except Exception as error:  # noqa: BLE001 -- a full disk, a key that cannot sign now: others can be settled
            name = digest.format_id("eff", effect)
            _log.debug("look.failed", exc_info=True, extra={"effect": name})
            note = f"{FAILED}: {type(error).__name__}: {error}"
            failed = Reconciled(
                effect_key=name, resource=resource, probe=UNCLEAR, status=status, not_before=None, note=note
            )
            return found or failed, None


class _Look:
    """One look at one effect."""

    def __init__(self, tool: Tool, case: Case, patience: Patience) -> None:
        self._tool = tool
        self._case = case
        self._patience = patience
        self._log = case.log
        self._contract = case.contract
        self._at_hand = looks_for(case.log.governance, tool, case.contract)
        self._given_up = False

    def settle(self) -> Reconciled:
        state = self._case.state()
        if state.status == STARTED and state.send is not None:
            answer = self._case.append(Suspect(start=state.send.id), prev=state.last)
            state = self._case.state()
            if state.status == STARTED:
                raced = isinstance(answer, Accepted | Stale)
                why = "another event came first" if raced else getattr(answer, "reason", answer)
                return self._report(None, f"its call is out: {why}")
        if state.status != UNKNOWN:
            return self._report(None, "it was settled meanwhile")
        told = self._told(state)
        if told is not None:
            return self._report(None, told.note)
        if not self._at_hand:
            here, there = self._tool.contract.version, self._contract.version
            return self._report(None, f"not asked: version {here} of its contract looks elsewhere than version {there}")
        if self._tool.read_back is None:
            return self._redrive(state, None, "nothing can be asked")
        # Both before the read begins: what it shows is as old as that, however long its answer takes to be judged.
        tick, own_s = self._tick(), self._patience.to_wait_s(state, self._contract)
        try:
            references = _references(self._tool.read_back(self._call(state)))
        except Aborted:
            blank = self._blank(state)
            if blank is not None:
                return self._report(UNCLEAR, blank)
            return self._report(NONE, self._case.absent(Evidence(kind="abort"), of=state).note)
        except ENDING:
            raise
        except ReadUnclearError as error:
            return self._void(UNCLEAR, f"the read-back said nothing: {error.message}")
        except BaseException as error:  # noqa: BLE001 -- whatever the provider's client raises, it has shown nothing
            return self._report(UNCLEAR, f"the read-back said nothing: {type(error).__name__}")
        if references:
            seen = [Evidence(kind="tag_seen", reference=reference) for reference in references]
            brought = self._case.present(seen, generation=state.generation)
            return self._report(ONE if len(set(references)) == 1 else MANY, brought.note, brought.incident)
        blank = self._blank(state)
        if blank is not None:
            return self._report(UNCLEAR, blank)
        note, settled = self._not_found(state, tick, own_s)
        return self._report(NONE, note) if settled else self._redrive(state, NONE, note)

    def deadline_s(self) -> float | None:
        """Return the seconds until the next deadline of an effect that is open, by the log and by this process."""
        with self._log.world() as world:
            state = world.effect(self._case.effect, self._case.resource)
            self._patience.see(state)
            if state.status not in OPEN or state.claim is None:
                return None
            until = waiting_for(world, state, self._contract, at_hand=self._at_hand).until
            settles = self._contract.proves_absence or self._tool.void is not None
            if until is None or (state.status == UNKNOWN and not settles):
                return None
            left_s = (until - world.now_ms()) / 1000
        return left_s if state.status == STARTED else max(left_s, self._patience.to_wait_s(state, self._contract))

    def _told(self, state: EffectState) -> Brought | None:
        """Settle by a negative message about this attempt that came before the outcome, and was put on record then."""
        with self._log.world() as world:
            start = only_start(world, state, state.generation)
            messages = [
                event.data.evidence
                for _, event in world.observations(state.effect, state.resource)
                if isinstance(event.data, Observation)
                and (event.data.presence, event.data.evidence.kind) == (ABSENT, "webhook")
                and event.data.about == start
                and self._case.counts(event.by, world.governance)
            ]
        if not messages:
            return None
        brought = self._case.absent(messages[-1], of=state)
        return brought if brought.answer == RECORDED else None

    def _not_found(self, state: EffectState, tick: tuple[bytes, int] | None, own_s: float) -> tuple[str, bool]:
        """Bring an empty read to the log, if it can prove anything now; return words, and whether it settled.

        Args: tick, own_s: as they were when the read began.
        """
        if not self._contract.proves_absence or tick is None:
            return "not found, which proves nothing under this contract", False
        self._patience.note(state)
        with self._log.world() as world:
            bound = absence_bound(state, self._contract, world)
        if bound is None or tick[1] < bound:
            return "not there yet: it may still appear", False
        if own_s > 0:
            # The log says that D + Q has passed; this machine has not seen them pass, and takes no one's word for it.
            return (
                f"not there; this reconciler has to watch it for {own_s:.0f} s more before it may say so",
                False,
            )
        kind = "key_burnt" if burnt(self._case, state) or answered(self._case, state) else "absence"
        brought = self._of_several(state, Evidence(kind=kind, tick=tick[0]), bound)
        return brought.note, brought.answer == RECORDED

    def _blank(self, state: EffectState) -> str | None:
        """Return why nothing found proves nothing, in words; None: it may prove something."""
        if lost_handles(state, self._contract):
            return LOST_HANDLES
        if self._tool.contract.read_back != self._contract.read_back:
            here, there = self._tool.contract.version, self._contract.version
            return (
                f"not found, which proves nothing: version {here} of its contract reads otherwise than version {there}"
            )
        return None

    def _of_several(self, state: EffectState, read: Evidence, bound: int) -> Brought:
        """Settle by one reading, or put it on record and settle by k of them [PRF-7]."""
        wanted = self._contract.reconcilers
        if wanted == 1:
            return self._case.absent(read, of=state)
        observed = self._readings(state, bound)
        mine = self._case.signer.public_key
        with self._log.world() as world:
            sent = world.started_by(state.effect, state.resource, mine)
        if not self._case.granted:  # each look would put one more on record that never counts
            return replace(refused := self._case.grant_missing(), note=f"not there; {refused.note}")
        if len(observed) < wanted and mine not in observed and not sent:
            about = state.send.id if state.send is not None else state.last
            assert about is not None
            brought = self._case.observe(ABSENT, read, about)
            if brought.answer != RECORDED:
                return brought
            observed = self._readings(state, bound)
        if len(observed) < wanted:
            own = "; this key sent it, and its own reading does not count" if sent else ""
            return Brought(answer="", note=f"not there by {len(observed)} of {wanted} readings{own}")
        listed = tuple(sorted(list(observed.values())[:wanted]))
        return self._case.absent(replace(read, observations=listed), of=state)

    def _readings(self, state: EffectState, bound: int) -> dict[bytes, bytes]:
        with self._log.world() as world:
            return readings(world, state, self._contract, bound)

    def _redrive(self, state: EffectState, probe: str | None, note: str) -> Reconciled:
        if self._tool.redrive is None:
            return self._void(probe, note)
        if state.send is not None and state.send.redriven and self._contract.proves_absence:
            # Another one would begin D + Q anew: whoever looks less often than that would never see it pass (L2).
            return self._report(probe, f"{note}; it was re-driven, and is waited for")
        if burnt(self._case, state):
            return self._report(probe, f"{note}; no re-drive: the provider's key can only repeat its answer")
        brought = redrive(self._case, self._tool, state, self._call(state))
        return self._report(probe, f"{note}; {brought.note}", brought.incident)

    def _void(self, probe: str | None, note: str) -> Reconciled:
        """Have the provider give up for good what is under the tag, where that is due [CALL-9].

        Where a reading can prove an absence, that settles it then: nothing is there any more.
        """
        state, reads = self._case.state(), self._contract.proves_absence  # as it stands after the read
        if self._tool.void is None or (reads and probe != UNCLEAR) or not self._may_void(state):
            return self._report(probe, note)
        if self._contract.stores_results and not burnt(self._case, state):
            # Before it is asked for: a crash in between must not leave a key that answers with what was given up.
            about = state.send.id if state.send is not None else state.last
            assert about is not None
            asks = self._case.observe(UNCLEAR_READING, Evidence(kind="void"), about)
            if asks.answer != RECORDED:
                return self._report(probe, f"{note}; no void: {asks.note}")
        try:
            given_up = self._tool.void(self._call(state))
        except ENDING:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever the provider's client raises, it proves nothing
            return self._report(probe, f"{note}; its void said nothing: {type(error).__name__}")
        if given_up is not True:
            return self._report(probe, f"{note}; the provider has not given it up")
        # Crash here: it is given up, and unknown as before. The next look finds it so, or gives it up once more.
        if reads:
            self._given_up = True
            return self.settle()
        return self._report(probe, f"given up: {self._case.absent(Evidence(kind='void'), of=state).note}")

    def _may_void(self, state: EffectState) -> bool:
        """Return whether this key may settle what comes of it, the tool asks where the contract says, a read can settle
        it where a key would go on to answer with it, and all that was sent is there by now or never is.
        """
        here, there = self._tool.contract, self._contract
        self._patience.note(state)
        with self._log.world() as world:
            bound = absence_bound(state, there, world)
            passed = bound is not None and world.now_ms() >= bound
        return (
            not self._given_up
            and self._case.granted
            and (there.proves_absence or not there.stores_results)
            and (here.void, here.read_back) == (there.void, there.read_back)
            and (state.status, state.tainted) == (UNKNOWN, None)
            and passed
            and self._patience.to_wait_s(state, there) <= 0
        )

    def _tick(self) -> tuple[bytes, int] | None:
        """The tick that this reader holds before its read begins, and the log's time then."""
        self._log.flush()
        with self._log.world() as world:
            head = world.head(chain.TICKS)
            return (head, world.now_ms()) if head is not None else None

    def _call(self, state: EffectState) -> Call:
        assert state.claim is not None
        with self._log.world() as world:
            bound = rederive(self._contract, world.intent(state.claim))
            handles = world.handles(state.send, state.resource) if state.send is not None else ()
        return call_of(
            self._contract,
            bound,
            generation=state.generation,
            provider_key=digest.provider_key(state.effect, state.generation, state.turn),
            tag=digest.tag(state.effect, state.generation),
            handles=handles,
        )

    def _report(self, probe: str | None, note: str, incident: str | None = None) -> Reconciled:
        with self._log.world() as world:
            state = world.effect(self._case.effect, self._case.resource)
            bound = absence_bound(state, self._contract, world) if state.status == UNKNOWN else None
            at_hand = self._at_hand
            waiting = waiting_for(world, state, self._contract, at_hand=at_hand) if state.status in OPEN else None
        return Reconciled(
            effect_key=self._case.name,
            resource=self._case.resource,
            probe=probe,
            status=state.status,
            not_before=bound,
            note=note,
            incident=incident,
            waiting=waiting,
        )


def _references(found: object) -> list[str]:
    """The provider's references that a read-back returned: none, one, or a list of them."""
    if found is None:
        return []
    if isinstance(found, str):
        return [check_reference(found)]
    if isinstance(found, bytes | Mapping) or not isinstance(found, Iterable):
        raise TypeError(f"a read-back returned {type(found).__name__}, want a reference, a list of them, or None")
    return [check_reference(reference) for reference in found]
