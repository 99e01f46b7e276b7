"""Which tiles of each slide are written: decided for all of them before anything is."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cass_cli.data.slides.grid import grid_over, tissue_shares
from cass_cli.data.slides.reader import Resolution, SlideError, opened, openslide
from cass_cli.errors import DataError
from cass_cli.words import count, shown

MOST_PROBLEMS = 10  # slides that are named; the rest is counted


@dataclass(frozen=True)
class Cut:
    """How slides become tiles."""

    resolution: Resolution
    size: int = 224  # pixels a side
    tissue: float = 0.5  # least share of a tile
    most: int | None = None  # tiles a slide
    seed: int = 0


@dataclass(frozen=True)
class SlidePlan:
    """The tiles of one slide."""

    name: str
    path: Path
    magnification: float | None  # of the scan; None: it states none
    mpp: float | None  # µm a pixel of the scan
    extent: float  # level-0 pixels a tile's side
    places: tuple[tuple[int, int], ...]  # x, y of the tiles that are written
    grid: int  # whole tiles that fit on the slide
    empty: int  # too little tissue
    beyond_most: int  # tissue enough, but more than are wanted


def plan_slides(
    slides: Mapping[str, Path], cut: Cut, *, workers: int, on_progress: Callable[[int, int], None]
) -> list[SlidePlan]:
    """Return the plan of each slide; raises `DataError` that lists all slides that cannot be tiled, and why."""
    openslide(next(iter(slides.values())))  # without the extra: said once, not of each slide
    plans, problems = [], []
    for done, (name, path) in enumerate(slides.items()):
        on_progress(done, len(slides))
        try:
            plans.append(plan_slide(name, path, cut, workers))
        except SlideError as error:
            problems.append(error)
    on_progress(len(slides), len(slides))
    if problems:
        raise _problems_error(problems, len(slides))
    if not any(plan.places for plan in plans):
        fit = sum(plan.grid for plan in plans)
        why = (
            "No slide is as large as one tile."
            if not fit
            else f"None of {count(fit, 'tile')} is {cut.tissue:.0%} tissue."
        )
        raise DataError(why, hint="Try a lower --tissue, a smaller --size, or another --magnification.")
    return plans


def plan_slide(name: str, path: Path, cut: Cut, workers: int) -> SlidePlan:
    """Return which tiles of a slide are written; raises `SlideError`."""
    with opened(path) as slide:
        extent = cut.size * slide.downsample(cut.resolution)
        grid = grid_over(slide, extent)
        shares = tissue_shares(slide, grid, workers)
        kept = np.argwhere(shares >= cut.tissue)
        chosen = kept
        if cut.most is not None and len(kept) > cut.most:
            # a slide's choice depends on its name alone, and the first of more tiles are those of fewer
            rng = np.random.default_rng((cut.seed, zlib.crc32(name.encode())))
            chosen = kept[np.sort(rng.permutation(len(kept))[: cut.most])]
        places = tuple(grid.place(int(row), int(column)) for row, column in chosen)
        if places:  # what is cut off lacks its end: found now, and not after hours
            slide.tile(*places[-1], extent, cut.size)
        return SlidePlan(
            name=name,
            path=path,
            magnification=slide.magnification,
            mpp=slide.mpp,
            extent=extent,
            places=places,
            grid=shares.size,
            empty=shares.size - len(kept),
            beyond_most=len(kept) - len(chosen),
        )


def _problems_error(problems: list[SlideError], total: int) -> DataError:
    lines = [f"  {shown(error.what.removeprefix('Cannot tile '))}" for error in problems[:MOST_PROBLEMS]]
    more = [f"  and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
    said = f"{len(problems)} of {count(total, 'slide')} cannot be tiled, and nothing was written:"
    hints = []
    reasons = " ".join(error.reason for error in problems)
    if "scanned at" in reasons:
        hints.append("Ask for what every slide has (a lower --magnification, a larger --mpp); pixels are not invented.")
    if "neither" in reasons:
        hints.append("--magnification base takes slides that state no scale as they are, at full resolution.")
    if "damaged" in reasons:
        hints.append("Fetch damaged files anew, or move them away.")
    return DataError("\n".join([said, *lines, *more]), hint=" ".join(hints) or "Mend them, or move them away.")
