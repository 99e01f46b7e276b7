"""From validation logits to honest probabilities and decisions.

Everything here is fitted on the validation split and then frozen; the test split decides nothing.

Shapes: N images, C classes. Logits and probabilities are fp64 [N, C]; labels are class indices [N], or 0/1
[N, C] for multi-label, -1 where unknown: there nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax

from cass_cli.data.splits import Labels
from cass_cli.errors import RunError
from cass_cli.scores.values import DEFAULT_THRESHOLD, Floats
from cass_cli.words import shown_list

LOG_T_RANGE = 4.0  # T between 1/55 and 55
LOG_T_PRIOR = 1.0  # standard deviation of log T


def fit_temperature(logits: NDArray[Any], labels: Labels, *, prior: float = LOG_T_PRIOR) -> float:
    """Return the temperature T for which softmax(logits / T), or sigmoid, fits the labels best.

    Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", Sec. 4.2): T minimises
    the summed negative log-likelihood, binary cross-entropy for multi-label. To it we add (log T / prior)² / 2,
    a weak belief that T is not far from 1: a handful of validation images, all of them right, would
    otherwise send T to 0. Beyond a hundred images it makes no visible difference; `prior=inf` is the
    textbook's fit. Without images T is 1.
    """
    if len(labels) == 0:
        return 1.0
    logits = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(logits).all():
        raise RunError(
            "The arm gives non-finite outputs on the validation images.",
            hint="Its training has diverged: lower the learning rate, or use --precision fp32.",
        )

    from scipy.optimize import minimize_scalar  # only now: who reads scores fits nothing

    def cost(log_t: float) -> float:
        fit = negative_log_likelihood(logits / np.exp(log_t), labels) * len(labels)
        return fit + (log_t / prior) ** 2 / 2

    # The likelihood alone has one valley in log T, its sum with the prior might have two: look everywhere first.
    grid, step = np.linspace(-LOG_T_RANGE, LOG_T_RANGE, 33, retstep=True)
    best = grid[np.argmin([cost(log_t) for log_t in grid])]
    found = minimize_scalar(cost, bounds=(best - step, best + step), method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))


def negative_log_likelihood(logits: Floats, labels: Labels) -> float:
    """Return the mean over images of −log p(label); for multi-label summed over an image's known labels."""
    if labels.ndim == 2:
        signed = logits * (2.0 * labels - 1.0)
        return float((np.logaddexp(0, -signed) * (labels >= 0)).sum(axis=1).mean())
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def to_probabilities(logits: NDArray[Any], *, multilabel: bool, temperature: float = 1.0) -> Floats:
    """Return calibrated probabilities [N, C]: softmax over classes, or a sigmoid for each when multi-label.

    An arm trained with the one-against-all sigmoid loss on class indices also gets the softmax: its classes
    exclude each other, and the temperature takes care of the scale.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    probabilities = expit(scaled) if multilabel else np.exp(log_softmax(scaled, axis=1))
    return np.asarray(probabilities, dtype=np.float64)


@dataclass(frozen=True)
class Thresholds:
    """Decision thresholds of a multi-label arm."""

    values: Floats  # [C]; a label is chosen when its probability reaches it
    notes: tuple[str, ...]


def tune_thresholds(labels: Labels, probabilities: Floats, classes: Sequence[str]) -> Thresholds:
    """Return for each class the threshold with the highest F1 on the validation split.

    Any threshold between two neighbouring probabilities decides alike: 0.5 if it lies between them, else
    the middle. Of equally good ones the nearest to 0.5 is taken, so that 0.5 is only left for a better F1.
    A class that no validation image shows has nothing to be tuned on and keeps 0.5.
    """
    values, shown = np.full(len(classes), DEFAULT_THRESHOLD), labels == 1
    for c in np.flatnonzero(shown.any(axis=0)):
        known = labels[:, c] >= 0
        values[c] = _best_threshold(shown[known, c], probabilities[known, c])
    empty = [repr(name) for name, found in zip(classes, shown.any(axis=0), strict=True) if not found]
    note = f"No validation image shows {shown_list(empty)}: the threshold stays 0.5 there."
    return Thresholds(values, (note,) if empty else ())


def _best_threshold(shown: NDArray[np.bool_], given: Floats) -> float:
    cuts = cuts_of(shown, given)
    f1 = 2 * cuts.hits / (cuts.chosen + shown.sum())
    return cuts.usual(f1 >= f1.max() - 1e-12)


@dataclass(frozen=True)
class Cuts:
    """Every way in which a threshold divides images [K] of one class, fewest chosen first; at least one is chosen.

    Any threshold in (below, reach] decides alike.
    """

    reach: Floats  # the lowest probability that is chosen
    below: Floats  # the highest that is not
    chosen: NDArray[np.int64]  # how many images
    hits: NDArray[np.int64]  # how many of them show the class

    def usual(self, among: NDArray[np.bool_]) -> float:
        """Return the threshold of one of these cuts: 0.5 if it lies in one, else the middle that is nearest to it."""
        reach, below = self.reach[among], self.below[among]
        middle = (reach + below) / 2
        middle = np.where(middle > below, middle, reach)  # neighbours in floating point
        holds_default = (below < DEFAULT_THRESHOLD) & (reach >= DEFAULT_THRESHOLD)
        candidates = np.where(holds_default, DEFAULT_THRESHOLD, middle.clip(min=0))
        return float(candidates[np.abs(candidates - DEFAULT_THRESHOLD).argmin()])


def cuts_of(shown: NDArray[np.bool_], given: Floats) -> Cuts:
    """Return all cuts of the probabilities `given` [K] for a class that is `shown` [K]."""
    order = np.argsort(-given, kind="stable")
    ordered, hits = given[order], shown[order].cumsum()
    # `below` is the first probability that is no longer chosen, for each run of equal ones that is.
    below = np.r_[ordered[1:], 0.0 if ordered[-1] > 0 else -1.0]
    ends = np.flatnonzero(ordered != below)
    return Cuts(ordered[ends], below[ends], ends + 1, hits[ends])


MEAN = "mean"  # the candidate that averages the arms
JOINT = "joint"  # the candidate that reads the features of all arms
ENSEMBLE = "ensemble"  # the candidate that averages arms that were trained and the joint probe of what they began as


def arms_among(candidates: Iterable[str]) -> list[str]:
    """Return those of the candidates that are arms."""
    return [name for name in candidates if name not in (MEAN, JOINT, ENSEMBLE)]


def with_mean(found: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the calibrated probabilities of each candidate and, for two or more arms, these arms' mean as `mean`."""
    arms = arms_among(found)
    candidates = {name: found[name] for name in arms}
    if len(arms) > 1:
        candidates[MEAN] = np.mean([found[name] for name in arms], axis=0)
    return candidates | dict(found)
