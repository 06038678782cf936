"""A reconciler: it asks the provider about every open effect, with a key of its own, and appends what it was shown.

Run like an agent, without orders. It sends nothing, and says what became of each effect, one JSON line each.
"""

from invoke_log.surfaces.demo.charging import Options, open_guard, option_parser
from invoke_log.surfaces.demo.processes import say


def main() -> None:
    options = option_parser("settle what is unknown by asking the provider").parse_args(namespace=Options())
    with open_guard(options) as guard:
        for looked in guard.reconciled():
            say(
                name=options.name,
                effect_key=looked.effect_key,
                probe=looked.probe,
                status=looked.status,
                not_before=looked.not_before,
                note=looked.note,
            )


if __name__ == "__main__":
    main()
