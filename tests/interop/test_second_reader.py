"""Two readers that share no code, one in Python and one in JavaScript, say the same of every log.

The corpus is random logs (of calls, of governance, of contracts that are made up), logs with a few changes in their
structure, one log for each broken rule, files that are no bundles, cut and flipped bytes. Node reads all of it in one
process while Python does. SPEC §16. Of a sample they judge receipts too, and of other logs what somebody else holds of
them.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import pytest

from invoke_log.audit.agreement import compare
from invoke_log.audit.receipt import verify_receipt
from invoke_log.audit.replay import replay
from invoke_log.errors import InvokeLogError
from invoke_log.format import digest
from invoke_log.format.keys import parse_verifier_key
from invoke_log.rules.contract import parse_contract
from tests.interop import broken_effects, broken_governance, broken_intents  # noqa: F401  # they fill BROKEN
from tests.interop.agreements import CHARGE, CONTRACTS, NOTIFY, call
from tests.interop.broken_files import FILES, items, whole
from tests.interop.cases import BROKEN, LAST
from tests.interop.log_writer import LogWriter
from tests.interop.mutated_logs import mutated
from tests.interop.random_contracts import invented
from tests.interop.random_governance import governed
from tests.interop.random_logs import RandomLog
from tests.interop.receipts import WAYS, receipt_of
from tests.interop.views import random_views, views

ROOT: Final = Path(__file__).parents[2]
VERIFIER: Final = ROOT / "verifier"
RANDOM_LOGS: Final = 300
RANDOM_STEPS: Final = 32
GOVERNED: Final = 80
INVENTED: Final = 80
MORE_STEPS: Final = 50
CUTS: Final = 60
FLIPS: Final = 160
MUTATED: Final = 150
RECEIPTS: Final = 150
UNREADABLE: Final = ("cut", "malformed")
NOT_IN_A_BUNDLE: Final = frozenset(("empty-log", "not-covered", "partly-covered", "now-stale", "budgets-stale"))
"""Findings about a store, and answers of a live one: a bundle has leaves, and a checkpoint of its own size."""

Report = dict[str, Any]


class File(NamedTuple):
    """What a reader is given: a bundle or a receipt, a verifier key, and what somebody else holds of the log."""

    name: str
    raw: bytes
    trust: str | None = None
    against: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One file and what each reader said of it."""

    file: File
    python: Report
    node: Report

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def codes(self) -> list[tuple[str, int | None]]:
        return [(finding["code"], finding["index"]) for finding in self.python["findings"]]


