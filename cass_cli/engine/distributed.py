"""Several processes under `torchrun`, or `srun`: who am I, and how do we agree? A plain `cass …` is a world of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
PATIENCE = timedelta(hours=6)  # for a process that reads images for all of them


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether any process raised `flag`; every process must ask."""
        if self.size == 1:
            return flag
        votes = torch.tensor([int(flag)], device=_vote_device())
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return bool(votes.item())

    def shared(self, value: T) -> T:
        """Return the value of the leading process; every process must ask."""
        held = [value]
        if self.size > 1:
            dist.broadcast_object_list(held)
        return held[0]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


def world_from_environment() -> World:
    """Return the place that `torchrun` gave this process (or `job_step.py`, for `srun`), or the only one."""
    return World(
        int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    )


@contextmanager
def process_group(world: World, device: torch.device) -> Iterator[None]:
    """Join the other processes (gloo on the CPU, NCCL on GPUs); nothing to do in a world of one."""
    if world.size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _vote_device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
