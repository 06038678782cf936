"""The real rules beside a model: the same events, and after each one the same state."""

import copy
from dataclasses import replace
from typing import Any, Final

from docs.model.checker import Label
from docs.model.effect import COMMITTED, OPEN, Rules, State, World
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import (
    Attestation,
    Evidence,
    Grant,
    Outcome,
    Recovery,
    Redrive,
    Release,
    Resolution,
    Suspect,
    Tick,
)
from tests.harness.play import ATTESTOR, EXECUTOR, STRANGER, Play, must
from tests.harness.worked_log import ADMIN, AGENT, ARGUMENTS, LOG, ORIGIN, RECONCILER, T0, a_start, contract

UNIT_MS: Final = 1_000
EXECUTORS: Final = (EXECUTOR, STRANGER)


def contracts_of(world: World) -> list[Contract]:
    """Return the contracts that make the real rules judge as this world's."""
    fields: dict[str, Value] = {
        "send_deadline_ms": UNIT_MS,
        "quiescence_ms": world.q * UNIT_MS,
        "timeout_ms": UNIT_MS,
        "definite_failures": ["card_declined"],
    }
    if world.keyed:
        fields["provider_key"] = {
            "place": "header:Idempotency-Key",
            "retention_ms": world.keeps_key * UNIT_MS,
            "mismatch": "refused",
            "stores": world.keyed,
        }
    if not world.reads:
        fields |= {"observability": "fire-and-forget", "read_back": None}
    first = contract(**fields)
    retires: Value = {
        "effect_class": "money.charge/1",
        "resource": first.resource,
        "purpose": "order",
        "identity": ["customer"],
    }
    second = contract(**fields, name="charge-again", effect_class="money.charge/2", retires=retires)
    return [first, second][: world.classes]


