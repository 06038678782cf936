"""Tools and their contracts: from files and decorators to the log, and what cannot work said before a call. [CTR-9]"""

import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import invoke_log as il
from invoke_log.errors import ConfigInvalidError, ContractInvalidError, NotFoundError
from invoke_log.format.cbor import Value
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import Committed
from invoke_log.guard.registry import (
    ContractFile,
    check_kept,
    contract_of,
    load_contract,
    make_tool,
    read_map,
    ready_contract,
    ready_names,
    register,
)
from invoke_log.guard.tool_call import Call
from invoke_log.ledger.log import Log
from invoke_log.rules.contract import OBSERVABILITIES, Contract, complete_contract, parse_contract
from tests.harness.live import ORIGIN, PARTIAL

TOML = """
name = "charge"
effect_class = "money.charge/1"
resource = "stripe/customer/{customer}"
purpose = "order"

[arguments]
customer = { role = "identity", schema = { type = "token", max = 64 } }
order = { role = "identity", schema = { type = "token", max = 64 } }
amount = { role = "content", schema = { type = "integer", min = 1, max = 99999 } }
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.create(tmp_path / "log", origin=ORIGIN) as opened:
        yield opened


def contract(**changes: Value) -> Contract:
    return parse_contract(complete_contract({**PARTIAL, **changes}))


# --- contract files


def test_a_contract_file_in_toml_or_json_is_the_same_contract(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(TOML)
    loaded = load_contract(tmp_path / "c.toml")
    assert (loaded.name, loaded.purpose, loaded.claim_ttl_ms) == ("charge", "order", 300_000)
    json = """{"name": "charge", "effect_class": "money.charge/1", "resource": "stripe/customer/{customer}",
      "purpose": "order", "arguments": {
        "amount": {"role": "content", "schema": {"type": "integer", "min": 1, "max": 99999}},
        "customer": {"role": "identity", "schema": {"type": "token", "max": 64}},
        "order": {"role": "identity", "schema": {"type": "token", "max": 64}}}}"""
    (tmp_path / "c.json").write_text(json)
    assert ContractFile.load(str(tmp_path / "c.json")) == loaded
    for text in (json, TOML):  # a pipe has no name that says which it is
        (tmp_path / "c").write_text(text)
        assert load_contract(tmp_path / "c") == loaded


def test_a_contract_file_that_is_not_there_or_cannot_work_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        load_contract(tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text(TOML.replace("{customer}", "{account}"))
    with pytest.raises(ContractInvalidError, match="account"):
        load_contract(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", '{"a": 1.0}'),
        (".json", '{"a": NaN}'),
        (".json", '{"a": -Infinity}'),
        (".json", '{"a": 1, "a": 1}'),
        (".json", '{"a": {"b": 1, "b": 2}}'),
        (".json", "[]"),
        (".json", "{"),
        (".toml", "a = 1.0"),
        (".toml", "a = nan"),
        (".toml", "a = 1\na = 1"),
        (".toml", "a"),
        (".toml", "a = '\xff'"),
        ("", '{"a": 1.0}'),
        ("", "a = 1.0"),
    ],
)
def test_floats_duplicate_keys_and_other_text_are_refused_never_rounded_or_merged(suffix: str, text: str) -> None:
    with pytest.raises(ContractInvalidError, match="the file"):
        read_map(text.encode("latin-1"), suffix, "the file")


# --- ready contracts


REALMS: dict[str, dict[str, Value]] = {
    "postgresql-entry": {"cluster": "main", "database": "books"},
    "s3-create-object": {"account": "123456789012", "bucket": "invoices"},
    "smtp-mail": {"sender": "shop@example.com"},
    "stripe-payment-intent": {"account": "acct_1", "mode": "test"},
    "stripe-refund": {"account": "acct_1", "mode": "test"},
    "webhook-transfer": {"account": "DE02120300000000202051"},
}


@pytest.mark.parametrize("name", ready_names())
def test_a_ready_contract_works_once_its_realm_is_filled_in_and_not_before(name: str, tmp_path: Path) -> None:
    ready = ContractFile.ready(name, realm=REALMS[name])
    assert ready.settle_ms >= ready.timeout_ms  # while the tool still waits, nobody may count on nothing coming
    with pytest.raises(ContractInvalidError, match="realm"):
        ContractFile.ready(name)
    (tmp_path / "copy.toml").write_text(ready_contract(name))
    with pytest.raises(ContractInvalidError, match="realm"):
        load_contract(tmp_path / "copy.toml")
    assert ContractFile.ready(name, name="another", realm=REALMS[name]).name == "another"
    changed = ContractFile.ready(name, realm=REALMS[name], claim_ttl_ms=1)
    assert (changed.claim_ttl_ms, changed.name) == (1, ready.name)


def test_every_observability_has_a_ready_contract_and_their_classes_do_not_meet(log: Log) -> None:
    every = [ContractFile.ready(name, realm=REALMS[name]) for name in ready_names()]
    assert {one.observability for one in every} == set(OBSERVABILITIES)
    assert [register(log, one, renew=False).id for one in every] == [one.id for one in every]


def test_an_unknown_ready_contract_names_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="smtp-mail"):
        ContractFile.ready("../secrets")


# --- contracts in the decorator


def charge(customer: str, amount: int, order: str, dry: bool = False, *, invoke: Call) -> None:
    """A tool."""


def test_what_a_decorator_does_not_say_follows_from_the_signature() -> None:
    data = contract_of(charge, "money.charge/1", {"resource": "stripe/{customer}", "purpose": "order"})
    made = parse_contract(data)
    assert (made.name, made.version, made.effect_class) == ("charge", 1, "money.charge/1")
    roles = {name: (argument.role, argument.schema["type"]) for name, argument in made.arguments.items()}
    assert roles == {
        "customer": ("identity", "token"),
        "order": ("identity", "token"),
        "amount": ("content", "integer"),
        "dry": ("content", "boolean"),
    }
    assert made.arguments["dry"].default == [False]
    assert made.arguments["amount"].default is None


def test_annotations_that_are_text_are_read_as_well() -> None:
    def tool(customer: "str", amount: "int") -> None: ...

    tool.__annotations__.update(customer="str", amount="int")
    made = parse_contract(contract_of(tool, "a/1", {"resource": "x/{customer}"}))
    assert made.arguments["amount"].schema["type"] == "integer"


@pytest.mark.parametrize("annotation", [float, list, dict, None, "float"], ids=repr)
def test_an_annotation_that_says_no_schema_is_refused(annotation: object) -> None:
    def tool(customer: str, other: Any) -> None: ...

    tool.__annotations__["other"] = annotation
    with pytest.raises(ContractInvalidError, match="argument other"):
        contract_of(tool, "a/1", {"resource": "x/{customer}"})


# --- registration


def test_a_contract_is_registered_once_with_the_admin_key_beside_the_log_and_a_warning(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    size = sum(1 for _ in log.entries())
    with caplog.at_level(logging.WARNING, logger="invoke_log"):
        first = register(log, contract(), renew=False)
        second = register(log, contract(), renew=False)
    assert first == second == log.governance.contracts[first.id]
    assert [entry.event.kind for entry in log.entries(size)] == ["contract"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'charge'" in caplog.text


def test_without_the_admin_key_only_what_is_registered_may_be_used(log: Log) -> None:
    register(log, contract(), renew=False)
    (log.path / "keys" / "admin.key").unlink()
    assert register(log, contract(), renew=False).version == 1
    with pytest.raises(ContractInvalidError, match="not registered") as caught:
        register(log, contract(version=2), renew=False)
    assert "contract add" in str(caught.value.hint)


def test_a_changed_decorator_takes_the_next_version_and_an_unchanged_one_none(log: Log) -> None:
    assert register(log, contract(), renew=True).version == 1
    assert register(log, contract(claim_ttl_ms=1), renew=True).version == 2
    assert register(log, contract(claim_ttl_ms=1), renew=True).version == 2
    assert register(log, contract(), renew=True).version == 3


def test_a_contract_file_of_an_older_version_is_refused_as_the_log_refuses_it(log: Log) -> None:
    register(log, contract(version=2), renew=False)
    with pytest.raises(ContractInvalidError, match="want more than 2"):
        register(log, contract(version=1), renew=False)
    with pytest.raises(ContractInvalidError, match="another key rule"):
        register(log, contract(name="other", resource="elsewhere/{customer}"), renew=False)


def test_whoever_registers_at_the_same_time_finds_the_other_ones_contract(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, other = log.draft, [contract(name="other")]

    def overtaken(*args: Any, **named: Any) -> Any:
        envelope = draft(*args, **named)
        if other:
            register(log, other.pop(), renew=False)
        return envelope

    monkeypatch.setattr(log, "draft", overtaken)
    assert register(log, contract(), renew=False).name == "charge"
    assert {each.name for each in log.governance.contracts.values()} == {"charge", "other"}


# --- functions that take what they will be given


def good(customer: str, order: str, amount: int) -> str:
    return "done"


def wrapped(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function, assigned=())
    def wrapper(*args: Any, **named: Any) -> str:
        return function(*args, **named)

    return wrapper


class Caller:
    """A tool that is an object."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, *, invoke: Call, **named: Any) -> str:
        self.calls.append(invoke)
        return "done"


