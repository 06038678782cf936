"""What a client's person said of an intent, as an approval or a denial: signed by a key that does nothing else.

The one module on an agent's side that consents. It is there only where the gateway was started with such a key, and
who starts it so trusts the client to ask a person.
"""

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Final

from invoke_log.errors import ConfigInvalidError, MalformedError, MessageInvalidError, NotFoundError, StoreError
from invoke_log.format import cbor, digest
from invoke_log.guard.outcome import Denied, Ending, Pending
from invoke_log.ledger import consent
from invoke_log.ledger.approval import PendingIntent, pending
from invoke_log.ledger.log import Log
from invoke_log.log.signer import Signer
from invoke_log.rules.answer import Accepted, Answer
from invoke_log.rules.kind import CLAIMED, COMMITTED, STARTED, UNKNOWN
from invoke_log.rules.world import EffectState
from invoke_log.surfaces.mcp_server.person import REASON_CHARS_MAX, Heard, Question, Said

WENT_ON: Final = frozenset((STARTED, UNKNOWN, COMMITTED))


class Approver:
    """Consents with one key, over one log.

    Raises: ConfigInvalidError: the key has no grant as approver, or any other: then an approval would not say whose
        word it is.
    """

    def __init__(self, log: Log, key: Signer, *, issuer: bytes) -> None:
        roles = {grant.role for grant in log.governance.grants if grant.key == key.public_key}
        name = digest.format_id("key", key.public_key)
        if key.public_key == issuer or roles - {"approver"}:
            holds = "the gateway's own" if key.public_key == issuer else f"granted {', '.join(sorted(roles))}"
            raise ConfigInvalidError(
                f"approver: {name} is {holds}, want a key that does nothing but approve",
                hint='make one with "invoke-log key new FILE", and have an admin grant it approver',
            )
        if not roles:
            raise ConfigInvalidError(
                f"approver: {name} has no grant", hint=f'an admin runs "invoke-log grant {name} --role approver"'
            )
        self._log = log
        self._key = key
        self._turn = asyncio.Lock()

    def question(self, ending: Ending) -> Question | None:
        """Return what the person is asked where a call waits for approval; None: this key has said what it can."""
        if not isinstance(ending, Pending):
            return None
        effect = digest.parse_id(ending.effect_key, "eff")
        state, found = self._look(effect)
        if found is None or self._gave(found):
            return None
        with self._log.world() as world:
            governance = world.governance
        if not governance.holds(self._key.public_key, "approver", state.effect_class, state.resource):
            return None
        assert state.claim is not None
        return Question(
            text=found.text,
            about={"effect": effect.hex(), "intent": found.intent.hex(), "shown": found.shown.hex()},
            stands_s=governance.contracts[state.claim.contract_id].claim_ttl_ms / 1000,
        )

    async def take(self, heard: Heard, call: Callable[[], Awaitable[Ending]]) -> Ending:
        """Return how the call ends that an answer was brought to; `call` makes it.

        Raises: MessageInvalidError: the answer is used, or its intent is not open any more. Nothing was sent.
            StoreError: a no is not on the log.
        """
        try:
            effect, intent = bytes.fromhex(heard.about["effect"]), bytes.fromhex(heard.about["intent"])
        except KeyError as error:
            raise MessageInvalidError(
                "request state: it is for a tool without a contract, and this one has one"
            ) from error
        if heard.said.yes is not None and not heard.used:
            # Crash here: the intent waits as before. After the append: it is approved, and whoever calls goes on.
            async with self._turn:  # of two clients that say yes at once, one signs
                answer = await asyncio.to_thread(self._record, heard, effect, intent)
            if isinstance(answer, Accepted) and heard.said.yes is False:
                said = f": {heard.said.reason}" if heard.said.reason else ""
                return Denied(
                    f"the person behind the client said no{said}",
                    effect_key=effect,
                    by=answer.id,
                    next="",
                    status="denied",
                )
        state, _ = self._look(effect)
        ours = state.claim is not None and state.claim.id == intent
        if ours and state.status == CLAIMED and heard.said.yes is False:
            raise StoreError("the no is not on the log; nothing was sent", hint='"invoke-log deny" takes it too')
        if not ours or state.status not in (WENT_ON if heard.used else {CLAIMED, *WENT_ON}):
            raise MessageInvalidError(
                f"answer: {digest.format_id('evt', intent)} has one already, or is not open any more; nothing was sent",
                hint="make the call again, without a state",
            )
        return await call()

    def _record(self, heard: Heard, effect: bytes, intent: bytes) -> Answer | None:
        """Append what was said; None: that intent, and what was shown of it, is not what waits, or this key has
        approved it.
        """
        _, found = self._look(effect)
        if found is None or (found.intent, found.shown.hex()) != (intent, heard.about["shown"]):
            return None
        if heard.said.yes is False:
            return consent.deny(self._log, found, self._key, reason=_reason(heard.said))
        return None if self._gave(found) else consent.approve(self._log, found, self._key)

    def _look(self, effect: bytes) -> tuple[EffectState, PendingIntent | None]:
        with self._log.world() as world:
            resource = world.resource_of(effect)
            if resource is None:
                raise NotFoundError(f"effect eff_{effect.hex()}: no event of this log is on its chain")
            state = world.effect(effect, resource)
            return state, pending(world, state, at_ms=self._log.own_ms(world.now_ms()))

    def _gave(self, found: PendingIntent) -> bool:
        return any(given.by == self._key.public_key for given in found.given)


def _reason(said: Said) -> str:
    """Why, as the log can hold it: no spelling of a no may lose it."""
    text = unicodedata.normalize("NFC", said.reason)[:REASON_CHARS_MAX]
    try:
        cbor.encode(text)
    except MalformedError:
        text = text.encode("ascii", "backslashreplace").decode()[:REASON_CHARS_MAX]
    return text or "said by the person behind the client"
