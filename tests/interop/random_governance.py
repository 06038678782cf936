"""Random governance: who may do what, since when and until when, by whatever key; recoveries one after another, oaths.

Most of what `random_logs` writes is about effects. Here nearly every event changes who counts, and the effects show it.
"""

from typing import Final

from invoke_log.format import digest
from invoke_log.rules.admission import Admitted
from invoke_log.rules.kind import ROLES, SCOPED_ROLES, Freeze, Grant, Oath, Recovery, Revoke, Unfreeze
from tests.interop import random_logs
from tests.interop.cases import SMALL_ORDER
from tests.interop.log_writer import EVERYTHING, KEYS
from tests.interop.random_logs import SCOPES, Actions, RandomLog

RULERS: Final = ("admin", "admin", "admin", "admin", "stranger", "scoped", "approver", "log")
NO_KEYS: Final = (SMALL_ORDER, b"\xff" * 32, bytes(32))
LATEST: Final = 2**53 - 2
"""The last leaf but one that there can be: a fault adds one."""


def governed(seed: int, steps: int) -> RandomLog:
    """A log whose rulers are at work."""
    return RandomLog(seed).write(steps, ACTIONS)


def ruler(log: RandomLog) -> str:
    return log.random.choice(RULERS)


def entitle(log: RandomLog) -> None:
    """A grant of any role, to any key or to what is none."""
    role = log.random.choice(ROLES)
    key = log.random.choice([*(signer.public_key for signer in KEYS.values()), *NO_KEYS])
    scope = log.random.choice(SCOPES) if role in SCOPED_ROLES or log.chance(0.05) else EVERYTHING
    log.say(Grant(subject="", key=key, role=role, scope=scope), ruler(log))


def end(log: RandomLog) -> None:
    """A revoke of a key or of one grant, suspect from any leaf."""
    suspect = log.random.choice((None, 0, 2, log.index - 1, log.index, log.index + 3, LATEST))
    if log.chance(0.5):
        key = log.random.choice(list(KEYS.values())).public_key
        log.say(Revoke(key=key, grant=None, suspect_from=suspect), ruler(log))
    else:
        grant = digest.event_id(log.random.choice(log.envelopes).body)
        log.say(Revoke(key=None, grant=grant, suspect_from=suspect), ruler(log))


def freeze(log: RandomLog) -> None:
    kind = log.random.choice((Freeze, Unfreeze))
    log.say(kind(scope=log.random.choice(SCOPES), reason=""), ruler(log))


def recover(log: RandomLog) -> None:
    """A recovery to an origin that is new, old or none, on what somebody held, on part of it or on nothing."""
    governance = log.fold.governance
    held = log.random.choice((None, log.note(), log.note(), log.note(size=3), b"none"))
    key = KEYS[log.random.choice(("log", "log2"))]
    data = Recovery(
        old_origin=governance.origin,
        origin=log.random.choice((*(f"{log.origin}.e{log.index}",) * 5, governance.origin, "no origin")),
        size=log.index,
        root=log.frontier.root(),
        checkpoint=held,
        log_key=key.public_key,
        amnesia=log.chance(0.6),
    )
    if isinstance(log.say(data, ruler(log)), Admitted):
        log.log_key = key


def swear(log: RandomLog) -> None:
    of = log.random.choice([each.id for each in log.fold.governance.recoveries] or [bytes(32)])
    by = log.random.choice(("attestor", "attestor", "scoped", "stranger", "admin"))
    log.say(Oath(scope=log.random.choice(SCOPES), recovery=of, reason=""), by)


ACTIONS: Final[Actions] = (
    (entitle, 30),
    (end, 20),
    (freeze, 8),
    (recover, 4),
    (swear, 8),
    (random_logs.decide, 20),
    (random_logs.start, 10),
    (random_logs.answer, 10),
    (random_logs.resolve, 6),
    (random_logs.observe, 5),
    (random_logs.pass_time, 10),
)