class Twin:
    """A log under the real rules, led by a model's labels. Its issuers use the keys that the model's rules say."""

    def __init__(self, world: World, rules: Rules) -> None:
        self.rules = rules
        self.contracts = contracts_of(world)
        self.bounds = [bind(contract, ARGUMENTS) for contract in self.contracts]
        self.play = Play(self.contracts[0])
        must(self.play.say(Grant(subject="e", key=STRANGER.public_key, role="executor", scope=EVERYTHING), ADMIN))
        self.ticks: dict[int, bytes] = {}
        self.sealed: Tick | None = None
        self._store(self._seal(0), 0)
        self.copied: tuple[Play, dict[int, bytes]] | None = None
        self.starts: dict[int, bytes] = {}
        self.recoveries = 0

    def say(self, event: Label, before: State) -> bool:
        """Return whether the real rules accept an event of the model, and append it."""
        answer = self._append(event, before)
        if event[0] == "start" and isinstance(answer, bytes):
            self.starts[before.serial + 1] = answer
        return isinstance(answer, bytes)

    def pass_on(self, move: Label, before: State) -> None:
        """Take part in a move that is no event of an effect."""
        match move:
            case ("tick",):
                assert self._store(self._seal(before.now - before.behind), before.lo)
            case ("seal",):
                self.sealed = self._seal(before.now - before.behind)
            case ("store",):
                assert self.sealed is not None
                assert before.sealed is not None
                assert self._store(self.sealed, before.lo) is not before.sealed.overtaken
            case ("register",):
                must(self.play.say(self.contracts[1], ADMIN))
            case ("copy",):
                self.copied = (copy.deepcopy(self.play), dict(self.ticks))
            case ("recover",):
                assert self.copied is not None
                self.play, self.ticks = self.copied
                self.recoveries += 1
                must(self.play.say(self._recovery(), ADMIN))
                if before.successor and self.contracts[1].id not in self.play.fold.governance.contracts:
                    must(self.play.say(self.contracts[1], ADMIN))
            case _:
                pass  # what happens outside leaves no event

    def differs(self, state: State) -> str | None:
        """Return where the real state is not the model's, in words, or None."""
        for key, wanted in enumerate(state.records):
            self._turn_to(key)
            found = self.play.state
            real: dict[str, Any] = {
                "status": found.status,
                "generation": found.generation,
                "committed_max": found.committed_max,
                "attempt": found.attempt,
                "tainted": found.tainted is not None,
            }
            model = {name: getattr(wanted, name) for name in real}
            if wanted.status in OPEN:
                real |= {"turn": found.turn, "start": found.send.id if found.send else None}
                model |= {"turn": wanted.turn, "start": self.starts[wanted.start] if wanted.start else None}
            if real != model:
                return f"key {key}: real {real}, model {model}"
        return None

    def _seal(self, clock: int) -> Tick:
        return Tick(time_ms=T0 + clock * UNIT_MS, covers=len(self.play.envelopes), map=None)

    def _store(self, tick: Tick, lo: int) -> bool:
        """Return whether the real rules accept a tick, and append it."""
        answer = self.play.say(tick, LOG)
        if isinstance(answer, bytes):
            self.ticks[max(lo, (tick.time_ms - T0) // UNIT_MS)] = answer
        return isinstance(answer, bytes)

    def _turn_to(self, key: int) -> None:
        self.play.contract, self.play.bound = self.contracts[key], self.bounds[key]

    def _append(self, event: Label, before: State) -> bytes | str:
        self._turn_to(int(event[1]))
        play, record = self.play, before.records[int(event[1])]
        claim = play.state.claim.id if play.state.claim else bytes(32)
        match event:
            case ("intent", _):
                after = play.state.last if record.status == "not_committed" else None
                return play.intend(after=after)
            case ("again", _):
                return play.intend(again=play.state.last or bytes(32))
            case ("release", _):
                return play.say(Release(intent=claim, reason="r"), AGENT)
            case ("start", _, int(number)):
                data = a_start(claim, play.bound, generation=record.generation, turn=record.turn)
                if not self.rules.generation_in_key:
                    data = replace(data, provider_key=digest.provider_key(play.bound.effect, 1, record.turn))
                if not self.rules.tag_keeps_turn:
                    data = replace(data, tag=digest.tag(play.bound.effect, record.generation + record.turn))
                nonce_hash = digest.nonce_hash(_nonce(before.serial + 1))
                return play.say(replace(data, nonce_hash=nonce_hash), EXECUTORS[number])
            case ("outcome", _, int(number), str(answer), int(start)):
                return play.say(self._outcome(answer, start), EXECUTORS[number])
            case ("suspect", _):
                return play.say(Suspect(start=self.starts.get(record.start, bytes(32))), AGENT)
            case ("redrive", _, _):
                again = digest.provider_key(play.bound.effect, record.generation, record.turn)
                send = self.starts.get(record.start, bytes(32))
                return play.say(Redrive(start=send, nonce_hash=bytes(32), provider_key=again), RECONCILER)
            case ("present", _, int(generation)):
                return self._resolve("present", generation, Evidence(kind="tag_seen", reference="pi_1"))
            case ("absent", _, int(generation), int(held), str(kind)):
                evidence = Evidence(kind=kind, tick=self.ticks.get(held, bytes(32)))
                return self._resolve("absent", generation, evidence)
            case ("attest", _, str(status)):
                return play.say(Attestation(status=status, reason="looked", attachment=None), ATTESTOR)
            case _:
                raise ValueError(event)

    def _outcome(self, answer: str, start: int) -> Outcome:
        status = {"ok": COMMITTED, "": "unknown"}.get(answer, "not_committed")
        kind = {"ok": "response", "": "no_answer"}.get(answer, answer)
        failure = "card_declined" if answer in ("definite_failure", "stored_failure") else None
        return Outcome(
            start=self.starts[start],
            nonce=_nonce(start),
            status=status,
            evidence=Evidence(kind=kind, failure=failure),
            result=None,
        )

    def _resolve(self, presence: str, generation: int, evidence: Evidence) -> bytes | str:
        play, decided = self.play, self.play.state.attempt
        resolution = Resolution(
            presence=presence,
            contract_id=play.contract.id,
            generation=generation,
            evidence=evidence,
            of=None if presence == "absent" or decided else play.bound.parts,  # the log may have lost its intents
        )
        return play.say(resolution, RECONCILER)

    def _recovery(self) -> Recovery:
        old = self.play.fold.governance.origin
        return Recovery(
            old_origin=old,
            origin=f"{ORIGIN}.e{self.recoveries}",
            size=len(self.play.envelopes),
            root=self.play.frontier.root(),
            checkpoint=None,
            log_key=LOG.public_key,
            amnesia=True,
        )


def _nonce(serial: int) -> bytes:
    return serial.to_bytes(16, "big")
