"""Files that are not a log's true bundle: cut, malformed, signed for something else, or begun without genesis and
tick.
"""

from collections.abc import Callable
from typing import Final

from invoke_log.format import bundle, cbor, checkpoint, limits
from invoke_log.format.checkpoint import Checkpoint
from invoke_log.format.digest import TreeSize
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, PRESENT, UNKNOWN, Evidence, Freeze, Release, Revoke
from tests.harness import forge
from tests.interop.agreements import BRIEF, BY_ORDER, CONTRACTS, TRANSFER, call, snapshot
from tests.interop.cases import SMALL_ORDER, claimed, committed, recover, redrive, resolve, started
from tests.interop.log_writer import EVERYTHING, KEYS, LogWriter

Makes = Callable[[], bytes]
FILES: Final[dict[str, Makes]] = {}
"""By name: the code that finds it (`ok`: none does), then words."""


def file(name: str) -> Callable[[Makes], Makes]:
    def register(make: Makes) -> Makes:
        assert name not in FILES
        FILES[name] = make
        return make

    return register


def whole() -> LogWriter:
    """A log in which everything is right."""
    log = LogWriter().begin(CONTRACTS)
    committed(log)
    log.tick(1000, covers=log.index, map_root=log.map_root(log.index))
    return log


def items(log: LogWriter) -> list[bytes]:
    """The items of a log's bundle: header, leaves, trailer."""
    entries = [bundle.encode_entry(sealed.body, sealed.signature) for sealed in log.envelopes]
    header = bundle.Header(origin=log.origin, first=0, size=log.index, left_edge=())
    return [bundle.encode_header(header), *entries, forge.trailer(log.note(), log.attachments)]


def replaced(at: int, item: bytes) -> bytes:
    """The bundle of a whole log with one item replaced."""
    parts = items(whole())
    parts[at] = item
    return b"".join(parts)


file("ok")(lambda: whole().bundle())


@file("ok times at the end of what an event can say")
def _() -> bytes:
    log = LogWriter().begin((BRIEF,))
    log.tick(limits.TIME_MS_MAX - log.now_ms)
    effect = log.intent(BRIEF, call(BRIEF))
    log.start(effect)
    log.outcome(effect, UNKNOWN, "no_answer")
    redrive(log, effect)  # now + D + Q and lo(START) + retention are one apart
    return log.bundle()


