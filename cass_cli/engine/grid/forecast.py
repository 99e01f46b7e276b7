"""How long what a grid has still to do would take here, the most memory that any of it needs, and if it has room.

What differs in its seeds alone is timed once. Where nothing is to do, PyTorch is not even imported.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cass_cli.config.load import Layer, Resolved, resolve
from cass_cli.data.space import memory_limit, total_memory
from cass_cli.engine.grid.cluster import SLURM, Cluster, memory_of
from cass_cli.engine.grid.tasks import DONE, OPEN, GridForecast, Task
from cass_cli.errors import CassError, RunError
from cass_cli.words import count

if TYPE_CHECKING:
    from cass_cli.engine.pretraining.plan import Plan

GIB = 2**30
MOST_TOLD = 5


def foresee_grid(chains: Sequence[Sequence[Task]], on_progress: Callable[[int, int], None]) -> GridForecast:
    """Find the images, time a few steps of what is not done, and add it up."""
    todo = [task for chain in chains for task in chain if task.kind != "evaluate" and task.state != DONE]
    known: dict[str, tuple[float, int]] = {}
    cannot: dict[str, str] = {}
    seconds, memory = 0.0, 0
    for i, task in enumerate(todo):
        on_progress(i, len(todo))
        try:
            key = _key(task)
            if key not in known:
                known[key] = _pretraining(task) if task.kind == "pretrain" else _fine_tuning(task)
            seconds, memory = seconds + known[key][0], max(memory, known[key][1])
        except CassError as error:
            cannot[task.name] = error.what
    on_progress(len(todo), len(todo))
    return GridForecast(seconds, memory, cannot)


def check_room(
    chains: Sequence[Sequence[Task]], runs: Path, cluster: Cluster | None, on_progress: Callable[[int, int], None]
) -> None:
    """Raise `RunError` where pretrainings that were not begun need more than there is, before any is run.

    That is memory, of this machine or of a job that asks for some, and disk: a run leaves about its weights and its
    optimisers' state.
    """
    todo = [task for chain in chains for task in chain if task.kind == "pretrain" and task.state == OPEN]
    plans: dict[str, Plan | None] = {}
    for i, task in enumerate(todo):
        on_progress(i, len(todo))
        if _key(task) not in plans:
            plans[_key(task)] = _planned(task)
    on_progress(len(todo), len(todo))
    known = [(task, plan) for task in todo if (plan := plans[_key(task)])]
    needs = {task.name: plan.memory_bytes for task, plan in known}
    most = {task.name: _memory(plan.device, cluster) for task, plan in known}
    too_large = [name for name in needs if needs[name] > most[name]]
    if too_large:
        told = [
            f"{name}: about {needs[name] / GIB:.1f} GiB of {most[name] / GIB:.1f}" for name in too_large[:MOST_TOLD]
        ]
        more = [f"and {len(too_large) - MOST_TOLD:,} more"] if len(too_large) > MOST_TOLD else []
        raise RunError(
            "\n".join([f"{count(len(too_large), 'pretraining')} would need more memory than there is.", *told, *more]),
            hint="Change train.batch_size, train.accumulate or data.image_size, set train.gradient_checkpointing, or "
            "leave these cells out. Nothing was run.",
        )
    disk = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    leaves, free = sum(plan.weight_bytes for _, plan in known), shutil.disk_usage(disk).free
    if leaves > free:
        raise RunError(
            f"{count(len(known), 'pretraining')} would leave about {leaves / 1e9:,.1f} GB in {runs}, and "
            f"{free / 1e9:,.1f} GB are free.",
            hint="Free some, choose another --runs, or do fewer cells. Nothing was run.",
        )


def _planned(task: Task) -> Plan | None:
    """Return what a pretraining takes, None where it cannot be begun: that it says itself."""
    try:
        return _plan(task)
    except CassError:
        return None


def _memory(device: str, cluster: Cluster | None) -> int:
    """Return the bytes that a pretraining may have; more than any where nobody knows, as of a GPU that is not here."""
    if cluster and cluster.kind == SLURM:
        return memory_of(cluster.mem) if cluster.mem and not cluster.gpus else sys.maxsize
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_properties(device).total_memory
    at_once = cluster.jobs or 1 if cluster else 1
    return (memory_limit() or total_memory() or sys.maxsize) // at_once


def _plan(task: Task) -> Plan:
    from cass_cli.data.dataset import find_dataset, with_data_path
    from cass_cli.engine.compute import choose_compute
    from cass_cli.engine.pretraining.plan import plan_pretraining

    config = with_data_path(_asked(task), task.preset).config
    dataset = find_dataset(config.data, seed=config.train.seed)
    return plan_pretraining(config, dataset, choose_compute(config.train))


def _pretraining(task: Task) -> tuple[float, int]:
    from cass_cli.data.dataset import with_data_path
    from cass_cli.engine.timing.forecast import forecast_run

    plan, config = _plan(task), with_data_path(_asked(task), task.preset).config
    return forecast_run(config, plan.images["train"]).seconds, plan.memory_bytes


def _fine_tuning(task: Task) -> tuple[float, int]:
    """Time it on arms of random weights: those that it starts from may not be there yet."""
    from cass_cli.data.dataset import with_data_path
    from cass_cli.engine.timing.finetune_forecast import foresee_finetuning

    if task.variant is None:
        raise ValueError("a fine-tuning has a variant")
    fractions = list(dict.fromkeys(fraction for fraction, _ in task.trials))
    own = {
        "finetune.fractions": fractions,
        "finetune.seeds": len({seed for _, seed in task.trials}),
        "finetune.seed": task.trials[0][1],
        "finetune.init": "random",
        "arms.init": "random",
        "arms.weights": {},
    }
    resolved = with_data_path(_over(_asked(task), own), task.preset)
    return foresee_finetuning(resolved, task.run, task.variant, new_run=True, overwrite=True).forecast.seconds, 0


def _asked(task: Task) -> Resolved:
    if task.resolved is None:
        raise ValueError("an evaluation is not timed")
    return task.resolved


def _over(resolved: Resolved, own: dict[str, Any]) -> Resolved:
    values = {key: resolved.value(key) for key in resolved.origins}
    return resolve([Layer("default", values | own)])


def _key(task: Task) -> str:
    told = _asked(task).config.model_dump(mode="json")
    told["train"]["seed"] = told["finetune"]["seed"] = 0
    fractions = sorted(fraction for fraction, _ in task.trials)
    return json.dumps([task.kind, task.preset, told, fractions], sort_keys=True)
