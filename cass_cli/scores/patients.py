"""From pictures to patients: one answer for all images of a patient, lesion or study.

Shapes: N images, P patients, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cass_cli.data.splits import Labels, labelled
from cass_cli.scores.bootstrap import draw_units
from cass_cli.scores.values import Floats

RULES = ("mean", "max", "noisy-or")


@dataclass(frozen=True)
class Patients:
    """What each patient shows, and what a candidate says of them."""

    labels: Labels  # as of images; only of patients that have a label
    probabilities: Floats  # [P, C]
    images: np.ndarray  # int64 [P], how many each has
    differing: int  # patients left out, as their images have different labels, of which only one can be


def by_patient(labels: Labels, probabilities: Floats, groups: Sequence[str], *, rule: str) -> Patients:
    """Return what is known and said of each patient; an image without a group is a patient of its own.

    mean      the mean of the images' probabilities: each image counts alike.
    max       a class is as likely as in the image that shows it best: one picture of a tumour is enough.
    noisy-or  1 − Π(1 − p): each image could show it independently (Pearl 1988), so that more images say more.

    Where classes exclude each other, the last two are scaled to sum to 1, and a patient whose images have different
    labels has none. Where a patient may show several, they show what any of their images does; a class of which no
    image is known to show it, and one is unknown, is unknown.
    """
    units = draw_units(len(labels), groups)
    total = int(units.max()) + 1 if len(units) else 0
    merged = pooled(probabilities, units, rule=rule)
    if labels.ndim == 1:
        merged /= merged.sum(axis=1, keepdims=True)
    labels, differing = _labels(labels, units, total)
    known = labelled(labels)
    images = np.bincount(units, minlength=total)
    return Patients(labels[known], merged[known], images[known], differing)


def pooled(probabilities: Floats, units: np.ndarray, *, rule: str) -> Floats:
    """Return one row of numbers for each unit (0 … P − 1) of the rows that `units` [N] says are its own."""
    total = int(units.max()) + 1 if len(units) else 0
    merged = np.zeros((total, probabilities.shape[1]))
    if rule == "max":
        np.maximum.at(merged, units, probabilities)
    elif rule == "noisy-or":
        with np.errstate(divide="ignore"):
            np.add.at(merged, units, np.log1p(-np.minimum(probabilities, 1)))
        merged = -np.expm1(merged)
    else:
        np.add.at(merged, units, probabilities)
        merged /= np.bincount(units, minlength=total)[:, None]
    return merged


@dataclass
class Pool:
    """One answer a patient from the answers to images as they come, as `by_patient` gives it; it holds no image."""

    rule: str
    held: dict[str, Floats] = field(default_factory=dict)  # by patient: the sum [C], the largest, or Σ log(1 − p)
    images: dict[str, int] = field(default_factory=dict)

    def add(self, patient: str, probabilities: Floats) -> None:
        """Count one more image of a patient, with its answer [C]."""
        given = probabilities
        if self.rule == "noisy-or":
            with np.errstate(divide="ignore"):
                given = np.log1p(-np.minimum(probabilities, 1))
        if patient in self.held:
            combined = np.maximum if self.rule == "max" else np.add
            given = combined(self.held[patient], given)
        self.held[patient] = given
        self.images[patient] = self.images.get(patient, 0) + 1

    def answer(self, patient: str, *, multilabel: bool) -> Floats:
        """Return the probabilities [C] of a patient."""
        held = self.held[patient]
        if self.rule == "max":
            merged = held
        else:
            merged = -np.expm1(held) if self.rule == "noisy-or" else held / self.images[patient]
        return merged if multilabel else merged / merged.sum()


def _labels(labels: Labels, units: np.ndarray, total: int) -> tuple[Labels, int]:
    """Return the labels of the units, −1 where there is none, and how many have several of which only one can be."""
    if labels.ndim == 2:
        shown, unknown = np.zeros((2, total, labels.shape[1]), dtype=bool)
        np.logical_or.at(shown, units, labels == 1)
        np.logical_or.at(unknown, units, labels < 0)
        return np.where(shown, 1, np.where(unknown, -1, 0)).astype(np.int8), 0
    lowest, highest = np.full(total, np.iinfo(np.int64).max), np.full(total, -1)
    named = labels >= 0
    np.minimum.at(lowest, units[named], labels[named])
    np.maximum.at(highest, units[named], labels[named])
    differ = (highest >= 0) & (lowest != highest)
    return np.where(differ, -1, highest), int(differ.sum())
