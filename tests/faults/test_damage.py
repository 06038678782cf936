"""A damaged data file never verifies as another log: it is refused with exit code 3, or what counts was not hit.

LMDB keeps no checksums, and ends the process that reads a page it cannot make sense of. So each damaged file is
replayed in a child of its own, by the command line, and a child that was killed is a failure of this test. 360 here,
20,000 with INVOKE_LOG_TORTURE=1.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from invoke_log.audit.replay import replay
from invoke_log.errors import StoreDamagedError
from invoke_log.format.keys import format_verifier_key
from invoke_log.rules.kind import Note
from invoke_log.surfaces.cli.main import main
from tests.faults.journal import PAGE_BYTES
from tests.harness.live import Live, open_live

TORTURE = os.environ.get("INVOKE_LOG_TORTURE") == "1"
SEED = int(os.environ.get("INVOKE_LOG_SEED", "1"))
FILES = 20_000 if TORTURE else 360
WORKERS = 2
NOTES = 30


REPLAY_UNWALKED = """
import sys
from invoke_log.audit.replay import replay
from invoke_log.store.lmdb import LmdbStore
LmdbStore.check_pages = lambda store: None
replay(sys.argv[1])
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A log whose entries take pages of every kind: leaves, branches, and some of their own."""
    seeds = itertools.count(1)  # the same keys each time, so that a number stands for the same file
    keys = patch("secrets.token_bytes", lambda length: bytes([next(seeds)]) * length)
    with keys, open_live(tmp_path_factory.mktemp("damage")) as opened:
        for number in range(NOTES):
            opened.put(opened.begun(opened.bound(order=str(number))))
            text = "x" * (9_000 if number % 5 == 0 else 200)
            opened.put(opened.draw(Note(about=bytes(32), text=f"{number} {text}"), opened.agent))
            opened.put(opened.outcome(bound=opened.bound(order=str(number))))
            if number % 9 == 0:
                opened.log.checkpoint()
        opened.log.checkpoint()
        yield opened


def test_a_damaged_file_is_refused_or_verifies_as_what_it_was(
    live: Live, record_property: Callable[[str, object], None]
) -> None:
    script = Path(__file__).with_name("damage.py")
    trust = format_verifier_key(live.log.verifier_key)
    command = [sys.executable, str(script), str(live.log.path), trust, str(SEED), str(FILES)]
    workers = [
        subprocess.Popen([*command, str(first), str(WORKERS)], stdout=subprocess.PIPE, text=True, env=environment())
        for first in range(WORKERS)
    ]
    found = [json.loads(worker.communicate()[0]) for worker in workers]
    ends = sum((Counter(each["ends"]) for each in found), Counter[str]())
    assert [each["wrong"] for each in found] == [{}, {}]
    assert ends.total() == FILES
    refused = sum(count for end, count in ends.items() if end.endswith(": refused"))
    older = sum(count for end, count in ends.items() if end.endswith(": older"))
    record_property("figure", (f"damaged data files, seed {SEED}", FILES, FILES))
    record_property("note", f"{refused} refused, {FILES - refused - older} as they were, {older} as a commit before")
    assert refused > FILES // 3


def test_a_page_that_would_end_the_process_is_an_error_and_a_hint(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the walk over the pages, LMDB aborts at the first of them that some zeroed page makes it read."""
    sound = live.log.path / "store" / "data.mdb"
    raw, path = sound.read_bytes(), tmp_path / "log"
    (path / "store").mkdir(parents=True)
    for page in range(2 * PAGE_BYTES, len(raw), PAGE_BYTES):
        (path / "store" / "data.mdb").write_bytes(raw[:page] + bytes(PAGE_BYTES) + raw[page + PAGE_BYTES :])
        unwalked = subprocess.run(
            [sys.executable, "-c", REPLAY_UNWALKED, str(path)], env=environment(), capture_output=True, check=False
        )
        if unwalked.returncode == -signal.SIGABRT:
            break
    else:
        pytest.fail("no page ends the process")
    assert main(["verify", str(path)]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"error: store {path / 'store'}: data.mdb is damaged: ")
    assert "\nhint: restore a backup" in said
    with pytest.raises(StoreDamagedError):
        replay(path)