def test_tools_of_every_make_run_and_get_their_call_where_they_ask_for_it(log: Log) -> None:
    caller = Caller()
    makes: list[Callable[..., str]] = [
        wrapped(good),
        functools.partial(good),
        lambda **named: "done",
        caller,
        wrapped(caller),
    ]
    for order, make in enumerate(makes):
        guard = Guard(log)
        tool = guard._add(make, contract(send_deadline_ms=600_000), {"read_back": lambda call: []}, {})
        ending = guard.call(tool.contract.name, {"customer": "cus_1", "order": str(order), "amount": 1})
        assert isinstance(ending, Committed)
        assert ending.value == "done"
    assert [call.resource for call in caller.calls] == ["stripe/customer/cus_1"] * 2


@pytest.mark.parametrize(
    "function",
    [
        lambda customer, order: None,
        lambda customer, order, amount, colour: None,
        lambda customer, order, price: None,
        lambda customer, order, amount, /: None,
        lambda: None,
    ],
    ids=range(5),
)
def test_a_tool_that_does_not_take_its_contracts_arguments_is_refused_before_any_call(
    function: Callable[..., object],
) -> None:
    with pytest.raises(ConfigInvalidError, match="a call has exactly"):
        make_tool(function, contract(), None, None)


VOLATILE: dict[str, Value] = {"role": "volatile", "schema": {"type": "integer", "min": 1, "max": 99999}}
PRIVATE: dict[str, Value] = {"role": "content", "schema": {"type": "integer", "min": 1, "max": 99999}, "private": True}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level": "anchored"}, "anchored"),
        ({"level": "witnessed"}, "witnessed"),
        ({"minimum_grade": "E4"}, "E4"),
        ({"minimum_grade": "E2"}, "E2"),
        ({"arguments": {**cast("dict[str, Value]", PARTIAL["arguments"]), "amount": PRIVATE}}, "amount"),
        ({"arguments": {**cast("dict[str, Value]", PARTIAL["arguments"]), "invoke": VOLATILE}}, "invoke"),
    ],
    ids=["anchored", "witnessed", "grade", "grade of several", "private", "the call's own name"],
)
def test_a_contract_that_no_guard_keeps_is_refused_before_any_call(changes: dict[str, Value], words: str) -> None:
    with pytest.raises(ContractInvalidError, match=words) as caught:
        make_tool(good, contract(**changes), None, None)
    assert caught.value.hint


