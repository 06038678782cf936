"""The person behind a client of the gateway, asked by elicitation in both protocol eras; what landed is counted in the
ledger of a real server behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import (
    INVALID_REQUEST,
    CallToolResult,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    InputResponses,
)

import invoke_log as il
from invoke_log.format import digest
from invoke_log.log.signer import load_key
from invoke_log.rules.event import Event
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import Approval, Denial, Grant, Note, Start
from invoke_log.rules.policy import complete_policy, parse_policy
from invoke_log.surfaces.cli.main import main
from tests.harness.mcp_shop import ERAS, Ask, Call, connected, contract, fields_of, order, told
from tests.surfaces.mcp_server.test_gateway import Bank, make_bank, pay, text_of

REFUND_TTL_MS = 800
"""How long a question about a refund stands."""
POLICY: dict[str, Any] = {
    "name": "ask",
    "source": {
        "rules": [
            {
                "name": f"{then}-{count}",
                "then": then,
                "approvals": count,
                "when": [{"field": ["arguments", "amount"], "test": "at_most", "value": amount}],
            }
            for then, count, amount in (("allow", 0, 100), ("ask", 1, 10_000), ("ask", 2, 100_000))
        ]
    },
}
YES = ElicitResult(action="accept", content={"approve": True})
NO = ElicitResult(action="accept", content={"approve": False, "reason": "not this\ncustomer e\u0301"})
DECLINE = ElicitResult(action="decline")
CANCEL = ElicitResult(action="cancel", content={"approve": True})
EMPTY = ElicitResult(action="accept", content={"approve": "yes"})
Answer = ElicitResult | ErrorData


@dataclass(slots=True)
class Person:
    """Answers what the client asks, and remembers what was shown."""

    answer: Answer | Callable[[], Awaitable[Answer]] = field(default_factory=lambda: YES)
    shown: list[str] = field(default_factory=list)

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> Answer:
        self.shown.append(params.message)
        return self.answer if isinstance(self.answer, Answer) else await self.answer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A gateway with an approver's key, and the stock client and the person in front of it."""

    bank: Bank
    ask: Ask
    person: Person

    def says(self, answer: Any, *calls: Call) -> list[CallToolResult]:
        self.person.answer = answer
        return told(self.ask, *calls)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    place = tmp_path_factory.mktemp("bank")
    bank = make_bank(place)
    key = key_of(place / "approver.key")
    refund = contract(
        name="refund",
        effect_class="money.refund/1",
        claim_ttl_ms=REFUND_TTL_MS,
        definite_failures=["input_required"],
    )
    with il.Log.open(bank.log) as log:
        admin = load_key(bank.log / "keys" / "admin.key")
        grant = Grant(subject="at the client", key=key.public_key, role="approver", scope=EVERYTHING)
        for data in (grant, refund, parse_policy(complete_policy(POLICY))):
            log.append(log.draft(data, admin))
    return bank


def key_of(path: Path) -> il.Signer:
    assert main(["key", "new", str(path)]) == 0
    return load_key(path)


def behind(bank: Bank, era: str) -> Iterator[Behind]:
    person = Person()
    with connected(bank.behind(*asking(bank)), era=era, person=person) as ask:
        yield Behind(bank=bank, ask=ask, person=person)


def asking(bank: Bank) -> tuple[str, ...]:
    return "--approver", str(bank.log.parent / "approver.key"), "--default", "ask"


@pytest.fixture(scope="module")
def modern(bank: Bank) -> Iterator[Behind]:
    yield from behind(bank, ERAS[0])


@pytest.fixture(scope="module")
def legacy(bank: Bank) -> Iterator[Behind]:
    yield from behind(bank, "legacy")


@pytest.fixture(params=ERAS)
def each(request: pytest.FixtureRequest) -> Behind:
    found: Behind = request.getfixturevalue("modern" if request.param == ERAS[0] else "legacy")
    return found


@pytest.fixture(scope="module")
def anew(bank: Bank) -> Iterator[Behind]:
    """The gateway of another process over the same log, as after a restart."""
    yield from behind(bank, ERAS[0])


def name_of(behind: Behind, name: str) -> str:
    return f"ok-{name}-{behind.ask(lambda each: asyncio.sleep(0, each.protocol_version))}"


def events(bank: Bank, name: str) -> list[Event]:
    """The events of one order, in leaf order."""
    with il.Log.open(bank.log, read_only=True) as log:
        found = [entry.event for entry in log.entries()]
    effects = {event.effect for event in found if getattr(event.data, "purpose", None) == name}
    return [event for event in found if event.effect in effects]


