"""What stdout and stderr may be, and which signal may come, when `cass` is a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TINY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix")
CASS = f"{sys.executable} -m cass_cli"


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = f"set -o pipefail; {command}"
    environment = os.environ | variables
    how: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "errors": "backslashreplace"}
    return subprocess.run(["bash", "-c", script], check=False, env=environment, **how)


def test_closed_streams_and_readers_that_left_are_no_error() -> None:
    for command in ("presets >&-", "presets >&- 2>&-", "presets show demo | true"):
        done = shell(f"{CASS} {command}")
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
def test_a_full_stdout_is_one_line() -> None:
    for command in ("presets", "--version"):
        done = shell(f"{CASS} {command} > /dev/full")
        assert (done.returncode, done.stderr) == (2, "Error: stdout cannot be written: No space left on device.\n")
    assert shell(f"{CASS} presets show nothing 2> /dev/full").returncode == 2
    assert shell(f"{CASS} presets 2> /dev/full").returncode == 0


def test_a_training_goes_on_when_nobody_reads_it(tmp_path: Path, class_folders: Path) -> None:
    options = " ".join(TINY)
    done = shell(f"{CASS} pretrain {options} --data {class_folders} --runs {tmp_path} --name p | true")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "p" / "summary.json").is_file()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_a_stream_cannot_show_is_replaced(encoding: str, tmp_path: Path, class_folders: Path) -> None:
    images = class_folders.rename(tmp_path / "Ωmega")
    for command in (f"inspect {images}", "pretrain --help", f"inspect {tmp_path / 'nicht da: Ω'}"):
        done = shell(f"{CASS} {command}", PYTHONIOENCODING=encoding)
        assert "fault of cass" not in done.stderr, command
        assert "?" in done.stdout + done.stderr or "help" in command, command
        assert done.returncode == (2 if "da:" in command else 0), done.stderr


HELD = """
import os, sys, time
class Held:
    def find_spec(self, name, path=None, target=None):
        if name == "cass_cli.cli.app":
            os.write(2, b"importing\\n")
            time.sleep(1)
sys.meta_path.insert(0, Held())
sys.argv = ["cass", "inspect", os.devnull]
from cass_cli.__main__ import main
main()
"""


def ended(number: signal.Signals, **how: Callable[[], object]) -> tuple[int, str]:
    """Start a command, send it a signal while it imports, and return its exit code and what it said."""
    process = subprocess.Popen([sys.executable, "-c", HELD], stderr=subprocess.PIPE, text=True, **how)
    assert process.stderr is not None
    assert process.stderr.readline() == "importing\n"
    process.send_signal(number)
    said = process.communicate()[1]
    return process.returncode, said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU"])
def test_a_signal_while_things_are_imported_ends_quietly(name: str) -> None:
    code, said = ended(getattr(signal, name))
    assert code == 128 + getattr(signal, name)
    assert said.startswith("Interrupted: stopped.\n")
    assert "Traceback" not in said


def test_a_signal_that_asks_for_a_checkpoint_never_kills() -> None:
    code, said = ended(signal.SIGUSR1)
    assert code == 2
    assert os.devnull in said


def test_nohup_is_heeded() -> None:
    assert ended(signal.SIGHUP, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))[0] == 2
