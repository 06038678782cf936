"""Both views of a value: what programs rely on, and what a terminal is never made to obey."""

import json
import string

from hypothesis import given
from hypothesis import strategies as st

from invoke_log.audit.report import Finding, Report
from invoke_log.format.digest import EventId
from invoke_log.rules.admission import Stale
from invoke_log.rules.governance import Refused
from invoke_log.surfaces import render
from invoke_log.surfaces.render import View


@given(st.text())
def test_nothing_that_others_wrote_reaches_a_terminal_as_a_control(text: str) -> None:
    assert render.shown(text).isprintable()


def test_plain_text_is_shown_as_it_is() -> None:
    for text in (string.printable[:95], "Zürich 東京"):
        assert render.shown(text) == text


def test_a_colour_and_a_line_break_are_shown_escaped() -> None:
    assert render.shown("\x1b[31mok\n\u202e") == "\\x1b[31mok\\n\\u202e"


def test_an_object_begins_with_its_version_and_is_one_line_of_ascii() -> None:
    text = View(fields={"name": "é\n"}, text="").json
    assert text.startswith('{"v": 1, "name"')
    assert text.isascii()
    assert "\n" not in text


def test_bytes_stand_as_hex_wherever_they_are() -> None:
    assert render.json_of({"a": [b"\x00\xff", {"b": b""}], "c": None}) == {
        "a": [{"$bytes": "00ff"}, {"b": {"$bytes": ""}}],
        "c": None,
    }


def test_an_answer_has_the_promised_fields_whatever_it_is() -> None:
    for answer in (Refused(code="frozen", reason="a freeze"), Stale(code="state-stale", head=None, reason="moved")):
        fields = json.loads(render.answer_view(answer, EventId(bytes(32))).json)
        assert list(fields)[:6] == ["v", "answer", "id", "index", "of", "reason"]


def test_a_time_past_the_calendar_stays_a_number() -> None:
    assert render.time_of(0) == "1970-01-01T00:00:00.000Z"
    assert render.time_of(1_790_000_000_042) == "2026-09-21T14:13:20.042Z"
    assert render.time_of(2**53 - 1) == f"{2**53 - 1}ms"


def test_a_report_with_an_error_says_so_first_and_claims_no_trust() -> None:
    finding = Finding(code="cut", index=None, message="ends \x1b[2J early")
    report = Report(
        trusted_size=0,
        origin=None,
        size=0,
        root=None,
        state_root=None,
        covered=None,
        cosignatures=0,
        findings=(finding,),
    )
    lines = render.report_view(report, effects=True).text.split("\n")
    assert lines[0] == "does not verify: no log"
    assert lines[-2:] == ["trust       none", "error: cut: ends \\x1b[2J early"]
