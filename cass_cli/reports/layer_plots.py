"""Figures of feature maps (the paper's Figures 4 and 5) and of the similarity of layers; style as in `map_plots.py`.

Shapes: k images shown, h × w a layer's map, M layers, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cass_cli.engine.looking.cka import Layer
from cass_cli.reports.map_plots import MAGNITUDE, wrapped, write_figure

MOST_LAYER_NAMES = 14  # along one axis of a heat map, for one arm

Floats = NDArray[np.float64]


def plot_first_layer(
    images: NDArray[np.uint8],
    titles: Sequence[str],
    columns: Sequence[tuple[str, Floats]],
    path: Path,
    *,
    title: str,
    pdf: bool = False,
) -> list[Path]:
    """Draw the first layer's map beside each image, a column for each (label, maps [k, h, w]) (Figure 4)."""
    figure = Figure(figsize=(2.6 * (len(columns) + 1) + 0.9, 2.6 * len(images) + 0.8), layout="constrained")
    figure.suptitle(title)
    grid: NDArray[Any] = figure.subplots(len(images), len(columns) + 1, squeeze=False)
    for k, line in enumerate(grid):
        line[0].imshow(images[k])
        line[0].set_ylabel(wrapped(titles[k], 24), fontsize=9)
        scale = Normalize(0, max(float(maps[k].max()) for _, maps in columns))
        for axes, (label, maps) in zip(line[1:], columns, strict=True):
            image = axes.imshow(maps[k], cmap=MAGNITUDE, norm=scale, interpolation="nearest")
            if k == 0:
                axes.set_title(wrapped(label, 28), fontsize=10)
        figure.colorbar(image, ax=list(line), label="mean |activation|", shrink=0.9)
        for axes in line:
            axes.set_xticks([])
            axes.set_yticks([])
    grid[0, 0].set_title("image", fontsize=10)
    return write_figure(figure, path, pdf=pdf)


def plot_layers(
    layers: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Floats]]],
    path: Path,
    *,
    title: str,
    pdf: bool = False,
) -> list[Path]:
    """Draw the first layers' maps [h, w] of one image, a row for each (label, maps) (Figure 5).

    A layer has one scale in all rows, and a colour bar below its column.
    """
    figure = Figure(figsize=(2.0 * len(layers) + 1.2, 2.05 * len(rows) + 1.3), layout="constrained")
    figure.suptitle(title)
    grid: NDArray[Any] = figure.subplots(len(rows), len(layers), squeeze=False)
    for column, layer in enumerate(layers):
        scale = Normalize(0, max(float(maps[column].max()) for _, maps in rows))
        for axes, (_, maps) in zip(grid[:, column], rows, strict=True):
            values = maps[column]
            image = axes.imshow(values, cmap=MAGNITUDE, norm=scale, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        grid[0, column].set_title(f"{layer}\n{values.shape[0]} × {values.shape[1]}", fontsize=8)
        bar = figure.colorbar(image, ax=list(grid[:, column]), location="bottom", aspect=14, pad=0.02)
        bar.ax.tick_params(labelsize=7)
        bar.locator = MaxNLocator(3)
        bar.update_ticks()
    for line, (label, _) in zip(grid, rows, strict=True):
        line[0].set_ylabel(wrapped(label, 20), fontsize=9)
    figure.supxlabel("mean |activation| over channels", fontsize=9)
    return write_figure(figure, path, pdf=pdf)


def plot_similarity(
    panels: Sequence[tuple[str, Sequence[Layer], Floats]], path: Path, *, title: str, pdf: bool = False
) -> list[Path]:
    """Draw CKA heat maps side by side, one for each (label, layers M, cka [M, M]), on one scale from 0 to 1."""
    figure = Figure(figsize=(4.5 * len(panels) + 1.0, 5.0), layout="constrained")
    figure.suptitle(title)
    row: NDArray[Any] = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, layers, cka) in zip(row, panels, strict=True):
        image = axes.imshow(cka, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(wrapped(label, 40), fontsize=10)
        first = sum(layer.arm == layers[0].arm for layer in layers)
        axes.axhline(first - 0.5, color="white", linewidth=1.5)
        axes.axvline(first - 0.5, color="white", linewidth=1.5)
        ticks = _tick_rows(first) + [first + i for i in _tick_rows(len(layers) - first)]
        names = [f"{layers[i].arm} {layers[i].name}" for i in ticks]
        axes.set_xticks(ticks, names, fontsize=7, rotation=90)
        axes.set_yticks(ticks, names if axes is row[0] else [], fontsize=7)
    figure.colorbar(image, ax=list(row), label="linear CKA (1 = alike up to rotation and scale)", shrink=0.9)
    return write_figure(figure, path, pdf=pdf)


def _tick_rows(count: int) -> list[int]:
    """Return the rows that are named: all, or as many evenly spaced ones as are readable."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, MOST_LAYER_NAMES)).round()})