def test_a_grade_that_can_be_reached_is_kept() -> None:
    listing: dict[str, Value] = {"operation": "list", "tag": "x", "complete": True, "lag_ms": 0}
    several: dict[str, Value] = {"observability": "queryable", "read_back": listing, "reconcilers": 2}
    check_kept(contract(minimum_grade="E2", **several))
    check_kept(contract(minimum_grade="E1"))


def nothing() -> dict[str, int]:
    return {}


def test_a_profile_and_a_function_that_reads_it_come_together_and_fit() -> None:
    profile: Value = {"type": "record", "nullable": False, "fields": {}}
    seeing = contract(profile=profile)
    assert make_tool(good, seeing, lambda order: {}, None).arguments == ("order",)
    assert make_tool(good, seeing, nothing, None).arguments == ()
    with pytest.raises(ConfigInvalidError, match="come together"):
        make_tool(good, seeing, None, None)
    with pytest.raises(ConfigInvalidError, match="come together"):
        make_tool(good, contract(), nothing, None)
    with pytest.raises(ConfigInvalidError, match="colour"):
        make_tool(good, seeing, lambda colour: {}, None)
    with pytest.raises(ConfigInvalidError, match="no signature"):
        make_tool(good, seeing, dict, None)  # what nobody can ask for its parameters


def test_a_map_nested_without_end_is_refused_and_is_no_bug_of_ours() -> None:
    raw = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    with pytest.raises(ContractInvalidError):
        read_map(raw, ".json", "contract deep.json")


def test_two_tools_of_one_name_are_two_and_the_second_is_refused(tmp_path: Path) -> None:
    """It would put the other's contract out of force, and be asked about what the other sent."""
    log = il.Log.create(tmp_path / "log", origin="example.com/shop")
    guard, ran = il.Guard(log), list[str]()

    def one(effect_class: str, **fields: Any) -> Callable[..., Any]:
        @guard.tool(effect_class, resource="inbox/{to}", purpose="order", **fields)
        def send(to: str, order: str) -> None:
            ran.append(effect_class)

        return send

    mail = one("mail.send/1")
    with pytest.raises(ContractInvalidError, match=r"'send' is one for mail.send/1"):
        one("sms.send/1")
    one("sms.send/1", name="text")
    mail("ann", "1")
    assert ran == ["mail.send/1"]
    log.close()


def test_a_decorated_function_runs_itself_whatever_was_given_its_name_since(tmp_path: Path) -> None:
    log = il.Log.create(tmp_path / "log", origin="example.com/shop")
    guard = il.Guard(log)

    def one(words: str) -> Callable[..., Any]:
        @guard.tool("mail.send/1", resource="inbox/{to}", purpose="order")
        def send(to: str, order: str) -> str:
            return words

        return send

    first, second = one("first"), one("second")
    assert (first("ann", "1"), second("ann", "2")) == ("first", "second")
    log.close()
