"""`policy set | show | simulate | backtest`: the rules that judge decisions."""

from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import click

from invoke_log.audit.backtest import backtest as run_backtest
from invoke_log.errors import (
    ArgumentInvalidError,
    ContractInvalidError,
    MalformedError,
    NotFoundError,
    PolicyInvalidError,
    SnapshotInvalidError,
)
from invoke_log.guard.registry import read_map
from invoke_log.ledger.engines import check_policy, engines
from invoke_log.log.file import TEXT_BYTES_MAX, read_file
from invoke_log.log.home import read_attachment
from invoke_log.rules.policy import Policy, complete_policy, parse_policy
from invoke_log.surfaces.cli.session import Session, Verbs, complain
from invoke_log.surfaces.cli.stream import lines_of
from invoke_log.surfaces.cli.submit import submit
from invoke_log.surfaces.outcomes import EXIT_CODES, worst
from invoke_log.surfaces.render import View, backtest_view, policy_view
from invoke_log.surfaces.simulation import simulated

HOW_POLICIES_ARE_WRITTEN: Final = (
    'docs/guides/policies.md shows how one is written; "invoke-log policy show" prints the one in force'
)
NOT_JUDGED: Final = (MalformedError, NotFoundError, ArgumentInvalidError, SnapshotInvalidError)
"""What one line of many may say wrong: the others are judged all the same."""


@click.group("policy", cls=Verbs)
def policy() -> None:
    """Set the policy, and try it.

    Rules in order: the first that matches allows, denies or asks.
    """


@policy.command("set")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def set_policy(session: Session, file: Path) -> int:
    """Put a policy in force.

    FILE is TOML or JSON. The admin key signs.

    \b
    Example: invoke-log policy set ask-above-100.toml
    """
    data = load_policy(file)
    with session.open() as log:
        return submit(session, log, data, session.signer("admin"))


@policy.command("show")
@click.pass_obj
def show(session: Session) -> None:
    """Print the policy in force."""
    with session.open_to_read() as log:
        found = log.governance.policy
    if found is None:
        raise NotFoundError("no policy is in force: every call is denied", hint='put one in force with "policy set"')
    session.say(policy_view(found, in_force=True))


@policy.command("simulate")
@click.argument("file", type=click.File("rb", lazy=True))
@click.pass_obj
def simulate(session: Session, file: BinaryIO) -> int:
    """Judge calls by the policy in force, and append nothing.

    FILE, or - for stdin, holds one call a line: {"contract": name, "arguments": {…}}, with "snapshot": {…} where the
    contract has a profile, and "issuer": "key_…" where it is not the agent key's. The exit code is that of the worst
    line: 0 allow, 4 deny, 5 ask. A line that cannot be judged is an error, and the others are judged all the same. It
    also says where no intent would be accepted whatever the policy answers: under a freeze, or a contract that is
    withdrawn or superseded.

    \b
    Example: echo '{"contract":"charge_customer","arguments":{"order":"789"}}' | invoke-log policy simulate -
    """
    codes = []
    with session.open_to_read() as log:
        lines = (line for batch in lines_of(file) for line in batch)
        for number, line in enumerate(lines, 1):
            try:
                with log.world() as world:
                    verdict, view = simulated(world, line, lambda: session.signer("agent").public_key)
                session.say(view)
                codes.append(EXIT_CODES[verdict])
            except NOT_JUDGED as error:
                session.say(View(fields={"verdict": None, "code": error.code, "reason": error.message}, text=""))
                complain(f"call {number}: {error.message}", error.hint)
                codes.append(EXIT_CODES[error.code])
    return worst(codes)


@policy.command("backtest")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def backtest(session: Session, file: Path) -> None:
    """Judge every decision on the log by a policy that is not in force, and print what would have been otherwise.

    FILE is as for "policy set". Nothing is appended, and the exit code is 0 whatever would have changed. Calls that
    were denied are on the log without their arguments: they are counted, and not judged.

    \b
    Example: invoke-log policy backtest ask-above-50.toml
    """
    data = load_policy(file)
    with session.open_to_read() as log:
        found = run_backtest(log.entries(), data, attachment=partial(read_attachment, log.path), engines=engines())
    session.say(backtest_view(found))


def load_policy(file: Path) -> Policy:
    """Return the policy in a TOML or JSON file, checked by its engine.

    Raises: PolicyInvalidError: it is none, its engine refuses it, or its engine is not here.
    """
    try:
        raw = read_file(file, "policy", bytes_max=TEXT_BYTES_MAX, wrong=PolicyInvalidError)
        data = parse_policy(complete_policy(read_map(raw, file.suffix, f"policy {file}")))
        check_policy(data)
    except (ContractInvalidError, MalformedError, PolicyInvalidError) as error:  # so is called what is no such text
        raise PolicyInvalidError(error.message, hint=error.hint or HOW_POLICIES_ARE_WRITTEN) from error
    return data
