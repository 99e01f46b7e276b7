"""Attacks by other processes: two on one run, and signals at each phase."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.faults.attacks_changed import LONG, LONG_PAPER
from tests.faults.outcome import Attack, Result
from tests.faults.world import GO_ON, JOBS, NEW, PAPER, Job, World, differences, prepare, results

REPO = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds for a process to come to a place
LOG = "cass_cli.runs.directory:Run.log"
ALONE = next(job for job in JOBS if job.name == "alone-paper")
OTHER = ("finetune", "--runs", "{runs}", *PAPER, "--variant", "other")


class Process:
    """A `cass` that waits at one place."""

    def __init__(self, world: World, command: Sequence[str], place: str, number: int = 1) -> None:
        self.folder = world.base / "paused"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.log = self.folder / "said"
        environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        start = [sys.executable, "-m", "tests.faults.paused", str(self.folder), place, str(number)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*start, *world.filled(command)],
                cwd=world.work,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def arrive(self) -> None:
        """Wait until it has come to the place."""
        until = time.monotonic() + PATIENCE
        while not (self.folder / "there").exists():
            assert self.process.poll() is None, f"ended before the place: {self.said()}"
            assert time.monotonic() < until, "it does not come to the place"
            time.sleep(0.02)

    def end(self) -> int:
        """Let it go on to its end, and return its exit code."""
        (self.folder / "go").touch()
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def paused(world: World, command: Sequence[str], place: str = LOG, number: int = 2) -> Iterator[Process]:
    """A process that has come to the place; killed if the block leaves it there."""
    process = Process(world, command, place, number)
    try:
        process.arrive()
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.process.kill()
        process.process.wait()


# ---- two on one run ----

FINETUNE = LONG_PAPER.command
PAIRS: dict[str, tuple[Job, Sequence[str]]] = {
    "overwrite of a running run": (LONG, (*NEW, "--overwrite")),
    "start of a running run": (LONG, NEW),
    "resume of a running run": (LONG, GO_ON),
    "fine-tuning of a running run": (LONG, ("finetune", "--runs", "{runs}", *PAPER)),
    "overwrite of a run under its fine-tuning": (LONG_PAPER, (*NEW, "--overwrite")),
    "resume of a run under its fine-tuning": (LONG_PAPER, (*GO_ON, "--epochs", "3")),
    "overwrite of a running fine-tuning": (LONG_PAPER, (*FINETUNE, "--overwrite")),
    "resume of a running fine-tuning": (LONG_PAPER, LONG_PAPER.resume),
    "overwrite of a running run without pretraining": (ALONE, (*ALONE.command, "--overwrite")),
    "pretraining in a running run without pretraining": (ALONE, (*NEW, "--name", "d", "--overwrite")),
}
"""The job whose process is paused after its first epoch, and what a second process tries."""


def pairs(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    for name, (job, second) in list(PAIRS.items())[:sample]:
        yield Attack("two processes", f"pairs/{name.replace(' ', '-')}", partial(_second, world, job, second), name)
    for name, run in (
        ("two fine-tunings beside each other", _beside),
        ("two starts of one name", _two_starts),
        ("kill -9 and resume at once", _kill_9),
        ("report of a running run", _read),
    ):
        if sample is None:
            yield Attack("two processes", f"pairs/{name.replace(' ', '-')}", partial(run, world), name)


def _second(world: World, job: Job, second: Sequence[str]) -> Result:
    """The second is told who holds the run, and the first ends as if nothing had been."""
    wanted = results(world, job)
    prepare(world, job)
    with paused(world, job.command) as first:
        before = world.seen()
        outcome = world.run(second)
        changed = differences(before, world.seen())
        pid, code = first.process.pid, first.end()
        if outcome.traceback or outcome.code != 2 or not re.search(rf"process {pid} on|exists already", outcome.said):
            return Result("traceback" if outcome.traceback else "silent difference", outcome.said)
        if changed or code != 0:
            return Result("lost", f"{changed}; the first ended with {code}: {first.said()}")
    found = differences(wanted, world.seen())
    return Result("silent difference", "; ".join(found)) if found else Result("told")


def _beside(world: World) -> Result:
    wanted = results(world, LONG_PAPER)
    prepare(world, LONG_PAPER)
    with paused(world, FINETUNE) as first:
        outcome, code = world.run(OTHER), first.end()
        if outcome.code != 0 or code != 0:
            return Result("lost", f"{code}, {outcome.code}: {outcome.said}")
    now = {
        path: value for path, value in world.seen().items() if "/other/" not in path and "finetune/latest" not in path
    }
    found = differences({path: value for path, value in wanted.items() if "finetune/latest" not in path}, now)
    return Result("silent difference", "; ".join(found)) if found else Result("equal")


def _two_starts(world: World) -> Result:
    wanted = results(world, LONG)
    prepare(world, LONG)
    with paused(world, LONG.command, "cass_cli.engine.pretraining.job:create_run", 1) as first:
        outcome, code = world.run(LONG.command), first.end()
        if outcome.code != 2 or code != 0:
            return Result("lost", f"{code}, {outcome.code}: {outcome.said}")
    found = differences(wanted, world.seen())
    return Result("silent difference", "; ".join(found)) if found else Result("told")


def _kill_9(world: World) -> Result:
    wanted = results(world, LONG)
    prepare(world, LONG)
    with paused(world, LONG.command) as first:
        first.process.kill()
        first.process.wait()
    outcome, found = world.run(GO_ON), differences(wanted, world.seen())
    return Result("lost", f"{found}: {outcome.said}") if outcome.code or found else Result("equal")


def _read(world: World) -> Result:
    wanted = results(world, LONG)
    prepare(world, LONG)
    with paused(world, LONG.command) as first:
        outcome, code = world.run(("report", "{runs}/p")), first.end()
    found = [each for each in differences(wanted, world.seen()) if "report.html" not in each]
    return Result("lost", f"{code} {found}: {outcome.said}") if outcome.code or code or found else Result("equal")


# ---- signals ----

JOB = "cass_cli.engine.pretraining.job"
TRIAL = "cass_cli.engine.finetuning.trial"
SAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
GOING_ON = (signal.SIGUSR1, signal.SIGUSR2)
PHASES: dict[str, tuple[Job, str, int]] = {
    "decoding": (LONG, f"{JOB}:load_training_images", 1),
    "recording": (LONG, f"{JOB}:write_splits", 1),
    "the first step": (LONG, "cass_cli.engine.pretraining.loop:train_step", 1),
    "a later step": (LONG, "cass_cli.engine.pretraining.loop:train_step", 5),
    "a checkpoint": (LONG, f"{JOB}:save_checkpoint", 2),
    "the last checkpoint": (LONG, f"{JOB}:save_checkpoint", 3),
    "exporting": (LONG, f"{JOB}:save_arm", 2),
    "the summary": (LONG, f"{JOB}:write_json", 2),
    "a step of fine-tuning": (LONG_PAPER, "cass_cli.engine.finetuning.loop:tune_step", 4),
    "exporting a classifier": (LONG_PAPER, "cass_cli.engine.finetuning.trained:export_tuned", 1),
    "the summary of a trial": (LONG_PAPER, f"{TRIAL}:write_json", 1),
}
"""The job, and where its process is when the signal comes."""


def signals(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """All signals while steps are taken, and two at each other phase in turn."""
    turns = [*SAVING, *GOING_ON]
    found = []
    for number, (phase, (job, place, call)) in enumerate(PHASES.items()):
        chosen = turns if phase == "a later step" else [SAVING[number % 4], turns[(number + 2) % 6]]
        for sent in dict.fromkeys(chosen):
            name = f"signals/{phase.replace(' ', '-')}/{sent.name}"
            found.append(Attack("signals", name, partial(_signalled, world, job, place, call, sent), phase))
    yield from found[:sample]


def _signalled(world: World, job: Job, place: str, number: int, sent: signal.Signals) -> Result:
    """It ends with 128 + number, or goes on where it may; what it leaves goes on to the uninterrupted result."""
    wanted = results(world, job)
    prepare(world, job)
    with paused(world, job.command, place, number) as process:
        os.kill(process.process.pid, sent)
        time.sleep(0.1)
        code, said = process.end(), process.said()
    allowed = (0,) if sent in GOING_ON else (0, 128 + sent)  # 0: it was all but finished
    if "Traceback" in said or "fault of cass" in said:
        return Result("traceback", said)
    if code not in allowed or (code == 0 and sent in SAVING and "step" in place):
        return Result("lost", f"exit {code} after {sent.name}: {said[-1000:]}")
    if "Interrupted" in said and "saved" in said and code and "train_step" in place:
        kept = list(world.runs.glob("p/**/state.pt"))
        if not kept:
            return Result("lost", "it says that all is saved, and nothing is")
    outcome = world.run(job.resume) if code else None
    if outcome and outcome.code == 2:
        outcome = world.run(job.command)  # nothing was begun
    found = differences(wanted, world.seen())
    if found or (outcome and outcome.code):
        return Result("silent difference", f"{found[:5]} {outcome.said[-800:] if outcome else ''}")
    return Result("told" if code else "equal")
