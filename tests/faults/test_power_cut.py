"""Power cuts: whatever the disk lost, reordered or tore of what was not flushed, nothing acknowledged is missing. S11.

5,000 disks here, 200,000 with INVOKE_LOG_TORTURE=1 (`make torture`), each opened by the real engine. A disk is told by
seed, count and number; the seed is printed, and INVOKE_LOG_SEED sets another. Controls: an LMDB that does not wait for
its last page, or for none, loses some.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.journal import TRACER, Journal, Said

HERE = Path(__file__).parent
TORTURE = os.environ.get("INVOKE_LOG_TORTURE") == "1"
SEED = int(os.environ.get("INVOKE_LOG_SEED", "1"))
IMAGES = 200_000 if TORTURE else 5_000
TURNS = 200 if TORTURE else 60
CONTROL_IMAGES = 300
WORKERS = 2
Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="tool missing: strace")


@dataclass(frozen=True)
class Tried:
    """What came of the images of one journal. lost: the number of an image, and what it lacked."""

    tried: int
    different: int
    no_log: int
    lost: dict[str, str]


def written(place: Path, *switches: str) -> Path:
    """Write a log under `place`, and return the trace of it."""
    place.mkdir()
    trace = place.with_suffix(".trace")
    command = [*TRACER, str(trace), sys.executable, str(HERE / "scribe.py"), str(place), str(TURNS), *switches]
    subprocess.run(command, check=True, timeout=120, env=environment(), stdout=subprocess.DEVNULL)
    return trace


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}


def cut(place: Path, trace: Path, images: int) -> Tried:
    """Try images of a log's journal, shared out to a few processes."""
    command = [sys.executable, str(HERE / "powercut.py"), str(trace), str(place), str(SEED), str(images)]
    workers = [
        subprocess.Popen([*command, str(first), str(WORKERS)], stdout=subprocess.PIPE, text=True, env=environment())
        for first in range(WORKERS)
    ]
    found = [json.loads(worker.communicate()[0]) for worker in workers]
    return Tried(
        tried=sum(each["tried"] for each in found),
        different=len({digest for each in found for digest in each["seen"]}),
        no_log=sum(each["no_log"] for each in found),
        lost={number: text for each in found for number, text in each["lost"].items()},
    )


def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, record_property: Record) -> None:
    place = tmp_path / "place"
    found = cut(place, written(place), IMAGES)
    record_property("figure", (f"disks after a power cut, seed {SEED}", found.tried, found.tried - len(found.lost)))
    record_property("note", f"{found.different} different disks, {found.no_log} from before there was a log")
    assert found.lost == {}
    assert found.tried == IMAGES
    assert found.different > IMAGES // 5


@pytest.mark.parametrize("switch", ["metasync=off", "sync=off"])
def test_the_control_that_does_not_wait_for_the_disk_loses_some(
    tmp_path: Path, switch: str, record_property: Record
) -> None:
    place = tmp_path / "place"
    found = cut(place, written(place, switch), CONTROL_IMAGES)
    record_property("note", f"control {switch}: {len(found.lost)} of {found.tried} disks lost something acknowledged")
    assert any("acknowledged" in text for text in found.lost.values()), found.lost


def test_the_journal_of_a_run_that_met_no_power_cut_makes_its_very_files(tmp_path: Path) -> None:
    """A write past the journal would show here."""
    place = tmp_path / "place"
    journal = Journal.read(written(place), place)
    end = len(journal.ops)
    image = journal.image(end, [(index, ()) for index in journal.pending(end)])
    paths = [path for path in sorted(place.rglob("*")) if path.name != "lock.mdb"]
    real = {str(path).removeprefix(str(place)): path.read_bytes() if path.is_file() else None for path in paths}
    assert image == {"": None, **real}
    assert len(journal.said(end)) == TURNS + 1 == sum(isinstance(op, Said) for op in journal.ops)
