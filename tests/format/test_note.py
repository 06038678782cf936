"""format/note.py: one note has one spelling, whatever its text says."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke_log.errors import MalformedError
from invoke_log.format.note import (
    NOTE_BYTES_MAX,
    Note,
    NoteSignature,
    format_note,
    format_signature,
    parse_note,
    parse_signature,
)

FIRST = NoteSignature(name="log.example/1", key_id=b"\x01\x02\x03\x04", payload=bytes(64))
SECOND = NoteSignature(name="wítness.example", key_id=b"\xff\xff\xff\xff", payload=b"\x80")
RAW = format_note(Note(text="one\n\ntwo\n", signatures=(FIRST, SECOND)))

SIGNATURES = st.builds(
    NoteSignature,
    name=st.text("abé/.", min_size=1, max_size=20),
    key_id=st.binary(min_size=4, max_size=4),
    payload=st.binary(min_size=1, max_size=80),
)
NOTES = st.builds(
    Note,
    text=st.text("abé/\u2014 \n\x7f\U0001f600").map(lambda text: f"{text}\n"),
    signatures=st.lists(SIGNATURES, min_size=1, max_size=4).map(tuple),
)


def line(encoded: str, name: str = FIRST.name) -> str:
    return f"\u2014 {name} {encoded}\n"


def test_a_note_is_its_text_a_blank_line_and_its_signature_lines() -> None:
    """[NOTE-1], [NOTE-3]"""
    encoded = base64.b64encode(b"\x01\x02\x03\x04" + bytes(64)).decode()
    assert RAW.decode() == f"one\n\ntwo\n\n\u2014 log.example/1 {encoded}\n\u2014 wítness.example /////4A=\n"


def test_the_last_blank_line_ends_the_text() -> None:
    assert parse_note(RAW) == Note(text="one\n\ntwo\n", signatures=(FIRST, SECOND))


@given(NOTES)
def test_what_is_formatted_parses_to_the_same_note(note: Note) -> None:
    assert parse_note(format_note(note)) == note


@given(NOTES, st.data())
def test_an_edited_note_is_refused_or_is_the_one_spelling_of_what_it_says(note: Note, data: st.DataObject) -> None:
    """[NOTE-2]"""
    raw = format_note(note)
    at = data.draw(st.integers(0, len(raw)))
    edited = raw[:at] + data.draw(st.binary(max_size=2)) + raw[at + data.draw(st.integers(0, 2)) :]
    try:
        parsed = parse_note(edited)
    except MalformedError:
        return
    assert format_note(parsed) == edited


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_malformed(raw: bytes) -> None:
    for prefix in (b"", b"text\n\n", "text\n\n\u2014 name ".encode()):
        try:
            assert format_note(parse_note(prefix + raw)) == prefix + raw
        except MalformedError:
            continue


@pytest.mark.parametrize("control", ["\0", "\t", "\r", "\x1f", "\ud800"])
def test_a_text_holds_no_control_but_newline(control: str) -> None:
    with pytest.raises(MalformedError):
        Note(text=f"a{control}b\n", signatures=(FIRST,))


@pytest.mark.parametrize("text", ["", "no newline at the end"])
def test_a_text_ends_with_a_newline(text: str) -> None:
    with pytest.raises(MalformedError):
        Note(text=text, signatures=(FIRST,))


def test_a_note_has_a_signature() -> None:
    with pytest.raises(MalformedError):
        Note(text="text\n", signatures=())
    for raw in (b"text\n\n", b"text\n\n\n", b"text\n", format_signature(FIRST).encode()):
        with pytest.raises(MalformedError):
            parse_note(raw)


@pytest.mark.parametrize("name", ["", "a b", "a\u00a0b", "a+b", "a\nb", "\ud800", "x" * 256])
def test_a_signature_needs_a_key_name(name: str) -> None:
    with pytest.raises(MalformedError):
        NoteSignature(name=name, key_id=bytes(4), payload=b"\x00")


@pytest.mark.parametrize(("key_id", "payload"), [(bytes(3), b"\0"), (bytes(5), b"\0"), (bytes(4), b"")])
def test_a_signature_needs_a_key_id_and_what_follows_it(key_id: bytes, payload: bytes) -> None:
    with pytest.raises(MalformedError):
        NoteSignature(name="name", key_id=key_id, payload=payload)


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "\n",
        line("AQIDBAA=").removesuffix("\n"),
        line("AQIDBAA=") + "\n",
        line("AQIDBAB="),
        line("AQIDBAA"),
        line("AQIDBAA=="),
        line("AQID BAA="),
        line("AQIDBA=="),
        line("AQIDéAA="),
        line("AQIDBAA=", name=""),
        line("AQIDBAA=", name="a b"),
        line("AQIDBAA=").replace("\u2014", "\u2013"),
        line("AQIDBAA=").replace("\u2014", "-"),
        line("AQIDBAA=").replace(" ", "  ", 1),
        f" {line('AQIDBAA=')}",
    ],
)
def test_a_signature_line_has_one_spelling(spelling: str) -> None:
    """[NOTE-3]"""
    assert parse_signature(line("AQIDBAA=")).payload == b"\0"
    with pytest.raises(MalformedError):
        parse_signature(spelling)


def test_a_note_of_65_536_bytes_is_the_longest() -> None:
    fixed = len(format_note(Note(text="\n", signatures=(FIRST,))))
    longest = Note(text="x" * (NOTE_BYTES_MAX - fixed) + "\n", signatures=(FIRST,))
    raw = format_note(longest)
    assert len(raw) == NOTE_BYTES_MAX
    assert parse_note(raw) == longest
    with pytest.raises(MalformedError):
        parse_note(b"x" + raw)
    with pytest.raises(MalformedError):
        format_note(Note(text=f"x{longest.text}", signatures=(FIRST,)))
    with pytest.raises(MalformedError):
        parse_signature(format_signature(NoteSignature(name="name", key_id=bytes(4), payload=bytes(NOTE_BYTES_MAX))))


def test_a_line_is_its_own_spelling() -> None:
    assert parse_signature(format_signature(SECOND)) == SECOND