def kinds(bank: Bank, name: str) -> list[str]:
    return [event.kind for event in events(bank, name)]


def notes(bank: Bank) -> list[str]:
    with il.Log.open(bank.log, read_only=True) as log:
        return [entry.event.data.text for entry in log.entries() if isinstance(entry.event.data, Note)]


def sent(client: Behind, call: Call, answer: ElicitResult | None = None, state: str | None = None) -> Any:
    """The result of one request of the protocol, which no loop of the client follows."""
    responses: InputResponses | None = {"person": answer} if answer is not None else None

    async def request(each: Client) -> Any:
        return await each.session.call_tool(
            *call, input_responses=responses, request_state=state, allow_input_required=True
        )

    return client.ask(request)


def state_of(client: Behind, call: Call) -> str:
    asked = sent(client, call)
    assert isinstance(asked, InputRequiredResult)
    assert asked.request_state is not None
    return asked.request_state


def test_a_yes_is_an_approval_of_what_was_shown_and_the_call_goes_on(bank: Bank, each: Behind) -> None:
    name = name_of(each, "yes")
    [paid] = each.says(YES, pay(name, 5_000))
    assert text_of(paid) == f"paid 5000 for {name}"
    assert kinds(bank, name) == ["intent", "approval", "start", "outcome"]
    intent, approval, start, _ = events(bank, name)
    assert isinstance(approval.data, Approval)
    assert isinstance(start.data, Start)
    assert approval.by == load_key(bank.log.parent / "approver.key").public_key != intent.by
    assert (approval.data.intent, start.data.approvals) == (intent.id, (approval.id,))
    assert approval.data.shown == digest.attachment_digest(each.person.shown[-1].encode())
    assert f'purpose: "{name}"' in each.person.shown[-1]
    assert bank.landed(name) == 1


@pytest.mark.parametrize(("answer", "reason"), [(NO, "not this\ncustomer \u00e9"), (DECLINE, "said by the person")])
def test_a_no_is_a_denial_and_nothing_is_sent(bank: Bank, each: Behind, answer: ElicitResult, reason: str) -> None:
    name = name_of(each, f"no-{len(reason)}")
    denied, paid = each.says(answer, pay(name, 5_000)) + each.says(YES, pay(name, 5_000))
    assert fields_of(denied)["code"] == "denied"
    assert kinds(bank, name) == ["intent", "denial", "intent", "approval", "start", "outcome"]
    denial = events(bank, name)[1]
    assert isinstance(denial.data, Denial)
    assert denial.data.reason.startswith(reason)
    assert fields_of(denied)["by"] == digest.format_id("evt", denial.id)
    assert text_of(paid) == f"paid 5000 for {name}", "deciding again is another intent, with a question of its own"
    assert bank.landed(name) == 1


def test_a_no_in_words_that_the_log_cannot_hold_is_a_denial(bank: Bank, modern: Behind) -> None:
    answer = ElicitResult(action="accept", content={"approve": False, "reason": "\U0010ffff" * 1_000})
    [denied] = modern.says(answer, pay("ok-odd", 5_000))
    assert (fields_of(denied)["code"], kinds(bank, "ok-odd")) == ("denied", ["intent", "denial"])


@pytest.mark.parametrize("answer", [CANCEL, EMPTY], ids=["cancel", "empty"])
def test_no_answer_leaves_the_call_to_whoever_approves(bank: Bank, each: Behind, answer: ElicitResult) -> None:
    name = name_of(each, f"none-{answer.action}")
    [pending] = each.says(answer, pay(name, 5_000))
    assert fields_of(pending)["code"] == "approval-pending"
    assert kinds(bank, name) == ["intent"]
    assert main(["approve", fields_of(pending)["by"], "--log", str(bank.log)]) == 0
    shown = len(each.person.shown)
    [paid] = each.says(CANCEL, pay(name, 5_000))
    assert text_of(paid) == f"paid 5000 for {name}"
    assert (len(each.person.shown), bank.landed(name)) == (shown, 1)


def test_a_client_that_refuses_to_ask_leaves_it_pending(bank: Bank, legacy: Behind) -> None:
    refused = ErrorData(code=INVALID_REQUEST, message="not now")
    [pending] = legacy.says(refused, pay("ok-refuses", 5_000))
    assert fields_of(pending)["code"] == "approval-pending"
    assert kinds(bank, "ok-refuses") == ["intent"]