file("cut empty file")(lambda: b"")
file("cut inside the header")(lambda: whole().bundle()[:10])
file("cut after the header")(lambda: items(whole())[0])
file("cut inside a leaf")(lambda: b"".join(items(whole())[:5])[:-1])
file("cut between leaves")(lambda: b"".join(items(whole())[:5]))
file("cut before the trailer")(lambda: b"".join(items(whole())[:-1]))
file("cut inside the trailer")(lambda: whole().bundle()[:-1])
file("cut trailer in the place of a leaf")(lambda: b"".join([*items(whole())[:9], items(whole())[-1]]))
file("cut empty trailer in the place of a leaf")(lambda: b"".join([*items(whole())[:9], b"\x80"]))
file("cut empty trailer")(lambda: replaced(-1, b"\x80"))
file("malformed header of another magic")(lambda: replaced(0, cbor.encode(["invoke-log bundle 2", "o", 0, 1, []])))
file("malformed header that is no array")(lambda: replaced(0, cbor.encode({})))
file("malformed header with a left edge")(lambda: replaced(0, cbor.encode([bundle.MAGIC, "o", 0, 1, [bytes(32)]])))
file("malformed header of no leaf")(lambda: replaced(0, cbor.encode([bundle.MAGIC, "o", 0, 0, []])))
file("malformed first leaf 1")(lambda: replaced(0, cbor.encode([bundle.MAGIC, "o", 1, 99, [bytes(32)]])))
file("malformed not CBOR")(lambda: b"\xff" + whole().bundle())
file("malformed non-shortest head")(lambda: replaced(3, b"\x98\x02" + items(whole())[3][1:]))
file("malformed tag before a leaf")(lambda: replaced(3, b"\xd8\x18" + items(whole())[3]))
file("malformed leaf of three")(lambda: replaced(3, cbor.encode([b"", b"", b""])))
file("malformed leaf of text")(lambda: replaced(3, cbor.encode(["", b""])))
file("malformed body that is no CBOR")(lambda: replaced(3, cbor.encode([b"\xff", bytes(64)])))
file("malformed body that is no map")(lambda: replaced(3, cbor.encode([cbor.encode([]), bytes(64)])))
file("malformed body without a log")(lambda: replaced(3, cbor.encode([cbor.encode({"by": bytes(32)}), bytes(64)])))
file("malformed body with a float")(lambda: replaced(3, cbor.encode([b"\xa1\x61a\xf9\x00\x00", bytes(64)])))
file("malformed body of 64,001 bytes")(lambda: replaced(3, cbor.encode([bytes(64_001), bytes(64)])))
file("malformed entry too long")(lambda: replaced(3, cbor.encode([bytes(64_129), bytes(64)])))
file("malformed signature of 63 bytes")(lambda: replaced(3, cbor.encode([whole().envelopes[2].body, bytes(63)])))
file("malformed something after the trailer")(lambda: whole().bundle() + b"\xf6")
file("malformed broken something after the trailer")(lambda: whole().bundle() + b"\xff")
file("malformed trailer of another form")(lambda: replaced(-1, cbor.encode([b"", b""])))
file("malformed attachment that is text")(lambda: replaced(-1, cbor.encode([whole().note(), ["text"]])))
file("malformed attachment twice")(lambda: replaced(-1, cbor.encode([whole().note(), [b"a", b"a"]])))
file("checkpoint-invalid empty note")(lambda: replaced(-1, cbor.encode([b"", []])))
file("checkpoint-invalid other key")(lambda: whole().bundle(note=other_note()))
file("checkpoint-invalid other origin")(lambda: whole().bundle(note=whole().note(origin="example.com/other")))
file("checkpoint-invalid unknown line")(
    lambda: whole().bundle(note=whole().note() + whole().note().rpartition(b"\n\n")[2])
)
file("checkpoint-invalid flipped bit")(lambda: whole().bundle(note=flipped(whole().note())))
file("size-mismatch larger")(lambda: whole().bundle(note=whole().note(size=whole().index + 1)))
file("size-mismatch smaller")(lambda: whole().bundle(note=smaller_note()))
file("root-mismatch")(lambda: whole().bundle(note=whole().note(root=bytes(32))))
file("origin-mismatch")(lambda: whole().bundle(origin="example.com/other"))


@file("ok presence by the key of a START that is no reconciler's any more")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS)
    effect = started(log)
    log.say(Revoke(key=KEYS["executor"].public_key, grant=None, suspect_from=None), "admin")
    resolve(log, effect, PRESENT, Evidence(kind="response", reference="ch_1"), by="executor")
    return log.bundle()


@file("ok outcome by a key that was revoked after its START")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS)
    effect = started(log)
    log.say(Revoke(key=KEYS["executor"].public_key, grant=None, suspect_from=None), "admin")
    log.outcome(effect, COMMITTED, "response")
    return log.bundle()


@file("ok recovery that leaves what was settled and makes unknown what was open")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS)
    committed(log, order=1)
    log.outcome(started(log, order=2), NOT_COMMITTED, "never_sent")
    free = claimed(log, order=3)
    log.on(free, Release(intent=log.intent_id(free), reason=""), "agent")
    claimed(log, order=4)
    started(log, order=5)
    recover(log)
    log.tick(1, covers=log.index, map_root=log.map_root(log.index))
    claimed(log, order=2)
    claimed(log, order=3)
    return log.bundle()


@file("ok committed by its executor after a redrive")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS)
    effect = started(log)
    log.outcome(effect, UNKNOWN, "no_answer")
    redrive(log, effect)
    log.outcome(effect, COMMITTED, "response")
    return log.bundle()