@cache
def node() -> str:
    """The Node that came with the environment, else the machine's; a test that lacks it skips."""
    found = shutil.which("node", path=os.pathsep.join((str(ROOT / ".venv" / "bin"), os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip("tool missing: node")
    if not (VERIFIER / "node_modules" / "cborg").is_dir():
        pytest.skip("tool missing: the packages of verifier/ (npm ci there)")
    return found


def random_files() -> Iterator[tuple[str, bytes, str | None]]:
    for seed in range(RANDOM_LOGS):
        log = RandomLog(seed).write(RANDOM_STEPS)
        trust = (None, log.trust, LogWriter(origin="example.com/elsewhere").begin(()).trust)[seed % 3]
        yield f"random {seed}", log.bundle(), trust
    for seed in range(GOVERNED):
        log = governed(seed, MORE_STEPS)
        yield f"governed {seed}", log.bundle(), log.trust
    for seed in range(INVENTED):
        log = invented(seed, MORE_STEPS)
        yield f"invented {seed}", log.bundle(), log.trust


def mutated_files() -> Iterator[tuple[str, bytes, str | None]]:
    for seed in range(MUTATED):
        yield (f"mutated {seed}", *mutated(seed))


def broken_files() -> Iterator[tuple[str, bytes, str | None]]:
    trust = whole().trust
    for name, case in BROKEN.items():
        log = LogWriter().begin(CONTRACTS)
        case.write(log)
        yield f"{name} @{log.index - 1 if case.at == LAST else case.at}", log.bundle(), log.trust
    for name, make in FILES.items():
        yield f"file {name}", make(), None if name.startswith("ok") else trust


def damaged_files() -> Iterator[tuple[str, bytes, str | None]]:
    """A true bundle with an attachment, cut anywhere, or with one bit that is another."""
    log = LogWriter().begin((CHARGE, NOTIFY))
    log.intent(NOTIFY, call(NOTIFY, amount=16_500))
    log.attachments.append(bytes(16_500))
    raw, random = log.bundle(), Random(1)
    edges = {end + step for end in _ends(log) for step in (-1, 0, 1)}
    for size in sorted({*edges, *random.sample(range(len(raw)), CUTS)} & set(range(len(raw)))):
        yield f"cut {size}", raw[:size], None
    for _ in range(FLIPS):
        at, bit = random.randrange(len(raw) - 16_000), random.randrange(8)
        yield f"flipped {at}.{bit}", raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :], None


def _ends(log: LogWriter) -> list[int]:
    """Where each item of a log's bundle ends."""
    ends, end = [], 0
    for item in items(log):
        end += len(item)
        ends.append(end)
    return ends


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Read]:
    """What both readers say of every bundle."""
    files = (*random_files(), *mutated_files(), *broken_files(), *damaged_files())
    return both(tmp_path_factory.mktemp("corpus"), (File(*each) for each in files), replayed)


@pytest.fixture(scope="session")
def receipts(corpus: list[Read], tmp_path_factory: pytest.TempPathFactory) -> list[Read]:
    """What both say of a receipt of one effect of many of these logs, true ones and others."""
    random, files = Random(1), [unsigned_tick(), misshapen()]
    logs = [read for read in corpus if read.python["effects"] and read.python["covered"]["size"]]
    for log in random.sample(logs, RECEIPTS):
        void = {finding["index"] for finding in log.python["findings"] if finding["severity"] == "error"}
        by_status = {effect["status"]: effect["effect_key"] for effect in log.python["effects"]}
        effect = digest.parse_id(random.choice(list(by_status.values())), "eff")
        how = random.choice(WAYS)
        raw = receipt_of(log.file.raw, effect, void=void, how=how, random=random)
        files.append(File(f"{how} receipt of {log.name}", raw, log.file.trust))
    return both(tmp_path_factory.mktemp("receipts"), files, proved)


def unsigned_tick() -> File:
    """A receipt with a leaf that is in the tree, and right but for its signature."""
    log = LogWriter().begin((CHARGE,))
    effect = log.intent(CHARGE, call(CHARGE))
    log.seal({**log.envelopes[1].fields, "at_ms": 5}, log.log_key, signature=bytes(64))
    return File("void receipt", receipt_of(log.bundle(), effect, void=set(), how="void", random=Random(1)), log.trust)


def misshapen() -> File:
    """A receipt whose header has one part less than it says."""
    log = LogWriter().begin((CHARGE,))
    effect = log.intent(CHARGE, call(CHARGE))
    raw = receipt_of(log.bundle(), effect, void=set(), how="true", random=Random(1))
    return File("misshapen receipt", bytes((raw[0] + 1,)) + raw[1:], log.trust)


def both(place: Path, files: Iterable[File], judge: Callable[[File, Path], Report]) -> list[Read]:
    """Return what `judge` says of every file, and what Node says meanwhile."""
    command = [node(), str(VERIFIER / "bin" / "invoke-log-verify.js"), "--batch"]
    written: list[tuple[File, Path]] = []
    with (place / "lines").open("w+", encoding="utf-8") as lines:
        for file in files:
            path = place / str(len(written))
            path.write_bytes(file.raw)
            written.append((file, path))
            if file.against is not None:
                kept_at(path).write_bytes(file.against)
            against = str(kept_at(path)) if file.against is not None else None
            print(json.dumps({"path": str(path), "trust": file.trust, "against": against}), file=lines)
        lines.seek(0)
        with subprocess.Popen(command, stdin=lines, stdout=subprocess.PIPE, encoding="utf-8") as reader:
            said = [judge(file, path) for file, path in written]
            out, _ = reader.communicate()
    # Not splitlines: a text in JSON holds what ends a line to Python, U+2028 or U+0085, as it is.
    reports = [json.loads(line) for line in out.split("\n")[:-1]]
    return [
        Read(file=file, python=python, node=report)
        for (file, _), python, report in zip(written, said, reports, strict=True)
    ]


def kept_at(path: Path) -> Path:
    return path.with_suffix(".kept")


def replayed(file: File, path: Path) -> Report:
    return replay(path, trust=parse_verifier_key(file.trust) if file.trust else None).as_json()


def proved(file: File, path: Path) -> Report:
    """What the command line prints of a receipt."""
    try:
        return verify_receipt(path.read_bytes(), trust=parse_verifier_key(file.trust) if file.trust else None).as_json()
    except InvokeLogError as error:
        found = {"code": error.code, "severity": "error", "index": None, "message": error.message}
        return {"v": 1, "ok": False, "trusted": False, "findings": [found]}


def compared(_: File, path: Path) -> Report:
    found = compare(path, kept_at(path))
    return {"size": found.size, "agrees": found.agrees, "index": found.index}


def differences(read: Read) -> list[str]:
    """Return what the two readers say differently, words aside."""
    python, node = comparable(read.python), comparable(read.node)
    return [
        f"{read.name}: {field}: {python[field]} against {node.get(field)}"
        for field in python
        if python[field] != node.get(field)
    ]


def comparable(report: Report) -> Report:
    findings = [(each["code"], each["severity"], each["index"]) for each in report["findings"]]
    return {**report, "findings": sorted(findings, key=str)}


def test_both_readers_say_the_same_of_every_log(corpus: list[Read]) -> None:
    whole_files = [read for read in corpus if not read.name.startswith("flipped")]
    assert len(whole_files) > RANDOM_LOGS + GOVERNED + INVENTED + MUTATED + len(BROKEN) + len(FILES) + CUTS
    found = [line for read in whole_files for line in differences(read)]
    assert found == []


def test_a_broken_rule_is_found_at_its_leaf_and_nothing_else_is(corpus: list[Read]) -> None:
    broken = [read for read in corpus if " @" in read.name]
    assert len(broken) == len(BROKEN)
    for read in broken:
        name, _, at = read.name.rpartition(" @")
        assert read.codes == [(name.split()[0], None if at == "None" else int(at))], read.name


def test_a_file_that_is_no_true_bundle_is_found_to_be_none(corpus: list[Read]) -> None:
    for read in corpus:
        if read.name.startswith("file "):
            code = read.name.split()[1]
            codes = [code for code, _ in read.codes] or ["ok"]
            assert code in codes, read.name


def test_every_code_of_the_specification_is_found_in_the_corpus(corpus: list[Read]) -> None:
    spec = (ROOT / "SPEC.md").read_text(encoding="utf-8")
    section = spec[spec.index("\n## 11. Codes") : spec.index("\n### 11.3")]  # what follows is of parts
    codes = set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))
    assert len(codes) > 60
    assert codes - {code for read in corpus for code, _ in read.codes} == NOT_IN_A_BUNDLE