@pytest.mark.parametrize("era", ERAS)
def test_a_client_that_cannot_ask_is_told_what_to_do(bank: Bank, modern: Behind, era: str) -> None:
    name = f"ok-unable-{era}"
    with connected(bank.behind(*asking(bank)), era=era) as ask:
        pending, refused = told(ask, pay(name, 5_000), ("tip", order(name, 1)))
    assert (fields_of(pending)["code"], kinds(bank, name)) == ("approval-pending", ["intent"])
    assert "approve" in text_of(pending)
    assert fields_of(refused)["code"] == "config-invalid"
    assert "cannot ask" in text_of(refused)
    assert "contract add" in text_of(refused)
    assert bank.landed(name) == 0


def test_a_state_is_for_one_call_of_one_gateway(bank: Bank, modern: Behind, anew: Behind) -> None:
    call = pay("ok-state", 5_000)
    state = state_of(modern, call)
    altered = state[:40] + ("A" if state[40] != "A" else "B") + state[41:]
    refused = [
        sent(modern, call, YES, altered),
        sent(modern, call, YES, "v1."),
        sent(modern, call, YES, "\u00e9"),
        sent(modern, pay("ok-state", 6_000), YES, state),
        sent(modern, pay("ok-state-b", 5_000), YES, state),
        sent(modern, ("refund", call[1]), YES, state),
        sent(modern, ("tip", call[1]), YES, state),
        sent(anew, call, YES, state),
    ]
    for each in refused:
        assert fields_of(each)["code"] == "message-invalid"
        assert "nothing was approved or sent" in text_of(each)
        assert "make the call again" in text_of(each)
    assert kinds(bank, "ok-state") == ["intent"]
    assert kinds(bank, "ok-state-b") == []
    assert (bank.landed("ok-state"), bank.landed("ok-state-b")) == (0, 0)
    assert text_of(sent(modern, call, YES, state)) == "paid 5000 for ok-state", "all of that has not used it up"


def test_a_gateway_that_was_started_anew_asks_again(bank: Bank, modern: Behind, anew: Behind) -> None:
    call = pay("ok-anew", 5_000)
    state = state_of(modern, call)
    [paid] = anew.says(YES, call)
    assert text_of(paid) == "paid 5000 for ok-anew"
    late = sent(modern, call, YES, state)
    assert text_of(late) == "paid 5000 for ok-anew"
    assert kinds(bank, "ok-anew") == ["intent", "approval", "start", "outcome"]
    assert bank.landed("ok-anew") == 1


def test_a_call_without_an_answer_is_asked_again_and_an_edited_one_about_itself(bank: Bank, modern: Behind) -> None:
    call = pay("ok-again", 5_000)
    again = sent(modern, call, None, state_of(modern, call))
    assert isinstance(again, InputRequiredResult)
    assert kinds(bank, "ok-again") == ["intent"]
    other, edited = modern.says(CANCEL, pay("ok-again", 6_000), pay("ok-edited", 5_000))
    assert fields_of(other)["status"] == "conflict"
    assert fields_of(edited)["code"] == "approval-pending"
    assert 'purpose: "ok-edited"' in modern.person.shown[-1]
    assert (bank.landed("ok-again"), bank.landed("ok-edited")) == (0, 0)


def test_an_answer_counts_once(bank: Bank, modern: Behind) -> None:
    call = pay("ok-once", 5_000)
    state = state_of(modern, call)
    first, again = sent(modern, call, YES, state), sent(modern, call, YES, state)
    assert (first.meta["invoke-log/fresh"], again.meta["invoke-log/fresh"]) == (True, False)
    assert text_of(first) == text_of(again) == "paid 5000 for ok-once"
    assert text_of(sent(modern, call, NO, state)) == text_of(first), "nor does another one under the same state"
    assert kinds(bank, "ok-once") == ["intent", "approval", "start", "outcome"]
    assert bank.landed("ok-once") == 1


@pytest.mark.parametrize(("answer", "left"), [(NO, ["intent", "denial"]), (CANCEL, ["intent"])], ids=["no", "cancel"])
def test_what_was_not_a_yes_does_not_become_one(
    bank: Bank, modern: Behind, answer: ElicitResult, left: list[str]
) -> None:
    call = pay(f"ok-{len(left)}-not", 5_000)
    state = state_of(modern, call)
    sent(modern, call, answer, state)
    replayed = sent(modern, call, YES, state)
    assert fields_of(replayed)["code"] == "message-invalid"
    assert kinds(bank, call[1]["order"]) == left
    assert bank.landed(call[1]["order"]) == 0


