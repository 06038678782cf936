"""Two views of one log: bundles of it as it grew, and checkpoints that are true of it or are not. SPEC §17."""

from collections.abc import Iterator
from random import Random
from typing import Final

from invoke_log.format import bundle, cbor
from invoke_log.format.checkpoint import Checkpoint, sign_checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.format.envelope import Envelope
from invoke_log.rules.kind import Recovery
from tests.harness import forge
from tests.interop.agreements import CHARGE
from tests.interop.cases import claimed, committed, recover, started
from tests.interop.log_writer import KEYS, ORIGIN, LogWriter

RECOVERIES: Final = 3
SHARE: Final = 0.3
"""How many of all pairs are read."""
LOG_KEYS: Final = ("log", "log2", "log", "log2", "log")
"""Of each origin in turn; the last has never been one."""
NO_ENTRIES: Final = (cbor.encode([]), cbor.encode([b"", []]), cbor.encode(0))


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
    lying = LogWriter().begin((CHARGE,))
    recover(lying, by="stranger")
    while lying.index <= late_size:
        lying.tick(1)
    yield "a fork behind a void recovery", lying.bundle(), late_note
    yield "a name by a void recovery", lying.bundle(), note(lying, f"{lying.origin}.e1", lying.index, "log2")


def random_views() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield pairs of a log with up to three recoveries: every size, origin and key, forks at every leaf, and cuts."""
    random = Random(3)
    for recoveries in range(RECOVERIES + 1):
        log = _recovered(recoveries)
        whole, entries = log.bundle(), [bundle.encode_entry(each.body, each.signature) for each in log.envelopes]
        origins = {f"{ORIGIN}{end}": key for end, key in zip(("", ".e1", ".e2", ".e3", ".x"), LOG_KEYS, strict=True)}
        for size in range(1, log.index + 2):
            for origin, key in origins.items():
                if random.random() < SHARE:
                    by = random.choice((key, key, "stranger"))
                    yield f"{recoveries}: {size} of {origin} by {by}", whole, note(log, origin, size, by)
        for size in range(1, log.index + 1):
            part, end = entries[:size], forge.trailer(log.note(), ())
            head = bundle.encode_header(bundle.Header(origin=log.origin, first=0, size=TreeSize(size), left_edge=()))
            at = random.randrange(size)
            forked = [*part[:at], _other(log.envelopes[at], random), *part[at + 1 :]]
            one, other = b"".join((head, *part, end)), b"".join((head, *forked, end))
            pairs = {
                "a part": (whole, one),
                "of a part": (one, whole),
                f"a fork at {at}": (whole, other),
                f"of a fork at {at}": (other, whole),
                f"a checkpoint, and a fork at {at}": (other, log.note()),
                "a cut": (whole, one[: random.randrange(len(one))]),
                "of a cut": (one[: random.randrange(len(one))], whole),
            }
            for name, pair in pairs.items():
                if random.random() < SHARE:
                    yield f"{recoveries}: {size} leaves, {name}", *pair


def _recovered(times: int) -> LogWriter:
    """A log of a call before each recovery and one after; the second recovery swears that nothing was lost."""
    log = LogWriter().begin((CHARGE,))
    for number in range(times + 1):
        committed(log, order=number)
        if number < times:
            data = Recovery(
                old_origin=log.fold.governance.origin, origin=f"{ORIGIN}.e{number + 1}", size=log.index,
                root=log.frontier.root(), checkpoint=log.note(), log_key=KEYS[LOG_KEYS[number + 1]].public_key,
                amnesia=number != 1,
            )  # fmt: skip
            log.say(data, "admin")
            log.log_key = KEYS[LOG_KEYS[number + 1]]
            log.tick(1)
    return log


def _other(leaf: Envelope, random: Random) -> bytes:
    """An entry that is not this leaf's, or none at all."""
    others = (
        bundle.encode_entry(leaf.body, bytes(64)),
        bundle.encode_entry(leaf.body, b""),
        bundle.encode_entry(b"x", bytes(64)),
        *NO_ENTRIES,
    )
    return random.choice(others)


def note(log: LogWriter, origin: str, size: int, key: str) -> bytes:
    """A checkpoint under any key: the root is that of the whole log."""
    return sign_checkpoint(Checkpoint(origin=origin, size=TreeSize(size), root=log.frontier.root()), KEYS[key])
