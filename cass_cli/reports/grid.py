"""What `cass grid` shows and writes: its plan, how far it is, the table of what it found, and that as files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from cass_cli.config.grid_file import Grid
from cass_cli.csv_cells import CellWriter
from cass_cli.engine.grid.cells import GridCell
from cass_cli.engine.grid.cluster import DEBUG, SLURM, Cluster
from cass_cli.engine.grid.job import GridWork
from cass_cli.engine.grid.results import Difference, Found, GridResults, Score
from cass_cli.engine.grid.running import FAILED, Ended, Records
from cass_cli.engine.grid.submitting import Job, Wave
from cass_cli.engine.grid.tasks import DONE, GridForecast, Task
from cass_cli.files import write_text
from cass_cli.reports.live import LiveDisplay
from cass_cli.reports.printing import Screen, duration, print_json, print_sentence
from cass_cli.reports.tables import plain_table, print_table
from cass_cli.reports.written_table import Written, latex, markdown
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import SIGNIFICANT, describe_difference, format_summary, signed
from cass_cli.words import count

GIB = 2**30
LEGEND = (
    "Mean over n seeds ± half of the 95 % interval (Student t): seeds of the pretraining where there are several, else "
    "of fine-tuning. mean: of both arms; joint: a probe of both; pick: validation's choice. Test split."
)
DIFFERENCES = "Paired over seeds, with the 95 % interval and the t-test's p adjusted for their number (Holm)."


class GridDisplay(LiveDisplay):
    """Shows a grid while it is done: a bar of tasks, and a line for each that ended."""

    def __init__(self, tasks: Sequence[Task], *, to_stderr: bool = False) -> None:
        super().__init__(to_stderr=to_stderr)
        self.bar = self.add_bar("Tasks")
        self.tasks = tasks
        self._count()

    def began(self, task: Task, gpu: str) -> None:
        """Say which task begins, and on which GPU where there are several."""
        self.note(f"{task.name} begins{f' on GPU {gpu}' if gpu else ''}")

    def waits(self, task: Task) -> None:
        """Say why nothing seems to happen."""
        self.warn(f"{task.run.path} is worked on by another process: waiting for it.")

    def queued(self, tasks: int) -> None:
        """Say what is left to a scheduler."""
        self.note(f"{count(tasks, 'task')} in a queue or at work there: left to it, with what else its runs need")

    def ended(self, ended: Ended) -> None:
        """Say how a task ended."""
        self._count()
        if ended.code:
            self.warn(f"{ended.task.name} failed after {duration(ended.seconds)}: {ended.reason} (log: {ended.log})")
        else:
            self.note(f"{ended.task.name} done in {duration(ended.seconds)}")

    def _count(self) -> None:
        self.count(self.bar, sum(task.state == DONE for task in self.tasks), len(self.tasks))


def show_grid_plan(
    grid: Grid,
    chains: Sequence[Sequence[Task]],
    foreseen: GridForecast,
    *,
    price: float | None,
    waves: Sequence[Wave] = (),
    as_json: bool,
) -> None:
    """Show what would be done, what is, and how long the rest would take."""
    tasks = [task for chain in chains for task in chain]
    cost = foreseen.seconds / 3600 * price if price is not None else None
    if as_json:
        print_json(
            {
                "title": grid.title,
                "cells": [{**cell.values, "task": task.name} for task in tasks for cell in task.cells],
                "tasks": [_as_dict(task, foreseen) for task in tasks],
                "seconds": foreseen.seconds,
                "memory_bytes": foreseen.memory_bytes,
                "price": cost,
                "jobs": [[[task.name for task in job.tasks] for job in wave.jobs] for wave in waves],
            }
        )
        return
    console = Screen(soft_wrap=True)
    print_table(console, _plan_table(grid, chains, foreseen))
    for name, why in foreseen.cannot.items():
        print_sentence(console, Text(f"Warning: {name}: {why}", style="yellow"))
    cells = sum(len(task.cells) for task in tasks)
    done = sum(len(task.cells) for task in tasks if task.state == DONE)
    memory = f"at most about {foreseen.memory_bytes / GIB:.2f} GiB in a pretraining" if foreseen.memory_bytes else "–"
    console.print(
        f"\nCells   {cells:,}, of which {done:,} are done\n"
        f"Tasks   {len(tasks):,}, of which {sum(task.state == DONE for task in tasks):,} are done\n"
        f"Time    about {duration(foreseen.seconds)} to go on this machine, one after another, "
        "without reading images and evaluating\n"
        f"Memory  {memory}" + (f"\nPrice   about {cost:,.2f}" if cost is not None else "") + "\n\nNothing was run.",
        markup=False,
    )


def _plan_table(grid: Grid, chains: Sequence[Sequence[Task]], foreseen: GridForecast) -> Table:
    """Return a row a task: what is done, at which values of the axes that have several, and in which run.

    A pretraining has the values that decide it: those that are the same in all cells of its run.
    """
    axes = [axis for axis, values in grid.axes.items() if len(values) > 1]
    table = plain_table(grid.title, ("task", *axes, "run", "state"))
    for column in table.columns[1:]:
        column.justify, column.overflow = "left", "fold"
    for chain in chains:
        of_run = [cell for task in chain for cell in task.cells]
        for task in chain:
            mine = [cell for cell in of_run if _is_of(task, cell)]
            values = [dict.fromkeys(cell.values[axis] for cell in mine) for axis in axes]
            told = [", ".join(own) if task.variant or len(own) == 1 else "" for own in values]
            state = "cannot" if task.name in foreseen.cannot else task.state
            table.add_row(*map(Text, (task.kind, *told, task.run.path.name.rpartition("-")[2], state)))
    return table


def _is_of(task: Task, cell: GridCell) -> bool:
    """Return whether a cell of the task's run is finished, or scored, by the task; all are of a pretraining."""
    variant = task.variant
    return not variant or (cell.variant.name == variant.name and (cell.fraction, cell.seed) in task.trials)