def test_an_answer_is_for_one_intent(bank: Bank, modern: Behind) -> None:
    call = pay("ok-intent", 5_000)
    state = state_of(modern, call)
    [intent] = events(bank, "ok-intent")
    deny = ["deny", digest.format_id("evt", intent.id), "--reason", "no", "--log", str(bank.log)]
    assert main(deny) == 0
    latest = state_of(modern, call)
    assert fields_of(sent(modern, call, YES, state))["code"] == "message-invalid"
    assert kinds(bank, "ok-intent") == ["intent", "denial", "intent"]
    assert text_of(sent(modern, call, YES, latest)) == "paid 5000 for ok-intent"


def test_a_question_that_nobody_answers_in_time_is_void(bank: Bank, modern: Behind, legacy: Behind) -> None:
    async def late() -> Answer:
        await asyncio.sleep(1.5 * REFUND_TTL_MS / 1000)
        return YES

    [pending] = legacy.says(late, ("refund", order("ok-late-legacy", 5_000)))
    assert fields_of(pending)["code"] == "approval-pending"
    modern.person.answer = late
    [void] = told(modern.ask, ("refund", order("ok-late", 5_000)))
    assert fields_of(void)["code"] == "message-invalid"
    assert "too old" in text_of(void)
    for name in ("ok-late", "ok-late-legacy"):
        assert kinds(bank, name) == ["intent"]
        assert bank.landed(name) == 0
    [refunded] = modern.says(YES, ("refund", order("ok-late", 5_000)))
    assert text_of(refunded) == "refunded 5000 for ok-late"


def test_two_clients_that_say_yes_at_once_send_once(bank: Bank, modern: Behind, legacy: Behind) -> None:
    call, both = pay("slow-both", 5_000), 0
    modern.says(CANCEL, call)  # the intent is there: of two that decide at once, one is asked

    async def together() -> Answer:
        nonlocal both
        both += 1
        while both < 2:
            await asyncio.sleep(0.005)
        return YES

    with ThreadPoolExecutor(2) as pool:
        results = [result for [result] in pool.map(lambda each: each.says(together, call), (modern, legacy))]
    assert bank.landed("slow-both") == 1
    assert kinds(bank, "slow-both").count("start") == 1
    assert any(not result.is_error for result in results)
    codes = {fields_of(result)["code"] for result in results if result.is_error}
    assert codes <= {"blocked", "message-invalid"}


def test_two_answers_to_one_gateway_at_once_are_one_approval(bank: Bank, modern: Behind) -> None:
    call = pay("slow-two", 5_000)
    states = [state_of(modern, call), state_of(modern, call)]

    async def answer(each: Client) -> list[Any]:
        yes = (
            each.session.call_tool(
                *call, input_responses={"person": YES}, request_state=state, allow_input_required=True
            )
            for state in states
        )
        return list(await asyncio.gather(*yes))

    results = modern.ask(answer)
    assert sum(not result.is_error for result in results) == 1
    assert kinds(bank, "slow-two") == ["intent", "approval", "start", "outcome"]
    assert bank.landed("slow-two") == 1


def test_where_two_have_to_approve_one_person_is_not_enough(bank: Bank, each: Behind) -> None:
    name = name_of(each, "two")
    call, before = pay(name, 50_000), len(each.person.shown)
    pending, again = each.says(YES, call, call)
    assert [fields_of(one)["code"] for one in (pending, again)] == ["approval-pending"] * 2
    assert (kinds(bank, name), len(each.person.shown)) == (["intent", "approval"], before + 1), "nor is it asked twice"
    assert main(["approve", fields_of(again)["by"], "--log", str(bank.log)]) == 0
    [paid] = each.says(CANCEL, call)
    assert text_of(paid) == f"paid 50000 for {name}"
    start = events(bank, name)[3]
    assert isinstance(start.data, Start)
    assert len(start.data.approvals) == 2


