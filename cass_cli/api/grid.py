"""`cass grid` as a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from cass_cli.api.load import AnyPath
from cass_cli.api.quiet import Quiet, signals_passed_on
from cass_cli.config.grid_file import find_grid, read_grid
from cass_cli.engine.grid.forecast import check_room
from cass_cli.engine.grid.job import grid_job, plan_grid
from cass_cli.engine.grid.results import GridResults
from cass_cli.engine.grid.running import Ended
from cass_cli.engine.grid.tasks import Task
from cass_cli.reports.grid import GridDisplay, result_columns, result_rows, write_results
from cass_cli.words import count

AGAIN = "the same call"


@dataclass(frozen=True)
class GridView:
    """What a grid found: its finished cells, what they say over seeds, and what differs."""

    results: pd.DataFrame  # a row a cell, candidate and metric, as results.csv has them
    scores: pd.DataFrame  # a row a point and candidate: n seeds, mean, std, low, high, and the paper's where it has any
    differences: pd.DataFrame  # from the rows of `against`: difference, low, high, p of the t-test, and adjusted (Holm)
    metric: str  # of scores and differences
    cells: int
    done: int  # of these
    files: tuple[Path, ...]


class _QuietGrid(Quiet):
    def began(self, task: Task, gpu: str) -> None:
        self.note(f"{task.name} begins{f' on GPU {gpu}' if gpu else ''}")

    def waits(self, task: Task) -> None:
        self.warn(f"{task.run.path} is worked on by another process: waiting for it.")

    def queued(self, tasks: int) -> None:
        self.note(f"{count(tasks, 'task')} in a queue or at work there: left to it, with what else its runs need")

    def ended(self, ended: Ended) -> None:
        if ended.code:
            self.warn(f"{ended.task.name} failed: {ended.reason} (log: {ended.log})")


def grid(
    file: AnyPath,
    *,
    runs: AnyPath = "runs",
    small: bool = False,
    gpus: Sequence[int] | str | None = None,
    progress: bool = False,
) -> GridView:
    """Do a whole table of experiments from one file, as `cass grid` does, and return what its cells found.

    `file` is a grid file (docs/grid.md), or the name of one that ships with cass, as "table-8"; `small` does its small
    variant. Every cell is an ordinary run with its fine-tunings below `runs`, made once, each task in a process of its
    own; `gpus`, as in [0, 1], has each work on a run at a time. What is done is not done again, so that the same call
    reads a finished grid, and goes on with one that was stopped. Table, figure and results.csv are written to
    RUNS/NAME.grid.

    Raises `cass_cli.errors.ConfigError` where a cell cannot work, before anything is run, and, once the tables are
    written, `RunError` naming the tasks that failed.

    >>> found = grid("starts.yaml")  # axes: {method: [transfer], finetune_seed: [0, 1]}
    >>> found.done, found.scores["n"].unique().tolist()
    (2, [2])
    """
    asked = read_grid(find_grid(str(file)), small=small)
    work = plan_grid(asked, Path(runs))
    chosen = gpus.split(",") if isinstance(gpus, str) else [str(gpu) for gpu in gpus or ()]
    check_room(work.chains, Path(runs), None, lambda _done, _total: None)
    with signals_passed_on(AGAIN), GridDisplay(work.tasks) if progress else _QuietGrid() as watch:
        failed = grid_job(work, watch=watch, gpus=chosen, again=AGAIN)
    results, found = work.results()
    files = write_results(asked, results, found, work.records)
    work.tell_failures(failed)
    return GridView(
        results=pd.DataFrame(result_rows(found), columns=result_columns(asked)),
        scores=_scores(results),
        differences=_differences(results),
        metric=results.metric,
        cells=results.cells,
        done=results.done,
        files=tuple(files),
    )


def _scores(results: GridResults) -> pd.DataFrame:
    numbers = ["n", "mean", "std", "low", "high"]
    rows = [
        {**_point(results, each.values), "candidate": each.candidate, "labels": each.labels}
        | asdict(each.summary)
        | {"paper": each.paper}
        for each in results.scores
    ]
    frame = pd.DataFrame(rows, columns=[*results.axes, "candidate", "labels", *numbers, "paper"])
    return frame.astype({"paper": "float64"})


def _differences(results: GridResults) -> pd.DataFrame:
    rows = [
        {**_point(results, each.values), "candidate": each.candidate}
        | asdict(each.test)
        | {"p": each.test.t_p, "p_adjusted": each.p_adjusted}
        for each in results.differences
    ]
    return pd.DataFrame(rows, columns=[*results.axes, "candidate", "n", "difference", "low", "high", "p", "p_adjusted"])


def _point(results: GridResults, values: Mapping[str, str]) -> dict[str, str]:
    return {axis: values[axis] for axis in results.axes}
