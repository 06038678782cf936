"""Two views of one log: bundles of it as it grew, and checkpoints that are true of it or are not. SPEC §17."""

from collections.abc import Iterator

from invoke_log.format.checkpoint import Checkpoint, sign_checkpoint
from invoke_log.format.digest import TreeSize
from tests.interop.agreements import CHARGE
from tests.interop.cases import claimed, committed, recover, started
from tests.interop.log_writer import KEYS, LogWriter


def views() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield a name, a bundle, and what somebody else holds: a bundle or a checkpoint."""
    log = LogWriter().begin((CHARGE,))
    started(log)
    early, early_note, early_size = log.bundle(), log.note(), log.index
    committed(log, order=2)
    late, late_note, late_size = log.bundle(), log.note(), log.index
    other = LogWriter().begin((CHARGE,))
    claimed(other, order=3)
    yield "the same", late, late
    yield "an earlier bundle", late, early
    yield "a later bundle", early, late
    yield "a later bundle that is cut", early, late[:-1]
    yield "a later bundle with another checkpoint", early, log.bundle(note=early_note)
    yield "a bundle that parts from it", late, other.bundle()
    yield "another log", late, LogWriter(origin="example.com/elsewhere").begin(()).bundle()
    yield "nothing", late, b""
    yield "no checkpoint", late, b"text\n"
    yield "a part of one", late, late_note[:-2]
    yield "its checkpoint", late, late_note
    yield "an earlier checkpoint", late, early_note
    yield "a later checkpoint", early, late_note
    yield "a checkpoint that parts from it", late, other.note()
    yield "a checkpoint of another origin", late, log.note(origin="example.com/elsewhere")
    yield "a checkpoint under another key", late, note(log, log.origin, late_size, "stranger")
    yield "another root", late, log.note(root=bytes(32))
    for size in (0, 63, 65):
        whole = log.envelopes[-1]
        log.envelopes[-1] = whole._replace(signature=bytes(size))
        yield f"an earlier checkpoint, and a signature of {size} bytes", log.bundle(), early_note
        yield f"itself but for a signature of {size} bytes", log.bundle(), late
        log.envelopes[-1] = whole
    void = LogWriter().begin((CHARGE,))
    void.found()
    void.tick(1, by="stranger")
    yield "a later bundle with void leaves", early, void.bundle()
    recover(log)
    log.tick(1)
    recovered = log.bundle()
    yield "its checkpoint after a recovery", recovered, log.note()
    yield "its checkpoint before a recovery", recovered, late_note
    yield "a checkpoint that a recovery lost", recovered, note(log, log.origin, late_size + 1, "log")
    yield "the new origin under the old key", recovered, note(log, f"{log.origin}.e1", log.index, "log")
    yield "the old origin under the new key", recovered, note(log, log.origin, early_size, "log2")
    yield "a bundle from before a recovery", recovered, late


def note(log: LogWriter, origin: str, size: int, key: str) -> bytes:
    """A checkpoint under any key: the root is that of the whole log."""
    return sign_checkpoint(Checkpoint(origin=origin, size=TreeSize(size), root=log.frontier.root()), KEYS[key])
