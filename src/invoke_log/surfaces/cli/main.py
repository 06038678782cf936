"""`invoke-log`: its verbs."""

import sys
from collections.abc import Sequence
from importlib import metadata

import click

from invoke_log.surfaces.cli.append import append
from invoke_log.surfaces.cli.approvals import approvals, approve, deny
from invoke_log.surfaces.cli.attest import attest
from invoke_log.surfaces.cli.checkpoint import checkpoint
from invoke_log.surfaces.cli.contract import contract
from invoke_log.surfaces.cli.demo import demo
from invoke_log.surfaces.cli.doctor import doctor
from invoke_log.surfaces.cli.export import export
from invoke_log.surfaces.cli.frame import PROGRAM, run
from invoke_log.surfaces.cli.freeze import freeze, unfreeze
from invoke_log.surfaces.cli.gateway import gateway
from invoke_log.surfaces.cli.grant import grant, revoke
from invoke_log.surfaces.cli.init import init
from invoke_log.surfaces.cli.key import key
from invoke_log.surfaces.cli.mcp import mcp
from invoke_log.surfaces.cli.policy import policy
from invoke_log.surfaces.cli.receipt import receipt
from invoke_log.surfaces.cli.reconcile import reconcile
from invoke_log.surfaces.cli.recover import recover
from invoke_log.surfaces.cli.replay import replay
from invoke_log.surfaces.cli.session import Verbs
from invoke_log.surfaces.cli.show import listing, show, status
from invoke_log.surfaces.cli.snapshot import snapshot
from invoke_log.surfaces.cli.tail import tail
from invoke_log.surfaces.cli.verify import verify


def _version() -> str:
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "not installed"


@click.group(
    cls=Verbs,
    name=PROGRAM,
    epilog='Completion: eval "$(_INVOKE_LOG_COMPLETE=bash_source invoke-log)"; or zsh_source, fish_source.',
)
@click.version_option(_version())
def cli() -> None:
    """An append-only, signed event log of what agents decided, tried and did, which anybody can replay.

    stdout is data; stderr has error, warning and hint. Exit codes: 0 done, 2 usage, 3 does not verify, 4 denied or
    refused, 5 approval pending, 6 blocked, 7 outcome unknown, 8 unavailable: safe to ask again.
    """


for each in (
    *(init, key, grant, revoke, contract, freeze, unfreeze, policy, append),
    *(approvals, approve, deny),
    *(listing, show, status, tail, reconcile, attest),
    *(checkpoint, export, verify, replay, receipt, snapshot, recover, mcp, gateway, doctor, demo),
):
    cli.add_command(each)
for each in (freeze, unfreeze):
    contract.add_command(each)


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of one command line; without `argv`, of this process's own."""
    return run(cli, sys.argv[1:] if argv is None else argv)
