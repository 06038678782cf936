"""`demo`: the whole story on real parts."""

from pathlib import Path

import click

from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.cli.session import Session, Verb
from invoke_log.surfaces.render import View


@click.command("demo", cls=Verb)
@click.option("--charges", type=int, default=1, show_default=True, metavar="N", help="How many orders.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("invoke-demo"),
    show_default=True,
    metavar="DIR",
    help="Where log, bundle and receipt are left.",
)
@click.pass_obj
def demo(session: Session, charges: int, out: Path) -> None:
    """Tell the whole story on real parts.

    A Stripe-compatible server, a lost answer, two agents, one charge; and without Invoke, two.

    \b
    Example: invoke-log demo --charges 3 --out shop
    """
    try:
        from invoke_log.surfaces.demo.story import tell
    except ModuleNotFoundError as error:
        raise ConfigInvalidError(
            f"the demo wants a package that is not here: {error}", hint='pip install "invoke-log[demo]"'
        ) from error
    result = tell(charges, out, _silent if session.json else click.echo)
    if session.json:
        session.say(View(fields=result.as_json(), text=""))


def _silent(line: str) -> None:
    """Say nothing: the result is all that is printed."""