def show_jobs(waves: Sequence[Wave], cluster: Cluster, name: str) -> None:
    """Show what would be submitted, and how."""
    screen = Screen(soft_wrap=True)
    screen.print()
    if not waves:
        print_sentence(screen, "Nothing would be submitted: all is done, or in the queue.")
    for wave in waves:
        print_sentence(screen, f"{count(len(wave.jobs), 'job')} for {wave.what}")
        if cluster.kind == SLURM:
            after = "(pretrainings)" if wave.waits else ""
            print_sentence(screen, f"sbatch {' '.join(cluster.flags(name, len(wave.jobs), after=after))}", style="dim")


def show_submitted(jobs: Sequence[Job], work: GridWork, cluster: Cluster, *, to_stderr: bool) -> None:
    """Show what was submitted, what was there before, and how to see how far it is."""
    screen = Screen(soft_wrap=True, stderr=to_stderr)
    if cluster.kind == DEBUG:
        return
    for job in jobs:
        more = f", and {len(job.tasks) - 1:,} more" if len(job.tasks) > 1 else ""
        print_sentence(screen, Text(f"• {job.id}: {job.tasks[0].name}{more}"))
    had = len(work.queued()) - sum(len(job.tasks) for job in jobs)
    said = [f"Submitted {count(len(jobs), 'job')}." if jobs else "Nothing was submitted."]
    if had > 0:
        said.append(f"{count(had, 'task')} of an earlier call {'is' if had == 1 else 'are'} queued or at work.")
    if jobs or had > 0:
        said.append("You may log out. --watch shows how far it is, and writes the table.")
    print_sentence(screen, " ".join(said))


def _as_dict(task: Task, foreseen: GridForecast) -> dict[str, Any]:
    why = {"cannot": foreseen.cannot[task.name]} if task.name in foreseen.cannot else {}
    return {"name": task.name, "state": task.state, "command": ["cass", *task.command()], **why}


