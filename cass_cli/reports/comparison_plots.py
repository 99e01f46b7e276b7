"""Figures of `cass compare`: the paper's tables of scores as curves, against labels and against seconds.

In the manner of `curves.py`, but each method has a marker and a line of its own beside its colour: such figures are
printed. A panel is a candidate: an arm, or an answer of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, log10
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cass_cli.reports.curves import COLOURS, GREY, LINES, save
from cass_cli.reports.pictures import drawn
from cass_cli.runs.compare import Cell, Comparison
from cass_cli.runs.cost import Costs
from cass_cli.scores.metrics import LOWER_IS_BETTER, METRICS

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_METHODS = len(MARKERS)  # that can be told apart without colour
LONGEST, WIDEST = 100, 40  # letters of a method's name, and of a line of the legend
APART = 0.018  # of the axis, between the points of two methods at one label fraction
TIMES = {  # seconds → what the axis calls them
    **{1: "1 s", 3: "3 s", 10: "10 s", 30: "30 s", 60: "1 min", 180: "3 min", 600: "10 min", 1800: "30 min"},
    **{3600: "1 h", 10_800: "3 h", 36_000: "10 h", 86_400: "1 d", 259_200: "3 d", 864_000: "10 d"},
}
INTERVAL = "mean over n seeds; bars: 95 % interval (Student t)"

Point = tuple[float, Cell]  # where it is on the x axis


def plot_by_labels(comparison: Comparison, path: Path) -> Path:
    """Draw scores against the share of training labels, on a log axis: a line a method, a panel a candidate."""
    methods = list(dict.fromkeys(cell.method for cell in comparison.cells))[:MOST_METHODS]
    fractions = sorted({cell.fraction for cell in comparison.cells})
    low, high = log10(fractions[0]) - 0.2, log10(fractions[-1]) + 0.2
    step = min(APART, 0.1 / len(methods)) * (high - low)

    def place(cell: Cell) -> float:
        middle = (len(methods) - 1) / 2
        return float(cell.fraction * 10 ** (step * (methods.index(cell.method) - middle)))

    figure, panels = _draw(comparison, methods, place)
    for axes in panels.values():
        axes.set_xlim(10**low, 10**high)
        kept = _spread(fractions, high - low)
        axes.set_xticks(kept, [f"{100 * fraction:.4g}" for fraction in kept])
        axes.minorticks_off()
    figure.suptitle(f"Test {METRICS[comparison.metric]} by share of training labels", fontsize=11)
    figure.supxlabel(f"share of training labels (%)\n{INTERVAL}", fontsize=9)
    return save(figure, path)


def plot_by_seconds(comparison: Comparison, costs: Costs, path: Path) -> Path:
    """Draw scores against what pretraining and fine-tuning took, on a log axis: a point a method and label fraction.

    What a method took is not known of ensembles and of runs without their rows; it is not drawn, which the legend says.
    """
    methods = list(dict.fromkeys(cell.method for cell in comparison.cells))[:MOST_METHODS]
    figure, panels = _draw(comparison, methods, lambda cell: costs.seconds[cell.method, cell.fraction], told=True)
    known = [seconds for (name, _), seconds in costs.seconds.items() if name in methods and seconds > 0]
    for axes in panels.values():
        if known:
            low = max((t for t in TIMES if t <= min(known)), default=min(known) / 2)
            high = min((t for t in TIMES if t >= max(known)), default=2 * max(known))
            decades = 1.25 * log10(high / low) + 0.2  # with room for what stands beside the last point
            axes.set_xlim(low / 1.2, low / 1.2 * 10**decades)
            ticks = _spread([t for t in TIMES if low <= t <= high], decades, apart=0.2)
            axes.set_xticks(ticks, [TIMES[int(t)] for t in ticks])
        axes.minorticks_off()
    figure.suptitle(f"Test {METRICS[comparison.metric]} by time of training", fontsize=11)
    of = f"pretraining, counted whole for each, and fine-tuning of all arms, on {' and '.join(costs.devices)}"
    figure.supxlabel(f"{of}\nbeside a point: its share of training labels; {INTERVAL}", fontsize=9)
    return save(figure, path)


def _draw(
    comparison: Comparison, methods: Sequence[str], place: Any, *, told: bool = False
) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a panel for each candidate, in which each cell is at `place(cell)` on a log axis.

    Where `told`, the label fraction stands beside each point.
    """
    defined = [cell for cell in comparison.cells if cell.summary.n] or comparison.cells
    candidates = list(dict.fromkeys(cell.candidate for cell in defined))
    columns = min(3, len(candidates))
    rows = -(-len(candidates) // columns)
    figure = Figure(figsize=(max(3.6, 2.8 * columns) + 2.2, 2.6 * rows + 1), layout="constrained")
    grid: NDArray[Any] = figure.subplots(rows, columns, squeeze=False, sharey=True)
    panels: dict[str, Axes] = dict(zip(candidates, grid.flat, strict=False))
    for unused in list(grid.flat)[len(candidates) :]:
        unused.set_visible(False)
    lines: dict[str, Any] = {}
    shown: set[str] = set()
    for candidate, axes in panels.items():
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
        axes.set_title(_title(comparison.cells, candidate), fontsize=9)
        for index, method in enumerate(methods):
            own = [c for c in comparison.cells if (c.method, c.candidate) == (method, candidate)]
            points = [(place(cell), cell) for cell in own]
            points = [(x, cell) for x, cell in points if not isnan(x) and not isnan(cell.summary.mean)]
            lines[method] = _plot_points(axes, points, index, told=told)
            shown |= {method} if points else set()
        if comparison.guessed is not None:
            lines[_guessing(comparison)] = axes.axhline(comparison.guessed, color=GREY, linestyle=":", linewidth=1.2)
    _within(next(iter(panels.values())), comparison)
    missing = {method: ", time not known" if told else ", undefined" for method in methods if method not in shown}
    labels = [_label(defined, name) + missing.get(name, "") if name in methods else name for name in lines]
    every = len({cell.method for cell in comparison.cells})
    left_out = f"the first {len(methods)} of {every} methods" if every > len(methods) else None
    figure.legend(
        list(lines.values()),
        labels,
        loc="outside right center",
        handlelength=4,
        fontsize=8,
        frameon=False,
        title=left_out,
        title_fontsize=8,
    )
    lower = " (lower is better)" if comparison.metric in LOWER_IS_BETTER else ""
    figure.supylabel(f"test {METRICS[comparison.metric]}{lower}", fontsize=9)
    return figure, panels


def _plot_points(axes: Axes, points: Sequence[Point], index: int, *, told: bool) -> Any:
    """Draw the points of a method with their intervals, where they have any, and return what a legend shows."""
    x = [place for place, _ in points]
    of = [cell.summary for _, cell in points]
    spread = np.array([[s.mean - s.low for s in of], [s.high - s.mean for s in of]]).reshape(2, -1)
    drawn_line = axes.errorbar(x, [s.mean for s in of], yerr=spread, linewidth=1.4, capsize=2.5, **look(index))
    for place, cell in points if told else ():
        share = f"{100 * cell.fraction:.4g} %"
        axes.annotate(share, (place, cell.summary.mean), (4, 3), textcoords="offset points", fontsize=6)
    return drawn_line


def look(index: int) -> Mapping[str, Any]:
    """Return colour, line and marker of the method with this number: no two of `MOST_METHODS` have the same marker."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": 5,
    }


def _title(cells: Sequence[Cell], candidate: str) -> str:
    """Return the candidate, with its network where all methods have the same."""
    models = {cell.model for cell in cells if cell.candidate == candidate}
    model = models.pop() if len(models) == 1 else ""
    return f"{candidate} ({drawn(model)})" if model else candidate


def _label(cells: Sequence[Cell], method: str) -> str:
    """Return a method with how many seeds its points are of."""
    seeds = sorted({cell.summary.n for cell in cells if cell.method == method}) or [0]
    of = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return fill(f"{drawn(method, LONGEST)}, n = {of}", WIDEST, break_on_hyphens=False)


def _guessing(comparison: Comparison) -> str:
    value = f"{comparison.guessed:.3g}"
    return f"guessing ({'at most ' if comparison.metric == 'macro_f1' else ''}{value})"


def _within(axes: Axes, comparison: Comparison) -> None:
    """Cut the axis at what a score can be: the interval of two seeds may reach far beyond."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.03), min(high, 1.03 if comparison.metric != "brier" else 2.06))


def _spread(values: Sequence[float], decades: float, *, apart: float = 0.11) -> list[float]:
    """Return those of rising values whose names do not touch on a log axis of so many decades; the last is kept."""
    kept: list[float] = []
    for value in reversed(values):
        if not kept or log10(kept[-1] / value) > apart * decades:
            kept.append(value)
    return kept[::-1]
