"""A third party: it has a bundle, receipts and the origin's public key, and no log, no provider and nobody to ask.

Run as `python -m invoke_log.surfaces.demo.third_party --bundle FILE --trust VKEY RECEIPT …`. It replays the bundle,
verifies each receipt, and says one JSON line about either.
"""

import argparse
from pathlib import Path

import invoke_log as il
from invoke_log.surfaces.demo.processes import say


def main() -> None:
    parser = argparse.ArgumentParser(description="judge a log from the outside")
    parser.add_argument("--bundle", required=True, type=Path, metavar="FILE")
    parser.add_argument("--trust", required=True, metavar="VKEY", help="the origin's public key")
    parser.add_argument("receipts", type=Path, metavar="RECEIPT", nargs="+")
    options = parser.parse_args()
    trust = il.parse_verifier_key(options.trust)
    report = il.replay(options.bundle, trust=trust)
    say(
        ok=report.ok,
        trusted=report.trusted,
        size=report.size,
        covered=report.covered,
        findings=[f"{finding.code}: {finding.message}" for finding in report.findings],
        effects=[
            {
                "purpose": effect.purpose,
                "status": effect.status,
                "attempts": effect.attempts,
                "relies_on": effect.relies_on,
            }
            for effect in report.effects
        ],
    )
    for path in options.receipts:
        # A receipt that does not verify is an exception, and this process ends badly.
        verified = il.verify_receipt(path.read_bytes(), trust=trust)
        say(receipt=str(path), trusted=verified.trusted, status=verified.effect.status, purpose=verified.effect.purpose)


if __name__ == "__main__":
    main()
