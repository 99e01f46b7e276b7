"""Numbers for what attention maps look like, with bootstrap intervals over images.

C.4 says that CASS makes attention more connected, more centred (or more spread out, on ISIC 2019) by looking at
averaged maps. These measures put that to the test, image by image.

Shapes: N images, maps [N, h, w] of weights ≥ 0; M measures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cass_cli.scores.bootstrap import Estimate, draw_units, interval, resample_weights

Floats = NDArray[np.float64]

MEASURES = {
    "entropy": "evenness, as a share of the most possible; 1 = all patches alike",
    "centre": "share in the central quarter of the image; 0.25 = as elsewhere",
    "connected": "share in one edge-connected piece, of what exceeds the even share",
    "distance": "between patch and what it attends to, mean of all heads, in image sides",
}
NAMES = tuple(MEASURES)


def measure_maps(maps: Floats, distance: Floats | None = None) -> Floats:
    """Return the measures [N, M] in the order of `NAMES`; NaN for an empty map, and for distances not given.

    `distance` [N, L, H] is the mean attention distance of each block and head.
    """
    shares = as_shares(maps)
    far = np.full(len(maps), np.nan) if distance is None else distance.mean(axis=(1, 2))
    return np.stack([entropy(shares), centre_mass(shares), connectedness(shares), far], axis=1)


def as_shares(maps: Floats) -> Floats:
    """Return the maps, each divided by its sum; NaN where a map is zero everywhere."""
    total = maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    shares: Floats = np.divide(maps, total, out=np.full(maps.shape, np.nan), where=total > 0)
    return shares


def entropy(shares: Floats) -> Floats:
    """Return −Σ p ln p / ln P of each map [N]: 1 for an even map, 0 for a single patch."""
    patches = shares.shape[1] * shares.shape[2]
    if patches == 1:
        return np.full(len(shares), np.nan)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=(1, 2)) / np.log(patches))


def centre_mass(shares: Floats) -> Floats:
    """Return the weight [N] inside the square of half the image's side around its middle.

    Patches on its border count by the part of them that lies inside, so an even map always gives a quarter.
    """
    down, across = (_central_cover(length) for length in shares.shape[1:])
    return np.asarray((shares * down[:, None] * across).sum(axis=(1, 2)))


def _central_cover(length: int) -> Floats:
    """Return the part [length] of each cell that lies in the central half of a line of `length` cells."""
    edges = np.arange(length + 1) / length
    cover: Floats = np.diff(np.clip(edges, 0.25, 0.75)) * length
    return cover


def connectedness(shares: Floats) -> Floats:
    """Return [N] the largest piece's part of the weight that lies above the threshold 1/P, the even share.

    Patches are of one piece when they share an edge. 1 for attention of one piece, also for an even map.
    """
    threshold = (1 - 1e-6) / (shares.shape[1] * shares.shape[2])  # rounding must not tear an even map
    result = np.full(len(shares), np.nan)
    for i, share in enumerate(shares):
        pieces, count = ndimage.label(share >= threshold)  # NaN is not above
        if count:
            weights = ndimage.sum_labels(share, pieces, np.arange(1, count + 1))
            result[i] = weights.max() / weights.sum()
    return result


def mean_estimates(values: Floats, groups: Sequence[str] | None, *, seed: int = 0) -> tuple[Estimate, ...]:
    """Return the mean of each column of values [N, M] with its bootstrap interval over images, or whole groups.

    NaN entries are left out of the mean. For a paired comparison of two models on the same images, pass the
    differences.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    chunks = [_weighted_mean(w, filled, known) for w in resample_weights(draw_units(len(values), groups), seed=seed)]
    point = _weighted_mean(np.ones((1, len(values))), filled, known)[0]
    drawn = np.concatenate(chunks) if chunks else np.full((1, values.shape[1]), np.nan)
    return tuple(Estimate(float(v), *interval(column)) for v, column in zip(point, drawn.T, strict=True))


def _weighted_mean(weights: Floats, filled: Floats, known: NDArray[np.bool_]) -> Floats:
    count = weights @ known  # [R, M]
    mean: Floats = np.divide(weights @ filled, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean
