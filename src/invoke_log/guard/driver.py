"""`rules.call`, driven synchronously: it carries out the machine's steps and decides nothing.

No lock is held while the tool runs. The nonce that permits the send lives in this frame and nowhere else.
"""

import secrets
import time
from contextlib import suppress
from typing import Any, Final, assert_never

from invoke_log.errors import ConfigInvalidError, InvokeLogError, StoreError
from invoke_log.format import digest
from invoke_log.format.cbor import Value, decode
from invoke_log.format.envelope import Envelope
from invoke_log.guard.intake import fold
from invoke_log.guard.registry import Tool
from invoke_log.guard.tool_call import CLOCK, Call, call_of, reply_of_exception, reply_of_value
from invoke_log.ledger.approval import given, release_from_ms
from invoke_log.ledger.engines import engines
from invoke_log.ledger.log import Log, sign_event
from invoke_log.ledger.state import LiveWorld
from invoke_log.log.home import sound_attachment
from invoke_log.log.signer import Signer
from invoke_log.rules.answer import Accepted, Answer, Unavailable
from invoke_log.rules.call import Machine, guarded_call, refusal_of
from invoke_log.rules.effect import next_step
from invoke_log.rules.intent import Bound
from invoke_log.rules.kind import CLAIMED, NOT_COMMITTED, UNKNOWN, Evidence, Handle
from invoke_log.rules.snapshot import Snapshot, freeze
from invoke_log.rules.step import Append, Ended, Look, Observe, Refuse, Reply, Seal, Sealed, Seen, Send, Step
from invoke_log.rules.world import EffectState

NEVER_SENT: Final = Reply(status=NOT_COMMITTED, evidence=Evidence(kind="never_sent"), result=None)


def interrupted(step: Append) -> list[Answer]:
    """The answers to an append that was broken off: it may be stored or not, and the same bytes are appended again."""
    return [Unavailable(reason="the append was interrupted") for _ in step.events]


