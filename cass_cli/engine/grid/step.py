"""A job of a scheduler: a command line, which is stopped where the job is, and begun again where it is requeued.

This is all that is pickled, and by its name: whatever the command needs to know lies in the folder of runs.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from cass_cli.engine.signals import PASSED_ON

LOOK = 0.1  # seconds between two looks at the process


class Step:
    """Runs a command; submitit calls it, and `checkpoint` once the scheduler warns that the time is nearly up."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.process: subprocess.Popen[bytes] | None = None
        self.code: int | None = None
        self.stopped = False  # by SIGTERM, which is the end: it is not requeued

    def __call__(self) -> None:
        """Run the command to its end; raises `SystemExit` with its exit code where that is not 0."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=2)
        threading.Thread(target=self._wait, args=(self.process,), daemon=True).start()
        before = signal.signal(signal.SIGTERM, self._stop)  # of submitit, which only notes it
        told = False
        try:
            while self.code is None:
                if self.stopped and not told:
                    told = True
                    self.process.send_signal(PASSED_ON)
                time.sleep(LOOK)
        except BaseException:  # Ctrl-C, where no scheduler stands between
            self._have_it_saved()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        if self.code:
            sys.exit(self.code if self.code > 0 else 128 - self.code)

    def checkpoint(self) -> Any:
        """Have the command save and stop, wait for it, and return what to run in its place: the same once more."""
        from submitit.helpers import DelayedSubmission

        self._have_it_saved()
        return DelayedSubmission(Step(self.command))

    def _have_it_saved(self) -> None:
        if self.process is not None:
            self.process.send_signal(PASSED_ON)
            while self.code is None:
                time.sleep(LOOK)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """In a thread: a signal may come within a wait, and its handler has to wait too."""
        self.code = process.wait()

    def _stop(self, _number: int, _frame: Any) -> None:
        self.stopped = True
