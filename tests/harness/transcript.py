"""Transcripts: a text file of commands and of all that they answer, played in one directory, on a clock that it moves.

    $ invoke-log key new a.key          a command; `> FILE` at its end keeps its stdout; PROPS below are the others
    < {"kind": …}                       a line of its stdin
    key_<hex:a>                         a line of its stdout
    ! hint: …                           a line of its stderr
    = 4                                 its exit code, where it is not 0
    # words                             for readers

What differs from run to run stands as `<kind:name>`: the first time it is matched and remembered, from then on it is
the same text, in commands and their stdin too. `<kind>` alone is matched and forgotten; `<...>` is anything.
"""

import io
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from invoke_log.format import cbor
from invoke_log.ledger import log as ledger_log
from invoke_log.surfaces.cli.main import main
from tests.harness.forge import take_apart

T0: Final = 1_790_000_000_000
FILES: Final = Path(__file__).parents[1] / "surfaces" / "cli" / "files"
KINDS: Final = {
    "hex": r"[0-9a-f]{64}",
    "vkey": r"\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}",
    "base64": r"[A-Za-z0-9+/=]+",
    "...": r".*",
}
PLACE: Final = re.compile(r"<(hex|vkey|base64|\.\.\.)(?::([a-z0-9-]+))?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command and what it has to answer."""

    line: int
    command: str
    stdin: str
    stdout: list[str]
    stderr: list[str]
    exit_code: int


def steps_of(text: str) -> Iterator[Step]:
    """Yield the commands of a transcript. Raises ValueError: a line that belongs to none."""
    lines = [(at, line) for at, line in enumerate(text.split("\n"), 1) if line and not line.startswith("#")]
    starts = [at for at, (_, line) in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError("a transcript begins with a command")
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        said = [line if line != "<" else "< " for _, line in lines[start + 1 : stop]]
        codes = [int(line[2:]) for line in said if line.startswith("= ")]
        yield Step(
            line=lines[start][0],
            command=lines[start][1][2:],
            stdin="".join(f"{line[2:]}\n" for line in said if line.startswith("< ")),
            stdout=[line for line in said if not line.startswith(("< ", "! ", "= "))],
            stderr=[line[2:] for line in said if line.startswith("! ")],
            exit_code=codes[0] if codes else 0,
        )


@dataclass(slots=True)
class Player:
    """Plays steps where the process stands, and remembers what placeholders stood for."""

    monkeypatch: pytest.MonkeyPatch
    now_ms: int = T0
    names: dict[str, str] = field(default_factory=dict)

    def play(self, step: Step) -> None:
        """Run one command. Raises AssertionError: it answered something else."""
        name, *arguments = shlex.split(self.said(step.command))
        if name != "invoke-log":
            PROPS[name](self, *arguments)
            return
        target = arguments[-1] if arguments[-2:-1] == [">"] else None
        code, stdout, stderr = self.run(arguments[:-2] if target else arguments, self.said(step.stdin))
        if target is not None:
            Path(target).write_text(stdout)
            stdout = ""
        found = f"line {step.line}: {step.command}\n{stdout}{stderr}exit code {code}"
        self.match(step.stdout, stdout, found)
        self.match(step.stderr, stderr, found)
        assert code == step.exit_code, found

    def run(self, arguments: list[str], stdin: str = "") -> tuple[int, str, str]:
        """Return exit code, stdout and stderr of `invoke-log` with these arguments."""
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            out_bytes, err_bytes = io.BytesIO(), io.BytesIO()
            patch.setattr(sys, "stdout", io.TextIOWrapper(out_bytes, encoding="utf-8", write_through=True))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err_bytes, encoding="utf-8", write_through=True))
            patch.setattr(ledger_log, "_now_ms", lambda: self.now_ms)
            code = main(arguments)
            return code, out_bytes.getvalue().decode(), err_bytes.getvalue().decode()

    def said(self, text: str) -> str:
        """Return text with its names replaced by what they stand for. Raises KeyError: one that was never matched."""
        return PLACE.sub(lambda place: self.names[place[2]], text)

    def match(self, wanted: list[str], text: str, found: str) -> None:
        """Match the lines of a transcript with what was printed, and remember its names."""
        lines = text.removesuffix("\n").split("\n") if text else []
        assert len(lines) == len(wanted), found
        for pattern, line in zip(wanted, lines, strict=True):
            fresh: list[str] = []
            match = re.fullmatch(self._pattern(pattern, fresh), line)
            assert match is not None, f"{found}\nwanted {pattern!r}\nfound  {line!r}"
            self.names |= {name: match[at] for at, name in enumerate(fresh, 1)}

    def _pattern(self, wanted: str, fresh: list[str]) -> str:
        """Return the regular expression of a line; the names that it captures, in order, go to `fresh`."""
        parts, at = [], 0
        for place in PLACE.finditer(wanted):
            parts.append(re.escape(wanted[at : place.start()]))
            kind, name = place[1], place[2]
            if name is not None and name in self.names:
                parts.append(re.escape(self.names[name]))
            elif name is not None and name not in fresh:
                fresh.append(name)
                parts.append(f"({KINDS[kind]})")
            else:
                parts.append(f"(?:{KINDS[kind]})")
            at = place.end()
        return "".join([*parts, re.escape(wanted[at:])])


@contextmanager
def stage(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Player]:
    """Yield a player in an empty directory, without any setting of this machine's."""
    monkeypatch.chdir(directory)
    for name in ("INVOKE_LOG", "INVOKE_LOG_KEY", "INVOKE_LOG_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    yield Player(monkeypatch)


def _flip(player: Player, file: str, leaf: str) -> None:
    """Flip one bit of the signature at a leaf of a bundle."""
    path = Path(file)
    parts = take_apart(path.read_bytes())
    body, signature = parts.leaves[int(leaf)]
    path.write_bytes(parts.with_leaf(int(leaf), (body, bytes([signature[0] ^ 1]) + signature[1:])).join())


def _cut(player: Player, file: str, count: str) -> None:
    """Cut bytes off a file's end."""
    path = Path(file)
    path.write_bytes(path.read_bytes()[: -int(count)])


def _wait(player: Player, seconds: str) -> None:
    player.now_ms += int(seconds) * 1000


def _write(player: Player, file: str, *lines: str) -> None:
    Path(file).write_text("".join(f"{line}\n" for line in lines))


def _absent(player: Player, *patterns: str) -> None:
    """Assert that no file matches."""
    found = [str(path) for pattern in patterns for path in Path().glob(pattern)]
    assert found == []


def _il1(player: Player, source: str, target: str) -> None:
    """Write the IL1 bytes of a JSON file."""
    Path(target).write_bytes(cbor.encode(json.loads(Path(source).read_text())))


def _remove(player: Player, *names: str) -> None:
    for name in names:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()


def _copy(player: Player, source: str, target: str) -> None:
    (shutil.copytree if Path(source).is_dir() else shutil.copy)(source, target)


PROPS: Final[dict[str, Callable[..., None]]] = {
    "flip": _flip,
    "cut": _cut,
    "wait": _wait,
    "write": _write,
    "absent": _absent,
    "cp": _copy,
    "take": lambda player, name: _copy(player, str(FILES / name), name),
    "rm": _remove,
    "il1": _il1,
    "chmod": lambda player, mode, file: Path(file).chmod(int(mode, 8)),
    "set": lambda player, name, value: player.monkeypatch.setenv(name, value),
    "unset": lambda player, name: player.monkeypatch.delenv(name),
}
"""Commands of a transcript beside `invoke-log`."""
