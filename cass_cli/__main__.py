"""`cass` and `python -m cass_cli`."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from cass_cli.engine.signals import end_on_signal

        end_on_signal()  # before what takes its time to be imported
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it says so where it finds no home, and does without
        from cass_cli.reports.streams import close_streams, open_streams

        open_streams()
        from cass_cli.cli.fallback import allow_fallback

        allow_fallback()
        from cass_cli.cli.app import run

        code = close_streams(run(sys.argv[1:]))
    except KeyboardInterrupt:  # in one of the moments around
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
