"""Bootstrap intervals: how far a score may move with the images that happened to be in the split.

A resample is written as weights: how often each image was drawn. Every metric is then a function of a weight
vector, which lets a thousand resamples be computed together (`values.py`).
Where images come in groups (several of one patient, several of one lesion), whole groups are drawn, since
images of one group do not vary independently (the cluster bootstrap; Davison and Hinkley 1997, Sec. 3.8).

Shapes: N images, U units drawn (groups, or images), R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95
CHUNK_ENTRIES = 2**21  # weights held at once: 16 MiB


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; NaN for what is undefined."""

    value: float
    low: float = nan
    high: float = nan

    def as_dict(self) -> dict[str, float | None]:
        """Return the three numbers with None for NaN, which JSON does not have."""
        return {k: None if isnan(v) else v for k, v in (("value", self.value), ("low", self.low), ("high", self.high))}


def draw_units(images: int, groups: Sequence[str] | None) -> NDArray[np.int64]:
    """Return the unit [N] that each image is drawn with: its group, or itself where that is None or ''."""
    if groups is None:
        return np.arange(images)
    assert len(groups) == images, "one group a image"
    names = [("group", g) if g else ("image", str(i)) for i, g in enumerate(groups)]
    index = {name: unit for unit, name in enumerate(dict.fromkeys(names))}  # in order of appearance
    return np.array([index[name] for name in names], dtype=np.int64)


def resample_weights(
    units: NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """Yield weights [r, N] until `resamples` rows were given, in chunks of bounded size.

    The same units, resamples and seed give the same weights, so that two models scored on one split can be
    compared resample by resample. With fewer than two units nothing can vary, and nothing is yielded.
    """
    count = int(units.max()) + 1 if len(units) else 0
    if count < 2:
        return
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_ENTRIES // len(units))
    for start in range(0, resamples, rows):
        r = min(rows, resamples - start)
        drawn = rng.integers(count, size=(r, count)) + count * np.arange(r)[:, None]
        times = np.bincount(drawn.ravel(), minlength=r * count).reshape(r, count)  # [r, U]
        yield times[:, units].astype(np.float64)


def interval(resampled: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of values [R], of those that are defined; (NaN, NaN) if none is."""
    low, high = intervals(resampled[:, None])[:, 0]
    return float(low), float(high)


def intervals(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lows and highs [2, C] of the 95 % percentile intervals of values [R, C], as `interval` does."""
    if not len(resampled):
        return np.full((2, resampled.shape[1]), nan)
    ordered = np.sort(resampled, axis=0)  # NaN comes last
    last = np.maximum((~np.isnan(resampled)).sum(axis=0) - 1, 0)  # [C], of those that are defined
    place = np.array([[(1 - LEVEL) / 2], [(1 + LEVEL) / 2]]) * last  # [2, C], between two of them
    before = place.astype(np.int64)
    low, high = (np.take_along_axis(ordered, rows, axis=0) for rows in (before, np.minimum(before + 1, last)))
    found: NDArray[np.float64] = low + (high - low) * (place - before)
    return found
