"""Tiles side by side over a slide, and which of them hold tissue.

Legend: R × C tiles; P mask pixels a tile's side. The mask is seen at low resolution: P² pixels decide over a tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.slides.reader import Slide, SlideError
from cass_cli.data.slides.tissue import saturation, tissue

PER_TILE = 16  # P
MOST = 2_000_000  # tiles: of 60 µm a side, those of three whole glasses
BLOCK = 2048  # pixels a side that are read at once: 17 MB, however large the slide


@dataclass(frozen=True)
class Grid:
    """Tiles of `extent` × `extent` level-0 pixels, from the corner of the bounds on."""

    left: int
    top: int
    extent: float
    rows: int
    columns: int

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return x, y of a tile's upper left corner."""
        return self.left + math.floor(column * self.extent + 0.5), self.top + math.floor(row * self.extent + 0.5)


def grid_over(slide: Slide, extent: float) -> Grid:
    """Return the grid of whole tiles within the slide's bounds; raises `SlideError` for more than any slide has."""
    left, top, width, height = slide.bounds
    grid = Grid(left, top, extent, math.floor(height / extent + 1e-6), math.floor(width / extent + 1e-6))
    if grid.rows * grid.columns > MOST:
        raise SlideError(slide.path, f"it states {width:,} × {height:,} pixels, of more than {MOST:,} tiles")
    return grid


def tissue_shares(slide: Slide, grid: Grid, workers: int) -> NDArray[np.float64]:
    """Return which share of each tile is tissue, [R, C]."""
    shape = grid.rows * PER_TILE, grid.columns * PER_TILE
    saturations, scanned = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)

    def look(block: tuple[slice, slice]) -> None:
        rows, columns = block
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        x, y = grid.place(rows.start, columns.start)
        size = wide * PER_TILE, high * PER_TILE
        part = slide.part(x, y, (wide * grid.extent, high * grid.extent), size)
        there = tuple(slice(s.start * PER_TILE, s.stop * PER_TILE) for s in block)
        saturations[there], scanned[there] = saturation(np.asarray(part))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="cass-mask")
    try:
        list(pool.map(look, _blocks(grid, slide)))
    finally:
        pool.shutdown(cancel_futures=True)
    mask = tissue(saturations, scanned)
    cells = mask.reshape(grid.rows, PER_TILE, grid.columns, PER_TILE)  # [R, P, C, P]
    return np.asarray(cells.mean(axis=(1, 3)))


def _blocks(grid: Grid, slide: Slide) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of tiles that are looked at in one reading."""
    stored = grid.extent / slide.downsamples[slide.level(grid.extent / PER_TILE)]  # pixels of the level, a tile
    side = max(1, int(BLOCK // stored))
    for row in range(0, grid.rows, side):
        for column in range(0, grid.columns, side):
            yield slice(row, min(row + side, grid.rows)), slice(column, min(column + side, grid.columns))
