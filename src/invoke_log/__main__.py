"""`python -m invoke_log`: the command line."""

import sys

from invoke_log.surfaces.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
