"""`reconcile` as people run it: what is left for a person, what a sweep finds, and any number of watchers at once."""

import importlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from invoke_log.audit.replay import replay
from invoke_log.format import digest
from invoke_log.guard.guard import Guard
from invoke_log.guard.outcome import OutcomeUnknown
from invoke_log.ledger.log import Log
from invoke_log.log.signer import load_key
from invoke_log.rules.effect import OPEN
from invoke_log.rules.intent import bind
from invoke_log.rules.kind import UNKNOWN, Resolution
from invoke_log.surfaces.cli.main import main
from tests.harness.live import Clock, Live

SOURCE = Path(__file__).parents[3] / "src"
FILES = Path(__file__).parent / "files"
COMMAND = (sys.executable, "-m", "invoke_log", "reconcile")
TIMEOUT_S = 60.0
EFFECTS = 6
LANDED = 3


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a log and programs in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("INVOKE_LOG", "payments")
    for name in ("charge.toml", "shop.py", "mail.py"):
        shutil.copy(FILES / name, tmp_path)
    assert main(["init", "payments", "--origin", "example.com/payments"]) == 0
    return tmp_path


@dataclass(frozen=True)
class Ran:
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def reconcile(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`invoke-log reconcile` with these arguments, with programs that are imported anew each time."""

    def run(*arguments: str) -> Ran:
        assert place.is_dir()
        sys.modules.pop("mail", None)
        capsys.readouterr()
        code = main(["reconcile", *arguments])
        return Ran(code, *capsys.readouterr())

    return run


def call(tool: str, **arguments: str) -> None:
    """Make a call whose outcome is unknown."""
    sys.modules.pop("mail", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path.cwd())
        guard = importlib.import_module("mail").guard
    with guard.log:
        assert isinstance(guard.call(tool, arguments), OutcomeUnknown)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# --- a person's part


def test_what_nobody_can_observe_stays_unknown_until_a_person_attests(
    place: Path, capsys: pytest.CaptureFixture[str], reconcile: Callable[..., Ran]
) -> None:
    """[EFF-6]: named with who may say; not before D + Q; not by whoever asked or sent; with a reason; for ever."""
    call("send_mail", to="ann", letter="7")
    looked = reconcile("--app", "mail:guard", "--json")
    assert looked.returncode == 7, looked.stderr
    look, summary = lines(looked.stdout)
    [one] = summary["open"]
    effect = one["effect_key"]
    assert (look["probe"], look["status"], summary["summary"]["unknown"]) == (None, UNKNOWN, 1)
    assert (one["next"], one["waits_for"]) == ("attest", "a person to attest: admin")
    time.sleep(0.5)

    agent = ["--key", "payments/keys/agent.key"]
    said = ["attest", effect, "--status", "not_committed", "--reason", "the recipient has nothing"]
    capsys.readouterr()
    assert main([*said[:4], "--reason", ""]) == 4
    assert main([*said, *agent]) == 4
    assert "holds no grant as attestor" in capsys.readouterr().err
    assert main(["key", "show", "payments/keys/agent.key"]) == 0
    assert main(["grant", capsys.readouterr().out.split()[0], "--role", "attestor"]) == 0
    assert main([*said, *agent]) == 4
    assert "self-attested" in capsys.readouterr().err
    assert main(said) == 0
    settled = reconcile("--app", "mail:guard")
    assert (settled.returncode, settled.stdout) == (0, "")
    [of_replay] = replay(place / "payments").effects
    assert (of_replay.status, of_replay.grade) == ("not_committed", "attested")


def test_the_summary_says_in_words_what_is_waited_for_until_when(reconcile: Callable[..., Ran]) -> None:
    call("send_mail", to="ann", letter="7")
    looked = reconcile("--app", "mail:guard")
    *_, head, line = looked.stdout.splitlines()
    assert head == "summary: 1 unknown"
    assert line.startswith("  unknown   mail/ann eff_")
    assert " waits for a person to attest: admin (not before 20" in line


# --- a sweep


def test_a_sweep_lists_what_is_not_ours_and_puts_on_record_what_is(place: Path, reconcile: Callable[..., Ran]) -> None:
    (place / "shelf.txt").write_text(f"box_8\nbox_9={'00' * 32}\n")
    call("send_parcel", to="ann", order="5")
    swept = reconcile("--app", "mail:guard", "--sweep", "--json")
    assert swept.returncode == 0, swept.stderr
    assert [(one["finding"], one["reference"]) for one in lines(swept.stdout)] == [
        ("untagged", "box_8"),
        ("foreign", "box_9"),
        ("found", "box_1"),
    ]
    again = reconcile("--app", "mail:guard", "--sweep")
    assert again.stdout == (
        "untagged  send_parcel box_8 -: no tag: not sent through a log\n"
        f"foreign   send_parcel box_9 {'00' * 32}: another's tag\n"
    )
    with (place / "shelf.txt").open("a") as shelf:
        print((place / "shelf.txt").read_text().splitlines()[2].replace("box_1", "box_2"), file=shelf)
    twice = reconcile("--app", "mail:guard", "--sweep")
    assert twice.stderr.startswith("warning: effect eff_")
    assert twice.stderr.count("\n") == 1
    assert "duplicate: 2 objects under one tag (box_1, box_2); parcel.send/1:parcel/ is frozen now" in twice.stderr
    (place / "shelf.txt").unlink()
    assert reconcile("--app", "mail:guard", "--sweep").returncode == 7


# --- who signs


def test_the_key_that_the_environment_names_brings_the_evidence(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    reconcile: Callable[..., Ran],
) -> None:
    """[PRF-7]: k readers that are configured so are k keys, and not the agent's k times. Neither is the log another."""
    call("send_parcel", to="ann", order="5")
    key = grant_reconciler("ann", capsys)
    monkeypatch.setenv("INVOKE_LOG_KEY", str(key))
    swept = reconcile("--app", "mail:guard", "--sweep")
    assert swept.returncode == 0, swept.stderr
    with Log.open(place / "payments", read_only=True) as log:
        [by] = [entry.event.by for entry in log.entries() if isinstance(entry.event.data, Resolution)]
    assert by == load_key(key).public_key
    monkeypatch.setenv("INVOKE_LOG", "elsewhere")
    other = reconcile("--app", "mail:guard")
    assert (other.returncode, other.stdout) == (2, "")
    assert "log elsewhere is named" in other.stderr


def test_a_key_that_is_named_needs_no_log_that_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, reconcile: Callable[..., Ran]
) -> None:
    assert place.is_dir()
    key = grant_reconciler("ann", capsys)
    monkeypatch.delenv("INVOKE_LOG")
    ran = reconcile("--app", "mail:guard", "--key", str(key))
    assert ran.returncode == 0, ran.stderr


