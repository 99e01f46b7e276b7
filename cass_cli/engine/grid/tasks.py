"""What a grid has to do: commands of cass, in the order in which they need each other, and which are done.

A task is one command line, as a user would type it, and leaves behind its log and a file that says how it ended.
Whether it is done is seen by what lies in its run alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cass_cli.config.grid_file import Grid
from cass_cli.config.load import Resolved
from cass_cli.engine.grid.cells import GridCell, GridRun, GridVariant
from cass_cli.runs.directory import Run
from cass_cli.runs.trials import Trial, Variant

DONE, BEGUN, OPEN = "done", "begun", "open"


@dataclass(frozen=True)
class Task:
    """One command of cass, of which the others of its run may need what it makes."""

    name: str  # of its log
    kind: str  # pretrain, finetune or evaluate
    run: Run
    settings: Mapping[str, Any]  # as --set takes them
    preset: str | None
    resolved: Resolved | None = None  # all settings, where it trains
    variant: Variant | None = None  # of a fine-tuning or evaluation
    transfer: bool = False  # its run is made by the fine-tuning itself
    trials: tuple[tuple[float, int], ...] = ()  # label fraction and seed
    cells: tuple[GridCell, ...] = ()  # that are finished with it

    @property
    def state(self) -> str:
        """Say whether it is done, or begun, by what lies there."""
        if self.kind == "pretrain":
            return DONE if self.run.summary.is_file() else BEGUN if self.run.path.exists() else OPEN
        finished = [self._finished(trial) for trial in self.all_trials()]
        begun = self.kind == "finetune" and self.variant is not None and self.variant.path.exists()
        return DONE if all(finished) else BEGUN if any(finished) or begun else OPEN

    @property
    def lacks_start(self) -> bool:
        """Whether it is a fine-tuning whose pretraining is not done."""
        return self.kind == "finetune" and not self.transfer and not self.run.summary.is_file()

    def all_trials(self) -> list[Trial]:
        """Return the trials of a fine-tuning or evaluation, done or not."""
        return [self.variant.trial(fraction, seed) for fraction, seed in self.trials] if self.variant else []

    def _finished(self, trial: Trial) -> bool:
        return trial.finished if self.kind == "finetune" else trial.path.joinpath("evaluation-test.json").is_file()

    def command(self) -> list[str]:
        """Return the arguments of `cass` that begin it, or go on with it, as things lie now."""
        return {"pretrain": self._pretrain, "finetune": self._finetune, "evaluate": self._evaluate}[self.kind]()

    def _pretrain(self) -> list[str]:
        place = ["--runs", str(self.run.path.parent), "--name", self.run.path.name, "--json"]
        if self.run.config.is_file():
            return ["pretrain", "--resume", *place]
        return ["pretrain", *self._data(), *place]

    def _finetune(self) -> list[str]:
        if self.variant is None:
            raise ValueError("a fine-tuning has a variant")
        runs = ["--runs", str(self.run.path.parent)]
        new = self.transfer and not self.run.config.is_file()
        where = [*self._data(), *runs, "--name", self.run.path.name] if new else [*runs, "--run", self.run.path.name]
        resumed = ["--resume"] if self.variant.path.exists() and not new else []
        fractions = ",".join(f"{fraction:g}" for fraction in dict.fromkeys(fraction for fraction, _ in self.trials))
        seeds = sorted({seed for _, seed in self.trials})
        how = ["--label-fraction", fractions, "--seed", str(seeds[0]), "--seeds", str(len(seeds))]
        own = _sets({key: value for key, value in self.settings.items() if key.startswith("finetune.")})
        return ["finetune", *where, "--variant", self.variant.name, *how, *own, *resumed, "--json"]

    def _evaluate(self) -> list[str]:
        return ["evaluate", "--run", str(self.all_trials()[0].path), "--json"]

    def _data(self) -> list[str]:
        preset = ["--preset", self.preset] if self.preset else []
        return [*preset, *_sets({k: v for k, v in self.settings.items() if not k.startswith("finetune.")})]


@dataclass(frozen=True)
class GridForecast:
    """What is still to do: seconds of this machine, one task after another."""

    seconds: float
    memory_bytes: int  # the most of any pretraining
    cannot: dict[str, str]  # why a task could not be begun, by its name


def tasks_of(grid: Grid, cells: Sequence[GridCell], runs: Path) -> list[list[Task]]:
    """Return what is to do: a list for each run, whose tasks need those before them."""
    by_run: dict[str, dict[str, list[GridCell]]] = {}
    for cell in cells:
        by_run.setdefault(cell.variant.run.name, {}).setdefault(cell.variant.name, []).append(cell)
    return [_of_run(grid, list(variants.values()), runs) for variants in by_run.values()]


def _of_run(grid: Grid, variants: Sequence[Sequence[GridCell]], runs: Path) -> list[Task]:
    first = variants[0][0].variant.run
    run = Run(runs / first.name)
    chain: list[Task] = []
    if not first.transfer:
        chain.append(Task(f"pretrain-{first.name}", "pretrain", run, first.settings, first.preset, first.resolved))
    for cells in variants:
        chain += [_finetuning(first, cells[0].variant, run, block, cells) for block in _blocks(cells)]
    if grid.evaluate:
        chain += [_evaluation(task, trial) for task in list(chain) if task.kind == "finetune" for trial in task.trials]
    return chain


def _finetuning(
    of: GridRun, tuned: GridVariant, run: Run, trials: tuple[tuple[float, int], ...], cells: Sequence[GridCell]
) -> Task:
    mine = tuple(cell for cell in cells if (cell.fraction, cell.seed) in trials)
    fractions = "+".join(f"{fraction:g}" for fraction in dict.fromkeys(fraction for fraction, _ in trials))
    name = f"finetune-{of.name}-{tuned.name}-{fractions}-seed{trials[0][1]}"
    return Task(
        name,
        "finetune",
        run,
        {**of.settings, **tuned.settings},
        of.preset,
        tuned.resolved,
        variant=Variant(run, tuned.name),
        transfer=of.transfer,
        trials=trials,
        cells=mine,
    )


def _evaluation(task: Task, trial: tuple[float, int]) -> Task:
    name = f"{task.name.replace('finetune-', 'evaluate-', 1)}-{trial[0]:g}-{trial[1]}"
    return Task(name, "evaluate", task.run, {}, None, variant=task.variant, trials=(trial,))


def _blocks(cells: Iterable[GridCell]) -> list[tuple[tuple[float, int], ...]]:
    """Return trials in blocks that one command can do: fractions with the same seeds, which follow each other."""
    seeds_of: dict[float, set[int]] = {}
    for cell in cells:
        seeds_of.setdefault(cell.fraction, set()).add(cell.seed)
    together: dict[tuple[int, ...], list[float]] = {}
    for fraction, seeds in sorted(seeds_of.items()):
        together.setdefault(tuple(sorted(seeds)), []).append(fraction)
    return [
        tuple((fraction, seed) for fraction in fractions for seed in part)
        for seeds, fractions in together.items()
        for part in _consecutive(seeds)
    ]


def _consecutive(seeds: Sequence[int]) -> list[list[int]]:
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and parts[-1][-1] == seed - 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return parts


def _sets(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as a command line has them: JSON is YAML."""
    return [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value, default=str)}")]
