"""Tool contracts: what registration refuses, and what the derived properties promise. SPEC §7.1."""

from typing import Any

import pytest

from invoke_log.errors import ContractInvalidError, MalformedError
from invoke_log.format import digest
from invoke_log.format.cbor import Value
from invoke_log.rules.contract import (
    DEFAULTS,
    NEVER_DEFINITE,
    SCHEMA,
    Retires,
    complete_contract,
    expand,
    parse_contract,
    percent_encode,
)
from tests.harness.story import CHARGE, contract

ARGUMENTS: Any = CHARGE["arguments"]
READ_BACK: Any = {"operation": "search", "tag": "metadata.invoke", "complete": True, "lag_ms": 0}
WEBHOOK: Any = {"scheme": "hmac", "key_id": "k", "positive": ["charge.succeeded"], "negative": []}
TOKEN: Any = {"type": "token", "max": 64}


def refused(**changes: Value) -> str:
    """Return why a contract is refused."""
    with pytest.raises(ContractInvalidError) as raised:
        contract(**changes)
    return raised.value.message


def argument(**changes: Value) -> dict[str, Value]:
    """Return the story's arguments with the customer changed."""
    return {**ARGUMENTS, "customer": {**ARGUMENTS["customer"], **changes}}


def test_a_contract_is_named_by_its_data() -> None:
    """[CTR-1], [ID-5]"""
    first = contract()
    assert first.id == digest.contract_id(first.data)
    assert parse_contract(first.data) == first
    assert contract(timeout_ms=1).id != first.id


def test_a_contract_has_exactly_its_fields() -> None:
    """[CTR-1]"""
    assert SCHEMA["fields"].keys() == contract().data.keys()  # type: ignore[union-attr]  # a record's fields
    data = contract().data
    for broken in ({**data, "extra": 1}, {name: data[name] for name in data if name != "void"}, {**data, "version": 0}):
        with pytest.raises(ContractInvalidError):
            parse_contract(broken)


@pytest.mark.parametrize("name", ["timeout_ms", "send_deadline_ms", "quiescence_ms", "claim_ttl_ms", "retention_ms"])
def test_a_duration_has_ten_years_at_most(name: str) -> None:
    """[TIME-6]"""
    most = 10 * 365 * 24 * 60 * 60 * 1000
    assert contract(**{"quiescence_ms": most, name: most}).data[name] == most
    for duration_ms in (-1, most + 1):
        assert name in refused(**{name: duration_ms})


@pytest.mark.parametrize("good", ["none", "money.charge/1", "a/1", "a-b_c.d/999999999"])
def test_an_effect_class_is_none_or_words_and_a_version(good: str) -> None:
    """[CTR-2]"""
    assert contract(effect_class=good).effect_class == good


@pytest.mark.parametrize(
    "bad", ["charge", "money.charge/0", "money.charge/01", "Money/1", "money..charge/1", "/1", "a/1/2", "a/1000000000"]
)
def test_any_other_effect_class_is_refused(bad: str) -> None:
    """[CTR-2]"""
    assert "effect class" in refused(effect_class=bad)
    assert "effect_class" in refused(effect_class=f"{'a' * 47}/1")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text", "max": 64},
        {"type": "boolean"},
        {"type": "bytes", "min": 0, "max": 9},
        {"type": "list", "of": TOKEN, "max": 1, "order": "as listed"},
        {"type": "set", "of": TOKEN, "max": 1},
        {"type": "record", "fields": {"a": TOKEN}},
        {**TOKEN, "nullable": True},
    ],
    ids=lambda schema: str(schema["type"]) + str(schema.get("nullable", "")),
)
def test_an_identity_argument_has_one_spelling_and_is_always_there(schema: Value) -> None:
    """[CTR-3]: free text would be written another way the next time, and a purpose is an identity argument."""
    assert "identity argument customer" in refused(arguments=argument(schema=schema))


@pytest.mark.parametrize(
    "schema",
    [
        TOKEN,
        {"type": "enum", "of": ["a"]},
        {"type": "integer", "min": 0, "max": 9},
        {"type": "decimal", "scale": 2},
        {"type": "time", "unit": "s", "grain": 60},
    ],
    ids=lambda schema: str(schema["type"]),
)
def test_tokens_enums_integers_decimals_and_times_can_be_identity(schema: Value) -> None:
    """[CTR-3]"""
    assert contract(arguments=argument(schema=schema)).identity == ("customer",)