def show_progress(work: GridWork, *, to_stderr: bool) -> None:
    """Show how many tasks are in which state, and what runs and failed."""
    console = Screen(soft_wrap=True, stderr=to_stderr)
    done = [task for task in work.tasks if task.state == DONE]
    told = {task.name: work.records.told(task) for task in work.tasks if task not in done}
    running = [task.name for task in work.tasks if work.runs_now(task)]
    queued = set(work.queued()) & set(told) - set(running)
    failed = [name for name, known in told.items() if known.get("state") == FAILED and name not in queued]
    waiting = f", {len(queued):,} queued" if queued else ""
    console.print(
        f"{len(done):,} of {count(len(work.tasks), 'task')} done, {len(running):,} running{waiting}, "
        f"{len(failed):,} failed",
        markup=False,
    )
    for name in running:
        print_sentence(console, Text(f"• {name}, since {told[name].get('began', '?')}"))
    for name in failed:
        print_sentence(console, Text(f"• {name} failed: {told[name].get('reason', '')}", style="yellow"))


def write_results(grid: Grid, results: GridResults, found: Sequence[Found], records: Records) -> list[Path]:
    """Write results.csv, table.md, table.tex and figure.png below the records; return them."""
    tables = [_written(grid, results), *filter(None, [_tested(grid, results)])]
    paths = [records.folder / name for name in ("results.csv", "table.md", "table.tex")]
    for path, text in zip(
        paths, (_csv(grid, found), "\n".join(map(markdown, tables)), "\n".join(map(latex, tables))), strict=True
    ):
        write_text(path, text)
    if results.scores:
        from cass_cli.reports.grid_plot import plot_grid  # only now: a plan draws nothing

        paths.append(plot_grid(grid, results, records.folder / "figure.png"))
    return paths


