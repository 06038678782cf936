"""Pure functions whose answers are remembered: a process decodes each body once, and verifies each signature once.

What runs is the product's own code all the same, and what is remembered is what it said. That the histories are those
of a run that remembers nothing, step by step, is tested.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from invoke_log.format import keys
from invoke_log.format.envelope import decode_body
from invoke_log.rules.event import parse_event
from invoke_log.rules.governance import govern
from invoke_log.rules.intent import rederive

ANSWERS_MAX: Final = 4_096
"""Answers of one function that are kept: those about the leaves of some fifty runs. Then it begins anew."""
PURE: Final[tuple[tuple[Callable[..., Any], Callable[..., object]], ...]] = (
    (decode_body, lambda body: body),
    (parse_event, lambda fields, event_id: event_id),  # which is the hash of what the fields are decoded from
    (rederive, lambda contract, intent: (contract.id, id(intent))),
    (govern, lambda known, event, *, index, root: (id(known), event.id, index, root and root())),
    (keys.verify, lambda key, message, signature: (key, message, signature)),
)
"""Each function, and what of its arguments decides."""


@contextmanager
def remembered() -> Iterator[None]:
    """Have the answers of these functions remembered, whoever in this process asks."""
    stands = [
        (module, name, function, once)
        for function, once in [(function, asked_once(function, key)) for function, key in PURE]
        for module in list(sys.modules.values())
        for name, value in list(vars(module).items())
        if value is function and module is not sys.modules[__name__]
    ]
    for module, name, _, once in stands:
        setattr(module, name, once)
    try:
        yield
    finally:
        for module, name, function, _ in stands:
            setattr(module, name, function)


def asked_once(function: Callable[..., Any], key: Callable[..., object]) -> Callable[..., Any]:
    """A pure function that is asked once for each key. What it raises it raises again."""
    answers: dict[object, tuple[Any, Any]] = {}

    def asked(*arguments: Any, **named: Any) -> Any:
        of = key(*arguments, **named)
        if of not in answers:
            if len(answers) >= ANSWERS_MAX:
                answers.clear()
            # The arguments stay, so that no other thing gets the identity of one of them.
            answers[of] = arguments, function(*arguments, **named)
        return answers[of][1]

    return asked
