"""What is kept of each effect of a log: of open ones as it is, of all others packed. SPEC §12 [RPL-7].

A log has few of the first and may have millions of the others, and whoever replays it keeps them all. Most of what is
known of an effect at rest is true of many; its own are a few ids and texts.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from invoke_log.rules.effect import OPEN
from invoke_log.rules.kind import CLAIMED, STARTED
from invoke_log.rules.world import Claim, EffectState, Send

_OWN: Final = Struct(">IQ32s32s32s32sHH")
"""Which of those that are alike, then what is its own: the claim's leaf, the head, the claim's id, request and decision
key, the characters of resource and purpose. These two follow, and the reference.
"""
_NO_CLAIM: Final = Claim(
    id=b"", index=0, issuer=b"", contract_id=b"", request=b"", decision_key=b"", asks=False, approvals=0
)


class Ended(NamedTuple):
    """How an effect was settled: the grade of what settled it, what that relies on, and what was relied on earlier."""

    grade: str
    relies_on: tuple[str, ...]
    earlier: tuple[str, ...]


@dataclass(slots=True)
class Kept:
    """What is kept of an effect: its state, the keys that signed a START of it, and what an auditor has to say of it.

    purpose: empty until an event says it. sworn: whether an oath let an intent be claimed after a recovery. ended: how
    it was settled last, None before. reference: the provider's object that its last committing named, or None.
    """

    state: EffectState
    starters: frozenset[bytes] = frozenset()
    purpose: str = ""
    sworn: bool = False
    ended: Ended | None = None
    reference: str | None = None


_Alike = tuple[
    tuple[str, str, int, int, int],
    tuple[int, str, int, Claim | None],
    bool,
    tuple[bytes, bytes],
    tuple[bool, int],
    Send | None,
    bytes | None,
    tuple[int | None, int],
    frozenset[bytes],
    bool,
    Ended | None,
    bool,
]
"""All of what is kept but an effect's own, in the order in which a state has it."""


class States(Mapping[bytes, EffectState]):
    """The state of every effect with an event on its chain, by key. One at rest takes 320 bytes with all that is
    kept beside it; as objects that would be 900.
    """

    def __init__(self) -> None:
        self.running: Final = set[bytes]()
        """The keys of those that are claimed or started."""
        self._kept: dict[bytes, Kept | bytes] = {}
        self._last: Kept | None = None
        self._numbers: dict[_Alike, int] = {}
        self._alike: list[_Alike] = []

    def __getitem__(self, effect: bytes) -> EffectState:
        return self.kept(effect).state

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, effect: bytes, default: EffectState | None = None) -> EffectState | None:  # type: ignore[override]  # no other default is asked for
        kept = self._kept.get(effect)
        if kept is None:
            return default
        return (kept if isinstance(kept, Kept) else self._unpacked(effect, kept)).state

    def kept(self, effect: bytes) -> Kept:
        """Return what is kept of an effect; of the one that was moved last, it may be changed."""
        kept = self._kept[effect]
        return kept if isinstance(kept, Kept) else self._unpacked(effect, kept)

    def move(self, state: EffectState, *, starter: bytes | None = None) -> None:
        """Give an effect another state. starter: the key that signed the START that led to it."""
        effect = state.effect
        kept = self.kept(effect) if effect in self._kept else Kept(state)
        kept.state = state
        if starter is not None and starter not in kept.starters:
            kept.starters |= {starter}
        self._kept[effect] = kept
        if state.status in (CLAIMED, STARTED):
            self.running.add(effect)
        else:
            self.running.discard(effect)
        # The one before is at rest from now on: of the last one, whoever moved it may have more to say.
        last, self._last = self._last, kept
        if last is not None and last is not kept and last.state.status not in OPEN:
            self._kept[last.state.effect] = self._packed(last)

    def pop(self, effect: bytes) -> Kept:
        """Return what is kept of an effect, and keep it no more."""
        kept = self.kept(effect)
        del self._kept[effect]
        self.running.discard(effect)
        return kept

    def row(self, effect: bytes) -> tuple[str, int, int, bytes | None]:
        """Return what the state root says of an effect: its status, generation, attempt and head."""
        kept = self._kept[effect]
        if isinstance(kept, Kept):
            return kept.state.status, kept.state.generation, kept.state.attempt, kept.state.last
        number, _, last, *_ = _OWN.unpack_from(kept)
        (_, status, generation, attempt, _), *_ = self._alike[number]
        return status, generation, attempt, last

    def _packed(self, kept: Kept) -> bytes:
        state, claim = kept.state, kept.state.claim or _NO_CLAIM
        alike = (
            state[2:7],  # effect_class to turn
            state[8:12],  # committed_max to base_claim
            state.claim is not None,
            claim[2:4],  # issuer and contract_id
            claim[6:],  # asks and approvals
            state.send,
            # It is the claim's own, nearly always: another one stays, and this state is like no other.
            b"" if state.sealed_request == claim.request else state.sealed_request,
            state[15:],  # tainted and absorbed
            kept.starters,
            kept.sworn,
            kept.ended,
            kept.reference is not None,
        )
        number = self._numbers.setdefault(alike, len(self._alike))
        if number == len(self._alike):
            self._alike.append(alike)
        ids = (state.last, claim.id, claim.request, claim.decision_key)
        own = _OWN.pack(number, claim.index, *ids, len(state.resource), len(kept.purpose))
        return own + (state.resource + kept.purpose + (kept.reference or "")).encode()

    def _unpacked(self, effect: bytes, raw: bytes) -> Kept:
        number, index, last, claim_id, request, decision_key, at, more = _OWN.unpack_from(raw)
        first, base, claimed, by, verdict, send, sealed, recovered, starters, sworn, ended, named = self._alike[number]
        (issuer, contract_id), (asks, approvals) = by, verdict
        text = raw[_OWN.size :].decode()
        resource = sys.intern(text[:at])  # many effects have one
        claim = Claim(claim_id, index, issuer, contract_id, request, decision_key, asks, approvals) if claimed else None
        sealed = request if sealed == b"" else sealed
        state = (effect, resource, *first, last, *base, claim, send, sealed, *recovered)
        reference = text[at + more :] if named else None
        return Kept(EffectState(*state), starters, text[at : at + more], sworn, ended, reference)
