"""How long what a grid has still to do would take here, and the most memory that any of it needs.

What differs in its seeds alone is timed once. Where nothing is to do, PyTorch is not even imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from cass_cli.config.load import Layer, Resolved, resolve
from cass_cli.engine.grid.tasks import DONE, GridForecast, Task
from cass_cli.errors import CassError


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


def _pretraining(task: Task) -> tuple[float, int]:
    from cass_cli.data.dataset import find_dataset, with_data_path
    from cass_cli.engine.compute import choose_compute
    from cass_cli.engine.pretraining.plan import plan_pretraining
    from cass_cli.engine.timing.forecast import forecast_run

    resolved = with_data_path(_asked(task), task.preset)
    config = resolved.config
    dataset = find_dataset(config.data, seed=config.train.seed)
    plan = plan_pretraining(config, dataset, choose_compute(config.train))
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