def test_a_program_that_ends_as_it_is_imported_has_reconciled_nothing(
    place: Path, reconcile: Callable[..., Ran]
) -> None:
    (place / "script.py").write_text("raise SystemExit(0)")
    ran = reconcile("--app", "script:guard")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "app script:guard: SystemExit" in ran.stderr


def test_a_look_that_is_interrupted_is_not_done(monkeypatch: pytest.MonkeyPatch, reconcile: Callable[..., Ran]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Guard, "reconciled", interrupted)
    monkeypatch.setattr(Guard, "watch", interrupted)
    assert reconcile("--app", "mail:guard").returncode == 130
    assert reconcile("--app", "mail:guard", "--watch").returncode == 0


# --- watchers


def lost_effects() -> None:
    """Calls of unknown outcome, the first of which landed."""
    key = load_key("payments/keys/agent.key")
    with Log.open("payments") as log:
        live = Live(log, Clock(), key, key, key)
        [live.contract] = log.governance.contracts.values()
        landed = []
        for order in range(EFFECTS):
            bound = bind(live.contract, {"order": str(order), "customer": f"c{order}", "amount": 50})
            live.put(live.begun(bound))
            live.put(live.outcome(UNKNOWN, "", bound))
            landed.append(f"pi_{order}={digest.tag(bound.effect, 1).hex()}\n")
    Path("provider.txt").write_text("".join(landed[:LANDED]))


