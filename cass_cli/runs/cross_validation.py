"""What a cross-validation found: `cross-validation.json` beside its folds. No other file knows the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

from pydantic import FiniteFloat

from cass_cli.errors import RunError
from cass_cli.runs.summary import HINT
from cass_cli.runs.trials import Variant
from cass_cli.saved import NonNegativeInt, PositiveInt, read_json
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_folds import summarise_folds
from cass_cli.scores.over_seeds import SeedSummary

NAME = "cross-validation.json"


@dataclass(frozen=True)
class PooledEstimate:
    """A score of all answers together with its interval; None: undefined."""

    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None


@dataclass(frozen=True)
class CrossValidation:
    """The scores of one label fraction over all folds. A field added later needs a default."""

    method: str  # as tables call it
    fraction: FiniteFloat
    seed: NonNegativeInt
    folds: PositiveInt
    digest: str  # of which image is tested where, and its label: equal for equal folds
    classes: Sequence[str]
    metric: str
    tested: Sequence[NonNegativeInt]  # images by fold, as are the next four
    trained: Sequence[PositiveInt]  # images that the share of labels is drawn from
    validated: Sequence[NonNegativeInt]
    labels: Sequence[NonNegativeInt]  # seen
    picks: Sequence[str]  # what validation images chose
    groups: NonNegativeInt | None  # patients or lesions tested, where they are known
    left_alone: NonNegativeInt  # test images of the publisher
    leak: str  # what the arms knew of tested images before, as a sentence; "": nothing
    values: Mapping[str, Mapping[str, Sequence[FiniteFloat | None]]]  # candidate → metric → by fold
    pooled: Mapping[str, Mapping[str, PooledEstimate]]
    notes: Sequence[str]

    @property
    def ratio(self) -> float:
        """Test images over training images, over all folds."""
        return sum(self.tested) / sum(self.trained)

    def by_fold(self, candidate: str, metric: str) -> dict[int, float]:
        """Return the score in each fold 1 … K; NaN where it is undefined."""
        values = self.values[candidate].get(metric, [None] * self.folds)
        return {fold: nan if value is None else value for fold, value in enumerate(values, 1)}

    def mean(self, candidate: str, metric: str) -> SeedSummary:
        """Return the mean over folds with its corrected interval."""
        return summarise_folds(list(self.by_fold(candidate, metric).values()), self.ratio)

    def together(self, candidate: str, metric: str) -> Estimate:
        """Return the score of all answers together with its interval; NaN for what is undefined."""
        found = self.pooled[candidate].get(metric, PooledEstimate(None, None, None))
        return Estimate(*(nan if number is None else number for number in (found.value, found.low, found.high)))

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with the means that follow from the others."""
        means = {name: {metric: self.mean(name, metric).as_dict() for metric in of} for name, of in self.values.items()}
        return {**asdict(self), "ratio": self.ratio, "mean": means}


def cross_validation_path(variant: Variant, fraction: float) -> Path:
    """Return where the result of a label fraction is or would be."""
    return variant.path / f"{fraction:g}" / NAME


def read_cross_validation(path: Path) -> CrossValidation:
    """Return what the file holds; raise `RunError` if it is damaged."""
    found = read_json(path, CrossValidation, hint=HINT)
    by_fold = (found.tested, found.trained, found.validated, found.labels, found.picks)
    lists = [*by_fold, *(values for of in found.values.values() for values in of.values())]
    metrics = {found.metric, *(metric for of in (*found.values.values(), *found.pooled.values()) for metric in of)}
    if unknown := metrics - METRICS.keys():
        raise RunError(f"{path} is damaged: there is no metric {sorted(unknown)[0]!r}.", hint=HINT)
    if any(len(values) != found.folds for values in lists) or found.values.keys() != found.pooled.keys():
        raise RunError(f"{path} is damaged: its scores are not those of {found.folds} folds.", hint=HINT)
    return found


def cross_validations_of(variant: Variant, fraction: float | None = None) -> list[CrossValidation]:
    """Return the finished cross-validations of a fine-tuning, fractions rising; of that `fraction` only, where said."""
    found = [read_cross_validation(path) for path in variant.path.glob(f"*/{NAME}")]
    return sorted((each for each in found if fraction in (None, each.fraction)), key=lambda each: each.fraction)


def plain(estimate: Estimate) -> PooledEstimate:
    """Return an estimate as it is written."""
    return PooledEstimate(*(None if isnan(x) else x for x in (estimate.value, estimate.low, estimate.high)))
