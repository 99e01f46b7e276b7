"""Calibration slope and intercept: a logistic regression of what came on what was predicted.

logit P(y = 1) = a + b · logit p (Cox 1958, "Two further applications of a model for binary regression"). The slope b
is 1 where predictions are neither too extreme (b < 1) nor too moderate (b > 1). The intercept is a with b held at 1,
calibration in the large: above 0 where predictions are too low on average (Van Calster et al. 2016, J Clin Epidemiol
74:167).

Shapes: K images of which the outcome is known, R weight vectors.
"""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from cass_cli.scores.values import Floats

CLIP = 1e-12  # from 0 and 1, where a logit has no end
STEPS = 100
LONGEST = 2.0  # a first step, in standard deviations of the logits: Newton's may run away from few images …
SHRINKING = 0.95  # … or go to and fro, unless each may be a little shorter than the one before
SETTLED, RESAMPLED = 1e-6, 3e-3  # a step that short leaves an error of its square
NEAREST = 64  # places that are looked at before all are
ENTRIES = 2**17  # that are computed together: what a processor's cache holds


def logits_of(probabilities: Floats) -> Floats:
    """Return the logits of probabilities, none of which is closer to 0 or 1 than `CLIP`."""
    return np.asarray(logit(np.clip(probabilities, CLIP, 1 - CLIP)), dtype=np.float64)


def slopes_and_intercepts(shown: NDArray[np.bool_], given: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return slope and intercept, [R] each, for outcomes and probabilities [K] under weights [R, K].

    NaN where there is no fit: of one outcome only or, for the slope, where a threshold tells the outcomes apart without
    an error, or nearly so, or all predictions are alike.
    """
    slopes, intercepts = np.full((2, len(weights)), nan)
    x, settled = logits_of(given), SETTLED if len(weights) == 1 else RESAMPLED
    usual = [_Line(x, shown, slope=slope) for slope in (True, False)]
    rows = max(1, ENTRIES // max(1, len(given)))
    for start in range(0, len(weights), rows):
        part, w = slice(start, start + rows), weights[start : start + rows]
        both = (w @ shown.astype(np.float64) > 0) & (w @ (~shown).astype(np.float64) > 0)
        fits = both & ~_separated(x, shown, w)  # the rest would take all steps, and settle nowhere
        slopes[part][fits] = usual[0].fit(w[fits], settled=settled)[1]
        intercepts[part][both] = usual[1].fit(w[both], settled=settled)[0]
    return slopes, intercepts


def _separated(x: Floats, shown: NDArray[np.bool_], weights: Floats) -> NDArray[np.bool_]:
    """Return for which weights [R] a fit has no end: the outcomes do not overlap (Albert and Anderson 1984)."""
    ends = []
    for those in (np.flatnonzero(shown), np.flatnonzero(~shown)):
        if not len(those):
            return np.ones(len(weights), dtype=bool)
        rising = those[np.argsort(x[those])]
        ends += [x[_first_drawn(weights, rising)], x[_first_drawn(weights, rising[::-1])]]
    lowest, highest, lowest_rest, highest_rest = ends  # [R] each
    return np.asarray((lowest >= highest_rest) | (lowest_rest >= highest))


def _first_drawn(weights: Floats, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of the weights [R, K] the first of the places `order` that has one."""
    drawn = weights[:, order[:NEAREST]] > 0
    first = drawn.argmax(axis=1)
    beyond = ~drawn.any(axis=1)
    if beyond.any():
        first[beyond] = (weights[beyond][:, order] > 0).argmax(axis=1)
    found: NDArray[np.int64] = order[first]
    return found


class _Line:
    """The regression of outcomes [K] on logits x [K], its slope free or held at 1; each fit begins at that of all."""

    def __init__(self, x: Floats, shown: NDArray[np.bool_], *, slope: bool) -> None:
        spread = float(x.std())
        self.centre, self.spread = (float(x.mean()), spread if spread > 0 else 1.0) if slope else (0.0, 1.0)
        self.z, self.shown, self.slope = (x - self.centre) / self.spread, shown, slope
        self.start = (self.centre, self.spread)  # a and b · spread, where predictions are as they should be
        found = self.fit(np.ones((1, len(x))), settled=SETTLED)
        if np.isfinite(found).all():
            self.start = (float(found[0][0] + found[1][0] * self.centre), float(found[1][0] * self.spread))

    def fit(self, weights: Floats, *, settled: float) -> tuple[Floats, Floats]:
        """Return a and b, [R] each, under weights [R, K], by Newton's method; NaN where it does not settle."""
        found = self._newton(weights, self.start, settled)
        lost = np.isnan(found[0])
        if self.slope and lost.any():
            found[:, lost] = self._newton(weights[lost], (0.0, 0.0), settled)
        return found[0] - found[1] * self.centre / self.spread, found[1] / self.spread

    def _newton(self, weights: Floats, start: tuple[float, float], settled: float) -> Floats:
        line = np.repeat(np.array(start)[:, None], len(weights), axis=1)  # [2, R]: a and b
        left = np.arange(len(weights))  # rows that have not settled
        for number in range(STEPS if len(left) else 0):
            longest = LONGEST * SHRINKING**number
            with np.errstate(all="ignore"):
                at = line[:, left[:1]] if number == 0 else line[:, left]  # at first all are at one place
                step = np.clip(self._step(at[0], at[1], weights[left]), -longest, longest)  # [2, rows]
            line[:, left] += step
            left = left[~(np.abs(step).max(axis=0) < settled)]  # also what is NaN
            if not len(left):
                break
        line[:, left] = nan
        return line

    def _step(self, a: Floats, b: Floats, weights: Floats) -> Floats:
        """Return Newton's step [2, R] from a and b, [R] each."""
        powers = np.stack([np.ones_like(self.z), self.z, self.z**2], axis=1)  # [K, 3]
        missing = weights @ (powers[:, :2] * self.shown[:, None])  # [R, 2]: what came …
        p = 1 / (1 + np.exp(-(a[:, None] + b[:, None] * self.z)))  # [R, K], or [1, K] where all are at one place
        if len(a) == 1:
            missing -= weights @ (powers[:, :2] * p.T)  # … less what was predicted
            bend = weights @ (powers * (p * (1 - p)).T)  # [R, 3]
        else:
            curve = weights * p
            missing -= curve @ powers[:, :2]
            bend = np.multiply(curve, 1 - p, out=curve) @ powers
        if not self.slope:
            return np.stack([missing[:, 0] / bend[:, 0], np.zeros(len(weights))])
        size = bend[:, 0] * bend[:, 2] - bend[:, 1] ** 2
        up = missing[:, 0] * bend[:, 2] - missing[:, 1] * bend[:, 1]
        along = missing[:, 1] * bend[:, 0] - missing[:, 0] * bend[:, 1]
        return np.stack([up, along]) / size
