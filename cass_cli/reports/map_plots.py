"""Figures of attention maps, as in the paper's Figures 6 to 9.

matplotlib's object-oriented interface with the Agg canvas: no display, no global state. Magnitudes are drawn in
viridis, changes in PuOr about zero, overlays in plasma: readers with any colour vision can order them.
What is compared shares one scale. Each function writes a PNG, and a PDF where asked, and returns their paths.

Shapes: N images, k of them shown, h × w the map's grid, H heads, L blocks, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from cass_cli.engine.looking.measures import as_shares
from cass_cli.reports.curves import COLOURS, DPI, GREY
from cass_cli.reports.pictures import write_picture

MAGNITUDE, CHANGE, OVERLAY = "viridis", "PuOr_r", "plasma"
EVEN = "× the even share of a patch"
VEIL = 0.75  # opacity of an overlay where it is strongest

Floats = NDArray[np.float64]
Panel = tuple[str, Floats]  # title and averaged map [h, w], in multiples of the even share


def averaged(maps: Floats) -> Floats:
    """Return the mean map [h, w] over images, each scaled to mean 1, so that all images count alike."""
    mean: Floats = np.nanmean(as_shares(maps), axis=0) * maps.shape[1] * maps.shape[2]
    return mean


def wrapped(text: str, width: int) -> str:
    """Return `text` broken into lines between words only."""
    return fill(text, width, break_long_words=False, break_on_hyphens=False)


def plot_averages(
    rows: Sequence[tuple[str, Sequence[Panel]]], path: Path, *, title: str, side: int, pdf: bool = False
) -> list[Path]:
    """Draw averaged maps side by side, a row for each kind, on the image's pixel grid (Figures 6 to 9).

    The panels of a row share a scale; where there are two, a third shows what the second has more.
    """
    columns = max(len(panels) for _, panels in rows)
    columns += columns == 2
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.95 * len(rows) + 0.5), layout="constrained")
    figure.suptitle(title)
    grid: NDArray[Any] = figure.subplots(len(rows), columns, squeeze=False)
    for line, (kind, panels) in zip(grid, rows, strict=True):
        scale = _common_scale([values for _, values in panels])
        for axes, (name, values) in zip(line, panels, strict=False):
            image = _on_pixels(axes, values, side, name, cmap=MAGNITUDE, norm=scale)
        figure.colorbar(image, ax=list(line[: len(panels)]), label=EVEN, shrink=0.85)
        line[0].set_ylabel(f"{kind}\n\ny (pixels)")
        for axes in line[1:]:
            axes.tick_params(labelleft=False)
        if len(panels) == 2:
            change = panels[1][1] - panels[0][1]
            far = max(float(np.abs(change).max()), 1e-6)
            image = _on_pixels(line[2], change, side, "change", cmap=CHANGE, norm=Normalize(-far, far))
            figure.colorbar(image, ax=line[2], label="right − left", shrink=0.85)
    return write_figure(figure, path, pdf=pdf)


def _common_scale(maps: Sequence[Floats]) -> Normalize:
    """Return one scale for all maps, from their least to their greatest value, and never a single point."""
    low, high = min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)
    return Normalize(low, max(high, low + 1e-6))


def _on_pixels(axes: Axes, values: Floats, side: int, title: str, **style: Any) -> Any:
    axes.set_title(wrapped(title, 30), fontsize=10)
    axes.set_xlabel("x (pixels)")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return axes.imshow(values, extent=(0, side, side, 0), interpolation="nearest", **style)


def plot_overlays(
    images: NDArray[np.uint8],
    titles: Sequence[str],
    rows: Sequence[tuple[str, str, Floats]],
    path: Path,
    *,
    title: str,
    pdf: bool = False,
) -> list[Path]:
    """Draw maps over single images [k, S, S, 3]: a row for each (label, arm, maps [k, h, w]).

    The rows of an arm share a scale, from their 5th to their 99th percentile; below it the image shows bare.
    """
    shares = [np.nan_to_num(as_shares(maps)) * maps.shape[1] * maps.shape[2] for _, _, maps in rows]
    arms = [arm for _, arm, _ in rows]
    scales = {a: _overlay_scale([s for s, arm in zip(shares, arms, strict=True) if arm == a]) for a in arms}
    figure = Figure(figsize=(1.55 * len(images) + 2.0, 1.55 * (len(rows) + 1) + 0.5), layout="constrained")
    figure.suptitle(title)
    widths = [*[1.0] * len(images), 0.07]  # the last column holds the colour bars
    grid: NDArray[Any] = figure.subplots(len(rows) + 1, len(widths), squeeze=False, width_ratios=widths)
    grid[0, -1].set_axis_off()
    for axes, picture, name in zip(grid[0], images, titles, strict=False):
        axes.imshow(picture)
        axes.set_title(wrapped(name, 18), fontsize=9)
    for line, maps, (label, arm, _) in zip(grid[1:], shares, rows, strict=True):
        for axes, picture, values in zip(line, images, maps, strict=False):
            smooth = _enlarged(values, picture.shape[0])
            strength = np.clip(scales[arm](smooth), 0, 1).filled(0)
            axes.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=255)
            axes.imshow(smooth, cmap=OVERLAY, norm=scales[arm], alpha=VEIL * strength)
        colours = ScalarMappable(scales[arm], OVERLAY)
        figure.colorbar(colours, cax=line[-1]).ax.tick_params(labelsize=7)
        line[0].set_ylabel(wrapped(label, 17), fontsize=8, rotation=0, ha="right", va="center")
    grid[0, 0].set_ylabel("image", fontsize=8, rotation=0, ha="right", va="center")
    for axes in grid[:, :-1].flat:
        axes.set_xticks([])
        axes.set_yticks([])
    figure.supxlabel("colour: multiples of the even share of a patch", fontsize=8)
    return write_figure(figure, path, pdf=pdf)


def overlaid(picture: NDArray[np.uint8], values: Floats) -> NDArray[np.uint8]:
    """Return the picture [S, S, 3] in grey with one map [h, w] over it, as uint8 [S, S, 3], on a scale of its own.

    As in `plot_overlays`; a map that is zero everywhere leaves the picture bare.
    """
    shares = np.nan_to_num(as_shares(values[None]))
    scale, smooth = _overlay_scale([shares * values.size]), _enlarged(shares[0] * values.size, picture.shape[0])
    strength = VEIL * np.clip(scale(smooth), 0, 1).filled(0)[..., None]
    colours = colormaps[OVERLAY](scale(smooth))[..., :3] * 255
    mixed = (1 - strength) * picture.mean(axis=2, keepdims=True) + strength * colours
    return np.asarray(mixed.round().clip(0, 255), dtype=np.uint8)


def _overlay_scale(maps: Sequence[Floats]) -> Normalize:
    low, high = np.percentile(np.concatenate([m.ravel() for m in maps]), [5, 99])
    return Normalize(float(low), max(float(high), float(low) + 1e-6))


def _enlarged(values: Floats, side: int) -> Floats:
    """Return a map [h, w] stretched smoothly to [side, side]."""
    enlarged = Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(enlarged, dtype=np.float64)


def plot_heads(rows: Sequence[tuple[str, Floats]], path: Path, *, title: str, pdf: bool = False) -> list[Path]:
    """Draw the averaged map of each head, a row for each (label, heads [N, H, h, w]), all on one scale."""
    means = [np.stack([averaged(heads[:, h]) for h in range(heads.shape[1])]) for _, heads in rows]
    columns = max(len(mean) for mean in means)
    figure = Figure(figsize=(max(1.25 * columns + 2.4, 5.0), 1.3 * len(rows) + 0.7), layout="constrained")
    figure.suptitle(title)
    grid: NDArray[Any] = figure.subplots(len(rows), columns, squeeze=False)
    scale = _common_scale(means)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (line, mean, (label, _)) in enumerate(zip(grid, means, rows, strict=True)):
        for h, (axes, values) in enumerate(zip(line, mean, strict=False)):
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            image = axes.imshow(values, cmap=MAGNITUDE, norm=scale, interpolation="nearest")
            axes.set_title(f"head {h + 1}" if row == 0 else "", fontsize=8)
        line[0].set_ylabel(wrapped(label, 17), fontsize=8, rotation=0, ha="right", va="center")
    figure.colorbar(image, ax=list(grid.flat), label=wrapped(EVEN, 18), aspect=14)
    return write_figure(figure, path, pdf=pdf)


def plot_distances(
    models: Sequence[tuple[str, Floats]], even: float, path: Path, *, title: str, pdf: bool = False
) -> list[Path]:
    """Draw how far each block looks, for each (label, distance [N, L, H]): a dot a head, a line for their mean."""
    figure = Figure(figsize=(6.4, 3.9), layout="constrained")
    axes = figure.add_subplot(title=title)
    width = 0.22
    for m, (label, distance) in enumerate(models):
        heads = 100 * distance.mean(axis=0)  # [L, H]
        blocks = np.arange(1, len(heads) + 1) + width * (m - (len(models) - 1) / 2)
        colour = COLOURS[m % len(COLOURS)]
        axes.scatter(np.repeat(blocks, heads.shape[1]), heads.ravel(), s=14, alpha=0.55, color=colour, linewidths=0)
        axes.plot(blocks, heads.mean(axis=1), color=colour, marker="_", markersize=11, linewidth=1.4, label=label)
    axes.axhline(100 * even, color=GREY, linestyle=":", linewidth=1, label="even attention")
    axes.set_xlabel("block (dots: heads, line: their mean)")
    axes.set_ylabel("mean attention distance (% of the image's side)")
    axes.set_ylim(0, 108 * max(even, *(float(d.mean(axis=0).max()) for _, d in models)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    return write_figure(figure, path, pdf=pdf)


def write_figure(figure: Figure, path: Path, *, pdf: bool) -> list[Path]:
    """Write the figure as `path` (PNG) and, where asked, as a PDF beside it."""
    paths = [path, *([path.with_suffix(".pdf")] if pdf else [])]
    for each in paths:
        write_picture(figure, each, dpi=DPI)
    return paths
