"""The pages of docs/reference are what the code says now."""

from pathlib import Path

import click
import pytest

from docs import generate
from invoke_log.surfaces.cli.main import cli


@pytest.mark.parametrize("name", generate.PAGES)
def test_the_page_is_current(name: str) -> None:
    assert (generate.HERE / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run python docs/generate.py"


def test_the_check_sees_a_page_that_is_missing_or_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "cli.md").write_text("old")
    assert generate.main(["--check"]) == 1


def verbs(group: click.Group) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        inner = verbs(command) if isinstance(command, click.Group) else {}
        if not isinstance(command, click.Group) or command.invoke_without_command:
            inner[""] = command
        found |= {f"{name} {more}".rstrip(): verb for more, verb in inner.items()}
    return found


def test_every_verb_that_takes_something_shows_an_example_of_itself() -> None:
    for name, command in verbs(cli).items():
        text = command.help or ""
        assert not command.params or f"invoke-log {name}" in text or f"invoke-log contract {name}" in text, name


def test_every_promised_verb_is_there_and_no_other() -> None:
    promised = """
        init, key new, key lock, key show, grant, revoke, contract add, contract list, contract show, contract ready,
        contract withdraw, contract freeze, contract unfreeze, freeze, unfreeze, policy set, policy show,
        policy simulate, policy backtest, append, approvals, approve, deny, list, show, status, tail,
        reconcile, attest, checkpoint, export, verify, replay, receipt make, receipt verify,
        snapshot diff, recover, mcp, gateway, gateway draft, gateway install, gateway uninstall, doctor, demo
    """
    assert sorted(verbs(cli)) == sorted(name.strip() for name in " ".join(promised.split()).split(","))
