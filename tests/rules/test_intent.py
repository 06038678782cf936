"""Binding a call, and deriving the same names again from what an intent records. SPEC §7.2."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import ArgumentInvalidError, MalformedError
from invoke_log.format import digest, limits
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import Contract, Retires
from invoke_log.rules.intent import Bound, bind, rederive, retired_effect
from invoke_log.rules.kind import Intent, Verdict
from tests.harness.story import CHARGE, contract

ARGUMENTS: Any = CHARGE["arguments"]
CALL: dict[str, Value] = {"customer": "cus_1", "order": "789", "amount": 5000}
BLOB: Value = {"role": "content", "raw": True, "schema": {"type": "bytes", "min": 0, "max": 20_000}}
ATTACHING = contract(arguments={**ARGUMENTS, "scan": BLOB})
LONG = b"x" * (limits.RAW_INLINE_BYTES_MAX + 1)


def recorded(under: Contract, bound: Bound, **changes: Any) -> Intent:
    """Return the intent that records a bound call."""
    verdict = Verdict(policy_id=bytes(32), inputs={}, answer="allow", rule=None, approvals=0)
    intent = Intent(
        contract_id=under.id,
        purpose=bound.purpose,
        identity=bound.identity,
        content=bound.content,
        snapshot_id=None,
        after=None,
        again=None,
        verdict=verdict,
    )
    return replace(intent, **changes)


# Binding.


def test_a_bound_call_has_the_names_that_follow_from_it() -> None:
    """[INT-1], [INT-4], [INT-5], [ID-7], [ID-8]: volatile arguments are in no name."""
    bound = bind(contract(), {**CALL, "trace": "abc"})
    assert (bound.purpose, bound.identity, bound.content) == ("789", {"customer": "cus_1"}, {"amount": 5000})
    assert bound.resource == "stripe:acct_1/test/customer/cus_1"
    assert bound.effect == digest.effect_key("money.charge/1", bound.resource, "789", {"customer": "cus_1"})
    assert bound.request == digest.request_digest({"customer": "cus_1", "amount": 5000})
    other = bind(contract(), {**CALL, "trace": "xyz"})
    assert (other.effect, other.request, other.arguments["trace"]) == (bound.effect, bound.request, "xyz")


def test_content_changes_the_request_and_identity_the_effect() -> None:
    """[INT-4], [INT-5]"""
    bound = bind(contract(), CALL)
    content = bind(contract(), {**CALL, "amount": 6000})
    assert content.effect == bound.effect
    assert content.request != bound.request
    assert bind(contract(), {**CALL, "order": "790"}).effect != bound.effect
    assert bind(contract(), {**CALL, "customer": "cus_2"}).effect != bound.effect


def test_a_default_stands_for_what_a_call_leaves_out() -> None:
    """[INT-5]: as it will be sent."""
    defaulted = contract(arguments={**ARGUMENTS, "amount": {**ARGUMENTS["amount"], "default": [5000]}})
    call: dict[str, Value] = {"customer": "cus_1", "order": "789"}
    assert bind(defaulted, call).request == bind(defaulted, CALL).request


@pytest.mark.parametrize(
    "call",
    [
        {**CALL, "extra": 1},
        {"customer": "cus_1", "order": "789"},
        {**CALL, "amount": "5000"},
        {**CALL, "amount": 0},
        {**CALL, "amount": True},
        {**CALL, "order": "order 789"},
        {**CALL, "order": None},
        {**CALL, "trace": "x" * 65},
    ],
    ids=str,
)
def test_a_call_that_the_contract_does_not_accept_is_an_error_and_never_a_second_key(call: dict[str, Value]) -> None:
    """[INT-2]"""
    with pytest.raises(ArgumentInvalidError):
        bind(contract(), call)


def test_a_private_argument_is_not_recorded_in_the_clear() -> None:
    private = contract(arguments={**ARGUMENTS, "amount": {**ARGUMENTS["amount"], "private": True}})
    with pytest.raises(ArgumentInvalidError, match="private"):
        bind(private, CALL)
    volatile = contract(arguments={**ARGUMENTS, "trace": {**ARGUMENTS["trace"], "private": True}})
    assert bind(volatile, CALL).effect == bind(contract(), CALL).effect


def test_a_resource_that_is_too_long_is_an_argument_error() -> None:
    """[CTR-4]"""
    long = contract(resource="x" * 500 + "/{customer}")
    with pytest.raises(ArgumentInvalidError, match="512"):
        bind(long, {**CALL, "customer": "c" * 20})


def test_a_long_raw_value_is_an_attachment_and_a_short_one_stands_inline() -> None:
    """[INT-6]"""
    inline = bind(ATTACHING, {**CALL, "scan": LONG[1:]})
    assert (inline.content["scan"], inline.attachments) == (LONG[1:], ())
    attached = bind(ATTACHING, {**CALL, "scan": LONG})
    assert attached.attachments == (LONG,)
    assert attached.content["scan"] == {"attachment": digest.attachment_digest(LONG), "size": len(LONG)}
    assert attached.arguments["scan"] == LONG


# Deriving again.


@given(
    customer=st.text("abcXYZ09_-.:/@+=", min_size=1, max_size=64),
    order=st.text("0123456789-", min_size=1, max_size=64),
    amount=st.integers(1, 99_999_999),
    scan=st.binary(max_size=64),
)
def test_whoever_reads_an_intent_derives_the_names_that_its_author_bound(
    customer: str, order: str, amount: int, scan: bytes
) -> None:
    """S7, [INT-4]"""
    bound = bind(ATTACHING, {"customer": customer, "order": order, "amount": amount, "scan": scan})
    again = rederive(ATTACHING, recorded(ATTACHING, bound))
    assert (again.effect, again.resource, again.request) == (bound.effect, bound.resource, bound.request)


def test_a_reference_derives_like_the_value_that_it_stands_for() -> None:
    """[INT-5], [INT-6]"""
    bound = bind(ATTACHING, {**CALL, "scan": LONG})
    assert rederive(ATTACHING, recorded(ATTACHING, bound)).request == bound.request


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": {}},
        {"identity": {"customer": "cus_1", "order": "789"}},
        {"identity": {"customer": 1}},
        {"content": {"amount": 5000}},
        {"content": {"amount": 5000, "scan": b"", "extra": 1}},
        {"content": {"amount": 0, "scan": b""}},
        {"content": {"amount": 5000, "scan": LONG}},
        {"content": {"amount": 5000, "scan": {"attachment": bytes(32), "size": limits.RAW_INLINE_BYTES_MAX}}},
        {"content": {"amount": 5000, "scan": {"attachment": bytes(32), "size": 20_001}}},
        {"content": {"amount": 5000, "scan": {"attachment": bytes(31), "size": 20_000}}},
        {"content": {"amount": {"attachment": bytes(32), "size": 20_000}, "scan": b""}},
        {"purpose": "order 789"},
        {"purpose": ""},
    ],
    ids=str,
)
def test_maps_that_the_contract_does_not_accept_derive_nothing(changes: dict[str, Any]) -> None:
    """[INT-2], [INT-3], [INT-6]"""
    bound = bind(ATTACHING, {**CALL, "scan": b""})
    with pytest.raises(MalformedError):
        rederive(ATTACHING, recorded(ATTACHING, bound, **changes))


@pytest.mark.parametrize(
    ("text", "good"),
    [("7", True), ("-7", True), ("07", False), ("+7", False), ("٧", False), ("seven", False), ("", False)],
)
@pytest.mark.parametrize("schema", [{"type": "integer", "min": -9, "max": 9}], ids=["integer"])
def test_a_numeric_purpose_has_one_spelling(schema: Value, text: str, good: bool) -> None:
    """[INT-3]: its decimal digits."""
    numbered = contract(arguments={**ARGUMENTS, "order": {"role": "identity", "schema": schema}})
    bound = bind(numbered, {**CALL, "order": 7})
    assert bound.purpose == "7"
    intent = recorded(numbered, bound, purpose=text)
    if good:
        assert rederive(numbered, intent).purpose == text
    else:
        with pytest.raises(MalformedError):
            rederive(numbered, intent)


def test_without_a_purpose_there_is_an_empty_one_and_no_other() -> None:
    """[INT-3]"""
    bare = contract(purpose=None)
    bound = bind(bare, CALL)
    assert (bound.purpose, set(bound.identity)) == ("", {"customer", "order"})
    assert rederive(bare, recorded(bare, bound)).effect == bound.effect
    with pytest.raises(MalformedError):
        rederive(bare, recorded(bare, bound, purpose="789"))


def test_the_bounds_of_inline_and_attached_values_are_inclusive() -> None:
    """[INT-6]"""
    for scan in (LONG[1:], {"attachment": bytes(32), "size": 20_000}, {"attachment": bytes(32), "size": len(LONG)}):
        bound = bind(ATTACHING, {**CALL, "scan": b""})
        intent = recorded(ATTACHING, bound, content={"amount": 5000, "scan": scan})
        assert rederive(ATTACHING, intent).content["scan"] == scan


def test_only_raw_values_become_attachments_and_null_is_none_of_them() -> None:
    """[INT-6]"""
    size: Value = {"type": "bytes", "min": 0, "max": 20_000, "nullable": True}
    both = contract(
        arguments={
            **ARGUMENTS,
            "raw": {"role": "content", "raw": True, "schema": size},
            "plain": {"role": "content", "schema": size},
        }
    )
    for call in ({"raw": None, "plain": LONG}, {"raw": b"", "plain": None}):
        bound = bind(both, {**CALL, **call})
        assert (bound.attachments, bound.content["plain"]) == ((), call["plain"])
        assert rederive(both, recorded(both, bound)).request == bound.request


# The key that a retired class gave.


def test_the_retired_key_of_a_call_is_the_one_that_the_old_contract_gave_it() -> None:
    """[CTR-11]: identity there may be content here, a purpose another argument, and a number its digits."""
    old = contract()
    retires = Retires(effect_class="money.charge/1", resource=old.resource, purpose="order", identity=["customer"])
    new = contract(
        effect_class="money.charge/2",
        purpose=None,
        resource="{account}/{customer}",
        arguments={
            **ARGUMENTS,
            "amount": {**ARGUMENTS["amount"], "role": "identity"},
            "order": {"role": "content", "schema": {"type": "integer", "min": 0, "max": 999}},
        },
    )
    before = bind(old, CALL)
    bound = bind(new, {**CALL, "order": 789})
    assert bound.effect != before.effect
    assert retired_effect(new, bound, retires) == (before.effect, before.resource)
    assert retired_effect(new, rederive(new, recorded(new, bound)), retires) == (before.effect, before.resource)


def test_a_retired_class_without_purpose_gave_an_empty_one() -> None:
    """[CTR-11]"""
    old = contract(purpose=None)
    retires = Retires(
        effect_class="money.charge/1", resource=old.resource, purpose=None, identity=["customer", "order"]
    )
    new = contract(effect_class="money.charge/2")
    assert retired_effect(new, bind(new, CALL), retires) == (bind(old, CALL).effect, bind(old, CALL).resource)