def test_random_logs_reach_every_status_of_an_effect(corpus: list[Read]) -> None:
    effects = [effect for read in corpus if read.name.startswith("random") for effect in read.node["effects"]]
    assert {effect["status"] for effect in effects} == {
        "free", "claimed", "started", "committed", "not_committed", "unknown",
    }  # fmt: skip
    assert {effect["grade"] for effect in effects} >= {None, "E0", "E1", "attested"}
    assert max(effect["generation"] for effect in effects) > 1


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("governed", {"key-suspect", "suspect", "key-invalid", "last-admin", "recovery-invalid", "recovery-unknown"}),
        ("invented", {"class-retired", "predecessor-open", "rendering-differs", "snapshot-differs", "self-approved"}),
    ],
)
def test_random_logs_reach_what_they_are_made_for(kind: str, codes: set[str], corpus: list[Read]) -> None:
    assert codes <= {code for read in corpus if read.name.startswith(kind) for code, _ in read.codes}


def test_a_bundle_that_is_cut_anywhere_is_cut_to_both(corpus: list[Read]) -> None:
    for read in corpus:
        if re.fullmatch(r"cut \d+", read.name):
            for report in (read.python, read.node):
                assert report["ok"] is False
                assert report["covered"] == {"size": None, "cosignatures": 0, "cosignatures_not_checked": 0}
                assert "cut" in [finding["code"] for finding in report["findings"]]


def test_every_flipped_bit_is_an_error_to_both_at_one_leaf(corpus: list[Read]) -> None:
    flipped = [read for read in corpus if read.name.startswith("flipped")]
    assert len(flipped) == FLIPS
    for read in flipped:
        assert (read.python["ok"], read.node["ok"]) == (False, False), read.name
        assert broadly(read.python) == broadly(read.node), read.name