@pytest.mark.parametrize(
    ("name", "roles", "said"),
    [
        ("agent", (), "the gateway's own"),
        ("admin", (), "granted admin, approver, attestor, repeat"),
        ("stranger", (), "has no grant"),
        ("reader", ("reconciler",), "granted reconciler"),
    ],
)
def test_who_approves_does_nothing_else(
    bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, roles: tuple[str, ...], said: str
) -> None:
    file = bank.log / "keys" / f"{name}.key"
    if not file.exists():
        file = tmp_path / f"{name}.key"
        key = key_of(file)
        with il.Log.open(bank.log) as log:
            admin = load_key(bank.log / "keys" / "admin.key")
            for role in roles:
                log.append(log.draft(Grant(subject=name, key=key.public_key, role=role, scope=EVERYTHING), admin))
    assert main(["gateway", "--log", str(bank.log), "--approver", str(file), "--", "no-such-command"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "approve" in err


def test_an_approver_that_is_revoked_meanwhile_approves_nothing(bank: Bank, modern: Behind) -> None:
    key = load_key(bank.log.parent / "approver.key").public_key
    name, log = digest.format_id("key", key), ("--log", str(bank.log))

    async def revoked() -> Answer:
        assert await asyncio.to_thread(main, ["revoke", name, *log]) == 0
        return YES

    async def approved_and_revoked() -> Answer:
        [intent] = events(bank, "ok-approved")
        assert await asyncio.to_thread(main, ["approve", digest.format_id("evt", intent.id), *log]) == 0
        await revoked()
        return NO

    before = len(modern.person.shown)
    results = modern.says(revoked, pay("ok-revoked", 5_000), pay("ok-revoked", 5_000))
    assert [fields_of(result)["code"] for result in results] == ["approval-pending"] * 2
    assert (len(modern.person.shown), kinds(bank, "ok-revoked")) == (before + 1, ["intent"])
    assert main(["grant", name, "--role", "approver", *log]) == 0
    [stopped] = modern.says(approved_and_revoked, pay("ok-approved", 5_000))
    assert fields_of(stopped)["code"] == "store-unavailable", "a no is heard by this call, though it is on no log"
    assert kinds(bank, "ok-approved") == ["intent", "approval"]
    assert main(["grant", name, "--role", "approver", *log]) == 0
    [paid] = modern.says(YES, pay("ok-revoked", 5_000))
    assert text_of(paid) == "paid 5000 for ok-revoked"


def test_a_tool_without_a_contract_is_called_after_each_yes(bank: Bank, each: Behind) -> None:
    name = name_of(each, "tip")
    call, before = ("tip", order(name, 7)), len(notes(bank))
    results = each.says(YES, call, call) + each.says(NO, call) + each.says(CANCEL, call)
    assert [text_of(result) for result in results[:2]] == [f"tipped 7 for {name}"] * 2
    assert [fields_of(result)["code"] for result in results[2:]] == ["denied", "approval-pending"]
    assert each.person.shown[-1].splitlines()[1:] == [
        'tool: "tip"',
        "has no contract: nothing will stop it from happening twice",
        "arguments (text in quotes was written by the agent or its sources, and is not to be trusted):",
        '  "account": "acct_1"',
        '  "amount": 7',
        f'  "order": "{name}"',
    ]
    assert len(notes(bank)) == before + 2
    assert "said yes: tip, arguments" in notes(bank)[-1]
    assert bank.landed(name) == 2


def test_a_yes_to_a_tool_without_a_contract_is_for_one_call(bank: Bank, modern: Behind) -> None:
    call = ("tip", order("ok-tip-once", 7))
    state = state_of(modern, call)
    assert isinstance(sent(modern, call, None, state), InputRequiredResult)
    refused = [sent(modern, ("tip", order("ok-tip-once", 8)), YES, state)]
    assert text_of(sent(modern, call, YES, state)) == "tipped 7 for ok-tip-once"
    before = notes(bank)
    refused += [sent(modern, call, YES, state), sent(modern, call, YES, state + "A")]
    assert {fields_of(each)["code"] for each in refused} == {"message-invalid"}
    assert (notes(bank), bank.landed("ok-tip-once")) == (before, 1)


def test_a_tool_that_asks_for_more_may_have_acted_unless_its_contract_says_otherwise(
    bank: Bank, modern: Behind
) -> None:
    refunds = [("refund", order(name, 50)) for name in ("asks-2", "typed-input_required", "typed-task")]
    results = told(modern.ask, pay("asks-1", 50), pay("asks-1", 50), *refunds)
    assert [fields_of(each)["code"] for each in results] == [
        "outcome-unknown",
        "blocked",
        "not-committed",
        "not-committed",
        "outcome-unknown",
    ]
    assert (bank.landed("asks-1"), bank.landed("asks-2")) == (1, 0)


def test_the_log_replays(bank: Bank) -> None:
    report = il.replay(bank.log)
    assert report.ok
    assert [finding.code for finding in report.findings] == ["not-covered"]