def grant_reconciler(name: str, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    assert main(["key", "new", f"{name}.key"]) == 0
    public = capsys.readouterr().out.split()[0]
    assert main(["grant", public, "--role", "reconciler", "--subject", name]) == 0
    return Path(f"{name}.key")


@contextmanager
def watcher(key: Path) -> "Iterator[subprocess.Popen[str]]":
    arguments = ["--app", "shop:guard", "--watch", "--every", "0.2", "--json", "--key", str(key)]
    command = [*COMMAND, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(holds: Callable[[Log], bool]) -> None:
    """Wait until something holds of the log."""
    deadline = time.monotonic() + TIMEOUT_S
    with Log.open("payments", read_only=True) as log:
        while not holds(log):
            assert time.monotonic() < deadline, [state.status for state in log.effects()]
            time.sleep(0.05)


def nothing_open(log: Log) -> bool:
    return not any(state.status in OPEN for state in log.effects())


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("wanted", [1, 2], ids=["one is enough", "two of two"])
def test_watchers_settle_everything_once_though_one_is_killed(wanted: int, capsys: pytest.CaptureFixture[str]) -> None:
    """L2, L3, [PRF-7]: each settlement is on record once, whoever brings it, and the dead leave no hole."""
    contract = Path("charge.toml")
    contract.write_text(contract.read_text().replace("[arguments]", f"reconcilers = {wanted}\n[arguments]"))
    assert main(["contract", "add", "charge.toml"]) == 0
    lost_effects()
    keys = [grant_reconciler(name, capsys) for name in ("ann", "bob", "cid")]
    with ExitStack() as stack:
        first, *others = [stack.enter_context(watcher(key)) for key in keys[: wanted + 1]]
        assert first.stdout is not None
        for _ in range(LANDED):
            json.loads(first.stdout.readline())
        first.send_signal(signal.SIGKILL)
        until(nothing_open)
        ended = []
        for other in others:
            other.send_signal(signal.SIGINT)
            ended.append((other.communicate(timeout=TIMEOUT_S)[0], other.returncode))
    assert [code for _, code in ended] == [0] * wanted
    summaries = [lines(said)[-1] for said, _ in ended]
    assert [summary["open"] for summary in summaries] == [[]] * wanted
    with Log.open("payments") as log:
        log.checkpoint()
        settled = [entry.event for entry in log.entries() if isinstance(entry.event.data, Resolution)]
    assert len(settled) == len({event.effect for event in settled}) == EFFECTS
    report = replay("payments")
    assert report.findings == ()
    grades = sorted((effect.status, effect.grade) for effect in report.effects)
    missing = "E2" if wanted > 1 else "E1"
    assert grades == [*[("committed", "E1")] * LANDED, *[("not_committed", missing)] * (EFFECTS - LANDED)]


@pytest.mark.usefixtures("place")
def test_a_watch_asks_no_more_than_its_back_off_allows(capsys: pytest.CaptureFixture[str]) -> None:
    """Its tool cannot prove an absence, so it goes on: 0.2 s, 0.4 s, 0.8 s, 1.6 s; in 4 s it may ask six times."""
    contract = Path("charge.toml")
    contract.write_text(contract.read_text().replace("complete = true", "complete = false"))
    assert main(["contract", "add", "charge.toml"]) == 0
    lost_effects()
    Path("provider.txt").unlink()
    with watcher(grant_reconciler("ann", capsys)) as process:
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        said = lines(process.communicate(timeout=TIMEOUT_S)[0])
    asked = [sum(look.get("effect_key") == one["effect_key"] for look in said) for one in said[-1]["open"]]
    assert len(asked) == EFFECTS
    assert all(1 <= count <= 7 for count in asked), asked
    assert said[-1]["summary"]["unknown"] == EFFECTS