def broadly(report: Report) -> list[tuple[str, str]]:
    """Return the findings. A length that lies may be noticed as the end of the file or as the fault that it is."""
    found = [(each["code"], str(each["index"])) for each in report["findings"]]
    return sorted((UNREADABLE[0] if code in UNREADABLE else code, index) for code, index in found)


def test_both_readers_say_the_same_of_every_receipt(receipts: list[Read]) -> None:
    found = [line for read in receipts if not read.name.startswith("flipped") for line in differences(read)]
    assert found == []
    for read in receipts:
        assert (read.python["ok"], broadly(read.python)) == (read.node["ok"], broadly(read.node)), read.name


def test_the_receipts_prove_every_status_and_are_refused_for_every_code(receipts: list[Read]) -> None:
    proving = [read.node for read in receipts if read.node["ok"]]
    assert {report["status"] for report in proving} >= {
        "claimed", "started", "committed", "not_committed", "unknown",
    }  # fmt: skip
    assert {report["trusted"] for report in proving} == {True, False}
    codes = {code for read in receipts if not read.node["ok"] for code, _ in read.codes}
    assert codes >= {"receipt-invalid", "signature-invalid", "malformed", "cut"}
    whole = [read for read in receipts if read.name.startswith("true")]
    assert len([read for read in whole if read.node["ok"]]) > len(whole) / 3


def test_both_readers_say_the_same_of_two_views_of_a_log(tmp_path: Path) -> None:
    reads = both(
        tmp_path, (File(name, raw, against=other) for name, raw, other in (*views(), *random_views())), compared
    )
    for read in reads:
        said = {name: value for name, value in read.node["against"].items() if name != "reason"}
        assert said == read.python, read.name
    assert {read.python["agrees"] for read in reads} == {True, False, None}


def test_what_ends_a_line_to_some_ends_no_report(tmp_path: Path) -> None:
    odd = {"name": "odd", "effect_class": "odd.lines/1", "resource": "odd\u2028\u0085:{account}/{customer}"}
    contract = parse_contract({**CHARGE.data, **odd})
    log = LogWriter().begin((contract,))
    log.intent(contract, call(contract))
    (read,) = both(tmp_path, [File("odd", log.bundle())], replayed)
    assert (differences(read), read.codes) == ([], [])
    assert read.node["effects"][0]["resource"] == "odd\u2028\u0085:acct_1/cus_1"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [node(), VERIFIER / "bin" / "invoke-log-verify.js", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_the_second_readers_exit_code_says_what_it_found(tmp_path: Path) -> None:
    log = whole()
    path = tmp_path / "log.bundle"
    path.write_bytes(log.bundle())
    key = tmp_path / "log.vkey"
    key.write_text(f"{log.trust}\n", encoding="utf-8")
    other = LogWriter(origin="example.com/other").begin(()).trust
    assert run(path).returncode == 0
    assert json.loads(run(path, "--json", "--trust", key).stdout)["trusted"] is True
    assert run(path, "--trust", other).returncode == 3
    effect = next(iter(log.fold.effects))
    for how, said in (("true", 0), ("cut", 3)):
        receipt = tmp_path / f"{how}.receipt"
        receipt.write_bytes(receipt_of(log.bundle(), effect, void=set(), how=how, random=Random(1)))
        assert run(receipt, "--trust", key).returncode == said
    note = tmp_path / "log.checkpoint"
    for root, said in ((None, 0), (bytes(32), 3)):
        note.write_bytes(log.note(root=root))
        assert run(path, "--against", note).returncode == said
    assert run(receipt, "--against", note).returncode == 2
    path.write_bytes(log.bundle()[:-1])
    assert run(path).returncode == 3
    for wrong in ((), (tmp_path / "nothing",), (path, "--trust", "example.com/log+00000000+AAAA"), (path, "--else")):
        assert run(*wrong).returncode == 2


def test_the_second_readers_lock_has_a_digest_for_every_package_and_names_no_registry() -> None:
    lock = (VERIFIER / "package-lock.json").read_text(encoding="utf-8")
    packages = [package for name, package in json.loads(lock)["packages"].items() if name]
    assert len(packages) == 3
    assert all(package["integrity"].startswith("sha512-") and "resolved" not in package for package in packages)


def test_the_second_readers_own_tests_pass() -> None:
    tests = sorted(VERIFIER.glob("test/*.test.js"))
    assert len(tests) >= 5
    done = subprocess.run([node(), "--test", *tests], capture_output=True, encoding="utf-8", cwd=VERIFIER, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
