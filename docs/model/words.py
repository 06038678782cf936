"""A counter-example in words: the shortest way in which something goes wrong where one rule is missing.

counterexamples.md has those of all rows that break: `python -m docs.model.run --write`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docs.model import approval, rows
from docs.model.checker import Found, Label

Row = rows.Row | approval.Row
PAGE: Final = Path(__file__).with_name("counterexamples.md")
HEAD: Final = """\
# What each rule prevents

Written by `python -m docs.model.run --write`; edit the model instead.

Each rule turned off, or a world other than a contract promises, and the shortest way in which something breaks then.
Time is counted in D, of approvals in TTLs; the log knows of it what a tick has told. Processes are executors, and the
last one a reconciler that re-drives; a request under way is told by its number among those that are. What comes of it
in the code: [README.md](README.md).
"""
BROKEN: Final = {
    "S1": "one generation has landed twice",
    "S2": "the log says not_committed, and it landed",
    "S3": "the log says committed, and nothing landed",
    "S4": "two may send on one START",
    "S9": "it was started without the consent that is wanted",
    "L1": "nothing that can still happen settles it",
}
EFFECT: Final = {
    "time": "D passes",
    "tick": "a tick tells the log the time",
    "seal": "a tick is signed, and held up",
    "store": "the tick that was held up is stored",
    "set_back": "the clock is set back by {0}",
    "intent": "an intent claims key {0}",
    "again": "an intent that repeats claims key {0}",
    "release": "the claim of key {0} is released",
    "start": "process {1} appends START of key {0}",
    "suspect": "somebody says that START of key {0} has no answer",
    "redrive": "process {1} appends a re-drive of key {0}",
    "outcome": "process {1} appends the outcome of its START, number {3}: {2}",
    "present": "generation {1} of key {0} is resolved as present",
    "absent": "generation {1} of key {0} is resolved as absent, by {3} and the tick of {2}",
    "attest": "a person attests that key {0} is {1}",
    "register": "the class that succeeds is registered, and retires the first",
    "crash": "process {0} dies",
    "refrain": "process {0} decides not to send",
    "send": "process {0} sends",
    "timeout": "process {0} waits no longer",
    "lost": "request {0} is lost",
    "lands": "request {0} lands; its answer is {1}",
    "declines": "request {0} is declined; its answer is {1}",
    "read": "a reader looks for what key {0} names",
    "forgets": "the reader forgets what it saw",
    "copy": "the log is copied",
    "recover": "the log is lost, and goes on from the copy",
}
APPROVAL: Final = {
    "wait": "a TTL passes",
    "tick": EFFECT["tick"],
    "intent": "an intent claims the effect",
    "approve": "{0} approves intent {1}",
    "deny": "{0} denies it",
    "release": "the claim is released",
    "start": "START lists approvals by their numbers from 0: {0}",
    "revoke": "{0} loses the role of an approver",
}


def steps(row: Row, found: Found[Any]) -> Iterator[str]:
    """Yield what happens, step by step, and what is broken then."""
    say = _of_approvals if isinstance(row, approval.Row) else _of_an_effect
    yield from map(say, found.trace)
    yield f"{found.broken}: {BROKEN[found.broken or '']}"


def section(row: Row, found: Found[Any]) -> str:
    """Return a row's part of counterexamples.md."""
    without = f"Without `{row.off}`:" if row.off else "All rules hold, and the world is not as promised:"
    listed = "".join(f"{number}. {step}\n" for number, step in enumerate(steps(row, found), 1))
    return f"\n## {row.name}\n\n{without}\n\n{listed}"


def _of_an_effect(label: Label) -> str:
    name, *rest = label
    return EFFECT[str(name)].format(*("no answer" if each == "" else each for each in rest))


def _of_approvals(label: Label) -> str:
    name, *rest = label
    if name == "start":
        return APPROVAL["start"].format(", ".join(map(str, rest)))
    who = {approval.ONE: "approver one", approval.TWO: "approver two"}
    told = [who.get(each, f"the {each}") if isinstance(each, str) else each for each in rest]
    return APPROVAL[str(name)].format(*told)
