"""What is unusually near or far among images, and what their neighbours say of their labels.

Usual is what most images are, told by quartiles and Tukey's fences (1977, Exploratory Data Analysis, Sec. 2D and 2E).
Two images are near where their distance lies below the outer fence, three interquartile ranges: of a normal
distribution that is 1 in 430,000, and there are many pairs. It is taken of logarithms, for small distances differ by
factors. An image is far beyond the inner fence, one and a half: 1 in 290. Of cosines no distance is above 2, so there
logarithms would put the fence where nothing is. Candidates for a look: whether one is a copy, no image of its kind, or
of another class, a look tells.

Shapes: n images, k neighbours, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.scores.label_noise import LabelNoise, Suspect, label_noise
from cass_cli.scores.values import Floats

OUTER, INNER = 3.0, 1.5  # interquartile ranges
LEAST = 20  # images, below which nothing is usual
NOTHING = 1e-6  # a smaller distance is rounding
TEMPERATURE = 0.07  # of a vote, as of the kNN probe (Wu et al. 2018)


def near_fence(distances: Floats) -> float:
    """Return the distance below which two images are unusually near, of those [n] to the nearest; NaN of too few."""
    if len(distances) < LEAST:
        return float("nan")
    low, high = np.quantile(np.log(np.maximum(distances, NOTHING)), [0.25, 0.75])
    return float(np.exp(low - OUTER * (high - low)))


def far_fence(distances: Floats) -> float:
    """Return the distance [n] above which an image is unusually far from its neighbours; NaN of too few images."""
    if len(distances) < LEAST:
        return float("nan")
    low, high = np.quantile(distances, [0.25, 0.75])
    return float(high + INNER * (high - low))


def vote(labels: Labels, classes: int, index: NDArray[np.int64], similarity: Floats) -> tuple[Floats, Floats]:
    """Return what the neighbours `index` [n, k] say of each image: shares fp64 [n, C] of their labels, and its weight.

    A neighbour votes with exp(cosine / temperature) (Wu et al. 2018, Sec. 3.4); one of similarity −1 is none, and one
    whose label is not known says nothing. The weight [n, C], or [n, 1] of one class an image, is 0 where nobody votes.
    """
    if labels.ndim == 2:
        shown, known = labels == 1, labels >= 0
    else:
        shown, known = labels[:, None] == np.arange(classes), (labels >= 0)[:, None]
    nearest = similarity.max(axis=1, initial=-1.0, keepdims=True)
    weight = np.exp((similarity - nearest) / TEMPERATURE) * (similarity > -1)  # [n, k]
    told = np.einsum("nk,nkc->nc", weight, known[index].astype(float))
    given = np.einsum("nk,nkc->nc", weight, shown[index].astype(float))
    return np.divide(given, told, out=np.zeros(given.shape), where=told > 0), told


def doubted_labels(labels: Labels, classes: int, index: NDArray[np.int64], similarity: Floats) -> LabelNoise:
    """Return the labels that are at odds with those of the neighbours, by confident learning on their vote.

    An image has no part in its own vote. `Suspect.row` is a row of `labels`.
    """
    shares, weight = vote(labels, classes, index, similarity)
    if labels.ndim == 2:
        return label_noise(np.where(weight > 0, labels, -1).astype(np.int8), shares)
    judged = np.flatnonzero((labels >= 0) & (weight[:, 0] > 0))
    found = label_noise(labels[judged], shares[judged])
    suspects = [Suspect(int(judged[s.row]), s.given, s.suggested, s.present, s.margin) for s in found.suspects]
    return LabelNoise(tuple(suspects), found.judged, found.wrong)
