"""A second send of the exact request under the provider's own key, where a contract says that this is safe. [CALL-6]

A re-drive *is* a send: it has an event of its own before the first byte leaves, a deadline, and an absence counts only
from a read that began D + Q after it. The log's rules say when one is allowed; nothing here says so a second time.
"""

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Final

from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.guard.registry import Tool
from invoke_log.guard.resolution import UNAVAILABLE, Brought, Case
from invoke_log.guard.tool_call import CLOCK, Call, reply_of_exception, reply_of_value
from invoke_log.log.home import sound_attachment
from invoke_log.rules.answer import Accepted
from invoke_log.rules.evidence import passed
from invoke_log.rules.intent import rederive
from invoke_log.rules.kind import COMMITTED, Observation, Outcome, Redrive
from invoke_log.rules.world import EffectState, Send

UNCLEAR: Final = "unclear"
"""What an observation says that shows neither presence nor absence."""
ENDING: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
"""What ends a reconciler too. All else that a tool raises, such as a time-out that is no `Exception`, is its answer."""


def redrive(case: Case, tool: Tool, state: EffectState, call: Call) -> Brought:
    """Send an unknown effect's request once more, if the log takes the re-drive, and bring what was answered.

    Never while an earlier send may still leave, and after a re-drive not before its own D + Q.
    """
    assert tool.redrive is not None
    send, contract = state.send, case.contract
    if send is None:
        return _not_sent("no re-drive: nothing was ever sent")
    if tool.contract.id != contract.id:
        return _not_sent(f"no re-drive: the tool has version {tool.contract.version}, the call {contract.version}")
    with case.log.world() as world:
        wait_ms = contract.settle_ms if send.redriven else contract.send_deadline_ms
        if not passed(world.hi(send.last_index), wait_ms, world.now_ms()):
            return _not_sent("no re-drive yet: the last send may still be under way")
        # The log's time stands still where nobody ticks: this machine says too how old the provider's key is [CALL-6].
        kept_ms = contract.provider_key.retention_ms if contract.provider_key is not None else 0
        if case.log.clock_ms() + contract.settle_ms >= world.lo(send.index) + kept_ms:
            return _not_sent("no re-drive: by this machine's clock, the provider may have forgotten its key")
    arguments = _arguments(case, state)
    if arguments is None:
        return _not_sent("no re-drive: an argument of the request is not kept here")
    send_by = time.clock_gettime(CLOCK) + contract.send_deadline_ms / 1000
    data = Redrive(
        start=send.id,
        nonce_hash=digest.nonce_hash(secrets.token_bytes(16)),
        provider_key=bytes.fromhex(call.provider_key),
    )
    # The chain has to stand where this process looked at it: of two reconcilers, one sends.
    answer = case.append(data, prev=state.last)
    if not isinstance(answer, Accepted):
        return _not_sent(f"no re-drive: {getattr(answer, 'reason', answer)}")
    # Crash here: the re-drive is stored, and the request may have left: unknown as before, its bound counts from here.
    if time.clock_gettime(CLOCK) >= send_by:
        return _not_sent("not re-driven: its send deadline passed before it could be sent")
    try:
        value = tool.redrive(**arguments, invoke=replace(call, send_by=send_by))
        reply = reply_of_value(value)
    except ENDING:
        raise
    except BaseException as error:  # noqa: BLE001 -- whatever it was, the request may have left
        reply = reply_of_exception(contract, error)
    if reply.status == COMMITTED:
        brought = case.present([reply.evidence], generation=state.generation)
        return Brought(answer=brought.answer, note="re-driven, and answered", incident=brought.incident)
    if reply.evidence.kind == "stored_failure":
        # No proof by itself: but when it is found absent, this key can never answer otherwise.
        case.observe(UNCLEAR, reply.evidence, answer.id)
        return _not_sent(f"re-driven: its stored answer is {reply.evidence.failure}")
    return _not_sent("re-driven, and not answered clearly")


def burnt(case: Case, state: EffectState) -> bool:
    """Return whether the provider's key can answer the open attempt with nothing but what it has stored: a failure, as
    a re-drive was told, or what was given up since.
    """
    send = _stored(case, state)
    if send is None:
        return False
    with case.log.world() as world:
        return any(
            index > send.index
            and isinstance(event.data, Observation)
            and event.data.evidence.kind in ("stored_failure", "void")
            and case.counts(event.by, world.governance)
            for index, event in world.observations(state.effect, state.resource)
        )


def answered(case: Case, state: EffectState) -> bool:
    """Return whether the provider answered the open attempt unclearly, and so has stored an answer that is no success:
    where all that was found is its absence, its key can only repeat that.
    """
    send = _stored(case, state)
    if send is None:
        return False
    with case.log.world() as world:
        said = (event.data for _, event in world.events_of(case.effect, case.resource))
        return any(
            isinstance(data, Outcome) and data.start == send.id and data.evidence.kind == "unclear_answer"
            for data in said
        )


def _stored(case: Case, state: EffectState) -> Send | None:
    """Return the last send, where the provider stores what it answers under its key; None: it does not, or nobody knows
    which key: after a recovery, what the lost tail sent may have gone under another one [REC-6].
    """
    return state.send if case.contract.stores_results and state.tainted is None else None


def _arguments(case: Case, state: EffectState) -> dict[str, Value] | None:
    """The arguments as the intent recorded them; None where one was kept beside the log and is gone, or damaged."""
    assert state.claim is not None
    with case.log.world() as world:
        intent = world.intent(state.claim)
    arguments = dict(rederive(case.contract, intent).arguments)
    for name, argument in case.contract.arguments.items():
        value = arguments.get(name)
        if argument.raw and isinstance(value, dict) and isinstance(kept := value["attachment"], bytes):
            raw = sound_attachment(case.log.path, kept)
            if raw is None:
                return None
            arguments[name] = raw
    return arguments


def _not_sent(note: str) -> Brought:
    return Brought(answer=UNAVAILABLE, note=note)
