"""Doing the tasks of a grid on this machine: each in a process of its own, one after another, or one a GPU.

What a task printed is in logs/NAME.log, how it ended in tasks/NAME.json. Stopping this process stops the tasks, which
save; killing it does not: the next call waits for a run that is still worked on.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cass_cli.engine.grid.tasks import DONE, Task
from cass_cli.engine.signals import PASSED_ON, StopRequest, stop_on_signal
from cass_cli.errors import RunError
from cass_cli.files import cannot_write, write_json
from cass_cli.runs.writers import BusyError, writing_run
from cass_cli.words import shown

LOOK = 0.1  # seconds between two looks at a process
BUSY = 2.0  # and at a run that another process works on
ROOM = 50_000_000  # bytes that have to be free on the disk for a task to begin
SAID = 4_000  # bytes at the end of a log, in which the reason of a failure stands
PROGRAM = ("-m", "cass_cli")  # to Python
GPUS = "CUDA_VISIBLE_DEVICES"
FAILED, RUNNING, STOPPED = "failed", "running", "stopped"


@dataclass(frozen=True)
class Ended:
    """How a task ended."""

    task: Task
    code: int  # of its process; None in place of one that never began
    seconds: float
    reason: str = ""  # of a failure, in its own words
    log: Path | None = None


class GridWatcher(Protocol):
    """Is told of tasks as they begin and end, from several threads."""

    def began(self, task: Task, gpu: str) -> None: ...
    def waits(self, task: Task) -> None: ...
    def queued(self, tasks: int) -> None: ...
    def ended(self, ended: Ended) -> None: ...


@dataclass(frozen=True)
class Records:
    """Where a grid keeps what it knows: `RUNS/NAME.grid/`."""

    folder: Path

    def log(self, task: Task) -> Path:
        """Return the file with what a task printed."""
        return self.folder / "logs" / f"{task.name}.log"

    def state(self, task: Task) -> Path:
        """Return the file that says how a task ended."""
        return self.folder / "tasks" / f"{task.name}.json"

    def told(self, task: Task) -> dict[str, Any]:
        """Return what is known of a task: state, seconds, code; {} where it was never begun."""
        with suppress(OSError, ValueError):
            found = json.loads(self.state(task).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}


def run_tasks(
    chains: Sequence[Sequence[Task]], records: Records, *, watch: GridWatcher, gpus: Sequence[str] = ()
) -> list[Ended]:
    """Do what is not done of each chain, in order; return how each task that was begun ended.

    A task that fails takes with it those that need it, and no others. With `gpus` each has a chain at a time. Raises
    `Interrupted` when this process is stopped, after the tasks have saved, and `RunError` on a full disk.
    """
    waiting: queue.SimpleQueue[Sequence[Task]] = queue.SimpleQueue()
    for chain in chains:
        waiting.put(chain)
    ended: list[Ended] = []
    faults: list[BaseException] = []
    with stop_on_signal() as stop:
        lanes = [
            threading.Thread(target=_lane, args=(waiting, records, watch, gpu, stop, ended, faults), daemon=True)
            for gpu in gpus or ("",)
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            while lane.is_alive():
                lane.join(LOOK)  # so that this thread, which handles signals, is never blocked for long
        stop.check()
    if faults:
        raise faults[0]
    return ended


def _lane(
    waiting: queue.SimpleQueue[Sequence[Task]],
    records: Records,
    watch: GridWatcher,
    gpu: str,
    stop: StopRequest,
    ended: list[Ended],
    faults: list[BaseException],
) -> None:
    """Do one chain after another until none waits."""
    try:
        while not stop and not faults:
            _chain(waiting.get_nowait(), records, watch, gpu, stop, ended)
    except queue.Empty:
        return
    except BaseException as fault:
        faults.append(fault)


def _chain(
    chain: Sequence[Task], records: Records, watch: GridWatcher, gpu: str, stop: StopRequest, ended: list[Ended]
) -> None:
    failed: set[str] = set()
    for task in chain:
        if stop or "pretrain" in failed or (task.kind == "evaluate" and not all(t.finished for t in task.all_trials())):
            continue
        if task.state == DONE:
            continue
        found = _attempt(task, records, watch, gpu, stop)
        if stop:
            return
        if not found:
            continue
        if found.code:
            failed.add(task.kind)
        ended.append(found)
        watch.ended(found)


def _attempt(task: Task, records: Records, watch: GridWatcher, gpu: str, stop: StopRequest) -> Ended | None:
    """Do a task, unless another process does; then return None.

    One that outlived a grid may still be starting when this one looks, and be in the way of its own then: that is no
    failure.
    """
    while True:
        _wait_for_others(task, watch, stop)
        if stop or task.state == DONE:  # meanwhile
            return None
        watch.began(task, gpu)
        found = _without_start(task, records) if task.lacks_start else run_task(task, records, stop, gpu=gpu)
        if stop or not found.code or not (task.state == DONE or at_work(task)):
            return found


def _without_start(task: Task, records: Records) -> Ended:
    """Say of a fine-tuning that what it starts from is not there, as where its pretraining failed in another job."""
    found = Ended(task, 2, 0.0, f"{task.run.path} is not pretrained", records.log(task))
    records.state(task).parent.mkdir(parents=True, exist_ok=True)
    write_json(records.state(task), {"state": FAILED, "code": found.code, "seconds": 0.0, "reason": found.reason})
    return found


def run_task(task: Task, records: Records, stop: StopRequest, *, gpu: str = "") -> Ended:
    """Do one task in a process of its own, stop it where this one is stopped, keep what it said and how it ended."""
    command = task.command()
    arguments = [sys.executable, *PROGRAM, *command]
    log, state = records.log(task), records.state(task)
    told: dict[str, Any] = {"state": RUNNING, "began": f"{datetime.now():%Y-%m-%d %H:%M:%S}", "pid": os.getpid()}
    told["command"] = ["cass", *command]
    began = time.monotonic()
    try:
        for path in (log, state):
            path.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(log.parent).free) < ROOM:
            raise RunError(
                f"The disk of {records.folder} is full: {free / 1e6:,.0f} MB are free.",
                hint="Free some, then do the same again: it goes on.",
            )
        write_json(state, told)
        with log.open("ab") as file:
            file.write(f"\n$ {shlex.join(told['command'])}\n".encode())
            file.flush()
            code = _watched(arguments, file.fileno(), gpu, stop)
    except OSError as error:
        raise cannot_write(log, error) from error
    seconds = time.monotonic() - began
    reason = _reason(log, code) if code else ""
    end = DONE if not code else STOPPED if stop else FAILED
    told |= {"state": end, "code": code, "seconds": round(seconds, 1), "reason": reason}
    write_json(state, told)
    return Ended(task, code, seconds, reason, log)


def _watched(arguments: Sequence[str], output: int, gpu: str, stop: StopRequest) -> int:
    """Return the exit code of a process, which is stopped where this one is."""
    own = {GPUS: gpu} if gpu else {}
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **own},
        start_new_session=True,
    ) as process:
        told, saves = False, stop.saves
        while process.poll() is None:
            if stop and not told:
                told = True
                process.send_signal(PASSED_ON)
            elif saves < stop.saves:
                saves = stop.saves
                process.send_signal(stop.saving)
            time.sleep(LOOK)
        return process.returncode


def _wait_for_others(task: Task, watch: GridWatcher, stop: StopRequest) -> None:
    """Wait while another process works on the task's run: one that outlived the grid that began it, or somebody's."""
    told = False
    while not stop and at_work(task):
        if not told:
            watch.waits(task)
            told = True
        time.sleep(BUSY)


def at_work(task: Task) -> bool:
    """Return whether some process works on the task's run."""
    try:
        with writing_run(task.run.path):
            return False
    except BusyError:
        return True


def _reason(log: Path, code: int) -> str:
    """Return why a task failed: a signal, what stands behind the last `Error:` in its log, else its last line."""
    if code < 0:
        return f"it was ended by signal {-code}{', perhaps for want of memory' if code == -9 else ''}"
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - SAID))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    at = next((i for i in reversed(range(len(lines))) if lines[i].startswith("Error:")), len(lines) - 1)
    return shown(" ".join(lines[at : at + 2]), 300) if lines else ""
