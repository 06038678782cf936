"""vectors/replay: whole logs as bundles, each with the report that every honest reader gives.

The logs are told in the modules beside this one whose names begin with an underscore; `_story` says how a case is made.
"""

from vectors.generate import (
    _budgets,
    _edges,
    _files,
    _governing,
    _grades,
    _guards,
    _intents,
    _lives,
    _presences,
    _proofs,
    _recoveries,
    _remarks,
)
from vectors.generate import _wire as wire
from vectors.generate._wire import Case

AREAS = ("replay",)


STORIES = (
    _lives,
    _presences,
    _intents,
    _guards,
    _proofs,
    _grades,
    _recoveries,
    _governing,
    _remarks,
    _budgets,
    _edges,
    _files,
)


def generate() -> dict[str, bytes]:
    cases: dict[str, Case] = {}
    for stories in STORIES:
        for name, case in stories.cases():
            assert name not in cases, name
            cases[name] = case
    return wire.files("replay", cases)
