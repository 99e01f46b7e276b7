"""The figure of `cass embed`: what arms know of images, in a plane each.

In the manner of `curves.py`. Shapes: n images drawn, D features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import label_text, labelled
from cass_cli.engine.embedding.projection import PROJECTIONS, Plane
from cass_cli.errors import ConfigError, did_you_mean
from cass_cli.reports.curves import COLOURS, GREY, save
from cass_cli.reports.map_plots import wrapped
from cass_cli.reports.pictures import drawn
from cass_cli.words import count

MARKERS = ("o", "s", "^", "D")
MOST_COLOURS = len(COLOURS) * len(MARKERS)  # that can be told apart
MANY = 1500  # images, beyond which points are smaller
KINDS = ("class", "split", "group")
MEANING = {
    "tsne": "Near points are alike; how far apart clusters lie, how large and how dense they are says nothing.",
    "umap": "Near points are alike; how far apart clusters lie, how large and how dense they are says little.",
    "pca": "Distances are true but for what the other components hold.",
}
UNKNOWN = {"class": "no label", "split": "no split"}


@dataclass(frozen=True)
class Colouring:
    """What each image is coloured by."""

    by: str  # "class", "split", "group", a column; "" for nothing
    values: tuple[str, ...]  # [n]; "" where nothing is known


def check_colour(asked: str | None, table: SampleTable, splits: Sequence[str]) -> str:
    """Return what colours mean: what is asked for, else the class, the split, or nothing, as the images have them.

    Raises `ConfigError` for what the images don't have.
    """
    has = {"class": table.labels is not None, "split": any(splits), "group": table.groups is not None}
    known = [name for name in KINDS if has[name]] + list(table.subgroups)
    if asked is None:
        return next((name for name in ("class", "split") if has[name]), "")
    if asked not in known:
        raise ConfigError(
            f"The images have no '{asked}' to be coloured by.{did_you_mean(asked, known)}",
            hint=f"They have: {', '.join(known)}." if known else "Leave --colour out.",
        )
    return asked


def colouring(by: str, table: SampleTable, splits: Sequence[str]) -> Colouring:
    """Return what each image of the table is coloured by."""
    if by == "class" and table.multilabel:
        assert table.labels is not None, "checked before"
        texts = [label_text(table, row) for row in range(len(table))]
        known = labelled(table.labels).tolist()
        return Colouring(by, tuple(t or ("none of them" if k else "") for t, k in zip(texts, known, strict=True)))
    if by == "class":
        return Colouring(by, tuple(label_text(table, row) for row in range(len(table))))
    if by == "group":
        return Colouring(by, table.groups or ())
    return Colouring(by, tuple(splits) if by == "split" else table.subgroups.get(by, ("",) * len(table)))


def plot_embedding(
    planes: Mapping[str, Plane],
    titles: Mapping[str, str],
    colours: Colouring,
    path: Path,
    *,
    projection: str,
    images: int,
) -> Path:
    """Draw a panel for each plane [n, 2], every image a point, in the colour of its value; rare values on top.

    Of more values than can be told apart, the rest is grey, and the legend says how many they are. `images` is how many
    there are in all.
    """
    n = len(colours.values)
    figure = Figure(figsize=(4.6 * len(planes) + 2.2, 5.4), layout="constrained")
    shown = count(n, "image") if n == images else f"{n:,} of {images:,} images"
    figure.suptitle(f"{PROJECTIONS[projection]} of what each network knows of {shown}")
    row: NDArray[Any] = figure.subplots(1, len(planes), squeeze=False)[0]
    looks = _looks(colours)
    for axes, (name, plane) in zip(row, planes.items(), strict=True):
        for label, rows, style in looks:
            points = plane.points[rows]
            look = {"linewidths": 0, **style}
            axes.scatter(points[:, 0], points[:, 1], s=7 if n > MANY else 16, label=label, **look)
        axes.set_title(titles[name], fontsize=10)
        _bare(axes)
    hows = dict.fromkeys(plane.how for plane in planes.values())
    which = [f"{', '.join(name for name in planes if planes[name].how == how)}: {how}" for how in hows]
    told = list(hows) if len(hows) == 1 else which
    figure.supxlabel(
        wrapped(f"{MEANING[projection]} {PROJECTIONS[projection]}: {'; '.join(told)}.", 52 * len(planes) + 20),
        fontsize=8,
    )
    if colours.by:
        handles, labels = row[-1].get_legend_handles_labels()
        heading = f"{drawn(colours.by)} (images)"
        row[-1].legend(
            handles,
            labels,
            title=heading,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            fontsize=8,
            title_fontsize=8,
            frameon=False,
            markerscale=2,
        )
    return save(figure, path)


def _looks(colours: Colouring) -> list[tuple[str, NDArray[np.int64], dict[str, Any]]]:
    """Return what is drawn, the most frequent first: its name, its images, its colour and marker."""
    values = np.array(colours.values, dtype=object)
    if not colours.by:
        return [("", np.arange(len(values)), {"color": COLOURS[0], "alpha": 0.7})]
    sizes = Counter(value for value in colours.values if value)
    ranked = sorted(sizes, key=lambda value: (-sizes[value], value))
    kept = ranked if len(ranked) <= MOST_COLOURS else ranked[: MOST_COLOURS - 1]
    grey: dict[str, Any] = {"color": GREY, "alpha": 0.35}
    found = []
    if bare := int(np.count_nonzero(values == "")):
        found.append((f"{UNKNOWN.get(colours.by, 'not known')} ({bare:,})", np.flatnonzero(values == ""), grey))
    if others := len(ranked) - len(kept):
        rest = np.flatnonzero(np.isin(values, ranked[len(kept) :]))
        found.append((f"{others:,} others ({len(rest):,})", rest, grey | {"marker": "x", "linewidths": 0.7}))
    for i, value in enumerate(kept):
        look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i // len(COLOURS)], "alpha": 0.75}
        found.append((f"{drawn(value)} ({sizes[value]:,})", np.flatnonzero(values == value), look))
    return found


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
