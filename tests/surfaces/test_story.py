"""What an event says is said in words, whatever its kind, and nobody's text says more than it is."""

from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from invoke_log.format.digest import EventId, format_id
from invoke_log.rules.event import KINDS, Event, kind_of
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import (
    EVIDENCE_KINDS,
    Approval,
    Attestation,
    Data,
    Denial,
    Evidence,
    Freeze,
    Genesis,
    Grant,
    Handle,
    Note,
    Oath,
    Observation,
    Outcome,
    Recovery,
    Redrive,
    Refusal,
    Release,
    Resolution,
    Revoke,
    Scope,
    Suspect,
    Tick,
    Unfreeze,
    Withdraw,
)
from invoke_log.rules.policy import ALLOW_COVERED, parse_policy
from invoke_log.surfaces import story
from tests.harness import worked_log

ID, KEY, OTHER = b"\x11" * 32, b"\x22" * 32, b"\x33" * 32
CONTRACT: Final = worked_log.CONTRACT
BOUND: Final = bind(CONTRACT, worked_log.ARGUMENTS)
NAMES: Final = {KEY: "ops", CONTRACT.id: CONTRACT.name, ID: "agent of bot"}
SCOPE: Final = Scope(effect_class="money.charge/1", prefix="stripe:acct_1/")
SEEN: Final = Evidence(kind="tag_seen", reference="pi_1", observations=(ID, OTHER))
DECLINED: Final = Evidence(kind="definite_failure", failure="no")
INTENT: Final = worked_log.an_intent(CONTRACT, BOUND)
START: Final = worked_log.a_start(ID, BOUND)

SAID: Final[list[tuple[Data, str]]] = [
    (Genesis(format=1, origin="example.com/a", log_key=KEY, admin_keys=(KEY,)), "the log example.com/a begins"),
    (Grant(subject="bot", key=OTHER, role="agent", scope=EVERYTHING), "grants bot the role agent"),
    (
        Grant(subject="bot", key=OTHER, role="agent", scope=SCOPE),
        "grants bot the role agent over money.charge/1:stripe:acct_1/",
    ),
    (Revoke(key=KEY, grant=None, suspect_from=7), "all grants of ops end; suspect from leaf 7 on"),
    (Revoke(key=None, grant=ID, suspect_from=None), "the grant agent of bot ends"),
    (CONTRACT, f"contract {CONTRACT.name} version 1 is in force, for {CONTRACT.effect_class}"),
    (Withdraw(contract_id=CONTRACT.id, reason="old"), f'contract {CONTRACT.name} is withdrawn: "old"'),
    (parse_policy(ALLOW_COVERED), 'policy "allow-what-a-contract-covers" is in force'),
    (Freeze(scope=SCOPE, reason="two of them"), 'frozen over money.charge/1:stripe:acct_1/: "two of them"'),
    (Unfreeze(scope=EVERYTHING, reason=""), "no longer frozen everywhere"),
    (
        Recovery(old_origin="a", origin="b", size=4, root=ID, checkpoint=None, log_key=KEY, amnesia=True),
        "a goes on as b from 4 leaves, what came after them is lost",
    ),
    (Oath(scope=EVERYTHING, recovery=ID, reason="read only"), 'what was lost touched nothing at all: "read only"'),
    (Tick(time_ms=1_790_000_000_000, covers=0, map=None), "it is 2026-09-21T14:13:20.000Z"),
    (
        replace(INTENT, purpose="789", again=ID),
        f'decides once more, {CONTRACT.name} for "789"; allowed by "covered"',
    ),
    (
        replace(INTENT, purpose="", after=ID, verdict=replace(INTENT.verdict, answer="ask", approvals=2, rule=None)),
        f"decides anew after it did not happen, {CONTRACT.name}; 2 approvals wanted",
    ),
    (Approval(intent=ID, shown=ID), "approved"),
    (Denial(intent=ID, shown=ID, reason="no"), 'denied: "no"'),
    (Release(intent=ID, reason="drift"), 'the claim is given back: "drift"'),
    (START, "about to send"),
    (replace(START, approvals=(ID, OTHER)), "about to send, on 2 approvals"),
    (
        Outcome(start=ID, nonce=None, status="not_committed", evidence=DECLINED, result=None),
        "not_committed: the provider answered that it did not do it (no)",
    ),
    (Suspect(start=ID), "unknown: no outcome came before the send deadline"),
    (
        Redrive(start=ID, nonce_hash=ID, provider_key=ID),
        "about to send the same request again, under the provider's key",
    ),
    (
        Resolution(presence="present", contract_id=ID, generation=1, evidence=SEEN),
        'present: our tag was seen ("pi_1") with 2 observations',
    ),
    (
        Attestation(status="committed", reason="in the\n\"books\"", attachment=None),
        'committed, a person\'s word: "in the\\n\\"books\\""',
    ),
    (Note(about=ID, text="x" * 500), f'notes "{"x" * 120}…"'),
    (
        Observation(about=ID, presence="absent", evidence=Evidence(kind="absence")),
        "absent: a complete read without our tag",
    ),
    (
        Observation(about=ID, presence="unclear", evidence=Evidence(kind="void")),
        "about to ask the provider to give it up for good",
    ),
    (Handle(about=ID, handle="tx 1"), 'the provider knows it as "tx 1"'),
    (
        Refusal(issuer=OTHER, effect=ID, resource="r", blocker=None, reason="denied", count=1, first_ms=1, last_ms=1),
        f"1 call of {format_id('key', OTHER)} sent nothing: denied",
    ),
    (
        Refusal(issuer=KEY, effect=ID, resource="r", blocker=ID, reason="blocked", count=3, first_ms=1, last_ms=1),
        f"3 calls of ops sent nothing: blocked by {format_id('evt', ID)}",
    ),
]  # fmt: skip


def event(data: Data) -> Event:
    return Event(
        id=EventId(ID), kind=kind_of(data), log=ID, by=KEY, at_ms=0, prev=None, effect=None, resource=None, state=None,
        data=data,
    )  # fmt: skip


def test_each_kind_of_event_says_what_it_says_in_words() -> None:
    assert [story.phrase_of(event(data), NAMES) for data, _ in SAID] == [words for _, words in SAID]
    assert {kind_of(data) for data, _ in SAID} == KINDS


def test_each_kind_of_evidence_has_words() -> None:
    assert set(story.EVIDENCE) == set(EVIDENCE_KINDS)


@given(st.text())
def test_no_text_breaks_out_of_its_quotes(text: str) -> None:
    said = story.phrase_of(event(Note(about=ID, text=text)), NAMES).removeprefix("notes ")
    assert said[0] == said[-1] == '"'
    assert '"' not in said[1:-1].replace("\\\\", "").replace('\\"', "")


def test_a_key_is_called_as_its_last_grant_says_and_two_of_one_name_are_told_apart() -> None:
    genesis = Genesis(format=1, origin="a", log_key=CONTRACT.id, admin_keys=(KEY,))
    one, two = (Grant(subject="bot", key=key, role="agent", scope=EVERYTHING) for key in (KEY, OTHER))
    revoke = Revoke(key=OTHER, grant=None, suspect_from=None)
    names = named(genesis, replace(one, subject="ops"), two, revoke)
    assert (names[CONTRACT.id], names[KEY], names[OTHER]) == ("log", "ops", "bot")
    names = named(genesis, one, two)
    assert (names[KEY], names[OTHER]) == ("bot+22222222", "bot+33333333")


def named(*governing: Data) -> story.Names:
    return story.names_of(event(data) for data in governing)
