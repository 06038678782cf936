"""The script that faults are injected into: appends numbered notes one by one and says each one that is durable.

    python appender.py LOG FIRST COUNT [early | deaf]

One line on stdout for each acknowledged append: number, event id. An append that raises or is answered UNAVAILABLE is
tried again with the same bytes, a bounded number of times. Two modes are controls, and wrong: `early` acknowledges
before it appends, `deaf` whatever the append came to.
"""

import sys
import time

import invoke_log as il
from invoke_log.format import digest
from invoke_log.format.envelope import Envelope
from invoke_log.rules.answer import Accepted, Duplicate
from invoke_log.rules.kind import Note

ATTEMPTS_MAX = 50


def append(log: il.Log, envelope: Envelope, *, attempts: int = ATTEMPTS_MAX) -> bool:
    """Append until there is a definite answer; whether it is that the event is on the log."""
    for _ in range(attempts):
        try:
            answer = log.append(envelope)
        except il.InvokeLogError as error:
            print(f"fault {error.code}", flush=True)
            time.sleep(0.01)
            continue
        if isinstance(answer, Accepted | Duplicate):
            return True
        print(f"answer {answer}", flush=True)
    return False


def main() -> int:
    path, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    early, deaf = sys.argv[4:] == ["early"], sys.argv[4:] == ["deaf"]
    log = il.Log.open(path)
    key = il.load_key(f"{path}/keys/agent.key")
    for number in range(first, first + count):
        effect = digest.event_id(str(number).encode())
        note = Note(about=bytes(32), text=f"{number} {'x' * 100}")
        envelope = log.draft(note, key, effect=effect, resource=f"r/{number % 7}")
        said = f"acked {number} {digest.event_id(envelope.body).hex()}"
        if early:
            print(said, flush=True)
        done = append(log, envelope, attempts=1 if deaf else ATTEMPTS_MAX)
        if (done or deaf) and not early:
            print(said, flush=True)
    log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
