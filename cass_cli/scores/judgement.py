"""What validation images decide once and for all after fine-tuning: temperatures, thresholds, and whom to trust.

The test split has no part in it: it is scored by what was decided. Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AllowInfNan, FiniteFloat, PositiveFloat

from cass_cli.data.splits import Labels, labelled
from cass_cli.scores.calibration import ENSEMBLE, fit_temperature, to_probabilities, tune_thresholds, with_mean
from cass_cli.scores.choice import recommend
from cass_cli.scores.ensemble import mixture_weights, weighted
from cass_cli.scores.metrics import METRICS, Scores, score
from cass_cli.scores.values import DEFAULT_THRESHOLD, Floats, confidence, decide, indicator

FLAGGED_SHARE = 0.1  # of the rightly answered validation images
FLAG_WITHOUT_VALIDATION = 0.5

Temperature = Annotated[PositiveFloat, AllowInfNan(False)]


@dataclass(frozen=True)
class Judgement:
    """How to turn the arms' outputs into probabilities and decisions, and which candidate to trust."""

    temperatures: Mapping[str, Temperature]  # by arm, and of "joint"
    thresholds: Mapping[str, Sequence[FiniteFloat]]  # [C] by candidate, for multi-label; empty otherwise
    pick: str  # an arm, "mean", "joint" or "ensemble"
    reason: str
    metric: str
    flag_below: FiniteFloat  # confidence of the pick below which an answer is flagged
    flag_rule: str
    notes: Sequence[str] = ()
    weights: Mapping[str, FiniteFloat] = field(default_factory=dict)  # of what "ensemble" averages; {}: there is none

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return who can answer: the arms, their mean, and what reads them all."""
        several = tuple(with_mean({name: np.zeros(0) for name in self.temperatures}))
        return (*several, ENSEMBLE) if self.weights else several

    def threshold(self, candidate: str) -> Floats | None:
        """Return the thresholds [C] of a candidate, None when classes exclude each other."""
        return np.array(self.thresholds[candidate]) if candidate in self.thresholds else None


def judge(
    logits: Mapping[str, NDArray[np.float64]],
    labels: Labels,
    classes: Sequence[str],
    *,
    metric: str,
    tuned: bool,
    groups: Sequence[str] | None = None,
    ensemble: bool = False,
) -> Judgement:
    """Fit everything on the validation outputs [N, C] of each arm and of "joint"; N may be 0: then little can be said.

    `tuned` chooses multi-label thresholds by F1 on these images; otherwise they are 0.5, as in the paper. With
    `ensemble` an average of all of them, weighted by these images, is a candidate too (`ensemble.py`).
    """
    multilabel = labels.ndim == 2
    temperatures = {name: fit_temperature(given, labels) for name, given in logits.items()}
    notes = [] if len(labels) else ["No validation images: probabilities are as the arms give them, uncalibrated."]
    several = ensemble and len(logits) > 1
    weights = mixture_weights(labels, _calibrated(logits, temperatures, multilabel=multilabel)) if several else {}
    candidates = probabilities_of(logits, temperatures, weights, multilabel=multilabel)
    thresholds: dict[str, list[float]] = {}
    if multilabel:
        for name, given in candidates.items():
            found = tune_thresholds(labels, given, classes) if tuned and len(labels) else None
            thresholds[name] = [DEFAULT_THRESHOLD] * len(classes) if found is None else found.values.tolist()
            notes += found.notes if found else ()
    arrays = {name: np.array(values) for name, values in thresholds.items()}
    choice = recommend(labels, candidates, metric=metric, thresholds=arrays, groups=groups)
    below, rule = _flag_rule(labels, candidates[choice.choice], arrays.get(choice.choice))
    return Judgement(
        temperatures=temperatures,
        thresholds=thresholds,
        pick=choice.choice,
        reason=choice.reason,
        metric=metric,
        flag_below=below,
        flag_rule=rule,
        notes=tuple(dict.fromkeys(notes)),
        weights=weights,
    )


def probabilities_of(
    logits: Mapping[str, NDArray[np.float64]],
    temperatures: Mapping[str, Temperature],
    weights: Mapping[str, float],
    *,
    multilabel: bool,
) -> dict[str, Floats]:
    """Return the calibrated probabilities [N, C] of each arm, for two or more of their mean, and of "joint".

    With `weights` also of the "ensemble" that averages what they are of.
    """
    answers = _calibrated(logits, temperatures, multilabel=multilabel)
    return with_mean(answers) | ({ENSEMBLE: weighted(answers, weights)} if weights else {})


def _calibrated(
    logits: Mapping[str, NDArray[np.float64]], temperatures: Mapping[str, Temperature], *, multilabel: bool
) -> dict[str, Floats]:
    return {
        name: to_probabilities(given, multilabel=multilabel, temperature=temperatures[name])
        for name, given in logits.items()
    }


def _flag_rule(labels: Labels, probabilities: Floats, thresholds: Floats | None) -> tuple[float, str]:
    """Return the confidence below which an answer is flagged, and the rule in words."""
    multilabel = labels.ndim == 2
    if len(labels):
        truth = indicator(labels, probabilities.shape[1])
        chosen = decide(probabilities, multilabel=multilabel, thresholds=thresholds)
        right = truth == chosen
        if multilabel:
            right |= labels < 0  # only the known labels tell; how sure it is covers all, as it does for a new image
        sure = confidence(probabilities, multilabel=multilabel)[right.all(axis=1) & labelled(labels)]
        if len(sure):
            below = float(np.quantile(sure, FLAGGED_SHARE))
            return below, (
                f"flagged below a confidence of {below:.3f}: a tenth of the {len(sure)} validation images that were "
                "answered rightly lie below it"
            )
    return FLAG_WITHOUT_VALIDATION, (
        f"flagged below a confidence of {FLAG_WITHOUT_VALIDATION}: no validation image could set it"
    )


def split_scores(
    logits: Mapping[str, NDArray[np.float64]], labels: Labels, classes: Sequence[str], judged: Judgement
) -> dict[str, dict[str, float | None]]:
    """Return {candidate: {metric: value}} without intervals; empty for a split without images.

    logits [N, C] by arm. A metric that is undefined is None.
    """
    if len(labels) == 0:
        return {}
    candidates = probabilities_of(logits, judged.temperatures, judged.weights, multilabel=labels.ndim == 2)
    scores = score_candidates(candidates, labels, classes, judged, resamples=0)
    return {
        name: {metric: found.metrics[metric].as_dict()["value"] for metric in METRICS} for name, found in scores.items()
    }


def score_candidates(
    candidates: Mapping[str, Floats],
    labels: Labels,
    classes: Sequence[str],
    judged: Judgement,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Score the probabilities [N, C] of each candidate, with the thresholds that validation set.

    `on_progress(done, total)` counts the resamples of all candidates.
    """
    scores: dict[str, Scores] = {}

    def told(done: int) -> None:
        if on_progress:
            on_progress(len(scores) * resamples + done, len(candidates) * resamples)

    for name, given in candidates.items():
        told(0)
        scores[name] = score(
            labels,
            given,
            classes,
            thresholds=judged.threshold(name),
            groups=groups,
            resamples=resamples,
            on_progress=told,
        )
    return scores
