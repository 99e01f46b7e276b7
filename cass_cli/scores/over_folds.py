"""What a cross-validation says: the mean over its folds with a corrected interval, and all its answers scored at once.

Folds are no independent repetitions, since what trains one is tested by the others: a t interval from their spread
alone is far too narrow. Nadeau and Bengio (2003, Machine Learning 52:239) correct its variance.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

from cass_cli.data.splits import Labels
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, interval, resample_weights
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import LEVEL, SIGNIFICANT, PairedTest, SeedSummary, signed
from cass_cli.scores.values import Floats, metric_values


def summarise_folds(values: Sequence[float], ratio: float) -> SeedSummary:
    """Return mean ± t(0.975, K−1) · std · √(1/K + `ratio`) of the scores of K folds (Nadeau and Bengio, Eq. 9).

    `ratio` is test images over training images. Folds where the score is undefined (NaN) are not counted; for a single
    fold std, low and high are NaN. The interval is of what arms so trained score on average; it is not cut at 0 or 1.
    """
    defined = np.array([v for v in values if not isnan(v)], dtype=np.float64)
    n = len(defined)
    if n < 2:
        return SeedSummary(n, float(defined[0]) if n else nan, nan, nan, nan)
    mean, std = float(defined.mean()), float(defined.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * std * sqrt(1 / n + ratio)
    return SeedSummary(n, mean, std, mean - half, mean + half)


def paired_folds(first: Mapping[int, float], second: Mapping[int, float], ratio: float) -> PairedTest:
    """Compare two methods tested on the same folds, whose scores are given by fold, by the corrected t-test.

    Wilcoxon's test has no such correction, so there is none.
    """
    folds = [f for f in sorted(first.keys() & second.keys()) if not isnan(first[f]) and not isnan(second[f])]
    differences = [first[f] - second[f] for f in folds]
    found, p, note = summarise_folds(differences, ratio), nan, ""
    if len(folds) < 2:
        note = f"{len(folds)} common fold: no test is possible."
    elif not any(differences):
        p, note = 1.0, "All pairs are equal."
    elif np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        note = "All differences are the same: the t-test has no spread to judge by."
    else:
        t = found.mean / (found.std * sqrt(1 / found.n + ratio))
        p = 2 * float(stdtr(found.n - 1, -abs(t)))
    return PairedTest(found.n, found.mean, found.low, found.high, p, nan, note)


def describe_fold_difference(test: PairedTest, first: str, second: str, *, metric: str, p: float) -> str:
    """Return one sentence that claims no more than the corrected t-test allows; `p` is adjusted (`holm`)."""
    if test.n == 0:
        return f"{first} and {second} have no fold in which both have a {metric}, so it can't be compared."
    gap = f"{first} − {second} = {signed(test.difference)} {metric}"
    if test.n == 1:
        return f"{gap} on a single fold, which allows no conclusion."
    if not test.difference and test.t_p == 1:
        return f"{first} and {second} give the same {metric} on all {test.n} folds."
    if isnan(p):
        return f"{gap} on each of {test.n} folds; no test is possible without any spread."
    interval_ = f"95 % interval {signed(test.low)} to {signed(test.high)}"
    figures = f"{interval_}, corrected t-test over {test.n} folds p = {p:.2g}, adjusted"
    if p >= SIGNIFICANT:
        return f"{gap}: not distinguishable from no difference ({figures})."
    return f"{gap}: {first} is {'higher' if test.difference > 0 else 'lower'} ({figures})."


def pooled_scores(
    labels: Labels,
    probabilities: Floats,
    *,
    thresholds: Floats | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Score the answers [N, C] of all folds together, each image by arms that had not seen it.

    `thresholds` [N, C] are those of multi-label decisions in each image's fold. Intervals are bootstrap percentiles
    over images, or whole `groups`, with what the folds trained held fixed.
    """
    once = metric_values(labels, probabilities, [np.ones((1, len(labels)))], thresholds=thresholds)
    weights = resample_weights(draw_units(len(labels), groups), resamples=resamples)
    many = metric_values(labels, probabilities, weights, thresholds=thresholds)
    return {name: Estimate(float(once[name][0]), *(interval(many[name]) if many else ())) for name in METRICS}
