"""`cass` and `python -m cass_cli`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # Read when torch is loaded: threads that wait for each other sleep instead of spinning in the way of the one that
    # makes the next batch, which is a little faster (benchmarks/neighbours.py).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from cass_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
