"""SLURM's job steps: `srun --ntasks 4 cass pretrain …` starts four processes, which train together as under torchrun.

What SLURM calls things is put under torchrun's names, which all else reads. A step of one task, an allocation
(`salloc`), the script of a job (`sbatch`) and a shell in a step (`srun --pty`) are a world of one, as ever: only a step
of several tasks sets SLURM_STEP_NUM_TASKS above one.
"""

from __future__ import annotations

import os
import re

from cass_cli.errors import ConfigError

TOGETHER = "pretrain"  # the one command that trains in several processes
OWN = ("RANK", "WORLD_SIZE")  # torchrun's, or the user's: they win
FIRST_PORT, PORTS = 20_000, 12_000  # below those that systems hand out by themselves


def join_step(command: str) -> None:
    """Take this process's place in a job step of several tasks, if it is in one.

    Raises `ConfigError` in all but the first task where the command works in one process.
    """
    told = os.environ
    size = _number("SLURM_STEP_NUM_TASKS")
    if size < 2 or any(name in told for name in (*OWN, "SLURM_PTY_PORT")) or "SLURM_PROCID" not in told:
        return
    rank = _number("SLURM_PROCID")
    if command != TOGETHER:
        if rank:
            raise ConfigError(
                f"This is task {rank + 1:,} of {size:,} of a job step, and `cass {command}` works in one process.",
                hint="Start it with `srun --ntasks 1`; where each task does something else, set RANK=0 WORLD_SIZE=1.",
            )
        told |= {"RANK": "0", "WORLD_SIZE": "1"}  # also of what it starts, as a grid does
        return
    told |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(_local_rank()),
        "LOCAL_WORLD_SIZE": str(_on_this_node(size)),
        "MASTER_ADDR": told.get("MASTER_ADDR") or _first_node(),
        "MASTER_PORT": told.get("MASTER_PORT") or str(_port()),
    }


def _local_rank() -> int:
    """Return which of the GPUs that this task sees is its own: the only one, where SLURM has shared them out."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    rank = _number("SLURM_LOCALID")
    return rank % len(visible.split(",")) if visible else rank


def _on_this_node(size: int) -> int:
    """Return how many tasks of the step work on this node, from `4(x2),3`, the most on any where it is not told."""
    counts: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")):
        counts += [int(count)] * int(times or 1)
    node = _number("SLURM_NODEID")
    return counts[node] if node < len(counts) else max(counts, default=size)


def _first_node() -> str:
    """Return the host of the first task: the first of `gpu[03-04,07],login`, which is gpu03."""
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_NODELIST", "")
    if _number("SLURM_STEP_NUM_NODES") == 1 or not nodes:
        return "127.0.0.1"
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0] if first else nodes)


def _port() -> int:
    """Return a port that the steps of a machine do not share, the same in each task of one."""
    return FIRST_PORT + (_number("SLURM_JOB_ID") * 31 + _number("SLURM_STEP_ID")) % PORTS


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 0
