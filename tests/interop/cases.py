"""The registry of broken logs, and the way to the states that they start from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.kind import ABSENT, COMMITTED, UNKNOWN, Evidence, Observation, Recovery, Redrive, Resolution
from tests.interop.agreements import AUDITED, CHARGE, call
from tests.interop.log_writer import KEYS, NONCE, LogWriter

Writes = Callable[[LogWriter], None]
LAST: Final = -1
SMALL_ORDER: Final = b"\x01" + bytes(31)
"""A public key that fails the KEY rule."""
ABSENCE: Final = Evidence(kind="absence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What writes a log whose one fault is found at a leaf (None: no leaf is meant; LAST: the last one)."""

    write: Writes
    at: int | None


BROKEN: Final[dict[str, Case]] = {}
"""By name: the code that finds it, then words."""


def breaks(name: str, *, at: int | None = LAST) -> Callable[[Writes], Writes]:
    """Register what writes a log that the code which `name` begins with is found in."""

    def register(write: Writes) -> Writes:
        assert name not in BROKEN
        BROKEN[name] = Case(write=write, at=at)
        return write

    return register


def claimed(log: LogWriter, **arguments: int) -> bytes:
    return log.intent(CHARGE, call(CHARGE, **arguments))  # type: ignore[arg-type]  # all but the memo are integers


def started(log: LogWriter, **arguments: int) -> bytes:
    effect = claimed(log, **arguments)
    log.start(effect)
    return effect


def unknown(log: LogWriter) -> bytes:
    effect = started(log)
    log.outcome(effect, UNKNOWN, "no_answer")
    return effect


def committed(log: LogWriter, **arguments: int) -> bytes:
    effect = started(log, **arguments)
    log.outcome(effect, COMMITTED, "response", reference="ch_1")
    return effect


def settled_wait(log: LogWriter) -> bytes:
    """Let D + Q pass, and return the id of the tick that says so."""
    log.tick(1)
    log.tick(30_000)
    return digest.event_id(log.envelopes[-1].body)


def resolve(
    log: LogWriter, effect: bytes, presence: str, proof: Evidence, *, by: str = "reconciler", **change: Value
) -> None:
    state = log.state(effect)
    contract = state.claim.contract_id if state.claim is not None else CHARGE.id
    said = Resolution(presence=presence, contract_id=contract, generation=state.generation, evidence=proof)
    log.on(effect, said, by, change=change)


def absent(log: LogWriter, effect: bytes) -> None:
    resolve(log, effect, ABSENT, replace(ABSENCE, tick=settled_wait(log)))


def recover(log: LogWriter, *, by: str = "admin", **change: Value) -> None:
    data = Recovery(
        old_origin=log.origin, origin=f"{log.origin}.e1", size=log.index, root=log.frontier.root(), checkpoint=None,
        log_key=KEYS["log2"].public_key, amnesia=True,
    )  # fmt: skip
    log.say(data, by, change=change)
    if by == "admin":
        log.log_key = KEYS["log2"]


def redrive(log: LogWriter, effect: bytes, **change: Value) -> None:
    state = log.state(effect)
    assert state.send is not None
    key = digest.provider_key(effect, state.generation, state.turn)
    log.on(
        effect,
        Redrive(start=state.send.id, nonce_hash=digest.nonce_hash(NONCE), provider_key=key),
        "reconciler",
        change=change,
    )


def observe(log: LogWriter, effect: bytes, by: str, tick: bytes | None, presence: str = ABSENT) -> bytes:
    log.on(effect, Observation(about=effect, presence=presence, evidence=replace(ABSENCE, tick=tick)), by)
    return digest.event_id(log.envelopes[-1].body)


def watched(log: LogWriter) -> bytes:
    effect = log.intent(AUDITED, call(AUDITED))
    log.start(effect)
    log.outcome(effect, UNKNOWN, "no_answer")
    return effect


def conclude(log: LogWriter, effect: bytes, *observations: bytes) -> None:
    resolve(log, effect, ABSENT, replace(ABSENCE, observations=tuple(sorted(observations))))