class Driver:
    """One guarded call of one tool, in the calling thread."""

    def __init__(self, log: Log, tool: Tool, bound: Bound, signer: Signer) -> None:
        self._log = log
        self._tool = tool
        self._bound = bound
        self._signer = signer
        self.value: Any = None
        """What the tool returned, where it returned in this very call."""
        self.raised: BaseException | None = None
        """What the tool raised, or the log or a key once it was sent."""
        self.stopped: BaseException | None = None
        """What broke off an append of this call, and was no answer of the log's."""
        self._sent = False
        self._over = False
        """Whether its START is on the log: what is left to be appended is what came of it."""
        self._in_turn = False
        self._tick: Envelope | None = None
        self._log_id = b""
        """The log's id when it was last looked at: a recovery gives it another."""

    def run(self) -> Ended:
        """Return how the call ended. Raises StoreError where nothing was sent; whatever the tool raises is an ending,
        not an exception.
        """
        try:
            return self._run()
        finally:
            self._leave_turn()

    def _run(self) -> Ended:
        machine = self.begin()
        came: object = None
        while True:
            try:
                step = machine.send(came)
            except StopIteration as stop:
                ended: Ended = stop.value
                return ended
            try:
                came = self.carry_out(step)
                if self.takes_turn(came):
                    self._take_turn()
                    came = self.carry_out(step)
                elif isinstance(step, Append):
                    self._leave_turn()
            except Exception as error:  # noqa: BLE001 -- a signer's time-out, say, must not read as "try again"
                return self.lost(error)

    def takes_turn(self, came: object) -> bool:
        """Return whether this call has to take its turn and look again: its verdict will rest on a budget. No outcome
        waits for one.
        """
        decides = isinstance(came, Seen) and bool(came.budgets) and not self._over
        return decides and self._tool.contract.profile is None

    def _take_turn(self) -> None:
        self._leave_turn()
        self._in_turn = True  # before it is: an interrupt right behind the acquire has to find that it is
        self._log.turn.acquire()

    def _leave_turn(self) -> None:
        if self._in_turn:
            with suppress(RuntimeError):  # an interrupt came before it was acquired, or after it was released
                self._log.turn.release()
            self._in_turn = False

    def lost(self, error: Exception) -> Ended:
        """Return how a call ended whose log or key cannot be asked any more: UNKNOWN where it was sent. Raises the
        error where it was not, or what interrupted the call before.
        """
        if not self._sent:
            raise self.stopped or error
        self.raised = self.raised or error
        after = next_step(UNKNOWN, self._tool.contract)
        return Ended(status=UNKNOWN, fresh=True, by=None, next=after, reason=str(error))

    def begin(self) -> Machine:
        """Return the call's machine, its long arguments kept as attachments."""
        for raw in self._bound.attachments:
            self._log.keep_attachment(raw)
        return guarded_call(self._tool.contract, self._bound, issuer=self._signer.public_key, engines=engines())

    def carry_out(self, step: Step) -> object:
        """Return what came of one step."""
        match step:
            case Look():
                return self._look()
            case Observe():
                return self._observe()
            case Seal():
                return self._seal(step)
            case Append():
                return self._append(step)
            case Send():
                return self._send(step)
            case Refuse():
                self._refuse(step)
                return None
            case unexpected:
                assert_never(unexpected)

    def _look(self) -> Seen:
        with self._log.world() as world:
            due = self._log.due_tick(world)
            self._tick, now_ms = due if due is not None else (None, world.now_ms())
            state, governance = world.effect(self._bound.effect, self._bound.resource), world.governance
            self._log_id = governance.log_id
            own_ms = self._log.own_ms(now_ms)
            still = own_ms != now_ms
            decided_id, decided_on = self._decided(world, state)
            return Seen(
                state=state,
                state_hash=world.state_hash(self._bound.resource),
                governance=governance,
                now_ms=now_ms,
                nonce=secrets.token_bytes(16),
                clock=time.clock_gettime(CLOCK),
                approvals=self._approvals(world, state),
                release_from_ms=release_from_ms(world, state),
                decided_id=decided_id,
                decided_on=decided_on,
                budgets=world.budgets(self._tool.contract, self._bound, state, now_ms=now_ms),
                own_ms=own_ms,
                own_budgets=world.budgets(self._tool.contract, self._bound, state, now_ms=own_ms) if still else {},
            )

    def _approvals(self, world: LiveWorld, state: EffectState) -> tuple[tuple[bytes, int], ...]:
        """The approvals of the open intent that a START of ours may list, each until a time."""
        found = given(world, state, self._tool.contract)
        return tuple(sorted((each.id, each.until_ms) for each in found if each.by != self._signer.public_key))

    def _decided(self, world: LiveWorld, state: EffectState) -> tuple[bytes | None, dict[str, Value] | None]:
        """The snapshot that the open intent was decided on: its id, and its fields where they are kept here."""
        if state.claim is None or state.status != CLAIMED or self._tool.contract.profile is None:
            return None, None
        snapshot_id = world.intent(state.claim).snapshot_id
        raw = sound_attachment(self._log.path, snapshot_id) if snapshot_id is not None else None
        value = decode(raw) if raw is not None else None
        return snapshot_id, value if isinstance(value, dict) else None

    def _observe(self) -> Snapshot:
        tool, profile = self._tool, self._tool.contract.profile
        assert tool.snapshot is not None and profile is not None
        seen = tool.snapshot(**{name: self._bound.arguments[name] for name in tool.arguments})
        snapshot = freeze(profile, fold(profile, seen))
        self._log.keep_attachment(snapshot.raw)
        return snapshot

    def _seal(self, step: Seal) -> Sealed:
        of = (self._bound.effect, self._bound.resource)
        envelope = sign_event(step.data, self._signer, log=self._log_id, prev=step.prev, of=of, state=step.state)
        return Sealed(id=digest.event_id(envelope.body), envelope=envelope)

    def _append(self, step: Append) -> list[Answer]:
        try:
            return self._log.append_many(self.envelopes_of(step))[-len(step.events) :]
        except InvokeLogError:
            raise
        except BaseException as error:  # noqa: BLE001 -- Ctrl-C, a job's time limit: it goes on once the log has heard
            self.stopped = error
            return interrupted(step)

    def envelopes_of(self, step: Append) -> list[Envelope]:
        """Return what is appended in one commit: the tick that the verdict was reached at, where one was due, and the
        events.
        """
        before = [self._tick] if self._tick is not None else []
        return [*before, *(sealed.envelope for sealed in step.events)]

    def _send(self, step: Send) -> Reply:
        contract = self._tool.contract
        if not self.may_send(step):
            return NEVER_SENT
        try:
            self.value = self._tool.function(**self.arguments_of(step))
            return reply_of_value(self.value)
        except BaseException as error:  # noqa: BLE001 -- whatever it was, the request may have left: the log must hear of it
            self.raised = error
            return reply_of_exception(contract, error)

    def may_send(self, step: Send) -> bool:
        """Return whether the send deadline D, counted from before the START was appended, has not passed, and nobody
        has interrupted the call.

        After a pause that long a reconciler may already count on nothing being sent: then nothing may be.
        """
        self._tick, self._over = None, True
        self._sent = self.stopped is None and time.clock_gettime(CLOCK) < self._send_by(step)
        return self._sent

    def _send_by(self, step: Send) -> float:
        return step.began + self._tool.contract.send_deadline_ms / 1000

    def arguments_of(self, step: Send) -> dict[str, Any]:
        """Return what the tool is called with: the bound arguments, and its `Call` where it asks for one."""
        return {**self._bound.arguments, **({"invoke": self._call(step)} if self._tool.takes_call else {})}

    def _refuse(self, step: Refuse) -> None:
        now_ms = time.time_ns() // 1_000_000
        refusal = refusal_of(step, self._bound, issuer=self._signer.public_key, now_ms=now_ms)
        self._log.refuse(refusal, self._signer)

    def _call(self, step: Send) -> Call:
        noted: list[str] = []

        def append_handle(handle: str) -> None:
            # Of two transactions, one could be seen to be aborted while the other is on its way.
            if noted:
                raise ConfigInvalidError(f"call: it has noted {noted[0][:40]!r} already; one call is one attempt")
            noted.append(handle)
            data = Handle(about=step.start, handle=handle)
            effect, resource = self._bound.effect, self._bound.resource
            answer = self._log.append(self._log.draft(data, self._signer, effect=effect, resource=resource))
            if not isinstance(answer, Accepted):
                raise StoreError(f"handle {handle[:40]!r} is not on the log: {getattr(answer, 'reason', answer)}")

        return call_of(
            self._tool.contract,
            self._bound,
            generation=step.generation,
            provider_key=step.provider_key,
            tag=step.tag,
            send_by=self._send_by(step),
            append_handle=append_handle,
        )
