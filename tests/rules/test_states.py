"""What is packed comes back as it was, and what is open or was moved last is not packed at all."""

import pytest

from invoke_log.rules.kind import CLAIMED, COMMITTED, FREE, NOT_COMMITTED, UNKNOWN
from invoke_log.rules.states import Ended, States
from invoke_log.rules.world import Claim, EffectState, Send

CLAIM = Claim(
    id=b"i" * 32,
    index=2**40,
    issuer=b"a" * 32,
    contract_id=b"c" * 32,
    request=b"r" * 32,
    decision_key=b"d" * 32,
    asks=True,
    approvals=2,
)
SEND = Send(id=b"s" * 32, index=7, by=b"x" * 32, nonce_hash=b"n" * 32, last_index=9, redriven=True)
STATE = EffectState(
    effect=b"e" * 32,
    resource="bank/é\x00account",
    effect_class="money.charge/1",
    status=COMMITTED,
    generation=2**53 - 1,
    attempt=3,
    turn=1,
    last=b"l" * 32,
    committed_max=2**53 - 1,
    base_status=NOT_COMMITTED,
    base_generation=2,
    claim=CLAIM,
    absorbed=1,
)
OTHER = EffectState(effect=b"o" * 32, resource="bank/other", last=b"p" * 32)


@pytest.mark.parametrize(
    "state",
    [
        STATE,
        STATE._replace(claim=None),
        STATE._replace(status=FREE, base_claim=CLAIM._replace(id=b"b" * 32)),
        STATE._replace(status=NOT_COMMITTED, sealed_request=CLAIM.request),
        STATE._replace(status=NOT_COMMITTED, sealed_request=b"q" * 32),
        STATE._replace(status=NOT_COMMITTED, sealed_request=b"q" * 32, claim=None),
        STATE._replace(send=SEND, tainted=4),
    ],
)
@pytest.mark.parametrize("reference", [None, "", "pi_1", "ö\x00"])
def test_what_is_packed_comes_back_as_it_was(state: EffectState, reference: str | None) -> None:
    states = States()
    states.move(state._replace(status=CLAIMED), starter=b"x" * 32)
    states.move(state, starter=b"y" * 32)
    kept = states.kept(state.effect)
    kept.sworn = True
    kept.purpose, kept.ended, kept.reference = "order\x00ü", Ended("E1", ("executor",), ()), reference
    states.move(OTHER)
    assert type(states._kept[state.effect]) is bytes
    assert (states.kept(state.effect), states[state.effect]) == (kept, state)
    assert states.kept(state.effect).starters == {b"x" * 32, b"y" * 32}
    assert states.row(state.effect) == (state.status, state.generation, state.attempt, state.last)
    assert (states.pop(state.effect), list(states)) == (kept, [OTHER.effect])


@pytest.mark.parametrize("status", [CLAIMED, UNKNOWN])
def test_an_open_effect_and_the_one_moved_last_may_still_be_changed(status: str) -> None:
    states = States()
    states.move(STATE._replace(status=status))
    states.move(OTHER)
    states.kept(STATE.effect).purpose = "open"
    states.move(STATE)
    states.kept(STATE.effect).purpose += ", and last"
    states.move(STATE._replace(turn=2))
    states.kept(STATE.effect).purpose += ", and last again"
    states.move(OTHER)
    assert states.kept(STATE.effect).purpose == "open, and last, and last again"
    assert (states.get(STATE.effect), states.get(bytes(32))) == (STATE._replace(turn=2), None)


def test_states_that_differ_in_anything_are_not_taken_for_alike() -> None:
    states = States()
    moved = [STATE._replace(effect=bytes([at]) * 32, turn=at % 3, absorbed=at % 2) for at in range(12)]
    for state in moved:
        states.move(state, starter=bytes([state.turn]) * 32)
    assert dict(states) == {state.effect: state for state in moved}
    assert len(states._alike) == 6
