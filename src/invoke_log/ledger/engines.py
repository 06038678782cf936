"""The policy engines that are at hand beside `rules/1`: what the installed extras bring."""

from functools import cache
from typing import Final

from invoke_log.errors import PolicyInvalidError
from invoke_log.rules.policy import ENGINE, Engines, Policy

EXTRAS: Final = {"cedar/4": "cedar"}
"""The extra of this package that brings an engine."""


@cache
def engines() -> Engines:
    """Return them by name. Without an engine's extra, its verdicts are not checked, and none is given."""
    try:
        from invoke_log.ledger.cedar import NAME, Cedar
    except ImportError:
        return {}
    return {NAME: Cedar()}


def check_policy(policy: Policy) -> None:
    """Raise PolicyInvalidError unless this program can judge by a policy: its engine is here and takes its source."""
    if policy.engine == ENGINE:
        return
    engine = engines().get(policy.engine)
    if engine is None:
        extra = EXTRAS.get(policy.engine)
        raise PolicyInvalidError(
            f"policy engine {policy.engine!r} is not here: every call would be denied",
            hint=f'pip install "invoke-log[{extra}]"'
            if extra
            else f"this program has {ENGINE} and {', '.join(EXTRAS)}",
        )
    engine.check(policy.data["source"])
