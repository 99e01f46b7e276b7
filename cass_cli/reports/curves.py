"""Figures of one run: confusion matrix, ROC, reliability and training curves.

matplotlib's object-oriented interface with the Agg canvas: no display, no global state. Colours are those of
Okabe and Ito (2008), which readers with any colour vision tell apart; beyond seven curves the line style
changes too. Each function writes one PNG and returns its path.

Shapes: N images, C classes, E epochs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from cass_cli.data.splits import Labels
from cass_cli.reports.pictures import drawn, write_picture
from cass_cli.scores.values import BINS, Floats, bin_of, calibration_gaps, calibration_points, indicator

DPI = 150  # 6 inches give 900 pixels, the width of a README column
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
GREY = "#8c8c8c"
MOST_CELLS = 30  # classes, up to which the cells of a confusion matrix hold numbers
MOST_TICKS = 40  # names beside an axis
MOST_CURVES = len(COLOURS) * len(LINES)  # that can be told apart
LOWEST = 5  # curves that are drawn of more classes


def plot_confusion(
    matrix: NDArray[np.int64], classes: Sequence[str], path: Path, *, title: str = "Confusion matrix"
) -> Path:
    """Draw counts [C, C] (rows true, columns chosen), coloured by their share of the row.

    Multi-label counts [C, 2, 2] = ((TN, FP), (FN, TP)) become a row a class: found, missed, false alarm,
    rightly absent; coloured by the share of the images that do, or don't, show the class.
    Of more than `MOST_CELLS` classes there are colours without numbers, and names at regular distances.
    """
    several = matrix.ndim == 3
    counts = matrix.reshape(len(classes), 4)[:, [3, 2, 1, 0]] if several else matrix
    halves = counts.reshape(len(classes), -1, 2).sum(axis=2).repeat(2, axis=1) if several else None  # [C, 4]
    whole = counts.sum(axis=1, keepdims=True) if halves is None else halves
    share = np.divide(counts, whole, out=np.zeros(counts.shape), where=whole > 0)
    columns = ["found", "missed", "false alarm", "rightly absent"] if several else [drawn(c) for c in classes]
    many = len(classes) > MOST_CELLS
    width = 11.0 if many and not several else 2.6 + 0.75 * len(columns)
    figure = Figure(figsize=(width, 9.5 if many else 1.9 + 0.62 * len(classes)), layout="constrained")
    axes = figure.add_subplot(title=title)
    image = axes.imshow(100 * share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    _name_ticks(axes.xaxis, columns, "decision" if several else "chosen class")
    _name_ticks(axes.yaxis, [drawn(c) for c in classes], "class" if several else "true class")
    if not many:
        _write_cells(axes, counts, share)
    unit = "share of images with, or without, the class (%)" if several else "share of the true class (%)"
    figure.colorbar(image, ax=axes, label=unit)
    return save(figure, path)


def _name_ticks(axis: Axis, names: Sequence[str], title: str) -> None:
    """Name an axis and the places 0, 1, … on it; of too many names one in two, or in three, and so on, and say so."""
    step, many = -(-len(names) // MOST_TICKS), len(names) > MOST_CELLS
    axis.set_ticks(range(0, len(names), step), names[::step])
    axis.set_label_text(title if step == 1 else f"{title} (one in {step} is named)")
    look: dict[str, Any] = {"size": 7} if many else {}
    if isinstance(axis, XAxis):
        look |= {"rotation": 90, "va": "center"} if many else {"rotation": 30}
        look |= {"ha": "right", "rotation_mode": "anchor"}
    for label in axis.get_ticklabels():
        label.set(**look)


def _write_cells(axes: Axes, counts: NDArray[np.int64], share: Floats) -> None:
    """Write its count and its share into each cell: one text a cell, which a large matrix takes minutes for."""
    for (row, column), count in np.ndenumerate(counts):
        part = share[row, column]
        label = f"{count}\n{100 * part:.0f} %" if count else "0"
        axes.text(column, row, label, ha="center", va="center", size=8, color="white" if part > 0.6 else "black")


def plot_roc(
    labels: Labels,
    probabilities: Floats,
    classes: Sequence[str],
    path: Path,
    *,
    title: str = "ROC, one class against the rest",
) -> Path:
    """Draw the ROC curve of each class from labels (indices [N], or 0/1 [N, C]) and probabilities [N, C].

    Unknown labels (-1) are left out. A class that no image or every image shows has no curve; the legend says so. Of
    more than `MOST_CURVES` classes the mean curve is drawn, the band that holds nine tenths of them, and the `LOWEST`.
    """
    from sklearn.metrics import auc, roc_curve  # a second and a half, which a report can do without

    truth = indicator(labels, len(classes))
    known = np.broadcast_to(labels.reshape(len(labels), -1) >= 0, truth.shape)
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot(title=title)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="chance (0.500)")
    curves = {}
    for c in range(len(classes)):
        shown, given = truth[known[:, c], c], probabilities[known[:, c], c]
        if shown.any() and not shown.all():
            curves[c] = roc_curve(shown, given, drop_intermediate=True)[:2]
    areas = {c: float(auc(*curve)) for c, curve in curves.items()}
    those = list(range(len(classes)))
    if len(classes) > MOST_CURVES:
        those = sorted(areas, key=areas.__getitem__)[:LOWEST]
        _plot_spread(axes, curves.values(), areas.values())
    for index, c in enumerate(those):
        label = f"{drawn(classes[c])} ({areas[c]:.3f})" if c in areas else f"{drawn(classes[c])} (undefined)"
        axes.plot(*curves.get(c, ([], [])), label=label, linewidth=1.6, **style(index))
    axes.set_xlabel("false positive rate (1 − specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), box_aspect=1)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="class (AUROC)", fontsize=8, frameon=False)
    return save(figure, path)


def _plot_spread(axes: Axes, curves: Collection[tuple[Floats, Floats]], areas: Collection[float]) -> None:
    """Draw the mean of many curves, and between which heights nine tenths of them lie."""
    if not curves:
        return
    grid = np.linspace(0, 1, 201)
    heights = np.stack([np.interp(grid, *curve) for curve in curves])
    low, high = np.quantile(heights, [0.05, 0.95], axis=0)
    axes.fill_between(grid, low, high, color=GREY, alpha=0.3, linewidth=0, label="nine tenths of the classes")
    label = f"mean of {len(curves):,} classes ({np.mean(list(areas)):.3f})"
    axes.plot(grid, heights.mean(axis=0), color="black", linewidth=2.2, label=label)


def plot_reliability(labels: Labels, models: Mapping[str, Floats], path: Path, *, title: str = "Reliability") -> Path:
    """Draw how often outcomes came against the probability given to them, for each named model's [N, C].

    Bins and outcomes are those of the ECE: the chosen class of each image; every known label when multi-label.
    Only bins with outcomes have a point; the lower panel shows how many outcomes lie in each.
    """
    several = labels.ndim == 2
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.set_title(title)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="perfect calibration")
    for m, (name, probabilities) in enumerate(models.items()):
        given, came, _ = calibration_points(labels, probabilities)
        bins = bin_of(given)
        counts = np.bincount(bins, minlength=BINS)
        filled = counts > 0
        confidence, rate = (np.bincount(bins, v, minlength=BINS)[filled] / counts[filled] for v in (given, came))
        error = np.abs(calibration_gaps(labels, probabilities).sum(axis=0)).sum() / max(len(given), 1)
        look = style(m)
        axes.plot(confidence, rate, label=f"{drawn(name)}: ECE {error:.3f}", marker="o", markersize=4, **look)
        below.stairs(counts, np.linspace(0, 1, BINS + 1), linewidth=1.4, **look)
    axes.set_ylabel("share of labels present" if several else "accuracy of the chosen class")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=8)
    below.set_xlabel("probability of the label" if several else "probability of the chosen class (confidence)")
    below.set_ylabel("labels" if several else "images")
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.grid(alpha=0.3)
    return save(figure, path)


def plot_training(panels: Mapping[str, Mapping[str, ArrayLike]], path: Path, **drawn: Any) -> Path:
    """Write what `training_figure` draws to `path`."""
    return save(training_figure(panels, **drawn), path)


def training_figure(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    *,
    title: str = "Training",
    best_epoch: int | None = None,
    logarithmic: Sequence[str] = (),
    first: int = 1,
) -> Figure:
    """Draw a panel for each quantity, below each other, with a curve [E] for each named series; epochs from `first`.

    `panels` maps the y label, with its unit if it has one, to the series. NaN leaves a gap.
    `best_epoch` is marked in every panel; panels named in `logarithmic` get a log scale.
    """
    figure = Figure(figsize=(6.4, 1.0 + 2.1 * len(panels)), layout="constrained")
    rows: NDArray[Any] = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    rows[0].set_title(title)
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    for axes, (label, series) in zip(rows, panels.items(), strict=True):
        for name, values in series.items():
            _plot_series(axes, np.asarray(values, dtype=np.float64), name, names.index(name), first)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1, label=f"best epoch ({best_epoch})")
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))  # a learning rate reads as 1.5 × 1e−4
        if label in logarithmic:
            axes.set_yscale("log")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="best")
    figure.align_ylabels()
    rows[-1].set_xlabel("epoch")
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    if all(np.size(values) <= 1 for curves in panels.values() for values in curves.values()):
        rows[-1].set_xticks([first])  # of one epoch the locator makes fractions
    return figure


def _plot_series(axes: Axes, values: Floats, name: str, index: int, first: int) -> None:
    marker = "o" if len(values) <= 30 else None
    epochs = np.arange(first, first + len(values))
    axes.plot(epochs, values, label=drawn(name), marker=marker, markersize=3, linewidth=1.6, **style(index))


def style(index: int) -> dict[str, Any]:
    """Return colour and line of the curve with this number."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index // len(COLOURS) % len(LINES)],
    }


def save(figure: Figure, path: Path) -> Path:
    """Write a figure and return its path."""
    write_picture(figure, path, dpi=DPI)
    return path
