"""The figure of a grid: scores along its widest axis of numbers, a line each other point, a panel a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cass_cli.config.grid_file import Grid
from cass_cli.engine.grid.results import GridResults, Score
from cass_cli.reports.comparison_plots import MARKERS
from cass_cli.reports.curves import MOST_CURVES, save, style
from cass_cli.reports.pictures import drawn
from cass_cli.scores.metrics import METRICS

WIDTH, HEIGHT = 4.2, 3.6  # inches of a panel
APART = 0.02  # of the width, from line to line
LONGEST_TITLE = 60  # characters
WIDE = 8.0  # the largest value over the smallest from which an axis is logarithmic


def plot_grid(grid: Grid, results: GridResults, path: Path) -> Path:
    """Draw a column a candidate, a row a data set: mean and 95 % interval over seeds, hollow what the paper found.

    Points are joined along an axis of numbers, and not from name to name.
    """
    along = along_axis(results)
    rows = "data" if "data" in results.axes and along != "data" else None
    sets = list(grid.axes[rows]) if rows else [""]
    candidates = list(dict.fromkeys(score.candidate for score in results.scores))
    apart = [axis for axis in results.axes if axis not in (along, rows)]
    lines = list(dict.fromkeys(_line(score, apart) for score in results.scores))[:MOST_CURVES]
    figure = Figure(figsize=(WIDTH * len(candidates), HEIGHT * len(sets) + 0.6), layout="constrained")
    panels = figure.subplots(len(sets), len(candidates), squeeze=False, sharey="row")
    for row, one in zip(panels, sets, strict=True):
        for axes, candidate in zip(row, candidates, strict=True):
            of = [s for s in results.scores if s.candidate == candidate and (not rows or s.values[rows] == one)]
            places = _places(grid, along)
            for i, line in enumerate(lines):
                beside = _beside(places, i - (len(lines) - 1) / 2)
                _draw(axes, [score for score in of if _line(score, apart) == line], along, beside, i, line)
            _name_places(axes, places, along)
            axes.set_title(drawn(f"{one}, {candidate}" if one else candidate))
            axes.grid(alpha=0.3)
            axes.margins(x=0.1)
        low, high = row[0].get_ylim()  # of the whole row
        row[0].set_ylim(max(0.0, low), min(1.0, high))
        row[0].set_ylabel(f"Test {METRICS[results.metric]}")
    named = {
        label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if len(lines) > 1:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=min(6, len(lines)), frameon=False)
    hollow = "; hollow: the paper" if any(score.paper is not None for score in results.scores) else ""
    figure.suptitle(f"{drawn(grid.title, LONGEST_TITLE)}: mean and 95 % interval over seeds{hollow}", fontsize=11)
    return save(figure, path)


def _places(grid: Grid, along: str | None) -> dict[str, float]:
    """Return where along x each value of the axis stands: at its number, else in order."""
    labels = list(grid.axes[along]) if along else []
    numbers = [_number(label) for label in labels]
    if None in numbers or len(labels) == 1:
        return {label: float(i) for i, label in enumerate(labels)}
    return {label: float(label) for label in labels}


def _numeric(places: dict[str, float]) -> bool:
    return all(_number(label) == place for label, place in places.items())


def _logarithmic(places: dict[str, float]) -> bool:
    wide = bool(places) and min(places.values()) > 0 and max(places.values()) / min(places.values()) >= WIDE
    return wide and _numeric(places)


def _beside(places: dict[str, float], lines: float) -> dict[str, float]:
    """Return the places of a line so many from the middle one: a little aside, so that intervals are told apart."""
    low, high = min(places.values(), default=0.0), max(places.values(), default=0.0)
    if _logarithmic(places):
        return {label: place * (high / low) ** (APART * lines) for label, place in places.items()}
    return {label: place + (high - low or 1.0) * APART * lines for label, place in places.items()}


def _name_places(axes: Axes, places: dict[str, float], along: str | None) -> None:
    axes.set_xlabel(drawn(along or ""))
    numeric = _numeric(places)
    if _logarithmic(places):
        axes.set_xscale("log")
    names = [drawn(label) for label in places]
    if numeric:
        axes.set_xticks(list(places.values()), names)
    else:
        axes.set_xticks(list(places.values()), names, rotation=30, ha="right")
    axes.minorticks_off()


def along_axis(results: GridResults) -> str | None:
    """Return the axis that lies along x: the shares of labels, else of those of numbers the one with most values."""
    if "label_fraction" in results.axes:
        return "label_fraction"
    values = {axis: {score.values[axis] for score in results.scores} for axis in results.axes}
    numeric = [axis for axis in results.axes if all(_number(label) is not None for label in values[axis])]
    return max(numeric or results.axes, key=lambda axis: len(values[axis]), default=None)


def _line(score: Score, apart: Sequence[str]) -> str:
    return ", ".join(score.values[axis] for axis in apart)


def _draw(
    axes: Axes, scores: Sequence[Score], along: str | None, x_of: dict[str, float], index: int, label: str
) -> None:
    placed = ((x_of[score.values[along]] if along else 0.0, score) for score in scores)
    found = sorted(placed, key=lambda pair: pair[0])
    if not found:
        return
    half = [0.0 if isnan(score.summary.low) else score.summary.mean - score.summary.low for _, score in found]
    marker = MARKERS[index % len(MARKERS)]
    looks = style(index) if all(_number(name) is not None for name in x_of) else style(index) | {"linestyle": "none"}
    axes.errorbar(
        [x for x, _ in found],
        [score.summary.mean for _, score in found],
        yerr=half,
        label=drawn(label) or None,
        marker=marker,
        markersize=4,
        capsize=2,
        linewidth=1.4,
        **looks,
    )
    paper = [(x, score.paper) for x, score in found if score.paper is not None]
    if paper:
        axes.plot(
            [x for x, _ in paper],
            [value for _, value in paper],
            linestyle="none",
            marker=marker,
            markersize=6,
            markerfacecolor="none",
            color=style(index)["color"],
        )


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None
