"""How far a score falls elsewhere: on another hospital's images, beside the test images at home.

Shapes: N images, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cass_cli.data.splits import Labels, labelled
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, interval, resample_weights
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.values import Floats, indicator, metric_values


@dataclass(frozen=True)
class Answers:
    """What one candidate said of N images, and what they show."""

    labels: Labels
    probabilities: Floats  # [N, C]
    groups: Sequence[str] | None = None  # of which whole ones are drawn


def shown_by_both(home: Answers, away: Answers) -> tuple[Answers, Answers, tuple[int, ...]]:
    """Return both without what only one of them shows, and the classes that are left out so.

    A mean over seven classes at home beside one over three elsewhere would compare other things. Images whose class
    the other site does not have are left out; where an image may show several, such a class is unknown in all.
    """
    classes = home.probabilities.shape[1]
    here, there = (np.asarray(indicator(of.labels, classes).any(axis=0)) for of in (home, away))
    both = here & there
    return _only(home, both), _only(away, both), tuple(np.flatnonzero(~both).tolist())


def drops(
    home: Answers,
    away: Answers,
    *,
    thresholds: Floats | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return away − home of each metric in METRICS with its 95 % interval: for most metrics negative where it fell.

    The images of two sites are independent, so that each is resampled by itself (Efron and Tibshirani 1993, Sec. 8.3),
    whole groups where there are groups. An interval has NaN ends where either site has fewer than two units.
    """
    once, drawn = [], []
    for stream, of in enumerate((home, away)):
        units = draw_units(len(of.labels), of.groups)
        weights = resample_weights(units, resamples=resamples, seed=seed + stream)
        once.append(_metrics(of, [np.ones((1, len(of.labels)))], thresholds))
        drawn.append(_metrics(of, weights, thresholds))
    found = {}
    for name in METRICS:
        low, high = interval(drawn[1][name] - drawn[0][name]) if all(drawn) else (np.nan, np.nan)
        found[name] = Estimate(float(once[1][name][0] - once[0][name][0]), low, high)
    return found


def _metrics(of: Answers, weights: Iterable[Floats], thresholds: Floats | None) -> dict[str, Floats]:
    return metric_values(of.labels, of.probabilities, weights, thresholds=thresholds)


def _only(of: Answers, classes: np.ndarray) -> Answers:
    """Return the answers without the images, or the labels, of all but these classes."""
    if of.labels.ndim == 2:
        labels = np.where(classes, of.labels, np.int8(-1))
        keep = labelled(labels)
    else:
        labels, keep = of.labels, classes[of.labels]
    groups = None if of.groups is None else [group for group, kept in zip(of.groups, keep, strict=True) if kept]
    return Answers(labels[keep], of.probabilities[keep], groups)