def show_results(grid: Grid, results: GridResults, paths: Sequence[Path], *, as_json: bool) -> None:
    """Show the table, what the tests allow to say, and where all of it was written."""
    if as_json:
        print_json(_results_dict(grid, results, paths))
        return
    console = Screen(soft_wrap=True)
    if not results.scores:
        console.print(f"None of {results.cells:,} cells is finished.")
        return
    written = _written(grid, results)
    header, *rows = written.rows
    table = Table(box=None, pad_edge=False, header_style="bold", title=written.title, title_justify="left")
    for i, heading in enumerate(header):
        table.add_column(Text(heading), justify="left" if i < written.names else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    print_table(console, table, names=written.names)
    print_sentence(console, written.legend, style="dim")
    for sentence in written.said:
        print_sentence(console, Text(f"• {sentence}"))
    if paths:
        print_sentence(console, Text(f"\nWritten: {', '.join(map(str, paths))}"))


def _written(grid: Grid, results: GridResults) -> Written:
    """Return the table: a row a point of the grid, a column a candidate, beside the paper's where it has any."""
    candidates = list(dict.fromkeys(score.candidate for score in results.scores))
    known = [name for name in candidates if any(s.paper is not None for s in results.scores if s.candidate == name)]
    by_point: dict[tuple[str, ...], dict[str, Score]] = {}
    for score in results.scores:
        point = tuple(score.values[axis] for axis in results.axes)
        by_point.setdefault(point, {})[score.candidate] = score
    rows = [[*results.axes, "labels", *candidates, *(f"{name}, paper" for name in known)]]
    for point, of in by_point.items():
        labels = f"{next(iter(of.values())).labels:,}"
        own = [format_summary(of[name].summary) if name in of else "–" for name in candidates]
        theirs = [_figure(of[name].paper) if name in of else "–" for name in known]
        rows.append([*point, labels, *own, *theirs])
    source = f" ({grid.source})" if grid.source else ""
    title = f"{grid.title}{source}: test {METRICS[results.metric]}, {results.done:,} of {results.cells:,} cells"
    return Written(title, rows, LEGEND, tuple(_sentences(grid, results)), names=len(results.axes))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _sentences(grid: Grid, results: GridResults) -> list[str]:
    """Return which arms collapsed, what the tests say of a difference that there is, and how many found none."""
    base, metric = _against(grid, grid.against), METRICS[results.metric]
    real = [each for each in results.differences if each.p_adjusted < SIGNIFICANT]
    said = [_collapsed(method, arms, results.pretrained[method]) for method, arms in results.collapsed.items() if arms]
    for each in real:
        first = _against(grid, each.values)
        where = _where(grid, results, each)
        sentence = describe_difference(each.test, first, base, metric=metric, p=each.p_adjusted)
        said.append(f"{each.candidate}{f', {where}' if where else ''}: {sentence}")
    if rest := len(results.differences) - len(real):
        many = f"{rest:,} of {count(len(results.differences), 'difference')} to {base}"
        said.append(f"{many} cannot be told from none (adjusted p {SIGNIFICANT:g} or more, or one seed).")
    return said


def _collapsed(method: str, arms: Mapping[str, int], pretrainings: int) -> str:
    told = " and ".join(f"{arm} in {many:,}" for arm, many in sorted(arms.items()))
    return f"Collapsed by the end of {count(pretrainings, 'pretraining')} by {method}: {told}."


def _against(grid: Grid, values: Mapping[str, str]) -> str:
    """Return what is tested against what, in words: a method by its name, all else with its axis."""
    told = ((axis, values[axis]) for axis in grid.against)
    return ", ".join(value if axis == "method" else f"{axis} {value}" for axis, value in told)


def _where(grid: Grid, results: GridResults, difference: Difference) -> str:
    return ", ".join(f"{axis} {difference.values[axis]}" for axis in results.axes if axis not in grid.against)


def _tested(grid: Grid, results: GridResults) -> Written | None:
    """Return every difference with its interval and adjusted p, a row each; None where nothing was tested."""
    if not results.differences:
        return None
    rows = [[*results.axes, "answer", "difference", "low", "high", "p, adjusted", "seeds"]]
    for each in results.differences:
        test = each.test
        numbers = [signed(test.difference), *(_sign(value) for value in (test.low, test.high))]
        p = "–" if isnan(each.p_adjusted) else f"{each.p_adjusted:.2g}"
        rows.append([*(each.values[axis] for axis in results.axes), each.candidate, *numbers, p, f"{test.n}"])
    title = f"Less {_against(grid, grid.against)}: test {METRICS[results.metric]}"
    return Written(title, rows, DIFFERENCES, (), names=len(results.axes) + 1)


def _sign(value: float) -> str:
    return "–" if isnan(value) else signed(value)


def _csv(grid: Grid, found: Sequence[Found]) -> str:
    text = io.StringIO()
    writer = CellWriter(text)
    writer.writerow(result_columns(grid))
    writer.writerows(result_rows(found))
    return text.getvalue()


def result_columns(grid: Grid) -> list[str]:
    """Return the columns of `result_rows`."""
    return [*grid.axes, "run", "trial", "labels", "candidate", "picked", "model", "metric", "value"]


def result_rows(found: Sequence[Found]) -> Iterator[list[Any]]:
    """Yield a row a cell, candidate and metric: everything needed to make any other table."""
    for each in found:
        summary, cell = each.summary, each.cell
        where = [each.trial.variant.run.path.name, each.trial.path.relative_to(each.trial.variant.run.path).as_posix()]
        for candidate, scores in summary.test.items():
            model = summary.arms[candidate].model if candidate in summary.arms else ""
            picked = int(candidate == summary.judgement.pick)
            for metric, value in scores.items():
                yield [*cell.values.values(), *where, summary.labels, candidate, picked, model, metric, value]


def _results_dict(grid: Grid, results: GridResults, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "title": grid.title,
        "metric": results.metric,
        "cells": results.cells,
        "done": results.done,
        "pretrained": dict(results.pretrained),
        "collapsed": {method: dict(arms) for method, arms in results.collapsed.items()},
        "scores": [
            {
                "values": dict(score.values),
                "candidate": score.candidate,
                "labels": score.labels,
                "of_each": _defined(score.of_each),
                "summary": score.summary.as_dict(),
                "paper": score.paper,
            }
            for score in results.scores
        ],
        "differences": [
            {
                **asdict(each),
                "test": each.test.as_dict(),
                "p_adjusted": None if isnan(each.p_adjusted) else each.p_adjusted,
            }
            for each in results.differences
        ],
        "files": [str(path) for path in paths],
    }


def _defined(values: Mapping[int, float]) -> dict[int, float | None]:
    return {seed: None if isnan(value) else value for seed, value in values.items()}