def test_a_raw_argument_is_bytes_and_no_identity() -> None:
    """[CTR-3]"""
    blob: Value = {"type": "bytes", "min": 0, "max": 99}
    assert "identity argument" in refused(arguments=argument(raw=True, schema=blob))
    assert "raw argument" in refused(arguments={**ARGUMENTS, "note": {"role": "content", "raw": True, "schema": TOKEN}})
    raw: Value = {"role": "content", "raw": True, "schema": blob}
    assert contract(arguments={**ARGUMENTS, "note": raw}).arguments["note"].raw


@pytest.mark.parametrize("default", [[], ["cus 1"], [None]])
def test_a_default_is_one_value_in_its_arguments_schema(default: Value) -> None:
    """[CTR-3]"""
    refused(arguments=argument(default=default))
    assert contract(arguments=argument(default=["cus_9"])).arguments["customer"].default == ["cus_9"]


def test_a_default_of_nothing_is_refused_for_a_nullable_argument_too() -> None:
    """[CTR-3]"""
    nullable: Value = {"role": "content", "schema": {**TOKEN, "nullable": True}, "default": []}
    assert "default" in refused(arguments={**ARGUMENTS, "note": nullable})


def test_the_purpose_is_an_identity_argument() -> None:
    """[CTR-5], [CTR-9]: a purpose of free text is refused with it."""
    assert "purpose" in refused(purpose="amount")
    assert "purpose" in refused(purpose="missing")
    assert "identity argument order" in refused(
        arguments={**ARGUMENTS, "order": {"role": "identity", "schema": {"type": "text", "max": 64}}}
    )


@pytest.mark.parametrize("place", ["missing", "amount", "trace", ""])
def test_a_template_names_its_realm_and_identity_arguments_only(place: str) -> None:
    """[CTR-6]"""
    assert "resource names" in refused(resource=f"stripe:{{account}}/{{{place}}}")
    assert contract(resource="stripe:{account}/{order}/{customer}").purpose == "order"


def test_no_name_is_both_realm_and_argument() -> None:
    """[CTR-6]"""
    assert "realm" in refused(realm={"account": "acct_1", "mode": "test", "customer": "cus_1"})


def test_a_published_schema_names_every_field_at_any_depth() -> None:
    """[VAL-1], [SNP-1], [CTR-7]"""
    free: Value = {"type": "anything", "nullable": True}
    open_map: Value = {"type": "mapping", "of": TOKEN, "max": 9, "nullable": False}
    for inner in (free, {"type": "list", "of": open_map, "max": 1, "order": "as listed"}):
        assert "has type" in refused(profile={"type": "record", "fields": {"a": inner}})
        assert "has type" in refused(arguments={**ARGUMENTS, "x": {"role": "content", "schema": inner}})


def test_a_profile_is_a_record_that_is_always_there_and_may_drift_names_its_fields() -> None:
    """[CTR-7], [SNP-1]"""
    profile: dict[str, Value] = {"type": "record", "fields": {"balance": {"type": "integer", "min": 0, "max": 9}}}
    assert "profile" in refused(profile={"type": "boolean"})
    assert "profile" in refused(profile={**profile, "nullable": True})
    assert "may_drift" in refused(profile=profile, may_drift=["other"])
    assert "may_drift" in refused(may_drift=["balance"])
    assert contract(profile=profile, may_drift=["balance"]).may_drift == {"balance"}


