"""Whether a score holds for everyone: each metric by sex, age, site and the like, and how far the groups lie apart.

Shapes: N images, U units (patients, or images), R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, interval, resample_weights
from cass_cli.scores.metrics import LOWER_IS_BETTER, METRICS
from cass_cli.scores.values import Floats, indicator, metric_values

FEW_IMAGES = 30  # of a group: fewer say too little to call it the worst
AGES = (18, 40, 65)  # where bands of age begin
MOST_GROUPS = 50  # of a column that is scored: one of more names images or patients, not groups of them
MOST_VALUES = 12  # numbers of a column that are groups as they are
NOT_KNOWN = "(not known)"


@dataclass(frozen=True)
class Subgroup:
    """The scores of the images of one group."""

    images: int
    units: int  # patients, or images
    metrics: Mapping[str, Estimate]
    lacks: tuple[str, ...]  # classes that none of its images shows: means are over the others
    small: bool  # too few images to say

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "images": self.images,
            "units": self.units,
            "metrics": {name: each.as_dict() for name, each in self.metrics.items()},
            "lacks": list(self.lacks),
            "small": self.small,
        }


@dataclass(frozen=True)
class Subgroups:
    """The groups of one column, and how far apart the best and the worst of those lie that are not too small."""

    groups: Mapping[str, Subgroup]
    metric: str
    best: str  # "" where fewer than two groups can be compared
    worst: str
    gap: Estimate  # best − worst, as of these two
    chance: float  # how often groups drawn at random lie as far apart (a permutation test's p); NaN: not computed

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined numbers are None."""
        return {
            "groups": {name: each.as_dict() for name, each in self.groups.items()},
            "metric": self.metric,
            "best": self.best,
            "worst": self.worst,
            "gap": self.gap.as_dict(),
            "chance": None if isnan(self.chance) else self.chance,
        }


def subgroup_scores(
    labels: Labels,
    probabilities: Floats,
    classes: Sequence[str],
    cells: Sequence[str],
    *,
    metric: str,
    thresholds: Floats | None = None,
    units_of: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Subgroups:
    """Score the images of each group that `cells` [N] names apart; "" is a group too, of those that are not known.

    Whole units are resampled, the same ones for all groups, so that the gap's interval holds what they share. The two
    groups furthest apart always lie apart, if only by chance: `chance` is the share of random divisions, of units where
    each lies in one group and else of images, in which the furthest lie at least as far apart (Good 2005, ch. 3).
    """
    units = draw_units(len(labels), units_of)
    named = np.array([cell or NOT_KNOWN for cell in cells])
    names = sorted(set(named.tolist()), key=lambda name: (name == NOT_KNOWN, _natural(name)))
    rows_of = {name: np.flatnonzero(named == name) for name in names}

    def values(rows: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
        return metric_values(labels[rows], probabilities[rows], [weights[:, rows]], thresholds=thresholds)

    parts = [
        {name: values(rows, chunk) for name, rows in rows_of.items()}
        for chunk in resample_weights(units, resamples=resamples, seed=seed)
    ]
    found: dict[str, Subgroup] = {}
    drawn: dict[str, dict[str, Floats]] = {}
    for name, rows in rows_of.items():
        once = values(rows, np.ones((1, len(labels))))
        drawn[name] = {m: np.concatenate([part[name][m] for part in parts]) for m in METRICS} if parts else {}
        shown = np.asarray(indicator(labels[rows], len(classes)).any(axis=0))
        ends = {m: interval(drawn[name][m]) if parts else (np.nan, np.nan) for m in METRICS}
        found[name] = Subgroup(
            images=len(rows),
            units=len(np.unique(units[rows])),
            metrics={m: Estimate(float(once[m][0]), *ends[m]) for m in METRICS},
            lacks=tuple(c for c, yes in zip(classes, shown, strict=True) if not yes),
            small=len(rows) < FEW_IMAGES,
        )
    judged = {
        name: each.metrics[metric].value
        for name, each in found.items()
        if name != NOT_KNOWN and not each.small and not isnan(each.metrics[metric].value)
    }
    if len(judged) < 2:
        return Subgroups(found, metric, "", "", Estimate(np.nan), np.nan)
    order = sorted(judged, key=judged.__getitem__, reverse=metric in LOWER_IS_BETTER)
    worst, best = order[0], order[-1]
    low, high = interval(drawn[best][metric] - drawn[worst][metric]) if drawn[best] else (np.nan, np.nan)
    chance = np.nan
    if resamples:
        chance = _chance(labels, probabilities, named, list(judged), units, metric, thresholds, resamples, seed)
    return Subgroups(found, metric, best, worst, Estimate(judged[best] - judged[worst], low, high), chance)


def bands(column: str, cells: Sequence[str]) -> list[str]:
    """Return the group of each cell: as it is, or, of a column of many numbers, a band that it lies in.

    Years of age are cut at 18, 40 and 65; other numbers at their quartiles.
    """
    numbers = np.array([_number(cell) for cell in cells])
    known = numbers[~np.isnan(numbers)]
    told = [cell for cell in cells if cell]
    years = "age" in column.lower().replace("_", " ").replace("-", " ").split()
    if len(set(told)) <= (len(AGES) + 1 if years else MOST_VALUES) or len(known) < len(told):
        return list(cells)
    edges = list(map(float, AGES)) if years else np.unique(np.quantile(known, (0.25, 0.5, 0.75))).tolist()
    titles = [
        f"< {edges[0]:g}",
        *(f"{a:g} to < {b:g}" for a, b in pairwise(edges)),
        f"≥ {edges[-1]:g}",
    ]
    places = np.searchsorted(np.array(edges), numbers, side="right")
    return ["" if isnan(number) else titles[place] for number, place in zip(numbers, places, strict=True)]


def _chance(
    labels: Labels,
    probabilities: Floats,
    named: np.ndarray,
    names: Sequence[str],
    units: np.ndarray,
    metric: str,
    thresholds: Floats | None,
    draws: int,
    seed: int,
) -> float:
    """Return how often random groups of these sizes lie as far apart as these do."""
    rows = np.flatnonzero(np.isin(named, names))
    number = np.array([names.index(name) for name in named[rows]])
    unit = np.unique(units[rows], return_inverse=True)[1]
    first = np.full(unit.max() + 1, -1)
    first[unit[::-1]] = number[::-1]
    if (first[unit] != number).any():  # a unit lies in several groups: its images are divided
        unit, first = np.arange(len(rows)), number
    rng = np.random.default_rng(seed)
    drawn = np.array([first, *(rng.permutation(first) for _ in range(draws))])[:, unit]  # the first is as it is
    values = []
    for group in range(len(names)):
        weights = [(drawn[start : start + 256] == group).astype(np.float64) for start in range(0, len(drawn), 256)]
        ranking = metric in ("auroc", "average_precision")
        found = metric_values(labels[rows], probabilities[rows], weights, thresholds=thresholds, ranking=ranking)
        values.append(found[metric])
    gaps = np.nanmax(values, axis=0) - np.nanmin(values, axis=0)
    return float(np.mean(gaps >= gaps[0] - 1e-12))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _natural(name: str) -> tuple[float, str]:
    """Sort numbers by size, before words."""
    number = _number(name)
    return (np.inf if isnan(number) else number, name)
