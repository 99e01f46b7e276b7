"""What a grid has found: the scores of its finished cells, over seeds, tested against one of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from statistics import fmean

from cass_cli.config.grid_file import SEEDS, Grid, value_name
from cass_cli.engine.grid.cells import GridCell
from cass_cli.runs.compare import cells_of, check_metric
from cass_cli.runs.directory import Run
from cass_cli.runs.records import read_run_summary
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant
from cass_cli.scores.over_seeds import PairedTest, SeedSummary, holm, paired_test, summarise_seeds


@dataclass(frozen=True)
class Found:
    """A finished cell: its trial and what that said."""

    cell: GridCell
    trial: Trial
    summary: TrialSummary


@dataclass(frozen=True)
class Score:
    """One candidate at one point of the grid, over seeds."""

    values: Mapping[str, str]  # of the axes, but for seeds
    candidate: str
    labels: int
    of_each: Mapping[int, float]  # test score by seed: of the pretraining where there are several, else of fine-tuning
    summary: SeedSummary
    paper: float | None = None


@dataclass(frozen=True)
class Difference:
    """A point less the one that it is tested against, over the seeds of both."""

    values: Mapping[str, str]
    candidate: str
    test: PairedTest
    p_adjusted: float  # for all tests of the grid (Holm)


@dataclass(frozen=True)
class GridResults:
    """The scores of a grid."""

    metric: str
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    axes: tuple[str, ...]  # that have several values, but for seeds
    done: int
    cells: int
    pretrained: Mapping[str, int] = field(default_factory=dict)  # by method: pretrainings behind the cells
    collapsed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # and by arm: of these, where it collapsed


def finished(cells: Iterable[GridCell], runs: Path) -> list[Found]:
    """Return what the finished cells said."""
    found = []
    for cell in cells:
        trial = Variant(Run(runs / cell.variant.run.name), cell.variant.name).trial(cell.fraction, cell.seed)
        if trial.finished:
            found.append(Found(cell, trial, trial.summary()))
    return found


def results_of(grid: Grid, found: Sequence[Found], cells: Sequence[GridCell]) -> GridResults:
    """Return means over seeds with intervals, and paired tests against `grid.against`."""
    metric = grid.metric or (found[0].summary.metric if found else "macro_f1")
    check_metric(metric)
    several = tuple(axis for axis, values in grid.axes.items() if len(values) > 1 and axis not in SEEDS)
    points: dict[tuple[tuple[str, str], ...], list[Found]] = {}
    for each in found:
        points.setdefault(tuple(_point(each.cell).items()), []).append(each)
    scores = [score for point, of in points.items() for score in _scores(grid, dict(point), of, metric)]
    differences = _differences(grid, scores)
    return GridResults(metric, tuple(scores), differences, several, len(found), len(cells), *_pretrainings(found))


def _pretrainings(found: Sequence[Found]) -> tuple[dict[str, int], dict[str, Counter[str]]]:
    """Return how many pretrainings each method has, and how many of them each arm ended collapsed."""
    method_of = {each.trial.variant.run: each.cell.variant.run.resolved.config.method.name for each in found}
    ended = [(method, read_run_summary(run.summary)) for run, method in method_of.items()]  # None: transfer
    states = [(method, summary.get("states", {})) for method, summary in ended if summary is not None]
    collapsed: dict[str, Counter[str]] = {method: Counter() for method, _ in states}
    for method, of_arms in states:
        collapsed[method].update(arm for arm, state in of_arms.items() if state == "collapsed")
    return dict(Counter(method for method, _ in states)), collapsed


def _point(cell: GridCell) -> dict[str, str]:
    return {axis: label for axis, label in cell.values.items() if axis not in SEEDS}


def _scores(grid: Grid, point: dict[str, str], of: Sequence[Found], metric: str) -> list[Score]:
    """Return a score for each candidate; a seed of the pretraining is the mean of its fine-tunings."""
    by_run: dict[int, list[Found]] = {}
    for each in of:
        by_run.setdefault(each.cell.variant.run.resolved.config.train.seed, []).append(each)
    tables = {seed: cells_of("", [each.summary for each in group], metric) for seed, group in by_run.items()}
    candidates = list(dict.fromkeys(cell.candidate for cells in tables.values() for cell in cells))
    scores = []
    for candidate in candidates:
        found = {seed: cell for seed, cells in tables.items() for cell in cells if cell.candidate == candidate}
        if len(tables) > 1:
            values = {seed: fmean(cell.values.values()) if cell.values else nan for seed, cell in found.items()}
        else:
            values = dict(next(iter(found.values())).values)
        labels = round(fmean(cell.labels for cell in found.values()))
        summary = summarise_seeds(list(values.values()))
        scores.append(Score(point, candidate, labels, values, summary, _paper(grid, point, candidate)))
    return scores


def _paper(grid: Grid, point: Mapping[str, str], candidate: str) -> float | None:
    """Return what the paper found at this point, where its file says so."""
    for entry in grid.paper:
        named = {key: value_name(value) for key, value in entry.items() if key in grid.axes}
        if candidate in entry and named.items() <= point.items():
            return float(entry[candidate])
    return None


def _differences(grid: Grid, scores: Sequence[Score]) -> tuple[Difference, ...]:
    if not grid.against:
        return ()
    tests = []
    by_point = {(tuple(sorted(score.values.items())), score.candidate): score for score in scores}
    for score in scores:
        base = {**score.values, **grid.against}
        other = by_point.get((tuple(sorted(base.items())), score.candidate))
        if other is not None and other is not score:
            tests.append((score, paired_test(score.of_each, other.of_each)))
    adjusted = holm([test.t_p for _, test in tests])
    return tuple(
        Difference(score.values, score.candidate, test, p) for (score, test), p in zip(tests, adjusted, strict=True)
    )
