"""Which arm to trust at inference: the paper leaves it open, validation data answers it.

Shapes: N validation images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cass_cli.data.splits import Labels
from cass_cli.scores.bootstrap import RESAMPLES, Estimate
from cass_cli.scores.calibration import ENSEMBLE, JOINT, MEAN, arms_among
from cass_cli.scores.metrics import LOWER_IS_BETTER, METRICS, paired_difference
from cass_cli.scores.over_seeds import signed
from cass_cli.scores.values import Floats, metric_values
from cass_cli.words import count


@dataclass(frozen=True)
class Recommendation:
    """The arm to use, or what combines the arms, and why."""

    choice: str  # an arm's name, "mean", "joint" or "ensemble"
    reason: str  # one or two plain sentences
    metric: str
    validation: dict[str, float]  # each candidate's value of the metric; empty without validation images


def recommend(
    labels: Labels,
    candidates: Mapping[str, Floats],
    *,
    metric: str = "macro_f1",
    thresholds: Mapping[str, Floats] | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Recommendation:
    """Choose between the arms, their mean and what reads both, from validation images alone.

    candidates  calibrated probabilities [N, C] by name, as `calibration.with_mean` gives them.
    thresholds  [C] by name, for multi-label decisions.
    groups      of the images, where whole groups are to be resampled.

    The rule, with "clearly" for a paired bootstrap 95 % interval that does not hold 0:
      1. the mean, if the arms do not differ clearly, unless it is clearly worse than the better arm;
      2. the mean, if the arms differ clearly and it scores at least as high as the better arm;
      3. the better arm otherwise.
    Between arms that can't be told apart a choice would be chance, and their mean is usually better than
    both; where one is clearly worse, the mean has to earn its place. Simulated (4 classes; 20, 60 and 300
    validation images; a second arm from equal to useless), this lost at most 0.015 macro F1 to the best
    possible choice; taking the mean unless it is clearly worse lost up to 0.027, the highest of the three
    scores up to 0.035, the better arm up to 0.057 (benchmarks/which_arm.py).

    Where there is a "joint" regression on the features of both arms, it is taken instead if it scores as high. On
    halves of held-out folds of HAM10000 and brain MRI, with 1 %, 10 % and all of the labels (5 to 20 draws each, 112
    px), this scored a mean macro F1 of .606; the rule above alone .602, the highest of the four candidates .605, the
    best possible choice .619. Taking joint unless another is clearly better scored .607, but gave .52 where an arm of
    random weights spoilt it and the other alone had .63.

    Where there is an "ensemble" of trained arms and joint, it is taken unless what was chosen is clearly better: an
    arm that training spoilt is not among them where the guard was up.
    """
    assert metric in METRICS and metric not in LOWER_IS_BETTER, f"can't choose by {metric}"
    arms = arms_among(candidates)
    if len(candidates) == 1:
        return Recommendation(
            arms[0], "The run has this arm only.", metric, _values(labels, candidates, metric, thresholds)
        )
    if len(labels) == 0:
        usual = next((name for name in (ENSEMBLE, JOINT) if name in candidates), MEAN)
        how = {
            ENSEMBLE: "the average of all uncalibrated answers",
            JOINT: "the uncalibrated answer from both arms' features",
        }.get(usual, "the mean of uncalibrated arms")
        return Recommendation(usual, f"There are no validation images to choose by, so {how} is taken.", metric, {})
    validation = _values(labels, candidates, metric, thresholds)
    better, worse = sorted(arms, key=lambda name: -np.nan_to_num(validation[name], nan=-1.0))[:2]

    def gap(first: str, second: str) -> Estimate:
        one, other = ((candidates[n], (thresholds or {}).get(n)) for n in (first, second))
        return paired_difference(metric, labels, one, other, groups=groups, resamples=resamples, seed=seed)

    choice, reason = _decide(better, worse, gap(better, worse), gap(MEAN, better))
    if JOINT in candidates and not validation[JOINT] < validation[choice]:
        reason = (
            f"joint, which reads the features of both arms, scores as high as {choice} ({JOINT} − {choice}: "
            f"{_figures(gap(JOINT, choice))})."
        )
        choice = JOINT
    if ENSEMBLE in candidates and not (lead := gap(choice, ENSEMBLE)).low > 0:
        reason = f"{choice} is not clearly better than ensemble, which averages all by weight ({_figures(lead)})."
        choice = ENSEMBLE
    title = METRICS[metric]
    figures = ", ".join(f"{name} {value:.3f}" for name, value in validation.items())
    return Recommendation(
        choice, f"{reason} ({title} on {count(len(labels), 'validation image')}: {figures}.)", metric, validation
    )


def _decide(better: str, worse: str, arms: Estimate, mean: Estimate) -> tuple[str, str]:
    """Return the choice and its reason from better − worse and mean − better."""
    if mean.high < 0:
        return better, f"The mean of both arms is clearly worse than {better} alone: {_figures(mean)}."
    if not arms.low > 0:
        return MEAN, f"The arms can't be told apart ({better} − {worse}: {_figures(arms)}), so both are used."
    clearly = f"{better} is clearly better than {worse} ({_figures(arms)})"
    if mean.value >= 0:
        return MEAN, f"{clearly}, and their mean is at least as good ({_figures(mean)})."
    return better, f"{clearly}, and their mean gains nothing ({_figures(mean)})."


def _figures(difference: Estimate) -> str:
    if np.isnan(difference.low):
        return f"{signed(difference.value)}, too few images or groups for an interval"
    return f"{signed(difference.value)}, 95 % interval {signed(difference.low)} to {signed(difference.high)}"


def _values(
    labels: Labels, candidates: Mapping[str, Floats], metric: str, thresholds: Mapping[str, Floats] | None
) -> dict[str, float]:
    if len(labels) == 0:
        return {}
    ones = [np.ones((1, len(labels)))]
    return {
        name: float(metric_values(labels, p, ones, thresholds=(thresholds or {}).get(name))[metric][0])
        for name, p in candidates.items()
    }
