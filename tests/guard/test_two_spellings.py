"""Two agents, two keys, two spellings of one world: one effect key and one snapshot id, or an error; no second key.

The agents race: B looks at the log, and while it reads its world, A decides and charges, and its answer is lost. B's
decision then rests on the same predecessor as A's, so that it is a COLLISION exactly if request and snapshot are the
same bytes, and else BLOCKED.
"""

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import invoke_log as il
from invoke_log.errors import ArgumentInvalidError, SnapshotInvalidError
from invoke_log.guard.outcome import Ending
from invoke_log.log.home import key_path
from invoke_log.log.signer import write_key_file
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import Grant

NFC, NFD = "Zoë", unicodedata.normalize("NFD", "Zoë")
MOMENT = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
MOMENT_S = int(MOMENT.timestamp())
EAST = timezone(timedelta(hours=1))
WORLD: dict[str, Any] = {
    "total": "10.00",
    "buyer": NFC,
    "placed_at": MOMENT,
    "updated_at": MOMENT,
    "items": ["kettle", "tea"],
    "note": None,
    "pieces": 1,
    "SKU": "T-1",
}
PROFILE = {
    "type": "record",
    "fields": {
        "total": {"type": "decimal", "scale": 2},
        "buyer": {"type": "text", "max": 100},
        "placed_at": {"type": "time", "unit": "s", "grain": 60},
        "updated_at": {"type": "time", "unit": "ms", "grain": 1},
        "items": {"type": "set", "of": {"type": "token", "max": 64}, "max": 10},
        "note": {"type": "text", "max": 100, "nullable": True},
        "pieces": {"type": "integer", "min": 0, "max": 99},
        "SKU": {"type": "token", "max": 64},
    },
}
ARGUMENTS: dict[str, Any] = {"customer": "cus_1", "amount": 1000, "order": "789", "memo": NFC}


class Agents:
    """Agents A and B over one log, each with its own key and its own way to see the world; `sent` counts charges."""

    def __init__(self, path: Path) -> None:
        self.log = il.Log.create(path / "log", origin="example.com/payments")
        admin = key_path(self.log.path, "admin")
        assert admin is not None
        key_b = write_key_file(path / "b.key", bytes(range(32)))
        for role in ("agent", "executor"):
            grant = Grant(subject="b", key=key_b.public_key, role=role, scope=EVERYTHING)
            assert isinstance(self.log.append(self.log.draft(grant, il.load_key(admin))), Accepted)
        self.sent: list[str] = []
        self.see: dict[str, Callable[[], object]] = {}
        self.guards = {"a": il.Guard(self.log), "b": il.Guard(self.log, key=key_b)}
        for name, guard in self.guards.items():
            self.give_tool(guard, name)

    def give_tool(self, guard: il.Guard, name: str) -> None:
        @guard.tool(
            "money.charge/1",
            resource="stripe/customer/{customer}",
            purpose="order",
            profile=PROFILE,
            snapshot=lambda: self.see[name](),
        )
        def charge(
            customer: str, amount: int, order: str, memo: str, currency: str = "usd", *, invoke: il.Call
        ) -> None:
            self.sent.append(invoke.effect_key)
            raise TimeoutError

    def call(self, name: str, sees: object, arguments: dict[str, Any]) -> Ending:
        self.see[name] = lambda: sees
        return self.guards[name].call("charge", arguments)

    def race(self, *, a: dict[str, Any], b: dict[str, Any], arguments_b: dict[str, Any] = ARGUMENTS) -> il.Blocked:
        """Return how B's call is blocked, where A decides and charges while B reads its world."""
        endings: list[Ending] = []

        def seen_by_b() -> object:
            if not endings:
                endings.append(self.call("a", a, ARGUMENTS))
            return b

        self.see["b"] = seen_by_b
        ending = self.guards["b"].call("charge", arguments_b)
        assert isinstance(endings[0], il.OutcomeUnknown)
        assert isinstance(ending, il.Blocked)
        assert self.sent == [endings[0].effect_key] == [ending.effect_key]
        return ending

    def snapshots(self) -> int:
        return sum(1 for _ in (self.log.path / "attachments").iterdir())


@pytest.fixture
def agents(tmp_path: Path) -> Agents:
    return Agents(tmp_path)