@file("ok policy that reads the purpose among the arguments")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS, policy=BY_ORDER)
    committed(log)
    return log.bundle()


@file("snapshot-drifted")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS)
    (_, decided, decided_id), (_, seen, seen_id) = snapshot(), snapshot(is_open=False)
    log.attachments += [decided, seen]
    log.start(log.intent(TRANSFER, call(TRANSFER), snapshot=decided_id), snapshot=seen_id)
    return log.bundle()


@file("ok snapshot that drifted where it may")
def _() -> bytes:
    log = LogWriter().begin(CONTRACTS)
    (_, decided, decided_id), (_, seen, seen_id) = snapshot(), snapshot(etag="e2")
    log.attachments += [decided, seen]
    log.start(log.intent(TRANSFER, call(TRANSFER), snapshot=decided_id), snapshot=seen_id)
    return log.bundle()


@file("trust-mismatch")
def _() -> bytes:
    log = LogWriter(origin="example.com/other")
    return log.begin(CONTRACTS).bundle()


@file("ok one leaf")
def _() -> bytes:
    log = LogWriter()
    log.found()
    return log.bundle()


@file("tick-missing at leaf 1")
def _() -> bytes:
    log = LogWriter()
    log.found()
    log.say(Freeze(scope=EVERYTHING, reason=""), "admin")
    return log.bundle()


@file("tick-missing void tick at leaf 1")
def _() -> bytes:
    log = LogWriter()
    log.found()
    log.tick(0, by="admin")
    return log.bundle()


@file("tick-missing void event at leaf 1")
def _() -> bytes:
    log = LogWriter()
    log.found()
    log.say(Freeze(scope=EVERYTHING, reason=""), "agent")
    return log.bundle()


@file("tick-missing unsigned tick at leaf 1")
def _() -> bytes:
    log = LogWriter()
    log.found()
    sealed = whole().envelopes[1]
    log.seal(sealed.fields, log.log_key, signature=bytes(64))
    return log.bundle()


def genesis_file(name: str, begin: Callable[[LogWriter], object]) -> None:
    """Register a file whose leaf 0 does not begin a log, with an event behind it."""

    def make() -> bytes:
        log = LogWriter()
        begin(log)
        entries = [bundle.encode_entry(sealed.body, sealed.signature) for sealed in log.envelopes]
        header = bundle.Header(origin=log.origin, first=0, size=len(entries) + 1, left_edge=())
        root = checkpoint.sign_checkpoint(Checkpoint(origin=log.origin, size=TreeSize(1), root=bytes(32)), log.log_key)
        return b"".join([bundle.encode_header(header), *entries, entries[0], forge.trailer(root, ())])

    file(f"genesis-invalid {name}")(make)


genesis_file("with a log", lambda log: log.found(log=bytes([1]) * 32))
genesis_file("with a predecessor", lambda log: log.found(prev=bytes(32)))
genesis_file("log key of small order", lambda log: log.found(change={"log_key": SMALL_ORDER}))
genesis_file("admin key of small order", lambda log: log.found(change={"admin_keys": [SMALL_ORDER]}))
genesis_file("signed by no admin", lambda log: log.found(change={"admin_keys": [KEYS["agent"].public_key]}))
genesis_file("no admin", lambda log: log.found(change={"admin_keys": []}))
genesis_file("origin with a space", lambda log: log.found(change={"origin": "example.com/a log"}))
genesis_file("origin too long", lambda log: log.found(change={"origin": "a" * 256}))
genesis_file("another format", lambda log: log.found(change={"format": 2}))
genesis_file("a tick", lambda log: log.tick(0))


def other_note() -> bytes:
    log = whole()
    log.log_key = KEYS["stranger"]
    return log.note()


def smaller_note() -> bytes:
    """A true checkpoint of the log as it was one leaf before its end."""
    log = whole()
    last = LogWriter().begin(CONTRACTS)
    committed(last)
    assert last.index == log.index - 1
    return last.note()


def flipped(note: bytes) -> bytes:
    return note[:-10] + bytes([note[-10] ^ 1]) + note[-9:]
