"""Figures of whether answers can be acted upon: precision–recall, calibration, decision curves, abstention.

In the manner of `curves.py`. Each function writes one PNG and returns its path. Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.reports.curves import GREY, LOWEST, MOST_CURVES, save, style
from cass_cli.reports.pictures import drawn
from cass_cli.reports.tables import said_with_interval
from cass_cli.scores.use import (
    DECISION_THRESHOLDS,
    Use,
    answered,
    net_benefit,
    precision_recall,
    risk_coverage,
)
from cass_cli.scores.values import Floats, against_rest

MOST_PANELS = 9
TENTHS = 10  # groups of equally many images that calibration is drawn of


def plot_precision_recall(
    labels: Labels,
    probabilities: Floats,
    classes: Sequence[str],
    told: Sequence[int],
    path: Path,
    *,
    title: str = "Precision and recall",
) -> Path:
    """Draw the curve of each class in `told` against the rest, and the prevalence: what an answer by chance would have.

    A class that no image shows has no curve; the legend says so. Of more than `MOST_CURVES` classes the `LOWEST`.
    """
    figure = Figure(figsize=(6.6, 4.4), layout="constrained")
    axes = figure.add_subplot(title=title)
    curves = {c: _precision_recall(labels, probabilities, c) for c in told}
    areas = {c: curve[2] for c, curve in curves.items() if curve}
    those = list(told) if len(told) <= MOST_CURVES else sorted(areas, key=areas.__getitem__)[:LOWEST]
    for index, c in enumerate(those):
        curve, name = curves[c], drawn(classes[c])
        if not curve:
            axes.plot([], [], label=f"{name} (undefined)", **style(index))
            continue
        recall, precision, area, prevalence = curve
        label = f"{name} ({area:.3f}; {100 * prevalence:.3g} %)"
        axes.step(recall, precision, where="pre", label=label, linewidth=1.6, **style(index))
        axes.axhline(prevalence, color=style(index)["color"], linestyle=":", linewidth=1)
    axes.set_xlabel("recall (sensitivity)")
    axes.set_ylabel("precision (PPV)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), box_aspect=1)
    axes.grid(alpha=0.3)
    what = "class (average precision; prevalence, dotted)"
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title=what, title_fontsize=8, fontsize=8, frameon=False)
    return save(figure, path)


def _precision_recall(labels: Labels, probabilities: Floats, c: int) -> tuple[Floats, Floats, float, float] | None:
    """Return recall and precision from recall 0 on, average precision and prevalence; None where no image shows it."""
    shown, given = _known(labels, probabilities, c)
    if not shown.any():
        return None
    _, recall, precision = precision_recall(shown, given)
    area = float((np.diff(recall, prepend=0) * precision).sum())
    return np.r_[0.0, recall], np.r_[precision[0], precision], area, float(shown.mean())


def _known(labels: Labels, probabilities: Floats, c: int) -> tuple[NDArray[np.bool_], Floats]:
    """Return of the images whose label is known whether they show class c, and the probability given to it."""
    truth = against_rest(labels, [c])[:, 0]
    return truth[truth >= 0] == 1, probabilities[truth >= 0, c]


def plot_calibration(
    labels: Labels,
    probabilities: Floats,
    use: Use,
    classes: Sequence[str],
    told: Sequence[int],
    path: Path,
    *,
    title: str = "Calibration",
) -> Path:
    """Draw for each class, in a panel, how often it was there against how probable it was said to be.

    A point for each tenth of the images, from the least probable on; slope and intercept are those of `use`.
    """
    figure, panels = _panels(labels, classes, told, title=title)
    for c, axes in panels.items():
        shown, given = _known(labels, probabilities, c)
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        parts = [part for part in np.array_split(np.argsort(given, kind="stable"), TENTHS) if len(part)]
        means = [(given[part].mean(), shown[part].mean()) for part in parts]
        axes.plot(*zip(*means, strict=True), marker="o", markersize=4, **style(0))
        found = use.per_class[classes[c]]
        told_of = f"slope {said_with_interval(found['slope'])}\nintercept {said_with_interval(found['intercept'])}"
        axes.text(0.97, 0.03, told_of, transform=axes.transAxes, ha="right", fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    figure.supxlabel("probability of the class (means of tenths of the images)", fontsize=9)
    figure.supylabel("share of images that show it", fontsize=9)
    return save(figure, path)


def plot_decision(
    labels: Labels,
    models: Mapping[str, Floats],
    classes: Sequence[str],
    told: Sequence[int],
    path: Path,
    *,
    title: str = "Decision curves",
) -> Path:
    """Draw for each class, in a panel, the net benefit of acting on each model's [N, C] at every threshold.

    Beside it that of acting on all images and on none: where a model lies below these it does harm.
    """
    figure, panels = _panels(labels, classes, told, title=title)
    for c, axes in panels.items():
        found = {name: net_benefit(*_known(labels, p, c), DECISION_THRESHOLDS) for name, p in models.items()}
        for index, (name, (benefit, _)) in enumerate(found.items()):
            axes.plot(DECISION_THRESHOLDS, benefit, label=drawn(name), linewidth=1.6, **style(index))
        of_all = next(iter(found.values()))[1]
        highest = max(float(curve.max()) for pair in found.values() for curve in pair)
        axes.plot(DECISION_THRESHOLDS, of_all, color=GREY, linestyle="--", linewidth=1, label="act on all")
        axes.axhline(0, color=GREY, linestyle=":", linewidth=1, label="act on none")
        axes.set(xlim=(0, 1), ylim=(-0.25 * highest, 1.08 * highest))
    if panels:
        next(iter(panels.values())).legend(fontsize=7, loc="upper right")
    figure.supxlabel("threshold: the probability from which one would act", fontsize=9)
    figure.supylabel("net benefit", fontsize=9)
    return save(figure, path)


def _panels(
    labels: Labels, classes: Sequence[str], told: Sequence[int], *, title: str
) -> tuple[Figure, dict[int, Axes]]:
    """Return a panel for each class that some images show and some do not; of many, for those of the most images."""
    truth = against_rest(labels, told)
    images = dict(zip(told, (truth == 1).sum(axis=0).tolist(), strict=True))
    rest = dict(zip(told, (truth == 0).sum(axis=0).tolist(), strict=True))
    those = [c for c in told if images[c] and rest[c]]
    kept = sorted(sorted(those, key=lambda c: -images[c])[:MOST_PANELS])
    columns = min(3, max(1, len(kept)))
    rows = -(-max(1, len(kept)) // columns)
    size = (4.6, 3.9) if columns == 1 else (2.9 * columns, 2.7 * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    more = f" ({len(kept)} of {len(told)} classes, those of the most images)" if len(kept) < len(those) else ""
    figure.suptitle(f"{title}{more}", fontsize=11)
    found: dict[int, Axes] = {}
    for place, c in enumerate(kept, start=1):
        found[c] = figure.add_subplot(rows, columns, place)
        found[c].set_title(drawn(classes[c]), fontsize=9)
        found[c].tick_params(labelsize=8)
        found[c].grid(alpha=0.3)
    if not kept:
        figure.text(0.5, 0.5, "No class is shown by some images and not by others.", ha="center", fontsize=9)
    return figure, found


def plot_risk_coverage(
    labels: Labels,
    models: Mapping[str, Floats],
    thresholds: Mapping[str, Floats | None],
    areas: Mapping[str, float],
    path: Path,
    *,
    title: str = "Abstention",
) -> Path:
    """Draw the share of wrong answers among the surest, against which share of all images these are, for each model."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot(title=title)
    for index, (name, probabilities) in enumerate(models.items()):
        _, coverage, risk = risk_coverage(answered(labels, probabilities, thresholds=thresholds[name]))
        label = f"{drawn(name)}: AURC {areas[name]:.3f}"
        more: dict[str, Any] = {"marker": "o"} if len(risk) == 1 else {}
        axes.plot(coverage, risk, label=label, linewidth=1.6, **style(index), **more)
    axes.set_xlabel("coverage: share of images that are answered, the surest first")
    axes.set_ylabel("risk: share of wrong answers among them")
    axes.set(xlim=(-0.01, 1.01))
    axes.set_ylim(bottom=-0.005)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="best")
    return save(figure, path)
