"""The pages of docs/reference, written from the code: `python docs/generate.py`; --check says which are not current.

cli.md      every verb, from its own help
errors.md   every code, from the exception classes and the table of exit codes
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import click

from invoke_log import errors
from invoke_log.guard import outcome
from invoke_log.rules.answer import NAMES
from invoke_log.surfaces import outcomes
from invoke_log.surfaces.cli.main import cli
from invoke_log.surfaces.cli.session import SHARED

HERE: Final = Path(__file__).parent / "reference"
FROM: Final = "Written by `docs/generate.py`; edit the code instead.\n"
VERDICTS: Final = ("allow", "deny", "ask")


def cli_page() -> str:
    """Return docs/reference/cli.md."""
    context = click.Context(cli, info_name="invoke-log")
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in outcomes.MEANINGS.items())
    head = f"# Command line\n\n{FROM}\n{_text(cli)}\n| exit code | |\n|---|---|\n{codes}\n"
    shared = "Every verb takes these, before its name or after it:\n\n" + _options(list(SHARED), context)
    return head + shared + "".join(_verbs(cli, context))


def errors_page() -> str:
    """Return docs/reference/errors.md."""
    exceptions = [*_exceptions(errors), *_exceptions(outcome)]
    rows = "".join(
        f"| `{kind.code}` | {outcomes.EXIT_CODES[kind.code]} | `{kind.__name__}` | {_first_line(kind)} |\n"
        for kind in exceptions
    )
    words = "".join(f"| {word} | {outcomes.EXIT_CODES[word]} |\n" for word in (*NAMES.values(), *VERDICTS))
    return (
        f"# Answers and errors\n\n{FROM}\n"
        "An append answers with one of eight words, a policy with one of three. They are values, not errors.\n\n"
        f"| word | exit code |\n|---|---|\n{words}\n"
        "An exception means: the caller broke a rule, the bytes lie, or the outside is down. Its code is stable.\n\n"
        f"| code | exit code | class | |\n|---|---|---|---|\n{rows}\n"
        "Why an event is not admitted, and what replay finds, has codes of its own: SPEC.md, section 11.\n"
    )


PAGES: Final[dict[str, Callable[[], str]]] = {"cli.md": cli_page, "errors.md": errors_page}


def main(arguments: list[str]) -> int:
    """Write every page, or with --check name those that are not current. Return 1 where one is not."""
    stale = 0
    for name, page in PAGES.items():
        path, text = HERE / name, page()
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path} is not current: run python docs/generate.py\n")
            stale = 1
    return stale


def _verbs(group: click.Group, context: click.Context) -> Iterator[str]:
    again = {
        verb for inner in group.commands.values() if isinstance(inner, click.Group) for verb in inner.commands.values()
    }
    for name in group.list_commands(context):
        command = group.commands[name]
        if command in again:
            continue  # a verb with a shorter name too, which its help says
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _verbs(command, inner)
        else:
            pieces = " ".join(piece for piece in command.collect_usage_pieces(inner) if piece != "[OPTIONS]")
            usage = f"{inner.command_path} {pieces}".rstrip()
            own = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
            yield f"\n## `{usage}`\n\n{_text(command)}{chr(10) if own else ''}{_options(own, inner)}"


def _text(command: click.Command) -> str:
    """The help of a command; what it keeps as it is written is an example."""
    text = inspect.cleandoc(command.help or "")
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            example = paragraph.removeprefix("\b\n").removeprefix("Example: ")
            parts.append(f"```console\n$ {example}\n```\n")
        else:
            parts.append(paragraph + "\n")
    return "\n".join(parts)


def _options(options: list[click.Option], context: click.Context) -> str:
    if not options:
        return ""
    rows = []
    for option in options:
        record = option.get_help_record(context)
        assert record is not None, "no option is hidden"
        names, words = (text.replace("|", "\\|") for text in record)
        rows.append(f"| `{names}` | {words} |\n")
    return "| option | |\n|---|---|\n" + "".join(rows)


def _exceptions(module: ModuleType) -> list[type[errors.InvokeLogError]]:
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, errors.InvokeLogError) and kind.__module__ == module.__name__
    ]
    return list(dict.fromkeys(kinds))


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
