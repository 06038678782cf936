"""`verify`: whether a log's bytes hold together, and hold against what somebody else has kept."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final, cast

import click

from invoke_log.audit import replay as audit
from invoke_log.audit.agreement import Agreement, compare
from invoke_log.audit.report import ERROR
from invoke_log.surfaces.cli.given import BUNDLE, advice_on, read_again
from invoke_log.surfaces.cli.session import Session, Verb, hint, warn
from invoke_log.surfaces.outcomes import DONE, UNVERIFIED
from invoke_log.surfaces.render import View, finding_line, report_view, shown

EQUIVOCATION: Final = "equivocation"
"""The code of the finding that two views of a log cannot both be true."""
_PATH = click.Path(exists=True, path_type=Path)


@click.command("verify", cls=Verb)
@click.argument("path", type=_PATH)
@click.option(
    "--against", metavar="OTHER", type=_PATH, help="A bundle, a log's directory or a checkpoint that you kept."
)
@click.pass_obj
def verify(session: Session, path: Path, against: Path | None) -> int:
    """Check that a bundle or a log holds together.

    Bytes, ids, signatures, chains, tree, checkpoint: whatever "replay" finds, without the effects.

    With --against, the exit code is 3 too where the two cannot both be true: another root for one size, or the
    smaller is not the beginning of the larger.

    \b
    Example: invoke-log verify payments --against payments.checkpoint
    """
    with ExitStack() as kept:
        given, path = path, kept.enter_context(read_again(path))
        report = audit.replay(path)
        agreement = compare(path, kept.enter_context(read_again(against))) if against is not None else None
        ok = report.ok and (agreement is None or agreement.agrees is not False)
        view = report_view(report, effects=False, ok=ok)
        if agreement is not None:
            view = _with_agreement(view, agreement)
            if agreement.agrees is None:
                warn(f"not decided: {agreement.reason}")
        session.say(view)
        advice = advice_on(path, wanted=BUNDLE, given=given)
        if not ok and advice is not None:
            hint(advice)
        return DONE if ok else UNVERIFIED


def _with_agreement(view: View, agreement: Agreement) -> View:
    """Add what the comparison shows, as a finding too where the two cannot both be true."""
    found = {"size": agreement.size, "agrees": agreement.agrees, "index": agreement.index, "reason": agreement.reason}
    fields = {**view.fields, "against": found}
    word = {True: "agrees", False: "cannot both be true", None: "not decided"}[agreement.agrees]
    lines = [view.text, f"against     {word}: {shown(agreement.reason)}"]
    if agreement.agrees is False:
        finding = {"code": EQUIVOCATION, "severity": ERROR, "index": agreement.index, "message": agreement.reason}
        fields["findings"] = [*cast("list[object]", view.fields["findings"]), finding]
        lines.append(finding_line(ERROR, EQUIVOCATION, index=agreement.index, message=agreement.reason))
    return View(fields=fields, text="\n".join(lines))
