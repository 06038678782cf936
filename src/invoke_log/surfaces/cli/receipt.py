"""`receipt make`, `receipt verify`: what a third party needs to check one effect."""

from pathlib import Path
from typing import Final

import click

from invoke_log.errors import InvokeLogError
from invoke_log.format.keys import VerifierKey
from invoke_log.surfaces.cli.argument import EFFECT, TRUST
from invoke_log.surfaces.cli.given import RECEIPT, advice_on
from invoke_log.surfaces.cli.output import output
from invoke_log.surfaces.cli.session import Session, Verbs
from invoke_log.surfaces.query import verified
from invoke_log.surfaces.render import View

PROVES_NOTHING: Final = (
    'it proves nothing: see that --trust is its log\'s key; that log makes a new one with "invoke-log receipt make"'
)


@click.group("receipt", cls=Verbs)
def receipt() -> None:
    """Make receipts of effects, and check them offline."""


@receipt.command("make")
@click.argument("effect", callback=EFFECT)
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to, or - for stdout.",
)
@click.pass_obj
def make(session: Session, effect: bytes, out: Path) -> None:
    """Write the receipt of an effect as it stands.

    Its events, their proofs, a checkpoint, and the governance that they rest on.

    \b
    Example: invoke-log receipt make eff_4dbb… -o order-789.receipt
    """
    with session.open() as log, output(out) as write:
        write(log.receipt(effect))


@receipt.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--trust", required=True, callback=TRUST, metavar="VKEY", help="The log's verifier key, or a file of such lines."
)
@click.pass_obj
def verify(session: Session, file: Path, trust: tuple[VerifierKey, ...]) -> None:
    """Check a receipt offline.

    Prints what it proves, on what evidence, and what was not checked.

    \b
    Example: invoke-log receipt verify order-789.receipt --trust payments.vkey
    """
    try:
        with file.open("rb") as stream:
            view = verified(stream, trust)
    except InvokeLogError as error:
        if session.json:
            finding = {"code": error.code, "severity": "error", "index": None, "message": error.message}
            session.say(View(fields={"ok": False, "trusted": False, "findings": [finding]}, text=""))
        error.hint = advice_on(file, wanted=RECEIPT) or error.hint or PROVES_NOTHING
        raise
    session.say(view)
