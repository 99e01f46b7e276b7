"""Labels that may be wrong, by confident learning (Northcutt, Jiang and Chuang 2021, arXiv 1911.00068).

An image is counted as of class j where a model that has not seen it is as sure of j as it is on average of the images
that are labelled j. Where j is not its label, it is a candidate for a look; whether the label is wrong, a look tells.

Shapes: N images, C classes. Probabilities are out of fold, fp64 [N, C]; labels are class indices [N], or 0/1 [N, C] for
multi-label, -1 where unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.scores.values import Floats


@dataclass(frozen=True)
class Suspect:
    """A label that may be wrong."""

    row: int  # of the images that were judged
    given: int  # class; multi-label: the class whose 0 or 1 is meant
    suggested: int  # class; multi-label: the same class
    present: bool  # multi-label: whether the class is suggested to be there; True otherwise
    margin: float  # normalised: probability of the label less that of the likeliest other one; −1 … 0


@dataclass(frozen=True)
class LabelNoise:
    """The candidates, the likeliest first, and how many labels are estimated to be wrong."""

    suspects: tuple[Suspect, ...]
    judged: int  # labels: images, or for multi-label known cells
    wrong: float  # of them, estimated; NaN where there is none


def label_noise(labels: Labels, probabilities: Floats) -> LabelNoise:
    """Judge every label; for multi-label each class by itself, against its absence.

    Candidates are the off-diagonal of the confident joint (Eq. 1), less those whose label is still the likeliest
    answer. They are ranked by normalised margin, the label's probability less the highest other one, as in cleanlab.
    """
    if labels.ndim == 1:
        suspects, wrong = _suspects(labels.astype(np.int64), probabilities)
        return LabelNoise(tuple(sorted(suspects, key=_rank)), len(labels), wrong if len(labels) else np.nan)
    found: list[Suspect] = []
    judged, wrong = 0, 0.0
    for c in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, c] >= 0)
        p = probabilities[known, c]
        suspects, of_class = _suspects(labels[known, c].astype(np.int64), np.stack([1 - p, p], axis=1))
        found += [Suspect(int(known[s.row]), c, c, bool(s.suggested), s.margin) for s in suspects]
        judged, wrong = judged + len(known), wrong + of_class
    return LabelNoise(tuple(sorted(found, key=_rank)), judged, wrong if judged else np.nan)


def self_confidence(labels: NDArray[np.int64], probabilities: Floats) -> Floats:
    """Return each class's threshold t_j [C], the mean probability of j over images labelled j; NaN without any."""
    own = probabilities[np.arange(len(labels)), labels]
    images = np.bincount(labels, minlength=probabilities.shape[1])
    total = np.bincount(labels, weights=own, minlength=probabilities.shape[1])
    mean: Floats = np.divide(total, images, out=np.full(len(images), np.nan), where=images > 0)
    return mean


def counted_as(probabilities: Floats, thresholds: Floats) -> NDArray[np.int64]:
    """Return the class [N] that each image is counted as: the likeliest that reaches its threshold; −1 for none."""
    reached = np.where(probabilities >= thresholds - 1e-12, probabilities, -1.0)  # NaN is not reached
    return np.where(reached.max(axis=1, initial=-1.0) >= 0, reached.argmax(axis=1), -1)


def confident_joint(labels: NDArray[np.int64], counted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return C [C, C]: how many images of label i are counted as j (Eq. 1)."""
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (labels[counted >= 0], counted[counted >= 0]), 1)
    return joint


def estimated_joint(joint: NDArray[np.int64], labels: NDArray[np.int64]) -> Floats:
    """Return Q [C, C], the share of images with label i that are truly j; its rows add up as the labels do (Eq. 3).

    Where no image of a label is counted, its labels are taken as right.
    """
    images = np.bincount(labels, minlength=len(joint))
    rows = joint.sum(axis=1)
    rows_or_own = np.where(rows[:, None] > 0, joint, np.eye(len(joint)))
    scaled = rows_or_own / rows_or_own.sum(axis=1, keepdims=True) * images[:, None]
    return np.asarray(scaled / max(len(labels), 1))


def _suspects(labels: NDArray[np.int64], probabilities: Floats) -> tuple[list[Suspect], float]:
    """Return the candidates, and how many labels are estimated to be wrong."""
    if not len(labels):
        return [], 0.0
    classes = probabilities.shape[1]
    counted = counted_as(probabilities, self_confidence(labels, probabilities))
    share = estimated_joint(confident_joint(labels, counted, classes), labels)
    own = probabilities[np.arange(len(labels)), labels]
    rest = probabilities.copy()
    rest[np.arange(len(labels)), labels] = -1
    margin = own - rest.max(axis=1)
    rows = np.flatnonzero((counted >= 0) & (counted != labels) & (margin < 0))
    found = [Suspect(int(i), int(labels[i]), int(counted[i]), present=True, margin=float(margin[i])) for i in rows]
    return found, float(len(labels) * (1 - np.trace(share)))


def _rank(suspect: Suspect) -> tuple[float, int, int]:
    return suspect.margin, suspect.row, suspect.given