@pytest.mark.parametrize(
    "changes",
    [
        {"observability": "queryable", "read_back": None},
        {"observability": "transactional", "read_back": None, "handle": None},
        {"observability": "webhook-confirmable", "webhook": None},
        {"observability": "webhook-confirmable", "webhook": {**WEBHOOK, "positive": [], "negative": []}},
        {"webhook": {**WEBHOOK, "positive": ["a", "b"], "negative": ["b", "c"]}},
        {"timeout_ms": 70_001},
        {"observability": "fire-and-forget", "void": None},
        {"observability": "fire-and-forget", "read_back": None},
        {"observability": "fire-and-forget", "read_back": None, "void": None, "webhook": WEBHOOK},
        {"observability": "transactional", "handle": "txn", "read_back": None, "reconcilers": 2},
    ],
    ids=str,
)
def test_registration_refuses_what_cannot_work(changes: dict[str, Value]) -> None:
    """[CTR-9]"""
    refused(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"observability": "transactional", "read_back": None, "handle": "txn"},
        {"observability": "transactional", "handle": None},
        {"observability": "webhook-confirmable", "read_back": None, "webhook": WEBHOOK},
        {"observability": "webhook-confirmable", "webhook": {**WEBHOOK, "positive": [], "negative": ["charge.voided"]}},
        {"webhook": {**WEBHOOK, "positive": [], "negative": []}},
        {"timeout_ms": 70_000},
        {"observability": "fire-and-forget", "read_back": None, "void": None},
        {"reconcilers": 2},
    ],
    ids=str,
)
def test_registration_takes_what_can_work(changes: dict[str, Value]) -> None:
    """[CTR-9]"""
    assert changes.items() <= contract(**changes).data.items()


@pytest.mark.parametrize(
    "failure",
    [
        *sorted(NEVER_DEFINITE),
        "408",
        "409",
        "425",
        "429",
        "http_429",
        "500",
        "503",
        "599",
        "5xx",
        "http_500",
        "http502",
        "HTTP_409",
        "5XX",
        "Conflict",
    ],
)
def test_no_contract_lists_as_definite_what_says_nothing_about_the_effect(failure: str) -> None:
    """S2, [CTR-9]: the first call under the key may have landed."""
    assert "proves nothing" in refused(definite_failures=[failure])


@pytest.mark.parametrize("failure", ["card_declined", "400", "402", "404", "http_422", "5000", "x500"])
def test_other_answers_may_be_definite(failure: str) -> None:
    """[CTR-9]"""
    assert contract(definite_failures=[failure]).definite_failures == {failure}


@pytest.mark.parametrize(
    ("stores", "retention_ms", "keyed"),
    [("all", 70_000, True), ("success", 70_000, True), ("none", 70_000, False), ("all", 69_999, False)],
)
def test_a_key_that_the_provider_forgets_too_soon_counts_as_none(stores: str, retention_ms: int, keyed: bool) -> None:
    """[CTR-8]: retention is at least D + Q."""
    key: Value = {"place": "header", "retention_ms": retention_ms, "mismatch": "refused", "stores": stores}
    assert contract(provider_key=key).keyed is keyed
    assert contract(provider_key=None).keyed is False
    assert contract().settle_ms == 70_000


def test_only_a_complete_read_without_lag_proves_absence() -> None:
    """[CTR-8]"""
    assert contract().proves_absence
    assert not contract(read_back={**READ_BACK, "complete": False}).proves_absence
    assert not contract(read_back={**READ_BACK, "lag_ms": 1}).proves_absence
    assert not contract(observability="transactional", handle="txn", read_back=None).proves_absence


# Key rules and retired classes.


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "other", "version": 9, "timeout_ms": 1}, True),
        ({"realm": {"account": "acct_2", "mode": "test"}}, True),
        ({"resource": "stripe:{account}/{customer}"}, False),
        ({"purpose": None}, False),
        ({"purpose": None, "arguments": {**ARGUMENTS, "order": {**ARGUMENTS["order"], "role": "content"}}}, False),
        ({"arguments": argument(schema={"type": "integer", "min": 0, "max": 9})}, False),
        ({"arguments": argument(schema={"type": "enum", "of": ["cus_1"]})}, True),
        ({"arguments": {**ARGUMENTS, "amount": {**ARGUMENTS["amount"], "role": "identity"}}}, False),
    ],
    ids=str,
)
def test_a_key_rule_is_template_purpose_and_the_parts_of_the_key(changes: dict[str, Value], same: bool) -> None:
    """[CTR-10]: what two contracts of one class must share to give one thing one key."""
    assert (contract(**changes).key_rule == contract().key_rule) is same


def retiring(**changes: Value) -> dict[str, Value]:
    data: dict[str, Value] = {"effect_class": "money.charge/0", "resource": "x", "purpose": None, "identity": []}
    return {**data, **changes}


