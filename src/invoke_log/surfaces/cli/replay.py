"""`replay`: judge a log again from its bytes."""

from pathlib import Path

import click

from invoke_log.audit import replay as audit
from invoke_log.audit.report import Report
from invoke_log.audit.source import open_source
from invoke_log.errors import MalformedError
from invoke_log.format.keys import VerifierKey
from invoke_log.surfaces.cli.argument import TRUST
from invoke_log.surfaces.cli.given import BUNDLE, advice_on
from invoke_log.surfaces.cli.session import Session, Verb, hint
from invoke_log.surfaces.outcomes import DONE, UNVERIFIED
from invoke_log.surfaces.query import pick
from invoke_log.surfaces.render import report_view


@click.command("replay", cls=Verb)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--trust",
    callback=TRUST,
    metavar="VKEY",
    help="The log's verifier key, as you got it elsewhere, or a file of such lines.",
)
@click.pass_obj
def replay(session: Session, path: Path, trust: tuple[VerifierKey, ...] | None) -> int:
    """Judge every event again, and print every effect.

    In order, from the bytes of a bundle or a log's directory, and of nothing else.

    The exit code is 3 where there is any error. Without --trust, a log that agrees with itself is no more than that.

    \b
    Example: invoke-log replay payments.bundle --trust payments.vkey
    """
    report = _judged(path, trust)
    session.say(report_view(report, effects=True))
    advice = advice_on(path, wanted=BUNDLE)
    if not report.ok and advice is not None:
        hint(advice)
    return DONE if report.ok else UNVERIFIED


def _judged(path: Path, trust: tuple[VerifierKey, ...] | None) -> Report:
    """The report. The origin that a source claims for itself only chooses among keys that are all trusted."""
    try:
        with open_source(path) as source:  # once: a pipe does not open again
            return audit.replay(source, trust=pick(trust, source.origin))
    except MalformedError as error:
        return audit.unreadable(error)
