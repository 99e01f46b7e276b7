"""Run `cass` many times in one process: a JSON line of arguments in, a JSON line of what it answered out.

The checkout to be measured is on PYTHONPATH. Importing cass takes seconds, a look at thirty images hundredths.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries write to the real stdout must not mix with the answers
    from cass_cli.cli.app import run

    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = run(json.loads(line))
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except Exception:  # a crash is an outcome too, and is told as one
                code = -1
                traceback.print_exc()
        answers.write(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
