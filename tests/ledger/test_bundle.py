"""A log written as a bundle: whole, in the memory of one attachment, and with what is still kept. [BDL-3], [BDL-4]"""

import tracemalloc
from pathlib import Path

import pytest

from invoke_log.errors import NotFoundError
from invoke_log.format.cbor import Value
from invoke_log.format.digest import attachment_digest
from invoke_log.rules.kind import Evidence, Observation
from tests.harness.forge import take_apart
from tests.harness.live import Live, audit, open_live

SIZE = 1 << 20


def seen(live: Live, raw: bytes) -> None:
    """Put on record that somebody saw the effect, as an attachment says."""
    attachment: dict[str, Value] = {"attachment": live.log.keep_attachment(raw), "size": len(raw)}
    evidence = Evidence(kind="tag_seen", reference="pi_1", attachment=attachment)
    about = live.state().last
    assert about is not None
    live.put(live.draw(Observation(about=about, presence="present", evidence=evidence), live.agent))


def test_an_export_holds_one_attachment_at_a_time(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        live.grant(5, "reconciler")
        live.put(live.begun())
        for at in range(24):
            seen(live, bytes([at]) * SIZE)
        path = tmp_path / "log.bundle"
        with path.open("wb") as stream:
            live.log.checkpoint()
            tracemalloc.start()
            try:
                live.log.export(stream.write)
                assert tracemalloc.get_traced_memory()[1] < 4 * SIZE
            finally:
                tracemalloc.stop()
        assert len(take_apart(path.read_bytes()).attachments) == 24
        assert audit(path.read_bytes(), live.log.verifier_key).findings == ()


def test_an_attachment_erased_before_the_export_is_missing_and_during_it_an_error(tmp_path: Path) -> None:
    with open_live(tmp_path) as live:
        live.grant(5, "reconciler")
        live.put(live.begun())
        raws = [b"one", b"two"]
        for raw in raws:
            seen(live, raw)
        live.log.checkpoint()
        first, last = (live.log.path / "attachments" / key.hex() for key in sorted(map(attachment_digest, raws)))
        written: list[bytes] = []

        def write(piece: bytes) -> None:
            written.append(piece)
            if piece[1:] in raws:
                last.unlink()

        with pytest.raises(NotFoundError, match="erased"):
            live.log.export(write)
        written.clear()
        live.log.export(written.append)
        assert take_apart(b"".join(written)).attachments == (first.read_bytes(),)
        [finding] = audit(b"".join(written), live.log.verifier_key).findings
        assert (finding.code, finding.severity) == ("attachment-missing", "warning")
