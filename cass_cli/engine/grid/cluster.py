"""Where jobs of a grid go, and what each is given: by SLURM's names, and in its forms."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cass_cli.errors import ConfigError, did_you_mean
from cass_cli.words import shown, shown_list

SLURM, LOCAL, DEBUG = "slurm", "local", "debug"
KINDS = (SLURM, LOCAL, DEBUG)
OF_SLURM = ("partition", "account", "mem", "cpus_per_task")  # which no other has
WARNING = 120  # seconds before the time is up: for the step at hand, and for saving
SHORTEST = 5  # minutes
REQUEUES = 100  # of a job whose time was up: each is a step forward
MOST_AT_ONCE = 256
TIMES = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
MEM = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
GPUS = re.compile(r"(?:\w[\w.-]*:)?\d+")


@dataclass(frozen=True)
class Cluster:
    """What a job is given, as SLURM takes it."""

    kind: str
    minutes: float = 24 * 60
    partition: str | None = None
    account: str | None = None
    mem: str | None = None
    cpus_per_task: int | None = None
    gpus_per_node: str | None = None
    jobs: int | None = None  # at most at once
    warning: int = WARNING

    @property
    def gpus(self) -> int:
        """How many GPUs a job has."""
        return int((self.gpus_per_node or "0").rpartition(":")[2])

    def of_slurm(self, name: str, after: Sequence[str] = ()) -> dict[str, Any]:
        """Return what submitit takes for SLURM: its words, and those of `sbatch`."""
        own = {name: getattr(self, name) for name in (*OF_SLURM, "gpus_per_node")}
        asked = {name: value for name, value in own.items() if value is not None}
        if self.cpus_per_task:  # which srun has not taken over from sbatch since SLURM 22.05
            asked["srun_args"] = [f"--cpus-per-task={self.cpus_per_task}"]
        if after:
            asked["dependency"] = ":".join(["afterany", *after])
        return asked | {
            "job_name": name,
            "time": max(1, int(self.minutes)),
            "signal_delay_s": self.warning,
            "array_parallelism": self.jobs or MOST_AT_ONCE,
            "stderr_to_stdout": True,
            "additional_parameters": {"requeue": True},
        }

    def flags(self, name: str, jobs: int, *, after: str = "") -> list[str]:
        """Return the options of `sbatch` for an array of jobs, as they are shown."""
        asked = self.of_slurm(name, [after] if after else [])
        own = {
            key: asked[key] for key in (*OF_SLURM, "gpus_per_node", "dependency", "job_name", "time") if key in asked
        }
        array = [f"--array=0-{jobs - 1}%{min(jobs, asked['array_parallelism'])}"] if jobs > 1 else []
        named = [f"--{key.replace('_', '-')}={value}" for key, value in own.items()]
        return [*array, *named, f"--signal=USR2@{self.warning}", "--requeue"]


def asked_cluster(kind: str | None, *, time: str | None = None, **asked: Any) -> Cluster | None:
    """Return the cluster that was asked for, None where none was.

    Raises `ConfigError` for what is no time, memory or number of GPUs, and for what would do nothing.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    named = [*(["time"] if time is not None else []), *given]
    if kind is None:
        if named:
            raise ConfigError(f"{_option(named[0])} is for jobs of a cluster.", hint="Add --cluster slurm.")
        return None
    if kind not in KINDS:
        raise ConfigError(
            f"--cluster: there is no '{shown(kind)}'.{did_you_mean(kind, KINDS)}", hint=f"It is {shown_list(KINDS)}."
        )
    for name in named:
        if kind == DEBUG or (kind == LOCAL and name in OF_SLURM):
            raise ConfigError(f"{_option(name)} does nothing with --cluster {kind}.", hint="Leave it out.")
    cluster = Cluster(kind, **given)
    if time is not None:
        cluster = replace(cluster, minutes=_minutes(time))
    if cluster.mem is not None and not MEM.fullmatch(cluster.mem):
        raise ConfigError(f"--mem: '{shown(cluster.mem)}' is no memory.", hint="As SLURM has it: --mem 32G.")
    whole = r"\d+" if kind == LOCAL else GPUS
    if cluster.gpus_per_node is not None and not re.fullmatch(whole, cluster.gpus_per_node):
        raise ConfigError(
            f"--gpus-per-node: '{shown(cluster.gpus_per_node)}' is no number of GPUs.",
            hint="As in --gpus-per-node 1" + ("." if kind == LOCAL else ", or a100:1."),
        )
    return cluster


def memory_of(mem: str) -> int:
    """Return the bytes of `32G`; SLURM means MiB where it says nothing."""
    found = MEM.fullmatch(mem)
    if not found:
        raise ValueError(f"{mem} is no memory")
    return int(found[1]) << 10 * (1 + "KMGT".index((found[2] or "M").upper()))


def executor_of(
    cluster: Cluster, folder: Path, name: str, *, after: Sequence[str] = (), gpus: Sequence[int] = ()
) -> Any:
    """Return what submits jobs: with `after`, once those have ended; for a worker of this machine, on its `gpus`."""
    submitit = _submitit()
    if cluster.kind == DEBUG:
        return submitit.DebugExecutor(folder=folder)
    if cluster.kind == LOCAL:
        worker = submitit.LocalExecutor(folder=folder, max_num_timeout=REQUEUES)
        worker.update_parameters(
            timeout_min=cluster.minutes,
            signal_delay_s=cluster.warning,
            stderr_to_stdout=True,
            gpus_per_node=len(gpus),
            visible_gpus=list(gpus),
        )
        return worker
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=REQUEUES)
    executor.update_parameters(**cluster.of_slurm(name, after))
    return executor


def check_cluster(cluster: Cluster) -> None:
    """Raise `ConfigError` where what submits jobs is not here."""
    _submitit()
    missing = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
    if cluster.kind == SLURM and missing:
        raise ConfigError(
            f"There is no {missing[0]} here, which SLURM's jobs are submitted with.",
            hint="Do this where `sbatch --version` works, or take --cluster local.",
        )


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        command = "pip install 'cass-cli[cluster]'"
        raise ConfigError(
            f"--cluster needs an optional part: {command}", hint=f"Run: {command}, or leave --cluster out."
        ) from error
    logging.getLogger("submitit").setLevel(logging.ERROR)
    return submitit


def _minutes(time: str) -> float:
    """Return minutes from 90, 1:30:00, 2-12 or 2-12:00:00, as `sbatch --time` reads them."""
    found = TIMES.fullmatch(time)
    if not found:
        raise ConfigError(
            f"--time: '{shown(time)}' is no time.", hint="As SLURM has it: --time 8:00:00, or 2-12:00:00."
        )
    days = found["days"]
    first, second, third = (int(found[name] or 0) for name in ("first", "second", "third"))
    if days is not None:
        hours, minutes, seconds = int(days) * 24 + first, second, third
    elif found["third"] is not None:
        hours, minutes, seconds = first, second, third
    else:
        hours, minutes, seconds = 0, first, second
    total = hours * 60 + minutes + seconds / 60
    if total < SHORTEST:
        raise ConfigError(
            f"--time {shown(time)} is too short: {WARNING} seconds before it is up a job saves.",
            hint=f"Ask for {SHORTEST} minutes at least, as in --time 8:00:00.",
        )
    return total


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
