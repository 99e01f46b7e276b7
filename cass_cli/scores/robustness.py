"""How far scores fall on corrupted images, candidate by candidate, in the way of MedMNIST-C (Di Salvo et al. 2024).

With E the balanced error, 1 − balanced accuracy, of a kind of corruption c at strength s, and b a baseline's:

    bCE_c = Σ_s E_cs / Σ_s E^b_cs        rCE_c = Σ_s (E_cs − E_clean) / Σ_s (E^b_cs − E^b_clean)

Below 1 a candidate errs less than the baseline, or loses less by the corruption. Where the baseline makes no error the
first is undefined; where it loses less than `LEAST_LOSS` the second is left undefined too, as it would be noise over
next to nothing: ratios of −20 were seen. Hendrycks and Dietterich (ICLR 2019, Sec. 4.2) divide by AlexNet's; here it is
one of the candidates. Several labels an image: balanced accuracy is what `values.py` calls so.

Shapes: N images, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cass_cli.data.splits import Labels
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, interval, resample_weights
from cass_cli.scores.values import Floats, mean_defined, metric_values

BALANCED = "balanced_accuracy"
BASELINE = "cnn"  # where it is a candidate
RANKING = ("auroc", "average_precision")
LEAST_LOSS = 0.01  # of balanced accuracy, on average over strengths, that losses are divided by


@dataclass(frozen=True)
class Level:
    """The scores of one candidate on images that are corrupted in one way, or clean."""

    values: Mapping[str, float]  # of the run's metric, and balanced accuracy
    resampled: Floats  # [R] of the run's metric


@dataclass(frozen=True)
class Fragility:
    """What corruption does to one candidate."""

    clean: Mapping[str, float]  # by metric
    corrupted: Mapping[str, Mapping[str, tuple[float, ...]]]  # by kind and metric, a value a strength
    mean: float  # of the run's metric over kinds and strengths
    drop: Estimate  # clean − mean
    bce: Mapping[str, float]  # by kind
    rce: Mapping[str, float]

    @property
    def mean_bce(self) -> float:
        """Return the mean over the kinds for which it is defined."""
        return _mean(self.bce.values())

    @property
    def mean_rce(self) -> float:
        """Return the mean over the kinds for which it is defined."""
        return _mean(self.rce.values())

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined numbers are None."""
        return {
            "clean": _plain(self.clean),
            "corrupted": {
                kind: {metric: [_number(value) for value in values] for metric, values in of.items()}
                for kind, of in self.corrupted.items()
            },
            "mean": _number(self.mean),
            "drop": self.drop.as_dict(),
            "bce": _plain(self.bce),
            "rce": _plain(self.rce),
            "mean_bce": _number(self.mean_bce),
            "mean_rce": _number(self.mean_rce),
        }


def level(
    labels: Labels,
    probabilities: Floats,
    metric: str,
    *,
    thresholds: Floats | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Level:
    """Score probabilities [N, C] on the images and on resamples of them, whole groups where there are groups.

    The resamples of equal images, groups and seed are equal, so that levels can be compared one by one.
    """
    ranking = metric in RANKING
    units = draw_units(len(labels), groups)
    once = metric_values(labels, probabilities, [np.ones((1, len(labels)))], thresholds=thresholds, ranking=ranking)
    weights = resample_weights(units, resamples=resamples, seed=seed)
    many = metric_values(labels, probabilities, weights, thresholds=thresholds, ranking=ranking)
    values = {name: float(once[name][0]) for name in dict.fromkeys((metric, BALANCED))}
    return Level(values, many.get(metric, np.empty(0)))


def fragilities(
    clean: Mapping[str, Level], corrupted: Mapping[str, Sequence[Mapping[str, Level]]], metric: str, *, baseline: str
) -> dict[str, Fragility]:
    """Return by candidate what its levels say; those of `corrupted` are by kind, strength and candidate.

    The interval of the drop is of differences within each resample: what makes an image hard in any state cancels.
    """
    errors = {
        name: {kind: [1 - of[name].values[BALANCED] for of in levels] for kind, levels in corrupted.items()}
        for name in clean
    }
    errors_clean = {name: 1 - of.values[BALANCED] for name, of in clean.items()}
    found = {}
    for name, whole in clean.items():
        worse = [of[name] for levels in corrupted.values() for of in levels]
        mean = float(np.mean([of.values[metric] for of in worse]))
        drawn = whole.resampled - np.mean([of.resampled for of in worse], axis=0)
        found[name] = Fragility(
            clean=whole.values,
            corrupted={
                kind: {m: tuple(of[name].values[m] for of in levels) for m in whole.values}
                for kind, levels in corrupted.items()
            },
            mean=mean,
            drop=Estimate(whole.values[metric] - mean, *interval(drawn)),
            bce={kind: _ratio(*(sum(errors[who][kind]) for who in (name, baseline)), least=0) for kind in corrupted},
            rce={
                kind: _ratio(
                    *(sum(e - errors_clean[who] for e in errors[who][kind]) for who in (name, baseline)),
                    least=LEAST_LOSS * len(levels),
                )
                for kind, levels in corrupted.items()
            },
        )
    return found


def baseline_of(candidates: Iterable[str]) -> str:
    """Return by whose errors others are divided: the CNN's, else those of the first."""
    names = list(candidates)
    return BASELINE if BASELINE in names else names[0]


def _ratio(numerator: float, denominator: float, *, least: float) -> float:
    """Return the quotient; NaN where the denominator is not more than `least`."""
    return numerator / denominator if denominator > least else float("nan")


def _mean(values: Iterable[float]) -> float:
    return float(mean_defined(np.array([*values])))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}
