"""Runs the tutorial's commands on the demo, in order, and keeps what each prints: `make captured`, some minutes.

A command is a `sh` block of docs/tutorial.md that a line `[Output](captured/NAME.txt)` follows. They run in one empty
folder, as a reader would type them: 100 columns, no colour, one thread, a cache of their own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.tools.places import REPO

TUTORIAL = REPO / "docs" / "tutorial.md"
SHOWN = re.compile(r"^```sh\n(cass .+)\n```\n\n\[Output\]\((captured/[\w-]+\.txt)\)$", re.MULTILINE)


def shown_commands() -> list[tuple[str, Path]]:
    """Return each command whose output the tutorial shows, and the file of that output."""
    found = SHOWN.findall(TUTORIAL.read_text(encoding="utf-8"))
    return [(command, REPO / "docs" / file) for command, file in found]


def capture() -> None:
    """Run them all; stop at the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            **{"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(REPO), "PYTHONUNBUFFERED": "1"},
            **{"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CASS_CACHE": str(Path(folder) / "cache")},
        }
        for command, file in shown_commands():
            sys.stdout.write(f"{command}\n")
            sys.stdout.flush()
            words = [sys.executable, "-m", "cass_cli", *shlex.split(command)[1:]]
            done = subprocess.run(
                words,
                cwd=folder,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stdout)
            lines = done.stdout.replace(f"{folder}/cache", "~/.cache/cass").replace(f"{folder}/", "").splitlines()
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(f"{line.rstrip()}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    capture()