SAME = {
    "key order": dict(reversed(WORLD.items())),
    "10.0": {**WORLD, "total": Decimal("10.0")},
    "10.0 as text": {**WORLD, "total": "10.0"},
    "1E+1": {**WORLD, "total": Decimal("1E+1")},
    "10": {**WORLD, "total": 10},
    "NFD": {**WORLD, "buyer": NFD},
    "another time zone": {**WORLD, "placed_at": MOMENT.astimezone(EAST), "updated_at": MOMENT.astimezone(EAST)},
    "seconds and milliseconds as integers": {**WORLD, "placed_at": MOMENT_S, "updated_at": MOMENT_S * 1000},
    "a time below the grain": {**WORLD, "placed_at": MOMENT + timedelta(seconds=59, microseconds=999_999)},
    "a set in another order": {**WORLD, "items": ["tea", "kettle"]},
    "a set as a set": {**WORLD, "items": frozenset({"tea", "kettle"})},
}
OTHER = {
    "a cent more": {**WORLD, "total": "10.01"},
    "a minute later": {**WORLD, "placed_at": MOMENT + timedelta(minutes=1)},
    "a millisecond later": {**WORLD, "updated_at": MOMENT + timedelta(milliseconds=1)},
    "one item less": {**WORLD, "items": ["tea"]},
    "an empty note": {**WORLD, "note": ""},
    "another letter": {**WORLD, "buyer": "Zoe"},
}
REFUSED = {
    "a float": {**WORLD, "total": 10.0},
    "a float that is not a number": {**WORLD, "total": Decimal("NaN")},
    "a float for an integer": {**WORLD, "pieces": 1.0},
    "a truth value for an integer": {**WORLD, "pieces": True},
    "text for an integer": {**WORLD, "pieces": "1"},
    "a float for a time": {**WORLD, "placed_at": MOMENT.timestamp()},
    "text for a time": {**WORLD, "placed_at": MOMENT.isoformat()},
    "milliseconds for seconds": {**WORLD, "placed_at": MOMENT_S * 1000},
    "seconds for milliseconds": {**WORLD, "updated_at": MOMENT_S},
    "no time zone": {**WORLD, "placed_at": MOMENT.replace(tzinfo=None)},
    "a field too many": {**WORLD, "read_at": MOMENT},
    "a field missing": {name: value for name, value in WORLD.items() if name != "pieces"},
    "null where it is not declared": {**WORLD, "pieces": None},
    "nothing where null is declared": {name: value for name, value in WORLD.items() if name != "note"},
    "two names with one normal form": {**WORLD, "S\N{KELVIN SIGN}U": "T-2"},
    "digits below the scale": {**WORLD, "total": "10.001"},
    "a decimal comma": {**WORLD, "total": "10,00"},
    "an item twice": {**WORLD, "items": ["tea", "kettle", "tea"]},
    "a code point that nobody has assigned": {**WORLD, "buyer": "Zo\U000e0fff"},
}
REFUSED_ARGUMENTS = {
    "a float": {**ARGUMENTS, "amount": 1000.0},
    "text for an integer": {**ARGUMENTS, "amount": "1000"},
    "a truth value for an integer": {**ARGUMENTS, "amount": True},
    "a decimal": {**ARGUMENTS, "amount": Decimal(1000)},
    "an integer for text": {**ARGUMENTS, "order": 789},
    "a space": {**ARGUMENTS, "order": " 789"},
    "digits of another script": {**ARGUMENTS, "order": "٧٨٩"},
    "NFD": {**ARGUMENTS, "memo": NFD},
    "null": {**ARGUMENTS, "memo": None},
    "one too many": {**ARGUMENTS, "call_id": "call_2"},
    "one missing": {name: value for name, value in ARGUMENTS.items() if name != "memo"},
}


@pytest.mark.parametrize("spelling", SAME)
def test_two_spellings_of_one_world_are_one_decision(spelling: str, agents: Agents) -> None:
    assert agents.race(a=WORLD, b=SAME[spelling]).status == "collision"
    assert agents.snapshots() == 1


@pytest.mark.parametrize("world", OTHER)
def test_another_world_is_another_decision_and_no_second_charge(world: str, agents: Agents) -> None:
    assert agents.race(a=WORLD, b=OTHER[world]).status == "blocked"
    assert agents.snapshots() == 2


@pytest.mark.parametrize("spelling", REFUSED)
def test_a_spelling_that_cannot_be_folded_is_an_error_and_no_second_key(spelling: str, agents: Agents) -> None:
    with pytest.raises(SnapshotInvalidError):
        agents.race(a=WORLD, b=REFUSED[spelling])
    assert (len(agents.sent), agents.snapshots(), len(list(agents.log.effects()))) == (1, 1, 1)


@pytest.mark.parametrize(
    "arguments",
    [dict(reversed(ARGUMENTS.items())), {**ARGUMENTS, "currency": "usd"}],
    ids=["order", "a default that is said"],
)
def test_two_spellings_of_one_call_are_one_decision(arguments: dict[str, Any], agents: Agents) -> None:
    assert agents.race(a=WORLD, b=WORLD, arguments_b=arguments).status == "collision"


@pytest.mark.parametrize("spelling", REFUSED_ARGUMENTS)
def test_arguments_are_sent_as_they_are_or_not_at_all(spelling: str, agents: Agents) -> None:
    with pytest.raises(ArgumentInvalidError):
        agents.call("b", WORLD, REFUSED_ARGUMENTS[spelling])
    assert (agents.sent, list(agents.log.effects())) == ([], [])
