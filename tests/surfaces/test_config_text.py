"""Edits of a configuration file touch a server's command and arguments alone, and taking them back is exact."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.config_text import ConfigText, changed, parse_config, put_before, take_back

GATEWAY = ("/opt/in voke/invoke-log", "gateway", "--log", '/srv/pay"ments\\é')
JSON = ("mcpServers", "shop")
TOML = ("mcp_servers", "shop")

WITH_COMMENTS = """\ufeff// who runs what, "command": "no"\r
{\r
  "mcpServers": { /* { */\r
    "other": {"command": "x"},\r
    "shop": {\r
      // the "command" below\r
      "command": "C:\\\\bin\\u002fshop.exe", // why\r
      "args": [\r
        // the first\r
        "-y", "b", // "--"\r
      ],\r
      "env": {"KEY": "// no comment"},\r
    },\r
  },\r
}\r
"""
CODEX = """\
model = "o"
notes = '''
[mcp_servers.shop.elsewhere]
'''

[mcp_servers.shop]
command = "npx" # which one
args = [
  "-y", # yes
  'b',
]
startup_timeout_sec = 20

[mcp_servers.shop.env]
command = "not this one"
"""


def put_text(config: ConfigText, keys: tuple[str, ...], gateway: Sequence[str] = GATEWAY) -> str:
    return changed(config, [put_before(config, keys, gateway)])


def back_text(config: ConfigText, keys: tuple[str, ...]) -> str:
    return changed(config, [take_back(config, keys)])


@pytest.mark.parametrize(
    ("text", "toml", "line"),
    [
        ('{"mcpServers":{"shop":{"command":"npx","args":["-y","b"]}}}', False, '"--", "npx", "-y","b"]'),
        ('{"mcpServers":{"shop":{"args":["a"],"command":"npx"}}}', False, '"--", "npx", "a"]'),
        ('{"mcpServers":{"shop":{"command":"npx","args":[ /* none */ ]}}}', False, '"--", "npx" /* none */ ]'),
        ('{"mcpServers": {"shop": {"type": "stdio", "command": "npx"}}}', False, '"--", "npx"], "command": '),
        ('{\n "mcpServers": {\n  "shop": {\n   "command": "npx"\n  }\n }\n}\n', False, '"--", "npx"],\n   "command": '),
        (WITH_COMMENTS, False, '"--", "C:\\\\bin\\u002fshop.exe",\r\n        "-y", "b", // "--"\r\n'),
        (CODEX, True, '"--", "npx",\n  "-y", # yes\n'),
        (CODEX.replace("\n", "\r\n"), True, '"--", "npx",\r\n  "-y", # yes\r\n'),
        ("[mcp_servers.shop]\r\ncommand = 'npx'\r\n", True, "\"--\", 'npx']\r\ncommand = "),
        ("[mcp_servers.'shop']\n  command = 'npx'\n  cwd = '.'\n", True, "\"--\", 'npx']\n  command = "),
        ('[mcp_servers.shop]\nargs = ["a"]\ncommand = "npx"', True, '"--", "npx", "a"]\n'),
    ],
)
def test_what_is_put_before_a_command_leaves_the_rest_and_is_taken_back_exactly(
    text: str, toml: bool, line: str
) -> None:
    parse = partial(parse_config, toml=toml)
    keys = TOML if toml else JSON
    put = put_text(parse(text), keys)
    assert line in put
    before, after = (parse(each).value for each in (text, put))
    was, entry = before[keys[0]].pop("shop"), after[keys[0]].pop("shop")
    assert after == before
    args = [*GATEWAY[1:], "--", was.pop("command"), *was.pop("args", [])]
    assert entry == {"command": GATEWAY[0], "args": args, **was}
    assert back_text(parse(put), keys) == text


@st.composite
def configs(draw: st.DrawFn) -> str:
    """A file with a server among others, laid out in some way, with comments at the ends of lines in some."""
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    entry = [("command", draw(words)), ("env", draw(st.dictionaries(words, words, max_size=2))), ("type", "stdio")]
    args = draw(st.none() | st.lists(words, max_size=3))
    entry += [("args", args)] if args is not None else []
    server = dict(draw(st.permutations(entry)))
    config = {"mcpServers": {"a": {"url": "x"}, "shop": server, "z": {}}, "other": [1, None, True, -2.5e3]}
    indent = draw(st.sampled_from((None, 0, 2, "\t")))
    text = json.dumps(config, indent=indent, ensure_ascii=draw(st.booleans()))
    if indent is not None and draw(st.booleans()):
        text = text.replace("\n", draw(st.sampled_from((' // "args": [\n', " /* , */\r\n"))))
    return text


@settings(max_examples=50)
@given(configs(), st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=3))
def test_every_layout_is_taken_back_exactly(text: str, gateway: list[str]) -> None:
    gateway = [word.replace("--", "-") for word in gateway]
    put = put_text(parse_config(text, toml=False), JSON, gateway)
    back = back_text(parse_config(put, toml=False), JSON)
    if back != text:
        # An empty list of arguments right before the command is all that reads as if there had been none.
        server = parse_config(text, toml=False).value["mcpServers"]["shop"]
        assert server["args"] == []
        assert list(server).index("command") == list(server).index("args") + 1
        was = parse_config(back, toml=False).value
        assert was["mcpServers"]["shop"] | {"args": []} == server


def test_what_was_changed_since_is_taken_back_changed() -> None:
    put = put_text(parse_config(CODEX, toml=True), TOML).replace("'b'", "'c'").replace("npx", "uvx")
    assert back_text(parse_config(put, toml=True), TOML) == CODEX.replace("'b'", "'c'").replace("npx", "uvx")


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = { shop = { command = "npx" } }\n',
        '[mcp_servers]\nshop = { command = "npx" }\n',
        '[mcp_servers]\nshop.command = "npx"\n',
        '[mcp_servers.shop]\ncommand = """npx"""\n',
        'notes = """\n[mcp_servers.shop]\ncommand = "no"\n"""\n[mcp_servers.shop]\ncommand = "npx"\n',
        '[mcp_servers.shop]\ncommand = "npx"\nargs = [\n  """-y""",\n]\n',
        '[mcp_servers.shop]\n"command" = "npx"\n',
    ],
)
def test_a_form_that_no_edit_knows_is_refused(text: str) -> None:
    assert tomllib.loads(text)["mcp_servers"]["shop"]["command"] == "npx"
    with pytest.raises(ConfigInvalidError, match="can't be edited in place"):
        put_text(parse_config(text, toml=True), TOML)


@pytest.mark.parametrize(
    "args",
    [
        '"args" = ["--", "npx"]',
        'args = ["""--""", "npx"]',
        "args = [\"--\", \"npx\"]\nnotes = '''\nargs = [\"--\"]\n'''",
    ],
)
def test_a_form_that_no_edit_knows_is_not_taken_back(args: str) -> None:
    config = parse_config(f'[mcp_servers.shop]\ncommand = "g"\n{args}\n', toml=True)
    assert config.value["mcp_servers"]["shop"]["args"] == ["--", "npx"]
    with pytest.raises(ConfigInvalidError, match="can't be edited in place"):
        back_text(config, TOML)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a": 1} x',
        '{"a": 1 "b": 2}',
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        "{1: 2}",
        '{"a" 1}',
        "{,}",
        '{"a": [1 2]}',
        '{"a": /* 1}',
        '{"a": "\n"}',
    ],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"line|NaN"):
        parse_config(text, toml=False)


def test_an_edit_that_would_change_anything_else_is_refused() -> None:
    config = parse_config('{"mcpServers": {"shop": {"args": ["x", "--", "npx"], "command": "g"}}}', toml=False)
    assert json.loads(back_text(config, JSON)) == {"mcpServers": {"shop": {"command": "npx"}}}
    elsewhere: dict[str, Any] = {**config.value, "more": 1}
    with pytest.raises(ConfigInvalidError, match="can't be edited in place"):
        back_text(replace(config, value=elsewhere), JSON)
