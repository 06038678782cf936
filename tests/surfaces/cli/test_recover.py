"""`recover --leaves` goes on from what is left, whatever became of the copy's trailer. [BDL-6], [REC-1]"""

from collections.abc import Callable
from pathlib import Path

import pytest

from invoke_log.format import cbor
from invoke_log.log.signer import write_key_file
from invoke_log.surfaces.cli.main import main
from tests.harness import forge
from tests.interop.agreements import CHARGE, NOTIFY, call
from tests.interop.broken_files import items
from tests.interop.log_writer import LogWriter

ADMIN_SEED = bytes([1]) * 32
LONG = bytes(16_500)
BROKEN: dict[str, Callable[[LogWriter], bytes]] = {
    "in its note": lambda log: forge.trailer(log.note(), log.attachments)[:40],
    "in an attachment": lambda log: forge.trailer(log.note(), [*log.attachments, b"more"])[:-1],
    "after a note that is none": lambda log: b"\x82" + cbor.byte_string(b"abc"),
    "after a note of another log": lambda log: b"\x82" + cbor.byte_string(log.note(root=bytes(32))) + b"\xff",
}


@pytest.mark.parametrize("where", BROKEN)
def test_a_copy_whose_trailer_is_broken_goes_on_from_its_leaves(where: str, tmp_path: Path) -> None:
    log = LogWriter().begin((CHARGE, NOTIFY))
    log.intent(NOTIFY, call(NOTIFY, amount=len(LONG)))
    log.attachments.append(LONG)
    log.tick(1000)
    copy, new, key = tmp_path / "copy", tmp_path / "new", tmp_path / "admin.key"
    copy.write_bytes(b"".join(items(log)[:-1]) + BROKEN[where](log))
    write_key_file(key, ADMIN_SEED)
    assert main(["recover", str(copy), "--log", str(new), "--key", str(key)]) == 3
    done = main(["recover", str(copy), "--log", str(new), "--key", str(key), "--leaves", str(log.index)])
    assert (done, main(["replay", str(new)])) == (0, 0)