@pytest.mark.parametrize(
    "retires",
    [
        retiring(identity=["missing"]),
        retiring(identity=["trace"]),
        retiring(identity=["attempt"]),
        retiring(identity=["memo"]),
        retiring(purpose="memo"),
        retiring(resource="{memo}"),
        retiring(resource="{missing}"),
    ],
    ids=str,
)
def test_a_retired_key_is_made_of_arguments_that_a_key_can_be_made_of(retires: Value) -> None:
    """[CTR-11]"""
    memo: Value = {"role": "content", "schema": {"type": "text", "max": 9}}
    attempt: Value = {"role": "volatile", "schema": TOKEN}
    arguments: Value = {**ARGUMENTS, "memo": memo, "attempt": attempt}
    assert "retired" in refused(effect_class="money.charge/2", arguments=arguments, retires=retires)


def test_a_retired_key_may_be_made_of_content_and_realm() -> None:
    """[CTR-11]"""
    retires = retiring(effect_class="old/1", resource="{account}/{customer}", purpose="order", identity=["amount"])
    made = contract(effect_class="new/2", retires=retires)
    assert made.retires == Retires(
        effect_class="old/1", resource="{account}/{customer}", purpose="order", identity=["amount"]
    )
    assert made.retires.names == {"order", "amount"}


# The resource template.


def test_a_template_expands_with_every_value_percent_encoded() -> None:
    """[CTR-4]: no value can leave its place."""
    expanded = expand("a:{x}/{y}/{x}", {"x": "né/%", "y": -5})
    assert expanded == "a:n%C3%A9%2F%25/-5/n%C3%A9%2F%25"
    assert percent_encode("AZaz09-._~") == "AZaz09-._~"
    assert percent_encode(" {}:@") == "%20%7B%7D%3A%40"


@pytest.mark.parametrize("value", [None, True, b"x", ["x"]])
def test_a_place_takes_text_and_integers(value: Value) -> None:
    """[CTR-4]"""
    with pytest.raises(MalformedError):
        expand("{x}", {"x": value})
    with pytest.raises(MalformedError):
        expand("{y}", {"x": "1"})


def test_a_resource_is_text_as_the_log_has_it() -> None:
    """[CTR-4], [IL1-3]: an accent behind a place joins the letter that a value ends with."""
    template = "{x}\u0301/y"
    assert expand(template, {"x": "joe1"}) == "joe1\u0301/y"
    with pytest.raises(MalformedError, match="not in NFC"):
        expand(template, {"x": "joe"})


def test_a_resource_has_1_to_512_bytes() -> None:
    """[CTR-4]"""
    assert len(expand("{x}", {"x": "a" * 512})) == 512
    for value in ("a" * 513, "é" * 86, ""):
        with pytest.raises(MalformedError):
            expand("{x}", {"x": value})


# Writing contracts by hand.


def test_what_is_left_out_is_filled_in_and_sets_are_put_in_order() -> None:
    partial: dict[str, Value] = {**CHARGE, "definite_failures": ["bb", "a", "ccc"]}
    completed = complete_contract(partial)
    assert completed["definite_failures"] == ["a", "bb", "ccc"]
    assert completed.keys() == SCHEMA["fields"].keys()  # type: ignore[union-attr]  # a record's fields
    assert complete_contract(completed) == completed
    nested: dict[str, Any] = complete_contract(
        {**CHARGE, "profile": {"type": "record", "fields": {"a": {"type": "set", "of": TOKEN, "max": 1}}}}
    )
    assert nested["profile"]["fields"]["a"]["of"]["nullable"] is False


@pytest.mark.parametrize(
    "broken",
    [
        {"definite_failures": [1.5]},
        {"definite_failures": "abc"},
        {"name": None},
        {"arguments": []},
        {"arguments": {"x": 1}},
        {"arguments": {"x": {"role": "content", "schema": 1}}},
        {"profile": 1},
        {"retires": 1},
        {"webhook": []},
    ],
    ids=str,
)
def test_what_is_no_contract_is_an_error_and_never_a_crash(broken: dict[str, Value]) -> None:
    refused(**broken)
    nothing: list[Value] = [None, [], dict(DEFAULTS)]
    for data in nothing:
        with pytest.raises(ContractInvalidError):
            parse_contract(data)
