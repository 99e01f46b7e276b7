"""A checkout of cass to put questions to, in one process that is started again if it dies."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

WORKER = Path(__file__).with_name("worker.py")
PATIENCE = 120.0  # seconds
_CLASS_ROW = re.compile(r"( +[\d,]+){4} *$")


@dataclass(frozen=True)
class Said:
    """The exit code and all words of one command; `code` is None where it died or took too long."""

    code: int | None
    out: str
    err: str

    @property
    def words(self) -> str:
        """Everything printed but the rows of the table of classes, which name them all, on one line."""
        lines = [line for line in self.out.splitlines() if not _CLASS_ROW.search(line)]
        return " ".join(" ".join([*lines, self.err]).split())


class Cass:
    """`ask` runs `cass …` of the checkout at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Cass:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def environment(self, *before: str) -> dict[str, str]:
        """Return the environment in which this checkout is what `import cass_cli` finds, after `before`."""
        path = os.pathsep.join([*before, str(self.path)])
        return os.environ | {"PYTHONPATH": path, "COLUMNS": "400", "NO_COLOR": "1", "TERM": "dumb"}

    def ask(self, arguments: list[str]) -> Said:
        """Run one command in the shared process."""
        process = self._running()
        assert process.stdin and process.stdout, "both are pipes"
        try:
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            line = process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line, ready = "", [process.stdout]
        if not line:
            self._end()
            return Said(None, "", "the process died" if ready else f"no answer in {PATIENCE:.0f} s")
        said = json.loads(line)
        return Said(said["code"], said["out"], said["err"])

    def run(self, arguments: list[str], *, cwd: Path, before: str = "", patience: float = PATIENCE) -> Said:
        """Run one command in a process and a folder of its own; `before` comes first on PYTHONPATH."""
        command = [sys.executable, "-m", "cass_cli", *arguments]
        environment = self.environment(*([before] if before else []))
        try:
            done = subprocess.run(
                command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=patience, check=False
            )
        except subprocess.TimeoutExpired:
            return Said(None, "", f"no end in {patience:.0f} s")
        return Said(done.returncode, done.stdout, done.stderr)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=self.environment(),
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
