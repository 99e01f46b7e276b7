"""Handing the tasks of a grid to a scheduler, in two waves, and knowing which of them it has.

SLURM is given arrays: a job for each pretraining, and a job for what follows on each run, which waits until the
pretrainings have ended, however they have. On this machine each worker does one run after another. A job is `cass grid
--only TASK …`: what is done by then it leaves out, what is begun it goes on with.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any

from cass_cli.engine.grid.cluster import DEBUG, LOCAL, SLURM, Cluster, executor_of
from cass_cli.engine.grid.step import Step
from cass_cli.engine.grid.tasks import DONE, Task
from cass_cli.errors import Interrupted, RunError
from cass_cli.files import write_json
from cass_cli.words import shown

PATIENCE = 60  # seconds, for the scheduler to say what it has


@dataclass(frozen=True)
class Job:
    """What a scheduler is given as one: tasks in their order."""

    tasks: tuple[Task, ...]
    id: str = ""  # once it is submitted


@dataclass(frozen=True)
class Wave:
    """Jobs that are submitted together, as an array."""

    what: str
    jobs: tuple[Job, ...]
    waits: bool = False  # for the pretrainings to end


def waves_of(chains: Sequence[Sequence[Task]], queued: Collection[str], cluster: Cluster) -> list[Wave]:
    """Return what is neither done nor in a queue, as jobs."""
    open_chains = [[task for task in chain if task.state != DONE and task.name not in queued] for chain in chains]
    if cluster.kind == LOCAL:
        todo = [chain for chain in open_chains if chain]
        workers = [[task for chain in todo[i :: cluster.jobs or 1] for task in chain] for i in range(cluster.jobs or 1)]
        return _waves(("workers", workers, False))
    first = [[task] for chain in open_chains for task in chain if task.kind == "pretrain"]
    rests = [[task for task in chain if task.kind != "pretrain"] for chain in open_chains]
    ready = [rest for rest in rests if not any(task.lacks_start for task in rest)]
    later = [rest for rest in rests if any(task.lacks_start for task in rest)]
    return _waves(
        ("pretrainings", first, False),
        ("runs that need none", ready, False),
        ("runs, once the pretrainings have ended", later, True),
    )


def _waves(*told: tuple[str, Iterable[Sequence[Task]], bool]) -> list[Wave]:
    found = [Wave(what, tuple(Job(tuple(tasks)) for tasks in jobs if tasks), waits) for what, jobs, waits in told]
    return [wave for wave in found if wave.jobs]


def submit(waves: Sequence[Wave], cluster: Cluster, folder: Path, command: Sequence[str], name: str) -> list[Job]:
    """Submit jobs, and write down at once which tasks each has; return them with their ids.

    Raises `RunError` with the words of a scheduler that refuses, and `Interrupted` where this process does the jobs
    itself (debug) and is stopped.
    """
    known = _known(folder)
    pretrainings = [str(job["id"]) for job in known if any(task.startswith("pretrain-") for task in job["tasks"])]
    submitted: list[Job] = []
    for wave in waves:
        steps = [Step([*command, *(f"--only={task.name}" for task in job.tasks)]) for job in wave.jobs]
        after = sorted({id_.partition("_")[0] for id_ in pretrainings}) if wave.waits else []
        ids = _ids(steps, cluster, folder / "jobs", name, after)
        jobs = [Job(job.tasks, id_) for job, id_ in zip(wave.jobs, ids, strict=True)]
        submitted += jobs
        if wave.what == "pretrainings":
            pretrainings += ids
        if cluster.kind != DEBUG:
            known += [_told(job, cluster) for job in jobs]
            write_json(folder / "jobs.json", {"jobs": known})
    return submitted


def _ids(steps: Sequence[Step], cluster: Cluster, folder: Path, name: str, after: Sequence[str]) -> list[str]:
    """Submit steps; return the ids of their jobs."""
    if cluster.kind == LOCAL:
        own = [range(i * cluster.gpus, (i + 1) * cluster.gpus) for i in range(len(steps))]
        workers = [executor_of(cluster, folder, name, gpus=gpus) for gpus in own]
        return [str(worker.submit(step).job_id) for worker, step in zip(workers, steps, strict=True)]
    executor = executor_of(cluster, folder, name, after=after)
    try:
        jobs = executor.submit_array(steps)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise RunError(
            f"SLURM took no jobs: {shown(str(error).strip(), 500)}",
            hint="Check --partition, --account, --time, --mem and --gpus-per-node: `sinfo` lists what there is.",
        ) from error
    if cluster.kind == DEBUG:
        for job, step in zip(jobs, steps, strict=True):
            with suppress(SystemExit):  # what failed is written down, and stops no other
                job.results()
            if step.stopped:
                raise Interrupted(SIGTERM)
    return [str(job.job_id) for job in jobs]


def _told(job: Job, cluster: Cluster) -> dict[str, Any]:
    return {
        "id": job.id,
        "cluster": cluster.kind,
        "host": platform.node(),
        "tasks": [task.name for task in job.tasks],
    }


def queued_tasks(folder: Path) -> dict[str, str]:
    """Return the tasks that a scheduler has, waiting or at work, with the ids of their jobs."""
    return {task: str(job["id"]) for job in _known(folder) for task in job["tasks"]}


def _known(folder: Path) -> list[dict[str, Any]]:
    """Return what is written of jobs that a scheduler still has.

    Raises `RunError` where SLURM is here and does not say: what it has must not be submitted twice.
    """
    found: Any = {}
    with suppress(OSError, ValueError):
        found = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    jobs = found.get("jobs") if isinstance(found, dict) else None
    whole = [job for job in jobs if _is_job(job)] if isinstance(jobs, list) else []
    in_queue = _queue() if any(job["cluster"] == SLURM for job in whole) else set()
    return [job for job in whole if (job["id"] in in_queue if job["cluster"] == SLURM else _works(job))]


def _is_job(job: Any) -> bool:
    if not isinstance(job, dict) or not {"id", "cluster", "host", "tasks"} <= job.keys():
        return False
    return isinstance(job["tasks"], list) and all(isinstance(task, str) for task in job["tasks"])


def _queue() -> set[str]:
    """Return the ids of the user's jobs that SLURM has, each of an array by itself; none where there is no SLURM."""
    if shutil.which("squeue") is None:
        return set()
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise RunError(f"squeue said nothing for {PATIENCE} seconds.", hint="Try again later.") from None
    if told.returncode:
        raise RunError(f"squeue failed: {shown(told.stderr.strip(), 300)}", hint="Try again later.")
    return set(told.stdout.split())


def _works(job: dict[str, Any]) -> bool:
    """Return whether the process of a worker of this machine is alive, and still one."""
    if job["host"] != platform.node() or not str(job["id"]).isdecimal():
        return False
    told = subprocess.run(["ps", "-o", "args=", "-p", str(job["id"])], capture_output=True, text=True, check=False)
    return "submitit" in told.stdout
